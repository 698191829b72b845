//! The manifest log: of what each action of a workspace was made the last two times.
//!
//! Nothing is decided by it: where it is lost or damaged, explanations know less. It is opened when
//! the first action of a build is not found done, so that a build with nothing to do does not pay
//! for it; and only the places of its records are kept in memory.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde::{Serialize, de::DeserializeOwned};

use crate::digest::Fingerprint;
use crate::files::{FileError, FileResult};
use crate::manifest::{Block, BuildNote, Entry, InputNode, Manifest, Run};
use crate::record_log::{self, RecordLog, Slot};

/// The form of the records; to be changed when they are.
const FORMAT: &str = "rbz manifests 1";

/// What a record is. Its first byte; then comes the fingerprint that it is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Node = 0,
    Block = 1,
    Run = 2,
    Build = 3,
}

/// Records are written no later than with the first that comes after so long.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// What stands before the data of a record.
const HEAD: usize = 33;

/// Where the last two runs of an action are.
#[derive(Clone, Copy, Debug)]
struct Runs {
    last: Slot,
    previous: Option<Slot>,
}

/// The log of one workspace.
#[derive(Debug)]
pub struct ManifestLog {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Nobody needed it yet.
    Closed,
    Open(Box<Opened>),
    /// It could not be read or written, for the reason that is to be told.
    Failed(Option<FileError>),
}

#[derive(Debug)]
struct Opened {
    log: RecordLog,
    shared: HashMap<Fingerprint, Slot>,
    runs: HashMap<Fingerprint, Runs>,
    /// Nodes that were asked for: who explains many actions comes by them often.
    nodes: HashMap<Fingerprint, Arc<InputNode>>,
    /// The build that is on record and goes on.
    build: Option<u64>,
    /// When records were written last.
    flushed: Instant,
    /// How many runs there were in the log when it was opened.
    total: usize,
}

impl ManifestLog {
    /// The log at `path`, which is not touched yet.
    pub fn new(path: &Path) -> ManifestLog {
        ManifestLog { path: path.to_owned(), state: Mutex::new(State::Closed) }
    }

    /// Whether a node or a block is in the log. True too where nothing can be taken down.
    pub fn is_known(&self, fingerprint: &Fingerprint) -> bool {
        self.with(|log| Ok(log.shared.contains_key(fingerprint))).unwrap_or(true)
    }

    /// Adds what manifests share: nodes, each after its parts, and a block.
    pub fn add_shared(
        &self,
        nodes: &[(Fingerprint, InputNode)],
        block: Option<(Fingerprint, Block)>,
    ) {
        let mut records: Vec<(Fingerprint, Vec<u8>)> = nodes
            .iter()
            .filter_map(|(fingerprint, node)| {
                Some((*fingerprint, encode(Kind::Node, fingerprint, node)?))
            })
            .collect();
        records.extend(block.and_then(|(fingerprint, block)| {
            Some((fingerprint, encode(Kind::Block, &fingerprint, &block)?))
        }));
        if records.is_empty() {
            return;
        }
        self.with(|log| {
            for (name, record) in &records {
                log.shared.insert(*name, log.log.append_later(record)?);
            }
            Ok(())
        });
    }

    /// Adds a run of the action whose first output is `primary`. What its manifest shares with
    /// others was added before.
    pub fn add_run(&self, primary: &str, run: &Run, build: &BuildNote) {
        let name = Fingerprint::of(primary);
        let Some(run) = encode(Kind::Run, &name, run) else { return };
        self.with(|log| {
            if log.build != Some(build.begun) {
                let note = build_name(build.begun);
                if let Some(record) = encode(Kind::Build, &note, build) {
                    log.shared.insert(note, log.log.append_later(&record)?);
                }
                log.build = Some(build.begun);
            }
            let slot = log.log.append_later(&run)?;
            note_run(&mut log.runs, name, slot);
            // Many short actions share a write; a long one is not lost with a process that is killed.
            if log.flushed.elapsed() > LONGEST_WAIT { log.flush() } else { Ok(()) }
        });
    }

    /// Writes what was not written yet.
    pub fn flush(&self) {
        if !matches!(*self.lock(), State::Closed) {
            self.with(Opened::flush);
        }
    }

    /// The last run of an action.
    pub fn last(&self, primary: &str) -> Option<Run> {
        self.run(primary, |runs| Some(runs.last))
    }

    /// The run before the last one.
    pub fn previous(&self, primary: &str) -> Option<Run> {
        self.run(primary, |runs| runs.previous)
    }

    /// Where the last run of an action is: what is greater was later.
    pub fn order(&self, primary: &str) -> Option<Slot> {
        let name = Fingerprint::of(primary);
        self.with(|log| Ok(log.runs.get(&name).map(|runs| runs.last))).flatten()
    }

    fn run(&self, primary: &str, which: impl Fn(&Runs) -> Option<Slot>) -> Option<Run> {
        let name = Fingerprint::of(primary);
        self.with(|log| match log.runs.get(&name).and_then(which) {
            Some(slot) => log.decode(slot),
            None => Ok(None),
        })
        .flatten()
    }

    /// A node of inputs.
    pub fn node(&self, fingerprint: &Fingerprint) -> Option<Arc<InputNode>> {
        self.with(|log| {
            if let Some(node) = log.nodes.get(fingerprint) {
                return Ok(Some(node.clone()));
            }
            let Some(node) = log.shared(fingerprint)? else { return Ok(None) };
            let node = Arc::new(node);
            log.nodes.insert(*fingerprint, Arc::clone(&node));
            Ok(Some(node))
        })
        .flatten()
    }

    /// A block of entries.
    pub fn block(&self, fingerprint: &Fingerprint) -> Option<Block> {
        self.with(|log| log.shared(fingerprint)).flatten()
    }

    /// The build that began at this time.
    pub fn build(&self, begun: u64) -> Option<BuildNote> {
        self.with(|log| log.shared(&build_name(begun))).flatten()
    }

    /// Why nothing is taken down any more; said once.
    pub fn take_error(&self) -> Option<FileError> {
        match &mut *self.lock() {
            State::Failed(error) => error.take(),
            _ => None,
        }
    }

    /// Does something with the open log; `None` if that is not possible.
    fn with<R>(&self, work: impl FnOnce(&mut Opened) -> FileResult<R>) -> Option<R> {
        let mut state = self.lock();
        if matches!(*state, State::Closed) {
            *state = match Opened::new(&self.path) {
                Ok(opened) => State::Open(Box::new(opened)),
                Err(error) => State::Failed(Some(error)),
            };
        }
        let State::Open(opened) = &mut *state else { return None };
        match work(opened) {
            Ok(result) => Some(result),
            Err(error) => {
                *state = State::Failed(Some(error));
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The maps are whole even if a thread panicked while it held the lock.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What ends early keeps what it knows, if that can be done.
impl Drop for ManifestLog {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Opened {
    fn new(path: &Path) -> FileResult<Opened> {
        let opened = Opened::read(path)?;
        opened.compacted()?.map_or_else(|| Opened::read(path), Ok)
    }

    fn read(path: &Path) -> FileResult<Opened> {
        let mut shared = HashMap::new();
        let mut runs: HashMap<Fingerprint, Runs> = HashMap::new();
        let mut total = 0;
        let log = RecordLog::open_noting(path, FORMAT, |slot, record| {
            let Some((kind, name)) = head(record) else { return };
            if kind == Kind::Run as u8 {
                total += 1;
                note_run(&mut runs, name, slot);
            } else {
                shared.insert(name, slot);
            }
        })?;
        let (nodes, flushed) = (HashMap::new(), Instant::now());
        Ok(Opened { log, shared, runs, nodes, build: None, flushed, total })
    }

    /// Itself, or `None` if another log was put in its place: one without the runs that nobody
    /// asks for any more, and what they alone were made of.
    fn compacted(mut self) -> FileResult<Option<Opened>> {
        if !record_log::is_mostly_garbage(2 * self.runs.len(), self.total) {
            return Ok(Some(self));
        }
        let mut kept = Vec::new();
        let mut done = HashSet::new();
        let mut runs: Vec<Slot> = Vec::new();
        for found in self.runs.values() {
            runs.extend(found.previous);
            runs.push(found.last);
        }
        runs.sort();
        for slot in &runs {
            let Some(run) = self.decode::<Run>(*slot)? else { continue };
            let Manifest { block, inputs, .. } = run.manifest;
            let mut stack = vec![inputs, block, build_name(run.build)];
            stack.extend(run.manifest.entries.iter().filter_map(Entry::list));
            while let Some(name) = stack.pop() {
                if !done.insert(name) {
                    continue;
                }
                let Some(slot) = self.shared.get(&name).copied() else { continue };
                let record = self.log.read(slot)?;
                if record.first() == Some(&(Kind::Node as u8)) {
                    let node = decode::<InputNode>(&record).unwrap_or_default();
                    stack.extend(node.parts);
                }
                kept.push(slot);
            }
        }
        // In their old order parts stay before wholes, and earlier runs before later ones.
        kept.extend(runs);
        kept.sort();
        let records: FileResult<Vec<Vec<u8>>> =
            kept.into_iter().map(|slot| self.log.read(slot)).collect();
        self.log.compact(records?.iter().map(Vec::as_slice))?;
        Ok(None)
    }

    fn flush(&mut self) -> FileResult<()> {
        self.flushed = Instant::now();
        self.log.flush()
    }

    fn shared<T: DeserializeOwned>(&self, name: &Fingerprint) -> FileResult<Option<T>> {
        self.shared.get(name).map_or(Ok(None), |slot| self.decode(*slot))
    }

    fn decode<T: DeserializeOwned>(&self, slot: Slot) -> FileResult<Option<T>> {
        Ok(decode(&self.log.read(slot)?))
    }
}

fn note_run(runs: &mut HashMap<Fingerprint, Runs>, name: Fingerprint, slot: Slot) {
    let earlier = runs.get(&name).map(|runs| runs.last);
    runs.insert(name, Runs { last: slot, previous: earlier });
}

fn build_name(begun: u64) -> Fingerprint {
    Fingerprint::of(begun.to_le_bytes())
}

fn encode(kind: Kind, name: &Fingerprint, data: &impl Serialize) -> Option<Vec<u8>> {
    let mut record = vec![kind as u8];
    record.extend(name.0);
    // Strings, numbers and digests always have an encoding.
    postcard::to_extend(data, record).ok()
}

fn head(record: &[u8]) -> Option<(u8, Fingerprint)> {
    let (kind, rest) = record.split_first()?;
    Some((*kind, Fingerprint(*rest.first_chunk::<32>()?)))
}

fn decode<T: DeserializeOwned>(record: &[u8]) -> Option<T> {
    postcard::from_bytes(record.get(HEAD..)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Cause, Outcome};

    fn run(number: u64, node: Fingerprint) -> Run {
        let manifest = Manifest {
            key: Fingerprint::of(number.to_string()),
            entries: vec![],
            block: Fingerprint::of("block"),
            inputs: node,
        };
        let (cause, outcome) = (Cause::Changed, Outcome::Ran);
        Run { build: number, cause, outcome, manifest, outputs: vec![] }
    }

    fn note(number: u64) -> BuildNote {
        BuildNote { command: format!("rbz build {number}"), begun: number }
    }

    /// Adds a run on a node of its own above one that all share.
    fn add(log: &ManifestLog, number: u64) {
        let (base, top) = (Fingerprint::of("base"), Fingerprint::of(format!("top {number}")));
        let of = |parts: &[Fingerprint]| InputNode { own: vec![], parts: parts.to_vec() };
        let block = (Fingerprint::of("block"), Block::new());
        log.add_shared(&[(base, of(&[])), (top, of(&[base]))], Some(block));
        log.add_run("out", &run(number, top), &note(number));
        log.flush();
    }

    #[test]
    fn the_last_two_runs_of_an_action_are_found_again_however_many_there_were() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = ManifestLog::new(&path);
        assert!(!path.exists(), "nobody needed it yet");
        (0..2000).for_each(|number| add(&log, number));
        let size = std::fs::metadata(&path).unwrap().len();
        for _ in 0..2 {
            let again = ManifestLog::new(&path);
            assert_eq!(again.last("out").unwrap().build, 1999);
            let previous = again.previous("out").unwrap();
            assert_eq!(previous.build, 1998);
            assert_eq!(again.build(1998), Some(note(1998)));
            let node = again.node(&previous.manifest.inputs).unwrap();
            assert!(again.node(&node.parts[0]).is_some());
            assert_eq!(again.block(&previous.manifest.block), Some(vec![]));
            assert_eq!(again.last("other"), None);
        }
        assert!(std::fs::metadata(&path).unwrap().len() < size / 50);
    }

    #[test]
    fn what_cannot_be_written_is_said_once_and_hurts_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::create_dir(&path).unwrap();
        let log = ManifestLog::new(&path);
        add(&log, 1);
        assert_eq!(log.last("out"), None);
        assert!(log.take_error().is_some());
        assert!(log.take_error().is_none());
    }

    #[test]
    fn a_damaged_log_knows_less_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        (0..3).for_each(|number| add(&ManifestLog::new(&path), number));
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let log = ManifestLog::new(&path);
            add(&log, 7);
            assert_eq!(ManifestLog::new(&path).last("out").map(|run| run.build), Some(7));
        }
    }
}
