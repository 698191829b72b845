//! Printer: from the tree to text. Sequences in brackets are in [`crate::sequence_printer`].

use crate::file_kind::FileKind;
use crate::sequence_printer::{Sequence, SequenceKind};
use crate::string_literal;
use crate::syntax::{Comment, Def, File, If, Load, Node, Syntax, Text};

/// How much the lines of a block or of a list are indented.
const INDENTATION: usize = 4;

/// How tightly operators bind, loosest first. Syntax stands in parentheses where something around
/// it binds tighter.
pub(crate) mod binding {
    pub const LOOSEST: usize = 0;
    pub const ASSIGNMENT: usize = 1;
    pub const LAMBDA: usize = 2;
    pub const CONDITIONAL: usize = 3;
    pub const OR: usize = 4;
    pub const AND: usize = 5;
    pub const COMPARISON: usize = 6;
    pub const BITWISE_OR: usize = 7;
    pub const BITWISE_XOR: usize = 8;
    pub const BITWISE_AND: usize = 9;
    pub const SHIFT: usize = 10;
    pub const SUM: usize = 11;
    pub const PRODUCT: usize = 12;
    pub const UNARY: usize = 13;
    pub const SUFFIX: usize = 14;
}

/// The text of `file`.
pub fn print(file: &File, kind: FileKind) -> String {
    let mut printer = Printer {
        kind,
        text: String::new(),
        pending: Vec::new(),
        margin: 0,
        depth: 0,
        level: 0,
        line_owed: false,
    };
    printer.whole_lines(&file.comments.before);
    printer.statements(&file.statements);
    printer.whole_lines(&file.comments.after);
    printer.pay_line();
    printer.text
}

pub(crate) struct Printer {
    pub(crate) kind: FileKind,
    pub(crate) text: String,
    /// Comments that go behind the code of this line when it ends.
    pub(crate) pending: Vec<String>,
    pub(crate) margin: usize,
    /// How many brackets are open: within them lines can be broken.
    pub(crate) depth: usize,
    /// How many blocks are open.
    pub(crate) level: usize,
    /// A line has to end before anything else is printed.
    line_owed: bool,
}

impl Printer {
    /// How far the current line has come, in bytes.
    fn column(&self) -> usize {
        self.text.len() - self.text.rfind('\n').map_or(0, |index| index + 1)
    }

    fn trim(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
    }

    fn begin_line(&mut self) {
        self.trim();
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n(' ', self.margin));
    }

    /// Ends the line; outside of brackets, a statement must be complete there.
    pub(crate) fn newline(&mut self) {
        self.line_owed = false;
        for (index, comment) in std::mem::take(&mut self.pending).iter().enumerate() {
            if index == 0 {
                self.text += "  ";
            } else {
                self.begin_line();
            }
            self.text += comment;
        }
        self.begin_line();
    }

    fn pay_line(&mut self) {
        if self.line_owed {
            self.newline();
        }
    }

    /// Breaks the line wherever it is.
    pub(crate) fn break_line(&mut self) {
        if self.depth > 0 {
            return self.newline();
        }
        self.text += " \\\n";
        self.text.extend(std::iter::repeat_n(' ', self.margin));
    }

    fn whole_lines(&mut self, comments: &[Comment]) {
        for comment in comments {
            self.text += comment.text.trim();
            self.newline();
        }
    }

    fn statements(&mut self, statements: &[Node]) {
        for (index, statement) in statements.iter().enumerate() {
            self.node(statement, binding::LOOSEST);
            self.line_owed |= !statement.is_comment_block();
            for comment in &statement.comments.after {
                self.pay_line();
                self.text += comment.text.trim();
                self.line_owed = true;
            }
            if let Some(next) = statements.get(index + 1) {
                self.newline();
                if !self.are_together(statement, next) {
                    self.newline();
                }
            }
        }
    }

    /// Whether there is no blank line between two statements.
    fn are_together(&self, first: &Node, second: &Node) -> bool {
        if !second.comments.before.is_empty() || !first.comments.after.is_empty() {
            return false;
        }
        let loads = [first, second].map(|statement| statement.as_load().is_some());
        let apart = |statement: &Node| {
            statement.is_comment_block() || matches!(statement.syntax, Syntax::Def(_))
        };
        if loads[0] || loads[1] {
            loads[0] && loads[1]
        } else if self.kind.is_declarative() && self.level == 0 || apart(first) || apart(second) {
            false
        } else {
            second.start().line <= first.end().line + 1
        }
    }

    fn block(&mut self, statements: &[Node]) {
        self.text.push(':');
        self.margin += INDENTATION;
        self.level += 1;
        self.newline();
        self.statements(statements);
        self.margin -= INDENTATION;
        self.level -= 1;
    }

    /// Prints `node` within something that binds as tightly as `outer`.
    pub(crate) fn node(&mut self, node: &Node, outer: usize) {
        self.pay_line();
        if !node.comments.before.is_empty() {
            self.trim();
            if self.column() > 0 {
                self.text.push('\n');
            }
            self.text.extend(std::iter::repeat_n(' ', self.margin));
            self.whole_lines(&node.comments.before);
        }
        let parenthesized = own_binding(&node.syntax).is_some_and(|own| own < outer);
        if parenthesized {
            self.text.push('(');
            self.depth += 1;
        }
        self.syntax(node);
        if parenthesized {
            self.text.push(')');
            self.depth -= 1;
        }
        let comments = node.comments.suffix.iter();
        self.pending.extend(comments.map(|comment| comment.text.trim().to_owned()));
    }

    fn syntax(&mut self, node: &Node) {
        match &node.syntax {
            Syntax::CommentBlock(_) => {}
            Syntax::Name { name, .. } => self.text += name,
            Syntax::Number { token, .. } => self.text += token,
            Syntax::Keyword { word, .. } => self.text += word,
            Syntax::Text(text) => self.text += &literal(text),
            Syntax::Typed { name: left, annotation: right }
            | Syntax::Entry { key: left, value: right } => {
                self.node(left, binding::LOOSEST);
                self.text += ": ";
                self.node(right, binding::LOOSEST);
            }
            Syntax::Dot { value, name_at, name } => {
                self.node(value, binding::SUFFIX);
                let broken = value.end().line != name_at.line;
                if broken {
                    self.margin += INDENTATION;
                    self.break_line();
                    self.margin -= INDENTATION;
                }
                self.text.push('.');
                self.text += name;
            }
            Syntax::Index { value, index, .. } => {
                self.node(value, binding::SUFFIX);
                self.text.push('[');
                self.node(index, binding::LOOSEST);
                self.text.push(']');
            }
            Syntax::Slice { value, from, to, step, .. } => {
                self.node(value, binding::SUFFIX);
                self.text.push('[');
                self.optional(from.as_deref());
                self.text.push(':');
                self.optional(to.as_deref());
                if let Some(step) = step {
                    self.text.push(':');
                    self.optional(step.as_deref());
                }
                self.text.push(']');
            }
            Syntax::Call(call) => {
                self.node(&call.function, binding::SUFFIX);
                self.brackets(SequenceKind::Call, &call.arguments);
            }
            Syntax::Load(load) => self.load(load),
            Syntax::List(items) => self.brackets(SequenceKind::List, items),
            Syntax::Dict(items) => self.brackets(SequenceKind::Dict, items),
            Syntax::Tuple(items) => self.brackets(SequenceKind::Tuple, items),
            Syntax::Paren(items) => self.brackets(SequenceKind::Paren, items),
            Syntax::Sequence(items) => self.sequence(&Sequence::bare(items, node.start())),
            Syntax::Comprehension { curly, body, clauses, close, multiline, .. } => {
                let (open, end) = if *curly { ("{", "}") } else { ("[", "]") };
                let multiline = *multiline || !close.comments.before.is_empty();
                self.comprehension([open, end], body, clauses, multiline, &close.comments.before);
            }
            Syntax::ForClause { variables, iterable, .. } => self.for_head(variables, iterable),
            Syntax::IfClause { condition, .. } => {
                self.text += "if ";
                self.node(condition, binding::LOOSEST);
            }
            Syntax::Unary { operator, operand, .. } => {
                self.text += operator;
                if *operator == "not" {
                    self.text.push(' ');
                }
                if let Some(operand) = operand {
                    // An operator behind another one stands in parentheses.
                    self.node(operand, binding::SUFFIX);
                }
            }
            Syntax::Binary { left, operator, broken, right } => {
                let own = operator_binding(operator);
                self.operation([left, right], operator, *broken, own, 0);
            }
            Syntax::Assign { left, operator, broken, right } => {
                self.operation([left, right], operator, *broken, binding::ASSIGNMENT, INDENTATION);
            }
            Syntax::Conditional { then, condition, otherwise } => {
                self.node(then, binding::CONDITIONAL);
                self.text += " if ";
                self.node(condition, binding::CONDITIONAL);
                self.text += " else ";
                self.node(otherwise, binding::CONDITIONAL);
            }
            Syntax::Lambda { parameters, body, .. } => {
                self.text += "lambda";
                for (index, parameter) in parameters.iter().enumerate() {
                    self.text += if index == 0 { " " } else { ", " };
                    self.node(parameter, binding::LOOSEST);
                }
                self.text += ": ";
                self.node(body, binding::LOOSEST);
            }
            Syntax::Return { value, .. } => {
                self.text += "return";
                if let Some(value) = value {
                    self.text.push(' ');
                    self.node(value, binding::LOOSEST);
                }
            }
            Syntax::Def(def) => self.def(def),
            Syntax::For { variables, iterable, body, .. } => {
                self.for_head(variables, iterable);
                self.block(body);
            }
            Syntax::If(chosen) => self.chain(chosen),
        }
    }

    fn optional(&mut self, node: Option<&Node>) {
        if let Some(node) = node {
            self.node(node, binding::LOOSEST);
        }
    }

    /// Two operands. If the line is broken between them, the second begins below the first, or
    /// `indentation` behind it.
    fn operation(
        &mut self,
        [left, right]: [&Node; 2],
        operator: &str,
        broken: bool,
        own: usize,
        indentation: usize,
    ) {
        let margin = self.margin;
        if broken {
            self.margin = self.column() + indentation;
        }
        self.node(left, own);
        self.text.push(' ');
        self.text += operator;
        if broken {
            self.break_line();
        } else {
            self.text.push(' ');
        }
        self.node(right, own + 1);
        self.margin = margin;
    }

    fn load(&mut self, load: &Load) {
        let mut items = vec![(*load.module).clone()];
        for names in &load.names {
            let (Some(own), Some(there)) = (names.own.as_name(), names.there.as_name()) else {
                continue;
            };
            let mut text = Node::from(Syntax::Text(Text {
                at: names.there.start(),
                end: names.there.end(),
                value: there.as_bytes().to_vec(),
                triple: false,
                token: String::new(),
            }));
            text.comments = names.there.comments.clone();
            items.push(if own == there {
                text.comments.before = names.own.comments.before.clone();
                text
            } else {
                Syntax::Assign {
                    left: Box::new(names.own.clone()),
                    operator: "=",
                    broken: false,
                    right: Box::new(text),
                }
                .into()
            });
        }
        self.text += "load";
        self.sequence(&Sequence {
            kind: SequenceKind::Load,
            start: load.at,
            items: &items,
            close: Some(&load.close),
            compact: load.compact,
            multiline: false,
        });
    }

    fn for_head(&mut self, variables: &Node, iterable: &Node) {
        self.text += "for ";
        self.node(variables, binding::LOOSEST);
        self.text += " in ";
        self.node(iterable, binding::LOOSEST);
    }

    fn def(&mut self, def: &Def) {
        self.text += "def ";
        self.text += &def.name;
        self.sequence(&Sequence {
            kind: SequenceKind::Parameters,
            start: def.at,
            items: &def.parameters,
            close: None,
            compact: false,
            multiline: false,
        });
        if let Some(result) = &def.result {
            self.text += " -> ";
            self.node(result, binding::LOOSEST);
        }
        self.block(&def.body);
    }

    fn chain(&mut self, first: &If) {
        let mut branch = first;
        self.text += "if ";
        loop {
            self.node(&branch.condition, binding::LOOSEST);
            self.block(&branch.then);
            let end = branch.then.last().map_or(0, |last| last.end().line);
            let blank_line = branch.turn.at.line > end + 1;
            if branch.otherwise.is_empty() {
                return;
            }
            self.pay_line();
            if blank_line {
                self.newline();
            }
            match &branch.otherwise[..] {
                [Node { syntax: Syntax::If(next), comments }]
                    if comments.before.is_empty() && branch.turn.comments.suffix.is_empty() =>
                {
                    self.text += "elif ";
                    branch = next;
                }
                statements => {
                    self.text += "else";
                    let comments = branch.turn.comments.suffix.iter();
                    self.pending.extend(comments.map(|comment| comment.text.trim().to_owned()));
                    return self.block(statements);
                }
            }
        }
    }
}

/// How tightly `syntax` binds; nothing if it never needs parentheses.
fn own_binding(syntax: &Syntax) -> Option<usize> {
    match syntax {
        Syntax::Unary { .. } => Some(binding::UNARY),
        Syntax::Lambda { .. } => Some(binding::LAMBDA),
        Syntax::Binary { operator, .. } => Some(operator_binding(operator)),
        Syntax::Assign { .. } => Some(binding::ASSIGNMENT),
        _ => None,
    }
}

fn operator_binding(operator: &str) -> usize {
    match operator {
        "or" => binding::OR,
        "and" => binding::AND,
        "|" => binding::BITWISE_OR,
        "^" => binding::BITWISE_XOR,
        "&" => binding::BITWISE_AND,
        "<<" | ">>" => binding::SHIFT,
        "+" | "-" => binding::SUM,
        "*" | "/" | "//" | "%" => binding::PRODUCT,
        _ => binding::COMPARISON,
    }
}

/// A string as it is to be written: with double quotes if that needs no more escapes.
fn literal(text: &Text) -> String {
    let Text { token, value, triple, .. } = text;
    let has_double = value.contains(&b'"');
    if let Some(quoted) = token.strip_prefix('r') {
        if has_double || quoted.starts_with('"') {
            return token.clone();
        }
        let mark = if *triple { "\"\"\"" } else { "\"" };
        return format!("r{mark}{}{mark}", String::from_utf8_lossy(value));
    }
    let kept = !token.is_empty() && (token.starts_with('"') || has_double);
    if kept && string_literal::is_well_escaped(token) {
        return token.clone();
    }
    string_literal::quote(value, *triple)
}
