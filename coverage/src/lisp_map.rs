//! Maps of marks: where in Lisp sources stands what notes that it ran, as compilations write it.
//!
//! The form of the file is described where it is written, in `coverage-map.lisp`.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::report::Span;

/// The number of a mark in its file.
pub type Mark = u32;

/// Where the marks of one compiled file stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LispMap {
    /// What programs call the file.
    pub key: String,
    /// How many marks it has.
    pub marks: u32,
    /// The sources that it was compiled of.
    pub sources: Vec<LispSource>,
}

/// Where marks stand in a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LispSource {
    /// Its path.
    pub path: String,
    /// The form of each mark.
    pub units: Vec<(Mark, Span)>,
    /// The marks that decide whether a line ran.
    pub lines: BTreeMap<u32, Vec<Mark>>,
    /// The decisions.
    pub decisions: Vec<Decision>,
    /// The functions: where they are, and their names.
    pub functions: Vec<(Span, String)>,
    /// Why it has no marks, if it has none.
    pub uninstrumented: Option<String>,
}

/// A form whose value decides how it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Line and column where it begins.
    pub place: (u32, u32),
    /// Marks that it went on as after true, and as after false.
    pub ways: [Option<Mark>; 2],
}

/// Why a text is no map.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line} of a map of marks is wrong: `{text}`")]
pub struct MapError {
    /// The line.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

impl LispMap {
    /// Reads a map.
    pub fn parse(text: &str) -> Result<LispMap, MapError> {
        let mut map = LispMap::default();
        for (index, row) in text.lines().enumerate() {
            let understood = map.take(row);
            understood.ok_or_else(|| MapError { line: index + 1, text: row.to_owned() })?;
        }
        Ok(map)
    }

    fn take(&mut self, row: &str) -> Option<()> {
        let (kind, rest) = row.split_once(' ').unwrap_or((row, ""));
        match kind {
            "key" => self.key = rest.to_owned(),
            "marks" => self.marks = rest.parse().ok()?,
            "source" => {
                self.sources.push(LispSource { path: rest.to_owned(), ..LispSource::default() });
            }
            _ => self.sources.last_mut()?.take(kind, rest)?,
        }
        Some(())
    }
}

impl LispSource {
    fn take(&mut self, kind: &str, rest: &str) -> Option<()> {
        let mut words = rest.splitn(if kind == "function" { 5 } else { usize::MAX }, ' ');
        let mut number = || words.next()?.parse::<u32>().ok();
        match kind {
            "unit" => {
                let mark = number()?;
                let span = Span { start: (number()?, number()?), end: (number()?, number()?) };
                self.units.push((mark, span));
            }
            "line" => {
                let line = number()?;
                let marks = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
                self.lines.insert(line, marks);
            }
            "branch" => {
                let place = (number()?, number()?);
                let mut way = || match words.next()? {
                    "-" => Some(None),
                    word => word.parse().ok().map(Some),
                };
                self.decisions.push(Decision { place, ways: [way()?, way()?] });
            }
            "function" => {
                let span = Span { start: (number()?, number()?), end: (number()?, number()?) };
                self.functions.push((span, words.next()?.to_owned()));
            }
            "uninstrumented" => self.uninstrumented = Some(rest.to_owned()),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_names_the_marks_of_its_sources() {
        let text = "key a b.lisp\nmarks 4\nsource a b.lisp\nunit 0 1 1 2 5\nline 1 0 3\nbranch 2 7 1 -\nfunction 1 1 2 5 (setf a b)\nsource c.lisp\nuninstrumented it is so\n";
        let map = LispMap::parse(text).unwrap();
        let source = &map.sources[0];
        assert_eq!(
            (map.key.as_str(), map.marks, source.path.as_str()),
            ("a b.lisp", 4, "a b.lisp")
        );
        assert_eq!(source.units, [(0, Span { start: (1, 1), end: (2, 5) })]);
        assert_eq!(source.lines[&1], [0, 3]);
        assert_eq!(source.decisions, [Decision { place: (2, 7), ways: [Some(1), None] }]);
        assert_eq!(source.functions[0].1, "(setf a b)");
        assert_eq!(map.sources[1].uninstrumented.as_deref(), Some("it is so"));
    }

    #[test]
    fn what_is_no_map_is_said() {
        let error = LispMap::parse("key a\nunit 1\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2 of a map of marks is wrong: `unit 1`");
        assert!(LispMap::parse("source a\nunit 1 2\n").is_err());
    }
}
