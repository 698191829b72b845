//! A reader of Lisp text: the forms of a system definition or of a source, without a Lisp.
//!
//! What is computed (`#.(…)`) is read over. Reader conditionals are decided for the Lisp and the
//! machine that rbz builds with.

use std::ops::Range;

/// What is true of the Lisp and the machine that rbz builds with.
const FEATURES: [&str; 19] = [
    "sbcl",
    "common-lisp",
    "ansi-cl",
    "unix",
    "linux",
    "x86-64",
    "64-bit",
    "little-endian",
    "ieee-floating-point",
    "sb-thread",
    "sb-unicode",
    "unicode",
    "quicklisp",
    "asdf",
    "asdf2",
    "asdf3",
    "asdf3.1",
    "asdf3.2",
    "asdf3.3",
];

/// Text that is nested deeper is not looked at.
const DEPTH_LIMIT: usize = 100;

/// What the reader makes of a part of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What it is.
    pub data: Data,
    /// Where it is in the text, with the quotes before it.
    pub span: Range<usize>,
}

/// What a form is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// A list.
    List(Vec<Form>),
    /// A string.
    Text(String),
    /// A symbol, in lower case, without its package.
    Symbol(String),
    /// A keyword, in lower case, without its colon.
    Keyword(String),
    /// Something that says nothing.
    Other,
}

impl Form {
    /// The elements of a list; of anything else none.
    pub fn list(&self) -> &[Form] {
        match &self.data {
            Data::List(forms) => forms,
            _ => &[],
        }
    }

    /// What a string, symbol or keyword names: systems and files are named by any of them.
    pub fn name(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) | Data::Symbol(text) | Data::Keyword(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is the keyword `name`.
    pub fn is_keyword(&self, name: &str) -> bool {
        matches!(&self.data, Data::Keyword(text) if text == name)
    }

    /// The operator of a list, if it is a symbol.
    pub fn operator(&self) -> Option<&str> {
        match &self.list().first()?.data {
            Data::Symbol(name) => Some(name),
            _ => None,
        }
    }
}

/// The value after the keyword `name` in a property list.
pub fn property<'a>(forms: &'a [Form], name: &str) -> Option<&'a Form> {
    let at = forms.iter().position(|form| form.is_keyword(name))?;
    forms.get(at + 1)
}

/// The elements of the list after the keyword `name` in a property list.
pub fn list_property<'a>(forms: &'a [Form], name: &str) -> &'a [Form] {
    property(forms, name).map(Form::list).unwrap_or_default()
}

/// Reads the forms of a text, as far as it has to be understood without a Lisp.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
    features: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of `text`.
    pub fn new(text: &'a str) -> Reader<'a> {
        let features = FEATURES.map(str::to_owned).into();
        Reader { text, rest: text, depth: 0, features }
    }

    /// Whether a feature expression is true.
    pub fn holds(&self, expression: &Form) -> bool {
        match expression.list() {
            [] => expression.name().is_some_and(|name| self.features.iter().any(|f| f == name)),
            [operator, rest @ ..] => match operator.name() {
                Some("and") => rest.iter().all(|part| self.holds(part)),
                Some("or") => rest.iter().any(|part| self.holds(part)),
                Some("not") => !rest.iter().any(|part| self.holds(part)),
                _ => false,
            },
        }
    }

    /// Makes a feature true for what is read from here on.
    pub fn add_feature(&mut self, name: &str) {
        self.features.push(name.to_owned());
    }

    /// The next form; `None` at the end of the list or of the text.
    pub fn form(&mut self) -> Option<Form> {
        let mut quoted = None;
        loop {
            self.skip_blanks();
            let first = self.rest.chars().next()?;
            let after = &self.rest[first.len_utf8()..];
            let start = quoted.unwrap_or(self.offset());
            let data = match first {
                ')' => return None,
                '(' => {
                    self.rest = after;
                    self.list()
                }
                '"' => {
                    self.rest = after;
                    Data::Text(self.until('"'))
                }
                '\'' | '`' | ',' | '@' => {
                    quoted = Some(start);
                    self.rest = after;
                    continue;
                }
                '#' => match self.dispatch(after) {
                    Some(data) => data,
                    None => continue,
                },
                _ => self.atom(),
            };
            return Some(Form { data, span: start..self.offset() });
        }
    }

    fn offset(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn list(&mut self) -> Data {
        self.depth += 1;
        let mut forms = Vec::new();
        if self.depth > DEPTH_LIMIT {
            self.rest = "";
        }
        while let Some(form) = self.form() {
            forms.push(form);
        }
        self.rest = self.rest.strip_prefix(')').unwrap_or(self.rest);
        self.depth -= 1;
        Data::List(forms)
    }

    /// What follows `#`; `None` if that is no form.
    fn dispatch(&mut self, after: &str) -> Option<Data> {
        // The text is at `#` yet, whose length is one.
        let skip = |reader: &mut Self, length: usize| reader.rest = &reader.rest[1 + length..];
        match after.chars().next() {
            Some('|') => {
                skip(self, 1);
                self.skip_block_comment();
                None
            }
            Some(sign @ ('+' | '-')) => {
                skip(self, 1);
                let condition = self.form()?;
                // What does not count is read all the same.
                let form = self.form()?;
                (self.holds(&condition) == (sign == '+')).then_some(form.data)
            }
            Some('.') => {
                skip(self, 1);
                self.form();
                Some(Data::Other)
            }
            Some('\\') => {
                skip(self, 1);
                let length = self.rest.chars().next().map_or(0, char::len_utf8);
                self.rest = &self.rest[length..];
                self.atom();
                Some(Data::Other)
            }
            Some('p' | 'P') => {
                skip(self, 1);
                self.form().map(|form| form.data)
            }
            Some(':') => {
                skip(self, 0);
                self.rest = &self.rest[1..];
                Some(match self.atom() {
                    Data::Keyword(name) => Data::Symbol(name),
                    data => data,
                })
            }
            Some('\'') => {
                skip(self, 1);
                self.form().map(|form| form.data)
            }
            _ => {
                skip(self, 0);
                None
            }
        }
    }

    fn atom(&mut self) -> Data {
        let is_end = |c: char| c.is_whitespace() || "()\"';`,".contains(c);
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let text = text.replace('|', "").to_lowercase();
        match text.strip_prefix(':') {
            Some(name) => Data::Keyword(name.to_owned()),
            None => Data::Symbol(text.rsplit(':').next().unwrap_or_default().to_owned()),
        }
    }

    /// The text before the next `end`, which a backslash may hide.
    fn until(&mut self, end: char) -> String {
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, c)) = characters.next() {
            if c == end {
                self.rest = &self.rest[at + c.len_utf8()..];
                return text;
            }
            text.push(match c {
                '\\' => characters.next().map_or('\\', |(_, c)| c),
                _ => c,
            });
        }
        self.rest = "";
        text
    }

    fn skip_blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with(';') {
                return;
            }
            self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
        }
    }

    /// Goes behind the end of a comment that may have others within it.
    fn skip_block_comment(&mut self) {
        let mut open = 1;
        while open > 0 {
            let Some(at) = self.rest.find(['|', '#']) else {
                self.rest = "";
                return;
            };
            self.rest = &self.rest[at..];
            let (change, length) = match self.rest.get(..2) {
                Some("|#") => (-1, 2),
                Some("#|") => (1, 2),
                _ => (0, 1),
            };
            open += change;
            self.rest = &self.rest[length..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let mut reader = Reader::new(text);
        std::iter::from_fn(|| reader.form())
            .map(|form| match &form.data {
                Data::List(forms) => format!("({})", forms.len()),
                Data::Other => "?".to_owned(),
                _ => form.name().expect("it is no list").to_owned(),
            })
            .collect()
    }

    #[test]
    fn conditionals_comments_and_names_are_read_as_lisp_reads_them() {
        assert_eq!(names("#+sbcl a #-sbcl b #+(and unix (not ccl)) C #+(or) d"), ["a", "c"]);
        assert_eq!(
            names("#| #| x |# y |# ; z\n a:B #:c :D |e| \"F\\\"g\""),
            [
                "a:B".rsplit(':').next().unwrap_or_default().to_lowercase().as_str(),
                "c",
                "d",
                "e",
                "F\"g"
            ]
        );
        assert_eq!(
            names("#.(f) #\\( #'g #p\"h/\" (1 2) '(3)"),
            ["?", "?", "g", "h/", "(2)", "(1)"]
        );
        assert_eq!(names("#+a b #+c"), Vec::<String>::new());
    }

    #[test]
    fn a_form_knows_its_text() {
        let text = "(a) '#:b  #+sbcl (c d)";
        let mut reader = Reader::new(text);
        let spans: Vec<_> =
            std::iter::from_fn(|| reader.form()).map(|form| &text[form.span]).collect();
        assert_eq!(spans, ["(a)", "'#:b", "#+sbcl (c d)"]);
    }

    #[test]
    fn broken_text_ends() {
        for text in ["(", ")", "\"", "#", "#+", "#|", "'", "#\\", "#:", "#p", "#'"] {
            assert!(names(text).len() <= 1, "{text}");
        }
        assert_eq!(names(&"(".repeat(100_000)), ["(1)"]);
    }
}
