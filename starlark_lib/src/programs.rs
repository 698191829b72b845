//! Programs and tests: what `rbz run` and `rbz test` need to know of a target.

use std::collections::BTreeMap;
use std::sync::Arc;

use rbz_engine::artifact::Artifact;
use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::plan::{Program, TestTarget};
use rbz_engine::runfiles::Runfiles;
use rbz_engine::value::Value;

use crate::attr::AttrValue;
use crate::builtin_providers::Builtin;
use crate::common_attributes::{SIZES, TIMEOUTS};
use crate::configured_target::ConfiguredTarget;
use crate::locations::{Locations, PathStyle, expand_make_variables};
use crate::rule_context::RuleContext;

/// The program that a target is; `None` if it is none.
pub fn program(
    context: &RuleContext,
    target: &ConfiguredTarget,
) -> Result<Option<Program>, Diagnostic> {
    let info = target.default_info();
    let (Some(file), Some(runfiles_tree)) =
        (info.files_to_run.executable, info.files_to_run.runfiles_tree)
    else {
        return Ok(None);
    };
    let expansion = Expansion::of(context);
    let mut args = Vec::new();
    for text in context.strings("args") {
        let text = expansion.expand("args", &text)?;
        let words = shell_words::split(&text).map_err(|error| {
            Diagnostic::user(format!(
                "in the attribute `args` of `{}`: `{text}` cannot be split into words: {error}",
                context.label
            ))
        })?;
        args.extend(words.into_iter().map(Arc::from));
    }
    let mut env = BTreeMap::new();
    if let Some(AttrValue::StringDict(entries)) = attribute(context, "env") {
        for (name, value) in entries {
            env.insert(name.clone(), expansion.expand("env", value)?.into());
        }
    }
    let mut inherited_env = context.strings("env_inherit");
    if let Some(info) = target.provider(&Builtin::RunEnvironmentInfo.id()) {
        if let Some(Value::Dict(entries)) = info.get("environment") {
            for (name, value) in entries.iter() {
                if let (Value::Str(name), Value::Str(value)) = (name, value) {
                    env.insert(name.clone(), value.clone());
                }
            }
        }
        if let Some(Value::List(names)) = info.get("inherited_environment") {
            for name in names.iter() {
                if let Value::Str(name) = name
                    && !inherited_env.contains(name)
                {
                    inherited_env.push(name.clone());
                }
            }
        }
    }
    let runfiles = info.default_runfiles;
    check_name(context, &file, &runfiles)?;
    Ok(Some(Program { file, runfiles, runfiles_tree, args, env, inherited_env }))
}

/// The program lies among its runfiles, where its name must not be that of a directory of others.
fn check_name(
    context: &RuleContext,
    program: &Artifact,
    runfiles: &Runfiles,
) -> Result<(), Diagnostic> {
    let directory = format!("{}/", program.short_path());
    let files = runfiles.files.to_files();
    let Some(below) = files.iter().find(|file| file.short_path().starts_with(&directory)) else {
        return Ok(());
    };
    Err(Diagnostic::user(format!(
        "the program of `{}` has the name of a directory: among its runfiles is `{}`",
        context.label,
        below.short_path()
    ))
    .hint(format!("give the target another name than `{}`", context.label.name())))
}

/// What stands for `$(…)` in the attributes of a target.
struct Expansion<'a> {
    context: &'a RuleContext,
    locations: Locations,
    variables: BTreeMap<Arc<str>, Arc<str>>,
}

impl<'a> Expansion<'a> {
    fn of(context: &'a RuleContext) -> Self {
        let (locations, variables) = (context.locations(), context.make_variables());
        Expansion { context, locations, variables }
    }

    fn expand(&self, attribute: &str, text: &str) -> Result<String, Diagnostic> {
        let RuleContext { label, workspace, .. } = self.context;
        let expanded = self
            .locations
            .expand(text, label.package(), workspace, PathStyle::Runfiles)
            .and_then(|text| expand_make_variables(&text, attribute, &self.variables));
        expanded.map_err(|error| {
            let message = format!("in the attribute `{attribute}` of `{label}`: {}", error.message);
            Diagnostic { message, ..error }
        })
    }
}

fn attribute<'a>(context: &'a RuleContext, name: &str) -> Option<&'a AttrValue> {
    context.attribute(name).map(|attribute| &attribute.value)
}

/// What is special about a target whose rule is a test; `None` if it is not.
pub fn test(context: &RuleContext, target: &ConfiguredTarget) -> Option<TestTarget> {
    if !context.schema.test {
        return None;
    }
    let text = |name: &str| match attribute(context, name) {
        Some(AttrValue::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let truth = |name: &str| matches!(attribute(context, name), Some(AttrValue::Bool(true)));
    let size = text("size").unwrap_or_else(|| "medium".into());
    let timeout = text("timeout").unwrap_or_else(|| {
        let at = SIZES.iter().position(|known| *known == &*size).unwrap_or(1);
        TIMEOUTS[at].into()
    });
    let shard_count = match attribute(context, "shard_count") {
        Some(AttrValue::Int(count)) if *count > 0 => u32::try_from(*count).ok(),
        _ => None,
    };
    let mut tags = context.strings("tags");
    if truth("local") {
        tags.push("local".into());
    }
    if let Some(info) = target.provider(&Builtin::ExecutionInfo.id())
        && let Some(Value::Dict(requirements)) = info.get("requirements")
    {
        let names = requirements.iter().filter_map(|(name, _)| match name {
            Value::Str(name) => Some(name.clone()),
            _ => None,
        });
        tags.extend(names);
    }
    let tools = match &*context.shell {
        Ok(shell) => shell.files.clone(),
        // A test that is no script runs without.
        Err(_) => Depset::of_files([]),
    };
    let flaky = truth("flaky");
    Some(TestTarget { size, timeout, flaky, shard_count, tags, tools, runs: Vec::new() })
}
