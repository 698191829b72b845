//! Sums of lists: the line is broken within a list rather than before it.

use crate::syntax::{Call, File, Node, Syntax};

/// Joins the lines of sums that have lists in them.
pub fn join_lines(file: &mut File) {
    for statement in &mut file.statements {
        walk(statement, false);
    }
}

fn is_sum(node: &Node) -> bool {
    matches!(node.syntax, Syntax::Binary { operator: "+", .. })
}

/// `within`: the node is the left side of a sum that was seen to.
fn walk(node: &mut Node, within: bool) {
    let sum = is_sum(node);
    if sum && !within && has_list(node) {
        join(node);
    }
    for (index, child) in node.children().enumerate() {
        let within = sum && index == 0 && is_sum(child);
        walk(child, within);
    }
}

fn has_list(mut node: &Node) -> bool {
    while let Syntax::Binary { left, operator: "+", right, .. } = &node.syntax {
        if is_list(right) {
            return true;
        }
        node = left;
    }
    is_list(node)
}

/// Whether it is a list, or a call like `glob` whose only argument is one.
fn is_list(node: &Node) -> bool {
    match &node.syntax {
        Syntax::List(_) => true,
        Syntax::Call(Call { arguments, .. }) => {
            matches!(&arguments.items[..], [only] if is_list(only))
        }
        _ => false,
    }
}

fn join(node: &mut Node) {
    let Syntax::Binary { left, operator: "+", broken, right } = &mut node.syntax else { return };
    join(left);
    let before = match &left.syntax {
        Syntax::Binary { operator: "+", right, .. } => right,
        _ => left,
    };
    *broken = *broken && !spread(right) && !is_spread(before);
}

/// Whether the list goes over several lines.
fn is_spread(node: &Node) -> bool {
    match &node.syntax {
        Syntax::List(list) => list.multiline || list.items.len() > 1,
        Syntax::Call(Call { arguments, .. }) => {
            let items = &arguments.items;
            arguments.multiline
                || items.len() > 1 && !arguments.compact
                || matches!(&items[..], [only] if is_spread(only))
        }
        _ => false,
    }
}

/// Writes the list over several lines, if it is one.
fn spread(node: &mut Node) -> bool {
    match &mut node.syntax {
        Syntax::List(list) => {
            if let [only] = &mut list.items[..]
                && !list.multiline
                && spread(only)
            {
                return true;
            }
            list.multiline = true;
            true
        }
        Syntax::Call(Call { arguments, .. }) => match &mut arguments.items[..] {
            [only] => spread(only),
            _ => false,
        },
        _ => false,
    }
}
