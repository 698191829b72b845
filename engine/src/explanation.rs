//! Explanations while a build goes on: why an action is not found done, and what is kept so that the
//! next build can say it too.

use std::collections::HashSet;
use std::sync::Arc;

use crate::action::{Action, ActionKind};
use crate::artifact::{Artifact, ArtifactKind};
use crate::depset::Depset;
use crate::digest::Fingerprint;
use crate::event::{Event, How};
use crate::executor::{ActionError, Done, Executor};
use crate::manifest::{Cause, InputNode, Manifest, Outcome, Run, output_digest};
use crate::plan::ActionId;
use crate::reason::Reason;

/// What is known of an action that was not found done, before it is.
pub(crate) struct Noted {
    manifest: Manifest,
    cause: Cause,
    /// Why it was not found done, if anybody asked.
    reason: Option<Arc<Reason>>,
}

impl Executor<'_> {
    /// Takes down of what an action that was not found done is going to be made.
    pub(crate) fn note(&self, action: &Action, key: &Fingerprint) -> Noted {
        let log = self.cx.manifests;
        let node = |depset: &Depset| self.content(depset);
        let strategy = self.strategy(action).isolation().key_material();
        let (manifest, block, lists) = Manifest::new(action, strategy, *key, &node);
        let block = (!log.is_known(&manifest.block)).then_some((manifest.block, block));
        let mut nodes = self.unknown_nodes(action);
        for list in &lists {
            nodes.extend(self.unknown_words(list));
        }
        log.add_shared(&nodes, block);
        let last = log.last(action.primary());
        let state = self.cx.states.get(action.primary());
        let cause = match &last {
            None if state.is_none() => Cause::New,
            None => Cause::NotOnRecord,
            Some(last) if last.manifest.key != *key => Cause::Changed,
            Some(Run { outcome: Outcome::Failed, .. }) => Cause::FailedBefore,
            Some(_) if is_test(action) => Cause::RunAgain,
            Some(_) => Cause::OutputsGone,
        };
        let reason = self.cx.options.explain.then(|| {
            let last = last.as_ref().map(|last| &last.manifest);
            Arc::new(Reason::new(log, cause, last, &manifest))
        });
        Noted { manifest, cause, reason }
    }

    /// Tells why an action was not found done, now that it is known whether the cache has it.
    pub(crate) fn explain(&self, action: ActionId, noted: &Noted, how: How) {
        if let Some(reason) = &noted.reason {
            let reason = reason.clone();
            self.cx.events.event(Event::ActionExplained { action, how, reason });
        }
    }

    /// Takes down what came of an action.
    pub(crate) fn note_end(
        &self,
        action: &Action,
        noted: Noted,
        result: &Result<(How, Done), ActionError>,
    ) {
        let (outcome, values) = match result {
            Ok((How::CacheHit, done)) => (Outcome::CacheHit, &done.values[..]),
            Ok((_, done)) => (Outcome::Ran, &done.values[..]),
            Err(ActionError::Failed(_)) => (Outcome::Failed, &[][..]),
            // It is going to be done again as if it had not been tried.
            Err(ActionError::Lost | ActionError::Interrupted) => return,
        };
        let digest = |(output, value): (&Artifact, _)| {
            (output.exec_path().to_owned(), output_digest(output, value))
        };
        let outputs = action.outputs.iter().zip(values).map(digest).collect();
        let note = &self.cx.options.note;
        let Noted { manifest, cause, .. } = noted;
        let run = Run { build: note.begun, cause, outcome, manifest, outputs };
        self.cx.manifests.add_run(action.primary(), &run, note);
    }

    /// The nodes of the inputs of an action that are not in the log, each after its parts.
    fn unknown_nodes(&self, action: &Action) -> Vec<(Fingerprint, InputNode)> {
        let log = self.cx.manifests;
        let value = |artifact: &Artifact| self.value(artifact);
        let content = |depset: &Depset| self.content(depset);
        let runfiles = |artifact: &Artifact| self.runfiles_parts(artifact);
        let mut nodes = Vec::new();
        let mut entered = HashSet::new();
        let mut stack = vec![(action.inputs.clone(), false)];
        while let Some((depset, parts_done)) = stack.pop() {
            let name = content(&depset);
            if parts_done {
                nodes.push((name, InputNode::new(&depset, &value, &content, &runfiles)));
                continue;
            }
            if !entered.insert(name) || log.is_known(&name) {
                continue;
            }
            stack.push((depset.clone(), true));
            for element in depset.direct() {
                crate::action_key::each_artifact(element, &mut |artifact| {
                    stack.extend(runfiles(artifact).into_iter().map(|part| (part, false)));
                });
            }
            stack.extend(depset.transitive().iter().map(|part| (part.clone(), false)));
        }
        nodes
    }

    /// The nodes of a list of arguments that are not in the log, each after its parts.
    fn unknown_words(&self, list: &Depset) -> Vec<(Fingerprint, InputNode)> {
        let mut nodes = Vec::new();
        let mut entered = HashSet::new();
        let mut stack = vec![(list, false)];
        while let Some((depset, parts_done)) = stack.pop() {
            let name = depset.fingerprint();
            if parts_done {
                nodes.push((name, InputNode::of_words(depset)));
            } else if entered.insert(name) && !self.cx.manifests.is_known(&name) {
                stack.push((depset, true));
                stack.extend(depset.transitive().iter().map(|part| (part, false)));
            }
        }
        nodes
    }

    /// The depsets that a runfiles tree is made of; none for any other artifact.
    fn runfiles_parts(&self, artifact: &Artifact) -> Vec<Depset> {
        if artifact.kind() != ArtifactKind::RunfilesTree {
            return Vec::new();
        }
        let Some(id) = self.cx.plan.generating(artifact) else { return Vec::new() };
        match &self.cx.plan.action(id).kind {
            ActionKind::RunfilesTree(runfiles) => {
                [&runfiles.files, &runfiles.symlinks, &runfiles.root_symlinks]
                    .map(Clone::clone)
                    .into()
            }
            _ => Vec::new(),
        }
    }
}

fn is_test(action: &Action) -> bool {
    matches!(&action.kind, ActionKind::Spawn(spawn) if spawn.test.is_some())
}
