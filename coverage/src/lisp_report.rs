//! Lisp code: from marks, and the map of where they stand, to lines and branches.
//!
//! A mark only says that a form ran, not how often. What is counted is in how many runs of tests it
//! did.

use std::collections::BTreeMap;

use crate::lisp_map::{LispMap, LispSource, Mark};
use crate::lisp_marks::{FileMarks, RunMarks};
use crate::report::{Branch, BranchId, Counts, FileCoverage, Line, Report, Span};

/// What runs of tests ran of the sources of `map`.
pub fn report(map: &LispMap, runs: &[RunMarks]) -> Report {
    let runs: Vec<&FileMarks> = runs.iter().filter_map(|run| run.files.get(&map.key)).collect();
    let files = map.sources.iter().map(|source| (source.path.clone(), file(source, &runs)));
    Report { files: files.collect() }
}

/// The marks of one file in several runs.
struct Marks<'a>(&'a [&'a FileMarks]);

impl Marks<'_> {
    /// Whether code that could run has the mark. Where no program has the file, all could.
    fn is_code(&self, mark: Mark) -> bool {
        self.0.is_empty() || self.0.iter().any(|run| !run.absent.has(mark))
    }

    fn is_loaded(&self, mark: Mark) -> bool {
        self.0.iter().any(|run| run.load.has(mark))
    }

    fn is_reached(&self, mark: Mark) -> bool {
        self.0.iter().any(|run| run.hit.has(mark) || run.load.has(mark))
    }

    /// In how many runs one of `marks` was set.
    fn count(&self, marks: &[Mark]) -> u64 {
        let is_hit = |run: &&&FileMarks| marks.iter().any(|mark| run.hit.has(*mark));
        self.0.iter().filter(is_hit).count() as u64
    }
}

fn file(source: &LispSource, runs: &[&FileMarks]) -> FileCoverage {
    let marks = Marks(runs);
    let mut file = FileCoverage {
        counts: Counts::Runs,
        uninstrumented: source.uninstrumented.clone(),
        ..FileCoverage::default()
    };
    for (number, deciding) in &source.lines {
        let deciding: Vec<Mark> =
            deciding.iter().copied().filter(|mark| marks.is_code(*mark)).collect();
        if deciding.is_empty() {
            continue;
        }
        let count = marks.count(&deciding);
        // A definition is loaded; that says nothing of code that stands on the same line.
        let only_loaded = count == 0 && deciding.iter().all(|mark| marks.is_loaded(*mark));
        let partial = !deciding.iter().all(|mark| marks.is_reached(*mark));
        let count = if only_loaded { 1 } else { count };
        file.lines.insert(*number, Line { count, only_loaded, partial: partial && count > 0 });
    }
    add_branches(source, &marks, &mut file);
    for (span, name) in &source.functions {
        let body: Vec<Mark> = source
            .units
            .iter()
            .filter(|(mark, unit)| {
                unit.start > span.start && unit.end < span.end && marks.is_code(*mark)
            })
            .map(|(mark, _)| *mark)
            .collect();
        if !body.is_empty() {
            file.functions.insert((name.clone(), span.start.0), marks.count(&body));
        }
    }
    file.unreached = outermost(
        source
            .units
            .iter()
            .filter(|(mark, _)| marks.is_code(*mark) && !marks.is_reached(*mark))
            .map(|(_, unit)| *unit)
            .collect(),
    );
    file
}

fn add_branches(source: &LispSource, marks: &Marks, file: &mut FileCoverage) {
    let mut decisions: BTreeMap<u32, u32> = BTreeMap::new();
    let mut sorted = source.decisions.clone();
    sorted.sort_by_key(|decision| decision.place);
    for decision in sorted {
        let (line, column) = decision.place;
        let number = decisions.entry(line).or_default();
        let ways = decision.ways.map(|way| way.filter(|mark| marks.is_code(*mark)));
        // What can go only one way decides nothing.
        let [Some(first), Some(second)] = ways else { continue };
        let was_decided = marks.is_reached(first) || marks.is_reached(second);
        for (way, mark) in [(0, first), (1, second)] {
            let count = marks.count(&[mark]);
            let count = if count == 0 && marks.is_loaded(mark) { 1 } else { count };
            let id = BranchId { line, decision: *number, way };
            let taken = was_decided.then_some(count);
            file.branches.insert(id, Branch { taken, column: Some(column) });
        }
        *number += 1;
    }
}

/// Those that lie in no other.
fn outermost(mut spans: Vec<Span>) -> Vec<Span> {
    // Of those that begin at one place the longest comes first.
    spans.sort_by(|a, b| a.start.cmp(&b.start).then(b.end.cmp(&a.end)));
    let mut kept: Vec<Span> = Vec::new();
    for span in spans {
        if kept.last().is_none_or(|last| span.start >= last.end) {
            kept.push(span);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::LineState;

    /// ```lisp
    /// (defun f (x)
    ///   (if (plusp x) (g)
    ///       (h)))
    /// (defun i () (j))
    /// ```
    const MAP: &str = "key k\nmarks 8\nsource k\nunit 0 1 1 3 12\nunit 1 2 3 3 11\nunit 2 2 7 2 16\nunit 4 2 17 2 20\nunit 6 3 7 3 10\nunit 7 4 1 4 16\nunit 8 4 12 4 15\nline 1 0\nline 2 1 2 4\nline 3 6\nline 4 7 8\nbranch 2 7 3 5\nfunction 1 1 3 12 f\nfunction 4 1 4 16 i\n";

    fn of(hits: &[&str], absent: &str) -> FileCoverage {
        let map = LispMap::parse(MAP).unwrap();
        let runs: Vec<RunMarks> = hits
            .iter()
            .map(|hit| {
                let text = format!("program p\nkey k 9\nload 0 7\nabsent{absent}\nhit{hit}\nend\n");
                RunMarks::parse(&text).unwrap()
            })
            .collect();
        report(&map, &runs).files["k"].clone()
    }

    fn counts(file: &FileCoverage) -> Vec<u64> {
        file.lines.values().map(|line| line.count).collect()
    }

    #[test]
    fn a_line_counts_the_runs_that_ran_any_of_it() {
        let file = of(&[" 1-4", " 1-2 5-6"], "");
        assert_eq!(counts(&file), [1, 2, 1, 0]);
        assert!(file.lines[&1].only_loaded && !file.lines[&2].only_loaded);
        let taken: Vec<_> = file.branches.values().map(|branch| branch.taken).collect();
        assert_eq!(taken, [Some(1), Some(1)]);
        let states: Vec<_> = (1..6).map(|line| file.state(line)).collect();
        use LineState::{Covered, Uncovered};
        assert_eq!(states, [Some(Covered), Some(Covered), Some(Covered), Some(Uncovered), None]);
        assert_eq!(file.functions.values().copied().collect::<Vec<_>>(), [2, 0]);
    }

    #[test]
    fn a_way_that_was_not_taken_halves_the_line() {
        let file = of(&[" 1-4"], "");
        assert_eq!(counts(&file), [1, 1, 0, 0]);
        assert_eq!(file.state(2), Some(LineState::Half));
        let unreached: Vec<_> = file.unreached.iter().map(|span| span.start).collect();
        assert_eq!(unreached, [(3, 7), (4, 12)]);
    }

    #[test]
    fn code_that_cannot_run_is_not_counted() {
        let file = of(&[" 1-4"], " 5-6");
        assert_eq!(counts(&file), [1, 1, 0]);
        assert!(file.branches.is_empty() && !file.lines.contains_key(&3));
    }

    #[test]
    fn what_no_program_has_did_not_run() {
        let file = of(&[], "");
        assert_eq!(counts(&file), [0, 0, 0, 0]);
        assert!(file.branches.values().all(|branch| branch.taken.is_none()));
    }
}
