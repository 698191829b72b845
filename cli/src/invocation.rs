//! Invocation: a command line made whole by rc files, and taken apart into a command and options.

use std::num::ParseIntError;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind as ClapErrorKind};
use clap::{Command, FromArgMatches};

use crate::arguments::{
    COMMANDS, RawCommand, StartupOptions, clap_command_alone, clap_startup, options,
};
use crate::command_error::{CommandError, nearest};
use crate::environment::Environment;
use crate::option_reader::{OptionReader, OptionUse, Origin, Word};
use crate::rc_file::RcFiles;
use crate::workspace_root;

/// What the user asked for, option by option.
#[derive(Debug)]
pub struct Invocation {
    /// The options before the command.
    pub startup: StartupOptions,
    /// The root of the workspace that rbz was called in, if any.
    pub workspace: Option<PathBuf>,
    /// The command and its options.
    pub command: RawCommand,
    /// The build settings, in the order given.
    pub settings: Vec<OptionUse>,
    /// What is wrong in rc files but does not keep rbz from going on.
    pub warnings: Vec<String>,
    /// Each rc file with the options that came from it, for `--announce_rc`.
    pub options_of_rc_files: Vec<OptionUse>,
}

impl Invocation {
    /// Reads the command line and the rc files.
    pub fn read(environment: &Environment) -> Result<Invocation, CommandError> {
        let startup_specs = options(None);
        let words = &environment.arguments;
        let mut reader = OptionReader::new(words, &startup_specs, Origin::CommandLine);
        let mut given_startup = Vec::new();
        let mut command = None;
        for word in reader.by_ref() {
            match word {
                Word::Option(option) => given_startup.push(option),
                Word::Residue(word) => {
                    command = Some(word);
                    break;
                }
                Word::Unknown(text, _) if text == "--help" || text == "-h" => {
                    command = Some("help".to_owned());
                    break;
                }
                Word::Unknown(text, _) if text == "--version" => {
                    command = Some("version".to_owned());
                    break;
                }
                Word::Unknown(text, near) => return Err(unknown_startup_option(&text, near)),
                Word::MissingValue(name) => return Err(missing_value(&name)),
            }
        }
        let mut command = command.unwrap_or_else(|| "help".to_owned());
        if !COMMANDS.contains(&command.as_str()) {
            return Err(CommandError::command_line(format!("`{command}` is no command of rbz"))
                .hint_nearest(nearest(&command, COMMANDS))
                .hint("`rbz help` lists the commands"));
        }
        if command == "tool" {
            // It runs in actions too, where what the user prefers must make no difference.
            return Ok(Invocation {
                startup: parse_startup(&given_startup)?,
                workspace: None,
                command: parse_command("tool", &[], reader.rest().to_vec())?,
                settings: Vec::new(),
                warnings: Vec::new(),
                options_of_rc_files: Vec::new(),
            });
        }
        let here = environment.current_directory.as_deref();
        let workspace = here.and_then(workspace_root::find);
        let (startup, rc_files, mut warnings) =
            startup(environment, &given_startup, workspace.as_ref())?;

        let specs = options(Some(&command));
        let mut given = Vec::new();
        let mut residue = Vec::new();
        for word in OptionReader::new(reader.rest(), &specs, Origin::CommandLine) {
            match word {
                Word::Option(option) => given.push(option),
                Word::Residue(word) => residue.push(word),
                Word::Unknown(text, _) if text == "--help" || text == "-h" => {
                    (given, residue) = (Vec::new(), vec![command]);
                    command = "help".to_owned();
                    break;
                }
                Word::Unknown(text, near) => {
                    let error = CommandError::command_line(format!(
                        "`{text}` is no option of `rbz {command}`"
                    ));
                    let words = [text.clone()];
                    let mut before = OptionReader::new(&words, &startup_specs, Origin::CommandLine);
                    if matches!(before.next(), Some(Word::Option(_) | Word::MissingValue(_))) {
                        return Err(error.hint(format!(
                            "it stands before the command: `rbz {text} {command}`"
                        )));
                    }
                    return Err(error
                        .hint_nearest(near)
                        .hint(format!("`rbz help {command}` lists the options")));
                }
                Word::MissingValue(name) => return Err(missing_value(&name)),
            }
        }
        let expansion = rc_files.expand(&command, given)?;
        warnings.extend(expansion.warnings);
        let (settings, uses): (Vec<_>, Vec<_>) =
            expansion.uses.into_iter().partition(OptionUse::is_build_setting);
        let parsed = parse_command(&command, &uses, residue)?;
        let from_rc = |option: &&OptionUse| option.origin != Origin::CommandLine;
        let options_of_rc_files = uses.iter().chain(&settings).filter(from_rc).cloned().collect();
        Ok(Invocation {
            startup,
            workspace,
            command: parsed,
            settings,
            warnings,
            options_of_rc_files,
        })
    }
}

fn unknown_startup_option(text: &str, near: Option<String>) -> CommandError {
    let error = CommandError::command_line(format!("`{text}` is no option before the command"));
    let is_of_command = |command: &&&str| {
        let words = [text.to_owned()];
        let specs = options(Some(command));
        !matches!(
            OptionReader::new(&words, &specs, Origin::CommandLine).next(),
            Some(Word::Unknown(..))
        )
    };
    // What most people mean comes first.
    match ["build", "test"].iter().chain(&COMMANDS).find(is_of_command) {
        Some(command) => error.hint(format!("write it after the command: `rbz {command} {text}`")),
        None => {
            error.hint_nearest(near).hint("`rbz help startup_options` lists the startup options")
        }
    }
}

fn missing_value(name: &str) -> CommandError {
    CommandError::command_line(format!("`{name}` needs a value"))
}

/// The startup options, of the rc files too; and the rc files, which some of them name.
fn startup(
    environment: &Environment,
    given: &[OptionUse],
    workspace: Option<&PathBuf>,
) -> Result<(StartupOptions, RcFiles, Vec<String>), CommandError> {
    let of_command_line = parse_startup(given)?;
    let mut files = Vec::new();
    if of_command_line.system_rc {
        files.push(PathBuf::from("/etc/rbz.rbzrc"));
    }
    if of_command_line.workspace_rc {
        files.extend(workspace.map(|workspace| workspace.join(".rbzrc")));
    }
    if of_command_line.home_rc {
        files.extend(environment.home.as_ref().map(|home| home.join(".rbzrc")));
    }
    for file in &of_command_line.rbzrc {
        let path = environment.here()?.join(file);
        if !path.exists() {
            let message = format!("the rc file `{}` does not exist", file.display());
            return Err(CommandError::command_line(message));
        }
        files.push(path);
    }
    if of_command_line.ignore_all_rc_files {
        files.clear();
    }
    let rc_files = RcFiles::read(&files, workspace.map(PathBuf::as_path))?;
    let of_rc_files = rc_files.startup();
    let all = [&of_rc_files.uses, given].concat();
    Ok((parse_startup(&all)?, rc_files, of_rc_files.warnings))
}

/// Has clap check and convert startup options.
fn parse_startup(uses: &[OptionUse]) -> Result<StartupOptions, CommandError> {
    parse(clap_startup, &["rbz"], uses, vec![])
}

/// Has clap check and convert the options of a command.
fn parse_command(
    name: &str,
    uses: &[OptionUse],
    residue: Vec<String>,
) -> Result<RawCommand, CommandError> {
    // clap has a command `help` of its own.
    let bare = || Command::new("rbz").disable_help_subcommand(true);
    let line = || bare().subcommand(clap_command_alone(name));
    parse(line, &["rbz", name], uses, residue)
}

/// Has clap check and convert options. Says where a wrong one was given.
fn parse<T: FromArgMatches>(
    command: impl Fn() -> Command,
    before: &[&str],
    uses: &[OptionUse],
    residue: Vec<String>,
) -> Result<T, CommandError> {
    let line = |uses: &[OptionUse]| {
        let before = before.iter().map(|word| (*word).to_owned());
        before.chain(uses.iter().map(ToString::to_string)).collect::<Vec<_>>()
    };
    let mut words = line(uses);
    if !residue.is_empty() {
        words.push("--".to_owned());
        words.extend(residue);
    }
    let parsed = command().try_get_matches_from(words);
    parsed.and_then(|matches| T::from_arg_matches(&matches)).map_err(|error| {
        let is_wrong = |option: &&OptionUse| {
            command().try_get_matches_from(line(std::slice::from_ref(*option))).is_err()
        };
        wrong_value(&error, uses.iter().find(is_wrong))
    })
}

fn wrong_value(error: &clap::Error, culprit: Option<&OptionUse>) -> CommandError {
    let Some(option) = culprit else {
        return CommandError::command_line(error.to_string().trim().to_owned());
    };
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join("`, `")),
        _ => None,
    };
    let reason = match error.kind() {
        ClapErrorKind::InvalidValue => context(ContextKind::ValidValue)
            .filter(|values| !values.is_empty())
            .map(|values| format!("it must be one of `{values}`")),
        _ => std::error::Error::source(error).map(|source| match source.is::<ParseIntError>() {
            true => "it must be a number from 0".to_owned(),
            false => source.to_string(),
        }),
    };
    let reason = reason.unwrap_or_else(|| "this is no value for it".to_owned());
    let near = context(ContextKind::SuggestedValue);
    CommandError::command_line(format!("{}`{option}`: {reason}", option.origin)).hint_nearest(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoke(words: &[&str], rc: &str) -> Result<Invocation, CommandError> {
        let workspace = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(workspace.path().join("WORKSPACE"), "").expect("a file");
        std::fs::write(workspace.path().join(".rbzrc"), rc).expect("a file");
        let words = ["--nohome_rc", "--nosystem_rc"].iter().chain(words);
        Invocation::read(&Environment {
            arguments: words.map(|word| word.to_string()).collect(),
            current_directory: Some(workspace.path().to_owned()),
            home: None,
            variables: Default::default(),
            stdout_is_terminal: false,
            stderr_is_terminal: false,
        })
    }

    fn message(words: &[&str], rc: &str) -> String {
        let error = invoke(words, rc).expect_err("an error");
        assert_eq!(error.kind.exit_status(), 2);
        error.to_string()
    }

    #[test]
    fn rc_files_and_command_line_are_put_together() {
        let words = ["test", "--config=ci", "//...", "-j3", "--//a:b=c"];
        let invocation = invoke(&words, "test:ci -k --test_output=all\nbuild -j2").expect("valid");
        let RawCommand::Test(arguments) = invocation.command else { panic!("no test") };
        assert_eq!(arguments.build.jobs, "3");
        assert!(arguments.build.keep_going);
        assert_eq!(arguments.test.test_output, "all");
        assert_eq!(arguments.residue, ["//..."]);
        assert_eq!(invocation.settings[0].to_string(), "--//a:b=c");
    }

    #[test]
    fn each_command_takes_words() {
        for name in COMMANDS {
            let invocation = invoke(&[name, "word"], "").expect("valid");
            assert_eq!(invocation.command.name(), name);
        }
    }

    #[test]
    fn startup_options_come_from_rc_files_too() {
        let invocation = invoke(&["version"], "startup --output_base=/x").expect("valid");
        assert_eq!(invocation.startup.output_base, Some("/x".into()));
        let words = ["--output_base=/y", "version"];
        let invocation = invoke(&words, "startup --output_base=/x").expect("valid");
        assert_eq!(invocation.startup.output_base, Some("/y".into()));
    }

    #[test]
    fn an_option_that_stands_after_the_command_is_told_where_it_belongs() {
        let of = |option: &str| message(&["build", option, "//..."], "");
        assert!(of("--noblock_for_lock").contains("`rbz --noblock_for_lock build`"));
        assert!(of("--output_base=/x").contains("`rbz --output_base build`"));
        assert!(!of("--xyzzy").contains("before the command"));
    }

    #[test]
    fn switches_know_their_defaults() {
        let invocation = invoke(&["build", "--noshow_progress"], "").expect("valid");
        let RawCommand::Build(arguments) = invocation.command else { panic!("no build") };
        assert!(!arguments.display.show_progress && arguments.build.build);
        assert!(!arguments.build.keep_going);
    }

    #[test]
    fn wrong_command_lines_say_what_is_wrong() {
        insta::assert_snapshot!(
            [
                message(&["biuld"], ""),
                message(&["build", "--kep_going"], ""),
                message(&["--keep_going", "build"], ""),
                message(&["--outputbase=x", "build"], ""),
                message(&["build", "-c", "fast"], ""),
                message(&["build", "--keep_going=maybe"], ""),
                message(&["build", "--show_result=-1"], ""),
                message(&["build"], "\nbuild --compilation_mode=fats"),
                message(&["build", "--jobs"], ""),
                message(&["--rbzrc=none", "build"], ""),
            ]
            .join("\n\n"),
            @r#"
        `biuld` is no command of rbz
        hint: did you mean `build`?
        hint: `rbz help` lists the commands

        `--kep_going` is no option of `rbz build`
        hint: did you mean `--keep_going`?
        hint: `rbz help build` lists the options

        `--keep_going` is no option before the command
        hint: write it after the command: `rbz build --keep_going`

        `--outputbase` is no option before the command
        hint: did you mean `--output_base`?
        hint: `rbz help startup_options` lists the startup options

        `--compilation_mode=fast`: it must be one of `fastbuild`, `dbg`, `opt`
        hint: did you mean `fastbuild`?

        `--keep_going=maybe`: expected `yes` or `no`

        `--show_result=-1`: it must be a number from 0

        .rbzrc:2: `--compilation_mode=fats`: it must be one of `fastbuild`, `dbg`, `opt`
        hint: did you mean `fastbuild`?

        `--jobs` needs a value

        the rc file `none` does not exist
        "#
        );
    }
}
