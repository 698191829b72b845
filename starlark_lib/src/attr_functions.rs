//! `attr.*`: the functions by which rules declare their attributes.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::value::{FunctionRef, ProviderId};
use starlark::any::ProvidesStaticType;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::starlark_simple_value;
use starlark::values::dict::DictRef;
use starlark::values::list::{ListRef, UnpackList};
use starlark::values::none::NoneOr;
use starlark::values::tuple::TupleRef;
use starlark::values::{NoSerialize, StarlarkValue, Value, ValueLike, starlark_value};

use crate::attr::{AllowFiles, AttrDefault, AttrKind, AttrSchema, AttrValue, Cfg, LabelAttr};
use crate::attribute_conversion;
use crate::evaluation::Evaluation;
use crate::not_there::not_there;

/// What `attr.*` returns.
#[derive(Clone, ProvidesStaticType, NoSerialize, Allocative)]
pub struct StarlarkAttribute(#[allocative(skip)] pub AttrSchema);

starlark_simple_value!(StarlarkAttribute);

impl fmt::Debug for StarlarkAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StarlarkAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<attr.{}>", self.0.kind.function())
    }
}

#[starlark_value(type = "Attribute")]
impl<'v> StarlarkValue<'v> for StarlarkAttribute {}

/// What a `transition` answers when it is asked for its name with `Value::request_value`.
#[derive(Clone, Debug, ProvidesStaticType)]
pub struct TransitionName(pub FunctionRef);

/// What a provider answers when it is asked for its name with `Value::request_value`.
#[derive(Clone, Debug, ProvidesStaticType)]
pub struct ProviderName(pub ProviderId);

/// The arguments that all of `attr.*` take.
struct Common<'a, 'v> {
    default: Option<Value<'v>>,
    mandatory: bool,
    configurable: bool,
    doc: NoneOr<&'a str>,
}

fn attribute<'v>(
    kind: AttrKind,
    allow_empty: bool,
    common: Common<'_, 'v>,
    eval: &Evaluator<'v, '_, '_>,
) -> anyhow::Result<StarlarkAttribute> {
    let mut schema = AttrSchema {
        default: AttrDefault::Value(AttrValue::None),
        mandatory: common.mandatory,
        configurable: common.configurable
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

fn user_error<T>(message: String) -> anyhow::Result<T> {
    Err(Diagnostic::user(message).into())
}

fn elements<'v>(value: Value<'v>) -> Option<Vec<Value<'v>>> {
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
struct LabelArguments<'v> {
    allow_files: Option<Value<'v>>,
    allow_single_file: Option<Value<'v>>,
    providers: Option<Value<'v>>,
    cfg: Option<Value<'v>>,
    executable: bool,
    aspects: Option<Value<'v>>,
}

fn label_attr(arguments: LabelArguments) -> anyhow::Result<LabelAttr> {
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

/// The members of `attr`.
#[starlark_module]
pub fn attr_members(builder: &mut GlobalsBuilder) {
    /// A boolean; 0 and 1 are accepted too.
    fn bool<'v>(
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = false)] mandatory: bool,
        #[starlark(require = named, default = NoneOr::None)] configurable: NoneOr<bool>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let configurable = configurable.into_option().unwrap_or(true);
        let common = Common { default, mandatory, configurable, doc };
        attribute(AttrKind::Bool, true, common, eval)
    }

    /// An integer, one of `values` if they are given.
    fn int<'v>(
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = false)] mandatory: bool,
        #[starlark(require = named, default = UnpackList::default())] values: UnpackList<i64>,
        #[starlark(require = named, default = NoneOr::None)] configurable: NoneOr<bool>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let configurable = configurable.into_option().unwrap_or(true);
        let common = Common { default, mandatory, configurable, doc };
        attribute(AttrKind::Int { values: values.items }, true, common, eval)
    }

    /// Integers.
    fn int_list<'v>(
        #[starlark(default = false)] mandatory: bool,
        #[starlark(default = true)] allow_empty: bool,
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] configurable: NoneOr<bool>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let configurable = configurable.into_option().unwrap_or(true);
        let common = Common { default, mandatory, configurable, doc };
        attribute(AttrKind::IntList, allow_empty, common, eval)
    }

    /// A string, one of `values` if they are given.
    fn string<'v>(
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = false)] mandatory: bool,
        #[starlark(require = named)] values: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] configurable: NoneOr<bool>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let configurable = configurable.into_option().unwrap_or(true);
        let values: Option<Vec<Arc<str>>> = values.map_or(Some(vec![]), |values| {
            elements(values)?.iter().map(|item| item.unpack_str().map(Arc::from)).collect()
        });
        let Some(values) = values else {
            return user_error("`values` of `attr.string` must be a list of strings".to_owned());
        };
        let common = Common { default, mandatory, configurable, doc };
        attribute(AttrKind::String { values }, true, common, eval)
    }

    /// Strings.
    fn string_list<'v>(
        #[starlark(default = false)] mandatory: bool,
        #[starlark(default = true)] allow_empty: bool,
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] configurable: NoneOr<bool>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let configurable = configurable.into_option().unwrap_or(true);
        let common = Common { default, mandatory, configurable, doc };
        attribute(AttrKind::StringList, allow_empty, common, eval)
    }

    /// A dict from strings to strings.
    fn string_dict<'v>(
        #[starlark(default = true)] allow_empty: bool,
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = false)] mandatory: bool,
        #[starlark(require = named, default = NoneOr::None)] configurable: NoneOr<bool>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let configurable = configurable.into_option().unwrap_or(true);
        let common = Common { default, mandatory, configurable, doc };
        attribute(AttrKind::StringDict, allow_empty, common, eval)
    }

    /// A dict from strings to lists of strings.
    fn string_list_dict<'v>(
        #[starlark(default = true)] allow_empty: bool,
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = false)] mandatory: bool,
        #[starlark(require = named, default = NoneOr::None)] configurable: NoneOr<bool>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let configurable = configurable.into_option().unwrap_or(true);
        let common = Common { default, mandatory, configurable, doc };
        attribute(AttrKind::StringListDict, allow_empty, common, eval)
    }

    /// A label: a dependency.
    fn label<'v>(
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = false)] executable: bool,
        #[starlark(require = named)] allow_files: Option<Value<'v>>,
        #[starlark(require = named)] allow_single_file: Option<Value<'v>>,
        #[starlark(require = named, default = false)] mandatory: bool,
        #[starlark(require = named)] providers: Option<Value<'v>>,
        #[starlark(require = named)] allow_rules: Option<Value<'v>>,
        #[starlark(require = named)] cfg: Option<Value<'v>>,
        #[starlark(require = named)] aspects: Option<Value<'v>>,
        #[starlark(require = named)] flags: Option<Value<'v>>,
        #[starlark(require = named, default = false)] skip_validations: bool,
        #[starlark(require = named, default = NoneOr::None)] configurable: NoneOr<bool>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let _ = (allow_rules, flags, skip_validations);
        let configurable = configurable.into_option().unwrap_or(true);
        let label = label_attr(LabelArguments {
            allow_files,
            allow_single_file,
            providers,
            cfg,
            executable,
            aspects,
        })?;
        let common = Common { default, mandatory, configurable, doc };
        attribute(AttrKind::Label(label), true, common, eval)
    }

    /// Labels: dependencies.
    fn label_list<'v>(
        #[starlark(default = true)] allow_empty: bool,
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named)] allow_files: Option<Value<'v>>,
        #[starlark(require = named)] providers: Option<Value<'v>>,
        #[starlark(require = named)] allow_rules: Option<Value<'v>>,
        #[starlark(require = named, default = false)] mandatory: bool,
        #[starlark(require = named)] cfg: Option<Value<'v>>,
        #[starlark(require = named)] aspects: Option<Value<'v>>,
        #[starlark(require = named)] flags: Option<Value<'v>>,
        #[starlark(require = named, default = false)] skip_validations: bool,
        #[starlark(require = named, default = NoneOr::None)] configurable: NoneOr<bool>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let _ = (allow_rules, flags, skip_validations);
        let configurable = configurable.into_option().unwrap_or(true);
        let arguments =
            LabelArguments { allow_files, providers, cfg, aspects, ..Default::default() };
        let label = label_attr(arguments)?;
        let common = Common { default, mandatory, configurable, doc };
        attribute(AttrKind::LabelList(label), allow_empty, common, eval)
    }

    /// A dict from labels, which are dependencies, to strings.
    fn label_keyed_string_dict<'v>(
        #[starlark(default = true)] allow_empty: bool,
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named)] allow_files: Option<Value<'v>>,
        #[starlark(require = named)] providers: Option<Value<'v>>,
        #[starlark(require = named)] allow_rules: Option<Value<'v>>,
        #[starlark(require = named, default = false)] mandatory: bool,
        #[starlark(require = named)] cfg: Option<Value<'v>>,
        #[starlark(require = named)] aspects: Option<Value<'v>>,
        #[starlark(require = named)] flags: Option<Value<'v>>,
        #[starlark(require = named, default = false)] skip_validations: bool,
        #[starlark(require = named, default = NoneOr::None)] configurable: NoneOr<bool>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let _ = (allow_rules, flags, skip_validations);
        let configurable = configurable.into_option().unwrap_or(true);
        let arguments =
            LabelArguments { allow_files, providers, cfg, aspects, ..Default::default() };
        let label = label_attr(arguments)?;
        let common = Common { default, mandatory, configurable, doc };
        attribute(AttrKind::LabelKeyedStringDict(label), allow_empty, common, eval)
    }

    /// A dict from strings to labels, which are dependencies.
    fn string_keyed_label_dict<'v>(
        #[starlark(default = true)] allow_empty: bool,
        #[starlark(require = named)] default: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named)] allow_files: Option<Value<'v>>,
        #[starlark(require = named)] providers: Option<Value<'v>>,
        #[starlark(require = named, default = false)] mandatory: bool,
        #[starlark(require = named)] cfg: Option<Value<'v>>,
        #[starlark(require = named)] aspects: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] configurable: NoneOr<bool>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let configurable = configurable.into_option().unwrap_or(true);
        let arguments =
            LabelArguments { allow_files, providers, cfg, aspects, ..Default::default() };
        let label = label_attr(arguments)?;
        let common = Common { default, mandatory, configurable, doc };
        attribute(AttrKind::StringKeyedLabelDict(label), allow_empty, common, eval)
    }

    /// A name in the package: a file that the target makes.
    fn output<'v>(
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = false)] mandatory: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let common = Common { default: None, mandatory, configurable: false, doc };
        attribute(AttrKind::Output, true, common, eval)
    }

    /// Names in the package: files that the target makes.
    fn output_list<'v>(
        #[starlark(default = true)] allow_empty: bool,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = false)] mandatory: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let common = Common { default: None, mandatory, configurable: false, doc };
        attribute(AttrKind::OutputList, allow_empty, common, eval)
    }
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
