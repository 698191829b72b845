//! Writable directories: what stands in for an overlay where the machine has none.
//!
//! The input tree is then mounted read-only as a whole, and over it only the directories that
//! hold outputs are mounted so that they can be written. Inputs that lie in those are copied, as
//! a process owns what it sees and could make a link to the store writable.

use std::path::Path;

use super::tree::{Staging, Tree, TreeError};
use crate::paths::{is_below, parent};
use crate::strategy::{PreparedSpawn, StagedContent, StagedInput};

/// The outermost directories that hold outputs, sorted.
pub fn directories(spawn: &PreparedSpawn) -> Vec<String> {
    let mut directories: Vec<&str> = spawn
        .outputs
        .iter()
        .map(|output| match output.is_tree {
            true => &*output.path,
            false => parent(&output.path),
        })
        .collect();
    directories.sort_unstable();
    let mut outermost: Vec<String> = Vec::new();
    for directory in directories {
        if !outermost.iter().any(|outer| is_below(directory, outer)) {
            outermost.push(directory.to_owned());
        }
    }
    outermost
}

/// What the read-only tree has to hold: the inputs that lie in no writable directory, and those
/// directories, to mount on.
pub fn read_only_part(inputs: &[StagedInput], directories: &[String]) -> Vec<StagedInput> {
    let is_read_only =
        |input: &&StagedInput| !directories.iter().any(|outer| is_below(&input.path, outer));
    let mut part: Vec<StagedInput> = inputs.iter().filter(is_read_only).cloned().collect();
    for directory in directories.iter().filter(|directory| !directory.is_empty()) {
        let path = directory.as_str().into();
        part.push(StagedInput { path, content: StagedContent::Directory });
    }
    part.sort_by(|a, b| a.path.cmp(&b.path));
    part
}

/// Puts copies of the inputs that lie in writable directories into `upper`, which is empty.
pub fn stage(
    upper: &Path,
    inputs: &[StagedInput],
    directories: &[String],
) -> Result<(), TreeError> {
    let is_writable =
        |input: &&StagedInput| directories.iter().any(|outer| is_below(&input.path, outer));
    let part: Vec<StagedInput> = inputs.iter().filter(is_writable).cloned().collect();
    Tree::new(upper, Staging::Copies)?.update(&part)
}

/// Puts copies of the inputs that lie in `directory` there: at `place`, which is empty.
pub fn stage_in(place: &Path, inputs: &[StagedInput], directory: &str) -> Result<(), TreeError> {
    let inside = |input: &StagedInput| {
        let path = input.path.strip_prefix(directory)?.trim_start_matches('/');
        let is_inside = !path.is_empty() && is_below(&input.path, directory);
        is_inside.then(|| StagedInput { path: path.into(), content: input.content.clone() })
    };
    let part: Vec<StagedInput> = inputs.iter().filter_map(inside).collect();
    Tree::new(place, Staging::Copies)?.update(&part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{DeclaredOutput, Streams};

    fn spawn(outputs: &[(&str, bool)]) -> PreparedSpawn {
        let output =
            |&(path, is_tree): &(&str, bool)| DeclaredOutput { path: path.into(), is_tree };
        PreparedSpawn {
            argv: vec![],
            env: Default::default(),
            inputs: [].into(),
            outputs: outputs.iter().map(output).collect(),
            working_directory: String::new(),
            network: false,
            unconfined: false,
            timeout: None,
            grace: std::time::Duration::ZERO,
            memory: u64::MAX,
            keep: false,
            live: None,
            streams: Streams::Apart,
            resident: None,
        }
    }

    #[test]
    fn only_the_outermost_directories_are_writable() {
        let spawn = spawn(&[("out/a/x", false), ("out/a/b/y", false), ("out/ab/t", true)]);
        assert_eq!(directories(&spawn), ["out/a", "out/ab/t"]);
    }

    #[test]
    fn inputs_beside_outputs_are_not_in_the_read_only_part() {
        let file = |path: &str| StagedInput {
            path: path.into(),
            content: StagedContent::Symlink("x".into()),
        };
        let inputs = [file("a"), file("out/a/in"), file("out/ab")];
        let part = read_only_part(&inputs, &["out/a".into()]);
        let paths: Vec<&str> = part.iter().map(|input| &*input.path).collect();
        assert_eq!(paths, ["a", "out/a", "out/ab"]);
    }
}
