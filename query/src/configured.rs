//! Configured targets: the world of `cquery` and `aquery`.

use std::collections::HashMap;
use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_starlark::configuration::Configuration;
use rbz_starlark::configured_graph::{ConfiguredEdge, ConfiguredGraph, ConfiguredNode};
use rbz_starlark::configured_target::ConfiguredTarget;
use rbz_starlark::loader::Loader;
use rbz_starlark::package::TargetKind;

use crate::dependencies::Followed;
use crate::graph::{Configured, Edge, Graph, Node, NodeId, NodeKind};
use crate::world::{World, WorldOptions};

/// Configured targets, and the world that has them as its nodes.
pub struct ConfiguredWorld<'a> {
    /// What is asked about.
    pub world: World<'a>,
    /// What analysis made of each node, and its configuration.
    made: Vec<Made>,
    /// What was wrong with targets.
    pub errors: Vec<Diagnostic>,
}

/// What analysis made of a node.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its providers and actions; `None` if something is wrong with it.
    pub target: Option<Arc<ConfiguredTarget>>,
    /// Its configuration; `None` for files of the source tree.
    pub configuration: Option<Arc<Configuration>>,
}

impl<'a> ConfiguredWorld<'a> {
    /// The world of a graph.
    pub fn new(
        loader: &'a Loader,
        options: WorldOptions,
        configured: ConfiguredGraph,
    ) -> ConfiguredWorld<'a> {
        let ConfiguredGraph { nodes, configuration, errors } = configured;
        let mut graph = Graph::default();
        let mut made = Vec::new();
        // A file is the same whoever needs it.
        let mut files = HashMap::new();
        let mut ids: Vec<NodeId> = Vec::with_capacity(nodes.len());
        for node in &nodes {
            let is_file = is_unconfigured(node);
            if let (true, Some(known)) = (is_file, files.get(&node.label)) {
                ids.push(*known);
                continue;
            }
            let own = (!is_file).then(|| node.configuration.clone());
            let (package, target) = node.declaration.clone();
            let id = graph.add(Node {
                label: node.label.clone(),
                kind: NodeKind::Target(package, target),
                configured: Some(Arc::new(Configured {
                    configuration: own.as_ref().map(|own| own.name().clone()),
                    attributes: node.attributes.iter().cloned().collect(),
                })),
            });
            made.push(Made { target: node.target.clone(), configuration: own });
            if is_file {
                files.insert(node.label.clone(), id);
            }
            ids.push(id);
        }
        for (node, id) in nodes.iter().zip(&ids) {
            let wanted = node.edges.iter().filter(|edge| follows(options.followed, edge));
            let edges: Vec<Edge> = wanted
                .map(|edge| Edge { to: ids[edge.to], attribute: graph.attribute(&edge.attribute) })
                .collect();
            if !graph.is_expanded(*id) {
                graph.set_edges(*id, edges);
            }
        }
        let mut world = World::of_graph(loader, options, graph);
        world.target_configuration = Some(configuration.name().clone());
        ConfiguredWorld { world, made, errors }
    }

    /// What analysis made of a node.
    pub fn made(&self, node: NodeId) -> &Made {
        &self.made[node.index()]
    }
}

fn is_unconfigured(node: &ConfiguredNode) -> bool {
    matches!(node.declaration.1.kind, TargetKind::SourceFile | TargetKind::PackageGroup(_))
}

fn follows(followed: Followed, edge: &ConfiguredEdge) -> bool {
    (followed.implicit || !edge.implicit) && (followed.tools || !edge.tool)
}
