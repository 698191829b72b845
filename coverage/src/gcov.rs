//! C and C++: from what `gcov --json-format` says to lines and branches.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use crate::report::{Branch, BranchId, Counts, FileCoverage, Line, Report};

/// What gcov wrote cannot be read.
#[derive(Debug, Error)]
#[error("gcov wrote what is not of its own format: {0}")]
pub struct GcovError(#[from] serde_json::Error);

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    file: String,
    #[serde(default)]
    functions: Vec<Function>,
    #[serde(default)]
    lines: Vec<SourceLine>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    demangled_name: String,
    start_line: u32,
    execution_count: u64,
}

#[derive(Deserialize)]
struct SourceLine {
    line_number: u32,
    count: u64,
    #[serde(default)]
    branches: Vec<Way>,
}

#[derive(Deserialize)]
struct Way {
    count: u64,
    /// Taken only when something throws.
    #[serde(default)]
    throw: bool,
}

/// Reads what gcov wrote: one JSON object after the other, one for each object file. Only files for
/// which `is_wanted` holds are in the report.
pub fn parse(text: &str, is_wanted: impl Fn(&str) -> bool) -> Result<Report, GcovError> {
    let mut report = Report::default();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Document>() {
        for file in document?.files {
            let path = file.file.strip_prefix("./").unwrap_or(&file.file).to_owned();
            if is_wanted(&path) {
                let one = Report { files: [(path, coverage(&file))].into() };
                report.add(&one);
            }
        }
    }
    Ok(report)
}

fn coverage(file: &File) -> FileCoverage {
    let mut coverage = FileCoverage { counts: Counts::Executions, ..FileCoverage::default() };
    for function in &file.functions {
        let name = match function.demangled_name.as_str() {
            "" => &function.name,
            name => name,
        };
        let known = coverage.functions.entry((name.to_owned(), function.start_line)).or_default();
        *known += function.execution_count;
    }
    // A line of a template or a macro may be there for each of its uses.
    let mut decisions: BTreeMap<u32, u32> = BTreeMap::new();
    for line in &file.lines {
        let known = coverage.lines.entry(line.line_number).or_default();
        *known = Line { count: known.count.saturating_add(line.count), ..*known };
        let ways: Vec<&Way> = line.branches.iter().filter(|way| !way.throw).collect();
        if ways.len() < 2 {
            continue;
        }
        let decision = decisions.entry(line.line_number).or_default();
        // Of a line with several decisions gcov gives all ways in one row, two to a decision but for
        // those of a `switch`.
        let group = if ways.len().is_multiple_of(2) { 2 } else { ways.len() };
        for pair in ways.chunks(group) {
            let decided = pair.iter().any(|way| way.count > 0);
            for (way, index) in pair.iter().zip(0..) {
                let id = BranchId { line: line.line_number, decision: *decision, way: index };
                let taken = decided.then_some(way.count);
                coverage.branches.insert(id, Branch { taken, column: None });
            }
            *decision += 1;
        }
    }
    coverage
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"format_version":"1","gcc_version":"12","current_working_directory":"/x","data_file":"a","files":[
      {"file":"./p/a.c","functions":[{"name":"f","demangled_name":"f","start_line":1,"start_column":5,"end_line":4,"end_column":1,"blocks":4,"blocks_executed":3,"execution_count":3}],
       "lines":[{"line_number":1,"count":3,"unexecuted_block":false,"function_name":"f","branches":[]},
                {"line_number":2,"count":3,"unexecuted_block":true,"function_name":"f","branches":[{"count":3,"throw":false,"fallthrough":true},{"count":0,"throw":false,"fallthrough":false}]},
                {"line_number":3,"count":0,"unexecuted_block":true,"function_name":"f","branches":[]}]},
      {"file":"/usr/include/x.h","functions":[],"lines":[]}]}"#;

    #[test]
    fn objects_are_added_up_and_foreign_files_left_out() {
        let report = parse(&format!("{JSON}\n{JSON}\n"), |path| !path.starts_with('/')).unwrap();
        assert_eq!(report.files.keys().collect::<Vec<_>>(), ["p/a.c"]);
        let file = &report.files["p/a.c"];
        assert_eq!(file.lines.values().map(|line| line.count).collect::<Vec<_>>(), [6, 6, 0]);
        let taken: Vec<_> = file.branches.values().map(|branch| branch.taken).collect();
        assert_eq!(taken, [Some(6), Some(0)]);
        assert_eq!(file.functions[&("f".to_owned(), 1)], 6);
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        assert!(parse("gcov: cannot open", |_| true).is_err());
    }
}
