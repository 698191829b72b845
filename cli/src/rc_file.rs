//! Rc files: options that need not be typed, from `.rbzrc` of the workspace, the user, the system.
//!
//! A line is `COMMAND OPTIONS…`, `COMMAND:CONFIG OPTIONS…`, `import FILE` or `try-import FILE`.
//! Words are split, quoted and commented as in Bazel's rc files. A command takes the lines of the
//! commands that it inherits from, the most general first, so that special lines win.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::arguments::{COMMANDS, OptionSpec, options};
use crate::command_error::{CommandError, nearest};
use crate::option_reader::{OptionReader, OptionUse, Origin, Word};
use crate::rc_words::split_lines;

/// The section whose lines all commands take, as far as they know the option.
const COMMON: &str = "common";
/// The section of options that stand before the command.
const STARTUP: &str = "startup";

/// The lines of all rc files, in the order in which they apply.
#[derive(Debug, Default)]
pub struct RcFiles {
    lines: Vec<RcLine>,
}

/// One line with options.
#[derive(Debug, PartialEq, Eq)]
struct RcLine {
    command: String,
    config: Option<String>,
    words: Vec<String>,
    origin: Origin,
}

/// Options of a command line together with those that rc files add.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expansion {
    /// In the order in which they apply: later ones win.
    pub uses: Vec<OptionUse>,
    /// What is wrong in rc files but does not keep rbz from going on.
    pub warnings: Vec<String>,
}

/// The sections that `command` takes lines from, the most general first.
fn inherited(command: &str) -> &'static [&'static str] {
    match command {
        "build" => &[COMMON, "build"],
        "test" => &[COMMON, "build", "test"],
        "run" => &[COMMON, "build", "run"],
        "repl" => &[COMMON, "build", "repl"],
        "ide" => &[COMMON, "build", "ide"],
        "clean" => &[COMMON, "build", "clean"],
        "info" => &[COMMON, "build", "info"],
        "why-rebuilt" => &[COMMON, "build", "why-rebuilt"],
        "help" => &[COMMON, "help"],
        "query" => &[COMMON, "query"],
        "cquery" => &[COMMON, "build", "cquery"],
        "aquery" => &[COMMON, "build", "aquery"],
        "why" => &[COMMON, "query", "why"],
        "version" => &[COMMON, "version"],
        "init" => &[COMMON, "init"],
        _ => &[COMMON],
    }
}

impl RcFiles {
    /// Reads those of `files` that exist, and all that they import.
    ///
    /// `%workspace%` in an import stands for `workspace`. Files are shown relative to it.
    pub fn read(files: &[PathBuf], workspace: Option<&Path>) -> Result<RcFiles, CommandError> {
        let mut rc_files = RcFiles::default();
        let mut seen = HashSet::new();
        for file in files {
            // The home directory may be the workspace: its file counts once.
            let canonical = file.canonicalize().unwrap_or_else(|_| file.clone());
            if file.exists() && seen.insert(canonical) {
                rc_files.read_file(file, workspace, &mut Vec::new())?;
            }
        }
        Ok(rc_files)
    }

    fn read_file(
        &mut self,
        file: &Path,
        workspace: Option<&Path>,
        importing: &mut Vec<PathBuf>,
    ) -> Result<(), CommandError> {
        let shown = shown(file, workspace);
        let text = std::fs::read_to_string(file).map_err(|error| {
            CommandError::command_line(format!("cannot read the rc file `{shown}`: {error}"))
        })?;
        importing.push(file.canonicalize().unwrap_or_else(|_| file.to_owned()));
        for (line, words) in split_lines(&text) {
            let origin = Origin::RcFile { file: shown.clone(), line };
            let words = words.map_err(|reason| error_at(&origin, reason))?;
            let Some((section, rest)) = words.split_first() else { continue };
            if section == "import" || section == "try-import" {
                self.import(section, rest, &origin, file, workspace, importing)?;
                continue;
            }
            let (command, config) = match section.split_once(':') {
                Some((command, config)) => (command, Some(config.to_owned())),
                None => (section.as_str(), None),
            };
            self.lines.push(RcLine {
                command: command.to_owned(),
                config,
                words: rest.to_vec(),
                origin,
            });
        }
        importing.pop();
        Ok(())
    }

    fn import(
        &mut self,
        keyword: &str,
        words: &[String],
        origin: &Origin,
        importer: &Path,
        workspace: Option<&Path>,
        importing: &mut Vec<PathBuf>,
    ) -> Result<(), CommandError> {
        let [name] = words else {
            return Err(error_at(origin, format!("`{keyword}` takes one file name")));
        };
        let path = match (name.strip_prefix("%workspace%/"), workspace) {
            (Some(rest), Some(workspace)) => workspace.join(rest),
            (Some(_), None) => {
                let message = format!("`{name}` cannot be found outside a workspace");
                return Err(error_at(origin, message));
            }
            (None, _) => importer.parent().unwrap_or(Path::new("")).join(name),
        };
        if !path.exists() {
            return match keyword {
                "try-import" => Ok(()),
                _ => Err(error_at(origin, format!("the imported file `{name}` does not exist"))
                    .hint("`try-import` takes a file only if it exists")),
            };
        }
        let canonical = path.canonicalize().unwrap_or_else(|_| path.clone());
        if importing.contains(&canonical) {
            return Err(error_at(origin, format!("`{name}` imports itself")));
        }
        self.read_file(&path, workspace, importing)
    }

    /// The options before the command that rc files give.
    pub fn startup(&self) -> Expansion {
        let specs = options(None);
        let mut expansion = Expansion::default();
        for line in self.lines.iter().filter(|line| line.command == STARTUP) {
            expansion.add_line(line, &specs, &specs);
        }
        expansion
    }

    /// The options of `command`: those of the rc files, then `given`, with every `--config`
    /// replaced in its place by what it stands for.
    pub fn expand(&self, command: &str, given: Vec<OptionUse>) -> Result<Expansion, CommandError> {
        let mut expansion = Expansion::default();
        self.warn_of_unknown_sections(&mut expansion.warnings);
        for option in self.section(command, None, &mut expansion.warnings) {
            self.add(command, option, &mut Vec::new(), &mut expansion)?;
        }
        for option in given {
            self.add(command, option, &mut Vec::new(), &mut expansion)?;
        }
        Ok(expansion)
    }

    fn add(
        &self,
        command: &str,
        option: OptionUse,
        within: &mut Vec<String>,
        expansion: &mut Expansion,
    ) -> Result<(), CommandError> {
        if option.name != "config" {
            expansion.uses.push(option);
            return Ok(());
        }
        let config = option.value;
        if within.contains(&config) {
            let chain = [within.as_slice(), &[config]].concat().join("` -> `");
            let message = format!("the config `{chain}` contains itself");
            return Err(error_at(&option.origin, message));
        }
        let chain = inherited(command);
        let is_it = |line: &&RcLine| {
            line.config.as_ref() == Some(&config) && chain.contains(&line.command.as_str())
        };
        if !self.lines.iter().any(|line| is_it(&line)) {
            let hint = format!("a line `{command}:{config} OPTIONS…` in `.rbzrc` defines it");
            let message = format!("the config `{config}` is defined in no rc file");
            let mut names: Vec<&str> = self
                .lines
                .iter()
                .filter(|line| chain.contains(&line.command.as_str()))
                .filter_map(|line| line.config.as_deref())
                .collect();
            names.sort_unstable();
            names.dedup();
            let error = error_at(&option.origin, message).hint(hint);
            return Err(match names[..] {
                [] => error,
                _ => error.hint(format!("those defined are `{}`", names.join("`, `"))),
            });
        }
        within.push(config.clone());
        for option in self.section(command, Some(&config), &mut expansion.warnings) {
            self.add(command, option, within, expansion)?;
        }
        within.pop();
        Ok(())
    }

    /// The options for `command` in lines of `config`, the most general section first.
    fn section(
        &self,
        command: &str,
        config: Option<&str>,
        warnings: &mut Vec<String>,
    ) -> Vec<OptionUse> {
        let mut expansion = Expansion::default();
        for section in inherited(command) {
            let lines = self.lines.iter();
            let mut lines = lines
                .filter(|line| line.command == *section && line.config.as_deref() == config)
                .peekable();
            // Most sections have none, and a list of all options takes its time.
            if lines.peek().is_none() {
                continue;
            }
            let known = options(Some(command));
            let elsewhere: Vec<OptionSpec> = match *section {
                COMMON => COMMANDS.iter().flat_map(|command| options(Some(command))).collect(),
                section => options(Some(section)),
            };
            for line in lines {
                expansion.add_line(line, &known, &elsewhere);
            }
        }
        warnings.append(&mut expansion.warnings);
        expansion.uses
    }

    fn warn_of_unknown_sections(&self, warnings: &mut Vec<String>) {
        let known = || COMMANDS.into_iter().chain([COMMON, STARTUP, "import", "try-import"]);
        for line in &self.lines {
            if !known().any(|name| name == line.command) {
                let hint = nearest(&line.command, known());
                let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
                warnings.push(format!("{}`{}` is no command{hint}", line.origin, line.command));
            }
        }
    }
}

impl Expansion {
    /// Adds the options of `line` that are `known`. Those that only another command knows, among
    /// `elsewhere`, are left out silently; all others give a warning.
    fn add_line(&mut self, line: &RcLine, known: &[OptionSpec], elsewhere: &[OptionSpec]) {
        let mut after_unknown = false;
        for word in OptionReader::new(&line.words, elsewhere, line.origin.clone()) {
            let was_after_unknown = std::mem::take(&mut after_unknown);
            match word {
                Word::Option(option) => {
                    let is_known = known.iter().any(|spec| spec.name == option.name);
                    // A command that builds nothing takes no build settings.
                    let builds = known.iter().any(|spec| spec.name == "compilation_mode");
                    if is_known || (option.is_build_setting() && builds) {
                        self.uses.push(option);
                    }
                }
                Word::Unknown(text, near) => {
                    let hint = near.map(|near| format!("; did you mean `{near}`?"));
                    let hint = hint.unwrap_or_default();
                    self.warnings.push(format!("{}unknown option `{text}`{hint}", line.origin));
                    after_unknown = true;
                }
                Word::MissingValue(name) => {
                    self.warnings.push(format!("{}`{name}` needs a value", line.origin));
                }
                // Probably the value of the unknown option before it.
                Word::Residue(_) if was_after_unknown => {}
                Word::Residue(text) => {
                    self.warnings.push(format!("{}`{text}` is no option", line.origin));
                }
            }
        }
    }
}

fn error_at(origin: &Origin, message: impl std::fmt::Display) -> CommandError {
    CommandError::command_line(format!("{origin}{message}"))
}

fn shown(file: &Path, workspace: Option<&Path>) -> String {
    let relative = workspace.and_then(|workspace| file.strip_prefix(workspace).ok());
    relative.unwrap_or(file).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rc files in a directory of their own; the first is read.
    fn rc(files: &[(&str, &str)]) -> Result<(RcFiles, tempfile::TempDir), CommandError> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).expect("a file in it");
        }
        let first = directory.path().join(files[0].0);
        RcFiles::read(&[first], Some(directory.path())).map(|rc_files| (rc_files, directory))
    }

    fn expand(text: &str, command: &str, given: &[&str]) -> Result<Vec<String>, CommandError> {
        let (rc_files, _directory) = rc(&[(".rbzrc", text)])?;
        let specs = options(Some(command));
        let given: Vec<String> = given.iter().map(|word| word.to_string()).collect();
        let given = OptionReader::new(&given, &specs, Origin::CommandLine)
            .filter_map(|word| match word {
                Word::Option(option) => Some(option),
                _ => None,
            })
            .collect();
        let expansion = rc_files.expand(command, given)?;
        let warnings = expansion.warnings.into_iter().map(|text| format!("warning: {text}"));
        Ok(warnings.chain(expansion.uses.iter().map(ToString::to_string)).collect())
    }

    #[test]
    fn test_takes_the_options_of_build_and_the_command_line_wins() {
        let text = "test --jobs=2\nbuild --jobs=1 -k\ncommon --color=no --expunge\nrun -s\n";
        assert_eq!(
            expand(text, "test", &["-j3"]).expect("options"),
            ["--color=no", "--jobs=1", "--keep_going=true", "--jobs=2", "--jobs=3"]
        );
    }

    #[test]
    fn a_config_stands_for_its_options_where_it_is_given() {
        let text = "build:a -k --config=b\ntest:a -s\nbuild:b -j7\n";
        assert_eq!(
            expand(text, "test", &["-j1", "--config=a", "-copt"]).expect("options"),
            [
                "--jobs=1",
                "--keep_going=true",
                "--jobs=7",
                "--subcommands=true",
                "--compilation_mode=opt"
            ]
        );
    }

    #[test]
    fn a_config_that_contains_itself_or_does_not_exist_is_an_error() {
        let text = "build:a --config=b\nbuild:b --config=a\nbuild:release -copt";
        let message = |given| expand(text, "build", &[given]).expect_err(given).to_string();
        assert_eq!(message("--config=a"), ".rbzrc:2: the config `a` -> `b` -> `a` contains itself");
        assert_eq!(
            message("--config=relase"),
            "the config `relase` is defined in no rc file\n\
             hint: a line `build:relase OPTIONS…` in `.rbzrc` defines it\n\
             hint: those defined are `a`, `b`, `release`"
        );
    }

    #[test]
    fn what_is_unknown_is_a_warning_with_its_place() {
        let text = "build --kep_going 7 -s\nbuidl -k\nbuild x --jobs\n";
        assert_eq!(
            expand(text, "build", &[]).expect("options"),
            [
                "warning: .rbzrc:2: `buidl` is no command; did you mean `build`?",
                "warning: .rbzrc:1: unknown option `--kep_going`; did you mean `--keep_going`?",
                "warning: .rbzrc:3: `x` is no option",
                "warning: .rbzrc:3: `--jobs` needs a value",
                "--subcommands=true",
            ]
        );
    }

    #[test]
    fn files_import_each_other_but_not_themselves() {
        let (rc_files, _directory) = rc(&[
            (".rbzrc", "import %workspace%/a\ntry-import %workspace%/none\nbuild -j2"),
            ("a", "build -j1"),
        ])
        .expect("rc files");
        let uses = rc_files.expand("build", vec![]).expect("options").uses;
        assert_eq!(
            uses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["--jobs=1", "--jobs=2"]
        );
        let error = rc(&[("x", "import %workspace%/x")]).expect_err("a cycle");
        assert_eq!(error.to_string(), "x:1: `%workspace%/x` imports itself");
        let error = rc(&[("x", "\nimport y")]).expect_err("a missing file").to_string();
        assert!(error.starts_with("x:2: the imported file `y` does not exist\nhint: "), "{error}");
    }
}
