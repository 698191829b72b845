//! What must hold between a target and its dependencies: visibility, providers, kinds of files.

use std::collections::HashSet;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::{Label, PackageId};
use rbz_engine::value::ProviderId;

use crate::attr::{AllowFiles, AttrKind, AttrValue, Configurable, LabelAttr};
use crate::builtin_providers::Builtin;
use crate::configured_target::ConfiguredTarget;
use crate::dependency_graph::{DependencyGraph, Edge, Node, ResolvedKind, ResolvedTarget};
use crate::loader::Loader;
use crate::mention;
use crate::package::{PackageGroup, Target, TargetKind, Visibility, VisibilityRule};
use crate::rule::{NativeRule, RuleRef, RuleSchema};

/// Checks that concern declarations alone: visibility and `testonly`.
pub fn check_declarations(
    graph: &DependencyGraph,
    loader: &Loader,
    node: &Node,
    resolved: &ResolvedTarget,
) -> Result<(), Box<Diagnostic>> {
    for edge in &node.edges {
        let Ok(dependency) = &graph.nodes[edge.node].state else { continue };
        if dependency.target.label == node.label {
            continue;
        }
        if matches!(resolved.kind, ResolvedKind::GeneratedFile) {
            continue;
        }
        check_visibility(graph, loader, node, resolved, edge, dependency)?;
        if !edge.implicit && is_testonly(loader, dependency) && !is_testonly(loader, resolved) {
            let error = Diagnostic::user(format!(
                "`{}` depends on `{}`, which only tests may use (`testonly`)",
                node.label, dependency.target.label
            ))
            .hint(format!(
                "set `testonly = True` on `{}`, or depend on something else",
                node.label
            ));
            return Err(placed(error, loader, resolved, edge));
        }
    }
    Ok(())
}

/// The warnings for what a target depends on, in other packages, and should no longer.
pub fn deprecations(
    graph: &DependencyGraph,
    node: &Node,
    resolved: &ResolvedTarget,
) -> Vec<String> {
    if deprecation(&resolved.target).is_some() {
        return Vec::new();
    }
    let named = node.edges.iter().filter(|edge| !edge.implicit);
    let warnings = named.filter_map(|edge| {
        let dependency = &graph.nodes[edge.node].state.as_ref().ok()?.target;
        let text = deprecation(dependency)?;
        let is_near = dependency.label.package() == node.label.package();
        (!is_near).then(|| {
            format!(
                "{}: `{}` depends on `{}`, which is deprecated: {text}",
                resolved.target.place, node.label, dependency.label
            )
        })
    });
    warnings.collect()
}

/// What a target says to those who still depend on it.
fn deprecation(target: &Target) -> Option<&str> {
    let TargetKind::Rule(rule) = &target.kind else { return None };
    match rule.attrs.get("deprecation") {
        Some(Configurable::Plain(AttrValue::String(text))) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn placed(
    error: Diagnostic,
    loader: &Loader,
    resolved: &ResolvedTarget,
    edge: &Edge,
) -> Box<Diagnostic> {
    Box::new(mention::placed(error, loader, &resolved.target, &edge.attribute, &edge.label))
}

fn is_testonly(loader: &Loader, resolved: &ResolvedTarget) -> bool {
    let TargetKind::Rule(rule) = &resolved.target.kind else { return false };
    match rule.attrs.get("testonly") {
        Some(Configurable::Plain(AttrValue::Bool(value))) => *value,
        _ => {
            loader.rule_schema(&rule.rule).is_ok_and(|schema| schema.test)
                || rule.rule == RuleRef::Native(NativeRule::TestSuite)
        }
    }
}

fn check_visibility(
    graph: &DependencyGraph,
    loader: &Loader,
    node: &Node,
    resolved: &ResolvedTarget,
    edge: &Edge,
    dependency: &ResolvedTarget,
) -> Result<(), Box<Diagnostic>> {
    let from = node.label.package();
    // What a rule itself depends on must be visible where the rule is defined.
    let rule_package = match &resolved.target.kind {
        TargetKind::Rule(rule) => match &rule.rule {
            RuleRef::Starlark { module, .. } if edge.implicit => Some(module.package()),
            _ => None,
        },
        _ => None,
    };
    // An output is as visible as the target that makes it.
    let shown = match dependency.kind {
        ResolvedKind::GeneratedFile => match graph.nodes[edge.node].edges.first() {
            Some(generator) => match &graph.nodes[generator.node].state {
                Ok(generator) => &generator.target,
                Err(_) => return Ok(()),
            },
            None => &dependency.target,
        },
        _ => &dependency.target,
    };
    if from == shown.label.package() || rule_package == Some(shown.label.package()) {
        return Ok(());
    }
    for package in [Some(from), rule_package].into_iter().flatten() {
        if is_visible(loader, &shown.visibility, package)? {
            return Ok(());
        }
    }
    let mut error = Diagnostic::user(format!(
        "`{}` is not visible to `{}`, which depends on it in its `{}`",
        dependency.target.label, node.label, edge.attribute
    ));
    error.hints.push(match shown.kind {
        TargetKind::SourceFile => format!(
            "`{}` is a source file of another package: add `exports_files([\"{}\"])` to {}",
            shown.label,
            shown.label.name(),
            dependency.package.build_file,
        ),
        _ => format!(
            "add `{}` to the `visibility` of `{}` ({})",
            pkg(from),
            shown.label,
            shown.place
        ),
    });
    Err(placed(error, loader, resolved, edge))
}

fn pkg(package: &PackageId) -> String {
    format!("{package}:__pkg__")
}

/// Whether a target of this visibility may be used in `package`.
pub fn is_visible(
    loader: &Loader,
    visibility: &Visibility,
    package: &PackageId,
) -> Result<bool, Box<Diagnostic>> {
    for rule in &visibility.rules {
        let is_in = match rule {
            VisibilityRule::Group(label) => groups_have(loader, label, package)?,
            packages => packages.covers(package),
        };
        if is_in {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether `package` is in the group `label`, or in one that it includes.
fn groups_have(
    loader: &Loader,
    label: &Label,
    package: &PackageId,
) -> Result<bool, Box<Diagnostic>> {
    let mut seen = HashSet::new();
    // The way down from the group: each with what it includes and was not looked at.
    let mut path: Vec<(Label, Vec<Label>)> = Vec::new();
    let mut next = Some(label.clone());
    loop {
        if let Some(label) = next.take() {
            if path.iter().any(|(above, _)| *above == label) {
                return Err(Box::new(Diagnostic::user(format!(
                    "the `package_group` `{label}` includes itself"
                ))));
            }
            if seen.insert(label.clone()) {
                let group = package_group(loader, &label)?;
                if group.has(package) {
                    return Ok(true);
                }
                path.push((label, group.includes.iter().rev().cloned().collect()));
            }
        }
        let Some((_, includes)) = path.last_mut() else { return Ok(false) };
        next = includes.pop();
        if next.is_none() {
            path.pop();
        }
    }
}

/// The group that `label` in a `visibility`, or in the `includes` of a group, names.
fn package_group(loader: &Loader, label: &Label) -> Result<PackageGroup, Box<Diagnostic>> {
    let (_, target) = loader.target(label)?;
    match &target.kind {
        TargetKind::PackageGroup(group) => Ok(group.clone()),
        _ => Err(Box::new(
            Diagnostic::user(format!("`{label}` in a `visibility` is no `package_group`"))
                .hint(format!("to name a package write `{}`", pkg(label.package()))),
        )),
    }
}

/// Checks that every dependency is what its attribute asks for.
pub fn check_dependencies(
    graph: &DependencyGraph,
    loader: &Loader,
    node: &Node,
    resolved: &ResolvedTarget,
    schema: &RuleSchema,
    dependencies: &[std::sync::Arc<ConfiguredTarget>],
) -> Result<(), Box<Diagnostic>> {
    for (edge, dependency) in node.edges.iter().zip(dependencies) {
        let kind = schema.attrs.get(&edge.attribute).map(|attribute| &*attribute.kind);
        let attr = match kind {
            Some(
                AttrKind::Label(attr)
                | AttrKind::LabelList(attr)
                | AttrKind::LabelKeyedStringDict(attr)
                | AttrKind::StringKeyedLabelDict(attr),
            ) => attr,
            _ => continue,
        };
        let Ok(declared) = &graph.nodes[edge.node].state else { continue };
        check_dependency(edge, attr, dependency, &declared.target).map_err(|error| {
            let message = format!(
                "in the attribute `{}` of `{}`: {}",
                edge.attribute, node.label, error.message
            );
            placed(Diagnostic { message, ..error }, loader, resolved, edge)
        })?;
    }
    Ok(())
}

fn check_dependency(
    edge: &Edge,
    attr: &LabelAttr,
    dependency: &ConfiguredTarget,
    declared: &Target,
) -> Result<(), Diagnostic> {
    let label = &edge.label;
    let is_file = dependency.is_file();
    if matches!(declared.kind, TargetKind::PackageGroup(_)) {
        return Err(Diagnostic::user(format!(
            "`{label}` is a `package_group`, not a target to build"
        )));
    }
    let has = |set: &[ProviderId]| set.iter().all(|id| dependency.provider(id).is_some());
    let wanted_providers = !attr.providers.is_empty();
    if is_file {
        check_file(attr, dependency, label)?;
    } else {
        if wanted_providers && !attr.providers.iter().any(|set| has(set)) {
            let sets: Vec<String> = attr
                .providers
                .iter()
                .map(|set| {
                    let names: Vec<String> = set.iter().map(|id| format!("`{id}`")).collect();
                    names.join(" and ")
                })
                .collect();
            return Err(Diagnostic::user(format!(
                "`{label}` (a `{}`) does not have the provider {}",
                dependency.rule,
                sets.join(", or ")
            ))
            .hint("depend on a target of a rule that provides it"));
        }
        if let AllowFiles::Suffixes(suffixes) = &attr.allow_files
            && !wanted_providers
        {
            let files = dependency.default_info().files.to_files();
            let fits = files.iter().any(|file| {
                file.is_tree() || suffixes.iter().any(|suffix| file.basename().ends_with(&**suffix))
            });
            if !files.is_empty() && !fits {
                return Err(Diagnostic::user(format!(
                    "`{label}` (a `{}`) makes no file whose name ends in {}",
                    dependency.rule,
                    quoted(suffixes)
                )));
            }
        }
    }
    let info = dependency.default_info();
    if attr.single_file && (is_file || !attr.executable) {
        let files = info.files.to_files();
        if files.len() != 1 {
            return Err(Diagnostic::user(format!(
                "`{label}` must be exactly one file, but it has {}",
                files.len()
            )));
        }
    }
    if attr.executable && info.files_to_run.executable.is_none() && !is_file {
        return Err(Diagnostic::user(format!(
            "`{label}` (a `{}`) must be a program, but it cannot be run",
            dependency.rule
        )));
    }
    Ok(())
}

fn check_file(
    attr: &LabelAttr,
    dependency: &ConfiguredTarget,
    label: &Label,
) -> Result<(), Diagnostic> {
    let providers_fit =
        attr.providers.iter().any(|set| set.iter().all(|id| dependency.provider(id).is_some()));
    match &attr.allow_files {
        AllowFiles::Any => Ok(()),
        AllowFiles::Suffixes(suffixes) => {
            match suffixes.iter().any(|suffix| label.name().ends_with(&**suffix)) {
                true => Ok(()),
                false => Err(Diagnostic::user(format!(
                    "the file `{label}` does not fit: its name must end in {}",
                    quoted(suffixes)
                ))),
            }
        }
        AllowFiles::No if providers_fit => Ok(()),
        AllowFiles::No if attr.executable => Ok(()),
        AllowFiles::No => Err(Diagnostic::user(format!(
            "`{label}` is a file, but only targets of rules can stand here"
        ))
        .hint("write the name of the target that has the file among its sources")),
    }
}

fn quoted(suffixes: &[std::sync::Arc<str>]) -> String {
    let quoted: Vec<String> = suffixes.iter().map(|suffix| format!("`{suffix}`")).collect();
    quoted.join(" or ")
}

impl ConfiguredTarget {
    /// Whether it is a file, be it of the source tree or an output of a rule.
    pub fn is_file(&self) -> bool {
        matches!(&*self.rule, "source file" | "generated file")
    }

    /// Whether it has the provider of the language called by `builtin`.
    pub fn has(&self, builtin: Builtin) -> bool {
        self.provider(&builtin.id()).is_some()
    }
}
