//! Arguments of the functions that make actions: from Starlark values to files and strings.

use std::collections::BTreeMap;
use std::sync::Arc;

use rbz_engine::artifact::Artifact;
use rbz_engine::depset::{Depset, Order};
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::value::Value as Plain;
use starlark::values::dict::DictRef;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::{UnpackValue, Value};

use crate::builtin_providers::FilesToRun;
use crate::depset_value::DepsetValue;
use crate::file_value::FileValue;
use crate::provider_value::ProviderInstanceValue;
use crate::value_repr::with_article;

/// An error about the argument called `name`.
pub fn wrong(name: &str, expected: &str, value: Value) -> Diagnostic {
    let mut error = Diagnostic::user(format!(
        "`{name}` must be {expected}, not {}",
        with_article(value.get_type())
    ));
    if value.get_type() == "Target" && expected.contains("file") {
        error = error.hint("the files of a target are `target[DefaultInfo].files`");
    }
    error
}

/// The items of a list or tuple.
pub fn list<'v>(
    name: &str,
    expected: &str,
    value: Value<'v>,
) -> Result<Vec<Value<'v>>, Diagnostic> {
    match UnpackListOrTuple::<Value>::unpack_value(value) {
        Ok(Some(list)) => Ok(list.items),
        _ => Err(wrong(name, expected, value)),
    }
}

/// One file.
pub fn file(name: &str, value: Value) -> Result<Artifact, Diagnostic> {
    FileValue::from_value(value)
        .map(|file| file.0.clone())
        .ok_or_else(|| wrong(name, "a file", value))
}

/// A list of files.
pub fn files(name: &str, value: Value) -> Result<Vec<Artifact>, Diagnostic> {
    list(name, "a list of files", value)?
        .into_iter()
        .map(|item| match FileValue::from_value(item) {
            Some(file) => Ok(file.0.clone()),
            None => Err(wrong(name, "a list of files, and every item a file", item)),
        })
        .collect()
}

/// A list or depset of files; `None`: no files.
pub fn file_set(name: &str, value: Value) -> Result<Depset, Diagnostic> {
    if value.is_none() {
        return Ok(Depset::empty(Order::Default));
    }
    match DepsetValue::from_value(value) {
        Some(depset) => {
            check_files(name, &depset.0)?;
            Ok(depset.0.clone())
        }
        None => Ok(Depset::of_files(files(name, value)?)),
    }
}

fn check_files(name: &str, depset: &Depset) -> Result<(), Diagnostic> {
    match depset.element_type() {
        None | Some("File") => Ok(()),
        Some(other) => Err(Diagnostic::user(format!(
            "`{name}` must be a depset of files, but holds {}",
            with_article(other)
        ))),
    }
}

/// A list of strings; `None`: none.
pub fn strings(name: &str, value: Value) -> Result<Vec<Arc<str>>, Diagnostic> {
    if value.is_none() {
        return Ok(Vec::new());
    }
    list(name, "a list of strings", value)?
        .into_iter()
        .map(|item| match item.unpack_str() {
            Some(text) => Ok(text.into()),
            None => Err(wrong(name, "a list of strings, and every item a string", item)),
        })
        .collect()
}

/// An entry of a dict of strings.
pub type StringPair = (Arc<str>, Arc<str>);

/// A dict of strings, in its order; `None`: empty.
pub fn string_pairs(name: &str, value: Value) -> Result<Vec<StringPair>, Diagnostic> {
    if value.is_none() {
        return Ok(Vec::new());
    }
    let dict = DictRef::from_value(value).ok_or_else(|| wrong(name, "a dict of strings", value))?;
    dict.iter()
        .map(|(key, value)| match (key.unpack_str(), value.unpack_str()) {
            (Some(key), Some(value)) => Ok((key.into(), value.into())),
            (None, _) => Err(wrong(name, "a dict of strings, and every key a string", key)),
            (_, None) => Err(wrong(name, "a dict of strings, and every value a string", value)),
        })
        .collect()
}

/// A dict of strings, sorted; `None`: empty.
pub fn string_map(name: &str, value: Value) -> Result<BTreeMap<Arc<str>, Arc<str>>, Diagnostic> {
    Ok(string_pairs(name, value)?.into_iter().collect())
}

/// What may stand for a program.
pub enum Program {
    /// The absolute path of a part of the machine, or a path in the execution root.
    Path(Arc<str>),
    /// A file, or the program of a target.
    Target(FilesToRun),
}

/// The argument `executable`.
pub fn program(name: &str, value: Value) -> Result<Program, Diagnostic> {
    if let Some(path) = value.unpack_str() {
        return Ok(Program::Path(path.into()));
    }
    if let Some(file) = FileValue::from_value(value) {
        let executable = Some(file.0.clone());
        return Ok(Program::Target(FilesToRun { executable, runfiles_tree: None }));
    }
    let files_to_run = ProviderInstanceValue::from_value(value)
        .and_then(|instance| FilesToRun::from_value(&Plain::Provider(instance.0.clone())));
    match files_to_run {
        Some(program) if program.executable.is_some() => Ok(Program::Target(program)),
        Some(_) => Err(Diagnostic::user(format!("`{name}` is of a target that is no program"))),
        None => Err(wrong(name, "a file, a `FilesToRunProvider` or a path", value)),
    }
}
