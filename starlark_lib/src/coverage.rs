//! `coverage_common`: how rules say which of their files coverage instruments.

use std::sync::Arc;

use rbz_engine::depset::{Depset, Order};
use rbz_engine::value::{ProviderInstance, Value as Plain};
use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::none::NoneOr;

use crate::action_arguments::{file_set, strings, wrong};
use crate::builtin_providers::Builtin;
use crate::ctx::CtxValue;
use crate::provider_value::ProviderInstanceValue;
use crate::rule_context::RuleContext;

/// The members of `coverage_common`.
#[starlark_module]
pub fn coverage_members(builder: &mut GlobalsBuilder) {
    /// What of the target's sources, and of its dependencies', coverage instruments.
    fn instrumented_files_info<'v>(
        #[starlark(require = pos)] ctx: Value<'v>,
        #[starlark(require = named, default = NoneOr::None)] source_attributes: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] dependency_attributes: NoneOr<
            Value<'v>,
        >,
        #[starlark(require = named, default = NoneOr::None)] extensions: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] metadata_files: NoneOr<Value<'v>>,
    ) -> anyhow::Result<ProviderInstanceValue> {
        let context = &CtxValue::from_value(ctx).ok_or_else(|| wrong("ctx", "`ctx`", ctx))?.0;
        context.check_alive()?;
        let names = |name: &str, value: NoneOr<Value<'v>>| match value.into_option() {
            Some(list) => strings(name, list),
            None => Ok(Vec::new()),
        };
        let extensions = match extensions.into_option() {
            Some(list) => Some(strings("extensions", list)?),
            None => None,
        };
        let sources = names("source_attributes", source_attributes)?;
        let dependencies = names("dependency_attributes", dependency_attributes)?;
        let mut metadata = from_dependencies(context, &dependencies, "metadata_files");
        if let Some(files) = metadata_files.into_option() {
            metadata.push(file_set("metadata_files", files)?);
        }
        let mut instrumented = from_dependencies(context, &dependencies, "instrumented_files");
        if context.is_instrumented(&context.label, context.schema.test)? {
            let fits = |name: &str| match &extensions {
                Some(extensions) => name
                    .rsplit_once('.')
                    .is_some_and(|(_, own)| extensions.iter().any(|extension| &**extension == own)),
                None => true,
            };
            let attributes = sources.iter().filter_map(|name| context.attribute(name));
            let files = attributes.flat_map(|attribute| context.files(attribute));
            let files = files.filter(|file| file.is_source() && fits(file.basename()));
            instrumented.push(Depset::of_files(files));
        }
        let depset =
            |parts: Vec<Depset>| Depset::new(Order::Default, vec![], parts).map(Plain::Depset);
        let fields = vec![
            ("instrumented_files".into(), depset(instrumented)?),
            ("metadata_files".into(), depset(metadata)?),
        ];
        let instance = ProviderInstance::new(Builtin::InstrumentedFilesInfo.id(), fields);
        Ok(ProviderInstanceValue(Arc::new(instance)))
    }
}

fn from_dependencies(context: &RuleContext, attributes: &[Arc<str>], field: &str) -> Vec<Depset> {
    attributes
        .iter()
        .filter_map(|name| context.attribute(name))
        .flat_map(|attribute| &attribute.dependencies)
        .filter_map(|(_, index)| {
            let target = &context.dependencies[*index];
            match target.provider(&Builtin::InstrumentedFilesInfo.id())?.get(field)? {
                Plain::Depset(files) => Some(files.clone()),
                _ => None,
            }
        })
        .collect()
}
