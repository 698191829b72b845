//! `runfiles`: the Starlark face of what a program needs beside it.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use rbz_engine::depset::{Depset, Order};
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::runfiles::Runfiles;
use rbz_engine::value::Value as Plain;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::{NoSerialize, ProvidesStaticType, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use crate::depset_value::DepsetValue;
use crate::value_repr::with_article;

/// Runfiles as a Starlark value.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub struct RunfilesValue(#[allocative(skip)] pub Arc<Runfiles>);

starlark_simple_value!(RunfilesValue);
starlark::methods_static!(METHODS = runfiles_methods);

impl fmt::Display for RunfilesValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<runfiles>")
    }
}

#[starlark_value(type = "runfiles")]
impl<'v> StarlarkValue<'v> for RunfilesValue {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(RunfilesValue::from_value(other).is_some_and(|other| other.0 == self.0))
    }
}

#[starlark_module]
fn runfiles_methods(builder: &mut MethodsBuilder) {
    /// The files that are at their own places.
    #[starlark(attribute)]
    fn files(this: &RunfilesValue) -> anyhow::Result<DepsetValue> {
        Ok(DepsetValue(this.0.files.clone()))
    }

    /// Files at other places below the workspace's directory: structs of `path` and `target_file`.
    #[starlark(attribute)]
    fn symlinks(this: &RunfilesValue) -> anyhow::Result<DepsetValue> {
        entries(&this.0.symlinks)
    }

    /// Files at other places below the root of the tree: structs of `path` and `target_file`.
    #[starlark(attribute)]
    fn root_symlinks(this: &RunfilesValue) -> anyhow::Result<DepsetValue> {
        entries(&this.0.root_symlinks)
    }

    /// Names of empty files, of which there are none.
    #[starlark(attribute)]
    fn empty_filenames(this: &RunfilesValue) -> anyhow::Result<DepsetValue> {
        let _ = this;
        Ok(DepsetValue(Depset::empty(Order::Default)))
    }

    /// These and those of `other`.
    fn merge(
        this: &RunfilesValue,
        #[starlark(require = pos)] other: &RunfilesValue,
    ) -> anyhow::Result<RunfilesValue> {
        Ok(RunfilesValue(Arc::new(Runfiles::merge([&*this.0, &*other.0]))))
    }

    /// These and those of all `others`.
    fn merge_all<'v>(
        this: &RunfilesValue,
        #[starlark(require = pos)] others: UnpackListOrTuple<Value<'v>>,
    ) -> anyhow::Result<RunfilesValue> {
        let mut parts = vec![&*this.0];
        for other in others.items {
            let other = RunfilesValue::from_value(other).ok_or_else(|| {
                Diagnostic::user(format!(
                    "`merge_all` takes a list of runfiles, but it holds {}",
                    with_article(other.get_type())
                ))
            })?;
            parts.push(&other.0);
        }
        Ok(RunfilesValue(Arc::new(Runfiles::merge(parts))))
    }
}

/// The pairs of path and file as Bazel's `SymlinkEntry`s.
fn entries(pairs: &Depset) -> anyhow::Result<DepsetValue> {
    let mut structs = Vec::new();
    for pair in pairs.to_list() {
        if let Plain::Tuple(pair) = pair
            && let [path, file] = &pair[..]
        {
            structs.push(Plain::Struct(Arc::from([
                ("path".into(), path.clone()),
                ("target_file".into(), file.clone()),
            ])));
        }
    }
    Ok(DepsetValue(Depset::new(Order::Default, structs, vec![])?))
}
