//! `depset`: the Starlark face of the engine's depsets.

use std::fmt;
use std::hash::Hash;

use allocative::Allocative;
use rbz_engine::depset::{Depset, Order};
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::value::Value as Plain;
use starlark::collections::StarlarkHasher;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::NoneOr;
use starlark::values::{
    Heap, NoSerialize, ProvidesStaticType, StarlarkValue, UnpackValue, Value, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};

use crate::conversion::{check_depth, from_plain, to_plain};
use crate::value_repr::{Repr, with_article};

/// A depset as a Starlark value.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct DepsetValue(#[allocative(skip)] pub Depset);

starlark_simple_value!(DepsetValue);
starlark::methods_static!(METHODS = depset_methods);

impl fmt::Display for DepsetValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Repr(&Plain::Depset(self.0.clone())).fmt(f)
    }
}

#[starlark_value(type = "depset")]
impl<'v> StarlarkValue<'v> for DepsetValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn to_bool(&self) -> bool {
        !self.0.is_empty()
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(DepsetValue::from_value(other).is_some_and(|other| other.0 == self.0))
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        self.0.hash(hasher);
        Ok(())
    }
}

#[starlark_module]
fn depset_methods(builder: &mut MethodsBuilder) {
    /// The elements in the depset's order, each once.
    fn to_list<'v>(this: &DepsetValue, heap: Heap<'v>) -> anyhow::Result<Vec<Value<'v>>> {
        Ok(this.0.to_list().iter().map(|value| from_plain(value, heap)).collect())
    }
}

/// `depset`.
#[starlark_module]
pub fn depset_globals(builder: &mut GlobalsBuilder) {
    /// A set of values, cheap to merge with others.
    ///
    /// # Arguments
    /// * `direct`: elements of the new depset itself
    /// * `order`: `default`, `postorder`, `preorder` or `topological`
    /// * `transitive`: depsets whose elements are in it too
    fn depset<'v>(
        #[starlark(default = NoneOr::None)] direct: NoneOr<Value<'v>>,
        #[starlark(default = "default")] order: &str,
        #[starlark(require = named, default = NoneOr::None)] transitive: NoneOr<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<DepsetValue> {
        let order = Order::from_name(order).ok_or_else(|| {
            user(format!(
                "`{order}` is no order of depsets; those are `default`, `postorder`, `preorder` and \
                 `topological`"
            ))
        })?;
        let mut elements = Vec::new();
        for item in items("direct", direct)? {
            let item = to_plain(item, eval).map_err(|error| {
                user(format!("a depset cannot hold {}", error.describe("element")))
            })?;
            check_element(&item)?;
            elements.push(item);
        }
        let mut parts = Vec::new();
        for part in items("transitive", transitive)? {
            let part = DepsetValue::from_value(part).ok_or_else(|| {
                user(format!(
                    "`transitive` of a depset must be a list of depsets, but holds {}",
                    with_article(part.get_type())
                ))
            })?;
            parts.push(part.0.clone());
        }
        let types = elements.iter().map(Plain::type_name);
        check_one_type(types.chain(parts.iter().filter_map(Depset::element_type)))?;
        let depset =
            Depset::new(order, elements, parts).map_err(|error| user(error.to_string()))?;
        check_depth(depset.depth(), "this depset")?;
        Ok(DepsetValue(depset))
    }
}

fn user(message: String) -> Diagnostic {
    Diagnostic::user(message)
}

/// The items of the argument called `name`, a list or `None`.
fn items<'v>(name: &str, value: NoneOr<Value<'v>>) -> anyhow::Result<Vec<Value<'v>>> {
    let Some(value) = value.into_option() else { return Ok(Vec::new()) };
    match UnpackListOrTuple::<Value>::unpack_value(value) {
        Ok(Some(list)) => Ok(list.items),
        _ => {
            let mut error = user(format!(
                "`{name}` of a depset must be a list, not {}",
                with_article(value.get_type())
            ));
            if value.get_type() == "depset" {
                error = error.hint("a depset goes into another as `transitive = [...]`");
            }
            Err(error.into())
        }
    }
}

/// Bazel's rule: what can change cannot be in a set.
fn check_element(item: &Plain) -> Result<(), Diagnostic> {
    match item {
        Plain::List(_) | Plain::Dict(_) => Err(user(format!(
            "a depset cannot hold a {}, since that could be changed later",
            item.type_name()
        ))),
        Plain::Tuple(items) => items.iter().try_for_each(check_element),
        Plain::Struct(fields) => fields.iter().try_for_each(|(_, value)| check_element(value)),
        _ => Ok(()),
    }
}

fn check_one_type(types: impl Iterator<Item = &'static str>) -> Result<(), Diagnostic> {
    let mut first: Option<&'static str> = None;
    for name in types {
        if *first.get_or_insert(name) != name {
            return Err(user(format!(
                "a depset holds values of one type, but this one would hold {} and {}",
                with_article(first.unwrap_or_default()),
                with_article(name)
            )));
        }
    }
    Ok(())
}
