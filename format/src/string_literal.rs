//! String literals: what they say, and how that is quoted.

/// What the literal `token` says, and whether it has three quotes on either side.
pub fn unquote(token: &str) -> Result<(Vec<u8>, bool), String> {
    let (raw, quoted) = match token.strip_prefix('r') {
        Some(rest) => (true, rest),
        None => (false, token),
    };
    let mark = quoted.chars().next().unwrap_or('"');
    let triple = quoted.len() >= 6 && quoted.chars().take(3).all(|c| c == mark);
    let width = if triple { 3 } else { 1 };
    let body = &quoted.as_bytes()[width..quoted.len().saturating_sub(width).max(width)];
    if raw || !body.contains(&b'\\') {
        return Ok((body.to_vec(), triple));
    }
    let mut value = Vec::with_capacity(body.len());
    let mut rest = body;
    while let [first, others @ ..] = rest {
        if *first == b'\\' {
            rest = unescape(others, &mut value)?;
        } else {
            value.push(*first);
            rest = others;
        }
    }
    Ok((value, triple))
}

/// Adds what the escape says that `text` goes on with after its backslash; yields what follows.
fn unescape<'a>(text: &'a [u8], value: &mut Vec<u8>) -> Result<&'a [u8], String> {
    let Some((kind, rest)) = text.split_first() else {
        return Err("the string ends in the middle of an escape".to_owned());
    };
    if let Some(letter) = control(*kind) {
        value.push(letter);
        return Ok(rest);
    }
    let wrong = |digits: usize| {
        let end = text.len().min(digits + 1);
        format!("`\\{}` is no escape", String::from_utf8_lossy(&text[..end]))
    };
    let hexadecimal = |digits: usize| {
        let digits = rest.get(..digits).and_then(|digits| str::from_utf8(digits).ok());
        digits.and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    match kind {
        b'\n' => Ok(rest),
        b'0'..=b'7' => {
            let digits =
                text.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            let number =
                text[..digits].iter().fold(0, |sum, digit| sum * 8 + u32::from(digit - b'0'));
            value.push(u8::try_from(number).map_err(|_| wrong(digits - 1))?);
            Ok(&text[digits..])
        }
        b'x' => {
            let byte = hexadecimal(2).and_then(|number| u8::try_from(number).ok());
            value.push(byte.ok_or_else(|| wrong(2))?);
            Ok(&rest[2..])
        }
        b'u' | b'U' => {
            let digits = if *kind == b'u' { 4 } else { 8 };
            let character = hexadecimal(digits).and_then(char::from_u32);
            let character = character.ok_or_else(|| wrong(digits))?;
            value.extend(character.encode_utf8(&mut [0; 4]).bytes());
            Ok(&rest[digits..])
        }
        other => {
            // A backslash that begins no escape stands for itself.
            value.extend([b'\\', *other]);
            Ok(rest)
        }
    }
}

/// The character that a backslash and `letter` stand for.
fn control(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' | b'\'' | b'"' => letter,
        _ => return None,
    })
}

/// Whether each backslash in the literal `token` begins an escape.
pub fn is_well_escaped(token: &str) -> bool {
    let mut characters = token.chars();
    while let Some(character) = characters.next() {
        if character == '\\'
            && let Some(kind) = characters.next()
            && !"\nabfnrtuUvx'\\\"0123456789".contains(kind)
        {
            return false;
        }
    }
    true
}

/// `value` between double quotes, one or three on either side.
pub fn quote(value: &[u8], triple: bool) -> String {
    let mark = if triple { "\"\"\"" } else { "\"" };
    let mut text = String::from(mark);
    let mut bytes = value.iter().copied().enumerate();
    while let Some((index, byte)) = bytes.next() {
        let differs = |ahead: usize| value.get(index + ahead).is_some_and(|next| *next != b'"');
        match byte {
            // Two quotes can stay, if there is not a third.
            b'"' if triple && (differs(1) || differs(2)) => {
                text.push('"');
                if value.get(index + 1) == Some(&b'"') {
                    text.push('"');
                    bytes.next();
                }
            }
            b'\n' if triple => text.push('\n'),
            b'\'' => text.push('\''),
            7 => text += "\\a",
            8 => text += "\\b",
            12 => text += "\\f",
            b'\n' => text += "\\n",
            b'\r' => text += "\\r",
            b'\t' => text += "\\t",
            11 => text += "\\v",
            b'\\' => text += "\\\\",
            b'"' => text += "\\\"",
            0x20..0x80 => text.push(char::from(byte)),
            _ => text += &format!("\\{byte:03o}"),
        }
    }
    text + mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_say_what_their_escapes_mean() {
        for (token, value) in [
            (r#""a\tb""#, &b"a\tb"[..]),
            (r#"'\x41\102\u0043'"#, b"ABC"),
            (r#"r'\n'"#, b"\\n"),
            (r#""\q\377""#, b"\\q\xff"),
            ("'''a\\\nb'''", b"ab"),
            (r#""""#, b""),
        ] {
            assert_eq!(unquote(token).expect(token).0, value, "{token}");
        }
    }

    #[test]
    fn what_is_no_escape_is_named() {
        assert_eq!(unquote(r#""\x4""#), Err("`\\x4` is no escape".to_owned()));
        assert_eq!(unquote(r#""\777""#), Err("`\\777` is no escape".to_owned()));
        assert_eq!(unquote(r#""\ud800""#), Err("`\\ud800` is no escape".to_owned()));
    }

    #[test]
    fn what_was_quoted_says_the_same() {
        for value in
            [&b"plain"[..], b"it's \"so\"", b"\x00\x7f\xff\\", b"a\nb", b"\"\"\"", b"end\""]
        {
            for triple in [false, true] {
                let token = quote(value, triple);
                assert_eq!(unquote(&token), Ok((value.to_vec(), triple)), "{token}");
            }
        }
    }
}
