//! `rbz clean`: removes what was built.

use std::path::{Path, PathBuf};

use crate::command_error::CommandError;
use crate::convenience_symlinks;
use crate::directories::{Directories, WORKSPACE_NOTE, check_ours};
use crate::removal::remove;
use crate::request_lock::{RequestLock, remove_with_lock};

/// What to remove.
#[derive(Clone, Debug)]
pub struct Clean {
    /// The whole output base.
    pub expunge: bool,
    /// The disk cache at this place.
    pub disk_cache: Option<PathBuf>,
}

/// Parts of the output base that a plain `rbz clean` leaves alone: external repositories are
/// inputs, the lock is held, and the workspace stays the same.
const KEPT: [&str; 3] = ["external", "lock", WORKSPACE_NOTE];

/// Removes outputs of the workspace at `workspace`.
pub fn run(
    clean: &Clean,
    workspace: &Path,
    directories: &Directories,
    lock: RequestLock,
) -> Result<(), CommandError> {
    let cannot = |path: &Path, error: std::io::Error| {
        CommandError::environment(format!("cannot remove `{}`: {error}", path.display()))
    };
    if let Some(cache) = &clean.disk_cache {
        check_ours(cache)?;
        remove(cache).map_err(|error| cannot(cache, error))?;
    }
    convenience_symlinks::remove(workspace).map_err(|error| cannot(workspace, error))?;
    let base = &directories.output_base;
    if clean.expunge {
        return remove_with_lock(base, lock);
    }
    for entry in std::fs::read_dir(base).map_err(|error| cannot(base, error))? {
        let entry = entry.map_err(|error| cannot(base, error))?;
        if !KEPT.iter().any(|name| entry.file_name() == *name) {
            remove(&entry.path()).map_err(|error| cannot(&entry.path(), error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_keeps_external_repositories_and_the_users_own_files() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let workspace = directory.path().join("w");
        let base = directory.path().join("base");
        for name in ["execroot/w/rbz-out/k8-fastbuild", "external/r", "log"] {
            std::fs::create_dir_all(base.join(name)).expect("directories");
        }
        std::fs::create_dir_all(workspace.join("rbz-bin")).expect("a directory");
        let target = base.join("execroot/w/rbz-out");
        std::os::unix::fs::symlink(&target, workspace.join("rbz-out")).expect("a link");
        let directories =
            Directories { output_user_root: directory.path().into(), output_base: base.clone() };
        let run = |expunge| {
            let lock = RequestLock::acquire(&directories.lock(), "rbz clean", |_| Ok(()));
            let clean = Clean { expunge, disk_cache: None };
            run(&clean, &workspace, &directories, lock.expect("a lock")).expect("cleaned");
        };
        run(false);
        assert!(!base.join("execroot").exists() && !base.join("log").exists());
        assert!(base.join("external/r").exists());
        assert!(workspace.join("rbz-out").symlink_metadata().is_err());
        assert!(workspace.join("rbz-bin").is_dir(), "a directory of the user");
        run(true);
        assert!(!base.exists());
    }
}
