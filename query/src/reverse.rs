//! The way back: what depends on targets, and the paths between them.

use std::collections::{HashMap, VecDeque};

use petgraph::Direction;
use petgraph::visit::EdgeRef;
use rbz_engine::diagnostic::Diagnostic;

use crate::graph::{AttributeId, NodeId};
use crate::node_set::NodeSet;
use crate::subgraph::Subgraph;
use crate::world::World;

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The target.
    pub node: NodeId,
    /// The attribute of the target before it that names it; `None` for the first.
    pub attribute: Option<AttributeId>,
}

impl World<'_> {
    /// What of `universe` needs one of `of`, and these themselves, within `depth` edges. The edges of
    /// the universe are known.
    pub fn dependents(
        &mut self,
        universe: &NodeSet,
        of: &NodeSet,
        depth: Option<u32>,
    ) -> Result<NodeSet, Diagnostic> {
        let universe_nodes: Vec<NodeId> = universe.iter().collect();
        self.expand(&universe_nodes)?;
        let subgraph = Subgraph::of(&self.graph, universe);
        let mut found = of.clone();
        found.intersect(universe);
        let mut frontier: Vec<NodeId> = found.iter().collect();
        let mut left = depth;
        while !frontier.is_empty() && left != Some(0) {
            let mut next = Vec::new();
            for index in frontier.iter().filter_map(|node| subgraph.index(*node)) {
                for from in subgraph.inner.neighbors_directed(index, Direction::Incoming) {
                    let node = subgraph.inner[from];
                    if found.insert(node) {
                        next.push(node);
                    }
                }
            }
            frontier = next;
            left = left.map(|left| left - 1);
        }
        Ok(found)
    }

    /// The targets in the packages of `of` that name one of these themselves.
    pub fn same_package_dependents(&mut self, of: &NodeSet) -> Result<NodeSet, Diagnostic> {
        let members = self.siblings(of)?;
        let nodes: Vec<NodeId> = members.iter().collect();
        self.expand(&nodes)?;
        let subgraph = Subgraph::of(&self.graph, &members);
        let mut found = NodeSet::new();
        for edge in subgraph.inner.edge_references() {
            let (from, to) = (subgraph.inner[edge.source()], subgraph.inner[edge.target()]);
            let one_package = self.graph.node(from).package() == self.graph.node(to).package();
            if of.contains(to) && one_package && from != to {
                found.insert(from);
            }
        }
        Ok(found)
    }

    /// A shortest path from one of `from` to one of `to`; empty if there is none. No more is loaded
    /// than can be as near.
    pub fn shortest_path(&mut self, from: &NodeSet, to: &NodeSet) -> Result<Vec<Step>, Diagnostic> {
        let mut before: HashMap<NodeId, Option<(NodeId, AttributeId)>> =
            from.iter().map(|node| (node, None)).collect();
        let mut frontier: Vec<NodeId> = from.iter().collect();
        while !frontier.is_empty() {
            if let Some(end) = frontier.iter().find(|node| to.contains(**node)) {
                let mut path = VecDeque::new();
                let mut node = *end;
                while let Some(Some((previous, attribute))) = before.get(&node) {
                    path.push_front(Step { node, attribute: Some(*attribute) });
                    node = *previous;
                }
                path.push_front(Step { node, attribute: None });
                return Ok(path.into());
            }
            self.expand(&frontier)?;
            let mut next = Vec::new();
            for node in &frontier {
                for edge in self.graph.edges(*node) {
                    before.entry(edge.to).or_insert_with(|| {
                        next.push(edge.to);
                        Some((*node, edge.attribute))
                    });
                }
            }
            frontier = next;
        }
        Ok(Vec::new())
    }
}
