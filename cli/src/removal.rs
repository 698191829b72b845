//! Removal of what rbz made, whatever it is and whatever modes it has.

use std::io;
use std::path::Path;

/// Removes `path` and everything below it; it need not exist. Symbolic links are not followed.
pub fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => rbz_engine::sandbox::remove_tree(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
