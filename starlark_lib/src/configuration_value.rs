//! `ctx.configuration`: what a rule may ask about the configuration of its target.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::value::Value as Plain;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::values::dict::AllocDict;
use starlark::values::{
    Heap, NoSerialize, ProvidesStaticType, StarlarkValue, Value, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};

use crate::rule_context::RuleContext;

/// `ctx.configuration`.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct ConfigurationValue(#[allocative(skip)] pub Arc<RuleContext>);

starlark_simple_value!(ConfigurationValue);
starlark::methods_static!(METHODS = configuration_methods);

impl fmt::Display for ConfigurationValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<configuration {}>", self.0.configuration.name())
    }
}

#[starlark_value(type = "configuration")]
impl<'v> StarlarkValue<'v> for ConfigurationValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }
}

#[starlark_module]
fn configuration_methods(builder: &mut MethodsBuilder) {
    /// Whether coverage is collected.
    #[starlark(attribute)]
    fn coverage_enabled(this: &ConfigurationValue) -> anyhow::Result<bool> {
        let value = this.0.reads.native(&this.0.configuration, "collect_code_coverage");
        Ok(value == &Plain::Bool(true))
    }

    /// What separates paths in a list of paths.
    #[starlark(attribute)]
    fn host_path_separator(this: &ConfigurationValue) -> anyhow::Result<String> {
        let _ = this;
        Ok(":".to_owned())
    }

    /// The environment that actions get from the command line if they ask for it.
    #[starlark(attribute)]
    fn default_shell_env<'v>(
        this: &ConfigurationValue,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        let variables = this.0.shell_environment();
        Ok(heap.alloc(AllocDict(variables.iter().map(|(name, value)| (&**name, &**value)))))
    }

    /// The environment that tests get from the command line, which is added when they run.
    #[starlark(attribute)]
    fn test_env<'v>(this: &ConfigurationValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        let _ = this;
        Ok(heap.alloc(AllocDict::EMPTY))
    }

    /// The name of the configuration in paths.
    #[starlark(attribute)]
    fn short_id(this: &ConfigurationValue) -> anyhow::Result<String> {
        Ok(this.0.configuration.name().to_string())
    }

    /// Whether programs are stamped.
    fn stamp_binaries(this: &ConfigurationValue) -> anyhow::Result<bool> {
        Ok(this.0.reads.native(&this.0.configuration, "stamp") == &Plain::Bool(true))
    }
}
