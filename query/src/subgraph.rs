//! Subgraphs: some nodes of a graph with the edges between them, in both directions, for the
//! algorithms of petgraph.

use std::collections::HashMap;

use petgraph::graph::NodeIndex;
use petgraph::{Directed, Graph as Petgraph};

use crate::graph::{AttributeId, Graph, NodeId};
use crate::node_set::NodeSet;

/// Nodes of a graph, and the edges that lie between them.
pub struct Subgraph {
    /// Each node with its number in the graph that it was taken of.
    pub inner: Petgraph<NodeId, AttributeId, Directed, u32>,
    indices: HashMap<NodeId, NodeIndex>,
}

impl Subgraph {
    /// The nodes of `members`, in the order that they have there.
    pub fn of(graph: &Graph, members: &NodeSet) -> Subgraph {
        Subgraph::ordered(graph, members.iter())
    }

    /// These nodes in this order; a walk follows the edges of each in that order too.
    pub fn ordered(graph: &Graph, members: impl IntoIterator<Item = NodeId>) -> Subgraph {
        let mut inner = Petgraph::default();
        let mut indices = HashMap::new();
        for id in members {
            indices.insert(id, inner.add_node(id));
        }
        for from in inner.node_indices() {
            let edges = graph.edges(inner[from]).iter();
            let mut edges: Vec<_> =
                edges.filter_map(|edge| Some((*indices.get(&edge.to)?, edge.attribute))).collect();
            // One edge for each pair: through which attributes is not asked here.
            edges.sort();
            edges.dedup_by_key(|(to, _)| *to);
            for (to, attribute) in edges {
                inner.add_edge(from, to, attribute);
            }
        }
        Subgraph { inner, indices }
    }

    /// Where a node stands here.
    pub fn index(&self, id: NodeId) -> Option<NodeIndex> {
        self.indices.get(&id).copied()
    }
}
