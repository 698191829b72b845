//! `rbz query`, `rbz cquery` and `rbz aquery`: which targets and actions there are, and how they depend
//! on one another.

use rbz_engine::diagnostic::Diagnostic;
use rbz_query::query::Answer;
use rbz_query::world::WorldOptions;
use rbz_starlark::session::AnalysisRequest;

use crate::command_error::{CommandError, ErrorKind};
use crate::commands::build::{Purpose, Workspace};
use crate::console::{Console, Severity, write_bytes};
use crate::query_request::{ConfiguredRequest, QueryRequest, Shown};

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
    show(answer, console)
}

/// Answers a query about configured targets, or about their actions.
pub fn run_configured(
    workspace: &Workspace,
    request: &ConfiguredRequest,
    console: &mut Console,
) -> Result<(), CommandError> {
    let ConfiguredRequest { query, world, build, shown } = request;
    let options = WorldOptions { directory: workspace.directory(), ..world.clone() };
    let analysis = AnalysisRequest {
        patterns: world.universe.clone(),
        ..workspace.analysis_request(Purpose::Build, build)
    };
    let answer = workspace.with_session(&build.overrides, console, |session| {
        let graph = session.configured_graph(&analysis)?;
        match &graph.errors[..] {
            [error, ..] if !build.keep_going => Err(error.clone()),
            _ => match shown {
                Shown::Targets(format, output) => {
                    query.answer_configured(session.loader(), &options, graph, format, output)
                }
                Shown::Actions(output) => {
                    query.answer_actions(session.loader(), &options, graph, output)
                }
            },
        }
    })?;
    show(answer, console)
}

/// Shows an answer, and what is wrong.
fn show(answer: Result<Answer, Diagnostic>, console: &mut Console) -> Result<(), CommandError> {
    let answer = answer.map_err(|error| match ErrorKind::from(error.class) {
        ErrorKind::BuildFailed => CommandError::new(ErrorKind::QueryFailed, error.to_string()),
        _ => error.into(),
    })?;
    for error in &answer.errors {
        console.message(Severity::Error, &error.to_string());
    }
    if answer.count == 0 && answer.errors.is_empty() {
        console.message(Severity::Info, "the answer is empty");
    }
    write_bytes(&answer.bytes)?;
    match answer.errors.is_empty() {
        true => Ok(()),
        false => Err(CommandError::already_reported(ErrorKind::PartialAnswer)),
    }
}
