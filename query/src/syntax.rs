//! The syntax of expressions, as a tree.
//!
//! A tree is never deeper than [`crate::parser::MAX_DEPTH`], so functions over it may recurse.

use std::fmt;

use crate::functions::Function;
use crate::lexer::is_plain_word;
use crate::query_error::Span;

/// An expression: it means a set of targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands, parentheses around it not included.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExprKind {
    /// The targets that a pattern means.
    Pattern(String),
    /// `$name`: what the `let` around it says.
    Variable(String),
    /// `set(a b c)`
    Set(Vec<Word>),
    /// A function of arguments.
    Call(Function, Vec<Argument>),
    /// `let name = value in body`
    Let {
        /// The variable, without `$`.
        name: String,
        /// What it means.
        value: Box<Expr>,
        /// Where it means that.
        body: Box<Expr>,
    },
    /// Operands from left to right; all operators bind equally.
    Operation {
        /// The leftmost operand.
        first: Box<Expr>,
        /// The others, each with the operator before it.
        rest: Vec<(Operator, Expr)>,
    },
}

/// A word with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Without quotes.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// An argument of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A set of targets.
    Expr(Expr),
    /// A name or regular expression.
    Word(Word),
    /// A number.
    Number(u32),
}

/// What stands between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`, `union`
    Union,
    /// `-`, `except`
    Except,
    /// `^`, `intersect`
    Intersect,
}

impl Operator {
    /// Its sign.
    pub fn sign(self) -> &'static str {
        match self {
            Operator::Union => "+",
            Operator::Except => "-",
            Operator::Intersect => "^",
        }
    }
}

impl Expr {
    /// The expressions within this one, from left to right.
    pub fn inner(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Pattern(_) | ExprKind::Variable(_) | ExprKind::Set(_) => Vec::new(),
            ExprKind::Call(_, arguments) => arguments
                .iter()
                .filter_map(|argument| match argument {
                    Argument::Expr(expr) => Some(expr),
                    Argument::Word(_) | Argument::Number(_) => None,
                })
                .collect(),
            ExprKind::Let { value, body, .. } => vec![value, body],
            ExprKind::Operation { first, rest } => {
                [&**first].into_iter().chain(rest.iter().map(|(_, operand)| operand)).collect()
            }
        }
    }

    /// Every pattern in the expression, from left to right.
    pub fn patterns(&self) -> Vec<&str> {
        let mut patterns = Vec::new();
        let mut pending = vec![self];
        while let Some(expr) = pending.pop() {
            match &expr.kind {
                ExprKind::Pattern(text) => patterns.push(text.as_str()),
                ExprKind::Set(words) => patterns.extend(words.iter().map(|word| &*word.text)),
                _ => pending.extend(expr.inner().into_iter().rev()),
            }
        }
        patterns
    }
}

/// A word as it is written.
fn quoted(text: &str) -> String {
    match text {
        _ if is_plain_word(text) => text.to_owned(),
        _ if text.contains('"') => format!("'{text}'"),
        _ => format!("\"{text}\""),
    }
}

/// An operand: in parentheses where these are needed.
fn operand(expr: &Expr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match expr.kind {
        ExprKind::Operation { .. } | ExprKind::Let { .. } => write!(f, "({expr})"),
        _ => write!(f, "{expr}"),
    }
}

/// An expression with the same meaning: it is read as the same tree.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            // In quotes it is no variable.
            ExprKind::Pattern(text) if text.starts_with('$') => write!(f, "\"{text}\""),
            ExprKind::Pattern(text) => f.write_str(&quoted(text)),
            ExprKind::Variable(name) => write!(f, "${name}"),
            ExprKind::Set(words) => {
                let words: Vec<String> = words.iter().map(|word| quoted(&word.text)).collect();
                write!(f, "set({})", words.join(" "))
            }
            ExprKind::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                for (number, argument) in arguments.iter().enumerate() {
                    f.write_str(if number > 0 { ", " } else { "" })?;
                    match argument {
                        Argument::Expr(expr) => write!(f, "{expr}")?,
                        Argument::Word(word) => f.write_str(&quoted(&word.text))?,
                        Argument::Number(number) => write!(f, "{number}")?,
                    }
                }
                f.write_str(")")
            }
            ExprKind::Let { name, value, body } => write!(f, "let {name} = {value} in {body}"),
            ExprKind::Operation { first, rest } => {
                operand(first, f)?;
                for (operator, expr) in rest {
                    write!(f, " {} ", operator.sign())?;
                    operand(expr, f)?;
                }
                Ok(())
            }
        }
    }
}
