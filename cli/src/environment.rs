//! What rbz takes from the process that called it. Nothing else of rbz asks the system for it.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::command_error::CommandError;

/// The variable by which repository rules find this program, whose tools actions run.
const PROGRAM: &str = "RBZ";

/// The surroundings of a call of rbz.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The command line without the program's name.
    pub arguments: Vec<String>,
    /// Where rbz was called; `None` if that directory was removed.
    pub current_directory: Option<PathBuf>,
    /// The user's home directory, if they have one.
    pub home: Option<PathBuf>,
    /// The environment variables whose names and values are UTF-8; `RBZ` is this program.
    pub variables: BTreeMap<String, String>,
    /// Whether results go to a terminal.
    pub stdout_is_terminal: bool,
    /// Whether messages go to a terminal.
    pub stderr_is_terminal: bool,
}

impl Environment {
    /// The surroundings of this process.
    pub fn of_this_process() -> Result<Environment, CommandError> {
        let arguments = std::env::args_os().skip(1).map(|argument| {
            argument.into_string().map_err(|argument| {
                let shown = argument.to_string_lossy().into_owned();
                CommandError::command_line(format!("the argument `{shown}` is not UTF-8"))
            })
        });
        let mut variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let program =
            std::env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok());
        match program {
            Some(program) => variables.insert(PROGRAM.to_owned(), program),
            None => variables.remove(PROGRAM),
        };
        Ok(Environment {
            arguments: arguments.collect::<Result<_, _>>()?,
            current_directory: std::env::current_dir().ok(),
            home: home(&variables),
            variables,
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        })
    }

    /// Where rbz was called, for what makes no sense elsewhere.
    pub fn here(&self) -> Result<&Path, CommandError> {
        self.current_directory.as_deref().ok_or_else(|| {
            CommandError::command_line("the current directory is not there any more")
                .hint("change to one that is, or to this one again if it was made anew")
        })
    }

    /// The directory of the caches of this user's programs.
    pub fn cache_home(&self) -> Option<PathBuf> {
        match self.variables.get("XDG_CACHE_HOME") {
            Some(directory) if directory.starts_with('/') => Some(PathBuf::from(directory)),
            _ => Some(self.home.as_ref()?.join(".cache")),
        }
    }
}

/// What `HOME` says, else what the system's list of users says.
fn home(variables: &BTreeMap<String, String>) -> Option<PathBuf> {
    if let Some(home) = variables.get("HOME").filter(|home| home.starts_with('/')) {
        return Some(PathBuf::from(home));
    }
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok()??;
    Some(user.dir).filter(|home| home.is_dir())
}
