//! `rbz run`: builds a program, then becomes it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rbz_engine::plan::{Program, RequestedTarget};

use crate::built::{Built, failure_kind, finish, only_program};
use crate::command_error::{CommandError, ErrorKind};
use crate::commands::build::{Purpose, Workspace};
use crate::console::Console;
use crate::request::BuildRequest;
use crate::result_lines;

/// Builds the program and yields the command that runs it. The caller gives the request lock back
/// and then calls [`become_program`].
pub fn build(
    workspace: &Workspace,
    request: &BuildRequest,
    console: &mut Console,
) -> Result<Command, CommandError> {
    if request.residue.is_empty() {
        return Err(CommandError::command_line("`rbz run` needs the target of a program"));
    }
    let (own, result) = workspace.build(Purpose::Run, request, console.take());
    *console = own;
    let built = result?;
    if failure_kind(&built).is_some() {
        result_lines::show_targets(&built, request, console);
        finish(&built, console)?;
    }
    let Some((target, program)) = only_program(&built.plan) else {
        return Err(CommandError::command_line(match &built.plan.requested[..] {
            [target] => {
                format!("`{}` is not executable: a `{}` is no program", target.label, target.rule)
            }
            targets => format!(
                "`rbz run` runs one program, and `{}` names {} targets",
                request.residue[0],
                targets.len()
            ),
        }));
    };
    if built.outcome.is_none() {
        return Err(CommandError::command_line("`rbz run --nobuild` has nothing to run"));
    }
    result_lines::show_targets(&built, request, console);
    finish(&built, console)?;
    Ok(command(workspace, request, &built, target, program))
}

fn command(
    workspace: &Workspace,
    request: &BuildRequest,
    built: &Built,
    target: &RequestedTarget,
    program: &Program,
) -> Command {
    let variables = &workspace.environment.variables;
    let runfiles = built.execution_root.join(program.runfiles_tree.exec_path());
    let mut command = Command::new(built.execution_root.join(program.file.exec_path()));
    command
        .args(program.args.iter().map(|argument| &**argument))
        .args(&request.residue[1..])
        .current_dir(runfiles.join(&*built.plan.workspace))
        .env("RUNFILES_DIR", &runfiles)
        .env("BUILD_WORKSPACE_DIRECTORY", workspace.root)
        .envs(
            workspace
                .environment
                .current_directory
                .as_ref()
                .map(|d| ("BUILD_WORKING_DIRECTORY", d)),
        );
    if target.test.is_some() {
        // What a test relies on; its outputs stay where it was called.
        command
            .env("TEST_SRCDIR", &runfiles)
            .env("TEST_WORKSPACE", &*built.plan.workspace)
            .env("TEST_TARGET", target.label.to_string())
            .env("TEST_TMPDIR", std::env::temp_dir())
            .args(&request.tests.arguments);
        if let Some(filter) = &request.tests.filter {
            command.env("TESTBRIDGE_TEST_ONLY", filter);
        }
    }
    for name in &program.inherited_env {
        if let Some(value) = variables.get(&**name) {
            command.env(&**name, value);
        }
    }
    command.envs(program.env.iter().map(|(name, value)| (&**name, &**value)));
    command
}

/// Becomes the program; comes back only if that fails.
pub fn become_program(mut command: Command) -> CommandError {
    let program = command.get_program().to_string_lossy().into_owned();
    // See the allocator of rbz, which does without huge pages.
    let _ = nix::sys::prctl::set_thp_disable(false);
    let error = command.exec();
    CommandError::new(ErrorKind::Environment, format!("cannot run `{program}`: {error}"))
}
