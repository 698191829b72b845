//! How plain values look in `print`, `str` and `repr`: as Starlark would show them.

use std::fmt;

use rbz_engine::artifact::Artifact;
use rbz_engine::value::{ProviderInstance, Value};

/// Shows a value as `repr()` does.
pub struct Repr<'a>(pub &'a Value);

impl fmt::Display for Repr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::None => f.write_str("None"),
            Value::Bool(true) => f.write_str("True"),
            Value::Bool(false) => f.write_str("False"),
            Value::Int(value) => write!(f, "{value}"),
            Value::BigInt(value) => f.write_str(value),
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Str(text) => write_string(text, f),
            Value::List(items) => write_items("[", items, "]", f),
            Value::Tuple(items) if items.len() == 1 => write!(f, "({},)", Repr(&items[0])),
            Value::Tuple(items) => write_items("(", items, ")", f),
            Value::Dict(entries) => {
                f.write_str("{")?;
                for (number, (key, value)) in entries.iter().enumerate() {
                    let comma = if number == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", Repr(key), Repr(value))?;
                }
                f.write_str("}")
            }
            Value::Struct(fields) => write_fields("struct", fields, f),
            Value::Provider(instance) => write_instance(instance, f),
            Value::ProviderType(id) => write!(f, "<provider {id}>"),
            Value::File(artifact) => write_artifact(artifact, f),
            Value::Label(label) => write!(f, "Label(\"{label}\")"),
            Value::Depset(depset) => write_items("depset([", &depset.to_list(), "])", f),
            Value::Function(function) => {
                write!(f, "<function {} from {}>", function.name, function.module)
            }
            Value::Runfiles(_) => f.write_str("<runfiles>"),
            Value::Target(target) => write!(f, "<target {}>", target.label),
        }
    }
}

/// Shows an artifact as Bazel does.
pub fn write_artifact(artifact: &Artifact, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let kind = if artifact.is_source() { "source file" } else { "generated file" };
    write!(f, "<{kind} {}>", artifact.short_path())
}

/// Shows an instance of a provider: its name and fields.
pub fn write_instance(instance: &ProviderInstance, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write_fields(&instance.id.name, &instance.fields, f)
}

fn write_fields(
    name: &str,
    fields: &[(std::sync::Arc<str>, Value)],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{name}(")?;
    for (number, (field, value)) in fields.iter().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        write!(f, "{comma}{field} = {}", Repr(value))?;
    }
    f.write_str(")")
}

fn write_items(
    open: &str,
    items: &[Value],
    close: &str,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_str(open)?;
    for (number, item) in items.iter().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        write!(f, "{comma}{}", Repr(item))?;
    }
    f.write_str(close)
}

fn write_string(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

/// A noun with its article: `a list`, `an int`.
pub fn with_article(noun: &str) -> String {
    let article =
        if noun.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']) { "an" } else { "a" };
    format!("{article} {noun}")
}
