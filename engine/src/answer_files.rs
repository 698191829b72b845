//! Files with answers to requests: one for each request, named by its fingerprint. A file that is
//! damaged, or of another format, is none.

use std::path::{Path, PathBuf};

use crate::digest::Fingerprint;
use crate::files::{self, FileResult};

/// The answers of one kind.
#[derive(Debug)]
pub(crate) struct AnswerFiles {
    dir: PathBuf,
    /// What a file begins with; to be changed when the form of the answers is.
    format: &'static [u8],
    /// How many are kept: those that were written last.
    limit: usize,
}

impl AnswerFiles {
    /// Those in `dir`, which need not exist.
    pub fn new(dir: &Path, format: &'static [u8], limit: usize) -> AnswerFiles {
        AnswerFiles { dir: dir.to_owned(), format, limit }
    }

    /// Saves the answer to a request in the place of an earlier one.
    pub fn save(&self, request: &Fingerprint, answer: &[u8]) -> FileResult<()> {
        files::create_dirs(&self.dir)?;
        let sum = crc32fast::hash(answer).to_le_bytes();
        let path = self.path(request);
        let temporary = path.with_extension("new");
        files::remove_file(&temporary)?;
        files::write_parts_atomically(&path, &temporary, &[self.format, &sum, answer])?;
        self.forget_old()
    }

    /// Hands the answer to a request to `read`, if there is one.
    pub fn load<T>(
        &self,
        request: &Fingerprint,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let bytes = files::read(&self.path(request)).ok()?;
        let (sum, answer) = bytes.strip_prefix(self.format)?.split_first_chunk::<4>()?;
        (crc32fast::hash(answer).to_le_bytes() == *sum).then(|| read(answer)).flatten()
    }

    /// Where the answer to a request lies.
    pub fn path(&self, request: &Fingerprint) -> PathBuf {
        self.dir.join(request.to_hex())
    }

    fn forget_old(&self) -> FileResult<()> {
        let mut found = Vec::new();
        for (name, _) in files::read_dir(&self.dir)? {
            let path = self.dir.join(name);
            if let Some((_, stamp)) = files::stat(&path, false)? {
                found.push((stamp.mtime, path));
            }
        }
        found.sort();
        for (_, path) in found.iter().rev().skip(self.limit) {
            files::remove_file(path)?;
        }
        Ok(())
    }
}
