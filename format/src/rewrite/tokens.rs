//! Tokens: docstrings and numbers, as they are to be written.

use crate::string_literal;
use crate::syntax::{File, Node, Syntax, Text};

/// Indents docstrings as the functions that they are of.
pub fn indent_docstrings(file: &mut File) {
    fn walk(node: &mut Node, level: usize) {
        if let Syntax::Def(def) = &mut node.syntax
            && let Some(Node { syntax: Syntax::Text(text), .. }) = def.body.first_mut()
            && text.triple
        {
            indent(text, 4 * level);
        }
        for child in node.children() {
            walk(child, level + 1);
        }
    }
    for statement in &mut file.statements {
        walk(statement, 1);
    }
}

fn indent(text: &mut Text, indentation: usize) {
    // A column is far below 2^32, and begins with 1.
    let now = text.at.column as usize - 1;
    let count = text.token.split('\n').count();
    let lines = text.token.split('\n').enumerate().map(|(index, line)| {
        if index == 0 {
            return line.to_owned();
        }
        let line = if indentation > now {
            format!("{}{line}", " ".repeat(indentation - now))
        } else {
            let blanks = line.len() - line.trim_start_matches(' ').len();
            // A line of blanks that is shorter stays what it is.
            let surplus = now - indentation;
            let cut =
                if blanks == line.len() && blanks <= surplus { 0 } else { blanks.min(surplus) };
            line[cut..].to_owned()
        };
        if index + 1 == count { line } else { line.trim_end_matches(' ').to_owned() }
    });
    let token = lines.collect::<Vec<_>>().join("\n");
    if token != text.token
        && let Ok((value, _)) = string_literal::unquote(&token)
    {
        text.token = token;
        text.value = value;
    }
}

/// Writes octal numbers with `0o`, and fractions with digits on the left and small exponents.
pub fn write_numbers(file: &mut File) {
    file.walk(&mut |node| {
        if let Syntax::Number { token, .. } = &mut node.syntax {
            *token = number(token);
        }
    });
}

fn number(token: &str) -> String {
    if let Some(digits) = token.strip_prefix('0')
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return format!("0o{digits}");
    }
    let Some((whole, _)) = token.split_once('.') else { return token.to_owned() };
    let token = if whole.is_empty() { format!("0{token}") } else { token.to_owned() };
    let Some((mantissa, exponent)) = token.split_once(['e', 'E']) else { return token };
    let exponent = match exponent.trim_start_matches(['0', '+']) {
        "" => "0",
        digits => digits,
    };
    format!("{mantissa}e{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_one_way() {
        for (token, written) in [
            ("0644", "0o644"),
            ("0x1F", "0x1F"),
            ("0", "0"),
            (".5", "0.5"),
            ("1.5E+07", "1.5e7"),
            ("1.e-07", "1.e-07"),
            ("1.0e0", "1.0e0"),
            ("1e10", "1e10"),
        ] {
            assert_eq!(number(token), written);
        }
    }
}
