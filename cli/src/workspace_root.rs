//! The workspace root: the directory with the WORKSPACE file, at or above the current one.

use std::path::{Path, PathBuf};

use crate::command_error::CommandError;

/// The names of a file that makes a directory the root of a workspace; the first wins.
pub const WORKSPACE_FILES: [&str; 2] = ["WORKSPACE.bazel", "WORKSPACE"];

/// The root of the workspace that `directory` is in.
pub fn find(directory: &Path) -> Option<PathBuf> {
    let is_root =
        |directory: &&Path| WORKSPACE_FILES.iter().any(|name| directory.join(name).is_file());
    directory.ancestors().find(is_root).map(Path::to_owned)
}

/// The error of a command that needs a workspace and was called outside one.
pub fn missing(command: &str, directory: &Path) -> CommandError {
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
