//! A stream of the Build Event Protocol: events with ids, each announced by an earlier one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::command_error::CommandError;

/// A file of events, one JSON object to a line. What was announced and never came is told of at the
/// end as aborted, so that no reader waits for it.
#[derive(Debug)]
pub struct BuildEventStream {
    file: File,
    /// Ids that were announced and have not come, in the order in which they were announced.
    expected: BTreeMap<u64, Value>,
    announced: BTreeSet<String>,
    next: u64,
    /// The number of the progress event that comes next.
    progress: u64,
}

impl BuildEventStream {
    /// A new stream in the file `path`; what was in it goes.
    pub fn create(path: &Path) -> Result<BuildEventStream, CommandError> {
        let file = File::create(path).map_err(|error| {
            let path = path.display();
            CommandError::environment(format!("cannot write the build events to `{path}`: {error}"))
        })?;
        let (expected, announced) = (BTreeMap::new(), BTreeSet::new());
        Ok(BuildEventStream { file, expected, announced, next: 0, progress: 0 })
    }

    /// Writes an event. `payload` is an object with one field; `children` are the ids that it announces.
    pub fn post(&mut self, id: Value, children: Vec<Value>, payload: Value) -> std::io::Result<()> {
        self.write(id, children, payload, false)
    }

    /// Writes the last event.
    pub fn post_last(&mut self, id: Value, payload: Value) -> std::io::Result<()> {
        self.write(id, Vec::new(), payload, true)
    }

    /// Announces what no other event could: by an event of progress.
    pub fn announce(&mut self, ids: Vec<Value>, stderr: &str) -> std::io::Result<()> {
        let ids: Vec<Value> =
            ids.into_iter().filter(|id| !self.announced.contains(&id.to_string())).collect();
        if ids.is_empty() && stderr.is_empty() {
            return Ok(());
        }
        let id = progress_id(self.progress);
        self.progress += 1;
        let children = [progress_id(self.progress)].into_iter().chain(ids).collect();
        let payload = if stderr.is_empty() { json!({}) } else { json!({"stderr": stderr}) };
        self.post(id, children, json!({"progress": payload}))
    }

    /// Tells of everything that was announced and did not come, but for `but`, that it will not.
    pub fn abort_rest(&mut self, reason: &str, but: &[Value]) -> std::io::Result<()> {
        let rest: Vec<Value> = self.expected.values().cloned().collect();
        for id in rest.into_iter().filter(|id| !but.contains(id)) {
            let payload = match id.get("progress") {
                Some(_) => json!({"progress": {}}),
                None => json!({"aborted": {"reason": reason}}),
            };
            self.post(id, Vec::new(), payload)?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        id: Value,
        children: Vec<Value>,
        payload: Value,
        last: bool,
    ) -> std::io::Result<()> {
        self.expected.retain(|_, expected| *expected != id);
        self.announced.insert(id.to_string());
        let mut event = json!({"id": id});
        for child in &children {
            if self.announced.insert(child.to_string()) {
                self.expected.insert(self.next, child.clone());
                self.next += 1;
            }
        }
        if !children.is_empty() {
            event["children"] = children.into();
        }
        if last {
            event["lastMessage"] = true.into();
        }
        if let (Some(event), Value::Object(payload)) = (event.as_object_mut(), payload) {
            event.extend(payload);
        }
        // In one write, so that a reader sees whole lines.
        self.file.write_all(format!("{event}\n").as_bytes())
    }
}

/// The id of an event of progress. A number that is 0 is left out, as everywhere in the protocol.
pub fn progress_id(number: u64) -> Value {
    match number {
        0 => json!({"progress": {}}),
        number => json!({"progress": {"opaqueCount": number}}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_announced_before_it_comes_and_comes_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("events");
        let mut stream = BuildEventStream::create(&path).expect("a file");
        let id = |name: &str| json!({"pattern": {"pattern": [name]}});
        stream
            .post(
                json!({"started": {}}),
                vec![progress_id(0), id("a"), id("b")],
                json!({"started": {}}),
            )
            .and_then(|()| stream.post(id("a"), vec![], json!({"expanded": {}})))
            .and_then(|()| stream.announce(vec![id("a"), id("c")], ""))
            .and_then(|()| stream.announce(vec![id("c")], ""))
            .and_then(|()| stream.post(id("c"), vec![], json!({"expanded": {}})))
            .and_then(|()| stream.abort_rest("INCOMPLETE", &[]))
            .and_then(|()| {
                stream.post_last(json!({"buildToolLogs": {}}), json!({"buildToolLogs": {}}))
            })
            .expect("written");
        let text = std::fs::read_to_string(&path).expect("written");
        let events: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let ids: Vec<String> = events.iter().map(|event| event["id"].to_string()).collect();
        let expected = [
            json!({"started": {}}),
            id("a"),
            progress_id(0),
            id("c"),
            id("b"),
            progress_id(1),
            json!({"buildToolLogs": {}}),
        ];
        assert_eq!(ids, expected.map(|id| id.to_string()));
        assert_eq!(events[4]["aborted"]["reason"], "INCOMPLETE");
        assert_eq!(events[6]["lastMessage"], true);
    }
}
