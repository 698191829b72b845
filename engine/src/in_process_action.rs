//! Actions that rbz does by itself: text files, templates, links.

use std::time::Duration;

use crate::action::{Action, ActionKind, SymlinkTarget};
use crate::artifact::{Artifact, ArtifactKind};
use crate::artifact_value::{ArtifactValue, Blob};
use crate::command_line::expand_content;
use crate::event::ActionOutput;
use crate::executor::{ActionError, Executor, Finished, of_kind};
use crate::failure::FailureCause;

impl Executor<'_> {
    /// Does an action that is no process.
    pub(crate) fn run_in_process(&self, action: &Action) -> Result<Finished, ActionError> {
        let value = match &action.kind {
            ActionKind::Write { content, executable } => {
                let text = expand_content(content, &|tree| self.tree_files(action, tree));
                self.put_text(action, text.as_ref(), *executable)?
            }
            ActionKind::ExpandTemplate { template, substitutions, executable } => {
                let text = self.text_of(action, template)?;
                let text = substitute(&text, substitutions);
                self.put_text(action, text.as_ref(), *executable)?
            }
            ActionKind::Symlink { target: SymlinkTarget::Path(text), .. } => {
                ArtifactValue::Symlink(text.clone())
            }
            ActionKind::Symlink { target: SymlinkTarget::Artifact(target), executable } => {
                match self.value(target) {
                    Some(ArtifactValue::File(Blob { executable: false, .. })) if *executable => {
                        let cause = FailureCause::Unfit {
                            path: target.exec_path().to_owned(),
                            reason: "cannot be run, but must be".to_owned(),
                        };
                        return Err(self.failed(action, cause));
                    }
                    Some(value) => value,
                    None => return Err(self.no_input(action, target)),
                }
            }
            // They have ways of their own.
            ActionKind::Spawn(_) | ActionKind::WorkspaceStatus | ActionKind::RunfilesTree(_) => {
                let cause = FailureCause::Machine("the action is of another kind".to_owned());
                return Err(self.failed(action, cause));
            }
        };
        Ok(Finished {
            values: action.outputs.iter().map(|output| of_kind(output, value.clone())).collect(),
            output: ActionOutput::default(),
            duration: Duration::ZERO,
            memory: 0,
            test: None,
        })
    }

    /// The failure of an action that uses an artifact which is not there.
    pub(crate) fn no_input(&self, action: &Action, artifact: &Artifact) -> ActionError {
        let path = artifact.exec_path().to_owned();
        let cause = match self.cx.plan.generating(artifact) {
            // What is declared as an input is made first.
            Some(_) => FailureCause::Unfit {
                path,
                reason: "is used without being declared as an input".to_owned(),
            },
            None => FailureCause::SourceMissing { path, label: artifact.owner().clone() },
        };
        self.failed(action, cause)
    }

    fn put_text(
        &self,
        action: &Action,
        text: &[u8],
        executable: bool,
    ) -> Result<ArtifactValue, ActionError> {
        let blob = self.cx.store.put(text, executable);
        Ok(ArtifactValue::File(blob.map_err(|error| self.machine(action, &error))?))
    }

    fn text_of(&self, action: &Action, artifact: &Artifact) -> Result<Vec<u8>, ActionError> {
        match self.value(artifact) {
            Some(ArtifactValue::File(blob) | ArtifactValue::Volatile(blob))
                if artifact.kind() != ArtifactKind::Tree =>
            {
                let path = self.blob_path(action, artifact, "", &blob)?;
                crate::files::read(&path).map_err(|error| self.machine(action, &error))
            }
            Some(_) => {
                let path = artifact.exec_path().to_owned();
                let reason = "is no file, but must be one".to_owned();
                Err(self.failed(action, FailureCause::Unfit { path, reason }))
            }
            None => Err(self.no_input(action, artifact)),
        }
    }
}

/// Replaces texts, one after the other, in bytes that need not be UTF-8.
fn substitute(
    text: &[u8],
    substitutions: &[(std::sync::Arc<str>, std::sync::Arc<str>)],
) -> Vec<u8> {
    let mut text = text.to_vec();
    for (from, to) in substitutions {
        if from.is_empty() {
            continue;
        }
        let from = from.as_bytes();
        let mut result = Vec::with_capacity(text.len());
        let mut rest = &text[..];
        while let Some(position) = rest.windows(from.len()).position(|window| window == from) {
            result.extend(&rest[..position]);
            result.extend(to.as_bytes());
            rest = &rest[position + from.len()..];
        }
        result.extend(rest);
        text = result;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substitutions_apply_one_after_the_other() {
        let pairs =
            [("{a}".into(), "{b}1".into()), ("{b}".into(), "x".into()), ("".into(), "y".into())];
        assert_eq!(substitute(b"{a}-{b}-\xff", &pairs), b"x1-x-\xff");
    }
}
