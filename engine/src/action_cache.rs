//! The action cache: results of actions by their keys, in the layout of the Remote Execution API.
//!
//! A value under `ac/<2 digits>/<64 digits>` is an `ActionResult` with the captured output inside.
//! One more field, which other readers skip, holds a checksum of the rest.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;

use crate::artifact_value::{ArtifactValue, Blob, TreeEntry, TreeValue};
use crate::digest::{Digest, Fingerprint};
use crate::event::ActionOutput;
use crate::files::{self, FileResult};
use crate::store::Store;

/// The messages of the Remote Execution API that are used here, with its field numbers.
mod message {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Digest {
        #[prost(string, tag = "1")]
        pub hash: String,
        #[prost(int64, tag = "2")]
        pub size_bytes: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct OutputFile {
        #[prost(string, tag = "1")]
        pub path: String,
        #[prost(message, optional, tag = "2")]
        pub digest: Option<Digest>,
        #[prost(bool, tag = "4")]
        pub is_executable: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct OutputDirectory {
        #[prost(string, tag = "1")]
        pub path: String,
        #[prost(message, optional, tag = "3")]
        pub tree_digest: Option<Digest>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct OutputSymlink {
        #[prost(string, tag = "1")]
        pub path: String,
        #[prost(string, tag = "2")]
        pub target: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Duration {
        #[prost(int64, tag = "1")]
        pub seconds: i64,
        #[prost(int32, tag = "2")]
        pub nanos: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ExecutionMetadata {
        #[prost(message, optional, tag = "12")]
        pub virtual_execution_duration: Option<Duration>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ActionResult {
        #[prost(message, repeated, tag = "2")]
        pub output_files: Vec<OutputFile>,
        #[prost(message, repeated, tag = "3")]
        pub output_directories: Vec<OutputDirectory>,
        #[prost(int32, tag = "4")]
        pub exit_code: i32,
        #[prost(bytes = "vec", tag = "5")]
        pub stdout_raw: Vec<u8>,
        #[prost(bytes = "vec", tag = "7")]
        pub stderr_raw: Vec<u8>,
        #[prost(message, optional, tag = "9")]
        pub execution_metadata: Option<ExecutionMetadata>,
        #[prost(message, repeated, tag = "12")]
        pub output_symlinks: Vec<OutputSymlink>,
        /// Ours: CRC-32 of the message without this field.
        #[prost(fixed32, tag = "1000")]
        pub checksum: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct FileNode {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, optional, tag = "2")]
        pub digest: Option<Digest>,
        #[prost(bool, tag = "4")]
        pub is_executable: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct DirectoryNode {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, optional, tag = "2")]
        pub digest: Option<Digest>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct SymlinkNode {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub target: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Directory {
        #[prost(message, repeated, tag = "1")]
        pub files: Vec<FileNode>,
        #[prost(message, repeated, tag = "2")]
        pub directories: Vec<DirectoryNode>,
        #[prost(message, repeated, tag = "3")]
        pub symlinks: Vec<SymlinkNode>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Tree {
        #[prost(message, optional, tag = "1")]
        pub root: Option<Directory>,
        #[prost(message, repeated, tag = "2")]
        pub children: Vec<Directory>,
    }
}

/// What an action left when it ran.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionResult {
    /// Exec paths and values of its outputs.
    pub outputs: Vec<(Arc<str>, ArtifactValue)>,
    /// What its process wrote.
    pub output: ActionOutput,
    /// How long it ran.
    pub duration: Duration,
}

/// The action cache beside a store.
#[derive(Clone, Copy, Debug)]
pub struct ActionCache<'a> {
    store: &'a Store,
}

impl<'a> ActionCache<'a> {
    /// The one beside `store`.
    pub fn new(store: &'a Store) -> Self {
        ActionCache { store }
    }

    fn path(&self, key: &Fingerprint) -> PathBuf {
        let hex = key.to_hex();
        self.store.root().join("ac").join(&hex[..2]).join(hex)
    }

    /// The result under `key`, if it is there with every blob that it names. One that is damaged
    /// or lacks a blob is dropped.
    pub fn get(&self, key: &Fingerprint) -> FileResult<Option<ActionResult>> {
        let path = self.path(key);
        let Some(bytes) = files::read_if_present(&path)? else { return Ok(None) };
        let result = decode_checked(&bytes).map(|message| self.result(message)).transpose()?;
        let result = result.flatten();
        if let Some(result) = &result {
            let mut whole = true;
            for blob in result.outputs.iter().flat_map(|(_, value)| value.blobs()) {
                whole &= self.store.take(&blob)?.is_some();
            }
            if whole {
                // When it was used last decides when it goes. That it was is no reason to fail.
                let _ = files::touch(&path);
                return Ok(Some(result.clone()));
            }
        }
        files::remove_file(&path)?;
        Ok(None)
    }

    /// Keeps a result under `key`. Its blobs must be in the store.
    pub fn put(&self, key: &Fingerprint, result: &ActionResult) -> FileResult<()> {
        let bytes = encode_checked(self.message(result)?);
        let path = self.path(key);
        if let Some(parent) = path.parent() {
            files::create_dirs(parent)?;
        }
        files::write_atomically(&path, &self.store.temporary_path(), &bytes)
    }

    fn message(&self, result: &ActionResult) -> FileResult<message::ActionResult> {
        let mut message = message::ActionResult {
            stdout_raw: result.output.stdout.to_vec(),
            stderr_raw: result.output.stderr.to_vec(),
            execution_metadata: Some(message::ExecutionMetadata {
                virtual_execution_duration: Some(message::Duration {
                    // No action runs for 292 billion years, and nanoseconds are below 10^9.
                    seconds: result.duration.as_secs() as i64,
                    nanos: result.duration.subsec_nanos() as i32,
                }),
            }),
            ..Default::default()
        };
        for (path, value) in &result.outputs {
            let path = path.to_string();
            match value {
                ArtifactValue::File(blob) | ArtifactValue::Volatile(blob) => {
                    message.output_files.push(message::OutputFile {
                        path,
                        digest: Some(digest_message(&blob.digest)),
                        is_executable: blob.executable,
                    });
                }
                ArtifactValue::Tree(tree) => {
                    let tree = self.store.put(&tree_message(tree).encode_to_vec(), false)?;
                    message.output_directories.push(message::OutputDirectory {
                        path,
                        tree_digest: Some(digest_message(&tree.digest)),
                    });
                }
                ArtifactValue::Symlink(target) => {
                    let target = target.to_string();
                    message.output_symlinks.push(message::OutputSymlink { path, target });
                }
                // Runfiles trees are views of other artifacts and are in no cache.
                ArtifactValue::RunfilesTree(_) => {}
            }
        }
        Ok(message)
    }

    fn result(&self, message: message::ActionResult) -> FileResult<Option<ActionResult>> {
        let mut outputs = Vec::new();
        for file in message.output_files {
            let Some(digest) = file.digest.and_then(|digest| digest_value(&digest)) else {
                return Ok(None);
            };
            let blob = Blob { digest, executable: file.is_executable };
            outputs.push((file.path.into(), ArtifactValue::File(blob)));
        }
        for directory in message.output_directories {
            let Some(digest) = directory.tree_digest.and_then(|digest| digest_value(&digest))
            else {
                return Ok(None);
            };
            let Some(bytes) = self.store.read(&Blob { digest, executable: false })? else {
                return Ok(None);
            };
            let Some(tree) = message::Tree::decode(&*bytes).ok().and_then(|tree| tree_value(&tree))
            else {
                return Ok(None);
            };
            outputs.push((directory.path.into(), ArtifactValue::Tree(Arc::new(tree))));
        }
        for link in message.output_symlinks {
            outputs.push((link.path.into(), ArtifactValue::Symlink(link.target.into())));
        }
        let duration = message
            .execution_metadata
            .and_then(|metadata| metadata.virtual_execution_duration)
            .and_then(|duration| {
                let nanos = u32::try_from(duration.nanos).ok()?;
                Some(Duration::new(u64::try_from(duration.seconds).ok()?, nanos))
            })
            .unwrap_or_default();
        let output =
            ActionOutput { stdout: message.stdout_raw.into(), stderr: message.stderr_raw.into() };
        Ok(Some(ActionResult { outputs, output, duration }))
    }
}

fn encode_checked(mut message: message::ActionResult) -> Vec<u8> {
    message.checksum = 0;
    message.checksum = crc32fast::hash(&message.encode_to_vec());
    message.encode_to_vec()
}

fn decode_checked(bytes: &[u8]) -> Option<message::ActionResult> {
    let message = message::ActionResult::decode(bytes).ok()?;
    (encode_checked(message.clone()) == bytes).then_some(message)
}

fn digest_message(digest: &Digest) -> message::Digest {
    // No file has 2^63 bytes.
    message::Digest { hash: digest.to_hex(), size_bytes: digest.size as i64 }
}

fn digest_value(message: &message::Digest) -> Option<Digest> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&message.hash, &mut hash).ok()?;
    Some(Digest { hash, size: u64::try_from(message.size_bytes).ok()? })
}

/// A directory under construction; children by name.
#[derive(Default)]
struct Building<'a> {
    files: Vec<(&'a str, &'a TreeEntry)>,
    directories: std::collections::BTreeMap<&'a str, Building<'a>>,
}

fn tree_message(tree: &TreeValue) -> message::Tree {
    let mut root = Building::default();
    for (path, entry) in &tree.entries {
        let mut directory = &mut root;
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        for segment in parents.split('/').filter(|segment| !segment.is_empty()) {
            directory = directory.directories.entry(segment).or_default();
        }
        match entry {
            TreeEntry::Directory => {
                directory.directories.entry(name).or_default();
            }
            _ => directory.files.push((name, entry)),
        }
    }
    let mut children = Vec::new();
    let root = directory_message(&root, &mut children);
    message::Tree { root: Some(root), children }
}

/// Recurses once for each level of directories, which the length of paths keeps few.
fn directory_message(
    directory: &Building<'_>,
    children: &mut Vec<message::Directory>,
) -> message::Directory {
    let mut message = message::Directory::default();
    for (name, entry) in &directory.files {
        let name = (*name).to_owned();
        match entry {
            TreeEntry::File(blob) => message.files.push(message::FileNode {
                name,
                digest: Some(digest_message(&blob.digest)),
                is_executable: blob.executable,
            }),
            TreeEntry::Symlink(target) => {
                message.symlinks.push(message::SymlinkNode { name, target: target.to_string() });
            }
            TreeEntry::Directory => {}
        }
    }
    for (name, child) in &directory.directories {
        let child = directory_message(child, children);
        let digest = Some(digest_message(&Digest::of(&child.encode_to_vec())));
        message.directories.push(message::DirectoryNode { name: (*name).to_owned(), digest });
        if !children.contains(&child) {
            children.push(child);
        }
    }
    message
}

fn tree_value(message: &message::Tree) -> Option<TreeValue> {
    let children: std::collections::HashMap<Digest, &message::Directory> =
        message.children.iter().map(|child| (Digest::of(&child.encode_to_vec()), child)).collect();
    let mut entries: Vec<(Arc<str>, TreeEntry)> = Vec::new();
    let mut pending = vec![(String::new(), message.root.as_ref()?)];
    // A tree names its children by their digests, so none can contain itself.
    while let Some((prefix, directory)) = pending.pop() {
        let is_empty = directory.files.is_empty()
            && directory.symlinks.is_empty()
            && directory.directories.is_empty();
        if is_empty && !prefix.is_empty() {
            entries.push((prefix.into(), TreeEntry::Directory));
            continue;
        }
        let path = |name: &str| -> Option<String> {
            let plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
            plain.then(|| crate::label::join(&prefix, name))
        };
        for file in &directory.files {
            let digest = digest_value(file.digest.as_ref()?)?;
            let blob = Blob { digest, executable: file.is_executable };
            entries.push((path(&file.name)?.into(), TreeEntry::File(blob)));
        }
        for link in &directory.symlinks {
            let target = link.target.as_str().into();
            entries.push((path(&link.name)?.into(), TreeEntry::Symlink(target)));
        }
        for child in &directory.directories {
            let digest = digest_value(child.digest.as_ref()?)?;
            pending.push((path(&child.name)?, children.get(&digest)?));
        }
    }
    Some(TreeValue::new(entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn store(dir: &Path) -> Store {
        Store::open(&dir.join("cache"), &dir.join("checked"), "boot").unwrap()
    }

    fn result(store: &Store) -> ActionResult {
        let file = store.put(b"fasl", true).unwrap();
        let tree = TreeValue::new(vec![
            ("a/b/c".into(), TreeEntry::File(file)),
            ("a/b/d".into(), TreeEntry::Symlink("c".into())),
            ("a-b".into(), TreeEntry::File(store.put(b"x", false).unwrap())),
            ("empty/dir".into(), TreeEntry::Directory),
        ]);
        ActionResult {
            outputs: vec![
                ("out/x.fasl".into(), ArtifactValue::File(file)),
                ("out/tree".into(), ArtifactValue::Tree(Arc::new(tree))),
                ("out/link".into(), ArtifactValue::Symlink("nowhere".into())),
            ],
            output: ActionOutput { stdout: (*b"out").into(), stderr: (*b"err").into() },
            duration: Duration::from_millis(1500),
        }
    }

    #[test]
    fn a_result_comes_back_as_it_was_put() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let cache = ActionCache::new(&store);
        let key = Fingerprint::of("key");
        assert_eq!(cache.get(&key).unwrap(), None);
        let result = result(&store);
        cache.put(&key, &result).unwrap();
        assert_eq!(cache.get(&key).unwrap(), Some(result));
    }

    #[test]
    fn a_result_whose_blob_is_gone_is_a_miss() {
        let dir = tempfile::tempdir().unwrap();
        let key = Fingerprint::of("key");
        let blob = {
            let store = store(dir.path());
            let result = result(&store);
            ActionCache::new(&store).put(&key, &result).unwrap();
            store.put(b"x", false).unwrap()
        };
        let store = store(dir.path());
        std::fs::remove_file(store.path(&blob)).unwrap();
        assert_eq!(ActionCache::new(&store).get(&key).unwrap(), None);
        assert!(!ActionCache::new(&store).path(&key).exists());
    }

    #[test]
    fn a_flipped_bit_makes_a_miss() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let cache = ActionCache::new(&store);
        let key = Fingerprint::of("key");
        cache.put(&key, &result(&store)).unwrap();
        let path = cache.path(&key);
        let whole = std::fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1 << (position % 8);
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(cache.get(&key).unwrap(), None, "flip at {position}");
        }
    }
}
