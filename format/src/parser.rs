//! Parser: from tokens to statements. Expressions are in [`crate::expression_parser`].

use crate::attachment;
use crate::error::SyntaxError;
use crate::lexer::{self, Token, TokenKind, Tokens};
use crate::syntax::{Close, Comment, Def, File, If, Node, Position, Syntax};

/// How deep syntax may be nested, and how long a chain of operators or calls may be. Trees are
/// walked recursively.
const MAX_DEPTH: usize = 1000;

/// The tree of the file `text`.
pub fn parse(text: &str) -> Result<File, SyntaxError> {
    let Tokens { tokens, line_comments, suffix_comments, fault } = lexer::tokens(text);
    let mut parser = Parser { tokens, next: 0, depth: 0, height: 0, fault };
    let (statements, _) = parser.statements(TokenKind::End)?;
    let mut file = File { statements, ..File::default() };
    attachment::attach(&mut file, line_comments, suffix_comments);
    Ok(file)
}

pub(crate) struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    /// How many levels are around what is parsed now.
    depth: usize,
    /// How many levels, at most, are in what was parsed of the innermost of them.
    height: usize,
    fault: Option<SyntaxError>,
}

impl<'a> Parser<'a> {
    pub(crate) fn peek(&self) -> Token<'a> {
        // The last token is `End` or `Fault`, and is never passed.
        self.tokens[self.next]
    }

    pub(crate) fn peek_second(&self) -> TokenKind {
        self.tokens[(self.next + 1).min(self.tokens.len() - 1)].kind
    }

    pub(crate) fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    pub(crate) fn at(&self, sign: &'static str) -> bool {
        self.peek().kind == TokenKind::Sign(sign)
    }

    pub(crate) fn take_if(&mut self, sign: &'static str) -> Option<Token<'a>> {
        self.at(sign).then(|| self.take())
    }

    pub(crate) fn expect(&mut self, sign: &'static str) -> Result<Token<'a>, SyntaxError> {
        self.take_if(sign).ok_or_else(|| self.wrong(&format!("`{sign}`")))
    }

    /// The error that something else than `expected` comes next.
    pub(crate) fn wrong(&self, expected: &str) -> SyntaxError {
        let token = self.peek();
        let found = match token.kind {
            TokenKind::Fault => {
                let unknown = || SyntaxError::new(token.at, "this cannot be read");
                return self.fault.clone().unwrap_or_else(unknown);
            }
            TokenKind::Newline => "the end of the line".to_owned(),
            TokenKind::End => "the end of the file".to_owned(),
            TokenKind::Indent => "a deeper indentation".to_owned(),
            TokenKind::Dedent => "the end of the indented lines".to_owned(),
            _ => format!("`{}`", token.text),
        };
        SyntaxError::new(token.at, format!("{expected} is expected here, not {found}"))
    }

    /// Goes one level deeper for as long as `parse` runs.
    pub(crate) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        let beside = std::mem::take(&mut self.height);
        self.depth += 1;
        self.check_depth()?;
        let result = parse(self);
        self.depth -= 1;
        self.height = beside.max(self.height + 1);
        result
    }

    /// Puts another level around what was parsed last.
    pub(crate) fn wrap(&mut self) -> Result<(), SyntaxError> {
        self.height += 1;
        self.check_depth()
    }

    fn check_depth(&self) -> Result<(), SyntaxError> {
        if self.depth + self.height > MAX_DEPTH {
            return Err(SyntaxError::new(self.peek().at, "this is nested too deep"));
        }
        Ok(())
    }

    /// Statements up to `end`, and whether the last of them can take the comments that follow:
    /// a blank line keeps them from it.
    fn statements(&mut self, end: TokenKind) -> Result<(Vec<Node>, bool), SyntaxError> {
        let mut list: Vec<Node> = Vec::new();
        let mut open = false;
        while self.peek().kind != end {
            match self.peek().kind {
                TokenKind::Newline => {
                    self.take();
                    open = false;
                }
                TokenKind::Comment => {
                    let comment = self.comment()?;
                    let takes = |last: &&mut Node| open && !last.is_block();
                    match list.last_mut().filter(takes) {
                        Some(last) => last.comments.after.push(comment),
                        None => list.push(block_of(comment)),
                    }
                    open = true;
                }
                _ => {
                    let (mut statements, stays_open) = self.statement()?;
                    // What was said below the statement before was said above this one.
                    if let Some(before) = list.last_mut().filter(|_| open) {
                        let comments = std::mem::take(&mut before.comments.after);
                        if before.is_comment_block() {
                            list.pop();
                        }
                        statements[0].comments.before = comments;
                    }
                    list.append(&mut statements);
                    open = stays_open;
                }
            }
        }
        self.take();
        Ok((list, open))
    }

    fn comment(&mut self) -> Result<Comment, SyntaxError> {
        let token = self.take();
        if self.peek().kind != TokenKind::Newline {
            return Err(self.wrong("the end of the line"));
        }
        self.take();
        Ok(Comment { at: token.at, text: token.text.to_owned() })
    }

    /// The statements of a line, or a block with the comments that follow it; and whether the last
    /// of them can take further comments. There is at least one.
    fn statement(&mut self) -> Result<(Vec<Node>, bool), SyntaxError> {
        let (block, open) = match self.peek().kind {
            TokenKind::Sign("def") => self.nested(Self::def)?,
            TokenKind::Sign("for") => self.nested(Self::for_loop)?,
            TokenKind::Sign("if") => self.nested(Self::chain)?,
            _ => return Ok((self.line()?, true)),
        };
        let mut statements = vec![block];
        let comments = dedented_comments(&mut statements[0]);
        if comments.is_empty() {
            return Ok((statements, true));
        }
        statements.extend(comments);
        Ok((statements, open))
    }

    fn line(&mut self) -> Result<Vec<Node>, SyntaxError> {
        let mut statements = vec![self.small_statement()?];
        while self.take_if(";").is_some() {
            if self.peek().kind == TokenKind::Newline {
                break;
            }
            statements.push(self.small_statement()?);
        }
        if self.peek().kind != TokenKind::Newline {
            return Err(self.wrong("the end of the line"));
        }
        self.take();
        Ok(statements)
    }

    fn small_statement(&mut self) -> Result<Node, SyntaxError> {
        let at = self.peek().at;
        for word in ["pass", "break", "continue"] {
            if self.take_if(word).is_some() {
                return Ok(Syntax::Keyword { at, word }.into());
            }
        }
        if self.take_if("return").is_some() {
            let ends = matches!(self.peek().kind, TokenKind::Newline | TokenKind::Sign(";"));
            let value = if ends { None } else { Some(Box::new(self.expression()?)) };
            return Ok(Syntax::Return { at, value }.into());
        }
        let mut left = self.expression()?;
        if left.as_name().is_some() && self.take_if(":").is_some() {
            let annotation = Box::new(self.test()?);
            left = Syntax::Typed { name: Box::new(left), annotation }.into();
            if !self.at("=") {
                return Err(self.wrong("`=`"));
            }
        }
        const ASSIGNMENTS: [&str; 12] =
            ["=", "+=", "-=", "*=", "/=", "//=", "%=", "&=", "|=", "^=", "<<=", ">>="];
        for operator in ASSIGNMENTS {
            if self.take_if(operator).is_some() {
                let right = self.expression()?;
                return Ok(assignment(left, operator, right));
            }
        }
        Ok(left)
    }

    fn def(&mut self) -> Result<(Node, bool), SyntaxError> {
        let at = self.take().at;
        if self.peek().kind != TokenKind::Name {
            return Err(self.wrong("the name of the function"));
        }
        let name = self.take().text.to_owned();
        self.expect("(")?;
        let parameters = self.parameters(")")?;
        self.expect(")")?;
        let result = match self.take_if("->") {
            Some(_) => Some(Box::new(self.test()?)),
            None => None,
        };
        let (body, open) = self.suite()?;
        Ok((Syntax::Def(Def { at, name, parameters, result, body }).into(), open))
    }

    fn for_loop(&mut self) -> Result<(Node, bool), SyntaxError> {
        let at = self.take().at;
        let variables = Box::new(self.loop_variables()?);
        self.expect("in")?;
        let iterable = Box::new(self.expression()?);
        let (body, open) = self.suite()?;
        Ok((Syntax::For { at, variables, iterable, body }.into(), open))
    }

    /// An `if` with all that belongs to it.
    fn chain(&mut self) -> Result<(Node, bool), SyntaxError> {
        let at = self.take().at;
        let condition = Box::new(self.expression()?);
        let (then, mut open) = self.suite()?;
        let (mut turn, mut otherwise) = (Close::default(), Vec::new());
        if self.at("elif") || self.at("else") && self.peek_second() == TokenKind::Sign("if") {
            let start = self.peek().at;
            self.take_if("else");
            let (mut next, ends_open) = self.nested(Self::chain)?;
            if let Syntax::If(next) = &mut next.syntax {
                next.at = start;
            }
            turn.at = start;
            otherwise = vec![next];
            open = ends_open;
        } else if let Some(token) = self.take_if("else") {
            turn.at = token.at;
            (otherwise, open) = self.suite()?;
        }
        Ok((Syntax::If(If { at, condition, then, turn, otherwise }).into(), open))
    }

    /// The colon and the body of a statement.
    fn suite(&mut self) -> Result<(Vec<Node>, bool), SyntaxError> {
        self.expect(":")?;
        if self.peek().kind != TokenKind::Newline {
            let statements = self.line()?;
            while self.peek().kind == TokenKind::Newline {
                self.take();
            }
            return Ok((statements, true));
        }
        self.take();
        let mut comments: Vec<Node> = Vec::new();
        let mut open = false;
        loop {
            match self.peek().kind {
                TokenKind::Newline => {
                    self.take();
                    open = false;
                }
                TokenKind::Comment => {
                    let comment = self.comment()?;
                    match comments.last_mut().filter(|_| open) {
                        Some(block) => block.comments.after.push(comment),
                        None => comments.push(block_of(comment)),
                    }
                    open = true;
                }
                TokenKind::Indent => break,
                _ => return Err(self.wrong("an indented line")),
            }
        }
        self.take();
        let (mut statements, open) = self.statements(TokenKind::Dedent)?;
        let line = statements.first().map_or(0, |first| first.start().line);
        let last = comments.last().and_then(|block| block.comments.after.last());
        if last.is_some_and(|last| last.at.line + 1 == line)
            && let Some(block) = comments.pop()
        {
            // Such a statement has no comments yet: it is the first behind the indentation.
            statements[0].comments.before = block.comments.after;
        }
        comments.append(&mut statements);
        Ok((comments, open))
    }
}

/// A node for an assignment or a named argument.
pub(crate) fn assignment(left: Node, operator: &'static str, right: Node) -> Node {
    let broken = left.end().line < right.start().line;
    Syntax::Assign { left: Box::new(left), operator, broken, right: Box::new(right) }.into()
}

fn block_of(comment: Comment) -> Node {
    let mut block = Node::from(Syntax::CommentBlock(comment.at));
    block.comments.after.push(comment);
    block
}

/// The last body of a block, which the comments below it were taken for a part of.
fn last_body(block: &mut Node) -> Option<&mut Vec<Node>> {
    match &mut block.syntax {
        Syntax::Def(Def { body, .. }) | Syntax::For { body, .. } => Some(body),
        Syntax::If(If { then, otherwise, .. }) => {
            if otherwise.is_empty() {
                Some(then)
            } else if matches!(otherwise[..], [Node { syntax: Syntax::If(_), .. }]) {
                last_body(&mut otherwise[0])
            } else {
                Some(otherwise)
            }
        }
        _ => None,
    }
}

/// Takes the comments from the end of `block` that are indented less than its body.
fn dedented_comments(block: &mut Node) -> Vec<Node> {
    let Some(body) = last_body(block) else { return Vec::new() };
    let Some(column) = body.first().map(|first| first.start().column) else { return Vec::new() };
    let Some(last) = body.iter().rposition(|node| !node.is_comment_block()) else {
        return Vec::new();
    };
    for index in last..body.len() {
        let after = &mut body[index].comments.after;
        let Some(first) = after.iter().position(|comment| comment.at.column < column) else {
            continue;
        };
        let comments = after.split_off(first);
        let kept = if index > last && after.is_empty() { index } else { index + 1 };
        let at: Position = comments[0].at;
        let mut block = Node::from(Syntax::CommentBlock(at));
        block.comments.after = comments;
        let rest = body.split_off(index + 1);
        body.truncate(kept);
        return std::iter::once(block).chain(rest).collect();
    }
    Vec::new()
}
