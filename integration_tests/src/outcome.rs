//! What a call of `rbz` led to.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use crate::events::{Action, Events};
use crate::redaction::Redaction;
use crate::trace::Trace;

/// Exit status, text and deeds of a call that has ended.
pub struct Outcome {
    command_line: String,
    stdout: String,
    stderr: String,
    exit_code: i32,
    redaction: Redaction,
    events: Option<Events>,
    trace: Option<Trace>,
}

impl Outcome {
    pub(crate) fn new(
        command_line: String,
        output: Output,
        redaction: Redaction,
        events: Option<Events>,
        trace: Option<Trace>,
    ) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let status = output.status;
        Outcome {
            command_line,
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            // As a shell says it.
            exit_code: status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1),
            redaction,
            events,
            trace,
        }
    }

    /// What it wrote to stdout.
    pub fn stdout(&self) -> &str {
        &self.stdout
    }

    /// What it wrote to stderr.
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    /// Its exit status.
    pub fn exit_code(&self) -> i32 {
        self.exit_code
    }

    /// Expects this text in stdout.
    pub fn stdout_has(&self, text: &str) -> &Self {
        assert!(self.stdout.contains(text), "no `{text}` in stdout of {self}");
        self
    }

    /// Expects this text in either.
    pub fn shows(&self, text: &str) -> &Self {
        let shown = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(shown, "no `{text}` in what was shown by {self}");
        self
    }

    /// Expects this text in stderr.
    pub fn stderr_has(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "no `{text}` in stderr of {self}");
        self
    }

    /// Expects that this text is not in stderr.
    pub fn stderr_lacks(&self, text: &str) -> &Self {
        assert!(!self.stderr.contains(text), "`{text}` in stderr of {self}");
        self
    }

    /// The exit status and stderr, with paths and times made the same everywhere: for golden files.
    pub fn golden(&self) -> String {
        let lines = self.stderr.split_inclusive('\n').filter(|line| !is_progress(line));
        let text: String = lines.collect();
        format!("exit status {}\n{}", self.exit_code, self.redaction.apply(&text))
    }

    /// Stdout, with paths and times made the same everywhere: for golden files.
    pub fn golden_stdout(&self) -> String {
        self.redaction.apply(&self.stdout)
    }

    /// The exit status and the errors of stderr, without progress and results: for golden files of
    /// messages.
    pub fn golden_errors(&self) -> String {
        const OTHERS: [&str; 5] = ["INFO:", "WARNING:", "DEBUG:", "Target ", "Executed"];
        let mut errors = String::new();
        let mut inside = false;
        for line in self.stderr.lines().filter(|line| !is_progress(line)) {
            if line.starts_with("ERROR:") {
                inside = true;
            } else if OTHERS.iter().any(|start| line.starts_with(start)) {
                inside = false;
            }
            if inside {
                errors.push_str(line);
                errors.push('\n');
            }
        }
        format!("exit status {}\n{}", self.exit_code, self.redaction.apply(&errors))
    }

    /// The actions whose process ran, sorted by mnemonic and output.
    pub fn ran(&self) -> Vec<&Action> {
        self.events().ran()
    }

    /// The outputs of the actions of this kind that ran, sorted.
    pub fn ran_of(&self, mnemonic: &str) -> Vec<&str> {
        let of_kind = self.events().ran().into_iter().filter(|action| action.mnemonic == mnemonic);
        of_kind.map(|action| action.output.as_str()).collect()
    }

    /// What it did.
    pub fn events(&self) -> &Events {
        self.events.as_ref().expect("only commands that build tell what they did")
    }

    /// What it looked at, if it was traced.
    pub fn trace(&self) -> &Trace {
        self.trace.as_ref().expect("the call was traced")
    }

    pub(crate) fn expect_exit_code(&self, code: i32) {
        assert!(
            self.exit_code == code,
            "exit status {} instead of {code} of {self}",
            self.exit_code
        );
    }
}

/// Whether a line says what is going on: on a machine that is slow there are more of them.
fn is_progress(line: &str) -> bool {
    let counts = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let is_count = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    counts.is_some_and(|(counts, _)| counts.split(" / ").all(is_count))
        || line.starts_with("Loading: ")
        || line.starts_with("Analyzing: ")
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Outcome { command_line, stdout, stderr, .. } = self;
        write!(f, "`{command_line}`\n--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}
