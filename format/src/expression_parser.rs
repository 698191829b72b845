//! Parser of expressions.
//!
//! It takes what is a mistake but plain in its meaning, such as two commas in a row: formatting
//! mends that.

use crate::error::SyntaxError;
use crate::lexer::{Token, TokenKind};
use crate::parser::{Parser, assignment};
use crate::string_literal;
use crate::syntax::{Brackets, Call, Close, Load, LoadedName, Node, Position, Syntax, Text};

/// The operators between two operands, those that bind loosest first.
const OPERATORS: [&[&str]; 9] = [
    &["or"],
    &["and"],
    &["<", ">", "==", "!=", "<=", ">=", "in", "not in"],
    &["|"],
    &["^"],
    &["&"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "//", "%"],
];

impl Parser<'_> {
    /// An expression, or several with commas between them.
    pub(crate) fn expression(&mut self) -> Result<Node, SyntaxError> {
        let first = self.test()?;
        self.sequence(first, Self::test)
    }

    /// What stands between `for` and `in`.
    pub(crate) fn loop_variables(&mut self) -> Result<Node, SyntaxError> {
        let first = self.operand()?;
        self.sequence(first, Self::operand)
    }

    fn sequence(
        &mut self,
        first: Node,
        item: impl Fn(&mut Self) -> Result<Node, SyntaxError>,
    ) -> Result<Node, SyntaxError> {
        if !self.at(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.take_if(",").is_some() {
            items.push(item(self)?);
        }
        self.wrap()?;
        Ok(Syntax::Sequence(items).into())
    }

    /// One expression.
    pub(crate) fn test(&mut self) -> Result<Node, SyntaxError> {
        self.nested(|parser| {
            let mut node = parser.binary(0)?;
            while parser.take_if("if").is_some() {
                let condition = Box::new(parser.test()?);
                parser.expect("else")?;
                let otherwise = Box::new(parser.nested(|parser| parser.binary(0))?);
                parser.wrap()?;
                node = Syntax::Conditional { then: Box::new(node), condition, otherwise }.into();
            }
            Ok(node)
        })
    }

    /// Operands with operators of the level `loosest`, or such that bind tighter.
    fn binary(&mut self, loosest: usize) -> Result<Node, SyntaxError> {
        let mut left = self.unary()?;
        while let Some((level, operator)) = self.operator(loosest) {
            self.take();
            if operator == "not in" {
                self.take();
            }
            let right = self.nested(|parser| parser.binary(level + 1))?;
            self.wrap()?;
            let broken = left.end().line < right.start().line;
            left =
                Syntax::Binary { left: Box::new(left), operator, broken, right: Box::new(right) }
                    .into();
        }
        Ok(left)
    }

    fn operator(&self, loosest: usize) -> Option<(usize, &'static str)> {
        let TokenKind::Sign(mut sign) = self.peek().kind else { return None };
        if sign == "not" {
            if self.peek_second() != TokenKind::Sign("in") {
                return None;
            }
            sign = "not in";
        }
        let level = OPERATORS.iter().position(|level| level.contains(&sign))?;
        (level >= loosest).then_some((level, sign))
    }

    fn unary(&mut self) -> Result<Node, SyntaxError> {
        for operator in ["not", "-", "+", "~"] {
            if let Some(token) = self.take_if(operator) {
                let operand = Some(Box::new(self.nested(Self::unary)?));
                return Ok(Syntax::Unary { at: token.at, operator, operand }.into());
            }
        }
        match self.take_if("lambda") {
            Some(token) => self.lambda(token.at),
            None => self.operand(),
        }
    }

    fn lambda(&mut self, at: Position) -> Result<Node, SyntaxError> {
        let parameters = self.parameters(":")?;
        self.expect(":")?;
        let body = Box::new(self.test()?);
        Ok(Syntax::Lambda { at, parameters, body }.into())
    }

    /// Parameters of a function up to `end`, which stays. Those of a `lambda` have no types.
    pub(crate) fn parameters(&mut self, end: &'static str) -> Result<Vec<Node>, SyntaxError> {
        let mut parameters = Vec::new();
        while !self.at(end) {
            parameters.push(self.nested(|parser| parser.parameter(end != ":"))?);
            if self.take_if(",").is_none() {
                break;
            }
        }
        Ok(parameters)
    }

    fn parameter(&mut self, typed: bool) -> Result<Node, SyntaxError> {
        for operator in ["**", "*"] {
            if let Some(token) = self.take_if(operator) {
                let alone = operator == "*" && self.peek().kind != TokenKind::Name;
                let operand = if alone { None } else { Some(Box::new(self.typed_name(typed)?)) };
                return Ok(Syntax::Unary { at: token.at, operator, operand }.into());
            }
        }
        let name = self.typed_name(typed)?;
        match self.take_if("=") {
            Some(_) => Ok(assignment(name, "=", self.test()?)),
            None => Ok(name),
        }
    }

    fn typed_name(&mut self, typed: bool) -> Result<Node, SyntaxError> {
        if self.peek().kind != TokenKind::Name {
            return Err(self.wrong("a name"));
        }
        let name = name(self.take());
        if !typed || self.take_if(":").is_none() {
            return Ok(name);
        }
        let annotation = Box::new(self.test()?);
        Ok(Syntax::Typed { name: Box::new(name), annotation }.into())
    }

    /// Something that operators can be applied to, with its calls, indices and fields.
    fn operand(&mut self) -> Result<Node, SyntaxError> {
        self.nested(|parser| {
            let mut node = parser.atom()?;
            loop {
                node = match parser.peek().kind {
                    TokenKind::Sign(".") => {
                        parser.take();
                        if parser.peek().kind != TokenKind::Name {
                            return Err(parser.wrong("a name"));
                        }
                        let (name_at, name) = (parser.peek().at, parser.take().text.to_owned());
                        Syntax::Dot { value: Box::new(node), name_at, name }.into()
                    }
                    TokenKind::Sign("(") => {
                        let open = parser.take().at;
                        let items = parser.items(")", Self::argument)?.0;
                        let arguments = parser.close(open, items, ")")?;
                        Syntax::Call(Call { function: Box::new(node), arguments }).into()
                    }
                    TokenKind::Sign("[") => parser.index(node)?,
                    _ => return Ok(node),
                };
                parser.wrap()?;
            }
        })
    }

    fn index(&mut self, value: Node) -> Result<Node, SyntaxError> {
        self.take();
        let value = Box::new(value);
        let from = if self.at(":") { None } else { Some(Box::new(self.expression()?)) };
        if self.at("]")
            && let Some(index) = from
        {
            return Ok(Syntax::Index { value, index, end: self.take().at }.into());
        }
        self.expect(":")?;
        let bound = |parser: &mut Self| {
            let absent = parser.at(":") || parser.at("]");
            if absent { Ok(None) } else { parser.test().map(|node| Some(Box::new(node))) }
        };
        let to = bound(self)?;
        let step = match self.take_if(":") {
            Some(_) => Some(bound(self)?),
            None => None,
        };
        let end = self.expect("]")?.at;
        Ok(Syntax::Slice { value, from, to, step, end }.into())
    }

    fn atom(&mut self) -> Result<Node, SyntaxError> {
        match self.peek().kind {
            TokenKind::Name => Ok(name(self.take())),
            TokenKind::Number | TokenKind::Sign(".") => self.number(),
            TokenKind::Text => {
                let text = self.text()?;
                if self.peek().kind == TokenKind::Text {
                    return Err(self.wrong("`+`, which joins strings,"));
                }
                Ok(Syntax::Text(text).into())
            }
            TokenKind::Sign("load") => self.load(),
            TokenKind::Sign("[") => self.list(),
            TokenKind::Sign("{") => self.dict(),
            TokenKind::Sign("(") => {
                let open = self.take().at;
                let (items, comma) = self.items(")", Self::test)?;
                let paren = items.len() == 1 && !comma;
                let brackets = self.close(open, items, ")")?;
                Ok(if paren { Syntax::Paren(brackets) } else { Syntax::Tuple(brackets) }.into())
            }
            _ => Err(self.wrong("an expression")),
        }
    }

    fn number(&mut self) -> Result<Node, SyntaxError> {
        let at = self.peek().at;
        let mut token = String::new();
        if self.peek().kind == TokenKind::Number {
            token += self.take().text;
        }
        if self.take_if(".").is_some() {
            token.push('.');
            if self.peek().kind == TokenKind::Number {
                token += self.take().text;
            }
        }
        if token == "." {
            return Err(self.wrong("a number"));
        }
        Ok(Syntax::Number { at, token }.into())
    }

    fn text(&mut self) -> Result<Text, SyntaxError> {
        if self.peek().kind != TokenKind::Text {
            return Err(self.wrong("a string"));
        }
        let token = self.take();
        let (value, triple) = string_literal::unquote(token.text)
            .map_err(|wrong| SyntaxError::new(token.at, wrong))?;
        let end = token.at.after(token.text);
        Ok(Text { at: token.at, end, value, triple, token: token.text.to_owned() })
    }

    fn argument(&mut self) -> Result<Node, SyntaxError> {
        for operator in ["**", "*"] {
            if let Some(token) = self.take_if(operator) {
                let operand = Some(Box::new(self.test()?));
                return Ok(Syntax::Unary { at: token.at, operator, operand }.into());
            }
        }
        if self.peek().kind == TokenKind::Name && self.peek_second() == TokenKind::Sign("=") {
            let name = name(self.take());
            self.take();
            return Ok(assignment(name, "=", self.test()?));
        }
        self.test()
    }

    /// Items with commas between them, up to `end`, which stays; and whether a comma is last.
    fn items(
        &mut self,
        end: &'static str,
        item: impl Fn(&mut Self) -> Result<Node, SyntaxError>,
    ) -> Result<(Vec<Node>, bool), SyntaxError> {
        let mut items = Vec::new();
        loop {
            let mut comma = false;
            while self.take_if(",").is_some() {
                comma = true;
            }
            if self.at(end) {
                return Ok((items, comma));
            }
            if !comma && !items.is_empty() {
                return Err(self.wrong(&format!("`,` or `{end}`")));
            }
            items.push(item(self)?);
        }
    }

    fn close(
        &mut self,
        open: Position,
        items: Vec<Node>,
        end: &'static str,
    ) -> Result<Brackets, SyntaxError> {
        let close = self.expect(end)?.at;
        Ok(Brackets {
            open,
            compact: is_compact(open, &items, close),
            multiline: is_multiline(open, &items, close),
            items,
            close: Close { at: close, ..Close::default() },
        })
    }

    fn list(&mut self) -> Result<Node, SyntaxError> {
        let open = self.take().at;
        if !self.at("]") {
            let first = self.test()?;
            if self.at("for") {
                return self.comprehension(open, first, "]");
            }
            let items = self.items_after(first, "]", Self::test)?;
            return Ok(Syntax::List(self.close(open, items, "]")?).into());
        }
        Ok(Syntax::List(self.close(open, Vec::new(), "]")?).into())
    }

    fn dict(&mut self) -> Result<Node, SyntaxError> {
        let open = self.take().at;
        if !self.at("}") {
            let first = self.nested(Self::entry)?;
            if self.at("for") {
                return self.comprehension(open, first, "}");
            }
            let entry = |parser: &mut Self| parser.nested(Self::entry);
            let items = self.items_after(first, "}", entry)?;
            return Ok(Syntax::Dict(self.close(open, items, "}")?).into());
        }
        Ok(Syntax::Dict(self.close(open, Vec::new(), "}")?).into())
    }

    fn items_after(
        &mut self,
        first: Node,
        end: &'static str,
        item: impl Fn(&mut Self) -> Result<Node, SyntaxError>,
    ) -> Result<Vec<Node>, SyntaxError> {
        if !self.at(",") && !self.at(end) {
            return Err(self.wrong(&format!("`,` or `{end}`")));
        }
        let mut items = vec![first];
        items.append(&mut self.items(end, item)?.0);
        Ok(items)
    }

    fn entry(&mut self) -> Result<Node, SyntaxError> {
        let key = Box::new(self.test()?);
        self.expect(":")?;
        Ok(Syntax::Entry { key, value: Box::new(self.test()?) }.into())
    }

    fn comprehension(
        &mut self,
        open: Position,
        body: Node,
        end: &'static str,
    ) -> Result<Node, SyntaxError> {
        let mut clauses: Vec<Node> = Vec::new();
        loop {
            // A condition on the iterable would be taken for one on the clause.
            let at = self.peek().at;
            if self.take_if("for").is_some() {
                let variables = Box::new(self.loop_variables()?);
                self.expect("in")?;
                let iterable = Box::new(self.nested(|parser| parser.binary(0))?);
                clauses.push(Syntax::ForClause { at, variables, iterable }.into());
            } else if self.take_if("if").is_some() {
                let condition = Box::new(self.nested(|parser| parser.binary(0))?);
                clauses.push(Syntax::IfClause { at, condition }.into());
            } else {
                break;
            }
        }
        let close = self.expect(end)?.at;
        let mut line = open.line;
        let mut multiline = false;
        for part in std::iter::once(&body).chain(&clauses) {
            multiline |= part.start().line != line;
            line = part.end().line;
        }
        Ok(Syntax::Comprehension {
            curly: end == "}",
            open,
            body: Box::new(body),
            clauses,
            multiline: multiline || line != close.line,
            close: Close { at: close, ..Close::default() },
        }
        .into())
    }

    fn load(&mut self) -> Result<Node, SyntaxError> {
        let at = self.take().at;
        let open = self.expect("(")?.at;
        while self.take_if(",").is_some() {}
        let module = Box::new(Syntax::Text(self.text()?).into());
        let mut names = Vec::new();
        while self.take_if(",").is_some() {
            while self.take_if(",").is_some() {}
            if self.at(")") {
                break;
            }
            names.push(self.loaded_name()?);
        }
        if names.is_empty() {
            return Err(self.wrong("`,` and a name to load"));
        }
        let close = self.expect(")")?.at;
        let compact = open.line == close.line;
        let close = Close { at: close, ..Close::default() };
        Ok(Syntax::Load(Load { at, module, names, close, compact }).into())
    }

    fn loaded_name(&mut self) -> Result<LoadedName, SyntaxError> {
        let own = match self.peek().kind {
            TokenKind::Name => {
                let own = name(self.take());
                self.expect("=")?;
                Some(own)
            }
            _ => None,
        };
        let text = self.text()?;
        let quote = if text.triple { "'''" } else { "'" };
        let name = String::from_utf8_lossy(&text.value).into_owned();
        let there = Node::from(Syntax::Name { at: text.at.after(quote), name });
        Ok(LoadedName { own: own.unwrap_or_else(|| there.clone()), there })
    }
}

fn name(token: Token<'_>) -> Node {
    Syntax::Name { at: token.at, name: token.text.to_owned() }.into()
}

/// Whether an item can be one of several on a line.
fn is_simple(node: &Node) -> bool {
    match &node.syntax {
        Syntax::Number { .. } | Syntax::Text(_) | Syntax::Name { .. } => true,
        Syntax::Unary { operand: Some(operand), .. } => {
            matches!(operand.syntax, Syntax::Number { .. } | Syntax::Name { .. })
        }
        Syntax::List(brackets) | Syntax::Tuple(brackets) | Syntax::Dict(brackets) => {
            brackets.items.is_empty()
        }
        _ => false,
    }
}

fn is_compact(open: Position, items: &[Node], close: Position) -> bool {
    let mut line = open.line;
    for item in items {
        if item.start().line != line || !is_simple(item) {
            return false;
        }
        line = item.end().line;
    }
    items.len() > 1 && close.line == line
}

fn is_multiline(open: Position, items: &[Node], close: Position) -> bool {
    match items {
        [] => open.line != close.line,
        [only] => open.line != only.start().line || close.line != only.end().line,
        // Those are written over several lines anyway.
        _ => false,
    }
}
