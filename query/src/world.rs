//! The world of a query: targets as far as it needed them, loaded when it asks for them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;
use rbz_engine::diagnostic::{Diagnostic, Frame};
use rbz_engine::label::{Label, PackageId};
use rbz_starlark::attr::{AttrValue, Configurable};
use rbz_starlark::loader::Loader;
use rbz_starlark::mention;
use rbz_starlark::package::{Package, Target, TargetKind};
use rbz_starlark::patterns::{TargetPattern, Targets, is_manual};
use rbz_starlark::rule::{NativeRule, RuleRef};

use crate::dependencies::{Followed, OwnAttributes, dependencies};
use crate::graph::{AttributeId, Edge, Graph, Node, NodeId, NodeKind};
use crate::loaded_files::LoadedFiles;
use crate::node_set::NodeSet;
use crate::rule_info::RuleInfo;

/// How a query sees the workspace.
#[derive(Clone, Debug, Default)]
pub struct WorldOptions {
    /// The directory that patterns are relative to, below the workspace's root.
    pub directory: String,
    /// Which dependencies count.
    pub followed: Followed,
    /// Whether what is wrong is left out, instead of ending the query.
    pub keep_going: bool,
    /// The patterns of all targets that can depend on others (`--universe_scope`).
    pub universe: Vec<String>,
    /// Whether a suite may hold nothing but tests (`--strict_test_suite`).
    pub strict_test_suite: bool,
}

/// Targets, as far as a query needed them.
pub struct World<'a> {
    /// Where targets are declared.
    pub loader: &'a Loader,
    /// How it is seen.
    pub options: WorldOptions,
    /// The targets, and what they depend on.
    pub graph: Graph,
    /// Which files were loaded for which package.
    pub(crate) files: LoadedFiles,
    packages: HashMap<PackageId, Result<Arc<Package>, Box<Diagnostic>>>,
    rules: HashMap<RuleRef, Arc<RuleInfo>>,
    own: OwnAttributes,
    errors: Vec<Diagnostic>,
    /// Whether all nodes are there already: of configured targets.
    complete: bool,
    /// The name of the configuration that was asked for, if targets are configured.
    pub target_configuration: Option<Arc<str>>,
}

/// How many targets are looked at by one thread before others help.
const FEW: usize = 64;

impl<'a> World<'a> {
    /// The world without any target yet.
    pub fn new(loader: &'a Loader, options: WorldOptions) -> World<'a> {
        let mut graph = Graph::default();
        let own = OwnAttributes {
            generator: graph.attribute(&"generator".into()),
            includes: graph.attribute(&"includes".into()),
            visibility: graph.attribute(&"visibility".into()),
        };
        World {
            loader,
            options,
            graph,
            files: LoadedFiles::default(),
            packages: HashMap::new(),
            rules: HashMap::new(),
            own,
            errors: Vec::new(),
            complete: false,
            target_configuration: None,
        }
    }

    /// A world of configured targets: its graph is whole, and nothing more is loaded.
    pub fn of_graph(loader: &'a Loader, options: WorldOptions, graph: Graph) -> World<'a> {
        World { graph, complete: true, ..World::new(loader, options) }
    }

    /// What is wrong but was left out.
    pub fn take_errors(&mut self) -> Vec<Diagnostic> {
        let mut seen = HashSet::new();
        let mut errors = std::mem::take(&mut self.errors);
        errors.retain(|error| seen.insert(error.to_string()));
        errors
    }

    /// Ends the query, unless it goes on without what is wrong.
    pub fn fail(&mut self, error: Diagnostic) -> Result<(), Diagnostic> {
        match self.options.keep_going {
            true => {
                self.errors.push(error);
                Ok(())
            }
            false => Err(error),
        }
    }

    /// Loads packages, in parallel.
    fn load(&mut self, packages: impl IntoIterator<Item = PackageId>) {
        let mut wanted: Vec<PackageId> =
            packages.into_iter().filter(|package| !self.packages.contains_key(package)).collect();
        wanted.sort();
        wanted.dedup();
        let loader = self.loader;
        let load = |id: PackageId| {
            let package = loader.package(&id);
            (id, package)
        };
        match wanted.len() {
            0 | 1 => self.packages.extend(wanted.into_iter().map(load)),
            _ => {
                let loaded: Vec<_> =
                    loader.threads().install(|| wanted.into_par_iter().map(load).collect());
                self.packages.extend(loaded);
            }
        }
    }

    /// The package `id`.
    pub fn package(&mut self, id: &PackageId) -> Result<Arc<Package>, Box<Diagnostic>> {
        self.load([id.clone()]);
        match self.packages.get(id) {
            Some(package) => package.clone(),
            None => self.loader.package(id),
        }
    }

    /// The node of a target of a package.
    pub fn node_of(&mut self, package: &Arc<Package>, target: &Arc<Target>) -> NodeId {
        if let [known, ..] = self.graph.find(&target.label) {
            return *known;
        }
        self.graph.add(Node {
            label: target.label.clone(),
            kind: NodeKind::Target(package.clone(), target.clone()),
            configured: None,
        })
    }

    /// The node of a BUILD or .bzl file.
    pub fn loaded_file(&mut self, label: &Label, path: &str) -> NodeId {
        if let [known, ..] = self.graph.find(label) {
            return *known;
        }
        let kind = NodeKind::Loaded(path.into());
        self.graph.add(Node { label: label.clone(), kind, configured: None })
    }

    /// The node of the BUILD file of a package.
    pub fn build_file(&mut self, package: &Arc<Package>) -> NodeId {
        let name = package.build_file.rsplit('/').next().unwrap_or(&package.build_file);
        let label = package.id.label(name);
        // It is a target too where a rule names it.
        match package.targets.get(name) {
            Some(target) if !self.complete => self.node_of(package, target),
            _ => self.loaded_file(&label, &package.build_file),
        }
    }

    /// The node of a label.
    pub fn node(&mut self, label: &Label) -> Result<NodeId, Box<Diagnostic>> {
        if let [known, ..] = self.graph.find(label) {
            return Ok(*known);
        }
        let package = self.package(label.package())?;
        if let Some(target) = package.targets.get(label.name()) {
            return Ok(self.node_of(&package, &target.clone()));
        }
        if package.build_file.rsplit('/').next() == Some(label.name()) {
            return Ok(self.build_file(&package));
        }
        // It says what may have been meant.
        self.loader.target(label).map(|(package, target)| self.node_of(&package, &target))
    }

    /// All nodes of a label: of a configured target one for each configuration.
    pub fn nodes(&mut self, label: &Label) -> Result<Vec<NodeId>, Box<Diagnostic>> {
        match self.complete {
            true => Ok(self.graph.find(label).to_vec()),
            false => self.node(label).map(|node| vec![node]),
        }
    }

    /// The targets that a pattern means. Unlike in a build it means manual ones too.
    pub fn targets(&mut self, pattern: &str) -> Result<NodeSet, Diagnostic> {
        let directory = self.options.directory.clone();
        let mut found = NodeSet::new();
        let label = match TargetPattern::parse(pattern, &directory, self.loader)? {
            TargetPattern::Target(label) => label,
            TargetPattern::Path(path) => self.loader.label_of_path(&path)?,
            TargetPattern::Package(id, targets) => {
                let package = self.package(&id).map_err(|error| *error)?;
                self.members(&package, targets, &mut found);
                return Ok(found);
            }
            TargetPattern::Below(directory, targets) => {
                let mut ids = self.loader.packages_below(&directory, &[])?;
                if ids.is_empty() {
                    let message = format!("there is no package in `{directory}` or below it");
                    return Err(Diagnostic::user(message));
                }
                ids.sort();
                self.load(ids.iter().cloned());
                for id in ids {
                    match self.package(&id) {
                        Ok(package) => self.members(&package, targets, &mut found),
                        Err(error) => self.fail(*error)?,
                    }
                }
                return Ok(found);
            }
        };
        let nodes = self.nodes(&label).map_err(|error| *error)?;
        if nodes.is_empty() {
            // It is there, but nothing that was asked for needs it.
            self.loader.target(&label).map_err(|error| *error)?;
        }
        Ok(nodes.into_iter().collect())
    }

    /// Adds the targets of a package that a pattern means.
    fn members(&mut self, package: &Arc<Package>, targets: Targets, found: &mut NodeSet) {
        for target in package.targets.values() {
            if targets == Targets::All || matches!(target.kind, TargetKind::Rule(_)) {
                for node in self.members_node(package, target) {
                    found.insert(node);
                }
            }
        }
        if targets == Targets::All && !self.complete {
            found.insert(self.build_file(package));
        }
    }

    fn members_node(&mut self, package: &Arc<Package>, target: &Arc<Target>) -> Vec<NodeId> {
        match self.complete {
            true => self.graph.find(&target.label).to_vec(),
            false => vec![self.node_of(package, target)],
        }
    }

    /// Every target of a package, and its BUILD file.
    pub fn all_of(&mut self, id: &PackageId) -> Result<NodeSet, Diagnostic> {
        let package = self.package(id).map_err(|error| *error)?;
        let mut found = NodeSet::new();
        self.members(&package, Targets::All, &mut found);
        Ok(found)
    }

    /// What is known of a rule.
    pub fn rule(&mut self, rule: &RuleRef) -> Result<Arc<RuleInfo>, Diagnostic> {
        if let Some(known) = self.rules.get(rule) {
            return Ok(known.clone());
        }
        let schema = self.loader.rule_schema(rule).map_err(|error| *error)?;
        let info = Arc::new(RuleInfo::new(schema, &mut self.graph));
        self.rules.insert(rule.clone(), info.clone());
        Ok(info)
    }

    /// The rule of a node; `None` if it is no instance of one.
    pub fn rule_of(&mut self, node: NodeId) -> Result<Option<Arc<RuleInfo>>, Diagnostic> {
        let rule = self.graph.node(node).rule().map(|instance| instance.rule.clone());
        rule.map(|rule| self.rule(&rule)).transpose()
    }

    /// Finds out what nodes depend on, and loads that.
    pub fn expand(&mut self, nodes: &[NodeId]) -> Result<(), Diagnostic> {
        let pending: Vec<NodeId> =
            nodes.iter().copied().filter(|node| !self.graph.is_expanded(*node)).collect();
        if pending.is_empty() || self.complete {
            return Ok(());
        }
        for node in &pending {
            self.rule_of(*node)?;
        }
        let (graph, rules, followed, own) =
            (&self.graph, &self.rules, self.options.followed, self.own);
        let look = |node: &NodeId| -> Vec<(Label, AttributeId)> {
            let node = graph.node(*node);
            let Some(target) = node.target() else { return Vec::new() };
            let rule = node.rule().and_then(|instance| rules.get(&instance.rule));
            dependencies(target, rule.map(|rule| &**rule), followed, own)
        };
        let mut found: Vec<Vec<(Label, AttributeId)>> = match pending.len() < FEW {
            true => pending.iter().map(look).collect(),
            false => self.loader.threads().install(|| pending.par_iter().map(look).collect()),
        };
        for (node, found) in pending.iter().zip(&mut found) {
            found.extend(self.implicit_members(*node)?);
        }
        let mut unknown: HashSet<PackageId> = HashSet::new();
        for (label, _) in found.iter().flatten() {
            if !unknown.contains(label.package()) && self.graph.find(label).is_empty() {
                unknown.insert(label.package().clone());
            }
        }
        self.load(unknown);
        for (node, found) in pending.into_iter().zip(found) {
            let mut edges = Vec::with_capacity(found.len());
            for (label, attribute) in found {
                match self.node(&label) {
                    Ok(to) => edges.push(Edge { to, attribute }),
                    Err(error) => {
                        let error = self.named_by(*error, node, &label, attribute);
                        self.fail(error)?;
                    }
                }
            }
            self.graph.set_edges(node, edges);
        }
        Ok(())
    }

    /// The labels that a node depends on, sorted; they need not be there.
    pub fn declared_dependencies(&mut self, node: NodeId) -> Result<Vec<String>, Diagnostic> {
        let mut names: Vec<String> = match self.graph.is_expanded(node) && self.complete {
            true => {
                let edges = self.graph.edges(node).iter();
                edges.map(|edge| self.graph.node(edge.to).label.to_string()).collect()
            }
            false => {
                let rule = self.rule_of(node)?;
                let Some(target) = self.graph.node(node).target() else { return Ok(Vec::new()) };
                let found = dependencies(target, rule.as_deref(), self.options.followed, self.own);
                found
                    .into_iter()
                    // Who may use a target is no input of it.
                    .filter(|(_, attribute)| *attribute != self.own.visibility)
                    .map(|(label, _)| label.to_string())
                    .collect()
            }
        };
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Adds to an error who names the target that cannot be had.
    fn named_by(
        &self,
        mut error: Diagnostic,
        node: NodeId,
        label: &Label,
        attribute: AttributeId,
    ) -> Diagnostic {
        let node = self.graph.node(node);
        let name = self.graph.attribute_name(attribute);
        if let (None, Some(target)) = (&error.place, node.target()) {
            error = mention::placed(error, self.loader, target, name, label);
        }
        let what = format!("`{}` names it in its `{name}`", node.label);
        error.trace.push(Frame { place: None, what, source: None });
        error
    }

    /// The tests of its package that a suite has which names none.
    fn implicit_members(&mut self, node: NodeId) -> Result<Vec<(Label, AttributeId)>, Diagnostic> {
        let NodeKind::Target(package, target) = &self.graph.node(node).kind else {
            return Ok(Vec::new());
        };
        if !is_suite(target) || !suite_members(target).is_empty() {
            return Ok(Vec::new());
        }
        let (package, label) = (package.clone(), target.label.clone());
        let tests = self.graph.attribute(&"tests".into());
        let mut members = Vec::new();
        for other in package.targets.values() {
            let TargetKind::Rule(rule) = &other.kind else { continue };
            if other.label != label && !is_manual(other) && self.rule(&rule.rule)?.schema.test {
                members.push((other.label.clone(), tests));
            }
        }
        Ok(members)
    }

    /// Everything that `from` needs, itself included, within `depth` edges.
    pub fn reachable(&mut self, from: &NodeSet, depth: Option<u32>) -> Result<NodeSet, Diagnostic> {
        let mut found = from.clone();
        let mut frontier: Vec<NodeId> = from.iter().collect();
        let mut left = depth;
        while !frontier.is_empty() && left != Some(0) {
            self.expand(&frontier)?;
            let mut next = Vec::new();
            for node in &frontier {
                for edge in self.graph.edges(*node) {
                    if found.insert(edge.to) {
                        next.push(edge.to);
                    }
                }
            }
            frontier = next;
            left = left.map(|left| left - 1);
        }
        Ok(found)
    }

    /// All targets that can depend on others: those of the universe's patterns, with all they need.
    pub fn universe(&mut self) -> Result<NodeSet, Diagnostic> {
        let mut found = NodeSet::new();
        for pattern in self.options.universe.clone() {
            match pattern.strip_prefix('-') {
                Some(pattern) => found.subtract(&self.targets(pattern)?),
                None => found.unite(&self.targets(&pattern)?),
            }
        }
        self.reachable(&found, None)
    }
}

/// Whether a target is a `test_suite`.
pub fn is_suite(target: &Target) -> bool {
    matches!(&target.kind, TargetKind::Rule(rule)
        if rule.rule == RuleRef::Native(NativeRule::TestSuite))
}

/// The targets that a suite names.
pub fn suite_members(target: &Target) -> Vec<Label> {
    let TargetKind::Rule(rule) = &target.kind else { return Vec::new() };
    match rule.attrs.get("tests") {
        Some(Configurable::Plain(AttrValue::LabelList(labels))) => labels.clone(),
        _ => Vec::new(),
    }
}
