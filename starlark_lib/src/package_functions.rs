//! The functions of BUILD files that are no rules: `package`, `exports_files` and so on.

use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::list::{ListRef, UnpackList};
use starlark::values::none::NoneType;
use starlark::values::{Value, ValueLike};

use crate::attr::AttrValue;
use crate::evaluation::Evaluation;
use crate::instantiation;
use crate::label_value::{StarlarkLabel, label_from};
use crate::package::Visibility;
use crate::package_builder::Declaration;

fn user_error<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(Diagnostic::user(message).into())
}

fn strings(value: Value, what: &str) -> anyhow::Result<Vec<Arc<str>>> {
    let items = ListRef::from_value(value).map(|list| {
        list.iter()
            .map(|item| {
                item.unpack_str().map(Arc::from).or_else(|| {
                    item.downcast_ref::<StarlarkLabel>().map(|label| label.0.to_string().into())
                })
            })
            .collect::<Option<Vec<Arc<str>>>>()
    });
    match items.flatten() {
        Some(items) => Ok(items),
        None => user_error(format!(
            "{what} must be a list of strings, but is `{}` ({})",
            value.to_repr(),
            value.get_type()
        )),
    }
}

fn given<'v>(value: Option<Value<'v>>) -> Option<Value<'v>> {
    value.filter(|value| !value.is_none())
}

/// `package` and its like.
#[starlark_module]
pub fn package_functions(builder: &mut GlobalsBuilder) {
    /// Sets what holds for all targets that follow.
    fn package<'v>(
        #[starlark(require = named)] default_visibility: Option<Value<'v>>,
        #[starlark(require = named)] default_testonly: Option<Value<'v>>,
        #[starlark(require = named)] default_deprecation: Option<Value<'v>>,
        #[starlark(require = named)] default_applicable_licenses: Option<Value<'v>>,
        #[starlark(require = named)] default_package_metadata: Option<Value<'v>>,
        #[starlark(require = named)] default_compatible_with: Option<Value<'v>>,
        #[starlark(require = named)] default_restricted_to: Option<Value<'v>>,
        #[starlark(require = named)] default_copts: Option<Value<'v>>,
        #[starlark(require = named)] features: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let evaluation = Evaluation::of(eval)?;
        let mut package = evaluation.package("package")?.borrow_mut();
        if package.defaults.declared {
            return user_error("`package` is called twice; it may be called once in a BUILD file");
        }
        package.defaults.declared = true;
        if let Some(value) = given(default_visibility) {
            let texts = strings(value, "`default_visibility`")?;
            let visibility = instantiation::visibility(&texts, evaluation, &package)?;
            package.defaults.visibility = Some((visibility, texts));
        }
        if let Some(value) = given(default_testonly) {
            let Some(flag) = value.unpack_bool().or(value.unpack_i32().map(|number| number != 0))
            else {
                return user_error("`default_testonly` must be True or False");
            };
            package.defaults.attrs.push(("testonly".into(), AttrValue::Bool(flag)));
        }
        if let Some(value) = given(default_deprecation) {
            let Some(text) = value.unpack_str() else {
                return user_error("`default_deprecation` must be a string");
            };
            package.defaults.attrs.push(("deprecation".into(), AttrValue::String(text.into())));
        }
        for (name, value) in [
            ("applicable_licenses", default_applicable_licenses),
            ("package_metadata", default_package_metadata),
            ("compatible_with", default_compatible_with),
            ("restricted_to", default_restricted_to),
            ("copts", default_copts),
        ] {
            if let Some(value) = given(value) {
                let texts = strings(value, &format!("`{name}` of `package`"))?;
                package.defaults.attrs.push((name.into(), AttrValue::StringList(texts)));
            }
        }
        if let Some(value) = given(features) {
            package.defaults.features = strings(value, "`features`")?;
        }
        Ok(NoneType)
    }

    /// Makes source files targets that other packages may depend on.
    fn exports_files<'v>(
        srcs: UnpackList<Value<'v>>,
        visibility: Option<Value<'v>>,
        licenses: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let _ = licenses;
        let evaluation = Evaluation::of(eval)?;
        let package = evaluation.package("exports_files")?;
        let declaration = Declaration::of_call(eval, &package.borrow().build_file);
        let visibility = match given(visibility) {
            Some(value) => {
                let texts = strings(value, "`visibility`")?;
                instantiation::visibility(&texts, evaluation, &package.borrow())?
            }
            None => Visibility { rules: vec![crate::package::VisibilityRule::Public] },
        };
        for src in srcs.items {
            let id = package.borrow().id.clone();
            let label = label_from(src, evaluation, &id)?;
            if *label.package() != id {
                return user_error(format!(
                    "`{label}` is no file of this package: only its own files can be exported"
                ));
            }
            package.borrow_mut().export_file(label.name(), visibility.clone(), &declaration)?;
        }
        Ok(NoneType)
    }

    /// Names the kinds of licenses; not checked.
    fn licenses<'v>(
        license_types: UnpackList<String>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let mut package = Evaluation::of(eval)?.package("licenses")?.borrow_mut();
        let kinds = license_types.items.iter().map(|kind| kind.as_str().into()).collect();
        package.defaults.attrs.push(("licenses".into(), AttrValue::StringList(kinds)));
        Ok(NoneType)
    }

    /// The path of the package.
    fn package_name<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        Ok(Evaluation::of(eval)?.package("package_name")?.borrow().id.path.to_string())
    }

    /// The name of the repository with `@`; `@` alone for the main one.
    fn repository_name<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        let package = Evaluation::of(eval)?.package("repository_name")?.borrow();
        Ok(format!("@{}", package.id.repo.as_str()))
    }

    /// The name of the repository; empty for the main one.
    fn repo_name<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        let package = Evaluation::of(eval)?.package("repo_name")?.borrow();
        Ok(package.id.repo.as_str().to_owned())
    }

    /// The label that a text means in the package.
    fn package_relative_label<'v>(
        #[starlark(require = pos)] input: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkLabel> {
        let evaluation = Evaluation::of(eval)?;
        let id = evaluation.package("package_relative_label")?.borrow().id.clone();
        label_from(input, evaluation, &id).map(StarlarkLabel)
    }
}
