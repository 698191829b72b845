//! `ctx`: the target that a rule's implementation analyses.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::artifact::Root;
use rbz_engine::depset::{Depset, Order};
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::runfiles::Runfiles;
use rbz_engine::value::Value as Plain;
use rbz_engine::workspace_status;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::none::NoneOr;
use starlark::values::structs::AllocStruct;
use starlark::values::{
    Heap, NoSerialize, ProvidesStaticType, StarlarkValue, Value, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};

use crate::action_arguments::{file_set, files, list, wrong};
use crate::actions::ActionsValue;
use crate::attributes_value::{AttributesValue, View};
use crate::builtin_providers::Builtin;
use crate::configuration_value::ConfigurationValue;
use crate::conversion::{alloc_label, from_plain};
use crate::depset_value::DepsetValue;
use crate::evaluation::Evaluation;
use crate::file_value::{FileValue, RootValue};
use crate::label_value::{StarlarkLabel, label_from};
use crate::locations::{PathStyle, expand_make_variables};
use crate::rule_context::RuleContext;
use crate::runfiles_value::RunfilesValue;
use crate::target_value::TargetValue;
use crate::toolchains_value::ToolchainsValue;

/// `ctx`.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct CtxValue(#[allocative(skip)] pub Arc<RuleContext>);

starlark_simple_value!(CtxValue);
starlark::methods_static!(METHODS = ctx_methods);

impl fmt::Display for CtxValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<rule context for {}>", self.0.label)
    }
}

#[starlark_value(type = "ctx")]
impl<'v> StarlarkValue<'v> for CtxValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }
}

impl CtxValue {
    fn view(&self, view: View) -> anyhow::Result<AttributesValue> {
        self.0.check_alive()?;
        Ok(AttributesValue::new(self.0.clone(), view))
    }

    fn output_directory(&self) -> String {
        match self.0.configuration.output_root() {
            Root::Output(path) => path.to_string(),
            _ => String::new(),
        }
    }
}

#[starlark_module]
fn ctx_methods(builder: &mut MethodsBuilder) {
    /// The attributes of the target.
    #[starlark(attribute)]
    fn attr(this: &CtxValue) -> anyhow::Result<AttributesValue> {
        this.view(View::Attr)
    }

    /// The one file of each label attribute that accepts a single file.
    #[starlark(attribute)]
    fn file(this: &CtxValue) -> anyhow::Result<AttributesValue> {
        this.view(View::File)
    }

    /// The files of each label attribute.
    #[starlark(attribute)]
    fn files(this: &CtxValue) -> anyhow::Result<AttributesValue> {
        this.view(View::Files)
    }

    /// The program of each label attribute that is executable.
    #[starlark(attribute)]
    fn executable(this: &CtxValue) -> anyhow::Result<AttributesValue> {
        this.view(View::Executable)
    }

    /// The outputs that the target declares by its attributes, and its program.
    #[starlark(attribute)]
    fn outputs(this: &CtxValue) -> anyhow::Result<AttributesValue> {
        this.view(View::Outputs)
    }

    /// Attributes by the configuration of their dependencies; no transition splits here.
    #[starlark(attribute)]
    fn split_attr<'v>(this: &CtxValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        this.0.check_alive()?;
        Ok(heap.alloc(AllocStruct(Vec::<(&str, Value)>::new())))
    }

    /// Declares outputs and actions.
    #[starlark(attribute)]
    fn actions(this: &CtxValue) -> anyhow::Result<ActionsValue> {
        this.0.check_alive()?;
        Ok(ActionsValue(this.0.clone()))
    }

    /// The label of the target.
    #[starlark(attribute)]
    fn label<'v>(this: &CtxValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        this.0.check_alive()?;
        Ok(alloc_label(&this.0.label, heap))
    }

    /// The directory of outputs.
    #[starlark(attribute)]
    fn bin_dir(this: &CtxValue) -> anyhow::Result<RootValue> {
        Ok(RootValue::at(&this.output_directory()))
    }

    /// The directory of outputs.
    #[starlark(attribute)]
    fn genfiles_dir(this: &CtxValue) -> anyhow::Result<RootValue> {
        Ok(RootValue::at(&this.output_directory()))
    }

    /// The variables that `$(NAME)` may stand for.
    #[starlark(attribute)]
    fn var<'v>(this: &CtxValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        this.0.check_alive()?;
        let variables = this.0.make_variables();
        Ok(heap.alloc(AllocDict(variables.iter().map(|(name, value)| (&**name, &**value)))))
    }

    /// The configuration of the target.
    #[starlark(attribute)]
    fn configuration(this: &CtxValue) -> anyhow::Result<ConfigurationValue> {
        this.0.check_alive()?;
        Ok(ConfigurationValue(this.0.clone()))
    }

    /// Fragments of the configuration that languages bring; there are none.
    #[starlark(attribute)]
    fn fragments<'v>(this: &CtxValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        this.0.check_alive()?;
        Ok(heap.alloc(AllocStruct(Vec::<(&str, Value)>::new())))
    }

    /// The toolchains that the rule asks for.
    #[starlark(attribute)]
    fn toolchains(this: &CtxValue) -> anyhow::Result<ToolchainsValue> {
        this.0.check_alive()?;
        Ok(ToolchainsValue(this.0.clone()))
    }

    /// The features that command line, package and target turn on.
    #[starlark(attribute)]
    fn features(this: &CtxValue) -> anyhow::Result<Vec<String>> {
        Ok(this.0.features().0)
    }

    /// The features that command line, package and target turn off.
    #[starlark(attribute)]
    fn disabled_features(this: &CtxValue) -> anyhow::Result<Vec<String>> {
        Ok(this.0.features().1)
    }

    /// The name of the main workspace.
    #[starlark(attribute)]
    fn workspace_name(this: &CtxValue) -> anyhow::Result<String> {
        Ok(this.0.workspace.to_string())
    }

    /// The path of the BUILD file, relative to its repository.
    #[starlark(attribute)]
    fn build_file_path(this: &CtxValue) -> anyhow::Result<String> {
        Ok(this.0.build_file.to_string())
    }

    /// The file with what is stable of the workspace's status. Whoever reads it is built again when
    /// that changes.
    #[starlark(attribute)]
    fn info_file(this: &CtxValue) -> anyhow::Result<FileValue> {
        this.0.check_alive()?;
        Ok(FileValue(workspace_status::stable_file()))
    }

    /// The file with what is volatile of the workspace's status. Nobody is built again because of
    /// it.
    #[starlark(attribute)]
    fn version_file(this: &CtxValue) -> anyhow::Result<FileValue> {
        this.0.check_alive()?;
        Ok(FileValue(workspace_status::volatile_file()))
    }

    /// The value of the build setting that the target is.
    #[starlark(attribute)]
    fn build_setting_value<'v>(this: &CtxValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        this.0.check_alive()?;
        Ok(from_plain(&this.0.build_setting_value()?, heap))
    }

    /// Runfiles of these files and of dependencies.
    fn runfiles<'v>(
        this: &CtxValue,
        #[starlark(default = NoneOr::None)] files: NoneOr<Value<'v>>,
        #[starlark(default = NoneOr::None)] transitive_files: NoneOr<Value<'v>>,
        #[starlark(default = false)] collect_data: bool,
        #[starlark(default = false)] collect_default: bool,
        #[starlark(default = NoneOr::None)] symlinks: NoneOr<Value<'v>>,
        #[starlark(default = NoneOr::None)] root_symlinks: NoneOr<Value<'v>>,
    ) -> anyhow::Result<RunfilesValue> {
        this.0.check_alive()?;
        let direct = match files.into_option() {
            Some(list) => self::files("files", list)?,
            None => Vec::new(),
        };
        let mut all = vec![Depset::of_files(direct)];
        if let Some(given) = transitive_files.into_option() {
            if DepsetValue::from_value(given).is_none() {
                return Err(wrong("transitive_files", "a depset of files", given).into());
            }
            all.push(file_set("transitive_files", given)?);
        }
        let own = Runfiles {
            files: Depset::union(all),
            symlinks: links("symlinks", symlinks)?,
            root_symlinks: links("root_symlinks", root_symlinks)?,
        };
        let mut parts = vec![Arc::new(own)];
        for name in ["srcs", "deps", "data"] {
            let Some(attribute) = this.0.attribute(name) else { continue };
            for (_, index) in &attribute.dependencies {
                let info = this.0.dependencies[*index].default_info();
                if collect_data {
                    parts.push(info.data_runfiles.clone());
                }
                if collect_default {
                    parts.push(info.default_runfiles.clone());
                }
            }
        }
        let merged = Runfiles::merge(parts.iter().map(|part| &**part).collect::<Vec<_>>());
        Ok(RunfilesValue(Arc::new(merged)))
    }

    /// Expands `$(location …)` and its kin.
    fn expand_location<'v>(
        this: &CtxValue,
        #[starlark(require = pos)] input: &str,
        #[starlark(default = NoneOr::None)] targets: NoneOr<Value<'v>>,
        #[starlark(default = false)] short_paths: bool,
    ) -> anyhow::Result<String> {
        this.0.check_alive()?;
        let mut locations = this.0.locations();
        if let Some(targets) = targets.into_option() {
            for target in list("targets", "a list of targets", targets)? {
                let target = TargetValue::from_value(target)
                    .ok_or_else(|| wrong("targets", "a list of targets", target))?
                    .plain();
                let files = target
                    .providers
                    .iter()
                    .find(|provider| provider.id == Builtin::DefaultInfo.id())
                    .and_then(|info| info.get("files"));
                // What its own attributes name stands for the same here: of a program, the program.
                if let Some(Plain::Depset(files)) = files
                    && !locations.knows(&target.label)
                {
                    locations.add_files(&target.label, files.clone());
                }
            }
        }
        let style = if short_paths { PathStyle::Runfiles } else { PathStyle::Exec };
        Ok(locations.expand(input, this.0.label.package(), &this.0.workspace, style)?)
    }

    /// Expands `$(NAME)`.
    fn expand_make_variables<'v>(
        this: &CtxValue,
        #[starlark(require = pos)] attribute_name: &str,
        #[starlark(require = pos)] command: &str,
        #[starlark(require = pos)] additional_substitutions: Value<'v>,
    ) -> anyhow::Result<String> {
        this.0.check_alive()?;
        let mut variables = this.0.make_variables();
        variables.extend(crate::action_arguments::string_pairs(
            "additional_substitutions",
            additional_substitutions,
        )?);
        Ok(self::expand_make_variables(command, attribute_name, &variables)?)
    }

    /// Whether coverage instruments the target, or the one given.
    fn coverage_instrumented<'v>(
        this: &CtxValue,
        #[starlark(default = NoneOr::None)] target: NoneOr<Value<'v>>,
    ) -> anyhow::Result<bool> {
        this.0.check_alive()?;
        match target.into_option() {
            None => Ok(this.0.is_instrumented(&this.0.label, this.0.schema.test)?),
            Some(target) => {
                let target = TargetValue::from_value(target)
                    .ok_or_else(|| wrong("target", "a target", target))?;
                Ok(this.0.is_instrumented(&target.plain().label, false)?)
            }
        }
    }

    /// Whether a constraint value holds for the platform that the target is built for.
    #[allow(non_snake_case)]
    fn target_platform_has_constraint<'v>(
        this: &CtxValue,
        #[starlark(require = pos)] constraintValue: Value<'v>,
    ) -> anyhow::Result<bool> {
        this.0.check_alive()?;
        let instance = crate::provider_value::ProviderInstanceValue::from_value(constraintValue)
            .filter(|instance| instance.0.id == Builtin::ConstraintValueInfo.id())
            .ok_or_else(|| wrong("constraintValue", "a `ConstraintValueInfo`", constraintValue))?;
        Ok(matches!(instance.0.get("label"), Some(Plain::Label(label))
            if this.0.host_constraints.contains(label)))
    }

    /// Splits a command line as a shell does.
    fn tokenize(
        this: &CtxValue,
        #[starlark(require = pos)] option: &str,
    ) -> anyhow::Result<Vec<String>> {
        this.0.check_alive()?;
        shell_words::split(option).map_err(|error| {
            Diagnostic::user(format!("`{option}` cannot be split into words: {error}")).into()
        })
    }

    /// The label that a text means in the BUILD file of the target.
    fn package_relative_label<'v>(
        this: &CtxValue,
        #[starlark(require = pos)] input: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<StarlarkLabel> {
        let evaluation = Evaluation::of(eval)?;
        label_from(input, evaluation, this.0.label.package()).map(StarlarkLabel)
    }
}

/// The pairs of path and file of the argument `symlinks`.
fn links(name: &str, value: NoneOr<Value>) -> anyhow::Result<Depset> {
    let none = Depset::empty(Order::Default);
    let Some(value) = value.into_option() else { return Ok(none) };
    let expected = "a dict from paths to files";
    let mut pairs = Vec::new();
    if let Some(depset) = DepsetValue::from_value(value) {
        // What `runfiles.symlinks` yields.
        for entry in depset.0.to_list() {
            let Plain::Struct(fields) = &entry else {
                return Err(wrong(name, expected, value).into());
            };
            let field = |name: &str| {
                let found = fields.iter().find(|(field, _)| &**field == name);
                found.map_or(Plain::None, |(_, value)| value.clone())
            };
            pairs.push(Plain::Tuple(Arc::from([field("path"), field("target_file")])));
        }
        return Ok(Depset::new(Order::Default, pairs, vec![])?);
    }
    let dict = DictRef::from_value(value).ok_or_else(|| wrong(name, expected, value))?;
    for (path, file) in dict.iter() {
        let path = path.unpack_str().ok_or_else(|| wrong(name, expected, path))?;
        let file = FileValue::from_value(file).ok_or_else(|| wrong(name, expected, file))?;
        pairs.push(Plain::Tuple(Arc::from([Plain::str(path), Plain::File(file.0.clone())])));
    }
    Ok(Depset::new(Order::Default, pairs, vec![])?)
}
