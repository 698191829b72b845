//! The graph of what has to be done: actions, and the depset nodes that stand between them.
//!
//! An action waits for its depset of inputs, a depset node for its parts and for the actions that
//! write its own elements. So the graph is as small as the plan: no depset is ever flattened for
//! it, and a set shared by a thousand actions is one node.

use std::collections::{HashMap, HashSet};

use crate::action::{ActionKind, SymlinkTarget};
use crate::action_key::each_artifact;
use crate::artifact::Artifact;
use crate::depset::Depset;
use crate::diagnostic::Diagnostic;
use crate::digest::Fingerprint;
use crate::plan::{ActionId, Plan};

/// The number of a node in its [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A node of the graph.
#[derive(Clone, Debug)]
pub enum Node {
    /// An action.
    Action(ActionId),
    /// A depset of inputs, or of what was asked for.
    Inputs(Depset),
}

/// The graph of everything that some goals need.
#[derive(Debug, Default)]
pub struct Graph {
    /// All nodes.
    pub nodes: Vec<Node>,
    /// For each node the nodes that wait for it.
    pub dependents: Vec<Vec<NodeId>>,
    /// For each node how many nodes it waits for.
    pub pending: Vec<u32>,
    /// All nodes, each after those that it waits for.
    pub order: Vec<NodeId>,
    /// The sources and other artifacts of no action that are needed.
    pub sources: Vec<Artifact>,
    by_action: HashMap<ActionId, NodeId>,
    by_depset: HashMap<Fingerprint, NodeId>,
}

impl Graph {
    /// The graph of what `goals` and `actions` need.
    pub fn new(plan: &Plan, goals: &[Depset], actions: &[ActionId]) -> Result<Graph, Diagnostic> {
        let mut graph = Graph::default();
        for goal in goals {
            graph.depset_node(goal);
        }
        for action in actions {
            graph.action_node(*action);
        }
        let mut sources = HashSet::new();
        // Nodes that are found on the way go to the end of the list, and are visited in turn.
        let mut next = 0;
        while next < graph.nodes.len() {
            let mut waits_for = Vec::new();
            match graph.nodes[next].clone() {
                Node::Action(id) => {
                    let action = plan.action(id);
                    waits_for.push(graph.depset_node(&action.inputs));
                    let mut extra = |artifact: &Artifact| {
                        waits_for.push(graph.depset_node(&Depset::of_files([artifact.clone()])));
                    };
                    match &action.kind {
                        ActionKind::ExpandTemplate { template, .. } => extra(template),
                        ActionKind::Symlink { target: SymlinkTarget::Artifact(target), .. } => {
                            extra(target);
                        }
                        ActionKind::RunfilesTree(runfiles) => {
                            for part in
                                [&runfiles.files, &runfiles.symlinks, &runfiles.root_symlinks]
                            {
                                waits_for.push(graph.depset_node(part));
                            }
                        }
                        _ => {}
                    }
                }
                Node::Inputs(depset) => {
                    for part in depset.transitive() {
                        waits_for.push(graph.depset_node(part));
                    }
                    for element in depset.direct() {
                        each_artifact(element, &mut |artifact| match plan.generating(artifact) {
                            Some(action) => waits_for.push(graph.action_node(action)),
                            None => {
                                sources.insert(artifact.clone());
                            }
                        });
                    }
                }
            }
            // Nodes are numbered by u32; a plan has no more actions than that.
            let node = NodeId(next as u32);
            graph.pending[next] = waits_for.len() as u32;
            for other in waits_for {
                graph.dependents[other.index()].push(node);
            }
            next += 1;
        }
        graph.sources = sources.into_iter().collect();
        graph.put_in_order(plan)?;
        Ok(graph)
    }

    /// The node of a depset that is needed.
    pub fn of_depset(&self, depset: &Depset) -> Option<NodeId> {
        self.by_depset.get(&depset.fingerprint()).copied()
    }

    /// How many actions are needed.
    pub fn actions(&self) -> usize {
        self.by_action.len()
    }

    /// For each node the length of the longest path from its start to the end of the build, given
    /// the durations of actions.
    pub fn remaining(&self, duration: impl Fn(ActionId) -> u64) -> Vec<u64> {
        let mut remaining = vec![0_u64; self.nodes.len()];
        for node in self.order.iter().rev() {
            let after = self.dependents[node.index()].iter().map(|other| remaining[other.index()]);
            let own = match &self.nodes[node.index()] {
                Node::Action(action) => duration(*action),
                Node::Inputs(_) => 0,
            };
            remaining[node.index()] = after.max().unwrap_or(0).saturating_add(own);
        }
        remaining
    }

    fn action_node(&mut self, action: ActionId) -> NodeId {
        if let Some(node) = self.by_action.get(&action) {
            return *node;
        }
        let node = self.add(Node::Action(action));
        self.by_action.insert(action, node);
        node
    }

    fn depset_node(&mut self, depset: &Depset) -> NodeId {
        if let Some(node) = self.by_depset.get(&depset.fingerprint()) {
            return *node;
        }
        let node = self.add(Node::Inputs(depset.clone()));
        self.by_depset.insert(depset.fingerprint(), node);
        node
    }

    fn add(&mut self, node: Node) -> NodeId {
        // See `new` for the cast.
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        self.dependents.push(Vec::new());
        self.pending.push(0);
        id
    }

    fn put_in_order(&mut self, plan: &Plan) -> Result<(), Diagnostic> {
        let mut pending = self.pending.clone();
        let ids = (0..self.nodes.len() as u32).map(NodeId);
        let mut order: Vec<NodeId> = ids.filter(|node| pending[node.index()] == 0).collect();
        let mut next = 0;
        while let Some(node) = order.get(next).copied() {
            next += 1;
            for other in &self.dependents[node.index()] {
                pending[other.index()] -= 1;
                if pending[other.index()] == 0 {
                    order.push(*other);
                }
            }
        }
        if order.len() < self.nodes.len() {
            return Err(self.cycle(plan, &pending));
        }
        self.order = order;
        Ok(())
    }

    /// Names the actions of one cycle among the nodes that still wait.
    fn cycle(&self, plan: &Plan, pending: &[u32]) -> Diagnostic {
        // Whoever waits has somebody before it who waits too: going back must come round.
        let mut before: HashMap<NodeId, NodeId> = HashMap::new();
        for (index, dependents) in self.dependents.iter().enumerate() {
            if pending[index] > 0 {
                for node in dependents {
                    before.insert(*node, NodeId(index as u32));
                }
            }
        }
        let Some(mut node) = before.keys().min().copied() else {
            return Diagnostic::internal("actions wait for each other");
        };
        let mut way = Vec::new();
        let mut seen = HashMap::new();
        while !seen.contains_key(&node) {
            seen.insert(node, way.len());
            way.push(node);
            match before.get(&node) {
                Some(earlier) => node = *earlier,
                None => break,
            }
        }
        let start = seen.get(&node).copied().unwrap_or(0);
        let mut diagnostic =
            Diagnostic::user("actions need each other's outputs, so that none can run first");
        for node in way[start.min(way.len())..].iter().rev() {
            if let Node::Action(id) = &self.nodes[node.index()] {
                let action = plan.action(*id);
                let output = action.outputs.first().map_or("", |output| output.exec_path());
                diagnostic.trace.push(crate::diagnostic::Frame {
                    place: None,
                    what: format!("`{output}` is made by {} of {}", action.mnemonic, action.owner),
                    source: None,
                });
            }
        }
        diagnostic
    }
}
