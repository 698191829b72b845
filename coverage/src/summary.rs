//! The summary: a short table of packages and files for terminals.

use std::collections::BTreeMap;

use crate::report::{Report, Shares};

/// How many files are shown one by one.
const MOST_FILES: usize = 20;

/// A table of how much ran, for each file, or where there are many for each directory.
pub fn table(report: &Report) -> String {
    let mut by_directory: BTreeMap<String, Shares> = BTreeMap::new();
    for (path, file) in &report.files {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let name = if directory.is_empty() { "./".to_owned() } else { format!("{directory}/") };
        let known = by_directory.entry(name).or_default();
        *known = *known + file.shares();
    }
    let mut rows: Vec<(String, Shares)> = Vec::new();
    if report.files.len() <= MOST_FILES {
        rows.extend(report.files.iter().map(|(path, file)| (path.clone(), file.shares())));
    } else {
        rows.extend(by_directory);
    }
    if rows.len() != 1 {
        rows.push(("all".to_owned(), report.shares()));
    }
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, shares) in rows {
        let lines = format!("{} of {} lines", shares.lines.hit, shares.lines.found);
        let branches = match shares.branches.found {
            0 => String::new(),
            found => format!(", {} of {found} branches", shares.branches.hit),
        };
        let gap = " ".repeat(width - name.chars().count());
        text += &format!("{name}{gap}  {:>6}  {lines}{branches}\n", shares.lines.text());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lcov;

    #[test]
    fn files_are_listed_and_many_of_them_by_directory() {
        let file = |path: &str| {
            format!(
                "SF:{path}\nBRDA:1,0,0,1\nBRDA:1,0,1,0\nDA:1,1\nDA:2,0\nDA:3,1\nend_of_record\n"
            )
        };
        let few = lcov::parse(&format!("{}{}", file("a/b.lisp"), file("main.c"))).unwrap();
        insta::assert_snapshot!(table(&few), @r"
        a/b.lisp   66.7%  2 of 3 lines, 1 of 2 branches
        main.c     66.7%  2 of 3 lines, 1 of 2 branches
        all        66.7%  4 of 6 lines, 2 of 4 branches
        ");
        let many: String = (0..30).map(|n| file(&format!("d/{n}.lisp"))).collect();
        insta::assert_snapshot!(table(&lcov::parse(&many).unwrap()), @"d/   66.7%  60 of 90 lines, 30 of 60 branches");
    }
}
