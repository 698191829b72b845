//! The lexer: from the text of an expression to words, operators and punctuation.
//!
//! As in Bazel a word need not be quoted unless it holds white space or one of `( ) , + ^ = ' "`,
//! begins with `-`, or is a keyword. There are no escapes.

use std::fmt;

use crate::query_error::{QueryError, Span};

/// A piece of an expression with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub span: Span,
}

/// What a piece of an expression is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A pattern, a name, a number, a regular expression.
    Word {
        /// Without its quotes.
        text: String,
        /// Whether it stood in quotes.
        quoted: bool,
    },
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// `=`
    Equals,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `^`
    Caret,
    /// A word with a meaning of its own.
    Keyword(Keyword),
    /// After the last piece.
    End,
}

/// A word that has to be quoted if it is to mean a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// `except`
    Except,
    /// `in`
    In,
    /// `intersect`
    Intersect,
    /// `let`
    Let,
    /// `set`
    Set,
    /// `union`
    Union,
}

impl Keyword {
    const ALL: [Keyword; 6] = [
        Keyword::Except,
        Keyword::In,
        Keyword::Intersect,
        Keyword::Let,
        Keyword::Set,
        Keyword::Union,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Keyword::Except => "except",
            Keyword::In => "in",
            Keyword::Intersect => "intersect",
            Keyword::Let => "let",
            Keyword::Set => "set",
            Keyword::Union => "union",
        }
    }

    /// The keyword that is written so.
    pub fn from_name(name: &str) -> Option<Keyword> {
        Keyword::ALL.into_iter().find(|keyword| keyword.name() == name)
    }
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenKind::Word { text, .. } => write!(f, "`{text}`"),
            TokenKind::Open => f.write_str("`(`"),
            TokenKind::Close => f.write_str("`)`"),
            TokenKind::Comma => f.write_str("`,`"),
            TokenKind::Equals => f.write_str("`=`"),
            TokenKind::Plus => f.write_str("`+`"),
            TokenKind::Minus => f.write_str("`-`"),
            TokenKind::Caret => f.write_str("`^`"),
            TokenKind::Keyword(keyword) => write!(f, "`{}`", keyword.name()),
            TokenKind::End => f.write_str("the end"),
        }
    }
}

/// Whether `c` ends a word that is not quoted.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | ',' | '+' | '^' | '=' | '\'' | '"')
}

/// Whether `text` is read as one word without quotes.
pub fn is_plain_word(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && word_length(text) == text.len()
        && Keyword::from_name(text).is_none()
}

/// How many bytes of `text`, which begins with a word, are that word.
fn word_length(text: &str) -> usize {
    // The names of repositories that others declare have `+` in them.
    let canonical = text.starts_with("@@");
    text.find(|c| ends_word(c) && !(canonical && c == '+')).unwrap_or(text.len())
}

/// The pieces of `text`; the last of them is [`TokenKind::End`].
pub fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let (kind, length) = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '(' => (TokenKind::Open, 1),
            ')' => (TokenKind::Close, 1),
            ',' => (TokenKind::Comma, 1),
            '=' => (TokenKind::Equals, 1),
            '+' => (TokenKind::Plus, 1),
            '-' => (TokenKind::Minus, 1),
            '^' => (TokenKind::Caret, 1),
            '\'' | '"' => {
                let Some(length) = text[at + 1..].find(c) else {
                    let span = Span { start: at, end: at + 1 };
                    return Err(QueryError::new(span, format!("this `{c}` is not closed"))
                        .hint("a word in quotes ends at the next quote of the same kind; there are no escapes"));
                };
                let inner = text[at + 1..at + 1 + length].to_owned();
                (TokenKind::Word { text: inner, quoted: true }, length + 2)
            }
            _ => {
                let length = word_length(&text[at..]);
                let word = &text[at..at + length];
                let kind = match Keyword::from_name(word) {
                    Some(keyword) => TokenKind::Keyword(keyword),
                    None => TokenKind::Word { text: word.to_owned(), quoted: false },
                };
                (kind, length)
            }
        };
        tokens.push(Token { kind, span: Span { start: at, end: at + length } });
        at += length;
    }
    tokens.push(Token { kind: TokenKind::End, span: Span { start: at, end: at } });
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let tokens = tokens(text).expect("it has tokens");
        tokens.iter().map(|token| token.kind.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_hold_what_labels_and_patterns_hold() {
        assert_eq!(shown("//a/b-c:d_e.lisp"), "`//a/b-c:d_e.lisp` the end");
        assert_eq!(shown("deps(//...:*)"), "`deps` `(` `//...:*` `)` the end");
        assert_eq!(shown("@r//a -//b"), "`@r//a` `-` `//b` the end");
        assert_eq!(shown("a - b-c"), "`a` `-` `b-c` the end");
        assert_eq!(shown("a+b^c"), "`a` `+` `b` `^` `c` the end");
        assert_eq!(shown("@@r+1//a"), "`@@r+1//a` the end");
        assert_eq!(shown("let x = ä in $x"), "`let` `x` `=` `ä` `in` `$x` the end");
    }

    #[test]
    fn quotes_make_a_word_of_anything() {
        assert_eq!(shown("'a + b' \"it's\" \"set\""), "`a + b` `it's` `set` the end");
        assert_eq!(shown("''"), "`` the end");
    }

    #[test]
    fn a_quote_that_is_not_closed_is_shown() {
        let error = tokens("kind(\"a, //x)").expect_err("no tokens");
        assert_eq!((error.span.start, error.span.end), (5, 6));
    }
}
