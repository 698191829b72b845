//! Object files for a linker, written section by section without being held in memory.

use std::io;

use object::Endianness;
use object::elf;
use object::write::StringId;
use object::write::elf::{FileHeader, Rel, SectionHeader, SectionIndex, Sym, Writer};

/// What a section is to the linker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionKind {
    /// Instructions, in the memory of the program.
    Code,
    /// Data that is only read, in the memory of the program.
    Data,
    /// Data that is only in the file.
    FileOnly,
}

/// A part of a section's contents.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'d> {
    Bytes(&'d [u8]),
    Zeros(u64),
}

impl Piece<'_> {
    fn length(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Zeros(count) => *count,
        }
    }
}

/// A place that the linker fills in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relocation {
    /// Where, from the start of the section.
    pub(crate) offset: u64,
    /// The symbol, by its place in the list.
    pub(crate) symbol: usize,
    /// What is added to its address.
    pub(crate) addend: i64,
    /// One of `R_X86_64_…`.
    pub(crate) kind: u32,
}

/// A section.
#[derive(Clone, Debug)]
pub(crate) struct Section<'d> {
    pub(crate) name: &'static str,
    pub(crate) kind: SectionKind,
    pub(crate) alignment: u64,
    pub(crate) contents: Vec<Piece<'d>>,
    pub(crate) relocations: Vec<Relocation>,
}

impl Section<'_> {
    pub(crate) fn length(&self) -> u64 {
        self.contents.iter().map(Piece::length).sum()
    }
}

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SymbolKind {
    /// A function that only this object knows.
    LocalFunction,
    /// The start of a section.
    Section,
    /// A function at a fixed address, which only this object knows.
    LocalAddress,
    /// A place that others refer to.
    Global,
    /// Something that others define.
    Undefined,
}

/// A symbol.
#[derive(Clone, Debug)]
pub(crate) struct ObjectSymbol<'d> {
    pub(crate) name: &'d str,
    pub(crate) kind: SymbolKind,
    /// The section in which it is, by its place in the list.
    pub(crate) section: usize,
    /// From the start of the section; for a fixed address, the address.
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// An object for x86-64.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectFile<'d> {
    pub(crate) sections: Vec<Section<'d>>,
    /// Those that only this object knows come first.
    pub(crate) symbols: Vec<ObjectSymbol<'d>>,
}

/// Where a section is in the file.
struct Place {
    name: StringId,
    index: SectionIndex,
    offset: usize,
    relocations: Option<(StringId, usize)>,
}

impl ObjectFile<'_> {
    /// Writes it out.
    pub(crate) fn write(&self, out: impl io::Write) -> io::Result<()> {
        let mut buffer = object::write::StreamingBuffer::new(io::BufWriter::new(out));
        let written = self.write_to(&mut Writer::new(Endianness::Little, true, &mut buffer));
        buffer.result()?;
        written.map_err(|error| io::Error::other(error.to_string()))?;
        io::Write::flush(&mut buffer.into_inner())
    }

    fn write_to<'w>(&'w self, writer: &mut Writer<'w>) -> Result<(), object::write::Error> {
        // First everything gets its place, then everything is written in the same order.
        writer.reserve_file_header();
        let symbol_names: Vec<Option<StringId>> = self
            .symbols
            .iter()
            .map(|symbol| {
                (!symbol.name.is_empty()).then(|| writer.add_string(symbol.name.as_bytes()))
            })
            .collect();
        writer.reserve_null_section_index();
        let mut places: Vec<Place> = Vec::new();
        for section in &self.sections {
            let name = writer.add_section_name(section.name.as_bytes());
            let index = writer.reserve_section_index();
            places.push(Place { name, index, offset: 0, relocations: None });
        }
        for (section, place) in self.sections.iter().zip(&mut places) {
            if !section.relocations.is_empty() {
                let name = writer.add_section_name(relocations_of(section.name).as_bytes());
                writer.reserve_section_index();
                place.relocations = Some((name, 0));
            }
        }
        writer.reserve_symtab_section_index();
        writer.reserve_strtab_section_index();
        writer.reserve_shstrtab_section_index();
        for (section, place) in self.sections.iter().zip(&mut places) {
            place.offset = writer.reserve(section.length() as usize, section.alignment as usize);
        }
        for (section, place) in self.sections.iter().zip(&mut places) {
            if let Some((_, offset)) = &mut place.relocations {
                *offset = writer.reserve_relocations(section.relocations.len(), true);
            }
        }
        writer.reserve_null_symbol_index();
        let symbols: Vec<u32> =
            self.symbols.iter().map(|_| writer.reserve_symbol_index(None).0).collect();
        writer.reserve_symtab();
        writer.reserve_strtab();
        writer.reserve_shstrtab();
        writer.reserve_section_headers();

        writer.write_file_header(&FileHeader {
            os_abi: elf::ELFOSABI_SYSV,
            abi_version: 0,
            e_type: elf::ET_REL,
            e_machine: elf::EM_X86_64,
            e_entry: 0,
            e_flags: 0,
        })?;
        for section in &self.sections {
            writer.write_align(section.alignment as usize);
            for piece in &section.contents {
                match piece {
                    Piece::Bytes(bytes) => writer.write(bytes),
                    Piece::Zeros(count) => writer.pad_until(writer.len() + *count as usize),
                }
            }
        }
        for section in &self.sections {
            if !section.relocations.is_empty() {
                writer.write_align_relocation();
            }
            for relocation in &section.relocations {
                writer.write_relocation(
                    true,
                    &Rel {
                        r_offset: relocation.offset,
                        r_sym: symbols[relocation.symbol],
                        r_type: relocation.kind,
                        r_addend: relocation.addend,
                    },
                );
            }
        }
        writer.write_null_symbol();
        for (symbol, name) in self.symbols.iter().zip(&symbol_names) {
            let (binding, kind) = match symbol.kind {
                SymbolKind::LocalFunction | SymbolKind::LocalAddress => {
                    (elf::STB_LOCAL, elf::STT_FUNC)
                }
                SymbolKind::Section => (elf::STB_LOCAL, elf::STT_SECTION),
                SymbolKind::Global | SymbolKind::Undefined => (elf::STB_GLOBAL, elf::STT_NOTYPE),
            };
            let outside = match symbol.kind {
                SymbolKind::Undefined => Some(elf::SHN_UNDEF),
                SymbolKind::LocalAddress => Some(elf::SHN_ABS),
                _ => None,
            };
            writer.write_symbol(&Sym {
                name: *name,
                section: outside.is_none().then(|| places[symbol.section].index),
                st_info: binding << 4 | kind,
                st_other: elf::STV_DEFAULT,
                st_shndx: outside.unwrap_or(elf::SHN_UNDEF),
                st_value: symbol.offset,
                st_size: symbol.length,
            });
        }
        writer.write_strtab();
        writer.write_shstrtab();
        self.write_section_headers(writer, &places);
        Ok(())
    }

    fn write_section_headers(&self, writer: &mut Writer, places: &[Place]) {
        writer.write_null_section_header();
        for (section, place) in self.sections.iter().zip(places) {
            let flags = match section.kind {
                SectionKind::Code => elf::SHF_ALLOC | elf::SHF_EXECINSTR,
                SectionKind::Data => elf::SHF_ALLOC,
                SectionKind::FileOnly => 0,
            };
            writer.write_section_header(&SectionHeader {
                name: Some(place.name),
                sh_type: elf::SHT_PROGBITS,
                sh_flags: flags.into(),
                sh_addr: 0,
                sh_offset: place.offset as u64,
                sh_size: section.length(),
                sh_link: 0,
                sh_info: 0,
                sh_addralign: section.alignment,
                sh_entsize: 0,
            });
        }
        let symbol_table = writer.symtab_index();
        for (section, place) in self.sections.iter().zip(places) {
            if let Some((name, offset)) = place.relocations {
                let count = section.relocations.len();
                writer.write_relocation_section_header(
                    name,
                    place.index,
                    symbol_table,
                    offset,
                    count,
                    true,
                );
            }
        }
        let is_local = |symbol: &&ObjectSymbol| {
            !matches!(symbol.kind, SymbolKind::Global | SymbolKind::Undefined)
        };
        let local = self.symbols.iter().take_while(is_local).count();
        // Counted with the empty symbol that comes first; the numbers fit, as do the symbols.
        writer.write_symtab_section_header(local as u32 + 1);
        writer.write_strtab_section_header();
        writer.write_shstrtab_section_header();
    }
}

/// The name of the section with the relocations of another.
fn relocations_of(section: &str) -> &'static str {
    match section {
        ".eh_frame" => ".rela.eh_frame",
        ".rodata" => ".rela.rodata",
        ".lisplink" => ".rela.lisplink",
        _ => ".rela",
    }
}
