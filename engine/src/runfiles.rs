//! Runfiles: what a program needs beside it when it runs.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use crate::artifact::{Artifact, Root};
use crate::depset::{Depset, Order};
use crate::digest::{Fingerprint, FingerprintBuilder};
use crate::value::Value;

/// The files that a program finds below `PROGRAM.runfiles/`.
///
/// A file appears at `WORKSPACE/SHORT_PATH`, one of another repository at `REPO/PATH`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Runfiles {
    /// Artifacts, each at its own place.
    pub files: Depset,
    /// Tuples `(path, artifact)`: artifacts at a path below the workspace's directory.
    pub symlinks: Depset,
    /// Tuples `(path, artifact)`: artifacts at a path below the root of the tree.
    pub root_symlinks: Depset,
}

impl Runfiles {
    /// No files. All that are empty are one.
    pub fn empty() -> Arc<Self> {
        static EMPTY: LazyLock<Arc<Runfiles>> =
            LazyLock::new(|| Arc::new(Runfiles::of(Depset::empty(Order::Default))));
        EMPTY.clone()
    }

    /// The artifacts of `files`.
    pub fn of(files: Depset) -> Self {
        let none = Depset::empty(Order::Default);
        Runfiles { files, symlinks: none.clone(), root_symlinks: none }
    }

    /// True when nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.symlinks.is_empty() && self.root_symlinks.is_empty()
    }

    /// Everything that is in one of `parts`.
    pub fn merge<'a>(parts: impl IntoIterator<Item = &'a Runfiles> + Clone) -> Self {
        let union = |field: fn(&Runfiles) -> &Depset| {
            Depset::union(parts.clone().into_iter().map(field).cloned())
        };
        Runfiles {
            files: union(|part| &part.files),
            symlinks: union(|part| &part.symlinks),
            root_symlinks: union(|part| &part.root_symlinks),
        }
    }

    /// The structural identity.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut builder = FingerprintBuilder::new("runfiles");
        for part in [&self.files, &self.symlinks, &self.root_symlinks] {
            builder.part(&part.fingerprint());
        }
        builder.finish()
    }

    /// Every artifact with its path below the tree's root, sorted by path. Where two claim one
    /// path the last one named wins, as in Bazel. Parts of the machine are at their own absolute
    /// paths and have none in the tree: see [`Runfiles::system_parts`].
    pub fn entries(&self, workspace: &str) -> Vec<(String, Artifact)> {
        let mut entries = std::collections::BTreeMap::new();
        for artifact in self.files.to_files() {
            if *artifact.root() == Root::System {
                continue;
            }
            let path = match artifact.short_path().strip_prefix("../") {
                Some(path) => path.to_owned(),
                None => format!("{workspace}/{}", artifact.short_path()),
            };
            entries.insert(path, artifact);
        }
        for (links, below) in
            [(&self.symlinks, format!("{workspace}/")), (&self.root_symlinks, String::new())]
        {
            for link in links.to_list() {
                if let Value::Tuple(pair) = &link
                    && let [Value::Str(path), Value::File(artifact)] = &pair[..]
                {
                    entries.insert(format!("{below}{path}"), artifact.clone());
                }
            }
        }
        entries.into_iter().collect()
    }

    /// The parts of the machine that a program with these runfiles needs, such as its shared
    /// libraries or its interpreter.
    pub fn system_parts(&self) -> Vec<Artifact> {
        let mut files = self.files.to_files();
        files.retain(|artifact| *artifact.root() == Root::System);
        files
    }
}
