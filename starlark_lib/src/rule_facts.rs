//! Rule facts: what follows for a target from its attributes, its dependencies and its configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use rbz_engine::artifact::{Artifact, ArtifactKind, Root};
use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::Label;
use rbz_engine::value::Value as Plain;

use crate::attr::{AttrKind, AttrValue};
use crate::builtin_providers::Builtin;
use crate::instrumentation_filter::InstrumentationFilter;
use crate::locations::Locations;
use crate::rule_context::RuleContext;

impl RuleContext {
    /// The variables that `$(NAME)` may stand for.
    pub fn make_variables(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        let configuration = &self.configuration;
        let output = match configuration.output_root() {
            Root::Output(path) => path,
            _ => "".into(),
        };
        let text = |name: &str| -> Arc<str> {
            self.reads.native(configuration, name).as_str().unwrap_or_default().into()
        };
        let mut variables = BTreeMap::from([
            ("BINDIR".into(), output.clone()),
            ("GENDIR".into(), output),
            ("COMPILATION_MODE".into(), text("compilation_mode")),
            ("TARGET_CPU".into(), text("cpu")),
        ]);
        self.reads.native(configuration, "define");
        for (name, value) in configuration.defines() {
            variables.insert(name.into(), value.into());
        }
        let toolchains = self.attribute("toolchains").map(|attribute| &attribute.dependencies[..]);
        for (_, index) in toolchains.unwrap_or_default() {
            let info = self.dependencies[*index].provider(&Builtin::TemplateVariableInfo.id());
            if let Some(Plain::Dict(entries)) = info.and_then(|info| info.get("variables")) {
                for (name, value) in entries.iter() {
                    if let (Some(name), Some(value)) = (name.as_str(), value.as_str()) {
                        variables.insert(name.into(), value.into());
                    }
                }
            }
        }
        variables
    }

    /// What `$(location …)` may name: every dependency.
    pub fn locations(&self) -> Locations {
        let mut locations = Locations::default();
        for attribute in self.attributes.values() {
            for (label, index) in &attribute.dependencies {
                locations.add(label, &self.dependencies[*index]);
            }
            let outputs = match (&*attribute.kind, &attribute.value) {
                (AttrKind::Output, AttrValue::Label(label)) => std::slice::from_ref(label),
                (AttrKind::OutputList, AttrValue::LabelList(labels)) => labels,
                _ => continue,
            };
            for label in outputs {
                if let Ok(file) = self.declare(ArtifactKind::File, label.name(), None, None) {
                    locations.add_files(label, Depset::of_files([file]));
                }
            }
        }
        locations
    }

    /// Features turned on and off; what the target says wins over the command line.
    pub fn features(&self) -> (Vec<String>, Vec<String>) {
        let (mut on, mut off): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let command_line = match self.reads.native(&self.configuration, "features") {
            Plain::List(items) => {
                items.iter().filter_map(|item| item.as_str().map(Arc::from)).collect()
            }
            _ => Vec::new(),
        };
        for feature in command_line.into_iter().chain(self.strings("features")) {
            let (name, to, from) = match feature.strip_prefix('-') {
                Some(name) => (name, &mut off, &mut on),
                None => (&*feature, &mut on, &mut off),
            };
            from.retain(|known| known != name);
            if !to.iter().any(|known| known == name) {
                to.push(name.to_owned());
            }
        }
        (on, off)
    }

    /// Whether coverage instruments `label`.
    pub fn is_instrumented(&self, label: &Label, is_test: bool) -> Result<bool, Diagnostic> {
        let configuration = &self.configuration;
        if self.reads.native(configuration, "collect_code_coverage") != &Plain::Bool(true) {
            return Ok(false);
        }
        let tests = self.reads.native(configuration, "instrument_test_targets");
        if is_test && tests != &Plain::Bool(true) {
            return Ok(false);
        }
        match self.reads.native(configuration, "instrumentation_filter").as_str() {
            Some(filter) => Ok(InstrumentationFilter::parse(filter)?.selects(label)),
            None => Ok(label.repo().is_main()),
        }
    }

    /// The value of the build setting that the target is.
    pub fn build_setting_value(&self) -> Result<Plain, Diagnostic> {
        if self.schema.build_setting.is_none() {
            return Err(Diagnostic::user(format!(
                "`{}` is no build setting: its rule `{}` has no `build_setting`",
                self.label, self.schema.rule
            )));
        }
        let name = crate::configuration::setting_option(&self.label);
        let set = self.configuration.option(&name);
        self.reads.note(name, set.cloned().unwrap_or(Plain::None));
        Ok(match set {
            Some(value) => value.clone(),
            None => self
                .attribute("build_setting_default")
                .map_or(Plain::None, |attribute| attribute.value.to_plain()),
        })
    }

    /// The file that a label attribute stands for, where it must be one.
    pub fn single_file(&self, name: &str) -> Option<Artifact> {
        self.files(self.attribute(name)?).into_iter().next()
    }
}
