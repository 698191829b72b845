//! Requests for tests: how they are chosen, run and reported.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arguments::{TestOptions, When};
use crate::command_error::CommandError;
use crate::environment::Environment;
use crate::name_filter::NameFilter;
use crate::option_values::{positive, variables, wrong};
use crate::per_test::PerTest;

/// How tests are chosen, run and reported.
#[derive(Clone, Debug)]
pub struct TestRequest {
    /// Which output is shown.
    pub output: TestOutput,
    /// How results are listed.
    pub summary: TestSummaryStyle,
    /// What the program is to restrict itself to.
    pub filter: Option<String>,
    /// Arguments after the target's own.
    pub arguments: Vec<String>,
    /// Additions to the environment.
    pub environment: BTreeMap<String, String>,
    /// In place of what goes with short, moderate, long and eternal.
    pub timeouts: [Option<Duration>; 4],
    /// How often each test runs.
    pub runs: PerTest<u32>,
    /// How often a failing test is tried; `None`: as its `flaky` says.
    pub attempts: PerTest<Option<u32>>,
    /// Which known results are used again.
    pub cached_results: CachedResults,
    /// Which tests run, by their tags.
    pub tags: NameFilter,
    /// Which tests run, by their size.
    pub sizes: NameFilter,
    /// Which tests run, by their timeout.
    pub timeout_filter: NameFilter,
    /// Which tests run, by the language of their rule.
    pub languages: NameFilter,
    /// Whether only tests are built.
    pub tests_only: bool,
}

/// `--test_output`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestOutput {
    /// Where the log is.
    Summary,
    /// The log of what failed.
    Errors,
    /// Every log.
    All,
    /// Everything as it is written, one test at a time.
    Streamed,
}

/// `--test_summary`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestSummaryStyle {
    /// Every test that was run.
    Short,
    /// Only tests that did not pass.
    Terse,
    /// Every test, with each of its runs.
    Detailed,
    /// None.
    None,
}

/// `--cache_test_results`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachedResults {
    /// All of them.
    Use,
    /// None of them.
    RunAgain,
    /// All of them, unless a test is to run more than once.
    Auto,
}

impl TestRequest {
    /// Checks the options for tests.
    pub fn new(
        options: &TestOptions,
        environment: &Environment,
    ) -> Result<TestRequest, CommandError> {
        let runs = PerTest::parse(&options.runs_per_test, positive)
            .map_err(|(value, why)| wrong("runs_per_test", &value, &why))?;
        let attempts = PerTest::parse(&options.flaky_test_attempts, |text| match text {
            "default" => Ok(None),
            text => positive(text).map(Some),
        })
        .map_err(|(value, why)| wrong("flaky_test_attempts", &value, &why))?;
        let size_filter = NameFilter::new(&options.test_size_filters);
        check_names("test_size_filters", &size_filter, &["small", "medium", "large", "enormous"])?;
        let timeout_filter = NameFilter::new(&options.test_timeout_filters);
        check_names(
            "test_timeout_filters",
            &timeout_filter,
            &["short", "moderate", "long", "eternal"],
        )?;
        Ok(TestRequest {
            output: match options.test_output.as_str() {
                "errors" => TestOutput::Errors,
                "all" => TestOutput::All,
                "streamed" => TestOutput::Streamed,
                _ => TestOutput::Summary,
            },
            summary: match options.test_summary.as_str() {
                "terse" => TestSummaryStyle::Terse,
                "detailed" => TestSummaryStyle::Detailed,
                "none" => TestSummaryStyle::None,
                _ => TestSummaryStyle::Short,
            },
            filter: options.test_filter.clone().filter(|filter| !filter.is_empty()),
            arguments: options.test_arg.clone(),
            environment: variables("test_env", &options.test_env, environment)?,
            timeouts: timeouts(options.test_timeout.as_deref())?,
            runs,
            attempts,
            cached_results: match options.cache_test_results {
                When::Yes => CachedResults::Use,
                When::No => CachedResults::RunAgain,
                When::Auto => CachedResults::Auto,
            },
            tags: NameFilter::new(&options.test_tag_filters),
            sizes: size_filter,
            timeout_filter,
            languages: NameFilter::new(&options.test_lang_filters),
            tests_only: options.build_tests_only,
        })
    }
}

fn timeouts(text: Option<&str>) -> Result<[Option<Duration>; 4], CommandError> {
    let Some(text) = text else { return Ok([None; 4]) };
    let error = || wrong("test_timeout", text, "it must be one number of seconds, or four");
    let seconds = text
        .split(',')
        .map(|number| match number.trim().parse::<i64>() {
            // Bazel's way to say "the default".
            Ok(number) if number <= 0 => Ok(None),
            Ok(number) => Ok(Some(Duration::from_secs(number.unsigned_abs()))),
            Err(_) => Err(error()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    match seconds[..] {
        [one] => Ok([one; 4]),
        [short, moderate, long, eternal] => Ok([short, moderate, long, eternal]),
        _ => Err(error()),
    }
}

fn check_names(option: &str, filter: &NameFilter, known: &[&str]) -> Result<(), CommandError> {
    let given = filter.required.iter().chain(&filter.excluded);
    match given.into_iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            Err(wrong(option, name, &format!("it must be one of `{}`", known.join("`, `"))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_one_number_or_four() {
        let seconds = |number| Some(Duration::from_secs(number));
        assert_eq!(timeouts(Some("7")).expect("valid"), [seconds(7); 4]);
        assert_eq!(
            timeouts(Some("1,-1,3,4")).expect("valid"),
            [seconds(1), None, seconds(3), seconds(4)]
        );
        assert!(timeouts(Some("1,2")).is_err());
    }
}
