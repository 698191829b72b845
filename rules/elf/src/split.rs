//! Splitting a core: its code as a section that is linked, the rest as data for the runtime.
//!
//! | section     | contents |
//! |-------------|----------|
//! | `.lisplink` | the table through which the code reaches foreign symbols, the 1 MiB below the code |
//! | `.lisptext` | the code as it is in the core, then room for code that is compiled later |
//! | `.rodata`   | the foreign symbols, for the table that code in the heap goes through |
//! | `lisp.core` | the core without its code; the runtime finds it by this name in its own file |
//! | `.eh_frame` | how to unwind Lisp frames |
//! | `.debug_…`  | of which source lines the code is, if that is known |
//!
//! The first two have to be linked at fixed addresses, [`Split::linker_options`]. The runtime
//! takes the code from where `lisp_code_start` is, instead of loading it, if that is the address
//! at which the core says that the code was.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;

use object::elf::{R_X86_64_64, R_X86_64_PC32};
use thiserror::Error;

use crate::aliens::Aliens;
use crate::callbacks::{Callback, callbacks};
use crate::core_file::{CoreError, CoreFile, PAGE_BYTES, Space, SpaceId};
use crate::debug_info::DebugInfo;
use crate::functions::Functions;
use crate::heap::{Heap, widetag};
use crate::object_file::{
    ObjectFile, ObjectSymbol, Piece, Relocation, Section, SectionKind, SymbolKind,
};
use crate::source_lines::SourceLines;
use crate::symbols::Symbols;
use crate::unwind::{Place, UnwindTable};

/// Bytes below the code that belong to the table of foreign symbols.
pub(crate) const LINKAGE_BYTES: u64 = 1 << 20;
/// Bytes of an entry in it.
const LINKAGE_ENTRY_BYTES: u64 = 16;
/// Bytes that the runtime reserves for the space of objects that do not move.
const FIXED_OBJECTS_BYTES: u64 = 40 << 20;
/// Room for code that the program compiles while it runs.
const ROOM_BYTES: u64 = 1 << 20;
/// The runtime protects the code page by page.
const CODE_ALIGNMENT: u64 = 4096;

/// The section through which Lisp code reaches foreign symbols; linkers name it in their messages.
pub const LINKAGE_SECTION: &str = ".lisplink";
/// The section of the code.
pub(crate) const TEXT_SECTION: &str = ".lisptext";
/// The section by whose name the runtime finds the core.
pub(crate) const CORE_SECTION: &str = "lisp.core";

/// Why a core could not be split.
#[derive(Debug, Error)]
pub enum SplitError {
    /// The core cannot be used.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The object could not be written.
    #[error("cannot write the object: {0}")]
    Write(#[from] io::Error),
}

/// A core that was split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Where the code has to be.
    pub text_address: u64,
    /// How many functions have a symbol.
    pub functions: usize,
    /// The foreign symbols that have to be linked.
    pub aliens: Aliens,
}

impl Split {
    /// What to tell the compiler that links the object.
    pub fn linker_options(&self) -> Vec<String> {
        let linkage = self.text_address - LINKAGE_BYTES;
        vec![
            "-no-pie".to_owned(),
            "-Wl,-z,relro".to_owned(),
            format!("-Wl,--section-start={LINKAGE_SECTION}={linkage:#x}"),
            format!("-Wl,--section-start={TEXT_SECTION}={:#x}", self.text_address),
        ]
    }
}

/// Where the sections are in the list.
const LINKAGE: usize = 0;
const TEXT: usize = 1;
const VALUES: usize = 2;

/// Writes the object of a core, of whose code these source lines are known.
pub fn split(
    core: &CoreFile,
    lines: &SourceLines,
    out: impl io::Write,
) -> Result<Split, SplitError> {
    let heap = Heap::of(core)?;
    let symbols = Symbols::find(core, &heap)?;
    let aliens = Aliens::read(&heap, &symbols)?;
    let functions = Functions::read(core, &heap, &symbols)?;
    let text = core.text()?;
    check_layout(core, text, &aliens)?;

    let padding = padding(text.bytes);
    let room = text.bytes + padding.len() as u64;
    let end = room + ROOM_BYTES;
    let names = symbol_names(&functions, &aliens);
    let callbacks = callbacks(core);
    let callback_names: Vec<String> =
        (0..callbacks.len()).map(|number| format!("(alien-callback {number})")).collect();
    let mut symbols = local_symbols(&functions, &names);
    symbols.extend(callbacks.iter().zip(&callback_names).map(callback_symbol));
    symbols.extend(global_symbols(&aliens, [0, room, end]));
    let number_of_alien: HashMap<&str, usize> = symbols
        .iter()
        .enumerate()
        .filter(|(_, symbol)| symbol.kind == SymbolKind::Undefined)
        .map(|(number, symbol)| (symbol.name, number))
        .collect();

    let linkage = Table::of_code(&aliens, &number_of_alien);
    let values = Table::of_runtime(&aliens, &number_of_alien);
    let fixed = core.space(SpaceId::FixedObjects);
    let names_of_functions = fixed.map_or(0..0, |space| space.address..space.address + space.bytes);
    let unwind = UnwindTable::new(end, &functions.entries, names_of_functions, &callbacks);
    let distances = unwind.distances.iter().map(|(offset, place)| {
        let addend = match place {
            // Never above 4 GiB.
            Place::Code(offset) => *offset as i64,
            Place::Fixed(address) => *address as i64 - text.address as i64,
            // Addresses are below 2^47. The code is at its own, so the distance to it is known;
            // not every linker takes a symbol that is in no section here.
            Place::Callback(number) => callbacks[*number].address as i64 - text.address as i64,
        };
        // The first symbol is the start of the code.
        Relocation { offset: *offset, symbol: 0, addend, kind: R_X86_64_PC32 }
    });
    let header = header_without_text(core, text);
    let debug_info = DebugInfo::new(lines, &functions, &names, text.address, core.contents(text));
    let mut object = ObjectFile {
        sections: vec![
            // All of its memory is there: the layout was checked, so the entries fit.
            linkage.section(
                LINKAGE_SECTION,
                SectionKind::Code,
                CODE_ALIGNMENT,
                LINKAGE_BYTES - linkage.bytes.len() as u64,
            ),
            Section {
                name: TEXT_SECTION,
                kind: SectionKind::Code,
                alignment: CODE_ALIGNMENT,
                contents: text_contents(core.contents(text), &functions, &padding),
                relocations: Vec::new(),
            },
            values.section(".rodata", SectionKind::Data, 16, 0),
            Section {
                name: ".eh_frame",
                kind: SectionKind::Data,
                alignment: 8,
                contents: vec![Piece::Bytes(&unwind.bytes)],
                relocations: distances.collect(),
            },
            Section {
                name: CORE_SECTION,
                kind: SectionKind::FileOnly,
                alignment: CODE_ALIGNMENT,
                contents: core_without_text(core, text, &header),
                relocations: Vec::new(),
            },
            // Says that the stack need not be executable.
            Section {
                name: ".note.GNU-stack",
                kind: SectionKind::FileOnly,
                alignment: 1,
                contents: Vec::new(),
                relocations: Vec::new(),
            },
        ],
        symbols,
    };
    if !lines.files.is_empty() {
        object.sections.extend(debug_sections(&debug_info));
    }
    object.write(out)?;
    let functions = functions.functions.len();
    Ok(Split { text_address: text.address, functions, aliens })
}

fn debug_sections(info: &DebugInfo) -> [Section<'_>; 4] {
    [
        (".debug_abbrev", &info.abbreviations),
        (".debug_info", &info.units),
        (".debug_line", &info.lines),
        (".debug_ranges", &info.ranges),
    ]
    .map(|(name, bytes)| Section {
        name,
        kind: SectionKind::FileOnly,
        alignment: 1,
        contents: vec![Piece::Bytes(bytes)],
        relocations: Vec::new(),
    })
}

/// Whether the code finds around itself what it will look for there.
fn check_layout(core: &CoreFile, text: &Space, aliens: &Aliens) -> Result<(), CoreError> {
    let fixed_end = core.space(SpaceId::FixedObjects).map(|s| s.address + FIXED_OBJECTS_BYTES);
    let linkage = text.address.checked_sub(LINKAGE_BYTES);
    if fixed_end.is_none() || fixed_end != linkage {
        return Err(CoreError::other_version("its spaces are not where they are known to be"));
    }
    let last = core.spaces().iter().max_by_key(|space| space.first_page);
    if last.is_some_and(|last| last.id != SpaceId::Text) {
        return Err(CoreError::other_version("its code is not behind the other spaces"));
    }
    if aliens.iter().len() as u64 * LINKAGE_ENTRY_BYTES > LINKAGE_BYTES {
        return Err(CoreError::damaged("it has more foreign symbols than their table holds"));
    }
    Ok(())
}

/// A Lisp vector of zeros after so many bytes of code, up to the next page.
fn padding(code: u64) -> Vec<u8> {
    let bytes = code.next_multiple_of(CODE_ALIGNMENT) - code;
    let mut padding = vec![0; bytes as usize];
    if let Some(head) = padding.get_mut(..16) {
        let elements = (bytes - 16) / 8;
        head[..8].copy_from_slice(&u64::from(widetag::FIXNUM_VECTOR).to_le_bytes());
        head[8..].copy_from_slice(&(elements << 1).to_le_bytes());
    }
    padding
}

/// The names of the functions; one that C has too is in upper case, so that a debugger that is
/// asked for `write` means one thing.
fn symbol_names<'f>(functions: &'f Functions, aliens: &Aliens) -> Vec<Cow<'f, str>> {
    let c_names: HashSet<&str> = aliens.iter().map(|alien| alien.name.as_str()).collect();
    let names = functions.functions.iter().map(|function| match &*function.name {
        name if c_names.contains(name) => name.to_uppercase().into(),
        name => name.into(),
    });
    names.collect()
}

/// The start of the code, then the functions.
fn local_symbols<'d>(functions: &Functions, names: &'d [Cow<str>]) -> Vec<ObjectSymbol<'d>> {
    let start =
        ObjectSymbol { name: "", kind: SymbolKind::Section, section: TEXT, offset: 0, length: 0 };
    let functions = functions.functions.iter().zip(names).map(|(function, name)| ObjectSymbol {
        name,
        kind: SymbolKind::LocalFunction,
        section: TEXT,
        offset: function.range.start,
        length: function.range.end - function.range.start,
    });
    std::iter::once(start).chain(functions).collect()
}

fn callback_symbol<'d>((callback, name): (&Callback, &'d String)) -> ObjectSymbol<'d> {
    ObjectSymbol {
        name,
        kind: SymbolKind::LocalAddress,
        section: TEXT,
        offset: callback.address,
        length: callback.length,
    }
}

/// What the runtime looks for, then the foreign symbols.
fn global_symbols(aliens: &Aliens, [code, room, end]: [u64; 3]) -> Vec<ObjectSymbol<'_>> {
    let symbol =
        |name, kind, section, offset| ObjectSymbol { name, kind, section, offset, length: 0 };
    let mut symbols = vec![
        symbol("lisp_code_start", SymbolKind::Global, TEXT, code),
        symbol("lisp_jit_code", SymbolKind::Global, TEXT, room),
        symbol("lisp_code_end", SymbolKind::Global, TEXT, end),
        symbol("alien_linkage_values", SymbolKind::Global, VALUES, 0),
    ];
    let names = aliens.names().into_iter();
    symbols.extend(names.map(|name| symbol(name, SymbolKind::Undefined, LINKAGE, 0)));
    symbols
}

/// Bytes with the addresses of foreign symbols in them.
struct Table {
    bytes: Vec<u8>,
    relocations: Vec<Relocation>,
}

impl Table {
    /// What code jumps to or reads: an entry for each foreign symbol. Behind them is room for
    /// those of code that is loaded later.
    fn of_code(aliens: &Aliens, numbers: &HashMap<&str, usize>) -> Self {
        let mut table = Table { bytes: Vec::new(), relocations: Vec::new() };
        for alien in aliens.iter() {
            let symbol = numbers.get(&*alien.name).copied();
            if alien.is_variable {
                table.address(symbol);
                table.bytes.extend([0; 8]);
            } else {
                // jmp [rip+2]; two bytes that are skipped; the address
                table.bytes.extend([0xFF, 0x25, 2, 0, 0, 0, 0x66, 0x90]);
                table.address(symbol);
            }
        }
        table
    }

    /// What the runtime makes its own table of: the number of symbols, then the address of each,
    /// that of a variable after -1.
    fn of_runtime(aliens: &Aliens, numbers: &HashMap<&str, usize>) -> Self {
        let mut table = Table { bytes: Vec::new(), relocations: Vec::new() };
        table.bytes.extend((aliens.iter().len() as u64).to_le_bytes());
        for alien in aliens.iter() {
            if alien.is_variable {
                table.bytes.extend((-1i64).to_le_bytes());
            }
            table.address(numbers.get(&*alien.name).copied());
        }
        table
    }

    /// Adds the address of a symbol; where there is none, the program is going to write it.
    fn address(&mut self, symbol: Option<usize>) {
        let offset = self.bytes.len() as u64;
        self.relocations.extend(symbol.map(|symbol| Relocation {
            offset,
            symbol,
            addend: 0,
            kind: R_X86_64_64,
        }));
        self.bytes.extend([0; 8]);
    }

    /// A section of the table and so many zeros.
    fn section(
        &self,
        name: &'static str,
        kind: SectionKind,
        alignment: u64,
        room: u64,
    ) -> Section<'_> {
        Section {
            name,
            kind,
            alignment,
            contents: vec![Piece::Bytes(&self.bytes), Piece::Zeros(room)],
            relocations: self.relocations.clone(),
        }
    }
}

/// The code, without what is left in the gaps between it: that differs from run to run.
fn text_contents<'d>(code: &'d [u8], functions: &Functions, padding: &'d [u8]) -> Vec<Piece<'d>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for gap in &functions.unused {
        // Gaps are within the code, which is in memory.
        pieces.push(Piece::Bytes(&code[at..gap.start as usize]));
        pieces.push(Piece::Zeros(gap.end - gap.start));
        at = gap.end as usize;
    }
    pieces.push(Piece::Bytes(&code[at..]));
    pieces.push(Piece::Bytes(padding));
    pieces.push(Piece::Zeros(ROOM_BYTES));
    pieces
}

/// The header of a core whose code has no pages in the file.
fn header_without_text(core: &CoreFile, text: &Space) -> Vec<u8> {
    let mut header = core.bytes()[..PAGE_BYTES as usize].to_vec();
    let mut set = |at: usize, value: u64| header[at..at + 8].copy_from_slice(&value.to_le_bytes());
    set(text.row + 16, 0);
    set(text.row + 32, 0);
    let table = core.page_table();
    let page = table.range.start as u64 / PAGE_BYTES - 1;
    set(table.page_word, page - text.pages);
    header
}

fn core_without_text<'d>(core: &CoreFile<'d>, text: &Space, header: &'d [u8]) -> Vec<Piece<'d>> {
    // The code is behind the other spaces, and the page table behind the code.
    let spaces = PAGE_BYTES as usize..text.file_range().start;
    vec![
        Piece::Bytes(header),
        Piece::Bytes(&core.bytes()[spaces]),
        Piece::Bytes(&core.bytes()[core.page_table().range.clone()]),
    ]
}
