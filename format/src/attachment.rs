//! Attachment: which piece of syntax a comment within brackets or behind code belongs to.

use std::collections::VecDeque;

use crate::syntax::{Comment, Comments, File, Part, Position};

/// Gives each comment to what it speaks of: one on a line of its own to what begins next, one
/// behind code to what ended last.
pub fn attach(file: &mut File, line: Vec<Comment>, suffix: Vec<Comment>) {
    let mut suffix = suffix;
    for statement in file.statements.iter_mut().rev() {
        attach_suffix(Part::Node(statement), &mut suffix);
    }
    file.comments.before.extend(suffix);
    let mut line = VecDeque::from(line);
    for statement in &mut file.statements {
        attach_line(Part::Node(statement), &mut line);
    }
    file.comments.after.extend(line);
}

/// Walks backwards, outermost first: what ends last comes first.
fn attach_suffix(part: Part<'_>, comments: &mut Vec<Comment>) {
    let node = match part {
        Part::Close(close) => {
            return take_suffix(&mut close.comments, close.at.after(")"), comments);
        }
        Part::Node(node) => node,
    };
    if !node.is_block() && !node.is_comment_block() {
        let end = node.end();
        take_suffix(&mut node.comments, end, comments);
    }
    for part in node.parts().into_iter().rev() {
        attach_suffix(part, comments);
    }
}

fn take_suffix(own: &mut Comments, end: Position, comments: &mut Vec<Comment>) {
    let first = comments.iter().rposition(|comment| comment.at.offset < end.offset);
    let taken = comments.split_off(first.map_or(0, |index| index + 1));
    own.suffix.splice(0..0, taken);
}

/// Walks forwards, outermost first: what begins first comes first.
fn attach_line(part: Part<'_>, comments: &mut VecDeque<Comment>) {
    let node = match part {
        Part::Close(close) => return take_line(&mut close.comments, close.at, comments),
        Part::Node(node) => node,
    };
    let start = node.start();
    take_line(&mut node.comments, start, comments);
    for part in node.parts() {
        attach_line(part, comments);
    }
}

fn take_line(own: &mut Comments, start: Position, comments: &mut VecDeque<Comment>) {
    let before = own.before.len();
    while comments.front().is_some_and(|first| first.at.offset <= start.offset) {
        own.before.extend(comments.pop_front());
    }
    if own.before.len() > before {
        own.before.sort_by_key(|comment| comment.at.offset);
    }
}
