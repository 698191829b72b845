//! Lexer: from text to tokens, with the comments that stand within brackets or behind code set aside.

use crate::error::SyntaxError;
use crate::syntax::{Comment, Position};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// The end of a line outside of brackets.
    Newline,
    /// A comment on a line of its own, outside of brackets.
    Comment,
    Indent,
    Dedent,
    Name,
    Number,
    Text,
    /// A keyword, an operator or a bracket.
    Sign(&'static str),
    /// The end of the file.
    End,
    /// What is wrong with the text from here on is in [`Tokens::fault`].
    Fault,
}

#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub kind: TokenKind,
    pub text: &'a str,
    pub at: Position,
}

/// The tokens of a file.
#[derive(Debug, Default)]
pub struct Tokens<'a> {
    pub tokens: Vec<Token<'a>>,
    /// Comments that belong to what follows them.
    pub line_comments: Vec<Comment>,
    /// Comments that belong to what they stand behind.
    pub suffix_comments: Vec<Comment>,
    pub fault: Option<SyntaxError>,
}

const KEYWORDS: [&str; 14] = [
    "and", "break", "continue", "def", "elif", "else", "for", "if", "in", "lambda", "load", "not",
    "or", "pass",
];

/// What follows a longer sign's beginning stands before it.
const SIGNS: [&str; 40] = [
    "<<=", ">>=", "//=", "**", "->", "//", "<<", ">>", "<=", ">=", "==", "!=", "+=", "-=", "*=",
    "/=", "%=", "&=", "|=", "^=", "(", ")", "[", "]", "{", "}", "+", "-", "*", "/", "%", "|", "&",
    "^", "~", "<", ">", "=", ".", ":",
];

/// Splits `text` into tokens.
pub fn tokens(text: &str) -> Tokens<'_> {
    let mut lexer = Lexer {
        text,
        at: Position { line: 1, column: 1, offset: 0 },
        open: Vec::new(),
        clean: true,
        indent: 0,
        indents: Vec::new(),
        found: Tokens::default(),
    };
    if let Err(error) = lexer.run() {
        lexer.push(TokenKind::Fault, lexer.at);
        lexer.found.fault = Some(error);
    }
    lexer.found
}

struct Lexer<'a> {
    text: &'a str,
    at: Position,
    /// The brackets that are open.
    open: Vec<Position>,
    /// Whether there are only blanks on this line so far.
    clean: bool,
    /// How many blanks this line begins with.
    indent: usize,
    indents: Vec<usize>,
    found: Tokens<'a>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at.offset..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self, bytes: usize) {
        let passed = &self.rest()[..bytes];
        self.at = self.at.after(passed);
    }

    fn push(&mut self, kind: TokenKind, from: Position) {
        let text = &self.text[from.offset..self.at.offset];
        self.found.tokens.push(Token { kind, text, at: from });
    }

    fn run(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.skip();
            if self.open.is_empty() && (self.clean || self.peek().is_none()) {
                self.indentation()?;
            }
            self.clean = false;
            let from = self.at;
            let Some(first) = self.peek() else {
                if let Some(open) = self.open.last() {
                    let bracket = &self.text[open.offset..open.offset + 1];
                    return Err(SyntaxError::new(*open, format!("this `{bracket}` is not closed")));
                }
                if self.found.tokens.last().is_some_and(|last| last.kind != TokenKind::Newline) {
                    // What ends with the file ends its line.
                    self.push(TokenKind::Newline, from);
                }
                for _ in 0..self.indents.len() {
                    self.push(TokenKind::Dedent, from);
                }
                self.push(TokenKind::End, from);
                return Ok(());
            };
            let kind = match first {
                '"' | '\'' => self.string(0)?,
                'r' if self.rest()[1..].starts_with(['"', '\'']) => self.string(1)?,
                c if is_word(c) => self.word(),
                ',' | ';' => {
                    self.advance(1);
                    TokenKind::Sign(if first == ',' { "," } else { ";" })
                }
                _ => self.sign()?,
            };
            self.push(kind, from);
        }
    }

    /// Passes blanks, comments and the ends of lines; outside of brackets the latter are tokens.
    fn skip(&mut self) {
        let mut newlines = 0;
        while let Some(next) = self.peek() {
            match next {
                '\n' => {
                    self.indent = 0;
                    self.clean = true;
                    newlines += 1;
                    let from = self.at;
                    self.advance(1);
                    if self.open.is_empty() {
                        self.push(TokenKind::Newline, from);
                        newlines = 0;
                    }
                }
                ' ' | '\t' | '\r' => {
                    self.indent += usize::from(next == ' ' && self.clean);
                    self.advance(1);
                }
                '\\' if self.rest()[1..].starts_with('\n') => self.advance(2),
                '#' => {
                    self.comment(newlines > 1);
                    newlines = 0;
                }
                _ => return,
            }
        }
    }

    fn comment(&mut self, after_blank_line: bool) {
        let from = self.at;
        let line = self.text[..from.offset].rfind('\n').map_or(0, |index| index + 1);
        let code: String = self.text[line..from.offset].split_whitespace().collect();
        let length = self.rest().find('\n').unwrap_or(self.rest().len());
        self.advance(length);
        let alone = std::mem::replace(&mut self.clean, true);
        self.indent = 0;
        if self.open.is_empty() && alone {
            self.push(TokenKind::Comment, from);
            return;
        }
        let comment = |text: &str| Comment { at: from, text: text.to_owned() };
        if after_blank_line {
            self.found.line_comments.push(comment(""));
        }
        let text = &self.text[from.offset..self.at.offset];
        // Behind an opening bracket, a comment is one on what is in the brackets.
        if code.is_empty() || code == "):" || code.ends_with(['(', '[', '{']) {
            self.found.line_comments.push(comment(text));
        } else {
            self.found.suffix_comments.push(comment(text));
        }
    }

    fn indentation(&mut self) -> Result<(), SyntaxError> {
        if self.peek().is_none() {
            return Ok(());
        }
        let current = |lexer: &Self| lexer.indents.last().copied().unwrap_or(0);
        if self.indent > current(self) {
            self.indents.push(self.indent);
            self.push(TokenKind::Indent, self.at);
        }
        while self.indent < current(self) {
            self.indents.pop();
            self.push(TokenKind::Dedent, self.at);
            if self.indent > current(self) {
                let message = "this line is indented as no line above it";
                return Err(SyntaxError::new(self.at, message));
            }
        }
        Ok(())
    }

    /// A string whose quotes begin after `prefix` bytes.
    fn string(&mut self, prefix: usize) -> Result<TokenKind, SyntaxError> {
        let from = self.at;
        let rest = self.rest();
        let quote = if rest[prefix..].starts_with('"') { '"' } else { '\'' };
        let triple = rest[prefix..].chars().take_while(|c| *c == quote).count() >= 3;
        let width = if triple { 3 } else { 1 };
        let mut characters = rest.char_indices().skip(prefix + width);
        let mut quotes = 0;
        while let Some((index, character)) = characters.next() {
            quotes = if character == quote { quotes + 1 } else { 0 };
            match character {
                _ if quotes == width => {
                    self.advance(index + 1);
                    return Ok(TokenKind::Text);
                }
                '\n' if !triple => break,
                '\\' => drop(characters.next()),
                _ => {}
            }
        }
        let message = if triple {
            "this string has no end: three quotes are missing"
        } else {
            "this string does not end on its line: a quote is missing"
        };
        Err(SyntaxError::new(from, message))
    }

    fn word(&mut self) -> TokenKind {
        let rest = self.rest();
        let number = rest.starts_with(|c: char| c.is_ascii_digit());
        let mut last = ' ';
        let length = rest.find(|c: char| {
            let exponent = number && matches!(c, '+' | '-') && matches!(last, 'e' | 'E');
            last = c;
            !is_word(c) && !exponent
        });
        let word = &rest[..length.unwrap_or(rest.len())];
        self.advance(word.len());
        if number {
            return TokenKind::Number;
        }
        // It is a word like others where it loads nothing: rules have an argument of this name.
        let is_field = self.found.tokens.last().is_some_and(|last| last.text == ".");
        if word == "load"
            && (is_field || !self.rest().trim_start_matches([' ', '\t']).starts_with('('))
        {
            return TokenKind::Name;
        }
        let keyword = KEYWORDS.into_iter().chain(["return"]).find(|keyword| *keyword == word);
        keyword.map_or(TokenKind::Name, TokenKind::Sign)
    }

    fn sign(&mut self) -> Result<TokenKind, SyntaxError> {
        let rest = self.rest();
        let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) else {
            let character = rest.chars().next().unwrap_or_default();
            let message = format!("`{}` is no part of the language", character.escape_debug());
            return Err(SyntaxError::new(self.at, message));
        };
        let start = self.at;
        self.advance(sign.len());
        match sign {
            "(" | "[" | "{" => self.open.push(start),
            ")" | "]" | "}" => drop(self.open.pop()),
            _ => {}
        }
        Ok(TokenKind::Sign(sign))
    }
}

/// Whether `character` can be in a name or a number.
fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || !character.is_ascii()
}
