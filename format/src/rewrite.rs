//! Rewrites: what formatting changes besides blanks and lines.
//!
//! The order of the rewrites matters: labels are shortened before lists of them are sorted.

mod arguments;
mod labels;
mod lists;
mod loads;
mod plus;
mod tokens;

use crate::file_kind::FileKind;
use crate::syntax::{Brackets, Call, File, Node, Syntax};
use crate::tables::Tables;

/// Rewrites `file`, which is in the package `package`.
pub fn rewrite(file: &mut File, kind: FileKind, tables: &Tables, package: &str) {
    if kind.is_declarative() {
        arguments::remove_parentheses(file);
        arguments::sort(file, tables);
        labels::shorten(file, tables, package);
    }
    lists::sort(file, kind, tables);
    if kind.is_declarative() {
        plus::join_lines(file);
    }
    loads::arrange(file, kind);
    tokens::indent_docstrings(file);
    arguments::reorder(file);
    tokens::write_numbers(file);
    arguments::close_empty_calls(file);
}

const LEAVE_ALONE: &str = "buildifier: leave-alone";

/// Calls `visit` with each call in `file` that no comment on it, or around it, exempts.
fn calls(file: &mut File, visit: &mut impl FnMut(&mut Call)) {
    fn walk(node: &mut Node, visit: &mut impl FnMut(&mut Call)) {
        if node.comments.say(LEAVE_ALONE) {
            return;
        }
        if let Syntax::Call(call) = &mut node.syntax {
            visit(call);
        }
        for child in node.children() {
            walk(child, visit);
        }
    }
    if !file.comments.say(LEAVE_ALONE) {
        for statement in &mut file.statements {
            walk(statement, visit);
        }
    }
}

/// The name of the rule or function that is called: `a` or `a.b`. Empty for something else.
fn callee(call: &Call) -> String {
    let mut fields = Vec::new();
    let mut node = &*call.function;
    while let Syntax::Dot { value, name, .. } = &node.syntax {
        fields.push(name.as_str());
        node = value;
    }
    let Some(first) = node.as_name() else { return String::new() };
    fields.push(first);
    fields.reverse();
    fields.join(".")
}

/// The name and the value of a named argument.
fn named(node: &mut Node) -> Option<(String, &mut Node)> {
    match &mut node.syntax {
        Syntax::Assign { left, right, .. } => Some((left.as_name()?.to_owned(), right)),
        _ => None,
    }
}

/// Calls `change` with `node`, and with what it is made of as far as it is a value that is put
/// together: by `+`, or by `select`.
fn composed(node: &mut Node, change: &mut impl FnMut(&mut Node)) {
    change(node);
    match &mut node.syntax {
        Syntax::Binary { left, operator: "+", right, .. } => {
            composed(left, change);
            composed(right, change);
        }
        Syntax::Call(Call { function, arguments }) if function.as_name() == Some("select") => {
            let Some(Node { syntax: Syntax::Dict(Brackets { items, .. }), .. }) =
                arguments.items.first_mut()
            else {
                return;
            };
            for entry in items {
                if let Syntax::Entry { value, .. } = &mut entry.syntax {
                    composed(value, change);
                }
            }
        }
        _ => {}
    }
}
