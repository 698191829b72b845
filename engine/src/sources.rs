//! Sources: what is known of the files that exist before the build, read at most once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::artifact::{Artifact, ArtifactKind, Root};
use crate::artifact_value::{ArtifactValue, Blob, TreeEntry, TreeValue};
use crate::failure::FailureCause;
use crate::file_state::{EntryKind, FileStat, FileState, SharedError};
use crate::files::{self, FileError};
use crate::plan::Plan;
use crate::store::Store;

/// How deep directories may lie in a source tree: deeper is a loop of links.
const MAX_DEPTH: usize = 64;

/// What became of a source: its value, or why it has none.
pub type SourceState = Result<ArtifactValue, FailureCause>;

/// Where a source lies; `None` if its repository is not part of the plan.
pub fn source_path(plan: &Plan, artifact: &Artifact) -> Option<PathBuf> {
    let path = artifact.root_relative_path();
    if *artifact.root() == Root::System {
        return Some(path.into());
    }
    let repo = artifact.owner().repo();
    let root = plan.repositories.get(repo)?;
    if repo.is_main() {
        return Some(root.join(path));
    }
    let path = path.strip_prefix("external/")?.strip_prefix(repo.as_str())?;
    Some(root.join(path.trim_start_matches('/')))
}

/// The values of many sources, found out in parallel. A file whose digest is not known is read
/// once, and put into the store by the way.
pub fn find_sources(
    plan: &Plan,
    artifacts: Vec<Artifact>,
    files: &FileState,
    store: &Store,
) -> HashMap<Artifact, SourceState> {
    artifacts
        .into_par_iter()
        .map(|artifact| {
            let state = find_source(plan, &artifact, files, store);
            (artifact, state)
        })
        .collect()
}

fn find_source(plan: &Plan, artifact: &Artifact, files: &FileState, store: &Store) -> SourceState {
    let missing = || FailureCause::SourceMissing {
        path: artifact.exec_path().to_owned(),
        label: artifact.owner().clone(),
    };
    let path = source_path(plan, artifact).ok_or_else(missing)?;
    let failed = |error: SharedError| {
        if error.is_absent() {
            missing()
        } else {
            FailureCause::SourceUnreadable { path: error.path.clone(), reason: error.reason() }
        }
    };
    match files.stat(&path).map_err(failed)? {
        FileStat::Absent => Err(missing()),
        FileStat::File { executable, .. } => {
            let blob = find_file(&path, executable, files, store).map_err(failed)?;
            Ok(if artifact.kind() == ArtifactKind::Volatile {
                ArtifactValue::Volatile(blob)
            } else {
                ArtifactValue::File(blob)
            })
        }
        FileStat::Directory => {
            let mut entries = Vec::new();
            let reader = TreeReader { root: &path, files, store };
            reader.read("", 0, false, &mut entries).map_err(failed)?;
            Ok(ArtifactValue::Tree(Arc::new(TreeValue::new(entries))))
        }
        FileStat::Other => Err(FailureCause::SourceUnreadable {
            path,
            reason: "it is neither a file nor a directory".to_owned(),
        }),
    }
}

fn find_file(
    path: &Path,
    executable: bool,
    files: &FileState,
    store: &Store,
) -> Result<Blob, SharedError> {
    if let Some(digest) = files.known_digest(path)? {
        return Ok(Blob { digest, executable });
    }
    let blob = store.copy_in(path, executable)?;
    files.note_digest(path, blob.digest);
    Ok(blob)
}

struct TreeReader<'a> {
    root: &'a Path,
    files: &'a FileState,
    store: &'a Store,
}

impl TreeReader<'_> {
    /// Adds what is in the directory `relative` to `entries`. Below a link that was `followed` all
    /// links are: their texts mean something else where the link was.
    fn read(
        &self,
        relative: &str,
        depth: usize,
        followed: bool,
        entries: &mut Vec<(Arc<str>, TreeEntry)>,
    ) -> Result<(), SharedError> {
        let dir = if relative.is_empty() { self.root.into() } else { self.root.join(relative) };
        if depth > MAX_DEPTH {
            let source = std::io::Error::from_raw_os_error(libc::ELOOP);
            return Err(Arc::new(FileError { operation: "list", path: dir, source }));
        }
        let listing = self.files.list(&dir)?;
        if listing.entries.is_empty() && !relative.is_empty() {
            entries.push((relative.into(), TreeEntry::Directory));
        }
        for entry in &listing.entries {
            let child = crate::label::join(relative, &entry.name);
            let path = self.root.join(&child);
            if entry.is_symlink {
                let text = files::read_link(&path)?;
                if let Some(text) = text.to_str()
                    && !followed
                    && (entry.kind == EntryKind::Absent || stays_inside(&child, text))
                {
                    entries.push((child.into(), TreeEntry::Symlink(text.into())));
                    continue;
                }
            }
            match entry.kind {
                EntryKind::Directory => {
                    self.read(&child, depth + 1, followed || entry.is_symlink, entries)?;
                }
                EntryKind::File => {
                    let FileStat::File { executable, .. } = self.files.stat(&path)? else {
                        continue;
                    };
                    let blob = find_file(&path, executable, self.files, self.store)?;
                    entries.push((child.into(), TreeEntry::File(blob)));
                }
                // Sockets and the like are no content.
                EntryKind::Other | EntryKind::Absent => {}
            }
        }
        Ok(())
    }
}

/// True if a link at `path`, relative to a tree, with this text leads to something in the tree.
pub fn stays_inside(path: &str, text: &str) -> bool {
    let mut depth = path.matches('/').count();
    if text.starts_with('/') {
        return false;
    }
    for segment in text.split('/') {
        match segment {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::{PackageId, RepoName};
    use std::collections::BTreeMap;

    struct Place {
        dir: tempfile::TempDir,
        plan: Plan,
    }

    impl Place {
        fn new() -> Place {
            let dir = tempfile::tempdir().unwrap();
            let repositories = BTreeMap::from([
                (RepoName::main(), dir.path().join("main")),
                (RepoName::new("dep"), dir.path().join("elsewhere")),
            ]);
            Place { plan: Plan::new("ws", repositories), dir }
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn find(&self, repo: &str, path: &str) -> SourceState {
            let files = FileState::open(&self.dir.path().join("files")).unwrap();
            let store =
                Store::open(&self.dir.path().join("cache"), &self.dir.path().join("checked"), "b")
                    .unwrap();
            let repo = if repo.is_empty() { RepoName::main() } else { RepoName::new(repo) };
            let owner = PackageId::new(repo, "").label("x");
            let artifact = Artifact::new(ArtifactKind::SourceFile, Root::Source, path, owner);
            let mut found = find_sources(&self.plan, vec![artifact.clone()], &files, &store);
            let state = found.remove(&artifact).unwrap();
            if let Ok(value) = &state {
                for blob in value.blobs() {
                    assert!(store.take(&blob).unwrap().is_some());
                }
            }
            state
        }
    }

    #[test]
    fn sources_of_each_repository_are_found_and_stored() {
        let place = Place::new();
        place.write("main/pkg/a", "main");
        place.write("elsewhere/pkg/a", "other");
        for (repo, path, text) in [("", "pkg/a", "main"), ("dep", "external/dep/pkg/a", "other")] {
            let digest = crate::digest::Digest::of(text.as_bytes());
            let expected = ArtifactValue::File(Blob { digest, executable: false });
            assert_eq!(place.find(repo, path).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let place = Place::new();
        for (repo, path) in [("", "pkg/a"), ("gone", "external/gone/a")] {
            let state = place.find(repo, path);
            assert!(
                matches!(&state, Err(FailureCause::SourceMissing { path: p, .. }) if p == path),
                "{state:?}"
            );
        }
    }

    #[test]
    fn a_directory_is_a_tree_whose_links_stay_links_inside_it() {
        let place = Place::new();
        place.write("main/d/sub/file", "1");
        place.write("main/outside", "2");
        std::fs::create_dir(place.dir.path().join("main/d/empty")).unwrap();
        for (text, link) in [("sub/file", "in"), ("../outside", "out"), ("gone", "dangling")] {
            std::os::unix::fs::symlink(text, place.dir.path().join("main/d").join(link)).unwrap();
        }
        let Ok(ArtifactValue::Tree(tree)) = place.find("", "d") else { panic!("no tree") };
        let shown: Vec<String> = tree
            .entries
            .iter()
            .map(|(path, entry)| match entry {
                TreeEntry::File(blob) => format!("{path}: {} bytes", blob.digest.size),
                TreeEntry::Symlink(text) => format!("{path} -> {text}"),
                TreeEntry::Directory => format!("{path}/"),
            })
            .collect();
        assert_eq!(
            shown,
            ["dangling -> gone", "empty/", "in -> sub/file", "out: 1 bytes", "sub/file: 1 bytes"]
        );
    }

    #[test]
    fn a_loop_of_links_is_an_error_and_no_hang() {
        let place = Place::new();
        place.write("main/top/d/file", "1");
        std::os::unix::fs::symlink("../../top", place.dir.path().join("main/top/d/up")).unwrap();
        let state = place.find("", "top/d");
        assert!(matches!(state, Err(FailureCause::SourceUnreadable { .. })), "{state:?}");
    }
}
