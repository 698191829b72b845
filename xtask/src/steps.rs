//! The steps of a check, each a call of cargo that is shown before it is made.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Formats, lints and documentation, with every warning an error.
pub fn check() -> Result<()> {
    run(cargo(&["fmt", "--all", "--check"]))?;
    run(cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let mut documentation = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    run(documentation)
}

/// Every test, with `arguments` for `cargo test`.
pub fn test(arguments: &[String]) -> Result<()> {
    // The integration tests run the program itself, which cargo does not build for them.
    run(cargo(&["build", "--workspace"]))?;
    // There are no tests in the documentation and none of this program.
    let mut test = cargo(&[
        "test",
        "--workspace",
        "--exclude",
        "xtask",
        "--lib",
        "--bins",
        "--tests",
        "--no-fail-fast",
    ]);
    test.args(arguments);
    run(test)
}

/// Times of rbz and of ASDF for the same sources, of linking, and of rbz itself beside ninja.
pub fn benchmark() -> Result<()> {
    run(cargo(&["build", "--release", "--package", "rbz"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let program = target.unwrap_or_else(|| repository().join("target")).join("release/rbz");
    for script in
        ["benchmarks/projects", "benchmarks/compare", "benchmarks/link", "benchmarks/nothing-to-do"]
    {
        let mut command = Command::new(repository().join(script));
        command.arg(&program);
        run(command)?;
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    // Cargo says which cargo it is, so that the same toolchain goes on.
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(repository());
    command
}

/// Root of the repository.
pub fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Shows a command and runs it; anything but success is an error.
pub fn run(mut command: Command) -> Result<()> {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    let line = words.join(" ");
    eprintln!("> {line}");
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        bail!("`{line}`: {status}");
    }
    Ok(())
}
