//! Formats: Starlark functions that make a line of text of a configured target, for queries.

use std::fmt;
use std::sync::{Arc, Mutex};

use allocative::Allocative;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::{Label, PackageId, RepoName};
use rbz_engine::value::{TargetValue as PlainTarget, Value as Plain};
use starlark::any::ProvidesStaticType;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_simple_value;
use starlark::values::dict::AllocDict;
use starlark::values::{NoSerialize, StarlarkValue, Value, ValueLike, starlark_value};

use crate::configuration::Configuration;
use crate::configured_target::ConfiguredTarget;
use crate::conversion::from_plain;
use crate::dialect::{self, FileKind};
use crate::limits;
use crate::loader::Loader;
use crate::provider_value::ProviderInstanceValue;
use crate::target_value::TargetValue;
use crate::transitions::with_evaluator;

/// A target to be formatted.
#[derive(Clone, Debug)]
pub struct Formatted {
    /// Its label; that of an alias is its own.
    pub label: Label,
    /// What analysis made of it.
    pub target: Arc<ConfiguredTarget>,
    /// Its configuration; `None` for a file of the source tree.
    pub configuration: Option<Arc<Configuration>>,
}

/// A function `format(target)`, in Starlark.
#[derive(Clone, Debug)]
pub struct FormatFunction {
    file: String,
    text: String,
}

impl FormatFunction {
    /// The one that returns the value of an expression in which `target` stands.
    pub fn of_expression(expression: &str) -> FormatFunction {
        FormatFunction {
            file: "starlark:expr".to_owned(),
            // On one line, so that places in it are those of the expression, apart from the column.
            text: format!("def format(target): return ({expression})\n"),
        }
    }

    /// The one that a file defines.
    pub fn of_file(file: &str, text: &str) -> FormatFunction {
        FormatFunction { file: file.to_owned(), text: text.to_owned() }
    }

    /// What it makes of each target. `None` is the empty text.
    pub fn apply(&self, loader: &Loader, targets: &[Formatted]) -> Result<Vec<String>, Diagnostic> {
        let ast = dialect::parse(&self.file, &self.text, FileKind::Bzl).map_err(|e| *e)?;
        let main = PackageId::new(RepoName::main(), "");
        let globals = loader.shared().language().of(FileKind::Bzl);
        let current = Current::default();
        with_evaluator(loader, &main.label("format"), |eval| {
            let module = eval.module();
            module.set("providers", eval.heap().alloc(ProvidersFunction));
            module.set("build_options", eval.heap().alloc(BuildOptionsFunction(current.clone())));
            limits::run(eval, FileKind::Bzl, |eval| {
                eval.eval_module(ast, globals)?;
                let function = eval.module().get("format").ok_or_else(|| {
                    other(
                        Diagnostic::user(format!("`{}` has no function `format`", self.file))
                            .hint("write `def format(target):`, and return what is to be shown"),
                    )
                })?;
                let mut lines = Vec::with_capacity(targets.len());
                for formatted in targets {
                    let plain = PlainTarget {
                        label: formatted.label.clone(),
                        providers: formatted.target.providers.clone(),
                    };
                    let target = eval.heap().alloc(TargetValue::from_plain(&Arc::new(plain)));
                    // Nobody panics with it.
                    *current.0.lock().unwrap_or_else(|poison| poison.into_inner()) =
                        formatted.configuration.clone();
                    let value = limits::call(eval, function, &[target], &[])?;
                    lines.push(if value.is_none() { String::new() } else { value.to_str() });
                }
                Ok(lines)
            })
        })
        .map_err(|error| *error)
    }
}

fn other(error: Diagnostic) -> starlark::Error {
    starlark::Error::new_other(anyhow::Error::new(error))
}

/// The one argument of a function, a target.
fn target_argument<'v>(
    name: &str,
    args: &Arguments<'v, '_>,
    eval: &Evaluator<'v, '_, '_>,
) -> starlark::Result<Arc<PlainTarget>> {
    args.no_named_args()?;
    let [target] = args.positional(eval.heap())?;
    let found = target.downcast_ref::<TargetValue>().map(TargetValue::plain);
    found.ok_or_else(|| other(Diagnostic::user(format!("`{name}` takes a target"))))
}

/// `providers(target)`: its providers by their names.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
struct ProvidersFunction;

starlark_simple_value!(ProvidersFunction);

impl fmt::Display for ProvidersFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<function providers>")
    }
}

#[starlark_value(type = "function")]
impl<'v> StarlarkValue<'v> for ProvidersFunction {
    fn invoke(
        &self,
        _me: Value<'v>,
        args: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let target = target_argument("providers", args, eval)?;
        let heap = eval.heap();
        let entries: Vec<(String, Value<'v>)> = target
            .providers
            .iter()
            .map(|instance| {
                let name = match &instance.id.module {
                    // As Bazel names them.
                    Some(module) => format!("{module}%{}", instance.id.name),
                    None => instance.id.name.to_string(),
                };
                (name, heap.alloc(ProviderInstanceValue(instance.clone())))
            })
            .collect();
        Ok(heap.alloc(AllocDict(entries)))
    }
}

/// The configuration of the target that is being formatted.
#[derive(Clone, Debug, Default)]
struct Current(Arc<Mutex<Option<Arc<Configuration>>>>);

/// `build_options(target)`: the options of its configuration; `None` for a file.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
struct BuildOptionsFunction(#[allocative(skip)] Current);

starlark_simple_value!(BuildOptionsFunction);

impl fmt::Display for BuildOptionsFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<function build_options>")
    }
}

#[starlark_value(type = "function")]
impl<'v> StarlarkValue<'v> for BuildOptionsFunction {
    fn invoke(
        &self,
        _me: Value<'v>,
        args: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        target_argument("build_options", args, eval)?;
        let current = self.0.0.lock().unwrap_or_else(|poison| poison.into_inner()).clone();
        let Some(configuration) = current else { return Ok(Value::new_none()) };
        let options = configuration
            .options()
            .map(|(name, value)| (Plain::Str(name.clone()), value.clone()))
            .collect();
        Ok(from_plain(&Plain::Dict(options), eval.heap()))
    }
}
