//! Source lines of errors that only know their place, as those of targets do.

use rbz_engine::diagnostic::{Diagnostic, Place};
use rbz_engine::label::RepoName;

use crate::dialect;
use crate::loader::Loader;

impl Loader {
    /// The error with the source line at its place, if that can be had.
    pub(crate) fn with_source(&self, mut error: Diagnostic) -> Diagnostic {
        if error.source.is_none() {
            error.source = error.place.as_ref().and_then(|place| self.source_line(place));
        }
        error
    }

    /// The line at a place, if it can be had.
    pub fn source_line(&self, place: &Place) -> Option<String> {
        let external = place.file.strip_prefix("external/").and_then(|rest| rest.split_once('/'));
        let (repo, path) = match external {
            Some((repo, path)) => (RepoName::new(repo), path),
            None => (RepoName::main(), &*place.file),
        };
        let path = self.repository_root(&repo).ok()?.join(path);
        // Only for what a person reads, so reading once more is no loss.
        let (bytes, _) = self.files().read(&path).ok()?;
        let number = usize::try_from(place.line).ok()?.checked_sub(1)?;
        dialect::shown_line(std::str::from_utf8(&bytes).ok()?.lines().nth(number)?)
    }
}
