//! Sessions and scratch directories: the part of the disk that one rbz process works in.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use nix::fcntl::{Flock, FlockArg};

use super::sweeper::Sweeper;
use super::view::{DEVICES, TRIAL, part};
use crate::digest::FingerprintBuilder;
use crate::strategy::{DeclaredOutput, StrategyError};

/// The directory of one rbz process, which holds a lock on it as long as it lives.
///
/// A session whose process is gone, in whatever way, is taken over by the next one.
#[derive(Debug)]
pub struct Session {
    base: PathBuf,
    /// Number of the next scratch directory.
    next: AtomicU64,
    /// How many scratch directories were to be kept.
    kept: AtomicUsize,
    /// When it was opened, in seconds, by the clock of the file system.
    opened: i64,
    sweeper: Sweeper,
    _lock: Flock<File>,
}

/// The directories below a session. Short names without special signs: they stand in the options
/// of mounts.
const TREES: &str = "trees";
const SCRATCH: &str = "scratch";
const SYSTEM: &str = "system";
const RUBBISH: &str = "rubbish";

/// How long the name of a scratch directory is that belongs to certain outputs.
const SCRATCH_NAME: usize = 10;

/// The directory beside the sessions for what is to be looked at after the build.
const KEPT: &str = "kept";

/// As many scratch directories are kept by one session, and as many of former ones.
const MAX_KEPT: usize = 30;

/// More rbz processes than this never work in one output base at once.
const MAX_SESSIONS: u32 = 1000;

impl Session {
    /// Takes a session below `directory` that no living process has.
    pub fn open(directory: &Path) -> Result<Arc<Session>, StrategyError> {
        let failed = |error: io::Error| StrategyError {
            what: format!("prepare the sandbox directory `{}`", directory.display()),
            reason: error.to_string(),
        };
        fs::create_dir_all(directory).map_err(failed)?;
        let directory = directory.canonicalize().map_err(failed)?;
        for number in 0..MAX_SESSIONS {
            let base = directory.join(number.to_string());
            make_directory(&base).map_err(failed)?;
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(base.join("lock"))
                .map_err(failed)?;
            let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { continue };
            let sweeper = Sweeper::new(&base.join(RUBBISH)).map_err(failed)?;
            for name in [SCRATCH, TREES, TRIAL] {
                sweeper.discard(&base.join(name)).map_err(failed)?;
            }
            discard_old(&directory.join(KEPT), &sweeper);
            for name in [SCRATCH, TREES, SYSTEM, DEVICES, TRIAL] {
                make_directory(&base.join(name)).map_err(failed)?;
            }
            let trial = base.join(TRIAL);
            for name in [part::LOWER, part::UPPER, part::WORK, part::MERGED, part::TMP] {
                make_directory(&trial.join(name)).map_err(failed)?;
            }
            let file = trial.join(part::LOWER).join(part::FILE);
            fs::write(&file, "").map_err(failed)?;
            let opened = fs::metadata(&file).map_err(failed)?.mtime();
            return Ok(Arc::new(Session {
                base,
                next: AtomicU64::new(0),
                kept: AtomicUsize::new(0),
                opened,
                sweeper,
                _lock: lock,
            }));
        }
        Err(failed(io::Error::other("too many processes use it")))
    }

    /// The directory that views are relative to.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Removes what the init needed only to find out what the machine allows.
    pub fn remove_trial(&self) {
        // If something stays, the next session removes it.
        let _ = self.discard(&self.base.join(TRIAL));
    }

    /// Removes a directory of the session: at once to look at, in fact soon.
    pub fn discard(&self, path: &Path) -> io::Result<()> {
        self.sweeper.discard(path)
    }

    /// When it was opened, in seconds.
    pub fn opened(&self) -> i64 {
        self.opened
    }

    /// The path of a kept input tree, relative to the base.
    pub fn tree(name: &str) -> String {
        format!("{TREES}/{name}")
    }

    /// The path of a system tree, relative to the base.
    pub fn system_tree(name: &str) -> String {
        format!("{SYSTEM}/{name}")
    }

    /// A new scratch directory.
    pub fn scratch(self: &Arc<Self>) -> Result<Scratch, StrategyError> {
        self.make_scratch(None).map_err(no_scratch)
    }

    /// A new scratch directory whose path is the same each time for a process that writes these
    /// `outputs`: a process that sees paths of the machine may write its own into them.
    pub fn scratch_for(
        self: &Arc<Self>,
        outputs: &[DeclaredOutput],
    ) -> Result<Scratch, StrategyError> {
        let mut builder = FingerprintBuilder::new("scratch");
        for output in outputs {
            builder.str(&output.path);
        }
        let mut name = builder.finish().to_hex();
        name.truncate(SCRATCH_NAME);
        self.make_scratch(Some(name)).map_err(no_scratch)
    }

    fn make_scratch(self: &Arc<Self>, wanted: Option<String>) -> io::Result<Scratch> {
        let numbered = || {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            format!("{SCRATCH}/{number}")
        };
        let mut name = match wanted {
            Some(name) => format!("{SCRATCH}/{name}"),
            None => numbered(),
        };
        while let Err(error) = DirBuilder::new().mode(0o755).create(self.base.join(&name)) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(error);
            }
            name = numbered();
        }
        let scratch = Scratch { session: self.clone(), name, keep: false };
        make_directory(&scratch.path())?;
        for name in [part::UPPER, part::WORK, part::TMP, part::HOME] {
            make_directory(&scratch.path().join(name))?;
        }
        // Everybody may write there, as in any `/tmp`.
        fs::set_permissions(scratch.path().join(part::TMP), Permissions::from_mode(0o1777))?;
        Ok(scratch)
    }
}

fn no_scratch(error: io::Error) -> StrategyError {
    StrategyError { what: "make a scratch directory".into(), reason: error.to_string() }
}

/// The directory in which one process writes. Removed when dropped, unless it is kept.
#[derive(Debug)]
pub struct Scratch {
    session: Arc<Session>,
    name: String,
    keep: bool,
}

impl Scratch {
    /// Relative to the session's base.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Absolute.
    pub fn path(&self) -> PathBuf {
        self.session.base.join(&self.name)
    }

    /// The directory that the sandbox works in, with all its sessions.
    pub fn sandbox(&self) -> &Path {
        self.session.base.parent().unwrap_or(&self.session.base)
    }

    /// Keeps it, out of the way of the next session, and says where; `None` if so many are kept
    /// already that nobody will look at one more.
    pub fn keep(&mut self) -> io::Result<Option<PathBuf>> {
        if self.session.kept.fetch_add(1, Ordering::Relaxed) >= MAX_KEPT {
            return Ok(None);
        }
        let kept = self.sandbox().join(KEPT);
        make_directory(&kept)?;
        loop {
            let number = self.session.next.fetch_add(1, Ordering::Relaxed);
            let to = kept.join(format!("{}-{number}", std::process::id()));
            if !to.exists() {
                fs::rename(self.path(), &to)?;
                self.keep = true;
                return Ok(Some(to));
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed now is removed by the next session.
            let _ = self.session.discard(&self.path());
        }
    }
}

/// Discards all but the youngest of the directories that former sessions kept. What cannot be
/// discarded only takes space.
fn discard_old(kept: &Path, sweeper: &Sweeper) {
    let Ok(entries) = fs::read_dir(kept) else { return };
    let age = |entry: fs::DirEntry| Some((entry.metadata().ok()?.ctime(), entry.path()));
    let mut entries: Vec<(i64, PathBuf)> = entries.flatten().filter_map(age).collect();
    entries.sort();
    for (_, path) in entries.iter().rev().skip(MAX_KEPT) {
        let _ = sweeper.discard(path);
    }
}

/// Makes a directory with mode 0755 if it is not there.
pub fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

/// Removes what a process left, with whatever modes, names and depth.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    // The kernel makes this one without any permission.
    let work = path.join(part::WORK).join("work");
    let _ = fs::set_permissions(&work, Permissions::from_mode(0o700));
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => remove_flattened(path),
    }
}

/// Removes a tree level by level: each directory is first moved up to the top. So neither its
/// depth matters (paths and descriptors have limits), nor a directory that forbids everything.
fn remove_flattened(path: &Path) -> io::Result<()> {
    let mut pending = vec![path.to_owned()];
    let mut number = 0u64;
    while let Some(directory) = pending.pop() {
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
                continue;
            }
            // Moving a directory changes its `..`, for which it must be writable.
            fs::set_permissions(entry.path(), Permissions::from_mode(0o700))?;
            let to = loop {
                number += 1;
                let to = path.with_extension(format!("removed-{}-{number}", std::process::id()));
                if !to.exists() {
                    break to;
                }
            };
            fs::rename(entry.path(), &to)?;
            pending.push(to);
        }
        fs::remove_dir(&directory)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{OFlag, open, openat};
    use nix::sys::stat::{Mode, mkdirat};

    #[test]
    fn no_depth_is_too_deep_to_remove() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().join("top");
        make_directory(&top).unwrap();
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut at = open(&top, flags, Mode::empty()).unwrap();
        for _ in 0..3000 {
            mkdirat(&at, "directory", Mode::S_IRWXU).unwrap();
            at = openat(&at, "directory", flags, Mode::empty()).unwrap();
        }
        remove_tree(&top).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (outside, top) = (directory.path().join("outside"), directory.path().join("top"));
        for path in [&outside, &top, &top.join("closed")] {
            make_directory(path).unwrap();
        }
        fs::write(outside.join("file"), "").unwrap();
        std::os::unix::fs::symlink(&outside, top.join("closed/link")).unwrap();
        fs::set_permissions(top.join("closed"), Permissions::from_mode(0o000)).unwrap();
        remove_flattened(&top).unwrap();
        assert!(!top.exists() && outside.join("file").exists());
    }

    #[test]
    fn what_is_kept_does_not_grow_without_end() {
        let directory = tempfile::tempdir().unwrap();
        let number_kept = || fs::read_dir(directory.path().join(KEPT)).unwrap().count();
        for _ in 0..3 {
            let session = Session::open(directory.path()).unwrap();
            let kept: Vec<PathBuf> = (0..MAX_KEPT + 5)
                .filter_map(|_| session.scratch().unwrap().keep().unwrap())
                .collect();
            assert_eq!(kept.len(), MAX_KEPT);
            assert!(kept.iter().all(|path| path.join(part::UPPER).is_dir()));
            assert!(number_kept() <= 2 * MAX_KEPT, "{}", number_kept());
        }
        drop(Session::open(directory.path()).unwrap());
        assert_eq!(number_kept(), MAX_KEPT);
    }

    #[test]
    fn a_session_is_taken_over_only_when_its_process_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = Session::open(directory.path()).unwrap();
        let second = Session::open(directory.path()).unwrap();
        assert_ne!(first.base(), second.base());
        let left = first.base().join(SCRATCH).join("0");
        fs::create_dir(&left).unwrap();
        let base = first.base().to_owned();
        drop(first);
        assert_eq!(Session::open(directory.path()).unwrap().base(), base);
        assert!(!left.exists());
    }
}
