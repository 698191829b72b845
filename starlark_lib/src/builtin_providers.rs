//! The providers that the language brings: `DefaultInfo` and its kin, what their fields must be.

use std::sync::{Arc, LazyLock, OnceLock};

use rbz_engine::artifact::Artifact;
use rbz_engine::depset::{Depset, Order};
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::runfiles::Runfiles;
use rbz_engine::value::{ProviderId, ProviderInstance, Value};
use starlark::environment::GlobalsBuilder;

use crate::provider_value::BuiltinProvider;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// What `rbz build` and `rbz run` make of a target.
    DefaultInfo,
    /// Further sets of files by name.
    OutputGroupInfo,
    /// The environment of a program.
    RunEnvironmentInfo,
    /// What coverage instruments.
    InstrumentedFilesInfo,
    /// What an analysis test found.
    AnalysisTestResultInfo,
    /// Variables for `$(NAME)` in attributes.
    TemplateVariableInfo,
    /// A toolchain's data.
    ToolchainInfo,
    /// A dimension of platforms.
    ConstraintSettingInfo,
    /// A point in such a dimension.
    ConstraintValueInfo,
    /// A set of such points.
    PlatformInfo,
    /// How a test is to be executed.
    ExecutionInfo,
}

/// The fields of a provider under construction, sorted by name.
type Fields = Vec<(Arc<str>, Value)>;

impl Builtin {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Builtin::DefaultInfo => "DefaultInfo",
            Builtin::OutputGroupInfo => "OutputGroupInfo",
            Builtin::RunEnvironmentInfo => "RunEnvironmentInfo",
            Builtin::InstrumentedFilesInfo => "InstrumentedFilesInfo",
            Builtin::AnalysisTestResultInfo => "AnalysisTestResultInfo",
            Builtin::TemplateVariableInfo => "TemplateVariableInfo",
            Builtin::ToolchainInfo => "ToolchainInfo",
            Builtin::ConstraintSettingInfo => "ConstraintSettingInfo",
            Builtin::ConstraintValueInfo => "ConstraintValueInfo",
            Builtin::PlatformInfo => "PlatformInfo",
            Builtin::ExecutionInfo => "ExecutionInfo",
        }
    }

    /// Its id.
    pub fn id(self) -> ProviderId {
        static IDS: [OnceLock<ProviderId>; Builtin::ExecutionInfo as usize + 1] =
            [const { OnceLock::new() }; Builtin::ExecutionInfo as usize + 1];
        IDS[self as usize].get_or_init(|| ProviderId::builtin(self.name())).clone()
    }

    /// The names that its fields may have; `None`: any.
    pub fn fields(self) -> Option<&'static [&'static str]> {
        Some(match self {
            Builtin::DefaultInfo => {
                &["files", "runfiles", "data_runfiles", "default_runfiles", "executable"]
            }
            Builtin::OutputGroupInfo | Builtin::ToolchainInfo => return None,
            Builtin::RunEnvironmentInfo => &["environment", "inherited_environment"],
            Builtin::InstrumentedFilesInfo => &["instrumented_files", "metadata_files"],
            Builtin::AnalysisTestResultInfo => &["success", "message"],
            Builtin::TemplateVariableInfo => &["variables"],
            Builtin::ConstraintSettingInfo => &["label", "default_constraint_value"],
            Builtin::ConstraintValueInfo => &["label", "constraint"],
            Builtin::PlatformInfo => &["label", "constraints"],
            Builtin::ExecutionInfo => &["requirements", "exec_group"],
        })
    }

    /// Checks the fields of a new instance, and adds those that were not given.
    pub fn check(self, fields: &mut Fields) -> Result<(), Diagnostic> {
        match self {
            Builtin::DefaultInfo => self.check_default_info(fields),
            Builtin::OutputGroupInfo => {
                for (name, value) in fields.iter_mut() {
                    if let Value::List(items) = value
                        && items.iter().all(|item| item.as_file().is_some())
                    {
                        *value = Value::Depset(Depset::of_values(items.to_vec()));
                    }
                    self.expect(name, value, "a depset or a list of files", is_file_set)?;
                }
                Ok(())
            }
            Builtin::RunEnvironmentInfo => {
                self.default(fields, "environment", || Value::Dict(Arc::from([])));
                self.default(fields, "inherited_environment", || Value::List(Arc::from([])));
                for (name, value) in fields.iter() {
                    match &**name {
                        "environment" => self.expect(
                            name,
                            value,
                            "a dict from strings to strings",
                            is_string_dict,
                        )?,
                        _ => self.expect(name, value, "a list of strings", is_string_list)?,
                    }
                }
                Ok(())
            }
            Builtin::TemplateVariableInfo => fields.iter().try_for_each(|(name, value)| {
                self.expect(name, value, "a dict from strings to strings", is_string_dict)
            }),
            Builtin::ExecutionInfo => {
                self.default(fields, "requirements", || Value::Dict(Arc::from([])));
                self.default(fields, "exec_group", || Value::str("test"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_default_info(self, fields: &mut Fields) -> Result<(), Diagnostic> {
        fields.retain(|(_, value)| !matches!(value, Value::None));
        for (name, value) in fields.iter() {
            match &**name {
                "files" => self.expect(name, value, "a depset of files", is_file_set)?,
                "executable" => {
                    self.expect(name, value, "a file", |value| matches!(value, Value::File(_)))?
                }
                _ => self
                    .expect(name, value, "runfiles", |value| matches!(value, Value::Runfiles(_)))?,
            }
        }
        let given = |name: &str| fields.iter().any(|(field, _)| &**field == name);
        if given("runfiles") && (given("data_runfiles") || given("default_runfiles")) {
            return Err(Diagnostic::user(
                "`DefaultInfo` takes either `runfiles` or `data_runfiles` and `default_runfiles`",
            ));
        }
        Ok(())
    }

    fn default(self, fields: &mut Fields, name: &str, value: impl FnOnce() -> Value) {
        match fields.binary_search_by(|(field, _)| (**field).cmp(name)) {
            Ok(at) if matches!(fields[at].1, Value::None) => fields[at].1 = value(),
            Ok(_) => {}
            Err(at) => fields.insert(at, (name.into(), value())),
        }
    }

    fn expect(
        self,
        name: &str,
        value: &Value,
        expected: &str,
        fits: impl FnOnce(&Value) -> bool,
    ) -> Result<(), Diagnostic> {
        if fits(value) {
            return Ok(());
        }
        let mut error = Diagnostic::user(format!(
            "the field `{name}` of `{}` must be {expected}, not {}",
            self.name(),
            crate::value_repr::with_article(value.type_name())
        ));
        if matches!((value, expected), (Value::List(_), "a depset of files")) {
            error = error.hint(format!("write `{name} = depset([...])`"));
        }
        Err(error)
    }
}

/// A depset has elements of one type.
fn is_file_set(value: &Value) -> bool {
    matches!(value, Value::Depset(depset) if matches!(depset.element_type(), None | Some("File")))
}

fn is_string_list(value: &Value) -> bool {
    matches!(value, Value::List(items) if items.iter().all(|item| item.as_str().is_some()))
}

fn is_string_dict(value: &Value) -> bool {
    matches!(value, Value::Dict(entries)
        if entries.iter().all(|(key, value)| key.as_str().is_some() && value.as_str().is_some()))
}

/// What every target has: its files, its program, its runfiles.
#[derive(Clone, Debug)]
pub struct DefaultInfo {
    /// What `rbz build` makes.
    pub files: Depset,
    /// What a dependent by `deps` takes along.
    pub default_runfiles: Arc<Runfiles>,
    /// What a dependent by `data` takes along.
    pub data_runfiles: Arc<Runfiles>,
    /// The program, and the tree of its runfiles.
    pub files_to_run: FilesToRun,
}

/// A program and the tree of its runfiles, if a target is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesToRun {
    /// The program.
    pub executable: Option<Artifact>,
    /// Its runfiles, an artifact of the kind `RunfilesTree`.
    pub runfiles_tree: Option<Artifact>,
}

/// The name of the provider-like value `FilesToRunProvider`.
pub const FILES_TO_RUN: &str = "FilesToRunProvider";

/// The field that Starlark code does not know of.
const RUNFILES_TREE: &str = "_runfiles_tree";

impl FilesToRun {
    /// As a value. That of all targets that are no program is one.
    pub fn to_value(&self) -> Value {
        static NONE: OnceLock<Value> = OnceLock::new();
        match *self == FilesToRun::default() {
            true => NONE.get_or_init(|| self.instance()).clone(),
            false => self.instance(),
        }
    }

    fn instance(&self) -> Value {
        let file = |file: &Option<Artifact>| file.clone().map_or(Value::None, Value::File);
        let fields = vec![
            (RUNFILES_TREE.into(), file(&self.runfiles_tree)),
            ("executable".into(), file(&self.executable)),
            ("repo_mapping_manifest".into(), Value::None),
            ("runfiles_manifest".into(), Value::None),
        ];
        let id = ProviderId::builtin(FILES_TO_RUN);
        Value::Provider(Arc::new(ProviderInstance::new(id, fields)))
    }

    /// From a value; `None` if it is something else.
    pub fn from_value(value: &Value) -> Option<FilesToRun> {
        let Value::Provider(instance) = value else { return None };
        (instance.id == ProviderId::builtin(FILES_TO_RUN)).then(|| FilesToRun {
            executable: instance.get("executable").and_then(Value::as_file).cloned(),
            runfiles_tree: instance.get(RUNFILES_TREE).and_then(Value::as_file).cloned(),
        })
    }
}

impl DefaultInfo {
    /// Of a target that is only these files.
    pub fn of_files(files: Depset) -> Self {
        let runfiles = Runfiles::empty();
        DefaultInfo {
            files,
            default_runfiles: runfiles.clone(),
            data_runfiles: runfiles,
            files_to_run: FilesToRun::default(),
        }
    }

    /// As an instance of the provider.
    pub fn to_instance(&self) -> ProviderInstance {
        // Every target has one: the names are made once.
        static NAMES: LazyLock<[Arc<str>; 4]> = LazyLock::new(|| {
            ["data_runfiles", "default_runfiles", "files", "files_to_run"].map(Arc::from)
        });
        let values = [
            Value::Runfiles(self.data_runfiles.clone()),
            Value::Runfiles(self.default_runfiles.clone()),
            Value::Depset(self.files.clone()),
            self.files_to_run.to_value(),
        ];
        let fields = NAMES.iter().cloned().zip(values).collect();
        ProviderInstance::new(Builtin::DefaultInfo.id(), fields)
    }

    /// From an instance of the provider, as analysis completed it.
    pub fn from_instance(instance: &ProviderInstance) -> Self {
        let runfiles = |name: &str| match instance.get(name) {
            Some(Value::Runfiles(runfiles)) => runfiles.clone(),
            _ => Runfiles::empty(),
        };
        DefaultInfo {
            files: match instance.get("files") {
                Some(Value::Depset(files)) => files.clone(),
                _ => Depset::empty(Order::Default),
            },
            default_runfiles: runfiles("default_runfiles"),
            data_runfiles: runfiles("data_runfiles"),
            files_to_run: instance
                .get("files_to_run")
                .and_then(FilesToRun::from_value)
                .unwrap_or_default(),
        }
    }
}

/// The built-in providers as globals.
pub fn builtin_provider_globals(builder: &mut GlobalsBuilder) {
    for provider in [
        Builtin::DefaultInfo,
        Builtin::OutputGroupInfo,
        Builtin::RunEnvironmentInfo,
        Builtin::InstrumentedFilesInfo,
        Builtin::AnalysisTestResultInfo,
    ] {
        builder.set(provider.name(), BuiltinProvider(provider));
    }
    builder.namespace("platform_common", |builder| {
        for provider in [
            Builtin::TemplateVariableInfo,
            Builtin::ToolchainInfo,
            Builtin::ConstraintSettingInfo,
            Builtin::ConstraintValueInfo,
            Builtin::PlatformInfo,
        ] {
            builder.set(provider.name(), BuiltinProvider(provider));
        }
    });
    builder.namespace("testing", |builder| {
        builder.set("ExecutionInfo", BuiltinProvider(Builtin::ExecutionInfo));
        builder.set("TestEnvironment", BuiltinProvider(Builtin::RunEnvironmentInfo));
    });
}
