//! Globs: the files of a package by pattern.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_engine::file_state::EntryKind;
use rbz_engine::label::join;
use serde::{Deserialize, Serialize};

use crate::source_tree::SourceTree;

/// Which files of a package a call of `glob` or `subpackages` means.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GlobSpec {
    /// What is in it …
    pub include: Vec<String>,
    /// … unless one of these matches.
    pub exclude: Vec<String>,
    /// What is looked for.
    pub kind: GlobKind,
}

/// What a glob looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GlobKind {
    /// Files.
    Files,
    /// Files and directories.
    FilesAndDirectories,
    /// The nearest packages below.
    Subpackages,
}

/// Directories that hold no sources of the repository.
#[derive(Clone, Debug, Default)]
pub struct IgnoredDirectories {
    /// The repository's root.
    pub root: PathBuf,
    /// Relative to the root, from `.rbzignore`.
    pub listed: Vec<String>,
}

/// Shared by all packages of a repository.
pub type SharedIgnored = Arc<IgnoredDirectories>;

/// The links to outputs in a workspace's root.
const OUTPUT_LINKS: [&str; 3] = ["rbz-out", "rbz-bin", "rbz-testlogs"];

impl IgnoredDirectories {
    /// Whether the directory at `path` is none of the repository's.
    pub fn contains(&self, path: &Path, is_symlink: bool) -> bool {
        let Ok(relative) = path.strip_prefix(&self.root) else { return false };
        let Some(relative) = relative.to_str() else { return false };
        let top = !relative.contains('/');
        if top && is_symlink && (OUTPUT_LINKS.contains(&relative) || relative.starts_with("bazel-"))
        {
            return true;
        }
        relative == ".git"
            || self.listed.iter().any(|listed| {
                relative == listed
                    || relative.strip_prefix(&**listed).is_some_and(|rest| rest.starts_with('/'))
            })
    }
}

/// Says what is wrong with a pattern, if anything.
pub fn check_pattern(pattern: &str) -> Result<(), Diagnostic> {
    let error =
        |reason: &str| Err(Diagnostic::user(format!("`{pattern}` is no pattern: {reason}")));
    if pattern.is_empty() {
        return error("it is empty");
    }
    if pattern.starts_with('/') {
        return error("it is absolute; patterns are relative to the package");
    }
    for segment in pattern.split('/') {
        match segment {
            "" => return error("it has an empty segment"),
            "." | ".." => return error("`.` and `..` cannot be segments of it"),
            "**" => {}
            _ if segment.contains("**") => return error("`**` must be a whole segment"),
            _ => {}
        }
    }
    if pattern.starts_with(':') || pattern.starts_with('@') {
        return error("it is a label; `glob` finds files");
    }
    Ok(())
}

/// Whether one segment of a pattern matches a name.
fn segment_matches(pattern: &str, name: &str) -> bool {
    if pattern == "*" || pattern == "**" {
        return true;
    }
    // As in Bazel a leading dot must be written.
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A pattern in its segments.
struct Pattern<'a>(Vec<&'a str>);

impl<'a> Pattern<'a> {
    fn new(pattern: &'a str) -> Self {
        Pattern(pattern.split('/').collect())
    }

    /// Whether it matches a path.
    fn matches(&self, path: &str) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        let (mut at, mut name) = (0, 0);
        // After the last `**`, and the first name that it did not swallow so far. What an earlier
        // one swallowed more of, the last one can swallow too.
        let mut again: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(at), path.get(name)) {
                (None, None) => return true,
                (Some(&"**"), _) => {
                    at += 1;
                    again = Some((at, name));
                    continue;
                }
                (Some(segment), Some(entry)) if segment_matches(segment, entry) => {
                    (at, name) = (at + 1, name + 1);
                    continue;
                }
                _ => {}
            }
            match &mut again {
                Some((after, swallowed)) if *swallowed < path.len() => {
                    *swallowed += 1;
                    (at, name) = (*after, *swallowed);
                }
                _ => return false,
            }
        }
    }
}

/// A walk over the directories of a package.
struct Walk<'a> {
    package: &'a Path,
    tree: &'a mut SourceTree,
    ignored: &'a IgnoredDirectories,
    kind: GlobKind,
    /// Directories where what is left of the pattern was looked for.
    seen: HashSet<(String, Vec<String>)>,
    found: BTreeSet<String>,
}

/// What a glob finds.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The paths, sorted.
    pub paths: Vec<String>,
    /// The patterns that match nothing at all, whatever is excluded.
    pub idle: Vec<String>,
}

impl Found {
    /// Changes with both.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut builder = FingerprintBuilder::new("glob");
        for list in [&self.paths, &self.idle] {
            builder.u64(list.len() as u64);
            list.iter().for_each(|path| {
                builder.str(path);
            });
        }
        builder.finish()
    }
}

/// What `spec` means in the package at `package`.
pub fn glob(
    spec: &GlobSpec,
    package: &Path,
    tree: &mut SourceTree,
    ignored: &IgnoredDirectories,
) -> Result<Found, Diagnostic> {
    let mut all = BTreeSet::new();
    let mut idle = Vec::new();
    for pattern in &spec.include {
        let seen = HashSet::new();
        let found = BTreeSet::new();
        let mut walk = Walk { package, tree, ignored, kind: spec.kind, seen, found };
        walk.directory("", &pattern.split('/').collect::<Vec<_>>(), &mut Vec::new())?;
        if walk.found.is_empty() {
            idle.push(pattern.clone());
        }
        all.append(&mut walk.found);
    }
    let exclude: Vec<Pattern> = spec.exclude.iter().map(|pattern| Pattern::new(pattern)).collect();
    all.retain(|path| !exclude.iter().any(|pattern| pattern.matches(path)));
    Ok(Found { paths: all.into_iter().collect(), idle })
}

impl Walk<'_> {
    /// Looks in the directory `at`, relative to the package, for what `pattern` matches there.
    /// `links` are the real paths of the directories above that were reached by links.
    fn directory(
        &mut self,
        at: &str,
        pattern: &[&str],
        links: &mut Vec<PathBuf>,
    ) -> Result<(), Diagnostic> {
        let Some((segment, rest)) = pattern.split_first() else { return Ok(()) };
        let key = (at.to_owned(), pattern.iter().map(|segment| (*segment).to_owned()).collect());
        if !self.seen.insert(key) {
            return Ok(());
        }
        let directory = self.package.join(at);
        // A plain name needs no listing, and may hold any character that a file's name can.
        if !segment.contains('*') {
            let path = join(at, segment);
            let kind = self.tree.kind(&self.package.join(&path))?;
            let is_link = self.package.join(&path).is_symlink();
            return self.entry(&path, kind, is_link, rest, false, links);
        }
        let listing = self.tree.list(&directory)?;
        for entry in &listing.entries {
            let path = join(at, &entry.name);
            if *segment == "**" {
                self.entry(&path, entry.kind, entry.is_symlink, rest, true, links)?;
            } else if segment_matches(segment, &entry.name) {
                self.entry(&path, entry.kind, entry.is_symlink, rest, false, links)?;
            }
        }
        if *segment == "**" && !rest.is_empty() {
            self.directory(at, rest, links)?;
        }
        Ok(())
    }

    /// Handles one entry; `rest` is what of the pattern is left for what lies below it, or for
    /// itself after `**` (`deep`).
    fn entry(
        &mut self,
        path: &str,
        kind: EntryKind,
        is_symlink: bool,
        rest: &[&str],
        deep: bool,
        links: &mut Vec<PathBuf>,
    ) -> Result<(), Diagnostic> {
        let full = self.package.join(path);
        match kind {
            EntryKind::File => {
                if rest.is_empty() && self.kind != GlobKind::Subpackages {
                    self.found.insert(path.to_owned());
                }
            }
            EntryKind::Directory => {
                if self.ignored.contains(&full, is_symlink) {
                    return Ok(());
                }
                if self.tree.build_file(&full)?.is_some() {
                    if self.kind == GlobKind::Subpackages && rest.is_empty() {
                        self.found.insert(path.to_owned());
                    }
                    return Ok(());
                }
                if rest.is_empty() && self.kind == GlobKind::FilesAndDirectories {
                    self.found.insert(path.to_owned());
                }
                let links_before = links.len();
                if is_symlink {
                    self.follow(path, &full, links)?;
                }
                if deep {
                    let mut again = vec!["**"];
                    again.extend(rest);
                    self.directory(path, &again, links)?;
                } else {
                    self.directory(path, rest, links)?;
                }
                links.truncate(links_before);
            }
            EntryKind::Absent | EntryKind::Other => {}
        }
        Ok(())
    }

    /// Refuses a link to a directory that it lies in: below it there would be no end.
    fn follow(&self, path: &str, full: &Path, links: &mut Vec<PathBuf>) -> Result<(), Diagnostic> {
        let real = |path: &Path| {
            path.canonicalize().map_err(|error| {
                Diagnostic::machine(format!("cannot follow `{}`: {error}", path.display()))
            })
        };
        let target = real(full)?;
        let parent = real(full.parent().unwrap_or(full))?;
        if parent.starts_with(&target) || links.contains(&target) {
            return Err(Diagnostic::user(format!(
                "the link `{path}` leads to a directory that it lies in: the glob would never end"
            ))
            .hint("name the directories more precisely, or add the link to `.rbzignore`"));
        }
        links.push(target);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_bazel() {
        for (pattern, path, expected) in [
            ("*.txt", "a.txt", true),
            ("*.txt", "d/a.txt", false),
            ("**/*.txt", "a.txt", true),
            ("**/*.txt", "d/e/a.txt", true),
            ("d/**", "d/e/a.txt", true),
            ("d/**/a.txt", "d/a.txt", true),
            ("**/a/**/b/**", "x/a/b/a/c/b/d", true),
            ("**/a/**/b", "a/x/b/c", false),
            ("a/**", "a", true),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "axxcxxb", false),
            ("a*a", "a", false),
            ("*.txt", ".a.txt", false),
            ("*", ".a.txt", true),
            ("a[1].txt", "a[1].txt", true),
            ("a?.txt", "ab.txt", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn many_double_stars_take_no_longer_than_few() {
        let pattern = "**/a/".repeat(50) + "b";
        assert!(!Pattern::new(&pattern).matches(&"a/".repeat(100)));
    }

    #[test]
    fn a_bad_pattern_says_why() {
        for pattern in ["", "/a", "a//b", "../a", "a**", "x/**y"] {
            assert!(check_pattern(pattern).is_err(), "{pattern}");
        }
    }
}
