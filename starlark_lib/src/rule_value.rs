//! `rule()`: rules as Starlark values.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::Fingerprint;
use rbz_engine::label::{Label, PackageId, RepoName};
use rbz_engine::value::ProviderId;
use starlark::any::ProvidesStaticType;
use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneOr;
use starlark::values::{
    AllocValue, Freeze, FreezeResult, Freezer, FrozenValue, Heap, NoSerialize, StarlarkValue,
    Trace, Value, starlark_value,
};

use crate::action_arguments::{list, string_pairs, wrong};
use crate::attr_arguments::{ProviderName, TransitionName, attribute_dict};
use crate::common_attributes;
use crate::evaluation::{Evaluation, Stage};
use crate::instantiation;
use crate::label_value::label_from;
use crate::not_there::not_there;
use crate::rule::{BuildSetting, RuleRef, RuleSchema};

/// A rule in the module that makes it.
#[derive(Trace, ProvidesStaticType, NoSerialize, Allocative)]
pub struct StarlarkRule<'v> {
    implementation: Value<'v>,
    initializer: Option<Value<'v>>,
    /// Its name is set when the rule is exported.
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    schema: RuleSchema,
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    exported: OnceCell<RuleRef>,
}

/// A rule of a module that has been evaluated.
#[derive(ProvidesStaticType, NoSerialize, Allocative)]
pub struct FrozenStarlarkRule {
    /// The function that analyses a target.
    pub implementation: FrozenValue,
    /// The function that changes the attributes of a target before anything else sees them.
    pub initializer: Option<FrozenValue>,
    /// Everything else; `None` if the rule was never given a name at the top level.
    #[allocative(skip)]
    pub schema: Option<Arc<RuleSchema>>,
}

impl fmt::Debug for StarlarkRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StarlarkRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exported.get() {
            Some(rule) => write!(f, "<rule {rule}>"),
            None => f.write_str("<anonymous rule>"),
        }
    }
}

impl fmt::Debug for FrozenStarlarkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for FrozenStarlarkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "<rule {}>", schema.rule),
            None => f.write_str("<anonymous rule>"),
        }
    }
}

impl<'v> AllocValue<'v> for StarlarkRule<'v> {
    fn alloc_value(self, heap: Heap<'v>) -> Value<'v> {
        heap.alloc_complex(self)
    }
}

impl Freeze for StarlarkRule<'_> {
    type Frozen = FrozenStarlarkRule;

    fn freeze(self, freezer: &Freezer) -> FreezeResult<FrozenStarlarkRule> {
        let StarlarkRule { implementation, initializer, mut schema, exported } = self;
        Ok(FrozenStarlarkRule {
            implementation: implementation.freeze(freezer)?,
            initializer: initializer.map(|value| value.freeze(freezer)).transpose()?,
            schema: exported.into_inner().map(|rule| {
                schema.rule = rule;
                Arc::new(schema)
            }),
        })
    }
}

#[starlark_value(type = "rule")]
impl<'v> StarlarkValue<'v> for StarlarkRule<'v> {
    type Canonical = FrozenStarlarkRule;

    fn export_as(&self, name: &str, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<()> {
        if let Stage::Module(module) = &Evaluation::of(eval)?.stage {
            if self.exported.get().is_none() {
                check_name(name, self.schema.test).map_err(starlark::Error::new_native)?;
            }
            // The first name counts: `b = a` does not rename a rule.
            self.exported.get_or_init(|| RuleRef::Starlark {
                module: module.label.clone(),
                name: name.into(),
            });
        }
        Ok(())
    }

    fn invoke(
        &self,
        _me: Value<'v>,
        _args: &Arguments<'v, '_>,
        _eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        Err(starlark::Error::new_native(Diagnostic::user(
            "a rule can only be called while a BUILD file is loaded, not in the file that defines it",
        )))
    }
}

#[starlark_value(type = "rule")]
impl<'v> StarlarkValue<'v> for FrozenStarlarkRule {
    type Canonical = Self;

    fn name_for_call_stack(&self, _me: Value<'v>) -> String {
        self.schema.as_ref().map_or("rule".to_owned(), |schema| schema.rule.name().to_owned())
    }

    fn invoke(
        &self,
        _me: Value<'v>,
        args: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let Some(schema) = &self.schema else {
            return Err(starlark::Error::new_native(
                Diagnostic::user("this rule has no name").hint(
                    "assign the result of `rule()` to a variable at the top level of its .bzl file",
                ),
            ));
        };
        instantiation::call(schema, self.initializer.map(FrozenValue::to_value), args, eval)
    }
}

/// What `config.bool()` and its like answer when they are asked with `Value::request_value`.
#[derive(Clone, Copy, Debug, ProvidesStaticType)]
pub struct BuildSettingName(pub BuildSetting);

fn user_error<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(Diagnostic::user(message).into())
}

/// Bazel's rule: from the name of a rule one sees whether its targets are tests.
fn check_name(name: &str, test: bool) -> Result<(), Diagnostic> {
    if test == name.ends_with("_test") {
        return Ok(());
    }
    Err(match test {
        true => Diagnostic::user(format!(
            "`{name}` cannot be the name of a rule for tests: it must end in `_test`"
        ))
        .hint(format!("call it `{name}_test`")),
        false => Diagnostic::user(format!(
            "`{name}` cannot be the name of a rule: its targets are no tests, but it ends in `_test`"
        ))
        .hint("declare it with `test = True`, or give it another name"),
    })
}

fn required_toolchains<'v>(
    value: Option<Value<'v>>,
    evaluation: &Evaluation,
    package: &PackageId,
) -> anyhow::Result<Vec<Label>> {
    let Some(value) = value else { return Ok(vec![]) };
    list("toolchains", "a list of labels of toolchain types", value)?
        .into_iter()
        .map(|item| label_from(item, evaluation, package))
        .collect()
}

/// The argument `provides`.
fn promised_providers(value: Value) -> anyhow::Result<Vec<ProviderId>> {
    const EXPECTED: &str = "a list of providers";
    let provider = |item: Value| match item.request_value::<ProviderName>() {
        Some(ProviderName(id)) => Ok(id),
        None => Err(wrong("provides", EXPECTED, item).into()),
    };
    list("provides", EXPECTED, value)?.into_iter().map(provider).collect()
}

/// `rule()`.
#[starlark_module]
pub fn rule_functions(builder: &mut GlobalsBuilder) {
    /// Makes a rule, to be assigned to a variable at the top level of a .bzl file.
    fn rule<'v>(
        implementation: Value<'v>,
        #[starlark(default = false)] test: bool,
        attrs: Option<Value<'v>>,
        outputs: Option<Value<'v>>,
        #[starlark(default = false)] executable: bool,
        #[starlark(default = false)] output_to_genfiles: bool,
        fragments: Option<Value<'v>>,
        host_fragments: Option<Value<'v>>,
        #[starlark(default = false)] _skylark_testable: bool,
        toolchains: Option<Value<'v>>,
        #[starlark(default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named)] provides: Option<Value<'v>>,
        #[starlark(require = named, default = false)] dependency_resolution_rule: bool,
        #[starlark(require = named)] exec_compatible_with: Option<Value<'v>>,
        #[starlark(require = named, default = false)] analysis_test: bool,
        #[starlark(require = named)] build_setting: Option<Value<'v>>,
        #[starlark(require = named)] cfg: Option<Value<'v>>,
        #[starlark(require = named)] exec_groups: Option<Value<'v>>,
        #[starlark(require = named)] initializer: Option<Value<'v>>,
        #[starlark(require = named)] parent: Option<Value<'v>>,
        #[starlark(require = named)] extendable: Option<Value<'v>>,
        #[starlark(require = named)] subrules: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkRule<'v>> {
        let _ = (
            output_to_genfiles,
            fragments,
            host_fragments,
            _skylark_testable,
            dependency_resolution_rule,
            exec_compatible_with,
            exec_groups,
            extendable,
        );
        let given = |value: Option<Value<'v>>| value.filter(|value| !value.is_none());
        for (argument, value) in [("parent", parent), ("subrules", subrules)] {
            if given(value).is_some_and(|value| value.to_bool()) {
                return Err(not_there(&format!("`{argument}` of `rule`"))
                    .hint("write functions that several implementations call")
                    .into());
            }
        }
        let evaluation = Evaluation::of(eval)?;
        let fingerprint = evaluation.module("rule")?.fingerprint;
        if implementation.function_name().is_none() {
            return user_error(format!(
                "`implementation` must be a function, but is `{}` ({})",
                implementation.to_repr(),
                implementation.get_type()
            ));
        }
        let build_setting = match given(build_setting) {
            None => None,
            Some(value) => match value.request_value::<BuildSettingName>() {
                Some(BuildSettingName(setting)) => Some(setting),
                None => {
                    return user_error(
                        "`build_setting` must be the result of `config.bool()` or its like",
                    );
                }
            },
        };
        let transition = match given(cfg) {
            None => None,
            Some(value) => match value.request_value::<TransitionName>() {
                Some(TransitionName(name)) => Some(name),
                // Its targets are built in the configuration that asks for them in any case.
                None if value.unpack_str() == Some("target") => None,
                None => return user_error("`cfg` of a rule must be a transition"),
            },
        };
        let initializer = given(initializer);
        if let Some(value) = initializer
            && value.function_name().is_none()
        {
            return Err(wrong("initializer", "a function", value).into());
        }
        let implicit_outputs = match given(outputs) {
            None => vec![],
            Some(value) if value.function_name().is_some() => {
                return Err(not_there("a function as `outputs` of `rule`")
                    .hint("declare the files with `attr.output`, or in the implementation")
                    .into());
            }
            Some(dict) => string_pairs("outputs", dict)?,
        };
        let test = test || analysis_test;
        let mut schema_attrs = common_attributes::of_rules(test, test || executable);
        if let Some(setting) = build_setting {
            schema_attrs.insert(
                "build_setting_default".into(),
                common_attributes::setting_default(setting),
            );
        }
        for (name, attribute) in given(attrs).map(attribute_dict).transpose()?.unwrap_or_default() {
            if schema_attrs.contains_key(&name) && common_attributes::is_fixed(&name) {
                return user_error(format!(
                    "every rule has the attribute `{name}`; it cannot be declared again"
                ));
            }
            schema_attrs.insert(name, attribute);
        }
        let package = evaluation.calling_package(eval)?;
        let schema = RuleSchema {
            // Replaced when the rule is exported; until then nobody sees it.
            rule: RuleRef::Starlark {
                module: Label::new(PackageId::new(RepoName::main(), ""), "anonymous"),
                name: "anonymous".into(),
            },
            attrs: schema_attrs,
            executable: executable || test,
            test,
            build_setting,
            transition,
            provides: given(provides).map(promised_providers).transpose()?.unwrap_or_default(),
            toolchains: required_toolchains(given(toolchains), evaluation, &package)?,
            implicit_outputs,
            analysis_test,
            doc: doc.into_option().unwrap_or_default().into(),
            fingerprint: Fingerprint(fingerprint.0),
            shared_defaults: Default::default(),
        };
        Ok(StarlarkRule { implementation, initializer, schema, exported: OnceCell::new() })
    }
}
