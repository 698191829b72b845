//! The graph of configured targets as plain data, for queries.

use std::collections::HashMap;
use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::Label;

use crate::analyzer::Analyzer;
use crate::attr::{AttrKind, AttrValue, Cfg};
use crate::configuration::Configuration;
use crate::configured_target::ConfiguredTarget;
use crate::dependency_graph::{Edge, NodeId, ResolvedKind, ResolvedTarget};
use crate::package::{Package, Target};
use crate::rule::RuleSchema;

/// All configured targets that a request needs.
#[derive(Debug)]
pub struct ConfiguredGraph {
    /// Each once; those that were asked for, and what they need.
    pub nodes: Vec<ConfiguredNode>,
    /// The configuration that was asked for.
    pub configuration: Arc<Configuration>,
    /// What is wrong.
    pub errors: Vec<Diagnostic>,
}

/// A target in a configuration.
#[derive(Debug)]
pub struct ConfiguredNode {
    /// Its label; that of an alias is its own.
    pub label: Label,
    /// Its package and declaration.
    pub declaration: (Arc<Package>, Arc<Target>),
    /// Its configuration.
    pub configuration: Arc<Configuration>,
    /// The values of its attributes there; empty for a target of no rule, and for an alias.
    pub attributes: Vec<(Arc<str>, AttrValue)>,
    /// What it depends on.
    pub edges: Vec<ConfiguredEdge>,
    /// What analysis made of it; `None` if something is wrong with it. For an alias that is what it
    /// stands for.
    pub target: Option<Arc<ConfiguredTarget>>,
}

/// A dependency of a configured target.
#[derive(Clone, Debug)]
pub struct ConfiguredEdge {
    /// The attribute that makes it.
    pub attribute: Arc<str>,
    /// Whether the rule, and not the target, put it there.
    pub implicit: bool,
    /// Whether it is a tool.
    pub tool: bool,
    /// The index of what it leads to.
    pub to: usize,
}

impl ConfiguredGraph {
    /// What `analyzer` found below `roots`.
    pub(crate) fn new(
        analyzer: &Analyzer,
        roots: &[NodeId],
        configuration: Arc<Configuration>,
        errors: Vec<Diagnostic>,
    ) -> ConfiguredGraph {
        let nodes = &analyzer.graph().nodes;
        let mut indices: HashMap<NodeId, usize> = HashMap::new();
        let mut found: Vec<NodeId> = Vec::new();
        let mut index_of = |id: NodeId, found: &mut Vec<NodeId>| {
            *indices.entry(id).or_insert_with(|| {
                found.push(id);
                found.len() - 1
            })
        };
        for root in roots {
            index_of(moved(analyzer, *root), &mut found);
        }
        let mut graph = ConfiguredGraph { nodes: Vec::new(), configuration, errors };
        // Grows while it is walked; targets that cannot be had keep their numbers and are left out
        // at the end.
        let mut kept: Vec<Option<ConfiguredNode>> = Vec::new();
        let mut next = 0;
        while let Some(id) = found.get(next).copied() {
            next += 1;
            let node = &nodes[id];
            let Ok(resolved) = &node.state else {
                kept.push(None);
                continue;
            };
            let edges = node
                .edges
                .iter()
                .map(|edge| ConfiguredEdge {
                    attribute: edge.attribute.clone(),
                    implicit: edge.implicit,
                    tool: is_tool(resolved, edge),
                    to: index_of(moved(analyzer, edge.node), &mut found),
                })
                .collect();
            kept.push(Some(ConfiguredNode {
                label: node.label.clone(),
                declaration: (resolved.package.clone(), resolved.target.clone()),
                configuration: node.configuration.clone(),
                attributes: attributes(resolved),
                edges,
                target: analyzer.result(id).cloned(),
            }));
        }
        let mut numbers = vec![None; kept.len()];
        let there = kept.iter().enumerate().filter(|(_, node)| node.is_some());
        for (number, (index, _)) in there.enumerate() {
            numbers[index] = Some(number);
        }
        for mut node in kept.into_iter().flatten() {
            node.edges.retain_mut(|edge| match numbers[edge.to] {
                Some(number) => {
                    edge.to = number;
                    true
                }
                None => false,
            });
            graph.nodes.push(node);
        }
        graph
    }
}

/// The node in the configuration that the rule of `id` moves to.
fn moved(analyzer: &Analyzer, id: NodeId) -> NodeId {
    let node = &analyzer.graph().nodes[id];
    match (&node.state, &node.edges[..]) {
        (Ok(ResolvedTarget { kind: ResolvedKind::Forward, .. }), [edge])
            if &*edge.attribute == "cfg" =>
        {
            edge.node
        }
        _ => id,
    }
}

fn schema(resolved: &ResolvedTarget) -> Option<&RuleSchema> {
    match &resolved.kind {
        ResolvedKind::Rule { schema, .. } => Some(schema),
        _ => None,
    }
}

fn is_tool(resolved: &ResolvedTarget, edge: &Edge) -> bool {
    let attribute = schema(resolved).and_then(|schema| schema.attrs.get(&edge.attribute));
    let label = attribute.and_then(|attribute| match &*attribute.kind {
        AttrKind::Label(attr)
        | AttrKind::LabelList(attr)
        | AttrKind::LabelKeyedStringDict(attr)
        | AttrKind::StringKeyedLabelDict(attr) => Some(attr),
        _ => None,
    });
    label.is_some_and(|label| matches!(label.cfg, Cfg::Exec))
}

fn attributes(resolved: &ResolvedTarget) -> Vec<(Arc<str>, AttrValue)> {
    match &resolved.kind {
        ResolvedKind::Rule { attributes, .. } => attributes
            .iter()
            .map(|(name, attribute)| (name.clone(), attribute.value.clone()))
            .collect(),
        _ => Vec::new(),
    }
}
