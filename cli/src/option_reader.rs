//! Reads options as Bazel spells them: `--flag`, `--noflag`, `--flag=value`, `--flag value`, `-k`,
//! `-t-`, `-c opt`, `--//pkg:setting=value`.
//!
//! Command lines and rc files are read by the same code. Each option comes out under its long
//! name with a value, so that what follows need not know the spellings.

use std::fmt;

use crate::arguments::OptionSpec;
use crate::command_error::nearest;

/// An option that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionUse {
    /// The long name without `--`; for a build setting its label: `//pkg:name`, `@repo//pkg:name`.
    pub name: String,
    /// Its value; `true` or `false` for a switch without one.
    pub value: String,
    /// Where it was given.
    pub origin: Origin,
}

impl OptionUse {
    /// Whether it sets a build setting of some BUILD file, and is no option of rbz itself.
    pub fn is_build_setting(&self) -> bool {
        self.name.starts_with("//") || self.name.starts_with('@')
    }
}

impl fmt::Display for OptionUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}={}", self.name, self.value)
    }
}

/// Where an option was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// On the command line.
    CommandLine,
    /// In a line of an rc file.
    RcFile {
        /// The file as shown.
        file: String,
        /// From 1.
        line: u32,
    },
}

/// Nothing for the command line, `file:line: ` for an rc file: the beginning of a message.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::CommandLine => Ok(()),
            Origin::RcFile { file, line } => write!(f, "{file}:{line}: "),
        }
    }
}

/// What the next words are.
#[derive(Debug, PartialEq, Eq)]
pub enum Word {
    /// An option.
    Option(OptionUse),
    /// Something else: a target pattern, an argument.
    Residue(String),
    /// Something that looks like an option and is none, with what may have been meant.
    Unknown(String, Option<String>),
    /// The name of an option that needs a value and has none.
    MissingValue(String),
}

/// Reads words one after the other.
pub struct OptionReader<'a> {
    words: std::slice::Iter<'a, String>,
    specs: &'a [OptionSpec],
    origin: Origin,
    /// Set after `--`.
    only_residue: bool,
}

impl<'a> OptionReader<'a> {
    /// Reads `words`, in which the options of `specs` may stand.
    pub fn new(words: &'a [String], specs: &'a [OptionSpec], origin: Origin) -> Self {
        OptionReader { words: words.iter(), specs, origin, only_residue: false }
    }

    /// The words that were not read yet.
    pub fn rest(&self) -> &'a [String] {
        self.words.as_slice()
    }

    fn long(&mut self, text: &str) -> Word {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if name.starts_with("//") || name.starts_with('@') {
            return self.option(name, value.unwrap_or("true"));
        }
        if let Some(setting) = name.strip_prefix("no")
            && (setting.starts_with("//") || setting.starts_with('@'))
            && value.is_none()
        {
            return self.option(setting, "false");
        }
        if let Some(spec) = self.specs.iter().find(|spec| spec.name == name) {
            return self.with_value(spec, value);
        }
        if let Some(positive) = name.strip_prefix("no")
            && let Some(spec) = self.specs.iter().find(|spec| spec.switch && spec.name == positive)
        {
            return match value {
                None => self.option(&spec.name, "false"),
                // There is nothing that it could mean.
                Some(_) => Word::Unknown(format!("--{text}"), Some(format!("--{name}"))),
            };
        }
        Word::Unknown(format!("--{name}"), self.nearest(name))
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let negative = self.specs.iter().filter(|spec| spec.switch);
        let negative: Vec<String> = negative.map(|spec| format!("no{}", spec.name)).collect();
        let names = self.specs.iter().map(|spec| spec.name.as_str());
        nearest(name, names.chain(negative.iter().map(String::as_str)))
            .map(|name| format!("--{name}"))
    }

    fn short(&mut self, text: &str) -> Word {
        let letter = text.chars().next();
        let Some(spec) =
            self.specs.iter().find(|spec| spec.short.is_some() && spec.short == letter)
        else {
            return Word::Unknown(format!("-{text}"), self.nearest(text));
        };
        let rest = &text[letter.map_or(0, char::len_utf8)..];
        match (rest, rest.strip_prefix('=')) {
            ("", _) => self.with_value(spec, None),
            ("-", _) if spec.switch => self.option(&spec.name, "false"),
            (_, Some(value)) => self.option(&spec.name, value),
            _ if spec.switch => Word::Unknown(format!("-{text}"), Some(format!("-{}", &text[..1]))),
            _ => self.option(&spec.name, rest),
        }
    }

    fn with_value(&mut self, spec: &OptionSpec, value: Option<&str>) -> Word {
        match (value, spec.switch) {
            (Some(value), _) => self.option(&spec.name, value),
            (None, true) => self.option(&spec.name, "true"),
            (None, false) => match self.words.next() {
                Some(value) => self.option(&spec.name, value),
                None => Word::MissingValue(format!("--{}", spec.name)),
            },
        }
    }

    fn option(&self, name: &str, value: &str) -> Word {
        Word::Option(OptionUse {
            name: name.to_owned(),
            value: value.to_owned(),
            origin: self.origin.clone(),
        })
    }
}

impl Iterator for OptionReader<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        let word = self.words.next()?;
        if self.only_residue {
            return Some(Word::Residue(word.clone()));
        }
        if word == "--" {
            self.only_residue = true;
            return self.next();
        }
        if let Some(text) = word.strip_prefix("--") {
            return Some(self.long(text));
        }
        Some(match word.strip_prefix('-') {
            // A pattern that takes targets away: `-//a/...`, `-@r//a`, `-:a`.
            Some(text) if text.is_empty() || text.starts_with(['/', '@', ':']) => {
                Word::Residue(word.clone())
            }
            Some(text) => self.short(text),
            None => Word::Residue(word.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::options;

    fn read(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        let specs = options(Some("test"));
        OptionReader::new(&words, &specs, Origin::CommandLine)
            .map(|word| match word {
                Word::Option(option) => option.to_string(),
                Word::Residue(text) => text,
                Word::Unknown(text, near) => format!("unknown {text}, near {near:?}"),
                Word::MissingValue(name) => format!("{name} needs a value"),
            })
            .collect()
    }

    #[test]
    fn every_spelling_of_an_option() {
        for (words, read_as) in [
            (&["--keep_going"][..], "--keep_going=true"),
            (&["--nokeep_going"], "--keep_going=false"),
            (&["--keep_going=no"], "--keep_going=no"),
            (&["-k"], "--keep_going=true"),
            (&["-k-"], "--keep_going=false"),
            (&["-t-"], "--cache_test_results=false"),
            (&["--nocache_test_results"], "--cache_test_results=false"),
            (&["-c", "opt"], "--compilation_mode=opt"),
            (&["-c=opt"], "--compilation_mode=opt"),
            (&["-j4"], "--jobs=4"),
            (&["--define", "a=b=c"], "--define=a=b=c"),
            (&["--define=a=b"], "--define=a=b"),
            (&["--test_filter="], "--test_filter="),
            (&["--test_arg", "--x"], "--test_arg=--x"),
            (&["--//a:b"], "--//a:b=true"),
            (&["--no//a:b"], "--//a:b=false"),
            (&["--@r//a:b=c"], "--@r//a:b=c"),
        ] {
            assert_eq!(read(words), [read_as], "{words:?}");
        }
    }

    #[test]
    fn patterns_stand_among_options_and_after_them() {
        assert_eq!(
            read(&["//a/...", "-k", "-//a/b/...", "-:x", "--", "-k", "--x"]),
            ["//a/...", "--keep_going=true", "-//a/b/...", "-:x", "-k", "--x"]
        );
    }

    #[test]
    fn an_unknown_option_names_its_neighbour() {
        assert_eq!(
            read(&["--keep-going", "--nokeepgoing", "--xyzzy", "--nokeep_going=yes", "--jobs"]),
            [
                "unknown --keep-going, near Some(\"--keep_going\")",
                "unknown --nokeepgoing, near Some(\"--nokeep_going\")",
                "unknown --xyzzy, near None",
                "unknown --nokeep_going=yes, near Some(\"--nokeep_going\")",
                "--jobs needs a value"
            ]
        );
    }
}
