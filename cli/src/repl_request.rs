//! Requests of `rbz repl`: what is loaded, and how the Lisp is started, checked and fit for use.

use std::net::TcpListener;
use std::path::PathBuf;

use crate::command_error::CommandError;
use crate::directories::expand_home;
use crate::environment::Environment;
use crate::repl_arguments::ReplArguments;

/// The port at which editors connect if nobody says another.
const USUAL_PORT: u16 = 4005;

/// What a read-eval-print loop is to be.
#[derive(Clone, Debug)]
pub struct ReplRequest {
    /// Target patterns, as the user wrote them.
    pub targets: Vec<String>,
    /// Arguments of the Lisp.
    pub arguments: Vec<String>,
    /// What editors connect to, if they shall.
    pub server: Option<Server>,
    /// Whether the command is shown and not run.
    pub print_command: bool,
    /// Where to write what the Lisp would load, if that is all.
    pub prepare: Option<PathBuf>,
}

/// The kinds of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// SLIME's.
    Swank,
    /// SLY's.
    Slynk,
}

/// What editors connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Which one.
    pub kind: ServerKind,
    /// The port that the user wants; 0: any; `None`: the usual one, or any.
    pub port: Option<u16>,
    /// The target that it is, if it is one.
    pub label: Option<String>,
}

impl ReplRequest {
    /// Checks the arguments of `rbz repl`.
    pub fn new(
        arguments: &ReplArguments,
        environment: &Environment,
    ) -> Result<ReplRequest, CommandError> {
        let options = &arguments.repl;
        let server = match (&options.swank, &options.slynk) {
            (Some(_), Some(_)) => {
                return Err(CommandError::command_line(
                    "`--swank` and `--slynk` are both given: an editor speaks with one of them",
                ));
            }
            (Some(text), None) => Server::new(ServerKind::Swank, text)?,
            (None, Some(text)) => Server::new(ServerKind::Slynk, text)?,
            (None, None) => None,
        };
        let mut targets = arguments.build.residue.clone();
        let lisp = targets.split_off(targets.len().saturating_sub(words_after_dashes(environment)));
        let here = environment.here()?;
        Ok(ReplRequest {
            targets,
            arguments: lisp,
            server,
            print_command: options.print_command,
            prepare: options.prepare.as_ref().map(|path| expand_home(path, environment, here)),
        })
    }
}

/// How many words follow the first `--`.
fn words_after_dashes(environment: &Environment) -> usize {
    let words = &environment.arguments;
    words.iter().position(|word| word == "--").map_or(0, |at| words.len() - at - 1)
}

impl ServerKind {
    /// The name of its option, and in lower case that of its package.
    pub fn name(self) -> &'static str {
        match self {
            ServerKind::Swank => "swank",
            ServerKind::Slynk => "slynk",
        }
    }

    /// How the directory begins that an editor's package manager puts it into, and where in it is the
    /// file that loads it.
    fn installed_as(self) -> (&'static str, &'static str) {
        match self {
            ServerKind::Swank => ("slime", "swank-loader.lisp"),
            ServerKind::Slynk => ("sly", "slynk/slynk-loader.lisp"),
        }
    }

    /// The file that loads it: that of the user's editor, else that of the system.
    pub fn loader(self, environment: &Environment) -> Result<PathBuf, CommandError> {
        let home = environment.home.clone().unwrap_or_default();
        let of_user = [
            ".emacs.d/elpa",
            ".config/emacs/elpa",
            ".emacs.d/straight/repos",
            ".config/emacs/straight/repos",
            "quicklisp/dists/quicklisp/software",
        ];
        let of_system = [
            "/usr/share/common-lisp/source",
            "/usr/share/emacs/site-lisp/elpa-src",
            "/usr/share/emacs/site-lisp",
        ];
        let directories = of_user.map(|path| home.join(path)).into_iter();
        let mut directories = directories.chain(of_system.map(PathBuf::from));
        let (prefix, file) = self.installed_as();
        let found = directories.find_map(|directory| {
            let entries = std::fs::read_dir(directory).ok()?.flatten();
            let of_it = entries.filter(|entry| {
                let name = entry.file_name();
                let rest = name.to_str().and_then(|name| name.strip_prefix(prefix));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            });
            // The newest version is the last by name.
            of_it.map(|entry| entry.path().join(file)).filter(|path| path.is_file()).max()
        });
        found.ok_or_else(|| {
            let name = self.name();
            let error = CommandError::environment(format!("{name} is not installed"));
            let error = match self {
                ServerKind::Swank => {
                    error.hint("`apt install cl-swank`, or install SLIME in Emacs")
                }
                ServerKind::Slynk => error.hint("install SLY in Emacs: `M-x package-install sly`"),
            };
            error.hint(format!("`--{name}=//its:label` takes it from a target"))
        })
    }
}

impl Server {
    /// The value of its option; `None`: it is turned off.
    fn new(kind: ServerKind, text: &str) -> Result<Option<Server>, CommandError> {
        let (port, label) = match text {
            "" | "true" => (None, None),
            "false" => return Ok(None),
            label if label.starts_with(['/', '@', ':']) => (None, Some(label.to_owned())),
            port => match port.parse() {
                Ok(port) => (Some(port), None),
                Err(_) => {
                    let name = kind.name();
                    return Err(CommandError::command_line(format!(
                        "`--{name}={port}`: it must be a port, from 0 to 65535, or a label"
                    )));
                }
            },
        };
        Ok(Some(Server { kind, port, label }))
    }

    /// The port to listen on; it was free just now.
    pub fn free_port(&self) -> Result<u16, CommandError> {
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        match self.port {
            Some(port) if port != 0 && !is_free(port) => {
                let error =
                    CommandError::environment(format!("port {port} is in use by another program"));
                Err(error.hint(format!("`--{}=0` takes any that is free", self.kind.name())))
            }
            Some(port) => Ok(port),
            None if is_free(USUAL_PORT) => Ok(USUAL_PORT),
            None => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_port_or_a_label() {
        let of = |text| {
            let server = Server::new(ServerKind::Swank, text)?;
            Ok::<_, CommandError>(server.map(|server| (server.port, server.label)))
        };
        assert_eq!(of("true"), Ok(Some((None, None))));
        assert_eq!(of("4006"), Ok(Some((Some(4006), None))));
        assert_eq!(of("//a:b"), Ok(Some((None, Some("//a:b".into())))));
        assert_eq!(of("false"), Ok(None));
        for wrong in ["70000", "port", "-1"] {
            let error = of(wrong).expect_err(wrong);
            assert_eq!(error.kind.exit_status(), 2);
        }
    }
}
