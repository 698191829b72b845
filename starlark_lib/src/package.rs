//! Packages: what a BUILD file declares, as plain data.

use std::sync::Arc;

use indexmap::IndexMap;
use rbz_engine::diagnostic::Place;
use rbz_engine::digest::Fingerprint;
use rbz_engine::label::{Label, PackageId};
use serde::{Deserialize, Serialize};

use crate::attr::Attrs;
use crate::rule::RuleRef;

/// A loaded package. Immutable and shared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Package {
    /// Which.
    pub id: PackageId,
    /// Path of the BUILD file as shown in messages.
    pub build_file: Arc<str>,
    /// The targets by name, in order of declaration. A source file is a target when a rule of
    /// the package mentions it or `exports_files` names it.
    pub targets: IndexMap<Arc<str>, Arc<Target>>,
}

/// A target: a rule's instance, a file, or a package group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Its label.
    pub label: Label,
    /// Where it was declared: the outermost call in the BUILD file.
    pub place: Place,
    /// What it is.
    pub kind: TargetKind,
    /// Who may depend on it.
    pub visibility: Visibility,
    /// Changes with everything above, except the place.
    pub fingerprint: Fingerprint,
}

/// What a target is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum TargetKind {
    /// An instance of a rule.
    Rule(RuleTarget),
    /// A file of the source tree, or a directory of it.
    SourceFile,
    /// A file that the rule target of this name in the same package declares as its output.
    GeneratedFile {
        /// Name of the rule target.
        generator: Arc<str>,
    },
    /// A `package_group`.
    PackageGroup(PackageGroup),
}

/// An instance of a rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleTarget {
    /// The rule.
    pub rule: RuleRef,
    /// Changes with the rule's code, see [`crate::rule::RuleSchema`].
    pub rule_fingerprint: Fingerprint,
    /// What was given, and what `package()` set for it; defaults of the rule are not in it.
    pub attrs: Attrs,
    /// The calls in macros between the BUILD file and the rule, outermost first, for messages.
    pub macros: Vec<(Place, Arc<str>)>,
}

/// Who may depend on a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visibility {
    /// Any of these; empty: only the target's own package (`//visibility:private`).
    pub rules: Vec<VisibilityRule>,
}

/// One entry of `visibility`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VisibilityRule {
    /// `//visibility:public`
    Public,
    /// `//a:__pkg__`
    Package(PackageId),
    /// `//a:__subpackages__`
    Subpackages(PackageId),
    /// The label of a `package_group`.
    Group(Label),
}

impl VisibilityRule {
    /// Whether `package` is one of the packages that this names; a group is not looked into.
    pub fn covers(&self, package: &PackageId) -> bool {
        match self {
            VisibilityRule::Public => true,
            VisibilityRule::Package(own) => own == package,
            VisibilityRule::Subpackages(top) => package.is_below(top),
            VisibilityRule::Group(_) => false,
        }
    }
}

/// A `package_group`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageGroup {
    /// What is in it by itself; an exclusion (written with `-`) wins over all inclusions.
    pub packages: Vec<PackagePattern>,
    /// Other groups that are in it, whatever is excluded here.
    pub includes: Vec<Label>,
}

impl PackageGroup {
    /// Whether the group itself has `package`, not counting what it includes.
    pub fn has(&self, package: &PackageId) -> bool {
        patterns_cover(&self.packages, package)
    }
}

/// Whether `package` is covered by one of the patterns, and by none with `-`.
pub fn patterns_cover(patterns: &[PackagePattern], package: &PackageId) -> bool {
    let covers = |exclude| {
        move |pattern: &PackagePattern| pattern.exclude == exclude && pattern.rule.covers(package)
    };
    patterns.iter().any(covers(false)) && !patterns.iter().any(covers(true))
}

/// One entry of a package group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagePattern {
    /// Written with `-`.
    pub exclude: bool,
    /// What it names.
    pub rule: VisibilityRule,
}
