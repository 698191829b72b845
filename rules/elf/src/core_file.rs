//! A core file: its header, its directory of spaces and its page table.
//!
//! ```text
//! page 0    magic, then entries {type, length in words, …}: the build's id, the directory of
//!           spaces, the function to start, where the page table is; an end
//! page 1…   the spaces, each a whole number of pages
//! then      the page table of the collector, the file offset of the core, magic
//! ```
//!
//! All numbers are little-endian words of 64 bits, pages have 32 KiB. In a program that carries
//! its core behind itself, the last two words say where the core starts.

use std::ops::Range;

use thiserror::Error;

/// Bytes of a page, in the file as in the collector's tables.
pub(crate) const PAGE_BYTES: u64 = 32768;
/// The first word of a core.
pub(crate) const MAGIC: u64 = 0x5342_434C;
/// Cores above this size are refused: their parts would not lie where the code reaches them.
pub const MAX_CORE_BYTES: u64 = 1 << 32;

const ENTRY_OPTIONS: u64 = 0x31EB_F355;
const ENTRY_END: u64 = 3840;
const ENTRY_BUILD_ID: u64 = 3860;
const ENTRY_DIRECTORY: u64 = 3861;
const ENTRY_INITIAL_FUNCTION: u64 = 3863;
const ENTRY_PAGE_TABLE: u64 = 3880;

/// Words of one row of the directory.
const ROW_WORDS: usize = 5;
/// In the number of a space: its pages are compressed.
const COMPRESSED: u64 = 8;

/// Why a file is of no use as a core.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CoreError {
    /// It does not begin like one, and carries none behind itself.
    #[error("it is no core of SBCL: it neither begins nor ends with the mark of one")]
    NotACore,
    /// Something reaches beyond its end.
    #[error("it is truncated: {what} would end at byte {end}, and the file has {length}")]
    Truncated {
        /// What reaches too far.
        what: &'static str,
        /// Where it would end.
        end: u64,
        /// Bytes of the file.
        length: u64,
    },
    /// A space is compressed.
    #[error("it is compressed; its Lisp code cannot be linked unless it is saved uncompressed")]
    Compressed,
    /// The file has more than [`MAX_CORE_BYTES`].
    #[error("it has {length} bytes, and cores of more than {MAX_CORE_BYTES} cannot be linked")]
    TooLarge {
        /// Bytes of the file.
        length: u64,
    },
    /// It has no space for code at addresses that stay.
    #[error("its SBCL was built without immobile code, so the code has no address to be linked at")]
    NoImmobileCode,
    /// It has something that only other versions of SBCL write.
    #[error("it was saved by an SBCL of another kind: {what}; cores of SBCL 2.2.9 are known")]
    OtherVersion {
        /// What is not as it is known.
        what: String,
    },
    /// It contradicts itself.
    #[error("it is damaged: {what}")]
    Damaged {
        /// What cannot be.
        what: String,
    },
}

impl CoreError {
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        CoreError::Damaged { what: what.into() }
    }

    pub(crate) fn other_version(what: impl Into<String>) -> Self {
        CoreError::OtherVersion { what: what.into() }
    }
}

/// The spaces of a Lisp's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceId {
    /// What the collector moves.
    Dynamic,
    /// `nil` and what the runtime refers to.
    Static,
    /// Strings and debug information that never change.
    ReadOnly,
    /// Symbols, layouts and the like, at addresses that stay.
    FixedObjects,
    /// Compiled code, at addresses that stay.
    Text,
}

impl SpaceId {
    fn of(number: u64) -> Option<Self> {
        Some(match number {
            1 => SpaceId::Dynamic,
            2 => SpaceId::Static,
            3 => SpaceId::ReadOnly,
            4 => SpaceId::FixedObjects,
            5 => SpaceId::Text,
            _ => return None,
        })
    }
}

/// A space in a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Which one.
    pub id: SpaceId,
    /// Where it is in the memory of the Lisp.
    pub address: u64,
    /// How many of its bytes are in use.
    pub bytes: u64,
    /// How many pages it has in the file.
    pub pages: u64,
    /// Its first page in the file, not counting that of the header.
    pub first_page: u64,
    /// Where its row of the directory is in the header.
    pub(crate) row: usize,
}

impl Space {
    /// Its pages in the core.
    pub(crate) fn file_range(&self) -> Range<usize> {
        // The pages were found to be in the file, so the numbers fit.
        let start = (self.first_page + 1) * PAGE_BYTES;
        start as usize..(start + self.pages * PAGE_BYTES) as usize
    }
}

/// Where the page table of the collector is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageTable {
    /// Where its entry says the page at which it starts, in the header.
    pub(crate) page_word: usize,
    /// The table, in the core.
    pub(crate) range: Range<usize>,
}

/// A core, whose header was read and whose parts are all there.
#[derive(Clone, Debug)]
pub struct CoreFile<'a> {
    bytes: &'a [u8],
    build_id: String,
    spaces: Vec<Space>,
    page_table: PageTable,
}

impl<'a> CoreFile<'a> {
    /// Reads the core that is `file`, or that a program carries behind itself.
    pub fn parse(file: &'a [u8]) -> Result<Self, CoreError> {
        let length = file.len() as u64;
        if length > MAX_CORE_BYTES {
            return Err(CoreError::TooLarge { length });
        }
        let bytes = &file[start_of_core(file)?..];
        let header = bytes.get(..PAGE_BYTES as usize).ok_or(CoreError::Truncated {
            what: "the header",
            end: PAGE_BYTES,
            length: bytes.len() as u64,
        })?;
        let header = Header::read(header, bytes.len() as u64)?;
        Ok(CoreFile {
            bytes,
            build_id: header.build_id,
            spaces: header.spaces,
            page_table: header.page_table,
        })
    }

    /// The core, from its mark on.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What the build of the SBCL that saved it is called; a runtime takes no core but its own.
    pub fn build_id(&self) -> &str {
        &self.build_id
    }

    /// Its spaces, in the order of the directory.
    pub fn spaces(&self) -> &[Space] {
        &self.spaces
    }

    /// The space of this kind.
    pub fn space(&self, id: SpaceId) -> Option<&Space> {
        self.spaces.iter().find(|space| space.id == id)
    }

    /// The bytes in use of a space of this core.
    pub fn contents(&self, space: &Space) -> &'a [u8] {
        let pages = &self.bytes[space.file_range()];
        // Code that was linked is in use, but not in the core.
        pages.get(..space.bytes as usize).unwrap_or_default()
    }

    /// The space of the compiled code.
    pub(crate) fn text(&self) -> Result<&Space, CoreError> {
        let text = self.space(SpaceId::Text).filter(|space| space.bytes > 0);
        text.ok_or(CoreError::NoImmobileCode)
    }

    pub(crate) fn page_table(&self) -> &PageTable {
        &self.page_table
    }
}

/// The word at this place, which the caller knows to be within `bytes`.
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// At which byte of the file the core starts.
fn start_of_core(file: &[u8]) -> Result<usize, CoreError> {
    if word(file, 0) == Some(MAGIC) {
        return Ok(0);
    }
    let trailer = file.len().checked_sub(16).ok_or(CoreError::NotACore)?;
    let (start, mark) = (word(file, trailer), word(file, trailer + 8));
    let start = start.filter(|_| mark == Some(MAGIC)).and_then(|start| usize::try_from(start).ok());
    start.filter(|start| word(file, *start) == Some(MAGIC)).ok_or(CoreError::NotACore)
}

/// What the entries of the header say.
struct Header {
    build_id: String,
    spaces: Vec<Space>,
    page_table: PageTable,
}

impl Header {
    /// Reads the header page of a core of so many bytes.
    fn read(page: &[u8], length: u64) -> Result<Self, CoreError> {
        let (mut build_id, mut spaces, mut page_table) = (None, None, None);
        let mut at = 8;
        loop {
            let kind = header_word(page, at)?;
            if kind == ENTRY_END {
                break;
            }
            let words = header_word(page, at + 8)?;
            let end = usize::try_from(words)
                .ok()
                .filter(|words| *words >= 2)
                .and_then(|words| words.checked_mul(8)?.checked_add(at))
                .filter(|end| *end <= page.len())
                .ok_or_else(|| CoreError::damaged(format!("a header entry of {words} words")))?;
            let payload = at + 16..end;
            match kind {
                ENTRY_BUILD_ID => build_id = Some(read_build_id(&page[payload])?),
                ENTRY_DIRECTORY => spaces = Some(read_directory(page, payload, length)?),
                ENTRY_PAGE_TABLE => page_table = Some(read_page_table(page, payload, length)?),
                ENTRY_INITIAL_FUNCTION | ENTRY_OPTIONS => {}
                _ => {
                    let what = format!("its header has an entry of type {kind}");
                    return Err(CoreError::OtherVersion { what });
                }
            }
            at = end;
        }
        let missing = |what: &str| CoreError::damaged(format!("its header has no {what}"));
        Ok(Header {
            build_id: build_id.ok_or_else(|| missing("build id"))?,
            spaces: spaces.ok_or_else(|| missing("directory of spaces"))?,
            page_table: page_table.ok_or_else(|| missing("page table"))?,
        })
    }
}

fn header_word(page: &[u8], at: usize) -> Result<u64, CoreError> {
    word(page, at).ok_or_else(|| CoreError::damaged("its header has no end"))
}

fn read_build_id(payload: &[u8]) -> Result<String, CoreError> {
    let id = word(payload, 0)
        .and_then(|length| usize::try_from(length).ok())
        .and_then(|length| payload.get(8..)?.get(..length))
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .filter(|id| id.chars().all(|c| c.is_ascii_graphic()));
    id.map(str::to_owned).ok_or_else(|| CoreError::damaged("its build id is no text"))
}

fn read_directory(
    page: &[u8],
    payload: Range<usize>,
    length: u64,
) -> Result<Vec<Space>, CoreError> {
    if !payload.len().is_multiple_of(ROW_WORDS * 8) {
        return Err(CoreError::other_version("its directory has rows of another length"));
    }
    let mut spaces: Vec<Space> = Vec::new();
    for row in payload.step_by(ROW_WORDS * 8) {
        let column = |index: usize| header_word(page, row + 8 * index);
        let (number, words, first_page) = (column(0)?, column(1)?, column(2)?);
        let (address, pages) = (column(3)?, column(4)?);
        if SpaceId::of(number).is_none() && SpaceId::of(number & !COMPRESSED).is_some() {
            return Err(CoreError::Compressed);
        }
        let id = SpaceId::of(number)
            .ok_or_else(|| CoreError::other_version(format!("it has a space {number}")))?;
        let end = first_page
            .checked_add(pages)
            .and_then(|end| end.checked_add(1)?.checked_mul(PAGE_BYTES))
            .ok_or_else(|| CoreError::damaged(format!("{id:?} space has {pages} pages")))?;
        if end > length {
            return Err(CoreError::Truncated { what: "a space", end, length });
        }
        // Code that was linked has no pages.
        let is_linked = id == SpaceId::Text && pages == 0;
        let bytes = words.checked_mul(8);
        let bytes = bytes.filter(|bytes| is_linked || *bytes <= pages * PAGE_BYTES);
        let bytes = bytes.ok_or_else(|| {
            CoreError::damaged(format!("{id:?} space has more words than its pages hold"))
        })?;
        let fits = address.checked_add(bytes.max(pages * PAGE_BYTES)).is_some();
        if !fits || !address.is_multiple_of(4096) {
            return Err(CoreError::damaged(format!("{id:?} space is at {address:#x}")));
        }
        let overlaps = |other: &Space| {
            address < other.address + other.bytes && other.address < address + bytes
        };
        if let Some(other) = spaces.iter().find(|other| other.id == id || overlaps(other)) {
            let what = format!("{:?} space and {id:?} space are in the same place", other.id);
            return Err(CoreError::damaged(what));
        }
        spaces.push(Space { id, address, bytes, pages, first_page, row });
    }
    Ok(spaces)
}

fn read_page_table(
    page: &[u8],
    payload: Range<usize>,
    length: u64,
) -> Result<PageTable, CoreError> {
    if payload.len() != 32 {
        return Err(CoreError::other_version("its page table is described otherwise"));
    }
    let page_word = payload.start + 24;
    let bytes = header_word(page, payload.start + 16)?;
    let first_page = header_word(page, page_word)?;
    let start = first_page.checked_add(1).and_then(|page| page.checked_mul(PAGE_BYTES));
    let end = start.and_then(|start| start.checked_add(bytes));
    let (Some(start), Some(end)) = (start, end) else {
        return Err(CoreError::damaged(format!("its page table has {bytes} bytes")));
    };
    if end > length {
        return Err(CoreError::Truncated { what: "the page table", end, length });
    }
    // Both are below the length of the file, which is in memory.
    Ok(PageTable { page_word, range: start as usize..end as usize })
}
