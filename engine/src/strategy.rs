//! Strategies: the ways in which the process of an action is run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::command_line::quote;

/// A process ready to run: nothing is symbolic any more, every input lies in the store.
#[derive(Clone, Debug)]
pub struct PreparedSpawn {
    /// The command line. The program is relative to the execution root, or absolute.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Everything that it may see, sorted by path, parents before children.
    pub inputs: Arc<[StagedInput]>,
    /// What it must write. The directories that hold them exist when it starts.
    pub outputs: Vec<DeclaredOutput>,
    /// Its working directory, relative to the execution root; empty: the root itself.
    pub working_directory: String,
    /// Whether it sees the machine's network. Loopback is there in any case.
    pub network: bool,
    /// Whether it runs outside the sandbox (`local`, `no-sandbox` requirement).
    pub unconfined: bool,
    /// When it is killed; `None`: never.
    pub timeout: Option<Duration>,
    /// How long it may go on when it was asked to end, since it took too long; zero: it is not asked.
    pub grace: Duration,
    /// It is killed when its processes have more bytes of memory than this.
    pub memory: u64,
    /// Whether its directory is kept if it fails (`--sandbox_debug`).
    pub keep: bool,
    /// Where what it writes to stdout is sent while it runs, too; for tests whose output is shown live.
    pub live: Option<Sender<Vec<u8>>>,
    /// Where what it writes goes.
    pub streams: Streams,
    /// Set if it can be forked from a stem.
    pub resident: Option<Arc<PreparedResident>>,
}

impl PreparedSpawn {
    /// Its environment and command line in words that a shell takes.
    pub fn shown(&self) -> Vec<String> {
        let variables = self.env.iter().map(|(name, value)| format!("{name}={}", quote(value)));
        ["env".to_owned(), "-".to_owned()]
            .into_iter()
            .chain(variables)
            .chain(self.argv.iter().map(|argument| quote(argument)))
            .collect()
    }
}

/// What the stdin, stdout and stderr of a process are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Nothing to read, and a pipe for each of the others.
    Apart,
    /// Nothing to read, and one pipe for both of the others, so that what is written keeps its
    /// order; all of it is then in [`Completed::stdout`]. For tests.
    Merged,
    /// Those of this process, whose terminal it belongs to. The strategy must be made for that.
    Own,
}

/// A [`crate::action::Resident`] ready to be used.
#[derive(Debug)]
pub struct PreparedResident {
    /// The command line of a stem.
    pub argv: Vec<String>,
    /// The steps in their order.
    pub steps: Vec<String>,
    /// What a stem needs before its first step, sorted by path.
    pub tools: Arc<[StagedInput]>,
    /// The paths of the inputs that no step may see, sorted.
    pub own: Vec<Arc<str>>,
}

/// The execution root as processes see it. A strategy that runs them elsewhere puts its own
/// directory in the place of this prefix wherever it begins a value of [`PreparedSpawn::env`].
pub const EXEC_ROOT: &str = "/rbz/execroot";

/// One thing that a process sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedInput {
    /// Relative to the execution root; absolute for parts of the machine.
    pub path: Arc<str>,
    /// What is there.
    pub content: StagedContent,
}

/// What is at the path of a [`StagedInput`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StagedContent {
    /// A file with the bytes of this file of the store, which is never changed.
    Blob {
        /// Path of the file in the store.
        store_path: Arc<Path>,
        /// Whether it can be run.
        executable: bool,
    },
    /// A symbolic link with this text.
    Symlink(Arc<str>),
    /// An empty directory, or one whose children are inputs too.
    Directory,
}

/// One thing that a process must write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredOutput {
    /// Relative to the execution root.
    pub path: Arc<str>,
    /// True of a tree: the directory itself exists when the process starts.
    pub is_tree: bool,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Completed {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub wall: Duration,
    /// CPU time of it and all processes below it.
    pub cpu: Duration,
    /// Greatest resident size in bytes.
    pub max_rss: u64,
    /// The execution root as the process saw it: [`EXEC_ROOT`], or a directory of the machine.
    pub exec_root: PathBuf,
    /// A directory in which the outputs lie at their exec paths. They may be moved out of it; it
    /// is removed, or used again, when `scratch` is dropped.
    pub outputs_root: PathBuf,
    /// Paths that it reported as missing, through the file that `RBZ_MISSING_INPUTS` names.
    pub missed: Vec<String>,
    /// Keeps `outputs_root` alive.
    pub scratch: Box<dyn std::any::Any + Send>,
    /// Set when the directory is kept: where to look. A [`crate::sandbox::KeptSandbox`] runs it again.
    pub kept: Option<PathBuf>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Status(i32),
    /// Killed by this signal.
    Signal(i32),
    /// Killed since it took too long.
    TimedOut,
    /// Killed since it took more memory than [`PreparedSpawn::memory`].
    OverMemory,
    /// Killed since the build was cancelled.
    Cancelled,
}

/// A fault of the machine that kept a process from running.
#[derive(Debug, Error)]
#[error("cannot {what}: {reason}")]
pub struct StrategyError {
    /// What was attempted, such as "mount the input tree at `/x`".
    pub what: String,
    /// The system's answer.
    pub reason: String,
}

/// A way to run processes. Called from many threads at once.
pub trait Strategy: Send + Sync {
    /// Runs `spawn` to its end, or until `cancel` is set.
    fn run(&self, spawn: &PreparedSpawn, cancel: &Cancel) -> Result<Completed, StrategyError>;

    /// How it keeps processes from what they do not declare. Always the same.
    fn isolation(&self) -> Isolation;

    /// Whether it can fork processes from stems ([`PreparedSpawn::resident`]). Asked only when a
    /// process is about to run.
    fn has_stems(&self) -> bool {
        false
    }

    /// Lets all stems go: no action of the build needs one any more.
    fn release_stems(&self) {}

    /// What the user should know of it, told before the first process of a build runs.
    fn notice(&self) -> Option<String> {
        None
    }
}

/// How a process is kept from what it does not declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Isolation {
    /// It does not exist for it. Inputs are at logical paths.
    Namespaces,
    /// It is refused. Inputs are at paths of the machine.
    Landlock,
    /// Not at all. Inputs are at paths of the machine.
    None,
}

impl Isolation {
    /// For progress and profile.
    pub fn name(self) -> &'static str {
        match self {
            Isolation::Namespaces => "sandboxed",
            Isolation::Landlock => "landlock",
            Isolation::None => "local",
        }
    }

    /// What of it may show in outputs, and so is part of every action key: empty where inputs are
    /// at logical paths and the rest does not exist, a short word for each weaker way.
    pub fn key_material(self) -> &'static str {
        match self {
            Isolation::Namespaces => "",
            Isolation::Landlock => "landlock",
            Isolation::None => "local",
        }
    }
}

/// A request to stop, seen by all threads of a build.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks everything to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// True once somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
