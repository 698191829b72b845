//! Reading of JSON: a text becomes a value.
//!
//! Integers keep all of their digits, and a name that an object has twice is an error, as in Bazel.

use std::fmt;

use starlark::collections::SmallMap;
use starlark::values::dict::Dict;
use starlark::values::{Heap, Value};

use crate::conversion::alloc_integer;
use crate::json::MAX_DEPTH;

/// Why a text is no JSON.
#[derive(Debug)]
pub struct JsonError {
    /// Where, in characters from 0.
    offset: usize,
    reason: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the text is no JSON: at character {}: {}", self.offset, self.reason)
    }
}

/// The value that `text` is.
pub fn decode<'v>(text: &str, heap: Heap<'v>) -> Result<Value<'v>, JsonError> {
    let mut reader = Reader { text, at: 0, heap };
    let result = reader.value(0).and_then(|value| match reader.peek() {
        None => Ok(value),
        Some(c) => Err(format!("`{c}` follows after the end")),
    });
    result.map_err(|reason| JsonError { offset: text[..reader.at].chars().count(), reason })
}

/// The length of the string in quotes that `text` begins with.
pub fn string_length(text: &str) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

struct Reader<'t, 'v> {
    text: &'t str,
    /// In bytes.
    at: usize,
    heap: Heap<'v>,
}

impl<'v> Reader<'_, 'v> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        let blank =
            self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.at += blank;
        self.rest().chars().next()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        match self.peek() {
            Some(c) if c == wanted => self.at += c.len_utf8(),
            Some(c) => return Err(format!("expected `{wanted}`, but there is `{c}`")),
            None => return Err(format!("expected `{wanted}`, but the text ends")),
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value<'v>, String> {
        if depth > MAX_DEPTH {
            return Err(format!(
                "lists and objects lie within one another more than {MAX_DEPTH} deep"
            ));
        }
        match self.peek() {
            None => Err("expected a value, but the text ends".to_owned()),
            Some('{') => self.object(depth),
            Some('[') => self.list(depth),
            Some('"') => {
                let text = self.string()?;
                Ok(self.heap.alloc(text))
            }
            Some('-' | '0'..='9') => self.number(),
            Some(c) => {
                for (word, value) in [
                    ("null", Value::new_none()),
                    ("true", Value::new_bool(true)),
                    ("false", Value::new_bool(false)),
                ] {
                    if self.rest().starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(format!("expected a value, but there is `{c}`"))
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value<'v>, String> {
        self.expect('[')?;
        let mut items = Vec::new();
        if self.peek() == Some(']') {
            self.at += 1;
            return Ok(self.heap.alloc(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.peek() != Some(',') {
                self.expect(']')?;
                return Ok(self.heap.alloc(items));
            }
            self.at += 1;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'v>, String> {
        self.expect('{')?;
        let mut fields = SmallMap::new();
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(self.heap.alloc(Dict::new(fields)));
        }
        loop {
            if self.peek() != Some('"') {
                self.expect('"')?;
            }
            let start = self.at;
            let name = self.string()?;
            let key = self.heap.alloc(name.as_str()).get_hashed().map_err(|e| e.to_string())?;
            self.expect(':')?;
            let value = self.value(depth + 1)?;
            if fields.insert_hashed(key, value).is_some() {
                self.at = start;
                return Err(format!("the object has the name `{name}` twice"));
            }
            if self.peek() != Some(',') {
                self.expect('}')?;
                return Ok(self.heap.alloc(Dict::new(fields)));
            }
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<Value<'v>, String> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
        let number = &rest[..end.unwrap_or(rest.len())];
        let wrong = || format!("`{number}` is no number");
        let digits = number.strip_prefix('-').unwrap_or(number);
        let whole = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        if whole == 0 || whole > 1 && digits.starts_with('0') {
            return Err(wrong());
        }
        let value = match &digits[whole..] {
            "" => alloc_integer(number, self.heap),
            fraction => {
                let point = fraction.strip_prefix('.');
                if point.is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_digit())) {
                    return Err(wrong());
                }
                let value: f64 = number.parse().map_err(|_| wrong())?;
                if !value.is_finite() {
                    return Err(format!("`{number}` is too large"));
                }
                self.heap.alloc(value)
            }
        };
        self.at += number.len();
        Ok(value)
    }

    /// A string, of which the first quote is next.
    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut result = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                return Err("a string is not closed".to_owned());
            };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(result),
                '\\' => result.push(self.escape()?),
                c if c < ' ' => {
                    self.at -= 1;
                    return Err(format!("a string may not hold {c:?} itself"));
                }
                c => result.push(c),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, String> {
        let Some(c) = self.rest().chars().next() else {
            return Err("a string is not closed".to_owned());
        };
        if c == 'u' {
            let high = self.unit()?;
            if (0xd800..0xdc00).contains(&high) && self.rest().starts_with("\\u") {
                let start = self.at;
                self.at += 1;
                let low = self.unit()?;
                if (0xdc00..0xe000).contains(&low) {
                    let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                self.at = start;
            }
            // Half of a pair stands for nothing.
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let meant = match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            c => return Err(format!("`\\{c}` is no escape")),
        };
        self.at += 1;
        Ok(meant)
    }

    /// The number after `u`, which is next.
    fn unit(&mut self) -> Result<u32, String> {
        let digits =
            self.rest().get(1..5).filter(|text| text.chars().all(|c| c.is_ascii_hexdigit()));
        let Some(number) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return Err("`\\u` needs four hexadecimal digits".to_owned());
        };
        self.at += 5;
        Ok(number)
    }
}
