//! The files that a command line needs to be expanded: the trees in it.

use rbz_engine::action::{ArgItem, ArgValues, Args};
use rbz_engine::artifact::Artifact;
use rbz_engine::depset::Depset;
use rbz_engine::value::Value;

/// The trees among the arguments whose children stand for them.
pub fn trees(args: &Args) -> Depset {
    let mut trees: Vec<Artifact> = Vec::new();
    for item in &args.items {
        let ArgItem::Many(many) = item else { continue };
        if !many.expand_directories {
            continue;
        }
        let mut add = |values: &[Value]| {
            let files = values.iter().filter_map(Value::as_file).filter(|file| file.is_tree());
            trees.extend(files.cloned());
        };
        match &many.values {
            ArgValues::List(values) => add(values),
            ArgValues::Depset(depset) => {
                for node in depset.nodes() {
                    add(node.direct());
                }
            }
        }
    }
    Depset::of_files(trees)
}
