//! Values of artifacts: what an artifact is once it is there, apart from where its bytes lie.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Fingerprint, FingerprintBuilder};
use crate::paths::parent;

/// The bytes of a file, and whether it can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blob {
    /// Of the bytes.
    pub digest: Digest,
    /// Whether the file can be run.
    pub executable: bool,
}

/// What an artifact is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactValue {
    /// A file.
    File(Blob),
    /// A directory with all that is below it.
    Tree(Arc<TreeValue>),
    /// A symbolic link with this text.
    Symlink(Arc<str>),
    /// A runfiles tree: the identity of its paths and of what is at them.
    RunfilesTree(Fingerprint),
    /// A file whose bytes are in no key.
    Volatile(Blob),
}

/// What is below a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeValue {
    /// Paths relative to the directory, sorted. Directories are there only if they are empty.
    pub entries: Vec<(Arc<str>, TreeEntry)>,
}

/// One thing below a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TreeEntry {
    /// A file.
    File(Blob),
    /// A symbolic link with this text.
    Symlink(Arc<str>),
    /// An empty directory.
    Directory,
}

impl TreeValue {
    /// The tree of these entries.
    pub fn new(mut entries: Vec<(Arc<str>, TreeEntry)>) -> TreeValue {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        TreeValue { entries }
    }

    /// The paths of the files and links in it, which is what a tree stands for in a command line.
    pub fn files(&self) -> impl Iterator<Item = &Arc<str>> {
        self.entries
            .iter()
            .filter(|(_, entry)| *entry != TreeEntry::Directory)
            .map(|(path, _)| path)
    }

    /// Every directory in it, itself (the empty path) first, parents before children.
    pub fn directories(&self) -> Vec<&str> {
        let mut directories = std::collections::BTreeSet::from([""]);
        for (path, entry) in &self.entries {
            let mut dir = match entry {
                TreeEntry::Directory => &**path,
                _ => parent(path),
            };
            while directories.insert(dir) {
                dir = parent(dir);
            }
        }
        directories.into_iter().collect()
    }
}

impl ArtifactValue {
    /// Adds what is in keys of this value.
    pub fn add_to(&self, to: &mut FingerprintBuilder) {
        match self {
            ArtifactValue::File(blob) => add_blob(0, blob, to),
            ArtifactValue::Tree(tree) => {
                to.u64(1).u64(tree.entries.len() as u64);
                for (path, entry) in &tree.entries {
                    to.str(path);
                    match entry {
                        TreeEntry::File(blob) => add_blob(0, blob, to),
                        TreeEntry::Symlink(text) => {
                            to.u64(1).str(text);
                        }
                        TreeEntry::Directory => {
                            to.u64(2);
                        }
                    }
                }
            }
            ArtifactValue::Symlink(text) => {
                to.u64(2).str(text);
            }
            ArtifactValue::RunfilesTree(fingerprint) => {
                to.u64(3).part(fingerprint);
            }
            ArtifactValue::Volatile(_) => {
                to.u64(4);
            }
        }
    }

    /// The blobs that it is made of.
    pub fn blobs(&self) -> Vec<Blob> {
        match self {
            ArtifactValue::File(blob) | ArtifactValue::Volatile(blob) => vec![*blob],
            ArtifactValue::Tree(tree) => tree
                .entries
                .iter()
                .filter_map(|(_, entry)| match entry {
                    TreeEntry::File(blob) => Some(*blob),
                    _ => None,
                })
                .collect(),
            ArtifactValue::Symlink(_) | ArtifactValue::RunfilesTree(_) => Vec::new(),
        }
    }
}

fn add_blob(tag: u64, blob: &Blob, to: &mut FingerprintBuilder) {
    to.u64(tag).digest(&blob.digest).u64(u64::from(blob.executable));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_come_before_what_is_in_them() {
        let tree = TreeValue::new(vec![
            ("b/c/d".into(), TreeEntry::Symlink("x".into())),
            ("a".into(), TreeEntry::Symlink("x".into())),
            ("e".into(), TreeEntry::Directory),
        ]);
        assert_eq!(tree.directories(), ["", "b", "b/c", "e"]);
        assert_eq!(tree.files().map(|path| &**path).collect::<Vec<_>>(), ["a", "b/c/d"]);
    }

    #[test]
    fn volatile_bytes_are_in_no_key() {
        let of = |bytes: &[u8], volatile| {
            let blob = Blob { digest: Digest::of(bytes), executable: false };
            let mut builder = FingerprintBuilder::new("test");
            let value =
                if volatile { ArtifactValue::Volatile(blob) } else { ArtifactValue::File(blob) };
            value.add_to(&mut builder);
            builder.finish()
        };
        assert_eq!(of(b"a", true), of(b"b", true));
        assert_ne!(of(b"a", false), of(b"b", false));
    }
}
