//! The graph of targets in their configurations: attributes resolved, no rule evaluated yet.
//!
//! It is complete before the first rule runs. So a cycle is found without running anything, and
//! rules run bottom-up, in parallel, each exactly once, without waiting for one another.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use rayon::prelude::*;
use rbz_engine::diagnostic::{Diagnostic, Frame};
use rbz_engine::digest::Fingerprint;
use rbz_engine::label::Label;

use crate::attr::{AttrDefault, AttrKind, AttrSchema, AttrValue, Cfg, LabelAttr};
use crate::conditions::Conditions;
use crate::configuration::Configuration;
use crate::loader::Loader;
use crate::package::{Package, RuleTarget, Target, TargetKind};
use crate::rule::{NativeRule, RuleRef, RuleSchema};
use crate::rule_context::{ResolvedAttribute, ResolvedAttributes};
use crate::transitions::Transitions;

/// The number of a node in its graph.
pub type NodeId = usize;

/// A target in a configuration.
#[derive(Debug)]
pub struct Node {
    /// The target.
    pub label: Label,
    /// The configuration.
    pub configuration: Arc<Configuration>,
    /// What it is, or what is wrong with it.
    pub state: Result<ResolvedTarget, Box<Diagnostic>>,
    /// What it depends on.
    pub edges: Vec<Edge>,
}

/// A dependency.
#[derive(Debug)]
pub struct Edge {
    /// The label as the attribute has it: possibly of an alias.
    pub label: Label,
    /// The attribute that it stands in.
    pub attribute: Arc<str>,
    /// Whether the rule, and not the target, put it there.
    pub implicit: bool,
    /// What it leads to.
    pub node: NodeId,
}

/// A target with its attributes resolved.
#[derive(Debug)]
pub struct ResolvedTarget {
    /// The package that declares it.
    pub package: Arc<Package>,
    /// Its declaration.
    pub target: Arc<Target>,
    /// What it is.
    pub kind: ResolvedKind,
}

/// What a target is.
#[derive(Debug)]
pub enum ResolvedKind {
    /// An instance of a rule.
    Rule {
        /// The rule.
        schema: Arc<RuleSchema>,
        /// All attributes.
        attributes: Arc<ResolvedAttributes>,
    },
    /// The same as its one dependency: an alias, or a target that moves to another configuration.
    Forward,
    /// A file of the source tree.
    SourceFile,
    /// An output of its one dependency.
    GeneratedFile,
    /// A `package_group`.
    PackageGroup,
}

/// What identifies a node. A target whose rule has a transition is there twice: as it is asked
/// for, and as it is.
#[derive(Clone, PartialEq, Eq, Hash)]
struct NodeKey {
    label: Label,
    configuration: Fingerprint,
    own_configuration: bool,
}

/// A dependency that is not a node yet.
struct Wanted {
    label: Label,
    attribute: Arc<str>,
    implicit: bool,
    configuration: Arc<Configuration>,
    own_configuration: bool,
}

/// All targets that a request needs.
#[derive(Default)]
pub struct DependencyGraph {
    /// Parents before children, as they were found.
    pub nodes: Vec<Node>,
    ids: HashMap<NodeKey, NodeId>,
}

/// What resolution works with.
pub struct Resolver<'a> {
    /// Where targets are declared.
    pub loader: &'a Loader,
    /// The constraint values of the machine.
    pub host_constraints: &'a [Label],
    /// Evaluates transitions.
    pub transitions: &'a Transitions,
}

impl DependencyGraph {
    /// Adds `roots` and everything that they need. Yields their nodes.
    pub fn add(
        &mut self,
        roots: &[(Label, Arc<Configuration>)],
        resolver: &Resolver,
    ) -> Vec<NodeId> {
        let mut frontier: Vec<(NodeId, NodeKey, Arc<Configuration>)> = Vec::new();
        let root_ids = roots
            .iter()
            .map(|(label, configuration)| self.node(label, configuration, false, &mut frontier))
            .collect();
        while !frontier.is_empty() {
            let resolve = |(id, key, configuration): (NodeId, NodeKey, Arc<Configuration>)| {
                let resolved = resolver.resolve(&key.label, &configuration, key.own_configuration);
                (id, resolved)
            };
            let found: Vec<_> = match frontier.len() {
                // A chain of targets is resolved one by one, without hand-over.
                1 => frontier.into_iter().map(resolve).collect(),
                _ => resolver
                    .loader
                    .threads()
                    .install(|| frontier.into_par_iter().map(resolve).collect()),
            };
            frontier = Vec::new();
            for (id, resolved) in found {
                match resolved {
                    Err(error) => self.nodes[id].state = Err(error),
                    Ok((target, wanted)) => {
                        let edges = wanted
                            .into_iter()
                            .map(|wanted| Edge {
                                node: self.node(
                                    &wanted.label,
                                    &wanted.configuration,
                                    wanted.own_configuration,
                                    &mut frontier,
                                ),
                                label: wanted.label,
                                attribute: wanted.attribute,
                                implicit: wanted.implicit,
                            })
                            .collect();
                        self.nodes[id].state = Ok(target);
                        self.nodes[id].edges = edges;
                    }
                }
            }
        }
        root_ids
    }

    fn node(
        &mut self,
        label: &Label,
        configuration: &Arc<Configuration>,
        own_configuration: bool,
        frontier: &mut Vec<(NodeId, NodeKey, Arc<Configuration>)>,
    ) -> NodeId {
        let key = NodeKey {
            label: label.clone(),
            configuration: configuration.fingerprint(),
            own_configuration,
        };
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = self.nodes.len();
        self.ids.insert(key.clone(), id);
        self.nodes.push(Node {
            label: label.clone(),
            configuration: configuration.clone(),
            state: Err(Box::new(Diagnostic::internal(format!("`{label}` was not resolved")))),
            edges: Vec::new(),
        });
        frontier.push((id, key, configuration.clone()));
        id
    }

    /// The nodes that `roots` need, each after all that it needs; and every cycle among them.
    pub fn order(&self, roots: &[NodeId]) -> (Vec<NodeId>, Vec<(NodeId, Diagnostic)>) {
        let mut done: HashSet<NodeId> = HashSet::new();
        let mut order = Vec::new();
        let mut cycles = Vec::new();
        for root in roots {
            // The way down from the root: each node with its next edge.
            let mut path: Vec<(NodeId, usize)> = Vec::new();
            let mut on_path: HashMap<NodeId, usize> = HashMap::new();
            if done.contains(root) {
                continue;
            }
            path.push((*root, 0));
            on_path.insert(*root, 0);
            while let Some((id, next)) = path.last_mut() {
                let node = &self.nodes[*id];
                let Some(edge) = node.edges.get(*next) else {
                    order.push(*id);
                    done.insert(*id);
                    on_path.remove(id);
                    path.pop();
                    continue;
                };
                *next += 1;
                if let Some(start) = on_path.get(&edge.node) {
                    let cycle: Vec<NodeId> = path[*start..].iter().map(|(id, _)| *id).collect();
                    cycles.push((edge.node, self.cycle(&cycle)));
                } else if !done.contains(&edge.node) {
                    on_path.insert(edge.node, path.len());
                    path.push((edge.node, 0));
                }
            }
        }
        (order, cycles)
    }

    fn cycle(&self, nodes: &[NodeId]) -> Diagnostic {
        let first = &self.nodes[nodes[0]];
        let mut error = match nodes {
            [_] => Diagnostic::user(format!("`{}` depends on itself", first.label)),
            _ => Diagnostic::user(format!(
                "there is a cycle of {} targets: `{}` depends on itself",
                nodes.len(),
                first.label
            )),
        };
        for (number, id) in nodes.iter().enumerate() {
            let node = &self.nodes[*id];
            let next = nodes[(number + 1) % nodes.len()];
            let attribute = node.edges.iter().find(|edge| edge.node == next);
            let attribute = attribute.map_or("", |edge| &edge.attribute);
            let place = node.state.as_ref().ok().map(|state| state.target.place.clone());
            if number == 0 {
                error.place = place.clone();
            }
            error.trace.push(Frame {
                place,
                what: format!(
                    "`{}` depends on `{}` in its `{attribute}`",
                    node.label, self.nodes[next].label
                ),
                source: None,
            });
        }
        error.hint(
            "take one of these dependencies away, or move what both need into a target of its own",
        )
    }
}

impl Resolver<'_> {
    fn resolve(
        &self,
        label: &Label,
        configuration: &Arc<Configuration>,
        own_configuration: bool,
    ) -> Result<(ResolvedTarget, Vec<Wanted>), Box<Diagnostic>> {
        let (package, target) = self.loader.target(label)?;
        let mut wanted = Vec::new();
        let mut want =
            |label: Label, attribute: &str, own: bool, configuration: &Arc<Configuration>| {
                wanted.push(Wanted {
                    label,
                    attribute: attribute.into(),
                    implicit: false,
                    configuration: configuration.clone(),
                    own_configuration: own,
                });
            };
        let kind = match &target.kind {
            TargetKind::SourceFile => ResolvedKind::SourceFile,
            TargetKind::PackageGroup(_) => ResolvedKind::PackageGroup,
            TargetKind::GeneratedFile { generator } => {
                want(label.package().label(generator), "generator", false, configuration);
                ResolvedKind::GeneratedFile
            }
            TargetKind::Rule(rule) => {
                let at = |error: Box<Diagnostic>| located(error, &target);
                let schema = self.loader.rule_schema(&rule.rule).map_err(at)?;
                let (attributes, mut dependencies) =
                    self.attributes(&target, rule, &schema, configuration).map_err(at)?;
                let moved = match &schema.transition {
                    Some(transition) if !own_configuration => self
                        .transitions
                        .apply(self.loader, transition, configuration, &attributes)
                        .map_err(at)?,
                    _ => configuration.clone(),
                };
                if moved != *configuration {
                    want(label.clone(), "cfg", true, &moved);
                    ResolvedKind::Forward
                } else {
                    let is_alias = rule.rule == RuleRef::Native(NativeRule::Alias);
                    if is_alias {
                        dependencies.retain(|wanted| &*wanted.attribute == "actual");
                    }
                    wanted = dependencies;
                    match is_alias {
                        true if wanted.is_empty() => {
                            return Err(located(
                                Box::new(Diagnostic::user(format!(
                                    "the alias `{label}` has no `actual`"
                                ))),
                                &target,
                            ));
                        }
                        true => ResolvedKind::Forward,
                        false => ResolvedKind::Rule { schema, attributes: Arc::new(attributes) },
                    }
                }
            }
        };
        Ok((ResolvedTarget { package, target, kind }, wanted))
    }

    /// Every attribute of a target, with what it depends on by them.
    fn attributes(
        &self,
        target: &Target,
        rule: &RuleTarget,
        schema: &RuleSchema,
        configuration: &Arc<Configuration>,
    ) -> Result<(ResolvedAttributes, Vec<Wanted>), Box<Diagnostic>> {
        let conditions = Conditions {
            loader: self.loader,
            host_constraints: self.host_constraints,
            configuration,
            from: target.label.package(),
        };
        let mut values: IndexMap<Arc<str>, (AttrValue, bool)> =
            IndexMap::with_capacity(schema.attrs.len());
        let mut computed = Vec::new();
        for (name, attribute) in &schema.attrs {
            let given = match rule.attrs.get(name) {
                Some(value) => conditions.resolve(value).map_err(|mut error| {
                    error.message = format!(
                        "in the attribute `{name}` of `{}`: {}",
                        target.label, error.message
                    );
                    error
                })?,
                None if &**name == "name" => Some(AttrValue::String(target.label.name().into())),
                None => None,
            };
            let value = match (given, &attribute.default) {
                (Some(value), _) => (value, false),
                (None, AttrDefault::Value(value)) => (value.clone(), true),
                (None, AttrDefault::Computed(function)) => {
                    computed.push((name.clone(), function));
                    (AttrValue::None, true)
                }
            };
            values.insert(name.clone(), value);
        }
        for (name, function) in computed {
            let value = self.transitions.computed_default(
                self.loader,
                function,
                &schema.attrs[&name],
                &values,
                target,
            )?;
            values.insert(name, (value, true));
        }
        let mut wanted = Vec::new();
        let mut attributes = IndexMap::with_capacity(values.len());
        for (name, (value, is_default)) in values {
            let schema = &schema.attrs[&name];
            let mut resolved = ResolvedAttribute {
                kind: schema.kind.clone(),
                value,
                dependencies: Vec::new(),
                transitioned: false,
                is_default: is_default && matches!(schema.default, AttrDefault::Value(_)),
            };
            if let Some(label_attr) = label_attr(schema) {
                resolved.transitioned = matches!(label_attr.cfg, Cfg::Transition(_));
                for label in labels(&resolved.value) {
                    resolved.dependencies.push((label.clone(), wanted.len()));
                    wanted.push(Wanted {
                        label,
                        attribute: name.clone(),
                        implicit: is_default || name.starts_with('_'),
                        configuration: configuration.clone(),
                        own_configuration: false,
                    });
                }
            }
            attributes.insert(name, resolved);
        }
        // Transitions see all attributes, so they run after the last one is known.
        for (name, resolved) in &attributes {
            let Some(LabelAttr { cfg: Cfg::Transition(transition), .. }) =
                label_attr(&schema.attrs[name])
            else {
                continue;
            };
            if resolved.dependencies.is_empty() {
                continue;
            }
            let moved =
                self.transitions.apply(self.loader, transition, configuration, &attributes)?;
            for (_, index) in &resolved.dependencies {
                wanted[*index].configuration = moved.clone();
            }
        }
        Ok((attributes, wanted))
    }
}

/// An error about a target, at the place of its declaration if it has no other.
fn located(mut error: Box<Diagnostic>, target: &Target) -> Box<Diagnostic> {
    if error.place.is_none() {
        error.place = Some(target.place.clone());
    }
    error
}

fn label_attr(schema: &AttrSchema) -> Option<&LabelAttr> {
    match &*schema.kind {
        AttrKind::Label(attr)
        | AttrKind::LabelList(attr)
        | AttrKind::LabelKeyedStringDict(attr)
        | AttrKind::StringKeyedLabelDict(attr) => Some(attr),
        _ => None,
    }
}

fn labels(value: &AttrValue) -> Vec<Label> {
    match value {
        AttrValue::Label(label) => vec![label.clone()],
        AttrValue::LabelList(labels) => labels.clone(),
        AttrValue::LabelKeyedStringDict(entries) => {
            entries.iter().map(|(label, _)| label.clone()).collect()
        }
        AttrValue::StringKeyedLabelDict(entries) => {
            entries.iter().map(|(_, label)| label.clone()).collect()
        }
        _ => Vec::new(),
    }
}
