//! Saved targets: what rules were evaluated to, kept between sessions.
//!
//! A configured target is found again by everything that its rule could see: the label and what
//! was declared of it, the rule's code, the resolved attributes, the dependencies' providers, and
//! those options of the configuration that the rule did read. When all agree, no Starlark runs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rbz_engine::depset_log::{DepsetLog, Encoded};
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_engine::label::Label;
use rbz_engine::record_log::{RecordLog, is_mostly_garbage};
use rbz_engine::value::Value;
use serde::{Deserialize, Serialize};

use crate::configuration::{Configuration, OptionName, OptionReads, read_again};
use crate::configured_target::ConfiguredTarget;
use crate::dependency_graph::{Node, ResolvedKind, ResolvedTarget};
use crate::package::TargetKind;
use crate::rule_context::Shell;

/// The form of the records and the meaning of rules: both are the program's.
const FORMAT: &str = concat!("rbz configured targets ", env!("RBZ_CODE"));

/// Identifies what a rule could see, but for the configuration's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TargetKey {
    /// The label and the directory of outputs: of one such there is one current target.
    place: Fingerprint,
    /// Everything else.
    content: Fingerprint,
}

/// What of the configuration a target depends on, and the target.
type SavedTarget = (Vec<(OptionName, Value)>, Arc<ConfiguredTarget>);

/// What is known under a key: decoded when it is asked for.
enum Known {
    Encoded(Vec<u8>),
    Decoded(Vec<(OptionName, Value)>, Arc<ConfiguredTarget>),
}

/// How a record of the log begins; its data follow.
#[derive(Serialize, Deserialize)]
enum Head {
    /// A node of depsets.
    Node,
    /// A target.
    Target(TargetKey),
}

/// How many bytes of records are kept before they are written.
const CHUNK: usize = 1 << 20;

/// All of them.
#[derive(Default)]
pub struct SavedTargets(Mutex<State>);

#[derive(Default)]
struct State {
    /// By the place: the content and the target.
    known: HashMap<Fingerprint, (Fingerprint, Known)>,
    depsets: DepsetLog,
    log: Option<RecordLog>,
    /// Records to be appended, and how many bytes they are.
    new: Vec<Vec<u8>>,
    size: usize,
    /// How many targets are in the log, those that were replaced too.
    written: usize,
}

impl SavedTargets {
    /// Those of the log at `path`. A log that cannot be used is the same as none.
    pub fn open(path: &Path) -> Self {
        let mut state = State::default();
        let log = RecordLog::open(path, FORMAT, |record| match postcard::take_from_bytes(record) {
            Ok((Head::Node, node)) => state.depsets.add_node(node),
            Ok((Head::Target(key), data)) => {
                state.written += 1;
                state.replace(key, Known::Encoded(data.to_vec()));
            }
            Err(_) => {}
        });
        state.log = log.ok();
        SavedTargets(Mutex::new(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever a thread that panicked left there is whole: entries are put in at once.
        self.0.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// The target of a key, if it was evaluated with the same options.
    pub fn get(
        &self,
        key: &TargetKey,
        configuration: &Configuration,
    ) -> Option<Arc<ConfiguredTarget>> {
        let state = &mut *self.state();
        let (content, slot) = state.known.get_mut(&key.place)?;
        if *content != key.content {
            return None;
        }
        if let Known::Encoded(bytes) = slot {
            let (reads, target): SavedTarget = state.depsets.decode(bytes)?;
            *slot = Known::Decoded(reads, target);
        }
        let Known::Decoded(reads, target) = slot else { return None };
        let same = reads.iter().all(|(option, value)| read_again(configuration, option) == *value);
        same.then(|| target.clone())
    }

    /// Keeps a target that was evaluated.
    pub fn put(&self, key: TargetKey, reads: &OptionReads, target: &Arc<ConfiguredTarget>) {
        let saved: SavedTarget = (reads.all(), target.clone());
        let encoded = Encoded::new(&saved);
        let state = &mut *self.state();
        if state.log.is_some()
            && let Some(records) = records(&mut state.depsets, key, encoded)
        {
            state.size += records.iter().map(Vec::len).sum::<usize>();
            state.new.extend(records);
            state.written += 1;
        }
        state.replace(key, Known::Decoded(saved.0, saved.1));
        if state.size > CHUNK {
            state.write();
        }
    }

    /// Writes what is new to the log. What cannot be written is evaluated again next time.
    pub fn save(&self) {
        let state = &mut *self.state();
        state.write();
        if state.log.is_some() && is_mostly_garbage(state.known.len(), state.written) {
            state.compact();
        }
    }
}

impl State {
    /// Writes what is new. After a write that failed nothing is written any more: what follows would
    /// mention nodes that are not there.
    fn write(&mut self) {
        self.size = 0;
        let new = std::mem::take(&mut self.new);
        if let Some(log) = &mut self.log
            && log.append_all(new.iter().map(Vec::as_slice)).is_err()
        {
            self.log = None;
        }
    }

    /// Sets the target of a place. What was there before had other inputs or options.
    fn replace(&mut self, key: TargetKey, target: Known) {
        self.known.insert(key.place, (key.content, target));
    }

    /// Writes a log of what is there now in the place of the old one.
    fn compact(&mut self) {
        let mut depsets = DepsetLog::default();
        let mut all = Vec::new();
        let mut written = 0;
        for (place, (content, slot)) in &mut self.known {
            let key = TargetKey { place: *place, content: *content };
            if let Known::Encoded(bytes) = slot {
                let Some((reads, target)) = self.depsets.decode(bytes) else { continue };
                *slot = Known::Decoded(reads, target);
            }
            if let Known::Decoded(reads, target) = slot {
                let encoded = Encoded::new(&(&*reads, &*target));
                all.extend(records(&mut depsets, key, encoded).into_iter().flatten());
                written += 1;
            }
        }
        if let Some(log) = &mut self.log
            && log.compact(all.iter().map(Vec::as_slice)).is_ok()
        {
            self.depsets = depsets;
            self.written = written;
        }
    }
}

/// The records for a target: the nodes that are not written yet, and itself.
fn records(
    depsets: &mut DepsetLog,
    key: TargetKey,
    encoded: Result<Encoded, postcard::Error>,
) -> Option<Vec<Vec<u8>>> {
    let with_nodes = depsets.with_nodes(encoded.ok()?).ok()?;
    let nodes = with_nodes.nodes.into_iter().map(|node| (Head::Node, node));
    let records = nodes.chain([(Head::Target(key), with_nodes.data)]).map(|(head, data)| {
        let mut record = postcard::to_stdvec(&head).ok()?;
        record.extend(data);
        Some(record)
    });
    records.collect()
}

/// What every rule can see besides its target.
pub struct Surroundings<'a> {
    /// The name of the main workspace.
    pub workspace: &'a str,
    /// The shell of `run_shell`.
    pub shell: &'a Result<Shell, Diagnostic>,
    /// The constraint values of the machine.
    pub host_constraints: &'a [Label],
}

impl Surroundings<'_> {
    /// Changes with all of them.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut builder = FingerprintBuilder::new("surroundings of a rule");
        builder.str(self.workspace);
        if let Ok(shell) = self.shell {
            builder.str(shell.program.exec_path()).part(&shell.files.fingerprint());
        }
        for constraint in self.host_constraints {
            builder.str(&constraint.to_string());
        }
        builder.finish()
    }
}

impl TargetKey {
    /// What identifies the target of a node.
    pub fn of(
        node: &Node,
        resolved: &ResolvedTarget,
        dependencies: &[Arc<ConfiguredTarget>],
        surroundings: &Fingerprint,
    ) -> TargetKey {
        let mut place = FingerprintBuilder::new("place of a configured target");
        place.str(&node.label.to_string()).str(node.configuration.name());
        let mut content = FingerprintBuilder::new("inputs of a configured target");
        content.part(&resolved.target.fingerprint).str(&resolved.target.place.to_string());
        if let TargetKind::Rule(rule) = &resolved.target.kind {
            content.part(&rule.rule_fingerprint);
        }
        if let ResolvedKind::Rule { schema, attributes } = &resolved.kind {
            content.part(&schema.fingerprint);
            // What is as the rule has it is in the fingerprint of the rule.
            for (name, attribute) in attributes.iter().filter(|(_, it)| !it.is_default) {
                content.str(name).part(&attribute.value.to_plain().fingerprint());
            }
        }
        for dependency in dependencies {
            content.part(&dependency.fingerprint);
        }
        content.part(surroundings);
        TargetKey { place: place.finish(), content: content.finish() }
    }
}
