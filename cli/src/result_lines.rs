//! The lines at the end of a build: each target with its files.

use rbz_engine::artifact::Root;
use rbz_engine::plan::RequestedTarget;

use crate::built::{Built, is_built};
use crate::console::Console;
use crate::request::BuildRequest;

/// Says of each target whether it was built, and where its files are.
pub fn show_targets(built: &Built, request: &BuildRequest, console: &mut Console) {
    let Some(outcome) = &built.outcome else { return };
    let few = built.plan.requested.len() <= request.show_result;
    for (index, target) in built.plan.requested.iter().enumerate() {
        if is_built(outcome, index) {
            if few {
                console.print(&up_to_date(target, request, built));
            }
        } else if !outcome.interrupted {
            console.print(&format!("Target {} failed to build", target.label));
        }
    }
}

fn up_to_date(target: &RequestedTarget, request: &BuildRequest, built: &Built) -> String {
    let mut files = Vec::new();
    if request.output_groups.default {
        files.extend(target.files.to_files());
    }
    for group in &request.output_groups.groups {
        files.extend(
            target.output_groups.get(group.as_str()).into_iter().flat_map(|group| group.to_files()),
        );
    }
    let mut text = format!("Target {} up-to-date", target.label);
    let mut lines = Vec::new();
    for file in files.iter().filter(|file| *file.root() != Root::System) {
        let path = match &built.linked {
            Some(linked) => through_symlink(file.exec_path(), linked),
            None if matches!(file.root(), Root::Output(_)) => {
                built.execution_root.join(file.exec_path()).display().to_string()
            }
            None => file.exec_path().to_owned(),
        };
        let line = format!("\n  {path}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    text += if lines.is_empty() { " (nothing to build)" } else { ":" };
    text + &lines.concat()
}

/// The path in the workspace: through `rbz-bin` if that shows the configuration.
fn through_symlink(exec_path: &str, linked: &str) -> String {
    match exec_path.strip_prefix(&format!("rbz-out/{linked}/bin/")) {
        Some(rest) => format!("rbz-bin/{rest}"),
        None => exec_path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_shown_through_the_symlink_of_their_configuration() {
        let of = |path| through_symlink(path, "k8-opt");
        assert_eq!(of("rbz-out/k8-opt/bin/a/b"), "rbz-bin/a/b");
        assert_eq!(of("rbz-out/k8-dbg/bin/a/b"), "rbz-out/k8-dbg/bin/a/b");
        assert_eq!(of("a/source"), "a/source");
    }
}
