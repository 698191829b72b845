//! The functions of WORKSPACE files, and of the macros that they call.

use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::{PackageId, RepoName};
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::dict::AllocDict;
use starlark::values::list::UnpackList;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::tuple::UnpackTuple;
use starlark::values::{Heap, Value};

use crate::action_arguments::string_pairs;
use crate::evaluation::{Evaluation, RepoMapping, Stage};
use crate::label_value::label_from;
use crate::not_there::not_there;
use crate::package_builder::Declaration;
use crate::plain_attribute;
use crate::repository_archive;
use crate::repository_declaration::{
    ArchiveSource, BuildSource, DeclaredRepositories, RepositoryDeclaration, RepositoryKind,
};

fn user_error<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(Diagnostic::user(message).into())
}

/// The package that labels in WORKSPACE are relative to.
pub fn top_package() -> PackageId {
    PackageId::new(RepoName::main(), "")
}

/// The name of a repository, checked.
pub fn repository_name(name: &str) -> anyhow::Result<RepoName> {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if name.is_empty() || !name.chars().all(letter) || name.starts_with('.') {
        return user_error(format!(
            "`{name}` cannot be the name of a repository: it takes letters, digits, `-`, `_`, `+` and `.`"
        ));
    }
    Ok(RepoName::new(name))
}

/// Declares a repository in the WORKSPACE that is being evaluated.
pub fn declare(
    name: &str,
    kind: RepositoryKind,
    repo_mapping: Option<Value>,
    eval: &Evaluator,
) -> anyhow::Result<()> {
    let evaluation = Evaluation::of(eval)?;
    let repositories = evaluation.workspace(kind.function())?;
    let mapping = repo_mapping.map(mapping).transpose()?.unwrap_or_default();
    let place = Declaration::of_call(eval, "WORKSPACE").place;
    let name = repository_name(name)?;
    let declaration = RepositoryDeclaration { name: name.clone(), place, kind };
    if repositories.declare(declaration)? {
        evaluation.session.set_mapping(&name, mapping);
    }
    Ok(())
}

/// The argument `repo_mapping`.
fn mapping(value: Value) -> anyhow::Result<RepoMapping> {
    let repository = |name: &str| -> anyhow::Result<RepoName> {
        match name.strip_prefix('@') {
            Some("") => Ok(RepoName::main()),
            Some(name) => repository_name(name),
            None => user_error(format!(
                "`{name}` in `repo_mapping` is no name of a repository: it begins with `@`"
            )),
        }
    };
    string_pairs("repo_mapping", value)?
        .iter()
        .map(|(name, meant)| Ok((repository(name)?, repository(meant)?)))
        .collect()
}

fn build_source<'v>(
    label: NoneOr<Value<'v>>,
    content: &str,
    eval: &Evaluator<'v, '_, '_>,
) -> anyhow::Result<Option<BuildSource>> {
    match (label.into_option(), content) {
        (Some(_), text) if !text.is_empty() => {
            user_error("`build_file` and `build_file_content` exclude each other")
        }
        (Some(label), _) => {
            let label = label_from(label, Evaluation::of(eval)?, &top_package())?;
            Ok(Some(BuildSource::File(label)))
        }
        (None, "") => Ok(None),
        (None, text) => Ok(Some(BuildSource::Text(text.into()))),
    }
}

/// What `existing_rule` shows of a repository; `None` if no WORKSPACE is being evaluated.
pub fn existing_repository<'v>(
    name: &str,
    eval: &Evaluator<'v, '_, '_>,
) -> anyhow::Result<Option<Value<'v>>> {
    let Stage::Workspace(repositories) = &Evaluation::of(eval)?.stage else { return Ok(None) };
    let found = repositories.get(&RepoName::new(name));
    Ok(Some(found.map_or(Value::new_none(), |found| described(&found, eval.heap()))))
}

/// What `existing_rules` shows; `None` if no WORKSPACE is being evaluated.
pub fn existing_repositories<'v>(
    eval: &Evaluator<'v, '_, '_>,
) -> anyhow::Result<Option<Value<'v>>> {
    let Stage::Workspace(repositories) = &Evaluation::of(eval)?.stage else { return Ok(None) };
    let all: Vec<(String, Value)> = repositories
        .all()
        .iter()
        .map(|found| (found.name.as_str().to_owned(), described(found, eval.heap())))
        .collect();
    Ok(Some(eval.heap().alloc(AllocDict(all))))
}

fn described<'v>(declaration: &RepositoryDeclaration, heap: Heap<'v>) -> Value<'v> {
    let mut entries = vec![
        ("kind".to_owned(), heap.alloc(declaration.kind.function())),
        ("name".to_owned(), heap.alloc(declaration.name.as_str())),
    ];
    match &declaration.kind {
        RepositoryKind::Local { path } | RepositoryKind::NewLocal { path, .. } => {
            entries.push(("path".to_owned(), heap.alloc(&**path)));
        }
        RepositoryKind::Archive(archive) => {
            entries.push(("urls".to_owned(), heap.alloc(archive.urls.clone())));
            entries.push(("sha256".to_owned(), heap.alloc(&*archive.sha256)));
        }
        RepositoryKind::Rule { attrs, .. } => {
            for (name, value) in attrs {
                entries.push((name.to_string(), plain_attribute::with_labels(value, heap)));
            }
        }
    }
    heap.alloc(AllocDict(entries))
}

impl Evaluation {
    /// The repositories of the WORKSPACE that is being evaluated. `what` must be called there.
    pub fn workspace(&self, what: &str) -> anyhow::Result<&Arc<DeclaredRepositories>> {
        match &self.stage {
            Stage::Workspace(repositories) => Ok(repositories),
            _ => Err(Diagnostic::user(format!(
                "`{what}` can only be called in a WORKSPACE file, or by a macro that it calls"
            ))
            .into()),
        }
    }
}

/// `workspace()`, only in WORKSPACE itself.
#[starlark_module]
pub fn workspace_file_functions(builder: &mut GlobalsBuilder) {
    /// Names the main repository.
    fn workspace<'v>(
        #[starlark(require = named)] name: &str,
        #[starlark(require = named, default = NoneOr::None)] managed_directories: NoneOr<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let _ = managed_directories;
        let evaluation = Evaluation::of(eval)?;
        evaluation.workspace("workspace")?;
        let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
        if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return user_error(format!(
                "`{name}` cannot be the name of a workspace: a letter, then letters, digits, `-`, `_` and `.`"
            ));
        }
        evaluation.session.set_workspace(name);
        Ok(NoneType)
    }
}

/// The functions that declare repositories.
#[starlark_module]
pub fn repository_functions(builder: &mut GlobalsBuilder) {
    /// A directory that is a repository already.
    fn local_repository<'v>(
        #[starlark(require = named)] name: &str,
        #[starlark(require = named)] path: &str,
        #[starlark(require = named, default = NoneOr::None)] repo_mapping: NoneOr<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let kind = RepositoryKind::Local { path: path.to_owned() };
        declare(name, kind, repo_mapping.into_option(), eval)?;
        Ok(NoneType)
    }

    /// A directory of the machine that gets a BUILD file.
    fn new_local_repository<'v>(
        #[starlark(require = named)] name: &str,
        #[starlark(require = named)] path: &str,
        #[starlark(require = named, default = NoneOr::None)] build_file: NoneOr<Value<'v>>,
        #[starlark(require = named, default = "")] build_file_content: &str,
        #[starlark(require = named, default = NoneOr::None)] workspace_file: NoneOr<Value<'v>>,
        #[starlark(require = named, default = "")] workspace_file_content: &str,
        #[starlark(require = named, default = NoneOr::None)] repo_mapping: NoneOr<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        // The WORKSPACE files of other repositories are not read.
        let _ = (workspace_file, workspace_file_content);
        let build_file = build_source(build_file, build_file_content, eval)?;
        let kind = RepositoryKind::NewLocal { path: path.to_owned(), build_file };
        declare(name, kind, repo_mapping.into_option(), eval)?;
        Ok(NoneType)
    }

    /// An archive that becomes a repository.
    fn http_archive<'v>(
        #[starlark(require = named)] name: &str,
        #[starlark(require = named, default = "")] url: &str,
        #[starlark(require = named, default = UnpackList::default())] urls: UnpackList<String>,
        #[starlark(require = named, default = "")] sha256: &str,
        #[starlark(require = named, default = "")] integrity: &str,
        #[starlark(require = named, default = "")] strip_prefix: &str,
        #[starlark(require = named, default = "")] r#type: &str,
        #[starlark(require = named, default = NoneOr::None)] build_file: NoneOr<Value<'v>>,
        #[starlark(require = named, default = "")] build_file_content: &str,
        #[starlark(require = named, default = NoneOr::None)] workspace_file: NoneOr<Value<'v>>,
        #[starlark(require = named, default = "")] workspace_file_content: &str,
        #[starlark(require = named, default = NoneOr::None)] repo_mapping: NoneOr<Value<'v>>,
        #[starlark(require = named, default = "")] canonical_id: &str,
        #[starlark(require = named)] patches: Option<Value<'v>>,
        #[starlark(require = named)] patch_cmds: Option<Value<'v>>,
        #[starlark(require = named)] remote_patches: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let _ = (workspace_file, workspace_file_content, canonical_id);
        for (argument, value) in
            [("patches", patches), ("patch_cmds", patch_cmds), ("remote_patches", remote_patches)]
        {
            if value.is_some_and(|value| value.to_bool()) {
                return Err(not_there(&format!("`{argument}` of `http_archive`"))
                    .hint("pack the patched files, or unpack them and use `local_repository`")
                    .into());
            }
        }
        let sha256 = match integrity {
            "" => sha256.to_owned(),
            integrity => repository_archive::sha256_of_integrity(integrity)?,
        };
        let mut all: Vec<String> = urls.items;
        if !url.is_empty() {
            all.insert(0, url.to_owned());
        }
        if all.is_empty() {
            return user_error("`http_archive` needs a `url`, or `urls`");
        }
        let build_file = build_source(build_file, build_file_content, eval)?;
        let archive = ArchiveSource {
            urls: all,
            sha256,
            strip_prefix: strip_prefix.to_owned(),
            format: r#type.to_owned(),
            build_file,
        };
        declare(name, RepositoryKind::Archive(archive), repo_mapping.into_option(), eval)?;
        Ok(NoneType)
    }

    /// Has no effect: a toolchain is what its label says, and is not chosen by platforms.
    fn register_toolchains<'v>(
        #[starlark(args)] labels: UnpackTuple<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let _ = labels;
        Evaluation::of(eval)?.workspace("register_toolchains")?;
        Ok(NoneType)
    }

    /// Has no effect: the execution platform is the machine.
    fn register_execution_platforms<'v>(
        #[starlark(args)] labels: UnpackTuple<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let _ = labels;
        Evaluation::of(eval)?.workspace("register_execution_platforms")?;
        Ok(NoneType)
    }

    /// Has no effect but to say what to do instead.
    fn bind<'v>(
        #[starlark(require = named)] name: &str,
        #[starlark(require = named, default = NoneOr::None)] actual: NoneOr<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let _ = (actual, eval);
        Err(not_there("`bind`")
            .hint(format!("there is no `//external:{name}`"))
            .hint("name the target by its own label, or declare an `alias`")
            .into())
    }
}
