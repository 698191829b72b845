//! A runner of tests for a program with a `main` of its own.

use std::panic::catch_unwind;
use std::time::Instant;

/// A test and its name.
pub type Test = (&'static str, fn());

/// Runs the tests whose names have one of the command line's words in them, or all.
pub fn run(groups: &[&[Test]]) {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if std::env::args().any(|word| word == "--list") {
        groups.concat().iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let mut failed = Vec::new();
    let mut count = 0;
    for (name, test) in groups.concat() {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        count += 1;
        let started = Instant::now();
        let passed = catch_unwind(test).is_ok();
        let verdict = if passed { "ok" } else { "FAILED" };
        println!("test {name} ... {verdict} ({} ms)", started.elapsed().as_millis());
        if !passed {
            failed.push(name);
        }
    }
    println!("\n{count} tests, {} failed", failed.len());
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
        std::process::exit(101);
    }
}
