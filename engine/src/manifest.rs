//! Manifests: what the key of an action was made of, as it is kept to explain the next key.
//!
//! What many actions have alike is kept once, under its fingerprint: the environment and the other
//! conditions of processes as a [`Block`], and each node of the depsets of inputs as an
//! [`InputNode`] under the content digest that is in the key. So a thousand actions on a thousand
//! inputs are a thousand small manifests, and not a million lines.

use serde::{Deserialize, Serialize};

use crate::action::{Action, Args};
use crate::action_key::{ManifestVisitor, each_artifact, element_digest, identity, visit_manifest};
use crate::artifact::Artifact;
use crate::artifact_value::ArtifactValue;
use crate::command_line::{lists, outline, own_words};
use crate::depset::Depset;
use crate::digest::{Fingerprint, FingerprintBuilder};
use crate::value::Value;

/// The name of entries that are words of the command line.
pub const ARGUMENT: &str = "argument";

/// Entries that are alike for most actions of a kind, by the first word of their names.
const COMMON: [&str; 5] = ["format", "environment", "requirement", "conditions", "strategy"];

/// One entry of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// What it is, such as `environment PATH`.
    pub name: String,
    /// A text, or the identity of a structure.
    pub value: String,
}

impl Entry {
    /// The list of arguments that it stands for, if it does.
    pub fn list(&self) -> Option<Fingerprint> {
        list_of(&self.value)
    }
}

/// The list that a word of an outline stands for, if it does.
pub fn list_of(word: &str) -> Option<Fingerprint> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(word.strip_prefix('…')?, &mut bytes).ok()?;
    Some(Fingerprint(bytes))
}

/// Entries that actions share.
pub type Block = Vec<Entry>;

/// What tells values apart, for comparing and for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShortDigest([u8; 16]);

impl From<Fingerprint> for ShortDigest {
    fn from(fingerprint: Fingerprint) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&fingerprint.0[..16]);
        ShortDigest(short)
    }
}

/// One node of a depset of inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputNode {
    /// Exec paths of the artifacts among its own elements, and what tells their values apart.
    pub own: Vec<(String, ShortDigest)>,
    /// The nodes in it. Those of what is in a runfiles tree are among them.
    pub parts: Vec<Fingerprint>,
}

/// What a key was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The key.
    pub key: Fingerprint,
    /// The entries that are not in the block.
    pub entries: Vec<Entry>,
    /// The fingerprint of the block.
    pub block: Fingerprint,
    /// The content digest of the inputs.
    pub inputs: Fingerprint,
}

impl Manifest {
    /// The manifest of an action that has this key, its block, and the lists among its arguments, which
    /// are kept as [`InputNode::of_words`].
    pub fn new(
        action: &Action,
        strategy: &str,
        key: Fingerprint,
        node: &dyn Fn(&Depset) -> Fingerprint,
    ) -> (Manifest, Block, Vec<Depset>) {
        let inputs = Fingerprint::default();
        let (entries, block, lists) = (Vec::new(), Vec::new(), Vec::new());
        let mut visitor = Recorder { entries, block, lists, inputs, node };
        visit_manifest(action, strategy, &mut visitor);
        let Recorder { entries, block, lists, inputs, .. } = visitor;
        let mut fingerprint = FingerprintBuilder::new("block");
        for Entry { name, value } in &block {
            fingerprint.str(name).str(value);
        }
        (Manifest { key, entries, block: fingerprint.finish(), inputs }, block, lists)
    }
}

/// The visitor that writes down what it meets.
struct Recorder<'a> {
    entries: Vec<Entry>,
    block: Block,
    lists: Vec<Depset>,
    inputs: Fingerprint,
    node: &'a dyn Fn(&Depset) -> Fingerprint,
}

impl ManifestVisitor for Recorder<'_> {
    fn text(&mut self, name: &str, value: &str) {
        let first = name.split(' ').next().unwrap_or_default();
        let to = if COMMON.contains(&first) { &mut self.block } else { &mut self.entries };
        to.push(Entry { name: name.to_owned(), value: value.to_owned() });
    }

    fn structure(&mut self, name: &str, identity: &Fingerprint) {
        self.text(name, &identity.to_hex()[..32]);
    }

    fn arguments(&mut self, name: &str, arguments: &Args) {
        for word in outline(arguments) {
            self.text(ARGUMENT, &word);
        }
        self.lists.extend(lists(arguments).cloned());
        self.structure(name, &identity(arguments));
    }

    fn inputs(&mut self, inputs: &Depset) {
        self.inputs = (self.node)(inputs);
    }
}

impl InputNode {
    /// One node, with the contents of the depsets that it holds. `runfiles` yields the depsets that
    /// a runfiles tree is made of.
    pub fn new(
        depset: &Depset,
        value: &dyn Fn(&Artifact) -> Option<ArtifactValue>,
        node: &dyn Fn(&Depset) -> Fingerprint,
        runfiles: &dyn Fn(&Artifact) -> Vec<Depset>,
    ) -> InputNode {
        let mut made = InputNode::default();
        for element in depset.direct() {
            let digest = ShortDigest::from(element_digest(element, value));
            each_artifact(element, &mut |artifact| {
                made.own.push((artifact.exec_path().to_owned(), digest));
                made.parts.extend(runfiles(artifact).iter().map(node));
            });
        }
        made.parts.extend(depset.transitive().iter().map(node));
        made
    }
}

impl InputNode {
    /// One node of a list of arguments, by whose structural fingerprint it is found. Words have no
    /// values.
    pub fn of_words(depset: &Depset) -> InputNode {
        let no_value = ShortDigest([0; 16]);
        InputNode {
            own: own_words(depset).into_iter().map(|word| (word, no_value)).collect(),
            parts: depset.transitive().iter().map(Depset::fingerprint).collect(),
        }
    }
}

/// What tells the value of an output apart, as it does where the output is an input.
pub fn output_digest(output: &Artifact, value: &ArtifactValue) -> ShortDigest {
    element_digest(&Value::File(output.clone()), &|_| Some(value.clone())).into()
}

/// How a run of an action came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done.
    Ran,
    /// Its outputs were in the disk cache.
    CacheHit,
    /// It failed.
    Failed,
}

/// Why an action was not found done, apart from what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It was never done before.
    New,
    /// It was, but from what is not on record.
    NotOnRecord,
    /// Its key is another than last time.
    Changed,
    /// It failed last time.
    FailedBefore,
    /// What it made is neither in its place nor in the disk cache.
    OutputsGone,
    /// The result of a test that is not to be used again.
    RunAgain,
}

/// One time that an action was not found done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// In which build: see [`BuildNote`].
    pub build: u64,
    /// Why.
    pub cause: Cause,
    /// What came of it.
    pub outcome: Outcome,
    /// What it was made of.
    pub manifest: Manifest,
    /// Exec paths of its outputs, and what tells their values apart. Empty if it failed.
    pub outputs: Vec<(String, ShortDigest)>,
}

/// A build, as explanations name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildNote {
    /// The command, such as `rbz build //...`.
    pub command: String,
    /// When it began, in nanoseconds since 1970. No two builds of a workspace begin at a time.
    pub begun: u64,
}
