//! `ctx.actions`: how a rule declares outputs and the actions that write them.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::action::{ActionKind, CommandArg, SymlinkTarget};
use rbz_engine::artifact::{Artifact, ArtifactKind};
use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::{Diagnostic, Place};
use starlark::environment::{Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::{NoSerialize, ProvidesStaticType, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use crate::action_arguments::{Program, file, file_set, program, string_pairs, wrong};
use crate::action_registration::{SpawnArguments, check_mnemonic, resident};
use crate::args::ArgsValue;
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
