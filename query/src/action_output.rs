//! The forms in which actions are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use rbz_engine::action::{Action, ActionKind, SymlinkTarget};
use rbz_engine::command_line::{ExpandedCommand, expand, expand_content, quote};
use rbz_engine::digest::FingerprintBuilder;
use rbz_starlark::configured_target::ConfiguredTarget;

use crate::action_graph::ActionGraph;
use crate::build_proto::ToJson;

/// `--output` of `aquery`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionFormat {
    /// For people.
    Text,
    /// Command lines, one to a line.
    Commands,
    /// Bazel's `ActionGraphContainer`.
    Proto,
    /// The same as JSON.
    JsonProto,
}

/// What of actions is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionOptions {
    /// In which form.
    pub format: ActionFormat,
    /// Their inputs and outputs.
    pub artifacts: bool,
    /// Their command lines and environments.
    pub command_lines: bool,
    /// Their parameter files.
    pub param_files: bool,
    /// The texts of files that they write.
    pub file_contents: bool,
}

impl ActionFormat {
    /// Every one of them by its name.
    pub const NAMES: [(&'static str, ActionFormat); 4] = [
        ("commands", ActionFormat::Commands),
        ("jsonproto", ActionFormat::JsonProto),
        ("proto", ActionFormat::Proto),
        ("text", ActionFormat::Text),
    ];

    /// The form of this name.
    pub fn from_name(name: &str) -> Option<ActionFormat> {
        ActionFormat::NAMES.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }
}

/// Targets and their actions as text, or as bytes that are none.
pub fn write_actions(
    chosen: &[(Arc<ConfiguredTarget>, Vec<Arc<Action>>)],
    options: &ActionOptions,
) -> Vec<u8> {
    let graph = || {
        let mut graph = ActionGraph::new(options);
        for (target, actions) in chosen {
            actions.iter().for_each(|action| graph.add(target, action));
        }
        graph.finish()
    };
    let actions =
        || chosen.iter().flat_map(|(target, actions)| actions.iter().map(move |one| (target, one)));
    match options.format {
        ActionFormat::Text => {
            actions().map(|(target, action)| text(target, action, options)).collect::<String>()
        }
        ActionFormat::Commands => actions()
            .filter_map(|(_, action)| command(action))
            .map(|command| format!("{}\n", line(&command.argv)))
            .collect(),
        ActionFormat::JsonProto => format!("{:#}\n", serde_json::Value::from(graph().to_json())),
        ActionFormat::Proto => return graph().encode_to_vec(),
    }
    .into_bytes()
}

/// The command line of an action that runs a process. Directories whose files are only known when
/// it runs stand as they are.
pub fn command(action: &Action) -> Option<ExpandedCommand> {
    match &action.kind {
        ActionKind::Spawn(spawn) => Some(expand(&spawn.argv, action.primary(), &|_| None)),
        _ => None,
    }
}

/// The environment that an action says it needs.
pub fn environment(action: &Action) -> BTreeMap<Arc<str>, Arc<str>> {
    match &action.kind {
        ActionKind::Spawn(spawn) => spawn.env.clone(),
        _ => BTreeMap::new(),
    }
}

/// The text that an action writes to a file.
pub fn contents(action: &Action) -> Option<String> {
    match &action.kind {
        ActionKind::Write { content, .. } => Some(expand_content(content, &|_| None)),
        _ => None,
    }
}

/// Changes with everything about an action but the contents of its inputs.
pub fn key(action: &Action) -> String {
    let mut key = FingerprintBuilder::new("action of a query");
    key.str(&action.mnemonic).str(&action.configuration).part(&action.inputs.fingerprint());
    for output in &action.outputs {
        key.str(output.exec_path());
    }
    let command = command(action).unwrap_or_default();
    for argument in &command.argv {
        key.str(argument);
    }
    for (path, text) in &command.param_files {
        key.str(path).str(text);
    }
    for (name, value) in environment(action) {
        key.str(&name).str(&value);
    }
    key.str(&contents(action).unwrap_or_default());
    match &action.kind {
        ActionKind::ExpandTemplate { template, substitutions, .. } => {
            key.str(template.exec_path());
            for (from, to) in substitutions {
                key.str(from).str(to);
            }
        }
        ActionKind::Symlink { target: SymlinkTarget::Path(path), .. } => {
            key.str(path);
        }
        _ => {}
    }
    key.finish().to_hex()
}

fn line(words: &[String]) -> String {
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

fn text(target: &ConfiguredTarget, action: &Action, options: &ActionOptions) -> String {
    let mut text = format!(
        "action '{}'\n  Mnemonic: {}\n  Target: {}\n  Configuration: {}\n  ActionKey: {}\n",
        action.description(),
        action.mnemonic,
        target.label,
        action.configuration,
        key(action)
    );
    if options.artifacts {
        let inputs = action.inputs.to_files();
        let inputs: Vec<&str> = inputs.iter().map(|file| file.exec_path()).collect();
        let outputs: Vec<&str> = action.outputs.iter().map(|file| file.exec_path()).collect();
        text +=
            &format!("  Inputs: [{}]\n  Outputs: [{}]\n", inputs.join(", "), outputs.join(", "));
    }
    let command = command(action);
    if options.command_lines {
        let environment = environment(action);
        if !environment.is_empty() {
            let pairs: Vec<String> =
                environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
            text += &format!("  Environment: [{}]\n", pairs.join(", "));
        }
        if let ActionKind::Spawn(spawn) = &action.kind
            && !spawn.requirements.is_empty()
        {
            let pairs: Vec<String> =
                spawn.requirements.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            text += &format!("  ExecutionInfo: {{{}}}\n", pairs.join(", "));
        }
        if let Some(command) = &command {
            let words: Vec<String> = command.argv.iter().map(|word| quote(word)).collect();
            text += &format!("  Command Line: (exec {})\n", words.join(" \\\n    "));
        }
    }
    if options.param_files {
        for (path, lines) in command.iter().flat_map(|command| &command.param_files) {
            text += &format!("  Params File {path}:\n");
            text.extend(lines.lines().map(|line| format!("    {line}\n")));
        }
    }
    if options.file_contents
        && let Some(contents) = contents(action)
    {
        text += "  FileWriteContents:\n";
        text.extend(contents.lines().map(|line| format!("    {line}\n")));
    }
    text + "\n"
}
