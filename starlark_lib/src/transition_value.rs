//! `transition()` and `config.*`: how rules choose configurations.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::Label;
use rbz_engine::value::FunctionRef;
use starlark::environment::{GlobalsBuilder, Methods};
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::starlark_simple_value;
use starlark::values::{
    AllocValue, Demand, Freeze, FreezeResult, Freezer, FrozenValue, Heap, NoSerialize,
    ProvidesStaticType, StarlarkValue, Trace, Value, starlark_value,
};

use crate::action_arguments::strings;
use crate::attr_arguments::TransitionName;
use crate::configuration::{COMMAND_LINE_OPTION, NATIVE_OPTIONS, OptionName};
use crate::evaluation::Evaluation;
use crate::nearest::hinted;
use crate::rule::{BuildSetting, BuildSettingKind};
use crate::rule_value::BuildSettingName;

/// What a transition reads and changes.
#[derive(Clone, Debug)]
pub struct TransitionOptions {
    /// The options that it reads, each as written and by its canonical name.
    pub inputs: Vec<(Arc<str>, OptionName)>,
    /// The options that it changes, each as written and by its canonical name.
    pub outputs: Vec<(Arc<str>, OptionName)>,
}

/// A transition in the module that makes it.
#[derive(Trace, ProvidesStaticType, NoSerialize, Allocative)]
pub struct TransitionValue<'v> {
    implementation: Value<'v>,
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    options: TransitionOptions,
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    exported: OnceCell<FunctionRef>,
}

/// A transition of a module that has been evaluated.
#[derive(ProvidesStaticType, NoSerialize, Allocative)]
pub struct FrozenTransitionValue {
    /// The function from settings and attributes to settings.
    pub implementation: FrozenValue,
    /// What it reads and changes.
    #[allocative(skip)]
    pub options: TransitionOptions,
    #[allocative(skip)]
    exported: Option<FunctionRef>,
}

impl fmt::Debug for TransitionValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TransitionValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<transition object>")
    }
}

impl fmt::Debug for FrozenTransitionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for FrozenTransitionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<transition object>")
    }
}

impl<'v> AllocValue<'v> for TransitionValue<'v> {
    fn alloc_value(self, heap: Heap<'v>) -> Value<'v> {
        heap.alloc_complex(self)
    }
}

impl Freeze for TransitionValue<'_> {
    type Frozen = FrozenTransitionValue;

    fn freeze(self, freezer: &Freezer) -> FreezeResult<FrozenTransitionValue> {
        Ok(FrozenTransitionValue {
            implementation: self.implementation.freeze(freezer)?,
            options: self.options,
            exported: self.exported.into_inner(),
        })
    }
}

#[starlark_value(type = "transition")]
impl<'v> StarlarkValue<'v> for TransitionValue<'v> {
    type Canonical = FrozenTransitionValue;

    fn export_as(&self, name: &str, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<()> {
        let module = Evaluation::of(eval)?.module("transition")?.label.clone();
        self.exported.get_or_init(|| FunctionRef { module, name: name.into() });
        Ok(())
    }

    fn provide(&'v self, demand: &mut Demand<'_, 'v>) {
        if let Some(name) = self.exported.get() {
            demand.provide_value(TransitionName(name.clone()));
        }
    }
}

#[starlark_value(type = "transition")]
impl<'v> StarlarkValue<'v> for FrozenTransitionValue {
    type Canonical = Self;

    fn provide(&'v self, demand: &mut Demand<'_, 'v>) {
        if let Some(name) = &self.exported {
            demand.provide_value(TransitionName(name.clone()));
        }
    }
}

/// What `config.bool()` and its like yield.
#[derive(Clone, Copy, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct BuildSettingValue(#[allocative(skip)] BuildSetting);

starlark_simple_value!(BuildSettingValue);

impl fmt::Display for BuildSettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<build setting>")
    }
}

#[starlark_value(type = "BuildSetting")]
impl<'v> StarlarkValue<'v> for BuildSettingValue {
    fn get_methods() -> Option<&'static Methods> {
        None
    }

    fn provide(&'v self, demand: &mut Demand<'_, 'v>) {
        demand.provide_value(BuildSettingName(self.0));
    }
}

/// `transition`.
#[starlark_module]
pub fn transition_globals(builder: &mut GlobalsBuilder) {
    /// A change of the configuration.
    ///
    /// # Arguments
    /// * `implementation`: a function from the settings read, and the attributes of the target, to
    ///   a dict of the settings changed
    /// * `inputs`: the settings that it reads
    /// * `outputs`: the settings that it changes
    fn transition<'v>(
        #[starlark(require = named)] implementation: Value<'v>,
        #[starlark(require = named)] inputs: Value<'v>,
        #[starlark(require = named)] outputs: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<TransitionValue<'v>> {
        let evaluation = Evaluation::of(eval)?;
        evaluation.module("transition")?;
        let package = evaluation.calling_package(eval)?;
        let canonical =
            |name: &str, value: Value<'v>| -> anyhow::Result<Vec<(Arc<str>, OptionName)>> {
                strings(name, value)?
                    .into_iter()
                    .map(|text| {
                        if let Some(option) = text.strip_prefix(COMMAND_LINE_OPTION) {
                            check_option(option)?;
                            return Ok((text.clone(), text));
                        }
                        let label: Label = evaluation
                            .session
                            .parse_label(&text, &package)
                            .map_err(|error| Diagnostic::user(format!("in `{name}`: {error}")))?;
                        Ok((text, label.to_string().into()))
                    })
                    .collect()
            };
        let options = TransitionOptions {
            inputs: canonical("inputs", inputs)?,
            outputs: canonical("outputs", outputs)?,
        };
        if implementation.get_type() != "function" {
            return Err(Diagnostic::user(format!(
                "`implementation` of a transition must be a function, not a {}",
                implementation.get_type()
            ))
            .into());
        }
        Ok(TransitionValue { implementation, options, exported: OnceCell::new() })
    }
}

fn check_option(name: &str) -> Result<(), Diagnostic> {
    if NATIVE_OPTIONS.contains(&name) {
        return Ok(());
    }
    let error = Diagnostic::user(format!("there is no option `{COMMAND_LINE_OPTION}{name}`"));
    Err(hinted(error, name, NATIVE_OPTIONS))
}

/// The members of `config`.
#[starlark_module]
pub fn config_members(builder: &mut GlobalsBuilder) {
    /// A build setting that is true or false.
    #[starlark(speculative_exec_safe)]
    fn bool(#[starlark(default = false)] flag: bool) -> anyhow::Result<BuildSettingValue> {
        Ok(setting(BuildSettingKind::Bool, flag))
    }

    /// A build setting that is a number.
    #[starlark(speculative_exec_safe)]
    fn int(#[starlark(default = false)] flag: bool) -> anyhow::Result<BuildSettingValue> {
        Ok(setting(BuildSettingKind::Int, flag))
    }

    /// A build setting that is a string.
    #[starlark(speculative_exec_safe)]
    fn string(
        #[starlark(default = false)] flag: bool,
        #[starlark(default = false)] allow_multiple: bool,
    ) -> anyhow::Result<BuildSettingValue> {
        let kind =
            if allow_multiple { BuildSettingKind::StringList } else { BuildSettingKind::String };
        Ok(setting(kind, flag))
    }

    /// A build setting that is a list of strings.
    #[starlark(speculative_exec_safe)]
    fn string_list(
        #[starlark(default = false)] flag: bool,
        #[starlark(default = false)] repeatable: bool,
    ) -> anyhow::Result<BuildSettingValue> {
        let _ = repeatable;
        Ok(setting(BuildSettingKind::StringList, flag))
    }

    /// The configuration of tools, as `cfg` of an attribute.
    #[starlark(speculative_exec_safe)]
    fn exec(
        #[starlark(default = starlark::values::none::NoneOr::None)]
        exec_group: starlark::values::none::NoneOr<&str>,
    ) -> anyhow::Result<String> {
        let _ = exec_group;
        Ok("exec".to_owned())
    }

    /// The configuration of the target itself, as `cfg` of an attribute.
    #[starlark(speculative_exec_safe)]
    fn target() -> anyhow::Result<String> {
        Ok("target".to_owned())
    }

    /// No configuration, as `cfg` of an attribute: the same as that of the target.
    #[starlark(speculative_exec_safe)]
    fn none() -> anyhow::Result<String> {
        Ok("target".to_owned())
    }
}

fn setting(kind: BuildSettingKind, flag: bool) -> BuildSettingValue {
    BuildSettingValue(BuildSetting { kind, flag })
}
