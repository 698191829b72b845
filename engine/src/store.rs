//! The store: every file that a build reads or makes, once, by the digest of its bytes.
//!
//! A blob is a file that is never changed: `cas/<2 digits>/<64 digits>` below the disk cache, and
//! `cas-x/…` for its twin that can be run (a mode belongs to the file and not to its name, so the
//! two cannot be one). Blobs appear by renaming, whole. All have one date. A blob is read and
//! checked when it is taken for the first time; which file was checked is remembered, for as long
//! as the machine runs: after a power loss a renamed file may be empty.
//!
//! Several processes may use a store at the same time. Each holds a shared lock while it does.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, RwLock};

use serde::{Deserialize, Serialize};

use crate::artifact_value::Blob;
use crate::digest::{Digest, Hasher};
use crate::files::{self, FileResult, Kind, Stamp};
use crate::record_log::{self, RecordLog};

/// The date of every file of the store, and so of every input and of every directory that a process
/// sees: 2020-01-01, in seconds.
pub const BLOB_DATE: i64 = 1_577_836_800;

/// The store below one disk cache.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    temporary: PathBuf,
    next_temporary: AtomicU64,
    lock: File,
    checked: Mutex<Checked>,
    /// Blobs that were taken or put by this process: nothing removes them while it has the lock.
    present: RwLock<HashSet<Blob>>,
}

/// Which files were checked, by their inodes.
#[derive(Debug)]
struct Checked {
    log: RecordLog,
    rows: HashMap<Blob, u64>,
    total: usize,
    unwritten: Vec<CheckedRow>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CheckedRow {
    blob: Blob,
    inode: u64,
}

impl Store {
    /// Opens the store below `root`. What this workspace has checked is kept in the log at
    /// `checked`, for as long as the machine's `boot` is the same.
    pub fn open(root: &Path, checked: &Path, boot: &str) -> FileResult<Store> {
        files::create_dirs(root)?;
        let lock_path = root.join("lock");
        let lock = files::open_append(&lock_path)?;
        let temporary = root.join("tmp");
        if files::lock(&lock, &lock_path, true, false)? {
            // Nobody else is here: what lies there was left by processes that were killed.
            files::remove_all(&temporary)?;
        }
        files::lock(&lock, &lock_path, false, true)?;
        files::create_dirs(&temporary)?;

        let mut rows = HashMap::new();
        let mut total = 0;
        let log = RecordLog::open(checked, &format!("rbz checked blobs 1 {boot}"), |record| {
            total += 1;
            if let Ok(row) = postcard::from_bytes::<CheckedRow>(record) {
                rows.insert(row.blob, row.inode);
            }
        })?;
        Ok(Store {
            root: root.to_owned(),
            temporary,
            next_temporary: AtomicU64::new(0),
            lock,
            checked: Mutex::new(Checked { log, rows, total, unwritten: Vec::new() }),
            present: RwLock::default(),
        })
    }

    /// The directory of the disk cache.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a blob lies, if it is there.
    pub fn path(&self, blob: &Blob) -> PathBuf {
        let hex = blob.digest.to_hex();
        let dir = if blob.executable { "cas-x" } else { "cas" };
        self.root.join(dir).join(&hex[..2]).join(hex)
    }

    /// A path in the store's file system that nothing has.
    pub fn temporary_path(&self) -> PathBuf {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        self.temporary.join(format!("{}-{number}", std::process::id()))
    }

    /// Puts in a file made of `bytes`.
    pub fn put(&self, bytes: &[u8], executable: bool) -> FileResult<Blob> {
        let blob = Blob { digest: Digest::of(bytes), executable };
        if self.is_here(&blob)? {
            return Ok(blob);
        }
        let temporary = self.temporary_path();
        let written = files::create_new(&temporary)
            .and_then(|mut file| files::write_all(&mut file, &temporary, bytes));
        self.finish(&temporary, written.map(|()| blob))
    }

    /// Puts in a copy of a file that belongs to somebody else: read once, hashed and copied.
    pub fn copy_in(&self, path: &Path, executable: bool) -> FileResult<Blob> {
        let temporary = self.temporary_path();
        let digest = copy_and_hash(path, &temporary);
        self.finish(&temporary, digest.map(|digest| Blob { digest, executable }))
    }

    /// Puts in a file by moving it here. The file is gone from `path` afterwards, or is one that
    /// has other names too and was copied.
    pub fn move_in(&self, path: &Path, executable: bool) -> FileResult<Blob> {
        if let Some((Kind::File { links: 1, .. }, _)) = files::stat(path, false)? {
            let temporary = self.temporary_path();
            // Between file systems it is copied; other faults show there again.
            if files::rename(path, &temporary).is_ok() {
                // So that it can be read whatever mode its maker gave it.
                let digest =
                    files::set_mode(&temporary, 0o600).and_then(|()| files::digest(&temporary));
                return self.finish(&temporary, digest.map(|digest| Blob { digest, executable }));
            }
        }
        self.copy_in(path, executable)
    }

    /// The path of a blob whose bytes are what its name says; `None` if there is none. One that
    /// is damaged is removed.
    pub fn take(&self, blob: &Blob) -> FileResult<Option<PathBuf>> {
        let path = self.path(blob);
        if self.is_here(blob)? {
            return Ok(Some(path));
        }
        let twin = Blob { executable: !blob.executable, ..*blob };
        if !self.is_here(&twin)? {
            return Ok(None);
        }
        let made = self.copy_in(&self.path(&twin), blob.executable)?;
        Ok((made == *blob).then_some(path))
    }

    /// The bytes of a blob.
    pub fn read(&self, blob: &Blob) -> FileResult<Option<Vec<u8>>> {
        match self.take(blob)? {
            Some(path) => files::read(&path).map(Some),
            None => Ok(None),
        }
    }

    /// Forgets that a blob was checked, after it turned out to be missing or damaged.
    pub fn forget(&self, blob: &Blob) {
        self.present.write().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(blob);
        self.checked().rows.remove(blob);
    }

    /// Writes what was checked to the log. What is not saved is checked again.
    pub fn save(&self) -> FileResult<()> {
        let mut checked = self.checked();
        let unwritten = std::mem::take(&mut checked.unwritten);
        checked.total += unwritten.len();
        let encode = |row: &CheckedRow| postcard::to_stdvec(row).ok();
        if record_log::is_mostly_garbage(checked.rows.len(), checked.total) {
            let rows =
                checked.rows.iter().map(|(blob, inode)| CheckedRow { blob: *blob, inode: *inode });
            let records: Vec<Vec<u8>> = rows.filter_map(|row| encode(&row)).collect();
            checked.total = records.len();
            checked.log.compact(records.iter().map(Vec::as_slice))
        } else if unwritten.is_empty() {
            Ok(())
        } else {
            let records: Vec<Vec<u8>> = unwritten.iter().filter_map(encode).collect();
            checked.log.append_all(records.iter().map(Vec::as_slice))
        }
    }

    /// Gets the store for this process alone, if nobody else uses it, for as long as `work` takes,
    /// which may remove blobs.
    pub fn alone<T>(&self, work: impl FnOnce() -> T) -> FileResult<Option<T>> {
        let path = self.root.join("lock");
        if !files::lock(&self.lock, &path, true, false)? {
            // The attempt may have given up the shared lock, and somebody may have used that.
            self.present.write().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
            files::lock(&self.lock, &path, false, true)?;
            return Ok(None);
        }
        let result = work();
        self.present.write().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
        files::lock(&self.lock, &path, false, true)?;
        Ok(Some(result))
    }

    /// True if the blob is there and its bytes were checked, now or before.
    fn is_here(&self, blob: &Blob) -> FileResult<bool> {
        if self.present.read().unwrap_or_else(|poisoned| poisoned.into_inner()).contains(blob) {
            return Ok(true);
        }
        let path = self.path(blob);
        let Some((Kind::File { executable, .. }, stamp)) = files::stat(&path, false)? else {
            return Ok(false);
        };
        let untouched = stamp.size == blob.digest.size
            && stamp.mtime == BLOB_DATE * 1_000_000_000
            && executable == blob.executable;
        if !(untouched && self.checked().rows.get(blob) == Some(&stamp.inode)) {
            let is_whole = stamp.size == blob.digest.size
                && match files::digest(&path) {
                    Ok(digest) => digest == blob.digest,
                    // Another process found it damaged at the same time.
                    Err(error) if error.is_absent() => false,
                    Err(error) => return Err(error),
                };
            if !is_whole {
                files::remove_file(&path)?;
                return Ok(false);
            }
            if !untouched {
                seal(&path, blob.executable)?;
            }
        }
        self.note(blob, &stamp);
        Ok(true)
    }

    fn note(&self, blob: &Blob, stamp: &Stamp) {
        let mut checked = self.checked();
        if checked.rows.insert(*blob, stamp.inode) != Some(stamp.inode) {
            checked.unwritten.push(CheckedRow { blob: *blob, inode: stamp.inode });
        }
        self.present.write().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(*blob);
    }

    /// Moves a finished temporary file to its place; removes it if something went wrong.
    fn finish(&self, temporary: &Path, blob: FileResult<Blob>) -> FileResult<Blob> {
        let result = blob.and_then(|blob| {
            if !self.is_here(&blob)? {
                seal(temporary, blob.executable)?;
                let path = self.path(&blob);
                if files::rename(temporary, &path).is_err() {
                    if let Some(parent) = path.parent() {
                        files::create_dirs(parent)?;
                    }
                    files::rename(temporary, &path)?;
                }
                if let Some((_, stamp)) = files::stat(&path, false)? {
                    self.note(&blob, &stamp);
                }
                return Ok(blob);
            }
            files::remove_file(temporary)?;
            Ok(blob)
        });
        if result.is_err() {
            // What went wrong first is what counts.
            let _ = files::remove_file(temporary);
        }
        result
    }

    fn checked(&self) -> MutexGuard<'_, Checked> {
        // The map is whole even if a thread panicked while it held the lock.
        self.checked.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Who wants to know whether it worked calls `save`.
        let _ = self.save();
    }
}

/// Gives a file the mode and the date of a blob.
fn seal(path: &Path, executable: bool) -> FileResult<()> {
    files::set_mtime(path, BLOB_DATE)?;
    files::set_mode(path, if executable { 0o555 } else { 0o444 })
}

/// Copies a file and hashes what was copied, so that the two cannot differ.
fn copy_and_hash(from: &Path, to: &Path) -> FileResult<Digest> {
    let mut source = files::open(from)?;
    let mut copy = files::create_new(to)?;
    if files::reflink(&source, &copy) {
        return files::digest(to);
    }
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match files::read_some(&mut source, from, &mut buffer)? {
            0 => return Ok(hasher.finish()),
            length => {
                hasher.update(&buffer[..length]);
                files::write_all(&mut copy, to, &buffer[..length])?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Place {
            Place { dir: tempfile::tempdir().unwrap() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn store(&self) -> Store {
            Store::open(&self.path("cache"), &self.path("checked"), "boot").unwrap()
        }
    }

    #[test]
    fn blobs_are_read_only_and_dated() {
        let place = Place::new();
        let store = place.store();
        for executable in [false, true] {
            let blob = store.put(b"text", executable).unwrap();
            let metadata = std::fs::metadata(store.path(&blob)).unwrap();
            assert_eq!(metadata.mode() & 0o777, if executable { 0o555 } else { 0o444 });
            assert_eq!(metadata.mtime(), BLOB_DATE);
            assert_eq!(store.read(&blob).unwrap().unwrap(), b"text");
        }
        assert_eq!(std::fs::read_dir(place.path("cache/tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_source_is_copied_and_not_touched() {
        let place = Place::new();
        let source = place.path("a.lisp");
        std::fs::write(&source, "(print 1)").unwrap();
        let before = std::fs::metadata(&source).unwrap();
        let store = place.store();
        let blob = store.copy_in(&source, false).unwrap();
        assert_eq!(blob.digest, Digest::of(b"(print 1)"));
        let after = std::fs::metadata(&source).unwrap();
        assert_eq!((before.mode(), before.ctime_nsec()), (after.mode(), after.ctime_nsec()));
        assert_eq!(after.nlink(), 1);
    }

    #[test]
    fn an_output_is_moved_unless_it_has_another_name() {
        let place = Place::new();
        let store = place.store();
        let (once, twice) = (place.path("once"), place.path("twice"));
        std::fs::write(&once, "1").unwrap();
        std::fs::write(&twice, "2").unwrap();
        std::fs::hard_link(&twice, place.path("other")).unwrap();
        let inode = std::fs::metadata(&once).unwrap().ino();
        let first = store.move_in(&once, true).unwrap();
        assert_eq!(std::fs::metadata(store.path(&first)).unwrap().ino(), inode);
        let second = store.move_in(&twice, true).unwrap();
        assert_eq!(std::fs::metadata(store.path(&second)).unwrap().nlink(), 1);
        let other = std::fs::metadata(place.path("other")).unwrap();
        assert!(other.permissions().mode() & 0o200 != 0);
    }

    #[test]
    fn an_unreadable_output_is_taken_all_the_same() {
        let place = Place::new();
        let store = place.store();
        let path = place.path("out");
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(store.move_in(&path, true).unwrap().digest, Digest::of(b"x"));
    }

    #[test]
    fn a_damaged_blob_is_dropped() {
        let place = Place::new();
        let blob = place.store().put(b"good", false).unwrap();
        let path = place.store().path(&blob);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(&path, "evil").unwrap();
        assert_eq!(place.store().take(&blob).unwrap(), None);
        assert!(!path.exists());
        let store = place.store();
        store.put(b"good", false).unwrap();
        assert!(store.take(&blob).unwrap().is_some());
    }

    #[test]
    fn what_was_checked_is_remembered_until_the_machine_starts_again() {
        let place = Place::new();
        let blob = place.store().put(b"good", false).unwrap();
        let path = place.store().path(&blob);
        // Damage that no stamp shows: only reading can find it.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(&path, "evil").unwrap();
        seal(&path, false).unwrap();
        assert!(place.store().take(&blob).unwrap().is_some());
        let rebooted = Store::open(&place.path("cache"), &place.path("checked"), "next").unwrap();
        assert_eq!(rebooted.take(&blob).unwrap(), None);
    }

    #[test]
    fn a_twin_is_made_of_the_other() {
        let place = Place::new();
        let store = place.store();
        let plain = store.put(b"#!", false).unwrap();
        let twin = Blob { executable: true, ..plain };
        let path = store.take(&twin).unwrap().unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o777, 0o555);
    }

    #[test]
    fn leftovers_of_killed_processes_go_when_nobody_else_is_there() {
        let place = Place::new();
        drop(place.store());
        std::fs::write(place.path("cache/tmp/1-1"), "").unwrap();
        let first = place.store();
        assert!(!place.path("cache/tmp/1-1").exists());
        std::fs::write(place.path("cache/tmp/1-2"), "").unwrap();
        let second = Store::open(&place.path("cache"), &place.path("checked2"), "boot").unwrap();
        assert!(place.path("cache/tmp/1-2").exists());
        assert!(first.alone(|| ()).unwrap().is_none());
        drop(second);
        assert!(first.alone(|| ()).unwrap().is_some());
    }
}
