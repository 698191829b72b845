//! The words of rc files: quotes, comments, and lines that go on on the next.

/// The words of each line that has some, with the line's number.
///
/// `#` outside quotes begins a comment, a backslash takes the next character as it is, and at the
/// end of a line joins it with the next one.
pub fn split_lines(text: &str) -> Vec<(u32, Result<Vec<String>, String>)> {
    let mut lines = Vec::new();
    let mut joined = String::new();
    let mut first = 1;
    for (number, line) in (1..).zip(text.lines()) {
        if joined.is_empty() {
            first = number;
        }
        if let Some(line) = line.strip_suffix('\\') {
            joined.push_str(line);
            continue;
        }
        joined.push_str(line);
        lines.push((first, split_words(&std::mem::take(&mut joined))));
    }
    if !joined.is_empty() {
        lines.push((first, split_words(&joined)));
    }
    lines.retain(|(_, words)| words.as_ref().map_or(true, |words| !words.is_empty()));
    lines
}

fn split_words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', _) => word.get_or_insert_default().extend(characters.next()),
            (c, Some(mark)) if c == mark => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(mark) = quote {
        return Err(format!("the quote {mark} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_in_bazel() {
        for (line, words) in [
            ("build --a  --b", &["build", "--a", "--b"][..]),
            ("build '--a b' \"c # d\" # e", &["build", "--a b", "c # d"]),
            (r"build --a\ b \#c", &["build", "--a b", "#c"]),
            ("build --a='x y'z", &["build", "--a=x yz"]),
            ("build ''", &["build", ""]),
            ("# nothing", &[]),
        ] {
            assert_eq!(
                split_words(line).as_deref(),
                Ok(&words.iter().copied().map(String::from).collect::<Vec<_>>()[..]),
                "{line}"
            );
        }
        assert!(split_words("build 'a").is_err());
    }

    #[test]
    fn a_line_may_go_on_on_the_next() {
        let lines = split_lines("\nbuild --a \\\n  --b\ntest --c\n");
        let words = |words: &[&str]| Ok(words.iter().map(|word| word.to_string()).collect());
        assert_eq!(lines, [(2, words(&["build", "--a", "--b"])), (4, words(&["test", "--c"]))]);
    }
}
