//! `rbz test`: builds targets and runs the tests among them.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use rbz_engine::event::{TestStatus, TestSummary};
use rbz_engine::label::Label;
use rbz_engine::plan::Plan;
use rbz_engine::test_plan::{CoverageReports, TestOptions};

use crate::built::{Built, finish};
use crate::command_error::{CommandError, ErrorKind};
use crate::commands::build::{Purpose, Workspace};
use crate::console::{Console, write_data};
use crate::diagnostic_output::DiagnosticForm;
use crate::environment::Environment;
use crate::request::BuildRequest;
use crate::test_cases::CaseCounts;
use crate::{result_lines, test_cases, test_report};

/// What the engine is told about running tests.
pub fn test_options(request: &BuildRequest, environment: &Environment, plan: &Plan) -> TestOptions {
    let coverage = match (request.coverage.collect, request.coverage.combined) {
        (false, _) => None,
        (true, false) => Some(CoverageReports::Each),
        (true, true) => Some(CoverageReports::Combined),
    };
    let request = &request.tests;
    let labels = || plan.requested.iter().map(|target| &target.label);
    let defaults = TestOptions::default();
    let timeouts: [Duration; 4] =
        std::array::from_fn(|index| request.timeouts[index].unwrap_or(defaults.timeouts[index]));
    TestOptions {
        filter: request.filter.clone(),
        args: request.arguments.clone(),
        env: request.environment.clone(),
        runs_per_test: labels()
            .filter_map(|label| Some((label.clone(), request.runs.of(label)?)))
            .collect(),
        timeouts,
        attempts: labels()
            .filter_map(|label| Some((label.clone(), request.attempts.of(label)??)))
            .collect(),
        client_env: environment.variables.clone(),
        coverage,
    }
}

/// `rbz test`
pub fn run(
    workspace: &Workspace,
    request: &BuildRequest,
    console: &mut Console,
) -> Result<(), CommandError> {
    run_then(workspace, request, console, |_, _| Ok(()))
}

/// Runs tests, and after their report does something with what was built.
pub fn run_then(
    workspace: &Workspace,
    request: &BuildRequest,
    console: &mut Console,
    then: impl FnOnce(&Built, &mut Console) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    if request.residue.is_empty() {
        let command = &workspace.invoked.command;
        return Err(CommandError::command_line(format!("`rbz {command}` needs a target"))
            .hint(format!("`rbz {command} //...` runs every test")));
    }
    let (own, result) = workspace.build(Purpose::Test, request, console.take());
    *console = own;
    let built = result?;
    result_lines::show_targets(&built, request, console);
    let Some(outcome) = built.outcome.as_ref() else {
        finish(&built, console)?;
        return no_tests(request);
    };
    let bad = outcome.tests.iter().any(|test| test.status > TestStatus::Flaky);
    let cases = cases_of(&outcome.tests, &built.execution_root);
    let result = finish(&built, console);
    if request.diagnostics == DiagnosticForm::Text {
        let color = console.display().data_color;
        report(&outcome.tests, &cases, request, &built.execution_root, color)?;
    } else {
        // Standard output is for another program.
        console.print(&test_report::totals(&outcome.tests));
    }
    if !outcome.tests.is_empty() {
        then(&built, console)?;
    }
    result?;
    match (outcome.tests.is_empty(), bad) {
        (true, _) => no_tests(request),
        (_, true) => Err(CommandError::already_reported(ErrorKind::TestsFailed)),
        _ => check_filter(&outcome.tests, &cases, request),
    }
}

/// How many cases each test had that tells of them.
fn cases_of(tests: &[TestSummary], execution_root: &Path) -> HashMap<Label, CaseCounts> {
    let counts = |test: &TestSummary| {
        let cases = test_cases::of_summary(test, execution_root)?;
        Some((test.label.clone(), cases.counts))
    };
    tests.iter().filter_map(counts).collect()
}

/// Nothing was tested if `--test_filter` left out every case of every test.
fn check_filter(
    tests: &[TestSummary],
    cases: &HashMap<Label, CaseCounts>,
    request: &BuildRequest,
) -> Result<(), CommandError> {
    let Some(filter) = &request.tests.filter else { return Ok(()) };
    let none = |test: &TestSummary| cases.get(&test.label).is_some_and(|cases| cases.total() == 0);
    if !tests.iter().all(none) {
        return Ok(());
    }
    let text = format!("no test case matches `--test_filter={filter}`");
    Err(CommandError::new(ErrorKind::NoTests, text)
        .hint("`--test_output=all` shows which there are"))
}

fn report(
    tests: &[TestSummary],
    cases: &HashMap<Label, CaseCounts>,
    request: &BuildRequest,
    execution_root: &Path,
    color: bool,
) -> Result<(), CommandError> {
    if tests.is_empty() {
        return Ok(());
    }
    let table = test_report::table(tests, cases, request.tests.summary, execution_root, color);
    let of_cases = test_report::case_totals(cases).map(|text| text + "\n").unwrap_or_default();
    write_data(&format!("{table}\n{}\n{of_cases}", test_report::totals(tests)))
}

fn no_tests(request: &BuildRequest) -> Result<(), CommandError> {
    if !request.execute {
        return Ok(());
    }
    let error = CommandError::new(
        ErrorKind::NoTests,
        "No test targets were found, yet testing was requested",
    );
    let filtered = !request.tests.tags.accepts_all()
        || !request.tests.sizes.accepts_all()
        || !request.tests.languages.accepts_all()
        || !request.tests.timeout_filter.accepts_all();
    Err(if filtered { error.hint("the filters may leave out every test") } else { error })
}
