//! Memory: how much of it a build may take, and how much is promised to the actions that run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory of a build, in bytes. Clones are of the same memory.
#[derive(Clone, Debug)]
pub struct Memory {
    limit: u64,
    promised: Arc<AtomicU64>,
}

impl Memory {
    /// So much and no more.
    pub fn new(limit: u64) -> Memory {
        Memory { limit, promised: Arc::default() }
    }

    /// All that a build may take; a single action may take it, too.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether so much is left for one more action. The first one always starts: what does not fit
    /// at all would never.
    pub fn has(&self, bytes: u64) -> bool {
        let promised = self.promised.load(Ordering::Relaxed);
        promised == 0 || promised.saturating_add(bytes) <= self.limit
    }

    /// Promises memory to an action that starts.
    pub fn promise(&self, bytes: u64) {
        self.promised.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes back what was promised to an action that has ended.
    pub fn take_back(&self, bytes: u64) {
        self.promised.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What actions leave, for processes that are only kept to save time.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.promised.load(Ordering::Relaxed))
    }
}

impl Default for Memory {
    /// Without a limit.
    fn default() -> Memory {
        Memory::new(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_is_not_left() {
        let memory = Memory::new(100);
        let same = memory.clone();
        assert!(memory.has(1000), "the first always starts");
        memory.promise(70);
        assert!(same.has(30) && !same.has(31));
        assert_eq!(same.left(), 30);
        memory.promise(1000);
        assert_eq!(same.left(), 0);
        same.take_back(1070);
        assert_eq!(memory.left(), 100);
    }
}
