//! Systems that a definition file computes, by macros of its own for example: asked of the Lisp.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the Lisp evaluates: it prints plain definitions.
const LISTING: &str = include_str!("computed_systems.lisp");

/// The Lisp on the `PATH` of these variables.
pub fn lisp(variables: &BTreeMap<String, String>) -> Option<PathBuf> {
    let directories = variables.get("PATH")?;
    std::env::split_paths(directories)
        .map(|directory| directory.join("sbcl"))
        .find(|program| program.is_file())
}

/// The systems of the definition file at `path`, as the text of a plain one. Loads that file, as
/// ASDF does; `None` if that fails.
pub fn computed(lisp: &Path, path: &Path) -> Option<String> {
    let output = Command::new(lisp)
        .args(["--noinform", "--no-sysinit", "--no-userinit", "--non-interactive"])
        .args(["--eval", "(require \"asdf\")", "--eval", LISTING, "--end-toplevel-options"])
        .arg(path)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
