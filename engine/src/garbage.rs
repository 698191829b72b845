//! Garbage collection: keeps the disk cache below a limit.
//!
//! What was not used for longest goes first. Linking to a blob changes its change time, and a hit
//! sets the date of a result, so both tell when that was. Results go before blobs: one without its
//! blobs would be a miss in any case. Nothing younger than an hour goes: another machine may have
//! put a blob here over a network file system, and be about to put the result that names it.

use std::path::{Path, PathBuf};

use crate::file_state::file_system_time;
use crate::files::{self, FileResult, Kind};
use crate::store::Store;

/// An hour, in nanoseconds.
const HOUR: i64 = 3600 * 1_000_000_000;

/// How often at most the cache is looked through.
const INTERVAL: i64 = 24 * HOUR;

/// How much of the limit is left in use, so that the next build does not go beyond it again.
const REST_PERCENT: u64 = 80;

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Size of the cache before, in bytes.
    pub before: u64,
    /// Size of what was removed, in bytes.
    pub removed: u64,
    /// Number of files removed.
    pub files: usize,
}

struct Candidate {
    used: i64,
    size: u64,
    path: PathBuf,
}

/// Brings the cache below `limit` bytes if it is beyond. `None`: it is in use by somebody else,
/// or was looked through not long ago.
pub fn collect(store: &Store, limit: u64) -> FileResult<Option<Collected>> {
    let stamp = store.root().join("collected");
    let now = file_system_time(&store.temporary_path())?;
    if let Some((_, last)) = files::stat(&stamp, false)?
        && (0..INTERVAL).contains(&(now - last.mtime))
    {
        return Ok(None);
    }
    let collected = store.alone(|| collect_alone(store, limit, now))?.transpose()?;
    if collected.is_some() {
        files::open_append(&stamp)?;
        files::touch(&stamp)?;
    }
    Ok(collected)
}

fn collect_alone(store: &Store, limit: u64, now: i64) -> FileResult<Collected> {
    let mut results = candidates(&store.root().join("ac"), |stamp| stamp.mtime)?;
    let mut blobs = candidates(&store.root().join("cas"), |stamp| stamp.ctime)?;
    blobs.extend(candidates(&store.root().join("cas-x"), |stamp| stamp.ctime)?);
    let size = |all: &[Candidate]| all.iter().map(|candidate| candidate.size).sum::<u64>();
    let mut collected = Collected { before: size(&results) + size(&blobs), ..Collected::default() };
    if collected.before <= limit {
        return Ok(collected);
    }
    let wanted = limit / 100 * REST_PERCENT;
    results.sort_by_key(|candidate| candidate.used);
    blobs.sort_by_key(|candidate| candidate.used);
    // A result goes when it was last used before the youngest blob that goes.
    let mut to_free = collected.before - wanted;
    let mut until = i64::MIN;
    for blob in &blobs {
        if to_free == 0 {
            break;
        }
        until = blob.used;
        to_free = to_free.saturating_sub(blob.size);
    }
    let until = until.min(now - HOUR);
    for candidate in results.iter().chain(&blobs).filter(|candidate| candidate.used <= until) {
        files::remove_file(&candidate.path)?;
        collected.removed += candidate.size;
        collected.files += 1;
    }
    Ok(collected)
}

fn candidates(dir: &Path, used: impl Fn(&files::Stamp) -> i64) -> FileResult<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for entry in walkdir::WalkDir::new(dir).into_iter().flatten() {
        if let Some((Kind::File { .. }, stamp)) = files::stat(entry.path(), false)? {
            let path = entry.into_path();
            candidates.push(Candidate { used: used(&stamp), size: stamp.size, path });
        }
    }
    Ok(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact_value::Blob;

    fn store(dir: &Path) -> Store {
        Store::open(&dir.join("cache"), &dir.join("checked"), "boot").unwrap()
    }

    /// Collects as it would be `hours` from now: change times cannot be set.
    fn collect_later(store: &Store, limit: u64, hours: i64) -> Collected {
        let now = file_system_time(&store.temporary_path()).unwrap();
        collect_alone(store, limit, now + hours * HOUR).unwrap()
    }

    fn blobs(store: &Store, number: u8) -> Vec<Blob> {
        (0..number)
            .map(|number| {
                let blob = store.put(&[number; 1000], false).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(15));
                blob
            })
            .collect()
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let blobs = blobs(&store, 10);
        // Using the oldest one makes it the youngest.
        std::fs::hard_link(store.path(&blobs[0]), dir.path().join("use")).unwrap();
        let collected = collect_later(&store, 5000, 2);
        assert_eq!(collected, Collected { before: 10_000, removed: 6000, files: 6 });
        let left: Vec<bool> = blobs.iter().map(|blob| store.path(blob).exists()).collect();
        let expected: Vec<bool> = (0..10).map(|number| number == 0 || number > 6).collect();
        assert_eq!(left, expected);
    }

    #[test]
    fn nothing_younger_than_an_hour_goes_and_nothing_below_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        blobs(&store, 3);
        assert_eq!(collect_later(&store, 1000, 0).removed, 0);
        assert_eq!(collect_later(&store, 3000, 2).removed, 0);
    }

    #[test]
    fn the_cache_is_looked_through_once_in_a_while_and_by_nobody_else_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let first = store(dir.path());
        let second =
            Store::open(&dir.path().join("cache"), &dir.path().join("other"), "boot").unwrap();
        assert_eq!(collect(&first, 1000).unwrap(), None);
        drop(second);
        assert!(collect(&first, 1000).unwrap().is_some());
        assert_eq!(collect(&first, 1000).unwrap(), None);
    }
}
