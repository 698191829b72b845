//! `rbz query`: which targets there are, and how they depend on one another.

use rbz_query::world::WorldOptions;

use crate::command_error::{CommandError, ErrorKind};
use crate::commands::build::Workspace;
use crate::console::{Console, Severity, write_bytes};
use crate::query_request::QueryRequest;

/// Answers a query.
pub fn run(
    workspace: &Workspace,
    request: &QueryRequest,
    console: &mut Console,
) -> Result<(), CommandError> {
    let options = WorldOptions { directory: workspace.directory(), ..request.world.clone() };
    let answer = workspace.with_loader(&request.overrides, console, |loader| {
        request.query.answer(loader, &options, &request.output)
    })?;
    let mut answer = answer.map_err(|error| match ErrorKind::from(error.class) {
        ErrorKind::BuildFailed => CommandError::new(ErrorKind::QueryFailed, error.to_string()),
        _ => error.into(),
    })?;
    for error in &answer.errors {
        console.message(Severity::Error, &error.to_string());
    }
    if answer.count == 0 && answer.errors.is_empty() {
        console.message(Severity::Info, "the answer is empty");
    }
    write_bytes(&std::mem::take(&mut answer.bytes))?;
    match answer.errors.is_empty() {
        true => Ok(()),
        false => Err(CommandError::already_reported(ErrorKind::PartialAnswer)),
    }
}
