//! Redaction: what differs from run to run is replaced by a word before texts are compared.

use crate::workspace::Workspace;

/// Texts and the words that take their places.
#[derive(Clone)]
pub struct Redaction(Vec<(String, &'static str)>);

impl Redaction {
    pub(crate) fn of(workspace: &Workspace) -> Self {
        let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
        // Longer paths first: one may begin with another.
        Redaction(vec![
            (path(&workspace.output_user_root()), "[OUTPUT_USER_ROOT]"),
            (path(workspace.disk_cache()), "[DISK_CACHE]"),
            (path(workspace.root()), "[WORKSPACE]"),
            (path(workspace.home()), "[HOME]"),
            (path(workspace.base()), "[BASE]"),
        ])
    }

    /// `text` with everything replaced: paths, durations, long hexadecimal numbers.
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.0 {
            text = text.replace(from, to);
        }
        text.split_inclusive('\n').map(redact_words).collect()
    }
}

/// Replaces `12.3s`, `45 ms` and hexadecimal numbers of at least 16 digits.
fn redact_words(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let word_before = out.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let word: &str =
            &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())];
        if word_before || !first.is_ascii_alphanumeric() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else if word.len() >= 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            out.push_str("[HASH]");
            rest = &rest[word.len()..];
        } else if let Some(length) = duration(rest) {
            out.push_str("[TIME]");
            rest = &rest[length..];
        } else {
            out.push_str(word);
            rest = &rest[word.len()..];
        }
    }
    out
}

/// The length of the duration that `text` begins with: digits with at most one point, then `s`
/// or `ms` and the end of the word.
fn duration(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number = &text[..digits];
    if number.is_empty() || number.starts_with('.') || number.ends_with('.') {
        return None;
    }
    let unit = ["ms", "s"].into_iter().find(|unit| text[digits..].starts_with(unit))?;
    let length = digits + unit.len();
    let ends = text[length..].chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '_');
    ends.then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_hashes_go_and_the_rest_stays() {
        let apply = |text: &str| Redaction(vec![]).apply(text);
        assert_eq!(
            apply("PASSED in 12.3s (450ms)\n"),
            "PASSED in [TIME] (0ms)\n".replace("0ms", "[TIME]")
        );
        assert_eq!(apply("x/0123456789abcdef/y"), "x/[HASH]/y");
        for same in ["2 tests", "a.b:3:5s_x", "v1.2.3", "0.5 seconds", "deadbeef", "é3 ü"] {
            assert_eq!(apply(same), same);
        }
    }

    #[test]
    fn paths_become_words() {
        let redaction = Redaction(vec![("/t/w/x".into(), "[X]"), ("/t/w".into(), "[W]")]);
        assert_eq!(redaction.apply("/t/w/x/y /t/w/z"), "[X]/y [W]/z");
    }
}
