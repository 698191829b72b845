//! Loaded files: from the .bzl files that packages relied on to their labels.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::{Label, PackageId, RepoName, join};
use rbz_starlark::loader::Loader;

/// A file that was loaded, by its label and its path as it is shown.
pub type LoadedFile = (Label, Arc<str>);

/// The labels of files, each looked up once.
#[derive(Debug, Default)]
pub struct LoadedFiles {
    by_path: HashMap<PathBuf, Option<LoadedFile>>,
}

impl LoadedFiles {
    /// The .bzl files that the package `id` loads, and those that these load.
    pub fn of_package(
        &mut self,
        id: &PackageId,
        loader: &Loader,
    ) -> Result<Vec<LoadedFile>, Diagnostic> {
        let loaded = loader.loaded_files(id).map_err(|error| *error)?;
        let mut files = Vec::new();
        for path in loaded.modules {
            if let Some(known) = self.by_path.get(&path) {
                files.extend(known.clone());
                continue;
            }
            let file = label_of(&path, &loaded.repositories, loader)?;
            files.extend(file.clone());
            self.by_path.insert(path, file);
        }
        files.sort();
        files.dedup();
        Ok(files)
    }
}

/// The label of the file at `path` in one of these repositories.
fn label_of(
    path: &Path,
    repositories: &[(RepoName, PathBuf)],
    loader: &Loader,
) -> Result<Option<LoadedFile>, Diagnostic> {
    // One repository may lie within the directory of another.
    let within = repositories
        .iter()
        .filter_map(|(repo, directory)| Some((repo, path.strip_prefix(directory).ok()?)))
        .min_by_key(|(_, rest)| rest.as_os_str().len());
    let Some((repo, rest)) = within else { return Ok(None) };
    let rest = rest.to_string_lossy();
    let Some(label) = loader.find_package_of_file(repo, &rest)? else { return Ok(None) };
    let shown = join(&label.package().exec_dir(), label.name());
    Ok(Some((label, shown.into())))
}
