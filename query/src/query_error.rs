//! Errors of queries, which point into the expression.

use rbz_engine::diagnostic::{Diagnostic, Place};

/// A part of an expression, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

impl Span {
    /// From the beginning of this one to the end of another.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end }
    }
}

/// What is wrong with an expression, or with what a part of it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// The part that is wrong.
    pub span: Span,
    /// What is wrong, and the place in a file if it lies there.
    pub cause: Box<Diagnostic>,
}

/// How much of a long line is shown.
const SHOWN: usize = 100;

impl QueryError {
    /// Something is wrong at `span`.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        QueryError { span, cause: Box::new(Diagnostic::user(message)) }
    }

    /// What the expression has at `span` means something that is wrong.
    pub fn of(span: Span, cause: Diagnostic) -> Self {
        QueryError { span, cause: Box::new(cause) }
    }

    /// With one more thing to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.cause.hints.push(hint.into());
        self
    }

    /// With the hint that `name` may have been meant, if there is one.
    pub fn hint_nearest(self, name: Option<&str>) -> Self {
        match name {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// The error as a message that shows its place in the expression `text`, which is called
    /// `name`. An error that lies in a file keeps the place there.
    pub fn diagnostic(self, text: &str, name: &str) -> Diagnostic {
        let mut diagnostic = *self.cause;
        if diagnostic.place.is_some() {
            return diagnostic;
        }
        let before = &text[..self.span.start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        let column = text[line_start..self.span.start].chars().count();
        // A part of a long line, with what is wrong in it.
        let skipped = if column > SHOWN * 2 / 3 { column - SHOWN / 2 } else { 0 };
        let shown: String = line.chars().skip(skipped).take(SHOWN).collect();
        let (prefix, width) = if skipped > 0 { ("…", 1) } else { ("", 0) };
        let rest = if line.chars().count() > skipped + SHOWN { "…" } else { "" };
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let line_number = narrow(before.matches('\n').count() + 1);
        // The caret is drawn below a column of what is shown; the place tells where it really is.
        let source = format!("{prefix}{shown}{rest}");
        diagnostic.place =
            Some(Place { file: name.to_owned(), line: line_number, column: narrow(column + 1) });
        if skipped > 0 {
            let caret = " ".repeat(column - skipped + width);
            diagnostic.message = format!("{}\n    {source}\n    {caret}^", diagnostic.message);
        } else if !line.is_empty() {
            diagnostic.source = Some(source);
        }
        diagnostic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, start: usize) -> String {
        QueryError::new(Span { start, end: start + 1 }, "wrong")
            .diagnostic(text, "expression")
            .to_string()
    }

    #[test]
    fn the_caret_stands_below_what_is_wrong() {
        assert_eq!(shown("deps(//a,\n  x y)", 14), "expression:2:5: wrong\n      x y)\n        ^");
    }

    #[test]
    fn of_a_long_line_the_part_is_shown() {
        let text = format!("{}!{}", "a".repeat(400), "b".repeat(400));
        let shown = shown(&text, 400);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "expression:1:401: wrong");
        let caret = lines[2].chars().count() - 1;
        assert_eq!(lines[1].chars().nth(caret), Some('!'), "{shown}");
        assert!(lines[1].chars().count() < 120);
    }
}
