//! Saved packages: what BUILD files declared in earlier sessions, with what that relied on.
//!
//! A package is taken from here while its key is the same and everything holds that its
//! evaluation looked at: the BUILD file, all .bzl files below it, absences, and source files that
//! it mentions. Where only directories have changed that its globs walked, the globs are run
//! again, and equal results leave the package as it is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_engine::label::{PackageId, RepoName};
use rbz_engine::record_log::{self, RecordLog};
use serde::{Deserialize, Serialize};

use crate::glob::{self, GlobSpec};
use crate::loader::Shared;
use crate::package::Package;
use crate::package_loader::LoadedPackage;
use crate::source_tree::SourceTree;

/// The form of the records and the meaning of BUILD files: both are the program's.
const FORMAT: &str = concat!("rbz packages ", env!("RBZ_CODE"));

/// A package as it was evaluated.
#[derive(Serialize, Deserialize)]
pub struct SavedPackage {
    /// See [`key`].
    pub key: Fingerprint,
    /// What was declared.
    pub package: Package,
    /// What must hold.
    pub dependencies: Vec<Dependency>,
    /// The directories that the globs walked.
    pub glob_dependencies: Vec<Dependency>,
    /// The globs with the identities of their results.
    pub globs: Vec<(GlobSpec, Fingerprint)>,
    /// Where the repositories lay whose files were loaded.
    pub repositories: Vec<(RepoName, PathBuf)>,
}

/// The packages of earlier sessions.
pub struct SavedPackages {
    kept: Mutex<Kept>,
}

struct Kept {
    log: RecordLog,
    /// Encoded: most are never asked for.
    records: HashMap<PackageId, Vec<u8>>,
    /// Number of records in the log.
    total: usize,
}

impl SavedPackages {
    /// Opens the log below the output base.
    pub fn open(output_base: &Path) -> Result<SavedPackages, Diagnostic> {
        let directory = output_base.join("log");
        std::fs::create_dir_all(&directory).map_err(|error| {
            Diagnostic::machine(format!("cannot make `{}`: {error}", directory.display()))
        })?;
        let mut records = HashMap::new();
        let mut total = 0;
        let log = RecordLog::open(&directory.join("packages"), FORMAT, |record| {
            total += 1;
            if let Ok((id, rest)) = postcard::take_from_bytes::<PackageId>(record) {
                records.insert(id, rest.to_vec());
            }
        })
        .map_err(|error| Diagnostic::machine(error.to_string()))?;
        Ok(SavedPackages { kept: Mutex::new(Kept { log, records, total }) })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Only whole records are put in while it is held.
        self.kept.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// The package, if it would be evaluated to the same again.
    pub fn find(&self, id: &PackageId, key: Fingerprint, shared: &Shared) -> Option<LoadedPackage> {
        let bytes = self.kept().records.get(id)?.clone();
        let saved: SavedPackage = postcard::from_bytes(&bytes).ok()?;
        let environment = |name: &str| shared.options.environment.get(name).cloned();
        let holds = |dependency: &Dependency| dependency.still_holds(&shared.files, &environment);
        let unmoved = |(repo, directory): &(RepoName, PathBuf)| {
            shared.repository(repo).is_ok_and(|root| root.directory == *directory)
        };
        if saved.key != key
            || !saved.repositories.iter().all(unmoved)
            || !saved.dependencies.iter().all(holds)
        {
            return None;
        }
        let mut glob_dependencies = saved.glob_dependencies;
        if !glob_dependencies.iter().all(holds) {
            let directory = shared.repository(&id.repo).ok()?.directory.join(&*id.path);
            let ignored = shared.ignored(&id.repo).ok()?;
            let mut tree = SourceTree::new(shared.files.clone());
            for (spec, result) in &saved.globs {
                let found = glob::glob(spec, &directory, &mut tree, &ignored).ok()?;
                if found.fingerprint() != *result {
                    return None;
                }
            }
            glob_dependencies = tree.dependencies().to_vec();
        }
        let mut dependencies = saved.dependencies;
        dependencies.extend(glob_dependencies);
        let repositories = saved.repositories;
        Some(LoadedPackage { package: Arc::new(saved.package), dependencies, repositories })
    }

    /// Keeps a package for later sessions.
    pub fn add(&self, saved: &SavedPackage) -> Result<(), Diagnostic> {
        let internal =
            |error| Diagnostic::internal(format!("a package cannot be encoded: {error}"));
        let id = &saved.package.id;
        let body = postcard::to_stdvec(saved).map_err(internal)?;
        let mut record = postcard::to_stdvec(id).map_err(internal)?;
        record.extend(&body);
        let mut kept = self.kept();
        kept.records.insert(id.clone(), body);
        kept.total += 1;
        let machine = |error: rbz_engine::files::FileError| Diagnostic::machine(error.to_string());
        if record_log::is_mostly_garbage(kept.records.len(), kept.total) {
            let mut all = Vec::with_capacity(kept.records.len());
            for (id, body) in &kept.records {
                let mut record = postcard::to_stdvec(id).map_err(internal)?;
                record.extend(body);
                all.push(record);
            }
            kept.total = all.len();
            return kept.log.compact(all.iter().map(Vec::as_slice)).map_err(machine);
        }
        kept.log.append(&record).map_err(machine)
    }
}

/// What a package depends on besides files: changes with everything that the whole session sets.
pub fn key(id: &PackageId, shared: &Shared) -> Result<Fingerprint, Box<Diagnostic>> {
    let root = shared.repository(&id.repo)?;
    let mut builder = FingerprintBuilder::new(FORMAT);
    builder.str(&shared.session.workspace());
    shared.session.add_mappings_to(&mut builder);
    builder.str(&root.directory.to_string_lossy());
    builder.str(&format!("{:?}", root.overlay));
    for ignored in &shared.ignored(&id.repo)?.listed {
        builder.str(ignored);
    }
    Ok(builder.finish())
}
