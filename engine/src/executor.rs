//! The executor: brings the actions that some goals need up to date, with as little work as possible.
//!
//! An action becomes ready when everything that it waits for is done. Its key is then made of the
//! content digests of its inputs. If the state log has the key, its outputs only have to be in
//! their places; else the disk cache is asked; else it runs. Its values decide the keys of what
//! waits for it: where they are the same as before, nothing further happens.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock};
use std::time::Duration;

use crate::action::{Action, ActionKind};
use crate::action_key::{action_key, node_digest, runfiles_value};
use crate::artifact::{Artifact, ArtifactKind};
use crate::artifact_value::{ArtifactValue, Blob};
use crate::build::{Counts, EngineOptions};
use crate::depset::Depset;
use crate::diagnostic::Diagnostic;
use crate::digest::Fingerprint;
use crate::durations::Durations;
use crate::event::{ActionOutput, Event, EventSink, How};
use crate::explanation::Noted;
use crate::failure::{ActionFailure, FailureCause};
use crate::file_state::FileState;
use crate::files::FileError;
use crate::graph::{Graph, Node, NodeId};
use crate::manifest_log::ManifestLog;
use crate::output_tree::OutputTree;
use crate::plan::{ActionId, Plan};
use crate::scheduler::Scheduler;
use crate::sources::{SourceState, find_sources};
use crate::staging::Staged;
use crate::state_log::{ActionState, StateLog, TestState};
use crate::store::Store;
use crate::strategy::{Cancel, Strategy};

/// Everything that a build works with.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub plan: &'a Plan,
    pub options: &'a EngineOptions,
    pub files: &'a FileState,
    pub store: &'a Store,
    pub states: &'a StateLog,
    pub manifests: &'a ManifestLog,
    pub tree: &'a OutputTree,
    pub sandboxed: &'a dyn Strategy,
    pub local: &'a dyn Strategy,
    pub events: &'a dyn EventSink,
    pub cancel: &'a Cancel,
    /// The start of the machine that this build belongs to.
    pub boot: &'a Arc<str>,
    /// Whether the user was told of the strategy what there is to know.
    pub noticed: &'a Once,
}

/// What became of an action.
#[derive(Clone, Debug)]
pub(crate) enum ActionStatus {
    /// Its outputs are there.
    Done(Arc<Done>),
    /// It failed, or something that it needs did.
    Failed,
}

/// An action that is done.
#[derive(Debug)]
pub(crate) struct Done {
    /// Values of its outputs, in its order.
    pub values: Vec<ArtifactValue>,
    /// Set for the run of a test.
    pub test: Option<TestOutcome>,
}

/// How the run of a test ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TestOutcome {
    pub state: TestState,
    /// Whether the result is an earlier one.
    pub cached: bool,
    pub duration: Duration,
}

/// What an action did when it ran.
pub(crate) struct Finished {
    /// Values of its outputs, in its order.
    pub values: Vec<ArtifactValue>,
    pub output: ActionOutput,
    pub duration: Duration,
    /// The greatest size of its processes in bytes; 0: not known.
    pub memory: u64,
    pub test: Option<TestState>,
}

/// Why an action is not done.
pub(crate) enum ActionError {
    /// It failed.
    Failed(Box<ActionFailure>),
    /// The bytes of an input that was thought to be there are gone. What makes it has been
    /// marked, so that it is done again when the build is begun again.
    Lost,
    /// The build was cancelled.
    Interrupted,
}

/// The content digest of a depset node, or why it has none.
#[derive(Clone, Debug)]
enum InputStatus {
    Ready(Fingerprint),
    /// An action that writes one of its elements failed.
    DependencyFailed,
    /// A source among its elements has no value.
    NoSource(Artifact),
}

/// What a build has come to so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub counts: Counts,
    pub failures: Vec<Arc<ActionFailure>>,
    /// Sources whose absence was reported: once is enough.
    reported: HashSet<Artifact>,
}

/// One run through the graph.
pub(crate) struct Executor<'a> {
    pub(crate) cx: Context<'a>,
    graph: Graph,
    durations: Durations,
    remaining: Vec<u64>,
    scheduler: Scheduler,
    sources: HashMap<Artifact, SourceState>,
    pending: Vec<AtomicU32>,
    inputs: Vec<OnceLock<InputStatus>>,
    results: Vec<OnceLock<ActionStatus>>,
    tally: Mutex<Tally>,
    pub(crate) staged: Staged,
    /// How many actions that can be forked from stems are not settled.
    residents: AtomicUsize,
    lost: AtomicBool,
    interrupted: AtomicBool,
    finished: &'a (dyn Fn(ActionId, &Executor<'_>) + Sync),
}

impl<'a> Executor<'a> {
    /// Prepares to bring `goals` and `actions` up to date. `finished` is called after each action.
    pub fn new(
        cx: Context<'a>,
        goals: &[Depset],
        actions: &[ActionId],
        finished: &'a (dyn Fn(ActionId, &Executor<'_>) + Sync),
    ) -> Result<Executor<'a>, Diagnostic> {
        let mut graph = Graph::new(cx.plan, goals, actions)?;
        let sources = find_sources(cx.plan, std::mem::take(&mut graph.sources), cx.files, cx.store);
        let all = graph.nodes.iter().filter_map(|node| match node {
            Node::Action(id) => Some(*id),
            Node::Inputs(_) => None,
        });
        let durations = Durations::new(cx.plan, all, cx.states, &sources);
        let remaining = graph.remaining(|id| durations.of(id).time);
        let EngineOptions { jobs, memory, shuffle, .. } = cx.options;
        let is_resident = |node: &&Node| match node {
            Node::Action(id) => is_resident(cx.plan.action(*id), cx.options),
            Node::Inputs(_) => false,
        };
        let residents = graph.nodes.iter().filter(is_resident).count();
        Ok(Executor {
            scheduler: Scheduler::new(graph.actions(), *jobs, memory.clone(), *shuffle),
            pending: graph.pending.iter().map(|count| AtomicU32::new(*count)).collect(),
            inputs: graph.nodes.iter().map(|_| OnceLock::new()).collect(),
            results: cx.plan.ids().map(|_| OnceLock::new()).collect(),
            tally: Mutex::default(),
            staged: Staged::default(),
            residents: AtomicUsize::new(residents),
            lost: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            cx,
            graph,
            durations,
            remaining,
            sources,
            finished,
        })
    }

    /// Works until everything is done, or nothing more can or may be.
    pub fn run(&self) {
        let is_seen = |node: &&Node| match node {
            // Runfiles trees are views: nothing is done for them, and nothing told of them.
            Node::Action(id) => {
                !matches!(self.cx.plan.action(*id).kind, ActionKind::RunfilesTree(_))
            }
            Node::Inputs(_) => false,
        };
        let actions = self.graph.nodes.iter().filter(is_seen).count();
        self.cx.events.event(Event::Executing { actions });
        for node in &self.graph.order {
            if self.graph.pending[node.index()] == 0 {
                self.advance(*node);
            }
        }
        let threads = self.cx.options.jobs.clamp(1, self.graph.actions().max(1));
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| self.work());
            }
            self.work();
        });
    }

    /// True if the build has to be begun again, since something had been lost.
    pub fn has_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// True if the build was cancelled before it was done.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// What became of an action; `None`: it was not its turn.
    pub fn status(&self, action: ActionId) -> Option<&ActionStatus> {
        self.results[action.0 as usize].get()
    }

    /// Whether the outputs of an action are there.
    pub fn is_done(&self, action: ActionId) -> bool {
        matches!(self.status(action), Some(ActionStatus::Done(_)))
    }

    /// Whether all of a goal is there; `None`: it was not its turn.
    pub fn goal(&self, goal: &Depset) -> Option<bool> {
        let status = self.inputs[self.graph.of_depset(goal)?.index()].get()?;
        if let InputStatus::NoSource(artifact) = status {
            self.report_source(artifact, None);
        }
        Some(matches!(status, InputStatus::Ready(_)))
    }

    /// Failures and counts so far.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        // Lists and numbers are whole even if a thread panicked while it held the lock.
        self.tally.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The value of an artifact that is there.
    pub fn value(&self, artifact: &Artifact) -> Option<ArtifactValue> {
        let Some(id) = self.cx.plan.generating(artifact) else {
            return self.sources.get(artifact)?.as_ref().ok().cloned();
        };
        let ActionStatus::Done(done) = self.status(id)? else { return None };
        let outputs = &self.cx.plan.action(id).outputs;
        let position =
            outputs.iter().position(|output| output.exec_path() == artifact.exec_path())?;
        done.values.get(position).cloned()
    }

    /// Takes actions until there are none.
    fn work(&self) {
        /// Lets the other threads end when this one panics.
        struct Guard<'s>(&'s Scheduler);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.stop();
                }
            }
        }
        let _guard = Guard(&self.scheduler);
        while let Some(turn) = self.scheduler.next() {
            if let Node::Action(id) = &self.graph.nodes[turn.node.index()] {
                self.bring_up_to_date(*id, turn.node);
            }
            self.scheduler.done(turn);
        }
    }

    /// Notes that nothing that `node` waits for is left.
    fn advance(&self, node: NodeId) {
        let mut ready = vec![node];
        while let Some(node) = ready.pop() {
            match &self.graph.nodes[node.index()] {
                Node::Action(id) => {
                    let action = self.cx.plan.action(*id);
                    match self.status_of(&action.inputs) {
                        Some(InputStatus::Ready(_)) => {
                            let remaining = self.remaining[node.index()];
                            let memory = self.durations.of(*id).memory;
                            self.scheduler.ready(node, remaining, self.places(action), memory);
                            continue;
                        }
                        Some(InputStatus::NoSource(artifact)) => {
                            self.report_source(artifact, Some(action));
                        }
                        _ => {}
                    }
                    self.settle(*id, ActionStatus::Failed);
                    self.scheduler.skipped();
                    ready.extend(self.released_by(node));
                }
                Node::Inputs(depset) => {
                    // Only the thread that finished the last thing it waited for comes here.
                    let _ = self.inputs[node.index()].set(self.input_status(depset));
                    ready.extend(self.released_by(node));
                }
            }
        }
    }

    /// Takes down what became of an action.
    fn settle(&self, id: ActionId, status: ActionStatus) {
        // Each action has one turn.
        let _ = self.results[id.0 as usize].set(status);
        if is_resident(self.cx.plan.action(id), self.cx.options)
            && self.residents.fetch_sub(1, Ordering::AcqRel) == 1
        {
            self.cx.sandboxed.release_stems();
        }
        (self.finished)(id, self);
    }

    /// The nodes that waited for `node` and for nothing else any more.
    fn released_by(&self, node: NodeId) -> Vec<NodeId> {
        let dependents = &self.graph.dependents[node.index()];
        let is_last =
            |other: &&NodeId| self.pending[other.index()].fetch_sub(1, Ordering::AcqRel) == 1;
        dependents.iter().filter(is_last).copied().collect()
    }

    fn input_status(&self, depset: &Depset) -> InputStatus {
        for part in depset.transitive() {
            match self.status_of(part) {
                Some(InputStatus::Ready(_)) => {}
                Some(other) => return other.clone(),
                None => return InputStatus::DependencyFailed,
            }
        }
        let mut status = None;
        for element in depset.direct() {
            crate::action_key::each_artifact(element, &mut |artifact| {
                if status.is_none() && self.value(artifact).is_none() {
                    status = Some(match self.cx.plan.generating(artifact) {
                        Some(_) => InputStatus::DependencyFailed,
                        None => InputStatus::NoSource(artifact.clone()),
                    });
                }
            });
        }
        status.unwrap_or_else(|| {
            let value = |artifact: &Artifact| self.value(artifact);
            InputStatus::Ready(node_digest(depset, &value, &|part| self.content(part)))
        })
    }

    fn status_of(&self, depset: &Depset) -> Option<&InputStatus> {
        self.inputs[self.graph.of_depset(depset)?.index()].get()
    }

    /// The content digest of a depset of which everything is there.
    pub(crate) fn content(&self, depset: &Depset) -> Fingerprint {
        match self.status_of(depset) {
            Some(InputStatus::Ready(digest)) => *digest,
            // Callers look at the status of the whole first.
            _ => Fingerprint::default(),
        }
    }

    fn bring_up_to_date(&self, id: ActionId, node: NodeId) {
        let action = self.cx.plan.action(id);
        let result = if self.cx.cancel.is_cancelled() {
            Err(ActionError::Interrupted)
        } else {
            self.perform(id, action)
        };
        let status = match result {
            Ok(done) => ActionStatus::Done(Arc::new(done)),
            Err(ActionError::Failed(failure)) => {
                self.leave_nothing_behind(action);
                self.report(*failure);
                ActionStatus::Failed
            }
            Err(ActionError::Lost) => {
                self.lost.store(true, Ordering::SeqCst);
                self.scheduler.stop();
                return;
            }
            Err(ActionError::Interrupted) => {
                self.interrupted.store(true, Ordering::SeqCst);
                self.scheduler.stop();
                return;
            }
        };
        self.settle(id, status);
        for released in self.released_by(node) {
            self.advance(released);
        }
    }

    fn perform(&self, id: ActionId, action: &Action) -> Result<Done, ActionError> {
        if let ActionKind::RunfilesTree(runfiles) = &action.kind {
            let node = |depset: &Depset| self.content(depset);
            let value = runfiles_value(runfiles, &self.cx.plan.workspace, &node);
            let values = action.outputs.iter().map(|_| value.clone()).collect();
            return Ok(Done { values, test: None });
        }
        if let ActionKind::WorkspaceStatus = &action.kind {
            // Only asking tells whether it is the same as before, so that no key says so.
            let finished = self.run_workspace_status(action)?;
            return self.commit(id, action, Fingerprint::default(), finished);
        }
        let strategy = self.strategy(action);
        let key =
            action_key(action, strategy.isolation().key_material(), &|depset| self.content(depset));
        if let Some(done) = self.done_before(id, action, &key)? {
            return Ok(done);
        }
        let noted = self.note(action, &key);
        let result = self.perform_anew(id, action, &key, &noted);
        self.note_end(action, noted, &result);
        self.log_spawn(id, action, &result);
        result.map(|(_, done)| done)
    }

    /// Gets the outputs of an action that was not found done.
    fn perform_anew(
        &self,
        id: ActionId,
        action: &Action,
        key: &Fingerprint,
        noted: &Noted,
    ) -> Result<(How, Done), ActionError> {
        if let Some(done) = self.done_elsewhere(id, action, key)? {
            self.explain(id, noted, How::CacheHit);
            return Ok((How::CacheHit, done));
        }
        self.explain(id, noted, How::Ran);
        let finished = match &action.kind {
            ActionKind::Spawn(spawn) => match &spawn.test {
                Some(test) => self.run_test(id, action, spawn, test)?,
                None => self.run_spawn(id, action, spawn)?,
            },
            _ => self.run_in_process(action)?,
        };
        Ok((How::Ran, self.commit(id, action, *key, finished)?))
    }

    /// The strategy that runs an action.
    pub fn strategy(&self, action: &Action) -> &'a dyn Strategy {
        if action.is_unconfined() { self.cx.local } else { self.cx.sandboxed }
    }

    /// Marks what makes an artifact as not done: its bytes are gone.
    pub fn lose(&self, artifact: &Artifact, blob: &Blob) -> ActionError {
        self.cx.store.forget(blob);
        if let Some(id) = self.cx.plan.generating(artifact) {
            let primary = self.cx.plan.action(id).primary();
            if let Some(state) = self.cx.states.get(primary) {
                let state = ActionState { key: Fingerprint::default(), ..(*state).clone() };
                // If even this cannot be written the next build meets the same loss again.
                let _ = self.cx.states.commit(primary, state);
            }
        }
        ActionError::Lost
    }

    /// A failure of the machine.
    pub fn machine(&self, action: &Action, error: &FileError) -> ActionError {
        self.failed(action, FailureCause::Machine(error.to_string()))
    }

    /// A failure without a process.
    pub fn failed(&self, action: &Action, cause: FailureCause) -> ActionError {
        ActionError::Failed(Box::new(ActionFailure::new(action, cause)))
    }

    /// Tells that an action is done.
    pub(crate) fn announce(
        &self,
        action: ActionId,
        how: How,
        duration: Duration,
        output: ActionOutput,
    ) {
        self.cx.events.event(Event::ActionFinished { action, how, duration, output });
    }

    /// Takes a failure down, and ends the build if it is not to go on.
    fn report(&self, failure: ActionFailure) {
        let failure = Arc::new(failure);
        {
            let mut tally = self.tally();
            tally.counts.failed += 1;
            tally.failures.push(failure.clone());
        }
        self.cx.events.event(Event::ActionFailed(failure));
        if !self.cx.options.keep_going {
            self.scheduler.stop();
        }
    }

    /// Reports a source without a value, once: for the first action that needs it, or else for
    /// whoever asked for it.
    fn report_source(&self, artifact: &Artifact, action: Option<&Action>) {
        if !self.tally().reported.insert(artifact.clone()) {
            return;
        }
        let missing = || FailureCause::SourceMissing {
            path: artifact.exec_path().to_owned(),
            label: artifact.owner().clone(),
        };
        let cause = match self.sources.get(artifact) {
            Some(Err(cause)) => cause.clone(),
            _ => missing(),
        };
        self.report(match action {
            Some(action) => ActionFailure::new(action, cause),
            None => ActionFailure {
                owner: artifact.owner().clone(),
                mnemonic: "Source".into(),
                message: artifact.exec_path().into(),
                cause,
                output: ActionOutput::default(),
                command: Vec::new(),
                undeclared: Vec::new(),
                hints: Vec::new(),
                sandbox: None,
            },
        });
    }

    /// How many places an action takes.
    fn places(&self, action: &Action) -> usize {
        let is_test = matches!(&action.kind, ActionKind::Spawn(spawn) if spawn.test.is_some());
        match self.cx.options.stream_tests && is_test {
            true => usize::MAX,
            false => action.places(),
        }
    }

    fn leave_nothing_behind(&self, action: &Action) {
        for output in &action.outputs {
            // What cannot be removed is found stale by the next build.
            let _ = self.cx.tree.remove(output.exec_path());
        }
    }
}

/// Whether an action is to be forked from a stem where that can be done.
pub(crate) fn is_resident(action: &Action, options: &EngineOptions) -> bool {
    matches!(&action.kind, ActionKind::Spawn(spawn) if spawn.resident.is_some())
        && options.residency.of(&action.mnemonic)
}

/// A value as an output of this kind has it.
pub(crate) fn of_kind(output: &Artifact, value: ArtifactValue) -> ArtifactValue {
    match value {
        ArtifactValue::File(blob) | ArtifactValue::Volatile(blob) => match output.kind() {
            ArtifactKind::Volatile => ArtifactValue::Volatile(blob),
            _ => ArtifactValue::File(blob),
        },
        value => value,
    }
}
