//! Forms that have a line for each target.

use std::collections::BTreeSet;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::PackageId;
use rbz_starlark::package::TargetKind;

use crate::graph::{Graph, Node, NodeId};
use crate::output::OutputOptions;
use crate::world::World;

fn lines(graph: &Graph, nodes: &[NodeId], end: char, line: impl Fn(&Node) -> String) -> String {
    nodes.iter().map(|node| format!("{}{end}", line(graph.node(*node)))).collect()
}

pub fn labels(graph: &Graph, nodes: &[NodeId], end: char) -> String {
    lines(graph, nodes, end, Node::shown)
}

pub fn kinds(graph: &Graph, nodes: &[NodeId], end: char) -> String {
    lines(graph, nodes, end, |node| format!("{} {}", node.kind_name(), node.shown()))
}

pub fn ranks(graph: &Graph, nodes: &[(usize, NodeId)], end: char) -> String {
    nodes.iter().map(|(rank, node)| format!("{rank} {}{end}", graph.node(*node).label)).collect()
}

/// As Bazel names packages here: without `//` in the main repository.
pub fn packages(graph: &Graph, nodes: &[NodeId], end: char) -> String {
    let packages: BTreeSet<&PackageId> =
        nodes.iter().map(|node| graph.node(*node).package()).collect();
    let name = |package: &PackageId| match package.repo.is_main() {
        true => package.path.to_string(),
        false => package.to_string(),
    };
    packages.into_iter().map(|package| format!("{}{end}", name(package))).collect()
}

pub fn locations(
    world: &World,
    nodes: &[NodeId],
    options: &OutputOptions,
    end: char,
) -> Result<String, Diagnostic> {
    let mut text = String::new();
    for node in nodes {
        let location = location(world, *node, options.relative_locations)?;
        let node = world.graph.node(*node);
        text += &format!("{location}: {} {}{end}", node.kind_name(), node.label);
    }
    Ok(text)
}

/// Where a target is declared, or of a source file where it begins: `file:line:column`.
pub fn location(world: &World, node: NodeId, relative: bool) -> Result<String, Diagnostic> {
    let node = world.graph.node(node);
    let mut place = node.place();
    if matches!(node.target().map(|target| &target.kind), Some(TargetKind::SourceFile)) {
        place.file = rbz_engine::label::join(&node.package().exec_dir(), node.label.name());
        (place.line, place.column) = (1, 1);
    }
    if !relative {
        // The path as it is shown begins with the directory of the package's repository.
        let repo = &node.package().repo;
        let root = world.loader.repository_root(repo).map_err(|error| *error)?;
        let external = format!("external/{}/", repo.as_str());
        let within = place.file.strip_prefix(&external).unwrap_or(&place.file);
        place.file = root.join(within).display().to_string();
    }
    Ok(place.to_string())
}
