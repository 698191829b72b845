//! Artifacts: the files, trees and links that actions read and write.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::label::Label;

/// What kind of thing an artifact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ArtifactKind {
    /// A file that exists before the build.
    SourceFile,
    /// A directory that exists before the build, with everything below it.
    SourceTree,
    /// A file that an action writes.
    File,
    /// A directory that an action writes, whose children are known only then.
    Tree,
    /// A symbolic link that an action makes; its target text is its value, it may dangle.
    Symlink,
    /// A runfiles tree: no action's output, but a view of other artifacts under a directory,
    /// described by a [`crate::runfiles::Runfiles`] and keyed by it.
    RunfilesTree,
    /// A file that is materialised for actions but is part of no key (volatile workspace status).
    Volatile,
}

/// The directory that an artifact's path is relative to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Root {
    /// The sources: the main repository, or `external/REPO` for another.
    Source,
    /// An output directory relative to the execution root: `rbz-out/k8-fastbuild/bin`.
    Output(Arc<str>),
    /// The machine: the path is absolute. Toolchains are made of such artifacts; an action sees
    /// them at the same absolute path, and sees no other part of the machine.
    System,
}

/// A file, tree or link, named by its path in the execution root. Cheap to clone; two artifacts
/// are equal when kind, root and path are.
#[derive(Clone, Serialize, Deserialize)]
pub struct Artifact(Arc<Parts>);

#[derive(Serialize, Deserialize)]
struct Parts {
    kind: ArtifactKind,
    root: Root,
    exec_path: Box<str>,
    /// Where in it the path begins that is relative to the root. For [`Root::Source`] and
    /// [`Root::Output`] that of a file of another repository starts with `external/REPO/`. For
    /// [`Root::System`] it is absolute.
    relative: u32,
    owner: Label,
}

impl Artifact {
    /// The artifact of `kind` at `path`, relative to `root`, that `owner` is or makes.
    pub fn new(kind: ArtifactKind, root: Root, path: &str, owner: Label) -> Self {
        let exec_path: Box<str> = match &root {
            Root::Source | Root::System => path.into(),
            Root::Output(dir) => crate::label::join(dir, path).into(),
        };
        // No path has 4 GiB.
        let relative = (exec_path.len() - path.len()) as u32;
        Artifact(Arc::new(Parts { kind, root, exec_path, relative, owner }))
    }

    /// What kind of thing it is.
    pub fn kind(&self) -> ArtifactKind {
        self.0.kind
    }

    /// What [`Artifact::root_relative_path`] is relative to.
    pub fn root(&self) -> &Root {
        &self.0.root
    }

    /// The label of the source file, or of the target whose action writes the artifact.
    pub fn owner(&self) -> &Label {
        &self.0.owner
    }

    /// The path at which actions see it: relative to the execution root, or absolute for
    /// [`Root::System`]. Bazel's `File.path`.
    pub fn exec_path(&self) -> &str {
        &self.0.exec_path
    }

    /// The path without the output directory.
    pub fn root_relative_path(&self) -> &str {
        // What was decoded may be damaged.
        self.0.exec_path.get(self.0.relative as usize..).unwrap_or_default()
    }

    /// The path below a runfiles tree's workspace directory: `pkg/file`, or `../repo/pkg/file`.
    /// Bazel's `File.short_path`.
    pub fn short_path(&self) -> String {
        let path = self.root_relative_path();
        match path.strip_prefix("external/") {
            Some(rest) if self.0.root != Root::System => format!("../{rest}"),
            _ => path.to_owned(),
        }
    }

    /// The last segment of the path.
    pub fn basename(&self) -> &str {
        self.0.exec_path.rsplit('/').next().unwrap_or_default()
    }

    /// True when it exists before the build.
    pub fn is_source(&self) -> bool {
        matches!(self.0.kind, ArtifactKind::SourceFile | ArtifactKind::SourceTree)
    }

    /// True of a directory with children.
    pub fn is_tree(&self) -> bool {
        matches!(self.0.kind, ArtifactKind::SourceTree | ArtifactKind::Tree)
    }
}

impl PartialEq for Artifact {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.exec_path == other.0.exec_path
                && self.0.kind == other.0.kind
                && self.0.root == other.0.root)
    }
}

impl Eq for Artifact {}

impl std::hash::Hash for Artifact {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.exec_path.hash(state);
    }
}

impl PartialOrd for Artifact {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Artifact {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.0.exec_path, self.0.kind, &self.0.root).cmp(&(
            &other.0.exec_path,
            other.0.kind,
            &other.0.root,
        ))
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({})", self.0.kind, self.0.exec_path)
    }
}

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.exec_path)
    }
}
