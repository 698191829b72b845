//! The directories that rbz keeps outside the workspace.

use std::path::{Path, PathBuf};

use rbz_engine::digest::Digest;

use crate::arguments::StartupOptions;
use crate::command_error::CommandError;
use crate::environment::Environment;

/// Where a workspace's outputs and state are, and what all workspaces share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// What all workspaces of the user share: `~/.cache/rbz`.
    pub output_user_root: PathBuf,
    /// What belongs to this workspace alone.
    pub output_base: PathBuf,
}

/// The name of the directory of outputs, in the execution root and as a symlink in the workspace.
pub const OUTPUT_DIRECTORY: &str = "rbz-out";

/// The name of the directory of execution roots in an output base.
pub const EXECUTION_ROOTS: &str = "execroot";

/// The name of the lock in an output base, and in a disk cache.
const LOCK: &str = "lock";

/// The name of the file that says of which workspace an output base is.
pub const WORKSPACE_NOTE: &str = "workspace";

impl Directories {
    /// The directories of the workspace at `workspace`.
    pub fn new(
        startup: &StartupOptions,
        environment: &Environment,
        workspace: &Path,
    ) -> Result<Directories, CommandError> {
        let here = environment.here()?;
        let output_user_root = match &startup.output_user_root {
            Some(directory) => expand_home(directory, environment, here),
            None => {
                let Some(cache) = environment.cache_home() else {
                    return Err(CommandError::environment(
                        "there is no place for outputs, since the user has no home directory",
                    )
                    .hint("`rbz --output_user_root=DIR …` names one"));
                };
                cache.join("rbz")
            }
        };
        let output_base = match &startup.output_base {
            Some(directory) => expand_home(directory, environment, here),
            None => {
                let digest = Digest::of(workspace.as_os_str().as_encoded_bytes());
                output_user_root.join(&digest.to_hex()[..16])
            }
        };
        if output_user_root == workspace || workspace.starts_with(&output_base) {
            let directory =
                if output_user_root == workspace { output_user_root } else { output_base };
            return Err(CommandError::command_line(format!(
                "`{}` holds the workspace and cannot hold rbz's own state",
                directory.display()
            )));
        }
        Ok(Directories { output_user_root, output_base })
    }

    /// The disk cache, unless an option names another.
    pub fn disk_cache(&self) -> PathBuf {
        self.output_user_root.join("cache")
    }

    /// Where the shipped repositories are.
    pub fn install(&self) -> PathBuf {
        self.output_user_root.join("install")
    }

    /// The file that keeps two rbz apart.
    pub fn lock(&self) -> PathBuf {
        self.output_base.join(LOCK)
    }

    /// The file that says of which workspace the output base is.
    pub fn workspace_note(&self) -> PathBuf {
        self.output_base.join(WORKSPACE_NOTE)
    }

    /// The execution root of the workspace called `name`.
    pub fn execution_root(&self, name: &str) -> PathBuf {
        self.output_base.join(EXECUTION_ROOTS).join(name)
    }
}

/// Refuses a directory in which somebody else has something: what is there would be mixed with
/// rbz's own files, and removed with them. One of rbz has a lock.
pub fn check_ours(directory: &Path) -> Result<(), CommandError> {
    let mut entries = std::fs::read_dir(directory).into_iter().flatten();
    if entries.next().is_none() || directory.join(LOCK).exists() {
        return Ok(());
    }
    let message = format!("`{}` has files that are not of rbz", directory.display());
    Err(CommandError::command_line(message).hint("name a directory for rbz alone"))
}

/// `path` with `~/` for the home directory, relative to `here`.
pub fn expand_home(path: &Path, environment: &Environment, here: &Path) -> PathBuf {
    match (path.strip_prefix("~"), &environment.home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => here.join(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(home: Option<&str>) -> Environment {
        Environment {
            arguments: vec![],
            current_directory: Some("/w/sub".into()),
            home: home.map(PathBuf::from),
            variables: Default::default(),
            stdout_is_terminal: false,
            stderr_is_terminal: false,
        }
    }

    #[test]
    fn each_workspace_has_a_base_of_its_own_below_the_home_directory() {
        let environment = environment(Some("/home/ann"));
        let of = |workspace: &str| {
            Directories::new(&StartupOptions::default(), &environment, Path::new(workspace))
                .expect("directories")
        };
        assert_eq!(of("/w").output_user_root, Path::new("/home/ann/.cache/rbz"));
        assert_eq!(of("/w").output_base.parent(), Some(Path::new("/home/ann/.cache/rbz")));
        assert_ne!(of("/w").output_base, of("/v").output_base);
    }

    #[test]
    fn what_somebody_else_has_is_not_taken() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        check_ours(&directory.path().join("new")).expect("it can be made");
        check_ours(directory.path()).expect("it is empty");
        std::fs::write(directory.path().join("letter"), "").expect("a file");
        assert_eq!(check_ours(directory.path()).expect_err("taken").kind.exit_status(), 2);
        std::fs::write(directory.path().join(LOCK), "").expect("a file");
        check_ours(directory.path()).expect("it is of rbz");
    }

    #[test]
    fn without_a_home_directory_an_option_must_name_the_place() {
        let environment = environment(None);
        let mut startup = StartupOptions::default();
        let error = Directories::new(&startup, &environment, Path::new("/w")).expect_err("no home");
        assert_eq!(error.kind.exit_status(), 36);
        startup.output_user_root = Some("out".into());
        let directories = Directories::new(&startup, &environment, Path::new("/w"));
        let directories = directories.expect("directories");
        assert_eq!(directories.output_user_root, Path::new("/w/sub/out"));
    }
}
