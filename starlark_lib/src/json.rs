//! `json`: values as texts.

use std::fmt::Write;

use rbz_engine::diagnostic::Diagnostic;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::dict::DictRef;
use starlark::values::float::StarlarkFloat;
use starlark::values::structs::StructRef;
use starlark::values::{Heap, Value, ValueLike};

use crate::conversion::from_plain;
use crate::json_reader;
use crate::provider_value::ProviderInstanceValue;
use crate::value_repr::with_article;

/// How many values may lie within one another.
pub const MAX_DEPTH: usize = 200;

/// The members of `json`.
#[starlark_module]
pub fn json_members(builder: &mut GlobalsBuilder) {
    /// The text of a value. The fields of dicts and structs are sorted.
    fn encode<'v>(
        #[starlark(require = pos)] x: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<String> {
        Ok(encoded(x, eval.heap())?)
    }

    /// The same in several lines.
    fn encode_indent<'v>(
        #[starlark(require = pos)] x: Value<'v>,
        #[starlark(require = named, default = "")] prefix: &str,
        #[starlark(require = named, default = "\t")] indent: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<String> {
        Ok(indented(&encoded(x, eval.heap())?, prefix, indent))
    }

    /// A text of JSON in several lines. Each but the first begins with `prefix`, and with `indent` for
    /// every list and object that it lies in.
    fn indent<'v>(
        #[starlark(require = pos)] s: &str,
        #[starlark(require = named, default = "")] prefix: &str,
        #[starlark(require = named, default = "\t")] indent: &str,
        heap: Heap<'v>,
    ) -> anyhow::Result<String> {
        json_reader::decode(s, heap).map_err(|error| Diagnostic::user(error.to_string()))?;
        Ok(indented(s, prefix, indent))
    }

    /// The value of a text; `default`, if there is one, for a text that is no JSON.
    fn decode<'v>(
        #[starlark(require = pos)] x: &str,
        default: Option<Value<'v>>,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        match (json_reader::decode(x, heap), default) {
            (Ok(value), _) => Ok(value),
            (Err(_), Some(default)) => Ok(default),
            (Err(error), None) => Err(Diagnostic::user(error.to_string()).into()),
        }
    }
}

fn encoded<'v>(value: Value<'v>, heap: Heap<'v>) -> Result<String, Diagnostic> {
    let mut encoder = Encoder { text: String::new(), path: Vec::new(), heap };
    match encoder.value(value) {
        Ok(()) => Ok(encoder.text),
        Err(reason) if encoder.path.is_empty() => {
            Err(Diagnostic::user(format!("`json.encode`: {reason}")))
        }
        Err(reason) => {
            // Of a cycle the beginning is enough.
            let steps = encoder.path.iter().take(8).map(String::as_str).collect::<String>();
            Err(Diagnostic::user(format!("`json.encode`, at `x{steps}`: {reason}")))
        }
    }
}

struct Encoder<'v> {
    text: String,
    /// The way from the value to the part that is written, such as `.a` and `[3]`.
    path: Vec<String>,
    heap: Heap<'v>,
}

impl<'v> Encoder<'v> {
    fn value(&mut self, value: Value<'v>) -> Result<(), String> {
        if self.path.len() > MAX_DEPTH {
            return Err(format!("values lie within one another more than {MAX_DEPTH} deep"));
        }
        if value.is_none() {
            self.text.push_str("null");
        } else if let Some(flag) = value.unpack_bool() {
            self.text.push_str(if flag { "true" } else { "false" });
        } else if let Some(text) = value.unpack_str() {
            self.string(text);
        } else if value.get_type() == "int" {
            self.text.push_str(&value.to_str());
        } else if let Some(number) = value.downcast_ref::<StarlarkFloat>() {
            if !number.0.is_finite() {
                return Err(format!("`{value}` is no number in JSON"));
            }
            self.text.push_str(&value.to_str());
        } else if let Some(dict) = DictRef::from_value(value) {
            let mut entries = Vec::with_capacity(dict.len());
            for (key, value) in dict.iter() {
                let name = key.unpack_str().ok_or_else(|| {
                    format!(
                        "a key of a dict must be a string, not {}",
                        with_article(key.get_type())
                    )
                })?;
                entries.push((name.to_owned(), value));
            }
            self.object(entries, |name| format!("[{name:?}]"))?;
        } else if let Some(fields) = StructRef::from_value(value) {
            let fields = fields.iter().map(|(name, value)| (name.as_str().to_owned(), value));
            self.object(fields.collect(), |name| format!(".{name}"))?;
        } else if let Some(instance) = ProviderInstanceValue::from_value(value) {
            let fields = instance.0.fields.iter();
            let fields =
                fields.map(|(name, field)| (name.to_string(), from_plain(field, self.heap)));
            self.object(fields.collect(), |name| format!(".{name}"))?;
        } else if matches!(value.get_type(), "list" | "tuple" | "range" | "set") {
            self.list(value)?;
        } else {
            return Err(format!("{} has no form in JSON", with_article(value.get_type())));
        }
        Ok(())
    }

    fn list(&mut self, value: Value<'v>) -> Result<(), String> {
        let items = value.iterate(self.heap).map_err(|error| error.to_string())?;
        self.text.push('[');
        for (number, item) in items.enumerate() {
            if number > 0 {
                self.text.push(',');
            }
            self.path.push(format!("[{number}]"));
            self.value(item)?;
            self.path.pop();
        }
        self.text.push(']');
        Ok(())
    }

    fn object(
        &mut self,
        mut fields: Vec<(String, Value<'v>)>,
        step: impl Fn(&str) -> String,
    ) -> Result<(), String> {
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.text.push('{');
        for (number, (name, value)) in fields.into_iter().enumerate() {
            if number > 0 {
                self.text.push(',');
            }
            self.string(&name);
            self.text.push(':');
            self.path.push(step(&name));
            self.value(value)?;
            self.path.pop();
        }
        self.text.push('}');
        Ok(())
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                c if c < ' ' || c == '\x7f' => {
                    // Writing to a string does not fail.
                    let _ = write!(self.text, "\\u{:04x}", u32::from(c));
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}

/// A text of JSON with a line for each element and field.
fn indented(text: &str, prefix: &str, indent: &str) -> String {
    let mut result = String::with_capacity(2 * text.len());
    let mut depth = 0_usize;
    let mut rest = text.trim_start();
    let line = |result: &mut String, depth: usize| {
        result.push('\n');
        result.push_str(prefix);
        (0..depth).for_each(|_| result.push_str(indent));
    };
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => json_reader::string_length(rest),
            _ => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after.trim_start();
        match c {
            '{' | '[' if rest.starts_with(['}', ']']) => {
                result.push(c);
                result.push_str(&rest[..1]);
                rest = rest[1..].trim_start();
            }
            '{' | '[' => {
                depth += 1;
                result.push(c);
                line(&mut result, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut result, depth);
                result.push(c);
            }
            ',' => {
                result.push(c);
                line(&mut result, depth);
            }
            ':' => result.push_str(": "),
            _ => result.push_str(token),
        }
    }
    result
}
