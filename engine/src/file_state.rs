//! The state of files: what is where, and which bytes it has, asked of the system once per build.
//!
//! A [`FileState`] serves one session (one command). Every answer is remembered for the session,
//! so that all parts of a build see one state of each path. Digests of files are also kept
//! between sessions, in a record log, beside the stamp (size, times, inode) that the file had when
//! it was read: while the stamp is the same, the file is not read again.
//!
//! A file that is written twice within one tick of the clock can change without its stamp
//! changing. So a row counts only if the file's change time lies before the session that read it
//! began. A file edited while a build runs is read again by the next build, and then trusted.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Fingerprint, FingerprintBuilder};
use crate::files::{self, FileError, FileResult, Kind, Stamp};
use crate::record_log::{self, RecordLog};
use crate::seal::Expected;

/// The form of the rows; to be changed when [`Row`] is.
const FORMAT: &str = "rbz file state 1";

/// The symbolic links that a build makes in the workspace. They are no part of it: no directory
/// counts as changed when they appear, and nothing is found through them.
pub const CONVENIENCE_SYMLINKS: [&str; 3] = ["rbz-out", "rbz-bin", "rbz-testlogs"];

/// What is at a path, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStat {
    /// Nothing, or a link that leads nowhere.
    Absent,
    /// A file.
    File {
        /// What tells this state of it from another.
        stamp: Stamp,
        /// Whether its owner may run it.
        executable: bool,
    },
    /// A directory.
    Directory,
    /// A socket, a device, a pipe.
    Other,
}

/// The kind of what is at a path, without details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EntryKind {
    /// Nothing; in a listing a link that leads nowhere.
    Absent,
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A socket, a device, a pipe.
    Other,
}

impl FileStat {
    /// The kind alone.
    pub fn kind(&self) -> EntryKind {
        match self {
            FileStat::Absent => EntryKind::Absent,
            FileStat::File { .. } => EntryKind::File,
            FileStat::Directory => EntryKind::Directory,
            FileStat::Other => EntryKind::Other,
        }
    }
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name. Names that are not UTF-8 are left out of listings: no label can name them.
    pub name: Box<str>,
    /// What it is, links followed.
    pub kind: EntryKind,
    /// Whether it is a symbolic link.
    pub is_symlink: bool,
}

/// The entries of a directory, sorted by name.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing {
    /// Sorted by name.
    pub entries: Vec<Entry>,
    /// The identity of names and kinds.
    pub fingerprint: Fingerprint,
}

impl Listing {
    fn new(mut entries: Vec<Entry>) -> Listing {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut builder = FingerprintBuilder::new("listing");
        for entry in &entries {
            builder.str(&entry.name).u64(entry.kind as u64).u64(u64::from(entry.is_symlink));
        }
        Listing { entries, fingerprint: builder.finish() }
    }

    /// The entry called `name`.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        let index = self.entries.binary_search_by(|entry| (*entry.name).cmp(name)).ok()?;
        Some(&self.entries[index])
    }
}

/// Why a path gave no answer; shared, since every later question gets the same one.
pub type SharedError = Arc<FileError>;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    path: PathBuf,
    stamp: Stamp,
    digest: Digest,
    /// When the session that read the file began, by the clock of the file system.
    since: i64,
}

#[derive(Debug)]
struct Kept {
    log: RecordLog,
    rows: HashMap<PathBuf, Row>,
    total: usize,
    unwritten: Vec<Row>,
}

type Memo<T> = RwLock<HashMap<PathBuf, Result<T, SharedError>>>;

/// The state of files during one session. Shared by all threads.
#[derive(Debug)]
pub struct FileState {
    kept: Mutex<Kept>,
    began: i64,
    stats: Memo<FileStat>,
    digests: Memo<Digest>,
    contents: Memo<(Arc<[u8]>, Digest)>,
    listings: Memo<Arc<Listing>>,
}

impl FileState {
    /// Begins a session with the rows kept in the log at `path`.
    pub fn open(path: &Path) -> FileResult<FileState> {
        let mut rows = HashMap::new();
        let mut total = 0;
        let log = RecordLog::open(path, FORMAT, |record| {
            total += 1;
            if let Ok(row) = postcard::from_bytes::<Row>(record) {
                rows.insert(row.path.clone(), row);
            }
        })?;
        Ok(FileState {
            began: file_system_time(&path.with_extension("clock"))?,
            kept: Mutex::new(Kept { log, rows, total, unwritten: Vec::new() }),
            stats: RwLock::default(),
            digests: RwLock::default(),
            contents: RwLock::default(),
            listings: RwLock::default(),
        })
    }

    /// What is at `path`, links followed.
    pub fn stat(&self, path: &Path) -> Result<FileStat, SharedError> {
        remembered(&self.stats, path, || stat(path))
    }

    /// The digest of the file at `path`. The file is read only if its stamp is new.
    pub fn digest(&self, path: &Path) -> Result<Digest, SharedError> {
        remembered(&self.digests, path, || match self.known_digest(path)? {
            Some(digest) => Ok(digest),
            None => {
                let stamp = self.stamp(path)?;
                let digest = files::digest(path)?;
                self.keep(path, stamp, digest);
                Ok(digest)
            }
        })
    }

    /// The digest of the file at `path`, if it is known without reading the file.
    pub fn known_digest(&self, path: &Path) -> Result<Option<Digest>, SharedError> {
        if let Some(result) = read_lock(&self.digests).get(path) {
            return result.clone().map(Some);
        }
        let stamp = self.stamp(path)?;
        let kept = lock(&self.kept);
        Ok(kept
            .rows
            .get(path)
            .filter(|row| row.stamp == stamp && row.stamp.is_before(row.since))
            .map(|row| row.digest))
    }

    /// Notes the digest of a file that somebody else has read in this session, after [`Self::stat`].
    pub fn note_digest(&self, path: &Path, digest: Digest) {
        if let Ok(stamp) = self.stamp(path) {
            let _ = remembered(&self.digests, path, || Ok(digest));
            self.keep(path, stamp, digest);
        }
    }

    /// The bytes of the file at `path` and their digest.
    pub fn read(&self, path: &Path) -> Result<(Arc<[u8]>, Digest), SharedError> {
        remembered(&self.contents, path, || {
            let stamp = self.stamp(path)?;
            let bytes: Arc<[u8]> = files::read(path)?.into();
            let digest = Digest::of(&bytes);
            write_lock(&self.digests).insert(path.to_owned(), Ok(digest));
            if !lock(&self.kept).rows.get(path).is_some_and(|row| {
                row.stamp == stamp && row.digest == digest && row.stamp.is_before(row.since)
            }) {
                self.keep(path, stamp, digest);
            }
            Ok((bytes, digest))
        })
    }

    /// The entries of the directory at `path`, without the [`CONVENIENCE_SYMLINKS`].
    pub fn list(&self, path: &Path) -> Result<Arc<Listing>, SharedError> {
        remembered(&self.listings, path, || {
            let mut entries = Vec::new();
            for (name, kind) in files::read_dir(path)? {
                let Some(name) = files::utf8(&name) else { continue };
                let is_symlink = kind == Kind::Symlink;
                if is_symlink && CONVENIENCE_SYMLINKS.contains(&name) {
                    continue;
                }
                let kind = match kind {
                    Kind::File { .. } => EntryKind::File,
                    Kind::Directory => EntryKind::Directory,
                    // A link to itself is one that leads nowhere.
                    Kind::Symlink => {
                        self.stat(&path.join(name)).map_or(EntryKind::Absent, |stat| stat.kind())
                    }
                    Kind::Other => EntryKind::Other,
                };
                entries.push(Entry { name: name.into(), kind, is_symlink });
            }
            Ok(Arc::new(Listing::new(entries)))
        })
    }

    /// What this session looked at, and how it was; `None` if something of it may have changed
    /// since, or could not be looked at.
    pub(crate) fn looked_at(&self) -> Option<Vec<(PathBuf, Expected)>> {
        let is_settled = |stamp: &Stamp| stamp.is_before(self.began);
        let mut expected = Vec::new();
        for (path, stat) in read_lock(&self.stats).iter() {
            let stat = *stat.as_ref().ok()?;
            if matches!(&stat, FileStat::File { stamp, .. } if !is_settled(stamp)) {
                return None;
            }
            expected.push((path.clone(), stat.into()));
        }
        for (path, listing) in read_lock(&self.listings).iter() {
            let Ok(_) = listing else { return None };
            let (_, stamp) = files::stat(path, true).ok()??;
            if !is_settled(&stamp) {
                return None;
            }
            expected.push((path.clone(), Expected::Listing(stamp)));
        }
        Some(expected)
    }

    /// Forgets what was answered about `directory` and everything below it, since it was made anew.
    pub fn forget_below(&self, directory: &Path) {
        write_lock(&self.stats).retain(|path, _| !path.starts_with(directory));
        write_lock(&self.digests).retain(|path, _| !path.starts_with(directory));
        write_lock(&self.contents).retain(|path, _| !path.starts_with(directory));
        write_lock(&self.listings).retain(|path, _| !path.starts_with(directory));
    }

    /// Writes what was learnt to the log. What is not saved is found out again.
    pub fn save(&self) -> FileResult<()> {
        let mut kept = lock(&self.kept);
        let unwritten = std::mem::take(&mut kept.unwritten);
        kept.total += unwritten.len();
        if record_log::is_mostly_garbage(kept.rows.len(), kept.total) {
            let records = encode(kept.rows.values());
            kept.total = records.len();
            kept.log.compact(records.iter().map(Vec::as_slice))
        } else {
            let records = encode(unwritten.iter());
            if records.is_empty() {
                return Ok(());
            }
            kept.log.append_all(records.iter().map(Vec::as_slice))
        }
    }

    fn stamp(&self, path: &Path) -> Result<Stamp, SharedError> {
        match self.stat(path)? {
            FileStat::File { stamp, .. } => Ok(stamp),
            other => {
                let kind = match other {
                    FileStat::Absent => std::io::ErrorKind::NotFound.into(),
                    FileStat::Directory => std::io::Error::from_raw_os_error(libc::EISDIR),
                    _ => std::io::Error::other("it is neither a file nor a directory"),
                };
                Err(Arc::new(FileError { operation: "read", path: path.to_owned(), source: kind }))
            }
        }
    }

    /// `stamp` was taken before the file was read: if it changed in between, the row never matches.
    fn keep(&self, path: &Path, stamp: Stamp, digest: Digest) {
        let row = Row { path: path.to_owned(), stamp, digest, since: self.began };
        let mut kept = lock(&self.kept);
        kept.rows.insert(row.path.clone(), row.clone());
        kept.unwritten.push(row);
    }
}

impl Drop for FileState {
    fn drop(&mut self) {
        // Who wants to know whether it worked calls `save`.
        let _ = self.save();
    }
}

fn encode<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Vec<u8>> {
    // A path that is not UTF-8 has no encoding, and is read again each time.
    rows.filter_map(|row| postcard::to_stdvec(row).ok()).collect()
}

fn stat(path: &Path) -> Result<FileStat, SharedError> {
    Ok(match files::stat(path, true)? {
        None => FileStat::Absent,
        Some((Kind::File { executable, .. }, stamp)) => FileStat::File { stamp, executable },
        Some((Kind::Directory, _)) => FileStat::Directory,
        Some(_) => FileStat::Other,
    })
}

/// What time it is for the file system that holds the log: stamps are compared with its clock.
pub(crate) fn file_system_time(path: &Path) -> FileResult<i64> {
    files::remove_file(path)?;
    files::create_new(path)?;
    let stat = files::stat(path, false)?;
    Ok(stat.map_or(0, |(_, stamp)| stamp.ctime))
}

fn remembered<T: Clone>(
    memo: &Memo<T>,
    path: &Path,
    find_out: impl FnOnce() -> Result<T, SharedError>,
) -> Result<T, SharedError> {
    if let Some(result) = read_lock(memo).get(path) {
        return result.clone();
    }
    let result = find_out();
    // Of two threads that found out at the same time the first one is believed by both.
    write_lock(memo).entry(path.to_owned()).or_insert(result).clone()
}

// A thread that panics while it holds one of these locks leaves a whole map behind.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn read_lock<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn write_lock<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

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

        fn write(&self, name: &str, text: &str) {
            std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            std::fs::write(self.path(name), text).unwrap();
        }

        fn session(&self) -> FileState {
            FileState::open(&self.path("log/files")).unwrap()
        }

        /// Lets the clock of the file system tick, so that what was written before is old.
        fn wait(&self) {
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
    }

    #[test]
    fn the_links_that_a_build_makes_are_no_change_of_the_directory() {
        let place = Place::new();
        place.write("BUILD", "");
        let before = place.session().list(place.dir.path()).unwrap().fingerprint;
        std::os::unix::fs::symlink("/nowhere", place.path("rbz-bin")).unwrap();
        assert_eq!(place.session().list(place.dir.path()).unwrap().fingerprint, before);
        place.write("rbz-out/file", "a directory of this name is the user's own");
        assert_ne!(place.session().list(place.dir.path()).unwrap().fingerprint, before);
    }

    #[test]
    fn one_session_sees_one_state() {
        let place = Place::new();
        place.write("a", "one");
        let session = place.session();
        assert_eq!(session.digest(&place.path("a")).unwrap(), Digest::of(b"one"));
        assert_eq!(session.stat(&place.path("b")).unwrap(), FileStat::Absent);
        place.write("a", "two");
        place.write("b", "");
        assert_eq!(session.digest(&place.path("a")).unwrap(), Digest::of(b"one"));
        assert_eq!(session.stat(&place.path("b")).unwrap(), FileStat::Absent);
        assert_eq!(place.session().digest(&place.path("a")).unwrap(), Digest::of(b"two"));
    }

    #[test]
    fn an_old_file_is_not_read_again() {
        let place = Place::new();
        place.write("a", "one");
        place.wait();
        place.session().digest(&place.path("a")).unwrap();
        let next = place.session();
        assert_eq!(next.known_digest(&place.path("a")).unwrap(), Some(Digest::of(b"one")));
    }

    #[test]
    fn a_file_written_while_the_last_session_ran_is_read_again_once() {
        let place = Place::new();
        let session = place.session();
        place.write("a", "one");
        session.digest(&place.path("a")).unwrap();
        drop(session);
        place.wait();
        let next = place.session();
        assert_eq!(next.known_digest(&place.path("a")).unwrap(), None);
        next.digest(&place.path("a")).unwrap();
        drop(next);
        assert!(place.session().known_digest(&place.path("a")).unwrap().is_some());
    }

    #[test]
    fn same_size_and_date_but_another_inode_is_read_again() {
        let place = Place::new();
        place.write("a", "one");
        files::set_mtime(&place.path("a"), 1_000_000_000).unwrap();
        place.wait();
        place.session().digest(&place.path("a")).unwrap();
        place.write("new", "two");
        files::set_mtime(&place.path("new"), 1_000_000_000).unwrap();
        std::fs::rename(place.path("new"), place.path("a")).unwrap();
        assert_eq!(place.session().digest(&place.path("a")).unwrap(), Digest::of(b"two"));
    }

    #[test]
    fn a_listing_is_sorted_and_follows_links() {
        let place = Place::new();
        place.write("d/b", "");
        place.write("d/a/x", "");
        std::os::unix::fs::symlink("a", place.path("d/c")).unwrap();
        std::os::unix::fs::symlink("e", place.path("d/e")).unwrap();
        let listing = place.session().list(&place.path("d")).unwrap();
        let shown: Vec<_> =
            listing.entries.iter().map(|e| (&*e.name, e.kind, e.is_symlink)).collect();
        assert_eq!(
            shown,
            [
                ("a", EntryKind::Directory, false),
                ("b", EntryKind::File, false),
                ("c", EntryKind::Directory, true),
                ("e", EntryKind::Absent, true),
            ]
        );
        assert_eq!(listing.get("b").unwrap().kind, EntryKind::File);
    }

    #[test]
    fn a_directory_has_no_digest_and_says_why() {
        let place = Place::new();
        place.write("d/x", "");
        let error = place.session().digest(&place.path("d")).unwrap_err();
        assert_eq!(error.reason(), "Is a directory");
    }
}
