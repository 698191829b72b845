//! `rbz tool coverage`: makes reports of what instrumented programs left, as actions do it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Subcommand};
use rbz_coverage::lisp_map::LispMap;
use rbz_coverage::lisp_marks::RunMarks;
use rbz_coverage::report::Report;
use rbz_coverage::{gcov, lcov, lisp_report, pages};
use walkdir::WalkDir;

use crate::command_error::{CommandError, ErrorKind};

/// Makes reports of what instrumented programs left
#[derive(Args, Debug)]
#[command(rename_all = "snake_case")]
pub struct CoverageTool {
    /// The program that reads what programs of GCC leave
    #[arg(long, value_name = "PROGRAM")]
    gcov: Option<PathBuf>,
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand, Debug)]
enum Step {
    /// Reports on one run of a test
    #[command(rename_all = "snake_case")]
    Data {
        /// Where the run left what it ran
        #[arg(long, value_name = "DIR")]
        directory: PathBuf,
        /// Writes the report in LCOV's format
        #[arg(long, value_name = "FILE")]
        lcov: PathBuf,
        /// Writes what reports on several runs need
        #[arg(long, value_name = "FILE")]
        marks: PathBuf,
        /// The test, for messages
        #[arg(long, value_name = "LABEL")]
        test: String,
        /// Lists the files that say where instrumented code is from
        #[arg(long, value_name = "FILE")]
        metadata: PathBuf,
        /// Lists the instrumented sources
        #[arg(long, value_name = "FILE")]
        sources: PathBuf,
    },
    /// Reports on all runs
    #[command(rename_all = "snake_case")]
    Report {
        /// Writes the report in LCOV's format
        #[arg(long, value_name = "FILE")]
        lcov: PathBuf,
        /// Writes the report as pages
        #[arg(long, value_name = "DIR")]
        html: PathBuf,
        /// Writes what is to be said of it
        #[arg(long, value_name = "FILE")]
        notes: PathBuf,
        /// Lists what the reports on the runs wrote
        #[arg(long, value_name = "FILE")]
        data: PathBuf,
        /// Lists the files that say where instrumented code is from
        #[arg(long, value_name = "FILE")]
        metadata: PathBuf,
    },
}

/// Makes a report.
pub fn run(tool: &CoverageTool) -> Result<(), CommandError> {
    match &tool.step {
        Step::Data { directory, lcov: output, marks, test, metadata, sources } => {
            let metadata = list(metadata)?;
            let sources: HashSet<String> = list(sources)?.into_iter().collect();
            let left = files_below(directory)?;
            let mut run = RunMarks::default();
            for path in left.iter().filter(|path| has_extension(path, "marks")) {
                run.add(RunMarks::parse(&read(path)?).map_err(|error| wrong(path, &error))?);
            }
            for note in &mut run.notes {
                *note = format!("{test}: {note}");
            }
            let mut report = of_lisp(&maps(&metadata)?, std::slice::from_ref(&run));
            report.add(&of_c(tool.gcov.as_deref(), directory, &metadata, &sources)?);
            // What tests write themselves.
            for path in left.iter().filter(|path| has_extension(path, "dat")) {
                report.add(&lcov::parse(&read(path)?).map_err(|error| wrong(path, &error))?);
            }
            write(marks, &run.text())?;
            write(output, &lcov::text(&report))
        }
        Step::Report { lcov: output, html, notes, data, metadata } => {
            let maps = maps(&list(metadata)?)?;
            let of_maps: HashSet<&str> =
                maps.iter().flat_map(|map| &map.sources).map(|s| s.path.as_str()).collect();
            let mut runs = Vec::new();
            let mut others = Report::default();
            for path in list(data)?.iter().map(Path::new) {
                let text = read(path)?;
                if has_extension(path, "marks") {
                    runs.push(RunMarks::parse(&text).map_err(|error| wrong(path, &error))?);
                } else {
                    let mut one = lcov::parse(&text).map_err(|error| wrong(path, &error))?;
                    one.files.retain(|path, _| !of_maps.contains(path.as_str()));
                    others.add(&one);
                }
            }
            let mut report = of_lisp(&maps, &runs);
            report.add(&others);
            let mut said: Vec<String> = runs.into_iter().flat_map(|run| run.notes).collect();
            said.extend(report.files.iter().filter_map(|(path, file)| {
                let why = file.uninstrumented.as_ref()?;
                Some(format!("{path} could not be instrumented: {why}"))
            }));
            let text = |path: &str| {
                std::fs::read(path).ok().map(|text| String::from_utf8_lossy(&text).into_owned())
            };
            for page in pages::pages(&report, &said, text) {
                write(&html.join(page.path), &page.html)?;
            }
            write(notes, &said.iter().map(|note| format!("{note}\n")).collect::<String>())?;
            write(output, &lcov::text(&report))
        }
    }
}

fn maps(metadata: &[String]) -> Result<Vec<LispMap>, CommandError> {
    let of_lisp = metadata.iter().map(Path::new).filter(|path| has_extension(path, "coverage"));
    of_lisp.map(|path| LispMap::parse(&read(path)?).map_err(|error| wrong(path, &error))).collect()
}

fn of_lisp(maps: &[LispMap], runs: &[RunMarks]) -> Report {
    let mut report = Report::default();
    for map in maps {
        report.add(&lisp_report::report(map, runs));
    }
    report
}

/// What ran of C and C++: gcov looks for the notes of an object beside its counts.
fn of_c(
    gcov: Option<&Path>,
    directory: &Path,
    metadata: &[String],
    sources: &HashSet<String>,
) -> Result<Report, CommandError> {
    let notes: Vec<&String> = metadata.iter().filter(|path| path.ends_with(".gcno")).collect();
    let (Some(gcov), false) = (gcov, notes.is_empty()) else { return Ok(Report::default()) };
    let scratch = std::env::temp_dir().join("gcov");
    let mut command = Command::new(gcov);
    command.args(["--json-format", "--stdout", "--branch-probabilities"]).current_dir(&scratch);
    std::fs::create_dir_all(&scratch).map_err(|error| unwritable(&scratch, &error))?;
    for (index, path) in notes.into_iter().enumerate() {
        let name = format!("{index}.gcno");
        copy(Path::new(path), &scratch.join(&name))?;
        let counts = directory.join(path).with_extension("gcda");
        if counts.exists() {
            copy(&counts, &scratch.join(&name).with_extension("gcda"))?;
        }
        command.arg(name);
    }
    let output = command.output().map_err(|error| {
        CommandError::environment(format!("cannot run `{}`: {error}", gcov.display()))
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let message = format!("`{}` failed: {}", gcov.display(), said.trim());
        return Err(CommandError::new(ErrorKind::BuildFailed, message));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    gcov::parse(&text, |path| sources.contains(path)).map_err(|error| wrong(gcov, &error))
}

fn copy(from: &Path, to: &Path) -> Result<(), CommandError> {
    std::fs::copy(from, to).map(drop).map_err(|error| {
        CommandError::environment(format!("cannot copy `{}`: {error}", from.display()))
    })
}

/// The lines of a file, each the path of another.
fn list(path: &Path) -> Result<Vec<String>, CommandError> {
    Ok(read(path)?.lines().map(str::to_owned).collect())
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let mut files = Vec::new();
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let entry =
            entry.map_err(|error| CommandError::environment(format!("cannot read: {error}")))?;
        if !entry.file_type().is_dir() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own == extension)
}

fn read(path: &Path) -> Result<String, CommandError> {
    let bytes = std::fs::read(path).map_err(|error| {
        CommandError::environment(format!("cannot read `{}`: {error}", path.display()))
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, text));
    written.map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::environment(format!("cannot write `{}`: {error}", path.display()))
}

fn wrong(path: &Path, error: &dyn std::error::Error) -> CommandError {
    CommandError::new(ErrorKind::BuildFailed, format!("`{}`: {error}", path.display()))
}
