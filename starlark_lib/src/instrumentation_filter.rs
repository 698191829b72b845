//! `--instrumentation_filter`: which targets coverage instruments.

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::Label;
use regex_automata::meta::Regex;

/// Whether `filter`, regular expressions separated by commas, selects `label`. An expression with
/// `-` in front excludes; exclusions win.
pub fn matches(filter: &str, label: &Label) -> Result<bool, Diagnostic> {
    let text = label.to_string();
    let (mut included, mut any_inclusion) = (false, false);
    for part in filter.split(',').filter(|part| !part.is_empty()) {
        let (exclude, pattern) = match part.strip_prefix('-') {
            Some(pattern) => (true, pattern),
            None => (false, part.strip_prefix('+').unwrap_or(part)),
        };
        let pattern = Regex::new(pattern).map_err(|error| {
            Diagnostic::user(format!("`{pattern}` is no regular expression: {error}"))
                .hint("see `--instrumentation_filter`")
        })?;
        let found = pattern.is_match(text.as_str());
        if exclude && found {
            return Ok(false);
        }
        if !exclude {
            any_inclusion = true;
            included |= found;
        }
    }
    // Only exclusions: everything else is in.
    Ok(included || !any_inclusion)
}

#[cfg(test)]
mod tests {
    use rbz_engine::label::{PackageId, RepoName};

    use super::*;

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
            assert_eq!(matches(filter, &label).unwrap(), selected, "{filter}");
        }
    }
}
