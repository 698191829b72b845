//! Functions that run before rules do: transitions and computed defaults.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_engine::label::Label;
use rbz_engine::value::{FunctionRef, Value as Plain};
use starlark::environment::Module;
use starlark::eval::Evaluator;
use starlark::values::Value;
use starlark::values::ValueLike;
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::structs::AllocStruct;

use crate::attr::{AttrSchema, AttrValue};
use crate::attribute_conversion;
use crate::build_settings::{check_value, default_value, setting_of};
use crate::configuration::{COMMAND_LINE_OPTION, Configuration, OptionName, check_native};
use crate::conversion::{from_plain, to_plain};
use crate::dialect::FileKind;
use crate::evaluation::{AnalysisStage, Evaluation, Stage};
use crate::limits;
use crate::loader::Loader;
use crate::package::Target;
use crate::resolved_attributes::ResolvedAttributes;
use crate::transition_value::FrozenTransitionValue;

/// Evaluates transitions, each once for what it reads.
#[derive(Default)]
pub struct Transitions {
    done: Mutex<HashMap<(FunctionRef, Fingerprint), Arc<Configuration>>>,
}

/// Runs `body` with an evaluator for functions that belong to the target `label`.
pub fn with_evaluator<R>(
    loader: &Loader,
    label: &Label,
    body: impl for<'v, 'a, 'e> FnOnce(&mut Evaluator<'v, 'a, 'e>) -> R,
) -> R {
    let stage = Stage::Analysis(AnalysisStage { label: label.clone() });
    let evaluation = Evaluation::new(loader.session().clone(), stage);
    Module::with_temp_heap(|module| {
        let mut eval = Evaluator::new(&module);
        eval.extra = Some(&evaluation);
        body(&mut eval)
    })
}

impl Transitions {
    /// The configuration that a transition makes of `from` for a target with these attributes.
    pub fn apply(
        &self,
        loader: &Loader,
        transition: &FunctionRef,
        from: &Arc<Configuration>,
        attributes: &ResolvedAttributes,
    ) -> Result<Arc<Configuration>, Box<Diagnostic>> {
        let mut builder = FingerprintBuilder::new("transition");
        builder.part(&from.fingerprint());
        for (name, attribute) in attributes.iter() {
            builder.str(name).part(&attribute.value.to_plain().fingerprint());
        }
        let key = (transition.clone(), builder.finish());
        let known = {
            let done = self.done.lock().unwrap_or_else(|poison| poison.into_inner());
            done.get(&key).cloned()
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let to = self.evaluate(loader, transition, from, attributes)?;
        let mut done = self.done.lock().unwrap_or_else(|poison| poison.into_inner());
        Ok(done.entry(key).or_insert(to).clone())
    }

    fn evaluate(
        &self,
        loader: &Loader,
        transition: &FunctionRef,
        from: &Arc<Configuration>,
        attributes: &ResolvedAttributes,
    ) -> Result<Arc<Configuration>, Box<Diagnostic>> {
        let module = loader.module(&transition.module)?;
        let (owned, _) = module.frozen.get_any_visibility(&transition.name).map_err(|_| {
            Box::new(Diagnostic::internal(format!(
                "`{}` has no transition `{}`",
                transition.module, transition.name
            )))
        })?;
        let changes = with_evaluator(loader, &transition.module, |eval| {
            let heap = eval.heap();
            let value = heap.access_owned_frozen_value(&owned);
            let frozen = value.downcast_ref::<FrozenTransitionValue>().ok_or_else(|| {
                Box::new(Diagnostic::internal(format!("`{}` is no transition", transition.name)))
            })?;
            let mut settings = Vec::new();
            for (written, option) in &frozen.options.inputs {
                let value = self.option(loader, from, option)?;
                settings.push((&**written, from_plain(&value, heap)));
            }
            let settings = heap.alloc(AllocDict(settings));
            let attr = heap.alloc(AllocStruct(
                attributes
                    .iter()
                    .map(|(name, attribute)| {
                        (&**name, from_plain(&attribute.value.to_plain(), heap))
                    })
                    .collect::<Vec<(&str, Value)>>(),
            ));
            let implementation = frozen.implementation.to_value();
            let result = limits::run(eval, FileKind::Bzl, |eval| {
                eval.eval_function(implementation, &[settings, attr], &[])
            })?;
            let name = &transition.name;
            let error = |what: String| {
                Box::new(Diagnostic::user(format!("the transition `{name}` {what}")))
            };
            let Some(dict) = DictRef::from_value(result) else {
                let mut wrong = error(format!(
                    "must return a dict from settings to values, but returned a {}",
                    result.get_type()
                ));
                if result.get_type() == "list" {
                    wrong
                        .hints
                        .push("transitions to several configurations are not supported".to_owned());
                }
                return Err(wrong);
            };
            if !dict.is_empty() && dict.values().all(|value| DictRef::from_value(value).is_some()) {
                let mut wrong = error("returned a dict of dicts".to_owned());
                wrong
                    .hints
                    .push("transitions to several configurations are not supported".to_owned());
                return Err(wrong);
            }
            let mut changes: Vec<(OptionName, Plain)> = Vec::new();
            for (key, value) in dict.iter() {
                let key = key.unpack_str().unwrap_or_default();
                let outputs = &frozen.options.outputs;
                let Some((_, option)) = outputs.iter().find(|(written, _)| **written == *key)
                else {
                    return Err(error(format!(
                        "returned `{key}`, which is not among its `outputs`"
                    )));
                };
                let value = to_plain(value, eval)
                    .map_err(|wrong| error(format!("returned {}", wrong.describe(key))))?;
                changes.push((option.clone(), value));
            }
            for (written, option) in &frozen.options.outputs {
                if !changes.iter().any(|(changed, _)| changed == option) {
                    return Err(error(format!(
                        "did not return `{written}`, which is among its `outputs`"
                    )));
                }
            }
            Ok(changes)
        })?;
        let mut canonical = Vec::new();
        for (option, value) in changes {
            canonical.push(self.canonical(loader, option, value)?);
        }
        Ok(from.with(canonical))
    }

    /// The value of an option, the default of a build setting included.
    fn option(
        &self,
        loader: &Loader,
        configuration: &Configuration,
        option: &OptionName,
    ) -> Result<Plain, Box<Diagnostic>> {
        if let Some(value) = configuration.option(option) {
            return Ok(value.clone());
        }
        if option.starts_with(COMMAND_LINE_OPTION) {
            return Ok(Plain::None);
        }
        let (_, target) = loader.target(&setting_label(option)?)?;
        setting_of(loader, &target)?;
        Ok(default_value(&target))
    }

    /// A changed option, checked; a build setting that gets its default is removed.
    fn canonical(
        &self,
        loader: &Loader,
        option: OptionName,
        value: Plain,
    ) -> Result<(OptionName, Option<Plain>), Box<Diagnostic>> {
        if let Some(name) = option.strip_prefix(COMMAND_LINE_OPTION) {
            check_native(name, &value)?;
            return Ok((option, Some(value)));
        }
        let (_, target) = loader.target(&setting_label(&option)?)?;
        let setting = setting_of(loader, &target)?;
        check_value(setting, &value)
            .map_err(|reason| Diagnostic::user(format!("wrong value for `{option}`: {reason}")))?;
        let is_default = value == default_value(&target);
        Ok((option, (!is_default).then_some(value)))
    }

    /// What a function of other attributes yields for an attribute that was not given.
    pub fn computed_default(
        &self,
        loader: &Loader,
        function: &FunctionRef,
        schema: &AttrSchema,
        attributes: &ResolvedAttributes,
        target: &Target,
    ) -> Result<AttrValue, Box<Diagnostic>> {
        let module = loader.module(&function.module)?;
        let (owned, _) = module.frozen.get_any_visibility(&function.name).map_err(|_| {
            Box::new(Diagnostic::internal(format!(
                "`{}` has no function `{}`",
                function.module, function.name
            )))
        })?;
        with_evaluator(loader, &target.label, |eval| {
            let heap = eval.heap();
            let value = heap.access_owned_frozen_value(&owned);
            let mut named: Vec<(&str, Value)> = Vec::new();
            for name in parameter_names(value) {
                let Some((key, attribute)) = attributes.get_key_value(&name) else {
                    return Err(Box::new(Diagnostic::user(format!(
                        "the default `{}` asks for the attribute `{name}`, which there is not",
                        function.name
                    ))));
                };
                named.push((key, from_plain(&attribute.value.to_plain(), heap)));
            }
            let result =
                limits::run(eval, FileKind::Bzl, |eval| eval.eval_function(value, &[], &named))?;
            if result.is_none() {
                return Ok(AttrValue::None);
            }
            let evaluation = Evaluation::of(eval)
                .map_err(|error| Box::new(Diagnostic::internal(error.to_string())))?;
            let package = function.module.package();
            attribute_conversion::plain(&schema.kind, result, evaluation, package).map_err(
                |error| {
                    Box::new(error.diagnostic(|expected, found| {
                        format!(
                            "the default `{}` must be {expected}, but is {found}",
                            function.name
                        )
                    }))
                },
            )
        })
    }
}

fn setting_label(option: &str) -> Result<Label, Box<Diagnostic>> {
    let main = rbz_engine::label::PackageId::new(rbz_engine::label::RepoName::main(), "");
    Label::parse(option, &main).map_err(|error| Box::new(Diagnostic::user(error.to_string())))
}

/// The names of a function's parameters.
fn parameter_names(function: Value) -> Vec<String> {
    use starlark::docs::{DocItem, DocMember};
    match function.documentation() {
        DocItem::Member(DocMember::Function(function)) => function
            .params
            .pos_or_named
            .iter()
            .chain(&function.params.named_only)
            .map(|parameter| parameter.name.clone())
            .collect(),
        _ => Vec::new(),
    }
}
