//! `rbz tool`: what rbz's own actions do, as commands.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser, Subcommand};
use memmap2::Mmap;
use rbz_elf::{
    CoreError, CoreFile, Functions, LINKAGE_SECTION, LinkedProgram, MAX_CORE_BYTES, SourceLines,
    SpaceId, SplitError,
};

use crate::command_error::{CommandError, ErrorKind};
use crate::commands::coverage_tool::{self, CoverageTool};
use crate::commands::sandbox;
use crate::console::{Console, write_data};

/// What rbz's own actions do, as commands
#[derive(Parser, Debug)]
#[command(name = "rbz tool", disable_help_subcommand = true)]
struct ToolArguments {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand, Debug)]
enum Tool {
    /// Makes objects for a linker of saved Lisp images, cores of SBCL
    #[command(subcommand)]
    Elf(Elf),
    /// Makes reports of what instrumented programs left
    Coverage(CoverageTool),
    /// Runs the command of a failed action again, or another one, in the sandbox that `--sandbox_debug` kept
    Sandbox {
        /// The directory that was kept
        directory: PathBuf,
        /// What to run in place of the action's own command: a program that the action could run, and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

#[derive(Subcommand, Debug)]
#[command(rename_all = "snake_case")]
enum Elf {
    /// Writes an object with the code of a core, a symbol for each function, and the rest as data
    #[command(rename_all = "snake_case")]
    Split {
        /// The core, or a program with a core behind it
        core: PathBuf,
        /// The object to write
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Writes what the compiler needs to link the object; give it to the compiler as @FILE
        #[arg(long, value_name = "FILE")]
        linker_options: Option<PathBuf>,
        /// Which code is of which source line, as rbz's actions write it with `-c dbg`
        #[arg(long, value_name = "FILE")]
        lines: Option<PathBuf>,
    },
    /// Writes an object with a whole core as data, for a program that saves itself again
    #[command(rename_all = "snake_case")]
    Copy {
        /// The core, or a program with a core behind it
        core: PathBuf,
        /// The object to write
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Writes the list of the symbols that the linker has to make dynamic
        #[arg(long, value_name = "FILE")]
        dynamic_list: PathBuf,
        /// Writes what the compiler needs to link the object; give it to the compiler as @FILE
        #[arg(long, value_name = "FILE")]
        linker_options: Option<PathBuf>,
    },
    /// Shows the compiled functions of a core: address, bytes, name
    List {
        /// The core, or a program with a core behind it
        core: PathBuf,
    },
    /// Has a compiler link a program, and checks it
    #[command(rename_all = "snake_case")]
    Link {
        /// The program that the compiler writes
        program: PathBuf,
        /// The compiler and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Says whether a program can be linked of the runtime of an SBCL
    Runtime {
        /// The runtime as an object, `sbcl.o`
        object: PathBuf,
    },
    /// Checks that the linker put everything in a program where the runtime needs it
    Check {
        /// The program
        program: PathBuf,
    },
}

/// Each tool with the words that name it.
pub fn tools() -> Vec<(String, Command)> {
    let mut tools = Vec::new();
    let mut open = vec![("tool".to_owned(), ToolArguments::command())];
    while let Some((name, command)) = open.pop() {
        let within = |inner: &Command| (format!("{name} {}", inner.get_name()), inner.clone());
        open.extend(command.get_subcommands().map(within));
        if !command.has_subcommands() || command.get_opts().next().is_some() {
            tools.push((name, command));
        }
    }
    tools.sort_by(|(one, _), (other, _)| one.cmp(other));
    tools
}

/// Runs the tool that the words name.
pub fn run(words: &[String], console: &mut Console) -> Result<ExitCode, CommandError> {
    let words = std::iter::once("rbz tool").chain(words.iter().map(String::as_str));
    let arguments = match ToolArguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) if !error.use_stderr() => {
            write_data(&error.to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            let text = error.to_string();
            let text = text.trim().trim_start_matches("error: ").to_owned();
            return Err(CommandError::command_line(text));
        }
    };
    let elf = match arguments.tool {
        Tool::Sandbox { directory, command } => return sandbox::run(&directory, &command, console),
        Tool::Coverage(tool) => {
            coverage_tool::run(&tool)?;
            return Ok(ExitCode::SUCCESS);
        }
        Tool::Elf(elf) => elf,
    };
    match elf {
        Elf::Split { core, output, linker_options, lines } => {
            split(&core, lines.as_deref(), &output, linker_options)
        }
        Elf::Copy { core, output, dynamic_list, linker_options } => {
            copy(&core, &output, &dynamic_list, linker_options)
        }
        Elf::List { core } => list(&core),
        Elf::Link { program, command } => link(&program, &command, console),
        Elf::Runtime { object } => runtime(&object),
        Elf::Check { program } => check(&program),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn split(
    core: &Path,
    lines_file: Option<&Path>,
    output: &Path,
    options: Option<PathBuf>,
) -> Result<(), CommandError> {
    let source_lines = lines_file.map_or_else(|| Ok(SourceLines::default()), read_lines)?;
    let contents = map(core)?;
    let file = CoreFile::parse(&contents).map_err(|error| wrong_core(core, &error))?;
    let split = written(core, output, |out| rbz_elf::split(&file, &source_lines, out))?;
    options.map_or(Ok(()), |path| write(&path, &lines(&split.linker_options())))
}

fn copy(
    core: &Path,
    output: &Path,
    dynamic_list: &Path,
    options: Option<PathBuf>,
) -> Result<(), CommandError> {
    let contents = map(core)?;
    let file = CoreFile::parse(&contents).map_err(|error| wrong_core(core, &error))?;
    let copied = written(core, output, |out| rbz_elf::copy(&file, out))?;
    write(dynamic_list, &copied.dynamic_list())?;
    let list = dynamic_list.display().to_string();
    options.map_or(Ok(()), |path| write(&path, &lines(&copied.linker_options(&list))))
}

fn list(core: &Path) -> Result<(), CommandError> {
    let contents = map(core)?;
    let wrong = |error| wrong_core(core, &error);
    let file = CoreFile::parse(&contents).map_err(wrong)?;
    let functions = Functions::of(&file).map_err(wrong)?;
    let start = file.space(SpaceId::Text).map_or(0, |space| space.address);
    let mut text = String::new();
    for function in &functions.functions {
        let (address, length) =
            (start + function.range.start, function.range.end - function.range.start);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{address:#x} {length:6} {}", function.name);
    }
    write_data(&text)
}

fn check(program: &Path) -> Result<(), CommandError> {
    match LinkedProgram::check(&map(program)?) {
        Ok(_) => Ok(()),
        Err(error) => {
            let message = format!("`{}` would not run: {error}", program.display());
            Err(CommandError::new(ErrorKind::BuildFailed, message))
        }
    }
}

fn link(program: &Path, command: &[String], console: &mut Console) -> Result<(), CommandError> {
    let Some((compiler, arguments)) = command.split_first() else {
        return Err(CommandError::command_line("no compiler is named".to_owned()));
    };
    let output = std::process::Command::new(compiler).args(arguments).output();
    let output = output.map_err(|error| {
        CommandError::environment(format!("cannot run the compiler `{compiler}`: {error}"))
    })?;
    write_data(&String::from_utf8_lossy(&output.stdout))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    for message in messages.lines().filter(|message| !is_about_the_lisp(message)) {
        console.print(message);
    }
    if !output.status.success() {
        if messages.contains("load segment overlap") {
            console.print(
                "hint: this linker moves Lisp code, which has its address; GNU ld, lld and mold do not",
            );
        }
        if messages.contains(LINKAGE_SECTION) && messages.contains("undefined") {
            console.print(
                "hint: Lisp code refers to it; the C library that defines it belongs into `cdeps`",
            );
        }
        return Err(CommandError::already_reported(ErrorKind::BuildFailed));
    }
    check(program).inspect_err(|_| {
        // Nobody is to run it; if it cannot be removed, the error says enough.
        let _ = std::fs::remove_file(program);
    })
}

/// Whether a linker warns of a C function because the Lisp has a name for it.
fn is_about_the_lisp(message: &str) -> bool {
    message.contains("warning: the use of `") && message.contains("' is dangerous")
}

fn runtime(object: &Path) -> Result<(), CommandError> {
    rbz_elf::check_runtime(&map(object)?).map_err(|error| {
        let message = format!("`{}` cannot be linked: {error}", object.display());
        CommandError::new(ErrorKind::BuildFailed, message)
    })
}

/// The contents of a file, which nothing else writes to while they are looked at.
fn map(path: &Path) -> Result<Mmap, CommandError> {
    let unreadable = |error: std::io::Error| {
        CommandError::environment(format!("cannot read `{}`: {error}", path.display()))
    };
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    if length > MAX_CORE_BYTES {
        return Err(wrong_core(path, &CoreError::TooLarge { length }));
    }
    // SAFETY: nobody is expected to change an input while it is read; who does, ends this process.
    unsafe { Mmap::map(&file) }.map_err(unreadable)
}

fn read_lines(path: &Path) -> Result<SourceLines, CommandError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CommandError::environment(format!("cannot read `{}`: {error}", path.display()))
    })?;
    SourceLines::parse(&text).map_err(|error| {
        CommandError::new(ErrorKind::BuildFailed, format!("`{}`: {error}", path.display()))
    })
}

fn wrong_core(path: &Path, error: &CoreError) -> CommandError {
    let message = format!("`{}` cannot be linked: {error}", path.display());
    let wrong = CommandError::new(ErrorKind::BuildFailed, message);
    match error {
        CoreError::Compressed => {
            wrong.hint("save it without `:compression`; in a BUILD file, take `compression` away")
        }
        CoreError::NotACore => wrong.hint("`save-lisp-and-die` writes cores"),
        _ => wrong,
    }
}

/// Writes an object, or leaves none.
fn written<T>(
    core: &Path,
    output: &Path,
    write: impl FnOnce(&File) -> Result<T, SplitError>,
) -> Result<T, CommandError> {
    let file = File::create(output).map_err(|error| unwritable(output, &error))?;
    write(&file).map_err(|error| {
        // What is half written is of no use; if it cannot be removed, the error says enough.
        let _ = std::fs::remove_file(output);
        match error {
            SplitError::Core(error) => wrong_core(core, &error),
            SplitError::Write(error) => unwritable(output, &error),
        }
    })
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    std::fs::write(path, text).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::environment(format!("cannot write `{}`: {error}", path.display()))
}

fn lines(words: &[String]) -> String {
    words.iter().map(|word| format!("{word}\n")).collect()
}
