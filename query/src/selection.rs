//! Choosing targets by what they are: their attributes, their rules, who may use them.

use std::collections::HashSet;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::{Label, PackageId};
use rbz_starlark::attr::{AttrValue, Configurable};
use rbz_starlark::package::{RuleTarget, TargetKind};
use rbz_starlark::target_checks::is_visible;
use regex_automata::meta::Regex;

use crate::attribute_text::{possible_texts, possible_values};
use crate::graph::NodeId;
use crate::node_set::NodeSet;
use crate::world::{World, is_suite, suite_members};

impl World<'_> {
    /// The first `count` of `of` by their labels.
    pub fn first(&self, of: &NodeSet, count: usize) -> NodeSet {
        let mut nodes: Vec<NodeId> = of.iter().collect();
        nodes.sort_by_key(|node| &self.graph.node(*node).label);
        nodes.into_iter().take(count).collect()
    }

    /// What an attribute of a rule target can be: in the configuration of the node, or else in
    /// any. Nothing if its rule has none of that name.
    pub fn attribute_values(
        &mut self,
        node: NodeId,
        name: &str,
    ) -> Result<Vec<AttrValue>, Diagnostic> {
        let Some(rule) = self.rule_of(node)? else { return Ok(Vec::new()) };
        // The names that Bazel has for attributes with `_`.
        let name = match name.strip_prefix('$') {
            Some(private) => format!("_{private}"),
            None => name.to_owned(),
        };
        let Some(schema) = rule.schema.attrs.get(&*name) else { return Ok(Vec::new()) };
        let node = self.graph.node(node);
        if name == "name" {
            return Ok(vec![AttrValue::String(node.label.name().into())]);
        }
        if let Some(value) = node.configured.as_ref().and_then(|c| c.attributes.get(&*name)) {
            return Ok(vec![value.clone()]);
        }
        let given = node.rule().and_then(|instance| instance.attrs.get(&name));
        Ok(possible_values(given, schema))
    }

    /// Those whose attribute has a value in which `pattern` is found.
    pub fn with_attribute(
        &mut self,
        of: &NodeSet,
        name: &str,
        pattern: &Regex,
    ) -> Result<NodeSet, Diagnostic> {
        let mut found = NodeSet::new();
        for node in of.iter() {
            let values = self.attribute_values(node, name)?;
            if possible_texts(&values).any(|text| pattern.is_match(text.as_bytes())) {
                found.insert(node);
            }
        }
        Ok(found)
    }

    /// What stands in an attribute of labels.
    pub fn labels_in(&mut self, of: &NodeSet, name: &str) -> Result<NodeSet, Diagnostic> {
        let mut found = NodeSet::new();
        for node in of.iter() {
            let mut names: Vec<Label> = Vec::new();
            for value in self.attribute_values(node, name)? {
                names.extend(value.labels());
            }
            for label in names {
                match self.nodes(&label) {
                    Ok(nodes) => nodes.into_iter().for_each(|node| {
                        found.insert(node);
                    }),
                    Err(error) => self.fail(*error)?,
                }
            }
        }
        Ok(found)
    }

    /// Those that can be run.
    pub fn executables(&mut self, of: &NodeSet) -> Result<NodeSet, Diagnostic> {
        let mut found = NodeSet::new();
        for node in of.iter() {
            if self.rule_of(node)?.is_some_and(|rule| rule.schema.executable) {
                found.insert(node);
            }
        }
        Ok(found)
    }

    /// The tests among `of`, with those of the suites among them.
    pub fn tests(&mut self, of: &NodeSet) -> Result<NodeSet, Diagnostic> {
        let mut found = NodeSet::new();
        let mut seen = of.clone();
        let mut pending: Vec<NodeId> = of.iter().collect();
        while let Some(node) = pending.pop() {
            let Some(target) = self.graph.node(node).target().cloned() else { continue };
            if !is_suite(&target) {
                if self.rule_of(node)?.is_some_and(|rule| rule.schema.test) {
                    found.insert(node);
                }
                continue;
            }
            let tags = strings(self.graph.node(node).rule(), "tags");
            let members = match suite_members(&target) {
                named if !named.is_empty() => named,
                _ => self.package_tests(target.label.package())?,
            };
            for label in members {
                let nodes = match self.nodes(&label) {
                    Ok(nodes) => nodes,
                    Err(error) => {
                        let error = match error.place {
                            None => error.at(target.place.clone()),
                            Some(_) => *error,
                        };
                        self.fail(error)?;
                        continue;
                    }
                };
                for member in nodes {
                    let is_test = self.rule_of(member)?.is_some_and(|rule| rule.schema.test);
                    let is_suite = self.graph.node(member).target().is_some_and(|t| is_suite(t));
                    if self.options.strict_test_suite && !is_test && !is_suite {
                        self.fail(
                            Diagnostic::user(format!(
                                "the suite `{}` holds `{label}`, which is no test",
                                target.label
                            ))
                            .at(target.place.clone()),
                        )?;
                    }
                    let fits = !is_test
                        || suite_takes(&tags, &strings(self.graph.node(member).rule(), "tags"));
                    if fits && seen.insert(member) {
                        pending.push(member);
                    } else if fits && is_test {
                        found.insert(member);
                    }
                }
            }
        }
        Ok(found)
    }

    /// The tests of a package that are not manual.
    fn package_tests(&mut self, id: &PackageId) -> Result<Vec<Label>, Diagnostic> {
        let package = self.package(id).map_err(|error| *error)?;
        let mut tests = Vec::new();
        for target in package.targets.values() {
            let TargetKind::Rule(rule) = &target.kind else { continue };
            let manual = rbz_starlark::patterns::is_manual(target);
            if !manual && self.rule(&rule.rule)?.schema.test {
                tests.push(target.label.clone());
            }
        }
        Ok(tests)
    }

    /// Those of `of` that every target of `from` may use.
    pub fn visible(&mut self, from: &NodeSet, of: &NodeSet) -> Result<NodeSet, Diagnostic> {
        let users: HashSet<PackageId> =
            from.iter().map(|node| self.graph.node(node).package().clone()).collect();
        let mut found = NodeSet::new();
        for node in of.iter() {
            let seen = self.graph.node(node);
            let mut fits = true;
            for package in &users {
                let visible = seen.package() == package
                    || match seen.target() {
                        Some(target) => is_visible(self.loader, &target.visibility, package)
                            .map_err(|error| *error)?,
                        None => false,
                    };
                fits &= visible;
            }
            if fits {
                found.insert(node);
            }
        }
        Ok(found)
    }
}

/// Strings that a target gives.
fn strings(rule: Option<&RuleTarget>, name: &str) -> Vec<std::sync::Arc<str>> {
    match rule.and_then(|rule| rule.attrs.get(name)) {
        Some(Configurable::Plain(AttrValue::StringList(items))) => items.clone(),
        _ => Vec::new(),
    }
}

/// Whether the tags of a suite let a test with these tags in: it has all of them, and none of those
/// with `-`. `manual` says something about the suite itself.
fn suite_takes(suite: &[std::sync::Arc<str>], test: &[std::sync::Arc<str>]) -> bool {
    let has = |tag: &str| test.iter().any(|own| **own == *tag);
    suite.iter().filter(|tag| &***tag != "manual").all(|tag| match tag.strip_prefix('-') {
        Some(tag) => !has(tag),
        None => has(tag.strip_prefix('+').unwrap_or(tag)),
    })
}
