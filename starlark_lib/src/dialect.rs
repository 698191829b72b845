//! Dialects: which syntax may stand in which kind of file, and what keeps parsing it safe.

use std::cell::LazyCell;

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
    // In most files every `load` begins a statement, and no string is one.
    let keywords = LazyCell::new(|| keyword_parameters(text));
    let word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
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

/// How many operators may work on each other's results, for the same reason.
const MAX_OPERATORS: usize = 20_000;

/// Parses `text`, shown as `file`.
pub fn parse(file: &str, text: &str, kind: FileKind) -> Result<AstModule, Box<Diagnostic>> {
    check_depth(file, text)?;
    let mut ast = AstModule::parse(file, load_as_name(text), &kind.dialect())
        .map_err(|error| Box::new(starlark_error::diagnostic(error, kind)))?;
    operators::replace(&mut ast);
    Ok(ast)
}

/// How much of a text nests, as far as has been read.
#[derive(Default)]
struct Nesting {
    /// The operators in front of the place in each of the brackets that are open there, which a comma
    /// separates from what follows. The first is that of the statement.
    operators: Vec<usize>,
    /// Their sum.
    total: usize,
    /// Operators without anything between them.
    prefixes: usize,
    /// Branches of `if` statements in the function.
    branches: usize,
}

impl Nesting {
    fn open(&mut self) {
        self.operators.push(0);
    }

    fn close(&mut self) {
        // A bracket too many is the parser's matter.
        self.total -= self.operators.pop().unwrap_or(0);
    }

    fn operator(&mut self) {
        self.count(1);
        self.prefixes += 1;
    }

    fn count(&mut self, number: usize) {
        match self.operators.last_mut() {
            Some(inner) => *inner += number,
            None => self.operators.push(number),
        }
        self.total += number;
    }

    /// Begins another element of a list, or another statement.
    fn separate(&mut self) {
        if let Some(inner) = self.operators.last_mut() {
            self.total -= std::mem::take(inner);
        }
        self.prefixes = 0;
    }

    /// A keyword; `first` if it begins a line.
    fn word(&mut self, word: &[u8], first: bool) {
        match word {
            b"not" => return self.operator(),
            b"and" | b"or" | b"in" | b"if" => self.count(1),
            // The parser needs much more for these.
            b"lambda" => self.count(MAX_OPERATORS / MAX_NESTING),
            b"elif" => self.branches += 1,
            b"def" if first => self.branches = 0,
            _ => {}
        }
        self.prefixes = 0;
    }

    fn wrong(&self) -> Option<&'static str> {
        if self.prefixes > MAX_NESTING || self.total > MAX_OPERATORS {
            return Some("an expression has too many operators");
        }
        (self.branches > MAX_OPERATORS).then_some("an `if` has too many branches")
    }
}

/// Refuses what would make the parser recurse too deep.
fn check_depth(file: &str, text: &str) -> Result<(), Box<Diagnostic>> {
    let bytes = text.as_bytes();
    let mut nesting = Nesting { operators: vec![0], ..Nesting::default() };
    let (mut at, mut line_start, mut after_operand) = (0_usize, true, false);
    while at < bytes.len() {
        let first = std::mem::replace(&mut line_start, false);
        let mut length = 1;
        match bytes[at] {
            b'#' => {
                length = bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at);
            }
            b'"' | b'\'' => {
                length = end_of_string(bytes, at) - at;
                nesting.prefixes = 0;
                after_operand = true;
            }
            b'(' | b'[' | b'{' => {
                // What is called, or indexed, lies within the call.
                if after_operand {
                    nesting.count(1);
                }
                nesting.open();
                if nesting.operators.len() > MAX_NESTING + 1 {
                    let message = format!("brackets are nested more than {MAX_NESTING} deep");
                    return Err(Box::new(at_offset(file, text, at, message)));
                }
                nesting.prefixes = 0;
                after_operand = false;
            }
            b')' | b']' | b'}' => {
                nesting.close();
                nesting.prefixes = 0;
                after_operand = true;
            }
            b'-' | b'~' | b'+' | b'*' | b'/' | b'%' | b'|' | b'&' | b'^' | b'.' | b'<' | b'>' => {
                nesting.operator();
                after_operand = false;
            }
            b',' | b';' => {
                nesting.separate();
                after_operand = false;
            }
            b'\n' if nesting.operators.len() <= 1 => {
                nesting.separate();
                line_start = true;
                after_operand = false;
            }
            b' ' | b'\t' | b'\n' | b'\r' | b'\\' => {}
            byte if byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii() => {
                let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii();
                let rest = &bytes[at..];
                length = rest.iter().position(|b| !is_word(b)).unwrap_or(rest.len());
                nesting.word(&rest[..length], first);
                after_operand = true;
            }
            _ => {
                nesting.prefixes = 0;
                after_operand = false;
            }
        }
        if let Some(message) = nesting.wrong() {
            return Err(Box::new(at_offset(file, text, at, message.to_owned())));
        }
        at += length;
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

/// How long a line may be that is shown with an error: a line of a megabyte helps nobody.
const MAX_SHOWN: usize = 500;

/// A line of a file as it is shown with an error; `None` if it is too long to help.
pub fn shown_line(line: &str) -> Option<String> {
    (line.len() <= MAX_SHOWN).then(|| line.to_owned())
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
    let diagnostic = Diagnostic { source: shown_line(line), ..Diagnostic::user(message) };
    diagnostic.at(place)
}
