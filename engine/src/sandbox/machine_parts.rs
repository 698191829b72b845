//! Parts of the machine that processes use where they lie, and not as copies in the store: each is
//! compared with its copy once, and must then stay as it is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::files::{self, FileResult, Stamp};
use crate::paths::is_below;
use crate::strategy::{StagedContent, StagedInput, StrategyError};

/// What is known of the parts of the machine.
#[derive(Debug, Default)]
pub struct MachineParts {
    known: Mutex<HashMap<Arc<str>, Stamp>>,
}

impl MachineParts {
    /// Fails if one of `parts`, which are sorted by path, is not what its copy in the store is, or
    /// was changed since it was looked at for the first time.
    pub fn check(&self, parts: &[StagedInput]) -> Result<(), StrategyError> {
        // Held while files are read: others that wait most likely want the same ones.
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for part in parts {
            let StagedContent::Blob { store_path, .. } = &part.content else { continue };
            let path = Path::new(&*part.path);
            let failed = |reason: String| StrategyError {
                what: format!("use `{}` of this machine", part.path),
                reason,
            };
            let stamp = files::stat(path, true).map_err(|error| failed(error.reason()))?;
            let stamp = stamp.map(|(_, stamp)| stamp);
            let same = match (known.get(&part.path), stamp) {
                (Some(known), stamp) => Some(*known) == stamp,
                (None, None) => false,
                (None, Some(stamp)) => {
                    let same =
                        is_same(path, store_path).map_err(|error| failed(error.to_string()))?;
                    known.insert(part.path.clone(), stamp);
                    same
                }
            };
            if !same {
                return Err(failed("it changed during the build".into()));
            }
        }
        Ok(())
    }
}

/// The paths that stand for `parts`, which are sorted by path: a tree for all that is in it.
pub fn outermost(parts: &[StagedInput]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut tree: Option<&str> = None;
    for part in parts {
        if tree.is_some_and(|tree| is_below(&part.path, tree)) {
            continue;
        }
        match part.content {
            StagedContent::Directory => tree = Some(&part.path),
            // What a link leads to is allowed or not by itself.
            StagedContent::Symlink(_) => continue,
            StagedContent::Blob { .. } => {}
        }
        paths.push(PathBuf::from(&*part.path));
    }
    paths
}

fn is_same(one: &Path, other: &Path) -> FileResult<bool> {
    let size = |path| Ok(files::stat(path, true)?.map(|(_, stamp)| stamp.size));
    Ok(size(one)? == size(other)? && files::digest(one)? == files::digest(other)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_must_be_what_was_hashed_and_stay_so() {
        let directory = tempfile::tempdir().unwrap();
        let (there, copy) = (directory.path().join("there"), directory.path().join("copy"));
        let content = StagedContent::Blob { store_path: copy.clone().into(), executable: false };
        let part = [StagedInput { path: there.to_str().unwrap().into(), content }];
        std::fs::write(&there, "one").unwrap();
        std::fs::write(&copy, "two").unwrap();
        assert!(MachineParts::default().check(&part).is_err());
        std::fs::write(&copy, "one").unwrap();
        let parts = MachineParts::default();
        parts.check(&part).unwrap();
        parts.check(&part).unwrap();
        std::fs::write(&there, "longer").unwrap();
        let error = parts.check(&part).unwrap_err().to_string();
        assert!(error.contains("there`") && error.contains("changed during the build"), "{error}");
        std::fs::remove_file(&there).unwrap();
        assert!(parts.check(&part).is_err());
    }

    #[test]
    fn a_tree_stands_for_what_is_in_it() {
        let input = |path: &str, content| StagedInput { path: path.into(), content };
        let file = || StagedContent::Blob { store_path: Path::new("/x").into(), executable: false };
        let parts = [
            input("/a", StagedContent::Directory),
            input("/a-b", file()),
            input("/a/c", file()),
            input("/l", StagedContent::Symlink("a".into())),
        ];
        assert_eq!(outermost(&parts), ["/a", "/a-b"].map(PathBuf::from));
    }
}
