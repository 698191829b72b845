//! System trees: the parts of the machine that actions see, staged once for each set of them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::scratch::{Session, remove_tree};
use super::synthetic;
use super::tree::{Staging, Tree, TreeError, is_same_list};
use crate::digest::FingerprintBuilder;
use crate::paths::is_plain;
use crate::strategy::{StagedContent, StagedInput};

/// The system trees of a session. A tree is named by what is in it, and is complete once it has
/// its name; so those of earlier sessions are used as they are.
#[derive(Debug, Default)]
pub struct SystemTrees {
    known: Mutex<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    inputs: Arc<[StagedInput]>,
    network: bool,
    name: String,
}

/// Raised when the content of trees changes in another way than by their inputs.
const VERSION: u64 = 1;

/// A tree that no session used for so long is removed.
const KEEP_FOR_SECONDS: i64 = 14 * 24 * 3600;

impl SystemTrees {
    /// The tree of `inputs`, whose paths are absolute; its path relative to the session's base.
    pub fn get(
        &self,
        session: &Session,
        inputs: &[StagedInput],
        network: bool,
    ) -> Result<String, TreeError> {
        // Held while a tree is made: others that wait most likely want the same one.
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let same = |known: &&Known| known.network == network && is_same_list(&known.inputs, inputs);
        if let Some(known) = known.iter().rev().find(same) {
            return Ok(known.name.clone());
        }
        let files = synthetic::files(network);
        let name = Session::system_tree(&fingerprint(inputs, &files));
        let path = session.base().join(&name);
        if path.is_dir() {
            mark_used(&path);
        } else {
            make(&path, inputs, &files)?;
        }
        known.push(Known { inputs: inputs.into(), network, name: name.clone() });
        Ok(name)
    }

    /// Removes the trees that have not been used for long. Only before any is in use.
    pub fn remove_old(session: &Session) {
        let Ok(entries) = fs::read_dir(session.base().join(Session::system_tree(""))) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let unfinished = name.to_string_lossy().starts_with(UNFINISHED);
            // The time of the last change of the directory's own data: see `mark_used`.
            let old =
                entry.metadata().is_ok_and(|it| it.ctime() + KEEP_FOR_SECONDS < session.opened());
            if unfinished || old {
                // What cannot be removed only takes space.
                let _ = session.discard(&entry.path());
            }
        }
    }
}

const UNFINISHED: &str = "unfinished";

/// Notes that a tree is in use, in a way that processes cannot see: only the `ctime` changes.
fn mark_used(path: &Path) {
    if let Ok(metadata) = fs::metadata(path) {
        // If it cannot be noted, the tree is made again too early.
        let _ = fs::set_permissions(path, metadata.permissions());
    }
}

fn make(path: &Path, inputs: &[StagedInput], files: &[(&str, Vec<u8>)]) -> Result<(), TreeError> {
    let failed = |error: io::Error| TreeError::System {
        path: path.to_string_lossy().into_owned(),
        reason: error.to_string(),
    };
    let unfinished = path.with_file_name(UNFINISHED);
    remove_tree(&unfinished).map_err(failed)?;
    fs::create_dir(&unfinished).map_err(failed)?;
    let mut tree = Tree::new(&unfinished, Staging::Links)?;
    let relative: Vec<StagedInput> = inputs
        .iter()
        .filter_map(|input| {
            let path = input.path.trim_matches('/');
            let is_root = path.is_empty();
            (!is_root).then(|| StagedInput { path: path.into(), content: input.content.clone() })
        })
        .collect();
    tree.update(&relative)?;
    for directory in synthetic::DIRECTORIES {
        tree.make_directory(directory)?;
    }
    for (name, content) in files {
        if relative.binary_search_by(|input| (*input.path).cmp(name)).is_err() {
            tree.write(name, content)?;
        }
    }
    fs::rename(&unfinished, path).map_err(failed)
}

fn fingerprint(inputs: &[StagedInput], files: &[(&str, Vec<u8>)]) -> String {
    let mut builder = FingerprintBuilder::new("system tree");
    builder.u64(VERSION).u64(inputs.len() as u64);
    for input in inputs {
        debug_assert!(is_plain(input.path.trim_matches('/')) || &*input.path == "/");
        builder.str(&input.path);
        match &input.content {
            StagedContent::Blob { store_path, executable } => {
                builder.u64(u64::from(*executable)).str(&store_path.to_string_lossy());
            }
            StagedContent::Symlink(target) => {
                builder.u64(2).str(target);
            }
            StagedContent::Directory => {
                builder.u64(3);
            }
        }
    }
    for (name, content) in files {
        builder.str(name).bytes(content);
    }
    builder.finish().to_hex()
}
