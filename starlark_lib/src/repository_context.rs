//! `repository_ctx`: what the implementation of a repository rule sees, and what it looked at.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use allocative::Allocative;
use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::RepoName;
use starlark::any::ProvidesStaticType;
use starlark::environment::{Methods, Module};
use starlark::eval::Evaluator;
use starlark::starlark_simple_value;
use starlark::values::{
    Heap, NoSerialize, StarlarkValue, Value, ValueError, ValueLike, starlark_value,
};

use crate::attr::{AttrDefault, AttrValue};
use crate::dialect::FileKind;
use crate::evaluation::{Evaluation, Stage};
use crate::label_value::StarlarkLabel;
use crate::limits;
use crate::loader::Shared;
use crate::path_value::StarlarkPath;
use crate::repository_declaration::RepositoryDeclaration;
use crate::repository_methods::repository_methods;
use crate::repository_rule::FrozenStarlarkRepositoryRule;
use crate::rule::RuleRef;
use crate::source_tree::SourceTree;

/// A repository that is being made.
pub struct RepositoryStage {
    /// Its name.
    pub name: RepoName,
    /// Where its files go.
    pub directory: PathBuf,
    /// Its attributes, with defaults.
    pub attrs: BTreeMap<Arc<str>, AttrValue>,
    /// The session.
    pub shared: Arc<Shared>,
    tree: Mutex<SourceTree>,
}

impl RepositoryStage {
    /// Answers about files, and notes what was asked.
    pub fn tree(&self) -> MutexGuard<'_, SourceTree> {
        // One thread makes a repository, so nothing can be torn.
        self.tree.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// Whether the path is the repository's own, whose files rules make and do not depend on.
    pub fn is_own(&self, path: &Path) -> bool {
        path.starts_with(&self.directory)
    }

    /// The value of a variable of the environment; noted.
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = self.shared.options.environment.get(name);
        self.tree().note_variable(name, value);
        value.cloned()
    }

    /// The path that a string, a label or a path means.
    pub fn resolve(&self, value: Value) -> anyhow::Result<PathBuf> {
        if let Some(path) = value.downcast_ref::<StarlarkPath>() {
            return Ok(path.path().to_owned());
        }
        if let Some(label) = value.downcast_ref::<StarlarkLabel>() {
            let root = self.shared.repository(&label.0.package().repo).map_err(|error| *error)?;
            return Ok(root.directory.join(label.0.repo_relative_path()));
        }
        match value.unpack_str() {
            Some(text) => Ok(clean(&self.directory.join(text))),
            None => Err(Diagnostic::user(format!(
                "expected a path, a label or a string, but got `{}` ({})",
                value.to_repr(),
                value.get_type()
            ))
            .into()),
        }
    }

    /// The path in the repository that is to be written.
    pub fn output(&self, value: Value) -> anyhow::Result<PathBuf> {
        let path = self.resolve(value)?;
        let outside = |leads: &str| {
            Diagnostic::user(format!(
                "`{}` {leads} outside of the repository `{}`; a rule writes only into its own",
                path.display(),
                self.name
            ))
        };
        if !self.is_own(&path) {
            return Err(outside("lies").into());
        }
        // Of the directories above, those that are there may be links that the rule made.
        let above = path.ancestors().skip(1).find_map(|above| above.canonicalize().ok());
        let own = self.directory.canonicalize().ok();
        if path != self.directory
            && let (Some(above), Some(own)) = (above, own)
            && !above.starts_with(&own)
        {
            return Err(outside("leads").into());
        }
        Ok(path)
    }
}

/// A path without `.` and `..` segments, without a look at the disk.
pub fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

/// The argument of the implementation.
#[derive(Clone, ProvidesStaticType, NoSerialize, Allocative)]
pub struct RepositoryContext(#[allocative(skip)] pub Arc<RepositoryStage>);

starlark_simple_value!(RepositoryContext);

impl fmt::Debug for RepositoryContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RepositoryContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<repository_ctx for {}>", self.0.name)
    }
}

#[starlark_value(type = "repository_ctx")]
impl<'v> StarlarkValue<'v> for RepositoryContext {
    fn get_methods() -> Option<&'static Methods> {
        starlark::methods_static!(METHODS = repository_methods);
        Some(METHODS.methods())
    }
}

/// `repository_ctx.os.environ`: looks like a dict, and notes what is asked.
#[derive(Clone, ProvidesStaticType, NoSerialize, Allocative)]
pub struct EnvironmentValue(#[allocative(skip)] pub Arc<RepositoryStage>);

starlark_simple_value!(EnvironmentValue);

impl fmt::Debug for EnvironmentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for EnvironmentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<environ>")
    }
}

#[starlark_value(type = "environ")]
impl<'v> StarlarkValue<'v> for EnvironmentValue {
    fn get_methods() -> Option<&'static Methods> {
        starlark::methods_static!(METHODS = crate::repository_methods::environment_methods);
        Some(METHODS.methods())
    }

    fn at(&self, index: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        let value = index.unpack_str().and_then(|name| self.0.variable(name));
        match value {
            Some(value) => Ok(heap.alloc(value)),
            None => Err(ValueError::KeyNotFound(index.to_repr()).into()),
        }
    }

    fn is_in(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.unpack_str().is_some_and(|name| self.0.variable(name).is_some()))
    }
}

/// Runs a repository rule. Returns what it relied on.
pub fn run(
    declaration: &RepositoryDeclaration,
    rule: &RuleRef,
    given: &BTreeMap<Arc<str>, AttrValue>,
    directory: &Path,
    shared: &Shared,
) -> Result<Vec<Dependency>, Box<Diagnostic>> {
    let internal =
        |what: &str| Box::new(Diagnostic::internal(format!("the repository rule `{rule}` {what}")));
    let RuleRef::Starlark { module, name } = rule else { return Err(internal("is native")) };
    let loaded = shared.modules.load(module, None, shared)?;
    let (owned, _) = loaded.frozen.get_any_visibility(name).map_err(|_| internal("is gone"))?;
    let Some(value) = owned.value().downcast_ref::<FrozenStarlarkRepositoryRule>() else {
        return Err(internal("is no repository rule"));
    };
    let mut attrs = given.clone();
    for (name, schema) in &value.schema.attrs {
        match &schema.default {
            AttrDefault::Value(default) if !attrs.contains_key(name) => {
                attrs.insert(name.clone(), default.clone());
            }
            AttrDefault::Value(_) => {}
            AttrDefault::Computed(_) => {
                return Err(Box::new(Diagnostic::user(format!(
                    "the attribute `{name}` of `{rule}`: a repository rule cannot compute defaults"
                ))));
            }
        }
    }
    // The session owns the loader's shared part, and it is the session that makes repositories.
    let shared = shared.me.upgrade().ok_or_else(|| internal("runs after its session"))?;
    let stage = Arc::new(RepositoryStage {
        name: declaration.name.clone(),
        directory: directory.to_owned(),
        attrs,
        tree: Mutex::new(SourceTree::new(shared.files.clone())),
        shared: shared.clone(),
    });
    for variable in &value.schema.environ {
        stage.variable(variable);
    }
    let evaluation = Evaluation::new(shared.session.clone(), Stage::Repository(stage.clone()));
    let implementation = value.implementation;
    let implementation = owned.map(|_| implementation);
    Module::with_temp_heap(|module| {
        let mut eval = Evaluator::new(&module);
        eval.extra = Some(&evaluation);
        // SAFETY: the value is used only while this module lives, whose heap now refers to the
        // heap of the value.
        let function =
            unsafe { implementation.owned_frozen_value(module.frozen_heap()) }.to_value();
        let context = module.heap().alloc(RepositoryContext(stage.clone()));
        limits::run(&mut eval, FileKind::Bzl, |eval| {
            eval.eval_function(function, &[context], &[]).map(|_| ())
        })
    })?;
    let dependencies = stage.tree().dependencies().to_vec();
    // What lies in the repository is made by the rule: it does not depend on it.
    let own = |dependency: &Dependency| match dependency {
        Dependency::Content { path, .. }
        | Dependency::Absent { path }
        | Dependency::Kind { path, .. }
        | Dependency::Listing { path, .. } => stage.is_own(path),
        Dependency::Environment { .. } => false,
    };
    Ok(dependencies.into_iter().filter(|dependency| !own(dependency)).collect())
}
