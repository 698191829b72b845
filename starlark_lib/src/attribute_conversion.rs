//! Conversion of attributes: from Starlark values to the types that rules declare.

use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::{Label, PackageId};
use starlark::values::dict::DictRef;
use starlark::values::list::ListRef;
use starlark::values::tuple::TupleRef;
use starlark::values::{UnpackValue, Value, ValueLike};

use crate::attr::{AttrKind, AttrValue, Configurable, SelectPart};
use crate::evaluation::Evaluation;
use crate::label_value::StarlarkLabel;
use crate::select_value::StarlarkSelect;

/// Why a value is not of an attribute's type.
pub enum Mismatch {
    /// It is of another type.
    Type {
        /// What is expected, such as "a value of type `list(label)`".
        expected: String,
        /// What was found.
        found: String,
    },
    /// It is of that type but not allowed.
    Value(Diagnostic),
}

impl Mismatch {
    /// The error, worded by `sentence` from what was expected and what was found.
    pub fn diagnostic(self, sentence: impl Fn(&str, &str) -> String) -> Diagnostic {
        match self {
            Mismatch::Type { expected, found } => Diagnostic::user(sentence(&expected, &found)),
            Mismatch::Value(diagnostic) => diagnostic,
        }
    }
}

fn describe(value: Value) -> String {
    let mut repr = value.to_repr();
    if repr.chars().count() > 100 {
        repr = repr.chars().take(97).collect::<String>() + "...";
    }
    format!("`{repr}` ({})", value.get_type())
}

impl AttrKind {
    /// The type as messages name it.
    pub fn type_name(&self) -> &'static str {
        match self {
            AttrKind::Bool => "bool",
            AttrKind::Int { .. } => "int",
            AttrKind::String { .. } => "string",
            AttrKind::StringList => "list(string)",
            AttrKind::IntList => "list(int)",
            AttrKind::StringDict => "dict(string, string)",
            AttrKind::StringListDict => "dict(string, list(string))",
            AttrKind::Label(_) => "label",
            AttrKind::LabelList(_) => "list(label)",
            AttrKind::LabelKeyedStringDict(_) => "dict(label, string)",
            AttrKind::StringKeyedLabelDict(_) => "dict(string, label)",
            AttrKind::Output => "output",
            AttrKind::OutputList => "list(output)",
        }
    }

    /// Whether a target could give the value, which is of the type.
    pub fn allows(&self, value: &AttrValue) -> bool {
        match (self, value) {
            (_, AttrValue::None) => false,
            (AttrKind::String { values }, AttrValue::String(text)) => {
                values.is_empty() || values.contains(text)
            }
            (AttrKind::Int { values }, AttrValue::Int(number)) => {
                values.is_empty() || values.contains(number)
            }
            _ => true,
        }
    }

    fn accepts_or(&self) -> bool {
        matches!(
            self,
            AttrKind::StringDict
                | AttrKind::StringListDict
                | AttrKind::LabelKeyedStringDict(_)
                | AttrKind::StringKeyedLabelDict(_)
        )
    }
}

struct Conversion<'a> {
    kind: &'a AttrKind,
    evaluation: &'a Evaluation,
    package: &'a PackageId,
}

/// Converts a value that holds no `select`.
pub fn plain(
    kind: &AttrKind,
    value: Value,
    evaluation: &Evaluation,
    package: &PackageId,
) -> Result<AttrValue, Mismatch> {
    Conversion { kind, evaluation, package }.value(value)
}

/// Converts a value that may hold `select`s. Labels are relative to `package`.
pub fn configurable(
    kind: &AttrKind,
    value: Value,
    evaluation: &Evaluation,
    package: &PackageId,
) -> Result<Configurable, Mismatch> {
    let conversion = Conversion { kind, evaluation, package };
    let Some(select) = StarlarkSelect::from_value(value) else {
        return conversion.value(value).map(Configurable::Plain);
    };
    let mut parts = Vec::new();
    for (part, is_select, no_match_error) in select.parts() {
        if !is_select {
            parts.push(SelectPart::Plain(conversion.value(part)?));
            continue;
        }
        let mut branches = Vec::new();
        let mut default = None;
        // `select` itself made sure that it is a dict.
        for (condition, value) in DictRef::from_value(part).iter().flat_map(|dict| dict.iter()) {
            let value = if value.is_none() { AttrValue::None } else { conversion.value(value)? };
            let condition = conversion.label(condition)?;
            if condition.package().path.as_ref() == "conditions" && condition.name() == "default" {
                default = Some(value);
            } else {
                branches.push((condition, value));
            }
        }
        // Two ways of writing one label.
        let conditions: Vec<Label> = branches.iter().map(|(label, _)| label.clone()).collect();
        no_duplicates(&conditions)?;
        parts.push(SelectPart::Select { branches, default, no_match_error: no_match_error.into() });
    }
    let concatenable = !matches!(kind, AttrKind::Bool | AttrKind::Label(_) | AttrKind::Output);
    if parts.len() > 1 && !concatenable && !kind.accepts_or() {
        return Err(Mismatch::Value(Diagnostic::user(format!(
            "values of type `{}` cannot be added to a `select`",
            kind.type_name()
        ))));
    }
    Ok(Configurable::Select(parts))
}

impl Conversion<'_> {
    fn value(&self, value: Value) -> Result<AttrValue, Mismatch> {
        Ok(match self.kind {
            AttrKind::Bool => match (value.unpack_bool(), value.unpack_i32()) {
                (Some(flag), _) => AttrValue::Bool(flag),
                (None, Some(0)) => AttrValue::Bool(false),
                (None, Some(1)) => AttrValue::Bool(true),
                _ => return Err(self.mismatch(value)),
            },
            AttrKind::Int { values } => {
                let number = self.int(value)?;
                if !values.is_empty() && !values.contains(&number) {
                    let allowed: Vec<String> = values.iter().map(i64::to_string).collect();
                    return Err(not_allowed(&number.to_string(), &allowed));
                }
                AttrValue::Int(number)
            }
            AttrKind::String { values } => {
                let text = self.string(value)?;
                if !values.is_empty() && !values.contains(&text) {
                    let allowed: Vec<String> = values.iter().map(|v| v.to_string()).collect();
                    return Err(not_allowed(&text, &allowed));
                }
                AttrValue::String(text)
            }
            AttrKind::StringList => AttrValue::StringList(self.list(value, Self::string)?),
            AttrKind::IntList => AttrValue::IntList(self.list(value, Self::int)?),
            AttrKind::StringDict => {
                AttrValue::StringDict(self.dict(value, Self::string, Self::string)?)
            }
            AttrKind::StringListDict => {
                AttrValue::StringListDict(
                    self.dict(value, Self::string, |this, value| this.list(value, Self::string))?,
                )
            }
            AttrKind::Label(_) => AttrValue::Label(self.label(value)?),
            AttrKind::LabelList(_) => {
                let labels = self.list(value, Self::label)?;
                no_duplicates(&labels)?;
                AttrValue::LabelList(labels)
            }
            AttrKind::LabelKeyedStringDict(_) => {
                let entries = self.dict(value, Self::label, Self::string)?;
                let labels: Vec<Label> = entries.iter().map(|(label, _)| label.clone()).collect();
                no_duplicates(&labels)?;
                AttrValue::LabelKeyedStringDict(entries)
            }
            AttrKind::StringKeyedLabelDict(_) => {
                AttrValue::StringKeyedLabelDict(self.dict(value, Self::string, Self::label)?)
            }
            AttrKind::Output => AttrValue::Label(self.output(value)?),
            AttrKind::OutputList => {
                let labels = self.list(value, Self::output)?;
                no_duplicates(&labels)?;
                AttrValue::LabelList(labels)
            }
        })
    }

    fn mismatch(&self, found: Value) -> Mismatch {
        let expected = format!("a value of type `{}`", self.kind.type_name());
        Mismatch::Type { expected, found: describe(found) }
    }

    fn string(&self, value: Value) -> Result<Arc<str>, Mismatch> {
        value.unpack_str().map(Arc::from).ok_or_else(|| self.mismatch(value))
    }

    fn int(&self, value: Value) -> Result<i64, Mismatch> {
        match i64::unpack_value(value) {
            Ok(Some(number)) => Ok(number),
            _ => Err(self.mismatch(value)),
        }
    }

    fn label(&self, value: Value) -> Result<Label, Mismatch> {
        if let Some(label) = value.downcast_ref::<StarlarkLabel>() {
            return Ok(label.0.clone());
        }
        let text = value.unpack_str().ok_or_else(|| self.mismatch(value))?;
        self.evaluation
            .session
            .parse_label(text, self.package)
            .map_err(|error| Mismatch::Value(Diagnostic::user(error.to_string())))
    }

    fn output(&self, value: Value) -> Result<Label, Mismatch> {
        let label = self.label(value)?;
        if label.package() != self.package {
            return Err(Mismatch::Value(Diagnostic::user(format!(
                "the output `{label}` lies in another package; outputs lie in the package of their rule"
            ))));
        }
        Ok(label)
    }

    fn list<T>(
        &self,
        value: Value,
        convert: impl Fn(&Self, Value) -> Result<T, Mismatch>,
    ) -> Result<Vec<T>, Mismatch> {
        if let Some(list) = ListRef::from_value(value) {
            list.iter().map(|item| convert(self, item)).collect()
        } else if let Some(tuple) = TupleRef::from_value(value) {
            tuple.iter().map(|item| convert(self, item)).collect()
        } else {
            Err(self.mismatch(value))
        }
    }

    fn dict<K, V>(
        &self,
        value: Value,
        key: impl Fn(&Self, Value) -> Result<K, Mismatch>,
        of: impl Fn(&Self, Value) -> Result<V, Mismatch>,
    ) -> Result<Vec<(K, V)>, Mismatch> {
        let dict = DictRef::from_value(value).ok_or_else(|| self.mismatch(value))?;
        dict.iter().map(|(name, value)| Ok((key(self, name)?, of(self, value)?))).collect()
    }
}

fn not_allowed(value: &str, allowed: &[String]) -> Mismatch {
    let names: Vec<String> = allowed.iter().map(|value| format!("`{value}`")).collect();
    let diagnostic =
        Diagnostic::user(format!("`{value}` is not allowed, only {}", names.join(", ")));
    Mismatch::Value(crate::nearest::hinted(diagnostic, value, allowed.iter().map(String::as_str)))
}

fn no_duplicates(labels: &[Label]) -> Result<(), Mismatch> {
    let mut seen = std::collections::HashSet::with_capacity(labels.len());
    match labels.iter().find(|label| !seen.insert(*label)) {
        Some(label) => {
            Err(Mismatch::Value(Diagnostic::user(format!("`{label}` is there more than once"))))
        }
        None => Ok(()),
    }
}
