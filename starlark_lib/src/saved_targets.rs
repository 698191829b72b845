//! Saved targets: what rules were evaluated to, kept between sessions.
//!
//! A configured target is found again by everything that its rule could see: the label and what
//! was declared of it, the rule's code, the resolved attributes, the dependencies' providers, and
//! those options of the configuration that the rule did read. When all agree, no Starlark runs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rbz_engine::depset::SavedDepsets;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_engine::record_log::{RecordLog, is_mostly_garbage};
use rbz_engine::value::Value;
use serde::{Deserialize, Serialize};

use crate::configuration::{Configuration, OptionName, OptionReads, read_again};
use crate::configured_target::ConfiguredTarget;
use crate::ctx::plain_attribute;
use crate::dependency_graph::{Node, ResolvedKind, ResolvedTarget};
use crate::package::TargetKind;
use crate::rule_context::Shell;

/// Changes when the meaning of what is saved does; the version of the program goes with it.
const FORMAT: &str = concat!("rbz configured targets 1 ", env!("CARGO_PKG_VERSION"));

/// Identifies what a rule could see, but for the configuration's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TargetKey {
    /// The label and the directory of outputs: of one such there is one current target.
    place: Fingerprint,
    /// Everything else.
    content: Fingerprint,
}

/// A configured target, and what of the configuration it depends on.
#[derive(Serialize, Deserialize)]
struct SavedTarget {
    reads: Vec<(OptionName, Value)>,
    target: ConfiguredTarget,
}

/// What is known under a key's place: decoded when it is asked for.
enum Known {
    Encoded(Vec<u8>),
    Decoded(Vec<(OptionName, Value)>, Arc<ConfiguredTarget>),
}

/// All of them.
#[derive(Default)]
pub struct SavedTargets {
    known: Mutex<HashMap<Fingerprint, HashMap<Fingerprint, Known>>>,
    log: Option<Mutex<RecordLog>>,
    /// Records to be appended.
    new: Mutex<Vec<Vec<u8>>>,
    records: usize,
}

impl SavedTargets {
    /// Those of the log at `path`. A log that cannot be used is the same as none.
    pub fn open(path: &Path) -> Self {
        let mut known: HashMap<Fingerprint, HashMap<Fingerprint, Known>> = HashMap::new();
        let mut records = 0;
        let log = RecordLog::open(path, FORMAT, |record| {
            records += 1;
            if let Ok((key, rest)) = postcard::take_from_bytes::<TargetKey>(record) {
                // A later record of the same target replaces what was there: its inputs changed.
                let place = known.entry(key.place).or_default();
                place.retain(|content, _| *content == key.content);
                place.insert(key.content, Known::Encoded(rest.to_vec()));
            }
        });
        SavedTargets {
            known: Mutex::new(known),
            log: log.ok().map(Mutex::new),
            new: Mutex::default(),
            records,
        }
    }

    /// What identifies a node's target.
    pub fn key(
        &self,
        node: &Node,
        resolved: &ResolvedTarget,
        dependencies: &[Arc<ConfiguredTarget>],
        shell: &Result<Shell, Diagnostic>,
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
            for (name, attribute) in attributes.iter() {
                content.str(name).part(&plain_attribute(&attribute.value).fingerprint());
            }
        }
        for dependency in dependencies {
            content.part(&dependency.fingerprint);
        }
        if let Ok(shell) = shell {
            content.str(shell.program.exec_path()).part(&shell.files.fingerprint());
        }
        TargetKey { place: place.finish(), content: content.finish() }
    }

    /// The target of a key, if it was evaluated with the same options.
    pub fn get(
        &self,
        key: &TargetKey,
        configuration: &Configuration,
    ) -> Option<Arc<ConfiguredTarget>> {
        let mut known = self.known.lock().unwrap_or_else(|poison| poison.into_inner());
        let slot = known.get_mut(&key.place)?.get_mut(&key.content)?;
        if let Known::Encoded(bytes) = slot {
            let saved: SavedTarget = SavedDepsets::decode(bytes).ok()?;
            *slot = Known::Decoded(saved.reads, Arc::new(saved.target));
        }
        let Known::Decoded(reads, target) = slot else { return None };
        let same = reads.iter().all(|(option, value)| read_again(configuration, option) == *value);
        same.then(|| target.clone())
    }

    /// Keeps a target that was evaluated.
    pub fn put(&self, key: TargetKey, reads: &OptionReads, target: &Arc<ConfiguredTarget>) {
        let reads = reads.all();
        if self.log.is_some() {
            let saved = SavedTarget { reads: reads.clone(), target: (**target).clone() };
            if let (Ok(mut record), Ok(data)) =
                (postcard::to_stdvec(&key), SavedDepsets::encode(&saved))
            {
                record.extend(data);
                self.new.lock().unwrap_or_else(|poison| poison.into_inner()).push(record);
            }
        }
        let mut known = self.known.lock().unwrap_or_else(|poison| poison.into_inner());
        let place = known.entry(key.place).or_default();
        place.insert(key.content, Known::Decoded(reads, target.clone()));
    }

    /// Writes what is new to the log. What cannot be written is evaluated again next time.
    pub fn save(&mut self) {
        let new =
            std::mem::take(&mut *self.new.lock().unwrap_or_else(|poison| poison.into_inner()));
        let Some(log) = &self.log else { return };
        let mut log = log.lock().unwrap_or_else(|poison| poison.into_inner());
        if log.append_all(new.iter().map(Vec::as_slice)).is_err() {
            return;
        }
        self.records += new.len();
        let known = self.known.lock().unwrap_or_else(|poison| poison.into_inner());
        let live: usize = known.values().map(HashMap::len).sum();
        if !is_mostly_garbage(live, self.records) {
            return;
        }
        let mut records = Vec::new();
        for (place, contents) in known.iter() {
            for (content, slot) in contents {
                let key = TargetKey { place: *place, content: *content };
                let data = match slot {
                    Known::Encoded(bytes) => Ok(bytes.clone()),
                    Known::Decoded(reads, target) => SavedDepsets::encode(&SavedTarget {
                        reads: reads.clone(),
                        target: (**target).clone(),
                    }),
                };
                if let (Ok(mut record), Ok(data)) = (postcard::to_stdvec(&key), data) {
                    record.extend(data);
                    records.push(record);
                }
            }
        }
        if log.compact(records.iter().map(Vec::as_slice)).is_ok() {
            self.records = records.len();
        }
    }
}
