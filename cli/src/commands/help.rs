//! `rbz help`: the commands and options, made of their description.

use clap::{Arg, Command};

use crate::arguments::{COMMANDS, clap_command};
use crate::command_error::{CommandError, nearest};

/// What can be asked for besides commands.
const TOPICS: [(&str, &str); 3] = [
    ("flags", "Shows every option of every command"),
    ("startup_options", "Shows the options before the command"),
    ("target-syntax", "Explains how targets are named"),
];

const TARGET_SYNTAX: &str = "\
Targets are named as in Bazel, patterns are relative to the current directory:

  //foo/bar:wiz    the target `wiz` of the package `foo/bar`
  //foo/bar        the target `bar` of the package `foo/bar`
  //foo/bar:all    every rule target of the package `foo/bar`
  //foo/...        every rule target of the packages at and below `foo`
  //...            every rule target of the workspace
  //foo/bar:*      every target of the package, files too
  :wiz, wiz        the target `wiz` of the package in the current directory
  bar:wiz, bar/... relative to the current directory
  @repo//foo:wiz   the same in the repository `repo`
  -//foo/...       takes targets away again from the patterns before it

Patterns with wildcards leave out targets with the tag `manual`.
";

/// The help for `topics`, or the overview.
pub fn text(topics: &[String]) -> Result<String, CommandError> {
    let Some(topic) = topics.first() else { return Ok(overview()) };
    match topic.as_str() {
        "flags" => Ok(all_flags()),
        "startup_options" => {
            Ok(format!("Options before the command:\n\n{}", flags(clap_command())))
        }
        "target-syntax" => Ok(TARGET_SYNTAX.to_owned()),
        name => match clap_command().find_subcommand(name) {
            Some(command) => Ok(of_command(command)),
            None => Err(CommandError::command_line(format!("there is no help for `{name}`"))
                .hint_nearest(nearest(name, COMMANDS.into_iter().chain(TOPICS.map(|t| t.0))))
                .hint("`rbz help` lists the commands")),
        },
    }
}

fn overview() -> String {
    let mut text = String::from(
        "rbz builds and tests software, Common Lisp first of all.\n\n\
         Usage: rbz [startup options] COMMAND [options] [targets]\n\nCommands:\n",
    );
    for command in clap_command().get_subcommands() {
        text += &format!("  {:<22}{}\n", command.get_name(), about(command));
    }
    text += "\nHelp:\n";
    text += &format!("  {:<22}{}\n", "help COMMAND", "Shows the options of a command");
    for (name, about) in TOPICS {
        text += &format!("  {:<22}{about}\n", format!("help {name}"));
    }
    text += "\nTo begin: `rbz init` makes a small workspace here, `rbz test //...` tests it.\n";
    text
}

fn of_command(command: &Command) -> String {
    let operands = match command.get_name() {
        "build" | "test" => " TARGETS…",
        "run" => " TARGET [-- ARGUMENTS…]",
        "repl" => " [TARGETS…] [-- ARGUMENTS OF THE LISP…]",
        "ide" => " json|asd [TARGETS…]",
        "query" | "cquery" | "aquery" => " EXPRESSION",
        "why" => " TARGET TARGET",
        "info" => " [KEY…]",
        "help" => " [COMMAND|TOPIC]",
        "tool" => " TOOL …",
        "completion" => " SHELL",
        "fmt" => " [FILES|DIRECTORIES|-]",
        _ => "",
    };
    format!(
        "rbz {name}: {about}.\n\nUsage: rbz {name} [options]{operands}\n\n{flags}",
        name = command.get_name(),
        about = about(command),
        flags = flags(command)
    )
}

fn all_flags() -> String {
    let whole = clap_command();
    let mut text = format!("Options before the command:\n\n{}", flags(whole));
    for command in whole.get_subcommands() {
        text += &format!("\nOptions of `rbz {}`:\n\n{}", command.get_name(), flags(command));
    }
    for (name, tool) in super::tool::tools() {
        text += &format!("\nOptions of `rbz {name}`:\n\n{}", flags(&tool));
    }
    text
}

/// The options of `command` under their headings.
fn flags(command: &Command) -> String {
    let mut text = String::new();
    let mut heading = None;
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_positional()) {
        if let Some(own) = arg.get_help_heading()
            && heading != Some(own)
        {
            text += if text.is_empty() { "" } else { "\n" };
            text += &format!("{own}:\n");
            heading = Some(own);
        }
        text += &flag(arg);
    }
    text
}

fn flag(arg: &Arg) -> String {
    let short = arg.get_short().map(|letter| format!("-{letter}, ")).unwrap_or_default();
    let name = arg.get_long().unwrap_or_default();
    let values = arg.get_value_names().unwrap_or_default();
    let value = values.first().map(|name| name.as_str()).unwrap_or_default();
    let form = match value {
        "yes|no" => format!("--[no]{name}"),
        _ => format!("--{name}={value}"),
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let default = arg.get_default_values().first().map(|value| value.to_string_lossy());
    let default = match default.as_deref() {
        None => String::new(),
        Some("true") => " (on by default)".to_owned(),
        Some("false") => " (off by default)".to_owned(),
        Some(value) => format!(" (default: {value})"),
    };
    format!("  {short}{form}\n      {help}{default}\n")
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(topic: &str) -> String {
        text(&[topic.to_owned()]).expect("help")
    }

    #[test]
    fn the_overview_lists_what_there_is() {
        insta::assert_snapshot!(text(&[]).expect("help"), @r#"
        rbz builds and tests software, Common Lisp first of all.

        Usage: rbz [startup options] COMMAND [options] [targets]

        Commands:
          analyze-profile       Shows what a profile says: phases, the critical path, the slowest actions
          aquery                Shows the actions of targets
          build                 Builds targets
          clean                 Removes what was built; the disk cache stays
          completion            Shows a script for completion in a shell: `bash`, `fish` or `zsh`
          coverage              Runs tests, and shows what of the code under test they ran
          cquery                Shows the same of targets as they are configured
          fmt                   Formats BUILD, WORKSPACE and .bzl files: those of the workspace, or the files and directories named
          help                  Shows help: `rbz help`, `rbz help COMMAND`, `rbz help flags`
          ide                   Writes files by which editors know the Lisp targets: `json`, `asd`
          info                  Shows where things are
          init                  Makes a workspace of the current directory
          query                 Shows which targets there are, and how they depend on one another
          repl                  Starts a Lisp that has loaded what targets need
          run                   Builds a program and runs it
          test                  Builds targets and runs the tests among them
          tool                  Does what rbz's own actions do: `rbz tool --help`
          version               Shows the version
          why                   Shows a shortest path from one target to another, with the lines that make it
          why-rebuilt           Shows what the last build of a target did, and which changes it began with

        Help:
          help COMMAND          Shows the options of a command
          help flags            Shows every option of every command
          help startup_options  Shows the options before the command
          help target-syntax    Explains how targets are named

        To begin: `rbz init` makes a small workspace here, `rbz test //...` tests it.
        "#);
    }

    #[test]
    fn help_for_clean() {
        insta::assert_snapshot!(help("clean"), @r#"
        rbz clean: Removes what was built; the disk cache stays.

        Usage: rbz clean [options]

        Display:
          --config=NAME
              Takes the options that rc files give under `COMMAND:NAME`; may be repeated
          --color=yes|no|auto
              Whether messages are coloured; `auto`: on a terminal (default: auto)
          --curses=yes|no|auto
              Whether the display is redrawn in place; `auto`: on a terminal (default: auto)
          --[no]show_progress
              Shows what is going on while it does (on by default)
          --[no]announce_rc
              Shows which options came from which rc file (off by default)

        Clean:
          --[no]expunge
              Removes the whole output base: external repositories and all state too (off by default)
          --[no]disk_cache_too
              Removes the disk cache too, which all workspaces share (off by default)
          --disk_cache=DIR
              The disk cache that `--disk_cache_too` removes
        "#);
    }

    #[test]
    fn every_option_is_explained_without_a_full_stop() {
        for command in clap_command().get_subcommands() {
            for arg in
                command.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_positional())
            {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty() && !help.ends_with('.'), "--{}: {help}", arg.get_id());
            }
        }
    }

    #[test]
    fn an_unknown_topic_names_its_neighbour() {
        let error = text(&["biuld".to_owned()]).expect_err("no help");
        assert_eq!(error.hints[0], "did you mean `build`?");
    }
}
