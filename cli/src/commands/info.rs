//! `rbz info`: where things are.

use std::path::Path;

use crate::command_error::{CommandError, nearest};
use crate::commands::version::release;
use crate::directories::{Directories, OUTPUT_DIRECTORY};
use crate::request::BuildRequest;

/// The key whose value is no text: the rules that BUILD files know, as Bazel's `BuildLanguage`.
pub const BUILD_LANGUAGE: &str = "build-language";

/// Every key with its value, sorted by key.
fn entries(
    workspace: &Path,
    workspace_name: &str,
    directories: &Directories,
    request: &BuildRequest,
) -> Vec<(&'static str, String)> {
    let shown = |path: &Path| path.display().to_string();
    let execution_root = directories.execution_root(workspace_name);
    let outputs = execution_root.join(OUTPUT_DIRECTORY);
    let of_mode = outputs.join(format!("k8-{}", request.compilation_mode));
    vec![
        // By the names by which tools for Bazel ask.
        ("bazel-bin", shown(&of_mode.join("bin"))),
        ("bazel-genfiles", shown(&of_mode.join("bin"))),
        ("bazel-testlogs", shown(&of_mode.join("testlogs"))),
        ("character-encoding", "file.encoding = UTF-8".to_owned()),
        ("disk_cache", shown(&request.disk_cache)),
        ("execution_root", shown(&execution_root)),
        ("install_base", shown(&directories.install())),
        ("output_base", shown(&directories.output_base)),
        ("output_path", shown(&outputs)),
        ("output_user_root", shown(&directories.output_user_root)),
        ("package_path", shown(workspace)),
        ("rbz-bin", shown(&of_mode.join("bin"))),
        ("rbz-testlogs", shown(&of_mode.join("testlogs"))),
        ("release", release()),
        ("workspace", shown(workspace)),
        ("workspace_name", workspace_name.to_owned()),
    ]
}

/// Keys that are shown only if they are asked for, as scripts and tools for Bazel do.
fn further_entries(request: &BuildRequest) -> Vec<(&'static str, String)> {
    let megabytes = request.memory >> 20;
    vec![
        ("default-package-path", "%workspace%".to_owned()),
        ("local_resources", format!("cpu={}, memory={megabytes}MB", request.jobs)),
        ("max-heap-size", format!("{megabytes}MB")),
        // There is no server; this process does what is asked.
        ("server_pid", std::process::id().to_string()),
    ]
}

/// The values of the keys that the request names; without any, every key with its value.
pub fn text(
    workspace: &Path,
    workspace_name: &str,
    directories: &Directories,
    request: &BuildRequest,
) -> Result<String, CommandError> {
    let entries = entries(workspace, workspace_name, directories, request);
    let further = further_entries(request);
    let find = |key: &String| {
        entries
            .iter()
            .chain(&further)
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
            .ok_or_else(|| {
                let names = entries.iter().chain(&further).map(|(name, _)| *name);
                let names = names.chain([BUILD_LANGUAGE]);
                CommandError::command_line(format!("`{key}` is no key of `rbz info`"))
                    .hint_nearest(nearest(key, names))
                    .hint("`rbz info` lists all keys")
            })
    };
    match &request.residue[..] {
        [] => Ok(entries.iter().map(|(key, value)| format!("{key}: {value}\n")).collect()),
        // One value alone, for use in scripts.
        [key] => Ok(format!("{}\n", find(key)?)),
        keys => keys.iter().map(|key| find(key).map(|value| format!("{key}: {value}\n"))).collect(),
    }
}
