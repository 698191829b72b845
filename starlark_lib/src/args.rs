//! `Args`: command lines under construction, expanded only when they are needed.

use std::fmt;
use std::sync::{Arc, Mutex};

use allocative::Allocative;
use rbz_engine::action::{ArgItem, ArgValues, Args, Joined, ManyArgs, ParamFile, ParamFileFormat};
use rbz_engine::artifact::ArtifactKind;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::value::Value as Plain;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::none::NoneOr;
use starlark::values::{
    NoSerialize, ProvidesStaticType, StarlarkValue, Value, ValueTyped, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};

use crate::action_arguments::{list, wrong};
use crate::conversion::to_plain;
use crate::depset_value::DepsetValue;
use crate::map_each;

/// What `ctx.actions.args()` yields.
#[derive(Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct ArgsValue(#[allocative(skip)] Mutex<Args>);

starlark_simple_value!(ArgsValue);
starlark::methods_static!(METHODS = args_methods);

impl ArgsValue {
    /// Without arguments.
    pub fn new() -> Self {
        ArgsValue(Mutex::default())
    }

    /// What has been added so far.
    pub fn args(&self) -> Arc<Args> {
        Arc::new(self.lock().clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Args> {
        self.0.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    fn push(&self, item: ArgItem) {
        self.lock().items.push(item);
    }
}

impl Default for ArgsValue {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for ArgsValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<Args>")
    }
}

#[starlark_value(type = "Args")]
impl<'v> StarlarkValue<'v> for ArgsValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }
}

type This<'v> = ValueTyped<'v, ArgsValue>;

#[starlark_module]
fn args_methods(builder: &mut MethodsBuilder) {
    /// Adds one argument, after the flag in front of it if there is one.
    fn add<'v>(
        this: ValueTyped<'v, ArgsValue>,
        #[starlark(require = pos)] arg_name_or_value: Value<'v>,
        #[starlark(require = pos)] value: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] format: NoneOr<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<This<'v>> {
        let (flag, value) = flag_and_value("add", arg_name_or_value, value)?;
        let format = format_argument("format", format)?;
        let value = scalar(value, eval)?;
        if value.as_file().is_some_and(|file| file.kind() == ArtifactKind::RunfilesTree) {
            return Err(Diagnostic::user("a runfiles tree cannot be an argument").into());
        }
        this.push(ArgItem::One { flag, value, format });
        Ok(this)
    }

    /// Adds each value as an argument.
    fn add_all<'v>(
        this: ValueTyped<'v, ArgsValue>,
        #[starlark(require = pos)] arg_name_or_values: Value<'v>,
        #[starlark(require = pos)] values: Option<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] map_each: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] format_each: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] before_each: NoneOr<&str>,
        #[starlark(require = named, default = true)] omit_if_empty: bool,
        #[starlark(require = named, default = false)] uniquify: bool,
        #[starlark(require = named, default = true)] expand_directories: bool,
        #[starlark(require = named, default = NoneOr::None)] terminate_with: NoneOr<&str>,
        #[starlark(require = named, default = false)] allow_closure: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<This<'v>> {
        let (flag, values) = flag_and_value("add_all", arg_name_or_values, values)?;
        let values =
            arg_values("add_all", values, map_each, expand_directories, allow_closure, eval)?;
        this.push(ArgItem::Many(ManyArgs {
            flag,
            values,
            format_each: format_argument("format_each", format_each)?,
            before_each: before_each.into_option().map(Arc::from),
            terminate_with: terminate_with.into_option().map(Arc::from),
            omit_if_empty,
            uniquify,
            expand_directories,
            joined: None,
        }));
        Ok(this)
    }

    /// Adds one argument made of all values.
    fn add_joined<'v>(
        this: ValueTyped<'v, ArgsValue>,
        #[starlark(require = pos)] arg_name_or_values: Value<'v>,
        #[starlark(require = pos)] values: Option<Value<'v>>,
        #[starlark(require = named)] join_with: &str,
        #[starlark(require = named, default = NoneOr::None)] map_each: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] format_each: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] format_joined: NoneOr<&str>,
        #[starlark(require = named, default = true)] omit_if_empty: bool,
        #[starlark(require = named, default = false)] uniquify: bool,
        #[starlark(require = named, default = true)] expand_directories: bool,
        #[starlark(require = named, default = false)] allow_closure: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<This<'v>> {
        let (flag, values) = flag_and_value("add_joined", arg_name_or_values, values)?;
        let values =
            arg_values("add_joined", values, map_each, expand_directories, allow_closure, eval)?;
        this.push(ArgItem::Many(ManyArgs {
            flag,
            values,
            format_each: format_argument("format_each", format_each)?,
            before_each: None,
            terminate_with: None,
            omit_if_empty,
            uniquify,
            expand_directories,
            joined: Some(Joined {
                join_with: join_with.into(),
                format_joined: format_argument("format_joined", format_joined)?,
            }),
        }));
        Ok(this)
    }

    /// Lets a long command line go to a file, which `param_file_arg` names.
    fn use_param_file<'v>(
        this: ValueTyped<'v, ArgsValue>,
        param_file_arg: &str,
        #[starlark(require = named, default = false)] use_always: bool,
    ) -> anyhow::Result<This<'v>> {
        if param_file_arg.matches("%s").count() != 1 {
            return Err(Diagnostic::user(format!(
                "`param_file_arg` must contain `%s` once, for the file's path, but is `{param_file_arg}`"
            ))
            .into());
        }
        this.lock().param_file =
            Some(ParamFile { flag_format: param_file_arg.into(), always: use_always });
        Ok(this)
    }

    /// Says how the arguments stand in a file: `shell`, `multiline` or `flag_per_line`.
    fn set_param_file_format<'v>(
        this: ValueTyped<'v, ArgsValue>,
        #[starlark(require = pos)] format: &str,
    ) -> anyhow::Result<This<'v>> {
        this.lock().format = match format {
            "shell" => ParamFileFormat::Shell,
            "multiline" => ParamFileFormat::Multiline,
            "flag_per_line" => ParamFileFormat::FlagPerLine,
            _ => {
                return Err(Diagnostic::user(format!(
                    "`{format}` is no format of parameter files; those are `shell`, `multiline` and \
                     `flag_per_line`"
                ))
                .into());
            }
        };
        Ok(this)
    }
}

/// Tells `add(flag, value)` from `add(value)`.
fn flag_and_value<'v>(
    method: &str,
    first: Value<'v>,
    second: Option<Value<'v>>,
) -> Result<(Option<Arc<str>>, Value<'v>), Diagnostic> {
    let Some(value) = second else { return Ok((None, first)) };
    match first.unpack_str() {
        Some(flag) => Ok((Some(flag.into()), value)),
        None => Err(wrong(&format!("arg_name` of `{method}"), "a string", first)),
    }
}

fn format_argument(name: &str, format: NoneOr<&str>) -> Result<Option<Arc<str>>, Diagnostic> {
    let Some(format) = format.into_option() else { return Ok(None) };
    // `%%` stands for one percent sign.
    if format.replace("%%", "").matches("%s").count() != 1 {
        return Err(Diagnostic::user(format!(
            "`{name}` must contain `%s` once, for the value, but is `{format}`"
        )));
    }
    Ok(Some(format.into()))
}

fn scalar<'v>(value: Value<'v>, eval: &Evaluator<'v, '_, '_>) -> anyhow::Result<Plain> {
    let plain = to_plain(value, eval).map_err(|error| {
        Diagnostic::user(format!("an argument cannot be {}", error.describe("value")))
    })?;
    match plain {
        Plain::Str(_) | Plain::Int(_) | Plain::BigInt(_) | Plain::Label(_) | Plain::File(_) => {
            Ok(plain)
        }
        Plain::Bool(_) | Plain::Float(_) => Ok(Plain::Str(value.to_str().into())),
        Plain::List(_) | Plain::Tuple(_) | Plain::Depset(_) => {
            Err(Diagnostic::user(format!("`add` takes one value, not a {}", plain.type_name()))
                .hint("use `add_all` or `add_joined`")
                .into())
        }
        _ => Err(Diagnostic::user(format!(
            "an argument must be a string, a file, a label or a number, not {}",
            crate::value_repr::with_article(plain.type_name())
        ))
        .into()),
    }
}

/// The values of `add_all` and `add_joined`, with `map_each` applied.
pub fn arg_values<'v>(
    method: &str,
    values: Value<'v>,
    map_each: NoneOr<Value<'v>>,
    expand_directories: bool,
    allow_closure: bool,
    eval: &mut Evaluator<'v, '_, '_>,
) -> anyhow::Result<ArgValues> {
    let mapping = map_each
        .into_option()
        .map(|function| map_each::Mapping::new(function, expand_directories, allow_closure, eval))
        .transpose()?;
    if let Some(depset) = DepsetValue::from_value(values) {
        return Ok(ArgValues::Depset(match mapping {
            Some(mapping) => mapping.depset(&depset.0, eval)?,
            None => depset.0.clone(),
        }));
    }
    let expected = "a list or a depset";
    let items = list(&format!("values` of `{method}"), expected, values)?;
    let mut plain = Vec::with_capacity(items.len());
    for item in items {
        let item = to_plain(item, eval).map_err(|error| {
            Diagnostic::user(format!("an argument cannot be {}", error.describe("values")))
        })?;
        match &mapping {
            Some(mapping) => plain.extend(mapping.value(&item, eval)?),
            None => match item {
                Plain::Bool(_) => {
                    plain.push(Plain::str(if item == Plain::Bool(true) { "True" } else { "False" }))
                }
                _ => plain.push(item),
            },
        }
    }
    Ok(ArgValues::List(plain.into()))
}
