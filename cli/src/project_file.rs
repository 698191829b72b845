//! The project file: for each Lisp source of a workspace how it is compiled, for editors.

use std::path::Path;

use serde_json::{Value, json};

use crate::lisp_target::{Dependency, LispTarget, Places};

/// The entries of the sources of these targets, as JSON.
pub fn project_file(targets: &[LispTarget], places: &Places) -> Value {
    targets.iter().flat_map(|target| entries(target, places)).collect()
}

fn entries(target: &LispTarget, places: &Places) -> Vec<Value> {
    let sources: Vec<(&str, &str)> = target.sources().collect();
    let shown = |exec_path: &str| shown(&places.path(exec_path), places.workspace);
    let all: Vec<String> = sources.iter().map(|(source, _)| shown(source)).collect();
    let dependencies: Vec<String> = target
        .dependencies
        .iter()
        .map(|dependency| match dependency {
            Dependency::Target(label) => label.to_string(),
            Dependency::Module(module) => format!("@lisp//:{module}"),
        })
        .collect();
    let entry = |(position, (source, fasl)): (usize, &(&str, &str))| {
        let (command, parameters) = target.compilation(fasl);
        json!({
            "directory": places.workspace.to_string_lossy(),
            "file": shown(source),
            "target": target.label.to_string(),
            "rule": &*target.rule,
            "position": position,
            "order": target.order,
            "load": target.load,
            "prior_files": prior(target, &all, position),
            "deps": dependencies,
            "features": target.features,
            "encoding": target.encoding,
            "compilation_mode": target.mode,
            "policy": policy(&target.mode),
            "command": command,
            "parameters": parameters,
            "fasl": fasl,
        })
    };
    sources.iter().enumerate().map(entry).collect()
}

/// The files of the target that are loaded before the one at `position` is compiled.
fn prior(target: &LispTarget, all: &[String], position: usize) -> Vec<String> {
    match &*target.order {
        "parallel" if target.load != "image" => Vec::new(),
        "multipass" => all.to_vec(),
        _ => all[..position].to_vec(),
    }
}

/// How the driver compiles in a mode.
fn policy(mode: &str) -> Value {
    match mode {
        "opt" => {
            json!({"speed": 3, "debug": 0, "safety": 0, "space": 1, "compilation-speed": 1})
        }
        "dbg" => {
            json!({"speed": 1, "debug": 3, "safety": 3, "space": 1, "compilation-speed": 1})
        }
        _ => json!({"speed": 1, "debug": 2, "safety": 3, "space": 1, "compilation-speed": 1}),
    }
}

/// A path in the workspace relative to it, any other as it is.
fn shown(path: &Path, workspace: &Path) -> String {
    path.strip_prefix(workspace).unwrap_or(path).to_string_lossy().into_owned()
}
