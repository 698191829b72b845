//! What is wrong with a file that cannot be formatted.

use thiserror::Error;

use crate::syntax::Position;

/// A place that does not follow the grammar.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{line}:{column}: {message}")]
pub struct SyntaxError {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    #[allow(missing_docs)]
    pub message: String,
}

impl SyntaxError {
    /// An error at `at`.
    pub fn new(at: Position, message: impl Into<String>) -> Self {
        SyntaxError { line: at.line, column: at.column, message: message.into() }
    }
}

/// Why there is no formatted text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FormatError {
    /// The file is wrong.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// The formatted text would not say the same. An error of ours; nothing must be written then.
    #[error("the formatted text would {0}")]
    Changed(&'static str),
}
