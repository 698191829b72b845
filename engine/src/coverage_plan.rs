//! Reports of coverage: the actions that make them of what test runs left, added to a plan.
//!
//! What a program leaves is for the tool of the plan to understand: here it is a directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::action::{
    Action, ActionKind, ArgItem, ArgValues, Args, CommandArg, ManyArgs, ParamFile, ParamFileFormat,
    Spawn, TestRun,
};
use crate::artifact::{Artifact, ArtifactKind, Root};
use crate::depset::Depset;
use crate::label::{Label, PackageId, RepoName};
use crate::paths::parent;
use crate::plan::{CoverageTool, Instrumented, Plan, PlanError};
use crate::test_plan::CoverageReports;

/// The directory of the report on all tests, relative to the execution root.
const COMBINED: &str = "rbz-out/_coverage";

/// The report on all tests in the format of LCOV, relative to the execution root.
pub const COMBINED_REPORT: &str = "rbz-out/_coverage/_coverage_report.dat";

/// The first of its pages for people.
pub const COMBINED_PAGES: &str = "rbz-out/_coverage/html/index.html";

/// What is to be said of it, a sentence to a line.
pub const COMBINED_NOTES: &str = "rbz-out/_coverage/_coverage_notes.txt";

/// Adds the actions that report what the test runs of `plan` ran.
pub(crate) fn add_coverage_reports(
    plan: &mut Plan,
    reports: CoverageReports,
) -> Result<(), PlanError> {
    let Some(tool) = plan.coverage_tool.clone() else { return Ok(()) };
    let mut data = Vec::new();
    let mut instrumented = Vec::new();
    for index in 0..plan.requested.len() {
        let target = plan.requested[index].clone();
        instrumented.extend(target.instrumented.clone());
        for run in target.test.iter().flat_map(|test| &test.runs) {
            let action = plan.action(*run);
            let ActionKind::Spawn(Spawn { test: Some(test), .. }) = &action.kind else { continue };
            let Some(directory) = &test.coverage else { continue };
            let empty = || Instrumented { sources: none(), metadata: none() };
            let files = target.instrumented.clone().unwrap_or_else(empty);
            let action = run_report(&tool, action, test, directory, &files);
            data.extend(action.outputs.clone());
            let id = plan.add(action)?;
            plan.reports.push(id);
        }
    }
    if reports == CoverageReports::Combined
        && let Some(first) = plan.requested.iter().find(|target| target.test.is_some())
    {
        let (owner, configuration) = (first.label.clone(), first.configuration.clone());
        let action = combined_report(&tool, &owner, &configuration, data, &instrumented);
        let id = plan.add(action)?;
        plan.reports.push(id);
    }
    Ok(())
}

fn none() -> Depset {
    Depset::of_files([])
}

/// What one run of a test ran: `coverage.dat`, and the marks that reports on several runs need.
fn run_report(
    tool: &CoverageTool,
    run: &Action,
    test: &TestRun,
    directory: &Artifact,
    files: &Instrumented,
) -> Action {
    let root = directory.root().clone();
    let place = parent(test.log.root_relative_path()).to_owned();
    let output = |name: &str| {
        let path = format!("{place}/{name}");
        Artifact::new(ArtifactKind::File, root.clone(), &path, run.owner.clone())
    };
    let (lcov, marks) = (output("coverage.dat"), output("coverage.marks"));
    let mut arguments = vec![text("data")];
    arguments.push(text(&format!("--directory={}", directory.exec_path())));
    arguments.push(text(&format!("--lcov={}", lcov.exec_path())));
    arguments.push(text(&format!("--marks={}", marks.exec_path())));
    arguments.push(text(&format!("--test={}", run.owner)));
    arguments.push(list("metadata", files.metadata.clone()));
    arguments.push(list("sources", files.sources.clone()));
    let inputs = [Depset::of_files([directory.clone()]), files.metadata.clone()];
    let message = format!("Reading the coverage of {}", run.owner);
    action(tool, &run.owner, &run.configuration, message, arguments, inputs, vec![lcov, marks])
}

/// What all runs ran.
fn combined_report(
    tool: &CoverageTool,
    owner: &Label,
    configuration: &Arc<str>,
    data: Vec<Artifact>,
    instrumented: &[Instrumented],
) -> Action {
    let of_main = PackageId::new(RepoName::main(), "").label("coverage");
    let output = |kind, path: &str| {
        let name = path.strip_prefix(COMBINED).unwrap_or(path).trim_start_matches('/');
        Artifact::new(kind, Root::Output(COMBINED.into()), name, of_main.clone())
    };
    let outputs = vec![
        output(ArtifactKind::File, COMBINED_REPORT),
        output(ArtifactKind::Tree, parent(COMBINED_PAGES)),
        output(ArtifactKind::File, COMBINED_NOTES),
    ];
    let metadata = Depset::union(instrumented.iter().map(|files| files.metadata.clone()));
    let sources = Depset::union(instrumented.iter().map(|files| files.sources.clone()));
    let data = Depset::of_files(data);
    let mut arguments = vec![text("report")];
    for (option, output) in ["lcov", "html", "notes"].iter().zip(&outputs) {
        arguments.push(text(&format!("--{option}={}", output.exec_path())));
    }
    arguments.push(list("data", data.clone()));
    arguments.push(list("metadata", metadata.clone()));
    let message = "Reporting coverage".to_owned();
    action(tool, owner, configuration, message, arguments, [data, metadata, sources], outputs)
}

fn action(
    tool: &CoverageTool,
    owner: &Label,
    configuration: &Arc<str>,
    message: String,
    arguments: Vec<CommandArg>,
    inputs: impl IntoIterator<Item = Depset>,
    outputs: Vec<Artifact>,
) -> Action {
    let program = text(tool.program.exec_path());
    let first = tool.arguments.iter().cloned().map(CommandArg::Str);
    Action {
        owner: owner.clone(),
        mnemonic: "CoverageReport".into(),
        progress_message: Some(message.into()),
        configuration: configuration.clone(),
        inputs: Depset::union(inputs.into_iter().chain([tool.files.clone()])),
        outputs,
        kind: ActionKind::Spawn(Spawn {
            argv: std::iter::once(program).chain(first).chain(arguments).collect(),
            env: BTreeMap::new(),
            requirements: BTreeMap::new(),
            timeout: None,
            test: None,
            resident: None,
        }),
    }
}

fn text(text: &str) -> CommandArg {
    CommandArg::Str(text.into())
}

/// `--OPTION=FILE`, where the file lists these, one to a line.
fn list(option: &str, files: Depset) -> CommandArg {
    CommandArg::Args(Arc::new(Args {
        items: vec![ArgItem::Many(ManyArgs {
            flag: None,
            values: ArgValues::Depset(files),
            format_each: None,
            before_each: None,
            terminate_with: None,
            omit_if_empty: false,
            uniquify: true,
            expand_directories: false,
            joined: None,
        })],
        param_file: Some(ParamFile { flag_format: format!("--{option}=%s").into(), always: true }),
        format: ParamFileFormat::Multiline,
    }))
}
