//! Lisp targets as analysis knows them: their sources, in order, and what is there before each.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbz_engine::action::Action;
use rbz_engine::label::{Label, RepoName};
use rbz_engine::value::{ProviderId, Value};
use rbz_query::action_output::{command, contents};
use rbz_starlark::attr::AttrValue;
use rbz_starlark::configured_graph::{ConfiguredGraph, ConfiguredNode};
use rbz_starlark::configured_target::ConfiguredTarget;
use rbz_starlark::loader::Loader;

use crate::commands::repl::MANIFEST;

/// A target with Lisp sources.
#[derive(Debug)]
pub struct LispTarget {
    /// Its label.
    pub label: Label,
    /// Name of its rule.
    pub rule: Arc<str>,
    /// What it names in `deps`, in order.
    pub dependencies: Vec<Dependency>,
    /// Its compilation mode.
    pub mode: String,
    /// The features of it and of what it needs.
    pub features: Vec<String>,
    /// How its sources are written.
    pub encoding: String,
    /// Its attributes `order` and `load`.
    pub order: String,
    /// See `order`.
    pub load: String,
    /// Exec paths of the C libraries that are opened.
    pub shared_objects: Vec<String>,
    /// What it is compiled to, in order.
    pub files: Vec<LispFile>,
    actions: Vec<Arc<Action>>,
}

/// A file that is compiled, or several that are compiled together.
#[derive(Clone, Debug, Default)]
pub struct LispFile {
    /// Exec path of the FASL.
    pub fasl: String,
    /// Exec paths of the sources.
    pub sources: Vec<String>,
}

/// What a target names in `deps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// A target with Lisp sources.
    Target(Label),
    /// A module of the implementation.
    Module(String),
}

impl LispTarget {
    /// Those of a graph, by label. They must have been asked for what a read-eval-print loop needs.
    pub fn of_graph(graph: &ConfiguredGraph) -> Vec<LispTarget> {
        let mut targets = BTreeMap::new();
        for node in &graph.nodes {
            if let Some(target) = &node.target
                && !targets.contains_key(&target.label)
                && let Some(lines) = manifest(target)
            {
                targets.insert(target.label.clone(), LispTarget::new(graph, node, target, &lines));
            }
        }
        targets.into_values().collect()
    }

    fn new(
        graph: &ConfiguredGraph,
        node: &ConfiguredNode,
        target: &ConfiguredTarget,
        lines: &str,
    ) -> LispTarget {
        let mut made = LispTarget {
            label: target.label.clone(),
            rule: target.rule.clone(),
            dependencies: Vec::new(),
            mode: String::new(),
            features: Vec::new(),
            encoding: String::new(),
            order: text(node, "order").unwrap_or_else(|| "serial".to_owned()),
            load: text(node, "load").unwrap_or_else(|| "source".to_owned()),
            shared_objects: Vec::new(),
            files: Vec::new(),
            actions: target.actions.clone(),
        };
        depend(graph, node, &mut made.dependencies, &mut HashSet::new());
        for (key, value) in lines.lines().filter_map(|line| line.split_once(' ')) {
            let value = value.to_owned();
            match key {
                "mode" => made.mode = value,
                "feature" => made.features.push(value),
                "encoding" => made.encoding = value,
                "shared-object" => made.shared_objects.push(value),
                "fasl" => made.files.push(LispFile { fasl: value, sources: Vec::new() }),
                "source" => made.files.iter_mut().last().into_iter().for_each(|file| {
                    file.sources.push(value.clone());
                }),
                _ => {}
            }
        }
        made
    }

    /// Its sources, in order, each with the FASL that it is compiled to.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter();
        files.flat_map(|file| file.sources.iter().map(|one| (one.as_str(), file.fasl.as_str())))
    }

    /// The command line of the action that writes a FASL, and the lines of its file of parameters.
    pub fn compilation(&self, fasl: &str) -> (Vec<String>, Vec<String>) {
        let writes =
            |action: &&Arc<Action>| action.outputs.iter().any(|file| file.exec_path() == fasl);
        let expanded = self.actions.iter().find(writes).and_then(|action| command(action));
        let expanded = expanded.unwrap_or_default();
        let texts = expanded.param_files.iter().flat_map(|(_, text)| text.lines());
        (expanded.argv, texts.map(str::to_owned).collect())
    }
}

/// What the rule of a target says that a read-eval-print loop loads.
fn manifest(target: &ConfiguredTarget) -> Option<String> {
    let groups = target.provider(&ProviderId::builtin("OutputGroupInfo"))?;
    let (_, value) = groups.fields.iter().find(|(name, _)| &**name == MANIFEST)?;
    let Value::Depset(files) = value else { return None };
    let file = files.to_files().into_iter().next()?;
    let writes = |action: &&Arc<Action>| action.primary() == file.exec_path();
    contents(target.actions.iter().find(writes)?).filter(|text| text.contains("\ntarget "))
}

/// The value of a string attribute.
fn text(node: &ConfiguredNode, attribute: &str) -> Option<String> {
    node.attributes.iter().find_map(|(name, value)| match value {
        AttrValue::String(text) if &**name == attribute => Some(text.to_string()),
        _ => None,
    })
}

/// Adds what a node names in `deps`. What is no Lisp target itself, such as a rule of the user's, stands
/// for what it names.
fn depend(
    graph: &ConfiguredGraph,
    node: &ConfiguredNode,
    found: &mut Vec<Dependency>,
    seen: &mut HashSet<usize>,
) {
    // The deepest path first, without recursion: graphs of users' rules may be deep.
    let below = |node: &ConfiguredNode| -> Vec<usize> {
        let edges = node.edges.iter();
        let named = edges.filter(|edge| matches!(&*edge.attribute, "deps" | "actual"));
        named.map(|edge| edge.to).rev().collect()
    };
    let mut pending = below(node);
    while let Some(index) = pending.pop() {
        if !seen.insert(index) {
            continue;
        }
        let node = &graph.nodes[index];
        let Some(target) = &node.target else { continue };
        let dependency = match (manifest(target), text(node, "module")) {
            (Some(_), _) => Dependency::Target(target.label.clone()),
            (None, Some(module)) if &*target.rule == "lisp_module" => Dependency::Module(module),
            _ => {
                pending.extend(below(node));
                continue;
            }
        };
        if !found.contains(&dependency) {
            found.push(dependency);
        }
    }
}

/// Where files are that actions know by exec paths.
pub struct Places<'a> {
    /// Where sources come from.
    pub loader: &'a Loader,
    /// The root of the workspace.
    pub workspace: &'a Path,
    /// The directory that outputs are in.
    pub execution_root: PathBuf,
}

impl Places<'_> {
    /// The path of the file itself.
    pub fn path(&self, exec_path: &str) -> PathBuf {
        if exec_path.starts_with("rbz-out/") {
            return self.execution_root.join(exec_path);
        }
        let external = exec_path.strip_prefix("external/").and_then(|rest| rest.split_once('/'));
        let in_repository = external.and_then(|(name, rest)| {
            let root = self.loader.repository_root(&RepoName::new(name)).ok()?;
            // An editor is to show the file itself, not a link to it.
            Some(root.canonicalize().unwrap_or(root).join(rest))
        });
        in_repository.unwrap_or_else(|| self.workspace.join(exec_path))
    }
}
