//! Labels: the names of targets, files and packages, as Bazel spells them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The name of a repository; the empty name is the main repository, the user's workspace.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RepoName(Arc<str>);

impl RepoName {
    /// The main repository.
    pub fn main() -> Self {
        RepoName("".into())
    }

    /// The repository called `name` (without `@`).
    pub fn new(name: &str) -> Self {
        RepoName(name.into())
    }

    /// True of the user's own workspace.
    pub fn is_main(&self) -> bool {
        self.0.is_empty()
    }

    /// The name without `@`; empty for the main repository.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_main() { Ok(()) } else { write!(f, "@{}", self.0) }
    }
}

impl fmt::Debug for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// A package: a directory with a BUILD file, in a repository.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageId {
    /// The repository.
    pub repo: RepoName,
    /// The directory, relative to the repository's root, without slashes at its ends.
    pub path: Arc<str>,
}

impl PackageId {
    /// The package at `path` of `repo`.
    pub fn new(repo: RepoName, path: &str) -> Self {
        PackageId { repo, path: path.into() }
    }

    /// Whether the package is at or below the directory of another, of the same repository.
    pub fn is_below(&self, directory: &PackageId) -> bool {
        let below = || self.path.strip_prefix(&*directory.path);
        self.repo == directory.repo
            && (directory.path.is_empty()
                || below().is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// The directory of the package relative to the execution root: `pkg`, or `external/repo/pkg`.
    pub fn exec_dir(&self) -> String {
        if self.repo.is_main() {
            self.path.to_string()
        } else {
            join(&format!("external/{}", self.repo.as_str()), &self.path)
        }
    }

    /// The directory as runfiles and `short_path` name it: `pkg`, or `../repo/pkg`.
    pub fn short_dir(&self) -> String {
        if self.repo.is_main() {
            self.path.to_string()
        } else {
            join(&format!("../{}", self.repo.as_str()), &self.path)
        }
    }

    /// The label `name` in this package.
    pub fn label(&self, name: &str) -> Label {
        Label::new(self.clone(), name)
    }
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}//{}", self.repo, self.path)
    }
}

impl fmt::Debug for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The name of a target: repository, package, and name in the package. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Label(Arc<LabelParts>);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct LabelParts {
    package: PackageId,
    name: Box<str>,
}

impl Label {
    /// The label of `name` in `package`, which must be valid: text of a user goes through [`Label::parse`].
    pub fn new(package: PackageId, name: &str) -> Self {
        Label(Arc::new(LabelParts { package, name: name.into() }))
    }

    /// The package.
    pub fn package(&self) -> &PackageId {
        &self.0.package
    }

    /// The name in the package.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The repository.
    pub fn repo(&self) -> &RepoName {
        &self.0.package.repo
    }

    /// Parses `text` as written in a file of the package `from`: `//p:n`, `//p`, `:n`, `n`,
    /// `@r//p:n`, `@r`, `@//p:n`, `@@r//p:n`.
    ///
    /// `@` alone before `//` names the main repository; repository names are taken as they are
    /// (a repository mapping is the caller's business).
    pub fn parse(text: &str, from: &PackageId) -> Result<Label, LabelError> {
        let error = |reason: &str| LabelError { text: text.to_owned(), reason: reason.to_owned() };
        let (repo, rest) = match text.strip_prefix('@') {
            None => (from.repo.clone(), text),
            Some(rest) => {
                let rest = rest.strip_prefix('@').unwrap_or(rest);
                match rest.split_once("//") {
                    Some((repo, _)) => (RepoName::new(repo), &rest[repo.len()..]),
                    None => {
                        check_repo(rest).map_err(|reason| error(&reason))?;
                        if rest.is_empty() {
                            return Err(error("it has no repository name"));
                        }
                        return Ok(Label::new(PackageId::new(RepoName::new(rest), ""), rest));
                    }
                }
            }
        };
        check_repo(repo.as_str()).map_err(|reason| error(&reason))?;
        let (package, name) = match rest.strip_prefix("//") {
            Some(rest) => match rest.split_once(':') {
                Some((package, name)) => (PackageId::new(repo, package), name),
                None => {
                    let name = rest.rsplit('/').next().unwrap_or(rest);
                    if name.is_empty() {
                        return Err(error("it has no target name"));
                    }
                    (PackageId::new(repo, rest), name)
                }
            },
            None => (from.clone(), rest.strip_prefix(':').unwrap_or(rest)),
        };
        check_package(&package.path).map_err(|reason| error(&reason))?;
        check_name(name).map_err(|reason| error(&reason))?;
        Ok(Label::new(package, name))
    }

    /// The path of the file that this label names, relative to its repository's root.
    pub fn repo_relative_path(&self) -> String {
        join(&self.package().path, self.name())
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.package(), self.name())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no label.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a label: {reason}")]
pub struct LabelError {
    /// The text.
    pub text: String,
    /// What is wrong with it, as the rest of a sentence.
    pub reason: String,
}

/// Joins two slash-separated paths, either of which may be empty.
pub fn join(dir: &str, rest: &str) -> String {
    match (dir.is_empty(), rest.is_empty()) {
        (true, _) => rest.to_owned(),
        (_, true) => dir.to_owned(),
        _ => format!("{dir}/{rest}"),
    }
}

fn check_repo(repo: &str) -> Result<(), String> {
    match repo.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.~+".contains(*c))) {
        Some(c) => Err(format!("a repository name may not contain {c:?}")),
        None => Ok(()),
    }
}

/// Says what keeps `path` from being the path of a package, if anything.
pub fn check_package(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Ok(());
    }
    check_segments(path, "a package path")?;
    match path.chars().find(|c| c.is_control() || ":\\".contains(*c)) {
        Some(c) => Err(format!("a package path may not contain {c:?}")),
        None => Ok(()),
    }
}

/// Says what keeps `name` from being the name of a target, if anything.
///
/// As in Bazel almost every character may stand in a name, since a name may be that of a file.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("it has no target name".to_owned());
    }
    check_segments(name, "a target name")?;
    match name.chars().find(|c| c.is_control() || ":\\".contains(*c)) {
        Some(c) => Err(format!("a target name may not contain {c:?}")),
        None => Ok(()),
    }
}

fn check_segments(path: &str, what: &str) -> Result<(), String> {
    if path.starts_with('/') || path.ends_with('/') {
        return Err(format!("{what} may not start or end with `/`"));
    }
    // `.` alone is Bazel's name of a package's own directory in a few legacy places.
    match path
        .split('/')
        .find(|segment| matches!(*segment, "" | "..") || (*segment == "." && path != "."))
    {
        Some("") => Err(format!("{what} may not contain `//`")),
        Some(segment) => Err(format!("{what} may not contain `{segment}` as a segment")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        let from = PackageId::new(RepoName::new("here"), "pkg/sub");
        Label::parse(text, &from).map(|label| label.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_way_of_writing_a_label() {
        for (text, label) in [
            ("//a/b:c", "@here//a/b:c"),
            ("//a/b", "@here//a/b:b"),
            (":c", "@here//pkg/sub:c"),
            ("c", "@here//pkg/sub:c"),
            ("dir/c.lisp", "@here//pkg/sub:dir/c.lisp"),
            ("@r//a:b", "@r//a:b"),
            ("@@r//a:b", "@r//a:b"),
            ("@r//:b", "@r//:b"),
            ("@r", "@r//:r"),
            ("@//a:b", "//a:b"),
            ("//:a", "@here//:a"),
            ("a b ä[*].lisp", "@here//pkg/sub:a b ä[*].lisp"),
            ("cl+ssl", "@here//pkg/sub:cl+ssl"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(label), "{text}");
        }
    }

    #[test]
    fn what_is_no_label_says_why() {
        for text in
            ["", ":", "//", "//a:", "//a:/b", "//a//b:c", "../x", "//a:b:c", "@r!//a", "//a/../b"]
        {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(&format!("`{text}` is not a label: ")), "{error}");
        }
    }
}
