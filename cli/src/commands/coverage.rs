//! `rbz coverage`: runs tests, and shows what of the code under test they ran.

use std::path::Path;

use rbz_coverage::{lcov, summary};
use rbz_engine::coverage_plan::{COMBINED_NOTES, COMBINED_PAGES, COMBINED_REPORT};

use crate::build_events::uri;
use crate::built::Built;
use crate::command_error::{CommandError, ErrorKind};
use crate::commands::build::Workspace;
use crate::commands::test;
use crate::console::{Console, Severity, write_data};
use crate::diagnostic_output::DiagnosticForm;
use crate::request::{BuildRequest, CoverageRequest};

/// `rbz coverage`
pub fn run(
    workspace: &Workspace,
    request: &BuildRequest,
    console: &mut Console,
) -> Result<(), CommandError> {
    let coverage = CoverageRequest { collect: true, ..request.coverage.clone() };
    let request = BuildRequest { coverage, ..request.clone() };
    test::run_then(workspace, &request, console, |built, console| show(built, &request, console))
}

/// Shows what there is to know of what the tests ran.
fn show(built: &Built, request: &BuildRequest, console: &mut Console) -> Result<(), CommandError> {
    if !request.coverage.combined {
        let text = "Coverage: rbz-testlogs/PACKAGE/TEST/coverage.dat for each test";
        console.message(Severity::Info, text);
        return Ok(());
    }
    // Nothing of it is there if something of the tests could not be built; that was said.
    let failed = built.outcome.iter().flat_map(|outcome| &outcome.failures).next().is_some();
    if failed {
        console.message(Severity::Warning, "no report of coverage: not all of it could be made");
        return Err(CommandError::already_reported(ErrorKind::BuildFailed));
    }
    let read = |path: &str| read(&built.execution_root.join(path));
    let wrong = |error: lcov::LcovError| CommandError::new(ErrorKind::Internal, error.to_string());
    let report = lcov::parse(&read(COMBINED_REPORT)?).map_err(wrong)?;
    for note in read(COMBINED_NOTES)?.lines() {
        console.message(Severity::Warning, note);
    }
    if report.files.is_empty() {
        console.message(Severity::Warning, &nothing_instrumented(request));
        return Ok(());
    }
    let table = summary::table(&report);
    match request.diagnostics {
        DiagnosticForm::Text => write_data(&format!("\n{table}"))?,
        // Standard output is for another program.
        _ => console.print(&table),
    }
    let pages = built.execution_root.join(COMBINED_PAGES);
    let lcov = built.execution_root.join(COMBINED_REPORT);
    console.message(Severity::Info, &format!("Coverage: {}", uri(&pages)));
    console.message(Severity::Info, &format!("In LCOV's format: {}", lcov.display()));
    Ok(())
}

fn nothing_instrumented(request: &BuildRequest) -> String {
    let advice = "hint: it selects targets by their labels; --instrumentation_filter=// selects all of \
                  this workspace";
    match &request.coverage.filter {
        Some(filter) => format!(
            "no coverage: --instrumentation_filter=\"{filter}\" selects nothing that the tests use\n{advice}"
        ),
        None => {
            format!("no coverage: in the packages of the tests is nothing that they use\n{advice}")
        }
    }
}

fn read(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|error| {
        CommandError::environment(format!("cannot read `{}`: {error}", path.display()))
    })
}
