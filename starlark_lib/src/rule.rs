//! Rules: what `rule()` declares, as plain data.

use std::fmt;
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use rbz_engine::digest::Fingerprint;
use rbz_engine::label::Label;
use rbz_engine::value::{FunctionRef, ProviderId};
use serde::{Deserialize, Serialize};

use crate::attr::AttrSchema;
use crate::resolved_attributes::ResolvedAttribute;

/// A rule by name. From it the loader finds the rule's value, in the frozen module.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RuleRef {
    /// Made by `rule()`: the .bzl file that exports it and its name there.
    Starlark {
        /// The file.
        module: Label,
        /// The name.
        name: Arc<str>,
    },
    /// One of the few rules that the language itself brings.
    Native(NativeRule),
}

/// The rules that Starlark cannot express, since they act on labels and configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NativeRule {
    /// Another name of a target.
    Alias,
    /// A condition of `select`.
    ConfigSetting,
    /// A dimension of platforms.
    ConstraintSetting,
    /// A point in such a dimension.
    ConstraintValue,
    /// A set of such points.
    Platform,
    /// A set of tests.
    TestSuite,
    /// Files of the machine outside the workspace, at their absolute paths.
    SystemFiles,
}

impl NativeRule {
    /// Every one of them.
    pub const ALL: [NativeRule; 7] = [
        NativeRule::Alias,
        NativeRule::ConfigSetting,
        NativeRule::ConstraintSetting,
        NativeRule::ConstraintValue,
        NativeRule::Platform,
        NativeRule::TestSuite,
        NativeRule::SystemFiles,
    ];

    /// Its name in BUILD files.
    pub fn name(self) -> &'static str {
        match self {
            NativeRule::Alias => "alias",
            NativeRule::ConfigSetting => "config_setting",
            NativeRule::ConstraintSetting => "constraint_setting",
            NativeRule::ConstraintValue => "constraint_value",
            NativeRule::Platform => "platform",
            NativeRule::TestSuite => "test_suite",
            NativeRule::SystemFiles => "system_files",
        }
    }
}

impl RuleRef {
    /// Its name, to be kept with each of its targets.
    pub fn shared_name(&self) -> Arc<str> {
        match self {
            RuleRef::Starlark { name, .. } => name.clone(),
            RuleRef::Native(rule) => rule.name().into(),
        }
    }

    /// The rule's name, such as `lisp_library`.
    pub fn name(&self) -> &str {
        match self {
            RuleRef::Starlark { name, .. } => name,
            RuleRef::Native(rule) => rule.name(),
        }
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Everything about a rule except its code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleSchema {
    /// Which rule.
    pub rule: RuleRef,
    /// Its attributes in order of declaration, private and implicit ones included.
    pub attrs: IndexMap<Arc<str>, AttrSchema>,
    /// Whether its targets can be run.
    pub executable: bool,
    /// Whether its targets are tests.
    pub test: bool,
    /// Set if its targets are build settings that the command line may set.
    pub build_setting: Option<BuildSetting>,
    /// The transition that its targets make for themselves (`cfg`).
    pub transition: Option<FunctionRef>,
    /// What its implementation must return.
    pub provides: Vec<ProviderId>,
    /// The toolchain types that it asks for.
    pub toolchains: Vec<Label>,
    /// Files that each target makes, by the name in `ctx.outputs`, with a template such as
    /// `%{name}.txt` (`outputs`).
    pub implicit_outputs: Vec<(Arc<str>, Arc<str>)>,
    /// Whether its implementation is all of the test (`analysis_test`).
    pub analysis_test: bool,
    /// What it does, as the reference shows it.
    pub doc: Arc<str>,
    /// Changes with the rule's code: the digest of the text of its module and of all it loads.
    pub fingerprint: Fingerprint,
    /// See [`RuleSchema::shared_defaults`].
    #[serde(skip)]
    pub shared_defaults: OnceLock<Box<[Option<Arc<ResolvedAttribute>>]>>,
}

/// What `build_setting = config.*()` declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSetting {
    /// The type of the setting.
    pub kind: BuildSettingKind,
    /// Whether the command line may set it.
    pub flag: bool,
}

/// The type of a build setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuildSettingKind {
    /// `config.bool`
    Bool,
    /// `config.int`
    Int,
    /// `config.string`
    String,
    /// `config.string_list`
    StringList,
}
