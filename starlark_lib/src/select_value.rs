//! `select`: values that depend on the configuration, unresolved while packages are loaded.

use std::fmt;

use allocative::Allocative;
use rbz_engine::diagnostic::Diagnostic;
use starlark::any::ProvidesStaticType;
use starlark::coerce::Coerce;
use starlark::environment::GlobalsBuilder;
use starlark::starlark_complex_value;
use starlark::starlark_module;
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::{
    Freeze, Heap, NoSerialize, StarlarkValue, Trace, Value, ValueLifetimeless, ValueLike,
    starlark_value,
};

/// A concatenation of `select`s and plain values.
#[derive(Clone, Debug, Trace, Freeze, Coerce, ProvidesStaticType, NoSerialize, Allocative)]
#[repr(C)]
pub struct StarlarkSelectGen<V: ValueLifetimeless> {
    parts: Vec<PartGen<V>>,
}

/// One operand.
#[derive(Clone, Debug, Trace, Freeze, Coerce, ProvidesStaticType, NoSerialize, Allocative)]
#[repr(C)]
pub struct PartGen<V: ValueLifetimeless> {
    /// The dict of a `select`, or a plain value.
    pub value: V,
    /// Whether it is a `select`.
    pub is_select: bool,
    /// Of a `select`: what to say when nothing matches.
    pub no_match_error: String,
}

starlark_complex_value!(pub StarlarkSelect);

impl<V: ValueLifetimeless + fmt::Display> fmt::Display for StarlarkSelectGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, part) in self.parts.iter().enumerate() {
            if n > 0 {
                f.write_str(" + ")?;
            }
            if part.is_select {
                write!(f, "select({})", part.value)?;
            } else {
                write!(f, "{}", part.value)?;
            }
        }
        Ok(())
    }
}

impl<'v, V: ValueLike<'v>> StarlarkSelectGen<V> {
    /// The operands in order.
    pub fn parts(&self) -> impl Iterator<Item = (Value<'v>, bool, &str)> {
        self.parts.iter().map(|part| (part.value.to_value(), part.is_select, &*part.no_match_error))
    }

    fn to_parts(&self) -> Vec<PartGen<Value<'v>>> {
        self.parts
            .iter()
            .map(|part| PartGen {
                value: part.value.to_value(),
                is_select: part.is_select,
                no_match_error: part.no_match_error.clone(),
            })
            .collect()
    }
}

fn operand<'v>(value: Value<'v>) -> Vec<PartGen<Value<'v>>> {
    match StarlarkSelect::from_value(value) {
        Some(select) => select.to_parts(),
        None => vec![PartGen { value, is_select: false, no_match_error: String::new() }],
    }
}

/// `select(dict, no_match_error)`.
pub fn select<'v>(dict: Value<'v>, no_match_error: &str, heap: Heap<'v>) -> Value<'v> {
    let no_match_error = no_match_error.to_owned();
    heap.alloc(StarlarkSelect {
        parts: vec![PartGen { value: dict, is_select: true, no_match_error }],
    })
}

/// `left + right`, at least one of them a `select`.
pub fn concatenate<'v>(left: Value<'v>, right: Value<'v>, heap: Heap<'v>) -> Value<'v> {
    let mut parts = operand(left);
    parts.extend(operand(right));
    heap.alloc(StarlarkSelect { parts })
}

#[starlark_value(type = "select")]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for StarlarkSelectGen<V>
where
    Self: ProvidesStaticType<'v>,
{
    fn add(&self, rhs: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        let mut parts = self.to_parts();
        parts.extend(operand(rhs));
        Some(Ok(heap.alloc(StarlarkSelect { parts })))
    }

    fn radd(&self, lhs: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        let mut parts = operand(lhs);
        parts.extend(self.to_parts());
        Some(Ok(heap.alloc(StarlarkSelect { parts })))
    }

    fn bit_or(&self, other: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        let mut parts = self.to_parts();
        parts.extend(operand(other));
        Ok(heap.alloc(StarlarkSelect { parts }))
    }
}

/// `select()`.
#[starlark_module]
pub fn select_functions(builder: &mut GlobalsBuilder) {
    /// A value for each condition, of which the configuration chooses one.
    fn select<'v>(
        #[starlark(require = pos)] x: Value<'v>,
        #[starlark(default = "")] no_match_error: &str,
        heap: Heap<'v>,
    ) -> anyhow::Result<StarlarkSelect<'v>> {
        let Some(dict) = DictRef::from_value(x) else {
            return Err(Diagnostic::user(format!(
                "`select` expects a dict from conditions to values, but got `{}` ({})",
                x.to_repr(),
                x.get_type()
            ))
            .into());
        };
        if dict.is_empty() {
            return Err(Diagnostic::user("`select` of an empty dict can never match").into());
        }
        for key in dict.keys() {
            if key.unpack_str().is_none() && key.get_type() != "Label" {
                return Err(Diagnostic::user(format!(
                    "a condition of `select` must be a label, but got `{}` ({})",
                    key.to_repr(),
                    key.get_type()
                ))
                .into());
            }
        }
        // The dict may be changed afterwards; what was asked for may not.
        let dict = heap.alloc(AllocDict(dict.iter()));
        let no_match_error = no_match_error.to_owned();
        Ok(StarlarkSelect { parts: vec![PartGen { value: dict, is_select: true, no_match_error }] })
    }
}
