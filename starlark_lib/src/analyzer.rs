//! The analyzer: from targets to configured targets, bottom-up and in parallel.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use rbz_engine::diagnostic::{Diagnostic, Frame};
use rbz_engine::digest::Fingerprint;
use rbz_engine::event::{Event, EventSink};
use rbz_engine::label::Label;

use crate::compatibility::Incompatibility;
use crate::configuration::{Configuration, OptionReads};
use crate::configured_target::ConfiguredTarget;
use crate::dependency_graph::{
    DependencyGraph, Node, NodeId, ResolvedKind, ResolvedTarget, Resolver,
};
use crate::loader::Loader;
use crate::mention;
use crate::native_targets;
use crate::parents::Parents;
use crate::rule::RuleRef;
use crate::rule_context::{RuleContext, Shell};
use crate::rule_evaluation;
use crate::saved_targets::{SavedTargets, Surroundings, TargetKey};
use crate::target_checks::{check_declarations, check_dependencies, deprecations};
use crate::transitions::Transitions;

/// Analyses targets. What it analysed once it keeps.
pub struct Analyzer<'a> {
    /// Where targets are declared.
    pub loader: &'a Loader,
    /// The constraint values of the machine.
    pub host_constraints: Arc<[Label]>,
    /// The shell of `run_shell`.
    pub shell: Arc<Result<Shell, Diagnostic>>,
    /// Evaluates transitions.
    pub transitions: &'a Transitions,
    /// What earlier sessions evaluated.
    pub saved: &'a SavedTargets,
    /// Whether to go on after an error.
    pub keep_going: bool,
    /// Where progress goes.
    pub events: Arc<dyn EventSink>,
    graph: DependencyGraph,
    /// For each node: `None` as a value means that it, or something below it, is wrong or not for
    /// the platform.
    results: Vec<Option<Option<Arc<ConfiguredTarget>>>>,
    /// Everything that was evaluated or taken from what was saved.
    order: Vec<NodeId>,
    errors: Vec<Diagnostic>,
    /// Nodes that are not for the platform.
    incompatible: HashMap<NodeId, Arc<Incompatibility>>,
    evaluated: usize,
}

/// One run over the nodes that have no result yet.
struct Run<'r, 'a> {
    analyzer: &'r Analyzer<'a>,
    /// What every rule can see besides its target.
    surroundings: Fingerprint,
    results: Vec<OnceLock<Option<Arc<ConfiguredTarget>>>>,
    pending: Vec<AtomicUsize>,
    parents: Parents,
    errors: Mutex<Vec<(NodeId, Box<Diagnostic>)>>,
    incompatible: Mutex<HashMap<NodeId, Arc<Incompatibility>>>,
    /// Who depends on what is deprecated.
    deprecations: Mutex<BTreeSet<String>>,
    stopped: AtomicBool,
    evaluated: AtomicUsize,
    done: AtomicUsize,
}

/// What is in a mutex. It is whole even if a thread panicked while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}

/// What a run yields.
struct Outcome {
    results: Vec<Option<Option<Arc<ConfiguredTarget>>>>,
    errors: Vec<(NodeId, Box<Diagnostic>)>,
    incompatible: HashMap<NodeId, Arc<Incompatibility>>,
    evaluated: usize,
}

impl<'a> Analyzer<'a> {
    /// Without any target.
    pub fn new(
        loader: &'a Loader,
        host_constraints: Arc<[Label]>,
        transitions: &'a Transitions,
        saved: &'a SavedTargets,
        keep_going: bool,
        events: Arc<dyn EventSink>,
    ) -> Self {
        let none = Diagnostic::user("no shell is known yet");
        Analyzer {
            loader,
            host_constraints,
            shell: Arc::new(Err(none)),
            transitions,
            saved,
            keep_going,
            events,
            graph: DependencyGraph::default(),
            results: Vec::new(),
            order: Vec::new(),
            errors: Vec::new(),
            incompatible: HashMap::new(),
            evaluated: 0,
        }
    }

    /// Analyses targets and all that they need. Yields their nodes.
    pub fn analyze(&mut self, roots: &[(Label, Arc<Configuration>)]) -> Vec<NodeId> {
        let resolver = Resolver {
            loader: self.loader,
            host_constraints: &self.host_constraints,
            transitions: self.transitions,
        };
        let root_ids = self.graph.add(roots, &resolver);
        self.results.resize(self.graph.nodes.len(), None);
        let (order, cycles) = self.graph.order(&root_ids);
        let order: Vec<NodeId> =
            order.into_iter().filter(|id| self.results[*id].is_none()).collect();
        let in_cycle: HashSet<NodeId> = cycles.iter().map(|(id, _)| *id).collect();
        let mut errors: Vec<(NodeId, Box<Diagnostic>)> =
            cycles.into_iter().map(|(id, error)| (id, Box::new(error))).collect();
        if errors.is_empty() || self.keep_going {
            let outcome = self.run(&order, &in_cycle);
            errors.extend(outcome.errors);
            self.incompatible = outcome.incompatible;
            self.evaluated += outcome.evaluated;
            for (id, result) in outcome.results.into_iter().enumerate() {
                if self.results[id].is_none() {
                    self.results[id] = result;
                }
            }
        }
        // In the order of the graph, so that the same request always says the same.
        errors.sort_by_key(|(id, _)| *id);
        if !self.keep_going {
            errors.truncate(1);
        }
        let explained: Vec<Diagnostic> =
            errors.into_iter().map(|(id, error)| self.explain(id, *error)).collect();
        self.errors.extend(explained);
        self.order.extend(order);
        root_ids
    }

    fn run(&self, order: &[NodeId], in_cycle: &HashSet<NodeId>) -> Outcome {
        let count = self.graph.nodes.len();
        let mut waiting = Vec::new();
        let pending: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        for id in order {
            for edge in &self.graph.nodes[*id].edges {
                // What is known, and what cannot be waited for since it waits for this, is no
                // reason to wait.
                if self.results[edge.node].is_none() && !in_cycle.contains(&edge.node) {
                    waiting.push((edge.node, *id));
                    pending[*id].fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        let results = self.results.iter().map(|result| match result {
            Some(known) => OnceLock::from(known.clone()),
            None => OnceLock::new(),
        });
        let surroundings = Surroundings {
            workspace: &self.loader.workspace_name(),
            shell: &self.shell,
            host_constraints: &self.host_constraints,
        };
        let run = Run {
            analyzer: self,
            surroundings: surroundings.fingerprint(),
            results: results.collect(),
            pending,
            parents: Parents::new(count, &waiting),
            errors: Mutex::default(),
            incompatible: Mutex::new(self.incompatible.clone()),
            deprecations: Mutex::default(),
            stopped: AtomicBool::new(false),
            evaluated: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
        };
        for id in in_cycle {
            // Whoever is in a cycle has no result; what only depends on it does not wait.
            let _ = run.results[*id].set(None);
        }
        // Listed before any of them runs, since a run makes others ready.
        let ready: Vec<NodeId> = order
            .iter()
            .copied()
            .filter(|id| run.pending[*id].load(Ordering::Relaxed) == 0)
            .collect();
        self.loader.threads().install(|| {
            rayon::scope(|scope| {
                for id in ready {
                    let run = &run;
                    scope.spawn(move |scope| run.visit(id, scope));
                }
            });
        });
        // In one order, so that the same request always says the same.
        for warning in std::mem::take(&mut *lock(&run.deprecations)) {
            self.events.event(Event::Warning(warning));
        }
        Outcome {
            results: run.results.into_iter().map(OnceLock::into_inner).collect(),
            errors: std::mem::take(&mut *lock(&run.errors)),
            incompatible: std::mem::take(&mut *lock(&run.incompatible)),
            evaluated: run.evaluated.into_inner(),
        }
    }

    /// Adds to an error who wanted the target that could not be found or loaded.
    fn explain(&self, id: NodeId, mut error: Diagnostic) -> Diagnostic {
        if error.place.is_some() {
            return error;
        }
        let wanted = self.graph.nodes.iter().find_map(|node| {
            let edge = node.edges.iter().find(|edge| edge.node == id)?;
            Some((node.state.as_ref().ok()?, node, edge))
        });
        if let Some((resolved, node, edge)) = wanted {
            let target = &resolved.target;
            error = mention::placed(error, self.loader, target, &edge.attribute, &edge.label);
            error.trace.push(Frame {
                place: None,
                what: format!("`{}` names it in its `{}`", node.label, edge.attribute),
                source: None,
            });
        }
        error
    }

    /// What a rule says by intention of the target `id` begins with that target, or, if the target is
    /// of another repository, with the nearest one of the user that needs it.
    fn said_of(&self, id: NodeId, mut error: Box<Diagnostic>) -> Box<Diagnostic> {
        let at = |id: NodeId| {
            let node = &self.graph.nodes[id];
            let target = &node.state.as_ref().ok()?.target;
            Some((node, target))
        };
        let Some((node, target)) = at(id) else { return error };
        if !error.deliberate || error.place.as_ref() != Some(&target.place) {
            return error;
        }
        let mut shown = (node, target);
        let (mut seen, mut pending) = (HashSet::from([id]), VecDeque::from([id]));
        while let Some(next) = pending.pop_front() {
            if let Some(found) = at(next).filter(|(node, _)| node.label.repo().is_main()) {
                shown = found;
                break;
            }
            let needs = |other: &NodeId| {
                self.graph.nodes[*other].edges.iter().any(|edge| edge.node == next)
            };
            let all = (0..self.graph.nodes.len()).filter(needs).filter(|other| seen.insert(*other));
            pending.extend(all.collect::<Vec<_>>());
        }
        if shown.0.label != node.label {
            error.trace.push(Frame {
                place: error.place.take(),
                what: format!("of the target `{}`, which it needs", node.label),
                source: None,
            });
        }
        let rule = match &shown.0.state.as_ref().map(|resolved| &resolved.kind) {
            Ok(ResolvedKind::Rule { schema, .. }) => format!("{} ", schema.rule.name()),
            _ => String::new(),
        };
        error.message = format!("in {rule}{}: {}", shown.0.label, error.message);
        error.place = Some(shown.1.place.clone());
        error
    }

    /// The error for a target that was asked for but is not for the platform; `None` if it is.
    pub fn incompatibility(&self, id: NodeId) -> Option<Diagnostic> {
        let why = self.incompatible.get(&id)?;
        let node = &self.graph.nodes[id];
        let place = node.state.as_ref().ok().map(|resolved| resolved.target.place.clone());
        Some(why.error(&node.label, place))
    }

    /// All targets that were asked for, and what they need.
    pub fn graph(&self) -> &DependencyGraph {
        &self.graph
    }

    /// The configured target of a node; `None` if something is wrong with it.
    pub fn result(&self, id: NodeId) -> Option<&Arc<ConfiguredTarget>> {
        self.results.get(id)?.as_ref()?.as_ref()
    }

    /// The node that declares the attributes of `id`: itself, or what an alias stands for.
    pub fn declaring(&self, mut id: NodeId) -> &Node {
        while let Ok(ResolvedTarget { kind: ResolvedKind::Forward, .. }) =
            &self.graph.nodes[id].state
        {
            match self.graph.nodes[id].edges.first() {
                Some(edge) => id = edge.node,
                None => break,
            }
        }
        &self.graph.nodes[id]
    }

    /// All configured targets, each after those that it needs.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<ConfiguredTarget>> {
        self.order.iter().filter_map(|id| self.result(*id))
    }

    /// All configured targets, each after those that it needs. Everything else is freed: for very
    /// many targets the graph takes as much memory as what was made of them.
    pub fn into_targets(self) -> Vec<Arc<ConfiguredTarget>> {
        let Analyzer { graph, order, mut results, .. } = self;
        drop(graph);
        order.into_iter().filter_map(|id| results[id].take()?).collect()
    }

    /// What is wrong.
    pub fn take_errors(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.errors)
    }

    /// How many targets were analysed, and how many rules were evaluated for that.
    pub fn counts(&self) -> (usize, usize) {
        (self.targets().count(), self.evaluated)
    }

    /// The context in which the rule of a node is evaluated; `None` if it has no rule.
    pub fn context(&self, node: &Node) -> Option<RuleContext> {
        let dependencies: Option<Vec<_>> =
            node.edges.iter().map(|edge| self.result(edge.node).cloned()).collect();
        self.context_with(node, dependencies?)
    }

    fn context_with(
        &self,
        node: &Node,
        dependencies: Vec<Arc<ConfiguredTarget>>,
    ) -> Option<RuleContext> {
        let resolved = node.state.as_ref().ok()?;
        let ResolvedKind::Rule { schema, attributes } = &resolved.kind else { return None };
        Some(RuleContext {
            label: node.label.clone(),
            schema: schema.clone(),
            configuration: node.configuration.clone(),
            attributes: attributes.clone(),
            dependencies,
            workspace: self.loader.workspace_name(),
            build_file: resolved.package.build_file.clone(),
            shell: self.shell.clone(),
            host_constraints: self.host_constraints.clone(),
            reads: OptionReads::default(),
            made: Mutex::default(),
        })
    }
}

impl<'r, 'a: 'r> Run<'r, 'a> {
    fn visit<'s>(&'s self, id: NodeId, scope: &rayon::Scope<'s>) {
        let result = match self.results[id].get() {
            Some(_) => None,
            None if self.stopped.load(Ordering::Relaxed) => Some(None),
            None => Some(match self.configure(id) {
                Ok(target) => target,
                Err(mut error) => {
                    // Of a target that is there; what is not there is the fault of who names it.
                    if let (None, Ok(resolved)) =
                        (&error.place, &self.analyzer.graph.nodes[id].state)
                    {
                        error.place = Some(resolved.target.place.clone());
                    }
                    let error = self.analyzer.said_of(id, error);
                    lock(&self.errors).push((id, error));
                    if !self.analyzer.keep_going {
                        self.stopped.store(true, Ordering::Relaxed);
                    }
                    None
                }
            }),
        };
        if let Some(result) = result {
            let _ = self.results[id].set(result);
        }
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(100) {
            self.analyzer.events.event(Event::Analyzed { targets: done });
        }
        for parent in self.parents.of(id) {
            // The last dependency to finish starts its parent.
            if self.pending[*parent].fetch_sub(1, Ordering::AcqRel) == 1 {
                let parent = *parent;
                scope.spawn(move |scope| self.visit(parent, scope));
            }
        }
    }

    /// Why a node is not for the platform, by itself or by what it depends on.
    fn incompatibility(
        &self,
        node: &Node,
        resolved: &ResolvedTarget,
    ) -> Result<Option<Arc<Incompatibility>>, Box<Diagnostic>> {
        let result = |id: NodeId| self.results[id].get().cloned().flatten();
        let platform = &self.analyzer.host_constraints;
        if let Some(own) = Incompatibility::own(node, resolved, platform, &result)? {
            return Ok(Some(Arc::new(own)));
        }
        let known = lock(&self.incompatible);
        Ok(node.edges.iter().find_map(|edge| known.get(&edge.node).cloned()))
    }

    /// The configured target of a node; `Ok(None)` if something below it is wrong, or not for the
    /// platform.
    fn configure(&self, id: NodeId) -> Result<Option<Arc<ConfiguredTarget>>, Box<Diagnostic>> {
        let analyzer = self.analyzer;
        let node = &analyzer.graph.nodes[id];
        let resolved = node.state.as_ref().map_err(Clone::clone)?;
        check_declarations(&analyzer.graph, analyzer.loader, node, resolved)?;
        lock(&self.deprecations).extend(deprecations(&analyzer.graph, node, resolved));
        if let Some(why) = self.incompatibility(node, resolved)? {
            lock(&self.incompatible).insert(id, why);
            return Ok(None);
        }
        let dependencies: Option<Vec<Arc<ConfiguredTarget>>> = node
            .edges
            .iter()
            .map(|edge| self.results[edge.node].get().cloned().flatten())
            .collect();
        let Some(dependencies) = dependencies else { return Ok(None) };
        let target = match &resolved.kind {
            ResolvedKind::Forward => return Ok(dependencies.into_iter().next()),
            ResolvedKind::SourceFile => native_targets::source_file(node, analyzer.loader)?,
            ResolvedKind::PackageGroup => native_targets::passive(node, "package group", vec![]),
            ResolvedKind::GeneratedFile => native_targets::generated_file(node, &dependencies[0])?,
            ResolvedKind::Rule { schema, attributes } => {
                check_dependencies(
                    &analyzer.graph,
                    analyzer.loader,
                    node,
                    resolved,
                    schema,
                    &dependencies,
                )?;
                match schema.rule {
                    RuleRef::Native(rule) => {
                        native_targets::native_rule(node, rule, attributes, &dependencies)?
                    }
                    RuleRef::Starlark { .. } => {
                        return self.rule(node, resolved, dependencies).map(Some);
                    }
                }
            }
        };
        Ok(Some(Arc::new(target)))
    }

    fn rule(
        &self,
        node: &Node,
        resolved: &ResolvedTarget,
        dependencies: Vec<Arc<ConfiguredTarget>>,
    ) -> Result<Arc<ConfiguredTarget>, Box<Diagnostic>> {
        let analyzer = self.analyzer;
        let key = TargetKey::of(node, resolved, &dependencies, &self.surroundings);
        if let Some(saved) = analyzer.saved.get(&key, &node.configuration) {
            return Ok(saved);
        }
        let context = analyzer.context_with(node, dependencies).ok_or_else(|| {
            Box::new(Diagnostic::internal(format!("`{}` has no rule", node.label)))
        })?;
        let context = Arc::new(context);
        self.evaluated.fetch_add(1, Ordering::Relaxed);
        let target = rule_evaluation::evaluate(analyzer.loader, &context, &resolved.target)?;
        let target = Arc::new(target);
        analyzer.saved.put(key, &context.reads, &target);
        Ok(target)
    }
}
