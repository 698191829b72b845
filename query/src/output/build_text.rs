//! Targets as a BUILD file would declare them, after all macros.

use rbz_engine::diagnostic::Diagnostic;
use rbz_starlark::attr::{AttrValue, Configurable, SelectPart};

use crate::graph::NodeId;
use crate::output::OutputOptions;
use crate::output::lines::location;
use crate::world::World;

/// The rule targets of `nodes` with the attributes that they give.
pub fn text(
    world: &mut World,
    nodes: &[NodeId],
    options: &OutputOptions,
) -> Result<String, Diagnostic> {
    let mut text = String::new();
    for id in nodes {
        let Some(rule) = world.rule_of(*id)? else { continue };
        let place = location(world, *id, options.relative_locations)?;
        let node = world.graph.node(*id);
        let Some(instance) = node.rule() else { continue };
        text += &format!("# {place}\n{}(\n", instance.rule.name());
        text += &format!("  name = {},\n", quoted(node.label.name()));
        for name in rule.schema.attrs.keys().filter(|name| &***name != "name") {
            let configured = node.configured.as_ref().and_then(|known| known.attributes.get(name));
            let value = match (configured, instance.attrs.get(name)) {
                (_, None) => continue,
                (Some(value), _) => plain(value, 1),
                (None, Some(value)) => configurable(value),
            };
            text += &format!("  {name} = {value},\n");
        }
        text += ")\n";
        for (place, name) in &instance.macros {
            text += &format!("#   {place}: by the macro `{name}`\n");
        }
        text += "\n";
    }
    Ok(text)
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            '\r' => quoted += "\\r",
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn configurable(value: &Configurable) -> String {
    let parts = match value {
        Configurable::Plain(value) => return plain(value, 1),
        Configurable::Select(parts) => parts,
    };
    let part = |part: &SelectPart| match part {
        SelectPart::Plain(value) => plain(value, 1),
        SelectPart::Select { branches, default, no_match_error } => {
            let mut text = String::from("select({\n");
            for (condition, value) in branches {
                text += &format!("    {}: {},\n", quoted(&condition.to_string()), plain(value, 2));
            }
            if let Some(value) = default {
                text += &format!("    \"//conditions:default\": {},\n", plain(value, 2));
            }
            text += "  }";
            if !no_match_error.is_empty() {
                text += &format!(", no_match_error = {}", quoted(no_match_error));
            }
            text + ")"
        }
    };
    // Dictionaries are joined by another operator than lists.
    let is_dict = parts.iter().any(|part| match part {
        SelectPart::Plain(value) => value_is_dict(value),
        SelectPart::Select { branches, .. } => branches.iter().any(|(_, v)| value_is_dict(v)),
    });
    let operator = if is_dict { " | " } else { " + " };
    parts.iter().map(part).collect::<Vec<_>>().join(operator)
}

fn value_is_dict(value: &AttrValue) -> bool {
    matches!(
        value,
        AttrValue::StringDict(_)
            | AttrValue::StringListDict(_)
            | AttrValue::LabelKeyedStringDict(_)
            | AttrValue::StringKeyedLabelDict(_)
    )
}

/// A value; if it takes several lines, they are indented one step more than `depth`.
fn plain(value: &AttrValue, depth: usize) -> String {
    let list = |items: Vec<String>| match &items[..] {
        [] => "[]".to_owned(),
        [item] => format!("[{item}]"),
        _ => {
            let indent = "  ".repeat(depth + 1);
            let items: String = items.iter().map(|item| format!("{indent}{item},\n")).collect();
            format!("[\n{items}{}]", "  ".repeat(depth))
        }
    };
    let dict = |entries: Vec<(String, String)>| match &entries[..] {
        [] => "{}".to_owned(),
        _ => {
            let indent = "  ".repeat(depth + 1);
            let entries: String = entries
                .iter()
                .map(|(key, value)| format!("{indent}{}: {value},\n", quoted(key)))
                .collect();
            format!("{{\n{entries}{}}}", "  ".repeat(depth))
        }
    };
    let strings = |items: &[std::sync::Arc<str>]| -> Vec<String> {
        items.iter().map(|item| quoted(item)).collect()
    };
    match value {
        AttrValue::None => "None".to_owned(),
        AttrValue::Bool(true) => "True".to_owned(),
        AttrValue::Bool(false) => "False".to_owned(),
        AttrValue::Int(number) => number.to_string(),
        AttrValue::String(text) => quoted(text),
        AttrValue::StringList(items) => list(strings(items)),
        AttrValue::IntList(items) => list(items.iter().map(i64::to_string).collect()),
        AttrValue::Label(label) => quoted(&label.to_string()),
        AttrValue::LabelList(labels) => {
            list(labels.iter().map(|label| quoted(&label.to_string())).collect())
        }
        AttrValue::StringDict(entries) => {
            dict(entries.iter().map(|(key, text)| (key.to_string(), quoted(text))).collect())
        }
        AttrValue::StringListDict(entries) => dict(
            entries
                .iter()
                .map(|(key, items)| (key.to_string(), format!("[{}]", strings(items).join(", "))))
                .collect(),
        ),
        AttrValue::LabelKeyedStringDict(entries) => {
            dict(entries.iter().map(|(key, text)| (key.to_string(), quoted(text))).collect())
        }
        AttrValue::StringKeyedLabelDict(entries) => dict(
            entries
                .iter()
                .map(|(key, label)| (key.to_string(), quoted(&label.to_string())))
                .collect(),
        ),
    }
}
