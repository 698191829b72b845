//! The events of a build in the words of the Build Event Protocol, Bazel's own, which dashboards and
//! editors read.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rbz_engine::action::Action;
use rbz_engine::artifact::Artifact;
use rbz_engine::build::{Counts, TargetOutcome, TargetStatus};
use rbz_engine::depset::Depset;
use rbz_engine::digest::Fingerprint;
use rbz_engine::event::{Event, How, TestStatus, TestSummary};
use rbz_engine::failure::{ActionFailure, FailureCause};
use rbz_engine::label::Label;
use rbz_engine::manifest::BuildNote;
use rbz_engine::plan::{ActionId, Plan, RequestedTarget};
use rbz_engine::value::Value as Plain;
use serde_json::{Value, json};

use crate::build_event_stream::{BuildEventStream, progress_id};
use crate::command_error::{CommandError, ErrorKind};
use crate::commands::version::release;

/// What was asked, as the first events tell it.
#[derive(Clone, Debug, Default)]
pub struct Invoked {
    /// The command, such as `build`.
    pub command: String,
    /// The command line without the program.
    pub arguments: Vec<String>,
    /// The options of rc files, each as `--name=value`.
    pub options_of_rc_files: Vec<String>,
    /// The target patterns.
    pub patterns: Vec<String>,
    /// The workspace.
    pub workspace: PathBuf,
    /// Where rbz was called.
    pub directory: PathBuf,
    /// When it began, since 1970.
    pub begun: Duration,
    /// What is known of the status of the workspace.
    pub facts: BTreeMap<String, String>,
    /// The number of this process.
    pub process: u32,
}

impl Invoked {
    /// As explanations of later builds name it.
    pub fn note(&self) -> BuildNote {
        let command = format!("rbz {} {}", self.command, self.patterns.join(" "));
        let command = command.trim_end().to_owned();
        // They fit until the year 2554.
        BuildNote { command, begun: self.begun.as_nanos() as u64 }
    }
}

/// How a command ended.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// Why it failed, if it did.
    pub error: Option<ErrorKind>,
    /// What became of the requested targets, in the plan's order; empty if nothing was executed.
    pub targets: Vec<TargetOutcome>,
    /// How many actions got their outputs in which way.
    pub counts: Counts,
}

/// The events of one command.
#[derive(Debug)]
pub struct BuildEvents {
    stream: BuildEventStream,
    invoked: Invoked,
    plan: Option<(Arc<Plan>, PathBuf)>,
    packages: usize,
    configured: usize,
    executing_since: Option<Duration>,
    executed: BTreeMap<Arc<str>, u64>,
    sets: HashMap<Fingerprint, usize>,
    /// The run and shard of each action that runs a test.
    tests: HashMap<ActionId, (Label, Value)>,
}

impl BuildEvents {
    /// A new stream in the file `path` that begins with what was asked.
    pub fn create(path: &Path, invoked: Invoked) -> Result<BuildEvents, CommandError> {
        let mut events = BuildEvents {
            stream: BuildEventStream::create(path)?,
            invoked,
            plan: None,
            packages: 0,
            configured: 0,
            executing_since: None,
            executed: BTreeMap::new(),
            sets: HashMap::new(),
            tests: HashMap::new(),
        };
        events.begin().map_err(|error| {
            let path = path.display();
            CommandError::environment(format!("cannot write the build events to `{path}`: {error}"))
        })?;
        Ok(events)
    }

    fn begin(&mut self) -> std::io::Result<()> {
        let Invoked { command, arguments, patterns, workspace, directory, begun, .. } =
            self.invoked.clone();
        let label = |label: &str| json!({"structuredCommandLine": {"commandLineLabel": label}});
        let children = vec![
            progress_id(0),
            json!({"unstructuredCommandLine": {}}),
            label("original"),
            label("canonical"),
            json!({"buildMetadata": {}}),
            json!({"optionsParsed": {}}),
            json!({"workspaceStatus": {}}),
            self.pattern_id(),
            json!({"buildFinished": {}}),
        ];
        let started = json!({
            "uuid": self.uuid(),
            "startTimeMillis": begun.as_millis().to_string(),
            "startTime": timestamp(begun),
            "buildToolVersion": release(),
            "optionsDescription": self.options().join(" "),
            "command": command,
            "workingDirectory": directory,
            "workspaceDirectory": workspace,
            "serverPid": self.invoked.process.to_string(),
        });
        self.stream.post(json!({"started": {}}), children, json!({"started": started}))?;
        self.stream.post(json!({"buildMetadata": {}}), vec![], json!({"buildMetadata": {}}))?;
        let words = [&["rbz".to_owned()], &arguments[..]].concat();
        self.stream.post(
            json!({"unstructuredCommandLine": {}}),
            vec![],
            json!({"unstructuredCommandLine": {"args": words}}),
        )?;
        let given = self.options();
        let all = [&self.invoked.options_of_rc_files[..], &given[..]].concat();
        self.stream.post(
            json!({"optionsParsed": {}}),
            vec![],
            json!({"optionsParsed": {
                "startupOptions": self.startup_options(),
                "explicitStartupOptions": self.startup_options(),
                "cmdLine": all,
                "explicitCmdLine": given,
            }}),
        )?;
        for (name, options) in [("original", &given), ("canonical", &all)] {
            let sections = json!([
                {"sectionLabel": "executable", "chunkList": {"chunk": ["rbz"]}},
                {"sectionLabel": "startup options", "optionList": option_list(&self.startup_options())},
                {"sectionLabel": "command", "chunkList": {"chunk": [command]}},
                {"sectionLabel": "command options", "optionList": option_list(options)},
                {"sectionLabel": "residual", "chunkList": {"chunk": patterns}},
            ]);
            let line = json!({"commandLineLabel": name, "sections": sections});
            self.stream.post(label(name), vec![], json!({"structuredCommandLine": line}))?;
        }
        let facts: Vec<Value> = self
            .invoked
            .facts
            .iter()
            .map(|(key, value)| json!({"key": key, "value": value}))
            .collect();
        self.stream.post(
            json!({"workspaceStatus": {}}),
            vec![],
            json!({"workspaceStatus": {"item": facts}}),
        )
    }

    /// Execution of this plan begins, or would, were there anything to do; outputs are below the
    /// directory.
    pub fn plan(&mut self, plan: &Arc<Plan>, execution_root: &Path) -> std::io::Result<()> {
        self.plan = Some((plan.clone(), execution_root.to_owned()));
        let configured = plan.requested.iter().map(|target| configured_id(&target.label)).collect();
        self.stream.post(self.pattern_id(), configured, json!({"expanded": {}}))?;
        let mut configurations: Vec<&Arc<str>> =
            plan.requested.iter().map(|target| &target.configuration).collect();
        configurations.sort();
        configurations.dedup();
        for name in configurations {
            let id = json!({"configuration": {"id": name}});
            self.stream.announce(vec![id.clone()], "")?;
            let cpu = name.split('-').next().unwrap_or_default();
            let payload = json!({"configuration": {
                "mnemonic": name, "platformName": "linux", "cpu": cpu,
                "makeVariable": {"TARGET_CPU": cpu},
            }});
            self.stream.post(id, vec![], payload)?;
        }
        for target in &plan.requested {
            let mut children = vec![completed_id(target)];
            let mut configured = json!({"targetKind": format!("{} rule", target.rule)});
            if let Some(test) = &target.test {
                configured["testSize"] = test.size.to_uppercase().into();
                configured["tag"] = test.tags.iter().map(|tag| &**tag).collect();
                for run in &test.runs {
                    let Some(id) = test_result_id(target, plan.action(*run)) else { continue };
                    self.tests.insert(*run, (target.label.clone(), id.clone()));
                    children.push(id);
                }
                if !test.runs.is_empty() {
                    children.push(test_summary_id(target));
                }
            }
            self.stream.post(
                configured_id(&target.label),
                children,
                json!({"configured": configured}),
            )?;
        }
        Ok(())
    }

    /// Takes in an event that happened at `now`.
    pub fn event(&mut self, event: &Event, now: Duration) -> std::io::Result<()> {
        match event {
            Event::Loaded { packages } => self.packages = *packages,
            Event::Analyzed { targets } => self.configured = *targets,
            Event::Executing { .. } => {
                self.executing_since.get_or_insert(now);
            }
            Event::ActionFinished { action, how: How::Ran, .. } => {
                if let Some((plan, _)) = &self.plan {
                    *self.executed.entry(plan.action(*action).mnemonic.clone()).or_default() += 1;
                }
            }
            Event::ActionFailed(failure) => self.failed(failure)?,
            Event::TestRan { action, status, cached, duration } => {
                self.test_ran(*action, *status, *cached, *duration)?;
            }
            Event::TestFinished(summary) => self.test_finished(summary)?,
            _ => {}
        }
        Ok(())
    }

    fn failed(&mut self, failure: &ActionFailure) -> std::io::Result<()> {
        let Some((plan, _)) = &self.plan else { return Ok(()) };
        // A failure has no number; it is known by its target and by what it showed.
        let is_it = |action: &&Action| {
            action.owner == failure.owner && action.description() == failure.message
        };
        let action = plan.ids().map(|id| plan.action(id)).find(is_it);
        let configuration = action.map_or("", |action| &*action.configuration);
        let stderr = String::from_utf8_lossy(&failure.output.stderr).into_owned();
        let id = json!({"actionCompleted": {
            "primaryOutput": action.map_or("", Action::primary),
            "label": failure.owner.to_string(),
            "configuration": {"id": configuration},
        }});
        let code = match &failure.cause {
            FailureCause::Exit(status) => *status,
            FailureCause::Signal(signal) => 128 + signal,
            _ => 1,
        };
        let text = format!("ERROR: {}: {} failed\n{stderr}", failure.owner, failure.message);
        self.stream.announce(vec![id.clone()], &text)?;
        let payload = json!({"action": {
            "success": false,
            "type": &*failure.mnemonic,
            "exitCode": code,
            "commandLine": failure.command,
            "failureDetail": {"message": format!("{:?}", failure.cause)},
        }});
        self.stream.post(id, vec![], payload)
    }

    fn test_ran(
        &mut self,
        action: ActionId,
        status: TestStatus,
        cached: bool,
        duration: Duration,
    ) -> std::io::Result<()> {
        let (Some((plan, root)), Some((_, id))) = (&self.plan, self.tests.get(&action)) else {
            return Ok(());
        };
        let file = |output: &Artifact| {
            let path = output.exec_path();
            json!({"name": path.rsplit('/').next(), "uri": uri(&root.join(path))})
        };
        let outputs: Vec<Value> = plan.action(action).outputs.iter().map(file).collect();
        let payload = json!({"testResult": {
            "status": status_name(status),
            "cachedLocally": cached,
            "testAttemptDurationMillis": duration.as_millis().to_string(),
            "testAttemptDuration": format!("{}.{:09}s", duration.as_secs(), duration.subsec_nanos()),
            "testActionOutput": outputs,
        }});
        self.stream.post(id.clone(), vec![], payload)
    }

    fn test_finished(&mut self, summary: &TestSummary) -> std::io::Result<()> {
        let Some((plan, root)) = &self.plan else { return Ok(()) };
        let target = plan.requested.iter().find(|target| target.label == summary.label);
        let Some(target) = target else { return Ok(()) };
        let logs: Vec<Value> =
            summary.logs.iter().map(|log| json!({"uri": uri(&root.join(log))})).collect();
        let which = if summary.status == TestStatus::Passed { "passed" } else { "failed" };
        let (runs, _) = summary.runs;
        let mut payload = json!({
            "overallStatus": status_name(summary.status),
            "totalRunCount": runs,
            "totalNumCached": if summary.cached { runs } else { 0 },
            "totalRunDurationMillis": summary.duration.as_millis().to_string(),
        });
        payload[which] = logs.into();
        self.stream.post(test_summary_id(target), vec![], json!({"testSummary": payload}))
    }

    /// The command ended like this, at `now`.
    pub fn finish(&mut self, end: &End, now: Duration) -> std::io::Result<()> {
        if let Some((plan, root)) = self.plan.clone() {
            for (target, outcome) in plan.requested.iter().zip(&end.targets) {
                self.completed(target, outcome.status, &root)?;
            }
        }
        let reason = match end.error {
            Some(ErrorKind::Interrupted) => "USER_INTERRUPTED",
            Some(_) if self.plan.is_none() => "ANALYSIS_FAILURE",
            None => "NO_BUILD",
            Some(_) => "INCOMPLETE",
        };
        let finished_id = json!({"buildFinished": {}});
        self.stream.abort_rest(reason, std::slice::from_ref(&finished_id))?;
        let finish = self.invoked.begun + now;
        let code = end.error.map_or(0, ErrorKind::exit_status);
        let children = vec![json!({"buildMetrics": {}}), json!({"buildToolLogs": {}})];
        let payload = json!({"finished": {
            "overallSuccess": code == 0,
            "exitCode": {"name": exit_name(end.error), "code": code},
            "finishTimeMillis": finish.as_millis().to_string(),
            "finishTime": timestamp(finish),
        }});
        self.stream.post(finished_id, children, payload)?;
        self.stream.post(
            json!({"buildMetrics": {}}),
            vec![],
            json!({"buildMetrics": self.metrics(end, now)}),
        )?;
        let logs = json!({"buildToolLogs": {"log": []}});
        self.stream.post_last(json!({"buildToolLogs": {}}), logs)
    }

    fn metrics(&self, end: &End, now: Duration) -> Value {
        let Counts { up_to_date, cache_hits, processes, internal, failed } = end.counts;
        let data: Vec<Value> = self
            .executed
            .iter()
            .map(|(name, number)| {
                json!({"mnemonic": &**name, "actionsExecuted": number.to_string()})
            })
            .collect();
        let created = self.plan.as_ref().map_or(0, |(plan, _)| plan.len());
        let analysis = self.executing_since.unwrap_or(now);
        let execution = now.saturating_sub(analysis);
        json!({
            "actionSummary": {
                "actionsCreated": created.to_string(),
                "actionsExecuted": (processes + internal + failed).to_string(),
                "actionData": data,
                "runnerCount": [
                    {"name": "total", "count": up_to_date + cache_hits + processes + internal},
                    {"name": "up to date", "count": up_to_date},
                    {"name": "disk cache hit", "count": cache_hits},
                    {"name": "internal", "count": internal},
                    {"name": "process", "count": processes},
                ],
            },
            "packageMetrics": {"packagesLoaded": self.packages.to_string()},
            "targetMetrics": {"targetsConfigured": self.configured.to_string()},
            "timingMetrics": {
                "wallTimeInMs": now.as_millis().to_string(),
                "analysisPhaseTimeInMs": analysis.as_millis().to_string(),
                "executionPhaseTimeInMs": execution.as_millis().to_string(),
            },
        })
    }

    fn completed(
        &mut self,
        target: &RequestedTarget,
        status: TargetStatus,
        root: &Path,
    ) -> std::io::Result<()> {
        let id = completed_id(target);
        let payload = match status {
            TargetStatus::Skipped => json!({"aborted": {"reason": "INCOMPLETE"}}),
            TargetStatus::Failed => json!({"completed": {"success": false}}),
            TargetStatus::Built => {
                let mut groups = Vec::new();
                let own = [(&Arc::from("default"), &target.files)];
                for (name, files) in own.into_iter().chain(&target.output_groups) {
                    if let Some(set) = self.file_set(files, root)? {
                        groups.push(json!({"name": &**name, "fileSets": [{"id": set}]}));
                    }
                }
                json!({"completed": {"success": true, "outputGroup": groups}})
            }
        };
        self.stream.post(id, vec![], payload)
    }

    /// Tells of a set of files, each node of it once, and yields its number.
    fn file_set(&mut self, files: &Depset, root: &Path) -> std::io::Result<Option<String>> {
        for node in files.nodes() {
            if self.sets.contains_key(&node.fingerprint()) {
                continue;
            }
            let number = self.sets.len();
            self.sets.insert(node.fingerprint(), number);
            let id = json!({"namedSet": {"id": number.to_string()}});
            self.stream.announce(vec![id.clone()], "")?;
            let own: Vec<Value> = node
                .direct()
                .iter()
                .filter_map(|element| match element {
                    Plain::File(artifact) => Some(self.named_file(artifact, root)),
                    _ => None,
                })
                .collect();
            let parts: Vec<Value> = node
                .transitive()
                .iter()
                .filter_map(|part| self.sets.get(&part.fingerprint()))
                .map(|number| json!({"id": number.to_string()}))
                .collect();
            let payload = json!({"namedSetOfFiles": {"files": own, "fileSets": parts}});
            self.stream.post(id, vec![], payload)?;
        }
        Ok(self.sets.get(&files.fingerprint()).map(ToString::to_string))
    }

    fn named_file(&self, artifact: &Artifact, root: &Path) -> Value {
        let (path, name) = (artifact.exec_path(), artifact.root_relative_path());
        let prefix: Vec<&str> = path
            .strip_suffix(name)
            .unwrap_or_default()
            .split('/')
            .filter(|s| !s.is_empty())
            .collect();
        let lies_in = if artifact.is_source() { &self.invoked.workspace } else { root };
        json!({"name": name, "uri": uri(&lies_in.join(path)), "pathPrefix": prefix})
    }

    fn pattern_id(&self) -> Value {
        json!({"pattern": {"pattern": self.invoked.patterns}})
    }

    /// The words before the command.
    fn startup_options(&self) -> Vec<String> {
        let command = |word: &&String| **word != self.invoked.command;
        self.invoked.arguments.iter().take_while(command).cloned().collect()
    }

    /// The options after the command, each with its value in one word.
    fn options(&self) -> Vec<String> {
        let after = self.startup_options().len() + 1;
        let mut options: Vec<String> = Vec::new();
        for word in self.invoked.arguments.iter().skip(after).take_while(|word| *word != "--") {
            match options.last_mut() {
                _ if word.starts_with('-') => options.push(word.clone()),
                // What is no target is the value of the option before it.
                Some(last) if !self.invoked.patterns.contains(word) => *last += &format!("={word}"),
                _ => {}
            }
        }
        options
    }

    /// Names the command: no other of this machine began then as this process.
    fn uuid(&self) -> String {
        let Invoked { begun, process, workspace, .. } = &self.invoked;
        let hex = Fingerprint::of(format!("{begun:?} {process} {workspace:?}")).to_hex();
        format!(
            "{}-{}-4{}-8{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..32]
        )
    }
}

fn option_list(options: &[String]) -> Value {
    let option = |word: &String| {
        let text = word.trim_start_matches('-');
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        json!({"combinedForm": word, "optionName": name, "optionValue": value})
    };
    json!({"option": options.iter().map(option).collect::<Vec<_>>()})
}

fn configured_id(label: &Label) -> Value {
    json!({"targetConfigured": {"label": label.to_string()}})
}

fn completed_id(target: &RequestedTarget) -> Value {
    json!({"targetCompleted": {
        "label": target.label.to_string(), "configuration": {"id": &*target.configuration},
    }})
}

fn test_summary_id(target: &RequestedTarget) -> Value {
    json!({"testSummary": {
        "label": target.label.to_string(), "configuration": {"id": &*target.configuration},
    }})
}

fn test_result_id(target: &RequestedTarget, action: &Action) -> Option<Value> {
    let rbz_engine::action::ActionKind::Spawn(spawn) = &action.kind else { return None };
    let run = spawn.test.as_ref()?;
    Some(json!({"testResult": {
        "label": target.label.to_string(),
        "run": run.run,
        "shard": run.shard + 1,
        "attempt": 1,
        "configuration": {"id": &*target.configuration},
    }}))
}

fn status_name(status: TestStatus) -> &'static str {
    match status {
        TestStatus::Passed => "PASSED",
        TestStatus::Flaky => "FLAKY",
        TestStatus::Failed => "FAILED",
        TestStatus::Timeout => "TIMEOUT",
        TestStatus::FailedToBuild => "FAILED_TO_BUILD",
        TestStatus::NoStatus => "NO_STATUS",
    }
}

/// Bazel's name of an exit status.
fn exit_name(error: Option<ErrorKind>) -> &'static str {
    match error {
        None => "SUCCESS",
        Some(ErrorKind::BuildFailed) => "BUILD_FAILURE",
        Some(ErrorKind::CommandLine) => "COMMAND_LINE_ERROR",
        Some(ErrorKind::QueryFailed) => "ANALYSIS_FAILURE",
        // No build ends with the latter.
        Some(ErrorKind::PartialAnswer | ErrorKind::NotFormatted) => "PARTIAL_ANALYSIS_FAILURE",
        Some(ErrorKind::TestsFailed) => "TESTS_FAILED",
        Some(ErrorKind::NoTests) => "NO_TESTS_FOUND",
        Some(ErrorKind::Interrupted) => "INTERRUPTED",
        Some(ErrorKind::LockHeld) => "LOCK_HELD_NOBLOCK_FOR_LOCK",
        Some(ErrorKind::Environment) => "LOCAL_ENVIRONMENTAL_ERROR",
        Some(ErrorKind::Internal) => "BLAZE_INTERNAL_ERROR",
    }
}

/// The address of a file.
pub fn uri(path: &Path) -> String {
    format!("file://{}", escaped(path.as_os_str().as_encoded_bytes()))
}

/// A path in an address. What could be taken for something else in it is written as its number.
pub fn escaped(path: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~+:@".contains(&byte);
    let mut uri = String::new();
    for byte in path {
        match plain(*byte) {
            true => uri.push(char::from(*byte)),
            false => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

/// A time since 1970 as protocol buffers write it in JSON.
fn timestamp(time: Duration) -> String {
    let seconds = time.as_secs();
    let (year, month, day) = crate::workspace_status::date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = time.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}
