//! Linked programs: whether the linker put everything where the runtime and the Lisp code need it.
//!
//! A linker may place segments where the runtime is going to reserve memory for the Lisp. Then
//! the runtime moves what would have been there, the code no longer finds it, and the program
//! runs into one memory fault after the other without an end. So every program is looked at.

use object::elf;
use object::endian::LittleEndian;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Object, ObjectSection, SectionKind};
use thiserror::Error;

use crate::core_file::{CoreError, CoreFile, SpaceId};
use crate::split::{CORE_SECTION, LINKAGE_BYTES, LINKAGE_SECTION, TEXT_SECTION};

/// Why a linked program would not run.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// It cannot be read as a program.
    #[error("it is no program for x86-64: {0}")]
    NotAProgram(String),
    /// The core is not in it.
    #[error("it has no section `{CORE_SECTION}`")]
    NoCore,
    /// The core in it cannot be used.
    #[error("the core in it cannot be used: {0}")]
    Core(#[from] CoreError),
    /// The runtime in it refuses the core.
    #[error(
        "its core was saved by the SBCL `{build_id}`, and the runtime that it was linked with is \
         that of another"
    )]
    OtherRuntime {
        /// What the build of the SBCL that saved the core is called.
        build_id: String,
    },
    /// The core is at an offset that the runtime cannot map.
    #[error("its core is at byte {offset} of the file, which is no multiple of a page")]
    Unaligned {
        /// Where it is.
        offset: u64,
    },
    /// A section is not at its address.
    #[error("`{section}` is at {found:#x} and not at {expected:#x}")]
    WrongAddress {
        /// Which section.
        section: &'static str,
        /// Where it is.
        found: u64,
        /// Where it has to be.
        expected: u64,
    },
    /// A segment is in the way.
    #[error(
        "the linker put {start:#x} to {end:#x} of the program where the Lisp has its own memory \
         ({reserved_start:#x} to {reserved_end:#x}); another linker may not"
    )]
    Collision {
        /// First address of the segment.
        start: u64,
        /// Its end.
        end: u64,
        /// First address of what is reserved.
        reserved_start: u64,
        /// Its end.
        reserved_end: u64,
    },
}

/// A program that a core was linked into.
#[derive(Debug)]
pub struct LinkedProgram {
    /// Whether its code is linked; else it is loaded like that of a core.
    pub is_split: bool,
}

impl LinkedProgram {
    /// Checks a program.
    pub fn check(program: &[u8]) -> Result<Self, ProgramError> {
        let unreadable = |error: object::Error| ProgramError::NotAProgram(error.to_string());
        let file = ElfFile64::<LittleEndian>::parse(program).map_err(unreadable)?;
        let header = file.elf_header();
        let (machine, kind) = (header.e_machine(LittleEndian), header.e_type(LittleEndian));
        if machine != elf::EM_X86_64 || !matches!(kind, elf::ET_EXEC | elf::ET_DYN) {
            return Err(ProgramError::NotAProgram(format!("machine {machine}, type {kind}")));
        }
        let section = file.section_by_name(CORE_SECTION).ok_or(ProgramError::NoCore)?;
        let (offset, _) = section.file_range().ok_or(ProgramError::NoCore)?;
        if !offset.is_multiple_of(4096) {
            return Err(ProgramError::Unaligned { offset });
        }
        let core = CoreFile::parse(section.data().map_err(unreadable)?)?;
        if !file.sections().any(|section| has_runtime_of(&section, core.build_id())) {
            let build_id = core.build_id().to_owned();
            return Err(ProgramError::OtherRuntime { build_id });
        }
        let text = core.text()?;
        let linkage = text.address.checked_sub(LINKAGE_BYTES);
        let linkage = linkage.ok_or(CoreError::NoImmobileCode)?;
        let is_split = text.pages == 0;
        if is_split {
            for (name, expected) in [(TEXT_SECTION, text.address), (LINKAGE_SECTION, linkage)] {
                let found = file.section_by_name(name).map_or(0, |section| section.address());
                if found != expected {
                    let section = name;
                    return Err(ProgramError::WrongAddress { section, found, expected });
                }
            }
        }
        let reserved_start = core.space(SpaceId::Static).map_or(linkage, |space| space.address);
        for segment in file.elf_program_headers() {
            let start = segment.p_vaddr(LittleEndian);
            let end = start.saturating_add(segment.p_memsz(LittleEndian));
            let is_loaded = segment.p_type(LittleEndian) == elf::PT_LOAD;
            if is_loaded && start < linkage && end > reserved_start {
                let reserved_end = linkage;
                return Err(ProgramError::Collision { start, end, reserved_start, reserved_end });
            }
        }
        Ok(LinkedProgram { is_split })
    }
}

/// Whether a section has what the runtime compares with the core: the name of its own build.
fn has_runtime_of<'d>(section: &impl ObjectSection<'d>, build_id: &str) -> bool {
    use SectionKind::{Data, ReadOnlyData, ReadOnlyString};
    let is_data = matches!(section.kind(), Data | ReadOnlyData | ReadOnlyString);
    let data = section.data().unwrap_or_default();
    is_data && data.windows(build_id.len().max(1)).any(|window| window == build_id.as_bytes())
}
