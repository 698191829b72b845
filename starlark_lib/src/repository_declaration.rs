//! Declarations of repositories: what WORKSPACE says, before anything is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, RwLock};

use indexmap::IndexMap;
use rbz_engine::diagnostic::{Diagnostic, Frame, Place};
use rbz_engine::digest::Fingerprint;
use rbz_engine::label::{Label, RepoName};
use serde::{Deserialize, Serialize};

use crate::attr::AttrValue;
use crate::rule::RuleRef;

/// A repository as WORKSPACE, or a macro that it calls, declares it.
#[derive(Clone, Debug)]
pub struct RepositoryDeclaration {
    /// Its name.
    pub name: RepoName,
    /// Where: the outermost call in WORKSPACE.
    pub place: Place,
    /// Where its files come from.
    pub kind: RepositoryKind,
}

/// Where the files of a repository come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum RepositoryKind {
    /// A directory that is a repository already.
    Local {
        /// Absolute, or relative to the workspace.
        path: String,
    },
    /// A directory that gets a BUILD file.
    NewLocal {
        /// Absolute, or relative to the workspace.
        path: String,
        /// The BUILD file of its top package.
        build_file: Option<BuildSource>,
    },
    /// An archive.
    Archive(ArchiveSource),
    /// What a repository rule makes.
    Rule {
        /// The rule.
        rule: RuleRef,
        /// Changes with its code.
        fingerprint: Fingerprint,
        /// What was given.
        attrs: BTreeMap<Arc<str>, AttrValue>,
    },
}

/// A BUILD file for a repository that has none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum BuildSource {
    /// This text.
    Text(Arc<str>),
    /// The text of this file.
    File(Label),
}

/// An archive that becomes a repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArchiveSource {
    /// Where it can be had; the first that works.
    pub urls: Vec<String>,
    /// SHA-256 of its bytes in hexadecimal.
    pub sha256: String,
    /// A directory in it that is taken for its root.
    pub strip_prefix: String,
    /// Its format, if its name does not tell.
    pub format: String,
    /// The BUILD file of its top package, if it has none.
    pub build_file: Option<BuildSource>,
}

impl RepositoryKind {
    /// The function that declares such a repository.
    pub fn function(&self) -> &str {
        match self {
            RepositoryKind::Local { .. } => "local_repository",
            RepositoryKind::NewLocal { .. } => "new_local_repository",
            RepositoryKind::Archive(_) => "http_archive",
            RepositoryKind::Rule { rule, .. } => rule.name(),
        }
    }
}

/// All repositories that have been declared so far. Shared by all threads.
#[derive(Default)]
pub struct DeclaredRepositories {
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    declared: IndexMap<RepoName, Declared>,
    /// The part of WORKSPACE that is evaluated, counted from 0.
    part: usize,
    /// What the command line declares: nothing else may declare these.
    overridden: BTreeSet<RepoName>,
    /// Set while the defaults are declared: what is there stays.
    defaults: bool,
}

struct Declared {
    declaration: Arc<RepositoryDeclaration>,
    part: usize,
}

impl DeclaredRepositories {
    /// Adds a declaration, unless another one stands for it; whether it counts. A later one replaces
    /// an earlier one of the same part of WORKSPACE; those of earlier parts may have been used by a
    /// `load`, so they stay as they are.
    pub fn declare(&self, declaration: RepositoryDeclaration) -> Result<bool, Diagnostic> {
        let mut table = self.table.write().unwrap_or_else(|poison| poison.into_inner());
        let part = table.part;
        if table.overridden.contains(&declaration.name) {
            return Ok(false);
        }
        if let Some(other) = table.declared.get(&declaration.name) {
            if table.defaults {
                return Ok(false);
            }
            if other.part != part {
                let mut diagnostic = Diagnostic::user(format!(
                    "the repository `{}` is declared twice, with a `load` between",
                    declaration.name
                ));
                diagnostic.trace.push(Frame {
                    place: Some(other.declaration.place.clone()),
                    what: "the other declaration is here".to_owned(),
                    source: None,
                });
                return Err(diagnostic.hint("in a macro ask `native.existing_rule` first"));
            }
        }
        let name = declaration.name.clone();
        table.declared.insert(name, Declared { declaration: Arc::new(declaration), part });
        Ok(true)
    }

    /// Has the repository `name` be the directory `path`, whatever else declares it.
    pub fn override_with(&self, name: &RepoName, path: &Path) -> Result<(), Diagnostic> {
        let place = Place { file: "the command line".to_owned(), line: 1, column: 1 };
        let path = path.to_string_lossy().into_owned();
        let kind = RepositoryKind::Local { path };
        self.declare(RepositoryDeclaration { name: name.clone(), place, kind })?;
        let mut table = self.table.write().unwrap_or_else(|poison| poison.into_inner());
        table.overridden.insert(name.clone());
        Ok(())
    }

    /// Begins the next part of WORKSPACE.
    pub fn next_part(&self) {
        self.table.write().unwrap_or_else(|poison| poison.into_inner()).part += 1;
    }

    /// From here on declarations count only for names that are free.
    pub fn begin_defaults(&self) {
        self.table.write().unwrap_or_else(|poison| poison.into_inner()).defaults = true;
    }

    /// The declaration of `name`.
    pub fn get(&self, name: &RepoName) -> Option<Arc<RepositoryDeclaration>> {
        let table = self.table.read().unwrap_or_else(|poison| poison.into_inner());
        table.declared.get(name).map(|declared| declared.declaration.clone())
    }

    /// All declarations in order.
    pub fn all(&self) -> Vec<Arc<RepositoryDeclaration>> {
        let table = self.table.read().unwrap_or_else(|poison| poison.into_inner());
        table.declared.values().map(|declared| declared.declaration.clone()).collect()
    }
}
