//! `rbz tool sandbox`: a process in the sandbox of a failed action, which was kept.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use rbz_engine::sandbox::{KeptError, KeptSandbox};
use rbz_engine::strategy::Exit;
use signal_hook::consts::{SIGINT, SIGQUIT};

use crate::command_error::{CommandError, ErrorKind, nearest};
use crate::console::{Console, Severity};
use crate::diagnostics::signal_name;

/// How many programs are named when one is asked for that is not there.
const NAMED: usize = 12;

/// Runs `command`, or if that is empty the action's own, in the sandbox kept as `directory`. Yields
/// its exit status, as a shell would.
pub fn run(
    directory: &Path,
    command: &[String],
    console: &mut Console,
) -> Result<ExitCode, CommandError> {
    for key in [SIGINT, SIGQUIT] {
        // What is typed is for the process; nobody looks at the flag.
        signal_hook::flag::register(key, Arc::default()).map_err(|error| {
            CommandError::environment(format!("cannot listen for signals: {error}"))
        })?;
    }
    let sandbox = KeptSandbox::open(directory)?;
    let completed = sandbox.run(command)?;
    console.print_bytes(&completed.stderr);
    let status = match completed.exit {
        Exit::Status(status) => status,
        Exit::Signal(signal) => {
            console.message(Severity::Error, &signal_name(signal));
            128 + signal
        }
        // It has all the time and memory of the world, and nobody calls it off.
        Exit::TimedOut | Exit::OverMemory | Exit::Cancelled => 1,
    };
    // Exit statuses and signals have one byte.
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}

impl From<KeptError> for CommandError {
    fn from(error: KeptError) -> Self {
        let kind = match &error {
            KeptError::NotKept { .. } | KeptError::NoProgram { .. } => ErrorKind::CommandLine,
            KeptError::Gone { .. } | KeptError::Strategy(_) => ErrorKind::Environment,
        };
        let message = CommandError::new(kind, error.to_string());
        match error {
            KeptError::NotKept { .. } => {
                message.hint("with `--sandbox_debug` a build says which directories it keeps")
            }
            KeptError::Gone { .. } => message.hint("build again with `--sandbox_debug`"),
            KeptError::NoProgram { name, programs } => {
                let programs = || programs.iter().map(String::as_str);
                let more = if programs().count() > NAMED { ", …" } else { "" };
                let named: Vec<&str> = programs().take(NAMED).collect();
                let hint = format!("there are `{}`{more}", named.join("`, `"));
                message.hint_nearest(nearest(&name, programs())).hint(hint)
            }
            KeptError::Strategy(_) => message,
        }
    }
}
