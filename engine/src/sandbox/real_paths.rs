//! Real paths: what a process is told that runs in a directory of this machine, and not at the
//! logical paths of a view.

use std::path::Path;

use super::message::{Confinement, Request};
use super::outputs::{MISSING_INPUTS_FILE, MISSING_INPUTS_VARIABLE};
use super::view::part;
use crate::strategy::{EXEC_ROOT, PreparedSpawn};

/// What to run: the execution root is `root`, and `/tmp` and the home are in `scratch`.
pub fn request(
    spawn: &PreparedSpawn,
    root: &Path,
    scratch: &Path,
    confinement: Confinement,
) -> Request {
    let root = root.to_string_lossy();
    let scratch = scratch.to_string_lossy();
    let in_root = |path: &str| match path {
        "" => root.to_string(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("{root}/{path}"),
    };
    let program = in_root(spawn.argv.first().map_or("", String::as_str));
    let mut argv = spawn.argv.clone();
    // A program finds itself by its name as long as that holds from where it starts.
    if !spawn.working_directory.is_empty() && !argv.is_empty() {
        argv[0].clone_from(&program);
    }
    let replaced = |value: &str| -> Option<String> {
        // Below `/tmp` there may be files of the machine that the process was told of.
        if value == "/tmp" {
            return Some(format!("{scratch}/{}", part::TMP));
        }
        for (prefix, by) in
            [(EXEC_ROOT, root.to_string()), ("/rbz/home", format!("{scratch}/{}", part::HOME))]
        {
            if let Some(rest) = value.strip_prefix(prefix)
                && (rest.is_empty() || rest.starts_with('/'))
            {
                return Some(format!("{by}{rest}"));
            }
        }
        None
    };
    let mut env: Vec<String> = spawn
        .env
        .iter()
        .map(|(name, value)| match replaced(value) {
            Some(value) => format!("{name}={value}"),
            None => format!("{name}={value}"),
        })
        .collect();
    if !spawn.env.contains_key(MISSING_INPUTS_VARIABLE) {
        let file = format!("{scratch}/{}/{MISSING_INPUTS_FILE}", part::TMP);
        env.push(format!("{MISSING_INPUTS_VARIABLE}={file}"));
    }
    let working_directory = in_root(&spawn.working_directory);
    Request { confinement, program, argv, env, working_directory, memory: spawn.memory }
}
