//! Repositories: where the files of each lie.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::{Diagnostic, Frame};
use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_engine::file_state::EntryKind;
use rbz_engine::label::{PackageId, RepoName, join};
use serde::{Deserialize, Serialize};

use crate::loader::Shared;
use crate::repository_archive;
use crate::repository_context;
use crate::repository_declaration::{BuildSource, RepositoryDeclaration, RepositoryKind};
use crate::source_tree::SourceTree;
use crate::starlark_error;

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

/// A repository's place, or why it has none.
type RootResult = Result<Arc<RepositoryRoot>, Box<Diagnostic>>;

/// Repositories that have been made in this session.
#[derive(Default)]
pub struct MadeRepositories {
    made: Mutex<HashMap<RepoName, RootResult>>,
    /// Held while repositories are made: one thread makes them all, so that two threads never
    /// wait for each other's.
    making: Mutex<()>,
    dependencies: Mutex<Vec<Dependency>>,
}

thread_local! {
    /// The repositories that this thread is making, outermost first: one may need another.
    static MAKING: RefCell<Vec<RepoName>> = const { RefCell::new(Vec::new()) };
}

impl MadeRepositories {
    fn find(&self, name: &RepoName) -> Option<RootResult> {
        self.made.lock().unwrap_or_else(|poison| poison.into_inner()).get(name).cloned()
    }

    /// Notes what repositories relied on.
    pub fn note(&self, dependencies: impl IntoIterator<Item = Dependency>) {
        let mut all = self.dependencies.lock().unwrap_or_else(|poison| poison.into_inner());
        all.extend(dependencies);
    }

    /// Everything that repositories relied on.
    pub fn dependencies(&self) -> Vec<Dependency> {
        self.dependencies.lock().unwrap_or_else(|poison| poison.into_inner()).clone()
    }

    /// Where the files of the repository lie; it is made now if it was not.
    pub fn root(
        &self,
        declaration: &RepositoryDeclaration,
        shared: &Shared,
    ) -> Result<Arc<RepositoryRoot>, Box<Diagnostic>> {
        let name = &declaration.name;
        if let Some(result) = self.find(name) {
            return result;
        }
        let outer = MAKING.with_borrow(|making| making.clone());
        if let Some(start) = outer.iter().position(|other| other == name) {
            let chain: Vec<String> =
                outer[start..].iter().map(|name| format!("`{name}`")).collect();
            return Err(Box::new(Diagnostic::user(format!(
                "the repository `{name}` needs itself: {} needs `{name}`",
                chain.join(" needs ")
            ))));
        }
        let _guard = match outer.is_empty() {
            true => Some(self.making.lock().unwrap_or_else(|poison| poison.into_inner())),
            false => None,
        };
        // Another thread may have made it while this one waited.
        if let Some(result) = self.find(name) {
            return result;
        }
        MAKING.with_borrow_mut(|making| making.push(name.clone()));
        let result = make(declaration, shared)
            .map(Arc::new)
            .map_err(|error| of_declaration(error, declaration, shared));
        MAKING.with_borrow_mut(|making| making.pop());
        let mut made = self.made.lock().unwrap_or_else(|poison| poison.into_inner());
        made.insert(name.clone(), result.clone());
        result
    }
}

/// The error for a repository that cannot be made. What a rule that came with the program says of it
/// by intention begins where the user declares it.
fn of_declaration(
    error: Box<Diagnostic>,
    declaration: &RepositoryDeclaration,
    shared: &Shared,
) -> Box<Diagnostic> {
    let mut error = starlark_error::at_caller(error, |file| shared.is_shipped_file(file));
    let RepositoryDeclaration { name, place, .. } = declaration;
    let is_users = !shared.is_shipped_file(&place.file);
    if error.deliberate && error.place.is_none() && is_users {
        error.message = format!("for the repository `{name}`: {}", error.message);
        error.place = Some(place.clone());
        return error;
    }
    let what = format!("for the repository `{name}`, declared here");
    error.trace.push(Frame { place: Some(place.clone()), what, source: None });
    error
}

/// The state of a repository in the output base, kept beside it.
#[derive(Serialize, Deserialize)]
struct Marker {
    /// Changes with the declaration.
    fingerprint: Fingerprint,
    /// What its making relied on.
    dependencies: Vec<Dependency>,
}

/// The way in which repositories are made.
const FORMAT: &str = concat!("rbz repository ", env!("RBZ_CODE"));

fn make(
    declaration: &RepositoryDeclaration,
    shared: &Shared,
) -> Result<RepositoryRoot, Box<Diagnostic>> {
    match &declaration.kind {
        RepositoryKind::Local { path } => {
            let directory = local_directory(path, shared)?;
            Ok(RepositoryRoot::plain(directory))
        }
        RepositoryKind::NewLocal { path, build_file } => {
            let directory = local_directory(path, shared)?;
            let overlay = build_file.as_ref().map(|source| overlay(source, shared)).transpose()?;
            Ok(RepositoryRoot { directory, overlay })
        }
        RepositoryKind::Archive(archive) => {
            let directory = kept(declaration, shared, |directory| {
                repository_archive::fetch(archive, directory, shared)
            })?;
            let source = archive.build_file.as_ref();
            let overlay = source.map(|source| overlay(source, shared)).transpose()?;
            Ok(RepositoryRoot { directory, overlay })
        }
        RepositoryKind::Rule { rule, attrs, .. } => {
            let directory = kept(declaration, shared, |directory| {
                repository_context::run(declaration, rule, attrs, directory, shared)
            })?;
            Ok(RepositoryRoot::plain(directory))
        }
    }
}

/// The directory of a repository in the output base. It is made again unless nothing that its
/// making relied on has changed.
fn kept(
    declaration: &RepositoryDeclaration,
    shared: &Shared,
    make: impl FnOnce(&Path) -> Result<Vec<Dependency>, Box<Diagnostic>>,
) -> Result<PathBuf, Box<Diagnostic>> {
    let external = shared.options.output_base.join("external");
    let directory = external.join(declaration.name.as_str());
    let marker_path = external.join(format!(".{}.made", declaration.name.as_str()));
    let encoded = postcard::to_stdvec(&declaration.kind).map_err(|error| {
        Diagnostic::internal(format!("a repository cannot be encoded: {error}"))
    })?;
    let mut builder = FingerprintBuilder::new(FORMAT);
    builder.bytes(&encoded);
    let fingerprint = builder.finish();
    let environment = |name: &str| shared.options.environment.get(name).cloned();
    let marker = std::fs::read(&marker_path)
        .ok()
        .and_then(|bytes| postcard::from_bytes::<Marker>(&bytes).ok())
        .filter(|marker| marker.fingerprint == fingerprint && directory.is_dir());
    if let Some(marker) = marker
        && marker.dependencies.iter().all(|one| one.still_holds(&shared.files, &environment))
    {
        shared.made.note(marker.dependencies);
        return Ok(directory);
    }
    // Without its marker a directory does not count, so nothing half made is ever used.
    let machine = |what: &str, path: &Path, error: io::Error| {
        Box::new(Diagnostic::machine(format!("cannot {what} `{}`: {error}", path.display())))
    };
    let ignore_absent = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    ignore_absent(std::fs::remove_file(&marker_path))
        .map_err(|error| machine("remove", &marker_path, error))?;
    ignore_absent(std::fs::remove_dir_all(&directory))
        .map_err(|error| machine("remove", &directory, error))?;
    std::fs::create_dir_all(&directory).map_err(|error| machine("make", &directory, error))?;
    let dependencies = Dependency::sorted(make(&directory)?);
    // Answers about what was there before no longer hold.
    shared.files.forget_below(&directory);
    let marker = Marker { fingerprint, dependencies };
    let bytes = postcard::to_stdvec(&marker).map_err(|error| {
        Diagnostic::internal(format!("a repository cannot be encoded: {error}"))
    })?;
    let young = marker_path.with_extension("new");
    std::fs::write(&young, bytes).map_err(|error| machine("write", &young, error))?;
    std::fs::rename(&young, &marker_path).map_err(|error| machine("write", &marker_path, error))?;
    shared.made.note(marker.dependencies);
    Ok(directory)
}

/// The directory that `path` in WORKSPACE means.
fn local_directory(path: &str, shared: &Shared) -> Result<PathBuf, Box<Diagnostic>> {
    let directory = match path.strip_prefix("~/") {
        Some(rest) => match shared.options.environment.get("HOME") {
            Some(home) => Path::new(home).join(rest),
            None => return Err(Box::new(Diagnostic::user("`~` means nothing: `HOME` is not set"))),
        },
        None => shared.options.workspace_root.join(path),
    };
    let mut tree = SourceTree::new(shared.files.clone());
    let kind = tree.kind(&directory)?;
    shared.made.note(tree.dependencies().iter().cloned());
    match kind {
        EntryKind::Directory => Ok(directory),
        EntryKind::Absent => Err(Box::new(
            Diagnostic::user(format!("there is no directory `{}`", directory.display()))
                .hint("`path` is absolute, or relative to the workspace"),
        )),
        _ => Err(Box::new(Diagnostic::user(format!("`{}` is no directory", directory.display())))),
    }
}

/// The BUILD file that a declaration gives to a repository.
fn overlay(source: &BuildSource, shared: &Shared) -> Result<BuildOverlay, Box<Diagnostic>> {
    match source {
        BuildSource::Text(text) => Ok(BuildOverlay::Text(text.clone())),
        BuildSource::File(label) => Ok(BuildOverlay::File(shared.file_path(label)?)),
    }
}
