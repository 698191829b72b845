//! What pages have in common: their frame, escaped text, addresses, bars.

use std::fmt::Write as _;

use crate::report::{Share, Shares};

const STYLE: &str = include_str!("style.css");

/// Text as it stands in HTML, in attributes too.
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            // HTML has no such characters.
            c if c.is_control() && !matches!(c, '\t' | '\n') => html.push('\u{fffd}'),
            c => html.push(c),
        }
    }
    html
}

/// A relative path as an address.
pub fn address(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            byte => {
                // Writing to a string does not fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

/// A whole page.
pub fn page(title: &str, script: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n{body}<script>\n{script}</script>\n</body>\n</html>\n"
    )
}

/// How good a share is, as a class.
pub fn grade(share: Share) -> &'static str {
    match share.percent() {
        None => "nothing",
        Some(percent) if percent >= 90.0 => "good",
        Some(percent) if percent >= 70.0 => "fair",
        Some(_) => "poor",
    }
}

/// A bar that is full as far as the share says.
pub fn bar(share: Share, of: &str) -> String {
    let percent = share.percent().unwrap_or(0.0);
    format!(
        "<span class=\"bar {}\" role=\"img\" aria-label=\"{} of {of} ran\"><span style=\"width:{percent:.1}%\"></span></span>",
        grade(share),
        share.text()
    )
}

/// The totals at the head of a page.
pub fn totals(shares: Shares) -> String {
    let mut html = "<dl class=\"totals\">\n".to_owned();
    for (name, share) in
        [("lines", shares.lines), ("branches", shares.branches), ("functions", shares.functions)]
    {
        if share.found == 0 && name != "lines" {
            continue;
        }
        html += &format!(
            "<div class=\"total {}\"><dt>{name}</dt><dd><strong>{}</strong> {}<small>{} of {}</small></dd></div>\n",
            grade(share),
            share.text(),
            bar(share, name),
            share.hit,
            share.found
        );
    }
    html + "</dl>\n"
}
