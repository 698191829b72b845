//! Lists of strings: sorted, and each once, where the order has no meaning.

use std::collections::HashMap;

use crate::file_kind::FileKind;
use crate::rewrite::{LEAVE_ALONE, callee, calls, composed, named};
use crate::syntax::{Brackets, Call, Comments, File, Node, Syntax, Text};
use crate::tables::Tables;

const KEEP_SORTED: &str = "keep sorted";
const DO_NOT_SORT: &str = "do not sort";

/// Names of files that compilers of Lisp read one after the other.
const LISP_EXTENSIONS: [&[u8]; 4] = [b".lisp", b".lsp", b".cl", b".asd"];

/// Sorts the lists that the tables name, and those of which a comment asks it.
pub fn sort(file: &mut File, kind: FileKind, tables: &Tables) {
    match kind {
        FileKind::Build | FileKind::Workspace => {
            calls(file, &mut |call| sort_arguments(call, tables))
        }
        FileKind::Bzl => calls(file, &mut |call| {
            if call.function.as_name() == Some("visibility") {
                for argument in &mut call.arguments.items {
                    composed(argument, &mut sort_list);
                }
            }
        }),
        FileKind::Default => {}
    }
    file.walk(&mut |node| {
        let asked = node.comments.say(KEEP_SORTED);
        match &mut node.syntax {
            Syntax::Assign { right: value, .. } | Syntax::Entry { value, .. } if asked => {
                composed(value, &mut sort_list);
            }
            Syntax::List(list) if asked || first_says(list, KEEP_SORTED) => sort_list(node),
            _ => {}
        }
    });
}

fn sort_arguments(call: &mut Call, tables: &Tables) {
    let rule = callee(call);
    for argument in &mut call.arguments.items {
        let (alone, kept) =
            (argument.comments.say(LEAVE_ALONE), argument.comments.say(DO_NOT_SORT));
        let Some((name, value)) = named(argument) else { continue };
        if alone || !tables.is_sorted(&rule, &name) {
            continue;
        }
        let mut ordered = false;
        composed(value, &mut |node| ordered |= name == "srcs" && has_lisp_sources(node));
        if ordered {
            // Whatever the rule: some rule of Lisp gets them, and compiles them in this order.
            continue;
        }
        if kept {
            if let Syntax::List(list) = &mut value.syntax {
                deduplicate(list);
            }
        } else {
            composed(value, &mut sort_list);
        }
    }
}

fn has_lisp_sources(node: &Node) -> bool {
    let Syntax::List(list) = &node.syntax else { return false };
    let is_lisp = |text: &Text| LISP_EXTENSIONS.iter().any(|end| text.value.ends_with(end));
    list.items.iter().filter_map(Node::as_text).any(is_lisp)
}

fn first_says(list: &Brackets, words: &str) -> bool {
    list.items.first().is_some_and(|first| first.comments.say(words))
}

fn sort_list(node: &mut Node) {
    let asked = node.comments.say(KEEP_SORTED);
    let commented = !node.comments.before.is_empty() || !node.comments.after.is_empty();
    let Syntax::List(list) = &mut node.syntax else { return };
    if list.items.len() < 2 {
        return;
    }
    let lines = commented
        || !list.close.comments.before.is_empty()
        || list.items.iter().any(|item| !item.comments.before.is_empty());
    if first_says(list, DO_NOT_SORT) || lines && !asked && !first_says(list, KEEP_SORTED) {
        // A comment on a line of its own can be about the order.
        deduplicate(list);
    } else {
        sort_runs(list);
    }
}

/// Keeps the first of strings that are the same, with the comments of all of them.
fn deduplicate(list: &mut Brackets) {
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut kept: Vec<Node> = Vec::with_capacity(list.items.len());
    let mut orphans = Vec::new();
    for mut item in std::mem::take(&mut list.items) {
        let value = item.as_text().map(|text| text.value.clone());
        if let Some(first) = value.as_ref().and_then(|value| seen.get(value)) {
            // What stood above it stands above what follows it.
            let Comments { before, suffix, after } = item.comments;
            orphans.extend(before);
            orphans.extend(after);
            kept[*first].comments.suffix.extend(suffix);
            continue;
        }
        if let Some(value) = value {
            seen.insert(value, kept.len());
            orphans.append(&mut item.comments.before);
            item.comments.before = std::mem::take(&mut orphans);
        }
        kept.push(item);
    }
    orphans.append(&mut list.close.comments.before);
    list.close.comments.before = orphans;
    list.items = kept;
}

/// Sorts strings; comments on lines of their own, and what is no string, stay between them.
fn sort_runs(list: &mut Brackets) {
    let mut sorted: Vec<Node> = Vec::with_capacity(list.items.len());
    let mut items = std::mem::take(&mut list.items).into_iter().peekable();
    while let Some(first) = items.next() {
        if first.as_text().is_none() {
            sorted.push(first);
            continue;
        }
        let mut run = vec![first];
        let goes_on = |item: &Node| item.as_text().is_some() && item.comments.before.is_empty();
        while let Some(next) = items.next_if(goes_on) {
            run.push(next);
        }
        let before = std::mem::take(&mut run[0].comments.before);
        run.sort_by_cached_key(|item| item.as_text().map(sort_key));
        run.dedup_by(|second, first| {
            let same = match (first.as_text(), second.as_text()) {
                (Some(first), Some(second)) => first.value == second.value,
                _ => false,
            };
            if same {
                first.comments.absorb(std::mem::take(&mut second.comments));
            }
            same
        });
        run[0].comments.before = before;
        sorted.append(&mut run);
    }
    list.items = sorted;
}

/// Files first, then targets of the package, of the repository, of others; each by its parts.
fn sort_key(text: &Text) -> (u8, Vec<Vec<u8>>, Vec<u8>) {
    let value = &text.value;
    let phase = match &value[..] {
        [b':', ..] => 1,
        [b'/', b'/', ..] => 2,
        [b'@', ..] => 3,
        _ => 0,
    };
    let parts = value.split(|byte| matches!(byte, b':' | b'.')).map(<[u8]>::to_vec).collect();
    (phase, parts, value.clone())
}
