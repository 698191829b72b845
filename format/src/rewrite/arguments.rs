//! Arguments of calls: their order, and parentheses that nobody needs.

use crate::rewrite::{callee, calls};
use crate::syntax::{Brackets, Call, File, Node, Syntax};
use crate::tables::Tables;

/// Removes parentheses around what holds together without.
pub fn remove_parentheses(file: &mut File) {
    file.walk(&mut |node| {
        while let Syntax::Paren(Brackets { items, multiline: false, close, .. }) = &mut node.syntax
            && node.comments.is_empty()
            && close.comments.is_empty()
            && items.len() == 1
            && holds_together(&items[0])
            && let Some(inner) = items.pop()
        {
            *node = inner;
        }
    });
}

fn holds_together(node: &Node) -> bool {
    match &node.syntax {
        Syntax::Comprehension { .. }
        | Syntax::Dict(_)
        | Syntax::Name { .. }
        | Syntax::List(_)
        | Syntax::Number { .. }
        | Syntax::Paren(_)
        | Syntax::Text(_) => true,
        // A function that is written over several lines can need them.
        Syntax::Call(call) => call.function.start().line == call.function.end().line,
        _ => false,
    }
}

/// Sorts the named arguments at the end of each call.
pub fn sort(file: &mut File, tables: &Tables) {
    calls(file, &mut |call| {
        let rule = callee(call);
        let name = |node: &Node| match &node.syntax {
            Syntax::Assign { left, .. } => left.as_name().map(str::to_owned),
            _ => None,
        };
        let items = &mut call.arguments.items;
        let first =
            items.iter().rposition(|item| name(item).is_none()).map_or(0, |index| index + 1);
        items[first..].sort_by_cached_key(|item| {
            let name = name(item).unwrap_or_default();
            (tables.place(&rule, &name), name)
        });
    });
}

/// Puts arguments by position first, then named ones, `*args`, `**kwargs`.
pub fn reorder(file: &mut File) {
    file.walk(&mut |node| {
        if let Syntax::Call(Call { arguments, .. }) = &mut node.syntax {
            arguments.items.sort_by_key(|argument| match &argument.syntax {
                Syntax::Unary { operator: "**", .. } => 3,
                Syntax::Unary { operator: "*", .. } => 2,
                Syntax::Assign { .. } => 1,
                _ => 0,
            });
        }
    });
}

/// Writes a call without arguments on one line.
pub fn close_empty_calls(file: &mut File) {
    file.walk(&mut |node| {
        if let Syntax::Call(Call { arguments, .. }) = &mut node.syntax {
            arguments.multiline &= !arguments.items.is_empty();
        }
    });
}
