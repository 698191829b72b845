//! Marks: what Lisp programs noted of what they ran.
//!
//! The form of the file is described where it is written, in `coverage.lisp`. What the processes of
//! one run of a test left is put together into one such file, with what is to be said of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thiserror::Error;

/// The marks of one run of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunMarks {
    /// By what the program calls each file.
    pub files: BTreeMap<String, FileMarks>,
    /// What is to be said of the run, each a sentence.
    pub notes: Vec<String>,
}

/// The marks of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileMarks {
    /// Those that were set while the program was made.
    pub load: Bits,
    /// Those of code that cannot run.
    pub absent: Bits,
    /// Those that were set since.
    pub hit: Bits,
}

/// For each mark of a file whether it is one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits(Vec<bool>);

/// Why a text holds no marks.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line} of a file of marks is wrong: `{text}`")]
pub struct MarksError {
    /// The line.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

impl Bits {
    /// Whether a mark is one of these.
    pub fn has(&self, mark: u32) -> bool {
        self.0.get(mark as usize).copied().unwrap_or(false)
    }

    fn parse(text: &str, count: usize) -> Option<Bits> {
        let mut bits = vec![false; count];
        for range in text.split(' ').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            bits.get_mut(first..=last)?.fill(true);
        }
        Some(Bits(bits))
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut index = 0;
        while index < self.0.len() {
            let length = self.0[index..].iter().take_while(|bit| **bit).count();
            // Writing to a string does not fail.
            let _ = match length {
                0 => Ok(()),
                1 => write!(text, " {index}"),
                _ => write!(text, " {index}-{}", index + length - 1),
            };
            index += length.max(1);
        }
        text
    }

    fn combine(&mut self, other: &Bits, how: impl Fn(bool, bool) -> bool) {
        for (one, two) in self.0.iter_mut().zip(&other.0) {
            *one = how(*one, *two);
        }
    }
}

impl RunMarks {
    /// Reads marks; of a process that did not write them to the end, nothing but a note.
    pub fn parse(text: &str) -> Result<RunMarks, MarksError> {
        let mut run = RunMarks::default();
        let mut program = "?";
        let mut key: Option<(String, usize)> = None;
        let mut is_whole = false;
        for (index, row) in text.lines().enumerate() {
            let wrong = || MarksError { line: index + 1, text: row.to_owned() };
            let (kind, rest) = row.split_once(' ').unwrap_or((row, ""));
            match kind {
                "program" => program = rest,
                "note" => run.notes.push(rest.to_owned()),
                "end" => is_whole = true,
                "key" => {
                    let (name, count) = rest.rsplit_once(' ').ok_or_else(wrong)?;
                    let count: usize = count.parse().map_err(|_| wrong())?;
                    run.files.insert(name.to_owned(), FileMarks::default());
                    key = Some((name.to_owned(), count));
                }
                "load" | "absent" | "hit" => {
                    let (name, count) = key.as_ref().ok_or_else(wrong)?;
                    // The bytes of a process that was killed may end anywhere.
                    let Some(bits) = Bits::parse(rest, *count) else {
                        return Err(wrong());
                    };
                    let file = run.files.entry(name.clone()).or_default();
                    match kind {
                        "load" => file.load = bits,
                        "absent" => file.absent = bits,
                        _ => file.hit = bits,
                    }
                }
                _ => return Err(wrong()),
            }
        }
        if is_whole {
            return Ok(run);
        }
        let name = program.rsplit('/').next().unwrap_or(program);
        Ok(RunMarks {
            files: BTreeMap::new(),
            notes: vec![format!(
                "a process of `{name}` was killed before it could write what it ran: that is missing"
            )],
        })
    }

    /// Adds the marks of another process of the same run.
    pub fn add(&mut self, other: RunMarks) {
        for (key, file) in other.files {
            match self.files.get_mut(&key) {
                None => {
                    self.files.insert(key, file);
                }
                Some(known) => {
                    known.load.combine(&file.load, |one, two| one || two);
                    known.absent.combine(&file.absent, |one, two| one && two);
                    known.hit.combine(&file.hit, |one, two| one || two);
                }
            }
        }
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// The form that [`RunMarks::parse`] reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(text, "note {note}");
        }
        for (key, file) in &self.files {
            let _ = writeln!(text, "key {key} {}", file.hit.0.len());
            for (name, bits) in [("load", &file.load), ("absent", &file.absent), ("hit", &file.hit)]
            {
                let _ = writeln!(text, "{name}{}", bits.text());
            }
        }
        text.push_str("end\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(hit: &str, absent: &str) -> RunMarks {
        let text =
            format!("program bin/p\nkey a b.lisp 6\nload 0\nabsent{absent}\nhit{hit}\nend\n");
        RunMarks::parse(&text).unwrap()
    }

    #[test]
    fn processes_of_a_run_are_put_together() {
        let mut run = marks(" 1-2", " 4-5");
        run.add(marks(" 3 5", " 4"));
        let file = &run.files["a b.lisp"];
        assert_eq!((file.hit.text(), file.absent.text()), (" 1-3 5".into(), " 4".into()));
        assert_eq!(RunMarks::parse(&run.text()).unwrap(), run);
        assert!(file.hit.has(3) && !file.hit.has(0) && !file.hit.has(99));
    }

    #[test]
    fn a_process_that_was_killed_is_told_of_once() {
        let mut run = RunMarks::parse("program x/the test\n").unwrap();
        run.add(RunMarks::parse("program x/the test\n").unwrap());
        assert_eq!(
            run.notes,
            [
                "a process of `the test` was killed before it could write what it ran: that is missing"
            ]
        );
    }

    #[test]
    fn marks_that_are_not_there_are_an_error() {
        let error = RunMarks::parse("key a 2\nhit 1-2\nend\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2 of a file of marks is wrong: `hit 1-2`");
    }
}
