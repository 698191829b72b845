//! Trees: directories filled with links to files of the store, edited by differences.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::sys::stat::{
    FchmodatFlags, Mode, UtimensatFlags, fchmod, fchmodat, futimens, mkdirat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{LinkatFlags, UnlinkatFlags, linkat, symlinkat, unlinkat};
use thiserror::Error;

use crate::paths::{is_plain, parent};
use crate::store::BLOB_DATE;
use crate::strategy::{StagedContent, StagedInput, StrategyError};

/// What could not be staged.
#[derive(Debug, Error)]
pub enum TreeError {
    /// A path that leads out of the tree or is none.
    #[error("`{0}` is no path that an input can have")]
    BadPath(String),
    /// The system refused.
    #[error("stage `{path}`: {reason}")]
    System {
        /// Path in the tree.
        path: String,
        /// The system's answer.
        reason: String,
    },
}

impl TreeError {
    /// As the failure of a strategy.
    pub fn into_strategy_error(self) -> StrategyError {
        StrategyError { what: "stage the inputs of a process".into(), reason: self.to_string() }
    }
}

/// How files get into a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staging {
    /// As further names of the store's files, or as copies where that is not possible. Only for
    /// trees that nobody can write to.
    Links,
    /// As copies.
    Copies,
}

/// A directory whose content is known and changed only here.
#[derive(Debug)]
pub struct Tree {
    /// All operations are relative to it: paths may be as long as the system allows, however
    /// long the path of the tree itself is.
    root: OwnedFd,
    staging: Staging,
    /// What it holds, sorted by path.
    inputs: Vec<StagedInput>,
    /// Every directory except the root, with the number of things that need it: its children,
    /// and itself if it is an input.
    directories: HashMap<Box<str>, u32>,
    /// How many files and links have been made, since ever.
    made: u64,
}

/// A step from one content of a tree to another.
enum Change<'a> {
    Remove(&'a StagedInput),
    Replace(&'a StagedInput),
    Add(&'a StagedInput),
}

impl Tree {
    /// The tree at `path`, an empty directory.
    pub fn new(path: &Path, staging: Staging) -> Result<Tree, TreeError> {
        let failed = |errno: Errno| system(&path.to_string_lossy(), errno);
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open(path, flags, Mode::empty()).map_err(failed)?;
        fchmod(&root, Mode::from_bits_truncate(0o755)).map_err(failed)?;
        let time = TimeSpec::new(BLOB_DATE, 0);
        futimens(&root, &time, &time).map_err(failed)?;
        Ok(Tree { root, staging, inputs: vec![], directories: HashMap::new(), made: 0 })
    }

    /// How many files and links were made in it so far.
    #[cfg(test)]
    fn made(&self) -> u64 {
        self.made
    }

    /// Whether it holds just that.
    pub fn holds(&self, inputs: &[StagedInput]) -> bool {
        is_same_list(&self.inputs, inputs)
    }

    /// How many steps lead from what it holds to `inputs`.
    pub fn distance(&self, inputs: &[StagedInput]) -> usize {
        changes(&self.inputs, inputs).count()
    }

    /// Makes it hold `inputs`, which are sorted by path, and nothing else. After an error its
    /// content is not known.
    pub fn update(&mut self, inputs: &[StagedInput]) -> Result<(), TreeError> {
        if is_same_list(&self.inputs, inputs) {
            return Ok(());
        }
        let before = std::mem::take(&mut self.inputs);
        let changes: Vec<Change> = changes(&before, inputs).collect();
        let mut touched = HashSet::new();
        // Removals first: what was a directory may become a file.
        for change in changes.iter().rev() {
            match change {
                Change::Remove(input) => self.remove(input, &mut touched)?,
                Change::Replace(input) => self.unlink(&input.path)?,
                Change::Add(_) => {}
            }
        }
        for change in &changes {
            if let Change::Add(input) | Change::Replace(input) = change {
                let replaces = matches!(change, Change::Replace(_));
                self.add(input, replaces, &mut touched)?;
            }
        }
        for directory in touched {
            self.set_directory_time(directory)?;
        }
        self.inputs = inputs.to_vec();
        Ok(())
    }

    /// Writes a small file that comes from no store. It is no input: [`Tree::update`] does not
    /// remove it, and its directories stay.
    pub fn write(&mut self, path: &str, content: &[u8]) -> Result<(), TreeError> {
        let mut touched = HashSet::new();
        self.need_parents(path, &mut touched)?;
        self.copy(&mut &*content, path, false)?;
        touched.insert(parent(path));
        touched.into_iter().try_for_each(|directory| self.set_directory_time(directory))
    }

    /// Makes a directory that is no input, and stays.
    pub fn make_directory(&mut self, path: &str) -> Result<(), TreeError> {
        let mut touched = HashSet::new();
        self.need_directory(path, &mut touched)?;
        touched.into_iter().try_for_each(|directory| self.set_directory_time(directory))
    }

    fn add<'a>(
        &mut self,
        input: &'a StagedInput,
        replaces: bool,
        touched: &mut HashSet<&'a str>,
    ) -> Result<(), TreeError> {
        let path = &*input.path;
        if !is_plain(path) {
            return Err(TreeError::BadPath(path.to_owned()));
        }
        if input.content == StagedContent::Directory {
            return self.need_directory(path, touched);
        }
        if !replaces {
            self.need_parents(path, touched)?;
        }
        touched.insert(parent(path));
        self.made += 1;
        match &input.content {
            StagedContent::Symlink(target) => {
                symlinkat(&**target, &self.root, path).map_err(|errno| system(path, errno))?;
                let time = TimeSpec::new(BLOB_DATE, 0);
                utimensat(&self.root, path, &time, &time, UtimensatFlags::NoFollowSymlink)
                    .map_err(|errno| system(path, errno))
            }
            StagedContent::Blob { store_path, executable } => {
                self.add_file(path, store_path, *executable)
            }
            StagedContent::Directory => Ok(()),
        }
    }

    fn add_file(&self, path: &str, store_path: &Path, executable: bool) -> Result<(), TreeError> {
        if self.staging == Staging::Links {
            match linkat(AT_FDCWD, store_path, &self.root, path, LinkatFlags::empty()) {
                Ok(()) => return Ok(()),
                // Another file system, too many links, or a file system that has no links.
                Err(Errno::EXDEV | Errno::EMLINK | Errno::EPERM | Errno::EOPNOTSUPP) => {}
                Err(errno) => return Err(system(path, errno)),
            }
        }
        let mut from = File::open(store_path).map_err(|error| TreeError::System {
            path: store_path.to_string_lossy().into_owned(),
            reason: error.to_string(),
        })?;
        self.copy(&mut from, path, executable)
    }

    fn copy(&self, from: &mut dyn io::Read, path: &str, executable: bool) -> Result<(), TreeError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(if executable { 0o555 } else { 0o444 });
        let fd = openat(&self.root, path, flags, Mode::from_bits_truncate(0o600))
            .map_err(|errno| system(path, errno))?;
        let mut to = File::from(fd);
        io::copy(from, &mut to).map_err(|error| TreeError::System {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let time = TimeSpec::new(BLOB_DATE, 0);
        fchmod(to.as_fd(), mode)
            .and_then(|()| futimens(to.as_fd(), &time, &time))
            .map_err(|errno| system(path, errno))
    }

    fn remove<'a>(
        &mut self,
        input: &'a StagedInput,
        touched: &mut HashSet<&'a str>,
    ) -> Result<(), TreeError> {
        if input.content == StagedContent::Directory {
            return self.release(&input.path, touched);
        }
        self.unlink(&input.path)?;
        touched.insert(parent(&input.path));
        self.release(parent(&input.path), touched)
    }

    fn unlink(&self, path: &str) -> Result<(), TreeError> {
        unlinkat(&self.root, path, UnlinkatFlags::NoRemoveDir).map_err(|errno| system(path, errno))
    }

    /// One thing less needs `directory`.
    fn release<'a>(
        &mut self,
        mut directory: &'a str,
        touched: &mut HashSet<&'a str>,
    ) -> Result<(), TreeError> {
        while !directory.is_empty() {
            let Some(count) = self.directories.get_mut(directory) else { break };
            *count -= 1;
            if *count > 0 {
                break;
            }
            self.directories.remove(directory);
            unlinkat(&self.root, directory, UnlinkatFlags::RemoveDir)
                .map_err(|errno| system(directory, errno))?;
            touched.remove(directory);
            directory = parent(directory);
            touched.insert(directory);
        }
        Ok(())
    }

    fn need_parents<'a>(
        &mut self,
        path: &'a str,
        touched: &mut HashSet<&'a str>,
    ) -> Result<(), TreeError> {
        match parent(path) {
            "" => Ok(()),
            directory => self.need_directory(directory, touched),
        }
    }

    /// One thing more needs `directory`.
    fn need_directory<'a>(
        &mut self,
        directory: &'a str,
        touched: &mut HashSet<&'a str>,
    ) -> Result<(), TreeError> {
        // From the innermost that exists on, without recursion: paths can be very deep.
        let mut missing = Vec::new();
        let mut at = directory;
        while !at.is_empty() {
            if let Some(count) = self.directories.get_mut(at) {
                *count += 1;
                break;
            }
            missing.push(at);
            at = parent(at);
        }
        for directory in missing.into_iter().rev() {
            mkdirat(&self.root, directory, Mode::from_bits_truncate(0o755))
                // Whatever the user's umask: processes see the same mode everywhere.
                .and_then(|()| {
                    let mode = Mode::from_bits_truncate(0o755);
                    fchmodat(&self.root, directory, mode, FchmodatFlags::FollowSymlink)
                })
                .map_err(|errno| system(directory, errno))?;
            self.directories.insert(directory.into(), 1);
            touched.insert(directory);
            touched.insert(parent(directory));
        }
        Ok(())
    }

    fn set_directory_time(&self, directory: &str) -> Result<(), TreeError> {
        let time = TimeSpec::new(BLOB_DATE, 0);
        let done = match directory {
            "" => futimens(&self.root, &time, &time),
            directory => {
                let follow = UtimensatFlags::NoFollowSymlink;
                utimensat(&self.root, directory, &time, &time, follow)
            }
        };
        done.map_err(|errno| system(directory, errno))
    }
}

fn system(path: &str, errno: Errno) -> TreeError {
    TreeError::System { path: path.to_owned(), reason: io::Error::from(errno).to_string() }
}

/// Whether two lists stage the same tree.
pub fn is_same_list(a: &[StagedInput], b: &[StagedInput]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same_input(a, b))
}

/// Whether two inputs are staged alike.
pub fn is_same_input(a: &StagedInput, b: &StagedInput) -> bool {
    is_same_path(&a.path, &b.path) && is_same(&a.content, &b.content)
}

/// Equality of what most often is one and the same text: lists of inputs share their parts.
fn is_same_path(a: &Arc<str>, b: &Arc<str>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// Equality that compares paths as bytes, which is many times faster than part by part.
fn is_same(a: &StagedContent, b: &StagedContent) -> bool {
    match (a, b) {
        (
            StagedContent::Blob { store_path: a, executable: a_runs },
            StagedContent::Blob { store_path: b, executable: b_runs },
        ) => a_runs == b_runs && (Arc::ptr_eq(a, b) || a.as_os_str() == b.as_os_str()),
        (a, b) => a == b,
    }
}

/// The steps from one sorted list to another.
fn changes<'a>(old: &'a [StagedInput], new: &'a [StagedInput]) -> impl Iterator<Item = Change<'a>> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut pending = None;
    std::iter::from_fn(move || {
        loop {
            if let Some(change) = pending.take() {
                return Some(change);
            }
            let order = match (old.peek(), new.peek()) {
                (None, None) => return None,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(old), Some(new)) if Arc::ptr_eq(&old.path, &new.path) => {
                    std::cmp::Ordering::Equal
                }
                (Some(old), Some(new)) => old.path.as_bytes().cmp(new.path.as_bytes()),
            };
            match order {
                std::cmp::Ordering::Less => return old.next().map(Change::Remove),
                std::cmp::Ordering::Greater => return new.next().map(Change::Add),
                std::cmp::Ordering::Equal => {
                    let (Some(old), Some(new)) = (old.next(), new.next()) else { return None };
                    if is_same(&old.content, &new.content) {
                        continue;
                    }
                    let is_directory =
                        |input: &StagedInput| input.content == StagedContent::Directory;
                    if is_directory(old) || is_directory(new) {
                        pending = Some(Change::Add(new));
                        return Some(Change::Remove(old));
                    }
                    return Some(Change::Replace(new));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    struct Store(tempfile::TempDir);

    impl Store {
        fn new() -> Store {
            let store = Store(tempfile::tempdir().unwrap());
            fs::create_dir(store.tree()).unwrap();
            store
        }

        fn tree(&self) -> PathBuf {
            self.0.path().join("tree")
        }

        fn file(&self, path: &str, content: &str) -> StagedInput {
            let store_path = self.0.path().join(content);
            if !store_path.exists() {
                fs::write(&store_path, content).unwrap();
            }
            let content = StagedContent::Blob { store_path: store_path.into(), executable: false };
            StagedInput { path: path.into(), content }
        }
    }

    #[test]
    fn only_the_difference_is_linked() {
        let store = Store::new();
        let mut tree = Tree::new(&store.tree(), Staging::Links).unwrap();
        let path = |number: usize| format!("p{:03}/f{number}", number / 50);
        let mut inputs: Vec<_> = (0..5000).map(|number| store.file(&path(number), "x")).collect();
        inputs.sort_by(|a, b| a.path.cmp(&b.path));
        tree.update(&inputs).unwrap();
        assert_eq!(tree.made(), 5000);
        tree.update(&inputs).unwrap();
        assert_eq!(tree.made(), 5000);

        inputs[7] = store.file(&inputs[7].path.clone(), "other");
        inputs.remove(100);
        let added = store.file("zzz/new", "x");
        inputs.push(added);
        assert_eq!(tree.distance(&inputs), 3);
        tree.update(&inputs).unwrap();
        assert_eq!(tree.made(), 5002);
        assert_eq!(fs::read_to_string(store.tree().join(&*inputs[7].path)).unwrap(), "other");
    }

    #[test]
    fn links_are_files_of_the_store_and_copies_are_not() {
        for (staging, shared) in [(Staging::Links, true), (Staging::Copies, false)] {
            let store = Store::new();
            let input = store.file("a/b", "content");
            let mut tree = Tree::new(&store.tree(), staging).unwrap();
            tree.update(std::slice::from_ref(&input)).unwrap();
            let there = fs::metadata(store.tree().join("a/b")).unwrap();
            let stored = fs::metadata(store.0.path().join("content")).unwrap();
            assert_eq!(there.ino() == stored.ino(), shared);
            if !shared {
                assert_eq!((there.mtime(), there.mode() & 0o777), (BLOB_DATE, 0o444));
            }
            assert_eq!(fs::metadata(store.tree().join("a")).unwrap().mtime(), BLOB_DATE);
            assert_eq!(fs::metadata(store.tree()).unwrap().mtime(), BLOB_DATE);
        }
    }

    #[test]
    fn a_file_with_too_many_names_is_copied() {
        let store = Store::new();
        let mut inputs = vec![];
        // What ext4 allows for one file is 65,000; other file systems allow more or less.
        for number in 0..70_000 {
            inputs.push(store.file(&format!("f{number:06}"), "x"));
        }
        let mut tree = Tree::new(&store.tree(), Staging::Links).unwrap();
        tree.update(&inputs).unwrap();
        for path in ["f000000", "f069999"] {
            assert_eq!(fs::read_to_string(store.tree().join(path)).unwrap(), "x");
        }
    }

    #[test]
    fn directories_go_with_their_last_file() {
        let store = Store::new();
        let mut tree = Tree::new(&store.tree(), Staging::Links).unwrap();
        let directory = StagedInput { path: "d".into(), content: StagedContent::Directory };
        let all = [
            store.file("a/b/c/d", "x"),
            store.file("a/e", "x"),
            directory.clone(),
            store.file("d/f", "x"),
        ];
        tree.update(&all).unwrap();
        tree.update(&[store.file("a/e", "x"), directory]).unwrap();
        assert!(!store.tree().join("a/b").exists());
        assert!(store.tree().join("a/e").exists() && store.tree().join("d").is_dir());
        tree.update(&[]).unwrap();
        assert_eq!(fs::read_dir(store.tree()).unwrap().count(), 0);
    }
}
