//! The page of a source: its text, and what of it ran.

use super::markup::{escaped, page, totals};
use crate::report::{Counts, FileCoverage, LineState};

const SCRIPT: &str = include_str!("source.js");

/// The page of the file at `path` with `text`, if that is there.
pub fn html(path: &str, file: &FileCoverage, text: Option<&str>) -> String {
    let up = "../".repeat(path.trim_start_matches('/').matches('/').count() + 1);
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut body = format!(
        "<header>\n<p class=\"way\"><a href=\"{up}index.html\">Coverage</a>{}</p>\n<h1>{}</h1>\n",
        if directory.is_empty() { String::new() } else { format!(" / {}", escaped(directory)) },
        escaped(name)
    );
    body += &totals(file.shares());
    body += "</header>\n<main>\n";
    if let Some(why) = &file.uninstrumented {
        body += &format!(
            "<ul class=\"notes\"><li>It could not be instrumented, so nothing is known of it: {}</li></ul>\n",
            escaped(why)
        );
    }
    let counts = match file.counts {
        Counts::Executions => "How often a line ran stands before it.",
        Counts::Runs => "In how many test runs a line ran stands before it.",
    };
    body += "<div class=\"tools\"><button type=\"button\" id=\"previous\">Previous <kbd>k</kbd></button>\
             <button type=\"button\" id=\"next\">Next uncovered <kbd>j</kbd></button>\
             <output id=\"where\" aria-live=\"polite\"></output><span class=\"legend\">\
             <span class=\"covered\">ran</span> <span class=\"half\">in part</span> \
             <span class=\"uncovered\">did not run</span> <span class=\"loaded\">only when loaded</span>\
             </span></div>\n";
    body += &format!("<p class=\"help\">{counts} <kbd>u</kbd> goes back to all files.</p>\n");
    match text {
        None => body += "<p class=\"notes\">The text of this file is not there.</p>\n",
        Some(text) => body += &table(file, text),
    }
    body += "</main>\n";
    page(&format!("{path} – Coverage"), SCRIPT, &body)
}

fn table(file: &FileCoverage, text: &str) -> String {
    let mut html =
        "<table class=\"source\"><thead><tr><th scope=\"col\">line</th><th scope=\"col\">ran</th>\
                    <th scope=\"col\">ways</th><th scope=\"col\">text</th></tr></thead><tbody>\n"
            .to_owned();
    for (number, line) in (1..).zip(text.lines()) {
        html += &row(file, number, line);
    }
    html + "</tbody></table>\n"
}

fn row(file: &FileCoverage, number: u32, text: &str) -> String {
    let line = file.lines.get(&number);
    let loaded = line.is_some_and(|line| line.only_loaded);
    let (class, words) = match file.state(number) {
        None => ("neutral", ""),
        Some(_) if loaded => ("loaded", "ran when it was loaded"),
        Some(LineState::Covered) => ("covered", "ran"),
        Some(LineState::Half) => ("half", "ran in part"),
        Some(LineState::Uncovered) => ("uncovered", "did not run"),
    };
    let count = match line {
        None => String::new(),
        Some(line) if line.only_loaded => "load".to_owned(),
        Some(line) => line.count.to_string(),
    };
    let words = match words {
        "" => String::new(),
        words => format!("<span class=\"unseen\">{words}</span>"),
    };
    format!(
        "<tr id=\"L{number}\" class=\"{class}\"><td class=\"at\"><a href=\"#L{number}\">{number}</a></td>\
         <td class=\"count\">{count}{words}</td><td class=\"ways\">{}</td><td class=\"text\"><code>{}</code></td></tr>\n",
        ways(file, number),
        marked(file, number, text)
    )
}

/// The branches of a line: a sign for each way out of each decision.
fn ways(file: &FileCoverage, number: u32) -> String {
    let branches: Vec<_> = file.branches_of(number).collect();
    if branches.is_empty() {
        return String::new();
    }
    let is_taken = |taken: Option<u64>| taken.is_some_and(|times| times > 0);
    let mut signs = String::new();
    let mut decision = None;
    for (id, branch) in &branches {
        if decision.is_some_and(|last| last != id.decision) {
            signs.push(' ');
        }
        decision = Some(id.decision);
        let class = if is_taken(branch.taken) { "taken" } else { "missed" };
        let sign = match (file.counts, id.way, is_taken(branch.taken)) {
            (Counts::Runs, 0, true) => "T",
            (Counts::Runs, 0, false) => "t",
            (Counts::Runs, _, true) => "F",
            (Counts::Runs, _, false) => "f",
            (Counts::Executions, _, true) => "+",
            (Counts::Executions, _, false) => "−",
        };
        let at = branch.column.map(|column| format!("column {column}: ")).unwrap_or_default();
        let way = match (file.counts, id.way) {
            (Counts::Runs, 0) => "as after true",
            (Counts::Runs, _) => "as after false",
            (Counts::Executions, _) => "this way",
        };
        let times = match branch.taken {
            None => "never decided".to_owned(),
            Some(0) => format!("never {way}"),
            Some(times) => format!("{way}: {times}"),
        };
        signs += &format!("<span class=\"{class}\" title=\"{at}{times}\">{sign}</span>");
    }
    let taken = branches.iter().filter(|(_, branch)| is_taken(branch.taken)).count();
    format!(
        "<span aria-hidden=\"true\">{signs}</span><span class=\"unseen\">{taken} of {} ways</span>",
        branches.len()
    )
}

/// The text of a line; of one that ran in part, what did not run is marked.
fn marked(file: &FileCoverage, number: u32, text: &str) -> String {
    let is_half = file.state(number) == Some(LineState::Half);
    let spans = file.unreached.iter().filter(|span| span.start.0 <= number && span.end.0 >= number);
    let parts: Vec<(usize, usize)> = spans
        .filter(|_| is_half)
        .map(|span| {
            let start = if span.start.0 == number { span.start.1 as usize - 1 } else { 0 };
            let end = if span.end.0 == number { span.end.1 as usize - 1 } else { usize::MAX };
            (start, end)
        })
        .filter(|(start, end)| start < end)
        .collect();
    let mut html = String::new();
    let mut piece = String::new();
    let mut inside = false;
    for (index, c) in text.chars().chain(std::iter::once('\n')).enumerate() {
        let now = c != '\n' && parts.iter().any(|(start, end)| (*start..*end).contains(&index));
        if now != inside || c == '\n' {
            let text = escaped(&piece);
            html += &if inside { format!("<mark>{text}</mark>") } else { text };
            piece.clear();
            inside = now;
        }
        piece.push(c);
    }
    html
}
