//! The profile: when which action ran, and which of them the build had to wait for, in the trace
//! format of Chrome, which Perfetto shows too.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use rbz_engine::action::Action;
use rbz_engine::event::Event;
use rbz_engine::graph::{Graph, Node};
use rbz_engine::plan::{ActionId, Plan};
use serde_json::{Value, json};

use crate::command_error::CommandError;

/// The category of phases.
pub const PHASE: &str = "phase";

/// The category of what is on the critical path. Bazel's.
pub const CRITICAL_PATH: &str = "critical path component";

/// What is going to be written when the build is over. Times are those since the command began.
#[derive(Debug)]
pub struct Profile {
    path: PathBuf,
    file: File,
    events: Vec<Value>,
    /// What runs in each lane now. As many lanes are shown as actions ran at a time.
    lanes: Vec<Option<Running>>,
    executing_since: Option<Duration>,
    /// When which action ran.
    ran: HashMap<ActionId, (Duration, Duration)>,
    /// How many actions may run at a time, and the command.
    about: Value,
}

#[derive(Debug)]
struct Running {
    action: ActionId,
    message: Arc<str>,
    strategy: &'static str,
    since: Duration,
}

impl Profile {
    /// A profile for the file `path`; what was in it goes.
    pub fn create(path: &Path, jobs: usize, command: &str) -> Result<Profile, CommandError> {
        let file = File::create(path).map_err(|error| {
            let path = path.display();
            CommandError::environment(format!("cannot write the profile to `{path}`: {error}"))
        })?;
        let (path, events, lanes) = (path.to_owned(), Vec::new(), Vec::new());
        let about = json!({"jobs": jobs, "command": command});
        Ok(Profile { path, file, events, lanes, executing_since: None, ran: HashMap::new(), about })
    }

    /// Loading and analysis are over. A build that is begun again executes twice.
    fn begin_execution(&mut self, now: Duration) {
        if self.executing_since.replace(now).is_none() {
            self.span(0, "Loading and analysis", PHASE, Duration::ZERO, now, json!({}));
        }
    }

    /// Takes in an event about `plan` that happened at `now`.
    pub fn apply(&mut self, event: &Event, plan: Option<&Plan>, now: Duration) {
        match event {
            Event::Loaded { packages } => self.counter("packages loaded", *packages, now),
            Event::Analyzed { targets } => self.counter("targets configured", *targets, now),
            Event::Executing { .. } => self.begin_execution(now),
            Event::ActionStarted { action, message, strategy, .. } => {
                let (action, message) = (*action, message.clone());
                let running = Some(Running { action, message, strategy, since: now });
                match self.lanes.iter_mut().find(|lane| lane.is_none()) {
                    Some(lane) => *lane = running,
                    None => self.lanes.push(running),
                }
                self.count(now);
            }
            Event::ActionFinished { action, .. } => {
                self.end(plan, now, "done", |running| running.action == *action);
            }
            Event::ActionFailed(failure) => {
                // A failure has no number; it is known by what the action showed.
                self.end(plan, now, "failed", |running| running.message == failure.message);
            }
            _ => {}
        }
    }

    /// Ends what ran, if it ran: outputs that were known have no start.
    fn end(
        &mut self,
        plan: Option<&Plan>,
        now: Duration,
        how: &str,
        which: impl Fn(&Running) -> bool,
    ) {
        let lane = self.lanes.iter().position(|lane| lane.as_ref().is_some_and(&which));
        let Some(lane) = lane else { return };
        let Some(running) = self.lanes[lane].take() else { return };
        let action = plan.map(|plan| plan.action(running.action));
        let mnemonic = action.map_or("Action", |action| &*action.mnemonic);
        let mut details = json!({"result": how, "strategy": running.strategy});
        if let Some(Action { owner, outputs, .. }) = action {
            details["target"] = json!(owner.to_string());
            details["output"] = json!(outputs.first().map(|output| output.exec_path()));
        }
        self.ran.insert(running.action, (running.since, now));
        self.span(lane + 1, &running.message, mnemonic, running.since, now, details);
        self.count(now);
    }

    fn span(
        &mut self,
        lane: usize,
        name: &str,
        category: &str,
        from: Duration,
        to: Duration,
        details: Value,
    ) {
        self.events.push(json!({
            "ph": "X", "pid": 1, "tid": lane, "name": name, "cat": category,
            "ts": microseconds(from), "dur": microseconds(to.saturating_sub(from)),
            "args": details,
        }));
    }

    /// Notes how many actions run now.
    fn count(&mut self, now: Duration) {
        let running = self.lanes.iter().flatten().count();
        self.counter("actions running", running, now);
    }

    fn counter(&mut self, name: &str, number: usize, now: Duration) {
        self.events.push(json!({
            "ph": "C", "pid": 1, "name": name, "ts": microseconds(now), "args": {"number": number},
        }));
    }

    /// The chain of actions, each of which needed the one before it, that took longest together.
    fn critical_path(&self, plan: &Plan) -> Vec<ActionId> {
        let ids: Vec<ActionId> = self.ran.keys().copied().collect();
        // What ran has no cycle.
        let Ok(graph) = Graph::new(plan, &[], &ids) else { return Vec::new() };
        // For each node how long it takes until it may begin, and what it waits for that long.
        let mut until = vec![(Duration::ZERO, None); graph.nodes.len()];
        let mut longest = (Duration::ZERO, None);
        for node in &graph.order {
            let (mut time, _) = until[node.index()];
            if let Node::Action(id) = &graph.nodes[node.index()]
                && let Some((from, to)) = self.ran.get(id)
            {
                time += to.saturating_sub(*from);
            }
            if time > longest.0 {
                longest = (time, Some(*node));
            }
            for dependent in &graph.dependents[node.index()] {
                if time > until[dependent.index()].0 {
                    until[dependent.index()] = (time, Some(*node));
                }
            }
        }
        let way = std::iter::successors(longest.1, |node| until[node.index()].1);
        let mut path: Vec<ActionId> = way
            .filter_map(|node| match &graph.nodes[node.index()] {
                Node::Action(id) if self.ran.contains_key(id) => Some(*id),
                _ => None,
            })
            .collect();
        path.reverse();
        path
    }

    /// Writes the profile of a build that ended at `now`.
    pub fn finish(mut self, plan: Option<&Plan>, now: Duration) -> Result<(), CommandError> {
        match self.executing_since {
            Some(since) => self.span(0, "Execution", PHASE, since, now, json!({})),
            None => {
                self.span(0, "Loading and analysis", PHASE, Duration::ZERO, now, json!({}));
            }
        }
        for _ in 0..self.lanes.len() {
            self.end(plan, now, "interrupted", |_| true);
        }
        let critical = self.lanes.len() + 1;
        for id in plan.map(|plan| self.critical_path(plan)).unwrap_or_default() {
            let (Some(plan), Some((from, to))) = (plan, self.ran.get(&id).copied()) else {
                continue;
            };
            let message = plan.action(id).description();
            self.span(critical, &message, CRITICAL_PATH, from, to, json!({}));
        }
        let name = |lane: usize, name: String| {
            json!({
                "ph": "M", "pid": 1, "tid": lane, "name": "thread_name", "args": {"name": name},
            })
        };
        self.events.push(name(0, "phases".to_owned()));
        let lanes = 1..=self.lanes.len();
        self.events.extend(lanes.map(|lane| name(lane, format!("actions {lane}"))));
        self.events.push(name(critical, "critical path".to_owned()));
        let events = json!({
            "displayTimeUnit": "ms", "otherData": self.about, "traceEvents": self.events,
        });
        let mut out = BufWriter::new(&self.file);
        let is_packed = self.path.extension().is_some_and(|extension| extension == "gz");
        let written = if is_packed {
            let mut packed = GzEncoder::new(out, Compression::default());
            writeln!(packed, "{events}").and_then(|()| packed.finish()?.flush())
        } else {
            writeln!(out, "{events}").and_then(|()| out.flush())
        };
        written.map_err(|error| {
            let path = self.path.display();
            CommandError::environment(format!("cannot write the profile to `{path}`: {error}"))
        })
    }
}

/// A build takes less than the half million years that fit.
fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbz_engine::event::{ActionOutput, How};

    fn started(action: u32, message: &str) -> Event {
        let (action, message) = (ActionId(action), message.into());
        Event::ActionStarted { action, message, strategy: "sandboxed", command: None }
    }

    fn finished(action: u32) -> Event {
        Event::ActionFinished {
            action: ActionId(action),
            how: How::Ran,
            duration: Duration::ZERO,
            output: ActionOutput::default(),
        }
    }

    #[test]
    fn what_runs_at_a_time_is_in_different_lanes_and_a_free_lane_is_used_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("profile.json");
        let mut profile = Profile::create(&path, 2, "rbz build").expect("a file");
        let events = [
            Event::Executing { actions: 3 },
            started(1, "A"),
            started(2, "B"),
            finished(1),
            started(3, "C"),
            finished(3),
            finished(9),
        ];
        for (millisecond, event) in events.iter().enumerate() {
            profile.apply(event, None, Duration::from_millis(millisecond as u64));
        }
        profile.finish(None, Duration::from_millis(9)).expect("written");
        let text = std::fs::read_to_string(&path).expect("written");
        let trace: Value = serde_json::from_str(&text).expect("JSON");
        let spans: Vec<String> = trace["traceEvents"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|event| event["ph"] == "X" && event["tid"] != 0)
            .map(|event| {
                let result = event["args"]["result"].as_str().expect("a result");
                let name = event["name"].as_str().expect("a name");
                format!("{name} {result} in {} {}+{}", event["tid"], event["ts"], event["dur"])
            })
            .collect();
        assert_eq!(
            spans,
            ["A done in 1 1000+2000", "C done in 1 4000+1000", "B interrupted in 2 2000+7000"]
        );
    }
}
