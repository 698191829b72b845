//! The stems of a build: which there are, which serves an action, and which has to go.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::stem::Stem;
use super::tree::is_same_input;
use crate::digest::{Fingerprint, FingerprintBuilder};
use crate::memory::Memory;
use crate::strategy::{PreparedResident, PreparedSpawn, StagedContent, StagedInput};

/// As many stems are kept. One that nothing was forked from lately goes first.
const MAX_STEMS: usize = 32;

/// After as many steps another stem is left behind: an action that needs fewer begins there, in
/// whatever order actions come.
const STRIDE: usize = 16;

/// The stems of a build.
pub struct Stems {
    kept: Mutex<Vec<Arc<Kept>>>,
    clock: AtomicU64,
    /// What actions leave of it is for stems.
    memory: Memory,
}

/// A stem that is there, is being made, or failed.
pub struct Kept {
    /// How many steps it has dealt with.
    steps: usize,
    /// Of its program and these steps.
    chain: Fingerprint,
    /// What it saw meanwhile.
    sight: Sight,
    /// When it was used last.
    used: AtomicU64,
    /// Its size in bytes, once it is made.
    size: AtomicU64,
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
    pub visible: Vec<StagedInput>,
}

/// What a stem sees: the inputs of the action that it was made for, save for those that its steps do
/// not need.
struct Sight {
    /// Sorted by path.
    inputs: Arc<[StagedInput]>,
    /// Paths among them, sorted.
    hidden: Vec<Arc<str>>,
}

impl Sight {
    fn iter(&self) -> impl Iterator<Item = &StagedInput> {
        seen(&self.inputs, &self.hidden)
    }
}

/// Those of `inputs` that are not `hidden`; both are sorted by path.
fn seen<'a>(
    inputs: &'a [StagedInput],
    hidden: &'a [Arc<str>],
) -> impl Iterator<Item = &'a StagedInput> {
    let mut hidden = hidden.iter().peekable();
    inputs.iter().filter(move |input| {
        while hidden.next_if(|path| ***path < *input.path).is_some() {}
        hidden.next_if(|path| **path == input.path).is_none()
    })
}

impl Stems {
    /// None yet; their processes may take what actions leave of `memory`.
    pub fn new(memory: Memory) -> Stems {
        Stems { kept: Mutex::default(), clock: AtomicU64::new(0), memory }
    }

    /// Lets all of them go: nothing needs them any more.
    pub fn release(&self) {
        // Those that just fork go when they are done.
        let kept = std::mem::take(&mut *self.lock());
        drop(kept);
    }

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
        // The last one that was made here must not go before it was of use.
        let mut made: Option<Arc<Kept>> = None;
        loop {
            let mut kept = self.lock();
            let gone = self.make_room(&mut kept, 0);
            let mut fit: Vec<&Arc<Kept>> =
                kept.iter().filter(|stem| chain.get(stem.steps) == Some(&stem.chain)).collect();
            fit.sort_by_key(|stem| std::cmp::Reverse(stem.steps));
            let sees_enough =
                |stem: &&&Arc<Kept>| is_part(stem.sight.iter(), seen(&spawn.inputs, &resident.own));
            let best = fit.iter().find(sees_enough).map(|stem| (*stem).clone());
            let next = match &best {
                Some(stem) if stem.steps == all => {
                    stem.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
                    drop((kept, gone));
                    return stem.stem().is_some().then(|| stem.clone());
                }
                // It failed: so would all that begin with it.
                Some(stem) if stem.stem.try_lock().is_ok_and(|stem| stem.is_none()) => return None,
                Some(stem) => (stem.steps + STRIDE).min(all),
                None => 0,
            };
            let (from, sight) = match &best {
                None => (0, Sight { inputs: resident.tools.clone(), hidden: Vec::new() }),
                Some(stem) => {
                    let hidden = not_needed(resident, next);
                    (stem.steps, Sight { inputs: spawn.inputs.clone(), hidden })
                }
            };
            let visible = sight.iter().cloned().collect();
            let new = Arc::new(Kept {
                steps: next,
                chain: chain[next],
                sight,
                used: AtomicU64::new(self.clock.fetch_add(1, Ordering::Relaxed)),
                size: AtomicU64::new(0),
                stem: Mutex::new(None),
            });
            // Who else wants it waits here until it is made.
            let mut place = new.stem();
            let gone = self.make_room(&mut kept, 1);
            kept.push(new.clone());
            drop((kept, gone));
            *place = make(&Wanted {
                parent: best.as_deref(),
                steps: &resident.steps[from..next],
                visible,
            });
            let size = place.as_ref()?.memory();
            new.size.store(size, Ordering::Relaxed);
            drop(place);
            made.replace(new);
            let gone = self.make_room(&mut self.lock(), 0);
            drop(gone);
        }
    }

    /// Takes those out that were used longest ago, until there is room for so many `more`, and all
    /// that are left fit into what actions leave of the memory. One that is in use stays.
    fn make_room(&self, kept: &mut Vec<Arc<Kept>>, more: usize) -> Vec<Arc<Kept>> {
        let is_idle = |(_, stem): &(usize, &Arc<Kept>)| Arc::strong_count(stem) == 1;
        let last_use = |(_, stem): &(usize, &Arc<Kept>)| stem.used.load(Ordering::Relaxed);
        let mut gone = Vec::new();
        loop {
            let size = kept.iter().map(|stem| stem.size.load(Ordering::Relaxed));
            let fit = kept.len() + more <= MAX_STEMS && size.sum::<u64>() <= self.memory.left();
            let oldest = kept.iter().enumerate().filter(is_idle).min_by_key(last_use);
            match oldest {
                Some((index, _)) if !fit => gone.push(kept.swap_remove(index)),
                _ => return gone,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The inputs of an action that its first steps do not need, sorted: its own, and those that only
/// later steps name. A stem without them serves every action that begins with the same steps, in
/// whatever order these come.
fn not_needed(resident: &PreparedResident, steps: usize) -> Vec<Arc<str>> {
    let (before, after) = resident.steps.split_at(steps);
    let needed: HashSet<&str> = before.iter().flat_map(|step| named_inputs(step)).collect();
    let later = after.iter().flat_map(|step| named_inputs(step));
    let later = later.filter(|path| !needed.contains(path)).map(Arc::from);
    let mut hidden: Vec<Arc<str>> = resident.own.iter().cloned().chain(later).collect();
    hidden.sort();
    hidden.dedup();
    hidden
}

/// What a step may name: what follows each of its spaces, to its end.
fn named_inputs(step: &str) -> impl Iterator<Item = &str> {
    step.match_indices(' ').map(|(at, _)| &step[at + 1..])
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
    for input in resident.tools.iter() {
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
fn is_part<'a>(
    mut some: impl Iterator<Item = &'a StagedInput>,
    mut all: impl Iterator<Item = &'a StagedInput>,
) -> bool {
    some.all(|input| {
        all.by_ref()
            .find(|other| other.path >= input.path)
            .is_some_and(|other| is_same_input(input, other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_of_different_actions_that_begin_alike_see_the_same() {
        let resident = |steps: &[&str], own: &str| PreparedResident {
            argv: Vec::new(),
            steps: steps.iter().map(|step| step.to_string()).collect(),
            tools: Arc::from([]),
            own: vec![own.into()],
        };
        let hidden = |resident: &PreparedResident, steps| {
            not_needed(resident, steps).iter().map(|path| path.to_string()).collect::<Vec<_>>()
        };
        let steps = ["mode x", "load a.lisp", "load as b c.lisp", "load d.lisp", "load a.lisp"];
        let last = resident(&steps, "e.lisp");
        assert_eq!(
            hidden(&last, 2),
            ["as b c.lisp", "b c.lisp", "c.lisp", "d.lisp", "e.lisp"],
            "a.lisp was needed before"
        );
        assert_eq!(hidden(&last, 5), ["e.lisp"]);
        let third = resident(&steps[..3], "d.lisp");
        assert_eq!(hidden(&third, 3), ["d.lisp"]);
    }
}
