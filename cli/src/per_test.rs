//! Numbers for tests: `3` for all of them, `REGEX@3` for some.

use rbz_engine::label::Label;
use regex_automata::meta::Regex;

/// What an option says of each test. What comes later wins.
#[derive(Clone, Debug)]
pub struct PerTest<T> {
    rules: Vec<(Option<Filter>, T)>,
}

/// Regular expressions for labels, and such that take labels away again.
#[derive(Clone, Debug)]
struct Filter {
    with: Vec<Regex>,
    without: Vec<Regex>,
}

impl<T: Copy> PerTest<T> {
    /// Reads the values of an option; `read` takes what is after the `@`. The error is the value
    /// that is wrong, and why.
    pub fn parse(
        texts: &[String],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<PerTest<T>, (String, String)> {
        let rule = |text: &String| {
            let (filter, value) = match text.rsplit_once('@') {
                Some((filter, value)) => (Some(Filter::new(filter)?), value),
                None => (None, &**text),
            };
            Ok((filter, read(value)?))
        };
        let rules = texts.iter().map(|text| rule(text).map_err(|why| (text.clone(), why)));
        Ok(PerTest { rules: rules.collect::<Result<_, _>>()? })
    }

    /// What holds for this test, if anything was said of it.
    pub fn of(&self, test: &Label) -> Option<T> {
        let test = test.to_string();
        let holds = |filter: &Option<Filter>| filter.as_ref().is_none_or(|f| f.accepts(&test));
        self.rules.iter().rev().find(|(filter, _)| holds(filter)).map(|(_, value)| *value)
    }
}

impl Filter {
    /// `//a/.*,-//a/b` and the like.
    fn new(text: &str) -> Result<Filter, String> {
        let mut filter = Filter { with: Vec::new(), without: Vec::new() };
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let (list, pattern) = match word.strip_prefix('-') {
                Some(pattern) => (&mut filter.without, pattern),
                None => (&mut filter.with, word.strip_prefix('+').unwrap_or(word)),
            };
            let regex = Regex::new(pattern);
            list.push(regex.map_err(|_| format!("`{pattern}` is no regular expression"))?);
        }
        Ok(filter)
    }

    fn accepts(&self, label: &str) -> bool {
        let any = |list: &[Regex]| list.iter().any(|regex| regex.is_match(label));
        (self.with.is_empty() || any(&self.with)) && !any(&self.without)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbz_engine::label::{PackageId, RepoName};

    fn number(text: &str) -> Result<u32, String> {
        text.parse().map_err(|_| "no number".to_owned())
    }

    #[test]
    fn the_last_value_that_speaks_of_a_test_holds() {
        let texts = ["2", "//a/.*,-//a/b@5", "slow$@7"].map(str::to_owned);
        let runs = PerTest::parse(&texts, number).expect("valid");
        let of = |package: &str, name: &str| {
            runs.of(&PackageId::new(RepoName::main(), package).label(name))
        };
        assert_eq!(of("c", "t"), Some(2));
        assert_eq!(of("a/c", "t"), Some(5));
        assert_eq!(of("a/b", "t"), Some(2));
        assert_eq!(of("a/c", "slow"), Some(7));
        let none = PerTest::parse(&[], number).expect("valid");
        assert_eq!(none.of(&PackageId::new(RepoName::main(), "").label("t")), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text: &str| PerTest::parse(&[text.to_owned()], number).expect_err("wrong");
        assert_eq!(wrong("x"), ("x".into(), "no number".into()));
        assert_eq!(wrong("(@3"), ("(@3".into(), "`(` is no regular expression".into()));
    }
}
