//! Repositories: where the files of each lie.

use std::path::PathBuf;
use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::{PackageId, join};

use crate::source_tree::SourceTree;

/// Where the files of a repository lie.
#[derive(Clone, Debug)]
pub struct RepositoryRoot {
    /// The directory of its top package.
    pub directory: PathBuf,
    /// The BUILD file of its top package, if that does not come from the directory.
    pub overlay: Option<BuildOverlay>,
}

/// A BUILD file that stands for one in a repository's directory.
#[derive(Clone, Debug)]
pub enum BuildOverlay {
    /// This text.
    Text(Arc<str>),
    /// The text of this file.
    File(PathBuf),
}

/// A BUILD file that was found.
pub enum BuildFile {
    /// In its directory.
    OnDisk(PathBuf),
    /// Given by the declaration of the repository.
    Overlay(BuildOverlay),
}

impl BuildFile {
    /// Its name in its package.
    pub fn name(&self) -> &str {
        match self {
            BuildFile::OnDisk(path) => {
                path.file_name().and_then(|name| name.to_str()).unwrap_or("BUILD")
            }
            BuildFile::Overlay(_) => "BUILD.bazel",
        }
    }

    /// Its path as shown in messages.
    pub fn shown(&self, package: &PackageId) -> String {
        join(&package.exec_dir(), self.name())
    }

    /// Its text.
    pub fn text(&self, tree: &mut SourceTree) -> Result<String, Diagnostic> {
        let path = match self {
            BuildFile::OnDisk(path) | BuildFile::Overlay(BuildOverlay::File(path)) => path,
            BuildFile::Overlay(BuildOverlay::Text(text)) => return Ok(text.to_string()),
        };
        let (bytes, _) = tree.read(path)?;
        String::from_utf8(bytes.to_vec())
            .map_err(|_| Diagnostic::user(format!("`{}` is not UTF-8 text", path.display())))
    }
}

impl RepositoryRoot {
    /// A directory with all its BUILD files.
    pub fn plain(directory: PathBuf) -> Self {
        RepositoryRoot { directory, overlay: None }
    }

    /// The BUILD file of the package, if it is one.
    pub fn build_file(
        &self,
        package: &PackageId,
        tree: &mut SourceTree,
    ) -> Result<Option<BuildFile>, Diagnostic> {
        if package.path.is_empty()
            && let Some(overlay) = &self.overlay
        {
            return Ok(Some(BuildFile::Overlay(overlay.clone())));
        }
        let directory = self.directory.join(&*package.path);
        Ok(tree.build_file(&directory)?.map(BuildFile::OnDisk))
    }
}
