//! `Target`: a dependency, as a rule sees it.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::value::{self, ProviderId, ProviderInstance};
use starlark::collections::StarlarkHasher;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::values::{
    Heap, NoSerialize, ProvidesStaticType, StarlarkValue, Value, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};

use crate::builtin_providers::Builtin;
use crate::conversion::{alloc_label, from_plain};
use crate::provider_value::{ProviderInstanceValue, provider_id};

/// A configured target with its providers, as a Starlark value.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct TargetValue(#[allocative(skip)] Arc<value::TargetValue>);

starlark_simple_value!(TargetValue);
starlark::methods_static!(METHODS = target_methods);

impl TargetValue {
    /// The plain value of it.
    pub fn plain(&self) -> Arc<value::TargetValue> {
        self.0.clone()
    }

    /// The value of a plain one.
    pub fn from_plain(plain: &Arc<value::TargetValue>) -> Self {
        TargetValue(plain.clone())
    }

    fn provider(&self, id: &ProviderId) -> Option<&Arc<ProviderInstance>> {
        self.0.providers.iter().find(|provider| provider.id == *id)
    }

    /// A field of its `DefaultInfo`.
    fn default_info<'v>(&self, field: &str, heap: Heap<'v>) -> Value<'v> {
        self.provider(&Builtin::DefaultInfo.id())
            .and_then(|info| info.get(field))
            .map_or(Value::new_none(), |value| from_plain(value, heap))
    }

    fn key(&self, index: Value) -> starlark::Result<ProviderId> {
        let error = |message: String| {
            starlark::Error::new_other(anyhow::Error::new(Diagnostic::user(message)))
        };
        match provider_id(index) {
            Some(Some(id)) => Ok(id),
            Some(None) => Err(error("a provider can only be used after it has a name".to_owned())),
            None => Err(error(format!(
                "a target is indexed by a provider, as in `target[DefaultInfo]`, not by {}",
                index.to_repr()
            ))),
        }
    }
}

impl fmt::Display for TargetValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<target {}>", self.0.label)
    }
}

#[starlark_value(type = "Target")]
impl<'v> StarlarkValue<'v> for TargetValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn at(&self, index: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        let id = self.key(index)?;
        match self.provider(&id) {
            Some(instance) => Ok(heap.alloc(ProviderInstanceValue(instance.clone()))),
            None => {
                let names: Vec<&str> =
                    self.0.providers.iter().map(|provider| &*provider.id.name).collect();
                let error = Diagnostic::user(format!(
                    "`{}` does not have the provider `{id}`; it has {}",
                    self.0.label,
                    names.join(", ")
                ))
                .hint(format!("ask with `{id} in target`, or demand it with `providers = [{id}]`"));
                Err(starlark::Error::new_other(anyhow::Error::new(error)))
            }
        }
    }

    fn is_in(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(self.provider(&self.key(other)?).is_some())
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(TargetValue::from_value(other).is_some_and(|other| {
            Arc::ptr_eq(&self.0, &other.0)
                || value::Value::Target(self.0.clone()) == value::Value::Target(other.0.clone())
        }))
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        self.0.label.hash(hasher);
        Ok(())
    }
}

#[starlark_module]
fn target_methods(builder: &mut MethodsBuilder) {
    /// Its label.
    #[starlark(attribute)]
    fn label<'v>(this: &TargetValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(alloc_label(&this.0.label, heap))
    }

    /// `DefaultInfo.files`
    #[starlark(attribute)]
    fn files<'v>(this: &TargetValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(this.default_info("files", heap))
    }

    /// `DefaultInfo.files_to_run`
    #[starlark(attribute)]
    fn files_to_run<'v>(this: &TargetValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(this.default_info("files_to_run", heap))
    }

    /// `DefaultInfo.default_runfiles`
    #[starlark(attribute)]
    fn default_runfiles<'v>(this: &TargetValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(this.default_info("default_runfiles", heap))
    }

    /// `DefaultInfo.data_runfiles`
    #[starlark(attribute)]
    fn data_runfiles<'v>(this: &TargetValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(this.default_info("data_runfiles", heap))
    }

    /// `OutputGroupInfo`, empty if the target has none.
    #[starlark(attribute)]
    fn output_groups<'v>(this: &TargetValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        let id = Builtin::OutputGroupInfo.id();
        let groups = this
            .provider(&id)
            .cloned()
            .unwrap_or_else(|| Arc::new(ProviderInstance::new(id, Vec::new())));
        Ok(heap.alloc(ProviderInstanceValue(groups)))
    }
}
