//! The runtime of a Lisp as an object: whether a program can be linked of it.
//!
//! SBCL installs one (`sbcl.o`) if it was built to. It takes the code that is linked from where
//! `lisp_code_start` is, and the foreign symbols from `alien_linkage_values`; a runtime that asks
//! for neither looks for everything in a core.

use object::elf;
use object::endian::LittleEndian;
use object::read::elf::{ElfFile64, FileHeader};
use object::{Object, ObjectSymbol};
use thiserror::Error;

/// Why no program can be linked of a runtime.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RuntimeError {
    /// It is something else.
    #[error("it is no object for x86-64: {0}")]
    NotAnObject(String),
    /// It does not ask for what the linker would give it.
    #[error(
        "its SBCL was built without immobile code, or is older than 2.2.9: it does not refer to `{0}`"
    )]
    LooksElsewhere(&'static str),
    /// It is a library, but no program.
    #[error("it does not define `main`")]
    NoMain,
}

/// Checks the object of a runtime.
pub fn check_runtime(object: &[u8]) -> Result<(), RuntimeError> {
    let unreadable = |error: object::Error| RuntimeError::NotAnObject(error.to_string());
    let file = ElfFile64::<LittleEndian>::parse(object).map_err(unreadable)?;
    let header = file.elf_header();
    let (machine, kind) = (header.e_machine(LittleEndian), header.e_type(LittleEndian));
    if machine != elf::EM_X86_64 || kind != elf::ET_REL {
        return Err(RuntimeError::NotAnObject(format!("machine {machine}, type {kind}")));
    }
    for name in ["lisp_code_start", "lisp_code_end", "lisp_jit_code", "alien_linkage_values"] {
        let is_it = |symbol: &object::read::elf::ElfSymbol64<'_, '_, LittleEndian>| {
            symbol.name() == Ok(name) && symbol.is_undefined()
        };
        if !file.symbols().any(|symbol| is_it(&symbol)) {
            return Err(RuntimeError::LooksElsewhere(name));
        }
    }
    let is_main = |symbol: object::read::elf::ElfSymbol64<'_, '_, LittleEndian>| {
        symbol.name() == Ok("main") && symbol.is_definition()
    };
    if file.symbols().any(is_main) { Ok(()) } else { Err(RuntimeError::NoMain) }
}
