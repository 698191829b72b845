//! Syntax: the tree of a file as it is written, with comments and with the lines things stand on.

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// In bytes, from 0.
    pub offset: usize,
}

impl Position {
    /// Where `text` ends that begins here.
    pub fn after(self, text: &str) -> Position {
        let characters = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let offset = self.offset + text.len();
        match text.rsplit_once('\n') {
            None => Position { offset, column: self.column + characters(text), ..self },
            Some((before, last)) => {
                let lines = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
                let lines = u32::try_from(lines).unwrap_or(u32::MAX);
                Position { offset, line: self.line + lines, column: 1 + characters(last) }
            }
        }
    }
}

/// A comment from its `#` to the end of the line. An empty text is a blank line that separates two
/// comments within brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    #[allow(missing_docs)]
    pub at: Position,
    #[allow(missing_docs)]
    pub text: String,
}

/// The comments that belong to a piece of syntax.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comments {
    /// On lines of their own above it.
    pub before: Vec<Comment>,
    /// On the line where it ends.
    pub suffix: Vec<Comment>,
    /// On lines of their own below it; only statements have those.
    pub after: Vec<Comment>,
}

impl Comments {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Comment> {
        self.before.iter().chain(&self.suffix).chain(&self.after)
    }

    /// Whether one of them says `words`, in whatever case.
    pub fn say(&self, words: &str) -> bool {
        self.all().any(|comment| comment.text.to_lowercase().contains(words))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Takes over those of syntax that goes away.
    pub fn absorb(&mut self, other: Comments) {
        self.before.extend(other.before);
        self.suffix.extend(other.suffix);
        self.after.extend(other.after);
    }
}

/// A statement or an expression.
#[derive(Clone, Debug)]
pub struct Node {
    #[allow(missing_docs)]
    pub comments: Comments,
    #[allow(missing_docs)]
    pub syntax: Syntax,
}

/// A closing bracket, or the `else` of a statement: something that comments stand at.
#[derive(Clone, Debug, Default)]
pub struct Close {
    #[allow(missing_docs)]
    pub comments: Comments,
    #[allow(missing_docs)]
    pub at: Position,
}

/// A string as it is written, and what it says.
#[derive(Clone, Debug)]
pub struct Text {
    #[allow(missing_docs)]
    pub at: Position,
    #[allow(missing_docs)]
    pub end: Position,
    /// What it says. Bytes, since an escape can stand for half a character.
    pub value: Vec<u8>,
    /// Whether there are three quotes on either side.
    pub triple: bool,
    /// As it is written; empty: it is to be quoted afresh.
    pub token: String,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    #[allow(missing_docs)]
    pub function: Box<Node>,
    #[allow(missing_docs)]
    pub arguments: Brackets,
}

/// Items between brackets.
#[derive(Clone, Debug)]
pub struct Brackets {
    #[allow(missing_docs)]
    pub open: Position,
    #[allow(missing_docs)]
    pub items: Vec<Node>,
    #[allow(missing_docs)]
    pub close: Close,
    /// Simple items were written on one line: they stay there.
    pub compact: bool,
    /// None or one was written over several lines: it stays so.
    pub multiline: bool,
}

/// A name that a `load` takes over.
#[derive(Clone, Debug)]
pub struct LoadedName {
    /// As it is called here. A [`Syntax::Name`].
    pub own: Node,
    /// As it is called there. A [`Syntax::Name`].
    pub there: Node,
}

/// A `load`.
#[derive(Clone, Debug)]
pub struct Load {
    #[allow(missing_docs)]
    pub at: Position,
    /// A [`Syntax::Text`].
    pub module: Box<Node>,
    #[allow(missing_docs)]
    pub names: Vec<LoadedName>,
    #[allow(missing_docs)]
    pub close: Close,
    /// It was written on one line.
    pub compact: bool,
}

/// A definition of a function.
#[derive(Clone, Debug)]
pub struct Def {
    #[allow(missing_docs)]
    pub at: Position,
    #[allow(missing_docs)]
    pub name: String,
    #[allow(missing_docs)]
    pub parameters: Vec<Node>,
    #[allow(missing_docs)]
    pub result: Option<Box<Node>>,
    #[allow(missing_docs)]
    pub body: Vec<Node>,
}

/// An `if`; an `elif` is one that is alone in `otherwise`.
#[derive(Clone, Debug)]
pub struct If {
    #[allow(missing_docs)]
    pub at: Position,
    #[allow(missing_docs)]
    pub condition: Box<Node>,
    #[allow(missing_docs)]
    pub then: Vec<Node>,
    /// The `else` or `elif`.
    pub turn: Close,
    #[allow(missing_docs)]
    pub otherwise: Vec<Node>,
}

/// The kinds of syntax.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Syntax {
    /// Comments with blank lines around them; they are those after it.
    CommentBlock(Position),
    Name {
        at: Position,
        name: String,
    },
    Number {
        at: Position,
        token: String,
    },
    /// `pass`, `break`, `continue`
    Keyword {
        at: Position,
        word: &'static str,
    },
    Text(Text),
    /// `name: type`
    Typed {
        name: Box<Node>,
        annotation: Box<Node>,
    },
    Dot {
        value: Box<Node>,
        name_at: Position,
        name: String,
    },
    Index {
        value: Box<Node>,
        index: Box<Node>,
        end: Position,
    },
    Slice {
        value: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
        /// Whether there is a second colon, and what is behind it.
        step: Option<Option<Box<Node>>>,
        end: Position,
    },
    Call(Call),
    Load(Load),
    List(Brackets),
    /// Its items are [`Syntax::Entry`].
    Dict(Brackets),
    Entry {
        key: Box<Node>,
        value: Box<Node>,
    },
    Tuple(Brackets),
    /// A tuple without brackets: `a, b`
    Sequence(Vec<Node>),
    Paren(Brackets),
    Comprehension {
        curly: bool,
        open: Position,
        body: Box<Node>,
        clauses: Vec<Node>,
        close: Close,
        multiline: bool,
    },
    ForClause {
        at: Position,
        variables: Box<Node>,
        iterable: Box<Node>,
    },
    IfClause {
        at: Position,
        condition: Box<Node>,
    },
    Unary {
        at: Position,
        operator: &'static str,
        operand: Option<Box<Node>>,
    },
    Binary {
        left: Box<Node>,
        operator: &'static str,
        /// The line is broken after the operator.
        broken: bool,
        right: Box<Node>,
    },
    Assign {
        left: Box<Node>,
        operator: &'static str,
        broken: bool,
        right: Box<Node>,
    },
    Conditional {
        then: Box<Node>,
        condition: Box<Node>,
        otherwise: Box<Node>,
    },
    Lambda {
        at: Position,
        parameters: Vec<Node>,
        body: Box<Node>,
    },
    Return {
        at: Position,
        value: Option<Box<Node>>,
    },
    Def(Def),
    For {
        at: Position,
        variables: Box<Node>,
        iterable: Box<Node>,
        body: Vec<Node>,
    },
    If(If),
}

/// A file.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Comments that no statement could take.
    pub comments: Comments,
    #[allow(missing_docs)]
    pub statements: Vec<Node>,
}

/// What a node is made of, in the order in which it is written.
pub enum Part<'a> {
    #[allow(missing_docs)]
    Node(&'a mut Node),
    #[allow(missing_docs)]
    Close(&'a mut Close),
}

impl From<Syntax> for Node {
    fn from(syntax: Syntax) -> Self {
        Node { comments: Comments::default(), syntax }
    }
}

impl Node {
    /// Where it begins, comments left out.
    pub fn start(&self) -> Position {
        // A loop: operators and calls can be chained at length.
        let mut node = self;
        loop {
            node = match &node.syntax {
                Syntax::CommentBlock(at)
                | Syntax::Name { at, .. }
                | Syntax::Number { at, .. }
                | Syntax::Keyword { at, .. }
                | Syntax::Comprehension { open: at, .. }
                | Syntax::ForClause { at, .. }
                | Syntax::IfClause { at, .. }
                | Syntax::Unary { at, .. }
                | Syntax::Lambda { at, .. }
                | Syntax::Return { at, .. }
                | Syntax::For { at, .. } => return *at,
                Syntax::Text(text) => return text.at,
                Syntax::Load(load) => return load.at,
                Syntax::Def(def) => return def.at,
                Syntax::If(chosen) => return chosen.at,
                Syntax::List(brackets)
                | Syntax::Dict(brackets)
                | Syntax::Tuple(brackets)
                | Syntax::Paren(brackets) => return brackets.open,
                Syntax::Typed { name: first, .. }
                | Syntax::Dot { value: first, .. }
                | Syntax::Index { value: first, .. }
                | Syntax::Slice { value: first, .. }
                | Syntax::Entry { key: first, .. }
                | Syntax::Binary { left: first, .. }
                | Syntax::Assign { left: first, .. }
                | Syntax::Conditional { then: first, .. } => first,
                Syntax::Call(call) => &call.function,
                Syntax::Sequence(items) => match items.first() {
                    Some(first) => first,
                    None => return Position::default(),
                },
            };
        }
    }

    /// Where it ends, comments left out.
    pub fn end(&self) -> Position {
        let mut node = self;
        loop {
            let last = match &node.syntax {
                Syntax::CommentBlock(at) => return *at,
                Syntax::Name { at, name } => return at.after(name),
                Syntax::Number { at, token } => return at.after(token),
                Syntax::Keyword { at, word } => return at.after(word),
                Syntax::Text(text) => return text.end,
                Syntax::Load(Load { close, .. }) | Syntax::Comprehension { close, .. } => {
                    return close.at.after(")");
                }
                Syntax::Call(Call { arguments: brackets, .. })
                | Syntax::List(brackets)
                | Syntax::Dict(brackets)
                | Syntax::Tuple(brackets)
                | Syntax::Paren(brackets) => return brackets.close.at.after(")"),
                Syntax::Index { end, .. } | Syntax::Slice { end, .. } => return end.after("]"),
                Syntax::Dot { name_at, name, .. } => return name_at.after(name),
                Syntax::Unary { at, operand: None, .. } => return *at,
                Syntax::Return { at, value: None } => return at.after("return"),
                Syntax::Unary { operand: Some(last), .. }
                | Syntax::Return { value: Some(last), .. }
                | Syntax::Typed { annotation: last, .. }
                | Syntax::Entry { value: last, .. }
                | Syntax::ForClause { iterable: last, .. }
                | Syntax::IfClause { condition: last, .. }
                | Syntax::Binary { right: last, .. }
                | Syntax::Assign { right: last, .. }
                | Syntax::Conditional { otherwise: last, .. }
                | Syntax::Lambda { body: last, .. } => Some(&**last),
                Syntax::Sequence(body)
                | Syntax::Def(Def { body, .. })
                | Syntax::For { body, .. } => body.last(),
                Syntax::If(If { then, otherwise, .. }) => otherwise.last().or(then.last()),
            };
            match last {
                Some(last) => node = last,
                None => return Position::default(),
            }
        }
    }

    /// What it is made of. The type that a function yields is left out: no comment can stand there.
    pub fn parts(&mut self) -> Vec<Part<'_>> {
        fn nodes(nodes: &mut [Node]) -> impl Iterator<Item = Part<'_>> {
            nodes.iter_mut().map(Part::Node)
        }
        fn brackets(brackets: &mut Brackets) -> Vec<Part<'_>> {
            nodes(&mut brackets.items).chain([Part::Close(&mut brackets.close)]).collect()
        }
        match &mut self.syntax {
            Syntax::CommentBlock(_)
            | Syntax::Name { .. }
            | Syntax::Number { .. }
            | Syntax::Keyword { .. }
            | Syntax::Text(_) => Vec::new(),
            Syntax::Typed { annotation, .. } => vec![Part::Node(annotation)],
            Syntax::Dot { value, .. } => vec![Part::Node(value)],
            Syntax::Index { value, index, .. } => vec![Part::Node(value), Part::Node(index)],
            Syntax::Slice { value, from, to, step, .. } => {
                let bounds = [from.as_mut(), to.as_mut(), step.as_mut().and_then(Option::as_mut)];
                let bounds = bounds.into_iter().flatten();
                std::iter::once(value).chain(bounds).map(|node| Part::Node(node)).collect()
            }
            Syntax::Call(call) => {
                let mut parts = vec![Part::Node(&mut call.function)];
                parts.extend(brackets(&mut call.arguments));
                parts
            }
            Syntax::Load(load) => {
                let mut parts = vec![Part::Node(&mut load.module)];
                for LoadedName { own, there } in &mut load.names {
                    parts.extend([Part::Node(own), Part::Node(there)]);
                }
                parts.push(Part::Close(&mut load.close));
                parts
            }
            Syntax::List(items)
            | Syntax::Dict(items)
            | Syntax::Tuple(items)
            | Syntax::Paren(items) => brackets(items),
            Syntax::Sequence(items) => nodes(items).collect(),
            Syntax::Entry { key: left, value: right }
            | Syntax::ForClause { variables: left, iterable: right, .. }
            | Syntax::Binary { left, right, .. }
            | Syntax::Assign { left, right, .. } => vec![Part::Node(left), Part::Node(right)],
            Syntax::Comprehension { body, clauses, close, .. } => {
                let body = std::iter::once(Part::Node(body));
                body.chain(nodes(clauses)).chain([Part::Close(close)]).collect()
            }
            Syntax::IfClause { condition, .. } => vec![Part::Node(condition)],
            Syntax::Unary { operand: value, .. } | Syntax::Return { value, .. } => {
                value.iter_mut().map(|node| Part::Node(node)).collect()
            }
            Syntax::Conditional { then, condition, otherwise } => {
                vec![Part::Node(then), Part::Node(condition), Part::Node(otherwise)]
            }
            Syntax::Lambda { parameters, body, .. } => {
                nodes(parameters).chain([Part::Node(body)]).collect()
            }
            Syntax::Def(def) => nodes(&mut def.parameters).chain(nodes(&mut def.body)).collect(),
            Syntax::For { variables, iterable, body, .. } => {
                let head = [Part::Node(variables), Part::Node(iterable)];
                head.into_iter().chain(nodes(body)).collect()
            }
            Syntax::If(chosen) => {
                let mut parts = vec![Part::Node(&mut chosen.condition)];
                parts.extend(nodes(&mut chosen.then));
                if !chosen.otherwise.is_empty() {
                    parts.push(Part::Close(&mut chosen.turn));
                }
                parts.extend(nodes(&mut chosen.otherwise));
                parts
            }
        }
    }

    /// The nodes it is made of.
    pub fn children(&mut self) -> impl Iterator<Item = &mut Node> {
        self.parts().into_iter().filter_map(|part| match part {
            Part::Node(node) => Some(node),
            Part::Close(_) => None,
        })
    }

    /// Calls `visit` with it and everything it is made of, outermost first.
    pub fn walk(&mut self, visit: &mut impl FnMut(&mut Node)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// Whether it is a statement with an indented body.
    pub fn is_block(&self) -> bool {
        matches!(self.syntax, Syntax::Def(_) | Syntax::For { .. } | Syntax::If(_))
    }

    #[allow(missing_docs)]
    pub fn is_comment_block(&self) -> bool {
        matches!(self.syntax, Syntax::CommentBlock(_))
    }

    #[allow(missing_docs)]
    pub fn as_load(&self) -> Option<&Load> {
        match &self.syntax {
            Syntax::Load(load) => Some(load),
            _ => None,
        }
    }

    #[allow(missing_docs)]
    pub fn as_text(&self) -> Option<&Text> {
        match &self.syntax {
            Syntax::Text(text) => Some(text),
            _ => None,
        }
    }

    #[allow(missing_docs)]
    pub fn as_name(&self) -> Option<&str> {
        match &self.syntax {
            Syntax::Name { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl File {
    /// Calls `visit` with everything in it, outermost first.
    pub fn walk(&mut self, visit: &mut impl FnMut(&mut Node)) {
        for statement in &mut self.statements {
            statement.walk(visit);
        }
    }
}
