//! Results of actions: earlier ones are used again, new ones are published.

use std::sync::Arc;
use std::time::Duration;

use crate::action::{Action, ActionKind};
use crate::action_cache::{ActionCache, ActionResult};
use crate::artifact_value::ArtifactValue;
use crate::build::TestCaching;
use crate::digest::Fingerprint;
use crate::event::{ActionOutput, How};
use crate::executor::{ActionError, Done, Executor, Finished, TestOutcome, of_kind};
use crate::files::FileError;
use crate::output_tree::PlaceError;
use crate::paths::parent;
use crate::plan::ActionId;
use crate::state_log::{ActionState, OutputState, TestState};

impl Executor<'_> {
    /// The outputs that the last build left, if nothing that they depend on has changed.
    pub(crate) fn done_before(
        &self,
        id: ActionId,
        action: &Action,
        key: &Fingerprint,
    ) -> Result<Option<Done>, ActionError> {
        let Some(state) = self.cx.states.get(action.primary()) else { return Ok(None) };
        let same_outputs = state.outputs.len() == action.outputs.len()
            && state
                .outputs
                .iter()
                .zip(&action.outputs)
                .all(|(old, new)| *old.path == *new.exec_path());
        if state.key != *key || !same_outputs || !self.may_use(action, state.test) {
            return Ok(None);
        }
        let same_boot = *state.boot == **self.cx.boot;
        let mut placed_anew = !same_boot;
        let mut outputs = state.outputs.clone();
        for output in &mut outputs {
            let intact = self.cx.tree.is_intact(&output.path, &output.value, &output.placed)
                && (same_boot || self.cx.tree.is_equal(&output.path, &output.value));
            if !intact {
                match self.cx.tree.place(&output.path, &output.value, self.cx.store) {
                    Ok(placed) => output.placed = placed,
                    Err(PlaceError::Lost(_)) => return Ok(None),
                    Err(PlaceError::File(error)) => return Err(self.machine(action, &error)),
                }
                placed_anew = true;
            }
        }
        let values = outputs.iter().map(|output| output.value.clone()).collect();
        if placed_anew {
            let boot = self.cx.boot.clone();
            let state = ActionState { outputs, boot, ..(*state).clone() };
            let committed = self.cx.states.commit(action.primary(), state);
            committed.map_err(|error| self.machine(action, &error))?;
        }
        self.tally().counts.up_to_date += 1;
        self.announce(id, How::UpToDate, Duration::ZERO, ActionOutput::default());
        let test = state.test.map(|test| TestOutcome {
            state: test,
            cached: true,
            duration: state.duration,
        });
        Ok(Some(Done { values, test }))
    }

    /// The outputs of the same action as somebody ran it before.
    pub(crate) fn done_elsewhere(
        &self,
        id: ActionId,
        action: &Action,
        key: &Fingerprint,
    ) -> Result<Option<Done>, ActionError> {
        let ActionKind::Spawn(spawn) = &action.kind else { return Ok(None) };
        // Only passed tests are kept in the cache.
        let test = spawn.test.as_ref().map(|_| TestState::Passed);
        if !spawn.uses_cache() || !self.may_use(action, test) {
            return Ok(None);
        }
        let found = ActionCache::new(self.cx.store).get(key);
        let Some(found) = found.map_err(|error| self.machine(action, &error))? else {
            return Ok(None);
        };
        let mut values = Vec::new();
        for output in &action.outputs {
            let value = found.outputs.iter().find(|(path, _)| **path == *output.exec_path());
            let Some((_, value)) = value else { return Ok(None) };
            values.push(of_kind(output, value.clone()));
        }
        let test_outcome =
            test.map(|state| TestOutcome { state, cached: true, duration: found.duration });
        let placed = self.place(action, *key, &values, (found.duration, 0), test);
        match placed {
            Ok(()) => {}
            Err(PlaceError::Lost(_)) => return Ok(None),
            Err(PlaceError::File(error)) => return Err(self.machine(action, &error)),
        }
        self.tally().counts.cache_hits += 1;
        self.announce(id, How::CacheHit, found.duration, found.output);
        Ok(Some(Done { values, test: test_outcome }))
    }

    /// Publishes what an action made: in the cache, in the output tree, and then in the state log.
    pub(crate) fn commit(
        &self,
        id: ActionId,
        action: &Action,
        key: Fingerprint,
        finished: Finished,
    ) -> Result<Done, ActionError> {
        let machine = |error: &FileError| self.machine(action, error);
        if let ActionKind::Spawn(spawn) = &action.kind
            && spawn.uses_cache()
            && matches!(finished.test, None | Some(TestState::Passed))
        {
            let paths = action.outputs.iter().map(|output| output.exec_path().into());
            let result = ActionResult {
                outputs: paths.zip(finished.values.iter().cloned()).collect(),
                output: finished.output.clone(),
                duration: finished.duration,
            };
            ActionCache::new(self.cx.store).put(&key, &result).map_err(|e| machine(&e))?;
        }
        let took = (finished.duration, finished.memory);
        match self.place(action, key, &finished.values, took, finished.test) {
            Ok(()) => {}
            Err(PlaceError::File(error)) => return Err(machine(&error)),
            // It was put there a moment ago.
            Err(PlaceError::Lost(_)) => return Err(ActionError::Lost),
        }
        {
            let mut tally = self.tally();
            match &action.kind {
                ActionKind::Spawn(_) => tally.counts.processes += 1,
                _ => tally.counts.internal += 1,
            }
        }
        self.announce(id, How::Ran, finished.duration, finished.output);
        let duration = finished.duration;
        let test = finished.test.map(|state| TestOutcome { state, cached: false, duration });
        Ok(Done { values: finished.values, test })
    }

    /// Puts outputs in their places and commits them, with the time and the memory that it took to
    /// make them.
    fn place(
        &self,
        action: &Action,
        key: Fingerprint,
        values: &[ArtifactValue],
        (duration, memory): (Duration, u64),
        test: Option<TestState>,
    ) -> Result<(), PlaceError> {
        let mut outputs = Vec::new();
        for (output, value) in action.outputs.iter().zip(values) {
            let path: Arc<str> = output.exec_path().into();
            let placed = self.cx.tree.place(&path, value, self.cx.store)?;
            outputs.push(OutputState { path, value: value.clone(), placed });
        }
        // What the action used to write, and nobody writes now, is stale. If it is not as it was
        // left, something else has taken its place.
        if let Some(old) = self.cx.states.get(action.primary()) {
            for output in &old.outputs {
                if !self.is_written(&output.path)
                    && self.cx.tree.is_intact(&output.path, &output.value, &output.placed)
                {
                    self.cx.tree.remove(&output.path)?;
                }
            }
        }
        let boot = self.cx.boot.clone();
        let state = ActionState { key, outputs, boot, duration, memory, test };
        Ok(self.cx.states.commit(action.primary(), state)?)
    }

    /// Whether an action of the plan writes what is at `path`, be it as part of a tree.
    fn is_written(&self, path: &str) -> bool {
        let mut at = path;
        while !at.is_empty() {
            if self.cx.plan.generating_path(at).is_some() {
                return true;
            }
            at = parent(at);
        }
        false
    }

    /// Whether an earlier result of this action may be used, as far as it is a test.
    fn may_use(&self, action: &Action, state: Option<TestState>) -> bool {
        let ActionKind::Spawn(spawn) = &action.kind else { return true };
        let Some(test) = &spawn.test else { return true };
        let Some(state) = state else { return false };
        if spawn.requires("external") {
            return false;
        }
        match self.cx.options.test_caching {
            TestCaching::No => false,
            TestCaching::Auto => state == TestState::Passed && test.runs == 1,
            TestCaching::Yes => state != TestState::Timeout,
        }
    }
}
