//! Action keys: everything that decides what an action makes, as one fingerprint.
//!
//! What is in a key, in this order:
//!
//! | entry | of which actions |
//! |---|---|
//! | version of the key format | all |
//! | kind of action | all |
//! | structure of the arguments or of the content (depsets by their fingerprints) | all |
//! | environment, with what every action gets | processes |
//! | requirements | processes |
//! | fixed conditions (user, umask), weaknesses of the strategy | processes |
//! | shard, run, working directory | tests |
//! | exec paths and values of the inputs, by depset node | all |
//! | exec paths and kinds of the outputs | all |
//!
//! What is not: mnemonic, owner, progress message, timeout, number of attempts, the bytes of volatile
//! files, and where the workspace lies. The list is written once, in [`visit_manifest`]; the key and the
//! [`crate::manifest::Manifest`] that explains it are two visitors of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::action::{Action, ActionKind, Args, CommandArg, Spawn};
use crate::artifact::Artifact;
use crate::artifact_value::ArtifactValue;
use crate::depset::Depset;
use crate::digest::{Fingerprint, FingerprintBuilder};
use crate::value::Value;

/// To be changed when equal manifests no longer mean equal outputs.
const VERSION: &str = "1";

/// What every process meets: user and group, and the mask of the modes of new files.
const CONDITIONS: &str = "uid=1000 gid=1000 umask=022";

/// What every process gets where its action does not set it.
const DEFAULT_ENVIRONMENT: [(&str, &str); 6] = [
    ("HOME", "/rbz/home"),
    ("LANG", "C.UTF-8"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("SOURCE_DATE_EPOCH", "1577836800"),
    ("TMPDIR", "/tmp"),
    ("TZ", "UTC"),
];

/// The whole environment of a process.
pub fn environment(spawn: &Spawn) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> =
        DEFAULT_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    environment.extend(spawn.env.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    environment
}

/// Takes the entries of a manifest in their order.
pub trait ManifestVisitor {
    /// A text.
    fn text(&mut self, name: &str, value: &str);
    /// A structure, by its identity.
    fn structure(&mut self, name: &str, identity: &Fingerprint);
    /// Arguments that a rule collected; [`identity`] of them is what counts.
    fn arguments(&mut self, name: &str, arguments: &Args);
    /// Inputs.
    fn inputs(&mut self, inputs: &Depset);
}

/// Hands every entry of an action's manifest to `visitor`. `strategy` is the key material of the
/// way in which its process runs.
pub fn visit_manifest(action: &Action, strategy: &str, visitor: &mut dyn ManifestVisitor) {
    visitor.text("format", VERSION);
    match &action.kind {
        ActionKind::Spawn(spawn) => {
            visitor.text("kind", "process");
            visit_arguments(&spawn.argv, visitor);
            for (name, value) in environment(spawn) {
                visitor.text(&format!("environment {name}"), &value);
            }
            for (name, value) in &spawn.requirements {
                visitor.text(&format!("requirement {name}"), value);
            }
            visitor.text("conditions", CONDITIONS);
            visitor.text("strategy", strategy);
            if let Some(test) = &spawn.test {
                visitor.text("test shard", &format!("{} of {}", test.shard, test.shards));
                visitor.text("test run", &format!("{} of {}", test.run, test.runs));
                visitor.text("test runfiles", test.runfiles.exec_path());
                visitor.text("test workspace", &test.workspace);
            }
        }
        ActionKind::Write { content, executable } => {
            visitor.text("kind", "write");
            visit_arguments(content, visitor);
            visitor.text("executable", &executable.to_string());
        }
        ActionKind::ExpandTemplate { template, substitutions, executable } => {
            visitor.text("kind", "expand template");
            visitor.text("template", template.exec_path());
            for (from, to) in substitutions {
                visitor.text(&format!("replace {from}"), to);
            }
            visitor.text("executable", &executable.to_string());
        }
        ActionKind::Symlink { target, executable } => {
            visitor.text("kind", "symlink");
            visitor.structure("target", &identity(target));
            visitor.text("executable", &executable.to_string());
        }
        ActionKind::WorkspaceStatus => visitor.text("kind", "workspace status"),
        ActionKind::RunfilesTree(runfiles) => {
            visitor.text("kind", "runfiles tree");
            visitor.structure("runfiles", &runfiles.fingerprint());
        }
    }
    visitor.inputs(&action.inputs);
    for output in &action.outputs {
        visitor.text("output", &format!("{:?} {}", output.kind(), output.exec_path()));
    }
}

fn visit_arguments(arguments: &[CommandArg], visitor: &mut dyn ManifestVisitor) {
    for argument in arguments {
        match argument {
            CommandArg::Str(text) => visitor.text("argument", text),
            CommandArg::Args(args) => visitor.arguments("arguments", args),
        }
    }
}

/// The identity of plain data. Depsets in it are written as their fingerprints.
pub fn identity(data: &impl Serialize) -> Fingerprint {
    // Plain data of strings, numbers and lists always has an encoding.
    Fingerprint::of(postcard::to_stdvec(data).unwrap_or_default())
}

/// The content digest of one node of a depset: its own elements with the values of the artifacts
/// among them, and the digests of its parts, which are asked for.
pub fn node_digest(
    node: &Depset,
    value: &dyn Fn(&Artifact) -> Option<ArtifactValue>,
    part: &dyn Fn(&Depset) -> Fingerprint,
) -> Fingerprint {
    let mut builder = FingerprintBuilder::new("inputs");
    builder.u64(node.direct().len() as u64);
    for element in node.direct() {
        add_element(element, value, &mut builder);
    }
    for child in node.transitive() {
        builder.part(&part(child));
    }
    builder.finish()
}

/// What tells an element of a depset with the value of the artifact in it from others.
pub fn element_digest(
    element: &Value,
    value: &dyn Fn(&Artifact) -> Option<ArtifactValue>,
) -> Fingerprint {
    let mut builder = FingerprintBuilder::new("element");
    add_element(element, value, &mut builder);
    builder.finish()
}

fn add_element(
    element: &Value,
    value: &dyn Fn(&Artifact) -> Option<ArtifactValue>,
    to: &mut FingerprintBuilder,
) {
    element.add_to(to);
    each_artifact(element, &mut |artifact| {
        if let Some(value) = value(artifact) {
            value.add_to(to);
        }
    });
}

/// Calls `each` for the artifacts in an element of a depset of inputs: the element itself, or
/// inside a pair of runfiles.
pub fn each_artifact(element: &Value, each: &mut dyn FnMut(&Artifact)) {
    match element {
        Value::File(artifact) => each(artifact),
        Value::Tuple(items) => {
            for item in items.iter() {
                if let Value::File(artifact) = item {
                    each(artifact);
                }
            }
        }
        _ => {}
    }
}

/// Makes the key.
struct KeyVisitor<'a> {
    builder: FingerprintBuilder,
    node: &'a dyn Fn(&Depset) -> Fingerprint,
}

impl ManifestVisitor for KeyVisitor<'_> {
    fn text(&mut self, name: &str, value: &str) {
        self.builder.str(name).str(value);
    }

    fn structure(&mut self, name: &str, identity: &Fingerprint) {
        self.builder.str(name).part(identity);
    }

    fn arguments(&mut self, name: &str, arguments: &Args) {
        self.structure(name, &identity(arguments));
    }

    fn inputs(&mut self, inputs: &Depset) {
        let digest = (self.node)(inputs);
        self.builder.str("inputs").part(&digest);
    }
}

/// The key of an action, given the content digests of depset nodes.
pub fn action_key(
    action: &Action,
    strategy: &str,
    node: &dyn Fn(&Depset) -> Fingerprint,
) -> Fingerprint {
    let mut visitor = KeyVisitor { builder: FingerprintBuilder::new("action"), node };
    visit_manifest(action, strategy, &mut visitor);
    visitor.builder.finish()
}

/// The value of a runfiles tree: the identity of its paths and of what is at them.
pub fn runfiles_value(
    runfiles: &crate::runfiles::Runfiles,
    workspace: &Arc<str>,
    node: &dyn Fn(&Depset) -> Fingerprint,
) -> ArtifactValue {
    let mut builder = FingerprintBuilder::new("runfiles tree");
    builder.str(workspace);
    for part in [&runfiles.files, &runfiles.symlinks, &runfiles.root_symlinks] {
        builder.part(&node(part));
    }
    ArtifactValue::RunfilesTree(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{ArtifactKind, Root};
    use crate::artifact_value::Blob;
    use crate::digest::Digest;
    use crate::label::{PackageId, RepoName};
    use crate::manifest::{InputNode, Manifest};

    fn artifact(path: &str) -> Artifact {
        let owner = PackageId::new(RepoName::main(), "pkg").label("x");
        Artifact::new(ArtifactKind::SourceFile, Root::Source, path, owner)
    }

    fn action() -> Action {
        Action {
            owner: PackageId::new(RepoName::main(), "pkg").label("x"),
            mnemonic: "Compile".into(),
            progress_message: None,
            configuration: "k8-fastbuild".into(),
            inputs: Depset::of_files([artifact("a"), artifact("b")]),
            outputs: vec![artifact("out")],
            kind: ActionKind::Spawn(Spawn {
                argv: vec![CommandArg::Str("prog".into()), CommandArg::Str("arg".into())],
                env: BTreeMap::from([("A".into(), "1".into())]),
                requirements: BTreeMap::new(),
                timeout: None,
                test: None,
                resident: None,
            }),
        }
    }

    fn both(change: impl FnOnce(&mut Action), content: &[u8]) -> (Fingerprint, Vec<String>) {
        let mut action = action();
        change(&mut action);
        let value = |artifact: &Artifact| {
            let bytes = if artifact.exec_path() == "a" { content } else { b"fixed" };
            let blob = Blob { digest: Digest::of(bytes), executable: false };
            Some(ArtifactValue::File(blob))
        };
        let node = |depset: &Depset| {
            node_digest(depset, &value, &|_| unreachable!("the inputs have no parts"))
        };
        let key = action_key(&action, "", &node);
        let (manifest, block, _) = Manifest::new(&action, "", Fingerprint::default(), &node);
        let entries = manifest.entries.into_iter().chain(block);
        let mut lines: Vec<String> =
            entries.map(|entry| format!("{}: {}", entry.name, entry.value)).collect();
        let inputs = InputNode::new(&action.inputs, &value, &node, &|_| Vec::new());
        lines.extend(inputs.own.iter().map(|input| format!("input {input:?}")));
        (key, lines)
    }

    fn spawn(action: &mut Action) -> &mut Spawn {
        match &mut action.kind {
            ActionKind::Spawn(spawn) => spawn,
            _ => panic!("not a process"),
        }
    }

    #[test]
    fn what_decides_the_output_changes_key_and_explanation_alike() {
        let same = both(|_| {}, b"1");
        assert_eq!(both(|_| {}, b"1"), same);
        type Change = fn(&mut Action);
        let changes: [(&str, Change); 6] = [
            ("argument", |a| spawn(a).argv.push(CommandArg::Str("more".into()))),
            ("environment", |a| {
                spawn(a).env.insert("A".into(), "2".into());
            }),
            ("default environment", |a| {
                spawn(a).env.insert("TZ".into(), "CET".into());
            }),
            ("requirement", |a| {
                spawn(a).requirements.insert("requires-network".into(), "".into());
            }),
            ("output", |a| a.outputs.push(artifact("second"))),
            ("input", |a| a.inputs = Depset::of_files([artifact("a")])),
        ];
        for (what, change) in changes {
            let changed = both(change, b"1");
            assert_ne!(changed.0, same.0, "{what}");
            assert_ne!(changed.1, same.1, "{what}");
        }
        let changed = both(|_| {}, b"2");
        assert_ne!(changed.0, same.0);
        let differing: Vec<_> = same.1.iter().filter(|line| !changed.1.contains(line)).collect();
        assert_eq!(differing.len(), 1);
        assert!(differing[0].starts_with("input (\"a\", "));
    }

    #[test]
    fn what_does_not_decide_it_changes_nothing() {
        let same = both(|_| {}, b"1").0;
        let changes: [fn(&mut Action); 4] = [
            |a| a.mnemonic = "Other".into(),
            |a| a.progress_message = Some("Working".into()),
            |a| a.owner = a.owner.package().label("other"),
            |a| spawn(a).timeout = Some(std::time::Duration::from_secs(1)),
        ];
        for change in changes {
            assert_eq!(both(change, b"1").0, same);
        }
    }
}
