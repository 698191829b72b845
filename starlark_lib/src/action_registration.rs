//! Registration of actions: from what `ctx.actions.*` was given to the action.

use std::collections::BTreeMap;
use std::sync::Arc;

use rbz_engine::action::{ActionKind, CommandArg, Resident, Spawn};
use rbz_engine::artifact::Artifact;
use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::Diagnostic;
use starlark::values::Value;
use starlark::values::dict::DictRef;
use starlark::values::none::NoneType;

use crate::action_arguments::{Program, file_set, files, list, program, string_map, wrong};
use crate::args::ArgsValue;
use crate::builtin_providers::FilesToRun;
use crate::depset_value::DepsetValue;
use crate::rule_context::RuleContext;

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
pub fn resident(program: &Arc<str>, value: Value) -> Result<Resident, Diagnostic> {
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
pub struct SpawnArguments<'v, 's> {
    /// How it runs in an image that is there already.
    pub resident: Option<Resident>,
    /// The program, and what stands before the arguments.
    pub argv: Vec<CommandArg>,
    /// What the program needs.
    pub tool_inputs: Vec<Depset>,
    /// `outputs`
    pub outputs: Value<'v>,
    /// `inputs`
    pub inputs: Option<Value<'v>>,
    /// `tools`
    pub tools: Option<Value<'v>>,
    /// `arguments`
    pub arguments: Option<Value<'v>>,
    /// `mnemonic`
    pub mnemonic: Option<&'s str>,
    /// `progress_message`
    pub progress_message: Option<&'s str>,
    /// `env`
    pub env: Option<Value<'v>>,
    /// `use_default_shell_env`
    pub use_default_shell_env: bool,
    /// `execution_requirements`
    pub execution_requirements: Option<Value<'v>>,
}

impl RuleContext {
    /// Registers an action with one output that rbz does by itself.
    pub fn simple(
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

    /// Registers an action that runs a program.
    pub fn spawn(&self, arguments: SpawnArguments) -> anyhow::Result<()> {
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
    pub fn add_tool(
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

/// Says what is wrong with a mnemonic, if anything.
pub fn check_mnemonic(mnemonic: &str) -> Result<(), Diagnostic> {
    let valid =
        !mnemonic.is_empty() && mnemonic.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match valid {
        true => Ok(()),
        false => Err(Diagnostic::user(format!(
            "a mnemonic must be one word of letters and digits, but is `{mnemonic}`"
        ))),
    }
}
