//! The way that a machine allowed the last time, so that a build which runs nothing need not try.
//!
//! What a machine allows is found out by starting processes. It is decided by settings that can be
//! read in no time: while these are the same, so is the answer. It is checked when it is needed.

use std::fs;
use std::path::{Path, PathBuf};

use super::message::Mode;
use super::ways::Ways;
use crate::digest::FingerprintBuilder;

/// What decides which namespaces this process may make. That a file is not there counts too.
const DECIDED_BY: [&str; 5] = [
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/self/attr/current",
];

/// The namespaces that this process is in.
const NAMESPACES: [&str; 3] = ["/proc/self/ns/user", "/proc/self/ns/mnt", "/proc/self/ns/pid"];

/// The lines of a process's status about its rights.
const RIGHTS: [&str; 6] = ["Uid:", "Gid:", "CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp"];

/// A note in a file.
pub struct RememberedWay {
    file: PathBuf,
    /// What it holds for.
    circumstances: String,
}

impl RememberedWay {
    /// The note for what is asked of a sandbox that works in `directory`.
    pub fn new(directory: &Path, ways: &Ways) -> RememberedWay {
        let mut builder = FingerprintBuilder::new("way of confining");
        builder.str(&format!("{ways:?}"));
        for path in DECIDED_BY {
            builder.bytes(&fs::read(path).unwrap_or_default());
        }
        for path in NAMESPACES {
            builder.str(&fs::read_link(path).unwrap_or_default().to_string_lossy());
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for line in status.lines().filter(|line| RIGHTS.iter().any(|name| line.starts_with(name))) {
            builder.str(line);
        }
        let circumstances = builder.finish().to_hex();
        RememberedWay { file: directory.join("way"), circumstances }
    }

    /// What was noted, if it still holds.
    pub fn get(&self) -> Option<Mode> {
        let text = fs::read_to_string(&self.file).ok()?;
        let (circumstances, word) = text.split_once(' ')?;
        let mode = ALL.into_iter().find(|mode| word.trim_end() == format!("{mode:?}"))?;
        (circumstances == self.circumstances).then_some(mode)
    }

    /// Notes what the machine allows.
    pub fn set(&self, mode: Mode) {
        if self.get() != Some(mode) {
            // What is not noted, or only in part, is found out again.
            let _ = fs::write(&self.file, format!("{} {mode:?}\n", self.circumstances));
        }
    }

    /// Forgets what turned out to be wrong.
    pub fn forget(&self) {
        let _ = fs::remove_file(&self.file);
    }
}

const ALL: [Mode; 3] = [Mode::UserNamespaces, Mode::RootNamespaces, Mode::Landlock];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_remembered_for_what_was_asked() {
        let directory = tempfile::tempdir().unwrap();
        let any = RememberedWay::new(directory.path(), &Ways::default());
        assert_eq!(any.get(), None);
        for mode in ALL {
            any.set(mode);
            assert_eq!(RememberedWay::new(directory.path(), &Ways::default()).get(), Some(mode));
        }
        assert_eq!(RememberedWay::new(directory.path(), &Ways::namespaces()).get(), None);
        fs::write(directory.path().join("way"), "torn").unwrap();
        assert_eq!(any.get(), None);
        any.set(Mode::Landlock);
        any.forget();
        assert_eq!(any.get(), None);
    }
}
