//! Convenience symlinks: `rbz-out`, `rbz-bin` and `rbz-testlogs` in the workspace.

use std::io;
use std::path::{Path, PathBuf};

use rbz_engine::file_state::CONVENIENCE_SYMLINKS;

use crate::directories::OUTPUT_DIRECTORY;

/// The symlinks, each with the part of an output directory that it points to.
const LINKS: [(&str, &str); 2] = [("rbz-bin", "bin"), ("rbz-testlogs", "testlogs")];

/// Makes the symlinks of `workspace` point to the outputs of `configuration` below
/// `execution_root`. Yields the names of those that cannot be made, since something is there
/// that is no symlink.
pub fn make(
    workspace: &Path,
    execution_root: &Path,
    configuration: &str,
) -> io::Result<Vec<&'static str>> {
    let outputs = execution_root.join(OUTPUT_DIRECTORY);
    let mut blocked = Vec::new();
    let links = LINKS.map(|(name, part)| (name, outputs.join(configuration).join(part)));
    for (name, target) in [(OUTPUT_DIRECTORY, outputs.clone())].into_iter().chain(links) {
        if !make_link(&workspace.join(name), &target)? {
            blocked.push(name);
        }
    }
    Ok(blocked)
}

/// False when something is there that is no symlink.
fn make_link(link: &Path, target: &PathBuf) -> io::Result<bool> {
    match link.symlink_metadata() {
        Ok(metadata) if !metadata.is_symlink() => return Ok(false),
        Ok(_) if std::fs::read_link(link)? == *target => return Ok(true),
        Ok(_) => std::fs::remove_file(link)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::os::unix::fs::symlink(target, link)?;
    Ok(true)
}

/// Removes those of the names that are symlinks.
pub fn remove(workspace: &Path) -> io::Result<()> {
    for link in CONVENIENCE_SYMLINKS.map(|name| workspace.join(name)) {
        if link.is_symlink() {
            std::fs::remove_file(link)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_knows_all_links() {
        let mut names: Vec<_> = LINKS.map(|(name, _)| name).into_iter().collect();
        names.insert(0, OUTPUT_DIRECTORY);
        assert_eq!(names, CONVENIENCE_SYMLINKS);
    }

    #[test]
    fn links_follow_the_configuration_and_spare_what_is_no_link() {
        let workspace = tempfile::tempdir().expect("a temporary directory");
        let workspace = workspace.path();
        std::fs::create_dir(workspace.join("rbz-testlogs")).expect("a directory");
        let link = || std::fs::read_link(workspace.join("rbz-bin")).expect("a link");
        let blocked = make(workspace, Path::new("/x"), "k8-fastbuild").expect("links");
        assert_eq!(blocked, ["rbz-testlogs"]);
        assert_eq!(link(), Path::new("/x/rbz-out/k8-fastbuild/bin"));
        make(workspace, Path::new("/x"), "k8-opt").expect("links");
        assert_eq!(link(), Path::new("/x/rbz-out/k8-opt/bin"));
    }
}
