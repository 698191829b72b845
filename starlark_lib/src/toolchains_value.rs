//! `ctx.toolchains`: the toolchains that a rule asks for, of which none can be registered yet.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::Label;
use starlark::starlark_simple_value;
use starlark::values::{
    Heap, NoSerialize, ProvidesStaticType, StarlarkValue, Value, starlark_value,
};

use crate::label_value::StarlarkLabel;
use crate::not_there::INSTEAD_OF_TOOLCHAINS;
use crate::rule_context::RuleContext;

/// `ctx.toolchains`.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct ToolchainsValue(#[allocative(skip)] pub Arc<RuleContext>);

starlark_simple_value!(ToolchainsValue);

impl fmt::Display for ToolchainsValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<toolchains of {}>", self.0.label)
    }
}

fn error(message: String) -> starlark::Error {
    starlark::Error::new_native(Diagnostic::user(message))
}

impl ToolchainsValue {
    fn label(&self, index: Value) -> starlark::Result<Label> {
        if let Some(label) = StarlarkLabel::from_value(index) {
            return Ok(label.0.clone());
        }
        let text = index.unpack_str().ok_or_else(|| {
            error(format!("a toolchain is named by a label, not by a {}", index.get_type()))
        })?;
        Label::parse(text, self.0.label.package()).map_err(|reason| error(reason.to_string()))
    }
}

#[starlark_value(type = "toolchains")]
impl<'v> StarlarkValue<'v> for ToolchainsValue {
    fn at(&self, index: Value<'v>, _heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        let label = self.label(index)?;
        if self.0.schema.toolchains.contains(&label) {
            let error = Diagnostic::user(format!(
                "there is no toolchain of the type `{label}`: toolchains are not resolved"
            ));
            return Err(starlark::Error::new_native(error.hint(INSTEAD_OF_TOOLCHAINS)));
        }
        Err(error(format!(
            "the rule `{}` does not ask for toolchains of the type `{label}`",
            self.0.schema.rule
        )))
    }

    fn is_in(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(self.0.schema.toolchains.contains(&self.label(other)?))
    }
}
