//! Dependencies: what a saved result relied on of files and environment.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Fingerprint, FingerprintBuilder};
use crate::file_state::{EntryKind, FileStat, FileState, SharedError};

/// Something about the outside that a saved result relied on.
///
/// Packages, repositories and plans are saved with a list of these, and are used again while all
/// of them hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dependency {
    /// The file at `path` has these bytes.
    Content {
        /// Absolute.
        path: PathBuf,
        /// Of the bytes.
        digest: Digest,
    },
    /// Nothing is at `path`.
    Absent {
        /// Absolute.
        path: PathBuf,
    },
    /// What is at `path`, links followed, is of this kind.
    Kind {
        /// Absolute.
        path: PathBuf,
        /// The kind.
        kind: EntryKind,
    },
    /// The directory at `path` has these entries ([`crate::file_state::Listing::fingerprint`]).
    Listing {
        /// Absolute.
        path: PathBuf,
        /// The identity of names and kinds.
        digest: Fingerprint,
    },
    /// The environment variable has this value.
    Environment {
        /// Its name.
        name: String,
        /// Its value; `None`: it is not set.
        value: Option<String>,
    },
}

impl Dependency {
    /// The dependency on the bytes of the file at `path` as they are now.
    pub fn on_content(path: &Path, files: &FileState) -> Result<Dependency, SharedError> {
        Ok(Dependency::Content { path: path.to_owned(), digest: files.digest(path)? })
    }

    /// The dependency on the entries of the directory at `path` as they are now.
    pub fn on_listing(path: &Path, files: &FileState) -> Result<Dependency, SharedError> {
        let digest = files.list(path)?.fingerprint;
        Ok(Dependency::Listing { path: path.to_owned(), digest })
    }

    /// The dependency on what is at `path`: a kind, or nothing.
    pub fn on_kind(path: &Path, files: &FileState) -> Result<Dependency, SharedError> {
        Ok(match files.stat(path)?.kind() {
            EntryKind::Absent => Dependency::Absent { path: path.to_owned() },
            kind => Dependency::Kind { path: path.to_owned(), kind },
        })
    }

    /// True while it is as it was. `environment` looks up a variable. What cannot be found out
    /// does not hold.
    pub fn still_holds(
        &self,
        files: &FileState,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> bool {
        match self {
            Dependency::Content { path, digest } => files.digest(path).is_ok_and(|d| d == *digest),
            Dependency::Absent { path } => files.stat(path).is_ok_and(|s| s == FileStat::Absent),
            Dependency::Kind { path, kind } => files.stat(path).is_ok_and(|s| s.kind() == *kind),
            Dependency::Listing { path, digest } => {
                files.list(path).is_ok_and(|listing| listing.fingerprint == *digest)
            }
            Dependency::Environment { name, value } => environment(name) == *value,
        }
    }

    /// Adds what distinguishes it.
    pub fn add_to(&self, to: &mut FingerprintBuilder) {
        to.bytes(self.subject());
        match self {
            Dependency::Content { digest, .. } => to.u64(0).digest(digest),
            Dependency::Absent { .. } => to.u64(1),
            Dependency::Kind { kind, .. } => to.u64(2).u64(*kind as u64),
            Dependency::Listing { digest, .. } => to.u64(3).part(digest),
            Dependency::Environment { value, .. } => match value {
                Some(value) => to.u64(4).str(value),
                None => to.u64(5),
            },
        };
    }

    /// The path or the name that it is about.
    fn subject(&self) -> &[u8] {
        match self {
            Dependency::Content { path, .. }
            | Dependency::Absent { path }
            | Dependency::Kind { path, .. }
            | Dependency::Listing { path, .. } => path.as_os_str().as_bytes(),
            Dependency::Environment { name, .. } => name.as_bytes(),
        }
    }

    /// All of them, each once: neighbours in the file system are neighbours here. Paths are
    /// compared as bytes, which takes a fraction of the time that their segments would.
    pub fn sorted(mut all: Vec<Dependency>) -> Vec<Dependency> {
        all.par_sort_unstable_by(|a, b| a.subject().cmp(b.subject()));
        all.dedup();
        all
    }

    /// True while all of `dependencies` hold; asked in parallel.
    pub fn all_hold(
        dependencies: &[Dependency],
        files: &FileState,
        environment: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> bool {
        dependencies.par_iter().all(|dependency| dependency.still_holds(files, environment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_hold_until_what_they_name_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
        let session = || FileState::open(&path("log/files")).unwrap();
        std::fs::create_dir(path("d")).unwrap();
        write("d/file", "text");
        let environment = |name: &str| (name == "SET").then(|| "x".to_owned());
        let began = session();
        let dependencies = [
            Dependency::on_content(&path("d/file"), &began).unwrap(),
            Dependency::on_kind(&path("absent"), &began).unwrap(),
            Dependency::on_kind(&path("d"), &began).unwrap(),
            Dependency::on_listing(&path("d"), &began).unwrap(),
            Dependency::Environment { name: "SET".into(), value: Some("x".into()) },
        ];
        assert!(Dependency::all_hold(&dependencies, &began, &environment));
        let holds =
            |dependency: &Dependency| dependency.still_holds(&session(), &|name| environment(name));
        write("d/file", "test");
        assert!(!holds(&dependencies[0]));
        assert!(holds(&dependencies[3]));
        write("absent", "");
        assert!(!holds(&dependencies[1]));
        write("d/new", "");
        assert!(!holds(&dependencies[3]));
        std::fs::remove_dir_all(path("d")).unwrap();
        assert!(!holds(&dependencies[2]));
        assert!(!dependencies[4].still_holds(&began, &|_| None));
    }
}
