//! The event log: what happens in a build, one JSON object to a line, for other programs.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use rbz_engine::action::{Action, ActionKind};
use rbz_engine::event::{Event, How, TestStatus};
use rbz_engine::plan::Plan;
use serde_json::{Value, json};

use crate::command_error::CommandError;

/// A file that events are written to, each as soon as it is known.
#[derive(Debug)]
pub struct EventLog {
    file: File,
}

impl EventLog {
    /// A new log in the file `path`; what was in it goes.
    pub fn create(path: &Path) -> Result<EventLog, CommandError> {
        match File::create(path) {
            Ok(file) => Ok(EventLog { file }),
            Err(error) => Err(CommandError::environment(format!(
                "cannot write the events to `{}`: {error}",
                path.display()
            ))),
        }
    }

    /// Writes an event about `plan`. That an action has nothing to do is none; explanations and what
    /// processes were given have files of their own.
    pub fn event(&mut self, event: &Event, plan: Option<&Plan>) -> std::io::Result<()> {
        if matches!(
            event,
            Event::ActionFinished { how: How::UpToDate, .. }
                | Event::ActionExplained { .. }
                | Event::SpawnLogged(_)
        ) {
            return Ok(());
        }
        self.line(&to_json(event, plan))
    }

    fn line(&mut self, value: &Value) -> std::io::Result<()> {
        // In one write, so that a reader sees whole lines.
        self.file.write_all(format!("{value}\n").as_bytes())
    }
}

fn to_json(event: &Event, plan: Option<&Plan>) -> Value {
    let seconds = |duration: &std::time::Duration| duration.as_secs_f64();
    let about = |action: &Action, mut fields: Value| {
        let output = action.outputs.first().map(|output| output.exec_path());
        fields["mnemonic"] = json!(&*action.mnemonic);
        fields["target"] = json!(action.owner.to_string());
        fields["configuration"] = json!(&*action.configuration);
        fields["output"] = json!(output);
        fields
    };
    match event {
        Event::Loaded { packages } => json!({"event": "loaded", "packages": packages}),
        Event::Analyzed { targets } => json!({"event": "analyzed", "targets": targets}),
        Event::Printed { place, text } => json!({"event": "print", "place": place, "text": text}),
        Event::Warning(text) => json!({"event": "warning", "text": text}),
        Event::Info(text) => json!({"event": "info", "text": text}),
        Event::Executing { actions } => json!({"event": "executing", "actions": actions}),
        Event::ActionExplained { reason, .. } => {
            json!({"event": "explained", "text": reason.to_string()})
        }
        Event::SpawnLogged(spawn) => json!({"event": "spawn", "status": spawn.status}),
        Event::TestRan { action, cached, duration, .. } => json!({
            "event": "test_ran",
            "target": plan.map(|plan| plan.action(*action).owner.to_string()),
            "cached": cached,
            "seconds": seconds(duration),
        }),
        Event::ActionStarted { action, strategy, .. } => {
            let fields = json!({"event": "action_started", "strategy": strategy});
            match plan {
                Some(plan) => about(plan.action(*action), fields),
                None => fields,
            }
        }
        Event::ActionFinished { action, how, duration, .. } => {
            let fields = json!({"event": "action_finished", "seconds": seconds(duration)});
            let Some(plan) = plan else { return fields };
            let action = plan.action(*action);
            let mut fields = about(action, fields);
            fields["how"] = json!(match (how, &action.kind) {
                (How::UpToDate, _) => "up_to_date",
                (How::CacheHit, _) => "cache_hit",
                (How::Ran, ActionKind::Spawn(_)) => "ran",
                // No process ran for it.
                (How::Ran, _) => "written",
            });
            fields
        }
        Event::ActionFailed(failure) => json!({
            "event": "action_failed",
            "mnemonic": &*failure.mnemonic,
            "target": failure.owner.to_string(),
            "cause": format!("{:?}", failure.cause),
        }),
        Event::TestWrote { action, text } => json!({
            "event": "test_wrote",
            "target": plan.map(|plan| plan.action(*action).owner.to_string()),
            "text": String::from_utf8_lossy(text),
        }),
        Event::TestMissed { label, inputs } => json!({
            "event": "test_missed",
            "target": label.to_string(),
            "paths": inputs.iter().map(|input| &input.path).collect::<Vec<_>>(),
        }),
        Event::TestKept { label, sandbox } => json!({
            "event": "test_kept",
            "target": label.to_string(),
            "directory": sandbox,
        }),
        Event::TestFinished(summary) => json!({
            "event": "test_finished",
            "target": summary.label.to_string(),
            "status": match summary.status {
                TestStatus::Passed => "passed",
                TestStatus::Flaky => "flaky",
                TestStatus::Failed => "failed",
                TestStatus::Timeout => "timeout",
                TestStatus::FailedToBuild => "failed_to_build",
                TestStatus::NoStatus => "no_status",
            },
            "cached": summary.cached,
            "seconds": seconds(&summary.duration),
            "logs": summary.logs,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbz_engine::artifact::{Artifact, ArtifactKind, Root};
    use rbz_engine::depset::Depset;
    use rbz_engine::label::{PackageId, RepoName};
    use std::time::Duration;

    #[test]
    fn an_action_is_named_by_target_and_output() {
        let owner = PackageId::new(RepoName::main(), "pkg").label("t");
        let root = Root::Output("rbz-out/k8-fastbuild/bin".into());
        let mut plan = Plan::new("w", Default::default());
        let output = Artifact::new(ArtifactKind::File, root, "pkg/o.txt", owner.clone());
        let action = plan.add(Action {
            owner,
            mnemonic: "FileWrite".into(),
            progress_message: None,
            configuration: "k8-fastbuild".into(),
            inputs: Depset::of_files([]),
            outputs: vec![output],
            kind: ActionKind::Write { content: vec![], executable: false },
        });
        let event = Event::ActionFinished {
            action: action.expect("no conflict"),
            how: How::Ran,
            duration: Duration::from_millis(1500),
            output: Default::default(),
        };
        assert_eq!(
            to_json(&event, Some(&plan)),
            json!({
                "event": "action_finished",
                "mnemonic": "FileWrite",
                "target": "//pkg:t",
                "configuration": "k8-fastbuild",
                "output": "rbz-out/k8-fastbuild/bin/pkg/o.txt",
                "seconds": 1.5,
                "how": "written",
            })
        );
    }
}
