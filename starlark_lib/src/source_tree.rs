//! Source trees: questions about files on disk, answered from the file state and noted, so that
//! a saved package knows what it relied on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::Digest;
use rbz_engine::file_state::{EntryKind, FileStat, FileState, Listing, SharedError};

/// The names that BUILD files may have, the first one that is there counts.
pub const BUILD_FILES: [&str; 2] = ["BUILD.bazel", "BUILD"];

/// Answers questions about files and notes what was asked.
pub struct SourceTree {
    files: Arc<FileState>,
    dependencies: Vec<Dependency>,
    noted: std::collections::HashSet<(PathBuf, bool)>,
}

fn machine_error(error: SharedError) -> Diagnostic {
    Diagnostic::machine(error.to_string())
}

impl SourceTree {
    /// Nothing was asked so far.
    pub fn new(files: Arc<FileState>) -> Self {
        SourceTree { files, dependencies: Vec::new(), noted: Default::default() }
    }

    /// The file state that answers.
    pub fn files(&self) -> &Arc<FileState> {
        &self.files
    }

    /// What was relied on.
    pub fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }

    /// What is at `path`, links followed.
    pub fn kind(&mut self, path: &Path) -> Result<EntryKind, Diagnostic> {
        if self.noted.insert((path.to_owned(), false)) {
            self.dependencies.push(Dependency::on_kind(path, &self.files).map_err(machine_error)?);
        }
        Ok(self.files.stat(path).map_err(machine_error)?.kind())
    }

    /// The entries of the directory at `path`.
    pub fn list(&mut self, path: &Path) -> Result<Arc<Listing>, Diagnostic> {
        if self.noted.insert((path.to_owned(), true)) {
            self.dependencies
                .push(Dependency::on_listing(path, &self.files).map_err(machine_error)?);
        }
        self.files.list(path).map_err(machine_error)
    }

    /// The text of the file at `path`.
    pub fn read(&mut self, path: &Path) -> Result<(Arc<[u8]>, Digest), Diagnostic> {
        let content = self.files.read(path).map_err(machine_error)?;
        self.dependencies.push(Dependency::on_content(path, &self.files).map_err(machine_error)?);
        Ok(content)
    }

    /// The digest of the file at `path`.
    pub fn digest(&mut self, path: &Path) -> Result<Digest, Diagnostic> {
        self.dependencies.push(Dependency::on_content(path, &self.files).map_err(machine_error)?);
        self.files.digest(path).map_err(machine_error)
    }

    /// Notes that a variable of the environment has this value.
    pub fn note_variable(&mut self, name: &str, value: Option<&String>) {
        self.dependencies
            .push(Dependency::Environment { name: name.to_owned(), value: value.cloned() });
    }

    /// The BUILD file of the directory, if it is a package.
    pub fn build_file(&mut self, directory: &Path) -> Result<Option<PathBuf>, Diagnostic> {
        for name in BUILD_FILES {
            let path = directory.join(name);
            if self.kind(&path)? == EntryKind::File {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Whether `name` is a file or directory below the package's directory that belongs to this
    /// package and not to one below it.
    pub fn is_source(&mut self, directory: &Path, name: &str) -> Result<bool, Diagnostic> {
        let path = directory.join(name);
        match self.files.stat(&path).map_err(machine_error)? {
            FileStat::File { .. } => {}
            FileStat::Directory => {
                if self.build_file(&path)?.is_some() {
                    return Ok(false);
                }
            }
            _ => {
                self.kind(&path)?;
                return Ok(false);
            }
        }
        self.kind(&path)?;
        let mut parent = name;
        while let Some((shorter, _)) = parent.rsplit_once('/') {
            parent = shorter;
            if self.build_file(&directory.join(parent))?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
