//! WORKSPACE: the name of the main repository, and the other repositories.

use std::path::PathBuf;
use std::sync::Mutex;

use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::file_state::EntryKind;
use starlark::environment::{FrozenModule, Module};
use starlark::eval::{Evaluator, FileLoader};
use starlark::syntax::AstModule;
use starlark::syntax::ast::StmtP;

use crate::dialect::{self, FileKind};
use crate::evaluation::{Evaluation, Stage};
use crate::limits;
use crate::loader::Shared;
use crate::module::{LoadedFiles, load_statements};
use crate::source_tree::SourceTree;
use crate::starlark_error;
use crate::workspace_functions::top_package;

/// The names that a WORKSPACE file may have; the first that is there counts.
pub const WORKSPACE_FILES: [&str; 2] = ["WORKSPACE.bazel", "WORKSPACE"];

/// The file that lists directories without sources of ours.
pub const IGNORE_FILE: &str = ".rbzignore";

/// Modules for a WORKSPACE file, one part after the other.
#[derive(Default)]
struct PartLoader(Mutex<Vec<LoadedFiles>>);

impl FileLoader for PartLoader {
    fn load(&self, path: &str) -> starlark::Result<FrozenModule> {
        // Only the thread that evaluates the file uses it.
        let parts = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        let found = parts.iter().rev().find_map(|part| part.modules.get(path));
        match found {
            Some(module) => Ok(module.frozen.clone()),
            None => Err(starlark::Error::new_native(Diagnostic::internal(format!(
                "`{path}` was not loaded before WORKSPACE"
            )))),
        }
    }
}

/// Evaluates the WORKSPACE file, if there is one. What it declares goes to `shared`.
pub fn evaluate(shared: &Shared) -> Result<Vec<Dependency>, Box<Diagnostic>> {
    let mut tree = SourceTree::new(shared.files.clone());
    let Some((name, path)) = find(shared, &mut tree)? else {
        return Ok(tree.dependencies().to_vec());
    };
    let (bytes, _) = tree.read(&path)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Box::new(Diagnostic::user(format!("`{name}` is not UTF-8 text"))))?;
    let label = top_package().label(name);
    shared.session.add_file(name, &label);
    let whole = dialect::parse(name, text, FileKind::Workspace)?;
    let parts = parts(&whole, text);
    let stage = Stage::Workspace(shared.declared.clone());
    let evaluation = Evaluation::new(shared.session.clone(), stage);
    let loader = PartLoader::default();
    Module::with_temp_heap(|module| {
        let mut eval = Evaluator::new(&module);
        eval.extra = Some(&evaluation);
        eval.set_loader(&loader);
        for part in parts {
            let ast = dialect::parse(name, &part, FileKind::Workspace)?;
            let loads = load_statements(&ast, &label, shared)?;
            let loaded = shared.modules.loaded_by(&loads, label.package(), shared)?;
            loader.0.lock().unwrap_or_else(|poison| poison.into_inner()).push(loaded);
            // WORKSPACE sees the language alone: the prelude may need what it declares.
            let globals = shared.language().of(FileKind::Workspace);
            limits::run(&mut eval, FileKind::Workspace, |eval| eval.eval_module(ast, globals))
                .map_err(|error| starlark_error::in_file(error, name))?;
            shared.declared.next_part();
        }
        Ok::<(), Box<Diagnostic>>(())
    })?;
    Ok(tree.dependencies().to_vec())
}

fn find(
    shared: &Shared,
    tree: &mut SourceTree,
) -> Result<Option<(&'static str, PathBuf)>, Diagnostic> {
    for name in WORKSPACE_FILES {
        let path = shared.options.workspace_root.join(name);
        if tree.kind(&path)? == EntryKind::File {
            return Ok(Some((name, path)));
        }
    }
    Ok(None)
}

/// The parts of a WORKSPACE file: each begins with `load`s that may need the repositories of the
/// parts before. In each part the text of the others is blank, so that places stay true.
fn parts(ast: &AstModule, text: &str) -> Vec<String> {
    let statements = match &ast.statement().node {
        StmtP::Statements(statements) => statements.iter().collect(),
        _ => vec![ast.statement()],
    };
    let mut starts = vec![0_usize];
    let mut after_other = false;
    for statement in statements {
        let is_load = matches!(statement.node, StmtP::Load(_));
        if is_load && after_other {
            // Positions are byte offsets into a text far smaller than 4 GiB.
            starts.push(statement.span.begin().get() as usize);
        }
        after_other = !is_load;
    }
    let blank = |text: &str| text.chars().filter(|c| *c == '\n').collect::<String>();
    starts
        .iter()
        .enumerate()
        .map(|(n, start)| {
            let end = starts.get(n + 1).copied().unwrap_or(text.len());
            format!("{}{}", blank(&text[..*start]), &text[*start..end])
        })
        .collect()
}

/// Calls the function that declares the repositories that every workspace has.
pub fn declare_defaults(shared: &Shared) -> Result<(), Box<Diagnostic>> {
    let Some((label, function)) = &shared.options.default_repositories else { return Ok(()) };
    shared.declared.begin_defaults();
    let loaded = shared.modules.load(label, None, shared)?;
    let function = loaded.frozen.get(function).map_err(|_| {
        Box::new(Diagnostic::internal(format!("`{label}` has no function `{function}`")))
    })?;
    let stage = Stage::Workspace(shared.declared.clone());
    let evaluation = Evaluation::new(shared.session.clone(), stage);
    Module::with_temp_heap(|module| {
        let mut eval = Evaluator::new(&module);
        eval.extra = Some(&evaluation);
        // SAFETY: the value is used only while this module lives, whose heap now refers to the
        // heap of the value.
        let function = unsafe { function.owned_frozen_value(module.frozen_heap()) }.to_value();
        limits::run(&mut eval, FileKind::Bzl, |eval| {
            eval.eval_function(function, &[], &[]).map(|_| ())
        })
    })
}

/// The directories that `.rbzignore` lists, one on a line.
pub fn ignored_directories(
    root: &std::path::Path,
    tree: &mut SourceTree,
) -> Result<Vec<String>, Diagnostic> {
    let path = root.join(IGNORE_FILE);
    if tree.kind(&path)? != EntryKind::File {
        return Ok(vec![]);
    }
    let (bytes, _) = tree.read(&path)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Diagnostic::user(format!("`{IGNORE_FILE}` is not UTF-8 text")))?;
    listed_directories(text)
}

/// The directories that `text` lists, that of an `.rbzignore`.
pub fn listed_directories(text: &str) -> Result<Vec<String>, Diagnostic> {
    let mut listed = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.contains(['*', '[']) || line.starts_with('/') {
            return Err(Diagnostic::user(format!(
                "`{line}` in `{IGNORE_FILE}` is no directory: write paths relative to the workspace, without wildcards"
            )));
        }
        let line = line.trim_start_matches("./");
        listed.push(line.trim_end_matches('/').to_owned());
    }
    Ok(listed)
}
