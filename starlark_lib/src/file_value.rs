//! `File`: the Starlark face of artifacts.

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash;

use allocative::Allocative;
use rbz_engine::artifact::{Artifact, ArtifactKind, Root};
use starlark::collections::StarlarkHasher;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::values::{
    Heap, NoSerialize, ProvidesStaticType, StarlarkValue, Value, ValueError, starlark_value,
};
use starlark::{starlark_module, starlark_simple_value};

use crate::conversion::alloc_label;
use crate::value_repr::write_artifact;

/// A file, tree or link as a Starlark value.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct FileValue(#[allocative(skip)] pub Artifact);

starlark_simple_value!(FileValue);
starlark::methods_static!(METHODS = file_methods);

impl fmt::Display for FileValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_artifact(&self.0, f)
    }
}

#[starlark_value(type = "File")]
impl<'v> StarlarkValue<'v> for FileValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(FileValue::from_value(other).is_some_and(|other| other.0 == self.0))
    }

    fn compare(&self, other: Value<'v>) -> starlark::Result<Ordering> {
        match FileValue::from_value(other) {
            Some(other) => Ok(self.0.cmp(&other.0)),
            None => ValueError::unsupported_with(self, "compare", other),
        }
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        self.0.hash(hasher);
        Ok(())
    }
}

#[starlark_module]
fn file_methods(builder: &mut MethodsBuilder) {
    /// The path at which actions see it.
    #[starlark(attribute)]
    fn path(this: &FileValue) -> anyhow::Result<String> {
        Ok(this.0.exec_path().to_owned())
    }

    /// The path without the output directory; `../repo/…` for a file of another repository.
    #[starlark(attribute)]
    fn short_path(this: &FileValue) -> anyhow::Result<String> {
        Ok(this.0.short_path())
    }

    /// The last segment of the path.
    #[starlark(attribute)]
    fn basename(this: &FileValue) -> anyhow::Result<String> {
        Ok(this.0.basename().to_owned())
    }

    /// The path without its last segment.
    #[starlark(attribute)]
    fn dirname(this: &FileValue) -> anyhow::Result<String> {
        Ok(this.0.exec_path().rsplit_once('/').map_or("", |(dir, _)| dir).to_owned())
    }

    /// What follows the last dot of the basename; empty if there is none.
    #[starlark(attribute)]
    fn extension(this: &FileValue) -> anyhow::Result<String> {
        Ok(this.0.basename().rsplit_once('.').map_or("", |(_, extension)| extension).to_owned())
    }

    /// The directory that it lies in, be it the sources or an output directory.
    #[starlark(attribute)]
    fn root(this: &FileValue) -> anyhow::Result<RootValue> {
        Ok(RootValue::of(this.0.root()))
    }

    /// The label of the source file, or of the target that makes the file.
    #[starlark(attribute)]
    fn owner<'v>(this: &FileValue, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(alloc_label(this.0.owner(), heap))
    }

    /// Whether it exists before the build.
    #[starlark(attribute)]
    fn is_source(this: &FileValue) -> anyhow::Result<bool> {
        Ok(this.0.is_source())
    }

    /// Whether it is a directory.
    #[starlark(attribute)]
    fn is_directory(this: &FileValue) -> anyhow::Result<bool> {
        Ok(this.0.is_tree())
    }

    /// Whether it was declared with `declare_symlink`.
    #[starlark(attribute)]
    fn is_symlink(this: &FileValue) -> anyhow::Result<bool> {
        Ok(this.0.kind() == ArtifactKind::Symlink)
    }
}

/// `File.root`, `ctx.bin_dir`: a directory that files lie in.
#[derive(Clone, Debug, PartialEq, Eq, ProvidesStaticType, NoSerialize, Allocative)]
pub struct RootValue {
    path: String,
}

starlark_simple_value!(RootValue);
starlark::methods_static!(ROOT_METHODS = root_methods);

impl RootValue {
    /// The directory of `root`.
    pub fn of(root: &Root) -> Self {
        let path = match root {
            Root::Source => String::new(),
            Root::Output(path) => path.to_string(),
            Root::System => "/".to_owned(),
        };
        RootValue { path }
    }

    /// The directory at `path`.
    pub fn at(path: &str) -> Self {
        RootValue { path: path.to_owned() }
    }
}

impl fmt::Display for RootValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<root {}>", self.path)
    }
}

#[starlark_value(type = "root")]
impl<'v> StarlarkValue<'v> for RootValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(ROOT_METHODS.methods())
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(RootValue::from_value(other) == Some(self))
    }
}

#[starlark_module]
fn root_methods(builder: &mut MethodsBuilder) {
    /// Relative to the execution root; empty for sources.
    #[starlark(attribute)]
    fn path(this: &RootValue) -> anyhow::Result<String> {
        Ok(this.path.clone())
    }
}
