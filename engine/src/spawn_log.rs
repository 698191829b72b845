//! The spawn log: everything that a process was given, and what it left, for other programs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::action::{Action, ActionKind, Spawn};
use crate::action_key::environment;
use crate::artifact::Artifact;
use crate::artifact_value::{ArtifactValue, TreeEntry};
use crate::command_line::expand;
use crate::digest::Digest;
use crate::event::{Event, How};
use crate::executor::{ActionError, Done, Executor};
use crate::failure::FailureCause;
use crate::label::join;
use crate::plan::ActionId;
use crate::state_log::TestState;

/// A process that ran, or whose results were found in the disk cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedSpawn {
    /// Its action.
    pub action: ActionId,
    /// The command line.
    pub argv: Vec<String>,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// What it saw, sorted by path.
    pub inputs: Vec<LoggedFile>,
    /// What it had to write.
    pub listed_outputs: Vec<String>,
    /// What it wrote.
    pub outputs: Vec<LoggedFile>,
    /// How it ran, such as `sandboxed`.
    pub runner: &'static str,
    /// Whether its results were found in the disk cache.
    pub cache_hit: bool,
    /// Whether its results are kept there.
    pub cacheable: bool,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Its exit status.
    pub exit_code: i32,
    /// Why it did not succeed; empty if it did.
    pub status: String,
    /// How long it ran.
    pub duration: Duration,
}

/// A file or link that a process saw or wrote.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoggedFile {
    /// As the process names it.
    pub path: String,
    /// What it is.
    pub content: LoggedContent,
}

/// What is at the path of a [`LoggedFile`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoggedContent {
    /// A file with this content.
    File(Digest),
    /// A link with this text.
    Symlink(Arc<str>),
}

impl Executor<'_> {
    /// Tells what the process of an action was given and left, if anybody asked.
    pub(crate) fn log_spawn(
        &self,
        id: ActionId,
        action: &Action,
        result: &Result<(How, Done), ActionError>,
    ) {
        let ActionKind::Spawn(spawn) = &action.kind else { return };
        if !self.cx.options.log_spawns {
            return;
        }
        let (exit_code, status) = match result {
            Ok((_, done)) => match done.test.map(|test| test.state) {
                None | Some(TestState::Passed | TestState::Flaky) => (0, String::new()),
                Some(TestState::Failed) => (1, "NON_ZERO_EXIT".to_owned()),
                Some(TestState::Timeout) => (1, "TIMEOUT".to_owned()),
            },
            Err(ActionError::Failed(failure)) => match &failure.cause {
                FailureCause::Exit(status) => (*status, "NON_ZERO_EXIT".to_owned()),
                // As a shell tells of a process that was killed.
                FailureCause::Signal(signal) => (128 + signal, "NON_ZERO_EXIT".to_owned()),
                FailureCause::Timeout(_) => (1, "TIMEOUT".to_owned()),
                FailureCause::Machine(_) => (1, "EXECUTION_FAILED".to_owned()),
                // It did not come to run, or what it left is not what it should be.
                _ => (0, "OUTPUTS_MISSING".to_owned()),
            },
            Err(ActionError::Lost | ActionError::Interrupted) => return,
        };
        let mut outputs = Vec::new();
        let mut duration = Duration::ZERO;
        if let Ok((_, done)) = result {
            for (output, value) in action.outputs.iter().zip(&done.values) {
                add(output.exec_path(), value, &mut outputs);
            }
            let state = self.cx.states.get(action.primary());
            duration = state.map(|state| state.duration).unwrap_or_default();
        }
        let cache_hit = matches!(result, Ok((How::CacheHit, _)));
        let trees = |tree: &Artifact| self.tree_files(action, tree);
        let strategy = self.strategy(action).isolation().name();
        let logged = LoggedSpawn {
            action: id,
            argv: expand(&spawn.argv, action.primary(), &trees).argv,
            environment: environment(spawn),
            inputs: self.seen(action),
            listed_outputs: action.outputs.iter().map(|o| o.exec_path().to_owned()).collect(),
            outputs,
            runner: if cache_hit { "disk cache hit" } else { strategy },
            cache_hit,
            cacheable: Spawn::uses_cache(spawn),
            timeout: spawn.timeout,
            exit_code,
            status,
            duration,
        };
        self.cx.events.event(Event::SpawnLogged(Arc::new(logged)));
    }

    /// Every file that the process of an action sees, save its parameter files.
    fn seen(&self, action: &Action) -> Vec<LoggedFile> {
        let mut seen = Vec::new();
        for artifact in action.inputs.to_files() {
            let Some(value) = self.value(&artifact) else { continue };
            let generating = self.cx.plan.generating(&artifact);
            let kind = generating.map(|id| &self.cx.plan.action(id).kind);
            match (value, kind) {
                (ArtifactValue::RunfilesTree(_), Some(ActionKind::RunfilesTree(runfiles))) => {
                    for (path, file) in runfiles.entries(&self.cx.plan.workspace) {
                        if let Some(value) = self.value(&file) {
                            add(&join(artifact.exec_path(), &path), &value, &mut seen);
                        }
                    }
                }
                (value, _) => add(artifact.exec_path(), &value, &mut seen),
            }
        }
        seen.sort();
        seen.dedup();
        seen
    }
}

fn add(path: &str, value: &ArtifactValue, to: &mut Vec<LoggedFile>) {
    let mut add = |path: String, content| to.push(LoggedFile { path, content });
    match value {
        ArtifactValue::File(blob) | ArtifactValue::Volatile(blob) => {
            add(path.to_owned(), LoggedContent::File(blob.digest));
        }
        ArtifactValue::Symlink(text) => add(path.to_owned(), LoggedContent::Symlink(text.clone())),
        ArtifactValue::Tree(tree) => {
            for (relative, entry) in &tree.entries {
                match entry {
                    TreeEntry::File(blob) => {
                        add(join(path, relative), LoggedContent::File(blob.digest));
                    }
                    TreeEntry::Symlink(text) => {
                        add(join(path, relative), LoggedContent::Symlink(text.clone()));
                    }
                    TreeEntry::Directory => {}
                }
            }
        }
        // It is told by what is in it.
        ArtifactValue::RunfilesTree(_) => {}
    }
}
