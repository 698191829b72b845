//! The parser: from the pieces of an expression to its tree.

use rbz_starlark::nearest::nearest;

use crate::dialect::Dialect;
use crate::functions::{Function, Parameter};
use crate::lexer::{Keyword, Token, TokenKind, tokens};
use crate::query_error::{QueryError, Span};
use crate::syntax::{Argument, Expr, ExprKind, Operator, Word};

/// How deep parentheses, functions and `let`s may lie within one another.
pub const MAX_DEPTH: usize = 200;

/// The expression that `text` is.
pub fn parse(text: &str, dialect: Dialect) -> Result<Expr, QueryError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, next: 0, depth: 0, dialect };
    if parser.peek().kind == TokenKind::End {
        return Err(QueryError::new(parser.peek().span, "the expression is empty")
            .hint("`//...` means everything, `deps(//pkg:target)` all that a target needs"));
    }
    let expr = parser.expression()?;
    let rest = parser.peek();
    match &rest.kind {
        TokenKind::End => Ok(expr),
        TokenKind::Close => Err(QueryError::new(rest.span, "this `)` closes nothing")),
        other => Err(parser.between(&expr, rest.span, other)),
    }
}

struct Parser<'a> {
    /// Never empty: the last one is the end.
    tokens: &'a [Token],
    next: usize,
    depth: usize,
    dialect: Dialect,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &'a Token {
        // Nothing is read behind the end.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn advance(&mut self) -> &'a Token {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn takes(&mut self, kind: &TokenKind) -> bool {
        let there = self.peek().kind == *kind;
        self.next += usize::from(there);
        there
    }

    fn expect(&mut self, kind: &TokenKind, what: &str) -> Result<Span, QueryError> {
        let token = self.peek();
        match self.takes(kind) {
            true => Ok(token.span),
            false => {
                let found = &token.kind;
                let text = format!("here is {found}, where {kind} must stand {what}");
                Err(QueryError::new(token.span, text))
            }
        }
    }

    fn unexpected(&self, token: &Token, wanted: &str) -> QueryError {
        QueryError::new(token.span, format!("here is {}, where {wanted} must stand", token.kind))
    }

    /// The error for a piece that follows a whole expression.
    fn between(&self, expr: &Expr, span: Span, found: &TokenKind) -> QueryError {
        let error = QueryError::new(span, format!("here is {found}, where an operator must stand"));
        match (&expr.kind, found) {
            (ExprKind::Pattern(name), TokenKind::Open) => self.unknown_function(expr.span, name),
            (_, TokenKind::Word { .. }) => {
                error.hint("`a + b` has the targets of both, and so has `set(a b)`")
            }
            _ => error.hint("operators are `+`, `-`, `^`, `union`, `except` and `intersect`"),
        }
    }

    fn unknown_function(&self, span: Span, name: &str) -> QueryError {
        let here = |function: &Function| function.dialects().contains(&self.dialect);
        let names = Function::ALL.into_iter().filter(here).map(Function::name);
        QueryError::new(span, format!("there is no function `{name}`"))
            .hint_nearest(nearest(name, names.chain(["set"])))
    }

    /// Operands and what stands between them.
    fn expression(&mut self) -> Result<Expr, QueryError> {
        let first = self.nested(Self::primary)?;
        let mut rest = Vec::new();
        loop {
            let operator = match self.peek().kind {
                TokenKind::Plus | TokenKind::Keyword(Keyword::Union) => Operator::Union,
                TokenKind::Minus | TokenKind::Keyword(Keyword::Except) => Operator::Except,
                TokenKind::Caret | TokenKind::Keyword(Keyword::Intersect) => Operator::Intersect,
                _ => break,
            };
            self.advance();
            rest.push((operator, self.nested(Self::primary)?));
        }
        let Some((_, last)) = rest.last() else { return Ok(first) };
        let span = first.span.to(last.span);
        Ok(Expr { kind: ExprKind::Operation { first: Box::new(first), rest }, span })
    }

    /// Reads something one level deeper.
    fn nested(
        &mut self,
        read: impl Fn(&mut Self) -> Result<Expr, QueryError>,
    ) -> Result<Expr, QueryError> {
        if self.depth >= MAX_DEPTH {
            return Err(QueryError::new(
                self.peek().span,
                format!("the expression is nested more than {MAX_DEPTH} deep"),
            ));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn primary(&mut self) -> Result<Expr, QueryError> {
        let token = self.advance();
        match &token.kind {
            TokenKind::Word { text, quoted } => {
                if !quoted && self.peek().kind == TokenKind::Open {
                    return self.call(text, token.span);
                }
                let kind = match text.strip_prefix('$') {
                    Some(name) if !quoted => ExprKind::Variable(name.to_owned()),
                    _ => ExprKind::Pattern(text.clone()),
                };
                Ok(Expr { kind, span: token.span })
            }
            TokenKind::Open => {
                let inner = self.expression()?;
                self.close(token.span, &inner)?;
                Ok(inner)
            }
            TokenKind::Keyword(Keyword::Set) => self.set(token.span),
            TokenKind::Keyword(Keyword::Let) => self.definition(token.span),
            TokenKind::Keyword(keyword) => {
                let name = keyword.name();
                Err(self
                    .unexpected(token, "an expression")
                    .hint(format!("a target that is called so is written in quotes: `\"{name}\"`")))
            }
            TokenKind::Minus => {
                Err(self.unexpected(token, "an expression").hint("`a - b` takes `b` away from `a`"))
            }
            _ => Err(self.unexpected(token, "an expression")),
        }
    }

    /// The `)` that belongs to the `(` at `open`.
    fn close(&mut self, open: Span, inner: &Expr) -> Result<Span, QueryError> {
        let token = self.peek();
        if self.takes(&TokenKind::Close) {
            return Ok(token.span);
        }
        match &token.kind {
            TokenKind::End => Err(QueryError::new(open, "this `(` is not closed")),
            found => Err(self.between(inner, token.span, found)),
        }
    }

    fn set(&mut self, start: Span) -> Result<Expr, QueryError> {
        let open = self.expect(&TokenKind::Open, "after `set`")?;
        let mut words = Vec::new();
        loop {
            let token = self.advance();
            match &token.kind {
                TokenKind::Word { text, .. } => {
                    words.push(Word { text: text.clone(), span: token.span });
                }
                TokenKind::Close => {
                    return Ok(Expr { kind: ExprKind::Set(words), span: start.to(token.span) });
                }
                TokenKind::End => return Err(QueryError::new(open, "this `(` is not closed")),
                TokenKind::Comma => {
                    return Err(QueryError::new(token.span, "in `set` there are no commas")
                        .hint("what is in a set stands there with blanks between: `set(a b)`"));
                }
                _ => return Err(self.unexpected(token, "a pattern or `)`")),
            }
        }
    }

    fn definition(&mut self, start: Span) -> Result<Expr, QueryError> {
        let token = self.advance();
        let TokenKind::Word { text: name, .. } = &token.kind else {
            return Err(self.unexpected(token, "the name of a variable"));
        };
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            let error = QueryError::new(token.span, format!("`{name}` is no name of a variable"));
            return Err(match name.strip_prefix('$') {
                Some(bare) => error.hint(format!("write `let {bare} = …`, and then `${bare}`")),
                None => error.hint("names have letters, digits and `_`"),
            });
        }
        self.expect(&TokenKind::Equals, "after the variable")?;
        let value = self.expression()?;
        self.expect(&TokenKind::Keyword(Keyword::In), "after what the variable means")?;
        let body = self.expression()?;
        let span = start.to(body.span);
        let (value, body) = (Box::new(value), Box::new(body));
        Ok(Expr { kind: ExprKind::Let { name: name.clone(), value, body }, span })
    }

    fn call(&mut self, name: &str, start: Span) -> Result<Expr, QueryError> {
        let Some(function) = Function::from_name(name) else {
            return Err(self.unknown_function(start, name));
        };
        if !function.dialects().contains(&self.dialect) {
            let commands: Vec<String> =
                function.dialects().iter().map(|d| format!("`rbz {}`", d.command())).collect();
            let command = self.dialect.command();
            return Err(QueryError::new(
                start,
                format!("`rbz {command}` does not have the function `{name}`"),
            )
            .hint(format!("it is one of {}", commands.join(" and "))));
        }
        let open = self.expect(&TokenKind::Open, "after the function")?;
        let signature = function.signature();
        let arity = |span: Span, what: &str| {
            QueryError::new(span, format!("`{name}` {what}"))
                .hint(format!("write `{}`", signature.shown))
        };
        let mut arguments = Vec::new();
        let least = signature.parameters.len() - signature.optional;
        loop {
            let parameter = match signature.parameters.get(arguments.len()) {
                Some(parameter) => *parameter,
                None if signature.repeated => Parameter::Word,
                None => return Err(arity(self.peek().span, "takes no more arguments than these")),
            };
            if self.peek().kind == TokenKind::Close {
                return Err(arity(self.peek().span, "needs another argument here"));
            }
            arguments.push(self.argument(parameter)?);
            let token = self.advance();
            match token.kind {
                TokenKind::Comma => {}
                TokenKind::Close if arguments.len() < least => {
                    return Err(arity(token.span, "needs another argument here"));
                }
                TokenKind::Close => {
                    let span = start.to(token.span);
                    return Ok(Expr { kind: ExprKind::Call(function, arguments), span });
                }
                TokenKind::End => return Err(QueryError::new(open, "this `(` is not closed")),
                _ => {
                    self.next -= 1;
                    return Err(match arguments.last() {
                        Some(Argument::Expr(expr)) => self.between(expr, token.span, &token.kind),
                        _ => self.unexpected(token, "`,` or `)`"),
                    });
                }
            }
        }
    }

    fn argument(&mut self, parameter: Parameter) -> Result<Argument, QueryError> {
        if parameter == Parameter::Targets {
            return self.expression().map(Argument::Expr);
        }
        let token = self.advance();
        let wanted = match parameter {
            Parameter::Number => "a number",
            _ => "a word",
        };
        let TokenKind::Word { text, .. } = &token.kind else {
            let error = self.unexpected(token, wanted);
            return Err(match token.kind {
                TokenKind::Keyword(_) => error.hint("in quotes it is a word"),
                _ => error,
            });
        };
        match parameter {
            Parameter::Number => match text.parse() {
                Ok(number) => Ok(Argument::Number(number)),
                Err(_) => Err(self.unexpected(token, "a number from 0")),
            },
            _ => Ok(Argument::Word(Word { text: text.clone(), span: token.span })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        parse(text, Dialect::Query).expect(text).to_string()
    }

    fn wrong(text: &str) -> String {
        let error = parse(text, Dialect::Query).expect_err(text);
        error.diagnostic(text, "expression").to_string()
    }

    #[test]
    fn operators_bind_equally_and_from_the_left() {
        assert_eq!(shown("a - b union c intersect d"), "a - b + c ^ d");
        assert_eq!(shown("a - (b + c)"), "a - (b + c)");
        assert_eq!(shown("((a))"), "a");
        assert_eq!(shown("let x = a + b in $x except c"), "let x = a + b in $x - c");
        assert_eq!(shown("set(a b) + set()"), "set(a b) + set()");
        assert_eq!(shown("deps(//x , 2)"), "deps(//x, 2)");
        assert_eq!(shown("kind('lisp_.* rule', //...)"), "kind(\"lisp_.* rule\", //...)");
        assert_eq!(shown("\"set\" + '$x' + $x"), "\"set\" + \"$x\" + $x");
        assert_eq!(shown("rbuildfiles(a, b/c.bzl)"), "rbuildfiles(a, b/c.bzl)");
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let texts = [
            "",
            "deps(//a",
            "deps(//a))",
            "deps(//a, //b)",
            "deps(//a, 1, 2)",
            "rdeps(//a)",
            "dpes(//a)",
            "config(//a, target)",
            "a b",
            "a +",
            "-a",
            "a + in",
            "set(a, b)",
            "let $x = a in $x",
            "let x a",
            "kind(set, //a)",
            "attr(name, 'x",
            "(a",
            "deps(a b)",
        ];
        insta::assert_snapshot!(texts.map(wrong).join("\n\n"));
    }

    #[test]
    fn deep_nesting_is_an_error_and_long_rows_are_none() {
        for (open, close) in [("(", ")"), ("deps(", ")"), ("let x = a in ", "")] {
            let deep = format!("{}a{}", open.repeat(100_000), close.repeat(100_000));
            let error = parse(&deep, Dialect::Query).expect_err(open);
            assert!(error.cause.message.contains("nested more than 200 deep"), "{error:?}");
            let fine = format!("{}a{}", open.repeat(199), close.repeat(199));
            parse(&fine, Dialect::Query).expect(open);
        }
        let long = vec!["a"; 100_000].join(" - ");
        assert_eq!(shown(&long), long);
    }

    fn no_span() -> Span {
        Span { start: 0, end: 0 }
    }

    /// The tree without places, which differ when it is written in another way.
    fn bare(expr: Expr) -> Expr {
        let word = |word: Word| Word { span: no_span(), ..word };
        let boxed = |expr: Box<Expr>| Box::new(bare(*expr));
        let kind = match expr.kind {
            ExprKind::Set(words) => ExprKind::Set(words.into_iter().map(word).collect()),
            ExprKind::Call(function, arguments) => {
                let argument = |argument| match argument {
                    Argument::Expr(expr) => Argument::Expr(bare(expr)),
                    Argument::Word(text) => Argument::Word(word(text)),
                    Argument::Number(number) => Argument::Number(number),
                };
                ExprKind::Call(function, arguments.into_iter().map(argument).collect())
            }
            ExprKind::Let { name, value, body } => {
                ExprKind::Let { name, value: boxed(value), body: boxed(body) }
            }
            ExprKind::Operation { first, rest } => ExprKind::Operation {
                first: boxed(first),
                rest: rest.into_iter().map(|(op, expr)| (op, bare(expr))).collect(),
            },
            other => other,
        };
        Expr { kind, span: no_span() }
    }

    fn text() -> impl Strategy<Value = String> {
        // Both kinds of quotes in one word cannot be written.
        prop_oneof!["[a-z/:@.*$-]{1,8}", "[a-z +(),=^'-]{0,8}", "set|in|let|union|ä|\"x"]
    }

    fn expr() -> impl Strategy<Value = Expr> {
        let of = |kind| Expr { kind, span: no_span() };
        let word = || text().prop_map(|text| Word { text, span: no_span() });
        let leaf = prop_oneof![
            text().prop_map(move |text| of(ExprKind::Pattern(text))),
            "[a-z]{1,3}".prop_map(move |name| of(ExprKind::Variable(name))),
            proptest::collection::vec(word(), 0..4).prop_map(move |w| of(ExprKind::Set(w))),
        ];
        leaf.prop_recursive(5, 40, 4, move |inner| {
            let query = |function: &Function| function.dialects().contains(&Dialect::Query);
            let functions: Vec<Function> = Function::ALL.into_iter().filter(query).collect();
            let pool = proptest::collection::vec(inner.clone(), 3);
            let words = proptest::collection::vec(word(), 3);
            let call = (0..functions.len(), pool, words, 0..9_u32, any::<bool>()).prop_map(
                move |(at, exprs, words, number, all)| {
                    let function = functions[at];
                    let signature = function.signature();
                    let left_out = if all { 0 } else { signature.optional };
                    let taken = &signature.parameters[..signature.parameters.len() - left_out];
                    let arguments =
                        taken.iter().enumerate().map(|(n, parameter)| match parameter {
                            Parameter::Targets => Argument::Expr(exprs[n].clone()),
                            Parameter::Word => Argument::Word(words[n].clone()),
                            Parameter::Number => Argument::Number(number),
                        });
                    of(ExprKind::Call(function, arguments.collect()))
                },
            );
            let operator = prop_oneof![
                Just(Operator::Union),
                Just(Operator::Except),
                Just(Operator::Intersect)
            ];
            let rest = proptest::collection::vec((operator, inner.clone()), 1..4);
            prop_oneof![
                call,
                ("[a-z_]{1,5}", inner.clone(), inner.clone())
                    .prop_filter("a keyword", |(name, ..)| Keyword::from_name(name).is_none())
                    .prop_map(move |(name, value, body)| of(ExprKind::Let {
                        name,
                        value: Box::new(value),
                        body: Box::new(body)
                    })),
                (inner, rest).prop_map(move |(first, rest)| of(ExprKind::Operation {
                    first: Box::new(first),
                    rest
                })),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(expr in expr()) {
            let text = expr.to_string();
            let read = parse(&text, Dialect::Query).expect(&text);
            prop_assert_eq!(bare(read), expr, "{}", text);
        }

        #[test]
        fn any_text_is_an_expression_or_an_error_within_it(text in ".{0,60}") {
            if let Err(error) = parse(&text, Dialect::Query) {
                prop_assert!(error.span.end <= text.len() && text.is_char_boundary(error.span.start));
                error.diagnostic(&text, "expression").to_string();
            }
        }

        #[test]
        fn any_row_of_words_is_an_expression_or_an_error_within_it(
            words in proptest::collection::vec(
                prop_oneof!["deps|rdeps|some|kind|attr|set|let|in|x|//a|[0-9]|[$]x|=|,|[()]|[()]|[-+^]"],
                0..20,
            )
        ) {
            let text = words.join(" ");
            if let Err(error) = parse(&text, Dialect::Aquery) {
                prop_assert!(error.span.end <= text.len());
                error.diagnostic(&text, "expression").to_string();
            }
        }
    }
}
