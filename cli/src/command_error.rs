//! Errors of commands: what went wrong, what to do about it, and with which status rbz then exits.

use std::fmt;

use rbz_engine::diagnostic::{Diagnostic, ErrorClass};

/// Why a command failed. Decides the exit status, and nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The build, or something it needs, is wrong.
    BuildFailed,
    /// The command line, an rc file, or the place where rbz was called is wrong.
    CommandLine,
    /// Everything was built, but some test failed.
    TestsFailed,
    /// There was nothing to test.
    NoTests,
    /// What a query asks about is wrong, or not there.
    QueryFailed,
    /// A query was answered, but not all that it asks about could be had.
    PartialAnswer,
    /// Files are not formatted.
    NotFormatted,
    /// The user stopped it.
    Interrupted,
    /// Another rbz works in the workspace, and the user does not want to wait.
    LockHeld,
    /// The machine is at fault: no space, no permission.
    Environment,
    /// rbz is at fault.
    Internal,
}

impl ErrorKind {
    /// The exit status, Bazel's.
    pub fn exit_status(self) -> u8 {
        match self {
            ErrorKind::BuildFailed => 1,
            ErrorKind::CommandLine => 2,
            ErrorKind::TestsFailed => 3,
            ErrorKind::NoTests => 4,
            ErrorKind::NotFormatted => 4,
            ErrorKind::QueryFailed => 7,
            ErrorKind::PartialAnswer => 3,
            ErrorKind::Interrupted => 8,
            ErrorKind::LockHeld => 9,
            ErrorKind::Environment => 36,
            ErrorKind::Internal => 37,
        }
    }
}

/// An error that ends a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    /// Decides the exit status.
    pub kind: ErrorKind,
    /// What is wrong, without full stop; `None` when it was already said.
    pub message: Option<String>,
    /// What to do, each one sentence without full stop.
    pub hints: Vec<String>,
}

impl CommandError {
    /// An error of this kind with this message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = without_numbers(message.into());
        CommandError { kind, message: Some(message), hints: Vec::new() }
    }

    /// A mistake on the command line or in an rc file.
    pub fn command_line(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::CommandLine, message)
    }

    /// A fault of the machine.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Environment, message)
    }

    /// An outcome about which everything was said already.
    pub fn already_reported(kind: ErrorKind) -> Self {
        CommandError { kind, message: None, hints: Vec::new() }
    }

    /// With one more thing to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// With the hint that `candidate` may have been meant, if there is one.
    pub fn hint_nearest(self, candidate: Option<String>) -> Self {
        match candidate {
            Some(candidate) => self.hint(format!("did you mean `{candidate}`?")),
            None => self,
        }
    }
}

/// `text` without the numbers of the system's errors, which help nobody.
fn without_numbers(mut text: String) -> String {
    const BEFORE: &str = " (os error ";
    while let Some(at) = text.find(BEFORE) {
        let end = text[at..].find(')').map_or(text.len(), |length| at + length + 1);
        text.replace_range(at..end, "");
    }
    text
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or_default())?;
        for hint in &self.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CommandError {}

/// The kind of a command's error whose reason is a diagnostic of this class.
impl From<ErrorClass> for ErrorKind {
    fn from(class: ErrorClass) -> Self {
        match class {
            ErrorClass::User => ErrorKind::BuildFailed,
            ErrorClass::Machine => ErrorKind::Environment,
            ErrorClass::Internal => ErrorKind::Internal,
        }
    }
}

impl From<Diagnostic> for CommandError {
    fn from(diagnostic: Diagnostic) -> Self {
        // The hints are part of the rendered diagnostic.
        CommandError::new(diagnostic.class.into(), diagnostic.to_string())
    }
}

/// The name in `candidates` that `name` is most likely a misspelling of.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbour_and_a_strange_one_none() {
        let names = ["keep_going", "verbose_failures", "jobs"];
        assert_eq!(nearest("keep-going", names).as_deref(), Some("keep_going"));
        assert_eq!(nearest("verbose_failure", names).as_deref(), Some("verbose_failures"));
        assert_eq!(nearest("xyzzy", names), None);
    }

    #[test]
    fn errors_of_the_system_have_words_and_no_numbers() {
        let error = std::io::Error::from_raw_os_error(13);
        let error = CommandError::environment(format!("cannot read `/x`: {error}; nor `/y`"));
        assert_eq!(error.to_string(), "cannot read `/x`: Permission denied; nor `/y`");
    }

    #[test]
    fn an_error_shows_its_hints_below_it() {
        let error = CommandError::command_line("`--x` is no option").hint("try `--y`");
        assert_eq!(error.to_string(), "`--x` is no option\nhint: try `--y`");
        assert_eq!(error.kind.exit_status(), 2);
    }
}
