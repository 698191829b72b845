//! Plain attributes as Starlark values, for code that looks at targets that are declared already.

use rbz_engine::label::{Label, PackageId};
use starlark::values::dict::AllocDict;
use starlark::values::{Heap, Value};

use crate::attr::{AttrValue, Configurable, SelectPart};
use crate::label_value::StarlarkLabel;
use crate::select_value;

/// The value of an attribute of a target in `package`. Labels are strings, as short as may be.
pub fn value<'v>(value: &Configurable, package: &PackageId, heap: Heap<'v>) -> Value<'v> {
    match value {
        Configurable::Plain(value) => text_labels(value, package, heap),
        Configurable::Select(parts) => parts
            .iter()
            .map(|part| match part {
                SelectPart::Plain(value) => text_labels(value, package, heap),
                SelectPart::Select { branches, default, no_match_error } => {
                    let mut entries: Vec<(String, Value)> = branches
                        .iter()
                        .map(|(condition, value)| {
                            (condition.to_string(), text_labels(value, package, heap))
                        })
                        .collect();
                    if let Some(value) = default {
                        let value = text_labels(value, package, heap);
                        entries.push(("//conditions:default".to_owned(), value));
                    }
                    select_value::select(heap.alloc(AllocDict(entries)), no_match_error, heap)
                }
            })
            .reduce(|left, right| select_value::concatenate(left, right, heap))
            .unwrap_or_default(),
    }
}

fn text_labels<'v>(value: &AttrValue, package: &PackageId, heap: Heap<'v>) -> Value<'v> {
    plain(value, heap, &|label| {
        let text = match label.package() == package {
            true => format!(":{}", label.name()),
            false => label.to_string(),
        };
        heap.alloc(text)
    })
}

/// The value of an attribute with labels as `Label`s.
pub fn with_labels<'v>(value: &AttrValue, heap: Heap<'v>) -> Value<'v> {
    plain(value, heap, &|label| heap.alloc(StarlarkLabel(label.clone())))
}

fn plain<'v>(value: &AttrValue, heap: Heap<'v>, label: &dyn Fn(&Label) -> Value<'v>) -> Value<'v> {
    let strings = |items: &[std::sync::Arc<str>]| -> Vec<Value<'v>> {
        items.iter().map(|item| heap.alloc(&**item)).collect()
    };
    match value {
        AttrValue::None => Value::new_none(),
        AttrValue::Bool(flag) => Value::new_bool(*flag),
        AttrValue::Int(number) => heap.alloc(*number),
        AttrValue::String(text) => heap.alloc(&**text),
        AttrValue::StringList(items) => heap.alloc(strings(items)),
        AttrValue::IntList(items) => heap.alloc(items.clone()),
        AttrValue::StringDict(entries) => {
            heap.alloc(AllocDict(entries.iter().map(|(key, value)| (&**key, &**value))))
        }
        AttrValue::StringListDict(entries) => heap.alloc(AllocDict(
            entries.iter().map(|(key, items)| (&**key, strings(items))).collect::<Vec<_>>(),
        )),
        AttrValue::Label(name) => label(name),
        AttrValue::LabelList(labels) => heap.alloc(labels.iter().map(label).collect::<Vec<_>>()),
        AttrValue::LabelKeyedStringDict(entries) => heap.alloc(AllocDict(
            entries.iter().map(|(key, value)| (label(key), &**value)).collect::<Vec<_>>(),
        )),
        AttrValue::StringKeyedLabelDict(entries) => heap.alloc(AllocDict(
            entries.iter().map(|(key, value)| (&**key, label(value))).collect::<Vec<_>>(),
        )),
    }
}
