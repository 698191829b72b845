//! Functions that are kept by name: fields of providers that came from another evaluation.

use std::fmt;
use std::hash::Hash;

use allocative::Allocative;
use rbz_engine::value::FunctionRef;
use starlark::collections::StarlarkHasher;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_simple_value;
use starlark::values::{NoSerialize, ProvidesStaticType, StarlarkValue, Value, starlark_value};

use crate::evaluation::{Evaluation, Stage};
use crate::limits;

/// A function at the top level of a module, by name. It can be called like the function itself.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct FunctionValue(#[allocative(skip)] pub FunctionRef);

starlark_simple_value!(FunctionValue);

impl fmt::Display for FunctionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<function {} from {}>", self.0.name, self.0.module)
    }
}

#[starlark_value(type = "function")]
impl<'v> StarlarkValue<'v> for FunctionValue {
    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(FunctionValue::from_value(other).is_some_and(|other| other.0 == self.0))
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        self.0.hash(hasher);
        Ok(())
    }

    fn invoke(
        &self,
        _me: Value<'v>,
        args: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let function = resolve(&self.0, eval)?;
        let positional: Vec<Value<'v>> = args.positions(eval.heap())?.collect();
        let named = args.names_map()?;
        let named: Vec<(&str, Value<'v>)> =
            named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        limits::call(eval, function, &positional, &named)
    }
}

/// The function that `reference` names.
pub fn resolve<'v>(
    reference: &FunctionRef,
    eval: &Evaluator<'v, '_, '_>,
) -> anyhow::Result<Value<'v>> {
    let evaluation = Evaluation::of(eval)?;
    if let Stage::Module(module) = &evaluation.stage
        && module.label == reference.module
        && let Some(function) = eval.module().get(&reference.name)
    {
        return Ok(function);
    }
    let function = evaluation.session.functions.function(reference)?;
    Ok(eval.heap().access_owned_frozen_value(&function))
}

/// The name by which `function` can be kept; `None` for a closure, a lambda or a built-in one.
pub fn function_ref<'v>(function: Value<'v>, eval: &Evaluator<'v, '_, '_>) -> Option<FunctionRef> {
    if let Some(known) = FunctionValue::from_value(function) {
        return Some(known.0.clone());
    }
    let name = function.function_name()?;
    let evaluation = Evaluation::of(eval).ok()?;
    if let Stage::Module(module) = &evaluation.stage
        && eval.module().get(name).is_some_and(|own| own.ptr_eq(function))
        && function.unpack_frozen().is_none()
    {
        return Some(FunctionRef { module: module.label.clone(), name: name.into() });
    }
    evaluation.session.functions.reference(name, function)
}
