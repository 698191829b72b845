//! `ctx.actions`: how a rule declares outputs and the actions that write them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::action::{ActionKind, CommandArg, Resident, Spawn, SymlinkTarget};
use rbz_engine::artifact::{Artifact, ArtifactKind};
use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::{Diagnostic, Place};
use starlark::environment::{Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::dict::DictRef;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::{NoSerialize, ProvidesStaticType, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use crate::action_arguments::{
    Program, file, file_set, files, list, program, string_map, string_pairs, wrong,
};
use crate::args::ArgsValue;
use crate::builtin_providers::FilesToRun;
use crate::depset_value::DepsetValue;
use crate::file_value::FileValue;
use crate::rule_context::RuleContext;
use crate::starlark_error;
use crate::template_dict::TemplateDictValue;

/// `ctx.actions`.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct ActionsValue(#[allocative(skip)] pub Arc<RuleContext>);

starlark_simple_value!(ActionsValue);
starlark::methods_static!(METHODS = actions_methods);

impl fmt::Display for ActionsValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<actions of {}>", self.0.label)
    }
}

#[starlark_value(type = "actions")]
impl<'v> StarlarkValue<'v> for ActionsValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }
}

/// The place of the call that is being evaluated.
fn calling_place(eval: &Evaluator) -> Option<Place> {
    (0..eval.call_stack_count())
        .find_map(|n| eval.call_stack_nth_location(n))
        .map(|span| starlark_error::place(&span))
}

fn sibling(value: NoneOr<Value>) -> Result<Option<Artifact>, Diagnostic> {
    value.into_option().map(|value| file("sibling", value)).transpose()
}

#[starlark_module]
fn actions_methods(builder: &mut MethodsBuilder) {
    /// A file that an action of this rule will write, in the target's package or beside `sibling`.
    fn declare_file<'v>(
        this: &ActionsValue,
        filename: &str,
        #[starlark(require = named, default = NoneOr::None)] sibling: NoneOr<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<FileValue> {
        let sibling = self::sibling(sibling)?;
        let place = calling_place(eval);
        Ok(FileValue(this.0.declare(ArtifactKind::File, filename, sibling.as_ref(), place)?))
    }

    /// A directory that an action of this rule will fill.
    fn declare_directory<'v>(
        this: &ActionsValue,
        filename: &str,
        #[starlark(require = named, default = NoneOr::None)] sibling: NoneOr<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<FileValue> {
        let sibling = self::sibling(sibling)?;
        let place = calling_place(eval);
        Ok(FileValue(this.0.declare(ArtifactKind::Tree, filename, sibling.as_ref(), place)?))
    }

    /// A symbolic link that an action of this rule will make.
    fn declare_symlink<'v>(
        this: &ActionsValue,
        filename: &str,
        #[starlark(require = named, default = NoneOr::None)] sibling: NoneOr<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<FileValue> {
        let sibling = self::sibling(sibling)?;
        let place = calling_place(eval);
        Ok(FileValue(this.0.declare(ArtifactKind::Symlink, filename, sibling.as_ref(), place)?))
    }

    /// An empty command line, to be filled and given to an action.
    fn args(this: &ActionsValue) -> anyhow::Result<ArgsValue> {
        this.0.check_alive()?;
        Ok(ArgsValue::new())
    }

    /// Substitutions for `expand_template` whose values are computed.
    fn template_dict(this: &ActionsValue) -> anyhow::Result<TemplateDictValue> {
        this.0.check_alive()?;
        Ok(TemplateDictValue::default())
    }

    /// Runs a program.
    fn run<'v>(
        this: &ActionsValue,
        #[starlark(require = named)] outputs: Value<'v>,
        #[starlark(require = named, default = NoneOr::None)] inputs: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] unused_inputs_list: NoneOr<Value<'v>>,
        #[starlark(require = named)] executable: Value<'v>,
        #[starlark(require = named, default = NoneOr::None)] tools: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] arguments: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] mnemonic: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] progress_message: NoneOr<&str>,
        #[starlark(require = named, default = false)] use_default_shell_env: bool,
        #[starlark(require = named, default = NoneOr::None)] env: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] execution_requirements: NoneOr<
            Value<'v>,
        >,
        #[starlark(require = named, default = NoneOr::None)] input_manifests: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] exec_group: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] shadowed_action: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] resource_set: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] toolchain: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] resident: NoneOr<Value<'v>>,
    ) -> anyhow::Result<NoneType> {
        let _ = (input_manifests, exec_group, resource_set, toolchain);
        refuse("unused_inputs_list", unused_inputs_list)?;
        refuse("shadowed_action", shadowed_action)?;
        let mut tool_inputs = Vec::new();
        let program = match program("executable", executable)? {
            Program::Path(path) => path,
            Program::Target(program) => this.0.add_tool(program, &mut tool_inputs)?,
        };
        this.0.spawn(SpawnArguments {
            resident: resident
                .into_option()
                .map(|value| self::resident(&program, value))
                .transpose()?,
            argv: vec![CommandArg::Str(program)],
            tool_inputs,
            outputs,
            inputs: inputs.into_option(),
            tools: tools.into_option(),
            arguments: arguments.into_option(),
            mnemonic: mnemonic.into_option(),
            progress_message: progress_message.into_option(),
            env: env.into_option(),
            use_default_shell_env,
            execution_requirements: execution_requirements.into_option(),
        })?;
        Ok(NoneType)
    }

    /// Runs a command of the shell.
    fn run_shell<'v>(
        this: &ActionsValue,
        #[starlark(require = named)] outputs: Value<'v>,
        #[starlark(require = named, default = NoneOr::None)] inputs: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] tools: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] arguments: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] mnemonic: NoneOr<&str>,
        #[starlark(require = named)] command: Value<'v>,
        #[starlark(require = named, default = NoneOr::None)] progress_message: NoneOr<&str>,
        #[starlark(require = named, default = false)] use_default_shell_env: bool,
        #[starlark(require = named, default = NoneOr::None)] env: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] execution_requirements: NoneOr<
            Value<'v>,
        >,
        #[starlark(require = named, default = NoneOr::None)] input_manifests: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] exec_group: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] shadowed_action: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] resource_set: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] toolchain: NoneOr<Value<'v>>,
    ) -> anyhow::Result<NoneType> {
        let _ = (input_manifests, exec_group, resource_set, toolchain);
        refuse("shadowed_action", shadowed_action)?;
        let command = command.unpack_str().ok_or_else(|| {
            wrong("command", "a string", command)
                .hint("a program with a list of arguments is run by `ctx.actions.run`")
        })?;
        let shell = match &*this.0.shell {
            Ok(shell) => shell,
            Err(error) => {
                return Err(Diagnostic::user("`run_shell` needs a shell, and there is none")
                    .hint(error.to_string())
                    .into());
            }
        };
        let mut argv: Vec<CommandArg> = [shell.program.exec_path(), "-c", command]
            .map(|argument| CommandArg::Str(argument.into()))
            .into();
        if arguments.into_option().is_some() {
            // `$0` of the command; its arguments are `$1` and so on.
            argv.push(CommandArg::Str("".into()));
        }
        this.0.spawn(SpawnArguments {
            resident: None,
            argv,
            tool_inputs: vec![shell.files.clone()],
            outputs,
            inputs: inputs.into_option(),
            tools: tools.into_option(),
            arguments: arguments.into_option(),
            mnemonic: mnemonic.into_option(),
            progress_message: progress_message.into_option(),
            env: env.into_option(),
            use_default_shell_env,
            execution_requirements: execution_requirements.into_option(),
        })?;
        Ok(NoneType)
    }

    /// Writes a text file.
    fn write<'v>(
        this: &ActionsValue,
        output: Value<'v>,
        content: Value<'v>,
        #[starlark(default = false)] is_executable: bool,
        #[starlark(require = named, default = NoneOr::None)] mnemonic: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] progress_message: NoneOr<&str>,
    ) -> anyhow::Result<NoneType> {
        let output = file("output", output)?;
        let (content, inputs) = match (content.unpack_str(), ArgsValue::from_value(content)) {
            (Some(text), _) => (CommandArg::Str(text.into()), Depset::union([])),
            (None, Some(args)) => {
                let args = args.args();
                // Trees among them are expanded when the file is written.
                let inputs = crate::args_inputs::trees(&args);
                (CommandArg::Args(args), inputs)
            }
            _ => return Err(wrong("content", "a string or an `Args` object", content).into()),
        };
        let kind = ActionKind::Write { content: vec![content], executable: is_executable };
        let message = progress_message.into_option();
        this.0.simple(mnemonic.into_option().unwrap_or("FileWrite"), message, inputs, output, kind)
    }

    /// Copies a text file and replaces texts in it.
    fn expand_template<'v>(
        this: &ActionsValue,
        #[starlark(require = named)] template: Value<'v>,
        #[starlark(require = named)] output: Value<'v>,
        #[starlark(require = named, default = NoneOr::None)] substitutions: NoneOr<Value<'v>>,
        #[starlark(require = named, default = false)] is_executable: bool,
        #[starlark(require = named, default = NoneOr::None)] computed_substitutions: NoneOr<
            Value<'v>,
        >,
    ) -> anyhow::Result<NoneType> {
        let template = file("template", template)?;
        let output = file("output", output)?;
        let mut pairs = match substitutions.into_option() {
            Some(dict) => string_pairs("substitutions", dict)?,
            None => Vec::new(),
        };
        if let Some(computed) = computed_substitutions.into_option() {
            let computed = TemplateDictValue::from_value(computed).ok_or_else(|| {
                wrong("computed_substitutions", "made by `ctx.actions.template_dict()`", computed)
            })?;
            pairs.extend(computed.pairs());
        }
        let inputs = Depset::of_files([template.clone()]);
        let kind = ActionKind::ExpandTemplate {
            template,
            substitutions: pairs,
            executable: is_executable,
        };
        this.0.simple("TemplateExpand", None, inputs, output, kind)
    }

    /// Makes an output that is the same as another file, or a link with a text.
    fn symlink<'v>(
        this: &ActionsValue,
        #[starlark(require = named)] output: Value<'v>,
        #[starlark(require = named, default = NoneOr::None)] target_file: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] target_path: NoneOr<&str>,
        #[starlark(require = named, default = false)] is_executable: bool,
        #[starlark(require = named, default = NoneOr::None)] progress_message: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] target_type: NoneOr<&str>,
    ) -> anyhow::Result<NoneType> {
        let _ = target_type;
        let output = file("output", output)?;
        let is_link = output.kind() == ArtifactKind::Symlink;
        let (target, inputs) = match (target_file.into_option(), target_path.into_option()) {
            (Some(target), None) if !is_link => {
                let target = file("target_file", target)?;
                if target.is_tree() != output.is_tree() {
                    return Err(Diagnostic::user(format!(
                        "`{}` and `{}` must both be files or both be directories",
                        output.short_path(),
                        target.short_path()
                    ))
                    .into());
                }
                (SymlinkTarget::Artifact(target.clone()), Depset::of_files([target]))
            }
            (None, Some(path)) if is_link => (SymlinkTarget::Path(path.into()), Depset::union([])),
            (Some(_), None) => {
                return Err(Diagnostic::user(
                    "`target_file` needs an output made by `declare_file` or `declare_directory`",
                )
                .into());
            }
            (None, Some(_)) => {
                return Err(Diagnostic::user(
                    "`target_path` needs an output made by `declare_symlink`",
                )
                .into());
            }
            _ => {
                return Err(Diagnostic::user(
                    "`symlink` takes either `target_file` or `target_path`",
                )
                .into());
            }
        };
        let kind = ActionKind::Symlink { target, executable: is_executable };
        this.0.simple("Symlink", progress_message.into_option(), inputs, output, kind)
    }

    /// Does nothing. Bazel has it for extra actions, of which there are none.
    fn do_nothing<'v>(
        this: &ActionsValue,
        #[starlark(require = named)] mnemonic: &str,
        #[starlark(require = named, default = NoneOr::None)] inputs: NoneOr<Value<'v>>,
    ) -> anyhow::Result<NoneType> {
        check_mnemonic(mnemonic)?;
        if let Some(inputs) = inputs.into_option() {
            file_set("inputs", inputs)?;
        }
        this.0.check_alive()?;
        Ok(NoneType)
    }
}

fn refuse(name: &str, value: NoneOr<Value>) -> Result<(), Diagnostic> {
    match value.into_option() {
        None => Ok(()),
        Some(_) => Err(Diagnostic::user(format!("`{name}` is not supported"))
            .hint("every action sees exactly the inputs that it declares")),
    }
}

/// A part of a command line.
fn command_arguments(name: &str, value: Value) -> Result<Vec<CommandArg>, Diagnostic> {
    const EXPECTED: &str = "a list of strings and `Args` objects";
    list(name, EXPECTED, value)?
        .into_iter()
        .map(|argument| match (argument.unpack_str(), ArgsValue::from_value(argument)) {
            (Some(text), _) => Ok(CommandArg::Str(text.into())),
            (None, Some(args)) => Ok(CommandArg::Args(args.args())),
            _ => Err(wrong(name, EXPECTED, argument)),
        })
        .collect()
}

/// The argument `resident`: a dict of `arguments`, `steps`, `tools` and `own`, as [`Resident`] has them.
fn resident(program: &Arc<str>, value: Value) -> Result<Resident, Diagnostic> {
    const EXPECTED: &str = "a dict with the keys `arguments`, `steps`, `tools` and `own`";
    let dict = DictRef::from_value(value).ok_or_else(|| wrong("resident", EXPECTED, value))?;
    let get = |key: &str| {
        dict.get_str(key).ok_or_else(|| {
            Diagnostic::user(format!("`resident` must be {EXPECTED}, but `{key}` is missing"))
        })
    };
    let mut argv = vec![CommandArg::Str(program.clone())];
    argv.extend(command_arguments("resident[\"arguments\"]", get("arguments")?)?);
    let steps = get("steps")?;
    let steps = ArgsValue::from_value(steps)
        .ok_or_else(|| wrong("resident[\"steps\"]", "an `Args` object", steps))?;
    Ok(Resident {
        argv,
        steps: steps.args(),
        tools: file_set("resident[\"tools\"]", get("tools")?)?,
        own: file_set("resident[\"own\"]", get("own")?)?,
    })
}

/// What `run` and `run_shell` have in common.
struct SpawnArguments<'v, 's> {
    resident: Option<Resident>,
    argv: Vec<CommandArg>,
    tool_inputs: Vec<Depset>,
    outputs: Value<'v>,
    inputs: Option<Value<'v>>,
    tools: Option<Value<'v>>,
    arguments: Option<Value<'v>>,
    mnemonic: Option<&'s str>,
    progress_message: Option<&'s str>,
    env: Option<Value<'v>>,
    use_default_shell_env: bool,
    execution_requirements: Option<Value<'v>>,
}

impl RuleContext {
    /// Registers an action with one output that rbz does by itself.
    fn simple(
        &self,
        mnemonic: &str,
        progress_message: Option<&str>,
        inputs: Depset,
        output: Artifact,
        kind: ActionKind,
    ) -> anyhow::Result<NoneType> {
        check_mnemonic(mnemonic)?;
        let message = progress_message
            .map(|text| self.progress_message(text, &inputs, std::slice::from_ref(&output)));
        self.register(self.action(mnemonic, message, inputs, vec![output], kind))?;
        Ok(NoneType)
    }

    fn spawn(&self, arguments: SpawnArguments) -> anyhow::Result<()> {
        let SpawnArguments { mut argv, tool_inputs, .. } = arguments;
        let mnemonic = arguments.mnemonic.unwrap_or("Action");
        check_mnemonic(mnemonic)?;
        let outputs = files("outputs", arguments.outputs)?;
        let mut inputs = tool_inputs;
        if let Some(given) = arguments.inputs {
            inputs.push(file_set("inputs", given)?);
        }
        if let Some(tools) = arguments.tools {
            self.add_tools(tools, &mut inputs)?;
        }
        if let Some(given) = arguments.arguments {
            argv.extend(command_arguments("arguments", given)?);
        }
        // What every action gets holds what a shell needs; here is what the command line adds.
        let mut env = match arguments.use_default_shell_env {
            true => self.shell_environment(),
            false => BTreeMap::new(),
        };
        if let Some(given) = arguments.env {
            env.extend(string_map("env", given)?);
        }
        let mut requirements = self.execution_requirements();
        if let Some(given) = arguments.execution_requirements {
            requirements.extend(string_map("execution_requirements", given)?);
        }
        let inputs = Depset::union(inputs);
        let message =
            arguments.progress_message.map(|text| self.progress_message(text, &inputs, &outputs));
        let resident = arguments.resident.map(Box::new);
        let kind = ActionKind::Spawn(Spawn {
            argv,
            env,
            requirements,
            timeout: None,
            test: None,
            resident,
        });
        self.register(self.action(mnemonic, message, inputs, outputs, kind))?;
        Ok(())
    }

    /// Adds a program and its runfiles to the inputs, and yields its path.
    fn add_tool(
        &self,
        mut program: FilesToRun,
        inputs: &mut Vec<Depset>,
    ) -> Result<Arc<str>, Diagnostic> {
        let executable = program
            .executable
            .take()
            .ok_or_else(|| Diagnostic::user("a tool is a target that is no program"))?;
        let tree = match program.runfiles_tree {
            Some(tree) => Some(tree),
            // A file of `ctx.executable` brings the runfiles of its target.
            None => self.program(&executable).and_then(|program| program.runfiles_tree),
        };
        let path = executable.exec_path().into();
        inputs.push(Depset::of_files([Some(executable), tree].into_iter().flatten()));
        Ok(path)
    }

    fn add_tools(&self, tools: Value, inputs: &mut Vec<Depset>) -> Result<(), Diagnostic> {
        if DepsetValue::from_value(tools).is_some() {
            inputs.push(file_set("tools", tools)?);
            return Ok(());
        }
        for tool in list("tools", "a list of files, programs and depsets", tools)? {
            if DepsetValue::from_value(tool).is_some() {
                inputs.push(file_set("tools", tool)?);
                continue;
            }
            match program("tools", tool)? {
                Program::Target(program) => {
                    self.add_tool(program, inputs)?;
                }
                Program::Path(_) => {
                    return Err(wrong("tools", "a list of files, programs and depsets", tool));
                }
            }
        }
        Ok(())
    }

    /// What tags and `exec_properties` of the target say about its actions.
    fn execution_requirements(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        let mut requirements = BTreeMap::new();
        for tag in self.strings("tags") {
            let is_requirement = ["no-", "requires-", "supports-", "disable-", "block-", "cpu:"]
                .iter()
                .any(|prefix| tag.starts_with(prefix))
                || &*tag == "local";
            if is_requirement {
                requirements.insert(tag, "".into());
            }
        }
        if let Some(attribute) = self.attribute("exec_properties")
            && let crate::attr::AttrValue::StringDict(entries) = &attribute.value
        {
            requirements.extend(entries.iter().cloned());
        }
        requirements
    }

    fn progress_message(&self, text: &str, inputs: &Depset, outputs: &[Artifact]) -> Arc<str> {
        let mut message = text.replace("%{label}", &self.label.to_string());
        if let Some(output) = outputs.first() {
            message = message.replace("%{output}", output.exec_path());
        }
        if message.contains("%{input}")
            && let Some(input) = inputs.to_files().first()
        {
            message = message.replace("%{input}", input.exec_path());
        }
        message.into()
    }
}

fn check_mnemonic(mnemonic: &str) -> Result<(), Diagnostic> {
    let valid =
        !mnemonic.is_empty() && mnemonic.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match valid {
        true => Ok(()),
        false => Err(Diagnostic::user(format!(
            "a mnemonic must be one word of letters and digits, but is `{mnemonic}`"
        ))),
    }
}
