//! Module closures: what a .bzl file and all that it loads relied on, written once and asked once,
//! however many packages load it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rbz_engine::dependency::Dependency;
use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_engine::label::RepoName;
use serde::{Deserialize, Serialize};

use crate::loader::Shared;

/// What a .bzl file relied on, with the closures of the files that it loads.
#[derive(Debug)]
pub struct ModuleClosure {
    /// Changes with everything in it.
    pub fingerprint: Fingerprint,
    /// What the file itself relied on.
    pub own: ModuleFiles,
    /// The files that it loads.
    pub parts: Vec<Arc<ModuleClosure>>,
    /// Whether all of it holds, once that was asked in this session.
    holds: OnceLock<bool>,
}

/// What a .bzl file relied on by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModuleFiles {
    /// The file, and what had to be there or absent to find it.
    pub dependencies: Vec<Dependency>,
    /// The repository that it lies in, and where that was.
    pub repository: (RepoName, PathBuf),
}

impl ModuleClosure {
    /// Of a file with those that it loads.
    pub fn new(own: ModuleFiles, parts: Vec<Arc<ModuleClosure>>) -> ModuleClosure {
        let mut builder = FingerprintBuilder::new("closure of a module");
        builder.str(own.repository.0.as_str()).str(&own.repository.1.to_string_lossy());
        for dependency in &own.dependencies {
            dependency.add_to(&mut builder);
        }
        for part in &parts {
            builder.part(&part.fingerprint);
        }
        ModuleClosure { fingerprint: builder.finish(), own, parts, holds: OnceLock::new() }
    }

    /// Those that `roots` are made of, each once, parts before wholes.
    pub fn all(roots: &[Arc<ModuleClosure>]) -> Vec<&Arc<ModuleClosure>> {
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        let mut stack: Vec<(&Arc<ModuleClosure>, usize)> =
            roots.iter().rev().map(|root| (root, 0)).collect();
        while let Some((closure, next)) = stack.pop() {
            if next == 0 && !seen.insert(closure.fingerprint) {
                continue;
            }
            match closure.parts.get(next) {
                Some(part) => stack.extend([(closure, next + 1), (part, 0)]),
                None => all.push(closure),
            }
        }
        all
    }

    /// Whether it was found to be as it was.
    pub fn is_known_to_hold(&self) -> bool {
        self.holds.get() == Some(&true)
    }

    /// Whether everything is as it was, in this session.
    pub fn holds(self: &Arc<Self>, shared: &Shared) -> bool {
        let unknown = if self.holds.get().is_none() { std::slice::from_ref(self) } else { &[] };
        for closure in Self::all(unknown) {
            closure.holds.get_or_init(|| {
                closure.own.hold(shared)
                    // Parts come first, so that they know.
                    && closure.parts.iter().all(|part| part.is_known_to_hold())
            });
        }
        self.is_known_to_hold()
    }
}

impl ModuleFiles {
    /// Whether it is as it was.
    fn hold(&self, shared: &Shared) -> bool {
        let (repo, directory) = &self.repository;
        let environment = |name: &str| shared.options.environment.get(name).cloned();
        shared.repository(repo).is_ok_and(|root| root.directory == *directory)
            && self.dependencies.iter().all(|one| one.still_holds(&shared.files, &environment))
    }
}
