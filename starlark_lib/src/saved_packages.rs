//! Saved packages: what BUILD files declared in earlier sessions, with what that relied on.
//!
//! A package is taken from here while its key is the same and everything holds that its
//! evaluation looked at: the BUILD file, all .bzl files below it, absences, and source files that
//! it mentions. Where only directories have changed that its globs walked, the globs are run
//! again, and equal results leave the package as it is.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_engine::label::PackageId;
use rbz_engine::record_log::{self, RecordLog};
use serde::{Deserialize, Serialize};

use crate::glob::{self, GlobSpec};
use crate::loader::Shared;
use crate::module_closure::{ModuleClosure, ModuleFiles};
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
    pub package: Arc<Package>,
    /// What must hold, besides the closures of the modules.
    pub dependencies: Vec<Dependency>,
    /// The directories that the globs walked.
    pub glob_dependencies: Vec<Dependency>,
    /// The globs with the identities of their results.
    pub globs: Vec<(GlobSpec, Fingerprint)>,
}

/// The packages of earlier sessions.
pub struct SavedPackages {
    kept: Mutex<Kept>,
}

struct Kept {
    log: RecordLog,
    /// Encoded, until somebody asks: then each is needed once. `None`: it was asked for, or is new.
    packages: HashMap<PackageId, Option<Encoded>>,
    closures: HashMap<Fingerprint, Arc<ModuleClosure>>,
    /// Number of records of packages in the log.
    total: usize,
}

struct Encoded {
    closures: Vec<Fingerprint>,
    package: Vec<u8>,
}

/// How a record begins; of a package the rest follows.
#[derive(Serialize, Deserialize)]
enum Head {
    /// A closure, after all that it is made of.
    Closure(ModuleFiles, Vec<Fingerprint>),
    /// A package, with the closures of the modules that it loads.
    Package(PackageId, Vec<Fingerprint>),
}

/// A record of the log.
type Record = Vec<u8>;

fn record(head: &Head, rest: &[u8]) -> Result<Record, Diagnostic> {
    let mut record = postcard::to_stdvec(head).map_err(not_encoded)?;
    record.extend(rest);
    Ok(record)
}

fn not_encoded(error: postcard::Error) -> Diagnostic {
    Diagnostic::internal(format!("a package cannot be encoded: {error}"))
}

impl SavedPackages {
    /// Opens the log below the output base.
    pub fn open(output_base: &Path) -> Result<SavedPackages, Diagnostic> {
        let directory = output_base.join("log");
        std::fs::create_dir_all(&directory).map_err(|error| {
            Diagnostic::machine(format!("cannot make `{}`: {error}", directory.display()))
        })?;
        let mut packages = HashMap::new();
        let mut closures: HashMap<Fingerprint, Arc<ModuleClosure>> = HashMap::new();
        let mut total = 0;
        let log = RecordLog::open(&directory.join("packages"), FORMAT, |record| {
            match postcard::take_from_bytes(record) {
                Ok((Head::Closure(own, parts), _)) => {
                    let parts: Option<Vec<_>> =
                        parts.iter().map(|part| closures.get(part).cloned()).collect();
                    if let Some(parts) = parts {
                        let closure = ModuleClosure::new(own, parts);
                        closures.insert(closure.fingerprint, Arc::new(closure));
                    }
                }
                Ok((Head::Package(id, closures), package)) => {
                    total += 1;
                    packages.insert(id, Some(Encoded { closures, package: package.to_vec() }));
                }
                Err(_) => {}
            }
        })
        .map_err(|error| Diagnostic::machine(error.to_string()))?;
        Ok(SavedPackages { kept: Mutex::new(Kept { log, packages, closures, total }) })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Only whole records are put in while it is held.
        self.kept.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// The package, if it would be evaluated to the same again.
    pub fn find(&self, id: &PackageId, key: Fingerprint, shared: &Shared) -> Option<LoadedPackage> {
        let (bytes, closures) = {
            let kept = &mut *self.kept();
            let Encoded { closures, package } = kept.packages.get_mut(id)?.take()?;
            let closures: Option<Vec<Arc<ModuleClosure>>> =
                closures.iter().map(|closure| kept.closures.get(closure).cloned()).collect();
            (package, closures?)
        };
        let saved: SavedPackage = postcard::from_bytes(&bytes).ok()?;
        let environment = |name: &str| shared.options.environment.get(name).cloned();
        let holds = |dependency: &Dependency| dependency.still_holds(&shared.files, &environment);
        if saved.key != key
            || !closures.iter().all(|closure| closure.holds(shared))
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
        Some(LoadedPackage { package: saved.package, dependencies, closures })
    }

    /// What the modules relied on that were found unchanged.
    pub fn dependencies_of_modules(&self) -> Vec<Dependency> {
        let kept = self.kept();
        let unchanged = kept.closures.values().filter(|closure| closure.is_known_to_hold());
        unchanged.flat_map(|closure| closure.own.dependencies.iter().cloned()).collect()
    }

    /// Keeps a package for later sessions.
    pub fn add(
        &self,
        saved: &SavedPackage,
        closures: &[Arc<ModuleClosure>],
    ) -> Result<(), Diagnostic> {
        let id = &saved.package.id;
        let names = closures.iter().map(|closure| closure.fingerprint).collect();
        let body = postcard::to_stdvec(saved).map_err(not_encoded)?;
        let package = record(&Head::Package(id.clone(), names), &body)?;
        let kept = &mut *self.kept();
        let mut records = Vec::new();
        for closure in ModuleClosure::all(closures) {
            if let Entry::Vacant(new) = kept.closures.entry(closure.fingerprint) {
                records.push(closure_record(closure)?);
                new.insert(closure.clone());
            }
        }
        records.push(package);
        kept.log.append_all(records.iter().map(Vec::as_slice)).map_err(machine)?;
        kept.packages.insert(id.clone(), None);
        kept.total += 1;
        match record_log::is_mostly_garbage(kept.packages.len(), kept.total) {
            true => kept.compact(),
            false => Ok(()),
        }
    }
}

fn machine(error: rbz_engine::files::FileError) -> Diagnostic {
    Diagnostic::machine(error.to_string())
}

fn closure_record(closure: &ModuleClosure) -> Result<Record, Diagnostic> {
    let parts = closure.parts.iter().map(|part| part.fingerprint).collect();
    record(&Head::Closure(closure.own.clone(), parts), &[])
}

impl Kept {
    /// Writes a log of the newest record of each package, and of the closures that they need.
    fn compact(&mut self) -> Result<(), Diagnostic> {
        let mut newest: HashMap<PackageId, (Vec<Fingerprint>, Record)> = HashMap::new();
        self.log
            .read_all(|record| {
                if let Ok((Head::Package(id, closures), _)) = postcard::take_from_bytes(record) {
                    newest.insert(id, (closures, record.to_vec()));
                }
            })
            .map_err(machine)?;
        let named = newest.values().flat_map(|(closures, _)| closures);
        let mut roots: Vec<Arc<ModuleClosure>> = Vec::new();
        for name in named.collect::<std::collections::BTreeSet<_>>() {
            roots.extend(self.closures.get(name).cloned());
        }
        let needed = ModuleClosure::all(&roots);
        let mut records: Vec<Record> =
            needed.iter().map(|closure| closure_record(closure)).collect::<Result<_, _>>()?;
        let needed: HashSet<Fingerprint> =
            needed.iter().map(|closure| closure.fingerprint).collect();
        self.closures.retain(|fingerprint, _| needed.contains(fingerprint));
        self.total = newest.len();
        records.extend(newest.into_values().map(|(_, record)| record));
        self.log.compact(records.iter().map(Vec::as_slice)).map_err(machine)
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
