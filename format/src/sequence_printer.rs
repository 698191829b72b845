//! Printing of sequences: arguments, lists, dicts, tuples, parameters.

use crate::printer::{Printer, binding};
use crate::syntax::{Brackets, Close, Comment, Node, Position, Syntax};

/// What kind of sequence it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequenceKind {
    Call,
    List,
    Tuple,
    Paren,
    Dict,
    /// Items without brackets.
    Bare,
    Parameters,
    Load,
}

/// A sequence that is to be printed.
pub(crate) struct Sequence<'a> {
    pub kind: SequenceKind,
    pub start: Position,
    pub items: &'a [Node],
    pub close: Option<&'a Close>,
    pub compact: bool,
    pub multiline: bool,
}

impl<'a> Sequence<'a> {
    pub fn bare(items: &'a [Node], start: Position) -> Self {
        let (close, kind) = (None, SequenceKind::Bare);
        Sequence { kind, start, items, close, compact: true, multiline: false }
    }

    fn brackets(&self) -> [&'static str; 2] {
        match self.kind {
            SequenceKind::List => ["[", "]"],
            SequenceKind::Dict => ["{", "}"],
            SequenceKind::Bare => ["", ""],
            _ => ["(", ")"],
        }
    }

    fn closing_comments(&self) -> &'a [Comment] {
        self.close.map_or(&[], |close| &close.comments.before)
    }

    /// Whether each item was written on the line where the one before it ended.
    fn was_on_one_line(&self) -> bool {
        let mut line = self.start.line;
        for item in self.items {
            if item.start().line != line {
                return false;
            }
            line = item.end().line;
        }
        self.close.is_none_or(|close| close.at.line == line)
    }

    /// Whether a comma follows the last of several lines.
    fn ends_with_comma(&self, last: &Node) -> bool {
        match self.kind {
            SequenceKind::Parameters | SequenceKind::Paren => false,
            // `*args` and `**kwargs`.
            SequenceKind::Call => {
                !matches!(last.syntax, Syntax::Unary { operator: "*" | "**", .. })
            }
            _ => true,
        }
    }
}

impl Printer {
    pub(crate) fn brackets(&mut self, kind: SequenceKind, brackets: &Brackets) {
        let can_be_compact = matches!(kind, SequenceKind::Call | SequenceKind::Tuple);
        self.sequence(&Sequence {
            kind,
            start: brackets.open,
            items: &brackets.items,
            close: Some(&brackets.close),
            compact: can_be_compact && brackets.compact,
            multiline: brackets.multiline,
        });
    }

    pub(crate) fn sequence(&mut self, sequence: &Sequence<'_>) {
        let [open, end] = sequence.brackets();
        self.text += open;
        self.depth += 1;
        if self.is_compact(sequence) {
            for (index, item) in sequence.items.iter().enumerate() {
                if index > 0 {
                    self.text += ", ";
                }
                self.node(item, binding::LOOSEST);
            }
            if sequence.kind == SequenceKind::Tuple && sequence.items.len() == 1 {
                self.text.push(',');
            }
        } else {
            self.lines(sequence);
        }
        self.depth -= 1;
        self.text += end;
    }

    fn lines(&mut self, sequence: &Sequence<'_>) {
        let parameters = sequence.kind == SequenceKind::Parameters;
        let indentation = if parameters { 8 } else { 4 };
        self.margin += indentation;
        for (index, item) in sequence.items.iter().enumerate() {
            if index == 0 && !self.pending.is_empty() {
                // What was said behind the opening bracket is said above the first item.
                self.text.push('\n');
                self.text.extend(std::iter::repeat_n(' ', self.margin - 2));
            }
            self.newline();
            self.node(item, binding::LOOSEST);
            if index + 1 < sequence.items.len() || sequence.ends_with_comma(item) {
                self.text.push(',');
            }
        }
        self.comment_lines(sequence.closing_comments());
        self.margin -= indentation;
        if !parameters {
            self.newline();
        }
    }

    fn comment_lines(&mut self, comments: &[Comment]) {
        for comment in comments {
            self.newline();
            self.text += comment.text.trim();
        }
    }

    /// Whether the items go on one line, as far as they are on one themselves.
    fn is_compact(&self, sequence: &Sequence<'_>) -> bool {
        let parameters = sequence.kind == SequenceKind::Parameters;
        let has_comments = |item: &Node| {
            !item.comments.before.is_empty() || !item.comments.suffix.is_empty() && !parameters
        };
        if sequence.items.iter().any(has_comments) || !sequence.closing_comments().is_empty() {
            return false;
        }
        match sequence.kind {
            SequenceKind::Bare => return true,
            SequenceKind::Call if sequence.items.is_empty() && !sequence.multiline => return true,
            SequenceKind::Load => {}
            // Code stays as it was written; declarations all look the same.
            _ if self.level > 0 || !self.kind.is_declarative() || parameters => {
                return sequence.was_on_one_line();
            }
            _ => {}
        }
        !sequence.multiline && (sequence.compact || sequence.items.len() <= 1)
    }

    pub(crate) fn comprehension(
        &mut self,
        [open, end]: [&str; 2],
        body: &Node,
        clauses: &[Node],
        multiline: bool,
        closing_comments: &[Comment],
    ) {
        self.depth += 1;
        self.text += open;
        if multiline {
            self.margin += 4;
            self.newline();
        }
        self.node(body, binding::LOOSEST);
        for clause in clauses {
            if multiline {
                self.break_line();
            } else {
                self.text.push(' ');
            }
            self.node(clause, binding::LOOSEST);
        }
        if multiline {
            self.comment_lines(closing_comments);
            self.margin -= 4;
            self.newline();
        }
        self.text += end;
        self.depth -= 1;
    }
}
