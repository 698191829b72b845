//! The explanations of a build: a line for each action that was not found done, and why.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use rbz_engine::event::{Event, How};
use rbz_engine::plan::Plan;
use rbz_engine::reason::Reason;

use crate::command_error::CommandError;
use crate::progress::count;

/// A file that explanations are written to, each as soon as it is known.
#[derive(Debug)]
pub struct ExplainFile {
    file: File,
    verbose: bool,
}

impl ExplainFile {
    /// A new file at `path`, of the build that `command` asks for; what was in it goes.
    pub fn create(path: &Path, verbose: bool, command: &str) -> Result<ExplainFile, CommandError> {
        let file = File::create(path).and_then(|mut file| {
            writeln!(file, "Build: {command}")?;
            Ok(file)
        });
        match file {
            Ok(file) => Ok(ExplainFile { file, verbose }),
            Err(error) => Err(CommandError::environment(format!(
                "cannot write the explanations to `{}`: {error}",
                path.display()
            ))),
        }
    }

    /// Writes the explanation that an event about `plan` is, if it is one.
    pub fn event(&mut self, event: &Event, plan: Option<&Plan>) -> std::io::Result<()> {
        let (Event::ActionExplained { action, how, reason }, Some(plan)) = (event, plan) else {
            return Ok(());
        };
        let action = plan.action(*action);
        let cached = if *how == How::CacheHit { "found in the disk cache; " } else { "" };
        writeln!(
            self.file,
            "{} ({} of {}): {cached}{}",
            action.description(),
            action.mnemonic,
            action.owner,
            text(reason, self.verbose)
        )
    }
}

/// A reason in one line. What is not the first change is only counted, unless all are wanted.
pub fn text(reason: &Reason, verbose: bool) -> String {
    match &reason.changes[..] {
        [first, more @ ..] if !more.is_empty() && !verbose => {
            format!("{first}, and {}", count(more.len(), "more change"))
        }
        _ => reason.to_string(),
    }
}
