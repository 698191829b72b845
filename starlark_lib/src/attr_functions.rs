//! `attr.*`: the functions by which rules declare their attributes.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::starlark_simple_value;
use starlark::values::list::UnpackList;
use starlark::values::none::NoneOr;
use starlark::values::{NoSerialize, StarlarkValue, Value, starlark_value};

use crate::attr::{AttrKind, AttrSchema};
use crate::attr_arguments::{Common, LabelArguments, attribute, elements, label_attr, user_error};

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
        let common = Common { default: None, mandatory, configurable: NoneOr::Other(false), doc };
        attribute(AttrKind::Output, true, common, eval)
    }

    /// Names in the package: files that the target makes.
    fn output_list<'v>(
        #[starlark(default = true)] allow_empty: bool,
        #[starlark(require = named, default = NoneOr::None)] doc: NoneOr<&str>,
        #[starlark(require = named, default = false)] mandatory: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkAttribute> {
        let common = Common { default: None, mandatory, configurable: NoneOr::Other(false), doc };
        attribute(AttrKind::OutputList, allow_empty, common, eval)
    }
}
