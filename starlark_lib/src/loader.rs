//! The loader: modules, packages and repositories of one session.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::event::{Event, EventSink};
use rbz_engine::file_state::{EntryKind, FileState};
use rbz_engine::label::{Label, PackageId, RepoName};
use starlark::values::{OwnedFrozenValue, ValueLike};

use crate::evaluation::SessionNames;
use crate::glob::{IgnoredDirectories, SharedIgnored};
use crate::globals::GlobalSet;
use crate::loader_options::LoaderOptions;
use crate::module::{LoadedModule, Modules};
use crate::module_closure::ModuleClosure;
use crate::native_rule;
use crate::nearest;
use crate::package::{Package, Target};
use crate::package_loader::{self, LoadedPackage};
use crate::repositories::{MadeRepositories, RepositoryRoot};
use crate::repository_declaration::DeclaredRepositories;
use crate::rule::{RuleRef, RuleSchema};
use crate::rule_value::FrozenStarlarkRule;
use crate::saved_packages::SavedPackages;
use crate::source_tree::SourceTree;
use crate::workspace;

/// What all threads of a session share.
pub struct Shared {
    pub(crate) options: LoaderOptions,
    pub(crate) files: Arc<FileState>,
    pub(crate) session: Arc<SessionNames>,
    pub(crate) modules: Modules,
    language: GlobalSet,
    with_prelude: OnceLock<GlobalSet>,
    pub(crate) declared: Arc<DeclaredRepositories>,
    pub(crate) made: MadeRepositories,
    pub(crate) saved: SavedPackages,
    ignored_in_main: OnceLock<SharedIgnored>,
    /// For evaluations, which own what they use.
    pub(crate) me: Weak<Shared>,
}

/// What a package is made of besides its BUILD file.
pub struct LoadedFiles {
    /// Every .bzl file that it loads, or that one of these loads; absolute.
    pub modules: Vec<PathBuf>,
    /// The directories of the repositories that they lie in.
    pub repositories: Vec<(RepoName, PathBuf)>,
}

type PackageCell = Arc<OnceLock<Result<Arc<LoadedPackage>, Box<Diagnostic>>>>;

/// Loads whatever analysis asks for. Shared by all threads.
pub struct Loader {
    shared: Arc<Shared>,
    packages: Mutex<HashMap<PackageId, PackageCell>>,
    threads: rayon::ThreadPool,
    /// How many packages were loaded.
    loaded: AtomicUsize,
    /// What questions outside of any package relied on.
    noted: Mutex<HashSet<Dependency>>,
}

/// The name of a workspace that has none.
const UNNAMED_WORKSPACE: &str = "__main__";

/// Evaluation recurses; the stack is only reserved, not used, where it does not.
const STACK_SIZE: usize = 256 << 20;

impl Shared {
    /// What is predeclared in the files of a repository.
    pub fn globals(&self, repo: &RepoName) -> Result<&GlobalSet, Box<Diagnostic>> {
        let Some(prelude) = self.prelude_of(repo)? else { return Ok(&self.language) };
        Ok(self.with_prelude.get_or_init(|| GlobalSet::new(Some(&prelude.frozen))))
    }

    /// The module whose names the BUILD files of a repository see, if they do. Its own repository,
    /// which a workspace may replace, cannot: the module is made of files there.
    pub fn prelude_of(
        &self,
        repo: &RepoName,
    ) -> Result<Option<Arc<LoadedModule>>, Box<Diagnostic>> {
        match &self.options.prelude {
            Some(prelude) if !self.is_shipped(repo) && *repo != prelude.package().repo => {
                self.modules.load(prelude, None, self).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn is_shipped(&self, repo: &RepoName) -> bool {
        self.options.shipped.contains_key(repo) && self.declared.get(repo).is_none()
    }

    /// True of a file, as it is shown, of a repository that came with the program.
    pub fn is_shipped_file(&self, file: &str) -> bool {
        let repo = file.strip_prefix("external/").and_then(|rest| rest.split_once('/'));
        repo.is_some_and(|(repo, _)| self.is_shipped(&RepoName::new(repo)))
    }

    /// What is predeclared without the prelude.
    pub fn language(&self) -> &GlobalSet {
        &self.language
    }

    /// Where the files of a repository lie. It is made now if it was not.
    pub fn repository(&self, repo: &RepoName) -> Result<Arc<RepositoryRoot>, Box<Diagnostic>> {
        if repo.is_main() {
            return Ok(Arc::new(RepositoryRoot::plain(self.options.workspace_root.clone())));
        }
        if let Some(declaration) = self.declared.get(repo) {
            return self.made.root(&declaration, self);
        }
        if let Some(path) = self.options.shipped.get(repo) {
            return Ok(Arc::new(RepositoryRoot::plain(path.clone())));
        }
        let declared = self.declared.all();
        let names = declared
            .iter()
            .map(|declaration| declaration.name.as_str())
            .chain(self.options.shipped.keys().map(RepoName::as_str));
        let diagnostic = Diagnostic::user(format!("there is no repository `{repo}`"))
            .hint("declare it in the WORKSPACE file");
        Err(Box::new(nearest::hinted(diagnostic, repo.as_str(), names)))
    }

    /// The path of the source file that `label` names.
    pub fn file_path(&self, label: &Label) -> Result<PathBuf, Box<Diagnostic>> {
        let root = self.repository(&label.package().repo)?;
        let path = root.directory.join(label.repo_relative_path());
        match self.files.stat(&path).map(|stat| stat.kind()) {
            Ok(EntryKind::Absent) => Err(Box::new(Diagnostic::user(format!(
                "there is no file `{}`, that `{label}` names",
                rbz_engine::label::join(&label.package().exec_dir(), label.name())
            )))),
            Ok(_) => Ok(path),
            Err(error) => Err(Box::new(Diagnostic::machine(error.to_string()))),
        }
    }

    /// The directories of a repository that hold no sources of its own.
    pub fn ignored(&self, repo: &RepoName) -> Result<SharedIgnored, Box<Diagnostic>> {
        if repo.is_main() {
            return Ok(self.ignored_in_main.get().cloned().unwrap_or_default());
        }
        let root = self.repository(repo)?.directory.clone();
        Ok(Arc::new(IgnoredDirectories { root, listed: vec![] }))
    }

    /// The file that `text` in a `load` statement of the package `from` names.
    pub fn load_label(&self, text: &str, from: &PackageId) -> Result<Label, String> {
        let label = self.session.parse_label(text, from).map_err(|error| error.to_string())?;
        if !label.name().ends_with(".bzl") {
            return Err(format!("`{text}` cannot be loaded: it is no .bzl file"));
        }
        Ok(self.shipped_instead(&label).unwrap_or(label))
    }

    /// In a workspace that has the name of a shipped repository, the shipped .bzl files stand for
    /// its own: its BUILD files are written for the rules that come with the program.
    fn shipped_instead(&self, label: &Label) -> Option<Label> {
        let package = label.package();
        let repo = RepoName::new(&self.session.workspace());
        if !package.repo.is_main() || repo.is_main() || !self.is_shipped(&repo) {
            return None;
        }
        let path = self.options.shipped.get(&repo)?.join(label.repo_relative_path());
        let there = self.files.stat(&path).is_ok_and(|stat| stat.kind() == EntryKind::File);
        there.then(|| Label::new(PackageId::new(repo, &package.path), label.name()))
    }
}

impl Loader {
    /// Opens a session.
    pub fn open(
        options: LoaderOptions,
        files: Arc<FileState>,
        events: Arc<dyn EventSink>,
    ) -> Result<Loader, Box<Diagnostic>> {
        let threads = rayon::ThreadPoolBuilder::new()
            .stack_size(STACK_SIZE)
            .thread_name(|n| format!("load {n}"))
            .build()
            .map_err(|error| {
                Box::new(Diagnostic::machine(format!("cannot start threads: {error}")))
            })?;
        let saved = SavedPackages::open(&options.output_base)?;
        let shared = Arc::new_cyclic(|me| Shared {
            options,
            files,
            session: Arc::new(SessionNames::new(events)),
            modules: Modules::default(),
            language: GlobalSet::new(None),
            with_prelude: OnceLock::new(),
            declared: Arc::default(),
            made: MadeRepositories::default(),
            saved,
            ignored_in_main: OnceLock::new(),
            me: me.clone(),
        });
        threads.install(|| {
            let mut tree = SourceTree::new(shared.files.clone());
            let root = shared.options.workspace_root.clone();
            let listed = workspace::ignored_directories(&root, &mut tree)?;
            // Set here, once, before anybody asks.
            let _ = shared.ignored_in_main.set(Arc::new(IgnoredDirectories { root, listed }));
            shared.made.note(tree.dependencies().iter().cloned());
            for (name, directory) in &shared.options.overrides {
                shared.declared.override_with(name, directory)?;
            }
            shared.made.note(workspace::evaluate(&shared)?);
            workspace::declare_defaults(&shared)
        })?;
        Ok(Loader {
            shared,
            packages: Mutex::default(),
            threads,
            loaded: AtomicUsize::new(0),
            noted: Mutex::default(),
        })
    }

    /// What all threads of the session share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Notes what a question outside of any package relied on.
    pub(crate) fn note_dependencies(&self, tree: &SourceTree) {
        let mut noted = self.noted.lock().unwrap_or_else(|poison| poison.into_inner());
        noted.extend(tree.dependencies().iter().cloned());
    }

    /// The threads on which Starlark is to be evaluated: their stacks are large.
    pub fn threads(&self) -> &rayon::ThreadPool {
        &self.threads
    }

    /// Names that all evaluations of the session share.
    pub fn session(&self) -> &Arc<SessionNames> {
        &self.shared.session
    }

    /// The file state that the session works on.
    pub fn files(&self) -> &Arc<FileState> {
        &self.shared.files
    }

    /// The name of the main repository, the directory of its files in runfiles.
    pub fn workspace_name(&self) -> Arc<str> {
        let name = self.shared.session.workspace();
        if name.is_empty() { UNNAMED_WORKSPACE.into() } else { name }
    }

    /// The directory of a repository.
    pub fn repository_root(&self, repo: &RepoName) -> Result<PathBuf, Box<Diagnostic>> {
        Ok(self.shared.repository(repo)?.directory.clone())
    }

    /// The package `id`.
    pub fn package(&self, id: &PackageId) -> Result<Arc<Package>, Box<Diagnostic>> {
        Ok(self.loaded_package(id)?.package.clone())
    }

    fn loaded_package(&self, id: &PackageId) -> Result<Arc<LoadedPackage>, Box<Diagnostic>> {
        let cell = {
            // Never held while anything else runs.
            let mut packages = self.packages.lock().unwrap_or_else(|poison| poison.into_inner());
            packages.entry(id.clone()).or_default().clone()
        };
        if let Some(result) = cell.get() {
            return result.clone();
        }
        self.threads.install(|| {
            cell.get_or_init(|| {
                let result = package_loader::load(id, &self.shared).map(Arc::new);
                let packages = self.loaded.fetch_add(1, Ordering::Relaxed) + 1;
                self.shared.session.events.event(Event::Loaded { packages });
                result
            })
            .clone()
        })
    }

    /// The files that the package `id` is made of besides its BUILD file.
    pub fn loaded_files(&self, id: &PackageId) -> Result<LoadedFiles, Box<Diagnostic>> {
        let package = self.loaded_package(id)?;
        let closures = ModuleClosure::all(&package.closures);
        let dependencies = closures.iter().flat_map(|closure| &closure.own.dependencies);
        let modules = dependencies.filter_map(|dependency| match dependency {
            Dependency::Content { path, .. } if path.extension()? == "bzl" => Some(path.clone()),
            _ => None,
        });
        let mut repositories = BTreeMap::from([(id.repo.clone(), self.repository_root(&id.repo)?)]);
        repositories.extend(closures.iter().map(|closure| closure.own.repository.clone()));
        Ok(LoadedFiles {
            modules: modules.collect(),
            repositories: repositories.into_iter().collect(),
        })
    }

    /// How many packages have been loaded so far.
    pub fn package_count(&self) -> usize {
        self.loaded.load(Ordering::Relaxed)
    }

    /// The target `label`, with its package. The error says what is near, not who asked.
    pub fn target(&self, label: &Label) -> Result<(Arc<Package>, Arc<Target>), Box<Diagnostic>> {
        let package = self.package(label.package())?;
        match package.targets.get(label.name()).cloned() {
            Some(target) => Ok((package, target)),
            None => Err(Box::new(self.no_such_target(label, &package))),
        }
    }

    /// The module `label`.
    pub fn module(&self, label: &Label) -> Result<Arc<LoadedModule>, Box<Diagnostic>> {
        self.threads.install(|| self.shared.modules.load(label, None, &self.shared))
    }

    /// A rule with its implementation, in its module's heap: a [`FrozenStarlarkRule`].
    pub fn rule_value(&self, rule: &RuleRef) -> Result<OwnedFrozenValue, Box<Diagnostic>> {
        let RuleRef::Starlark { module, name } = rule else {
            return Err(Box::new(Diagnostic::internal(format!("`{rule}` is no rule of Starlark"))));
        };
        let loaded = self.module(module)?;
        // A rule whose name starts with `_` is private but can be instantiated by macros.
        let value = loaded.frozen.get_any_visibility(name).map(|(value, _)| value);
        value
            .map_err(|_| Box::new(Diagnostic::internal(format!("`{module}` has no rule `{name}`"))))
    }

    /// What is declared of a rule.
    pub fn rule_schema(&self, rule: &RuleRef) -> Result<Arc<RuleSchema>, Box<Diagnostic>> {
        if let RuleRef::Native(rule) = rule {
            return Ok(native_rule::schema(*rule).clone());
        }
        let value = self.rule_value(rule)?;
        let schema =
            value.value().downcast_ref::<FrozenStarlarkRule>().and_then(|rule| rule.schema.clone());
        schema.ok_or_else(|| Box::new(Diagnostic::internal(format!("`{rule}` is no rule"))))
    }

    /// The rules that BUILD files of the main repository know without a `load`, by their names
    /// there.
    pub fn predeclared_rules(&self) -> Result<Vec<(String, Arc<RuleSchema>)>, Box<Diagnostic>> {
        let native = crate::rule::NativeRule::ALL.into_iter();
        let mut rules: Vec<(String, Arc<RuleSchema>)> = native
            .map(|rule| (rule.name().to_owned(), native_rule::schema(rule).clone()))
            .collect();
        if let Some(prelude) = self.threads.install(|| self.shared.prelude_of(&RepoName::main()))? {
            rules.extend(prelude.frozen.names().filter_map(|name| {
                let value = prelude.frozen.get_option(name.as_str()).ok()??;
                let rule = value.value().downcast_ref::<FrozenStarlarkRule>()?;
                Some((name.as_str().to_owned(), rule.schema.clone()?))
            }));
        }
        rules.sort_by(|(a, _), (b, _)| a.cmp(b));
        rules.dedup_by(|(a, _), (b, _)| a == b);
        Ok(rules)
    }

    /// Everything that anything loaded in this session relied on.
    pub fn dependencies(&self) -> Vec<Dependency> {
        let packages = self.packages.lock().unwrap_or_else(|poison| poison.into_inner());
        let all: Vec<Dependency> = packages
            .values()
            .filter_map(|cell| cell.get()?.as_ref().ok())
            .flat_map(|package| package.dependencies.iter().cloned())
            .chain(self.shared.modules.dependencies())
            .chain(self.shared.saved.dependencies_of_modules())
            .chain(self.shared.made.dependencies())
            .chain(self.noted.lock().unwrap_or_else(|poison| poison.into_inner()).iter().cloned())
            .collect();
        Dependency::sorted(all)
    }
}
