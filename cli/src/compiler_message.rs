//! Messages of compilers, read from what they wrote: `file:line:column: severity: text`.
//!
//! The Lisp driver, GCC and Clang write alike, the source line and more about it indented below.

use rbz_engine::diagnostic::Place;

/// Severities, as compilers write them, and whether the message is of an error.
const SEVERITIES: [(&str, Severity); 7] = [
    ("fatal error", Severity::Error),
    ("error", Severity::Error),
    ("style-warning", Severity::Warning),
    ("warning", Severity::Warning),
    ("compiler-note", Severity::Note),
    ("note", Severity::Note),
    ("remark", Severity::Note),
];

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// What it is about cannot be used.
    Error,
    /// Something is most likely wrong.
    Warning,
    /// Something to know.
    Note,
}

impl Severity {
    /// In SARIF and in one word.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompilerMessage {
    /// Where; line and column are 0 if they were not told.
    pub place: Place,
    /// How bad it is.
    pub severity: Severity,
    /// The word that the compiler has for that, such as `style-warning`.
    pub word: &'static str,
    /// In one sentence.
    pub text: String,
    /// The kind of message: the condition of Lisp, the option of a C compiler.
    pub code: Option<String>,
    /// What to do.
    pub hints: Vec<String>,
    /// The source line.
    pub source: Option<String>,
}

/// The messages in what a compiler wrote.
pub fn parse(output: &str) -> Vec<CompilerMessage> {
    let mut messages: Vec<CompilerMessage> = Vec::new();
    for line in output.lines() {
        if let Some(message) = first_line(line) {
            messages.push(message);
        } else if let (Some(message), true) = (messages.last_mut(), line.starts_with(' ')) {
            add_line(message, line.trim_start());
        }
    }
    messages
}

fn first_line(line: &str) -> Option<CompilerMessage> {
    for (word, severity) in SEVERITIES {
        let Some((place, text)) = line.split_once(&format!(": {word}: ")) else { continue };
        let Some(place) = place_of(place) else { continue };
        let (text, code) = match text.strip_suffix(']').and_then(|text| text.rsplit_once(" [")) {
            Some((text, code)) if code.starts_with('-') => (text, Some(code.to_owned())),
            _ => (text, None),
        };
        return Some(CompilerMessage {
            place,
            severity,
            word,
            text: text.to_owned(),
            code,
            hints: Vec::new(),
            source: None,
        });
    }
    None
}

/// `file:line:column`, `file:line`, or a file as a whole.
fn place_of(text: &str) -> Option<Place> {
    let Some((rest, last)) = text.rsplit_once(':') else {
        // Programs begin their messages with their own names.
        let is_file = text.contains('.') && !text.starts_with('/') && !text.contains(' ');
        return is_file.then(|| Place { file: text.to_owned(), line: 0, column: 0 });
    };
    let last: u32 = last.parse().ok()?;
    let (file, line, column) = match rest.rsplit_once(':') {
        Some((file, line)) if line.parse::<u32>().is_ok() => (file, line.parse().ok()?, last),
        _ => (rest, last, 0),
    };
    // A file is one word in front, and no sentence.
    (!file.is_empty() && !file.contains(": ")).then(|| Place {
        file: file.to_owned(),
        line,
        column,
    })
}

/// A line about a message, without its indentation.
fn add_line(message: &mut CompilerMessage, line: &str) {
    if let Some(hint) = line.strip_prefix("hint: ") {
        message.hints.push(hint.to_owned());
    } else if let Some(condition) = line.strip_prefix("condition: ") {
        message.code = Some(condition.to_owned());
    } else if let Some((number, source)) = line.split_once(" | ")
        && message.source.is_none()
        && number.parse() == Ok(message.place.line)
    {
        message.source = Some(source.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_lisp_and_c_are_found_among_the_rest() {
        let text = "\
; compiling
lib.lisp:2:8: warning: Constant 17 conflicts with its asserted type SEQUENCE.
    2 |   (+ 1 (length 17)))
      |        ^
  in: (defun f ()
  condition: sb-int:type-warning
  hint: nowarn = [\"type-conflict\"] silences it
a b/lib.lisp:3: style-warning: undefined: X
In file included from x.c:1:
x.h:4:5: error: unknown type name 'in' [-Werror=implicit]
    4 | in x;
      | ^~
x.c: note: a note without a line
ld: error: of no file
he said: 4:5: error: nothing
";
        let found = parse(text);
        let shown: Vec<String> = found
            .iter()
            .map(|message| {
                let CompilerMessage { place, severity, word, text, code, hints, source } = message;
                format!("{place} {} {word} {text} {code:?} {hints:?} {source:?}", severity.name())
            })
            .collect();
        assert_eq!(
            shown,
            [
                "lib.lisp:2:8 warning warning Constant 17 conflicts with its asserted type SEQUENCE. \
                 Some(\"sb-int:type-warning\") [\"nowarn = [\\\"type-conflict\\\"] silences it\"] \
                 Some(\"  (+ 1 (length 17)))\")",
                "a b/lib.lisp:3:0 warning style-warning undefined: X None [] None",
                "x.h:4:5 error error unknown type name 'in' Some(\"-Werror=implicit\") [] \
                 Some(\"in x;\")",
                "x.c:0:0 note note a note without a line None [] None",
            ]
        );
    }
}
