//! Test reports: what the runs of each test come to.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::action::ActionKind;
use crate::build::TargetGoals;
use crate::event::{Event, EventSink, TestStatus, TestSummary};
use crate::executor::{ActionStatus, Executor};
use crate::plan::{ActionId, Plan};

/// The reports of all requested tests of a build.
pub(crate) struct TestReports<'a> {
    plan: &'a Plan,
    /// For each requested target its runs.
    runs: Vec<Vec<ActionId>>,
    /// The requested target of each run.
    targets: HashMap<ActionId, usize>,
    /// For each requested target its summary, when all of its runs are done.
    summaries: Mutex<Vec<Option<TestSummary>>>,
}

impl<'a> TestReports<'a> {
    pub fn new(plan: &'a Plan, wanted: &[TargetGoals]) -> TestReports<'a> {
        let runs: Vec<Vec<ActionId>> = wanted.iter().map(|goals| goals.tests.clone()).collect();
        let targets = runs
            .iter()
            .enumerate()
            .flat_map(|(index, runs)| runs.iter().map(move |run| (*run, index)))
            .collect();
        let summaries = Mutex::new(vec![None; runs.len()]);
        TestReports { plan, runs, targets, summaries }
    }

    /// Takes note that an action is done. The summary of its test, if that is complete now and was
    /// not before.
    pub fn finished(&self, id: ActionId, executor: &Executor<'_>) -> Option<TestSummary> {
        let index = *self.targets.get(&id)?;
        let complete = self.runs[index].iter().all(|run| executor.status(*run).is_some());
        let mut summaries = self.summaries();
        if !complete || summaries[index].is_some() {
            return None;
        }
        let summary = self.summary(index, executor);
        summaries[index] = Some(summary.clone());
        Some(summary)
    }

    /// The summaries of all tests, in order; those of tests that did not come to an end are told
    /// to `events`.
    pub fn rest(&self, executor: &Executor<'_>, events: &dyn EventSink) -> Vec<TestSummary> {
        let mut all = Vec::new();
        for (index, runs) in self.runs.iter().enumerate() {
            if runs.is_empty() {
                continue;
            }
            let known = self.summaries()[index].clone();
            all.push(known.unwrap_or_else(|| {
                let summary = self.summary(index, executor);
                events.event(Event::TestFinished(summary.clone()));
                summary
            }));
        }
        all
    }

    fn summary(&self, index: usize, executor: &Executor<'_>) -> TestSummary {
        let mut status = TestStatus::Passed;
        let mut cached = true;
        let mut duration = Duration::ZERO;
        let mut failed = 0;
        let mut logs = Vec::new();
        let mut failed_logs = Vec::new();
        let mut reports = Vec::new();
        for run in &self.runs[index] {
            let log = || self.plan.action(*run).primary().to_owned();
            let run_status = match executor.status(*run) {
                Some(ActionStatus::Done(done)) => match &done.test {
                    Some(test) => {
                        cached &= test.cached;
                        duration += test.duration;
                        logs.push(log());
                        reports.extend(self.report(*run));
                        test.state.status()
                    }
                    None => TestStatus::NoStatus,
                },
                Some(ActionStatus::Failed) => TestStatus::FailedToBuild,
                None => TestStatus::NoStatus,
            };
            match run_status {
                TestStatus::Passed => {}
                TestStatus::Flaky => failed_logs.push(log()),
                TestStatus::Failed | TestStatus::Timeout => {
                    failed += 1;
                    failed_logs.push(log());
                }
                TestStatus::FailedToBuild | TestStatus::NoStatus => {
                    failed += 1;
                    cached = false;
                }
            }
            status = status.max(run_status);
        }
        TestSummary {
            label: self.plan.requested[index].label.clone(),
            status,
            cached,
            duration,
            logs: if failed_logs.is_empty() { logs } else { failed_logs },
            reports,
            // A test has no more runs than fit.
            runs: (self.runs[index].len() as u32, failed),
        }
    }

    /// The exec path of the `test.xml` of a run.
    fn report(&self, run: ActionId) -> Option<String> {
        let ActionKind::Spawn(spawn) = &self.plan.action(run).kind else { return None };
        Some(spawn.test.as_ref()?.xml.exec_path().to_owned())
    }

    fn summaries(&self) -> std::sync::MutexGuard<'_, Vec<Option<TestSummary>>> {
        // The list is whole even if a thread panicked while it held the lock.
        self.summaries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
