//! The functions of BUILD files that are no rules: `package`, `exports_files` and so on.

use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::dict::AllocDict;
use starlark::values::list::{ListRef, UnpackList};
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::{Heap, Value, ValueLike};

use crate::attr::{AttrDefault, AttrValue, Configurable};
use crate::evaluation::Evaluation;
use crate::glob::{Found, GlobKind, GlobSpec, check_pattern};
use crate::instantiation;
use crate::label_value::{StarlarkLabel, label_from};
use crate::package::{
    PackageGroup, PackagePattern, Target, TargetKind, Visibility, VisibilityRule,
};
use crate::package_builder::{Declaration, PackageBuilder};
use crate::plain_attribute;
use crate::workspace_functions;

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

/// A truth value, which may be written as a number.
fn truth(value: Value) -> Option<bool> {
    value.unpack_bool().or_else(|| value.unpack_i32().map(|number| number != 0))
}

fn run_glob(
    spec: GlobSpec,
    allow_empty: bool,
    function: &str,
    eval: &Evaluator,
) -> anyhow::Result<Vec<String>> {
    for pattern in spec.include.iter().chain(&spec.exclude) {
        check_pattern(pattern)?;
    }
    let shown = |patterns: &[String]| {
        patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
    };
    let all = shown(&spec.include);
    let Found { paths, idle } = Evaluation::of(eval)?.package(function)?.borrow_mut().glob(spec)?;
    if allow_empty || idle.is_empty() && !paths.is_empty() {
        return Ok(paths);
    }
    let message = match &idle[..] {
        [] if all.is_empty() => format!("`{function}` has no patterns"),
        [] => format!("`{function}` finds nothing that is not excluded: {all}"),
        idle => format!("`{function}` finds nothing: {}", shown(idle)),
    };
    let error = Diagnostic::user(message);
    Err(error.hint("if that is as it should be, say `allow_empty = True`").into())
}

/// A rule target as `existing_rule` shows it.
fn described<'v>(target: &Target, package: &PackageBuilder, heap: Heap<'v>) -> Option<Value<'v>> {
    let TargetKind::Rule(rule) = &target.kind else { return None };
    let mut entries = vec![
        ("kind".to_owned(), heap.alloc(rule.rule.name())),
        ("name".to_owned(), heap.alloc(target.label.name())),
    ];
    let schema = package.schema(target.label.name())?;
    for (name, attr) in &schema.attrs {
        // What is private is not shown, nor what nobody knows before analysis.
        let value = match (rule.attrs.get(name), &attr.default) {
            _ if &**name == "name" || name.starts_with('_') => continue,
            (Some(value), _) => plain_attribute::value(value, &package.id, heap),
            // A default that nobody could give, such as "by the size" for a timeout, is none.
            (None, AttrDefault::Value(value)) if attr.kind.allows(value) => {
                let value = Configurable::Plain(value.clone());
                plain_attribute::value(&value, &package.id, heap)
            }
            (None, _) => continue,
        };
        entries.push((name.to_string(), value));
    }
    Some(heap.alloc(AllocDict(entries)))
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
            let Some(flag) = truth(value) else {
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

    /// The files of the package that match one of the patterns, sorted.
    fn glob<'v>(
        #[starlark(default = UnpackList::default())] include: UnpackList<String>,
        #[starlark(default = UnpackList::default())] exclude: UnpackList<String>,
        #[starlark(default = NoneOr::None)] exclude_directories: NoneOr<Value<'v>>,
        #[starlark(require = named, default = false)] allow_empty: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Vec<String>> {
        let kind = match exclude_directories.into_option().map(|value| (value, truth(value))) {
            None | Some((_, Some(true))) => GlobKind::Files,
            Some((_, Some(false))) => GlobKind::FilesAndDirectories,
            Some((value, None)) => {
                return user_error(format!(
                    "`exclude_directories` must be 1 or 0, but is `{}` ({})",
                    value.to_repr(),
                    value.get_type()
                ));
            }
        };
        let spec = GlobSpec { include: include.items, exclude: exclude.items, kind };
        run_glob(spec, allow_empty, "glob", eval)
    }

    /// The nearest packages below this one whose paths match one of the patterns, sorted.
    fn subpackages<'v>(
        #[starlark(require = named)] include: UnpackList<String>,
        #[starlark(require = named, default = UnpackList::default())] exclude: UnpackList<String>,
        #[starlark(require = named, default = false)] allow_empty: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Vec<String>> {
        let kind = GlobKind::Subpackages;
        let spec = GlobSpec { include: include.items, exclude: exclude.items, kind };
        run_glob(spec, allow_empty, "subpackages", eval)
    }

    /// A set of packages, to be named in `visibility`.
    fn package_group<'v>(
        #[starlark(require = named)] name: &str,
        #[starlark(require = named, default = UnpackList::default())] packages: UnpackList<String>,
        #[starlark(require = named, default = UnpackList::default())] includes: UnpackList<
            Value<'v>,
        >,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let evaluation = Evaluation::of(eval)?;
        let package = evaluation.package("package_group")?;
        let declaration = Declaration::of_call(eval, &package.borrow().build_file);
        let id = package.borrow().id.clone();
        let includes = includes.items.into_iter().map(|item| label_from(item, evaluation, &id));
        let group = PackageGroup {
            includes: includes.collect::<anyhow::Result<_>>()?,
            packages: packages
                .items
                .iter()
                .filter(|text| *text != "private")
                .map(|text| PackagePattern::parse(text, evaluation, &id))
                .collect::<Result<_, _>>()?,
        };
        // Anybody may refer to a group.
        let public = Visibility { rules: vec![VisibilityRule::Public] };
        let kind = TargetKind::PackageGroup(group);
        package.borrow_mut().add(name, kind, public, &declaration, None)?;
        Ok(NoneType)
    }

    /// The attributes of the rule target `name` of this package, as a dict; None if there is none.
    fn existing_rule<'v>(
        #[starlark(require = pos)] name: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        let heap = eval.heap();
        if let Some(found) = workspace_functions::existing_repository(name, eval)? {
            return Ok(found);
        }
        let package = Evaluation::of(eval)?.package("existing_rule")?.borrow();
        let target = package.targets().get(name);
        Ok(target.and_then(|target| described(target, &package, heap)).unwrap_or(Value::new_none()))
    }

    /// The attributes of all rule targets of this package so far, by name.
    fn existing_rules<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Value<'v>> {
        let heap = eval.heap();
        if let Some(all) = workspace_functions::existing_repositories(eval)? {
            return Ok(all);
        }
        let package = Evaluation::of(eval)?.package("existing_rules")?.borrow();
        let rules = package.targets().iter().filter_map(|(name, target)| {
            Some((name.to_string(), described(target, &package, heap)?))
        });
        Ok(heap.alloc(AllocDict(rules.collect::<Vec<_>>())))
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

    /// The name of the module that the package belongs to; there are no modules.
    fn module_name<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        Evaluation::of(eval)?.package("module_name")?;
        Ok(NoneType)
    }

    /// The version of that module.
    fn module_version<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        Evaluation::of(eval)?.package("module_version")?;
        Ok(NoneType)
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
