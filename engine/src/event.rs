//! Events: everything that a build tells the outside, as it happens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::{ActionFailure, UndeclaredInput};
use crate::label::Label;
use crate::plan::ActionId;
use crate::reason::Reason;
use crate::spawn_log::LoggedSpawn;

/// Something that happened. Consumers (progress display, logs, profile) see them in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// Packages loaded so far.
    Loaded {
        /// Their number.
        packages: usize,
    },
    /// Targets analysed so far.
    Analyzed {
        /// Number of configured targets whose rule was evaluated or taken from a saved unit.
        targets: usize,
    },
    /// A line printed by `print()` in Starlark, with its place.
    Printed {
        /// `file:line:col`.
        place: String,
        /// The text.
        text: String,
    },
    /// Something the user should know that is no error.
    Warning(String),
    /// Something the user may want to know; nothing is wrong.
    Info(String),
    /// Execution begins.
    Executing {
        /// Number of actions that the request needs.
        actions: usize,
    },
    /// Why an action was not found done; only if [`crate::build::EngineOptions::explain`] asks for
    /// it. Comes before the action begins, or after its outputs were found in the disk cache.
    ActionExplained {
        /// Which.
        action: ActionId,
        /// How it gets its outputs.
        how: How,
        /// Why.
        reason: Arc<Reason>,
    },
    /// An action began to run as a process.
    ActionStarted {
        /// Which.
        action: ActionId,
        /// What to show.
        message: Arc<str>,
        /// How it runs: `sandboxed`, `resident`, `local`.
        strategy: &'static str,
        /// Its environment and command line in a form that a shell takes (`env - A=b program …`);
        /// only if [`crate::build::EngineOptions::subcommands`] asks for it.
        command: Option<Arc<[String]>>,
    },
    /// An action is done and its outputs are there.
    ActionFinished {
        /// Which.
        action: ActionId,
        /// How that came about.
        how: How,
        /// How long its process ran, zero if none did.
        duration: Duration,
        /// What it wrote to stdout and stderr, now or when it ran; empty when up to date.
        output: ActionOutput,
    },
    /// An action failed.
    ActionFailed(Arc<ActionFailure>),
    /// A test wrote something just now; only if [`crate::build::EngineOptions::stream_tests`] asks
    /// for it.
    TestWrote {
        /// Its run.
        action: ActionId,
        /// What it wrote.
        text: Arc<[u8]>,
    },
    /// A test failed that looked for files which are there, but not among its runfiles.
    TestMissed {
        /// The test.
        label: Label,
        /// The files.
        inputs: Vec<UndeclaredInput>,
    },
    /// The directory of a run of a test that did not pass was kept, as `--sandbox_debug` asks for.
    TestKept {
        /// The test.
        label: Label,
        /// Where it lies.
        sandbox: PathBuf,
    },
    /// What a process was given and left; only if [`crate::build::EngineOptions::log_spawns`] asks
    /// for it.
    SpawnLogged(Arc<LoggedSpawn>),
    /// One run of one shard of a test is done.
    TestRan {
        /// Its action.
        action: ActionId,
        /// How it ended.
        status: TestStatus,
        /// Whether the result is an earlier one.
        cached: bool,
        /// How long it took.
        duration: Duration,
    },
    /// All runs of a test are done.
    TestFinished(TestSummary),
}

/// What an action's process wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionOutput {
    /// To stdout.
    pub stdout: Arc<[u8]>,
    /// To stderr.
    pub stderr: Arc<[u8]>,
}

/// How an action got its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nothing had to be done: the last build left the same outputs.
    UpToDate,
    /// They were in the disk cache.
    CacheHit,
    /// A process ran, or rbz wrote them itself.
    Ran,
}

/// The outcome of a test target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestSummary {
    /// The target.
    pub label: Label,
    /// The worst of all runs and shards.
    pub status: TestStatus,
    /// Whether every run was taken from a cache.
    pub cached: bool,
    /// Sum of the durations of the runs.
    pub duration: Duration,
    /// Exec paths of the `test.log` of each run that did not pass; of all when all passed.
    pub logs: Vec<String>,
    /// Exec paths of the `test.xml` of each run that came to an end.
    pub reports: Vec<String>,
    /// Number of runs, and how many of them did not pass.
    pub runs: (u32, u32),
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TestStatus {
    /// Exit status 0.
    Passed,
    /// It failed first and passed when it was tried again.
    Flaky,
    /// Any other exit status, or a signal.
    Failed,
    /// It took too long.
    Timeout,
    /// It could not be built.
    FailedToBuild,
    /// It did not run, since something failed before.
    NoStatus,
}

/// Takes events. Called from many threads; must not block for long.
pub trait EventSink: Send + Sync {
    /// Takes one.
    fn event(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync> EventSink for F {
    fn event(&self, event: Event) {
        self(event)
    }
}
