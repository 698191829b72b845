//! Source lines: which instructions are of which line, as the driver writes it beside a core.
//!
//! ```text
//! file lib/greeting.lisp     the first file is number 0
//! code 4711                  a code object, by the serial number that it has in the core
//! function 32 7 0            from this offset on: a function, of this line of this file
//! line 61 9 0                from this offset on: this line
//! ```

use thiserror::Error;

/// Lines of the source of a core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceLines {
    /// The paths of the sources.
    pub(crate) files: Vec<String>,
    /// The code objects with known lines.
    pub(crate) codes: Vec<CodeLines>,
}

/// The lines of a code object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodeLines {
    /// Its serial number.
    pub(crate) serial: u32,
    /// In the order of offsets.
    pub(crate) rows: Vec<Row>,
}

/// A place in a code object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// From the first instruction.
    pub(crate) offset: u64,
    pub(crate) line: u32,
    /// By its place in the list.
    pub(crate) file: usize,
    /// Whether the code of a function begins there.
    pub(crate) is_function: bool,
}

/// A line that is not as it has to be.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {number} says nothing of source lines: `{text}`")]
pub struct SourceLinesError {
    number: usize,
    text: String,
}

impl SourceLines {
    /// Reads what the driver wrote.
    pub fn parse(text: &str) -> Result<Self, SourceLinesError> {
        let mut lines = SourceLines::default();
        for (index, line) in text.lines().enumerate() {
            lines
                .read(line)
                .ok_or_else(|| SourceLinesError { number: index + 1, text: line.to_owned() })?;
        }
        Ok(lines)
    }

    fn read(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "file" => self.files.push(rest.to_owned()),
            "code" => {
                self.codes.push(CodeLines { serial: rest.parse().ok()?, rows: Vec::new() });
            }
            "function" | "line" => {
                let mut numbers = rest.split(' ');
                let row = Row {
                    offset: numbers.next()?.parse().ok()?,
                    line: numbers.next()?.parse().ok()?,
                    file: numbers.next()?.parse().ok()?,
                    is_function: word == "function",
                };
                let rows = &mut self.codes.last_mut()?.rows;
                let follows = rows.last().is_none_or(|last| last.offset < row.offset);
                if !follows || row.file >= self.files.len() || numbers.next().is_some() {
                    return None;
                }
                rows.push(row);
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, SourceLines};

    #[test]
    fn what_the_driver_writes_is_read() {
        let text = "file a b.lisp\ncode 7\nfunction 32 3 0\nfile c.lisp\ncode 9\nfunction 0 1 1\nline 8 2 1\n";
        let lines = SourceLines::parse(text).expect("it is well-formed");
        assert_eq!(lines.files, ["a b.lisp", "c.lisp"]);
        assert_eq!(lines.codes.iter().map(|code| code.serial).collect::<Vec<_>>(), [7, 9]);
        let row = Row { offset: 8, line: 2, file: 1, is_function: false };
        assert_eq!(lines.codes[1].rows[1], row);
    }

    #[test]
    fn what_it_does_not_write_is_refused() {
        for text in [
            "nonsense",
            "code x",
            "file a\nfunction 0 1 0",
            "file a\ncode 1\nfunction 0 1 1",
            "file a\ncode 1\nline 8 1 0\nline 8 2 0",
            "file a\ncode 1\nline 8 1 0 0",
        ] {
            let error = SourceLines::parse(text).expect_err(text);
            assert!(error.to_string().contains(text.lines().last().unwrap_or_default()), "{error}");
        }
    }
}
