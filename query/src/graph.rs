//! The graph of targets: nodes by number, and edges that know their attribute.
//!
//! It grows while a query is evaluated. The edges of a node are added all at once, and lie one
//! after the other in one array (compressed sparse rows, in the order of expansion).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexSet;
use rbz_engine::diagnostic::Place;
use rbz_engine::label::{Label, PackageId};
use rbz_starlark::attr::AttrValue;
use rbz_starlark::package::{Package, RuleTarget, Target, TargetKind};

/// The number of a node in its [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// The node at this index.
    pub fn of_index(index: usize) -> NodeId {
        // Four billion targets do not fit into memory.
        NodeId(index as u32)
    }

    /// Its index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of an attribute's name in its [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeId(u32);

/// A target, or in a graph of configured targets a target in a configuration.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its label.
    pub label: Label,
    /// What it is.
    pub kind: NodeKind,
    /// What is known of it in its configuration.
    pub configured: Option<Arc<Configured>>,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// What a package declares.
    Target(Arc<Package>, Arc<Target>),
    /// A BUILD or .bzl file, with its path as it is shown.
    Loaded(Arc<str>),
}

/// What is known of a target in a configuration.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The name of the configuration; `None` for files of the source tree.
    pub configuration: Option<Arc<str>>,
    /// The attributes with their values there.
    pub attributes: HashMap<Arc<str>, AttrValue>,
}

/// An edge, from the node whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where it leads.
    pub to: NodeId,
    /// The attribute that makes it.
    pub attribute: AttributeId,
}

/// Targets and what they depend on.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    /// A target in several configurations has several nodes.
    ids: HashMap<Label, Vec<NodeId>>,
    /// The edges of each node; `None` before they are known.
    ranges: Vec<Option<Range<u32>>>,
    edges: Vec<Edge>,
    attributes: IndexSet<Arc<str>>,
}

impl Node {
    /// The package that it lies in.
    pub fn package(&self) -> &PackageId {
        self.label.package()
    }

    /// The target, if a package declares it.
    pub fn target(&self) -> Option<&Arc<Target>> {
        match &self.kind {
            NodeKind::Target(_, target) => Some(target),
            NodeKind::Loaded(_) => None,
        }
    }

    /// The instance of a rule that it is, if it is one.
    pub fn rule(&self) -> Option<&RuleTarget> {
        match &self.target()?.kind {
            TargetKind::Rule(rule) => Some(rule),
            _ => None,
        }
    }

    /// What it is in words, as `kind` and `--output=label_kind` have them.
    pub fn kind_name(&self) -> String {
        match self.target().map(|target| &target.kind) {
            Some(TargetKind::Rule(rule)) => format!("{} rule", rule.rule.name()),
            Some(TargetKind::GeneratedFile { .. }) => "generated file".to_owned(),
            Some(TargetKind::PackageGroup(_)) => "package group".to_owned(),
            Some(TargetKind::SourceFile) | None => "source file".to_owned(),
        }
    }

    /// Its label, and its configuration if it has one.
    pub fn shown(&self) -> String {
        match self.configured.as_deref() {
            None => self.label.to_string(),
            Some(Configured { configuration: None, .. }) => format!("{} (null)", self.label),
            Some(Configured { configuration: Some(name), .. }) => {
                format!("{} ({name})", self.label)
            }
        }
    }

    /// Where it is declared.
    pub fn place(&self) -> Place {
        match &self.kind {
            NodeKind::Target(_, target) => target.place.clone(),
            NodeKind::Loaded(path) => Place { file: path.to_string(), line: 1, column: 1 },
        }
    }
}

impl Graph {
    /// The nodes of a label: none, one, or one for each configuration.
    pub fn find(&self, label: &Label) -> &[NodeId] {
        self.ids.get(label).map_or(&[], Vec::as_slice)
    }

    /// Adds a node whose edges are not known yet.
    pub fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId::of_index(self.nodes.len());
        self.ids.entry(node.label.clone()).or_default().push(id);
        self.nodes.push(node);
        self.ranges.push(None);
        id
    }

    /// Sets the edges of a node, which had none.
    pub fn set_edges(&mut self, node: NodeId, edges: impl IntoIterator<Item = Edge>) {
        let start = self.edges.len();
        for edge in edges {
            // What an attribute names twice, in two branches of a `select`, it depends on once.
            if !self.edges[start..].contains(&edge) {
                self.edges.push(edge);
            }
        }
        // As with nodes, more do not fit into memory.
        self.ranges[node.index()] = Some(start as u32..self.edges.len() as u32);
    }

    /// Whether the edges of a node are known.
    pub fn is_expanded(&self, node: NodeId) -> bool {
        self.ranges[node.index()].is_some()
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The edges of a node; none before they are known.
    pub fn edges(&self, id: NodeId) -> &[Edge] {
        match &self.ranges[id.index()] {
            Some(range) => &self.edges[range.start as usize..range.end as usize],
            None => &[],
        }
    }

    /// The number of an attribute's name.
    pub fn attribute(&mut self, name: &Arc<str>) -> AttributeId {
        let (index, _) = self.attributes.insert_full(name.clone());
        // Fewer than nodes.
        AttributeId(index as u32)
    }

    /// The name of an attribute.
    pub fn attribute_name(&self, id: AttributeId) -> &Arc<str> {
        &self.attributes[id.0 as usize]
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}
