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

/// The values of the keys that the request names; without any, every key with its value.
pub fn text(
    workspace: &Path,
    workspace_name: &str,
    directories: &Directories,
    request: &BuildRequest,
) -> Result<String, CommandError> {
    let entries = entries(workspace, workspace_name, directories, request);
    let find = |key: &String| {
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value).ok_or_else(|| {
            let names = entries.iter().map(|(name, _)| *name).chain([BUILD_LANGUAGE]);
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
