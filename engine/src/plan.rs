//! The plan: the graph of actions that a request needs.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::action::Action;
use crate::artifact::{Artifact, ArtifactKind};
use crate::depset::Depset;
use crate::diagnostic::Place;
use crate::label::{Label, RepoName};
use crate::runfiles::Runfiles;

/// The number of an action in its [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActionId(pub u32);

/// What analysis hands to execution: actions, where sources lie, and what was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the main workspace, the directory of its files in runfiles trees.
    pub workspace: Arc<str>,
    /// The directory of each repository that has sources, the main one included.
    pub repositories: BTreeMap<RepoName, PathBuf>,
    actions: Vec<Arc<Action>>,
    /// What the command line named, in order.
    pub requested: Vec<RequestedTarget>,
    /// What makes reports of what tests ran, if that is collected.
    pub coverage_tool: Option<CoverageTool>,
    /// Actions that are wanted beside the targets: reports on all tests together.
    pub reports: Vec<ActionId>,
    /// The action that writes each derived artifact, by exec path.
    #[serde(skip)]
    generating: HashMap<OutputPath, ActionId>,
}

/// A target that the command line named, and what building it yields.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestedTarget {
    /// Its label.
    pub label: Label,
    /// Name of its rule, such as `lisp_library`.
    pub rule: Arc<str>,
    /// Where its BUILD file declares it, if one does.
    pub place: Option<Place>,
    /// Name of the configuration, such as `k8-fastbuild`.
    pub configuration: Arc<str>,
    /// The files that `rbz build` makes (`DefaultInfo.files`).
    pub files: Depset,
    /// The output groups by name.
    pub output_groups: BTreeMap<Arc<str>, Depset>,
    /// What `rbz run` runs, if anything.
    pub executable: Option<Program>,
    /// Set for a test.
    pub test: Option<TestTarget>,
    /// What of it and its dependencies notes what runs, if that is collected.
    pub instrumented: Option<Instrumented>,
}

/// The instrumented files of a target and its dependencies: Bazel's `InstrumentedFilesInfo`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instrumented {
    /// The sources.
    pub sources: Depset,
    /// What is needed to say what of the sources ran.
    pub metadata: Depset,
}

/// A program that makes reports of what tests ran.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CoverageTool {
    /// The program.
    pub program: Artifact,
    /// Its first arguments.
    pub arguments: Vec<Arc<str>>,
    /// All that it needs, itself included.
    pub files: Depset,
}

/// A program with all it needs beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// The file to run.
    pub file: Artifact,
    /// What it finds in its runfiles.
    pub runfiles: Arc<Runfiles>,
    /// The tree of its runfiles: an artifact of an action of the plan.
    pub runfiles_tree: Artifact,
    /// Arguments from the target's `args`, with locations expanded.
    pub args: Vec<Arc<str>>,
    /// Environment from the target's `env` and `RunEnvironmentInfo`.
    pub env: BTreeMap<Arc<str>, Arc<str>>,
    /// Variables that it takes over from the environment that rbz runs in.
    pub inherited_env: Vec<Arc<str>>,
}

/// What is special about a target that is a test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TestTarget {
    /// `small`, `medium`, `large` or `enormous`.
    pub size: Arc<str>,
    /// `short`, `moderate`, `long` or `eternal`; by default what goes with the size.
    pub timeout: Arc<str>,
    /// Whether it is tried up to three times.
    pub flaky: bool,
    /// Into how many shards it is divided; `None`: it is not.
    pub shard_count: Option<u32>,
    /// Its tags.
    pub tags: Vec<Arc<str>>,
    /// What it sees besides its runfiles: the shell, which interprets most scripts.
    pub tools: Depset,
    /// One action for each run of each shard, filled in when the command is `test`.
    pub runs: Vec<ActionId>,
}

/// Why actions do not make a plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// Two actions write the same path, or one writes below a path that another writes.
    #[error("`{path}` is written by both `{first}` and `{second}`")]
    Conflict {
        /// The exec path.
        path: String,
        /// Its owner.
        first: Label,
        /// The same path, or one below it.
        below: String,
        /// The owner of that.
        second: Label,
    },
}

/// An output as the key of its path.
#[derive(Clone, Debug)]
struct OutputPath(Artifact);

impl PartialEq for OutputPath {
    fn eq(&self, other: &Self) -> bool {
        self.0.exec_path() == other.0.exec_path()
    }
}

impl Eq for OutputPath {}

impl Hash for OutputPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.exec_path().hash(state);
    }
}

impl Borrow<str> for OutputPath {
    fn borrow(&self) -> &str {
        self.0.exec_path()
    }
}

impl Plan {
    /// An empty plan for the workspace called `workspace`.
    pub fn new(workspace: &str, repositories: BTreeMap<RepoName, PathBuf>) -> Self {
        Plan {
            workspace: workspace.into(),
            repositories,
            actions: Vec::new(),
            requested: Vec::new(),
            coverage_tool: None,
            reports: Vec::new(),
            generating: HashMap::new(),
        }
    }

    /// Adds an action; its outputs must not be written by another.
    pub fn add(&mut self, action: impl Into<Arc<Action>>) -> Result<ActionId, PlanError> {
        let action = action.into();
        // 4 billion actions do not fit into memory.
        let id = ActionId(self.actions.len() as u32);
        for output in &action.outputs {
            if let Some(other) = self.generating.insert(OutputPath(output.clone()), id) {
                // Named twice by the action itself, it has no number yet.
                let first = self.actions.get(other.0 as usize).unwrap_or(&action).owner.clone();
                let path = output.exec_path().to_owned();
                let below = path.clone();
                let second = action.owner.clone();
                return Err(PlanError::Conflict { path, first, below, second });
            }
        }
        self.actions.push(action);
        Ok(id)
    }

    /// Checks what only the whole plan shows: no output lies inside another.
    pub fn check(&self) -> Result<(), PlanError> {
        // Of a directory in which one output lies well, all others do.
        let mut clear: HashSet<&str> = HashSet::new();
        for (path, id) in &self.generating {
            let path = path.0.exec_path();
            let mut parent = path;
            while let Some((shorter, _)) = parent.rsplit_once('/') {
                parent = shorter;
                if !clear.insert(parent) {
                    break;
                }
                if let Some(other) = self.generating.get(parent)
                    && self.output_kind(*other, parent) != Some(ArtifactKind::RunfilesTree)
                {
                    return Err(PlanError::Conflict {
                        path: parent.to_owned(),
                        first: self.action(*other).owner.clone(),
                        below: path.to_string(),
                        second: self.action(*id).owner.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn output_kind(&self, action: ActionId, exec_path: &str) -> Option<ArtifactKind> {
        let outputs = &self.action(action).outputs;
        outputs.iter().find(|output| output.exec_path() == exec_path).map(Artifact::kind)
    }

    /// Makes the index of generating actions again, after the plan was decoded.
    pub fn index(&mut self) {
        self.generating = self
            .ids()
            .flat_map(|id| {
                self.action(id).outputs.iter().map(move |output| (OutputPath(output.clone()), id))
            })
            .collect();
    }

    /// The action with number `id`.
    pub fn action(&self, id: ActionId) -> &Action {
        &self.actions[id.0 as usize]
    }

    /// The numbers of all actions.
    pub fn ids(&self) -> impl Iterator<Item = ActionId> + use<> {
        // See `add` for the cast.
        (0..self.actions.len() as u32).map(ActionId)
    }

    /// Number of actions.
    pub fn len(&self) -> usize {
        self.actions.len()
    }

    /// True when there is no action.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The action that writes `artifact`; `None` for a source or an artifact of no action.
    pub fn generating(&self, artifact: &Artifact) -> Option<ActionId> {
        self.generating.get(artifact.exec_path()).copied()
    }

    /// The action that writes what is at `exec_path`.
    pub fn generating_path(&self, exec_path: &str) -> Option<ActionId> {
        self.generating.get(exec_path).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::ActionKind;
    use crate::artifact::Root;
    use crate::depset::Order;
    use crate::label::PackageId;

    fn action(owner: &str, outputs: &[&str]) -> Action {
        let owner = PackageId::new(RepoName::main(), "pkg").label(owner);
        let output = |path: &&str| {
            let root = Root::Output("rbz-out/k8-fastbuild/bin".into());
            Artifact::new(ArtifactKind::File, root, path, owner.clone())
        };
        Action {
            owner: owner.clone(),
            mnemonic: "Write".into(),
            progress_message: None,
            configuration: "k8-fastbuild".into(),
            inputs: Depset::empty(Order::Default),
            outputs: outputs.iter().map(output).collect(),
            kind: ActionKind::Write { content: vec![], executable: false },
        }
    }

    fn conflict(actions: &[(&str, &[&str])]) -> String {
        let mut plan = Plan::new("ws", BTreeMap::new());
        for (owner, outputs) in actions {
            if let Err(error) = plan.add(action(owner, outputs)) {
                return error.to_string();
            }
        }
        plan.check().map_or_else(|error| error.to_string(), |()| "none".to_owned())
    }

    #[test]
    fn a_path_has_one_writer_and_nothing_lies_below_a_file() {
        let path = "rbz-out/k8-fastbuild/bin/a";
        for (actions, expected) in [
            (&[("x", &["a"][..]), ("y", &["b"][..])][..], "none".to_owned()),
            (&[("x", &["a"]), ("y", &["b", "a"])], conflict_of(path, "x", "y")),
            (&[("x", &["a", "a"])], conflict_of(path, "x", "x")),
            (&[("x", &["a/b"]), ("y", &["a"])], conflict_of(path, "y", "x")),
        ] {
            assert_eq!(conflict(actions), expected);
        }
    }

    fn conflict_of(path: &str, first: &str, second: &str) -> String {
        format!("`{path}` is written by both `//pkg:{first}` and `//pkg:{second}`")
    }
}
