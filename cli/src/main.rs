//! `rbz`: the command.

mod arguments;
mod build_event_stream;
mod build_events;
mod build_file_draft;
mod build_file_text;
mod built;
mod command_error;
mod commands;
mod compiler_message;
mod computed_systems;
mod console;
mod convenience_symlinks;
mod diagnostic_output;
mod diagnostics;
mod directories;
mod display;
mod environment;
mod event_log;
mod execution_log;
mod explain_file;
mod external_systems;
mod format_tables;
mod framework_call;
mod ide_arguments;
mod invocation;
mod lisp_reader;
mod lisp_target;
mod machine_memory;
mod name_filter;
mod option_reader;
mod option_values;
mod per_test;
mod profile;
mod profile_analysis;
mod progress;
mod project_file;
mod project_sources;
mod query_arguments;
mod query_request;
mod question;
mod rc_file;
mod rc_words;
mod rebuild_text;
mod removal;
mod repl_arguments;
mod repl_request;
mod reporter;
mod request;
mod request_lock;
mod result_lines;
mod signals;
mod source_text;
mod starlark_files;
mod system_definition;
mod system_files;
mod system_stubs;
mod test_cases;
mod test_operation;
mod test_report;
mod test_request;
mod workspace_root;
mod workspace_status;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use rbz_query::build_language::build_language;

use crate::arguments::{
    BuildArguments, CleanArguments, DisplayOptions, RawCommand, StartupOptions,
};
use crate::build_events::Invoked;
use crate::command_error::{CommandError, ErrorKind};
use crate::commands::build::Workspace;
use crate::commands::clean::Clean;
use crate::commands::info::BUILD_LANGUAGE;
use crate::console::{Console, Severity, write_bytes, write_data};
use crate::directories::{Directories, check_ours, expand_home};
use crate::display::Display;
use crate::environment::Environment;
use crate::ide_arguments::IdeArguments;
use crate::invocation::Invocation;
use crate::query_arguments::{AqueryArguments, CqueryArguments};
use crate::query_request::{ConfiguredRequest, QueryRequest};
use crate::repl_arguments::ReplArguments;
use crate::repl_request::ReplRequest;
use crate::request::BuildRequest;
use crate::request_lock::RequestLock;
use crate::signals::Interrupts;

/// Analysis makes and drops millions of small values, on all processors. Without huge pages: most
/// calls need a few megabytes, and would fill two of such pages with zeros first.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before any thread begins: the process may be one that keeps the sandbox.
    rbz_engine::sandbox::maybe_become_init();
    report_panics();
    // What a panic left half done dies with the process: nothing is used after it.
    let result = std::panic::catch_unwind(run);
    match result {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => ExitCode::from(error.kind.exit_status()),
        Err(_) => ExitCode::from(ErrorKind::Internal.exit_status()),
    }
}

/// Makes of a panic a message that says whose fault it is, without a backtrace.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if rbz_starlark::limits::is_expected(panic) {
            return;
        }
        let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let reason = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("unknown reason");
        let text = format!(
            "ERROR: internal error{place}: {reason}\n\
             hint: this is a fault of rbz; please report it with what you did\n"
        );
        // Where nobody listens, another panic would help nobody.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }));
}

fn run() -> Result<ExitCode, CommandError> {
    let plain = Display { color: false, data_color: false, curses: false, progress: true };
    let environment = Environment::of_this_process().inspect_err(|e| show(plain, e))?;
    let by_default = Display::of_environment(&environment);
    let invocation = Invocation::read(&environment).inspect_err(|e| show(by_default, e))?;
    let display = Display::new(display_options(&invocation.command), &environment);
    execute(invocation, &environment, display).inspect_err(|error| show(display, error))
}

fn show(display: Display, error: &CommandError) {
    if error.message.is_some() {
        Console::new(display).message(Severity::Error, &error.to_string());
    }
}

fn display_options(command: &RawCommand) -> &DisplayOptions {
    match command {
        RawCommand::Build(arguments)
        | RawCommand::Test(arguments)
        | RawCommand::Coverage(arguments)
        | RawCommand::Run(arguments)
        | RawCommand::Info(arguments)
        | RawCommand::WhyRebuilt(arguments) => &arguments.display,
        RawCommand::Clean(arguments) => &arguments.display,
        RawCommand::Repl(arguments) => &arguments.build.display,
        RawCommand::Ide(arguments) => &arguments.build.display,
        RawCommand::Fmt(arguments) => &arguments.display,
        RawCommand::Query(arguments) => &arguments.display,
        RawCommand::Cquery(arguments) => &arguments.build.display,
        RawCommand::Aquery(arguments) => &arguments.build.display,
        RawCommand::Why(arguments) => &arguments.display,
        RawCommand::Help(arguments)
        | RawCommand::AnalyzeProfile(arguments)
        | RawCommand::Tool(arguments)
        | RawCommand::Version(arguments)
        | RawCommand::Completion(arguments)
        | RawCommand::Init(arguments) => &arguments.display,
    }
}

fn execute(
    invocation: Invocation,
    environment: &Environment,
    display: Display,
) -> Result<ExitCode, CommandError> {
    let mut console = Console::new(display);
    for warning in &invocation.warnings {
        console.message(Severity::Warning, warning);
    }
    if display_options(&invocation.command).announce_rc {
        for option in &invocation.options_of_rc_files {
            console.message(Severity::Info, &format!("{}{option}", option.origin));
        }
    }
    match &invocation.command {
        RawCommand::Version(_) => write_data(&commands::version::text())?,
        RawCommand::Completion(arguments) => {
            write_data(&commands::completion::script(&arguments.residue)?)?;
        }
        RawCommand::Help(arguments) => write_data(&commands::help::text(&arguments.residue)?)?,
        RawCommand::AnalyzeProfile(arguments) => {
            let here = environment.here()?;
            write_data(&commands::analyze_profile::text(&arguments.residue, here, environment)?)?;
        }
        RawCommand::Tool(arguments) => {
            return commands::tool::run(&arguments.residue, &mut console);
        }
        RawCommand::Init(arguments) => {
            no_residue("init", &arguments.residue)?;
            let search = external_systems::Search::of(environment);
            write_data(&commands::init::run(environment.here()?, &search)?)?;
        }
        RawCommand::Fmt(arguments) => {
            let here = environment.here()?;
            let root = invocation.workspace.as_deref();
            commands::fmt::run(&commands::fmt::Fmt::new(arguments, here, root)?, &mut console)?;
        }
        RawCommand::Clean(arguments) => clean(&invocation, arguments, environment, &mut console)?,
        RawCommand::Query(arguments) => {
            let request = QueryRequest::new(arguments, environment)?;
            locked(&invocation, environment, &arguments.residue, &mut console, |ws, console| {
                commands::query::run(ws, &request, console)
            })?;
        }
        RawCommand::Cquery(CqueryArguments { build, .. })
        | RawCommand::Repl(ReplArguments { build, .. })
        | RawCommand::Ide(IdeArguments { build, .. })
        | RawCommand::Aquery(AqueryArguments { build, .. }) => {
            in_workspace(&invocation, build, environment, &mut console)?;
        }
        RawCommand::Why(arguments) => {
            let request = commands::why::Why::new(arguments, environment)?;
            locked(&invocation, environment, &arguments.residue, &mut console, |ws, console| {
                commands::why::run(ws, &request, console)
            })?;
        }
        RawCommand::Build(arguments)
        | RawCommand::Test(arguments)
        | RawCommand::Coverage(arguments)
        | RawCommand::Run(arguments)
        | RawCommand::Info(arguments)
        | RawCommand::WhyRebuilt(arguments) => {
            in_workspace(&invocation, arguments, environment, &mut console)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn clean(
    invocation: &Invocation,
    arguments: &CleanArguments,
    environment: &Environment,
    console: &mut Console,
) -> Result<(), CommandError> {
    no_residue("clean", &arguments.residue)?;
    let root = root(invocation, environment)?;
    let directories = Directories::new(&invocation.startup, environment, root)?;
    let disk_cache = match &arguments.disk_cache {
        Some(path) => expand_home(path, environment, environment.here()?),
        None => directories.disk_cache(),
    };
    let disk_cache = arguments.disk_cache_too.then_some(disk_cache);
    let clean = Clean { expunge: arguments.expunge, disk_cache };
    Interrupts::listen(console.display())?;
    let lock = lock(&invocation.startup, &directories, root, "clean", console)?;
    commands::clean::run(&clean, root, &directories, lock)
}

/// The root of the workspace, without which the command can do nothing.
fn root<'a>(
    invocation: &'a Invocation,
    environment: &Environment,
) -> Result<&'a Path, CommandError> {
    let here = environment.here()?;
    let missing = || workspace_root::missing(invocation.command.name(), here);
    invocation.workspace.as_deref().ok_or_else(missing)
}

/// Does a command that loads, in the workspace and under its lock.
fn in_workspace(
    invocation: &Invocation,
    arguments: &BuildArguments,
    environment: &Environment,
    console: &mut Console,
) -> Result<(), CommandError> {
    let command = invocation.command.name();
    let root = root(invocation, environment)?;
    let directories = &Directories::new(&invocation.startup, environment, root)?;
    let request = BuildRequest::new(arguments, &invocation.settings, directories, environment)?;
    let what = format!("{command} {}", request.residue.join(" "));
    let interrupts = &Interrupts::listen(console.display())?;
    let lock = lock(&invocation.startup, directories, root, what.trim_end(), console)?;
    let invoked = invoked(invocation, environment, root, &request.residue)?;
    let workspace = Workspace { root, directories, environment, interrupts, invoked };
    match &invocation.command {
        RawCommand::Test(_) => commands::test::run(&workspace, &request, console),
        RawCommand::Coverage(_) => commands::coverage::run(&workspace, &request, console),
        RawCommand::WhyRebuilt(_) => commands::why_rebuilt::run(&workspace, &request, console),
        RawCommand::Run(_) => {
            let program = commands::run::build(&workspace, &request, console)?;
            drop(lock);
            Err(commands::run::become_program(program))
        }
        RawCommand::Ide(arguments) => {
            let output = arguments.ide.output.as_deref();
            commands::ide::run(&workspace, &request, output, console)
        }
        RawCommand::Repl(arguments) => {
            let repl = ReplRequest::new(arguments, environment)?;
            let Some(lisp) = commands::repl::build(&workspace, &request, &repl, console)? else {
                return Ok(());
            };
            drop(lock);
            Err(commands::run::become_program(lisp))
        }
        RawCommand::Cquery(arguments) => {
            let request = ConfiguredRequest::of_targets(arguments, request, environment)?;
            commands::query::run_configured(&workspace, &request, console)
        }
        RawCommand::Aquery(arguments) => {
            let request = ConfiguredRequest::of_actions(arguments, request, environment)?;
            commands::query::run_configured(&workspace, &request, console)
        }
        RawCommand::Info(_) if request.residue == [BUILD_LANGUAGE] => {
            let encoded = workspace.with_loader(&request.overrides, console, build_language)?;
            write_bytes(&encoded?)
        }
        RawCommand::Info(_) => {
            let name = workspace.name(&request)?;
            write_data(&commands::info::text(root, &name, directories, &request)?)
        }
        _ => commands::build::run(&workspace, &request, console),
    }
}

/// Does a command that only loads, in the workspace and under its lock.
fn locked(
    invocation: &Invocation,
    environment: &Environment,
    residue: &[String],
    console: &mut Console,
    command: impl FnOnce(&Workspace, &mut Console) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let root = root(invocation, environment)?;
    let directories = &Directories::new(&invocation.startup, environment, root)?;
    let what = format!("{} {}", invocation.command.name(), residue.join(" "));
    let interrupts = &Interrupts::listen(console.display())?;
    let _lock = lock(&invocation.startup, directories, root, what.trim_end(), console)?;
    let invoked = invoked(invocation, environment, root, residue)?;
    command(&Workspace { root, directories, environment, interrupts, invoked }, console)
}

/// What is asked now, as a build tells it.
fn invoked(
    invocation: &Invocation,
    environment: &Environment,
    root: &Path,
    residue: &[String],
) -> Result<Invoked, CommandError> {
    let options = &invocation.options_of_rc_files;
    Ok(Invoked {
        command: invocation.command.name().to_owned(),
        arguments: environment.arguments.clone(),
        options_of_rc_files: options.iter().map(ToString::to_string).collect(),
        patterns: residue.to_vec(),
        workspace: root.to_owned(),
        directory: environment.here()?.to_owned(),
        begun: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        facts: Default::default(),
        process: std::process::id(),
    })
}

fn no_residue(command: &str, residue: &[String]) -> Result<(), CommandError> {
    match residue.first() {
        None => Ok(()),
        Some(word) => Err(CommandError::command_line(format!(
            "`rbz {command}` takes no targets, and `{word}` is no option"
        ))),
    }
}

/// Takes the request lock of the workspace at `root`; says for whom it has to wait.
fn lock(
    startup: &StartupOptions,
    directories: &Directories,
    root: &Path,
    command: &str,
    console: &mut Console,
) -> Result<RequestLock, CommandError> {
    check_ours(&directories.output_base)?;
    let command = format!("rbz {command}");
    let lock = RequestLock::acquire(&directories.lock(), &command, |holder| {
        if !startup.block_for_lock {
            let text = format!("another rbz works in this workspace ({holder})");
            return Err(CommandError::new(ErrorKind::LockHeld, text));
        }
        let text = format!("waiting for another rbz in this workspace ({holder})");
        console.message(Severity::Info, &text);
        Ok(())
    })?;
    let (note, text) = (directories.workspace_note(), root.as_os_str().as_encoded_bytes());
    if std::fs::read(&note).ok().as_deref() != Some(text) {
        // Without it a message says less.
        let _ = std::fs::write(note, text);
    }
    Ok(lock)
}
