//! Modules: .bzl files, each parsed and evaluated once, whoever loads it.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};

use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::{Diagnostic, Frame, Place};
use rbz_engine::digest::{Digest, Fingerprint, FingerprintBuilder};
use rbz_engine::file_state::EntryKind;
use rbz_engine::label::{Label, PackageId};
use starlark::codemap::FileSpan;
use starlark::environment::{FrozenModule, Module};
use starlark::eval::{Evaluator, FileLoader};
use starlark::syntax::AstModule;
use starlark::syntax::ast::{AstStmt, StmtP};

use crate::definitions;
use crate::dialect::{self, FileKind};
use crate::evaluation::{Evaluation, ModuleStage, Stage};
use crate::limits;
use crate::load_visibility;
use crate::loader::Shared;
use crate::module_closure::{ModuleClosure, ModuleFiles};
use crate::nearest;
use crate::package::PackagePattern;
use crate::source_tree::SourceTree;
use crate::starlark_error;

/// A .bzl file that has been evaluated. Immutable and shared.
pub struct LoadedModule {
    /// Which.
    pub label: Label,
    /// Its values.
    pub frozen: FrozenModule,
    /// Changes with its text and that of all it loads.
    pub fingerprint: Fingerprint,
    /// What it and all it loads relied on.
    pub closure: Arc<ModuleClosure>,
    /// Which packages besides its own may load it; `None`: all.
    pub visibility: Option<Vec<PackagePattern>>,
}

/// A `load` statement.
#[derive(Clone, Debug)]
pub struct LoadStatement {
    /// As written.
    pub text: String,
    /// The file that it names.
    pub label: Label,
    /// Where.
    pub place: Place,
    /// The source line there.
    pub source: String,
    /// The names, each with its place and source line.
    pub symbols: Vec<(String, Place, String)>,
}

/// A file that has been parsed but not evaluated.
pub struct ParsedFile {
    /// Taken by the one evaluation of it.
    ast: Mutex<Option<AstModule>>,
    /// What it loads, in order.
    pub loads: Vec<LoadStatement>,
    /// The digest of its text.
    pub digest: Digest,
    dependencies: Vec<Dependency>,
}

type Cell<T> = Arc<OnceLock<Result<Arc<T>, Box<Diagnostic>>>>;

/// All modules of a session.
#[derive(Default)]
pub struct Modules {
    parsed: Mutex<HashMap<Label, Cell<ParsedFile>>>,
    loaded: Mutex<HashMap<Label, Cell<LoadedModule>>>,
}

fn cell<T>(table: &Mutex<HashMap<Label, Cell<T>>>, label: &Label) -> Cell<T> {
    // The lock is never held while anything else runs, so nothing can be torn.
    let mut table = table.lock().unwrap_or_else(|poison| poison.into_inner());
    table.entry(label.clone()).or_default().clone()
}

/// The `load` statements of a parsed file. Labels are relative to the package of `file`.
pub fn load_statements(
    ast: &AstModule,
    file: &Label,
    shared: &Shared,
) -> Result<Vec<LoadStatement>, Diagnostic> {
    let mut loads = Vec::new();
    collect_loads(ast.statement(), &mut |load| {
        let located = |span| {
            let span: FileSpan = ast.file_span(span);
            let line = span.file.source_line_at_pos(span.span.begin()).to_owned();
            (starlark_error::place(&span), line)
        };
        let (place, source) = located(load.module.span);
        let text = &load.module.node;
        let label = shared.load_label(text, file.package()).map_err(|reason| {
            let at = Diagnostic::user(reason).at(place.clone()).with_source(source.clone());
            at.hint("write `//pkg:file.bzl`, `:file.bzl` or `@repo//pkg:file.bzl`")
        })?;
        let symbols = load
            .args
            .iter()
            .map(|argument| {
                let (place, source) = located(argument.their.span);
                (argument.their.node.clone(), place, source)
            })
            .collect();
        loads.push(LoadStatement { text: text.clone(), label, place, source, symbols });
        Ok(())
    })?;
    Ok(loads)
}

fn collect_loads(
    statement: &AstStmt,
    each: &mut impl FnMut(&starlark::syntax::ast::Load) -> Result<(), Diagnostic>,
) -> Result<(), Diagnostic> {
    match &statement.node {
        StmtP::Load(load) => each(load),
        StmtP::Statements(statements) => {
            statements.iter().try_for_each(|statement| collect_loads(statement, each))
        }
        _ => Ok(()),
    }
}

impl Modules {
    /// The module `label`, evaluated now if nobody did before. `mentioned` says who wants it.
    pub fn load(
        &self,
        label: &Label,
        mentioned: Option<&LoadStatement>,
        shared: &Shared,
    ) -> Result<Arc<LoadedModule>, Box<Diagnostic>> {
        if let Some(result) = cell(&self.loaded, label).get() {
            return result.clone();
        }
        // No evaluation starts before the whole graph below is known to have no cycle: so a
        // thread that waits for another one's module can never be waited for by it.
        let mut order = Vec::new();
        self.visit(label, mentioned, shared, &mut Vec::new(), &mut HashSet::new(), &mut order)?;
        for (label, file) in order {
            cell(&self.loaded, &label)
                .get_or_init(|| self.evaluate(&label, &file, shared).map(Arc::new))
                .as_ref()
                .map_err(Clone::clone)?;
        }
        cell(&self.loaded, label).get().cloned().unwrap_or_else(|| {
            Err(Box::new(Diagnostic::internal(format!("`{label}` was not evaluated"))))
        })
    }

    /// Lists the modules below `label` that are to be evaluated, each after what it loads.
    fn visit(
        &self,
        label: &Label,
        mentioned: Option<&LoadStatement>,
        shared: &Shared,
        path: &mut Vec<(Label, Option<LoadStatement>)>,
        seen: &mut HashSet<Label>,
        order: &mut Vec<(Label, Arc<ParsedFile>)>,
    ) -> Result<(), Box<Diagnostic>> {
        if let Some(start) = path.iter().position(|(other, _)| other == label) {
            return Err(Box::new(cycle(label, mentioned, &path[start..])));
        }
        if !seen.insert(label.clone()) || cell(&self.loaded, label).get().is_some_and(Result::is_ok)
        {
            return Ok(());
        }
        let file = cell(&self.parsed, label)
            .get_or_init(|| parse(label, shared).map(Arc::new).map_err(Box::new))
            .clone()
            .map_err(|diagnostic| {
                // A file that is not there is the fault of who names it.
                match (diagnostic.place.is_none(), mentioned) {
                    (true, Some(load)) => {
                        Box::new(diagnostic.at(load.place.clone()).with_source(load.source.clone()))
                    }
                    _ => diagnostic,
                }
            })?;
        path.push((label.clone(), mentioned.cloned()));
        for load in &file.loads {
            self.visit(&load.label, Some(load), shared, path, seen, order)?;
        }
        path.pop();
        order.push((label.clone(), file));
        Ok(())
    }

    /// Evaluates a file all of whose loads have been evaluated.
    fn evaluate(
        &self,
        label: &Label,
        file: &ParsedFile,
        shared: &Shared,
    ) -> Result<LoadedModule, Box<Diagnostic>> {
        let loaded = self.loaded_by(&file.loads, label.package(), shared)?;
        let mut builder = FingerprintBuilder::new("module");
        builder.str(&label.to_string()).digest(&file.digest);
        let mut parts = Vec::new();
        for load in &file.loads {
            if let Some(module) = loaded.modules.get(&load.text) {
                builder.part(&module.fingerprint);
                parts.push(module.closure.clone());
            }
        }
        let fingerprint = builder.finish();
        let repo = &label.package().repo;
        let own = ModuleFiles {
            dependencies: file.dependencies.clone(),
            repository: (repo.clone(), shared.repository(repo)?.directory.clone()),
        };
        let closure = Arc::new(ModuleClosure::new(own, parts));
        // A poisoned lock means that the parser panicked; then there is no AST.
        let ast = file.ast.lock().unwrap_or_else(|poison| poison.into_inner()).take();
        let Some(ast) = ast else {
            return Err(Box::new(Diagnostic::internal(format!("`{label}` is evaluated twice"))));
        };
        let shown = rbz_engine::label::join(&label.package().exec_dir(), label.name());
        let visibility = OnceCell::new();
        let stage = Stage::Module(ModuleStage { label: label.clone(), fingerprint, visibility });
        let evaluation = Evaluation::new(shared.session.clone(), stage);
        let globals = shared.globals(&label.package().repo)?;
        let (frozen, names) = Module::with_temp_heap(|module| {
            {
                let mut eval = Evaluator::new(&module);
                eval.extra = Some(&evaluation);
                eval.set_loader(&loaded);
                limits::run(&mut eval, FileKind::Bzl, |eval| {
                    eval.eval_module(ast, globals.of(FileKind::Bzl))
                })
                .map_err(|error| starlark_error::in_file(error, &shown))?;
            }
            // A frozen module no longer tells its private names.
            let names = module.names_and_visibilities().map(|(name, _)| name.as_str().to_owned());
            let names: Vec<String> = names.collect();
            let frozen = module.freeze().map_err(|error| {
                Box::new(Diagnostic::user(format!(
                    "`{label}` holds a value that cannot be kept: {}",
                    error.err_msg
                )))
            })?;
            Ok::<_, Box<Diagnostic>>((frozen, names))
        })?;
        shared.session.functions.add(label, &frozen, &names);
        let visibility = match evaluation.stage {
            Stage::Module(module) => module.visibility.into_inner(),
            _ => None,
        };
        Ok(LoadedModule { label: label.clone(), frozen, fingerprint, closure, visibility })
    }

    /// The modules that a file of the package `from` loads, with a check that it may, and that they
    /// have what it asks for.
    pub fn loaded_by(
        &self,
        loads: &[LoadStatement],
        from: &PackageId,
        shared: &Shared,
    ) -> Result<LoadedFiles, Box<Diagnostic>> {
        let mut modules = HashMap::new();
        for load in loads {
            let module = self.load(&load.label, Some(load), shared)?;
            load_visibility::check(load, &module, from)?;
            for (name, place, source) in &load.symbols {
                check_symbol(name, &module, place, source)?;
            }
            modules.insert(load.text.clone(), module);
        }
        Ok(LoadedFiles { modules })
    }

    /// Everything that the modules of this session relied on.
    pub fn dependencies(&self) -> Vec<Dependency> {
        let table = self.parsed.lock().unwrap_or_else(|poison| poison.into_inner());
        table
            .values()
            .filter_map(|cell| cell.get()?.as_ref().ok())
            .flat_map(|file| file.dependencies.iter().cloned())
            .collect()
    }
}

fn check_symbol(
    name: &str,
    module: &LoadedModule,
    place: &Place,
    source: &str,
) -> Result<(), Box<Diagnostic>> {
    let error = |message: String| Diagnostic::user(message).at(place.clone()).with_source(source);
    if name.starts_with('_') {
        let message = format!(
            "`{name}` is private to `{}`: names that start with `_` cannot be loaded",
            module.label
        );
        return Err(Box::new(error(message)));
    }
    if module.frozen.get_option(name).ok().flatten().is_none() {
        let diagnostic = error(format!("`{}` has no `{name}`", module.label));
        let names: Vec<&str> = module.frozen.names().map(|name| name.as_str()).collect();
        return Err(Box::new(nearest::hinted(diagnostic, name, names)));
    }
    Ok(())
}

/// Reads and parses a .bzl file.
fn parse(label: &Label, shared: &Shared) -> Result<ParsedFile, Diagnostic> {
    let mut tree = SourceTree::new(shared.files.clone());
    let package = label.package();
    let root = shared.repository(&package.repo).map_err(|error| *error)?;
    let directory = root.directory.join(&*package.path);
    if tree.kind(&directory.join(label.name()))? != EntryKind::File {
        let shown = rbz_engine::label::join(&package.exec_dir(), label.name());
        let mut diagnostic =
            Diagnostic::user(format!("there is no file `{shown}`, that `{label}` names"));
        if tree.kind(&directory)? == EntryKind::Directory {
            let listing = tree.list(&directory)?;
            let names = listing.entries.iter().map(|entry| &*entry.name);
            diagnostic =
                nearest::hinted(diagnostic, label.name(), names.filter(|n| n.ends_with(".bzl")));
        } else {
            diagnostic =
                diagnostic.hint(format!("there is no directory `{}` either", package.exec_dir()));
        }
        return Err(diagnostic);
    }
    if root.build_file(package, &mut tree)?.is_none() {
        let message = format!(
            "`{label}` is in no package: there is no BUILD file in `{}`",
            package.exec_dir()
        );
        return Err(Diagnostic::user(message).hint("add an empty BUILD file beside it"));
    }
    let shown = rbz_engine::label::join(&package.exec_dir(), label.name());
    let (bytes, digest) = tree.read(&directory.join(label.name()))?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Diagnostic::user(format!("`{shown}` is not UTF-8 text")))?;
    shared.session.add_file(&shown, label);
    let ast = dialect::parse(&shown, text, FileKind::Bzl).map_err(|error| *error)?;
    let loads = load_statements(&ast, label, shared)?;
    definitions::check(&ast)?;
    let dependencies = tree.dependencies().to_vec();
    Ok(ParsedFile { ast: Mutex::new(Some(ast)), loads, digest, dependencies })
}

/// The error for a file that loads itself by way of others.
fn cycle(
    label: &Label,
    mentioned: Option<&LoadStatement>,
    path: &[(Label, Option<LoadStatement>)],
) -> Diagnostic {
    let mut diagnostic = Diagnostic::user(format!("`{label}` loads itself"));
    let mut steps: Vec<(&Label, &Label, Option<&LoadStatement>)> =
        path.windows(2).map(|pair| (&pair[0].0, &pair[1].0, pair[1].1.as_ref())).collect();
    if let Some((last, _)) = path.last() {
        steps.push((last, label, mentioned));
    }
    for (from, to, load) in steps {
        diagnostic.trace.push(Frame {
            place: load.map(|load| load.place.clone()),
            what: format!("`{from}` loads `{to}`"),
            source: load.map(|load| load.source.clone()),
        });
    }
    if let Some(load) = mentioned {
        diagnostic.place = Some(load.place.clone());
        diagnostic.source = Some(load.source.clone());
    }
    diagnostic.hint("move what both need into a third file")
}

/// The finished modules that a file loads, by the text in its `load` statements.
pub struct LoadedFiles {
    /// By text.
    pub modules: HashMap<String, Arc<LoadedModule>>,
}

impl FileLoader for LoadedFiles {
    fn load(&self, path: &str) -> starlark::Result<FrozenModule> {
        match self.modules.get(path) {
            Some(module) => Ok(module.frozen.clone()),
            None => Err(starlark::Error::new_native(Diagnostic::internal(format!(
                "`{path}` was not loaded before its user"
            )))),
        }
    }
}
