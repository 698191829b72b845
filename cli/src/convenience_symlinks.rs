//! Convenience symlinks: `rbz-out`, `rbz-bin` and `rbz-testlogs` in the workspace.

use std::io;
use std::path::{Path, PathBuf};

use rbz_engine::file_state::CONVENIENCE_SYMLINKS;

use crate::directories::{EXECUTION_ROOTS, OUTPUT_DIRECTORY};

/// The symlinks, each with the part of an output directory that it points to.
const LINKS: [(&str, &str); 2] = [("rbz-bin", "bin"), ("rbz-testlogs", "testlogs")];

/// Makes the symlinks of `workspace` point to the outputs of `configuration` below
/// `execution_root`. Yields the names of those that cannot be made, since something is there
/// that rbz did not make.
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

/// False when something is there that rbz did not make.
fn make_link(link: &Path, target: &PathBuf) -> io::Result<bool> {
    match link.symlink_metadata() {
        Ok(metadata) if !metadata.is_symlink() => return Ok(false),
        Ok(_) => {
            let present = std::fs::read_link(link)?;
            if present == *target {
                return Ok(true);
            }
            if !is_ours(&present) {
                return Ok(false);
            }
            std::fs::remove_file(link)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::os::unix::fs::symlink(target, link)?;
    Ok(true)
}

/// Whether rbz made a symlink to `target`: one into the outputs of some output base, which need not
/// be there any more.
fn is_ours(target: &Path) -> bool {
    let mut parts = target.iter().skip_while(|part| *part != EXECUTION_ROOTS);
    parts.nth(2).is_some_and(|part| part == OUTPUT_DIRECTORY)
}

/// Removes those of the symlinks that rbz made.
pub fn remove(workspace: &Path) -> io::Result<()> {
    for link in CONVENIENCE_SYMLINKS.map(|name| workspace.join(name)) {
        if std::fs::read_link(&link).is_ok_and(|target| is_ours(&target)) {
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
    fn links_follow_the_configuration_and_spare_what_is_not_ours() {
        let workspace = tempfile::tempdir().expect("a temporary directory");
        let workspace = workspace.path();
        std::fs::create_dir(workspace.join("rbz-testlogs")).expect("a directory");
        let link = || std::fs::read_link(workspace.join("rbz-bin")).expect("a link");
        let root = Path::new("/x/execroot/w");
        let blocked = make(workspace, root, "k8-fastbuild").expect("links");
        assert_eq!(blocked, ["rbz-testlogs"]);
        assert_eq!(link(), root.join("rbz-out/k8-fastbuild/bin"));
        // Of another output base, and of another configuration.
        make(workspace, Path::new("/y/execroot/v"), "k8-opt").expect("links");
        assert_eq!(link(), Path::new("/y/execroot/v/rbz-out/k8-opt/bin"));
        let own = workspace.join("rbz-out");
        std::fs::remove_file(&own).expect("it is there");
        std::os::unix::fs::symlink("/somewhere", &own).expect("a link");
        let blocked = make(workspace, root, "k8-fastbuild").expect("links");
        assert_eq!(blocked, ["rbz-out", "rbz-testlogs"]);
        remove(workspace).expect("links");
        assert!(own.is_symlink() && !workspace.join("rbz-bin").is_symlink());
    }
}
