//! Staging: from the inputs of an action to what its process sees.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::action::{Action, ActionKind};
use crate::artifact::Artifact;
use crate::artifact_value::{ArtifactValue, Blob, TreeEntry};
use crate::depset::Depset;
use crate::digest::Fingerprint;
use crate::executor::{ActionError, Executor};
use crate::failure::FailureCause;
use crate::files;
use crate::label::join;
use crate::sources::source_path;
use crate::strategy::{StagedContent, StagedInput};
use crate::value::Value;

/// What the own elements of depset nodes are seen as. Actions share most of their inputs, but few
/// have just the same: node by node, each input is looked up once in a build, not once for each
/// action.
#[derive(Debug, Default)]
pub(crate) struct Staged(Mutex<HashMap<Fingerprint, Arc<[StagedInput]>>>);

impl Staged {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Fingerprint, Arc<[StagedInput]>>> {
        // A map is whole even if a thread panicked while it held the lock.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Sorts inputs by path, and leaves each path once.
pub(crate) fn in_order(inputs: &mut Vec<StagedInput>) {
    inputs.sort_by(|a, b| a.path.cmp(&b.path));
    inputs.dedup_by(|a, b| a.path == b.path);
}

impl Executor<'_> {
    /// All that a process sees of `depset`, in no particular order.
    pub(crate) fn stage_all(
        &self,
        action: &Action,
        depset: &Depset,
    ) -> Result<Vec<StagedInput>, ActionError> {
        let mut all = Vec::new();
        for node in depset.nodes() {
            if !node.direct().is_empty() {
                all.extend_from_slice(&self.stage_node(action, node)?);
            }
        }
        Ok(all)
    }

    /// What a process sees of the own elements of a depset node.
    fn stage_node(
        &self,
        action: &Action,
        node: &Depset,
    ) -> Result<Arc<[StagedInput]>, ActionError> {
        if let Some(staged) = self.staged.lock().get(&node.fingerprint()) {
            return Ok(staged.clone());
        }
        let mut staged = Vec::new();
        for element in node.direct() {
            if let Value::File(artifact) = element {
                self.stage(action, artifact, &mut staged)?;
            }
        }
        in_order(&mut staged);
        let staged: Arc<[StagedInput]> = staged.into();
        self.staged.lock().insert(node.fingerprint(), staged.clone());
        Ok(staged)
    }

    /// Adds what is to be seen of an input.
    fn stage(
        &self,
        action: &Action,
        artifact: &Artifact,
        to: &mut Vec<StagedInput>,
    ) -> Result<(), ActionError> {
        let Some(value) = self.value(artifact) else {
            return Err(self.no_input(action, artifact));
        };
        if let ArtifactValue::RunfilesTree(_) = value {
            return self.stage_runfiles(action, artifact, to);
        }
        self.stage_at(action, artifact, artifact.exec_path(), &value, to)
    }

    fn stage_at(
        &self,
        action: &Action,
        artifact: &Artifact,
        path: &str,
        value: &ArtifactValue,
        to: &mut Vec<StagedInput>,
    ) -> Result<(), ActionError> {
        let staged =
            |relative: &str, content| StagedInput { path: join(path, relative).into(), content };
        let blob_content = |relative: &str, blob: &Blob| {
            let store_path = self.blob_path(action, artifact, relative, blob)?.into();
            Ok(StagedContent::Blob { store_path, executable: blob.executable })
        };
        match value {
            ArtifactValue::File(blob) | ArtifactValue::Volatile(blob) => {
                to.push(staged("", blob_content("", blob)?));
            }
            ArtifactValue::Symlink(text) => {
                to.push(staged("", StagedContent::Symlink(text.clone())));
            }
            ArtifactValue::Tree(tree) => {
                to.push(staged("", StagedContent::Directory));
                for (relative, entry) in &tree.entries {
                    let content = match entry {
                        TreeEntry::File(blob) => blob_content(relative, blob)?,
                        TreeEntry::Symlink(text) => StagedContent::Symlink(text.clone()),
                        TreeEntry::Directory => StagedContent::Directory,
                    };
                    to.push(staged(relative, content));
                }
            }
            // Runfiles inside runfiles are merged into them when they are made.
            ArtifactValue::RunfilesTree(_) => {}
        }
        Ok(())
    }

    /// A runfiles tree is seen as a directory of the files themselves. They are at their own exec
    /// paths as well: many a program looks for its data beside its source. What it has of the
    /// machine is seen where it is.
    fn stage_runfiles(
        &self,
        action: &Action,
        tree: &Artifact,
        to: &mut Vec<StagedInput>,
    ) -> Result<(), ActionError> {
        let generating = self.cx.plan.generating(tree).map(|id| &self.cx.plan.action(id).kind);
        let Some(ActionKind::RunfilesTree(runfiles)) = generating else {
            return Err(self.no_input(action, tree));
        };
        let workspace = &self.cx.plan.workspace;
        for directory in [tree.exec_path().to_owned(), join(tree.exec_path(), workspace)] {
            to.push(StagedInput { path: directory.into(), content: StagedContent::Directory });
        }
        for artifact in runfiles.system_parts() {
            self.stage(action, &artifact, to)?;
        }
        for (path, artifact) in runfiles.entries(workspace) {
            let Some(value) = self.value(&artifact) else {
                return Err(self.no_input(action, &artifact));
            };
            self.stage_at(action, &artifact, &join(tree.exec_path(), &path), &value, to)?;
            self.stage_at(action, &artifact, artifact.exec_path(), &value, to)?;
        }
        Ok(())
    }

    /// The path of a blob in the store. If the store has lost it, it is taken from where the
    /// artifact (or its child `relative`) lies.
    pub(crate) fn blob_path(
        &self,
        action: &Action,
        artifact: &Artifact,
        relative: &str,
        blob: &Blob,
    ) -> Result<PathBuf, ActionError> {
        let machine = |error: &files::FileError| self.machine(action, error);
        if let Some(path) = self.cx.store.take(blob).map_err(|error| machine(&error))? {
            return Ok(path);
        }
        let is_derived = self.cx.plan.generating(artifact).is_some();
        let lies_at = if is_derived {
            Some(self.cx.tree.path(artifact.exec_path()))
        } else {
            source_path(self.cx.plan, artifact)
        };
        if let Some(path) = lies_at {
            let path = if relative.is_empty() { path } else { path.join(relative) };
            match self.cx.store.copy_in(&path, blob.executable) {
                Ok(copied) if copied == *blob => return Ok(self.cx.store.path(blob)),
                Ok(_) => {}
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(machine(&error)),
            }
        }
        if is_derived {
            return Err(self.lose(artifact, blob));
        }
        let path = join(artifact.exec_path(), relative);
        Err(self.failed(action, FailureCause::ChangedDuringBuild { path }))
    }
}
