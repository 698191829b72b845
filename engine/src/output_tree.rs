//! The output tree: the view of built artifacts below `rbz-out`, made of links into the store.
//!
//! What lies there is no source of truth: it can be made again from the state log and the store.
//! A path is put in place by renaming; whatever else is in the way goes. Symbolic links in the
//! middle of a path are never followed, so that nothing outside the tree is ever written.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::artifact_value::{ArtifactValue, Blob, TreeEntry, TreeValue};
use crate::files::{self, FileError, FileResult, Kind, Stamp};
use crate::state_log::OutputState;
use crate::store::{BLOB_DATE, Store};

/// How a file or directory was left: the same again means that nobody touched it since.
///
/// The change time is not in it, since another link to the same blob changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    inode: u64,
    mtime: i64,
    /// Zero for directories, whose size says nothing.
    size: u64,
}

impl Placed {
    pub(crate) fn new(kind: Kind, stamp: &Stamp) -> Placed {
        let size = if kind == Kind::Directory { 0 } else { stamp.size };
        Placed { inode: stamp.inode, mtime: stamp.mtime, size }
    }
}

/// Why an artifact could not be put in its place.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// The machine is at fault.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its bytes are not in the store any more.
    #[error("the store has lost {}", .0.digest)]
    Lost(Blob),
}

/// The output tree of one workspace.
#[derive(Debug)]
pub struct OutputTree {
    exec_root: PathBuf,
    temporary: PathBuf,
    next_temporary: AtomicU64,
    /// Directories that are known to be there, and to be no links.
    directories: RwLock<HashSet<PathBuf>>,
}

impl OutputTree {
    /// The tree below `exec_root`. `temporary` is a directory of its own in the same file system,
    /// which is emptied.
    pub fn open(exec_root: &Path, temporary: &Path) -> FileResult<OutputTree> {
        files::remove_all(temporary)?;
        files::create_dirs(temporary)?;
        files::create_dirs(exec_root)?;
        Ok(OutputTree {
            exec_root: exec_root.to_owned(),
            temporary: temporary.to_owned(),
            next_temporary: AtomicU64::new(0),
            directories: RwLock::default(),
        })
    }

    /// Where an artifact lies, given its exec path.
    pub fn path(&self, exec_path: &str) -> PathBuf {
        self.exec_root.join(exec_path)
    }

    /// True if what is at `exec_path` is as it was left by [`OutputTree::place`].
    pub fn is_intact(&self, exec_path: &str, value: &ArtifactValue, placed: &[Placed]) -> bool {
        let path = self.path(exec_path);
        let mut expected = placed.iter();
        let mut same = |relative: &str| {
            let path = if relative.is_empty() { path.clone() } else { path.join(relative) };
            let found = files::stat(&path, false).ok().flatten();
            let found = found.map(|(kind, stamp)| Placed::new(kind, &stamp));
            found.is_some() && found.as_ref() == expected.next()
        };
        match value {
            ArtifactValue::File(_) | ArtifactValue::Volatile(_) | ArtifactValue::Symlink(_) => {
                same("")
            }
            ArtifactValue::Tree(tree) => tree_paths(tree).into_iter().all(same),
            ArtifactValue::RunfilesTree(_) => true,
        }
    }

    /// True if what is at `exec_path` has the bytes of `value`. Reads them.
    pub fn is_equal(&self, exec_path: &str, value: &ArtifactValue) -> bool {
        let path = self.path(exec_path);
        match value {
            ArtifactValue::File(blob) | ArtifactValue::Volatile(blob) => has_bytes(&path, blob),
            ArtifactValue::Symlink(text) => has_text(&path, text),
            ArtifactValue::Tree(tree) => tree.entries.iter().all(|(relative, entry)| {
                let path = path.join(&**relative);
                match entry {
                    TreeEntry::File(blob) => has_bytes(&path, blob),
                    TreeEntry::Symlink(text) => has_text(&path, text),
                    TreeEntry::Directory => true,
                }
            }),
            ArtifactValue::RunfilesTree(_) => true,
        }
    }

    /// Puts an artifact in its place, whatever is there now.
    pub fn place(
        &self,
        exec_path: &str,
        value: &ArtifactValue,
        store: &Store,
    ) -> Result<Vec<Placed>, PlaceError> {
        let path = self.path(exec_path);
        match value {
            ArtifactValue::File(blob) | ArtifactValue::Volatile(blob) => {
                let source = store.take(blob)?.ok_or(PlaceError::Lost(*blob))?;
                let wanted = files::stat(&source, false)?.map(|(_, stamp)| stamp.inode);
                let there = files::stat(&path, false)?.map(|(_, stamp)| stamp.inode);
                if wanted.is_none() || wanted != there {
                    let temporary = self.temporary_path();
                    link_or_copy(&source, &temporary, blob)?;
                    self.put(&temporary, &path)?;
                }
            }
            ArtifactValue::Symlink(text) => {
                if !has_text(&path, text) {
                    let temporary = self.temporary_path();
                    files::symlink(text, &temporary)?;
                    self.put(&temporary, &path)?;
                }
            }
            ArtifactValue::Tree(tree) => {
                let temporary = self.temporary_path();
                for directory in tree.directories() {
                    files::create_dirs(&temporary.join(directory))?;
                }
                for (relative, entry) in &tree.entries {
                    let to = temporary.join(&**relative);
                    match entry {
                        TreeEntry::File(blob) => {
                            let source = store.take(blob)?.ok_or(PlaceError::Lost(*blob))?;
                            link_or_copy(&source, &to, blob)?;
                        }
                        TreeEntry::Symlink(text) => files::symlink(text, &to)?,
                        TreeEntry::Directory => {}
                    }
                }
                self.put(&temporary, &path)?;
                let mut placed = Vec::new();
                for relative in tree_paths(tree) {
                    let child = path.join(relative);
                    let child = if relative.is_empty() { &path } else { &child };
                    placed.extend(placed_at(child)?);
                }
                return Ok(placed);
            }
            ArtifactValue::RunfilesTree(_) => return Ok(Vec::new()),
        }
        Ok(placed_at(&path)?.into_iter().collect())
    }

    /// Removes what is at `exec_path`.
    pub fn remove(&self, exec_path: &str) -> FileResult<()> {
        let path = self.path(exec_path);
        self.forget_below(&path);
        files::remove_all(&path)
    }

    /// Makes a directory of symbolic links (relative path -> text) with a `MANIFEST` that lists
    /// them; does nothing if it is there already.
    pub fn place_links(
        &self,
        exec_path: &str,
        links: &BTreeMap<String, PathBuf>,
    ) -> FileResult<()> {
        let path = self.path(exec_path);
        let mut manifest = String::new();
        for (relative, target) in links {
            manifest += &format!("{relative} {}\n", target.display());
        }
        if has_links(&path, links, &manifest) {
            return Ok(());
        }
        let temporary = self.temporary_path();
        files::create_dirs(&temporary)?;
        for (relative, target) in links {
            let link = temporary.join(relative);
            if let Some(parent) = link.parent() {
                files::create_dirs(parent)?;
            }
            files::symlink(&target.to_string_lossy(), &link)?;
        }
        let mut file = files::create_new(&temporary.join("MANIFEST"))?;
        files::write_all(&mut file, &temporary.join("MANIFEST"), manifest.as_bytes())?;
        files::set_mode(&temporary.join("MANIFEST"), 0o444)?;
        self.put(&temporary, &path)
    }

    fn temporary_path(&self) -> PathBuf {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        self.temporary.join(number.to_string())
    }

    /// Moves what is at `temporary` to `path`. On failure nothing is left at either.
    fn put(&self, temporary: &Path, path: &Path) -> FileResult<()> {
        let result = self.try_put(temporary, path);
        if result.is_err() {
            // What went wrong first is what counts.
            let _ = files::remove_all(temporary);
        }
        result
    }

    fn try_put(&self, temporary: &Path, path: &Path) -> FileResult<()> {
        if let Some(parent) = path.parent() {
            self.make_directory(parent)?;
        }
        let is_directory =
            |path| Ok(matches!(files::stat(path, false)?, Some((Kind::Directory, _))));
        if is_directory(path)? || is_directory(temporary)? {
            // A directory cannot be replaced by renaming: what is there moves out of the way.
            if files::stat(path, false)?.is_some() {
                self.forget_below(path);
                let old = self.temporary_path();
                files::rename(path, &old)?;
                files::rename(temporary, path)?;
                return files::remove_all(&old);
            }
        }
        files::rename(temporary, path)?;
        // Renaming one name of a file onto another name of it does nothing at all.
        files::remove_file(temporary)
    }

    /// Makes the directory at `path`, in the tree, real: no file and no link is in the way.
    fn make_directory(&self, path: &Path) -> FileResult<()> {
        if path == self.exec_root
            || !path.starts_with(&self.exec_root)
            || self.directories().contains(path)
        {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_directory(parent)?;
        }
        match files::stat(path, false)? {
            Some((Kind::Directory, _)) => {}
            other => {
                if other.is_some() {
                    files::remove_file(path)?;
                }
                files::create_dirs(path)?;
            }
        }
        self.directories.write().unwrap_or_else(|p| p.into_inner()).insert(path.to_owned());
        Ok(())
    }

    fn directories(&self) -> std::sync::RwLockReadGuard<'_, HashSet<PathBuf>> {
        // The set is whole even if a thread panicked while it held the lock.
        self.directories.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn forget_below(&self, path: &Path) {
        let mut directories = self.directories.write().unwrap_or_else(|p| p.into_inner());
        if directories.contains(path) {
            directories.retain(|directory| !directory.starts_with(path));
        }
    }
}

/// The paths whose state shows that a tree is as it was left, the tree's own (empty) first.
fn tree_paths(tree: &TreeValue) -> Vec<&str> {
    let mut paths = tree.directories();
    paths.extend(tree.files().map(|path| &**path));
    paths
}

/// The paths of an output that was put into the tree below `exec_root`, and how each was left.
pub(crate) fn placed_paths(exec_root: &Path, output: &OutputState) -> Vec<(PathBuf, Placed)> {
    let path = exec_root.join(&*output.path);
    let paths = match &output.value {
        ArtifactValue::Tree(tree) => tree_paths(tree)
            .into_iter()
            .map(|relative| if relative.is_empty() { path.clone() } else { path.join(relative) })
            .collect(),
        _ => vec![path],
    };
    paths.into_iter().zip(output.placed.iter().copied()).collect()
}

fn placed_at(path: &Path) -> FileResult<Option<Placed>> {
    Ok(files::stat(path, false)?.map(|(kind, stamp)| Placed::new(kind, &stamp)))
}

fn has_bytes(path: &Path, blob: &Blob) -> bool {
    matches!(
        files::stat(path, false),
        Ok(Some((Kind::File { executable, .. }, stamp)))
            if executable == blob.executable && stamp.size == blob.digest.size
    ) && files::digest(path).is_ok_and(|digest| digest == blob.digest)
}

fn has_text(path: &Path, text: &str) -> bool {
    matches!(files::stat(path, false), Ok(Some((Kind::Symlink, _))))
        && files::read_link(path).is_ok_and(|found| found.as_os_str() == text)
}

fn has_links(path: &Path, links: &BTreeMap<String, PathBuf>, manifest: &str) -> bool {
    // The manifest is compared first: it differs in most cases in which something does.
    files::read(&path.join("MANIFEST")).is_ok_and(|bytes| bytes == manifest.as_bytes())
        && links
            .iter()
            .all(|(relative, target)| has_text(&path.join(relative), &target.to_string_lossy()))
}

/// Makes `to` the same as a blob: by a link, or a copy where the system does not link (another
/// file system, or as many links as it allows).
fn link_or_copy(blob_path: &Path, to: &Path, blob: &Blob) -> FileResult<()> {
    if files::hard_link(blob_path, to).is_ok() {
        return Ok(());
    }
    let bytes = files::read(blob_path)?;
    let mut file = files::create_new(to)?;
    files::write_all(&mut file, to, &bytes)?;
    files::set_mtime(to, BLOB_DATE)?;
    files::set_mode(to, if blob.executable { 0o555 } else { 0o444 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    struct Place {
        dir: tempfile::TempDir,
        store: Store,
        tree: OutputTree,
    }

    impl Place {
        fn new() -> Place {
            let dir = tempfile::tempdir().unwrap();
            let store =
                Store::open(&dir.path().join("cache"), &dir.path().join("checked"), "b").unwrap();
            let tree = OutputTree::open(&dir.path().join("root"), &dir.path().join("tmp")).unwrap();
            Place { dir, store, tree }
        }

        fn file(&self, text: &str) -> ArtifactValue {
            ArtifactValue::File(self.store.put(text.as_bytes(), true).unwrap())
        }

        fn place(&self, path: &str, value: &ArtifactValue) -> Vec<Placed> {
            self.tree.place(path, value, &self.store).unwrap()
        }

        fn read(&self, path: &str) -> String {
            std::fs::read_to_string(self.tree.path(path)).unwrap()
        }

        fn nothing_is_left_over(&self) -> bool {
            std::fs::read_dir(self.dir.path().join("tmp")).unwrap().next().is_none()
        }
    }

    #[test]
    fn placing_again_changes_nothing() {
        let place = Place::new();
        let value = place.file("x");
        let placed = place.place("out/a/b", &value);
        assert_eq!(place.place("out/a/b", &value), placed);
        assert!(place.tree.is_intact("out/a/b", &value, &placed));
        assert!(place.nothing_is_left_over());
    }

    #[test]
    fn kinds_replace_each_other() {
        let place = Place::new();
        let tree = ArtifactValue::Tree(Arc::new(TreeValue::new(vec![(
            "sub/file".into(),
            TreeEntry::File(place.store.put(b"in tree", true).unwrap()),
        )])));
        let values =
            [place.file("one"), tree, ArtifactValue::Symlink("gone".into()), place.file("two")];
        for from in &values {
            for to in &values {
                place.place("out/x", from);
                let placed = place.place("out/x", to);
                assert!(place.tree.is_intact("out/x", to, &placed), "{from:?} -> {to:?}");
                assert!(place.tree.is_equal("out/x", to), "{from:?} -> {to:?}");
            }
        }
        assert!(place.nothing_is_left_over());
    }

    #[test]
    fn a_file_where_a_directory_must_be_goes_away_and_back() {
        let place = Place::new();
        place.place("out/a", &place.file("file"));
        place.place("out/a/b/c", &place.file("below"));
        assert_eq!(place.read("out/a/b/c"), "below");
        place.place("out/a", &place.file("file"));
        assert_eq!(place.read("out/a"), "file");
        place.place("out/a/b/c", &place.file("below"));
        assert_eq!(place.read("out/a/b/c"), "below");
    }

    #[test]
    fn a_stale_link_leads_nobody_out_of_the_tree() {
        let place = Place::new();
        let outside = place.dir.path().join("home");
        std::fs::create_dir(&outside).unwrap();
        place.place("out/dir", &ArtifactValue::Symlink(outside.to_str().unwrap().into()));
        place.place("out/dir/file", &place.file("x"));
        assert!(std::fs::read_dir(&outside).unwrap().next().is_none());
        assert_eq!(place.read("out/dir/file"), "x");
    }

    #[test]
    fn what_somebody_did_to_it_shows() {
        let place = Place::new();
        let file = place.file("text");
        let tree = ArtifactValue::Tree(Arc::new(TreeValue::new(vec![(
            "d/f".into(),
            TreeEntry::File(place.store.put(b"leaf", true).unwrap()),
        )])));
        let placed = place.place("out/file", &file);
        let placed_tree = place.place("out/tree", &tree);
        assert!(place.tree.is_intact("out/tree", &tree, &placed_tree));
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(place.tree.path("out/tree/d/new"), "").unwrap();
        assert!(!place.tree.is_intact("out/tree", &tree, &placed_tree));
        let placed_tree = place.place("out/tree", &tree);
        assert!(!place.tree.path("out/tree/d/new").exists());
        std::fs::remove_file(place.tree.path("out/tree/d/f")).unwrap();
        assert!(!place.tree.is_intact("out/tree", &tree, &placed_tree));
        std::fs::remove_file(place.tree.path("out/file")).unwrap();
        assert!(!place.tree.is_intact("out/file", &file, &placed));
        std::fs::write(place.tree.path("out/file"), "mine").unwrap();
        assert!(!place.tree.is_intact("out/file", &file, &placed));
        place.place("out/file", &file);
        assert_eq!(place.read("out/file"), "text");
    }

    #[test]
    fn a_lost_blob_is_said_to_be_lost() {
        let place = Place::new();
        let blob = Blob { digest: crate::digest::Digest::of(b"never there"), executable: true };
        let error = place.tree.place("out/x", &ArtifactValue::File(blob), &place.store);
        assert!(matches!(error, Err(PlaceError::Lost(lost)) if lost == blob));
    }

    #[test]
    fn links_are_made_once_and_made_again_when_touched() {
        let place = Place::new();
        let links = BTreeMap::from([
            ("ws/a/b".to_owned(), PathBuf::from("/nowhere/b")),
            ("repo/c".to_owned(), PathBuf::from("/nowhere/c")),
        ]);
        place.tree.place_links("out/x.runfiles", &links).unwrap();
        assert_eq!(place.read("out/x.runfiles/MANIFEST"), "repo/c /nowhere/c\nws/a/b /nowhere/b\n");
        let link = place.tree.path("out/x.runfiles/ws/a/b");
        let before = files::stat(&link, false).unwrap();
        place.tree.place_links("out/x.runfiles", &links).unwrap();
        assert_eq!(files::stat(&link, false).unwrap(), before);
        std::fs::remove_file(&link).unwrap();
        place.tree.place_links("out/x.runfiles", &links).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("/nowhere/b"));
    }
}
