//! Native rules: the few that the language itself brings, as values and by their attributes.

use std::fmt;
use std::sync::{Arc, LazyLock};

use allocative::Allocative;
use indexmap::IndexMap;
use rbz_engine::digest::Fingerprint;
use starlark::any::ProvidesStaticType;
use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_simple_value;
use starlark::values::{NoSerialize, StarlarkValue, Value, starlark_value};

use crate::attr::{AllowFiles, AttrKind, AttrSchema};
use crate::common_attributes::{of_rules, optional, plain_label};
use crate::instantiation;
use crate::rule::{NativeRule, RuleRef, RuleSchema};

/// A native rule as a function of BUILD files.
#[derive(Clone, ProvidesStaticType, NoSerialize, Allocative)]
pub struct NativeRuleFunction(#[allocative(skip)] NativeRule);

starlark_simple_value!(NativeRuleFunction);

impl fmt::Debug for NativeRuleFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NativeRuleFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<rule {}>", self.0.name())
    }
}

#[starlark_value(type = "rule")]
impl<'v> StarlarkValue<'v> for NativeRuleFunction {
    fn name_for_call_stack(&self, _me: Value<'v>) -> String {
        self.0.name().to_owned()
    }

    fn invoke(
        &self,
        _me: Value<'v>,
        args: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        instantiation::call(schema(self.0), None, args, eval)
    }
}

/// Makes all native rules known by their names.
pub fn native_rules(builder: &mut GlobalsBuilder) {
    for rule in NativeRule::ALL {
        builder.set(rule.name(), NativeRuleFunction(rule));
    }
}

/// The attributes of a native rule, and what else is known of it.
pub fn schema(rule: NativeRule) -> &'static Arc<RuleSchema> {
    static SCHEMAS: LazyLock<IndexMap<NativeRule, Arc<RuleSchema>>> = LazyLock::new(|| {
        NativeRule::ALL.into_iter().map(|rule| (rule, Arc::new(make_schema(rule)))).collect()
    });
    &SCHEMAS[&rule]
}

fn make_schema(rule: NativeRule) -> RuleSchema {
    let mut attrs = of_rules(false, false);
    for (name, schema) in own_attributes(rule) {
        attrs.insert(name.into(), schema);
    }
    RuleSchema {
        shared_defaults: Default::default(),
        rule: RuleRef::Native(rule),
        attrs,
        executable: false,
        test: false,
        build_setting: None,
        transition: None,
        provides: vec![],
        toolchains: vec![],
        implicit_outputs: vec![],
        analysis_test: false,
        doc: rule.doc().into(),
        // What native rules do changes only with the program, and nothing that is saved outlives
        // that.
        fingerprint: Fingerprint::of(format!("native rule {}", rule.name())),
    }
}

fn own_attributes(rule: NativeRule) -> Vec<(&'static str, AttrSchema)> {
    let label = || AttrKind::Label(plain_label());
    let labels = || AttrKind::LabelList(plain_label());
    let mandatory = |schema: AttrSchema| AttrSchema { mandatory: true, ..schema };
    match rule {
        NativeRule::Alias => {
            let mut any = plain_label();
            any.allow_files = AllowFiles::Any;
            vec![(
                "actual",
                mandatory(optional(AttrKind::Label(any), true, "The target that it stands for.")),
            )]
        }
        NativeRule::ConfigSetting => vec![
            (
                "values",
                optional(
                    AttrKind::StringDict,
                    false,
                    "Options of the command line and their values.",
                ),
            ),
            (
                "define_values",
                optional(AttrKind::StringDict, false, "Values given with `--define`."),
            ),
            (
                "flag_values",
                optional(
                    AttrKind::LabelKeyedStringDict(plain_label()),
                    false,
                    "Build settings and their values.",
                ),
            ),
            (
                "constraint_values",
                optional(labels(), false, "Constraint values that the platform must have."),
            ),
        ],
        NativeRule::ConstraintSetting => vec![(
            "default_constraint_value",
            // As a name, since the value refers to its setting and would make a cycle.
            optional(
                AttrKind::String { values: vec![] },
                false,
                "The value of platforms that say none.",
            ),
        )],
        NativeRule::ConstraintValue => vec![(
            "constraint_setting",
            mandatory(optional(label(), false, "The setting that it is a value of.")),
        )],
        NativeRule::Platform => vec![
            ("constraint_values", optional(labels(), false, "What holds for the platform.")),
            ("parents", optional(labels(), false, "A platform whose values it takes over.")),
            ("flags", optional(AttrKind::StringList, false, "Not used.")),
            (
                "remote_execution_properties",
                optional(AttrKind::String { values: vec![] }, false, "Not used."),
            ),
        ],
        NativeRule::TestSuite => vec![(
            "tests",
            optional(labels(), false, "Tests and suites; empty: all tests of the package."),
        )],
        NativeRule::SystemFiles => vec![
            ("srcs", optional(AttrKind::StringList, false, "Absolute paths of files.")),
            ("trees", optional(AttrKind::StringList, false, "Absolute paths of directories.")),
        ],
    }
}

impl NativeRule {
    /// What it is for, as the reference shows it.
    pub fn doc(self) -> &'static str {
        match self {
            NativeRule::Alias => "Another name of a target.",
            NativeRule::ConfigSetting => "A condition of `select`.",
            NativeRule::ConstraintSetting => "A dimension in which platforms differ.",
            NativeRule::ConstraintValue => "A point in such a dimension.",
            NativeRule::Platform => "A set of constraint values.",
            NativeRule::TestSuite => "A set of tests.",
            NativeRule::SystemFiles => {
                "Files of the machine outside the workspace, at their absolute paths."
            }
        }
    }
}
