//! Loading of packages: a BUILD file becomes a [`Package`].

use std::sync::Arc;

use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::Fingerprint;
use rbz_engine::event::Event;
use rbz_engine::label::PackageId;
use starlark::environment::Module;
use starlark::eval::Evaluator;

use crate::dialect::{self, FileKind};
use crate::evaluation::{Evaluation, Stage};
use crate::limits;
use crate::loader::Shared;
use crate::module::load_statements;
use crate::module_closure::ModuleClosure;
use crate::package::Package;
use crate::package_builder::PackageBuilder;
use crate::saved_packages::{self, SavedPackage};
use crate::source_tree::SourceTree;
use crate::starlark_error;

/// A package and what it relied on.
pub struct LoadedPackage {
    /// The package.
    pub package: Arc<Package>,
    /// Files, directories and absences, but for those that its modules relied on.
    pub dependencies: Vec<Dependency>,
    /// What the modules that it loads relied on.
    pub closures: Vec<Arc<ModuleClosure>>,
}

/// The package `id`: as it was saved, or else evaluated and saved.
pub fn load(id: &PackageId, shared: &Shared) -> Result<LoadedPackage, Box<Diagnostic>> {
    let key = saved_packages::key(id, shared)?;
    if let Some(package) = shared.saved.find(id, key, shared) {
        return Ok(package);
    }
    let (saved, closures) = evaluate(id, key, shared)?;
    if let Err(diagnostic) = shared.saved.add(&saved, &closures) {
        // Nothing is lost but time.
        let warning = format!("the package `{id}` cannot be saved: {diagnostic}");
        shared.session.events.event(Event::Warning(warning));
    }
    let mut dependencies = saved.dependencies;
    dependencies.extend(saved.glob_dependencies);
    Ok(LoadedPackage { package: saved.package, dependencies, closures })
}

/// Evaluates the BUILD file of a package.
fn evaluate(
    id: &PackageId,
    key: Fingerprint,
    shared: &Shared,
) -> Result<(SavedPackage, Vec<Arc<ModuleClosure>>), Box<Diagnostic>> {
    let mut tree = SourceTree::new(shared.files.clone());
    let root = shared.repository(&id.repo)?;
    let Some(build_file) = root.build_file(id, &mut tree)? else {
        return Err(Box::new(no_such_package(id)));
    };
    let label = id.label(build_file.name());
    let shown = build_file.shown(id);
    let text = build_file.text(&mut tree)?;
    shared.session.add_file(&shown, &label);
    let ast = dialect::parse(&shown, &text, FileKind::Build)?;
    let loads = load_statements(&ast, &label, shared)?;
    let loaded = shared.modules.loaded_by(&loads, id, shared)?;
    let directory = root.directory.join(&*id.path);
    let builder =
        PackageBuilder::new(id.clone(), &shown, directory, tree, shared.ignored(&id.repo)?);
    let stage = Stage::Package(Box::new(builder.into()));
    let evaluation = Evaluation::new(shared.session.clone(), stage);
    let globals = shared.globals(&id.repo)?;
    Module::with_temp_heap(|module| {
        let mut eval = Evaluator::new(&module);
        eval.extra = Some(&evaluation);
        eval.set_loader(&loaded);
        let globals = globals.of(FileKind::Build);
        limits::run(&mut eval, FileKind::Build, |eval| eval.eval_module(ast, globals).map(|_| ()))
            .map_err(|error| starlark_error::at_caller(error, |file| shared.is_shipped_file(file)))
            .map_err(|error| starlark_error::in_file(error, &shown))
    })?;
    let Stage::Package(builder) = evaluation.stage else {
        return Err(Box::new(Diagnostic::internal("the stage of an evaluation changed")));
    };
    let finished = builder.into_inner().finish()?;
    let prelude = shared.prelude_of(&id.repo)?;
    let modules = loads.iter().filter_map(|load| loaded.modules.get(&load.text)).chain(&prelude);
    let closures = modules.map(|module| module.closure.clone()).collect();
    let saved = SavedPackage {
        key,
        package: Arc::new(finished.package),
        dependencies: finished.dependencies,
        glob_dependencies: finished.glob_dependencies,
        globs: finished.globs,
    };
    Ok((saved, closures))
}

fn no_such_package(id: &PackageId) -> Diagnostic {
    let directory = id.exec_dir();
    let shown =
        if directory.is_empty() { "the workspace".to_owned() } else { format!("`{directory}`") };
    Diagnostic::user(format!("there is no package `{id}`: no BUILD file in {shown}"))
        .hint(format!("add a `BUILD.bazel` or `BUILD` file in {shown}"))
}
