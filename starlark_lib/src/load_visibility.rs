//! `visibility()`: which packages may load a .bzl file.

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::PackageId;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::none::NoneType;

use crate::action_arguments::strings;
use crate::evaluation::Evaluation;
use crate::module::{LoadStatement, LoadedModule};
use crate::package::{PackagePattern, patterns_cover};

/// `visibility()`.
#[starlark_module]
pub fn visibility_functions(builder: &mut GlobalsBuilder) {
    /// Says which packages, besides its own, may load the file.
    fn visibility<'v>(
        value: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let evaluation = Evaluation::of(eval)?;
        let module = evaluation.module("visibility")?;
        if evaluation.calling_file(eval).as_ref() != Some(&module.label) {
            return Err(Diagnostic::user(format!(
                "`visibility` is called for `{}` in another file",
                module.label
            ))
            .hint("call it at the top level of the file that it is about")
            .into());
        }
        let texts = match value.unpack_str() {
            Some(text) => vec![text.into()],
            None => strings("value", value)?,
        };
        let mut patterns = Vec::new();
        for text in texts.iter().filter(|text| &***text != "private") {
            let pattern = PackagePattern::parse(text, evaluation, module.label.package())?;
            if pattern.exclude {
                return Err(Diagnostic::user(format!(
                    "`{text}` takes packages away, which `visibility` of a .bzl file cannot do"
                ))
                .into());
            }
            patterns.push(pattern);
        }
        module.visibility.set(patterns).map_err(|_| {
            Diagnostic::user("`visibility` is called twice; it may be called once in a file")
        })?;
        Ok(NoneType)
    }
}

/// Says that the file `from` may not load a module, if it may not.
pub fn check(
    load: &LoadStatement,
    module: &LoadedModule,
    from: &PackageId,
) -> Result<(), Box<Diagnostic>> {
    let Some(patterns) = &module.visibility else { return Ok(()) };
    if module.label.package() == from || patterns_cover(patterns, from) {
        return Ok(());
    }
    let error = Diagnostic::user(format!(
        "`{}` is not visible to the package `{from}`, as its `visibility()` says",
        module.label
    ));
    let error = error.hint(format!("add `\"{from}\"` to the list there, or load something else"));
    Err(Box::new(error.at(load.place.clone()).with_source(load.source.clone())))
}
