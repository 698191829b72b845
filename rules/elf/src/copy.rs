//! Copying a core: all of it as data, for programs that save themselves again.
//!
//! The runtime loads the code from its own file as it does from a core, and looks the foreign
//! symbols up by name. So these have to be in the program, and in its dynamic symbol table.

use std::io;

use crate::aliens::Aliens;
use crate::core_file::CoreFile;
use crate::object_file::{ObjectFile, ObjectSymbol, Piece, Section, SectionKind, SymbolKind};
use crate::split::{CORE_SECTION, SplitError};

/// A core that was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The foreign symbols that have to be linked.
    pub aliens: Aliens,
}

impl Copied {
    /// The symbols that have to be dynamic, as the linker's `--dynamic-list` wants it.
    pub fn dynamic_list(&self) -> String {
        let names = self.aliens.names();
        let lines: String = names.iter().map(|name| format!("  {name};\n")).collect();
        format!("{{\n{lines}}};\n")
    }

    /// What to tell the compiler that links the object; the list is in the file of this name.
    pub fn linker_options(&self, dynamic_list: &str) -> Vec<String> {
        vec![
            "-no-pie".to_owned(),
            "-Wl,-z,relro".to_owned(),
            format!("-Wl,--dynamic-list={dynamic_list}"),
        ]
    }
}

/// Writes the object of a core.
pub fn copy(core: &CoreFile, out: impl io::Write) -> Result<Copied, SplitError> {
    let aliens = Aliens::of(core)?;
    let names = aliens.names();
    let undefined = names.iter().map(|name| ObjectSymbol {
        name,
        kind: SymbolKind::Undefined,
        section: 0,
        offset: 0,
        length: 0,
    });
    let section = |name, alignment, contents| Section {
        name,
        kind: SectionKind::FileOnly,
        alignment,
        contents,
        relocations: Vec::new(),
    };
    let object = ObjectFile {
        sections: vec![
            // The runtime maps it, which needs an offset that is a multiple of a page.
            section(CORE_SECTION, 4096, vec![Piece::Bytes(core.bytes())]),
            section(".note.GNU-stack", 1, Vec::new()),
        ],
        symbols: undefined.collect(),
    };
    object.write(out)?;
    Ok(Copied { aliens })
}
