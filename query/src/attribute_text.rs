//! Values of attributes: all that one can be, and the text of each as `attr` matches it.

use rbz_starlark::attr::{AttrDefault, AttrSchema, AttrValue, Configurable, SelectPart};

/// How many combinations of branches are looked at one by one. Beyond, each branch stands alone.
const MAX_COMBINATIONS: usize = 1000;

/// Everything that an attribute can be: what is given, with every branch of its `select`s, or the
/// default.
pub fn possible_values(given: Option<&Configurable>, schema: &AttrSchema) -> Vec<AttrValue> {
    let default = || match &schema.default {
        AttrDefault::Value(value) => value.clone(),
        AttrDefault::Computed(_) => AttrValue::None,
    };
    let parts = match given {
        None => return vec![default()],
        Some(Configurable::Plain(value)) => return vec![value.clone()],
        Some(Configurable::Select(parts)) => parts,
    };
    let choices: Vec<Vec<AttrValue>> = parts
        .iter()
        .map(|part| match part {
            SelectPart::Plain(value) => vec![value.clone()],
            SelectPart::Select { branches, default: last, .. } => {
                let values = branches.iter().map(|(_, value)| value).chain(last);
                let value = |value: &AttrValue| match value {
                    AttrValue::None => default(),
                    value => value.clone(),
                };
                values.map(value).collect()
            }
        })
        .collect();
    let combinations =
        choices.iter().try_fold(1_usize, |product, choice| product.checked_mul(choice.len()));
    if combinations.is_none_or(|count| count > MAX_COMBINATIONS) {
        return choices.into_iter().flatten().collect();
    }
    let mut values = vec![AttrValue::None];
    for choice in choices {
        values = values
            .iter()
            .flat_map(|first| choice.iter().map(|second| joined(first, second)))
            .collect();
    }
    values
}

/// `first + second`.
fn joined(first: &AttrValue, second: &AttrValue) -> AttrValue {
    fn chain<T: Clone>(first: &[T], second: &[T]) -> Vec<T> {
        first.iter().chain(second).cloned().collect()
    }
    match (first, second) {
        (AttrValue::None, value) | (value, AttrValue::None) => value.clone(),
        (AttrValue::String(a), AttrValue::String(b)) => AttrValue::String(format!("{a}{b}").into()),
        (AttrValue::Int(a), AttrValue::Int(b)) => AttrValue::Int(a.saturating_add(*b)),
        (AttrValue::StringList(a), AttrValue::StringList(b)) => AttrValue::StringList(chain(a, b)),
        (AttrValue::IntList(a), AttrValue::IntList(b)) => AttrValue::IntList(chain(a, b)),
        (AttrValue::LabelList(a), AttrValue::LabelList(b)) => AttrValue::LabelList(chain(a, b)),
        (AttrValue::StringDict(a), AttrValue::StringDict(b)) => AttrValue::StringDict(chain(a, b)),
        (AttrValue::StringListDict(a), AttrValue::StringListDict(b)) => {
            AttrValue::StringListDict(chain(a, b))
        }
        (AttrValue::LabelKeyedStringDict(a), AttrValue::LabelKeyedStringDict(b)) => {
            AttrValue::LabelKeyedStringDict(chain(a, b))
        }
        (AttrValue::StringKeyedLabelDict(a), AttrValue::StringKeyedLabelDict(b)) => {
            AttrValue::StringKeyedLabelDict(chain(a, b))
        }
        // What cannot be added was refused when the BUILD file was read.
        (_, second) => second.clone(),
    }
}

/// The texts of values that are set.
pub fn possible_texts(values: &[AttrValue]) -> impl Iterator<Item = String> + '_ {
    values.iter().filter_map(text)
}

/// A value as Bazel's `attr` sees it: `[a, b]` for a list, `1` for true. `None` if it is not set.
pub fn text(value: &AttrValue) -> Option<String> {
    fn list<T: ToString>(items: &[T]) -> String {
        let items: Vec<String> = items.iter().map(T::to_string).collect();
        format!("[{}]", items.join(", "))
    }
    fn dict<K: ToString, V>(entries: &[(K, V)], value: impl Fn(&V) -> String) -> String {
        let entries: Vec<String> =
            entries.iter().map(|(key, of)| format!("{}={}", key.to_string(), value(of))).collect();
        format!("{{{}}}", entries.join(", "))
    }
    Some(match value {
        AttrValue::None => return None,
        AttrValue::Bool(value) => u8::from(*value).to_string(),
        AttrValue::Int(number) => number.to_string(),
        AttrValue::String(text) => text.to_string(),
        AttrValue::StringList(items) => list(items),
        AttrValue::IntList(items) => list(items),
        AttrValue::StringDict(entries) => dict(entries, |text| text.to_string()),
        AttrValue::StringListDict(entries) => dict(entries, |items| list(items)),
        AttrValue::Label(label) => label.to_string(),
        AttrValue::LabelList(labels) => list(labels),
        AttrValue::LabelKeyedStringDict(entries) => dict(entries, |text| text.to_string()),
        AttrValue::StringKeyedLabelDict(entries) => dict(entries, |label| label.to_string()),
    })
}
