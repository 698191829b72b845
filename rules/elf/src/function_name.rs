//! Names of functions, as Lisp prints them.
//!
//! A name is a symbol (`greet`), a list (`(flet inner :in greet)`) or a string. It is printed as a
//! Lisp in the package `COMMON-LISP-USER` does, in lower case: symbols of that package and of
//! `COMMON-LISP` stand alone, others after that of their package, `hello:main` or, where the
//! package does not export them, `hello::spin`. Compiled methods have the names that backtraces
//! give them, `(:method area (hello::pt))`.

use std::collections::{HashMap, HashSet};

use crate::heap::{Heap, Symbol, Value};
use crate::symbols::Symbols;

/// Lists below this depth are `#`, as under `*print-level*`.
const MAX_LEVEL: usize = 5;
/// What comes after so many elements is `...`, as under `*print-length*`.
const MAX_LENGTH: usize = 10;
/// Names end after so many bytes.
const MAX_BYTES: usize = 250;

/// What a symbol belongs to.
enum Home {
    /// A package whose symbols stand alone.
    User,
    /// That of symbols that begin with a colon.
    Keyword,
    /// Another one, by its printed name.
    Other(String),
}

/// Prints names.
pub(crate) struct NamePrinter<'h, 'a> {
    heap: &'h Heap<'a>,
    packages: HashMap<u16, Home>,
    /// The symbols that packages export.
    exported: HashSet<Value>,
}

impl<'h, 'a> NamePrinter<'h, 'a> {
    /// A printer that knows the packages. One whose description is not as expected is passed
    /// over: its symbols are printed without a package.
    pub(crate) fn new(heap: &'h Heap<'a>, symbols: &Symbols) -> Self {
        let mut printer = NamePrinter { heap, packages: HashMap::new(), exported: HashSet::new() };
        // A table of names, then the packages, or lists of those with one nickname.
        let storage = heap.slot(symbols.package_names, 0);
        for value in storage.and_then(|vector| heap.vector(vector)).into_iter().flatten() {
            printer.learn(heap.cons(value).map_or(value, |(package, _)| package));
        }
        printer
    }

    fn learn(&mut self, package: Value) -> Option<()> {
        const NAME: u64 = 0;
        const ID: u64 = 1;
        const EXTERNAL_SYMBOLS: u64 = 8;
        const CELLS: u64 = 0;
        let heap = self.heap;
        if !heap.is_instance(package) {
            return None;
        }
        let name = heap.string(heap.slot(package, NAME)?)?;
        let id = u16::try_from(heap.slot(package, ID)?.fixnum()?).ok()?;
        if self.packages.contains_key(&id) {
            return None;
        }
        let home = match &*name {
            "COMMON-LISP" | "COMMON-LISP-USER" => Home::User,
            "KEYWORD" => Home::Keyword,
            _ => Home::Other(token(&name)),
        };
        let is_other = matches!(home, Home::Other(_));
        self.packages.insert(id, home);
        if is_other {
            let cells = heap.slot(heap.slot(package, EXTERNAL_SYMBOLS)?, CELLS)?;
            // Numbers stand where there is no symbol.
            self.exported.extend(heap.vector(cells)?.filter(|cell| cell.fixnum().is_none()));
        }
        Some(())
    }

    /// The printed name.
    pub(crate) fn print(&self, name: Value) -> String {
        let mut text = String::new();
        self.value(&mut text, name, 0);
        if text.len() > MAX_BYTES {
            let end = (0..=MAX_BYTES - 3).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or_default());
            text.push_str("...");
        }
        // Names of an object file end at a zero, and tools show one on each line.
        if text.contains(char::is_control) {
            text = text.replace(char::is_control, "_");
        }
        text
    }

    fn value(&self, text: &mut String, value: Value, level: usize) {
        if text.len() > MAX_BYTES {
            return;
        }
        if value == self.heap.nil() {
            text.push_str("nil");
        } else if let Some(number) = value.fixnum() {
            text.push_str(&number.to_string());
        } else if let Some(character) = value.character() {
            text.push_str("#\\");
            text.push(character);
        } else if let Some((first, rest)) = self.heap.cons(value) {
            self.list(text, first, rest, level);
        } else if let Some(symbol) = self.heap.symbol(value) {
            self.symbol(text, &symbol, value);
        } else if let Some(string) = self.heap.string(value) {
            text.push('"');
            text.push_str(&string.replace('\\', "\\\\").replace('"', "\\\""));
            text.push('"');
        } else {
            text.push_str("#<>");
        }
    }

    fn list(&self, text: &mut String, first: Value, rest: Value, level: usize) {
        if level >= MAX_LEVEL {
            text.push('#');
            return;
        }
        let operator = self.heap.symbol(first);
        let operator = operator.as_ref().map_or("", |symbol| &*symbol.name);
        let only = self.heap.cons(rest).filter(|(_, end)| *end == self.heap.nil());
        if let (Some((argument, _)), "QUOTE" | "FUNCTION") = (only, operator) {
            text.push_str(if operator == "QUOTE" { "'" } else { "#'" });
            return self.value(text, argument, level + 1);
        }
        text.push('(');
        if operator == "FAST-METHOD" {
            text.push_str(":method");
        } else {
            self.value(text, first, level + 1);
        }
        let mut rest = rest;
        for length in 1.. {
            let Some((element, next)) = self.heap.cons(rest) else {
                text.push_str(" . ");
                self.value(text, rest, level + 1);
                break;
            };
            if rest == self.heap.nil() {
                break;
            }
            text.push(' ');
            if length >= MAX_LENGTH {
                text.push_str("...");
                break;
            }
            self.value(text, element, level + 1);
            rest = next;
        }
        text.push(')');
    }

    fn symbol(&self, text: &mut String, symbol: &Symbol, value: Value) {
        match self.packages.get(&symbol.package) {
            None if symbol.package == 0 => text.push_str("#:"),
            None | Some(Home::User) => {}
            Some(Home::Keyword) => text.push(':'),
            Some(Home::Other(package)) => {
                text.push_str(package);
                text.push_str(if self.exported.contains(&value) { ":" } else { "::" });
            }
        }
        text.push_str(&token(&symbol.name));
    }
}

/// The name of a symbol or package as it is printed: between bars unless the reader would take
/// what is printed in lower case for the same name.
fn token(name: &str) -> String {
    let is_plain = |c: char| !(c.is_whitespace() || c.is_lowercase() || "()\"'`,;:|\\".contains(c));
    let is_number = || {
        name.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && name.ends_with(|c: char| c.is_ascii_digit() || c == '.')
            && name.chars().all(|c| c.is_ascii_digit() || "+-./".contains(c))
    };
    let plain = !name.is_empty() && name.chars().all(is_plain) && !name.starts_with('#');
    if plain && !is_number() {
        name.to_lowercase()
    } else {
        format!("|{}|", name.replace('\\', "\\\\").replace('|', "\\|"))
    }
}

#[cfg(test)]
mod tests {
    use super::token;

    #[test]
    fn names_that_the_reader_would_change_stand_between_bars() {
        for (name, printed) in [
            ("CAR", "car"),
            ("1+", "1+"),
            ("%START-LISP", "%start-lisp"),
            ("ÄRGER", "ärger"),
            ("Mixed", "|Mixed|"),
            ("12", "|12|"),
            ("-1/2", "|-1/2|"),
            (".", "|.|"),
            ("", "||"),
            ("A B", "|A B|"),
            ("A|B", "|A\\|B|"),
            ("#X", "|#X|"),
        ] {
            assert_eq!(token(name), printed);
        }
    }
}
