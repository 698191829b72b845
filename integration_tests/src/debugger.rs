//! gdb, for programs that a test has built.

use std::path::Path;

use crate::system::output_of;

/// What gdb says to these commands in this directory.
pub fn debug(directory: &Path, program: &str, commands: &[&str]) -> String {
    let mut words = vec!["120", "gdb", "--nx", "--quiet", "--batch"];
    let before = [
        "set pagination off",
        "set breakpoint pending on",
        "handle SIGSEGV SIGUSR2 nostop noprint pass",
    ];
    for command in before.iter().chain(commands) {
        words.extend(["-ex", command]);
    }
    words.push(program);
    output_of(directory, "timeout", &words)
}

/// Expects these texts in this order, others between them.
pub fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => panic!("no `{part}` after what comes before it in:\n{text}"),
        }
    }
}
