//! The stems of a build: which there are, which serves an action, and which has to go.

use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::stem::Stem;
use super::tree::is_same_input;
use crate::digest::{Fingerprint, FingerprintBuilder};
use crate::strategy::{PreparedResident, PreparedSpawn, StagedContent, StagedInput};

/// As many stems are kept. One that nothing was forked from lately goes first.
const MAX_STEMS: usize = 32;

/// After as many steps another stem is left behind: an action that needs fewer begins there, in
/// whatever order actions come.
const STRIDE: usize = 16;

/// The stems of a build.
#[derive(Default)]
pub struct Stems {
    kept: Mutex<Vec<Arc<Kept>>>,
    clock: AtomicU64,
}

/// A stem that is there, is being made, or failed.
pub struct Kept {
    /// How many steps it has dealt with.
    steps: usize,
    /// Of its program and these steps.
    chain: Fingerprint,
    /// What it saw meanwhile, sorted by path.
    visible: Arc<[StagedInput]>,
    /// When it was used last.
    used: AtomicU64,
    /// Locked while it is made and while it forks; `None` once it failed.
    stem: Mutex<Option<Stem>>,
}

impl Kept {
    /// The stem, once it is made; inside is `None` if it failed.
    pub fn stem(&self) -> MutexGuard<'_, Option<Stem>> {
        self.stem.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A stem to be made of another.
pub struct Wanted<'a> {
    /// The one to make it of; `None`: it is the first of its program.
    pub parent: Option<&'a Kept>,
    /// The steps that it has to deal with.
    pub steps: &'a [String],
    /// What it may see, sorted by path.
    pub visible: &'a [StagedInput],
}

impl Stems {
    /// The stem that has dealt with all steps of an action. `make` makes those that are missing.
    /// `None`: one of them failed.
    pub fn get(
        &self,
        spawn: &PreparedSpawn,
        resident: &PreparedResident,
        make: impl Fn(&Wanted) -> Option<Stem>,
    ) -> Option<Arc<Kept>> {
        let chain = chain(spawn, resident);
        let all = resident.steps.len();
        loop {
            let mut kept = self.lock();
            let best = kept
                .iter()
                .filter(|stem| {
                    chain.get(stem.steps) == Some(&stem.chain)
                        && is_part(&stem.visible, &resident.visible)
                })
                .max_by_key(|stem| stem.steps)
                .cloned();
            let next = match &best {
                Some(stem) if stem.steps == all => {
                    stem.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
                    drop(kept);
                    return stem.stem().is_some().then(|| stem.clone());
                }
                // It failed: so would all that begin with it.
                Some(stem) if stem.stem.try_lock().is_ok_and(|stem| stem.is_none()) => return None,
                Some(stem) => (stem.steps + STRIDE).min(all),
                None => 0,
            };
            let (from, visible) = match &best {
                None => (0, resident.tools.clone().into()),
                Some(stem) => (stem.steps, resident.visible.clone()),
            };
            let new = Arc::new(Kept {
                steps: next,
                chain: chain[next],
                visible: visible.clone(),
                used: AtomicU64::new(self.clock.fetch_add(1, Ordering::Relaxed)),
                stem: Mutex::new(None),
            });
            // Who else wants it waits here until it is made.
            let mut place = new.stem();
            make_room(&mut kept);
            kept.push(new.clone());
            drop(kept);
            *place = make(&Wanted {
                parent: best.as_deref(),
                steps: &resident.steps[from..next],
                visible: &visible,
            });
            place.as_ref()?;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Lets the stem go that was used longest ago, if there are too many.
fn make_room(kept: &mut Vec<Arc<Kept>>) {
    let unused = |(_, stem): &(usize, &Arc<Kept>)| Arc::strong_count(stem) == 1;
    let oldest = |(_, stem): &(usize, &Arc<Kept>)| stem.used.load(Ordering::Relaxed);
    if kept.len() >= MAX_STEMS
        && let Some((index, _)) = kept.iter().enumerate().filter(unused).min_by_key(oldest)
    {
        kept.swap_remove(index);
    }
}

/// For each number of steps what tells a stem that has dealt with them from all others.
fn chain(spawn: &PreparedSpawn, resident: &PreparedResident) -> Vec<Fingerprint> {
    let mut tool = FingerprintBuilder::new("stem");
    tool.u64(resident.argv.len() as u64);
    for word in &resident.argv {
        tool.str(word);
    }
    tool.u64(spawn.env.len() as u64);
    for (name, value) in &spawn.env {
        tool.str(name).str(value);
    }
    for input in &resident.tools {
        tool.str(&input.path);
        match &input.content {
            StagedContent::Blob { store_path, executable } => tool
                .bytes(store_path.as_os_str().as_bytes())
                .str(if *executable { "program" } else { "file" }),
            StagedContent::Symlink(target) => tool.str(target).str("link"),
            StagedContent::Directory => tool.str("directory"),
        };
    }
    let first = tool.finish();
    let after = |last: &mut Fingerprint, step: &String| {
        let mut next = FingerprintBuilder::new("step");
        next.part(last).str(step);
        *last = next.finish();
        Some(*last)
    };
    std::iter::once(first).chain(resident.steps.iter().scan(first, after)).collect()
}

/// Whether all of `some` is among `all`; both are sorted by path.
fn is_part(some: &[StagedInput], all: &[StagedInput]) -> bool {
    let mut all = all.iter();
    some.iter().all(|input| {
        all.by_ref()
            .find(|other| other.path >= input.path)
            .is_some_and(|other| is_same_input(input, other))
    })
}
