//! Formatting of BUILD, WORKSPACE and `.bzl` files.
//!
//! The result is what buildifier makes of a file, with two differences: lists of Lisp sources keep
//! their order, since files are compiled in it, and no comment is ever lost. A text is formatted
//! when formatting changes nothing in it, so a result is formatted again until it stays the same,
//! and that it says what the text said is checked before it is given out.
//!
//! Trees are walked recursively, as deep as the parser lets them get: callers need a stack of
//! [`STACK_SIZE`] for files that they do not know.

mod attachment;
mod error;
mod expression_parser;
mod file_kind;
mod lexer;
mod meaning;
mod parser;
mod printer;
mod rewrite;
mod sequence_printer;
mod string_literal;
mod syntax;
mod tables;

pub use error::{FormatError, SyntaxError};
pub use file_kind::FileKind;
pub use tables::{COMPILE_ORDER, Tables};

/// How much stack a thread needs that formats.
pub const STACK_SIZE: usize = 64 << 20;

/// How often a result is formatted again.
const ROUNDS: usize = 5;

/// `text`, formatted as a file of the kind `kind` in the package `package`.
pub fn format(
    text: &str,
    kind: FileKind,
    tables: &Tables,
    package: &str,
) -> Result<String, FormatError> {
    let mut text = text.to_owned();
    for _ in 0..ROUNDS {
        let mut file = parser::parse(&text)?;
        let before = meaning::comments(&mut file);
        rewrite::rewrite(&mut file, kind, tables, package);
        let formatted = printer::print(&file, kind);
        if formatted == text {
            return Ok(text);
        }
        let mut again =
            parser::parse(&formatted).map_err(|_| FormatError::Changed("not be Starlark"))?;
        if !meaning::is_same(&file, &again) {
            return Err(FormatError::Changed("say something else"));
        }
        if meaning::comments(&mut again) != before {
            return Err(FormatError::Changed("lose comments"));
        }
        text = formatted;
    }
    Err(FormatError::Changed("change each time"))
}

#[cfg(test)]
mod format_tests;
