//! Runs of tests: a process whose exit status is a result, with its log and its report.

use std::sync::Arc;
use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesCData, BytesDecl, Event as Xml};

use crate::action::{Action, Spawn, TestRun};
use crate::artifact::Artifact;
use crate::artifact_value::{ArtifactValue, TreeValue};
use crate::event::{ActionOutput, Event};
use crate::executor::{ActionError, Executor, Finished};
use crate::files::{self, Kind};
use crate::label::join;
use crate::paths::parent;
use crate::plan::ActionId;
use crate::spawn_action::declared;
use crate::state_log::TestState;
use crate::strategy::{Completed, DeclaredOutput, Exit, PreparedSpawn, Streams};
use crate::test_plan::{premature_exit_file, shard_status_file, temporary_dir};
use crate::undeclared::find_undeclared;

/// How long a test that took too long may go on to say what it has to say: Bazel's
/// `--local_termination_grace_seconds`.
const GRACE: Duration = Duration::from_secs(15);

impl Executor<'_> {
    /// Runs one run of one shard of a test, as often as it may be tried.
    pub(crate) fn run_test(
        &self,
        id: ActionId,
        action: &Action,
        spawn: &Spawn,
        test: &TestRun,
    ) -> Result<Finished, ActionError> {
        let mut prepared = self.prepare_test(action, spawn, test)?;
        self.announce_start(id, action, &prepared);
        let mut log = Vec::new();
        let mut attempt = 1;
        let (state, completed) = loop {
            let completed = if self.cx.options.stream_tests {
                self.run_aloud(id, action, &mut prepared)?
            } else {
                self.run_prepared(action, &prepared)?
            };
            if completed.exit == Exit::Cancelled {
                return Err(ActionError::Interrupted);
            }
            log.extend(&completed.stdout);
            log.extend(&completed.stderr);
            let state = state_of(&completed, test, attempt, &mut log);
            let failed = matches!(state, TestState::Failed | TestState::Timeout);
            if !failed || attempt >= test.attempts {
                break (state, completed);
            }
            let note = format!("-- attempt {attempt} of {} failed --\n", test.attempts);
            log.extend(note.as_bytes());
            attempt += 1;
        };
        if let Some(sandbox) = completed.kept.clone() {
            self.cx.events.event(Event::TestKept { label: action.owner.clone(), sandbox });
        }
        if state == TestState::Failed {
            let inputs = find_undeclared(self.cx.plan, action, &prepared, &completed);
            if !inputs.is_empty() {
                self.cx.events.event(Event::TestMissed { label: action.owner.clone(), inputs });
            }
        }
        let mut values = Vec::new();
        for output in &action.outputs {
            let value = if *output == test.log {
                self.put_report(action, &log)?
            } else if *output == test.xml {
                match self.collect(action, &completed, output)? {
                    Some(value) => value,
                    None => {
                        let seconds = completed.wall.as_secs_f64();
                        let name = test_name(action, test);
                        let xml = report(&name, seconds, &completed.exit, state, &log);
                        self.put_report(action, &xml)?
                    }
                }
            } else {
                let empty = || ArtifactValue::Tree(Arc::new(TreeValue::default()));
                self.collect(action, &completed, output)?.unwrap_or_else(empty)
            };
            values.push(value);
        }
        let output = ActionOutput::default();
        let (duration, memory) = (completed.wall, completed.max_rss);
        Ok(Finished { values, output, duration, memory, test: Some(state) })
    }

    /// Runs a process and tells what it writes while it does.
    fn run_aloud(
        &self,
        id: ActionId,
        action: &Action,
        prepared: &mut PreparedSpawn,
    ) -> Result<Completed, ActionError> {
        let (sender, receiver) = std::sync::mpsc::channel();
        prepared.live = Some(sender);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for text in receiver {
                    self.cx.events.event(Event::TestWrote { action: id, text: text.into() });
                }
            });
            let completed = self.run_prepared(action, prepared);
            // The listener ends when nobody can send any more.
            prepared.live = None;
            completed
        })
    }

    fn prepare_test(
        &self,
        action: &Action,
        spawn: &Spawn,
        test: &TestRun,
    ) -> Result<PreparedSpawn, ActionError> {
        let mut prepared = self.prepare(action, spawn)?;
        prepared.working_directory = join(test.runfiles.exec_path(), &test.workspace);
        prepared.streams = Streams::Merged;
        prepared.grace = GRACE;
        // The log is made of what the process writes to its pipe.
        prepared.outputs.retain(|output| *output.path != *test.log.exec_path());
        let temporary = temporary_dir(dir_of(&test.log));
        prepared.outputs.push(DeclaredOutput { path: temporary.into(), is_tree: true });
        debug_assert!(prepared.outputs.contains(&declared(&test.xml)));
        Ok(prepared)
    }

    fn put_report(&self, action: &Action, bytes: &[u8]) -> Result<ArtifactValue, ActionError> {
        let blob = self.cx.store.put(bytes, false);
        Ok(ArtifactValue::File(blob.map_err(|error| self.machine(action, &error))?))
    }
}

fn dir_of(artifact: &Artifact) -> &str {
    parent(artifact.exec_path())
}

/// How an attempt ended. Says in the log what the test itself could not say.
fn state_of(completed: &Completed, test: &TestRun, attempt: u32, log: &mut Vec<u8>) -> TestState {
    let mut note = |text: String| {
        if log.last().is_some_and(|last| *last != b'\n') {
            log.push(b'\n');
        }
        log.extend(format!("-- {text} --\n").as_bytes());
    };
    match completed.exit {
        Exit::Status(0) => {
            let has_file = |path: String| {
                let path = completed.outputs_root.join(path);
                matches!(files::stat(&path, false), Ok(Some((Kind::File { .. }, _))))
            };
            if has_file(premature_exit_file(dir_of(&test.log))) {
                note("the test ended before it was done, with status 0".into());
                return TestState::Failed;
            }
            if test.shards > 1 && !has_file(shard_status_file(dir_of(&test.log))) {
                note(
                    "the test does not know of shards: it did not touch TEST_SHARD_STATUS_FILE"
                        .into(),
                );
                return TestState::Failed;
            }
            if attempt == 1 { TestState::Passed } else { TestState::Flaky }
        }
        Exit::Status(_) => TestState::Failed,
        Exit::Signal(signal) => {
            note(format!("the test was killed by signal {signal}"));
            TestState::Failed
        }
        Exit::OverMemory => {
            note("the test was killed since it took too much memory".into());
            TestState::Failed
        }
        Exit::TimedOut | Exit::Cancelled => {
            note(format!("the test timed out after {} s", completed.wall.as_secs()));
            TestState::Timeout
        }
    }
}

fn test_name(action: &Action, test: &TestRun) -> String {
    let label = &action.owner;
    let mut name = join(&label.package().short_dir(), label.name());
    if test.shards > 1 {
        name += &format!("_shard_{}/{}", test.shard + 1, test.shards);
    }
    name
}

/// The `test.xml` of a test that wrote none: one test case with the log.
fn report(name: &str, seconds: f64, exit: &Exit, state: TestState, log: &[u8]) -> Vec<u8> {
    let error = match (state, exit) {
        (TestState::Passed | TestState::Flaky, _) => None,
        (TestState::Timeout, _) => Some("timed out".to_owned()),
        (_, Exit::Status(0)) => Some("not done, though its status is 0".to_owned()),
        (_, Exit::Status(status)) => Some(format!("exited with error code {status}")),
        (_, Exit::OverMemory) => Some("took too much memory".to_owned()),
        (_, Exit::Signal(signal)) => Some(format!("killed by signal {signal}")),
        (_, _) => Some("failed".to_owned()),
    };
    // XML cannot hold most control characters in any form.
    let log: String = String::from_utf8_lossy(log)
        .chars()
        .map(|c| if c.is_control() && !"\n\r\t".contains(c) { '?' } else { c })
        .map(|c| if matches!(c, '\u{fffe}' | '\u{ffff}') { '?' } else { c })
        .collect();
    let errors = if error.is_some() { "1" } else { "0" };
    let time = format!("{seconds:.3}");
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let written =
        writer.write_event(Xml::Decl(BytesDecl::new("1.0", Some("UTF-8"), None))).and_then(|()| {
            writer.create_element("testsuites").write_inner_content(|writer| {
                let suite = [("name", name), ("tests", "1"), ("failures", "0"), ("errors", errors)];
                let suite = writer.create_element("testsuite").with_attributes(suite);
                suite.write_inner_content(|writer| {
                    let case = [("name", name), ("status", "run"), ("time", &*time)];
                    let case = writer.create_element("testcase").with_attributes(case);
                    case.write_inner_content(|writer| {
                        if let Some(message) = &error {
                            writer
                                .create_element("error")
                                .with_attribute(("message", &**message))
                                .write_empty()?;
                        }
                        Ok(())
                    })?;
                    writer.create_element("system-out").write_inner_content(|writer| {
                        for part in BytesCData::escaped(&log) {
                            writer.write_event(Xml::CData(part))?;
                        }
                        Ok(())
                    })?;
                    Ok(())
                })?;
                Ok(())
            })?;
            Ok(())
        });
    // Writing to memory does not fail; if it did, no report is better than half of one.
    if written.is_ok() { writer.into_inner() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_xml_whatever_the_log_holds() {
        let log = b"<ok> & ]]> \x1b[31m \xff\n";
        let xml = report("pkg/a&b", 1.5, &Exit::Status(3), TestState::Failed, log);
        let text = String::from_utf8(xml).unwrap();
        assert!(
            text.contains(r#"<testsuite name="pkg/a&amp;b" tests="1" failures="0" errors="1">"#)
        );
        assert!(text.contains(r#"<error message="exited with error code 3"/>"#), "{text}");
        let mut reader = quick_xml::Reader::from_str(&text);
        let mut read = String::new();
        loop {
            match reader.read_event().unwrap() {
                Xml::CData(part) => read += std::str::from_utf8(&part).unwrap(),
                Xml::Eof => break,
                _ => {}
            }
        }
        assert_eq!(read, "<ok> & ]]> ?[31m \u{fffd}\n");
    }

    #[test]
    fn a_passed_test_has_no_error() {
        let xml = report("t", 0.0, &Exit::Status(0), TestState::Passed, b"");
        let text = String::from_utf8(xml).unwrap();
        assert!(text.contains(r#"errors="0""#) && !text.contains("<error"), "{text}");
    }
}
