//! Fetched archives: checked by their digest, then unpacked.

use std::path::{Path, PathBuf};

use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::file_state::EntryKind;

use crate::archive::{self, Format};
use crate::loader::Shared;
use crate::repository_declaration::ArchiveSource;
use crate::source_tree::SourceTree;

/// Unpacks the archive into `directory`. Returns what that relied on.
pub fn fetch(
    source: &ArchiveSource,
    directory: &Path,
    shared: &Shared,
) -> Result<Vec<Dependency>, Box<Diagnostic>> {
    let mut tree = SourceTree::new(shared.files.clone());
    let path = find(&source.urls, &mut tree)?;
    check(&path, &source.sha256, &mut tree)?;
    let format = match source.format.is_empty() {
        true => Format::of(&path.to_string_lossy()),
        false => Format::of(&source.format),
    };
    format
        .and_then(|format| archive::unpack(&path, format, &source.strip_prefix, directory))
        .map_err(|error| Box::new(Diagnostic::user(error.to_string())))?;
    Ok(tree.dependencies().to_vec())
}

/// The first of the files that is there.
pub fn find(urls: &[String], tree: &mut SourceTree) -> Result<PathBuf, Box<Diagnostic>> {
    // Where a file is named too, addresses in the network are only other ways to the same.
    let is_local = |url: &&String| url.starts_with(FILE);
    let local: Vec<&String> = urls.iter().filter(is_local).collect();
    if let ([], Some(first)) = (&local[..], urls.first()) {
        return Err(Box::new(unreachable(first)));
    }
    for url in local {
        let path = local_path(url)?;
        if tree.kind(&path)? == EntryKind::File {
            return Ok(path);
        }
    }
    let shown: Vec<String> = urls.iter().map(|url| format!("`{url}`")).collect();
    Err(Box::new(Diagnostic::user(format!("there is no file at {}", shown.join(" or ")))))
}

/// How the address of a file begins.
const FILE: &str = "file://";

fn unreachable(url: &str) -> Diagnostic {
    Diagnostic::user(format!("`{url}` cannot be fetched: nothing is loaded from the network"))
        .hint("fetch it yourself, and give its path as `file:///…`")
}

/// The path that a URL means.
fn local_path(url: &str) -> Result<PathBuf, Box<Diagnostic>> {
    let path = url.strip_prefix(FILE).ok_or_else(|| Box::new(unreachable(url)))?;
    let path = path.strip_prefix("localhost").unwrap_or(path);
    if !path.starts_with('/') {
        return Err(Box::new(Diagnostic::user(format!(
            "`{url}` is no URL of a file: it is `file://` and an absolute path"
        ))));
    }
    Ok(PathBuf::from(unescaped(path)))
}

/// A path with `%20` and its like as the characters that they mean.
fn unescaped(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut result = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| path.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(byte) => {
                result.push(byte);
                at += 3;
            }
            None => {
                result.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&result).into_owned()
}

/// The digest in hexadecimal that a checksum such as `sha256-…` in base 64 gives.
pub fn sha256_of_integrity(integrity: &str) -> Result<String, Diagnostic> {
    let wrong = || {
        Diagnostic::user(format!("`{integrity}` is no checksum that is known"))
            .hint("`integrity` is `sha256-` and 44 characters of base 64; or give a `sha256`")
    };
    let text = integrity.strip_prefix("sha256-").and_then(|text| text.strip_suffix('='));
    let text = text.filter(|text| text.len() == 43).ok_or_else(wrong)?;
    let (mut bytes, mut bits, mut count) = (Vec::with_capacity(32), 0_u32, 0);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(wrong()),
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            // The eight bits above those that are left.
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Ok(hex::encode(bytes))
}

/// Checks the digest of a fetched file.
pub fn check(path: &Path, sha256: &str, tree: &mut SourceTree) -> Result<(), Box<Diagnostic>> {
    let found = tree.digest(path)?.to_hex();
    if sha256.is_empty() {
        return Err(Box::new(
            Diagnostic::user(format!(
                "the archive `{}` is not pinned by a `sha256`",
                path.display()
            ))
            .hint(format!("if it is the right one, add `sha256 = \"{found}\"`")),
        ));
    }
    if !sha256.eq_ignore_ascii_case(&found) {
        return Err(Box::new(
            Diagnostic::user(format!(
                "the archive `{}` is not the one that was declared: its sha256 is `{found}`, not `{sha256}`",
                path.display()
            ))
            .hint("somebody changed the archive, or the `sha256` belongs to another one"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_in_base_64_is_the_same_in_hexadecimal() {
        // Of the empty text.
        let empty = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(
            sha256_of_integrity(empty).unwrap(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for wrong in ["", "sha512-abc", "sha256-abc", &empty.replace('+', "ä")] {
            assert!(sha256_of_integrity(wrong).is_err(), "{wrong}");
        }
    }
}
