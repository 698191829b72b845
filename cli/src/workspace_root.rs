//! The workspace root: the directory with the WORKSPACE file, at or above the current one.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::command_error::CommandError;
use crate::directories::{EXECUTION_ROOTS, WORKSPACE_NOTE};

/// The names of a file that makes a directory the root of a workspace; the first wins.
pub const WORKSPACE_FILES: [&str; 2] = ["WORKSPACE.bazel", "WORKSPACE"];

/// The root of the workspace that `directory` is in.
pub fn find(directory: &Path) -> Option<PathBuf> {
    let is_root =
        |directory: &&Path| WORKSPACE_FILES.iter().any(|name| directory.join(name).is_file());
    directory.ancestors().find(is_root).map(Path::to_owned)
}

/// The workspace whose output base `directory` is in, if it is in one.
fn of_outputs(directory: &Path) -> Option<PathBuf> {
    let workspace = directory.ancestors().find_map(|base| {
        let note = std::fs::read(base.join(WORKSPACE_NOTE)).ok()?;
        base.join(EXECUTION_ROOTS).is_dir().then_some(note)
    })?;
    Some(PathBuf::from(OsString::from_vec(workspace)))
}

/// The error of a command that needs a workspace and was called outside one.
pub fn missing(command: &str, directory: &Path) -> CommandError {
    if let Some(workspace) = of_outputs(directory) {
        let workspace = workspace.display();
        return CommandError::command_line(format!(
            "`rbz {command}` was called among the outputs of the workspace `{workspace}`"
        ))
        .hint(format!("call it in `{workspace}` or below"));
    }
    CommandError::command_line(format!(
        "`rbz {command}` works in a workspace, and neither `{}` nor a directory above it has a \
         WORKSPACE file",
        directory.display()
    ))
    .hint("`rbz init` makes a workspace of the current directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_know_their_workspace() {
        let base = tempfile::tempdir().expect("a temporary directory");
        let bin = base.path().join("execroot/w/rbz-out/k8-fastbuild/bin");
        std::fs::create_dir_all(&bin).expect("directories");
        assert_eq!(of_outputs(&bin), None);
        std::fs::write(base.path().join(WORKSPACE_NOTE), "/home/ann/w").expect("a file");
        let error = missing("build", &bin).to_string();
        assert!(error.contains("outputs of the workspace `/home/ann/w`"), "{error}");
        let error = missing("build", Path::new("/")).to_string();
        assert!(error.contains("rbz init"), "{error}");
    }

    #[test]
    fn the_nearest_workspace_above_is_found() {
        let outer = tempfile::tempdir().expect("a temporary directory");
        let inner = outer.path().join("a/b");
        let deep = inner.join("c/d");
        std::fs::create_dir_all(&deep).expect("directories");
        assert_eq!(find(&deep), None);
        std::fs::write(outer.path().join("WORKSPACE"), "").expect("a file");
        assert_eq!(find(&deep).as_deref(), Some(outer.path()));
        std::fs::write(inner.join("WORKSPACE.bazel"), "").expect("a file");
        assert_eq!(find(&deep), Some(inner));
        // A directory of this name makes no workspace.
        std::fs::create_dir(deep.join("WORKSPACE")).expect("a directory");
        assert_ne!(find(&deep), Some(deep.clone()));
    }
}
