//! The state log: what each action of a workspace was built from last, and what it left.
//!
//! A record commits an action: it is written when the blobs are in the store and the outputs in
//! their places. A record that was lost costs a look into the cache, nothing else.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::artifact_value::ArtifactValue;
use crate::digest::Fingerprint;
use crate::event::TestStatus;
use crate::files::FileResult;
use crate::output_tree::Placed;
use crate::record_log::{self, RecordLog};

/// The form of the records; to be changed when [`Record`] is.
const FORMAT: &str = "rbz state 2";

/// What is known of an action that was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionState {
    /// The key that it had.
    pub key: Fingerprint,
    /// Its outputs, in the action's order.
    pub outputs: Vec<OutputState>,
    /// The start of the machine in which the outputs were put in their places.
    pub boot: Arc<str>,
    /// How long its process ran.
    pub duration: Duration,
    /// The greatest size of its processes in bytes; 0: not known.
    pub memory: u64,
    /// How the test ended, if it is the run of a test.
    pub test: Option<TestState>,
}

/// One output of an action that was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputState {
    /// Its exec path.
    pub path: Arc<str>,
    /// What it is.
    pub value: ArtifactValue,
    /// How its files were left in the output tree.
    pub placed: Vec<Placed>,
}

/// How the run of a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TestState {
    /// It passed at the first attempt.
    Passed,
    /// It passed at a later attempt.
    Flaky,
    /// It failed.
    Failed,
    /// It took too long.
    Timeout,
}

impl TestState {
    /// In the words of events.
    pub fn status(self) -> TestStatus {
        match self {
            TestState::Passed => TestStatus::Passed,
            TestState::Flaky => TestStatus::Flaky,
            TestState::Failed => TestStatus::Failed,
            TestState::Timeout => TestStatus::Timeout,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    /// The exec path of the action's first output.
    primary: Arc<str>,
    state: ActionState,
}

/// The states of all actions of one workspace, by their primary outputs.
#[derive(Debug)]
pub struct StateLog {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    log: RecordLog,
    states: HashMap<Arc<str>, Arc<ActionState>>,
}

impl StateLog {
    /// Opens the log at `path`.
    pub fn open(path: &Path) -> FileResult<StateLog> {
        let mut states = HashMap::new();
        let mut total = 0;
        let mut log = RecordLog::open(path, FORMAT, |record| {
            total += 1;
            if let Ok(record) = postcard::from_bytes::<Record>(record) {
                states.insert(record.primary, Arc::new(record.state));
            }
        })?;
        if record_log::is_mostly_garbage(states.len(), total) {
            let records: Vec<Vec<u8>> =
                states.iter().filter_map(|(primary, state)| encode(primary, state)).collect();
            log.compact(records.iter().map(Vec::as_slice))?;
        }
        Ok(StateLog { inner: Mutex::new(Inner { log, states }) })
    }

    /// The state of the action whose first output is `primary`.
    pub fn get(&self, primary: &str) -> Option<Arc<ActionState>> {
        self.lock().states.get(primary).cloned()
    }

    /// Commits an action.
    pub fn commit(&self, primary: &str, state: ActionState) -> FileResult<()> {
        let record = encode(primary, &state);
        let mut inner = self.lock();
        if let Some(record) = record {
            inner.log.append(&record)?;
        }
        inner.states.insert(primary.into(), Arc::new(state));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing is left half done in the map when a thread panics.
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn encode(primary: &str, state: &ActionState) -> Option<Vec<u8>> {
    // Strings, numbers and digests always have an encoding.
    postcard::to_stdvec(&Record { primary: primary.into(), state: state.clone() }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_state_of_each_action_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let state = |number: u64| ActionState {
            key: Fingerprint::of(number.to_string()),
            outputs: vec![OutputState {
                path: "out".into(),
                value: ArtifactValue::Symlink("x".into()),
                placed: vec![],
            }],
            boot: "boot".into(),
            duration: Duration::from_secs(number),
            memory: number << 20,
            test: Some(TestState::Passed),
        };
        let log = StateLog::open(&path).unwrap();
        for number in 0..2000 {
            log.commit("out", state(number)).unwrap();
        }
        let size = std::fs::metadata(&path).unwrap().len();
        let again = StateLog::open(&path).unwrap();
        assert_eq!(*again.get("out").unwrap(), state(1999));
        assert_eq!(again.get("other"), None);
        assert!(std::fs::metadata(&path).unwrap().len() < size / 100);
        assert_eq!(*StateLog::open(&path).unwrap().get("out").unwrap(), state(1999));
    }
}
