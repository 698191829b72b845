//! The evaluation of one rule: its implementation runs, what it returned becomes plain data.

use std::sync::Arc;

use rbz_engine::action::{Action, ActionKind};
use rbz_engine::artifact::{Artifact, ArtifactKind};
use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::{Diagnostic, Frame};
use rbz_engine::runfiles::Runfiles;
use rbz_engine::value::{ProviderId, ProviderInstance, Value as Plain};
use starlark::values::ValueLike;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::structs::StructRef;
use starlark::values::{UnpackValue, Value};

use crate::attr::{AttrKind, AttrValue};
use crate::builtin_providers::{Builtin, DefaultInfo, FilesToRun};
use crate::configured_target::ConfiguredTarget;
use crate::ctx::CtxValue;
use crate::dialect::FileKind;
use crate::limits;
use crate::loader::Loader;
use crate::native_targets::fingerprint;
use crate::package::Target;
use crate::provider_value::ProviderInstanceValue;
use crate::rule_context::RuleContext;
use crate::rule_value::FrozenStarlarkRule;
use crate::starlark_error;
use crate::transitions::with_evaluator;
use crate::value_repr::with_article;

/// Runs the implementation of the rule of `context`.
pub fn evaluate(
    loader: &Loader,
    context: &Arc<RuleContext>,
    target: &Target,
) -> Result<ConfiguredTarget, Box<Diagnostic>> {
    let result = run(loader, context).and_then(|providers| complete(context, providers));
    context.abandon();
    result.map_err(|error| {
        let mut error =
            starlark_error::at_caller(error, |file| loader.shared().is_shipped_file(file));
        let frame = Frame {
            place: Some(target.place.clone()),
            what: format!("in the target `{}` (a `{}`)", context.label, context.schema.rule),
            source: None,
        };
        match error.place {
            None => error.place = Some(target.place.clone()),
            Some(_) => error.trace.insert(0, frame),
        }
        error
    })
}

fn run(
    loader: &Loader,
    context: &Arc<RuleContext>,
) -> Result<Vec<Arc<ProviderInstance>>, Box<Diagnostic>> {
    let owned = loader.rule_value(&context.schema.rule)?;
    with_evaluator(loader, &context.label, |eval| {
        let heap = eval.heap();
        let rule = heap.access_owned_frozen_value(&owned);
        let rule = rule.downcast_ref::<FrozenStarlarkRule>().ok_or_else(|| {
            Box::new(Diagnostic::internal(format!("`{}` is no rule", context.schema.rule)))
        })?;
        let ctx = heap.alloc(CtxValue(context.clone()));
        let result = limits::run(eval, FileKind::Bzl, |eval| {
            eval.eval_function(rule.implementation.to_value(), &[ctx], &[])
        })?;
        returned(context, result)
    })
}

/// The providers that an implementation returned.
fn returned(
    context: &RuleContext,
    result: Value,
) -> Result<Vec<Arc<ProviderInstance>>, Box<Diagnostic>> {
    let wrong = |what: &str| {
        Box::new(
            Diagnostic::user(format!(
                "the implementation of `{}` must return a list of providers, but returned {what}",
                context.schema.rule
            ))
            .hint("for example `return [DefaultInfo(files = depset([...]))]`"),
        )
    };
    if result.is_none() {
        return Ok(Vec::new());
    }
    if let Some(instance) = ProviderInstanceValue::from_value(result) {
        return Ok(vec![instance.0.clone()]);
    }
    let items: Vec<Value> = match UnpackListOrTuple::<Value>::unpack_value(result) {
        Ok(Some(list)) => list.items,
        _ => match StructRef::from_value(result) {
            // Bazel's oldest way: a struct with a field `providers`.
            Some(fields) => {
                let field = fields.iter().find(|(name, _)| name.as_str() == "providers");
                let list = field.and_then(|(_, list)| {
                    UnpackListOrTuple::<Value>::unpack_value(list).ok().flatten()
                });
                list.ok_or_else(|| wrong("a struct"))?.items
            }
            None => return Err(wrong(&with_article(result.get_type()))),
        },
    };
    let mut providers: Vec<Arc<ProviderInstance>> = Vec::new();
    for item in items {
        let instance = ProviderInstanceValue::from_value(item)
            .ok_or_else(|| wrong(&format!("a list with {}", with_article(item.get_type()))))?;
        if providers.iter().any(|known| known.id == instance.0.id) {
            return Err(Box::new(Diagnostic::user(format!(
                "the implementation of `{}` returned `{}` twice",
                context.schema.rule, instance.0.id
            ))));
        }
        providers.push(instance.0.clone());
    }
    Ok(providers)
}

/// Makes the configured target of what the implementation returned and declared.
fn complete(
    context: &RuleContext,
    mut providers: Vec<Arc<ProviderInstance>>,
) -> Result<ConfiguredTarget, Box<Diagnostic>> {
    for id in &context.schema.provides {
        if !providers.iter().any(|provider| provider.id == *id) {
            return Err(Box::new(Diagnostic::user(format!(
                "the implementation of `{}` must return `{id}`, as its `provides` says",
                context.schema.rule
            ))));
        }
    }
    // Outputs that the target declares by attributes must be written whether or not the rule
    // looked at them.
    let predeclared = predeclared_outputs(context)?;
    let given = take(&mut providers, &Builtin::DefaultInfo.id());
    let (info, program) = default_info(context, given.as_deref(), predeclared)?;
    let mut actions = context.finish()?;
    actions.extend(program.map(Arc::new));
    providers.push(Arc::new(info.to_instance()));
    providers.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(ConfiguredTarget {
        label: context.label.clone(),
        rule: context.schema.rule.shared_name(),
        configuration: context.configuration.name().clone(),
        fingerprint: fingerprint(&context.label, context.schema.rule.name(), &providers),
        providers,
        actions,
    })
}

fn take(
    providers: &mut Vec<Arc<ProviderInstance>>,
    id: &ProviderId,
) -> Option<Arc<ProviderInstance>> {
    let at = providers.iter().position(|provider| provider.id == *id)?;
    Some(providers.remove(at))
}

fn predeclared_outputs(context: &RuleContext) -> Result<Vec<Artifact>, Box<Diagnostic>> {
    let mut names = Vec::new();
    for attribute in context.attributes.values() {
        match (&*attribute.kind, &attribute.value) {
            (AttrKind::Output, AttrValue::Label(label)) => names.push(label.name().to_owned()),
            (AttrKind::OutputList, AttrValue::LabelList(labels)) => {
                names.extend(labels.iter().map(|label| label.name().to_owned()));
            }
            _ => {}
        }
    }
    let implicit = context.schema.implicit_outputs.iter();
    names.extend(implicit.filter_map(|(name, _)| context.implicit_output(name)));
    let declare =
        |name: &String| context.declare(ArtifactKind::File, name, None, None).map_err(Box::new);
    names.iter().map(declare).collect()
}

/// The complete `DefaultInfo`, and the action for the runfiles tree of a program.
fn default_info(
    context: &RuleContext,
    given: Option<&ProviderInstance>,
    predeclared: Vec<Artifact>,
) -> Result<(DefaultInfo, Option<Action>), Box<Diagnostic>> {
    let field = |name: &str| given.and_then(|instance| instance.get(name));
    let executable = match field("executable") {
        Some(Plain::File(file)) => {
            if file.is_source() || *file.owner() != context.label {
                return Err(Box::new(
                    Diagnostic::user(format!(
                        "the `executable` of `{}` must be an output of it, but `{}` is not",
                        context.label,
                        file.short_path()
                    ))
                    .hint("make one with `ctx.actions.symlink(output = …, target_file = …, is_executable = True)`"),
                ));
            }
            Some(file.clone())
        }
        _ if context.schema.executable => Some(context.default_program().map_err(Box::new)?),
        _ => None,
    };
    let files = match field("files") {
        Some(Plain::Depset(files)) => files.clone(),
        _ => Depset::of_files(predeclared.into_iter().chain(executable.clone())),
    };
    let runfiles = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| field(name));
        match found {
            Some(Plain::Runfiles(runfiles)) => runfiles.clone(),
            _ => Runfiles::empty(),
        }
    };
    let mut default_runfiles = runfiles(["runfiles", "default_runfiles"]);
    let mut data_runfiles = runfiles(["runfiles", "data_runfiles"]);
    let mut files_to_run = FilesToRun::default();
    let mut action = None;
    if let Some(executable) = executable {
        // A program is among its own runfiles.
        let own = Runfiles::of(Depset::of_files([executable.clone()]));
        default_runfiles = Arc::new(Runfiles::merge([&own, &*default_runfiles]));
        data_runfiles = Arc::new(Runfiles::merge([&own, &*data_runfiles]));
        let path = format!("{}.runfiles", executable.root_relative_path());
        let root = context.configuration.output_root();
        let tree = Artifact::new(ArtifactKind::RunfilesTree, root, &path, context.label.clone());
        let links = |links: &Depset| {
            let files = links.to_list().into_iter().filter_map(|link| match link {
                Plain::Tuple(pair) => pair.get(1).and_then(Plain::as_file).cloned(),
                _ => None,
            });
            Depset::of_files(files.collect::<Vec<_>>())
        };
        let inputs = Depset::union([
            default_runfiles.files.clone(),
            links(&default_runfiles.symlinks),
            links(&default_runfiles.root_symlinks),
        ]);
        let kind = ActionKind::RunfilesTree(default_runfiles.clone());
        action = Some(context.action("RunfilesTree", None, inputs, vec![tree.clone()], kind));
        files_to_run = FilesToRun { executable: Some(executable), runfiles_tree: Some(tree) };
    }
    Ok((DefaultInfo { files, default_runfiles, data_runfiles, files_to_run }, action))
}
