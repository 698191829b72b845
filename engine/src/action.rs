//! Actions: the steps of a build, as data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::depset::Depset;
use crate::label::Label;
use crate::runfiles::Runfiles;
use crate::value::Value;

/// One step of a build: from inputs to outputs.
///
/// Actions of the kind [`ActionKind::Spawn`] map one to one on the Remote Execution API's
/// `Action`. All others rbz does by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Action {
    /// The target whose rule made it.
    pub owner: Label,
    /// The kind of work, such as `LispCompile`; one word.
    pub mnemonic: Arc<str>,
    /// What to show while it runs; `None`: mnemonic and first output.
    pub progress_message: Option<Arc<str>>,
    /// Name of the configuration, such as `k8-fastbuild`.
    pub configuration: Arc<str>,
    /// Every artifact it may read: a depset of files. [`crate::artifact::Root::System`] artifacts
    /// in it are the parts of the machine that it sees.
    pub inputs: Depset,
    /// Every artifact it must write, at least one.
    pub outputs: Vec<Artifact>,
    /// What it does.
    pub kind: ActionKind,
}

impl Action {
    /// What to show while it runs.
    pub fn description(&self) -> Arc<str> {
        self.progress_message
            .clone()
            .unwrap_or_else(|| format!("{} {}", self.mnemonic, self.primary()).into())
    }

    /// The exec path of its first output, by which it is known from build to build.
    pub fn primary(&self) -> &str {
        self.outputs.first().map_or("", Artifact::exec_path)
    }

    /// Whether it runs outside the sandbox.
    pub fn is_unconfined(&self) -> bool {
        let ActionKind::Spawn(spawn) = &self.kind else { return false };
        spawn.requires("local") || spawn.requires("no-sandbox")
    }

    /// How many of the places for running actions it takes.
    pub fn places(&self) -> usize {
        let ActionKind::Spawn(spawn) = &self.kind else { return 1 };
        if spawn.requires("exclusive") {
            return usize::MAX;
        }
        let cpus = spawn.requirements.keys().find_map(|name| name.strip_prefix("cpu:"));
        cpus.and_then(|number| number.parse().ok()).unwrap_or(1)
    }
}

/// What an action does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ActionKind {
    /// Runs a process.
    Spawn(Spawn),
    /// Writes a text file.
    Write {
        /// The text: strings one after the other; [`CommandArg::Args`] yield one line for each argument.
        content: Vec<CommandArg>,
        /// Whether the file can be run.
        executable: bool,
    },
    /// Copies a text file and replaces texts in it, in the order given.
    ExpandTemplate {
        /// The template, also among the inputs.
        template: Artifact,
        /// Pairs of a text and what stands in its place.
        substitutions: Vec<(Arc<str>, Arc<str>)>,
        /// Whether the file can be run.
        executable: bool,
    },
    /// Makes the output the same as another artifact, without copying where that can be done.
    Symlink {
        /// What the output is the same as.
        target: SymlinkTarget,
        /// Whether it is an error if the target cannot be run.
        executable: bool,
    },
    /// Finds out the status of the workspace, whenever somebody needs it; see
    /// [`crate::workspace_status`].
    WorkspaceStatus,
    /// Stands for a runfiles tree; nothing is written unless somebody needs it on disk.
    RunfilesTree(Arc<Runfiles>),
}

/// What a [`ActionKind::Symlink`] points to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum SymlinkTarget {
    /// An artifact, also among the inputs.
    Artifact(Artifact),
    /// A text, for outputs of the kind `Symlink`; it may dangle.
    Path(Arc<str>),
}

/// A process to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spawn {
    /// The command line. The first argument is the program: a path relative to the execution
    /// root, or an absolute path of a system artifact among the inputs.
    pub argv: Vec<CommandArg>,
    /// The whole environment, nothing is inherited. What every action gets is added where it is
    /// not given (`PATH`, `HOME`, `TMPDIR`, `LANG`).
    pub env: BTreeMap<Arc<str>, Arc<str>>,
    /// Bazel's execution requirements, such as `no-cache`, `requires-network`, `cpu:2`; and ours:
    /// `hint:TEXT`, what to tell the user when the process fails and wrote this text.
    pub requirements: BTreeMap<Arc<str>, Arc<str>>,
    /// How long it may take; `None`: for ever.
    pub timeout: Option<Duration>,
    /// Set for the run of a test: its exit status is a result and no failure of the build.
    pub test: Option<TestRun>,
    /// Set if its process can be forked from one that others share.
    pub resident: Option<Box<Resident>>,
}

impl Spawn {
    /// Whether it has the execution requirement `name`.
    pub fn requires(&self, name: &str) -> bool {
        self.requirements.contains_key(name)
    }

    /// Whether its results are kept in the disk cache.
    pub fn uses_cache(&self) -> bool {
        !self.requires("no-cache")
    }
}

/// How the process of an action can be forked from one that begins as others do, a **stem**.
///
/// A stem is the same program with another end of the command line. It deals with steps that several
/// actions begin with, and then forks their processes: each gets the words of its own command line
/// that come after what it has in common with that of the stem, and goes on with the steps that are
/// left. What an action does is said by its own command line alone; a stem only does it sooner. The
/// protocol is in [`crate::sandbox`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resident {
    /// The command line of a stem.
    pub argv: Vec<CommandArg>,
    /// The steps in their order, each a line.
    pub steps: Arc<Args>,
    /// What a stem needs before its first step.
    pub tools: Depset,
    /// The inputs that no step needs; a stem does not see them.
    pub own: Depset,
}

/// One run of one shard of a test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TestRun {
    /// Number of this shard, from 0.
    pub shard: u32,
    /// Number of shards, at least 1.
    pub shards: u32,
    /// Number of this run, from 1.
    pub run: u32,
    /// Number of runs, at least 1.
    pub runs: u32,
    /// How often it is tried before it counts as failed, at least 1.
    pub attempts: u32,
    /// The program's own file, for its runfiles directory.
    pub executable: Artifact,
    /// The runfiles tree that is its working directory.
    pub runfiles: Artifact,
    /// Name of the workspace, the directory in the runfiles tree that is its working directory.
    pub workspace: Arc<str>,
    /// `test.log`, among the outputs.
    pub log: Artifact,
    /// `test.xml`, among the outputs.
    pub xml: Artifact,
    /// The tree of undeclared outputs, among the outputs.
    pub undeclared_outputs: Artifact,
    /// The tree of what it ran, among the outputs, if that is collected.
    pub coverage: Option<Artifact>,
}

/// A part of a command line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum CommandArg {
    /// One argument as it is.
    Str(Arc<str>),
    /// What an `Args` object collected.
    Args(Arc<Args>),
}

/// What a rule collected with `ctx.actions.args()`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Args {
    /// In the order in which they were added.
    pub items: Vec<ArgItem>,
    /// Whether and how they may go to a parameter file.
    pub param_file: Option<ParamFile>,
    /// How a file of them is written, be it a parameter file or the output of `ctx.actions.write`.
    pub format: ParamFileFormat,
}

/// When and how arguments are put into a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ParamFile {
    /// The argument that names the file, with one `%s`.
    pub flag_format: Arc<str>,
    /// Even when the command line is short.
    pub always: bool,
}

/// How arguments stand in a parameter file. Bazel's `set_param_file_format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParamFileFormat {
    /// One to a line, quoted for a shell.
    #[default]
    Shell,
    /// One to a line, as they are.
    Multiline,
    /// One to a line, a flag and its value on one line, as they are.
    FlagPerLine,
}

/// One call of `Args.add`, `add_all` or `add_joined`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ArgItem {
    /// `add(flag, value, format = …)`.
    One {
        /// Precedes the value as an argument of its own.
        flag: Option<Arc<str>>,
        /// A string, number, label or file.
        value: Value,
        /// With one `%s` for the value.
        format: Option<Arc<str>>,
    },
    /// `add_all` and `add_joined`.
    Many(ManyArgs),
}

/// Arguments made of a sequence, expanded only when the command line is needed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ManyArgs {
    /// Precedes the values as an argument of its own.
    pub flag: Option<Arc<str>>,
    /// The values. Where the rule gave `map_each` these are already its results, in a depset of
    /// the same shape, save that trees to be expanded are left as files.
    pub values: ArgValues,
    /// With one `%s` for each value.
    pub format_each: Option<Arc<str>>,
    /// Precedes each value as an argument of its own (`add_all`).
    pub before_each: Option<Arc<str>>,
    /// Follows all values as an argument of its own (`add_all`).
    pub terminate_with: Option<Arc<str>>,
    /// Whether nothing at all is added when there are no values.
    pub omit_if_empty: bool,
    /// Whether a value is used only once.
    pub uniquify: bool,
    /// Whether a tree stands for the files below it.
    pub expand_directories: bool,
    /// Set for `add_joined`.
    pub joined: Option<Joined>,
}

/// How `add_joined` makes one argument of many.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Joined {
    /// Stands between the values.
    pub join_with: Arc<str>,
    /// With one `%s` for the joined text.
    pub format_joined: Option<Arc<str>>,
}

/// The values of [`ManyArgs`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ArgValues {
    /// In this order. A list inside the list (the result of a `map_each` that returned several
    /// values) stands for its elements.
    List(Arc<[Value]>),
    /// In the depset's order. A list as an element stands for its elements.
    Depset(Depset),
}
