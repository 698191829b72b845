//! The status of the workspace: facts about a build that are told to no action but to those that
//! ask, such as the revision of the sources or the time.
//!
//! There are two files. What is in the stable one is in the keys of the actions that read it. The
//! volatile one is in no key: whoever reads it gets the facts of the build that ran it last.

use std::collections::BTreeMap;
use std::path::Path;

use crate::action::{Action, ActionKind};
use crate::artifact::{Artifact, ArtifactKind, Root};
use crate::artifact_value::ArtifactValue;
use crate::depset::{Depset, Order};
use crate::event::ActionOutput;
use crate::executor::{ActionError, Executor, Finished};
use crate::failure::FailureCause;
use crate::label::{Label, PackageId, RepoName};
use crate::strategy::{Exit, PreparedSpawn, Streams};

/// The shell that interprets the command, which is of the machine and not of a toolchain.
const SHELL: &str = "/bin/sh";

/// Keys of facts that are stable, beside those that begin with [`STABLE_PREFIX`].
const STABLE_KEYS: [&str; 3] = ["BUILD_EMBED_LABEL", "BUILD_HOST", "BUILD_USER"];

/// Says of a fact that the command yields that it is stable.
const STABLE_PREFIX: &str = "STABLE_";

/// What the status is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkspaceStatus {
    /// Facts that are there in any case, by their keys.
    pub facts: BTreeMap<String, String>,
    /// A command for the shell, run in the workspace, that writes further facts: on each line a
    /// key, a space and a value.
    pub command: Option<String>,
    /// The environment of the command.
    pub environment: BTreeMap<String, String>,
}

/// The file of the stable facts.
pub fn stable_file() -> Artifact {
    file(ArtifactKind::File, "stable-status.txt")
}

/// The file of all other facts.
pub fn volatile_file() -> Artifact {
    file(ArtifactKind::Volatile, "volatile-status.txt")
}

/// The action that writes both. It belongs to a plan in which somebody reads one of them.
pub fn action() -> Action {
    Action {
        owner: owner(),
        mnemonic: "WorkspaceStatus".into(),
        progress_message: Some("Asking for the status of the workspace".into()),
        configuration: "".into(),
        inputs: Depset::empty(Order::Default),
        outputs: vec![stable_file(), volatile_file()],
        kind: ActionKind::WorkspaceStatus,
    }
}

fn file(kind: ArtifactKind, name: &str) -> Artifact {
    Artifact::new(kind, Root::Output("rbz-out".into()), name, owner())
}

/// The target that Bazel gives it, though there is none.
fn owner() -> Label {
    PackageId::new(RepoName::main(), "external").label("workspace_status")
}

impl Executor<'_> {
    /// Finds out the facts and writes both files.
    pub(crate) fn run_workspace_status(&self, action: &Action) -> Result<Finished, ActionError> {
        let status = &self.cx.options.workspace_status;
        let mut facts = status.facts.clone();
        if let Some(command) = &status.command {
            facts.extend(self.ask(action, command, &status.environment)?);
        }
        let (stable, volatile): (Vec<_>, Vec<_>) =
            facts.into_iter().partition(|(key, _)| is_stable(key));
        let put = |facts: Vec<(String, String)>| {
            let lines = facts.iter().map(|(key, value)| format!("{key} {value}\n"));
            let blob = self.cx.store.put(lines.collect::<String>().as_bytes(), false);
            blob.map_err(|error| self.machine(action, &error))
        };
        Ok(Finished {
            values: vec![
                ArtifactValue::File(put(stable)?),
                ArtifactValue::Volatile(put(volatile)?),
            ],
            output: ActionOutput::default(),
            duration: std::time::Duration::ZERO,
            memory: 0,
            test: None,
        })
    }

    fn ask(
        &self,
        action: &Action,
        command: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, ActionError> {
        let workspace: &Path = &self.cx.options.workspace_root;
        let prepared = PreparedSpawn {
            argv: [SHELL, "-c", command].map(str::to_owned).to_vec(),
            env: environment.clone(),
            inputs: [].into(),
            outputs: vec![],
            working_directory: workspace.to_string_lossy().into_owned(),
            network: true,
            unconfined: true,
            timeout: None,
            grace: std::time::Duration::ZERO,
            keep: false,
            live: None,
            memory: self.cx.options.memory.limit(),
            streams: Streams::Apart,
            resident: None,
        };
        let completed = self
            .cx
            .local
            .run(&prepared, self.cx.cancel)
            .map_err(|error| self.failed(action, FailureCause::Machine(error.to_string())))?;
        let cause = match completed.exit {
            Exit::Status(0) => return Ok(facts(&String::from_utf8_lossy(&completed.stdout))),
            Exit::Cancelled => return Err(ActionError::Interrupted),
            Exit::Status(status) => FailureCause::Exit(status),
            Exit::Signal(signal) => FailureCause::Signal(signal),
            // It has no limit.
            Exit::TimedOut => FailureCause::Timeout(completed.wall),
            Exit::OverMemory => FailureCause::Memory(prepared.memory),
        };
        Err(self.process_failed(action, &prepared, &completed, cause))
    }
}

fn is_stable(key: &str) -> bool {
    key.starts_with(STABLE_PREFIX) || STABLE_KEYS.contains(&key)
}

/// The facts in what the command wrote. A key without a value has an empty one.
fn facts(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let fact = |line: &str| {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        (key.to_owned(), value.trim().to_owned())
    };
    lines.map(fact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_key_and_a_value_that_may_be_empty() {
        let facts = facts("A b  c \n\nSTABLE_REVISION 1\r\nEMPTY\n");
        let facts: Vec<_> = facts.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(facts, [("A", "b  c"), ("EMPTY", ""), ("STABLE_REVISION", "1")]);
        assert!(is_stable("STABLE_REVISION") && is_stable("BUILD_HOST") && !is_stable("A"));
    }
}
