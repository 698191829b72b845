//! Other programs of the machine, run to see whether they agree.

use std::path::Path;
use std::process::Command;

/// Runs a command line and returns what it wrote to stdout.
///
/// # Panics
///
/// When it fails.
pub fn output_of(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).expect("it writes UTF-8")
}

/// Whether the tests run as root. What needs it says so when it is skipped.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
