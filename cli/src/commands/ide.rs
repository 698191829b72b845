//! `rbz ide`: files by which editors know the Lisp targets of a workspace.

use std::path::{Path, PathBuf};

use rbz_starlark::session::AnalysisRequest;

use crate::command_error::{CommandError, ErrorKind, nearest};
use crate::commands::build::{Purpose, Workspace};
use crate::commands::repl::SETTING;
use crate::console::{Console, Severity, write_data};
use crate::directories::{OUTPUT_DIRECTORY, expand_home};
use crate::lisp_target::{LispTarget, Places};
use crate::project_file::project_file;
use crate::request::BuildRequest;
use crate::system_stubs::{HEADER, stubs};

/// What can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One file about all sources.
    Json,
    /// A definition of a system for each target.
    Asd,
}

const KINDS: [(&str, Kind); 2] = [("asd", Kind::Asd), ("json", Kind::Json)];

/// Writes the files, and shows where they are. Nothing is built.
pub fn run(
    workspace: &Workspace,
    request: &BuildRequest,
    output: Option<&Path>,
    console: &mut Console,
) -> Result<(), CommandError> {
    let (kind, patterns) = match request.residue.split_first() {
        Some((word, patterns)) => (kind(word)?, patterns),
        None => return Err(usage("`rbz ide` needs to know what to write".to_owned())),
    };
    let mut asked = request.clone();
    asked.settings.push((SETTING.to_owned(), "true".to_owned()));
    let mut analysis: AnalysisRequest = workspace.analysis_request(Purpose::Build, &asked);
    analysis.patterns = match patterns {
        [] => vec!["//...".to_owned()],
        given => given.to_vec(),
    };
    let program = workspace.environment.variables.get("RBZ").map_or("rbz", String::as_str);
    let made = workspace.with_session(&request.overrides, console, |session| {
        let graph = session.configured_graph(&analysis)?;
        if let ([error, ..], false) = (&graph.errors[..], request.keep_going) {
            return Err(error.clone());
        }
        let places = Places {
            loader: session.loader(),
            workspace: workspace.root,
            execution_root: workspace
                .directories
                .execution_root(&session.loader().workspace_name()),
        };
        let targets = LispTarget::of_graph(&graph);
        let files = match kind {
            Kind::Json => {
                let text = format!("{:#}\n", project_file(&targets, &places));
                [("project.json".to_owned(), text)].into()
            }
            Kind::Asd => stubs(&targets, &places, program),
        };
        Ok((files, places.execution_root, graph.errors))
    })?;
    let (files, execution_root, errors) = made?;
    for error in &errors {
        console.message(Severity::Error, &error.to_string());
    }
    let here = workspace.environment.here()?;
    let given = output.map(|path| expand_home(path, workspace.environment, here));
    let usual = execution_root.join(OUTPUT_DIRECTORY).join("ide");
    let place = match (kind, given) {
        (Kind::Json, Some(_)) if output == Some(Path::new("-")) => {
            write_data(&files["project.json"])?;
            return partial(&errors);
        }
        (Kind::Json, given) => {
            let file = given.unwrap_or_else(|| usual.join("project.json"));
            write(&file, &files["project.json"])?;
            file
        }
        (Kind::Asd, given) => {
            let directory = given.unwrap_or_else(|| usual.join("asd"));
            for (name, text) in &files {
                write(&directory.join(name), text)?;
            }
            remove_others(&directory, |name| files.contains_key(name))?;
            directory
        }
    };
    write_data(&format!("{}\n", place.display()))?;
    partial(&errors)
}

fn kind(word: &str) -> Result<Kind, CommandError> {
    let known = KINDS.iter().find(|(name, _)| *name == word);
    known.map(|(_, kind)| *kind).ok_or_else(|| {
        let near = nearest(word, KINDS.iter().map(|(name, _)| *name));
        usage(format!("`{word}` is nothing that `rbz ide` writes")).hint_nearest(near)
    })
}

fn usage(text: String) -> CommandError {
    CommandError::command_line(text)
        .hint("`rbz ide json` writes a file about all sources")
        .hint("`rbz ide asd` writes definitions of systems for ASDF")
}

/// What the command comes to if some targets could not be analysed, and others could.
fn partial<E>(errors: &[E]) -> Result<(), CommandError> {
    match errors {
        [] => Ok(()),
        _ => Err(CommandError::already_reported(ErrorKind::PartialAnswer)),
    }
}

/// Writes a file, unless it has this text: those who look at its time need not read it again.
fn write(file: &Path, text: &str) -> Result<(), CommandError> {
    if std::fs::read(file).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(());
    }
    let made = match file.parent() {
        Some(parent) => std::fs::create_dir_all(parent),
        None => Ok(()),
    };
    made.and_then(|()| std::fs::write(file, text)).map_err(|error| failed("write", file, &error))
}

/// Removes what an earlier call wrote into a directory and this one did not.
fn remove_others(directory: &Path, is_kept: impl Fn(&str) -> bool) -> Result<(), CommandError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        // Nothing was written either.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("read", directory, &error)),
    };
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_ours =
            || std::fs::read(&path).is_ok_and(|bytes| bytes.starts_with(HEADER.as_bytes()));
        let is_of_kind = name.ends_with(".asd") || name.ends_with(".prepare.lisp");
        if is_of_kind && !is_kept(name) && is_ours() {
            std::fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
        }
    }
    Ok(())
}

fn failed(verb: &str, path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::environment(format!("cannot {verb} `{}`: {error}", path.display()))
}
