//! The plan of a request: the actions that its targets need, and no others.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use rbz_engine::action::Action;
use rbz_engine::artifact::Artifact;
use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::{Diagnostic, Frame};
use rbz_engine::digest::Fingerprint;
use rbz_engine::label::{Label, RepoName};
use rbz_engine::plan::{Plan, PlanError, RequestedTarget};
use rbz_engine::value::Value;
use rbz_engine::workspace_status;

use crate::configured_target::ConfiguredTarget;
use crate::loader::Loader;

/// Collects the actions that requested targets need.
pub struct PlanBuilder<'a> {
    /// All actions there are.
    actions: Vec<&'a Arc<Action>>,
    /// The actions that write a path. More than one is an error if anybody needs it, so the others
    /// are apart.
    writers: HashMap<&'a str, (usize, Vec<usize>)>,
    needed: Vec<bool>,
    /// Whether the status of the workspace is.
    needs_status: bool,
    seen: HashSet<Fingerprint>,
}

impl<'a> PlanBuilder<'a> {
    /// For requests to some of `targets`.
    pub fn new(targets: impl Iterator<Item = &'a Arc<ConfiguredTarget>>) -> Self {
        let mut actions = Vec::new();
        let mut writers: HashMap<&str, (usize, Vec<usize>)> = HashMap::new();
        // A target that is there by several names has its actions once.
        let mut known = HashSet::new();
        for target in targets {
            if !known.insert(Arc::as_ptr(target)) {
                continue;
            }
            for action in &target.actions {
                for output in &action.outputs {
                    let action = actions.len();
                    writers
                        .entry(output.exec_path())
                        .and_modify(|(_, others)| others.push(action))
                        .or_insert((action, Vec::new()));
                }
                actions.push(action);
            }
        }
        let needed = vec![false; actions.len()];
        PlanBuilder { actions, writers, needed, needs_status: false, seen: HashSet::new() }
    }

    /// Marks all actions that these files need.
    fn need(&mut self, files: &Depset) {
        let mut stack: Vec<usize> = Vec::new();
        self.push_writers(files, &mut stack);
        while let Some(action) = stack.pop() {
            if !std::mem::replace(&mut self.needed[action], true) {
                let inputs = self.actions[action].inputs.clone();
                self.push_writers(&inputs, &mut stack);
            }
        }
    }

    fn push_writers(&mut self, files: &Depset, stack: &mut Vec<usize>) {
        let status = [workspace_status::stable_file(), workspace_status::volatile_file()];
        let mut nodes = vec![files];
        while let Some(node) = nodes.pop() {
            if !self.seen.insert(node.fingerprint()) {
                continue;
            }
            for file in node.direct().iter().filter_map(Value::as_file) {
                if let Some((writer, others)) = self.writers.get(file.exec_path()) {
                    stack.push(*writer);
                    stack.extend(others);
                } else if status.contains(file) {
                    self.needs_status = true;
                }
            }
            nodes.extend(node.transitive());
        }
    }

    fn need_file(&mut self, file: &Artifact) {
        self.need(&Depset::of_files([file.clone()]));
    }

    /// The plan for these requests.
    pub fn build(
        mut self,
        workspace: &str,
        repositories: BTreeMap<RepoName, PathBuf>,
        requested: Vec<RequestedTarget>,
    ) -> Result<Plan, PlanError> {
        for target in &requested {
            self.need(&target.files);
            for files in target.output_groups.values() {
                self.need(files);
            }
            if let Some(program) = &target.executable {
                self.need_file(&program.file);
                self.need_file(&program.runfiles_tree);
            }
        }
        let mut plan = Plan::new(workspace, repositories);
        for (action, needed) in self.actions.iter().zip(&self.needed) {
            if *needed {
                plan.add(Arc::clone(action))?;
            }
        }
        if self.needs_status {
            plan.add(workspace_status::action())?;
        }
        plan.check()?;
        plan.requested = requested;
        Ok(plan)
    }
}

/// The error for two actions that cannot both write, at the target of the second.
pub fn conflict(error: PlanError, loader: &Loader) -> Diagnostic {
    let PlanError::Conflict { path, first, below, second } = error;
    let place = |label: &Label| loader.target(label).ok().map(|(_, target)| target.place.clone());
    let mut diagnostic = Diagnostic::user(match (first == second, path == below) {
        (true, true) => format!("two actions of `{first}` write to `{path}`"),
        (false, true) => format!("`{first}` and `{second}` both write to `{path}`"),
        (_, false) => {
            format!("`{second}` writes to `{below}`, which lies in `{path}`, that `{first}` writes")
        }
    });
    diagnostic.place = place(&second);
    if first != second {
        diagnostic.trace.push(Frame {
            place: place(&first),
            what: format!("`{first}` is here"),
            source: None,
        });
    }
    diagnostic.trace.push(Frame {
        place: None,
        what: "one path can only be written by one action, and nothing can lie below a file"
            .to_owned(),
        source: None,
    });
    diagnostic.hint("give the output of one of them another name")
}
