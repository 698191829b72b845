//! Instantiation: a call of a rule in a BUILD file becomes a target.

use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use starlark::collections::SmallMap;
use starlark::eval::{Arguments, Evaluator};
use starlark::values::dict::DictRef;
use starlark::values::{StringValue, Value};

use crate::attr::{AttrDefault, AttrKind, AttrSchema, AttrValue, Attrs, Configurable};
use crate::attribute_conversion;
use crate::dialect;
use crate::evaluation::Evaluation;
use crate::limits;
use crate::nearest;
use crate::package::{RuleTarget, TargetKind, Visibility};
use crate::package_builder::{Declaration, PackageBuilder, visibility_rule};
use crate::rule::RuleSchema;
use crate::starlark_error::KeywordError;

/// Evaluates the call of the rule `schema`.
pub fn call<'v>(
    schema: &Arc<RuleSchema>,
    initializer: Option<Value<'v>>,
    args: &Arguments<'v, '_>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Value<'v>> {
    let rule = schema.rule.name();
    let evaluation = Evaluation::of(eval)?;
    let package = evaluation.package(rule)?;
    if args.positions(eval.heap())?.next().is_some() {
        return Err(starlark::Error::new_native(
            Diagnostic::user(format!("`{rule}` takes no positional arguments"))
                .hint("write `name = …` and so on"),
        ));
    }
    let mut given = args.names_map()?;
    if let Some(initializer) = initializer {
        given = initialized(initializer, given, eval)?;
    }
    let declaration = Declaration::of_call(eval, &package.borrow().build_file);
    declare(schema, given, evaluation, &mut package.borrow_mut(), declaration)
        .map_err(starlark::Error::new_native)?;
    Ok(Value::new_none())
}

/// What the initializer of a rule makes of the arguments.
fn initialized<'v>(
    initializer: Value<'v>,
    given: SmallMap<StringValue<'v>, Value<'v>>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<SmallMap<StringValue<'v>, Value<'v>>> {
    let named: Vec<(&str, Value)> =
        given.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let changed = limits::call(eval, initializer, &[], &named)?;
    let Some(dict) = DictRef::from_value(changed) else {
        return Err(starlark::Error::new_native(Diagnostic::user(format!(
            "the initializer of a rule must return a dict, but returned `{}` ({})",
            changed.to_repr(),
            changed.get_type()
        ))));
    };
    let mut result = given;
    for (name, value) in dict.iter() {
        let Some(name) = StringValue::new(name) else {
            return Err(starlark::Error::new_native(Diagnostic::user(format!(
                "the initializer of a rule returned `{}`, which is no name of an attribute",
                name.to_repr()
            ))));
        };
        result.insert(name, value);
    }
    Ok(result)
}

fn keyword_error(keyword: &str, diagnostic: Diagnostic) -> anyhow::Error {
    KeywordError { keyword: keyword.to_owned(), diagnostic }.into()
}

/// Adds the target to the package, and those of its outputs.
fn declare<'v>(
    schema: &Arc<RuleSchema>,
    given: SmallMap<StringValue<'v>, Value<'v>>,
    evaluation: &Evaluation,
    package: &mut PackageBuilder,
    declaration: Declaration,
) -> anyhow::Result<()> {
    let rule = schema.rule.name();
    let name = given
        .iter()
        .find(|(key, _)| key.as_str() == "name")
        .map(|(_, value)| *value)
        .filter(|value| !value.is_none());
    let Some(name) = name else {
        return Err(Diagnostic::user(format!("this `{rule}` has no `name`")).into());
    };
    let Some(name) = name.unpack_str() else {
        let message =
            format!("`name` must be a string, but is `{}` ({})", name.to_repr(), name.get_type());
        return Err(keyword_error("name", Diagnostic::user(message)));
    };
    let what = format!("`{rule}` rule `{name}`");
    let mut attrs = Attrs::default();
    for (key, value) in given.iter() {
        let key = dialect::real_name(key.as_str());
        let declared = schema.attrs.get_key_value(key).filter(|_| !key.starts_with('_'));
        let Some((name, attr)) = declared else {
            return Err(keyword_error(key, unknown_attribute(schema, key)));
        };
        // `None` means "not given".
        if value.is_none() {
            continue;
        }
        let value = convert(attr, key, &what, *value, evaluation, package)?;
        attrs.insert(name.clone(), value);
    }
    for (key, attr) in &schema.attrs {
        if attr.mandatory && !attrs.contains_key(key) {
            return Err(
                Diagnostic::user(format!("the attribute `{key}` of {what} must be given")).into()
            );
        }
    }
    package_defaults(schema, &mut attrs, package);
    attrs.shrink();
    let visibility = target_visibility(&attrs, evaluation, package)?;
    let outputs = outputs(schema, name, &attrs)?;
    let target = RuleTarget {
        rule: schema.rule.clone(),
        rule_fingerprint: schema.fingerprint,
        attrs,
        macros: declaration.macros.clone(),
    };
    package
        .add(name, TargetKind::Rule(target), visibility.clone(), &declaration, Some(schema))
        .map_err(|diagnostic| keyword_error("name", diagnostic))?;
    for (attribute, output) in outputs {
        // A rule may have an output of its own name, as `genrule` often does; the label is then
        // that of the rule.
        if output == name {
            continue;
        }
        let kind = TargetKind::GeneratedFile { generator: name.into() };
        package
            .add(&output, kind, visibility.clone(), &declaration, None)
            .map_err(|diagnostic| keyword_error(&attribute, diagnostic))?;
    }
    Ok(())
}

fn unknown_attribute(schema: &RuleSchema, key: &str) -> Diagnostic {
    let rule = schema.rule.name();
    if key.starts_with('_') && schema.attrs.contains_key(key) {
        return Diagnostic::user(format!(
            "the attribute `{key}` of `{rule}` is private: it cannot be given"
        ));
    }
    let names = schema.attrs.keys().map(|name| &**name).filter(|name| !name.starts_with('_'));
    nearest::hinted(Diagnostic::user(format!("`{rule}` has no attribute `{key}`")), key, names)
}

fn convert(
    attr: &AttrSchema,
    key: &str,
    what: &str,
    value: Value,
    evaluation: &Evaluation,
    package: &PackageBuilder,
) -> anyhow::Result<Configurable> {
    let value = attribute_conversion::configurable(&attr.kind, value, evaluation, &package.id)
        .map_err(|mismatch| {
            let diagnostic = mismatch.diagnostic(|expected, found| {
                format!("expected {expected} for the attribute `{key}` of {what}, but got {found}")
            });
            let diagnostic = match diagnostic.message.starts_with("expected ") {
                true => diagnostic,
                false => Diagnostic {
                    message: format!("the attribute `{key}` of {what}: {}", diagnostic.message),
                    ..diagnostic
                },
            };
            keyword_error(key, diagnostic)
        })?;
    if !attr.configurable && matches!(value, Configurable::Select(_)) {
        let message = format!(
            "the attribute `{key}` of {what} cannot depend on the configuration: no `select` may stand in it"
        );
        return Err(keyword_error(key, Diagnostic::user(message)));
    }
    if !attr.allow_empty && is_empty(&value) {
        let message = format!("the attribute `{key}` of {what} may not be empty");
        return Err(keyword_error(key, Diagnostic::user(message)));
    }
    Ok(value)
}

fn is_empty(value: &Configurable) -> bool {
    match value {
        Configurable::Plain(AttrValue::StringList(items)) => items.is_empty(),
        Configurable::Plain(AttrValue::IntList(items)) => items.is_empty(),
        Configurable::Plain(AttrValue::LabelList(items)) => items.is_empty(),
        Configurable::Plain(AttrValue::StringDict(items)) => items.is_empty(),
        Configurable::Plain(AttrValue::StringListDict(items)) => items.is_empty(),
        Configurable::Plain(AttrValue::LabelKeyedStringDict(items)) => items.is_empty(),
        Configurable::Plain(AttrValue::StringKeyedLabelDict(items)) => items.is_empty(),
        _ => false,
    }
}

/// Fills in what `package()` set and the target does not give.
fn package_defaults(schema: &RuleSchema, attrs: &mut Attrs, package: &PackageBuilder) {
    for (name, value) in &package.defaults.attrs {
        if schema.attrs.contains_key(name) && !attrs.contains_key(name) {
            attrs.insert(name.clone(), Configurable::Plain(value.clone()));
        }
    }
    if !package.defaults.features.is_empty() && schema.attrs.contains_key("features") {
        let own = attrs.remove("features");
        let base = package.defaults.features.clone();
        let features = match own {
            None => Configurable::Plain(AttrValue::StringList(base)),
            Some(Configurable::Plain(AttrValue::StringList(own))) => {
                Configurable::Plain(AttrValue::StringList(base.into_iter().chain(own).collect()))
            }
            Some(Configurable::Select(mut parts)) => {
                parts.insert(0, crate::attr::SelectPart::Plain(AttrValue::StringList(base)));
                Configurable::Select(parts)
            }
            // `features` is a list of strings in every rule.
            Some(other) => other,
        };
        attrs.insert("features".into(), features);
    }
    if let Some((_, written)) = &package.defaults.visibility
        && !attrs.contains_key("visibility")
        && schema.attrs.contains_key("visibility")
    {
        let value = AttrValue::StringList(written.clone());
        attrs.insert("visibility".into(), Configurable::Plain(value));
    }
}

fn target_visibility(
    attrs: &Attrs,
    evaluation: &Evaluation,
    package: &PackageBuilder,
) -> anyhow::Result<Visibility> {
    match attrs.get("visibility") {
        Some(Configurable::Plain(AttrValue::StringList(texts))) => {
            visibility(texts, evaluation, package)
                .map_err(|error| keyword_error("visibility", error))
        }
        _ => Ok(Visibility { rules: vec![] }),
    }
}

/// What the strings of `visibility` mean.
pub fn visibility(
    texts: &[Arc<str>],
    evaluation: &Evaluation,
    package: &PackageBuilder,
) -> Result<Visibility, Diagnostic> {
    let mut rules = Vec::new();
    for text in texts {
        let label = evaluation
            .session
            .parse_label(text, &package.id)
            .map_err(|error| Diagnostic::user(error.to_string()))?;
        match visibility_rule(&label)? {
            Some(rule) => rules.push(rule),
            None if texts.len() > 1 => {
                return Err(Diagnostic::user(
                    "`//visibility:private` cannot stand beside other entries",
                ));
            }
            None => {}
        }
    }
    Ok(Visibility { rules })
}

/// The names of the files that the target makes by its attributes, each with its attribute.
fn outputs(
    schema: &RuleSchema,
    name: &str,
    attrs: &Attrs,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut outputs = Vec::new();
    for (key, attr) in &schema.attrs {
        if !matches!(*attr.kind, AttrKind::Output | AttrKind::OutputList) {
            continue;
        }
        match attrs.get(key) {
            Some(Configurable::Plain(AttrValue::Label(label))) => {
                outputs.push((key.to_string(), label.name().to_owned()));
            }
            Some(Configurable::Plain(AttrValue::LabelList(labels))) => {
                outputs
                    .extend(labels.iter().map(|label| (key.to_string(), label.name().to_owned())));
            }
            _ => {}
        }
    }
    for (key, template) in &schema.implicit_outputs {
        let text_of = |attribute: &str| text_of(attribute, schema, name, attrs);
        outputs.push((key.to_string(), implicit_output(template, text_of)?));
    }
    Ok(outputs)
}

/// The text that an attribute of a target puts into names of outputs.
fn text_of(attribute: &str, schema: &RuleSchema, name: &str, attrs: &Attrs) -> Option<String> {
    if attribute == "name" {
        return Some(name.to_owned());
    }
    let value = match (attrs.get(attribute), &schema.attrs.get(attribute)?.default) {
        (Some(Configurable::Plain(value)), _) | (None, AttrDefault::Value(value)) => value,
        _ => return None,
    };
    value.as_part_of_name().map(str::to_owned)
}

/// The file name that a template such as `%{name}.txt` yields, where `text_of` gives the text of an
/// attribute.
pub fn implicit_output(
    template: &str,
    text_of: impl Fn(&str) -> Option<String>,
) -> Result<String, Diagnostic> {
    let mut result = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("%{") {
        result.push_str(before);
        let Some((variable, after)) = after.split_once('}') else {
            return Err(Diagnostic::user(format!("the template `{template}` lacks a `}}`")));
        };
        result.push_str(&text_of(variable).ok_or_else(|| {
            Diagnostic::user(format!(
                "the template `{template}` names `{variable}`, which is no string attribute, or depends on the configuration"
            ))
        })?);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}
