//! Orders: in which order targets are written.

use std::collections::HashMap;

use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::NodeIndex;
use petgraph::visit::DfsPostOrder;

use crate::graph::{Graph, NodeId};
use crate::node_set::NodeSet;
use crate::subgraph::Subgraph;

/// `--order_output`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As the form of the output suggests.
    #[default]
    Auto,
    /// As they were found.
    No,
    /// Each before what it depends on.
    Deps,
    /// The same, and in one order for one set of targets.
    Full,
}

impl Order {
    /// The order that is written so.
    pub fn from_name(name: &str) -> Option<Order> {
        Some(match name {
            "auto" => Order::Auto,
            "no" => Order::No,
            "deps" => Order::Deps,
            "full" => Order::Full,
            _ => return None,
        })
    }
}

/// Targets by their labels.
pub fn by_label(graph: &Graph, set: &NodeSet) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = set.iter().collect();
    nodes.sort_by(|a, b| graph.node(*a).label.cmp(&graph.node(*b).label).then(a.cmp(b)));
    nodes
}

/// Targets so that each stands before what it depends on, as far as there are no cycles; otherwise by
/// their labels.
pub fn by_dependency(graph: &Graph, set: &NodeSet) -> Vec<NodeId> {
    let subgraph = Subgraph::ordered(graph, by_label(graph, set));
    let mut order = Vec::with_capacity(subgraph.inner.node_count());
    let mut walk = DfsPostOrder::empty(&subgraph.inner);
    for start in subgraph.inner.node_indices() {
        walk.move_to(start);
        while let Some(index) = walk.next(&subgraph.inner) {
            order.push(subgraph.inner[index]);
        }
    }
    order.reverse();
    order
}

/// Which way to a target decides its rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The shortest.
    Min,
    /// The longest.
    Max,
}

/// Targets with their ranks: how far each is from one on which no other depends. Those of a cycle have
/// one rank. Sorted by rank, then by label.
pub fn ranked(graph: &Graph, set: &NodeSet, rank: Rank) -> Vec<(usize, NodeId)> {
    let subgraph = Subgraph::of(graph, set);
    // Each component after all that it depends on.
    let components = kosaraju_scc(&subgraph.inner);
    let mut component: HashMap<NodeIndex, usize> = HashMap::new();
    for (number, members) in components.iter().enumerate() {
        component.extend(members.iter().map(|member| (*member, number)));
    }
    let mut ranks: Vec<usize> = vec![0; components.len()];
    for (number, members) in components.iter().enumerate().rev() {
        let above = members
            .iter()
            .flat_map(|member| subgraph.inner.neighbors_directed(*member, Direction::Incoming))
            .map(|from| component[&from])
            .filter(|from| *from != number)
            .map(|from| ranks[from] + 1);
        ranks[number] = match rank {
            Rank::Min => above.min(),
            Rank::Max => above.max(),
        }
        .unwrap_or(0);
    }
    let mut nodes: Vec<(usize, NodeId)> = component
        .into_iter()
        .map(|(index, number)| (ranks[number], subgraph.inner[index]))
        .collect();
    nodes.sort_by(|(a, x), (b, y)| {
        a.cmp(b).then_with(|| graph.node(*x).label.cmp(&graph.node(*y).label)).then(x.cmp(y))
    });
    nodes
}
