//! A build that came to its end: what was built, and how that is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rbz_engine::build::{BuildOutcome, Counts, TargetOutcome, TargetStatus};
use rbz_engine::diagnostic::ErrorClass;
use rbz_engine::event::TestStatus;
use rbz_engine::failure::FailureCause;
use rbz_engine::plan::{Plan, Program, RequestedTarget};
use rbz_engine::seal::Told;

use crate::build_events::End;
use crate::command_error::{CommandError, ErrorKind};
use crate::commands::build::Purpose;
use crate::console::{Console, Severity};
use crate::progress::count;

/// A build that came to its end.
#[derive(Debug)]
pub struct Built {
    /// What was built.
    pub plan: Arc<Plan>,
    /// What came of it; `None` when nothing was to be executed.
    pub outcome: Option<BuildOutcome>,
    /// The directory that exec paths are relative to.
    pub execution_root: PathBuf,
    /// The configuration whose outputs the symlinks in the workspace show, if they could be made.
    pub linked: Option<Arc<str>>,
    /// Whether loading and analysis found nothing wrong.
    pub analysis_is_fine: bool,
    /// The class of the first error of loading or analysis.
    pub worst: Option<ErrorClass>,
    /// When the command began.
    pub begin: Instant,
}

impl Built {
    /// A build that was found done by its seal.
    pub fn sealed(
        told: Told,
        execution_root: PathBuf,
        linked: Option<Arc<str>>,
        begin: Instant,
    ) -> Built {
        let mut plan = Plan::new(&told.workspace, BTreeMap::new());
        plan.requested = told.requested;
        let target = |target: &RequestedTarget| TargetOutcome {
            label: target.label.clone(),
            configuration: target.configuration.clone(),
            status: TargetStatus::Built,
        };
        let outcome = BuildOutcome {
            targets: plan.requested.iter().map(target).collect(),
            tests: told.tests,
            counts: Counts { up_to_date: told.actions, ..Counts::default() },
            done: Vec::new(),
            failures: Vec::new(),
            interrupted: false,
        };
        Built {
            plan: Arc::new(plan),
            outcome: Some(outcome),
            execution_root,
            linked,
            analysis_is_fine: true,
            worst: None,
            begin,
        }
    }
}

/// Says how the build ended, and makes the command's result of it.
pub fn finish(built: &Built, console: &mut Console) -> Result<(), CommandError> {
    let elapsed = format!("Elapsed time: {:.2}s", built.begin.elapsed().as_secs_f64());
    console.message(Severity::Info, &elapsed);
    if let Some(outcome) = &built.outcome {
        console.message(Severity::Info, &summary(&outcome.counts));
    }
    if let Some(kind) = failure_kind(built) {
        let text = match kind {
            ErrorKind::Interrupted => "Build was interrupted",
            _ => "Build did NOT complete successfully",
        };
        console.message(Severity::Error, text);
        return Err(CommandError::already_reported(kind));
    }
    let failed = built.outcome.iter().flat_map(|outcome| &outcome.tests);
    let failed = failed.filter(|test| test.status > TestStatus::Flaky).count();
    let text = match failed {
        0 => "Build completed successfully".to_owned(),
        _ => format!("Build completed, {} FAILED", count(failed, "test")),
    };
    console.message(Severity::Info, &text);
    Ok(())
}

/// How a build for this purpose ended, as build events tell it.
pub fn end(purpose: Purpose, result: &Result<Built, CommandError>) -> End {
    let built = match result {
        Ok(built) => built,
        Err(error) => return End { error: Some(error.kind), ..End::default() },
    };
    let tests = built.outcome.iter().flat_map(|outcome| &outcome.tests);
    let is_bad = tests.clone().any(|test| test.status > TestStatus::Flaky);
    let of_tests = match (purpose, tests.count()) {
        (Purpose::Test, 0) if built.outcome.is_some() => Some(ErrorKind::NoTests),
        (Purpose::Test, _) => is_bad.then_some(ErrorKind::TestsFailed),
        _ => None,
    };
    let outcome = built.outcome.as_ref();
    End {
        error: failure_kind(built).or(of_tests),
        targets: outcome.map(|outcome| outcome.targets.clone()).unwrap_or_default(),
        counts: outcome.map(|outcome| outcome.counts).unwrap_or_default(),
    }
}

/// Why the build failed, if it did. Says nothing of tests.
pub fn failure_kind(built: &Built) -> Option<ErrorKind> {
    let outcome = built.outcome.as_ref();
    if outcome.is_some_and(|outcome| outcome.interrupted) {
        return Some(ErrorKind::Interrupted);
    }
    if let Some(class) = built.worst {
        return Some(class.into());
    }
    let failed = outcome.is_some_and(|outcome| !outcome.is_built());
    failed.then(|| {
        let failures = outcome.map(|outcome| outcome.failures.as_slice()).unwrap_or_default();
        let of_machine = |cause: &FailureCause| matches!(cause, FailureCause::Machine(_));
        match failures.first() {
            Some(first) if of_machine(&first.cause) => ErrorKind::Environment,
            _ => ErrorKind::BuildFailed,
        }
    })
}

/// `12 actions: 5 up to date, 3 disk cache hits, 4 processes.`
fn summary(counts: &Counts) -> String {
    let Counts { up_to_date, cache_hits, processes, internal, failed } = *counts;
    let total = up_to_date + cache_hits + processes + internal + failed;
    let parts = [
        (up_to_date, format!("{up_to_date} up to date")),
        (cache_hits, count(cache_hits, "disk cache hit")),
        (processes, format!("{processes} process{}", if processes == 1 { "" } else { "es" })),
        (internal, format!("{internal} internal")),
        (failed, format!("{failed} failed")),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter(|(number, _)| *number > 0).map(|(_, text)| text).collect();
    let colon = if parts.is_empty() { "" } else { ": " };
    format!("{}{colon}{}.", count(total, "action"), parts.join(", "))
}

/// The one target of a plan that can be run, with its program.
pub fn only_program(plan: &Plan) -> Option<(&RequestedTarget, &Program)> {
    match &plan.requested[..] {
        [target] => Some((target, target.executable.as_ref()?)),
        _ => None,
    }
}

/// Whether the target at this place of the plan was built.
pub fn is_built(outcome: &BuildOutcome, index: usize) -> bool {
    outcome.targets.get(index).is_some_and(|target| target.status == TargetStatus::Built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_only_what_there_was() {
        let counts = Counts { up_to_date: 5, cache_hits: 1, processes: 2, internal: 0, failed: 0 };
        assert_eq!(summary(&counts), "8 actions: 5 up to date, 1 disk cache hit, 2 processes.");
        assert_eq!(summary(&Counts::default()), "0 actions.");
    }
}
