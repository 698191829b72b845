//! The shipped repositories: what is in them, and how they get onto the disk.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use include_dir::{Dir, DirEntry, include_dir};
use sha2::{Digest, Sha256};

static REPOSITORIES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/repositories");

/// Changes with the path or content of any shipped file.
static FINGERPRINT: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = Sha256::new();
    let mut files = BTreeMap::new();
    collect(&REPOSITORIES, &mut files);
    for (path, content) in files {
        for part in [path.to_string_lossy().as_bytes(), content] {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
});

fn collect<'a>(dir: &'a Dir<'a>, files: &mut BTreeMap<&'a Path, &'a [u8]>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => collect(dir, files),
            DirEntry::File(file) => {
                files.insert(file.path(), file.contents());
            }
        }
    }
}

/// Every shipped repository with its name.
pub fn repositories() -> impl Iterator<Item = (&'static str, &'static Dir<'static>)> {
    REPOSITORIES.dirs().filter_map(|dir| Some((dir.path().file_name()?.to_str()?, dir)))
}

/// Changes with the path or content of any shipped file; names their directory on the disk.
pub fn fingerprint() -> &'static str {
    &FINGERPRINT
}

/// Puts the shipped repositories below `dir`, into a directory of their own that is named by
/// [`fingerprint`], unless they are there. Returns the directory of each repository.
///
/// The directory appears whole or not at all, so that two processes may do this at once.
pub fn materialize(dir: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let target = dir.join(fingerprint());
    if !target.is_dir() {
        fs::create_dir_all(dir)?;
        let staging = dir.join(format!(".{}.{}", fingerprint(), std::process::id()));
        if staging.exists() {
            fs::remove_dir_all(&staging)?;
        }
        write(&REPOSITORIES, &staging)?;
        if let Err(error) = fs::rename(&staging, &target) {
            fs::remove_dir_all(&staging)?;
            // Another process may have been faster; what it wrote is the same.
            if !target.is_dir() {
                return Err(error);
            }
        }
    }
    Ok(repositories().map(|(name, _)| (name.to_owned(), target.join(name))).collect())
}

fn write(dir: &Dir<'_>, root: &Path) -> io::Result<()> {
    fs::create_dir_all(root.join(dir.path()))?;
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => write(dir, root)?,
            DirEntry::File(file) => {
                let path = root.join(file.path());
                fs::write(&path, file.contents())?;
                // The modes of files are not in the program.
                if file.contents().starts_with(b"#!") {
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_repository_has_a_workspace_file_that_names_it() {
        for (name, dir) in repositories() {
            let path = format!("{name}/WORKSPACE");
            let file = dir.get_file(&path).unwrap_or_else(|| panic!("no {path}"));
            let text = file.contents_utf8().unwrap_or_default();
            assert!(text.contains(&format!("workspace(name = \"{name}\")")), "{path}: {text}");
        }
    }

    #[test]
    fn repositories_are_written_once_and_whole() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let first = materialize(dir.path())?;
        let prelude = first["rbz"].join("prelude.bzl");
        let text = fs::read_to_string(&prelude)?;
        assert!(text.contains("lisp_library"));

        fs::write(&prelude, "mine")?;
        assert_eq!(materialize(dir.path())?, first);
        assert_eq!(fs::read_to_string(&prelude)?, "mine", "written again");
        let names: Vec<_> = fs::read_dir(dir.path())?.collect::<io::Result<_>>()?;
        assert_eq!(names.len(), 1, "a staging directory was left behind");
        Ok(())
    }
}
