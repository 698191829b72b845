//! What a build did, as `--event_log_json_file` tells it.

use std::path::Path;

use serde_json::Value;

/// The events of one call, in order.
#[derive(Debug)]
pub struct Events {
    actions: Vec<Action>,
    all: Vec<Value>,
}

/// An action that was done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Action {
    /// Its kind.
    pub mnemonic: String,
    /// Exec path of its first output, without the output directory.
    pub output: String,
    /// The target it belongs to.
    pub owner: String,
    /// `ran` or `cache_hit`, or `written` if no process was needed.
    pub how: String,
}

impl Events {
    /// Reads the file; no events if there is none, since the call ended before.
    pub(crate) fn read(file: &Path) -> Self {
        let mut text = std::fs::read_to_string(file).unwrap_or_default();
        // The last line of a call that was killed, or is still at it, may be only half there.
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        let parse = |line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("event `{line}`: {error}"))
        };
        let all: Vec<Value> = text.lines().map(parse).collect();
        let actions = all.iter().filter(|event| event["event"] == "action_finished");
        let mut actions: Vec<Action> = actions.map(Action::of).collect();
        actions.sort();
        Events { actions, all }
    }

    /// Every action that was done in whatever way, sorted.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The actions whose process ran, sorted.
    pub fn ran(&self) -> Vec<&Action> {
        self.done("ran")
    }

    /// The actions whose outputs came from the disk cache, sorted.
    pub fn cache_hits(&self) -> Vec<&Action> {
        self.done("cache_hit")
    }

    /// Whether the action that writes `output` has begun.
    pub fn has_started(&self, output: &str) -> bool {
        let mut started = self.all.iter().filter(|event| event["event"] == "action_started");
        started.any(|event| Action::of(event).output == output)
    }

    /// The events themselves.
    pub fn all(&self) -> &[Value] {
        &self.all
    }

    fn done(&self, how: &str) -> Vec<&Action> {
        self.actions.iter().filter(|action| action.how == how).collect()
    }
}

impl Action {
    fn of(event: &Value) -> Self {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let output = text("output");
        // rbz-out/k8-fastbuild/bin/pkg/file
        let output = output.splitn(4, '/').nth(3).unwrap_or(&output).to_owned();
        Action { mnemonic: text("mnemonic"), output, owner: text("target"), how: text("how") }
    }
}
