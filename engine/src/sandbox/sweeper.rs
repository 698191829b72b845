//! The sweeper: removes directories in the background.
//!
//! There are file systems on which the removal of a directory waits for milliseconds. An action
//! leaves ten of them, and may be over in less time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::scratch::{make_directory, remove_tree};

/// Threads that empty a directory of rubbish. Dropping it waits until that is empty.
#[derive(Debug)]
pub struct Sweeper {
    rubbish: PathBuf,
    next: AtomicU64,
    /// `None` only while it is being dropped.
    queue: Option<Sender<PathBuf>>,
    taken: Receiver<PathBuf>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// They wait more than they work.
const MAX_THREADS: usize = 8;

impl Sweeper {
    /// A sweeper of `rubbish`, a directory on the file system of what is to be removed. What an
    /// earlier one left there is removed as well.
    pub fn new(rubbish: &Path) -> io::Result<Sweeper> {
        make_directory(rubbish)?;
        let (queue, taken) = unbounded();
        let sweeper = Sweeper {
            rubbish: rubbish.to_owned(),
            next: AtomicU64::new(0),
            queue: Some(queue),
            taken,
            threads: Mutex::default(),
        };
        for entry in fs::read_dir(rubbish)? {
            sweeper.discard(&entry?.path())?;
        }
        Ok(sweeper)
    }

    /// Makes `path` go at once, and what is below it soon.
    pub fn discard(&self, path: &Path) -> io::Result<()> {
        let to = loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let to = self.rubbish.join(number.to_string());
            if fs::symlink_metadata(&to).is_err() {
                break to;
            }
        };
        match fs::rename(path, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        if let Some(queue) = &self.queue {
            // Both ends live as long as `self`: it cannot be refused.
            let _ = queue.send(to);
        }
        let mut threads = self.threads.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if threads.len() < MAX_THREADS && threads.len() < self.taken.len() {
            let taken = self.taken.clone();
            let thread = std::thread::Builder::new().name("sweeper".into()).spawn(move || {
                for path in taken {
                    // What cannot be removed is tried again by the next process.
                    let _ = remove_tree(&path);
                }
            })?;
            threads.push(thread);
        }
        Ok(())
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.queue = None;
        let threads = self.threads.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        for thread in threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_discarded_is_gone_at_once_and_removed_in_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let rubbish = directory.path().join("rubbish");
        fs::create_dir_all(rubbish.join("0/left/from/before")).unwrap();
        let sweeper = Sweeper::new(&rubbish).unwrap();
        for number in 0..50 {
            let path = directory.path().join(format!("d{number}"));
            fs::create_dir_all(path.join("a/b")).unwrap();
            sweeper.discard(&path).unwrap();
            assert!(!path.exists());
        }
        sweeper.discard(&directory.path().join("never was")).unwrap();
        drop(sweeper);
        assert_eq!(fs::read_dir(&rubbish).unwrap().count(), 0);
    }
}
