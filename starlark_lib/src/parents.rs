//! Parents: which targets wait for which.

use crate::dependency_graph::NodeId;

/// For each node, those that wait for it: one list for all, since most have one parent or none.
pub struct Parents {
    /// Where the parents of each node begin, and where those of the last one end.
    starts: Vec<usize>,
    list: Vec<NodeId>,
}

impl Parents {
    /// Of `count` nodes, of pairs of a node and one that waits for it.
    pub fn new(count: usize, waiting: &[(NodeId, NodeId)]) -> Parents {
        let mut starts = vec![0; count + 1];
        for (node, _) in waiting {
            starts[node + 1] += 1;
        }
        for node in 0..count {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut list = vec![0; waiting.len()];
        for (node, parent) in waiting {
            list[next[*node]] = *parent;
            next[*node] += 1;
        }
        Parents { starts, list }
    }

    /// Those that wait for `node`.
    pub fn of(&self, node: NodeId) -> &[NodeId] {
        &self.list[self.starts[node]..self.starts[node + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_those_that_wait_for_it_in_order() {
        let parents = Parents::new(4, &[(2, 0), (3, 1), (2, 1), (0, 3)]);
        let all: Vec<&[NodeId]> = (0..4).map(|node| parents.of(node)).collect();
        assert_eq!(all, [&[3][..], &[], &[0, 1], &[1]]);
    }
}
