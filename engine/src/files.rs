//! File access: the one place where the engine touches the file system, so that every error names its path.

use std::ffi::{CString, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{self, AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use thiserror::Error;

use crate::digest::{Digest, Hasher};

/// A failed operation on a file.
#[derive(Debug, Error)]
#[error("cannot {operation} `{}`: {}", path.display(), reason(source))]
pub struct FileError {
    /// What was attempted: a verb such as `read`.
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

/// The system's answer without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

impl FileError {
    /// True when the file is not there.
    pub fn is_absent(&self) -> bool {
        is_absent(&self.source)
    }

    /// The system's answer alone, for messages that name the path themselves.
    pub fn reason(&self) -> String {
        reason(&self.source)
    }
}

/// True when `error` says that there is no such file.
fn is_absent(error: &io::Error) -> bool {
    // A path through a file (`a/b` where `a` is a file) names nothing either.
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The result of an operation on a file.
pub type FileResult<T> = Result<T, FileError>;

fn at<T>(operation: &'static str, path: &Path, result: io::Result<T>) -> FileResult<T> {
    result.map_err(|source| FileError { operation, path: path.to_owned(), source })
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    /// Number of bytes.
    pub size: u64,
    /// Time of the last write, in nanoseconds since 1970.
    pub mtime: i64,
    /// Time of the last change of anything, in nanoseconds since 1970.
    pub ctime: i64,
    /// Number of the file in its file system.
    pub inode: u64,
}

/// In nanoseconds.
const SECOND: i64 = 1_000_000_000;

impl Stamp {
    /// Whether the file was changed last before `time`, in nanoseconds, in a tick of its file
    /// system's clock that was over then.
    pub fn is_before(&self, time: i64) -> bool {
        // Times that are whole seconds are most likely of a file system that counts no others;
        // some count every other second.
        let tick = if self.ctime % SECOND == 0 { 2 * SECOND } else { 0 };
        self.ctime.saturating_add(tick) < time
    }

    fn of_stat(stat: &FileStat) -> Stamp {
        Stamp {
            // Sizes are not negative.
            size: stat.st_size as u64,
            mtime: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
        }
    }

    fn of(metadata: &fs::Metadata) -> Stamp {
        Stamp {
            size: metadata.len(),
            mtime: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file with bytes.
    File {
        /// Whether its owner may run it.
        executable: bool,
        /// Number of names it has.
        links: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link; only where links are not followed.
    Symlink,
    /// A socket, a device, a pipe.
    Other,
}

/// Kind and stamp of what is at `path`; `None` if nothing is. Links are followed if `follow`.
pub fn stat(path: &Path, follow: bool) -> FileResult<Option<(Kind, Stamp)>> {
    let metadata = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    match metadata {
        Ok(metadata) => {
            let kind = if metadata.is_file() {
                Kind::File { executable: metadata.mode() & 0o100 != 0, links: metadata.nlink() }
            } else if metadata.is_dir() {
                Kind::Directory
            } else if metadata.is_symlink() {
                Kind::Symlink
            } else {
                Kind::Other
            };
            Ok(Some((kind, Stamp::of(&metadata))))
        }
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => at("look at", path, Err(error)),
    }
}

/// A directory, to look at what is in it; `None` if there is none.
pub fn open_directory(path: &Path) -> FileResult<Option<OwnedFd>> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    match fcntl::open(path, flags, Mode::empty()) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(error) => at("open", path, Err(error.into())),
    }
}

/// As [`stat`] what is called `name` in a directory that is open; an empty name is the directory.
/// Its path is `in_errors` only.
pub fn stat_at(
    directory: &OwnedFd,
    in_errors: &str,
    name: &str,
    follow: bool,
) -> FileResult<Option<(Kind, Stamp)>> {
    let mut flags = AtFlags::AT_EMPTY_PATH;
    if !follow {
        flags |= AtFlags::AT_SYMLINK_NOFOLLOW;
    }
    let stat = match fstatat(directory, name, flags) {
        Ok(stat) => stat,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        Err(error) => return at("look at", &Path::new(in_errors).join(name), Err(error.into())),
    };
    let kind = match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => {
            Kind::File { executable: stat.st_mode & 0o100 != 0, links: stat.st_nlink }
        }
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFLNK => Kind::Symlink,
        _ => Kind::Other,
    };
    Ok(Some((kind, Stamp::of_stat(&stat))))
}

/// The bytes of a file.
pub fn read(path: &Path) -> FileResult<Vec<u8>> {
    at("read", path, fs::read(path))
}

/// The bytes of a file; `None` if there is none.
pub fn read_if_present(path: &Path) -> FileResult<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => at("read", path, Err(error)),
    }
}

/// As many bytes of a file as `length`, from `offset` on.
pub fn read_at(path: &Path, offset: u64, length: usize) -> FileResult<Vec<u8>> {
    let mut bytes = vec![0; length];
    at("read", path, open(path)?.read_exact_at(&mut bytes, offset))?;
    Ok(bytes)
}

/// The digest of the bytes of a file.
pub fn digest(path: &Path) -> FileResult<Digest> {
    let mut file = open(path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match read_some(&mut file, path, &mut buffer)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(&buffer[..length]),
        }
    }
}

/// The text of a symbolic link.
pub fn read_link(path: &Path) -> FileResult<PathBuf> {
    at("read the link", path, fs::read_link(path))
}

/// The path of what `path` leads to, without links.
pub fn canonical(path: &Path) -> FileResult<PathBuf> {
    at("resolve", path, fs::canonicalize(path))
}

/// Opens a file to be read.
pub fn open(path: &Path) -> FileResult<File> {
    at("read", path, File::open(path))
}

/// Reads the next bytes of an open file into `buffer`.
pub fn read_some(file: &mut File, path: &Path, buffer: &mut [u8]) -> FileResult<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return at("read", path, result),
        }
    }
}

/// Names in a directory with their kinds, in no order, links not followed.
pub fn read_dir(path: &Path) -> FileResult<Vec<(std::ffi::OsString, Kind)>> {
    let mut entries = Vec::new();
    for entry in at("list", path, fs::read_dir(path))? {
        let entry = at("list", path, entry)?;
        let file_type = at("list", path, entry.file_type())?;
        let kind = if file_type.is_file() {
            Kind::File { executable: false, links: 1 }
        } else if file_type.is_dir() {
            Kind::Directory
        } else if file_type.is_symlink() {
            Kind::Symlink
        } else {
            Kind::Other
        };
        entries.push((entry.file_name(), kind));
    }
    Ok(entries)
}

/// Makes a directory and those above it; none of them has to be new.
pub fn create_dirs(path: &Path) -> FileResult<()> {
    at("make the directory", path, fs::create_dir_all(path))
}

/// Makes a new file that only its owner may read, for writing.
pub fn create_new(path: &Path) -> FileResult<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    at("write", path, file)
}

/// Opens a file for appending, and makes it if there is none.
pub fn open_append(path: &Path) -> FileResult<File> {
    at("write", path, OpenOptions::new().append(true).read(true).create(true).open(path))
}

/// Writes all `bytes` to an open file, by one call to the system where it takes them at once.
pub fn write_all(file: &mut File, path: &Path, bytes: &[u8]) -> FileResult<()> {
    at("write", path, file.write_all(bytes))
}

/// Cuts an open file to `size` bytes.
pub fn truncate(file: &File, path: &Path, size: u64) -> FileResult<()> {
    at("shorten", path, file.set_len(size))
}

/// Writes a file that appears whole or not at all: by way of `temporary`, on the same file system.
pub fn write_atomically(path: &Path, temporary: &Path, bytes: &[u8]) -> FileResult<()> {
    write_parts_atomically(path, temporary, &[bytes])
}

/// Like [`write_atomically`], of a file that is made of several parts.
pub fn write_parts_atomically(path: &Path, temporary: &Path, parts: &[&[u8]]) -> FileResult<()> {
    let written = create_new(temporary)
        .and_then(|mut file| {
            parts.iter().try_for_each(|bytes| write_all(&mut file, temporary, bytes))
        })
        .and_then(|()| rename(temporary, path));
    if written.is_err() {
        // What went wrong first is what counts.
        let _ = fs::remove_file(temporary);
    }
    written
}

/// Gives a file another name, in place of whatever file has it.
pub fn rename(from: &Path, to: &Path) -> FileResult<()> {
    at("move to", to, fs::rename(from, to))
}

/// Gives a file one more name. The answer says why not where the system cannot link here.
pub fn hard_link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)
}

/// Makes a symbolic link.
pub fn symlink(text: &str, path: &Path) -> FileResult<()> {
    at("make the link", path, std::os::unix::fs::symlink(text, path))
}

/// Removes a file or link, if there is one.
pub fn remove_file(path: &Path) -> FileResult<()> {
    match fs::remove_file(path) {
        Err(error) if is_absent(&error) => Ok(()),
        result => at("remove", path, result),
    }
}

/// Removes whatever is at `path`, directories with all that is below them.
pub fn remove_all(path: &Path) -> FileResult<()> {
    match fs::symlink_metadata(path) {
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => at("remove", path, Err(error)),
        Ok(metadata) if metadata.is_dir() => match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                make_writable_below(path);
                at("remove", path, fs::remove_dir_all(path))
            }
            result => at("remove", path, result),
        },
        Ok(_) => remove_file(path),
    }
}

/// Lets the owner remove what is below a directory. What cannot be changed shows when removed.
fn make_writable_below(path: &Path) {
    for entry in walkdir::WalkDir::new(path).into_iter().flatten() {
        if entry.file_type().is_dir() {
            let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755));
        }
    }
}

/// Sets the permissions of a file.
pub fn set_mode(path: &Path, mode: u32) -> FileResult<()> {
    at("change the mode of", path, fs::set_permissions(path, fs::Permissions::from_mode(mode)))
}

/// Sets the time of the last write, in seconds since 1970.
pub fn set_mtime(path: &Path, seconds: i64) -> FileResult<()> {
    set_times(path, libc::timespec { tv_sec: seconds, tv_nsec: 0 })
}

/// Sets the time of the last write to now.
pub fn touch(path: &Path) -> FileResult<()> {
    set_times(path, libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_NOW })
}

fn set_times(path: &Path, time: libc::timespec) -> FileResult<()> {
    let failed =
        |source| Err(FileError { operation: "set the date of", path: path.into(), source });
    let Ok(c_path) = CString::new(path.as_os_str().as_bytes()) else {
        return failed(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: the path ends in NUL and the array has the two times that the call reads.
    let result =
        unsafe { libc::utimensat(libc::AT_FDCWD, c_path.as_ptr(), [time, time].as_ptr(), 0) };
    if result == 0 { Ok(()) } else { failed(io::Error::last_os_error()) }
}

/// The request number of `FICLONE` on Linux: share the blocks of another file.
const FICLONE: libc::c_ulong = 0x4004_9409;

/// Makes the empty file `to` share the blocks of `from`. False where the file system cannot.
pub fn reflink(from: &File, to: &File) -> bool {
    use std::os::fd::AsRawFd;
    // SAFETY: both descriptors are open for the duration of the call.
    unsafe { libc::ioctl(to.as_raw_fd(), FICLONE, from.as_raw_fd()) == 0 }
}

/// Waits for, or tries to get, a lock on an open file, shared or exclusive. False: not now.
pub fn lock(file: &File, path: &Path, exclusive: bool, wait: bool) -> FileResult<bool> {
    use std::os::fd::AsRawFd;
    let mut operation = if exclusive { libc::LOCK_EX } else { libc::LOCK_SH };
    if !wait {
        operation |= libc::LOCK_NB;
    }
    loop {
        // SAFETY: the descriptor is open for the duration of the call.
        if unsafe { libc::flock(file.as_raw_fd(), operation) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => return Ok(false),
            _ => return at("lock", path, Err(error)),
        }
    }
}

/// The name as text, if it is UTF-8.
pub fn utf8(name: &OsStr) -> Option<&str> {
    name.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_path_and_reason() {
        let error = read(Path::new("/no/such/file")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read `/no/such/file`: No such file or directory");
        assert!(error.is_absent());
    }

    #[test]
    fn a_path_through_a_file_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "").unwrap();
        assert_eq!(stat(&dir.path().join("a/b"), true).unwrap(), None);
    }

    #[test]
    fn write_atomically_leaves_nothing_when_it_fails() {
        let dir = tempfile::tempdir().unwrap();
        let temporary = dir.path().join("t");
        assert!(write_atomically(&dir.path().join("no/x"), &temporary, b"x").is_err());
        assert!(!temporary.exists());
    }
}
