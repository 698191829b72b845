//! `--instrumentation_filter`: which targets coverage instruments.

use std::collections::BTreeSet;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::Label;
use regex_automata::meta::Regex;

/// Which labels are selected.
pub struct InstrumentationFilter {
    included: Vec<Regex>,
    excluded: Vec<Regex>,
}

impl InstrumentationFilter {
    /// Reads regular expressions separated by commas. One with `-` in front excludes.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let mut filter = InstrumentationFilter { included: Vec::new(), excluded: Vec::new() };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (list, pattern) = match part.strip_prefix('-') {
                Some(pattern) => (&mut filter.excluded, pattern),
                None => (&mut filter.included, part.strip_prefix('+').unwrap_or(part)),
            };
            list.push(Regex::new(pattern).map_err(|error| {
                Diagnostic::user(format!("`{pattern}` is no regular expression: {error}"))
                    .hint("see `--instrumentation_filter`")
            })?);
        }
        Ok(filter)
    }

    /// Whether it selects `label`: exclusions win, and if there are no others, all else is in.
    pub fn selects(&self, label: &Label) -> bool {
        let text = label.to_string();
        let matches = |list: &[Regex]| list.iter().any(|pattern| pattern.is_match(text.as_str()));
        !matches(&self.excluded) && (self.included.is_empty() || matches(&self.included))
    }
}

/// The filter that selects the packages of `tests`, and those below them, as Bazel computes it;
/// `None` without tests.
pub fn of_tests<'a>(tests: impl IntoIterator<Item = &'a Label>) -> Option<String> {
    // Pairs of what stands before `//`, and a path.
    let packages: BTreeSet<(String, String)> = tests
        .into_iter()
        .map(|test| {
            let text = test.to_string();
            let (repository, rest) = text.split_once("//").unwrap_or(("", &text));
            let path = rest.split(':').next().unwrap_or_default();
            let of_tests = ["/tests", "/internal", "/public"];
            let shorter = of_tests.iter().find_map(|suffix| path.strip_suffix(suffix));
            (repository.to_owned(), shorter.unwrap_or(path).to_owned())
        })
        .collect();
    let is_below = |repository: &str, path: &str| {
        packages.iter().filter(|(other, _)| other == repository).any(|(_, other)| {
            path.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let outermost: Vec<&(String, String)> =
        packages.iter().filter(|(repository, path)| !is_below(repository, path)).collect();
    let part = |(repository, path): &(String, String)| {
        let start = format!("^{}//", regex_escaped(repository));
        match path.as_str() {
            // Where that is all there is, what is below the root belongs to it, as in Bazel.
            "" if outermost.iter().filter(|(other, _)| other == repository).count() == 1 => start,
            path => format!("{start}{}[/:]", regex_escaped(path)),
        }
    };
    let parts: Vec<String> = outermost.iter().map(|package| part(package)).collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

/// A path in which every character stands for itself; a comma cannot.
fn regex_escaped(path: &str) -> String {
    let mut text = String::new();
    for c in path.chars() {
        match c {
            ',' => text.push('.'),
            '.' | '+' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' | '|' | '*' | '?' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rbz_engine::label::{PackageId, RepoName};

    use super::*;

    #[test]
    fn the_default_is_the_packages_of_the_tests() {
        let of = |paths: &[&str]| {
            let label = |path: &&str| PackageId::new(RepoName::main(), path).label("t");
            let labels: Vec<Label> = paths.iter().map(label).collect();
            of_tests(&labels)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[""]).as_deref(), Some("^//"));
        assert_eq!(of(&["a/tests", "a/b", "c++"]).as_deref(), Some("^//a[/:],^//c\\+\\+[/:]"));
        let external = PackageId::new(RepoName::new("r.x"), "").label("t");
        assert_eq!(of_tests([&external]).as_deref(), Some("^@r\\.x//"));
        assert_eq!(of(&["", "a"]).as_deref(), Some("^//[/:],^//a[/:]"));
    }

    #[test]
    fn exclusions_win_and_stand_alone() {
        let label = PackageId::new(RepoName::main(), "a/b").label("c");
        for (filter, selected) in [
            ("//a[/:]", true),
            ("//b[/:]", false),
            ("//a,-//a/b", false),
            ("-//x", true),
            ("", true),
        ] {
            assert_eq!(
                InstrumentationFilter::parse(filter).unwrap().selects(&label),
                selected,
                "{filter}"
            );
        }
    }
}
