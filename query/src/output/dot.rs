//! Graphs in the language of Graphviz.

use std::collections::HashMap;

use petgraph::Direction;
use petgraph::graph::NodeIndex;

use crate::graph::{Graph, NodeId};
use crate::output::OutputOptions;
use crate::subgraph::Subgraph;

/// The graph of `nodes`, which are drawn in this order.
pub fn text(graph: &Graph, nodes: &[NodeId], options: &OutputOptions) -> String {
    let subgraph = Subgraph::ordered(graph, nodes.iter().copied());
    let (groups, group_of) = groups(&subgraph, options.factored);
    let names: Vec<String> = groups
        .iter()
        .map(|members| {
            let labels = members.iter().map(|member| graph.node(subgraph.inner[*member]).shown());
            quoted(&limited(labels.collect(), options.node_limit))
        })
        .collect();
    let mut text = String::from("digraph mygraph {\n  node [shape=box];\n");
    for (number, members) in groups.iter().enumerate() {
        text += &format!("  {}\n", names[number]);
        // All members have the same neighbours.
        let mut successors: Vec<usize> = members
            .first()
            .into_iter()
            .flat_map(|member| subgraph.inner.neighbors(*member))
            .map(|to| group_of[&to])
            .collect();
        successors.sort_unstable();
        successors.dedup();
        for to in successors {
            text += &format!("  {} -> {}\n", names[number], names[to]);
        }
    }
    text + "}\n"
}

/// The nodes that are drawn as one, and for each node the number of its group.
fn groups(subgraph: &Subgraph, factored: bool) -> (Vec<Vec<NodeIndex>>, HashMap<NodeIndex, usize>) {
    let mut groups: Vec<Vec<NodeIndex>> = Vec::new();
    let mut group_of = HashMap::new();
    let mut known: HashMap<(Vec<NodeIndex>, Vec<NodeIndex>), usize> = HashMap::new();
    for index in subgraph.inner.node_indices() {
        let neighbours = |direction| {
            let mut all: Vec<NodeIndex> =
                subgraph.inner.neighbors_directed(index, direction).collect();
            all.sort();
            all
        };
        let number = match factored {
            false => groups.len(),
            true => {
                let key = (neighbours(Direction::Incoming), neighbours(Direction::Outgoing));
                *known.entry(key).or_insert(groups.len())
            }
        };
        if number == groups.len() {
            groups.push(Vec::new());
        }
        groups[number].push(index);
        group_of.insert(index, number);
    }
    (groups, group_of)
}

/// The text of a node: its labels, one to a line, as far as there is room for them.
fn limited(labels: Vec<String>, limit: Option<usize>) -> String {
    let mut text = String::new();
    for (number, label) in labels.iter().enumerate() {
        let too_long = limit.is_some_and(|limit| text.len() + label.len() > limit);
        if number > 0 && too_long {
            return format!("{text}\n...and {} more items", labels.len() - number);
        }
        text += if number > 0 { "\n" } else { "" };
        text += label;
    }
    text
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_into_a_node_is_counted() {
        let labels = || ["//a:a", "//b:b", "//c:c"].map(String::from).to_vec();
        assert_eq!(limited(labels(), None), "//a:a\n//b:b\n//c:c");
        assert_eq!(limited(labels(), Some(5)), "//a:a\n...and 2 more items");
        assert_eq!(limited(labels(), Some(0)), "//a:a\n...and 2 more items");
        assert_eq!(quoted("a\"b\n\\"), "\"a\\\"b\\n\\\\\"");
    }
}
