//! Evaluations: what the code that runs right now may know and change.
//!
//! Every `Evaluator` of this crate has an [`Evaluation`] as its `extra`. Functions ask it which
//! stage they run in, and which file the code that called them stands in.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_engine::event::EventSink;
use rbz_engine::label::{Label, LabelError, PackageId, RepoName};
use starlark::any::ProvidesStaticType;
use starlark::eval::Evaluator;

use crate::function_index::FunctionIndex;
use crate::limits::Limits;
use crate::map_each::MapEachCache;
use crate::package::PackagePattern;
use crate::package_builder::PackageBuilder;
use crate::repository_context::RepositoryStage;
use crate::repository_declaration::DeclaredRepositories;

/// The evaluation of one module, BUILD file or function.
#[derive(ProvidesStaticType)]
pub struct Evaluation {
    /// What is the same for all evaluations of a session.
    pub session: Arc<SessionNames>,
    /// What is going on.
    pub stage: Stage,
    /// How far it may go.
    pub limits: Limits,
}

/// What an evaluation is for.
pub enum Stage {
    /// Evaluating the top level of a .bzl file.
    Module(ModuleStage),
    /// Evaluating a BUILD file.
    Package(Box<RefCell<PackageBuilder>>),
    /// Evaluating WORKSPACE, or a function for it.
    Workspace(Arc<DeclaredRepositories>),
    /// Running the implementation of a repository rule.
    Repository(Arc<RepositoryStage>),
    /// Running the implementation of a rule, or a function for one.
    Analysis(AnalysisStage),
}

/// Of a .bzl file whose top level is evaluated.
pub struct ModuleStage {
    /// The file.
    pub label: Label,
    /// Changes with its text and that of everything that it loads.
    pub fingerprint: Fingerprint,
    /// Which packages may load it, if it says so.
    pub visibility: OnceCell<Vec<PackagePattern>>,
}

/// Of a target that is analysed.
pub struct AnalysisStage {
    /// The target.
    pub label: Label,
}

/// What the names of other repositories mean in the files of one (`repo_mapping`).
pub type RepoMapping = BTreeMap<RepoName, RepoName>;

/// Names that hold for a whole session: of files, and of the main repository.
pub struct SessionNames {
    workspace: RwLock<Arc<str>>,
    files: RwLock<HashMap<String, Label>>,
    mappings: RwLock<BTreeMap<RepoName, RepoMapping>>,
    /// Where `print` goes.
    pub events: Arc<dyn EventSink>,
    /// The functions of all modules.
    pub functions: FunctionIndex,
    /// What `map_each` made of depsets.
    pub map_each: MapEachCache,
}

impl SessionNames {
    /// For a session that tells `events`. The name of the workspace follows later.
    pub fn new(events: Arc<dyn EventSink>) -> Self {
        SessionNames {
            workspace: RwLock::new("".into()),
            files: RwLock::default(),
            mappings: RwLock::default(),
            events,
            functions: FunctionIndex::default(),
            map_each: MapEachCache::default(),
        }
    }

    /// The name that the WORKSPACE file gives to the main repository; empty if none.
    pub fn workspace(&self) -> Arc<str> {
        // A poisoned lock means that a thread panicked while it stored a name: nothing is torn.
        self.workspace.read().unwrap_or_else(|poison| poison.into_inner()).clone()
    }

    /// Sets the name of the main repository.
    pub fn set_workspace(&self, name: &str) {
        *self.workspace.write().unwrap_or_else(|poison| poison.into_inner()) = name.into();
    }

    /// Sets what the names of other repositories mean in the files of `repo`.
    pub fn set_mapping(&self, repo: &RepoName, mapping: RepoMapping) {
        let mut mappings = self.mappings.write().unwrap_or_else(|poison| poison.into_inner());
        match mapping.is_empty() {
            true => mappings.remove(repo),
            false => mappings.insert(repo.clone(), mapping),
        };
    }

    /// Adds all that names of repositories mean to a fingerprint under construction.
    pub fn add_mappings_to(&self, builder: &mut FingerprintBuilder) {
        let mappings = self.mappings.read().unwrap_or_else(|poison| poison.into_inner());
        for (repo, mapping) in &*mappings {
            builder.str(repo.as_str()).u64(mapping.len() as u64);
            for (name, meant) in mapping {
                builder.str(name.as_str()).str(meant.as_str());
            }
        }
    }

    /// The repository that `name` means in the files of `from`.
    fn mapped(&self, name: &RepoName, from: &RepoName) -> Option<RepoName> {
        let mappings = self.mappings.read().unwrap_or_else(|poison| poison.into_inner());
        mappings.get(from)?.get(name).cloned()
    }

    /// Notes that the file shown as `path` is `label`.
    pub fn add_file(&self, path: &str, label: &Label) {
        let mut files = self.files.write().unwrap_or_else(|poison| poison.into_inner());
        files.insert(path.to_owned(), label.clone());
    }

    fn file(&self, path: &str) -> Option<Label> {
        self.files.read().unwrap_or_else(|poison| poison.into_inner()).get(path).cloned()
    }

    /// The label that `text` means in the package `from`. The main repository may be written by
    /// its name.
    pub fn parse_label(&self, text: &str, from: &PackageId) -> Result<Label, LabelError> {
        let mut label = Label::parse(text, from)?;
        // A canonical name (`@@`) means the same everywhere.
        if text.starts_with('@')
            && !text.starts_with("@@")
            && let Some(meant) = self.mapped(label.repo(), &from.repo)
        {
            label = Label::new(PackageId::new(meant, &label.package().path), label.name());
        }
        let repo = &label.package().repo;
        if !repo.is_main() && repo.as_str() == &*self.workspace() {
            let package = PackageId::new(RepoName::main(), &label.package().path);
            return Ok(Label::new(package, label.name()));
        }
        Ok(label)
    }
}

impl Evaluation {
    /// One that begins.
    pub fn new(session: Arc<SessionNames>, stage: Stage) -> Self {
        Evaluation { session, stage, limits: Limits::default() }
    }

    /// The evaluation that `eval` runs.
    pub fn of<'a>(eval: &Evaluator<'_, 'a, '_>) -> anyhow::Result<&'a Evaluation> {
        eval.extra
            .and_then(|extra| extra.downcast_ref::<Evaluation>())
            .ok_or_else(|| Diagnostic::internal("code runs outside of any evaluation").into())
    }

    /// The file that holds the call that is being evaluated. Labels in .bzl files are relative to
    /// the package of it.
    pub fn calling_file(&self, eval: &Evaluator) -> Option<Label> {
        // Frames of functions written in Rust have no place of their own.
        (0..eval.call_stack_count())
            .find_map(|n| eval.call_stack_nth_location(n))
            .and_then(|span| self.session.file(span.filename()))
    }

    /// The package that the calling file lies in.
    pub fn calling_package(&self, eval: &Evaluator) -> anyhow::Result<PackageId> {
        match (self.calling_file(eval), &self.stage) {
            (Some(file), _) => Ok(file.package().clone()),
            (None, Stage::Module(module)) => Ok(module.label.package().clone()),
            (None, Stage::Workspace(_) | Stage::Repository(_)) => {
                Ok(PackageId::new(RepoName::main(), ""))
            }
            (None, Stage::Package(package)) => Ok(package.borrow().id.clone()),
            (None, Stage::Analysis(analysis)) => Ok(analysis.label.package().clone()),
        }
    }

    /// The package under construction. `what` must be called in it: `` `glob` ``.
    pub fn package(&self, what: &str) -> anyhow::Result<&RefCell<PackageBuilder>> {
        match &self.stage {
            Stage::Package(package) => Ok(package),
            Stage::Module(_) => Err(Diagnostic::user(format!(
                "`{what}` can only be called while a BUILD file is loaded, not at the top level of a .bzl file"
            ))
            .hint("call it in a function, and the function in a BUILD file")
            .into()),
            Stage::Workspace(_) | Stage::Repository(_) => Err(Diagnostic::user(format!(
                "`{what}` can only be called while a BUILD file is loaded, not for a WORKSPACE file"
            ))
            .into()),
            Stage::Analysis(_) => Err(Diagnostic::user(format!(
                "`{what}` can only be called while a BUILD file is loaded, not in the implementation of a rule"
            ))
            .into()),
        }
    }

    /// The .bzl file whose top level is evaluated. `what` must be called there.
    pub fn module(&self, what: &str) -> anyhow::Result<&ModuleStage> {
        match &self.stage {
            Stage::Module(module) => Ok(module),
            _ => Err(Diagnostic::user(format!(
                "`{what}` can only be called at the top level of a .bzl file"
            ))
            .into()),
        }
    }
}
