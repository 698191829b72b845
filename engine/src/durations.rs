//! Durations: how long actions will take, as far as that can be known before they run.
//!
//! An action most likely takes as long as it did last. One that never ran takes as long as others of
//! its kind take for so much text, and one of a kind that never ran is judged by its text alone. It
//! decides the order in which ready actions run, and nothing else.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::action::{Action, ActionKind};
use crate::artifact::Artifact;
use crate::artifact_value::ArtifactValue;
use crate::plan::{ActionId, Plan};
use crate::sources::SourceState;
use crate::state_log::StateLog;

/// How many bytes of text an action of an unknown kind deals with in a millisecond.
const BYTES_PER_MILLISECOND: u64 = 25;

/// What an action takes of which nothing is known but its text, beside that, in milliseconds.
const UNKNOWN: u64 = 100;

/// The memory of an action of which nothing is known: as much as Bazel reckons with.
const UNKNOWN_MEMORY: u64 = 250 << 20;

/// What is expected of actions.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    expected: HashMap<ActionId, Expected>,
}

/// What is expected of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// In milliseconds, at least 1.
    pub time: u64,
    /// The greatest size of its processes in bytes.
    pub memory: u64,
}

/// What is known of the actions of one kind that ran.
#[derive(Debug, Default)]
struct Kind {
    /// Of each, in milliseconds.
    times: Vec<u64>,
    /// Of each, in bytes.
    memories: Vec<u64>,
    /// Of those with text: their time, and its size.
    time_of_text: u64,
    text: u64,
}

impl Durations {
    /// What is expected of `actions`.
    pub fn new(
        plan: &Plan,
        actions: impl Iterator<Item = ActionId>,
        states: &StateLog,
        sources: &HashMap<Artifact, SourceState>,
    ) -> Durations {
        let mut expected = HashMap::new();
        let mut unknown = Vec::new();
        for id in actions {
            let action = plan.action(id);
            if !matches!(action.kind, ActionKind::Spawn(_)) {
                expected.insert(id, Expected { time: 1, memory: 0 });
                continue;
            }
            match states.get(action.primary()) {
                // Half a billion years of milliseconds fit.
                Some(state) => {
                    let time = (state.duration.as_millis() as u64).max(1);
                    let memory = if state.memory > 0 { state.memory } else { UNKNOWN_MEMORY };
                    expected.insert(id, Expected { time, memory });
                }
                None => unknown.push(id),
            }
        }
        let mnemonic = |id: &ActionId| plan.action(*id).mnemonic.clone();
        let wanted: HashSet<Arc<str>> = unknown.iter().map(mnemonic).collect();
        let mut kinds: HashMap<Arc<str>, Kind> = HashMap::new();
        for (id, known) in &expected {
            let action = plan.action(*id);
            if wanted.contains(&action.mnemonic) {
                let kind = kinds.entry(action.mnemonic.clone()).or_default();
                kind.add(*known, text(action, sources));
            }
        }
        kinds.values_mut().for_each(Kind::sort);
        for id in unknown {
            let action = plan.action(id);
            let kind = kinds.get(&action.mnemonic);
            expected.insert(id, guess(kind, text(action, sources)));
        }
        Durations { expected }
    }

    /// What is expected of an action.
    pub fn of(&self, action: ActionId) -> Expected {
        self.expected.get(&action).copied().unwrap_or(Expected { time: 1, memory: 0 })
    }
}

impl Kind {
    fn add(&mut self, known: Expected, text: u64) {
        self.times.push(known.time);
        self.memories.push(known.memory);
        if text > 0 {
            self.time_of_text = self.time_of_text.saturating_add(known.time);
            self.text = self.text.saturating_add(text);
        }
    }

    fn sort(&mut self) {
        self.times.sort_unstable();
        self.memories.sort_unstable();
    }
}

fn median(sorted: &[u64]) -> Option<u64> {
    sorted.get(sorted.len() / 2).copied()
}

/// What is expected of an action with so much text that never ran, given others of its kind.
fn guess(kind: Option<&Kind>, text: u64) -> Expected {
    let by_text = |kind: &Kind| {
        let time = u128::from(kind.time_of_text) * u128::from(text);
        (text > 0).then_some(time)?.checked_div(u128::from(kind.text))
    };
    let time = match kind {
        // What does not fit is long enough.
        Some(kind) => by_text(kind)
            .map(|time| u64::try_from(time).unwrap_or(u64::MAX))
            .or_else(|| median(&kind.times)),
        None => Some(UNKNOWN + text / BYTES_PER_MILLISECOND),
    };
    let memory = kind.and_then(|kind| median(&kind.memories)).unwrap_or(UNKNOWN_MEMORY);
    Expected { time: time.unwrap_or(UNKNOWN).max(1), memory }
}

/// The size of the sources that an action alone deals with: those that it does not share with
/// others through a depset.
fn text(action: &Action, sources: &HashMap<Artifact, SourceState>) -> u64 {
    let mut size = 0_u64;
    let mut add = |artifact: &Artifact| {
        if artifact.is_source()
            && let Some(Ok(ArtifactValue::File(blob))) = sources.get(artifact)
        {
            size = size.saturating_add(blob.digest.size);
        }
    };
    let ActionKind::Spawn(spawn) = &action.kind else { return 0 };
    let own = spawn.resident.as_ref().map_or(&action.inputs, |resident| &resident.own);
    for element in own.direct() {
        crate::action_key::each_artifact(element, &mut add);
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(known: &[(u64, u64, u64)]) -> Kind {
        let mut kind = Kind::default();
        for (time, memory, text) in known {
            kind.add(Expected { time: *time, memory: *memory }, *text);
        }
        kind.sort();
        kind
    }

    #[test]
    fn what_never_ran_takes_what_its_like_takes_for_so_much_text() {
        let kind = kind(&[(100, 30, 1000), (300, 10, 1000), (500, 20, 0)]);
        assert_eq!(guess(Some(&kind), 500), Expected { time: 100, memory: 20 });
        assert_eq!(guess(Some(&kind), 5000).time, 1000);
        assert_eq!(guess(Some(&kind), 0).time, 300, "the median");
    }

    #[test]
    fn of_an_unknown_kind_the_larger_text_takes_longer() {
        assert!(guess(None, 200_000).time > guess(None, 20_000).time);
        assert_eq!(guess(None, 0), Expected { time: UNKNOWN, memory: UNKNOWN_MEMORY });
    }

    #[test]
    fn a_kind_without_text_has_its_median() {
        assert_eq!(guess(Some(&kind(&[(7, 0, 0), (9, 0, 0), (8, 0, 0)])), 1 << 40).time, 8);
    }
}
