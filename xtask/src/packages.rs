//! The Debian packages that the tests need.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::formatter;
use crate::steps::run;

/// Lisp implementations, and programs that tests compare rbz's results with.
const PROGRAMS: [&str; 13] = [
    "chromium",
    "cl-swank",
    "emacs-nox",
    "graphviz",
    "lcov",
    "libxml2-utils",
    "openssl",
    "protobuf-compiler",
    "python3",
    "sbcl",
    "slime",
    "strace",
    "xz-utils",
];

/// Compilers and linkers, and what looks at linked programs.
const TOOLCHAIN: [&str; 7] = ["binutils", "g++", "gcc", "gdb", "linux-perf", "lld", "mold"];

/// C libraries that tests link.
const C_LIBRARIES: [&str; 3] = ["libffi-dev", "libsqlite3-dev", "zlib1g-dev"];

/// Lisp libraries whose sources are built by tests.
const LIBRARIES: [&str; 19] = [
    "cl-alexandria",
    "cl-asdf-flv",
    "cl-babel",
    "cl-bordeaux-threads",
    "cl-cffi",
    "cl-esrap",
    "cl-fiasco",
    "cl-fiveam",
    "cl-flexi-streams",
    "cl-ironclad",
    "cl-nibbles",
    "cl-ppcre",
    "cl-ptester",
    "cl-rt",
    "cl-split-sequence",
    "cl-trivial-backtrace",
    "cl-trivial-features",
    "cl-trivial-gray-streams",
    "cl-xlunit",
];

/// What only the benchmarks build, with all that it needs.
const BENCHMARKED: [&str; 3] = ["cl-clx-sbcl", "cl-hunchentoot", "stumpwm"];

/// Installs what the tests need.
pub fn install() -> Result<()> {
    let mut wanted = [&PROGRAMS[..], &TOOLCHAIN, &C_LIBRARIES, &LIBRARIES].concat();
    if formatter::needs_npm() {
        wanted.push("npm");
    }
    install_all(&wanted)
}

/// Installs what the benchmarks need beside that.
pub fn install_for_benchmarks() -> Result<()> {
    install_all(&BENCHMARKED)
}

/// Installs those that are not installed yet; needs no network and no rights if all are.
fn install_all(wanted: &[&'static str]) -> Result<()> {
    let missing = missing(wanted)?;
    if missing.is_empty() {
        return Ok(());
    }
    let is_root = output(Command::new("id").arg("-u"))?.trim() == "0";
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new(if is_root { "env" } else { "sudo" });
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]);
        command.args(arguments).stdin(Stdio::null());
        command
    };
    run(apt_get(&["update"]))?;
    let words = [&["install", "--no-install-recommends"], &missing[..]].concat();
    run(apt_get(&words))
}

fn missing(wanted: &[&'static str]) -> Result<Vec<&'static str>> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${Package} ${db:Status-Status}\\n"]).args(wanted);
    let listed = query.stderr(Stdio::null()).output();
    let listed = listed.context("cannot run `dpkg-query`: the tests are set up for Debian")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let installed = |name: &str| listed.lines().any(|line| line == format!("{name} installed"));
    Ok(wanted.iter().copied().filter(|name| !installed(name)).collect())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run `{command:?}`"))?;
    if !output.status.success() {
        bail!("`{command:?}`: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
