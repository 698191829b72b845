//! `provider()`: providers, and their instances, as Starlark values.

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};

use allocative::Allocative;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::value::{ProviderId, ProviderInstance, Value as Plain};
use starlark::coerce::Coerce;
use starlark::collections::StarlarkHasher;
use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::typing::Ty;
use starlark::values::dict::DictRef;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::NoneOr;
use starlark::values::tuple::AllocTuple;
use starlark::values::type_repr::StarlarkTypeRepr;
use starlark::values::{
    AllocFrozenValue, Demand, Freeze, FrozenHeap, FrozenValue, Heap, NoSerialize,
    ProvidesStaticType, StarlarkValue, Trace, UnpackValue, Value, ValueLifetimeless, ValueLike,
    starlark_value,
};
use starlark::{starlark_complex_value, starlark_module, starlark_simple_value};

use crate::attr_arguments::ProviderName;
use crate::builtin_providers::Builtin;
use crate::conversion::{self, from_plain, to_plain};
use crate::evaluation::Evaluation;
use crate::limits;
use crate::nearest::hinted;
use crate::value_repr::{with_article, write_instance};

/// What does not change about a provider when its module is frozen.
#[derive(Debug)]
pub struct ProviderCore {
    /// Set when the provider is assigned to a global.
    id: OnceLock<ProviderId>,
    /// The names that its fields may have; `None`: any.
    fields: Option<Vec<Arc<str>>>,
    /// Set for those that the language brings and checks.
    builtin: Option<Builtin>,
}

/// A provider: the function that makes its instances, and the key of `target[...]`.
#[derive(Debug, Trace, Freeze, ProvidesStaticType, NoSerialize, Allocative)]
#[repr(C)]
pub struct ProviderTypeGen<V: ValueLifetimeless> {
    #[trace(unsafe_ignore)]
    #[freeze(identity)]
    #[allocative(skip)]
    core: Arc<ProviderCore>,
    /// Makes the fields of the arguments (`init`).
    init: Option<V>,
    /// True of the second result of `provider(init = …)`, which does not call `init`.
    raw: bool,
}

// The two differ only in `V`, and the layout is C's.
unsafe impl<F: Coerce<T> + ValueLifetimeless, T: ValueLifetimeless> Coerce<ProviderTypeGen<T>>
    for ProviderTypeGen<F>
{
}

starlark_complex_value!(pub ProviderType);

impl<V: ValueLifetimeless> ProviderTypeGen<V> {
    fn name(&self) -> &str {
        self.core.id.get().map_or("provider", |id| &id.name)
    }
}

impl<V: ValueLifetimeless> fmt::Display for ProviderTypeGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<provider {}>", self.name())
    }
}

#[starlark_value(type = "Provider")]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for ProviderTypeGen<V>
where
    Self: ProvidesStaticType<'v>,
{
    fn export_as(&self, name: &str, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<()> {
        if !self.raw {
            let module = Evaluation::of(eval)?.module("provider")?.label.clone();
            // The first name is the one that counts: `B = A` makes no other provider.
            self.core.id.get_or_init(|| ProviderId { module: Some(module), name: name.into() });
        }
        Ok(())
    }

    fn provide(&'v self, demand: &mut Demand<'_, 'v>) {
        if let Some(id) = self.core.id.get() {
            demand.provide_value(ProviderName(id.clone()));
        }
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(ProviderType::from_value(other).is_some_and(|other| {
            self.raw == other.raw
                && (Arc::ptr_eq(&self.core, &other.core)
                    || (self.core.id.get().is_some() && self.core.id.get() == other.core.id.get()))
        }))
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        self.core.id.get().hash(hasher);
        Ok(())
    }

    fn invoke(
        &self,
        _me: Value<'v>,
        args: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let heap = eval.heap();
        let mut fields: Vec<(Arc<str>, Value<'v>)> = Vec::new();
        if let Some(init) = self.init.filter(|_| !self.raw) {
            let positional: Vec<Value> = args.positions(heap)?.collect();
            let named = args.names_map()?;
            let named: Vec<(&str, Value)> =
                named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            let made = limits::call(eval, init.to_value(), &positional, &named)?;
            let dict = DictRef::from_value(made).ok_or_else(|| {
                user(format!(
                    "`init` of the provider `{}` must return a dict, not a {}",
                    self.name(),
                    made.get_type()
                ))
            })?;
            for (name, value) in dict.iter() {
                let name = name.unpack_str().ok_or_else(|| {
                    user(format!(
                        "`init` of the provider `{}` must return a dict of strings, but a key is {}",
                        self.name(),
                        name.to_repr()
                    ))
                })?;
                fields.push((name.into(), value));
            }
        } else {
            let positional: Vec<Value> = args.positions(heap)?.collect();
            let names = args.names_map()?;
            match (self.core.builtin, &positional[..]) {
                (Some(Builtin::TemplateVariableInfo), [variables]) => {
                    fields.push(("variables".into(), *variables));
                }
                (Some(Builtin::ExecutionInfo), [requirements]) => {
                    fields.push(("requirements".into(), *requirements));
                }
                (Some(Builtin::RunEnvironmentInfo), [environment]) => {
                    fields.push(("environment".into(), *environment));
                }
                (Some(Builtin::RunEnvironmentInfo), [environment, inherited]) => {
                    fields.push(("environment".into(), *environment));
                    fields.push(("inherited_environment".into(), *inherited));
                }
                (_, []) => {}
                _ => {
                    return Err(user(format!(
                        "the provider `{}` takes its fields by name, as in `{}(field = value)`",
                        self.name(),
                        self.name()
                    )));
                }
            }
            fields.extend(names.iter().map(|(name, value)| (name.as_str().into(), *value)));
        }
        let instance = self.core.instance(fields, eval)?;
        Ok(heap.alloc(ProviderInstanceValue(Arc::new(instance))))
    }
}

fn user(message: String) -> starlark::Error {
    starlark::Error::new_other(anyhow::Error::new(Diagnostic::user(message)))
}

impl ProviderCore {
    /// An instance with these fields, every one of them checked and made plain.
    fn instance<'v>(
        &self,
        fields: Vec<(Arc<str>, Value<'v>)>,
        eval: &Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<ProviderInstance> {
        let Some(id) = self.id.get() else {
            return Err(Diagnostic::user("a provider can only be used after it has a name")
                .hint("assign the result of `provider()` to a global of the .bzl file")
                .into());
        };
        let mut plain = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            if let Some(allowed) = &self.fields
                && !allowed.contains(&name)
            {
                let diagnostic =
                    Diagnostic::user(format!("the provider `{}` has no field `{name}`", id.name));
                return Err(hinted(diagnostic, &name, allowed.iter().map(|field| &**field)).into());
            }
            let value = to_plain(value, eval).map_err(|error| {
                Diagnostic::user(format!(
                    "the field `{name}` of `{}` cannot hold {}",
                    id.name,
                    error.describe(&name)
                ))
            })?;
            plain.push((name, value));
        }
        plain.sort_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(builtin) = self.builtin {
            builtin.check(&mut plain)?;
        }
        let instance = ProviderInstance::new(id.clone(), plain);
        conversion::check_depth(instance.depth(), &format!("the provider `{}`", id.name))?;
        Ok(instance)
    }
}

/// A provider as plain data names it, outside any module.
pub struct ProviderTypeValue;

impl ProviderTypeValue {
    /// The provider called `id`, of which nothing else is known.
    pub fn known<'v>(id: &ProviderId) -> ProviderType<'v> {
        let core = ProviderCore { id: OnceLock::from(id.clone()), fields: None, builtin: None };
        ProviderType { core: Arc::new(core), init: None, raw: false }
    }
}

/// One of the providers that the language brings, as a global.
pub struct BuiltinProvider(pub Builtin);

impl StarlarkTypeRepr for BuiltinProvider {
    type Canonical = FrozenProviderType;

    fn starlark_type_repr() -> Ty {
        FrozenProviderType::get_type_starlark_repr()
    }
}

impl AllocFrozenValue for BuiltinProvider {
    fn alloc_frozen_value(self, heap: &FrozenHeap) -> FrozenValue {
        let core = ProviderCore {
            id: OnceLock::from(ProviderId::builtin(self.0.name())),
            fields: self
                .0
                .fields()
                .map(|fields| fields.iter().map(|name| (*name).into()).collect()),
            builtin: Some(self.0),
        };
        heap.alloc(FrozenProviderType { core: Arc::new(core), init: None, raw: false })
    }
}

/// The id of a provider. `None`: it is no provider; `Some(None)`: it has no name yet.
pub fn provider_id(value: Value) -> Option<Option<ProviderId>> {
    ProviderType::from_value(value).map(|provider| provider.core.id.get().cloned())
}

/// An instance of a provider as a Starlark value.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct ProviderInstanceValue(#[allocative(skip)] pub Arc<ProviderInstance>);

starlark_simple_value!(ProviderInstanceValue);

impl fmt::Display for ProviderInstanceValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_instance(&self.0, f)
    }
}

impl ProviderInstanceValue {
    fn is_output_groups(&self) -> bool {
        self.0.id == ProviderId::builtin(Builtin::OutputGroupInfo.name())
    }
}

#[starlark_value(type = "struct")]
impl<'v> StarlarkValue<'v> for ProviderInstanceValue {
    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        self.0.get(attribute).map(|value| from_plain(value, heap))
    }

    fn dir_attr(&self) -> Vec<String> {
        self.0.fields.iter().map(|(name, _)| name.to_string()).collect()
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(ProviderInstanceValue::from_value(other).is_some_and(|other| {
            Arc::ptr_eq(&self.0, &other.0)
                || Plain::Provider(self.0.clone()) == Plain::Provider(other.0.clone())
        }))
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        Plain::Provider(self.0.clone()).hash(hasher);
        Ok(())
    }

    fn at(&self, index: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        if !self.is_output_groups() {
            return starlark::values::ValueError::unsupported_with(self, "[]", index);
        }
        index
            .unpack_str()
            .and_then(|name| self.0.get(name))
            .map(|value| from_plain(value, heap))
            .ok_or_else(|| {
                let groups: Vec<&str> = self.0.fields.iter().map(|(name, _)| &**name).collect();
                user(format!(
                    "there is no output group {}; there are: {}",
                    index.to_repr(),
                    groups.join(", ")
                ))
            })
    }

    fn is_in(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.unpack_str().is_some_and(|name| self.0.get(name).is_some()))
    }

    fn iterate_collect(&self, heap: Heap<'v>) -> starlark::Result<Vec<Value<'v>>> {
        if !self.is_output_groups() {
            return starlark::values::ValueError::unsupported(self, "(iter)");
        }
        Ok(self.0.fields.iter().map(|(name, _)| heap.alloc(&**name)).collect())
    }
}

/// `provider`.
#[starlark_module]
pub fn provider_globals(builder: &mut GlobalsBuilder) {
    /// A kind of information that targets hand to those that depend on them.
    ///
    /// # Arguments
    /// * `doc`: what it is
    /// * `fields`: the names of its fields: a list, or a dict from name to description
    /// * `init`: a function that makes the fields (a dict) of the arguments
    fn provider<'v>(
        #[starlark(default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] fields: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] init: NoneOr<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        Evaluation::of(eval)?.module("provider")?;
        let _ = doc;
        let fields = fields.into_option().map(field_names).transpose()?;
        let core = Arc::new(ProviderCore { id: OnceLock::new(), fields, builtin: None });
        let heap = eval.heap();
        if let Some(init) = init.into_option()
            && init.get_type() != "function"
        {
            return Err(Diagnostic::user(format!(
                "`init` of a provider must be a function, not {}",
                with_article(init.get_type())
            ))
            .into());
        }
        Ok(match init.into_option() {
            None => heap.alloc(ProviderType { core, init: None, raw: false }),
            Some(init) => {
                let provider =
                    heap.alloc(ProviderType { core: core.clone(), init: Some(init), raw: false });
                let raw = heap.alloc(ProviderType { core, init: None, raw: true });
                heap.alloc(AllocTuple([provider, raw]))
            }
        })
    }
}

fn field_names(value: Value) -> anyhow::Result<Vec<Arc<str>>> {
    let names: Vec<Value> = match DictRef::from_value(value) {
        Some(dict) => dict.keys().collect(),
        None => match UnpackListOrTuple::<Value>::unpack_value(value)
            .map_err(|error| error.into_anyhow())?
        {
            Some(list) => list.items,
            None => {
                return Err(Diagnostic::user(format!(
                    "`fields` of a provider must be a list or a dict, not a {}",
                    value.get_type()
                ))
                .into());
            }
        },
    };
    names
        .into_iter()
        .map(|name| {
            name.unpack_str().map(Arc::from).ok_or_else(|| {
                Diagnostic::user(format!(
                    "the name of a field must be a string, not {}",
                    name.to_repr()
                ))
                .into()
            })
        })
        .collect()
}
