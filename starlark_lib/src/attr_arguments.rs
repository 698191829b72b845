//! The arguments of `attr.*`, checked and made plain.

use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::value::{FunctionRef, ProviderId};
use starlark::any::ProvidesStaticType;
use starlark::eval::Evaluator;
use starlark::values::dict::DictRef;
use starlark::values::list::ListRef;
use starlark::values::none::NoneOr;
use starlark::values::tuple::TupleRef;
use starlark::values::{Value, ValueLike};

use crate::attr::{AllowFiles, AttrDefault, AttrKind, AttrSchema, AttrValue, Cfg, LabelAttr};
use crate::attr_functions::StarlarkAttribute;
use crate::attribute_conversion;
use crate::evaluation::Evaluation;
use crate::not_there::not_there;

/// What a `transition` answers when it is asked for its name with `Value::request_value`.
#[derive(Clone, Debug, ProvidesStaticType)]
pub struct TransitionName(pub FunctionRef);

/// What a provider answers when it is asked for its name with `Value::request_value`.
#[derive(Clone, Debug, ProvidesStaticType)]
pub struct ProviderName(pub ProviderId);

/// The arguments that all of `attr.*` take.
pub struct Common<'a, 'v> {
    /// The default.
    pub default: Option<Value<'v>>,
    /// Whether every target must give it.
    pub mandatory: bool,
    /// Whether a `select` may stand in it; None: as is usual.
    pub configurable: NoneOr<bool>,
    /// What it is for.
    pub doc: NoneOr<&'a str>,
}

/// The attribute of a kind, its default converted to its type.
pub fn attribute<'v>(
    kind: AttrKind,
    allow_empty: bool,
    common: Common<'_, 'v>,
    eval: &Evaluator<'v, '_, '_>,
) -> anyhow::Result<StarlarkAttribute> {
    let mut schema = AttrSchema {
        default: AttrDefault::Value(AttrValue::None),
        mandatory: common.mandatory,
        configurable: common.configurable.into_option().unwrap_or(true)
            && !matches!(kind, AttrKind::Output | AttrKind::OutputList),
        allow_empty,
        doc: common.doc.into_option().unwrap_or_default().into(),
        kind: kind.into(),
    };
    let Some(default) = common.default.filter(|value| !value.is_none()) else {
        schema.default = AttrDefault::Value(schema.kind.empty());
        return Ok(StarlarkAttribute(schema));
    };
    let evaluation = Evaluation::of(eval)?;
    schema.default = if default.function_name().is_some() {
        AttrDefault::Computed(function_ref(default, "the default of an attribute", eval)?)
    } else {
        let package = evaluation.calling_package(eval)?;
        let value = attribute_conversion::plain(&schema.kind, default, evaluation, &package)
            .map_err(|error| {
                error.diagnostic(|what, found| {
                    format!(
                        "expected {what} as default of `attr.{}`, but got {found}",
                        schema.kind.function()
                    )
                })
            })?;
        AttrDefault::Value(value)
    };
    Ok(StarlarkAttribute(schema))
}

/// The reference to a function of the module that is being evaluated.
pub fn function_ref<'v>(
    function: Value<'v>,
    what: &str,
    eval: &Evaluator<'v, '_, '_>,
) -> anyhow::Result<FunctionRef> {
    let module = &Evaluation::of(eval)?.module("attr")?.label;
    let name = function.function_name().unwrap_or_default();
    match eval.module().get(name) {
        Some(found) if found.ptr_eq(function) => {
            Ok(FunctionRef { module: module.clone(), name: name.into() })
        }
        _ => Err(Diagnostic::user(format!(
            "the function `{name}` cannot be {what}, since it is not defined at the top level of `{module}`"
        ))
        .hint("move it to the top level with `def`")
        .into()),
    }
}

impl AttrKind {
    /// Its name below `attr`.
    pub fn function(&self) -> &'static str {
        match self {
            AttrKind::Bool => "bool",
            AttrKind::Int { .. } => "int",
            AttrKind::String { .. } => "string",
            AttrKind::StringList => "string_list",
            AttrKind::IntList => "int_list",
            AttrKind::StringDict => "string_dict",
            AttrKind::StringListDict => "string_list_dict",
            AttrKind::Label(_) => "label",
            AttrKind::LabelList(_) => "label_list",
            AttrKind::LabelKeyedStringDict(_) => "label_keyed_string_dict",
            AttrKind::StringKeyedLabelDict(_) => "string_keyed_label_dict",
            AttrKind::Output => "output",
            AttrKind::OutputList => "output_list",
        }
    }

    /// The value of an attribute without default that is not given.
    pub fn empty(&self) -> AttrValue {
        match self {
            AttrKind::Bool => AttrValue::Bool(false),
            AttrKind::Int { .. } => AttrValue::Int(0),
            AttrKind::String { .. } => AttrValue::String("".into()),
            AttrKind::StringList => AttrValue::StringList(vec![]),
            AttrKind::IntList => AttrValue::IntList(vec![]),
            AttrKind::StringDict => AttrValue::StringDict(vec![]),
            AttrKind::StringListDict => AttrValue::StringListDict(vec![]),
            AttrKind::LabelList(_) | AttrKind::OutputList => AttrValue::LabelList(vec![]),
            AttrKind::LabelKeyedStringDict(_) => AttrValue::LabelKeyedStringDict(vec![]),
            AttrKind::StringKeyedLabelDict(_) => AttrValue::StringKeyedLabelDict(vec![]),
            AttrKind::Label(_) | AttrKind::Output => AttrValue::None,
        }
    }
}

/// An error of the user's code.
pub fn user_error<T>(message: String) -> anyhow::Result<T> {
    Err(Diagnostic::user(message).into())
}

/// The items of a list or tuple.
pub fn elements<'v>(value: Value<'v>) -> Option<Vec<Value<'v>>> {
    ListRef::from_value(value)
        .map(|list| list.iter().collect())
        .or_else(|| TupleRef::from_value(value).map(|tuple| tuple.iter().collect()))
}

/// `allow_files`, `allow_single_file`: True, False or a list of suffixes.
fn allowed_files(value: Option<Value>, argument: &str) -> anyhow::Result<Option<AllowFiles>> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(None) };
    if let Some(any) = value.unpack_bool() {
        return Ok(Some(if any { AllowFiles::Any } else { AllowFiles::No }));
    }
    let suffixes = elements(value)
        .and_then(|items| items.iter().map(|item| item.unpack_str().map(Arc::from)).collect());
    match suffixes {
        Some(suffixes) => Ok(Some(AllowFiles::Suffixes(suffixes))),
        None => user_error(format!(
            "`{argument}` must be True, False or a list of suffixes such as `\".txt\"`, but is `{}` ({})",
            value.to_repr(),
            value.get_type()
        )),
    }
}

/// `cfg`.
fn configuration(value: Option<Value>, required: bool) -> anyhow::Result<Cfg> {
    let Some(value) = value.filter(|value| !value.is_none()) else {
        if required {
            return Err(Diagnostic::user("an attribute with `executable = True` must say its `cfg`")
                .hint("`cfg = \"exec\"` for a tool of an action, `cfg = \"target\"` for what runs with the product")
                .into());
        }
        return Ok(Cfg::Target);
    };
    match value.unpack_str() {
        Some("target") => return Ok(Cfg::Target),
        Some("exec" | "host") => return Ok(Cfg::Exec),
        _ => {}
    }
    match value.request_value::<TransitionName>() {
        Some(TransitionName(name)) => Ok(Cfg::Transition(name)),
        None => user_error(format!(
            "`cfg` must be \"target\", \"exec\" or a transition, but is `{}` ({})",
            value.to_repr(),
            value.get_type()
        )),
    }
}

/// `providers`: a list, or a list of alternatives.
fn demanded_providers(value: Option<Value>) -> anyhow::Result<Vec<Vec<ProviderId>>> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(vec![]) };
    let wrong = |value: Value| {
        Diagnostic::user(format!(
            "`providers` must be a list of providers, or of lists of them, but has `{}` ({})",
            value.to_repr(),
            value.get_type()
        ))
    };
    let provider = |value: Value| {
        value.request_value::<ProviderName>().map(|name| name.0).ok_or_else(|| wrong(value))
    };
    let items = elements(value).ok_or_else(|| wrong(value))?;
    if items.iter().any(|item| elements(*item).is_some()) {
        let mut alternatives = Vec::new();
        for item in items {
            let set = elements(item).ok_or_else(|| wrong(item))?;
            alternatives.push(set.into_iter().map(provider).collect::<Result<_, _>>()?);
        }
        return Ok(alternatives);
    }
    if items.is_empty() {
        return Ok(vec![]);
    }
    Ok(vec![items.into_iter().map(provider).collect::<Result<_, _>>()?])
}

/// What only attributes of labels take.
#[derive(Default)]
pub struct LabelArguments<'v> {
    /// Which files it accepts.
    pub allow_files: Option<Value<'v>>,
    /// The same, for one file.
    pub allow_single_file: Option<Value<'v>>,
    /// What its targets must provide.
    pub providers: Option<Value<'v>>,
    /// How its targets are configured.
    pub cfg: Option<Value<'v>>,
    /// Whether its target must be a program.
    pub executable: bool,
    /// Not supported.
    pub aspects: Option<Value<'v>>,
}

/// What an attribute of labels accepts.
pub fn label_attr(arguments: LabelArguments) -> anyhow::Result<LabelAttr> {
    if let Some(aspects) = arguments.aspects
        && aspects.to_bool()
    {
        return Err(not_there("`aspects` of an attribute")
            .hint("let the rules hand on what you need in a provider, and collect it from `deps`")
            .into());
    }
    let files = allowed_files(arguments.allow_files, "allow_files")?;
    let single = allowed_files(arguments.allow_single_file, "allow_single_file")?;
    if files.is_some() && single.is_some() {
        return user_error("`allow_files` and `allow_single_file` exclude each other".to_owned());
    }
    Ok(LabelAttr {
        single_file: single.as_ref().is_some_and(|single| !matches!(single, AllowFiles::No)),
        allow_files: single.or(files).unwrap_or(AllowFiles::No),
        providers: demanded_providers(arguments.providers)?,
        cfg: configuration(arguments.cfg, arguments.executable)?,
        executable: arguments.executable,
    })
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The attributes of a dict, in its order.
pub fn attribute_dict(value: Value) -> anyhow::Result<Vec<(Arc<str>, AttrSchema)>> {
    let Some(dict) = DictRef::from_value(value) else {
        return user_error(format!(
            "`attrs` must be a dict from names to `attr.*()`, but is `{}` ({})",
            value.to_repr(),
            value.get_type()
        ));
    };
    let mut attributes = Vec::with_capacity(dict.len());
    for (name, attribute) in dict.iter() {
        let Some(name) = name.unpack_str() else {
            return user_error(format!("`{}` is no name of an attribute", name.to_repr()));
        };
        if !is_identifier(name) {
            return user_error(format!(
                "`{name}` cannot be the name of an attribute: it takes letters, digits and `_`, and begins with no digit"
            ));
        }
        match attribute.downcast_ref::<StarlarkAttribute>() {
            Some(attribute) => attributes.push((name.into(), attribute.0.clone())),
            None => {
                return user_error(format!(
                    "the attribute `{name}` must be declared with `attr.*()`, but is `{}` ({})",
                    attribute.to_repr(),
                    attribute.get_type()
                ));
            }
        }
    }
    Ok(attributes)
}
