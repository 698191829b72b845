//! Actions that are processes: what they see, and what they leave.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::action::{Action, ActionKind, Resident, Spawn};
use crate::action_key::environment;
use crate::artifact::{Artifact, ArtifactKind};
use crate::artifact_value::{ArtifactValue, Blob, TreeEntry, TreeValue};
use crate::command_line::{expand, plain};
use crate::event::{ActionOutput, Event};
use crate::executor::{ActionError, Executor, Finished, is_resident, of_kind};
use crate::failure::{ActionFailure, FailureCause, UndeclaredInput};
use crate::files::{self, FileResult, Kind};
use crate::label::join;
use crate::paths::{normal, parent};
use crate::plan::ActionId;
use crate::sources::stays_inside;
use crate::staging::in_order;
use crate::strategy::{
    Completed, DeclaredOutput, EXEC_ROOT, Exit, Isolation, PreparedResident, PreparedSpawn,
    StagedContent, StagedInput, Streams,
};
use crate::undeclared::find_undeclared;

/// What programs say of a system call that was refused.
const REFUSED: [&str; 2] = ["Permission denied", "EACCES"];

/// What a process meets where there are no namespaces.
const WHAT_IS_REFUSED: &str = "in the sandbox of this machine `Permission denied` is the answer to the \
                               network, to files that are not declared, and to writing anywhere but \
                               into the directories of outputs, `$TMPDIR` and `$HOME`";

/// How progress and profile call actions that are forked from stems, as the command line does.
const RESIDENT: &str = "resident";

/// As many links in a row are followed.
const MAX_LINKS: usize = 16;

impl Executor<'_> {
    /// Runs a process that is no test.
    pub(crate) fn run_spawn(
        &self,
        id: ActionId,
        action: &Action,
        spawn: &Spawn,
    ) -> Result<Finished, ActionError> {
        let prepared = self.prepare(action, spawn)?;
        self.announce_start(id, action, &prepared);
        let completed = self.run_prepared(action, &prepared)?;
        let cause = match completed.exit {
            Exit::Status(0) => None,
            Exit::Status(status) => Some(FailureCause::Exit(status)),
            Exit::Signal(signal) => Some(FailureCause::Signal(signal)),
            Exit::TimedOut => Some(FailureCause::Timeout(spawn.timeout.unwrap_or_default())),
            Exit::OverMemory => Some(FailureCause::Memory(prepared.memory)),
            Exit::Cancelled => return Err(ActionError::Interrupted),
        };
        if let Some(cause) = cause {
            return Err(self.process_failed(action, &prepared, &completed, cause));
        }
        // Links come first: what they lead to may be an output too, which is then moved away.
        let is_file = |output: &Artifact| {
            let path = completed.outputs_root.join(output.exec_path());
            matches!(files::stat(&path, false), Ok(Some((Kind::File { .. }, _))))
        };
        let mut order: Vec<usize> = (0..action.outputs.len()).collect();
        order.sort_by_key(|index| is_file(&action.outputs[*index]));
        let mut values = vec![None; action.outputs.len()];
        for index in order {
            let output = &action.outputs[index];
            let value = self.collect(action, &completed, output)?;
            values[index] = value.map(|value| of_kind(output, value));
        }
        let missing: Vec<&Artifact> = action
            .outputs
            .iter()
            .zip(&values)
            .filter(|(_, value)| value.is_none())
            .map(|(output, _)| output)
            .collect();
        if !missing.is_empty() {
            let unfit = missing.iter().find_map(|output| unfit(&completed, output));
            let cause = unfit.unwrap_or_else(|| {
                let paths = missing.iter().map(|output| output.exec_path().to_owned());
                FailureCause::OutputsMissing(paths.collect())
            });
            return Err(self.process_failed(action, &prepared, &completed, cause));
        }
        let values = values.into_iter().flatten().collect();
        let output = output_of(&completed);
        let (duration, memory) = (completed.wall, completed.max_rss);
        Ok(Finished { values, output, duration, memory, test: None })
    }

    /// Tells that the process of an action starts now.
    pub(crate) fn announce_start(&self, id: ActionId, action: &Action, prepared: &PreparedSpawn) {
        let show = self.cx.options.subcommands;
        let strategy = match prepared.resident {
            Some(_) => RESIDENT,
            None => self.strategy(action).isolation().name(),
        };
        self.cx.events.event(Event::ActionStarted {
            action: id,
            message: action.description(),
            strategy,
            command: show.then(|| prepared.shown().into()),
        });
    }

    /// Everything that the process of an action is given.
    pub(crate) fn prepare(
        &self,
        action: &Action,
        spawn: &Spawn,
    ) -> Result<PreparedSpawn, ActionError> {
        let mut inputs = self.stage_all(action, &action.inputs)?;
        let command = expand(&spawn.argv, action.primary(), &|tree| self.tree_files(action, tree));
        let mut parameter_files = BTreeSet::new();
        for (path, content) in command.param_files {
            parameter_files.insert(path.clone());
            let blob = self.cx.store.put(content.as_bytes(), false);
            let blob = blob.map_err(|error| self.machine(action, &error))?;
            inputs.push(StagedInput {
                path: path.into(),
                content: StagedContent::Blob {
                    store_path: self.cx.store.path(&blob).into(),
                    executable: false,
                },
            });
        }
        in_order(&mut inputs);
        let resident = match &spawn.resident {
            Some(resident)
                if is_resident(action, self.cx.options) && self.strategy(action).has_stems() =>
            {
                Some(self.prepare_resident(action, resident, parameter_files)?)
            }
            _ => None,
        };
        Ok(PreparedSpawn {
            argv: command.argv,
            env: environment(spawn),
            inputs: inputs.into(),
            outputs: action.outputs.iter().map(declared).collect(),
            working_directory: String::new(),
            network: spawn.requires("requires-network") && !spawn.requires("block-network"),
            unconfined: action.is_unconfined(),
            timeout: spawn.timeout,
            grace: std::time::Duration::ZERO,
            memory: self.cx.options.memory.limit(),
            keep: self.cx.options.sandbox_debug,
            live: None,
            streams: Streams::Apart,
            resident,
        })
    }

    /// What a stem of the action is given.
    fn prepare_resident(
        &self,
        action: &Action,
        resident: &Resident,
        parameter_files: BTreeSet<String>,
    ) -> Result<Arc<PreparedResident>, ActionError> {
        let trees = |tree: &Artifact| self.tree_files(action, tree);
        let stem = expand(&resident.argv, action.primary(), &trees);
        let mut own: Vec<Arc<str>> = parameter_files.into_iter().map(Arc::from).collect();
        own.extend(self.stage_all(action, &resident.own)?.into_iter().map(|input| input.path));
        own.sort();
        let mut tools = self.stage_all(action, &resident.tools)?;
        in_order(&mut tools);
        Ok(Arc::new(PreparedResident {
            argv: stem.argv,
            steps: plain(&resident.steps, &trees),
            tools: tools.into(),
            own,
        }))
    }

    /// Runs a process to its end.
    pub(crate) fn run_prepared(
        &self,
        action: &Action,
        prepared: &PreparedSpawn,
    ) -> Result<Completed, ActionError> {
        let strategy = self.strategy(action);
        self.cx.noticed.call_once(|| {
            if let Some(notice) = strategy.notice() {
                self.cx.events.event(Event::Info(notice));
            }
        });
        match strategy.run(prepared, self.cx.cancel) {
            Ok(completed) => Ok(completed),
            Err(_) if self.cx.cancel.is_cancelled() => Err(ActionError::Interrupted),
            Err(error) => Err(self.failed(action, FailureCause::Machine(error.to_string()))),
        }
    }

    /// The failure of a process that ran.
    pub(crate) fn process_failed(
        &self,
        action: &Action,
        prepared: &PreparedSpawn,
        completed: &Completed,
        cause: FailureCause,
    ) -> ActionError {
        let undeclared = find_undeclared(self.cx.plan, action, prepared, completed);
        ActionError::Failed(Box::new(ActionFailure {
            owner: action.owner.clone(),
            mnemonic: action.mnemonic.clone(),
            message: action.description(),
            cause,
            output: output_of(completed),
            command: prepared.shown(),
            hints: self.hints(action, completed, &undeclared),
            undeclared,
            sandbox: completed.kept.clone(),
        }))
    }

    /// What the rule of `action` says to do about what its process wrote: its requirements
    /// `hint:TEXT` whose text is there. Of a process that was refused something, what may have been
    /// refused, if nothing better is known.
    fn hints(
        &self,
        action: &Action,
        completed: &Completed,
        undeclared: &[UndeclaredInput],
    ) -> Vec<String> {
        let ActionKind::Spawn(spawn) = &action.kind else { return Vec::new() };
        let written: String = [&completed.stderr, &completed.stdout]
            .map(|output| String::from_utf8_lossy(output).into_owned())
            .concat();
        let applies = |(name, hint): (&Arc<str>, &Arc<str>)| {
            let text = name.strip_prefix("hint:")?;
            written.contains(text).then(|| hint.to_string())
        };
        let mut hints: Vec<String> = spawn.requirements.iter().filter_map(applies).collect();
        let may_refuse = self.strategy(action).isolation() == Isolation::Landlock;
        if may_refuse && undeclared.is_empty() && REFUSED.iter().any(|it| written.contains(it)) {
            hints.push(WHAT_IS_REFUSED.to_owned());
        }
        hints
    }

    /// The files that a tree stands for, relative to it. Of a tree that is no input nothing is
    /// known: what made it may not have run yet.
    pub(crate) fn tree_files(&self, action: &Action, tree: &Artifact) -> Option<Vec<Arc<str>>> {
        if !action.inputs.contains_file(tree) {
            return None;
        }
        match self.value(tree)? {
            ArtifactValue::Tree(tree) => Some(tree.files().cloned().collect()),
            _ => None,
        }
    }

    /// Moves one output into the store; `None` if the process did not make it.
    pub(crate) fn collect(
        &self,
        action: &Action,
        completed: &Completed,
        output: &Artifact,
    ) -> Result<Option<ArtifactValue>, ActionError> {
        let machine = |error: files::FileError| self.machine(action, &error);
        let path = completed.outputs_root.join(output.exec_path());
        let found = files::stat(&path, false).map_err(machine)?;
        Ok(match (output.kind(), found.map(|(kind, _)| kind)) {
            (ArtifactKind::Symlink, Some(Kind::Symlink)) => {
                let text = files::read_link(&path).map_err(machine)?;
                text.to_str().map(|text| ArtifactValue::Symlink(text.into()))
            }
            (ArtifactKind::Tree, Some(Kind::Directory)) => {
                let mut entries = Vec::new();
                self.collect_tree(action, completed, output.exec_path(), "", &mut entries)?;
                Some(ArtifactValue::Tree(Arc::new(TreeValue::new(entries))))
            }
            (ArtifactKind::File | ArtifactKind::Volatile, Some(Kind::File { .. })) => {
                Some(ArtifactValue::File(self.take_file(&path).map_err(machine)?))
            }
            (ArtifactKind::File | ArtifactKind::Volatile, Some(Kind::Symlink)) => {
                let text = files::read_link(&path).map_err(machine)?;
                self.follow(action, completed, output.exec_path(), &text).map_err(machine)?
            }
            _ => None,
        })
    }

    /// As in Bazel every file that a process makes can be run.
    fn take_file(&self, path: &Path) -> FileResult<Blob> {
        self.cx.store.move_in(path, true)
    }

    /// Recurses once for each level of directories, which the length of paths keeps few.
    fn collect_tree(
        &self,
        action: &Action,
        completed: &Completed,
        tree: &str,
        relative: &str,
        entries: &mut Vec<(Arc<str>, TreeEntry)>,
    ) -> Result<(), ActionError> {
        let machine = |error: files::FileError| self.machine(action, &error);
        let dir = completed.outputs_root.join(join(tree, relative));
        let children = files::read_dir(&dir).map_err(machine)?;
        if children.is_empty() && !relative.is_empty() {
            entries.push((relative.into(), TreeEntry::Directory));
        }
        for (name, kind) in children {
            let path = dir.join(&name);
            let Some(name) = files::utf8(&name) else {
                let cause = FailureCause::Unfit {
                    path: join(tree, &join(relative, &name.to_string_lossy())),
                    reason: "has a name that is not UTF-8".to_owned(),
                };
                return Err(self.failed(action, cause));
            };
            let child = join(relative, name);
            let entry = match kind {
                Kind::Directory => {
                    self.collect_tree(action, completed, tree, &child, entries)?;
                    continue;
                }
                Kind::File { .. } => TreeEntry::File(self.take_file(&path).map_err(machine)?),
                Kind::Symlink => {
                    let text = files::read_link(&path).map_err(machine)?;
                    let inside = text.to_str().is_some_and(|text| stays_inside(&child, text));
                    let followed = if inside {
                        None
                    } else {
                        self.follow(action, completed, &join(tree, &child), &text)
                            .map_err(machine)?
                    };
                    match (followed, text.to_str()) {
                        (Some(ArtifactValue::File(blob)), _) => TreeEntry::File(blob),
                        (_, Some(text)) => TreeEntry::Symlink(text.into()),
                        _ => continue,
                    }
                }
                // Sockets and the like are no content.
                Kind::Other => continue,
            };
            entries.push((child.into(), entry));
        }
        Ok(())
    }

    /// The value of the file that a link leads to: one that the process made, or one of its inputs.
    fn follow(
        &self,
        action: &Action,
        completed: &Completed,
        link: &str,
        text: &Path,
    ) -> FileResult<Option<ArtifactValue>> {
        let mut link = link.to_owned();
        let mut text = text.to_owned();
        for _ in 0..MAX_LINKS {
            let inside = [Path::new(EXEC_ROOT), &completed.outputs_root]
                .iter()
                .find_map(|root| text.strip_prefix(root).ok().map(Path::to_owned));
            let dir = parent(&link);
            let target = match (inside, text.to_str()) {
                (Some(inside), _) => normal("", inside.to_str().unwrap_or_default()),
                (None, Some(text)) if text.starts_with('/') => Some(text.to_owned()),
                (None, Some(text)) => normal(dir, text),
                (None, None) => None,
            };
            let Some(target) = target else { return Ok(None) };
            if !target.starts_with('/') {
                let path = completed.outputs_root.join(&target);
                match files::stat(&path, false)?.map(|(kind, _)| kind) {
                    Some(Kind::File { .. }) => {
                        // It may be an output itself, and is not moved away.
                        let blob = self.cx.store.copy_in(&path, true)?;
                        return Ok(Some(ArtifactValue::File(blob)));
                    }
                    Some(Kind::Symlink) => {
                        text = files::read_link(&path)?;
                        link = target;
                        continue;
                    }
                    _ => {}
                }
            }
            let inputs = action.inputs.to_files();
            let input = inputs.iter().find(|artifact| artifact.exec_path() == target);
            return Ok(input
                .and_then(|artifact| self.value(artifact))
                .filter(|value| matches!(value, ArtifactValue::File(_))));
        }
        Ok(None)
    }
}

/// An output as a strategy sees it.
pub(crate) fn declared(output: &Artifact) -> DeclaredOutput {
    DeclaredOutput { path: output.exec_path().into(), is_tree: output.kind() == ArtifactKind::Tree }
}

/// What is wrong with what a process left where an output should be; `None` if it left nothing.
fn unfit(completed: &Completed, output: &Artifact) -> Option<FailureCause> {
    let path = completed.outputs_root.join(output.exec_path());
    let (kind, _) = files::stat(&path, false).ok()??;
    let is = match kind {
        Kind::File { .. } => "a file",
        Kind::Directory => "a directory",
        Kind::Symlink if output.kind() == ArtifactKind::Symlink => {
            "a link to a path that is not UTF-8"
        }
        Kind::Symlink => "a link to what is neither an output nor an input",
        Kind::Other => "neither a file nor a directory",
    };
    let declared = match output.kind() {
        ArtifactKind::Tree => "a directory",
        ArtifactKind::Symlink => "a link",
        _ => "a file",
    };
    let reason = format!("is {is}, but was declared as {declared}");
    Some(FailureCause::Unfit { path: output.exec_path().to_owned(), reason })
}

/// What a process wrote.
fn output_of(completed: &Completed) -> ActionOutput {
    ActionOutput {
        stdout: completed.stdout.clone().into(),
        stderr: completed.stderr.clone().into(),
    }
}
