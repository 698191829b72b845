//! The graph of actions as messages: every path, set and target once, and referred to by number.

use std::collections::HashMap;
use std::sync::Arc;

use rbz_engine::action::{Action, ActionKind, SymlinkTarget};
use rbz_engine::artifact::Artifact;
use rbz_engine::depset::Depset;
use rbz_engine::digest::Fingerprint;
use rbz_engine::label::Label;
use rbz_engine::value::Value;
use rbz_starlark::configured_target::ConfiguredTarget;

use crate::action_output::{ActionOptions, command, contents, environment, key};
use crate::analysis_proto as proto;

/// Collects messages.
pub struct ActionGraph<'o> {
    options: &'o ActionOptions,
    graph: proto::ActionGraphContainer,
    artifacts: HashMap<String, u32>,
    fragments: HashMap<(u32, String), u32>,
    sets: HashMap<Fingerprint, u32>,
    targets: HashMap<Label, u32>,
    rules: HashMap<Arc<str>, u32>,
    configurations: HashMap<Arc<str>, u32>,
}

/// The number of the next of these messages; 0 stands for none of them.
fn next<T>(messages: &[T]) -> u32 {
    // More do not fit into memory.
    messages.len() as u32 + 1
}

fn pairs<'a>(
    entries: impl IntoIterator<Item = (&'a Arc<str>, &'a Arc<str>)>,
) -> Vec<proto::KeyValuePair> {
    let pair = |(key, value): (&Arc<str>, &Arc<str>)| proto::KeyValuePair {
        key: key.to_string(),
        value: value.to_string(),
    };
    entries.into_iter().map(pair).collect()
}

impl<'o> ActionGraph<'o> {
    /// Without any action.
    pub fn new(options: &'o ActionOptions) -> Self {
        ActionGraph {
            options,
            graph: proto::ActionGraphContainer::default(),
            artifacts: HashMap::new(),
            fragments: HashMap::new(),
            sets: HashMap::new(),
            targets: HashMap::new(),
            rules: HashMap::new(),
            configurations: HashMap::new(),
        }
    }

    /// The messages.
    pub fn finish(self) -> proto::ActionGraphContainer {
        self.graph
    }

    /// Adds an action of a target.
    pub fn add(&mut self, target: &ConfiguredTarget, action: &Action) {
        let mut message = proto::Action {
            target_id: self.target(target),
            action_key: key(action),
            mnemonic: action.mnemonic.to_string(),
            configuration_id: self.configuration(&action.configuration),
            ..Default::default()
        };
        if self.options.artifacts {
            if !action.inputs.is_empty() {
                message.input_dep_set_ids = vec![self.set(&action.inputs)];
            }
            message.output_ids = action.outputs.iter().map(|file| self.artifact(file)).collect();
            message.primary_output_id = message.output_ids.first().copied().unwrap_or(0);
        }
        let command = command(action).unwrap_or_default();
        if self.options.param_files {
            message.param_files = command
                .param_files
                .iter()
                .map(|(path, text)| proto::ParamFile {
                    exec_path: path.clone(),
                    arguments: text.lines().map(str::to_owned).collect(),
                })
                .collect();
        }
        if self.options.command_lines {
            message.arguments = command.argv;
        }
        message.environment_variables = pairs(&environment(action));
        match &action.kind {
            ActionKind::Spawn(spawn) => message.execution_info = pairs(&spawn.requirements),
            ActionKind::ExpandTemplate { substitutions, .. } => {
                message.substitutions = pairs(substitutions.iter().map(|(from, to)| (from, to)));
            }
            ActionKind::Symlink { target: SymlinkTarget::Path(path), .. } => {
                message.unresolved_symlink_target = path.to_string();
            }
            _ => {}
        }
        if self.options.file_contents {
            message.file_contents = contents(action).unwrap_or_default();
        }
        self.graph.actions.push(message);
    }

    fn target(&mut self, target: &ConfiguredTarget) -> u32 {
        if let Some(id) = self.targets.get(&target.label) {
            return *id;
        }
        let rule_class_id = match self.rules.get(&target.rule) {
            Some(id) => *id,
            None => {
                let id = next(&self.graph.rule_classes);
                let name = target.rule.to_string();
                self.graph.rule_classes.push(proto::RuleClass { id, name });
                self.rules.insert(target.rule.clone(), id);
                id
            }
        };
        let id = next(&self.graph.targets);
        let label = target.label.to_string();
        self.graph.targets.push(proto::Target { id, label, rule_class_id });
        self.targets.insert(target.label.clone(), id);
        id
    }

    fn configuration(&mut self, name: &Arc<str>) -> u32 {
        if let Some(id) = self.configurations.get(name) {
            return *id;
        }
        let id = next(&self.graph.configuration);
        self.graph.configuration.push(proto::Configuration {
            id,
            mnemonic: name.to_string(),
            platform_name: name.split('-').next().unwrap_or_default().to_owned(),
            checksum: Fingerprint::of(name.as_bytes()).to_hex(),
        });
        self.configurations.insert(name.clone(), id);
        id
    }

    fn artifact(&mut self, artifact: &Artifact) -> u32 {
        let path = artifact.exec_path();
        if let Some(id) = self.artifacts.get(path) {
            return *id;
        }
        let path_fragment_id = self.path(path);
        let id = next(&self.graph.artifacts);
        self.graph.artifacts.push(proto::Artifact {
            id,
            path_fragment_id,
            is_tree_artifact: artifact.is_tree(),
        });
        self.artifacts.insert(path.to_owned(), id);
        id
    }

    fn path(&mut self, path: &str) -> u32 {
        let mut parent_id = 0;
        // An absolute path begins with a slash, which belongs to its first segment.
        let first = path.char_indices().skip(1).find(|(_, c)| *c == '/');
        let first = first.map_or(path.len(), |(at, _)| at);
        let (first, rest) = (&path[..first], path.get(first + 1..));
        for segment in [first].into_iter().chain(rest.into_iter().flat_map(|rest| rest.split('/')))
        {
            let key = (parent_id, segment.to_owned());
            parent_id = match self.fragments.get(&key) {
                Some(id) => *id,
                None => {
                    let id = next(&self.graph.path_fragments);
                    let label = segment.to_owned();
                    self.graph.path_fragments.push(proto::PathFragment { id, label, parent_id });
                    self.fragments.insert(key, id);
                    id
                }
            };
        }
        parent_id
    }

    /// The number of a set; all that it is made of come before it.
    fn set(&mut self, set: &Depset) -> u32 {
        // From a stack: sets may lie within one another to any depth.
        let mut pending = vec![(set, false)];
        while let Some((set, ready)) = pending.pop() {
            if self.sets.contains_key(&set.fingerprint()) {
                continue;
            }
            if !ready {
                pending.push((set, true));
                pending.extend(set.transitive().iter().rev().map(|part| (part, false)));
                continue;
            }
            let files: Vec<&Artifact> = set.direct().iter().filter_map(Value::as_file).collect();
            let direct_artifact_ids = files.into_iter().map(|file| self.artifact(file)).collect();
            let parts = set.transitive().iter();
            let transitive_dep_set_ids =
                parts.filter_map(|part| self.sets.get(&part.fingerprint()).copied()).collect();
            let id = next(&self.graph.dep_set_of_files);
            self.graph.dep_set_of_files.push(proto::DepSetOfFiles {
                id,
                transitive_dep_set_ids,
                direct_artifact_ids,
            });
            self.sets.insert(set.fingerprint(), id);
        }
        self.sets.get(&set.fingerprint()).copied().unwrap_or(0)
    }
}
