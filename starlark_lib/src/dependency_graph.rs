//! The graph of targets in their configurations: attributes resolved, no rule evaluated yet.
//!
//! It is complete before the first rule runs. So a cycle is found without running anything, and
//! rules run bottom-up, in parallel, each exactly once, without waiting for one another.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;
use rbz_engine::diagnostic::{Diagnostic, Frame};
use rbz_engine::digest::Fingerprint;
use rbz_engine::label::Label;

use crate::attr::{AttrDefault, AttrValue, Cfg, LabelAttr};
use crate::conditions::Conditions;
use crate::configuration::Configuration;
use crate::loader::Loader;
use crate::package::{Package, RuleTarget, Target, TargetKind};
use crate::resolved_attributes::{ResolvedAttribute, ResolvedAttributes};
use crate::rule::{NativeRule, RuleRef, RuleSchema};
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
#[derive(PartialEq, Eq, Hash)]
struct NodeKey {
    label: Label,
    /// The number of the configuration in this graph.
    configuration: usize,
    own_configuration: bool,
}

/// A node that has a number and is not resolved yet.
struct Unresolved {
    label: Label,
    configuration: Arc<Configuration>,
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
    configurations: HashMap<Fingerprint, usize>,
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
        let mut frontier: Vec<Unresolved> = Vec::new();
        let root_ids = roots
            .iter()
            .map(|(label, configuration)| self.node(label, configuration, false, &mut frontier))
            .collect();
        while !frontier.is_empty() {
            let resolve = |unresolved: Unresolved| {
                let Unresolved { label, configuration, own_configuration } = &unresolved;
                let resolved = resolver.resolve(label, configuration, *own_configuration);
                (unresolved, resolved)
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
            self.nodes.reserve(found.len());
            // In the order in which they got their numbers.
            for (Unresolved { label, configuration, .. }, resolved) in found {
                let (state, wanted) = match resolved {
                    Ok((target, wanted)) => (Ok(target), wanted),
                    Err(error) => (Err(error), Vec::new()),
                };
                let mut edges = Vec::with_capacity(wanted.len());
                for wanted in wanted {
                    let node = self.node(
                        &wanted.label,
                        &wanted.configuration,
                        wanted.own_configuration,
                        &mut frontier,
                    );
                    let Wanted { label, attribute, implicit, .. } = wanted;
                    edges.push(Edge { label, attribute, implicit, node });
                }
                self.nodes.push(Node { label, configuration, state, edges });
            }
        }
        root_ids
    }

    /// The number of a node. One that is new is to be resolved.
    fn node(
        &mut self,
        label: &Label,
        configuration: &Arc<Configuration>,
        own_configuration: bool,
        frontier: &mut Vec<Unresolved>,
    ) -> NodeId {
        let configurations = self.configurations.len();
        let number = self.configurations.entry(configuration.fingerprint());
        let configuration_number = *number.or_insert(configurations);
        let key = NodeKey {
            label: label.clone(),
            configuration: configuration_number,
            own_configuration,
        };
        let next = self.ids.len();
        *self.ids.entry(key).or_insert_with(|| {
            frontier.push(Unresolved {
                label: label.clone(),
                configuration: configuration.clone(),
                own_configuration,
            });
            next
        })
    }

    /// The nodes that `roots` need, each after all that it needs; and every cycle among them.
    pub fn order(&self, roots: &[NodeId]) -> (Vec<NodeId>, Vec<(NodeId, Diagnostic)>) {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            OnPath,
            Done,
        }
        let mut marks = vec![Mark::New; self.nodes.len()];
        let mut order = Vec::new();
        let mut cycles = Vec::new();
        // The way down from the root: each node with its next edge.
        let mut path: Vec<(NodeId, usize)> = Vec::new();
        for root in roots {
            if marks[*root] != Mark::New {
                continue;
            }
            path.push((*root, 0));
            marks[*root] = Mark::OnPath;
            while let Some((id, next)) = path.last_mut() {
                let node = &self.nodes[*id];
                let Some(edge) = node.edges.get(*next) else {
                    order.push(*id);
                    marks[*id] = Mark::Done;
                    path.pop();
                    continue;
                };
                *next += 1;
                match marks[edge.node] {
                    Mark::New => {
                        marks[edge.node] = Mark::OnPath;
                        path.push((edge.node, 0));
                    }
                    Mark::OnPath => {
                        let cycle = path.iter().map(|(id, _)| *id);
                        let cycle: Vec<NodeId> = cycle.skip_while(|id| *id != edge.node).collect();
                        cycles.push((edge.node, self.cycle(&cycle)));
                    }
                    Mark::Done => {}
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
        schema: &Arc<RuleSchema>,
        configuration: &Arc<Configuration>,
    ) -> Result<(ResolvedAttributes, Vec<Wanted>), Box<Diagnostic>> {
        let conditions = Conditions {
            loader: self.loader,
            host_constraints: self.host_constraints,
            configuration,
            from: target.label.package(),
        };
        let mut values: Vec<Arc<ResolvedAttribute>> = Vec::with_capacity(schema.attrs.len());
        let mut computed = Vec::new();
        let defaults = schema.shared_defaults();
        for (index, (name, attribute)) in schema.attrs.iter().enumerate() {
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
            if let (None, Some(shared)) = (&given, &defaults[index]) {
                values.push(shared.clone());
                continue;
            }
            let (value, is_default) = match (given, &attribute.default) {
                (Some(value), _) => (value, false),
                (None, AttrDefault::Value(value)) => (value.clone(), true),
                (None, AttrDefault::Computed(function)) => {
                    computed.push((index, function));
                    (AttrValue::None, false)
                }
            };
            values.push(Arc::new(ResolvedAttribute {
                kind: attribute.kind.clone(),
                value,
                dependencies: Vec::new(),
                transitioned: attribute.is_transitioned(),
                is_default,
            }));
        }
        let mut attributes = ResolvedAttributes::new(schema.clone(), values);
        for (index, function) in &computed {
            let value = self.transitions.computed_default(
                self.loader,
                function,
                &schema.attrs[*index],
                &attributes,
                target,
            )?;
            attributes.at_mut(*index).value = value;
        }
        let mut wanted = Vec::new();
        for (index, (name, declared)) in schema.attrs.iter().enumerate() {
            if declared.labels().is_none() {
                continue;
            }
            let labels = attributes.at(index).value.labels();
            if labels.is_empty() {
                continue;
            }
            let attribute = attributes.at_mut(index);
            let is_tool = declared.labels().is_some_and(|labels| matches!(labels.cfg, Cfg::Exec));
            let is_computed = computed.iter().any(|(other, _)| *other == index);
            let implicit = attribute.is_default || is_computed || name.starts_with('_');
            for label in labels {
                attribute.dependencies.push((label.clone(), wanted.len()));
                wanted.push(Wanted {
                    label,
                    attribute: name.clone(),
                    implicit,
                    configuration: match is_tool {
                        true => configuration.of_tools(),
                        false => configuration.clone(),
                    },
                    own_configuration: false,
                });
            }
        }
        // Transitions see all attributes, so they run after the last one is known.
        for (resolved, schema) in attributes.values().zip(schema.attrs.values()) {
            let Some(LabelAttr { cfg: Cfg::Transition(transition), .. }) = schema.labels() else {
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
