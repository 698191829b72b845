//! `rbz completion`: scripts by which shells complete command lines.

use clap_complete::{Shell, generate};

use crate::arguments::clap_command;
use crate::command_error::{CommandError, nearest};

const SHELLS: [(&str, Shell); 3] =
    [("bash", Shell::Bash), ("fish", Shell::Fish), ("zsh", Shell::Zsh)];

/// The script for the shell that `residue` names.
pub fn script(residue: &[String]) -> Result<String, CommandError> {
    let usage =
        "`rbz completion bash` shows the script; load it with `source <(rbz completion bash)`";
    let [name] = residue else {
        let error = CommandError::command_line("`rbz completion` needs the name of one shell");
        return Err(error.hint(usage));
    };
    let Some((_, shell)) = SHELLS.iter().find(|(known, _)| known == name) else {
        let names = SHELLS.map(|(name, _)| name);
        let message = format!("`{name}` is no shell with completion: `{}` are", names.join("`, `"));
        return Err(CommandError::command_line(message).hint_nearest(nearest(name, names)));
    };
    let mut script = Vec::new();
    generate(*shell, &mut clap_command().clone(), "rbz", &mut script);
    Ok(String::from_utf8_lossy(&script).into_owned())
}
