//! The disk cache that the tests share.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::binary;

/// Cores and programs are larger than this; nothing else is.
const LARGE: u64 = 8 << 20;

/// How many bytes of cores and programs stay when no workspace has them any more.
const LIMIT: u64 = 1 << 30;

/// A test that has just removed its outputs may be about to fetch them from the cache.
const RECENT: Duration = Duration::from_secs(30);

/// A disk cache for all tests, so that they do not all compile the same things. It belongs to one
/// binary: what another one wrote is never trusted here, nor kept.
pub fn directory() -> &'static Path {
    static CACHE: OnceLock<std::path::PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let bytes = fs::read(binary::rbz()).expect("the binary under test can be read");
        let name = hex::encode(&Sha256::digest(bytes)[..8]);
        let caches = binary::scratch_directory().join("caches");
        for entry in fs::read_dir(&caches).into_iter().flatten().flatten() {
            if entry.file_name() != name.as_str() {
                // Another test process may be doing the same.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let cache = caches.join(name);
        fs::create_dir_all(&cache).expect("the target directory can be written");
        cache
    })
}

/// Removes the cores and programs that were not used for longest, if there are many: each test
/// makes some of its own, and all of them together would fill small disks. Does nothing while some
/// rbz uses the cache; a later test will do it.
pub fn trim() {
    let cache = directory();
    // What rbz holds while it runs.
    let Ok(lock) = File::options().append(true).open(cache.join("lock")) else { return };
    if lock.try_lock().is_err() {
        return;
    }
    let files = ["cas", "cas-x"].into_iter().flat_map(|store| WalkDir::new(cache.join(store)));
    let mut unused: Vec<_> = files
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?, entry.into_path())))
        .filter(|(data, _)| data.is_file() && data.len() > LARGE && data.nlink() == 1)
        .collect();
    // Linking and unlinking change this date.
    unused.sort_by_key(|(data, _)| (data.ctime(), data.ctime_nsec()));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut size: u64 = unused.iter().map(|(data, _)| data.len()).sum();
    for (data, path) in unused {
        let used = Duration::from_secs(data.ctime().unsigned_abs());
        if size <= LIMIT || now.saturating_sub(used) < RECENT {
            break;
        }
        if fs::remove_file(path).is_ok() {
            size -= data.len();
        }
    }
}
