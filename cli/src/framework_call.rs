//! Calls of test frameworks: what `lisp_test` says of the same tests, so that rbz knows each of them.

/// The tests that a call runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameworkCall {
    /// The framework, as `lisp_test` knows it.
    pub framework: &'static str,
    /// The suites; all if there are none.
    pub suites: Vec<String>,
}

/// Functions that run tests: the packages, the name, and the framework.
const RUNNERS: [(&[&str], &str, &str); 7] = [
    (&["fiveam", "5am", "it.bese.fiveam"], "run!", "fiveam"),
    (&["fiveam", "5am", "it.bese.fiveam"], "run", "fiveam"),
    (&["fiveam", "5am", "it.bese.fiveam"], "run-all-tests", "fiveam"),
    (&["rt", "rtest", "regression-test", "sb-rt"], "do-tests", "rt"),
    (&["fiasco"], "run-tests", "fiasco"),
    (&["fiasco"], "all-tests", "fiasco"),
    (&["lift"], "run-tests", "lift"),
];

/// What `expression` runs, if it is a call of a framework and nothing else: `(fiveam:run! :suite)`.
pub fn of_expression(expression: &str) -> Option<FrameworkCall> {
    let call = expression.strip_prefix('(')?.strip_suffix(')')?;
    let mut words = call.split_whitespace();
    let (package, name) = words.next()?.split_once(':')?;
    let name = name.trim_start_matches(':');
    let (.., framework) = RUNNERS
        .iter()
        .find(|(packages, runner, _)| packages.contains(&package) && *runner == name)?;
    let mut suites = Vec::new();
    for word in words {
        match word {
            // Options that say no more than what runs by itself.
            ":suite" if *framework == "lift" => {}
            _ => suites.push(suite(word)?),
        }
    }
    // More arguments than one are options.
    (suites.len() <= 1).then_some(FrameworkCall { framework, suites })
}

/// The name in `:name`, `'name` or `'package::name`.
fn suite(word: &str) -> Option<String> {
    let name = word.strip_prefix(['\'', ':'])?.trim_start_matches(':');
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-+./_%!<>=:".contains(c);
    (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_frameworks_are_known() {
        for (expression, framework, suites) in [
            ("(fiveam::run! :split-sequence)", "fiveam", &["split-sequence"][..]),
            ("(5am::run! 'my/tests::all)", "fiveam", &["my/tests::all"]),
            ("(it.bese.fiveam:run-all-tests)", "fiveam", &[]),
            ("(rt::do-tests)", "rt", &[]),
            ("(fiasco::run-tests 'x)", "fiasco", &["x"]),
            ("(lift::run-tests :suite 'x)", "lift", &["x"]),
        ] {
            let call = of_expression(expression).expect(expression);
            assert_eq!(call.framework, framework, "{expression}");
            assert_eq!(call.suites, suites, "{expression}");
        }
    }

    #[test]
    fn what_does_something_else_stays_an_expression() {
        for expression in [
            "(my-tests:run)",
            "(progn (fiveam:run! :a) t)",
            "(fiveam:run! (find-suite))",
            "(rt:do-tests :verbose nil)",
            "fiveam:run!",
        ] {
            assert_eq!(of_expression(expression), None, "{expression}");
        }
    }
}
