//! Failures of actions: everything that a message to the user is made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::action::Action;
use crate::event::ActionOutput;
use crate::label::Label;

/// An action that did not succeed.
#[derive(Clone, Debug)]
pub struct ActionFailure {
    /// The target whose action it is.
    pub owner: Label,
    /// The kind of work.
    pub mnemonic: Arc<str>,
    /// What was shown while it ran.
    pub message: Arc<str>,
    /// What went wrong.
    pub cause: FailureCause,
    /// What its process wrote.
    pub output: ActionOutput,
    /// The command line and environment, for `--verbose_failures`; empty if none ran.
    pub command: Vec<String>,
    /// What it looked for that exists in the workspace but was not declared.
    pub undeclared: Vec<UndeclaredInput>,
    /// What its rule says to do about what its process wrote.
    pub hints: Vec<String>,
    /// The directory kept for inspection by `--sandbox_debug`.
    pub sandbox: Option<PathBuf>,
}

impl ActionFailure {
    /// The failure of an action that ran no process.
    pub fn new(action: &Action, cause: FailureCause) -> ActionFailure {
        ActionFailure {
            owner: action.owner.clone(),
            mnemonic: action.mnemonic.clone(),
            message: action.description(),
            cause,
            output: ActionOutput::default(),
            command: Vec::new(),
            undeclared: Vec::new(),
            hints: Vec::new(),
            sandbox: None,
        }
    }
}

/// Why an action did not succeed.
#[derive(Clone, Debug)]
pub enum FailureCause {
    /// Its process ended with a status other than 0.
    Exit(i32),
    /// Its process was killed by a signal.
    Signal(i32),
    /// It took longer than it may.
    Timeout(Duration),
    /// It took more memory than it may: so many bytes.
    Memory(u64),
    /// Its process succeeded, but these outputs (exec paths) were not there.
    OutputsMissing(Vec<String>),
    /// A source that it needs does not exist.
    SourceMissing {
        /// Exec path.
        path: String,
        /// The label that names it.
        label: Label,
    },
    /// A source could not be read.
    SourceUnreadable {
        /// Where it lies.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// What it made, or was to use, is not what its rule says.
    Unfit {
        /// Exec path.
        path: String,
        /// What is wrong with it, as the rest of a sentence.
        reason: String,
    },
    /// An input changed while the action ran.
    ChangedDuringBuild {
        /// Exec path.
        path: String,
    },
    /// The machine is at fault: no space, no process, no sandbox.
    Machine(String),
    /// The build was interrupted.
    Interrupted,
}

/// An input that an action missed, with the declaration that would give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndeclaredInput {
    /// The path that the action asked for, relative to the execution root where it lies below it.
    pub path: String,
    /// The target or source file that has it, if one does.
    pub label: Option<Label>,
}
