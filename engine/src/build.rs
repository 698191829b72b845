//! The engine as the command line uses it: opened for one command, then asked to build.

use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::digest::Fingerprint;
use crate::event::{EventSink, TestSummary};
use crate::failure::ActionFailure;
use crate::file_state::{Dependency, FileState};
use crate::files::FileError;
use crate::label::Label;
use crate::plan::Plan;
use crate::saved_plan::SavedPlans;
use crate::strategy::{Cancel, Strategy};

/// Where the engine works, and how.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The directory of the main workspace.
    pub workspace_root: PathBuf,
    /// The directory for everything that belongs to this workspace. The caller holds its lock.
    pub output_base: PathBuf,
    /// The disk cache, shared by all workspaces; `None`: one below the output base.
    pub disk_cache: Option<PathBuf>,
    /// How many actions may run at a time, at least 1.
    pub jobs: usize,
    /// Whether to go on after a failure with what does not depend on it.
    pub keep_going: bool,
    /// Whether the directories of actions are kept.
    pub sandbox_debug: bool,
    /// Whether [`crate::event::Event::ActionStarted`] has command lines.
    pub subcommands: bool,
    /// Runs ready actions in a random order made from this seed.
    pub shuffle: Option<u64>,
    /// Which results of tests are used again.
    pub test_caching: TestCaching,
}

/// Which results of tests are used again: `--cache_test_results`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TestCaching {
    /// Those that passed, unless the test is tagged `external` or is to be run several times.
    #[default]
    Auto,
    /// All but those tagged `external`.
    Yes,
    /// None.
    No,
}

/// What is to be made of each requested target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goals {
    /// Its files (`DefaultInfo.files`), and its program with the runfiles tree on disk.
    pub default_files: bool,
    /// These output groups too.
    pub output_groups: Vec<Arc<str>>,
    /// Whether its test runs are run; see [`crate::test_plan::add_test_runs`].
    pub tests: bool,
}

impl Goals {
    /// Those of `rbz build` and `rbz run`.
    pub fn build() -> Goals {
        Goals { default_files: true, output_groups: Vec::new(), tests: false }
    }

    /// Those of `rbz test`.
    pub fn test() -> Goals {
        Goals { default_files: true, output_groups: Vec::new(), tests: true }
    }
}

/// What a build came to.
#[derive(Clone, Debug)]
pub struct BuildOutcome {
    /// One for each requested target, in the plan's order.
    pub targets: Vec<TargetOutcome>,
    /// One for each requested test, in the plan's order, if tests were among the goals.
    pub tests: Vec<TestSummary>,
    /// How many actions got their outputs in which way.
    pub counts: Counts,
    /// What failed, in the order in which it did. Tests that failed are not among them.
    pub failures: Vec<Arc<ActionFailure>>,
    /// Whether the build was cancelled before it was done.
    pub interrupted: bool,
}

impl BuildOutcome {
    /// True when every target was built. Says nothing of the results of tests.
    pub fn is_built(&self) -> bool {
        self.targets.iter().all(|target| target.status == TargetStatus::Built)
    }
}

/// What became of a requested target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetOutcome {
    /// Its label.
    pub label: Label,
    /// Name of its configuration.
    pub configuration: Arc<str>,
    /// Whether it was built.
    pub status: TargetStatus,
}

/// Whether a target was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetStatus {
    /// All its goals are there.
    Built,
    /// Something that it needs failed.
    Failed,
    /// The build ended before it was its turn.
    Skipped,
}

/// How many actions got their outputs in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Nothing had to be done.
    pub up_to_date: usize,
    /// From the disk cache.
    pub cache_hits: usize,
    /// By a process.
    pub processes: usize,
    /// By rbz itself.
    pub internal: usize,
    /// Not at all.
    pub failed: usize,
}

/// The engine, opened for one command.
pub struct Engine {
    options: EngineOptions,
    files: Arc<FileState>,
    plans: SavedPlans,
    sandboxed: Arc<dyn Strategy>,
    local: Arc<dyn Strategy>,
}

impl From<FileError> for Diagnostic {
    fn from(error: FileError) -> Self {
        Diagnostic::machine(error.to_string())
    }
}

impl Engine {
    /// Opens the output base and the disk cache. Actions run by `sandboxed`, those that ask for it
    /// (`local`, `no-sandbox`) by `local`.
    pub fn open(
        options: EngineOptions,
        sandboxed: Arc<dyn Strategy>,
        local: Arc<dyn Strategy>,
    ) -> Result<Engine, Diagnostic> {
        let log = options.output_base.join("log");
        Ok(Engine {
            files: Arc::new(FileState::open(&log.join("files"))?),
            plans: SavedPlans::new(&options.output_base.join("plans")),
            options,
            sandboxed,
            local,
        })
    }

    /// The state of files as this command sees it.
    pub fn file_state(&self) -> &Arc<FileState> {
        &self.files
    }

    /// The directory that exec paths of outputs are relative to, outside the sandbox:
    /// `<output base>/execroot/<workspace>`.
    pub fn exec_root(&self, plan: &Plan) -> PathBuf {
        self.options.output_base.join("execroot").join(&*plan.workspace)
    }

    /// Saves the plan of a request with everything that it relied on. To be called before test
    /// runs are added to the plan.
    pub fn save_plan(
        &self,
        request: &Fingerprint,
        plan: &Plan,
        dependencies: &[Dependency],
    ) -> Result<(), Diagnostic> {
        Ok(self.plans.save(request, plan, dependencies)?)
    }

    /// The plan of a request that was made before, if all that it relied on still holds.
    /// `environment` looks up a variable.
    pub fn load_plan(
        &self,
        request: &Fingerprint,
        environment: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Option<Plan> {
        self.plans.load(request, &self.files, environment)
    }

    /// Makes what `goals` says of each requested target of `plan`. Failed actions are no error,
    /// but part of the outcome.
    pub fn build(
        &self,
        plan: &Plan,
        goals: &Goals,
        events: &dyn EventSink,
        cancel: &Cancel,
    ) -> Result<BuildOutcome, Diagnostic> {
        let _ = (plan, goals, events, cancel, &self.sandboxed, &self.local);
        Err(Diagnostic::internal("this build of rbz has no executor"))
    }
}
