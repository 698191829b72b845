//! The methods of `repository_ctx`.

#![allow(non_snake_case, reason = "some arguments have Bazel's old names")]

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::dynamic_libraries::dynamic_libraries;
use rbz_engine::file_state::EntryKind;
use starlark::collections::SmallMap;
use starlark::environment::MethodsBuilder;
use starlark::starlark_module;
use starlark::values::dict::UnpackDictEntries;
use starlark::values::list::{ListRef, UnpackList};
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::structs::AllocStruct;
use starlark::values::{Heap, Value, ValueTyped};

use crate::archive::{self, Format};
use crate::path_value::StarlarkPath;
use crate::plain_attribute;
use crate::repository_archive;
use crate::repository_context::{EnvironmentValue, RepositoryContext, RepositoryStage};
use crate::repository_process;

fn machine(what: &str, path: &Path, error: std::io::Error) -> anyhow::Error {
    Diagnostic::machine(format!("cannot {what} `{}`: {error}", path.display())).into()
}

fn write(path: &Path, content: &[u8], executable: bool) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| machine("make", parent, error))?;
    }
    // What is there may be a link: the link is replaced, not what it leads to.
    if path.symlink_metadata().is_ok() {
        fs::remove_file(path).map_err(|error| machine("replace", path, error))?;
    }
    fs::write(path, content).map_err(|error| machine("write", path, error))?;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|error| machine("write", path, error))
}

fn text_of(path: &Path, stage: &RepositoryStage) -> anyhow::Result<String> {
    let bytes = match stage.is_own(path) {
        true => fs::read(path).map_err(|error| machine("read", path, error))?,
        false => stage.tree().read(path)?.0.to_vec(),
    };
    String::from_utf8(bytes)
        .map_err(|_| Diagnostic::user(format!("`{}` is not UTF-8 text", path.display())).into())
}

fn urls(value: Value) -> anyhow::Result<Vec<String>> {
    if let Some(url) = value.unpack_str() {
        return Ok(vec![url.to_owned()]);
    }
    let items = ListRef::from_value(value)
        .and_then(|list| list.iter().map(|url| url.unpack_str().map(str::to_owned)).collect());
    items.ok_or_else(|| Diagnostic::user("`url` must be a string or a list of strings").into())
}

fn unpack(
    stage: &RepositoryStage,
    path: &Path,
    format: &str,
    prefix: &str,
    output: &Path,
) -> anyhow::Result<()> {
    let name = path.to_string_lossy();
    fs::create_dir_all(output).map_err(|error| machine("make", output, error))?;
    let format = Format::of(if format.is_empty() { &name } else { format });
    format
        .and_then(|format| archive::unpack(path, format, prefix, output))
        .map_err(|error| Diagnostic::user(error.to_string()))?;
    stage.shared.files.forget_below(output);
    Ok(())
}

/// What a rule is told of a file that was fetched; of another one the evaluation ends.
fn fetched<'v>(sha256: &str, heap: Heap<'v>) -> Value<'v> {
    heap.alloc(AllocStruct([
        ("success", Value::new_bool(true)),
        ("sha256", heap.alloc(sha256.to_ascii_lowercase())),
    ]))
}

/// The program called `name` on the search path; every place that was looked at is noted.
fn which(name: &str, stage: &RepositoryStage) -> anyhow::Result<Option<PathBuf>> {
    if name.is_empty() || name.contains('/') {
        return Err(
            Diagnostic::user(format!("`which` takes the name of a program, not `{name}`")).into()
        );
    }
    let search = stage.variable("PATH").unwrap_or_default();
    for directory in search.split(':').filter(|directory| directory.starts_with('/')) {
        let path = Path::new(directory).join(name);
        // A directory of PATH that this user may not enter has no programs for them.
        let barred = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        if path.symlink_metadata().is_err_and(barred) {
            continue;
        }
        let kind = stage.tree().kind(&path)?;
        let runs =
            || path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0);
        if kind == EntryKind::File && runs() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The members of `repository_ctx`.
#[starlark_module]
pub fn repository_methods(builder: &mut MethodsBuilder) {
    /// The name of the repository.
    #[starlark(attribute)]
    fn name<'v>(this: ValueTyped<'v, RepositoryContext>) -> anyhow::Result<String> {
        Ok(this.0.name.as_str().to_owned())
    }

    /// The attributes.
    #[starlark(attribute)]
    fn attr<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        let mut fields: SmallMap<String, Value> = SmallMap::new();
        fields.insert("name".to_owned(), heap.alloc(this.0.name.as_str()));
        for (name, value) in &this.0.attrs {
            fields.insert(name.to_string(), plain_attribute::with_labels(value, heap));
        }
        Ok(heap.alloc(AllocStruct(fields)))
    }

    /// The machine: `environ`, `name`, `arch`.
    #[starlark(attribute)]
    fn os<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            other => other,
        };
        Ok(heap.alloc(AllocStruct([
            ("environ", heap.alloc(EnvironmentValue(this.0.clone()))),
            ("name", heap.alloc(std::env::consts::OS)),
            ("arch", heap.alloc(arch)),
        ])))
    }

    /// The root of the workspace.
    #[starlark(attribute)]
    fn workspace_root<'v>(this: ValueTyped<'v, RepositoryContext>) -> anyhow::Result<StarlarkPath> {
        Ok(StarlarkPath::new(this.0.shared.options.workspace_root.clone(), &this.0))
    }

    /// The path that a text, relative to the repository, or a label means.
    fn path<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        #[starlark(require = pos)] path: Value<'v>,
    ) -> anyhow::Result<StarlarkPath> {
        Ok(StarlarkPath::new(this.0.resolve(path)?, &this.0))
    }

    /// The path of a program on the search path, or None.
    fn which<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        #[starlark(require = pos)] program: &str,
    ) -> anyhow::Result<NoneOr<StarlarkPath>> {
        Ok(match which(program, &this.0)? {
            Some(path) => NoneOr::Other(StarlarkPath::new(path, &this.0)),
            None => NoneOr::None,
        })
    }

    /// The value of a variable of the environment.
    fn getenv<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        #[starlark(require = pos)] name: &str,
        #[starlark(default = NoneOr::None)] default: NoneOr<&str>,
    ) -> anyhow::Result<NoneOr<String>> {
        Ok(match (this.0.variable(name), default) {
            (Some(value), _) => NoneOr::Other(value),
            (None, NoneOr::Other(default)) => NoneOr::Other(default.to_owned()),
            (None, NoneOr::None) => NoneOr::None,
        })
    }

    /// Runs a program and waits for it: `return_code`, `stdout`, `stderr`.
    fn execute<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        arguments: UnpackList<Value<'v>>,
        #[starlark(default = 600)] timeout: i32,
        #[starlark(default = UnpackDictEntries::default())] environment: UnpackDictEntries<
            &str,
            &str,
        >,
        #[starlark(default = true)] quiet: bool,
        #[starlark(default = "")] working_directory: &str,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        let _ = quiet;
        let mut argv: Vec<String> = arguments.items.iter().map(|value| value.to_str()).collect();
        let Some(program) = argv.first().cloned() else {
            return Err(Diagnostic::user("`execute` needs at least the program to run").into());
        };
        if !program.contains('/') {
            match which(&program, &this.0)? {
                Some(path) => argv[0] = path.to_string_lossy().into_owned(),
                None => {
                    return Err(Diagnostic::user(format!(
                        "there is no program `{program}` on the search path"
                    ))
                    .into());
                }
            }
        }
        let path = this.0.directory.join(&argv[0]);
        if !this.0.is_own(&path) {
            this.0.tree().digest(&path)?;
        }
        let directory = this.0.directory.join(working_directory);
        if !directory.is_dir() {
            return Err(Diagnostic::user(format!(
                "there is no directory `{}`, the `working_directory` of `execute`",
                directory.display()
            ))
            .into());
        }
        let extra = environment
            .entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut variables = vec![
            ("PATH".to_owned(), this.0.variable("PATH").unwrap_or_default()),
            ("HOME".to_owned(), this.0.directory.to_string_lossy().into_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ];
        variables.extend(extra);
        let result = repository_process::run(&argv, &variables, &directory, timeout)?;
        this.0.shared.files.forget_below(&this.0.directory);
        Ok(heap.alloc(AllocStruct([
            ("return_code", heap.alloc(result.status)),
            ("stdout", heap.alloc(result.stdout)),
            ("stderr", heap.alloc(result.stderr)),
        ])))
    }

    /// Writes a file of the repository.
    fn file<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        path: Value<'v>,
        #[starlark(default = "")] content: &str,
        #[starlark(default = true)] executable: bool,
        #[starlark(default = true)] legacy_utf8: bool,
    ) -> anyhow::Result<NoneType> {
        let _ = legacy_utf8;
        write(&this.0.output(path)?, content.as_bytes(), executable)?;
        Ok(NoneType)
    }

    /// Writes a file of the repository: a template with texts replaced.
    fn template<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        path: Value<'v>,
        template: Value<'v>,
        #[starlark(default = UnpackDictEntries::default())] substitutions: UnpackDictEntries<
            &str,
            &str,
        >,
        #[starlark(default = true)] executable: bool,
    ) -> anyhow::Result<NoneType> {
        let mut text = text_of(&this.0.resolve(template)?, &this.0)?;
        for (key, value) in substitutions.entries {
            text = text.replace(key, value);
        }
        write(&this.0.output(path)?, text.as_bytes(), executable)?;
        Ok(NoneType)
    }

    /// Makes a symbolic link in the repository.
    fn symlink<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        target: Value<'v>,
        link_name: Value<'v>,
    ) -> anyhow::Result<NoneType> {
        let target = this.0.resolve(target)?;
        let link = this.0.output(link_name)?;
        if let Some(parent) = link.parent() {
            fs::create_dir_all(parent).map_err(|error| machine("make", parent, error))?;
        }
        symlink(&target, &link).map_err(|error| machine("link", &link, error))?;
        Ok(NoneType)
    }

    /// The text of a file.
    fn read<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        path: Value<'v>,
        #[starlark(require = named, default = NoneOr::None)] watch: NoneOr<&str>,
    ) -> anyhow::Result<String> {
        let _ = watch;
        text_of(&this.0.resolve(path)?, &this.0)
    }

    /// Whether a file is text, so that `read` can read it.
    fn is_text<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        #[starlark(require = pos)] path: Value<'v>,
    ) -> anyhow::Result<bool> {
        let path = this.0.resolve(path)?;
        let bytes = match this.0.is_own(&path) {
            true => fs::read(&path).map_err(|error| machine("read", &path, error))?.into(),
            false => this.0.tree().read(&path)?.0,
        };
        Ok(!bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok())
    }

    /// Unpacks an archive into the repository.
    fn extract<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        archive: Value<'v>,
        #[starlark(default = NoneOr::None)] output: NoneOr<Value<'v>>,
        #[starlark(default = "")] strip_prefix: &str,
        #[starlark(require = named, default = "")] stripPrefix: &str,
        heap: Heap<'v>,
    ) -> anyhow::Result<NoneType> {
        let path = this.0.resolve(archive)?;
        if !this.0.is_own(&path) {
            this.0.tree().digest(&path)?;
        }
        let output = this.0.output(output.into_option().unwrap_or(heap.alloc("")))?;
        let prefix = if strip_prefix.is_empty() { stripPrefix } else { strip_prefix };
        unpack(&this.0, &path, "", prefix, &output)?;
        Ok(NoneType)
    }

    /// Unpacks an archive at a `file://` URL into the repository.
    fn download_and_extract<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        url: Value<'v>,
        #[starlark(default = NoneOr::None)] output: NoneOr<Value<'v>>,
        #[starlark(default = "")] sha256: &str,
        #[starlark(default = "")] r#type: &str,
        #[starlark(default = "")] strip_prefix: &str,
        #[starlark(require = named, default = "")] stripPrefix: &str,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        let path = {
            let mut tree = this.0.tree();
            let path = repository_archive::find(&urls(url)?, &mut tree).map_err(|error| *error)?;
            repository_archive::check(&path, sha256, &mut tree).map_err(|error| *error)?;
            path
        };
        let output = this.0.output(output.into_option().unwrap_or(heap.alloc("")))?;
        let prefix = if strip_prefix.is_empty() { stripPrefix } else { strip_prefix };
        unpack(&this.0, &path, r#type, prefix, &output)?;
        Ok(fetched(sha256, heap))
    }

    /// Copies the file at a `file://` URL into the repository.
    fn download<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        url: Value<'v>,
        output: Value<'v>,
        #[starlark(default = "")] sha256: &str,
        #[starlark(default = false)] executable: bool,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        let bytes = {
            let mut tree = this.0.tree();
            let path = repository_archive::find(&urls(url)?, &mut tree).map_err(|error| *error)?;
            repository_archive::check(&path, sha256, &mut tree).map_err(|error| *error)?;
            tree.read(&path)?.0
        };
        write(&this.0.output(output)?, &bytes, executable)?;
        Ok(fetched(sha256, heap))
    }

    /// Removes a file or directory of the repository; whether it was there.
    fn delete<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        #[starlark(require = pos)] path: Value<'v>,
    ) -> anyhow::Result<bool> {
        let path = this.0.output(path)?;
        let Ok(metadata) = path.symlink_metadata() else { return Ok(false) };
        let removed =
            if metadata.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| machine("remove", &path, error))?;
        Ok(true)
    }

    /// Every file that the system's loader opens to start a program, besides the program.
    fn dynamic_libraries<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        #[starlark(require = pos)] path: Value<'v>,
    ) -> anyhow::Result<Vec<String>> {
        let program = this.0.resolve(path)?;
        let libraries =
            dynamic_libraries(&program).map_err(|error| Diagnostic::user(error.to_string()))?;
        let mut tree = this.0.tree();
        tree.digest(&program)?;
        for library in &libraries {
            tree.digest(library)?;
        }
        // What the loader is configured to decides where it looks.
        for configuration in ["/etc/ld.so.conf", "/etc/ld.so.cache"] {
            let configuration = Path::new(configuration);
            if tree.kind(configuration)? == EntryKind::File {
                tree.digest(configuration)?;
            }
        }
        Ok(libraries.iter().map(|path| path.to_string_lossy().into_owned()).collect())
    }

    /// Has no effect.
    fn report_progress<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        #[starlark(default = "")] status: &str,
    ) -> anyhow::Result<NoneType> {
        let _ = (this, status);
        Ok(NoneType)
    }

    /// Makes the repository depend on a path.
    fn watch<'v>(
        this: ValueTyped<'v, RepositoryContext>,
        #[starlark(require = pos)] path: Value<'v>,
    ) -> anyhow::Result<NoneType> {
        let path = this.0.resolve(path)?;
        let kind = this.0.tree().kind(&path)?;
        match kind {
            EntryKind::File => {
                this.0.tree().digest(&path)?;
            }
            EntryKind::Directory => {
                this.0.tree().list(&path)?;
            }
            EntryKind::Absent | EntryKind::Other => {}
        }
        Ok(NoneType)
    }
}

/// The members of `repository_ctx.os.environ`.
#[starlark_module]
pub fn environment_methods(builder: &mut MethodsBuilder) {
    /// The value of a variable.
    fn get<'v>(
        this: ValueTyped<'v, EnvironmentValue>,
        #[starlark(require = pos)] key: &str,
        #[starlark(require = pos, default = NoneOr::None)] default: NoneOr<Value<'v>>,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        Ok(match (this.0.variable(key), default) {
            (Some(value), _) => heap.alloc(value),
            (None, NoneOr::Other(default)) => default,
            (None, NoneOr::None) => Value::new_none(),
        })
    }
}
