//! Paths in repository rules, as values.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::file_state::EntryKind;
use starlark::any::ProvidesStaticType;
use starlark::collections::StarlarkHasher;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::starlark_module;
use starlark::starlark_simple_value;
use starlark::values::none::NoneOr;
use starlark::values::tuple::UnpackTuple;
use starlark::values::{NoSerialize, StarlarkValue, Value, ValueLike, ValueTyped, starlark_value};

use crate::repository_context::{RepositoryStage, clean};

/// An absolute path. What is asked about it is noted as a dependency of the repository.
#[derive(Clone, ProvidesStaticType, NoSerialize, Allocative)]
pub struct StarlarkPath {
    path: PathBuf,
    #[allocative(skip)]
    stage: Arc<RepositoryStage>,
}

starlark_simple_value!(StarlarkPath);

impl StarlarkPath {
    /// The path in a repository that is being made.
    pub fn new(path: PathBuf, stage: &Arc<RepositoryStage>) -> Self {
        StarlarkPath { path, stage: stage.clone() }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn at(&self, path: PathBuf) -> StarlarkPath {
        StarlarkPath { path, stage: self.stage.clone() }
    }

    fn kind(&self) -> Result<EntryKind, Diagnostic> {
        // The rule's own files come and go while it runs, so they are asked for each time.
        if self.stage.is_own(&self.path) {
            return Ok(match self.path.metadata() {
                Ok(metadata) if metadata.is_dir() => EntryKind::Directory,
                Ok(metadata) if metadata.is_file() => EntryKind::File,
                Ok(_) => EntryKind::Other,
                Err(_) => EntryKind::Absent,
            });
        }
        self.stage.tree().kind(&self.path)
    }
}

impl fmt::Debug for StarlarkPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StarlarkPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

#[starlark_value(type = "path")]
impl<'v> StarlarkValue<'v> for StarlarkPath {
    fn get_methods() -> Option<&'static Methods> {
        starlark::methods_static!(METHODS = path_methods);
        Some(METHODS.methods())
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.downcast_ref::<StarlarkPath>().is_some_and(|other| other.path == self.path))
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        std::hash::Hash::hash(&self.path, hasher);
        Ok(())
    }
}

#[starlark_module]
fn path_methods(builder: &mut MethodsBuilder) {
    /// The last segment.
    #[starlark(attribute)]
    fn basename<'v>(this: ValueTyped<'v, StarlarkPath>) -> anyhow::Result<String> {
        Ok(this
            .path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default())
    }

    /// The directory above; None for the root.
    #[starlark(attribute)]
    fn dirname<'v>(this: ValueTyped<'v, StarlarkPath>) -> anyhow::Result<NoneOr<StarlarkPath>> {
        Ok(match this.path.parent() {
            Some(parent) => NoneOr::Other(this.at(parent.to_owned())),
            None => NoneOr::None,
        })
    }

    /// Whether anything is there.
    #[starlark(attribute)]
    fn exists<'v>(this: ValueTyped<'v, StarlarkPath>) -> anyhow::Result<bool> {
        Ok(this.kind()? != EntryKind::Absent)
    }

    /// Whether a directory is there.
    #[starlark(attribute)]
    fn is_dir<'v>(this: ValueTyped<'v, StarlarkPath>) -> anyhow::Result<bool> {
        Ok(this.kind()? == EntryKind::Directory)
    }

    /// The path without symbolic links.
    #[starlark(attribute)]
    fn realpath<'v>(this: ValueTyped<'v, StarlarkPath>) -> anyhow::Result<StarlarkPath> {
        this.kind()?;
        let real = this.path.canonicalize().map_err(|error| {
            Diagnostic::user(format!("cannot follow `{}`: {error}", this.path.display()))
        })?;
        Ok(this.at(real))
    }

    /// What is in the directory, sorted.
    fn readdir<'v>(
        this: ValueTyped<'v, StarlarkPath>,
        #[starlark(require = named, default = NoneOr::None)] watch: NoneOr<&str>,
    ) -> anyhow::Result<Vec<StarlarkPath>> {
        let _ = watch;
        if this.stage.is_own(&this.path) {
            this.stage.shared.files.forget_below(&this.path);
        }
        let listing = this.stage.tree().list(&this.path)?;
        Ok(listing.entries.iter().map(|entry| this.at(this.path.join(&*entry.name))).collect())
    }

    /// The path below this one.
    fn get_child<'v>(
        this: ValueTyped<'v, StarlarkPath>,
        #[starlark(args)] relative: UnpackTuple<&str>,
    ) -> anyhow::Result<StarlarkPath> {
        let path = relative.items.iter().fold(this.path.clone(), |path, part| path.join(part));
        Ok(this.at(clean(&path)))
    }
}
