//! The connection from rbz to its init: starts one, and asks it to run processes.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::init::{INIT_ARGUMENT, INIT_SOCKET};
use super::message::{self, Hello, Report, Request, Role, Start};
use super::scratch::Session;
use super::ways::Ways;
use crate::strategy::{StrategyError, Streams};

pub use super::message::Mode;

/// Which way of confining processes a machine allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SandboxKind {
    /// User namespaces.
    UserNamespaces,
    /// Namespaces without user namespaces, as root.
    RootNamespaces,
    /// No namespaces, but rules for what a process may open.
    Landlock,
    /// None.
    Unavailable {
        /// What is forbidden, and what can be done.
        reason: String,
    },
}

/// Finds out what the machine allows, by trying it in a scratch directory below `directory`.
pub fn probe(directory: &Path) -> SandboxKind {
    let session = match Session::open(directory) {
        Ok(session) => session,
        Err(error) => return SandboxKind::Unavailable { reason: error.to_string() },
    };
    match Connection::best(&session, &Ways::default(), false) {
        Ok((connection, _)) => connection.kind(),
        Err(error) => SandboxKind::Unavailable { reason: error.to_string() },
    }
}

/// A running init. Dropping it ends the init and everything that it started.
pub struct Connection {
    /// `None` only while it is being dropped.
    socket: Option<OwnedFd>,
    process: Child,
    mode: Mode,
    overlay: bool,
}

/// A process that runs: what its pipes yield, and the socket on which its end is reported.
pub struct Running {
    /// Reports come from it; shutting it kills the process.
    pub control: OwnedFd,
    /// Where what it writes comes out.
    pub ours: ReadingEnds,
}

impl Connection {
    /// Starts an init that confines, in the best of these ways that the machine allows; for
    /// processes at our terminal, if these are wanted. If it is not the best way of all, says too
    /// what a user should know of it.
    pub fn best(
        session: &Session,
        ways: &Ways,
        terminal: bool,
    ) -> Result<(Connection, Option<String>), StrategyError> {
        let result = Self::try_all(session, ways, terminal);
        session.remove_trial();
        result
    }

    fn try_all(
        session: &Session,
        ways: &Ways,
        terminal: bool,
    ) -> Result<(Connection, Option<String>), StrategyError> {
        let mut errors: Vec<StrategyError> = Vec::new();
        for mode in ways.modes() {
            match Self::start(mode, session.base(), terminal) {
                Ok(connection) => {
                    let notice = errors.first().filter(|_| mode == Mode::Landlock).map(weaker);
                    return Ok((connection, notice));
                }
                Err(error) => errors.push(error),
            }
        }
        Err(forbidden(errors))
    }

    /// Starts an init that confines in the way of `mode`; see [`Connection::best`].
    pub fn start(mode: Mode, base: &Path, terminal: bool) -> Result<Connection, StrategyError> {
        let failed = |error: io::Error| StrategyError {
            what: "start the sandbox's own process".into(),
            reason: error.to_string(),
        };
        let (socket, theirs) = message::socket_pair().map_err(failed)?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(INIT_ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let fd = theirs.as_raw_fd();
        // SAFETY: between fork and exec only system calls that are safe there are made, and no
        // memory is allocated.
        unsafe {
            command.pre_exec(move || {
                let done = if fd == INIT_SOCKET {
                    libc::fcntl(fd, libc::F_SETFD, 0)
                } else {
                    libc::dup2(fd, INIT_SOCKET)
                };
                if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
            });
        }
        let process = command.spawn().map_err(failed)?;
        drop(theirs);
        let mut connection = Connection { socket: Some(socket), process, mode, overlay: false };
        let socket = connection.socket()?.as_fd();
        message::send(socket, &Hello { mode, base: base.to_owned(), terminal }, &[])
            .map_err(failed)?;
        match message::receive::<Report>(socket).map_err(failed)? {
            Some((Report::Ready { overlay }, _)) => {
                connection.overlay = overlay;
                Ok(connection)
            }
            Some((Report::Failed { what, errno }, _)) => Err(system_error(what, errno)),
            _ => Err(StrategyError {
                what: "start the sandbox's own process".into(),
                reason: "it ended at once".into(),
            }),
        }
    }

    /// Which way it confines.
    pub fn kind(&self) -> SandboxKind {
        match self.mode {
            Mode::UserNamespaces => SandboxKind::UserNamespaces,
            Mode::RootNamespaces => SandboxKind::RootNamespaces,
            Mode::Landlock => SandboxKind::Landlock,
            Mode::Unconfined => SandboxKind::Unavailable { reason: "not asked for".into() },
        }
    }

    /// How it confines.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the execution root is an overlay.
    pub fn overlay(&self) -> bool {
        self.overlay
    }

    /// Whether the init is there. Once it has been killed everything that it started is gone too.
    pub fn is_alive(&self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let mut polled = [PollFd::new(socket.as_fd(), PollFlags::empty())];
        // That the other end is gone is told whatever is asked for.
        matches!(poll(&mut polled, PollTimeout::ZERO), Ok(0))
    }

    /// Starts a process with these `streams`.
    pub fn run(&self, request: &Request, streams: Streams) -> Result<Running, StrategyError> {
        let started = match streams {
            Streams::Own => self.run_in_terminal(request),
            _ => pipes(streams).and_then(|(ours, theirs)| {
                let fds = [&theirs.stdout, &theirs.stderr];
                Ok(Running { control: self.start_in(Role::Process, request, &fds)?, ours })
            }),
        };
        started.map_err(|error| StrategyError {
            what: "start a process".into(),
            reason: error.to_string(),
        })
    }

    fn run_in_terminal(&self, request: &Request) -> io::Result<Running> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        let control = self.start_in(Role::InTerminal, request, &[&stdin, &stdout, &stderr])?;
        Ok(Running { control, ours: ReadingEnds { stdout: None, stderr: None } })
    }

    /// Starts the first stem of a program, which writes to `output` and has `socket`. Reports come
    /// from the result, until it is a stem.
    pub fn start_stem(
        &self,
        request: &Request,
        output: &OwnedFd,
        socket: &OwnedFd,
    ) -> io::Result<OwnedFd> {
        self.start_in(Role::Stem, request, &[output, socket])
    }

    /// Makes the namespaces of a process that a stem forks in this `role`. With them comes where
    /// the end of the process is reported.
    pub fn namespaces(
        &self,
        role: Role,
        request: &Request,
    ) -> Result<(OwnedFd, Vec<OwnedFd>), StrategyError> {
        let failed = |error: io::Error| StrategyError {
            what: "make the namespaces of a process".into(),
            reason: error.to_string(),
        };
        let control = self.start_in(role, request, &[]).map_err(failed)?;
        match message::receive::<Report>(control.as_fd()).map_err(failed)? {
            Some((Report::Entered, namespaces)) => Ok((control, namespaces)),
            Some((Report::Failed { what, errno }, _)) => Err(system_error(what, errno)),
            _ => Err(failed(io::Error::other("the sandbox's own process was killed"))),
        }
    }

    fn start_in(&self, role: Role, request: &Request, fds: &[&OwnedFd]) -> io::Result<OwnedFd> {
        let (control, their_control) = message::socket_pair()?;
        let packed = message::pack(request)?;
        let network = request.confinement.shares_network();
        let all: Vec<_> =
            [&packed, &their_control].iter().chain(fds).map(|fd| fd.as_raw_fd()).collect();
        let socket = self.socket().map_err(io::Error::other)?;
        message::send(socket.as_fd(), &Start { network, role }, &all)?;
        Ok(control)
    }

    fn socket(&self) -> Result<&OwnedFd, StrategyError> {
        self.socket.as_ref().ok_or_else(|| StrategyError {
            what: "run a process".into(),
            reason: "the sandbox has been closed".into(),
        })
    }
}

/// Our ends of the pipes of a process, as far as it has some.
pub struct ReadingEnds {
    /// Of stdout, and of stderr if both go through one pipe.
    pub stdout: Option<OwnedFd>,
    /// Of stderr.
    pub stderr: Option<OwnedFd>,
}

/// Its own ends.
pub struct WritingEnds {
    /// Its stdout.
    pub stdout: OwnedFd,
    /// Its stderr.
    pub stderr: OwnedFd,
}

/// The pipes of a process with these `streams`.
pub fn pipes(streams: Streams) -> io::Result<(ReadingEnds, WritingEnds)> {
    let pipe = || nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(io::Error::from);
    let (stdout, their_stdout) = pipe()?;
    let (stderr, their_stderr) = match streams {
        Streams::Merged => (None, their_stdout.try_clone()?),
        _ => pipe().map(|(ours, theirs)| (Some(ours), theirs))?,
    };
    let ours = ReadingEnds { stdout: Some(stdout), stderr };
    Ok((ours, WritingEnds { stdout: their_stdout, stderr: their_stderr }))
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.socket = None;
        // It ends when its socket does. There is nothing to do about an error here.
        let _ = self.process.wait();
    }
}

/// The error for `what` with the system's text for `errno`.
pub fn system_error(what: String, errno: i32) -> StrategyError {
    StrategyError { what, reason: io::Error::from_raw_os_error(errno).to_string() }
}

/// What a user should know where `error` left only a weaker way.
fn weaker(error: &StrategyError) -> String {
    format!(
        "this machine has no namespaces for a sandbox ({}), so that actions run under Landlock: \
         what they do not declare is refused, but can be seen to be there, and paths of this \
         machine may get into what they make; the results are kept apart from others",
        cause().unwrap_or_else(|| format!("cannot {}: {}", error.what, error.reason))
    )
}

/// The error of a machine that allows no way of confining, with what forbids it.
fn forbidden(errors: Vec<StrategyError>) -> StrategyError {
    let what: Vec<String> = errors.iter().map(|error| error.what.clone()).collect();
    let reasons: Vec<String> = errors.iter().map(|error| error.reason.clone()).collect();
    let what = if what.is_empty() { "there is no way".to_owned() } else { what.join(", or ") };
    let cause =
        cause().unwrap_or_else(|| "a container or a security module may forbid it".to_owned());
    StrategyError {
        what: format!("sandbox actions on this machine: {what}"),
        reason: format!(
            "{} ({cause}); allow it, or run without a sandbox with `--sandbox=none`",
            reasons.join(", ")
        ),
    }
}

/// The setting of the machine that forbids user namespaces, if one does.
fn cause() -> Option<String> {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let settings = [
        ("/proc/sys/user/max_user_namespaces", "0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
    ];
    let set = settings.iter().find(|(path, forbids)| read(path).as_deref() == Some(*forbids));
    set.map(|(path, forbids)| format!("`{path}` is {forbids}"))
}
