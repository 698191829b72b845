//! `rule()`: rules as Starlark values.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::Fingerprint;
use rbz_engine::label::{Label, PackageId, RepoName};
use starlark::any::ProvidesStaticType;
use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::dict::DictRef;
use starlark::values::list::ListRef;
use starlark::values::none::NoneOr;
use starlark::values::{
    AllocValue, Freeze, FreezeResult, Freezer, FrozenValue, Heap, NoSerialize, StarlarkValue,
    Trace, Value, starlark_value,
};

use crate::attr_functions::{ProviderName, TransitionName, attribute_dict};
use crate::common_attributes;
use crate::evaluation::{Evaluation, Stage};
use crate::instantiation;
use crate::label_value::label_from;
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

/// What `config_common.toolchain_type()` answers: the type, and whether it is mandatory.
#[derive(Clone, Debug, ProvidesStaticType)]
pub struct ToolchainTypeName(pub Label, pub bool);

fn user_error<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(Diagnostic::user(message).into())
}

fn required_toolchains<'v>(
    value: Option<Value<'v>>,
    evaluation: &Evaluation,
    package: &PackageId,
) -> anyhow::Result<Vec<(Label, bool)>> {
    let Some(list) = value.filter(|value| !value.is_none()) else { return Ok(vec![]) };
    let Some(list) = ListRef::from_value(list) else {
        return user_error("`toolchains` must be a list of labels of toolchain types");
    };
    list.iter()
        .map(|item| match item.request_value::<ToolchainTypeName>() {
            Some(ToolchainTypeName(label, mandatory)) => Ok((label, mandatory)),
            None => Ok((label_from(item, evaluation, package)?, true)),
        })
        .collect()
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
                return user_error(format!("`{argument}` of `rule` is not supported"));
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
        let mut provided = Vec::new();
        if let Some(list) = given(provides) {
            for item in ListRef::from_value(list).into_iter().flat_map(|list| list.iter()) {
                match item.request_value::<ProviderName>() {
                    Some(ProviderName(id)) => provided.push(id),
                    None => return user_error("`provides` must be a list of providers"),
                }
            }
        }
        let mut implicit_outputs: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        if let Some(dict) = given(outputs) {
            for (name, template) in DictRef::from_value(dict).iter().flat_map(|dict| dict.iter()) {
                match (name.unpack_str(), template.unpack_str()) {
                    (Some(name), Some(template)) => {
                        implicit_outputs.push((name.into(), template.into()));
                    }
                    _ => {
                        return user_error(
                            "`outputs` must be a dict from names to templates of file names",
                        );
                    }
                }
            }
        }
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
            provides: provided,
            toolchains: required_toolchains(toolchains, evaluation, &package)?,
            implicit_outputs,
            analysis_test,
            doc: doc.into_option().unwrap_or_default().into(),
            fingerprint: Fingerprint(fingerprint.0),
        };
        Ok(StarlarkRule {
            implementation,
            initializer: given(initializer),
            schema,
            exported: OnceCell::new(),
        })
    }
}
