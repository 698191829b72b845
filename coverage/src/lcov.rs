//! LCOV's format: reading it, as programs of others write it, and writing it.

use std::fmt::Write as _;

use thiserror::Error;

use crate::report::{Branch, BranchId, FileCoverage, Line, Report};

/// Why a text is no report in LCOV's format.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line} is not of LCOV's format: `{text}`")]
pub struct LcovError {
    /// The line.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

/// Reads a report. What it says of a file more than once is added up.
pub fn parse(text: &str) -> Result<Report, LcovError> {
    let mut report = Report::default();
    let mut path: Option<String> = None;
    let mut file = FileCoverage::default();
    let mut functions: Vec<(u32, String)> = Vec::new();
    for (index, row) in text.lines().enumerate() {
        let row = row.trim_end();
        let wrong = || LcovError { line: index + 1, text: row.to_owned() };
        if row == "end_of_record" {
            let path = path.take().ok_or_else(wrong)?;
            let one = Report { files: [(path, std::mem::take(&mut file))].into() };
            report.add(&one);
            functions.clear();
            continue;
        }
        let Some((key, value)) = row.split_once(':') else {
            match row.is_empty() || row.starts_with('#') {
                true => continue,
                false => return Err(wrong()),
            }
        };
        match key {
            "SF" => path = Some(value.to_owned()),
            "DA" => {
                let mut parts = value.split(',');
                let number = number(parts.next()).ok_or_else(wrong)?;
                let count = count(parts.next()).ok_or_else(wrong)?;
                let line = file.lines.entry(number).or_default();
                *line = Line { count: line.count.saturating_add(count), ..*line };
            }
            "BRDA" => {
                let parts: Vec<&str> = value.splitn(4, ',').collect();
                let [line, decision, way, taken] = parts[..] else { return Err(wrong()) };
                let id = BranchId {
                    line: number(Some(line)).ok_or_else(wrong)?,
                    // `e0` is a decision about an exception.
                    decision: number(Some(decision.trim_start_matches('e'))).ok_or_else(wrong)?,
                    // Some write an expression.
                    way: number(Some(way)).unwrap_or_else(|| next_way(&file, line, decision)),
                };
                let taken = match taken {
                    "-" => None,
                    taken => Some(count(Some(taken)).ok_or_else(wrong)?),
                };
                let branch = FileCoverage {
                    branches: [(id, Branch { taken, column: None })].into(),
                    ..FileCoverage::default()
                };
                file.add(&branch);
            }
            "FN" => {
                // A later version has the last line, too.
                let (line, rest) = value.split_once(',').ok_or_else(wrong)?;
                let name = match rest.split_once(',') {
                    Some((end, name)) if end.parse::<u32>().is_ok() => name,
                    _ => rest,
                };
                let line = number(Some(line)).ok_or_else(wrong)?;
                functions.push((line, name.to_owned()));
                file.functions.entry((name.to_owned(), line)).or_default();
            }
            "FNDA" => {
                let (times, name) = value.split_once(',').ok_or_else(wrong)?;
                let times = count(Some(times)).ok_or_else(wrong)?;
                let known = functions.iter().find(|(_, known)| known == name);
                if let Some((line, name)) = known {
                    *file.functions.entry((name.clone(), *line)).or_default() += times;
                }
            }
            // Test names, totals, and what later versions add.
            _ => {}
        }
    }
    Ok(report)
}

fn number(text: Option<&str>) -> Option<u32> {
    text?.trim().parse().ok()
}

/// A count; some tools write numbers that do not fit, negative ones, or with a fraction.
fn count(text: Option<&str>) -> Option<u64> {
    let text = text?.trim();
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        // Saturates.
        Some(number as u64)
    })
}

fn next_way(file: &FileCoverage, line: &str, decision: &str) -> u32 {
    let decision = decision.trim_start_matches('e');
    let (line, decision) = (number(Some(line)), number(Some(decision)));
    let same =
        file.branches.keys().filter(|id| Some(id.line) == line && Some(id.decision) == decision);
    same.map(|id| id.way + 1).max().unwrap_or(0)
}

/// Writes a report.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    for (path, file) in &report.files {
        if !file.lines.is_empty() {
            write_file(path, file, &mut text);
        }
    }
    text
}

fn write_file(path: &str, file: &FileCoverage, text: &mut String) {
    let shares = file.shares();
    let mut row = |key: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key}:{value}");
    };
    row("TN", String::new());
    row("SF", path.to_owned());
    let names: Vec<(String, u32, u64)> = file
        .functions
        .iter()
        .map(|((name, line), count)| {
            let same = file.functions.keys().filter(|(other, _)| other == name).count();
            // A name stands for one function.
            let name = if same > 1 { format!("{name} (line {line})") } else { name.clone() };
            (name, *line, *count)
        })
        .collect();
    for (name, line, _) in &names {
        row("FN", format!("{line},{name}"));
    }
    for (name, _, count) in &names {
        row("FNDA", format!("{count},{name}"));
    }
    if !names.is_empty() {
        row("FNF", shares.functions.found.to_string());
        row("FNH", shares.functions.hit.to_string());
    }
    for (id, branch) in &file.branches {
        let taken = branch.taken.map_or_else(|| "-".to_owned(), |taken| taken.to_string());
        row("BRDA", format!("{},{},{},{taken}", id.line, id.decision, id.way));
    }
    if !file.branches.is_empty() {
        row("BRF", shares.branches.found.to_string());
        row("BRH", shares.branches.hit.to_string());
    }
    for (number, line) in &file.lines {
        row("DA", format!("{number},{}", line.count));
    }
    row("LF", shares.lines.found.to_string());
    row("LH", shares.lines.hit.to_string());
    text.push_str("end_of_record\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "TN:\nSF:a/b.c\nFN:1,f\nFNDA:2,f\nFNF:1\nFNH:1\nBRDA:2,0,0,2\nBRDA:2,0,1,-\nBRF:2\nBRH:1\nDA:1,2\nDA:3,0\nLF:2\nLH:1\nend_of_record\n";

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(text(&parse(ONE).unwrap()), ONE);
    }

    #[test]
    fn records_of_one_file_are_added_up() {
        let two = "SF:a/b.c\nDA:1,3,checksum\nDA:3,1\nBRDA:2,0,1,1\nend_of_record\n";
        let report = parse(&format!("{ONE}{two}")).unwrap();
        let file = &report.files["a/b.c"];
        assert_eq!(file.lines.values().map(|line| line.count).collect::<Vec<_>>(), [5, 1]);
        let taken: Vec<_> = file.branches.values().map(|branch| branch.taken).collect();
        assert_eq!(taken, [Some(2), Some(1)]);
    }

    #[test]
    fn what_later_versions_write_is_understood() {
        let text = "# comment\nTN:x\nSF:f\nVER:1\nFN:1,9,f(int, int)\nFNDA:1,f(int, int)\nBRDA:1,e0,a == b,1\nBRDA:1,e0,a != b,0\nDA:1,1e3\nend_of_record\n";
        let report = parse(text).unwrap();
        let file = &report.files["f"];
        assert_eq!(file.functions[&("f(int, int)".to_owned(), 1)], 1);
        assert_eq!((file.branches.len(), file.lines[&1].count), (2, 1000));
    }

    #[test]
    fn what_is_not_of_the_format_is_named() {
        let error = parse("SF:f\nDA:x,1\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2 is not of LCOV's format: `DA:x,1`");
        assert!(parse("hello\n").is_err() && parse("end_of_record\n").is_err());
    }

    #[test]
    fn functions_of_one_name_stay_two() {
        let mut file = FileCoverage::default();
        file.lines.insert(1, Line::default());
        file.functions.insert(("m".to_owned(), 1), 1);
        file.functions.insert(("m".to_owned(), 5), 0);
        let written = text(&Report { files: [("f".to_owned(), file)].into() });
        assert!(written.contains("FNDA:1,m (line 1)\nFNDA:0,m (line 5)\n"), "{written}");
    }
}
