//! Configurations: canonical maps from option to value.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rbz_engine::artifact::Root;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_engine::label::Label;
use rbz_engine::value::Value;

use crate::session::ConfigurationOptions;

/// The package of the options of the command line, as transitions name them.
pub const COMMAND_LINE_OPTION: &str = "//command_line_option:";

/// The directory of all outputs, relative to the execution root.
const OUTPUT_DIRECTORY: &str = "rbz-out";

/// The options that can be read and changed by their names on the command line.
pub const NATIVE_OPTIONS: [&str; 10] = [
    "action_env",
    "collect_code_coverage",
    "compilation_mode",
    "cpu",
    "define",
    "features",
    "instrument_test_targets",
    "instrumentation_filter",
    "platforms",
    "stamp",
];

/// The name of an option: `//command_line_option:cpu`, or the label of a build setting.
pub type OptionName = Arc<str>;

/// A configuration. Immutable and shared; build settings that have their default are not in it.
#[derive(Debug)]
pub struct Configuration {
    options: BTreeMap<OptionName, Value>,
    name: Arc<str>,
    fingerprint: Fingerprint,
    /// What the command line said: the configuration whose directory has no suffix.
    base: Option<Arc<Configuration>>,
}

impl Configuration {
    /// That of the command line. `settings` are the build settings that differ from their
    /// defaults.
    pub fn of_command_line(
        options: &ConfigurationOptions,
        settings: impl IntoIterator<Item = (Label, Value)>,
    ) -> Result<Arc<Configuration>, Diagnostic> {
        let defines =
            options.defines.iter().map(|(name, value)| (Value::str(name), Value::str(value)));
        let list =
            |items: &[String]| Value::List(items.iter().map(|item| Value::str(item)).collect());
        let filter = options.instrumentation_filter.as_deref().map_or(Value::None, Value::str);
        let action_env = options.action_env.iter();
        let action_env: Vec<String> =
            action_env.map(|(name, value)| format!("{name}={value}")).collect();
        let native = [
            ("action_env", list(&action_env)),
            ("compilation_mode", Value::str(&options.compilation_mode)),
            ("cpu", Value::str(&options.cpu)),
            ("define", Value::Dict(defines.collect())),
            ("features", list(&options.features)),
            ("stamp", Value::Bool(options.stamp)),
            ("collect_code_coverage", Value::Bool(options.collect_code_coverage)),
            ("instrumentation_filter", filter),
            ("instrument_test_targets", Value::Bool(options.instrument_test_targets)),
            ("platforms", list(&[])),
        ];
        let mut all = BTreeMap::new();
        for (name, value) in native {
            check_native(name, &value)?;
            all.insert(native_option(name), value);
        }
        all.extend(settings.into_iter().map(|(label, value)| (setting_option(&label), value)));
        Ok(Arc::new(Self::new(all, None)))
    }

    fn new(options: BTreeMap<OptionName, Value>, base: Option<Arc<Configuration>>) -> Self {
        let mut builder = FingerprintBuilder::new("configuration");
        for (name, value) in &options {
            builder.str(name).part(&value.fingerprint());
        }
        let fingerprint = builder.finish();
        let text = |name: &str| {
            options.get(&native_option(name)).and_then(Value::as_str).unwrap_or_default()
        };
        let mut name = format!("{}-{}", text("cpu"), text("compilation_mode"));
        // Beside what is built without.
        if options.get(&native_option("collect_code_coverage")) == Some(&Value::Bool(true)) {
            name.push_str("-coverage");
        }
        if let Some(base) = &base
            && other_options(&options) != other_options(&base.options)
        {
            let mut builder = FingerprintBuilder::new("options beside the command line's");
            for (option, value) in other_options(&options) {
                builder.str(option).part(&value.fingerprint());
            }
            name.push('-');
            name.push_str(&builder.finish().to_hex()[..12]);
        }
        Configuration { options, name: name.into(), fingerprint, base }
    }

    /// The configuration with these options changed. `None` as a value removes a build setting:
    /// it has its default.
    pub fn with(
        self: &Arc<Self>,
        changes: impl IntoIterator<Item = (OptionName, Option<Value>)>,
    ) -> Arc<Configuration> {
        let options = self.changed(changes);
        if options == self.options {
            return self.clone();
        }
        let base = self.base.clone().unwrap_or_else(|| self.clone());
        if options == base.options {
            return base;
        }
        Arc::new(Self::new(options, Some(base)))
    }

    /// The configuration with these options as if the command line had said them.
    pub fn with_of_command_line(
        &self,
        changes: impl IntoIterator<Item = (OptionName, Option<Value>)>,
    ) -> Arc<Configuration> {
        Arc::new(Self::new(self.changed(changes), None))
    }

    /// The options with these changed.
    fn changed(
        &self,
        changes: impl IntoIterator<Item = (OptionName, Option<Value>)>,
    ) -> BTreeMap<OptionName, Value> {
        let mut options = self.options.clone();
        for (name, value) in changes {
            match value {
                Some(value) => options.insert(name, value),
                None => options.remove(&name),
            };
        }
        options
    }

    /// The configuration of what actions run: the same, but for coverage, which is not collected of
    /// them.
    pub fn of_tools(self: &Arc<Self>) -> Arc<Configuration> {
        if self.native("collect_code_coverage") != &Value::Bool(true) {
            return self.clone();
        }
        let off = |name: &str, value| (native_option(name), Some(value));
        self.with([
            off("collect_code_coverage", Value::Bool(false)),
            off("instrumentation_filter", Value::None),
            off("instrument_test_targets", Value::Bool(false)),
        ])
    }

    /// The segment of the output directory: `k8-fastbuild`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Changes with every option.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The directory of its outputs.
    pub fn output_root(&self) -> Root {
        Root::Output(format!("{OUTPUT_DIRECTORY}/{}/bin", self.name).into())
    }

    /// The value of an option; `None` for a build setting that has its default.
    pub fn option(&self, name: &str) -> Option<&Value> {
        self.options.get(name)
    }

    /// All options with their values, but for build settings that have their defaults.
    pub fn options(&self) -> impl Iterator<Item = (&OptionName, &Value)> {
        self.options.iter()
    }

    /// The value of an option of the command line.
    pub fn native(&self, name: &str) -> &Value {
        self.options.get(&native_option(name)).unwrap_or(&Value::None)
    }

    /// The values given with `--define`.
    pub fn defines(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = match self.native("define") {
            Value::Dict(entries) => &entries[..],
            _ => &[],
        };
        entries.iter().filter_map(|(name, value)| Some((name.as_str()?, value.as_str()?)))
    }

    /// The variables given with `--action_env`, from the value of that option.
    pub fn variables(action_env: &Value) -> BTreeMap<Arc<str>, Arc<str>> {
        let items = match action_env {
            Value::List(items) => &items[..],
            _ => &[],
        };
        let pairs = items.iter().filter_map(|item| item.as_str()?.split_once('='));
        pairs.map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// The value of a build setting that differs from its default.
    pub fn setting(&self, label: &Label) -> Option<&Value> {
        self.options.get(&setting_option(label))
    }
}

impl PartialEq for Configuration {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

/// Everything that is not spelled out in the directory's name.
fn other_options(options: &BTreeMap<OptionName, Value>) -> Vec<(&OptionName, &Value)> {
    // Of coverage, what it instruments is not spelled out either, but makes no other directory.
    let named = [
        "cpu",
        "compilation_mode",
        "collect_code_coverage",
        "instrumentation_filter",
        "instrument_test_targets",
    ]
    .map(native_option);
    options.iter().filter(|(name, _)| !named.contains(name)).collect()
}

/// The name of an option of the command line.
pub fn native_option(name: &str) -> OptionName {
    format!("{COMMAND_LINE_OPTION}{name}").into()
}

/// The name of the build setting `label`.
pub fn setting_option(label: &Label) -> OptionName {
    label.to_string().into()
}

/// Says what is wrong with the value of an option of the command line.
pub fn check_native(name: &str, value: &Value) -> Result<(), Diagnostic> {
    let fits = match name {
        "compilation_mode" => {
            let modes = ["fastbuild", "dbg", "opt"];
            if value.as_str().is_some_and(|mode| modes.contains(&mode)) {
                return Ok(());
            }
            return Err(Diagnostic::user(format!(
                "`{}` is no compilation mode: it is one of `fastbuild`, `dbg`, `opt`",
                value.as_str().unwrap_or(value.type_name())
            )));
        }
        "cpu" => value.as_str().is_some_and(|cpu| {
            !cpu.is_empty() && cpu.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
        }),
        "define" => matches!(value, Value::Dict(_)),
        "action_env" | "features" | "platforms" => matches!(value, Value::List(_)),
        "instrumentation_filter" => matches!(value, Value::None | Value::Str(_)),
        _ => matches!(value, Value::Bool(_)),
    };
    match fits {
        true => Ok(()),
        false => Err(Diagnostic::user(format!("the option `{name}` cannot have this value"))),
    }
}

/// What of a configuration was read by a rule: the key of its saved unit holds only that.
#[derive(Debug, Default)]
pub struct OptionReads(Mutex<BTreeMap<OptionName, Value>>);

impl OptionReads {
    /// Notes that `name` was read and had `value`.
    pub fn note(&self, name: OptionName, value: Value) {
        self.0.lock().unwrap_or_else(|poison| poison.into_inner()).insert(name, value);
    }

    /// Notes an option of the command line, and yields its value.
    pub fn native<'a>(&self, configuration: &'a Configuration, name: &str) -> &'a Value {
        let value = configuration.native(name);
        self.note(native_option(name), value.clone());
        value
    }

    /// Notes the value of `--define NAME=…`, and yields it.
    pub fn define<'a>(&self, configuration: &'a Configuration, name: &str) -> Option<&'a str> {
        let value = configuration.defines().find(|(key, _)| *key == name).map(|(_, value)| value);
        self.note(define_option(name), value.map_or(Value::None, Value::str));
        value
    }

    /// Everything that was read.
    pub fn all(&self) -> Vec<(OptionName, Value)> {
        let reads = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        reads.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

fn define_option(name: &str) -> OptionName {
    format!("{COMMAND_LINE_OPTION}define:{name}").into()
}

/// The value that a read yields now, for comparing with what was noted.
pub fn read_again(configuration: &Configuration, name: &str) -> Value {
    match name.strip_prefix(COMMAND_LINE_OPTION).and_then(|name| name.strip_prefix("define:")) {
        Some(define) => configuration
            .defines()
            .find(|(key, _)| *key == define)
            .map_or(Value::None, |(_, value)| Value::str(value)),
        None => configuration.option(name).cloned().unwrap_or(Value::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Arc<Configuration> {
        Configuration::of_command_line(&ConfigurationOptions::default(), []).unwrap()
    }

    #[test]
    fn a_directory_names_mode_and_cpu_and_hashes_the_rest() {
        let base = base();
        assert_eq!(&**base.name(), "k8-fastbuild");
        let opt = base.with([(native_option("compilation_mode"), Some(Value::str("opt")))]);
        assert_eq!(&**opt.name(), "k8-opt");
        let flag = opt.with([("//a:b".into(), Some(Value::Bool(true)))]);
        assert!(flag.name().starts_with("k8-opt-"), "{}", flag.name());
        let back = flag.with([
            ("//a:b".into(), None),
            (native_option("compilation_mode"), Some(Value::str("fastbuild"))),
        ]);
        assert!(Arc::ptr_eq(&back, &base));
    }

    #[test]
    fn coverage_has_a_directory_of_its_own_and_its_tools_that_of_all_others() {
        let options = ConfigurationOptions {
            collect_code_coverage: true,
            instrumentation_filter: Some("//a".to_owned()),
            ..Default::default()
        };
        let coverage = Configuration::of_command_line(&options, []).unwrap();
        assert_eq!(&**coverage.name(), "k8-fastbuild-coverage");
        let tools = coverage.of_tools();
        assert_eq!((&**tools.name(), &*tools), ("k8-fastbuild", &*base()));
        assert!(Arc::ptr_eq(&tools.of_tools(), &tools));
    }

    #[test]
    fn a_wrong_mode_is_refused() {
        let options =
            ConfigurationOptions { compilation_mode: "fast".to_owned(), ..Default::default() };
        let error = Configuration::of_command_line(&options, []).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`fast` is no compilation mode: it is one of `fastbuild`, `dbg`, `opt`"
        );
    }
}
