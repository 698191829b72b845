//! The report on tests: one line for each, and how many passed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use rbz_engine::event::{TestStatus, TestSummary};
use rbz_engine::label::Label;
use unicode_width::UnicodeWidthStr;

use crate::console::paint;
use crate::progress::count;
use crate::test_cases::CaseCounts;
use crate::test_request::TestSummaryStyle;

/// The column where statuses end.
const WIDTH: usize = 80;

fn word(status: TestStatus) -> &'static str {
    match status {
        TestStatus::Passed => "PASSED",
        TestStatus::Flaky => "FLAKY",
        TestStatus::Failed => "FAILED",
        TestStatus::Timeout => "TIMEOUT",
        TestStatus::FailedToBuild => "FAILED TO BUILD",
        TestStatus::NoStatus => "NO STATUS",
    }
}

fn style(status: TestStatus) -> Style {
    let color = match status {
        TestStatus::Passed => AnsiColor::Green,
        TestStatus::Flaky | TestStatus::NoStatus => AnsiColor::Magenta,
        TestStatus::Failed | TestStatus::Timeout | TestStatus::FailedToBuild => AnsiColor::Red,
    };
    color.on_default()
}

/// `0.3s`
pub fn seconds(duration: Duration) -> String {
    format!("{:.1}s", duration.as_secs_f64())
}

/// What is said as soon as a test failed.
pub fn failure_line(summary: &TestSummary, logs: &[PathBuf]) -> String {
    let what = match summary.status {
        TestStatus::Timeout => " (it took too long)",
        _ => "",
    };
    match logs.first() {
        Some(log) => format!("{}{what} (see {})", summary.label, log.display()),
        None => format!("{}{what}", summary.label),
    }
}

/// `, 12 cases`, or `, 2 of 12 cases` when so many failed; empty for a test that tells of none.
fn cases_text(cases: Option<&CaseCounts>) -> String {
    match cases {
        None => String::new(),
        Some(counts) if counts.failed > 0 => {
            format!(", {} of {}", counts.failed, count(counts.total(), "case"))
        }
        Some(counts) => format!(", {}", count(counts.total(), "case")),
    }
}

/// The line of one test, in words and a style for the second of them.
fn line(summary: &TestSummary, cases: Option<&CaseCounts>) -> (String, &'static str, String) {
    let label = summary.label.to_string();
    let status = word(summary.status);
    let cached = if summary.cached { "(cached) " } else { "" };
    let gap = WIDTH.saturating_sub(label.width() + cached.len() + status.len() + 1);
    let before = format!("{label}{} {cached}", " ".repeat(gap.max(1)));
    let (runs, bad) = summary.runs;
    let of_runs = if bad > 0 && runs > 1 && summary.status >= TestStatus::Failed {
        format!(" in {bad} out of {runs}")
    } else {
        String::new()
    };
    let time = match summary.status {
        TestStatus::FailedToBuild | TestStatus::NoStatus => String::new(),
        _ => format!("{of_runs} in {}{}", seconds(summary.duration), cases_text(cases)),
    };
    (before, status, time)
}

/// The lines about all tests; `cases` has how many cases were in each that tells of them.
pub fn table(
    tests: &[TestSummary],
    cases: &HashMap<Label, CaseCounts>,
    how: TestSummaryStyle,
    execution_root: &Path,
    color: bool,
) -> String {
    let mut sorted: Vec<&TestSummary> = tests.iter().collect();
    sorted.sort_by(|a, b| (a.status, &a.label).cmp(&(b.status, &b.label)));
    let mut text = String::new();
    for summary in sorted {
        let shown = match how {
            TestSummaryStyle::None => false,
            TestSummaryStyle::Terse => summary.status != TestStatus::Passed,
            TestSummaryStyle::Short | TestSummaryStyle::Detailed => true,
        };
        if !shown {
            continue;
        }
        let (before, status, after) = line(summary, cases.get(&summary.label));
        text += &format!("{before}{}{after}\n", paint(color, style(summary.status), status));
        let with_logs = match summary.status {
            TestStatus::Failed | TestStatus::Timeout | TestStatus::Flaky => true,
            _ => how == TestSummaryStyle::Detailed,
        };
        for log in summary.logs.iter().filter(|_| with_logs) {
            text += &format!("  {}\n", execution_root.join(log).display());
        }
    }
    text
}

/// `Executed 1 out of 2 tests: 1 test passes and 1 fails locally.`
pub fn totals(tests: &[TestSummary]) -> String {
    let number = |wanted: &[TestStatus]| {
        tests.iter().filter(|summary| wanted.contains(&summary.status)).count()
    };
    let executed = tests
        .iter()
        .filter(|summary| {
            !summary.cached
                && !matches!(summary.status, TestStatus::FailedToBuild | TestStatus::NoStatus)
        })
        .count();
    let parts = [
        (number(&[TestStatus::Passed, TestStatus::Flaky]), "passes", "pass"),
        (number(&[TestStatus::FailedToBuild]), "fails to build", "fail to build"),
        (number(&[TestStatus::Failed, TestStatus::Timeout]), "fails locally", "fail locally"),
        (number(&[TestStatus::NoStatus]), "was skipped", "were skipped"),
    ];
    let mut words: Vec<String> = Vec::new();
    for (number, one, many) in parts.into_iter().filter(|(number, ..)| *number > 0) {
        let noun = if words.is_empty() { &count(number, "test") } else { &number.to_string() };
        words.push(format!("{noun} {}", if number == 1 { one } else { many }));
    }
    let words = match words.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    };
    format!("Executed {executed} out of {}: {words}.", count(tests.len(), "test"))
}

/// `Test cases: 12 passed, 1 failed.`, all tests together; `None` if none tells of cases.
pub fn case_totals(cases: &HashMap<Label, CaseCounts>) -> Option<String> {
    let mut all = CaseCounts::default();
    cases.values().for_each(|counts| all += *counts);
    if cases.is_empty() {
        return None;
    }
    let parts = [(all.passed, "passed"), (all.failed, "failed"), (all.skipped, "skipped")];
    let parts = parts.iter().filter(|(number, word)| *number > 0 || *word == "passed");
    let parts: Vec<String> = parts.map(|(number, word)| format!("{number} {word}")).collect();
    Some(format!("Test cases: {}.", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbz_engine::label::{PackageId, RepoName};

    fn summary(name: &str, status: TestStatus, cached: bool, runs: (u32, u32)) -> TestSummary {
        TestSummary {
            label: PackageId::new(RepoName::main(), "pkg").label(name),
            status,
            cached,
            duration: Duration::from_millis(340),
            logs: vec![format!("rbz-out/k8-fastbuild/testlogs/pkg/{name}/test.log")],
            reports: Vec::new(),
            runs,
        }
    }

    fn all() -> Vec<TestSummary> {
        vec![
            summary("f", TestStatus::Failed, false, (1, 1)),
            summary("several", TestStatus::Failed, false, (5, 2)),
            summary("slow", TestStatus::Timeout, false, (1, 1)),
            summary("good", TestStatus::Passed, false, (1, 0)),
            summary("known", TestStatus::Passed, true, (1, 0)),
            summary("broken", TestStatus::FailedToBuild, false, (0, 0)),
            summary("left", TestStatus::NoStatus, false, (0, 0)),
        ]
    }

    fn show(how: TestSummaryStyle) -> String {
        let cases = HashMap::from([
            (all()[0].label.clone(), CaseCounts { passed: 3, failed: 2, skipped: 1 }),
            (all()[3].label.clone(), CaseCounts { passed: 1, ..CaseCounts::default() }),
        ]);
        let totals = case_totals(&cases);
        assert_eq!(totals.as_deref(), Some("Test cases: 4 passed, 2 failed, 1 skipped."));
        table(&all(), &cases, how, Path::new("/x"), false)
    }

    #[test]
    fn tests_are_listed_as_by_bazel() {
        insta::assert_snapshot!(show(TestSummaryStyle::Short), @r#"
        //pkg:good                                                                PASSED in 0.3s, 1 case
        //pkg:known                                                      (cached) PASSED in 0.3s
        //pkg:f                                                                   FAILED in 0.3s, 2 of 6 cases
          /x/rbz-out/k8-fastbuild/testlogs/pkg/f/test.log
        //pkg:several                                                             FAILED in 2 out of 5 in 0.3s
          /x/rbz-out/k8-fastbuild/testlogs/pkg/several/test.log
        //pkg:slow                                                               TIMEOUT in 0.3s
          /x/rbz-out/k8-fastbuild/testlogs/pkg/slow/test.log
        //pkg:broken                                                     FAILED TO BUILD
        //pkg:left                                                             NO STATUS
        "#);
    }

    #[test]
    fn a_terse_list_leaves_out_what_passed() {
        let terse = show(TestSummaryStyle::Terse);
        assert!(!terse.contains("PASSED") && terse.contains("//pkg:slow"), "{terse}");
        assert_eq!(show(TestSummaryStyle::None), "");
    }

    #[test]
    fn totals_are_a_sentence() {
        assert_eq!(
            totals(&all()),
            "Executed 4 out of 7 tests: 2 tests pass, 1 fails to build, 3 fail locally and 1 was \
             skipped."
        );
        assert_eq!(
            totals(&[summary("a", TestStatus::Passed, true, (1, 0))]),
            "Executed 0 out of 1 test: 1 test passes."
        );
    }
}
