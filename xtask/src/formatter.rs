//! buildifier, with whose results the tests compare those of `rbz fmt`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::steps::{repository, run};

/// The release. Its package holds the program for each system, and nothing that is run by it.
const PACKAGE: &str = "@bazel/buildifier@8.2.1";

/// Where the tests look for it.
const DIRECTORY: &str = "target/buildifier";

/// Whether npm has to be installed to get it.
pub fn needs_npm() -> bool {
    let npm = Command::new("npm").arg("--version").stdout(Stdio::null()).status();
    !is_there() && !npm.is_ok_and(|status| status.success())
}

/// Gets it, unless it is there.
pub fn install() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    let mut command = Command::new("npm");
    let options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"];
    command.arg("install").args(options).arg(repository().join(DIRECTORY)).arg(PACKAGE);
    run(command)
}

fn is_there() -> bool {
    let package: PathBuf = repository().join(DIRECTORY).join("node_modules/@bazel/buildifier");
    package.join("package.json").exists()
}
