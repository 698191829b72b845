//! Rebuilds: what the last build of some targets did that did anything for them, and why each step
//! was needed, back to the change that began it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::action::ActionKind;
use crate::build::{Engine, Goals, TargetGoals};
use crate::diagnostic::Diagnostic;
use crate::graph::{Graph, Node};
use crate::manifest::{BuildNote, Manifest, Outcome, Run};
use crate::manifest_log::ManifestLog;
use crate::plan::{ActionId, Plan};
use crate::reason::{Change, Reason};

/// What was done the last time that anything was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// The build that did it; `None`: no build is on record that did anything for them.
    pub build: Option<BuildNote>,
    /// How many actions the targets need.
    pub actions: usize,
    /// What was done, each step after those that made its inputs. Steps of earlier builds are there
    /// if what they made was news to a step of this one.
    pub steps: Vec<Step>,
}

/// One action that was not found done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub action: ActionId,
    /// What came of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// What it made, compared with the run before.
    pub made: Made,
    /// The earlier build that did it; `None`: the build that is told of.
    pub earlier: Option<BuildNote>,
    /// The steps that made what changed among the inputs.
    pub from: Vec<usize>,
    /// What of the changes no step made: where it all began.
    pub roots: Vec<Change>,
}

/// What an action made, compared with the run before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// There is nothing to compare it with.
    New,
    /// The same.
    Same,
    /// These outputs are others: exec paths.
    Other(Vec<String>),
    /// Nothing: it failed.
    Nothing,
}

/// A run, and the one before it.
struct Known {
    run: Run,
    before: Option<Run>,
}

impl Engine {
    /// What the last build did that did anything for the requested targets of `plan`.
    pub fn rebuild(&self, plan: &Plan, goals: &Goals) -> Result<Rebuild, Diagnostic> {
        let wanted: Vec<TargetGoals> =
            plan.requested.iter().map(|target| TargetGoals::new(target, goals)).collect();
        let depsets: Vec<_> = wanted.iter().flat_map(|wanted| wanted.files.clone()).collect();
        let tests: Vec<ActionId> = wanted.iter().flat_map(|wanted| wanted.tests.clone()).collect();
        let graph = Graph::new(plan, &depsets, &tests)?;
        let is_told = |id: &ActionId| {
            let kind = &plan.action(*id).kind;
            !matches!(kind, ActionKind::RunfilesTree(_) | ActionKind::WorkspaceStatus)
        };
        let order: Vec<ActionId> = graph
            .order
            .iter()
            .filter_map(|node| match &graph.nodes[node.index()] {
                Node::Action(id) => Some(*id),
                Node::Inputs(_) => None,
            })
            .filter(is_told)
            .collect();
        let log = self.manifests();
        let (build, steps) = tell(plan, log, &order).unzip();
        let steps = steps.unwrap_or_default();
        let rebuild = Rebuild { build, actions: order.len(), steps };
        match log.take_error() {
            Some(error) => Err(error.into()),
            None => Ok(rebuild),
        }
    }
}

fn tell(plan: &Plan, log: &ManifestLog, order: &[ActionId]) -> Option<(BuildNote, Vec<Step>)> {
    let primary = |id: &ActionId| plan.action(*id).primary();
    let latest = order.iter().max_by_key(|id| log.order(primary(id)))?;
    let begun = log.last(primary(latest))?.build;
    let build = log.build(begun).unwrap_or_default();
    let mut known: HashMap<ActionId, Known> = HashMap::new();
    let mut waiting = Vec::new();
    for id in order {
        if let Some(run) = log.last(primary(id)).filter(|run| run.build == begun) {
            known.insert(*id, Known { run, before: log.previous(primary(id)) });
            waiting.push(*id);
        }
    }
    // What changed, and who made it so.
    let mut reasons: HashMap<ActionId, (Reason, Vec<ActionId>, Vec<Change>)> = HashMap::new();
    while let Some(id) = waiting.pop() {
        let Known { run, before } = &known[&id];
        let before: Option<&Manifest> = before.as_ref().map(|run| &run.manifest);
        let reason = Reason::new(log, run.cause, before, &run.manifest);
        let mut makers = Vec::new();
        let mut roots = Vec::new();
        for change in &reason.changes {
            match maker(plan, log, change, &mut known, &mut waiting) {
                Some(maker) => makers.push(maker),
                None => roots.push(change.clone()),
            }
        }
        reasons.insert(id, (reason, makers, roots));
    }
    let told: Vec<ActionId> = order.iter().filter(|id| reasons.contains_key(id)).copied().collect();
    let places: HashMap<ActionId, usize> =
        told.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let steps = told.iter().filter_map(|id| {
        let (reason, makers, roots) = reasons.remove(id)?;
        let Known { run, before } = &known[id];
        let mut from: Vec<usize> =
            makers.iter().filter_map(|maker| places.get(maker).copied()).collect();
        from.sort_unstable();
        from.dedup();
        Some(Step {
            action: *id,
            outcome: run.outcome,
            reason,
            made: made(run, before.as_ref()),
            earlier: (run.build != begun).then(|| log.build(run.build).unwrap_or_default()),
            from,
            roots,
        })
    });
    Some((build, steps.collect()))
}

/// The action that made an input what it is now, if it did so in a run that is on record. A run of
/// an earlier build joins what is known.
fn maker(
    plan: &Plan,
    log: &ManifestLog,
    change: &Change,
    known: &mut HashMap<ActionId, Known>,
    waiting: &mut Vec<ActionId>,
) -> Option<ActionId> {
    let Change::Input { path, now: Some(now), before: Some(_) } = change else { return None };
    let id = plan.generating_path(path)?;
    let primary = plan.action(id).primary();
    if let Entry::Vacant(entry) = known.entry(id) {
        let made_it =
            |run: &Run| run.outputs.iter().any(|(output, value)| output == path && value == now);
        let (last, previous) = (log.last(primary), log.previous(primary));
        let found = match (last, previous) {
            (Some(run), before) if made_it(&run) => Known { run, before },
            (_, Some(run)) if made_it(&run) => Known { run, before: None },
            _ => return None,
        };
        entry.insert(found);
        waiting.push(id);
    }
    Some(id)
}

fn made(run: &Run, before: Option<&Run>) -> Made {
    if run.outcome == Outcome::Failed {
        return Made::Nothing;
    }
    let Some(before) = before.filter(|before| !before.outputs.is_empty()) else { return Made::New };
    let other: Vec<String> = run
        .outputs
        .iter()
        .filter(|output| !before.outputs.contains(output))
        .map(|(path, _)| path.clone())
        .collect();
    if other.is_empty() { Made::Same } else { Made::Other(other) }
}
