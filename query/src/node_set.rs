//! Sets of nodes of a graph, as bits.

use fixedbitset::FixedBitSet;

use crate::graph::NodeId;

/// A set of nodes. The graph may have grown since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet(FixedBitSet);

impl NodeSet {
    /// Without any node.
    pub fn new() -> Self {
        NodeSet::default()
    }

    /// Whether `node` is in it.
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.contains(node.index())
    }

    /// Adds a node. Yields whether it was not there.
    pub fn insert(&mut self, node: NodeId) -> bool {
        if node.index() >= self.0.len() {
            // A graph grows node by node; the set need not be copied for each.
            self.0.grow((node.index() + 1).next_power_of_two());
        }
        !self.0.put(node.index())
    }

    /// Adds all of another set.
    pub fn unite(&mut self, other: &NodeSet) {
        self.0.union_with(&other.0);
    }

    /// Takes away what another set has.
    pub fn subtract(&mut self, other: &NodeSet) {
        self.0.difference_with(&other.0);
    }

    /// Takes away what another set has not.
    pub fn intersect(&mut self, other: &NodeSet) {
        self.0.intersect_with(&other.0);
    }

    /// Its nodes in the order in which the graph got them.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.ones().map(NodeId::of_index)
    }

    /// How many nodes it has.
    pub fn len(&self) -> usize {
        self.0.count_ones(..)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_clear()
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        let mut set = NodeSet::new();
        for node in nodes {
            set.insert(node);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(nodes: &[usize]) -> NodeSet {
        nodes.iter().copied().map(NodeId::of_index).collect()
    }

    #[test]
    fn sets_of_different_sizes_fit_together() {
        let (small, large) = (set(&[1, 3]), set(&[3, 500]));
        let with = |change: fn(&mut NodeSet, &NodeSet), a: &NodeSet, b: &NodeSet| {
            let mut result = a.clone();
            change(&mut result, b);
            result.iter().map(NodeId::index).collect::<Vec<_>>()
        };
        assert_eq!(with(NodeSet::unite, &small, &large), [1, 3, 500]);
        assert_eq!(with(NodeSet::subtract, &small, &large), [1]);
        assert_eq!(with(NodeSet::subtract, &large, &small), [500]);
        assert_eq!(with(NodeSet::intersect, &small, &large), [3]);
        assert_eq!(with(NodeSet::intersect, &large, &small), [3]);
        assert!(!large.contains(NodeId::of_index(10_000)));
    }
}
