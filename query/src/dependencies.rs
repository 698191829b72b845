//! Dependencies of targets as they are declared: with all branches of their `select`s.

use rbz_engine::label::Label;
use rbz_starlark::attr::{Configurable, SelectPart};
use rbz_starlark::package::{RuleTarget, Target, TargetKind, VisibilityRule};
use rbz_starlark::package_builder::labels_of;

use crate::graph::AttributeId;
use crate::rule_info::RuleInfo;

/// Which dependencies count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Those that the rule, and not the target, puts there (`--implicit_deps`).
    pub implicit: bool,
    /// Tools (`--tool_deps`).
    pub tools: bool,
    /// Groups that a visibility names (`--nodep_deps`).
    pub nodep: bool,
}

impl Default for Followed {
    fn default() -> Self {
        Followed { implicit: true, tools: true, nodep: true }
    }
}

/// The names of what makes edges without being declared by a rule.
#[derive(Clone, Copy, Debug)]
pub struct OwnAttributes {
    /// Of an output: the target that makes it.
    pub generator: AttributeId,
    /// Of a package group: the groups in it.
    pub includes: AttributeId,
    /// Of any target: the groups that may use it.
    pub visibility: AttributeId,
}

/// What a target depends on, with the attributes that say so. `rule` is that of a target that is an
/// instance of one.
pub fn dependencies(
    target: &Target,
    rule: Option<&RuleInfo>,
    followed: Followed,
    own: OwnAttributes,
) -> Vec<(Label, AttributeId)> {
    let mut found = Vec::new();
    match (&target.kind, rule) {
        (TargetKind::Rule(instance), Some(rule)) => of_rule(instance, rule, followed, &mut found),
        (TargetKind::GeneratedFile { generator }, _) => {
            found.push((target.label.package().label(generator), own.generator));
        }
        (TargetKind::PackageGroup(group), _) => {
            found.extend(group.includes.iter().map(|label| (label.clone(), own.includes)));
        }
        (TargetKind::Rule(_), None) | (TargetKind::SourceFile, _) => {}
    }
    if followed.nodep {
        found.extend(target.visibility.rules.iter().filter_map(|rule| match rule {
            VisibilityRule::Group(label) => Some((label.clone(), own.visibility)),
            _ => None,
        }));
    }
    found
}

fn of_rule(
    instance: &RuleTarget,
    rule: &RuleInfo,
    followed: Followed,
    found: &mut Vec<(Label, AttributeId)>,
) {
    let mut labels = Vec::new();
    for attribute in &rule.dependencies {
        if attribute.tool && !followed.tools {
            continue;
        }
        match instance.attrs.get(&attribute.name) {
            Some(value) => labels_of(value, &mut labels),
            None if followed.implicit => labels.extend(attribute.default.iter().cloned()),
            None => {}
        }
        found.extend(labels.drain(..).map(|label| (label, attribute.id)));
    }
    // Other attributes may depend on conditions.
    for (name, value) in &instance.attrs {
        let Configurable::Select(parts) = value else { continue };
        let Some(id) = rule.conditions.get(name) else { continue };
        for part in parts {
            if let SelectPart::Select { branches, .. } = part {
                found.extend(branches.iter().map(|(condition, _)| (condition.clone(), *id)));
            }
        }
    }
}
