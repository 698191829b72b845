//! Workspaces: directories full of sources, made for one test.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use walkdir::WalkDir;

use crate::binary;
use crate::session::Rbz;
use crate::shared_cache;

/// Begins a workspace; [`WorkspaceBuilder::build`] writes it.
pub fn workspace() -> WorkspaceBuilder {
    WorkspaceBuilder {
        files: vec![("WORKSPACE".into(), "workspace(name = \"test\")\n".into())],
        directory: "workspace".into(),
        own_cache: false,
    }
}

/// A workspace with a copy of the files in `directory`, relative to the root of the repository.
pub fn workspace_from(directory: &str) -> WorkspaceBuilder {
    let from = binary::repository().join(directory);
    let mut builder = workspace();
    for entry in WalkDir::new(&from).sort_by_file_name() {
        let entry = entry.unwrap_or_else(|error| panic!("{error}"));
        if !entry.file_type().is_file() {
            continue;
        }
        let path = entry.path().strip_prefix(&from).expect("the walk began there");
        let path = path.to_str().expect("names in the repository are UTF-8");
        builder = builder.file(path, &read(entry.path()));
    }
    builder
}

/// A workspace under construction.
#[derive(Clone)]
pub struct WorkspaceBuilder {
    files: Vec<(String, String)>,
    directory: String,
    own_cache: bool,
}

impl WorkspaceBuilder {
    /// With a file; a later one of the same path takes its place. Text that begins with `#!` can
    /// be run.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.into(), text.into()));
        self
    }

    /// In a directory of this name instead of `workspace`.
    pub fn in_directory(mut self, name: &str) -> Self {
        self.directory = name.into();
        self
    }

    /// With a disk cache that no other test sees: for tests of what is cached.
    pub fn own_cache(mut self) -> Self {
        self.own_cache = true;
        self
    }

    /// Writes the files.
    pub fn build(self) -> Workspace {
        // Beside the shared cache, on one file system with it.
        let temporary = TempDir::with_prefix_in("workspace-", binary::scratch_directory())
            .expect("the target directory can be written");
        let base = temporary.path().canonicalize().expect("it exists");
        let disk_cache = match self.own_cache {
            true => base.join("disk-cache"),
            false => shared_cache::directory().to_owned(),
        };
        let workspace = Workspace {
            root: base.join(self.directory),
            home: base.join("home"),
            base,
            disk_cache,
            temporary: Some(temporary),
        };
        fs::create_dir_all(&workspace.root).expect("a directory in the temporary directory");
        fs::create_dir_all(&workspace.home).expect("a directory in the temporary directory");
        for (path, text) in &self.files {
            workspace.write(path, text);
        }
        workspace
    }
}

/// A workspace on disk, with a home directory and an output root beside it. Removed when dropped.
pub struct Workspace {
    root: PathBuf,
    home: PathBuf,
    base: PathBuf,
    disk_cache: PathBuf,
    temporary: Option<TempDir>,
}

impl Workspace {
    /// A call of `rbz` in the workspace: the command line, split at white space.
    pub fn rbz(&self, command_line: &str) -> Rbz {
        Rbz::new(self, command_line.split_whitespace().map(str::to_owned).collect())
    }

    /// A call of `rbz` with these arguments.
    pub fn rbz_args<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Rbz {
        Rbz::new(self, arguments.into_iter().map(|text| text.as_ref().to_owned()).collect())
    }

    /// The directory with the WORKSPACE file.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The user's home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The temporary directory that everything is in.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The disk cache.
    pub fn disk_cache(&self) -> &Path {
        &self.disk_cache
    }

    /// The output user root.
    pub fn output_user_root(&self) -> PathBuf {
        self.home.join(".cache/rbz")
    }

    /// A path in the workspace.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a file; text that begins with `#!` can be run.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        let parent = path.parent().expect("a file lies in a directory");
        fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if text.starts_with("#!") {
            set_mode(&path, 0o755);
        }
    }

    /// Adds `text` to the end of a file.
    pub fn append(&self, path: &str, text: &str) {
        self.write(path, &(self.read(path) + text));
    }

    /// The text of a file.
    pub fn read(&self, path: &str) -> String {
        read(self.path(path))
    }

    /// Replaces the one place of `from` in a file by `to`.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert_eq!(text.matches(from).count(), 1, "`{path}` has one place with `{from}`:\n{text}");
        self.write(path, &text.replacen(from, to, 1));
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) {
        let path = self.path(path);
        fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// The bytes of every file below `rbz-bin` whose name ends in `suffix`, by path.
    pub fn outputs(&self, suffix: &str) -> Vec<(String, Vec<u8>)> {
        let mut paths = self.output_paths();
        paths.retain(|path| path.ends_with(suffix));
        assert!(!paths.is_empty(), "there is an output `*{suffix}`");
        let with_bytes = |path: String| {
            let bytes = fs::read(self.path("rbz-bin").join(&path)).expect("outputs can be read");
            (path, bytes)
        };
        paths.into_iter().map(with_bytes).collect()
    }

    /// The path of every file below `rbz-bin`, sorted by directory.
    fn output_paths(&self) -> Vec<String> {
        let bin = self.path("rbz-bin").canonicalize().expect("`rbz-bin` is there after a build");
        let mut paths = Vec::new();
        for entry in WalkDir::new(&bin).follow_links(true).sort_by_file_name() {
            let entry = entry.unwrap_or_else(|error| panic!("{error}"));
            let path = entry.path().strip_prefix(&bin).expect("the walk began there");
            if entry.file_type().is_file() {
                paths.push(path.to_string_lossy().into_owned());
            }
        }
        paths
    }

    /// Says that another workspace has the same outputs, byte for byte. Runfiles trees are links
    /// and no outputs.
    ///
    /// # Panics
    ///
    /// When it has not, or there is no output whose path ends in one of `suffixes`.
    pub fn assert_same_outputs(&self, other: &Workspace, suffixes: &[&str], what: &str) {
        let paths = |ws: &Workspace| {
            let mut paths = ws.output_paths();
            paths.retain(|path| !path.contains(".runfiles"));
            paths
        };
        let own = paths(self);
        for suffix in suffixes {
            assert!(
                own.iter().any(|path| path.ends_with(suffix)),
                "there is an output `*{suffix}`"
            );
        }
        assert_eq!(own, paths(other), "{what}: the same outputs");
        for path in own {
            // Two at a time: cores are large.
            let bytes = |ws: &Workspace| {
                let path = ws.path("rbz-bin").join(&path);
                fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            };
            let (a, b) = (bytes(self), bytes(other));
            let differing = a.iter().zip(&b).filter(|(a, b)| a != b).count();
            assert!(a == b, "{what}: `{path}` differs in {differing} bytes");
        }
    }

    /// A second workspace with the same files (not the outputs), in another directory, with
    /// another home.
    pub fn clone_to(&self, directory: &str, own_cache: bool) -> Workspace {
        let mut builder = workspace().in_directory(directory);
        builder.own_cache = own_cache;
        builder.files.clear();
        for entry in WalkDir::new(&self.root).sort_by_file_name() {
            let entry = entry.unwrap_or_else(|error| panic!("{error}"));
            let path = entry.path().strip_prefix(&self.root).expect("the walk began there");
            if entry.file_type().is_file() {
                let path = path.to_str().expect("names in tests are UTF-8");
                builder = builder.file(path, &read(entry.path()));
            }
        }
        builder.build()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // Directories of the store may be read-only; only their owner's bit keeps them here.
        for entry in WalkDir::new(&self.base).into_iter().flatten() {
            if entry.file_type().is_dir() && mode(entry.path()) & 0o700 != 0o700 {
                set_mode(entry.path(), 0o700);
            }
        }
        if std::thread::panicking()
            && let Some(temporary) = self.temporary.take()
        {
            let kept = temporary.keep();
            eprintln!("the workspace of this test is kept in {}", kept.display());
        }
        drop(self.temporary.take());
        if self.disk_cache == shared_cache::directory() {
            shared_cache::trim();
        }
    }
}

/// The permission bits of a file, 0 if there is none.
pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).map_or(0, |data| data.permissions().mode() & 0o7777)
}

/// Sets the permission bits of a file.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The text of a file anywhere.
pub fn read(path: impl AsRef<OsStr>) -> String {
    let path = Path::new(path.as_ref());
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
