//! Which files of Starlark there are below a directory.

use std::path::{Path, PathBuf};

use rbz_engine::diagnostic::Diagnostic;
use rbz_format::FileKind;
use rbz_starlark::workspace::{IGNORE_FILE, listed_directories};
use walkdir::WalkDir;

/// The files below `directory`, sorted. Links are not followed, and directories that the workspace
/// at `root` ignores are left out.
pub fn below(directory: &Path, root: Option<&Path>) -> Result<Vec<PathBuf>, Diagnostic> {
    let ignored = match root.map(|root| std::fs::read_to_string(root.join(IGNORE_FILE))) {
        Some(Ok(text)) => listed_directories(&text)?,
        // What cannot be read lists nothing here; whatever loads packages says so.
        Some(Err(_)) | None => Vec::new(),
    };
    let ignored: Vec<PathBuf> = ignored.iter().filter_map(|path| Some(root?.join(path))).collect();
    let walk = WalkDir::new(directory).sort_by_file_name().into_iter().filter_entry(|entry| {
        !(entry.file_type().is_dir()
            && (entry.file_name() == ".git" || ignored.iter().any(|path| path == entry.path())))
    });
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(directory).display().to_string();
            let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
            Diagnostic::machine(format!("cannot read `{path}`: {reason}"))
        })?;
        let kind = FileKind::of_name(&entry.file_name().to_string_lossy());
        if entry.file_type().is_file() && kind.is_some() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}
