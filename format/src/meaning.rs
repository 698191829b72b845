//! Meaning: whether two trees say the same, lines, parentheses and comments left aside.

use crate::syntax::{Brackets, Close, File, Node, Part, Syntax};

/// The comments of a file, sorted. Words that are said twice are there twice.
pub fn comments(file: &mut File) -> Vec<String> {
    fn collect(part: Part<'_>, found: &mut Vec<String>) {
        let (comments, parts) = match part {
            Part::Node(node) => (node.comments.clone(), node.parts()),
            Part::Close(Close { comments, .. }) => (comments.clone(), Vec::new()),
        };
        found.extend(comments.all().map(|comment| comment.text.trim().to_owned()));
        for part in parts {
            collect(part, found);
        }
    }
    let mut found = Vec::new();
    found.extend(file.comments.all().map(|comment| comment.text.trim().to_owned()));
    for statement in &mut file.statements {
        collect(Part::Node(statement), &mut found);
    }
    found.retain(|comment| !comment.is_empty());
    found.sort();
    found
}

/// Whether two files say the same.
pub fn is_same(first: &File, second: &File) -> bool {
    let outline = |file: &File| {
        let mut text = Vec::new();
        describe_all(&file.statements, &mut text);
        text
    };
    outline(first) == outline(second)
}

fn describe_all(nodes: &[Node], text: &mut Vec<u8>) {
    text.push(b'(');
    for node in nodes.iter().filter(|node| !node.is_comment_block()) {
        describe(node, text);
    }
    text.push(b')');
}

/// Writes down what `node` says, so that no two that say something else are written the same.
fn describe(node: &Node, text: &mut Vec<u8>) {
    let mut say = |kind: &str, word: &str| {
        text.extend(format!(" {kind} {} {word}", word.len()).into_bytes());
    };
    let optional = |node: Option<&Node>, text: &mut Vec<u8>| {
        text.push(b'?');
        node.into_iter().for_each(|node| describe(node, text));
    };
    let nodes: Vec<&Node> = match &node.syntax {
        Syntax::CommentBlock(_) => return,
        Syntax::Paren(Brackets { items, .. }) => {
            return items.iter().for_each(|item| describe(item, text));
        }
        Syntax::Name { name, .. } => return say("name", name),
        Syntax::Number { token, .. } => return say("number", token),
        Syntax::Keyword { word, .. } => return say("keyword", word),
        Syntax::Text(literal) => {
            say("text", &literal.value.len().to_string());
            return text.extend(&literal.value);
        }
        Syntax::Typed { name, annotation } => {
            say("typed", "");
            vec![name, annotation]
        }
        Syntax::Dot { value, name, .. } => {
            say("dot", name);
            vec![value]
        }
        Syntax::Index { value, index, .. } => {
            say("index", "");
            vec![value, index]
        }
        Syntax::Slice { value, from, to, step, .. } => {
            say("slice", if step.is_some() { ":" } else { "" });
            describe(value, text);
            for bound in [from, to, &step.clone().flatten()] {
                optional(bound.as_deref(), text);
            }
            return;
        }
        Syntax::Call(call) => {
            say("call", "");
            describe(&call.function, text);
            return describe_all(&call.arguments.items, text);
        }
        Syntax::Load(load) => {
            say("load", "");
            describe(&load.module, text);
            return load.names.iter().flat_map(|names| [&names.own, &names.there]).for_each(
                |name| {
                    describe(name, text);
                },
            );
        }
        Syntax::List(brackets) => {
            say("list", "");
            return describe_all(&brackets.items, text);
        }
        Syntax::Dict(brackets) => {
            say("dict", "");
            return describe_all(&brackets.items, text);
        }
        Syntax::Tuple(Brackets { items, .. }) | Syntax::Sequence(items) => {
            say("tuple", "");
            return describe_all(items, text);
        }
        Syntax::Entry { key, value } => vec![key, value],
        Syntax::Comprehension { curly, body, clauses, .. } => {
            say("comprehension", if *curly { "{" } else { "[" });
            describe(body, text);
            return describe_all(clauses, text);
        }
        Syntax::ForClause { variables, iterable, .. } => {
            say("for", "");
            vec![variables, iterable]
        }
        Syntax::IfClause { condition, .. } => {
            say("if", "");
            vec![condition]
        }
        Syntax::Unary { operator, operand, .. } => {
            say("unary", operator);
            return optional(operand.as_deref(), text);
        }
        Syntax::Binary { left, operator, right, .. }
        | Syntax::Assign { left, operator, right, .. } => {
            say("operation", operator);
            vec![left, right]
        }
        Syntax::Conditional { then, condition, otherwise } => {
            say("conditional", "");
            vec![then, condition, otherwise]
        }
        Syntax::Lambda { parameters, body, .. } => {
            say("lambda", "");
            describe_all(parameters, text);
            vec![body]
        }
        Syntax::Return { value, .. } => {
            say("return", "");
            return optional(value.as_deref(), text);
        }
        Syntax::Def(def) => {
            say("def", &def.name);
            describe_all(&def.parameters, text);
            optional(def.result.as_deref(), text);
            return describe_all(&def.body, text);
        }
        Syntax::For { variables, iterable, body, .. } => {
            say("loop", "");
            describe(variables, text);
            describe(iterable, text);
            return describe_all(body, text);
        }
        Syntax::If(chosen) => {
            say("branch", "");
            describe(&chosen.condition, text);
            describe_all(&chosen.then, text);
            return describe_all(&chosen.otherwise, text);
        }
    };
    nodes.into_iter().for_each(|node| describe(node, text));
}
