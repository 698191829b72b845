//! The engine as the command line uses it: opened for one command, then asked to build.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use crate::action::ActionKind;
use crate::dependency::Dependency;
use crate::depset::Depset;
use crate::diagnostic::Diagnostic;
use crate::digest::Fingerprint;
use crate::event::{Event, EventSink, TestSummary};
use crate::executor::{ActionStatus, Context, Executor, TestOutcome};
use crate::failure::ActionFailure;
use crate::file_state::FileState;
use crate::files::{self, FileError};
use crate::garbage::{self, Collected};
use crate::label::Label;
use crate::manifest::BuildNote;
use crate::manifest_log::ManifestLog;
use crate::memory::Memory;
use crate::output_tree::{self, OutputTree, Placed};
use crate::plan::{ActionId, Plan, Program, RequestedTarget};
use crate::saved_plan::SavedPlans;
use crate::seal::{Expected, Seals, Told};
use crate::sources::source_path;
use crate::state_log::StateLog;
use crate::store::Store;
use crate::strategy::{Cancel, Strategy};
use crate::test_report::TestReports;
use crate::workspace_status::WorkspaceStatus;

/// A file whose content is different each time the machine has started.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The directory that exec paths of outputs of a workspace are relative to, outside the sandbox.
pub fn exec_root(output_base: &Path, workspace: &str) -> PathBuf {
    output_base.join("execroot").join(workspace)
}

/// Names the start of the machine.
pub(crate) fn boot_id() -> Arc<str> {
    // Where a machine has no such file what was checked before counts on.
    let boot = files::read(Path::new(BOOT_ID)).unwrap_or_default();
    String::from_utf8_lossy(&boot).trim().into()
}

/// How often a build is begun again after something that it relied on turned out to be lost.
const MAX_ATTEMPTS: usize = 4;

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
    /// How much memory actions may take.
    pub memory: Memory,
    /// Whether to go on after a failure with what does not depend on it.
    pub keep_going: bool,
    /// Whether the directories of actions that fail are kept.
    pub sandbox_debug: bool,
    /// Whether [`crate::event::Event::ActionStarted`] has command lines.
    pub subcommands: bool,
    /// Whether events say why actions are not found done.
    pub explain: bool,
    /// Whether events say what processes were given and left.
    pub log_spawns: bool,
    /// What later explanations call this build.
    pub note: BuildNote,
    /// Which actions are forked from stems, of those that can be.
    pub residency: Residency,
    /// Runs ready actions in a random order made from this seed.
    pub shuffle: Option<u64>,
    /// Which results of tests are used again.
    pub test_caching: TestCaching,
    /// What the status of the workspace is made of.
    pub workspace_status: WorkspaceStatus,
    /// Whether tests run one at a time, and what they write is told as they do.
    pub stream_tests: bool,
}

/// Which actions are forked from stems, of those that can be ([`crate::action::Resident`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    /// What holds for mnemonics that are not in `by_mnemonic`.
    pub default: bool,
    /// What holds for these mnemonics.
    pub by_mnemonic: BTreeMap<String, bool>,
}

impl Residency {
    /// Whether actions of this kind are.
    pub fn of(&self, mnemonic: &str) -> bool {
        self.by_mnemonic.get(mnemonic).copied().unwrap_or(self.default)
    }
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
    /// The actions whose outputs are there.
    pub done: Vec<ActionId>,
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
    seals: Seals,
    store: Store,
    states: StateLog,
    manifests: ManifestLog,
    boot: Arc<str>,
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
        let cache = options.disk_cache.clone();
        let cache = cache.unwrap_or_else(|| options.output_base.join("cache"));
        let boot = boot_id();
        Ok(Engine {
            files: Arc::new(FileState::open(&log.join("files"))?),
            seals: Seals::new(&options.output_base, boot.clone()),
            plans: SavedPlans::new(&options.output_base.join("plans")),
            store: Store::open(&cache, &log.join("blobs"), &boot)?,
            states: StateLog::open(&log.join("actions"))?,
            manifests: ManifestLog::new(&log.join("manifests")),
            boot,
            options,
            sandboxed,
            local,
        })
    }

    /// The state of files as this command sees it.
    pub fn file_state(&self) -> &Arc<FileState> {
        &self.files
    }

    /// What actions were made of.
    pub(crate) fn manifests(&self) -> &ManifestLog {
        &self.manifests
    }

    /// The directory that exec paths of outputs are relative to, outside the sandbox.
    pub fn exec_root(&self, plan: &Plan) -> PathBuf {
        exec_root(&self.options.output_base, &plan.workspace)
    }

    /// Removes what was not used for longest from the disk cache until it is no larger than
    /// `limit` bytes. Does nothing while another process uses the cache, or soon after the last
    /// time.
    pub fn collect_garbage(&self, limit: u64) -> Result<Option<Collected>, Diagnostic> {
        Ok(garbage::collect(&self.store, limit)?)
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

    /// The plan of a request that was made before and what it relied on, if all of that still
    /// holds. `environment` looks up a variable.
    pub fn load_plan(
        &self,
        request: &Fingerprint,
        environment: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Option<(Plan, Vec<Dependency>)> {
        self.plans.load(request, &self.files, environment)
    }

    /// Seals a request whose build had nothing to do, so that the next one finds it so at once
    /// ([`Seals::intact`]). `dependencies` are what the plan relied on, `listed` says whether the
    /// targets are told of. Does nothing for a build that did something.
    pub fn seal(
        &self,
        request: &Fingerprint,
        plan: &Plan,
        outcome: &BuildOutcome,
        dependencies: &[Dependency],
        listed: bool,
    ) -> Result<(), Diagnostic> {
        let nothing_done = Counts { up_to_date: outcome.counts.up_to_date, ..Counts::default() };
        let is_done = outcome.is_built()
            && !outcome.interrupted
            && outcome.counts == nothing_done
            && outcome.tests.iter().all(|test| test.cached);
        let (true, Some(first)) = (is_done, plan.requested.first()) else { return Ok(()) };
        let Some(mut expected) = self.files.looked_at() else { return Ok(()) };
        let exec_root = self.exec_root(plan);
        for id in &outcome.done {
            let action = plan.action(*id);
            if matches!(action.kind, ActionKind::RunfilesTree(_)) {
                continue;
            }
            let Some(state) = self.states.get(action.primary()) else { return Ok(()) };
            for output in &state.outputs {
                for (path, placed) in output_tree::placed_paths(&exec_root, output) {
                    expected.push((path, Expected::Output(placed)));
                }
            }
        }
        for program in plan.requested.iter().filter_map(|target| target.executable.as_ref()) {
            let tree = exec_root.join(program.runfiles_tree.exec_path());
            for (path, _) in program.runfiles.entries(&plan.workspace) {
                let path = tree.join(path);
                if let Some((kind, stamp)) = files::stat(&path, false)? {
                    expected.push((path, Expected::Output(Placed::new(kind, &stamp))));
                }
            }
        }
        let told = Told {
            workspace: plan.workspace.clone(),
            configuration: first.configuration.clone(),
            actions: outcome.counts.up_to_date,
            requested: if listed { plan.requested.clone() } else { Vec::new() },
            tests: outcome.tests.clone(),
        };
        Ok(self.seals.save(request, &expected, dependencies, &told)?)
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
        let exec_root = self.exec_root(plan);
        let tree = OutputTree::open(&exec_root, &self.options.output_base.join("tmp"))?;
        let context = Context {
            plan,
            options: &self.options,
            files: &self.files,
            store: &self.store,
            states: &self.states,
            manifests: &self.manifests,
            tree: &tree,
            sandboxed: &*self.sandboxed,
            local: &*self.local,
            events,
            cancel,
            boot: &self.boot,
            noticed: &Once::new(),
        };
        let wanted: Vec<TargetGoals> =
            plan.requested.iter().map(|target| TargetGoals::new(target, goals)).collect();
        let mut depsets: Vec<Depset> = wanted.iter().flat_map(|w| w.files.clone()).collect();
        let reports = plan.reports.iter().map(|id| plan.action(*id).outputs.clone());
        depsets.extend(reports.map(Depset::of_files));
        let tests: Vec<ActionId> = wanted.iter().flat_map(|w| w.tests.clone()).collect();
        let reports = TestReports::new(plan, &wanted);
        let finished = |id: ActionId, executor: &Executor<'_>| {
            if let Some(ActionStatus::Done(done)) = executor.status(id)
                && let Some(TestOutcome { state, cached, duration }) = done.test
            {
                events.event(Event::TestRan {
                    action: id,
                    status: state.status(),
                    cached,
                    duration,
                });
            }
            if let Some(summary) = reports.finished(id, executor) {
                events.event(Event::TestFinished(summary));
            }
        };
        let mut attempt = 1;
        let executor = loop {
            let executor = Executor::new(context, &depsets, &tests, &finished)?;
            executor.run();
            if !executor.has_lost() || attempt == MAX_ATTEMPTS {
                break executor;
            }
            attempt += 1;
        };
        if executor.has_lost() {
            return Err(Diagnostic::machine("files of the disk cache vanish while they are used")
                .hint("is something else cleaning the cache directory?"));
        }

        let interrupted = executor.is_interrupted();
        let mut targets = Vec::new();
        for (target, wanted) in plan.requested.iter().zip(&wanted) {
            let parts: Vec<Option<bool>> =
                wanted.files.iter().map(|goal| executor.goal(goal)).collect();
            let status = if parts.contains(&Some(false)) {
                TargetStatus::Failed
            } else if parts.contains(&None) {
                TargetStatus::Skipped
            } else {
                if goals.default_files
                    && let Some(program) = &target.executable
                {
                    place_runfiles(&tree, plan, program)?;
                }
                TargetStatus::Built
            };
            targets.push(TargetOutcome {
                label: target.label.clone(),
                configuration: target.configuration.clone(),
                status,
            });
        }
        let tests = reports.rest(&executor, events);
        for saved in [self.files.save(), self.store.save()] {
            if let Err(error) = saved {
                // What was found out is found out again; that costs time only.
                events.event(Event::Warning(error.to_string()));
            }
        }
        self.manifests.flush();
        if let Some(error) = self.manifests.take_error() {
            // Nothing but explanations is made of it.
            let text = format!("what this build did is not on record: {error}");
            events.event(Event::Warning(text));
        }
        let tally = executor.tally();
        Ok(BuildOutcome {
            targets,
            tests,
            counts: tally.counts,
            done: plan.ids().filter(|id| executor.is_done(*id)).collect(),
            failures: tally.failures.clone(),
            interrupted,
        })
    }
}

/// What is wanted of one requested target.
pub(crate) struct TargetGoals {
    /// Its files, in several depsets.
    pub(crate) files: Vec<Depset>,
    /// Its test runs.
    pub(crate) tests: Vec<ActionId>,
}

impl TargetGoals {
    pub(crate) fn new(target: &RequestedTarget, goals: &Goals) -> TargetGoals {
        let mut files = Vec::new();
        if goals.default_files {
            files.push(target.files.clone());
            if let Some(program) = &target.executable {
                let parts = [program.file.clone(), program.runfiles_tree.clone()];
                files.push(Depset::of_files(parts));
                files.push(program.runfiles.files.clone());
            }
        }
        files.extend(
            goals.output_groups.iter().filter_map(|name| target.output_groups.get(name).cloned()),
        );
        let tests = target.test.as_ref().filter(|_| goals.tests);
        TargetGoals { files, tests: tests.map(|test| test.runs.clone()).unwrap_or_default() }
    }
}

/// Makes the runfiles tree of a program on disk, of links to where the files lie.
fn place_runfiles(tree: &OutputTree, plan: &Plan, program: &Program) -> Result<(), Diagnostic> {
    let mut links = BTreeMap::new();
    for (path, artifact) in program.runfiles.entries(&plan.workspace) {
        let target = if artifact.is_source() {
            source_path(plan, &artifact)
        } else {
            Some(tree.path(artifact.exec_path()))
        };
        if let Some(target) = target {
            links.insert(path, target);
        }
    }
    Ok(tree.place_links(program.runfiles_tree.exec_path(), &links)?)
}
