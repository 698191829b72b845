//! Which tests a request means: suites, and filters by tag, size and timeout.

use std::collections::HashSet;
use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::Label;

use crate::attr::{AttrValue, Configurable};
use crate::common_attributes::{SIZES, TIMEOUTS};
use crate::package::{RuleTarget, Target, TargetKind};
use crate::rule::{NativeRule, RuleRef};
use crate::session::{Session, TagFilter, TestFilters};

/// What filters look at.
#[derive(Debug, PartialEq, Eq)]
pub struct TestInfo {
    /// Its tags.
    pub tags: Vec<Arc<str>>,
    /// Its size.
    pub size: Arc<str>,
    /// Its timeout.
    pub timeout: Arc<str>,
    /// The language in the name of its rule: `lisp` of `lisp_test`.
    pub language: Arc<str>,
}

impl TagFilter {
    /// Whether something with these tags passes.
    pub fn selects(&self, tags: &[Arc<str>]) -> bool {
        let has = |tag: &String| tags.iter().any(|own| **own == **tag);
        (self.with.is_empty() || self.with.iter().any(has)) && !self.without.iter().any(has)
    }

    fn is_empty(&self) -> bool {
        self.with.is_empty() && self.without.is_empty()
    }
}

impl TestFilters {
    /// Whether a test passes the filters.
    pub fn select(&self, test: &TestInfo) -> bool {
        self.tags.selects(&test.tags)
            && self.languages.selects(std::slice::from_ref(&test.language))
            && (self.sizes.is_empty() || self.sizes.iter().any(|size| **size == *test.size))
            && (self.timeouts.is_empty()
                || self.timeouts.iter().any(|timeout| **timeout == *test.timeout))
    }
}

fn strings(rule: &RuleTarget, name: &str) -> Vec<Arc<str>> {
    match rule.attrs.get(name) {
        Some(Configurable::Plain(AttrValue::StringList(items))) => items.clone(),
        _ => Vec::new(),
    }
}

fn string(rule: &RuleTarget, name: &str) -> Option<Arc<str>> {
    match rule.attrs.get(name) {
        Some(Configurable::Plain(AttrValue::String(text))) if !text.is_empty() => {
            Some(text.clone())
        }
        _ => None,
    }
}

impl Session {
    /// Whether the target `label` passes a filter; a file has no tags.
    pub(crate) fn has_tags(&self, filter: &TagFilter, label: &Label) -> bool {
        if filter.is_empty() {
            return true;
        }
        // What is not there is reported by analysis.
        let Ok((_, target)) = self.loader().target(label) else { return true };
        match &target.kind {
            TargetKind::Rule(rule) => filter.selects(&strings(rule, "tags")),
            _ => filter.selects(&[]),
        }
    }

    /// What filters look at of the target `label`; `None` if it is no test.
    pub(crate) fn test_info(&self, label: &Label) -> Result<Option<TestInfo>, Diagnostic> {
        // What is not there is reported by analysis.
        let Ok((_, target)) = self.loader().target(label) else { return Ok(None) };
        let TargetKind::Rule(rule) = &target.kind else { return Ok(None) };
        let schema = self.loader().rule_schema(&rule.rule).map_err(|error| *error)?;
        if !schema.test {
            return Ok(None);
        }
        let size = string(rule, "size").unwrap_or_else(|| "medium".into());
        let timeout = string(rule, "timeout").unwrap_or_else(|| {
            let at = SIZES.iter().position(|known| *known == &*size).unwrap_or(1);
            TIMEOUTS[at].into()
        });
        let name = rule.rule.name();
        let language = name.strip_suffix("_test").unwrap_or(name).into();
        Ok(Some(TestInfo { tags: strings(rule, "tags"), size, timeout, language }))
    }

    /// The tests of the suite `label`, suites in it expanded too; `None` if it is no suite.
    pub(crate) fn expand_suite(
        &self,
        label: &Label,
        keep_going: bool,
    ) -> Result<Option<Vec<Label>>, Diagnostic> {
        match self.loader().target(label) {
            Ok((_, target)) if is_suite(&target) => {}
            _ => return Ok(None),
        }
        let mut tests = Vec::new();
        let mut seen = HashSet::new();
        let mut pending = vec![label.clone()];
        while let Some(label) = pending.pop() {
            if !seen.insert(label.clone()) {
                continue;
            }
            let (package, target) = match self.loader().target(&label) {
                Ok((package, target)) if is_suite(&target) => (package, target),
                _ => {
                    tests.push(label);
                    continue;
                }
            };
            let TargetKind::Rule(rule) = &target.kind else { continue };
            match rule.attrs.get("tests") {
                Some(Configurable::Plain(AttrValue::LabelList(labels))) if !labels.is_empty() => {
                    for member in labels {
                        self.check_member(&target, member, keep_going)?;
                    }
                    let members = self.filtered(rule, labels.clone())?;
                    pending.extend(members.into_iter().rev());
                }
                _ => {
                    let all = package.targets.values().filter(|target| !is_suite(target));
                    let all = all.filter(|target| !crate::patterns::is_manual(target));
                    let labels = all.map(|target| target.label.clone()).collect();
                    let mut members = self.filtered(rule, labels)?;
                    members.retain(|label| matches!(self.test_info(label), Ok(Some(_))));
                    tests.extend(members);
                }
            }
        }
        Ok(Some(tests))
    }

    /// Without those that the tags of the suite take away.
    fn filtered(&self, suite: &RuleTarget, labels: Vec<Label>) -> Result<Vec<Label>, Diagnostic> {
        let mut filters = TestFilters::default();
        for tag in strings(suite, "tags") {
            match tag.strip_prefix('-') {
                Some(tag) => filters.tags.without.push(tag.to_owned()),
                // `manual` says something about the suite itself.
                None if &*tag == "manual" => {}
                None => {
                    filters.tags.with.push(tag.strip_prefix('+').unwrap_or(&tag).to_owned());
                }
            }
        }
        let mut kept = Vec::new();
        for label in labels {
            let fits = match self.test_info(&label)? {
                // As in Bazel every positive tag of a suite must be there.
                Some(test) => {
                    let has = |tag: &String| test.tags.iter().any(|own| **own == **tag);
                    filters.tags.with.iter().all(has) && !filters.tags.without.iter().any(has)
                }
                None => true,
            };
            if fits {
                kept.push(label);
            }
        }
        Ok(kept)
    }

    fn check_member(
        &self,
        suite: &Target,
        member: &Label,
        keep_going: bool,
    ) -> Result<(), Diagnostic> {
        match self.loader().target(member) {
            Ok(_) => Ok(()),
            Err(_) if keep_going => Ok(()),
            Err(error) => {
                let mut error = error.at(suite.place.clone());
                error.message = format!("in the suite `{}`: {}", suite.label, error.message);
                Err(error)
            }
        }
    }
}

fn is_suite(target: &Target) -> bool {
    matches!(&target.kind, TargetKind::Rule(rule)
        if rule.rule == RuleRef::Native(NativeRule::TestSuite))
}
