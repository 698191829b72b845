//! Documents whose examples are run: what a page shows is what a reader gets.
//!
//! A fenced block whose info string has `file=PATH` is a file of the reader's workspace. A block
//! ` ```console ` is a session: each line after `$ ` is run, in order, and the lines below it
//! must be in what it prints, `…` standing for anything. Other blocks are only looked at.

use std::path::Path;

use crate::workspace::Workspace;

/// A fenced block of a page.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// A file with this path and text.
    File(String, String),
    /// Commands with the lines that they print.
    Session(Vec<(String, Vec<String>)>),
}

/// The blocks of a page that do something, in order.
pub fn blocks(page: &Path) -> Vec<Block> {
    let text = crate::workspace::read(page);
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else {
            continue;
        };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if let Some((_, path)) = info.split_once("file=") {
            blocks.push(Block::File(path.to_owned(), body.join("\n") + "\n"));
        } else if info == "console" {
            blocks.push(Block::Session(session(&body)));
        }
    }
    blocks
}

fn session(body: &[&str]) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in body {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((_, printed))) => printed.push((*line).to_owned()),
            (None, None) => panic!("a session begins with a command: {line}"),
        }
    }
    commands
}

/// Does in `ws` what the page says, and compares what it shows.
///
/// # Panics
///
/// When something else happens than the page says.
pub fn follow(page: &Path, ws: &Workspace) {
    for block in blocks(page) {
        match block {
            Block::File(path, text) => ws.write(&path, &text),
            Block::Session(commands) => {
                for (command, printed) in commands {
                    let all = run(ws, &command);
                    assert_printed(&command, &printed, &all);
                }
            }
        }
    }
}

/// What a command of a page prints. Those of rbz run as in any other test; other programs by a
/// shell. A line that ends in `# exit N` may exit so.
fn run(ws: &Workspace, command: &str) -> String {
    let (command, exit_code) = match command.split_once("  # exit ") {
        Some((command, code)) => (command, code.parse().expect("an exit status is a number")),
        None => (command, 0),
    };
    match command.strip_prefix("rbz ") {
        Some(arguments) => {
            let arguments = words(arguments);
            let outcome = ws.rbz_args(arguments).exit_code(exit_code).run();
            format!("{}{}", outcome.stdout(), outcome.stderr())
        }
        None => crate::system::output_of(ws.root(), "sh", &["-c", command]),
    }
}

/// The words of a command line, some of them in double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

fn assert_printed(command: &str, expected: &[String], all: &str) {
    let mut rest = all.lines();
    for line in expected.iter().filter(|line| line.as_str() != "…") {
        let found = rest.any(|printed| matches(line, printed));
        assert!(found, "`{command}` prints, in this order, `{line}`:\n{all}");
    }
}

/// Whether `printed` is `expected`, where `…` stands for anything, nothing included. Runs of white
/// space are one, and none beside `…`.
fn matches(expected: &str, printed: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (expected, mut printed) = (squeeze(expected), squeeze(printed).to_owned());
    let mut parts = expected.split('…').map(str::trim);
    let first = parts.next().unwrap_or_default();
    if !printed.starts_with(first) {
        return false;
    }
    printed.drain(..first.len());
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return printed.is_empty() };
    for part in parts {
        let Some(at) = printed.find(part) else { return false };
        printed.drain(..at + part.len());
    }
    printed.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_stands_for_anything() {
        assert!(matches("a … c", "a   b c"));
        assert!(matches("PASSED in …s", "PASSED in 0.1s"));
        assert!(!matches("a … c", "a b d"));
        assert!(!matches("a", "a b"));
        assert!(matches("…", "anything"));
    }
}
