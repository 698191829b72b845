//! From Starlark values to plain values and back.
//!
//! Everything that a rule returns passes through here, so that no Starlark value outlives the
//! evaluation that made it.

use std::fmt;
use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::Label;
use rbz_engine::value::Value as Plain;
use starlark::eval::Evaluator;
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::float::StarlarkFloat;
use starlark::values::list::{AllocList, ListRef};
use starlark::values::structs::{AllocStruct, StructRef};
use starlark::values::tuple::{AllocTuple, TupleRef};
use starlark::values::{Heap, Value, ValueLike};

use crate::depset_value::DepsetValue;
use crate::file_value::FileValue;
use crate::function_value::{FunctionValue, function_ref};
use crate::label_value::StarlarkLabel;
use crate::provider_value::{ProviderInstanceValue, provider_id};
use crate::runfiles_value::RunfilesValue;
use crate::target_value::TargetValue;

/// A value nested deeper than this is an error: it is a cycle, or a list built in a loop by mistake.
const MAX_DEPTH: usize = 200;

/// How many providers, and depsets as elements of others, may lie within one another.
const MAX_HELD: u32 = 1_000;

/// A value with more parts than this is an error: shared parts count each time they are met.
const MAX_PARTS: usize = 4_000_000;

/// Why a value is no plain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionError {
    /// The way from the value to the part that is at fault, such as `[3].run`; empty: itself.
    pub path: String,
    /// What is there, as the object of a sentence.
    pub what: String,
    /// Why that is not allowed.
    pub why: &'static str,
}

impl ConversionError {
    fn new(what: impl Into<String>, why: &'static str) -> Self {
        ConversionError { path: String::new(), what: what.into(), why }
    }

    fn inside(mut self, step: impl fmt::Display) -> Self {
        self.path.insert_str(0, &step.to_string());
        self
    }

    /// A sentence's object: what is where, and why it cannot be there.
    pub fn describe(&self, noun: &str) -> String {
        if self.path.is_empty() {
            format!("{}: {}", self.what, self.why)
        } else {
            format!("{} (at `{noun}{}`): {}", self.what, self.path, self.why)
        }
    }
}

/// Refuses `what`, in which so many values lie within one another. Whoever walks over them recurses.
pub fn check_depth(depth: u32, what: &str) -> Result<(), Diagnostic> {
    if depth <= MAX_HELD {
        return Ok(());
    }
    Err(Diagnostic::user(format!(
        "{what} holds others, one within the other, more than {MAX_HELD} deep"
    ))
    .hint("hand on what is in them in a depset: `depset([...], transitive = [...])`"))
}

/// The plain value that is the same as `value`.
pub fn to_plain<'v>(
    value: Value<'v>,
    eval: &Evaluator<'v, '_, '_>,
) -> Result<Plain, ConversionError> {
    Conversion { eval, parts: 0 }.convert(value, 0)
}

struct Conversion<'c, 'v, 'a, 'e> {
    eval: &'c Evaluator<'v, 'a, 'e>,
    parts: usize,
}

impl<'v> Conversion<'_, 'v, '_, '_> {
    fn convert(&mut self, value: Value<'v>, depth: usize) -> Result<Plain, ConversionError> {
        self.parts += 1;
        if depth > MAX_DEPTH {
            return Err(ConversionError::new(
                format!("a {} nested more than {MAX_DEPTH} deep", value.get_type()),
                "it has no end, or is built wrongly",
            ));
        }
        if self.parts > MAX_PARTS {
            return Err(ConversionError::new(
                format!("a value of more than {MAX_PARTS} parts"),
                "use a depset for data of that size",
            ));
        }
        if let Some(text) = value.unpack_str() {
            return Ok(Plain::Str(text.into()));
        }
        if let Some(file) = FileValue::from_value(value) {
            return Ok(Plain::File(file.0.clone()));
        }
        if value.is_none() {
            return Ok(Plain::None);
        }
        if let Some(value) = value.unpack_bool() {
            return Ok(Plain::Bool(value));
        }
        if let Some(depset) = DepsetValue::from_value(value) {
            return Ok(Plain::Depset(depset.0.clone()));
        }
        if let Some(list) = ListRef::from_value(value) {
            return Ok(Plain::List(self.convert_items(list.iter(), depth)?));
        }
        if let Some(label) = StarlarkLabel::from_value(value) {
            return Ok(Plain::Label(label.0.clone()));
        }
        if let Some(instance) = ProviderInstanceValue::from_value(value) {
            return Ok(Plain::Provider(instance.0.clone()));
        }
        if let Some(fields) = StructRef::from_value(value) {
            let mut plain: Vec<(Arc<str>, Plain)> = Vec::new();
            for (name, field) in fields.iter() {
                let field = self
                    .convert(field, depth + 1)
                    .map_err(|error| error.inside(format_args!(".{}", name.as_str())))?;
                plain.push((Arc::from(name.as_str()), field));
            }
            plain.sort_by(|(a, _), (b, _)| a.cmp(b));
            return Ok(Plain::Struct(plain.into()));
        }
        if let Some(tuple) = TupleRef::from_value(value) {
            return Ok(Plain::Tuple(self.convert_items(tuple.iter(), depth)?));
        }
        if let Some(dict) = DictRef::from_value(value) {
            let mut plain = Vec::with_capacity(dict.len());
            for (key, item) in dict.iter() {
                let step = |error: ConversionError| error.inside(format_args!("[{key}]"));
                plain.push((
                    self.convert(key, depth + 1).map_err(step)?,
                    self.convert(item, depth + 1).map_err(step)?,
                ));
            }
            return Ok(Plain::Dict(plain.into()));
        }
        self.convert_rare(value, depth)
    }

    fn convert_rare(&mut self, value: Value<'v>, depth: usize) -> Result<Plain, ConversionError> {
        if let Some(runfiles) = RunfilesValue::from_value(value) {
            return Ok(Plain::Runfiles(runfiles.0.clone()));
        }
        if let Some(target) = TargetValue::from_value(value) {
            return Ok(Plain::Target(target.plain()));
        }
        if let Some(id) = provider_id(value) {
            return id.map(Plain::ProviderType).ok_or_else(|| {
                ConversionError::new("a provider without a name", "assign it to a global first")
            });
        }
        if let Some(float) = value.downcast_ref::<StarlarkFloat>() {
            return Ok(Plain::Float(float.0));
        }
        if value.get_type() == "int" {
            let digits = value.to_str();
            return Ok(match digits.parse() {
                Ok(small) => Plain::Int(small),
                Err(_) => Plain::BigInt(digits.into()),
            });
        }
        if matches!(value.get_type(), "range" | "set") {
            let items = value.iterate(self.eval.heap()).map_err(|error| {
                ConversionError::new(
                    format!("a {} ({error})", value.get_type()),
                    "it cannot be read",
                )
            })?;
            let items: Vec<Value> = items.collect();
            return Ok(Plain::List(self.convert_items(items.into_iter(), depth)?));
        }
        if let Some(function) = FunctionValue::from_value(value) {
            return Ok(Plain::Function(function.0.clone()));
        }
        if value.get_type() == "function" {
            return function_ref(value, self.eval).map(Plain::Function).ok_or_else(|| {
                let name = value.function_name().unwrap_or("lambda");
                ConversionError::new(
                    format!("the function `{name}`"),
                    "only functions at the top level of a .bzl file can be kept, not closures, \
                     lambdas or built-in functions",
                )
            });
        }
        let what = format!("a value of type `{}`", value.get_type());
        Err(ConversionError::new(what, "it does not outlive the evaluation of its rule or file"))
    }

    fn convert_items(
        &mut self,
        items: impl Iterator<Item = Value<'v>>,
        depth: usize,
    ) -> Result<Arc<[Plain]>, ConversionError> {
        items
            .enumerate()
            .map(|(number, item)| {
                self.convert(item, depth + 1)
                    .map_err(|error| error.inside(format_args!("[{number}]")))
            })
            .collect()
    }
}

/// The Starlark value that is the same as `plain`.
pub fn from_plain<'v>(plain: &Plain, heap: Heap<'v>) -> Value<'v> {
    let list = |items: &[Plain]| -> Vec<Value<'v>> {
        items.iter().map(|item| from_plain(item, heap)).collect()
    };
    match plain {
        Plain::None => Value::new_none(),
        Plain::Bool(value) => Value::new_bool(*value),
        Plain::Int(value) => heap.alloc(*value),
        Plain::BigInt(digits) => alloc_big_int(digits, heap),
        Plain::Float(value) => heap.alloc(*value),
        Plain::Str(text) => heap.alloc(&**text),
        Plain::List(items) => heap.alloc(AllocList(list(items))),
        Plain::Tuple(items) => heap.alloc(AllocTuple(list(items))),
        Plain::Dict(entries) => heap.alloc(AllocDict(
            entries.iter().map(|(key, value)| (from_plain(key, heap), from_plain(value, heap))),
        )),
        Plain::Struct(fields) => heap.alloc(AllocStruct(
            fields
                .iter()
                .map(|(name, value)| (&**name, from_plain(value, heap)))
                .collect::<Vec<(&str, Value)>>(),
        )),
        Plain::Provider(instance) => heap.alloc(ProviderInstanceValue(instance.clone())),
        Plain::ProviderType(id) => heap.alloc(crate::provider_value::ProviderTypeValue::known(id)),
        Plain::File(artifact) => heap.alloc(FileValue(artifact.clone())),
        Plain::Label(label) => alloc_label(label, heap),
        Plain::Depset(depset) => heap.alloc(DepsetValue(depset.clone())),
        Plain::Function(function) => heap.alloc(FunctionValue(function.clone())),
        Plain::Runfiles(runfiles) => heap.alloc(RunfilesValue(runfiles.clone())),
        Plain::Target(target) => heap.alloc(TargetValue::from_plain(target)),
    }
}

/// A label as a Starlark value.
pub fn alloc_label<'v>(label: &Label, heap: Heap<'v>) -> Value<'v> {
    heap.alloc(StarlarkLabel(label.clone()))
}

/// The integer with these decimal digits.
pub fn alloc_integer<'v>(digits: &str, heap: Heap<'v>) -> Value<'v> {
    match digits.parse::<i64>() {
        Ok(number) => heap.alloc(number),
        Err(_) => alloc_big_int(digits, heap),
    }
}

/// The same for one that does not fit into 64 bits.
fn alloc_big_int<'v>(digits: &str, heap: Heap<'v>) -> Value<'v> {
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    // The crate's own integers are built from pieces that fit, by its own arithmetic, which does
    // not fail on integers.
    const PIECE: usize = 18;
    let first = digits.len() % PIECE;
    let (head, rest) = digits.split_at(first);
    let mut number: Value<'v> = heap.alloc(head.parse::<i64>().unwrap_or(0));
    let scale: Value<'v> = heap.alloc(10_i64.pow(PIECE as u32));
    for piece in rest.as_bytes().chunks(PIECE) {
        let piece = std::str::from_utf8(piece).ok().and_then(|text| text.parse::<i64>().ok());
        let piece: Value<'v> = heap.alloc(piece.unwrap_or(0));
        number =
            number.mul(scale, heap).and_then(|scaled| scaled.add(piece, heap)).unwrap_or(number);
    }
    match negative {
        true => number.minus(heap).unwrap_or(number),
        false => number,
    }
}
