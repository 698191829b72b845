//! The scheduler: which of the ready actions runs next, and how many at a time.

use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::digest::Fingerprint;
use crate::graph::NodeId;
use crate::memory::Memory;

/// An action that may run now. The greatest is taken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ready {
    priority: u64,
    /// Between equals the one that was planned first.
    planned: std::cmp::Reverse<NodeId>,
    cost: usize,
    memory: u64,
}

#[derive(Debug)]
struct State {
    ready: BinaryHeap<Ready>,
    /// How many of the places are taken.
    taken: usize,
    /// How many actions are not done.
    left: usize,
    stopped: bool,
}

/// The ready actions of a build, handed out to threads.
#[derive(Debug)]
pub struct Scheduler {
    state: Mutex<State>,
    changed: Condvar,
    places: usize,
    memory: Memory,
    shuffle: Option<u64>,
}

/// An action that was handed out.
#[derive(Debug)]
pub struct Turn {
    /// Its node.
    pub node: NodeId,
    cost: usize,
    memory: u64,
}

impl Scheduler {
    /// For a build of so many actions, with so many places and so much memory. Given a seed the
    /// order is random.
    pub fn new(actions: usize, places: usize, memory: Memory, shuffle: Option<u64>) -> Scheduler {
        let state = State { ready: BinaryHeap::new(), taken: 0, left: actions, stopped: false };
        Scheduler {
            state: Mutex::new(state),
            changed: Condvar::new(),
            places: places.max(1),
            memory,
            shuffle,
        }
    }

    /// An action may run now. Of several that one runs first whose `remaining` path is longest.
    /// `cost` is the number of places that it takes, as far as there are so many, and `memory` the
    /// bytes.
    pub fn ready(&self, node: NodeId, remaining: u64, cost: usize, memory: u64) {
        let priority = match self.shuffle {
            None => remaining,
            Some(seed) => {
                let random = Fingerprint::of(format!("{seed} {}", node.0)).0;
                u64::from_le_bytes([
                    random[0], random[1], random[2], random[3], random[4], random[5], random[6],
                    random[7],
                ])
            }
        };
        let cost = cost.clamp(1, self.places);
        let planned = std::cmp::Reverse(node);
        self.lock().ready.push(Ready { priority, planned, cost, memory });
        self.changed.notify_one();
    }

    /// Waits for the next action; `None` when there will be none.
    pub fn next(&self) -> Option<Turn> {
        let mut state = self.lock();
        loop {
            if state.left == 0 || state.stopped {
                return None;
            }
            if let Some(top) = state.ready.peek().copied()
                && state.taken + top.cost <= self.places
                && self.memory.has(top.memory)
            {
                state.ready.pop();
                state.taken += top.cost;
                self.memory.promise(top.memory);
                return Some(Turn { node: top.planned.0, cost: top.cost, memory: top.memory });
            }
            // The lock is whole even if another thread panicked while it held it.
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// An action is done, and those that waited for it alone have been made ready.
    pub fn done(&self, turn: Turn) {
        let mut state = self.lock();
        state.taken -= turn.cost;
        self.memory.take_back(turn.memory);
        state.left -= 1;
        drop(state);
        self.changed.notify_all();
    }

    /// An action will never be ready, since something that it needs failed.
    pub fn skipped(&self) {
        self.lock().left -= 1;
        self.changed.notify_all();
    }

    /// No further action is handed out.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_comes_first() {
        let scheduler = Scheduler::new(3, 1, Memory::default(), None);
        for (node, remaining) in [(0, 5), (1, 9), (2, 5)] {
            scheduler.ready(NodeId(node), remaining, 1, 0);
        }
        let mut order = Vec::new();
        while let Some(turn) = scheduler.next() {
            order.push(turn.node.0);
            scheduler.done(turn);
        }
        assert_eq!(order, [1, 0, 2]);
    }

    #[test]
    fn a_seed_decides_a_random_order() {
        let order = |seed| {
            let scheduler = Scheduler::new(20, 1, Memory::default(), Some(seed));
            (0..20).for_each(|node| scheduler.ready(NodeId(node), 1, 1, 0));
            let mut order = Vec::new();
            while let Some(turn) = scheduler.next() {
                order.push(turn.node.0);
                scheduler.done(turn);
            }
            order
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn what_takes_all_places_runs_alone() {
        let scheduler = Scheduler::new(3, 4, Memory::default(), None);
        scheduler.ready(NodeId(0), 3, 1, 0);
        scheduler.ready(NodeId(1), 2, usize::MAX, 0);
        scheduler.ready(NodeId(2), 1, 1, 0);
        assert_eq!(second_after_first(&scheduler), NodeId(1));
    }

    #[test]
    fn what_takes_all_memory_runs_alone() {
        let memory = Memory::new(100);
        let scheduler = Scheduler::new(3, 4, memory.clone(), None);
        scheduler.ready(NodeId(0), 3, 1, 60);
        scheduler.ready(NodeId(1), 2, 1, 5000);
        scheduler.ready(NodeId(2), 1, 1, 10);
        assert_eq!(second_after_first(&scheduler), NodeId(1));
        assert_eq!(memory.left(), 0);
    }

    /// Takes the first action, sees that no second one is handed out before it is done, and yields
    /// that one.
    fn second_after_first(scheduler: &Scheduler) -> NodeId {
        let first = scheduler.next().unwrap();
        let second = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| scheduler.next().unwrap());
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!waiting.is_finished());
            scheduler.done(first);
            waiting.join().unwrap()
        });
        second.node
    }

    #[test]
    fn nothing_comes_after_a_stop() {
        let scheduler = Scheduler::new(1, 1, Memory::default(), None);
        scheduler.ready(NodeId(0), 1, 1, 0);
        scheduler.stop();
        assert!(scheduler.next().is_none());
    }
}
