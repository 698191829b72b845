//! `rbz fmt`: formats files, or says which are not formatted.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rbz_engine::diagnostic::{Diagnostic, Place};
use rbz_format::{FileKind, FormatError, STACK_SIZE, Tables, format};
use similar::TextDiff;

use crate::arguments::FmtArguments;
use crate::command_error::{CommandError, ErrorKind};
use crate::console::{Console, Severity, write_data};
use crate::{format_tables, starlark_files};

/// What is done with a file that is not formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Fix,
    Check,
    Diff,
}

/// What is asked for.
#[derive(Debug)]
pub struct Fmt<'a> {
    mode: Mode,
    kind: Option<FileKind>,
    /// Nothing: standard input.
    files: Option<Vec<PathBuf>>,
    path: Option<PathBuf>,
    here: &'a Path,
    root: Option<&'a Path>,
    tables: Tables,
}

/// What became of a file.
enum Outcome {
    Formatted,
    Changed,
    Differs(String),
    Wrong(Diagnostic),
}

impl<'a> Fmt<'a> {
    /// Checks the arguments of `rbz fmt`, called in `here`, in the workspace at `root` if in one.
    pub fn new(
        arguments: &FmtArguments,
        here: &'a Path,
        root: Option<&'a Path>,
    ) -> Result<Self, CommandError> {
        let FmtArguments { mode, check, diff, r#type, path, residue, .. } = arguments;
        let mode = match (mode.as_str(), check, diff) {
            (_, true, true) => {
                let text = "`--check` and `--diff` are two different things to do";
                return Err(CommandError::command_line(text));
            }
            ("check", ..) | (_, true, _) => Mode::Check,
            ("diff", ..) | (_, _, true) => Mode::Diff,
            _ => Mode::Fix,
        };
        let is_input = residue.iter().any(|word| word == "-");
        if is_input && residue.len() > 1 {
            let text = "`-` is standard input, and there can be no files beside it";
            return Err(CommandError::command_line(text));
        }
        if path.is_some() && !is_input {
            let text = "`--path` says what standard input is, and that is not read";
            return Err(CommandError::command_line(text).hint("`rbz fmt --path=PATH -` reads it"));
        }
        Ok(Fmt {
            mode,
            kind: FileKind::of_word(r#type),
            files: if is_input { None } else { Some(files(residue, here, root)?) },
            path: path.clone(),
            here,
            root,
            tables: format_tables::of_workspace(root)?,
        })
    }

    /// The path of a file as it is shown.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(self.here).unwrap_or(path).display().to_string()
    }

    fn package(&self, path: &Path) -> String {
        let relative = self.root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path);
        relative.parent().unwrap_or(Path::new("")).display().to_string()
    }

    fn kind_of(&self, path: &Path) -> FileKind {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.kind.or_else(|| FileKind::of_name(&name)).unwrap_or(FileKind::Default)
    }

    fn format(&self, text: &str, path: &Path, shown: &str) -> Result<String, Diagnostic> {
        format(text, self.kind_of(path), &self.tables, &self.package(path)).map_err(|error| {
            match error {
                FormatError::Syntax(error) => {
                    let (line, column) = (error.line, error.column);
                    let source = text.lines().nth(line.saturating_sub(1) as usize);
                    Diagnostic::user(error.message)
                        .at(Place { file: shown.to_owned(), line, column })
                        .with_source(source.unwrap_or_default())
                }
                FormatError::Changed(what) => {
                    let text = format!("`{shown}` stays as it is: the formatted text would {what}");
                    Diagnostic::internal(text).hint("please report it with the file")
                }
            }
        })
    }

    fn file(&self, path: &Path) -> Outcome {
        let shown = self.shown(path);
        let cannot = |what: &str, error: std::io::Error| {
            Outcome::Wrong(Diagnostic::machine(format!("cannot {what} `{shown}`: {error}")))
        };
        let text = match std::fs::read(path).map(String::from_utf8) {
            Err(error) => return cannot("read", error),
            Ok(Err(_)) => {
                return Outcome::Wrong(Diagnostic::user(format!("`{shown}` is not UTF-8 text")));
            }
            Ok(Ok(text)) => text,
        };
        let formatted = match self.format(&text, path, &shown) {
            Err(error) => return Outcome::Wrong(error),
            Ok(formatted) if formatted == text => return Outcome::Formatted,
            Ok(formatted) => formatted,
        };
        match self.mode {
            Mode::Check => Outcome::Changed,
            Mode::Diff => Outcome::Differs(difference(&shown, &text, &formatted)),
            Mode::Fix => match replace(path, &formatted) {
                Ok(()) => Outcome::Changed,
                Err(error) => cannot("write", error),
            },
        }
    }
}

/// The files that `words` name, those of the workspace if there are none.
fn files(words: &[String], here: &Path, root: Option<&Path>) -> Result<Vec<PathBuf>, CommandError> {
    if words.is_empty() {
        return Ok(starlark_files::below(root.unwrap_or(here), root)?);
    }
    let mut files = Vec::new();
    for word in words {
        let path: PathBuf = here.join(word).components().collect();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => files.extend(starlark_files::below(&path, root)?),
            Ok(_) if name == "MODULE.bazel" || name.ends_with(".MODULE.bazel") => {
                let text = format!("`{word}` is a file of modules, which rbz does not have");
                return Err(CommandError::command_line(text)
                    .hint("`rbz fmt` formats BUILD, WORKSPACE and .bzl files"));
            }
            Ok(_) => files.push(path),
            Err(error) => {
                let error = CommandError::command_line(format!("cannot read `{word}`: {error}"));
                let hint = "`rbz fmt` takes files and directories, not labels";
                return Err(if word.starts_with("//") { error.hint(hint) } else { error });
            }
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// Does what is asked for.
pub fn run(request: &Fmt<'_>, console: &mut Console) -> Result<(), CommandError> {
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK_SIZE).build();
    let pool =
        pool.map_err(|error| CommandError::environment(format!("cannot start threads: {error}")))?;
    let Some(files) = &request.files else {
        return pool.install(|| standard_input(request));
    };
    let outcomes: Vec<Outcome> =
        pool.install(|| files.into_par_iter().map(|path| request.file(path)).collect());
    let (mut changed, mut worst) = (0, None);
    for (path, outcome) in files.iter().zip(outcomes) {
        match outcome {
            Outcome::Formatted => {}
            Outcome::Changed => {
                changed += 1;
                write_data(&format!("{}\n", request.shown(path)))?;
            }
            Outcome::Differs(text) => {
                changed += 1;
                write_data(&text)?;
            }
            Outcome::Wrong(error) => {
                console.message(Severity::Error, &error.to_string());
                worst = std::cmp::max_by_key(
                    worst,
                    Some(error.class.into()),
                    |kind: &Option<ErrorKind>| kind.map(ErrorKind::exit_status),
                );
            }
        }
    }
    if let Some(kind) = worst {
        return Err(CommandError::already_reported(kind));
    }
    if request.mode == Mode::Fix || changed == 0 {
        return Ok(());
    }
    let (total, are) = (files.len(), if changed == 1 { "is" } else { "are" });
    let text = format!("{changed} of {total} files {are} not formatted");
    Err(CommandError::new(ErrorKind::NotFormatted, text).hint("`rbz fmt` formats them"))
}

/// Formats standard input to standard output.
fn standard_input(request: &Fmt<'_>) -> Result<(), CommandError> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| {
        CommandError::environment(format!("cannot read standard input: {error}"))
    })?;
    let path = request.path.clone().unwrap_or_default();
    let given = request.path.as_ref().map(|path| path.display().to_string());
    let shown = given.unwrap_or_else(|| "<stdin>".to_owned());
    let formatted = request.format(&text, &path, &shown)?;
    match request.mode {
        Mode::Fix => return write_data(&formatted),
        _ if formatted == text => return Ok(()),
        Mode::Check => {}
        Mode::Diff => write_data(&difference(&shown, &text, &formatted))?,
    }
    Err(CommandError::new(ErrorKind::NotFormatted, format!("`{shown}` is not formatted")))
}

fn difference(shown: &str, text: &str, formatted: &str) -> String {
    let names = [format!("a/{shown}"), format!("b/{shown}")];
    let diff = TextDiff::from_lines(text, formatted);
    diff.unified_diff().header(&names[0], &names[1]).to_string()
}

/// Puts `text` in the place of the file: all of it or nothing. Its mode stays, and where it is a
/// link, what it leads to is replaced.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let permissions = path.metadata()?.permissions();
    if permissions.readonly() {
        return Err(std::io::Error::other("it is read-only"));
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(permissions)?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}
