//! Program files: what a file says of the interpreter and the libraries that it needs to run.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef, StringTable};
use thiserror::Error;

/// Why a file could not be understood.
#[derive(Debug, Error)]
pub enum ProgramFileError {
    /// It could not be read.
    #[error("cannot read `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        reason: String,
    },
    /// It says that it is an ELF file but is not a whole one.
    #[error("`{path}` is a damaged ELF file: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What the loader has to know of an ELF file.
#[derive(Debug, Default)]
pub struct ElfObject {
    /// Class, byte order and machine: libraries of another kind are passed over.
    pub kind: (u8, u8, u16),
    /// The program that loads it.
    pub interpreter: Option<PathBuf>,
    /// The name that it has as a library.
    pub soname: Option<String>,
    /// The names of the libraries that it needs.
    pub needed: Vec<String>,
    /// Where they are looked for, for its own and for those of libraries.
    pub rpath: Vec<String>,
    /// Where they are looked for, for its own alone.
    pub runpath: Vec<String>,
}

/// What kind of program a file is.
#[derive(Debug)]
pub enum ProgramFile {
    /// One for the processor.
    Elf(ElfObject),
    /// One for another program.
    Script {
        /// That program.
        interpreter: PathBuf,
    },
    /// None.
    Other,
}

/// The kernel looks at no more of a file for `#!`.
const SCRIPT_LINE: usize = 256;

const BAD_STRING: &str = "a name lies outside of its table";

impl ProgramFile {
    /// What the file at `path` says.
    pub fn read(path: &Path) -> Result<ProgramFile, ProgramFileError> {
        let unreadable = |error: std::io::Error| ProgramFileError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut start = Vec::with_capacity(SCRIPT_LINE);
        file.by_ref().take(SCRIPT_LINE as u64).read_to_end(&mut start).map_err(unreadable)?;
        if let Some(interpreter) = script_interpreter(&start) {
            return Ok(ProgramFile::Script { interpreter: PathBuf::from(interpreter) });
        }
        if !start.starts_with(&elf::ELFMAG) {
            return Ok(ProgramFile::Other);
        }
        // Parts are read as they are asked for: a program may carry a core of a hundred megabytes.
        let cache = ReadCache::new(file);
        let object = match start.get(4) {
            Some(&elf::ELFCLASS32) => parse::<elf::FileHeader32<Endianness>, _>(&cache),
            _ => parse::<elf::FileHeader64<Endianness>, _>(&cache),
        };
        object
            .map(ProgramFile::Elf)
            .map_err(|reason| ProgramFileError::Damaged { path: path.to_owned(), reason })
    }
}

/// The program after `#!` in the first line of a script; `start` is how the file begins.
pub fn script_interpreter(start: &[u8]) -> Option<String> {
    let line = start.get(..SCRIPT_LINE).unwrap_or(start).strip_prefix(b"#!")?;
    let line = String::from_utf8_lossy(line.split(|&byte| byte == b'\n').next()?);
    line.split_whitespace().next().map(str::to_owned)
}

fn parse<'data, Elf, R>(data: R) -> Result<ElfObject, String>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let damaged = |error: object::Error| error.to_string();
    let header = Elf::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let segments = header.program_headers(endian, data).map_err(damaged)?;
    let ident = header.e_ident();
    let mut object = ElfObject {
        kind: (ident.class, ident.data, header.e_machine(endian)),
        ..ElfObject::default()
    };
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(endian, data).map_err(damaged)? {
            object.interpreter = Some(PathBuf::from(text(interpreter)));
        }
    }
    for segment in segments {
        let Some(entries) = segment.dynamic(endian, data).map_err(damaged)? else { continue };
        let value = |tag: u32| {
            let entry = entries.iter().find(|entry| entry.tag32(endian) == Some(tag));
            entry.map(|entry| -> u64 { entry.d_val(endian).into() })
        };
        let (Some(address), Some(size)) = (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) else {
            continue;
        };
        let strings = string_table::<Elf, R>(segments, endian, data, address, size);
        for entry in entries {
            let string = || {
                let offset: u64 = entry.d_val(endian).into();
                let offset = u32::try_from(offset).unwrap_or(u32::MAX);
                strings.get(offset).map(text).map_err(|()| BAD_STRING)
            };
            match entry.tag32(endian) {
                Some(elf::DT_NULL) => break,
                Some(elf::DT_NEEDED) => object.needed.push(string()?),
                Some(elf::DT_SONAME) => object.soname = Some(string()?),
                Some(elf::DT_RPATH) => object.rpath = search_path(&string()?),
                Some(elf::DT_RUNPATH) => object.runpath = search_path(&string()?),
                _ => {}
            }
        }
    }
    Ok(object)
}

/// The dynamic string table, found by its address, since a stripped file has no sections.
fn string_table<'data, Elf, R>(
    segments: &[Elf::ProgramHeader],
    endian: Endianness,
    data: R,
    address: u64,
    size: u64,
) -> StringTable<'data, R>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    for segment in segments {
        let start: u64 = segment.p_vaddr(endian).into();
        let (offset, length) = segment.file_range(endian);
        if segment.p_type(endian) == elf::PT_LOAD && address >= start && address - start < length {
            let start = offset + (address - start);
            return StringTable::new(data, start, start.saturating_add(size));
        }
    }
    StringTable::default()
}

fn search_path(text: &str) -> Vec<String> {
    text.split(':').filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_of_a_script_is_the_first_word() {
        for (start, interpreter) in [
            ("#!/bin/sh\nexit", Some("/bin/sh")),
            ("#! /usr/bin/env  sbcl --script\n", Some("/usr/bin/env")),
            ("#!\n/bin/sh", None),
            ("/bin/sh", None),
        ] {
            assert_eq!(script_interpreter(start.as_bytes()).as_deref(), interpreter, "{start}");
        }
    }
}
