//! A log of records that is only appended to, and survives being cut off anywhere.
//!
//! The file starts with a line that names its format. Each record is its length and its CRC-32,
//! four bytes each, then its bytes, and is written whole by one call to the system. Reading stops at
//! the first record that is torn or damaged; the rest is cut off. A log of another format is
//! begun anew: what is in a log can always be found out again, for the price of looking.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::files::{self, FileResult};

/// No record is longer: a length beyond it is damage, and not a reason to reserve memory.
const MAX_RECORD: usize = 1 << 30;

/// How many bytes of records are written by one call, or a little more.
const CHUNK: usize = 1 << 20;

/// What stands before the bytes of a record: length and checksum.
const FRAME: u64 = 8;

/// Where the bytes of a record are in the file of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    offset: u64,
    length: u32,
}

/// An open log.
#[derive(Debug)]
pub struct RecordLog {
    path: PathBuf,
    file: File,
    header: Vec<u8>,
    /// Length of the file, all whole records.
    size: u64,
    /// What is to be written after that.
    pending: Vec<u8>,
}

impl RecordLog {
    /// Opens the log at `path`, or begins it, and hands each whole record to `each`.
    ///
    /// `format` is one line that must change when the meaning of the records does.
    pub fn open(path: &Path, format: &str, mut each: impl FnMut(&[u8])) -> FileResult<RecordLog> {
        Self::open_noting(path, format, |_, record| each(record))
    }

    /// As [`RecordLog::open`], for those who do not keep the records but where they are.
    pub fn open_noting(
        path: &Path,
        format: &str,
        mut each: impl FnMut(Slot, &[u8]),
    ) -> FileResult<RecordLog> {
        if let Some(parent) = path.parent() {
            files::create_dirs(parent)?;
        }
        let header = format!("{format}\n").into_bytes();
        let bytes = files::read_if_present(path)?.unwrap_or_default();
        let mut file = files::open_append(path)?;
        if let Some(records) = bytes.strip_prefix(&*header) {
            let rest = split_records(records, |after, record| {
                let offset = (bytes.len() - after.len() - record.len()) as u64;
                each(Slot { offset, length: record.len() as u32 }, record);
            });
            let size = (bytes.len() - rest.len()) as u64;
            if !rest.is_empty() {
                files::truncate(&file, path, size)?;
            }
            Ok(RecordLog { path: path.to_owned(), file, header, size, pending: Vec::new() })
        } else {
            files::truncate(&file, path, 0)?;
            files::write_all(&mut file, path, &header)?;
            let size = header.len() as u64;
            Ok(RecordLog { path: path.to_owned(), file, header, size, pending: Vec::new() })
        }
    }

    /// Hands each record that was written so far to `each`.
    pub fn read_all(&self, mut each: impl FnMut(&[u8])) -> FileResult<()> {
        let bytes = files::read_if_present(&self.path)?.unwrap_or_default();
        let records = bytes.strip_prefix(&*self.header).unwrap_or_default();
        split_records(records, |_, record| each(record));
        Ok(())
    }

    /// Adds one record.
    pub fn append(&mut self, record: &[u8]) -> FileResult<()> {
        self.append_all([record])
    }

    /// Adds a record that is written by the next [`RecordLog::flush`], or when there are many of them,
    /// and says where it is going to be. Before other records are appended there must be a flush.
    pub fn append_later(&mut self, record: &[u8]) -> FileResult<Slot> {
        let offset = self.size + self.pending.len() as u64 + FRAME;
        write_record(&mut self.pending, record);
        if self.pending.len() > CHUNK {
            self.flush()?;
        }
        Ok(Slot { offset, length: record.len() as u32 })
    }

    /// Writes what was to be written later.
    pub fn flush(&mut self) -> FileResult<()> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() { Ok(()) } else { self.write(&pending) }
    }

    /// Reads the record at `slot` again. A log that was compacted has other slots.
    pub fn read(&self, slot: Slot) -> FileResult<Vec<u8>> {
        let length = slot.length as usize;
        match slot.offset.checked_sub(self.size) {
            // What is pending is in memory, and so are its offsets.
            Some(start) => Ok(self.pending[start as usize..][..length].to_vec()),
            None => files::read_at(&self.path, slot.offset, length),
        }
    }

    /// Adds records by few calls to the system: for many small ones.
    pub fn append_all<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a [u8]>,
    ) -> FileResult<()> {
        let mut bytes = Vec::new();
        for record in records {
            write_record(&mut bytes, record);
            if bytes.len() > CHUNK {
                self.write(&bytes)?;
                bytes.clear();
            }
        }
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> FileResult<()> {
        let written = files::write_all(&mut self.file, &self.path, bytes);
        match &written {
            Ok(()) => self.size += bytes.len() as u64,
            // What was written of it before the disk was full would cut off all that follows.
            // Should that fail as well the log loses its later records, no more.
            Err(_) => drop(files::truncate(&self.file, &self.path, self.size)),
        }
        written
    }

    /// Puts a log of just these records in the place of this one, by renaming.
    pub fn compact<'a>(&mut self, records: impl IntoIterator<Item = &'a [u8]>) -> FileResult<()> {
        let mut bytes = self.header.clone();
        for record in records {
            write_record(&mut bytes, record);
        }
        let temporary = self.path.with_extension("new");
        // Left by a process that was killed here.
        files::remove_file(&temporary)?;
        files::write_atomically(&self.path, &temporary, &bytes)?;
        self.file = files::open_append(&self.path)?;
        self.size = bytes.len() as u64;
        Ok(())
    }
}

/// True when a log of `total` records, of which `live` still count, is worth compacting.
pub fn is_mostly_garbage(live: usize, total: usize) -> bool {
    total > 1000 && total > live.saturating_mul(3)
}

fn write_record(to: &mut Vec<u8>, record: &[u8]) {
    // The callers' records are far below MAX_RECORD.
    to.extend((record.len() as u32).to_le_bytes());
    to.extend(checksum(record).to_le_bytes());
    to.extend(record);
}

/// The checksum of a record. Its length is in it, so that a run of zeros is no record.
fn checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record.len().to_le_bytes());
    hasher.update(record);
    hasher.finalize() ^ 0x5bd1_e995
}

/// Hands each whole record of `bytes` to `each`, after what follows it. Yields what follows the last one.
fn split_records(mut bytes: &[u8], mut each: impl FnMut(&[u8], &[u8])) -> &[u8] {
    while let Some((record, after)) = split_record(bytes) {
        each(after, record);
        bytes = after;
    }
    bytes
}

/// The first record of `bytes` and what follows it, if it is whole.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_RECORD || length > rest.len() {
        return None;
    }
    let (record, rest) = rest.split_at(length);
    (checksum(record) == u32::from_le_bytes(*crc)).then_some((record, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(path: &Path) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        RecordLog::open(path, "test 1", |record| records.push(record.to_vec())).unwrap();
        records
    }

    fn sample(path: &Path) -> Vec<Vec<u8>> {
        let written: Vec<Vec<u8>> = (0..20u8).map(|n| vec![n; usize::from(n) * 3]).collect();
        let mut log = RecordLog::open(path, "test 1", |_| {}).unwrap();
        for record in &written {
            log.append(record).unwrap();
        }
        written
    }

    #[test]
    fn what_was_appended_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/log");
        let written = sample(&path);
        assert_eq!(records(&path), written);
    }

    #[test]
    fn cut_off_anywhere_a_log_keeps_its_whole_records_and_takes_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let written = sample(&path);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let kept = records(&path);
            assert_eq!(kept, written[..kept.len()], "cut at {length}");
            RecordLog::open(&path, "test 1", |_| {}).unwrap().append(b"new").unwrap();
            let mut expected = kept;
            expected.push(b"new".to_vec());
            assert_eq!(records(&path), expected, "cut at {length}");
        }
    }

    #[test]
    fn a_flipped_bit_costs_what_follows_and_nothing_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let written = sample(&path);
        let whole = std::fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1 << (position % 8);
            std::fs::write(&path, &damaged).unwrap();
            let kept = records(&path);
            assert!(kept.len() < written.len(), "flip at {position} not seen");
            assert_eq!(kept, written[..kept.len()], "flip at {position}");
        }
    }

    #[test]
    fn zeros_after_a_power_loss_are_no_records() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let written = sample(&path);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend([0; 4096]);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(records(&path), written);
    }

    #[test]
    fn a_record_is_read_again_from_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let records = [b"first".to_vec(), b"".to_vec(), b"third".to_vec()];
        let mut log = RecordLog::open(&path, "test 1", |_| {}).unwrap();
        log.append(b"zeroth").unwrap();
        let written = records.each_ref().map(|record| log.append_later(record).unwrap());
        // Not written yet, they are read all the same.
        assert_eq!(log.read(written[2]).unwrap(), b"third");
        log.flush().unwrap();
        let mut found = Vec::new();
        let again = RecordLog::open_noting(&path, "test 1", |slot, _| found.push(slot)).unwrap();
        assert_eq!(found[1..], written);
        for (slot, record) in written.iter().zip(&records) {
            assert_eq!(again.read(*slot).unwrap(), *record);
        }
    }

    #[test]
    fn another_format_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        sample(&path);
        RecordLog::open(&path, "test 2", |_| panic!("a record of another format")).unwrap();
    }

    #[test]
    fn compacting_keeps_what_is_given_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        sample(&path);
        let mut log = RecordLog::open(&path, "test 1", |_| {}).unwrap();
        log.compact([b"a".as_slice()]).unwrap();
        log.append(b"b").unwrap();
        assert_eq!(records(&path), [b"a", b"b"]);
    }
}
