//! Loading of packages: a BUILD file becomes a [`Package`].

use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::file_state::Dependency;
use rbz_engine::label::PackageId;
use starlark::environment::Module;
use starlark::eval::Evaluator;

use crate::dialect::{self, FileKind};
use crate::evaluation::{Evaluation, Stage};
use crate::loader::Shared;
use crate::module::load_statements;
use crate::package::Package;
use crate::package_builder::PackageBuilder;
use crate::source_tree::SourceTree;
use crate::starlark_error;

/// A package and what it relied on.
pub struct LoadedPackage {
    /// The package.
    pub package: Arc<Package>,
    /// Files, directories and absences; without those of the modules that it loads.
    pub dependencies: Vec<Dependency>,
}

/// Evaluates the BUILD file of a package.
pub fn load(id: &PackageId, shared: &Shared) -> Result<LoadedPackage, Box<Diagnostic>> {
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
    let loaded = shared.modules.loaded_by(&loads, shared)?;
    let directory = root.directory.join(&*id.path);
    let builder =
        PackageBuilder::new(id.clone(), &shown, directory, tree, shared.ignored(&id.repo)?);
    let evaluation = Evaluation {
        session: shared.session.clone(),
        stage: Stage::Package(Box::new(builder.into())),
    };
    let globals = shared.globals(&id.repo)?;
    Module::with_temp_heap(|module| {
        let mut eval = Evaluator::new(&module);
        eval.extra = Some(&evaluation);
        eval.set_loader(&loaded);
        dialect::limit(&mut eval);
        eval.eval_module(ast, globals.of(FileKind::Build))
            .map(|_| ())
            .map_err(|error| Box::new(starlark_error::diagnostic(error, FileKind::Build)))
    })?;
    let Stage::Package(builder) = evaluation.stage else {
        return Err(Box::new(Diagnostic::internal("the stage of an evaluation changed")));
    };
    let (package, tree) = builder.into_inner().finish()?;
    Ok(LoadedPackage { package: Arc::new(package), dependencies: tree.dependencies().to_vec() })
}

fn no_such_package(id: &PackageId) -> Diagnostic {
    let directory = id.exec_dir();
    let shown =
        if directory.is_empty() { "the workspace".to_owned() } else { format!("`{directory}`") };
    Diagnostic::user(format!("there is no package `{id}`: no BUILD file in {shown}"))
        .hint(format!("add a `BUILD.bazel` or `BUILD` file in {shown}"))
}
