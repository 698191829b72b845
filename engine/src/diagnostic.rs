//! Diagnostics: what is wrong, where, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose fault an error is. Decides the exit code and the tone, not the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorClass {
    /// The user's: a file of theirs, or the command line.
    User,
    /// The machine's: no space, no permission, a missing program.
    Machine,
    /// Ours: a state that should not be possible.
    Internal,
}

/// A place in a text file of the user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The path as shown: relative to the workspace, `external/REPO/…` elsewhere.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One line of the way to an error: a call, or a reference from one target to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Where.
    pub place: Option<Place>,
    /// What was going on there, such as "in `my_macro`" or "required by `//a:b`".
    pub what: String,
    /// The source line at the place.
    pub source: Option<String>,
}

/// An error or a warning, in parts; [`fmt::Display`] puts them together without colour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Whose fault.
    pub class: ErrorClass,
    /// Where, if it has a place.
    pub place: Option<Place>,
    /// One sentence without full stop, what it is about in backticks.
    pub message: String,
    /// The source line at the place.
    pub source: Option<String>,
    /// The way there, outermost first.
    pub trace: Vec<Frame>,
    /// What to do, each one sentence without full stop.
    pub hints: Vec<String>,
    /// Whether code of a rule or macro said so by intention: then the way through that code is of
    /// no help to others. Known only until the diagnostic is saved.
    #[serde(skip)]
    pub deliberate: bool,
}

impl Diagnostic {
    /// A mistake of the user.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::User, message)
    }

    /// A fault of the machine.
    pub fn machine(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Machine, message)
    }

    /// A fault of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Internal, message)
    }

    fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        let message = message.into();
        Diagnostic {
            class,
            place: None,
            message,
            source: None,
            trace: vec![],
            hints: vec![],
            deliberate: false,
        }
    }

    /// With a place.
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// With the source line at the place.
    pub fn with_source(mut self, line: impl Into<String>) -> Self {
        self.source = Some(line.into());
        self
    }

    /// With one more thing to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// With one more step of the way, outside those already there.
    pub fn within(mut self, frame: Frame) -> Self {
        self.trace.insert(0, frame);
        self
    }
}

/// Writes a source line below a message, with a caret under `column` (from 1).
fn write_source(f: &mut fmt::Formatter<'_>, line: &str, column: u32) -> fmt::Result {
    // The caret lines up under tabs too when the same white space stands before it.
    let before = line.chars().take(column.saturating_sub(1) as usize);
    let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    write!(f, "\n    {}\n    {indent}^", line.trim_end())
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        if let (Some(source), Some(place)) = (&self.source, &self.place) {
            write_source(f, source, place.column)?;
        }
        for frame in &self.trace {
            match &frame.place {
                Some(place) => write!(f, "\n  {place}: {}", frame.what)?,
                None => write!(f, "\n  {}", frame.what)?,
            }
            if let Some(source) = &frame.source {
                write!(f, "\n    {}", source.trim())?;
            }
        }
        for hint in &self.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}
