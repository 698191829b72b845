//! What of which source files ran: the data that every form of a report is made of.

use std::collections::BTreeMap;

/// What of which source files ran, by their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the paths.
    pub files: BTreeMap<String, FileCoverage>,
}

/// What the counts of a file are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counts {
    /// How often a line ran.
    #[default]
    Executions,
    /// In how many runs of tests it did.
    Runs,
}

/// What of a source file ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCoverage {
    /// What the counts are.
    pub counts: Counts,
    /// The lines with code.
    pub lines: BTreeMap<u32, Line>,
    /// The branches.
    pub branches: BTreeMap<BranchId, Branch>,
    /// The functions by their names, and by the lines where they begin: names may be the same.
    pub functions: BTreeMap<(String, u32), u64>,
    /// What never ran, the outermost forms of it.
    pub unreached: Vec<Span>,
    /// Why nothing is known of it, if that is so.
    pub uninstrumented: Option<String>,
}

/// A line with code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// See [`Counts`]; 1 if it ran only while the program was made.
    pub count: u64,
    /// Whether no test ran it, but the making of a program did.
    pub only_loaded: bool,
    /// Whether some of it never ran, though it did.
    pub partial: bool,
}

/// Which of the branches of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BranchId {
    /// The line of what decides.
    pub line: u32,
    /// Which decision on the line.
    pub decision: u32,
    /// Which way out of it.
    pub way: u32,
}

/// A branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// How often it was taken; `None`: nothing ever was decided there.
    pub taken: Option<u64>,
    /// The column of what decides, where that is known.
    pub column: Option<u32>,
}

/// A part of a text, from a line and column to before others; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Where it begins.
    pub start: (u32, u32),
    /// Where it is over.
    pub end: (u32, u32),
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineState {
    /// All of it ran, every way.
    Covered,
    /// Some of it ran, or it went only some of its ways.
    Half,
    /// It did not run.
    Uncovered,
}

/// How many there are of something, and how many of these ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Those that ran.
    pub hit: usize,
    /// All.
    pub found: usize,
}

impl Share {
    /// The share of those for which `is_hit` holds.
    pub fn of(items: impl IntoIterator<Item = bool>) -> Share {
        items.into_iter().fold(Share::default(), |share, is_hit| Share {
            hit: share.hit + usize::from(is_hit),
            found: share.found + 1,
        })
    }

    /// In percent; `None` of nothing.
    pub fn percent(self) -> Option<f64> {
        // Both are numbers of lines.
        (self.found > 0).then(|| 100.0 * self.hit as f64 / self.found as f64)
    }

    /// As it is shown: `87.5%`. What is not all is never shown as `100.0%`, nor what is not nothing
    /// as `0.0%`.
    pub fn text(self) -> String {
        match self.percent() {
            None => "–".to_owned(),
            Some(percent) if self.hit < self.found && percent >= 99.95 => "99.9%".to_owned(),
            Some(percent) if self.hit > 0 && percent < 0.05 => "0.1%".to_owned(),
            Some(percent) => format!("{percent:.1}%"),
        }
    }
}

impl std::ops::Add for Share {
    type Output = Share;

    fn add(self, other: Share) -> Share {
        Share { hit: self.hit + other.hit, found: self.found + other.found }
    }
}

/// The shares of a file, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Of lines.
    pub lines: Share,
    /// Of branches.
    pub branches: Share,
    /// Of functions.
    pub functions: Share,
}

impl std::ops::Add for Shares {
    type Output = Shares;

    fn add(self, other: Shares) -> Shares {
        Shares {
            lines: self.lines + other.lines,
            branches: self.branches + other.branches,
            functions: self.functions + other.functions,
        }
    }
}

impl FileCoverage {
    /// How much of it ran.
    pub fn shares(&self) -> Shares {
        Shares {
            lines: Share::of(self.lines.values().map(|line| line.count > 0)),
            branches: Share::of(self.branches.values().map(|b| b.taken.is_some_and(|n| n > 0))),
            functions: Share::of(self.functions.values().map(|count| *count > 0)),
        }
    }

    /// The branches of a line.
    pub fn branches_of(&self, line: u32) -> impl Iterator<Item = (&BranchId, &Branch)> {
        let id = |line| BranchId { line, decision: 0, way: 0 };
        self.branches.range(id(line)..id(line.saturating_add(1)))
    }

    /// What became of a line; `None` if it has no code.
    pub fn state(&self, number: u32) -> Option<LineState> {
        let line = self.lines.get(&number)?;
        let misses = |branch: &Branch| branch.taken == Some(0);
        Some(match line.count {
            0 => LineState::Uncovered,
            _ if line.partial => LineState::Half,
            _ if self.branches_of(number).any(|(_, branch)| misses(branch)) => LineState::Half,
            _ => LineState::Covered,
        })
    }

    /// Adds what ran elsewhere of the same file.
    pub fn add(&mut self, other: &FileCoverage) {
        for (number, line) in &other.lines {
            let known = self.lines.entry(*number).or_default();
            known.count = known.count.saturating_add(line.count);
            known.partial |= line.partial;
        }
        for (id, branch) in &other.branches {
            let known = self.branches.entry(*id).or_default();
            known.column = known.column.or(branch.column);
            known.taken = match (known.taken, branch.taken) {
                (Some(one), Some(two)) => Some(one.saturating_add(two)),
                (one, two) => one.or(two),
            };
        }
        for (name, count) in &other.functions {
            let known = self.functions.entry(name.clone()).or_default();
            *known = known.saturating_add(*count);
        }
        self.uninstrumented = self.uninstrumented.take().or(other.uninstrumented.clone());
    }
}

impl Report {
    /// Adds another report.
    pub fn add(&mut self, other: &Report) {
        for (path, file) in &other.files {
            match self.files.get_mut(path) {
                Some(known) => known.add(file),
                None => {
                    self.files.insert(path.clone(), file.clone());
                }
            }
        }
    }

    /// How much ran of all files.
    pub fn shares(&self) -> Shares {
        self.files.values().map(FileCoverage::shares).fold(Shares::default(), |a, b| a + b)
    }
}
