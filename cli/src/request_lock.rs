//! The request lock: one rbz at a time works in an output base.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::command_error::CommandError;
use crate::removal::remove;

/// Held until it is dropped or the process ends, however that happens.
#[derive(Debug)]
pub struct RequestLock {
    _file: File,
}

impl RequestLock {
    /// Takes the lock in the file `path`. If another rbz holds it, `waiting` is told which, and
    /// this one waits until it is done, unless that is an error.
    ///
    /// `command` is what others are told that this one does.
    pub fn acquire(
        path: &Path,
        command: &str,
        waiting: impl FnOnce(&str) -> Result<(), CommandError>,
    ) -> Result<RequestLock, CommandError> {
        let cannot = |error: std::io::Error| {
            CommandError::environment(format!("cannot lock `{}`: {error}", path.display()))
                .hint("`rbz --output_user_root=DIR …` names another place for outputs")
        };
        let mut waiting = Some(waiting);
        // Again when the holder removed the file with the whole output base (`clean --expunge`).
        loop {
            let mut file = open(path).map_err(cannot)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    if let Some(waiting) = waiting.take() {
                        let mut holder = String::new();
                        // What the holder wrote is only for the message.
                        let _ = file.read_to_string(&mut holder);
                        waiting(holder.trim())?;
                    }
                    file.lock().map_err(cannot)?;
                }
                Err(TryLockError::Error(error)) => return Err(cannot(error)),
            }
            if is_still_at(&file, path) {
                return Self::hold(file, command).map_err(cannot);
            }
        }
    }

    fn hold(mut file: File, command: &str) -> std::io::Result<RequestLock> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "pid {}: {command}", std::process::id())?;
        Ok(RequestLock { _file: file })
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// Whether `file` is what is at `path` now: it may have been removed before it was locked.
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Removes the output base as the last act of `clean --expunge`, its lock included.
pub fn remove_with_lock(output_base: &Path, lock: RequestLock) -> Result<(), CommandError> {
    let result = remove(output_base).map_err(|error| {
        CommandError::environment(format!("cannot remove `{}`: {error}", output_base.display()))
    });
    drop(lock);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn the_second_waits_and_learns_for_whom() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("base/lock");
        let first = RequestLock::acquire(&path, "rbz build //a", |_| panic!("nobody holds it"));
        let first = first.expect("a lock");
        let (sender, receiver) = mpsc::channel();
        let second = std::thread::spawn({
            let path = path.clone();
            move || {
                let told = move |holder: &str| {
                    sender.send(holder.to_owned()).expect("a listener");
                    Ok(())
                };
                RequestLock::acquire(&path, "rbz test", told).map(|_| ())
            }
        });
        let holder = receiver.recv().expect("the second waits");
        assert_eq!(holder, format!("pid {}: rbz build //a", std::process::id()));
        assert!(!second.is_finished());
        // The base may go away with the lock; the second then makes a new one.
        remove_with_lock(&directory.path().join("base"), first).expect("removed");
        second.join().expect("no panic").expect("a lock");
        assert!(path.exists());
    }
}
