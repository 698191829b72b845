//! `Label`: labels as Starlark values.

use std::fmt;
use std::hash::Hash;

use allocative::Allocative;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::Label;
use starlark::any::ProvidesStaticType;
use starlark::collections::StarlarkHasher;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::starlark_simple_value;
use starlark::values::{NoSerialize, StarlarkValue, Value, ValueLike, ValueTyped, starlark_value};

use crate::evaluation::Evaluation;

/// A label as a value.
#[derive(Clone, ProvidesStaticType, NoSerialize, Allocative)]
pub struct StarlarkLabel(#[allocative(skip)] pub Label);

starlark_simple_value!(StarlarkLabel);

impl fmt::Debug for StarlarkLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Label(\"{}\")", self.0)
    }
}

// The label itself also where Bazel's `repr` would wrap it: `%s` and `format` show this form of
// everything that is no string.
impl fmt::Display for StarlarkLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[starlark_value(type = "Label")]
impl<'v> StarlarkValue<'v> for StarlarkLabel {
    fn get_methods() -> Option<&'static Methods> {
        starlark::methods_static!(METHODS = label_methods);
        Some(METHODS.methods())
    }

    fn collect_str(&self, collector: &mut String) {
        collector.push_str(&self.0.to_string());
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.downcast_ref::<StarlarkLabel>().is_some_and(|other| other.0 == self.0))
    }

    fn compare(&self, other: Value<'v>) -> starlark::Result<std::cmp::Ordering> {
        match other.downcast_ref::<StarlarkLabel>() {
            Some(other) => Ok(self.0.cmp(&other.0)),
            None => starlark::values::ValueError::unsupported_with(self, "compare", other),
        }
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        self.0.hash(hasher);
        Ok(())
    }
}

#[starlark_module]
fn label_methods(builder: &mut MethodsBuilder) {
    /// The name of the target.
    #[starlark(attribute)]
    fn name<'v>(this: ValueTyped<'v, StarlarkLabel>) -> anyhow::Result<String> {
        Ok(this.0.name().to_owned())
    }

    /// The path of the package.
    #[starlark(attribute)]
    fn package<'v>(this: ValueTyped<'v, StarlarkLabel>) -> anyhow::Result<String> {
        Ok(this.0.package().path.to_string())
    }

    /// The name of the repository; empty for the main one.
    #[starlark(attribute)]
    fn workspace_name<'v>(this: ValueTyped<'v, StarlarkLabel>) -> anyhow::Result<String> {
        Ok(this.0.package().repo.as_str().to_owned())
    }

    /// The name of the repository; empty for the main one.
    #[starlark(attribute)]
    fn repo_name<'v>(this: ValueTyped<'v, StarlarkLabel>) -> anyhow::Result<String> {
        Ok(this.0.package().repo.as_str().to_owned())
    }

    /// The directory of the repository in the execution root; empty for the main one.
    #[starlark(attribute)]
    fn workspace_root<'v>(this: ValueTyped<'v, StarlarkLabel>) -> anyhow::Result<String> {
        let repo = &this.0.package().repo;
        Ok(if repo.is_main() { String::new() } else { format!("external/{}", repo.as_str()) })
    }

    /// The label that `relName` means in this label's package.
    fn relative<'v>(
        this: ValueTyped<'v, StarlarkLabel>,
        #[starlark(require = pos)] rel_name: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkLabel> {
        let session = &Evaluation::of(eval)?.session;
        Ok(StarlarkLabel(parsed(session.parse_label(rel_name, this.0.package()))?))
    }

    /// The label of another target in this label's package.
    fn same_package_label<'v>(
        this: ValueTyped<'v, StarlarkLabel>,
        #[starlark(require = pos)] target_name: &str,
    ) -> anyhow::Result<StarlarkLabel> {
        let name = format!(":{target_name}");
        Ok(StarlarkLabel(parsed(Label::parse(&name, this.0.package()))?))
    }
}

/// `Label()`.
#[starlark_module]
pub fn label_functions(builder: &mut GlobalsBuilder) {
    /// The label that a text means in the package of the .bzl file that holds the call.
    #[allow(non_snake_case)]
    fn Label<'v>(
        #[starlark(require = pos)] input: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkLabel> {
        let evaluation = Evaluation::of(eval)?;
        let package = evaluation.calling_package(eval)?;
        label_from(input, evaluation, &package).map(StarlarkLabel)
    }
}

/// The label that `value`, a `Label` or a string, means in `package`.
pub fn label_from(
    value: Value,
    evaluation: &Evaluation,
    package: &rbz_engine::label::PackageId,
) -> anyhow::Result<Label> {
    if let Some(label) = value.downcast_ref::<StarlarkLabel>() {
        return Ok(label.0.clone());
    }
    match value.unpack_str() {
        Some(text) => parsed(evaluation.session.parse_label(text, package)),
        None => Err(Diagnostic::user(format!(
            "expected a label or a string, but got `{}` ({})",
            value.to_repr(),
            value.get_type()
        ))
        .into()),
    }
}

fn parsed(label: Result<Label, rbz_engine::label::LabelError>) -> anyhow::Result<Label> {
    label.map_err(|error| Diagnostic::user(error.to_string()).into())
}
