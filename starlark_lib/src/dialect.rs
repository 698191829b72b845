//! Dialects: which syntax may stand in which kind of file, and what keeps parsing it safe.

use rbz_engine::diagnostic::{Diagnostic, Place};
use starlark::syntax::{AstModule, Dialect, DialectTypes};

use crate::operators;
use crate::starlark_error;

/// What kind of file a text is, which decides on its syntax and its globals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A `.bzl` file.
    Bzl,
    /// A BUILD file.
    Build,
    /// A WORKSPACE file.
    Workspace,
}

impl FileKind {
    /// The syntax of such files.
    pub fn dialect(self) -> Dialect {
        match self {
            FileKind::Bzl => Dialect {
                enable_def: true,
                enable_lambda: true,
                enable_load: true,
                enable_keyword_only_arguments: true,
                enable_positional_only_arguments: true,
                enable_types: DialectTypes::Enable,
                enable_load_reexport: false,
                enable_top_level_stmt: false,
                enable_f_strings: false,
                ..Dialect::Standard
            },
            FileKind::Build | FileKind::Workspace => Dialect {
                enable_def: false,
                enable_lambda: false,
                enable_load: true,
                enable_keyword_only_arguments: false,
                enable_positional_only_arguments: false,
                enable_types: DialectTypes::Disable,
                enable_load_reexport: false,
                enable_top_level_stmt: false,
                enable_f_strings: false,
                ..Dialect::Standard
            },
        }
    }
}

/// What stands for the name `load` where it is no statement: of an attribute, an argument, a
/// field. The parser takes the word for a keyword everywhere. As long as the word itself, so that
/// all places stay true.
const LOAD_NAME: &str = "l0aD";

/// The name that a user wrote for an identifier of the parsed text.
pub fn real_name(identifier: &str) -> &str {
    if identifier == LOAD_NAME { "load" } else { identifier }
}

/// A text of messages with the names that the user wrote.
pub fn real_text(text: &str) -> String {
    text.replace(LOAD_NAME, "load")
}

/// The text with [`LOAD_NAME`] for each `load` that begins no statement.
fn load_as_name(text: &str) -> String {
    let bytes = text.as_bytes();
    let word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let keywords = keyword_parameters(text);
    let mut result = text.to_owned();
    let (mut at, mut open, mut first) = (0_usize, 0_usize, true);
    while at < bytes.len() {
        match bytes[at] {
            b'#' => {
                at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'"' | b'\'' => {
                let end = end_of_string(bytes, at);
                if matches!(&text[at..end], "\"load\"" | "'load'")
                    && is_key(&text[..at], &text[end..], &keywords)
                {
                    result.replace_range(at + 1..end - 1, LOAD_NAME);
                }
                at = end;
                first = false;
                continue;
            }
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'\n' if open == 0 => first = true,
            b'l' if bytes[at..].starts_with(b"load")
                && !word(bytes.get(at + 4))
                && !(at > 0 && word(bytes.get(at - 1))) =>
            {
                let call = text[at + 4..].trim_start_matches([' ', '\t']).starts_with('(');
                if !(first && open == 0 && call) {
                    result.replace_range(at..at + 4, LOAD_NAME);
                }
                at += 3;
            }
            _ => {}
        }
        if !bytes[at].is_ascii_whitespace() {
            first = false;
        }
        at += 1;
    }
    result
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The names of the parameters `**kwargs` of the functions in a text.
fn keyword_parameters(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices("def ") {
        let mut open = 0_usize;
        let end = text[at..].find(|c| {
            match c {
                '(' => open += 1,
                ')' => open = open.saturating_sub(1),
                _ => {}
            }
            c == ')' && open == 0
        });
        let header = &text[at..end.map_or(text.len(), |end| at + end)];
        if let Some((_, rest)) = header.split_once("**") {
            names.extend(rest.split(|c| !is_word(c)).next());
        }
    }
    names
}

/// Whether a string between two texts is a key that is looked up in one of `dicts`, whose keys are
/// names of arguments.
fn is_key(before: &str, after: &str, dicts: &[&str]) -> bool {
    let looked_up = ["[", ".get(", ".pop(", ".setdefault("].iter().any(|access| {
        let dict = before.trim_end().strip_suffix(access);
        let dict = dict.and_then(|before| before.rsplit(|c| !is_word(c)).next());
        dict.is_some_and(|name| dicts.contains(&name))
    });
    let mut words = after.split(|c| !is_word(c)).filter(|word| !word.is_empty());
    let operator = words.next().filter(|word| *word != "not").or_else(|| words.next());
    let asked = after.starts_with([' ', '\t']) && operator == Some("in");
    looked_up || asked && words.next().is_some_and(|name| dicts.contains(&name))
}

/// How deep brackets may be nested. The parser and the compiler recurse on them.
const MAX_NESTING: usize = 200;

/// How many operators may stand in one statement, for the same reason.
const MAX_OPERATORS: usize = 20_000;

/// Parses `text`, shown as `file`.
pub fn parse(file: &str, text: &str, kind: FileKind) -> Result<AstModule, Box<Diagnostic>> {
    check_depth(file, text)?;
    let mut ast = AstModule::parse(file, load_as_name(text), &kind.dialect())
        .map_err(|error| Box::new(starlark_error::diagnostic(error, kind)))?;
    operators::replace(&mut ast);
    Ok(ast)
}

/// Refuses what would make the parser recurse too deep.
fn check_depth(file: &str, text: &str) -> Result<(), Box<Diagnostic>> {
    let bytes = text.as_bytes();
    let (mut open, mut operators, mut prefixes, mut at) = (0_usize, 0_usize, 0_usize, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'#' => {
                at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'"' | b'\'' => {
                at = end_of_string(bytes, at);
                prefixes = 0;
                continue;
            }
            b'(' | b'[' | b'{' => {
                open += 1;
                if open > MAX_NESTING {
                    let message = format!("brackets are nested more than {MAX_NESTING} deep");
                    return Err(Box::new(at_offset(file, text, at, message)));
                }
                prefixes = 0;
            }
            b')' | b']' | b'}' => {
                open = open.saturating_sub(1);
                prefixes = 0;
            }
            b'-' | b'~' | b'+' | b'*' | b'/' | b'%' | b'|' | b'&' | b'^' | b'.' | b'<' | b'>' => {
                operators += 1;
                prefixes += 1;
            }
            b'n' if bytes[at..].starts_with(b"not") => {
                operators += 1;
                prefixes += 1;
                at += 2;
            }
            b'i' if bytes[at..].starts_with(b"if ") => operators += 1,
            b'\n' if open == 0 => {
                operators = 0;
                prefixes = 0;
            }
            b' ' | b'\t' | b'\n' | b'\r' | b'\\' => {}
            _ => prefixes = 0,
        }
        if prefixes > MAX_NESTING || operators > MAX_OPERATORS {
            let message = "an expression has too many operators".to_owned();
            return Err(Box::new(at_offset(file, text, at, message)));
        }
        at += 1;
    }
    Ok(())
}

/// The index after the string literal that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let raw = start > 0 && bytes[start - 1] == b'r';
    let triple = bytes[start..].starts_with(&[quote, quote, quote]);
    let mut at = start + if triple { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            // A backslash keeps a quote from ending the string in raw strings too.
            b'\\' => at += if raw && !bytes[at..].starts_with(&[b'\\', quote]) { 1 } else { 2 },
            b'\n' if !triple => return at,
            byte if byte == quote && (!triple || bytes[at..].starts_with(&[quote; 3])) => {
                return at + if triple { 3 } else { 1 };
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// An error at a byte offset of a text.
fn at_offset(file: &str, text: &str, offset: usize, message: String) -> Diagnostic {
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let place = Place {
        file: file.to_owned(),
        // Texts of 4 GiB are not parsed.
        line: before.matches('\n').count() as u32 + 1,
        column: text[start..offset].chars().count() as u32 + 1,
    };
    let shown: String = line.chars().take(160).collect();
    let diagnostic = Diagnostic::user(message);
    // A line of a megabyte helps nobody.
    if shown.len() == line.len() {
        diagnostic.at(place).with_source(shown)
    } else {
        diagnostic.at(place)
    }
}
