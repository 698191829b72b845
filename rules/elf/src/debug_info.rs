//! Debug information: which instructions are of which source line, in the manner of DWARF 4.
//!
//! Debuggers want a *unit* for each source file, with the functions in it, the ranges of
//! instructions that are of it, and a program that makes a table of lines for these. Lisp code has
//! its address before it is linked, so the linker has nothing to fill in.
//!
//! The directory of a unit is `.`: whoever debugs in the workspace sees the sources, and the bytes
//! are the same wherever they are made.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::functions::Functions;
use crate::source_lines::{Row, SourceLines};

const DW_TAG_COMPILE_UNIT: u8 = 0x11;
const DW_TAG_SUBPROGRAM: u8 = 0x2E;

const DW_AT_NAME: u8 = 0x03;
const DW_AT_STMT_LIST: u8 = 0x10;
const DW_AT_LOW_PC: u8 = 0x11;
const DW_AT_HIGH_PC: u8 = 0x12;
const DW_AT_LANGUAGE: u8 = 0x13;
const DW_AT_COMP_DIR: u8 = 0x1B;
const DW_AT_PRODUCER: u8 = 0x25;
const DW_AT_DECL_FILE: u8 = 0x3A;
const DW_AT_DECL_LINE: u8 = 0x3B;
const DW_AT_RANGES: u8 = 0x55;

const DW_FORM_ADDR: u8 = 0x01;
const DW_FORM_DATA2: u8 = 0x05;
const DW_FORM_DATA8: u8 = 0x07;
const DW_FORM_STRING: u8 = 0x08;
const DW_FORM_UDATA: u8 = 0x0F;
const DW_FORM_SEC_OFFSET: u8 = 0x17;

/// Debuggers know no Lisp; in C a name is what it says.
const DW_LANG_C99: u16 = 0x0C;

const DW_LNS_COPY: u8 = 1;
const DW_LNS_ADVANCE_PC: u8 = 2;
const DW_LNS_ADVANCE_LINE: u8 = 3;
const DW_LNE_END_SEQUENCE: u8 = 1;
const DW_LNE_SET_ADDRESS: u8 = 2;
/// How many operands each of the standard instructions has.
const OPERANDS: [u8; 12] = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];

const VERSION: u16 = 4;
const ADDRESS_BYTES: u8 = 8;

/// `mov [rsp], rbp; mov rbp, rsp`: the frame of a function that is about to be called.
const NEW_FRAME: [u8; 7] = [0x48, 0x89, 0x2C, 0x24, 0x48, 0x8B, 0xEC];
/// What may come between that and the call: a look whether the Lisp's own debugger steps.
const STEPPING: [u8; 9] = [0x41, 0x80, 0x7D, 0x08, 0x00, 0x74, 0x02, 0xCC, 0x0D];

/// The contents of the sections.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DebugInfo {
    /// `.debug_abbrev`
    pub(crate) abbreviations: Vec<u8>,
    /// `.debug_info`
    pub(crate) units: Vec<u8>,
    /// `.debug_line`
    pub(crate) lines: Vec<u8>,
    /// `.debug_ranges`
    pub(crate) ranges: Vec<u8>,
}

/// Instructions of one source file, one after the other.
struct Piece {
    addresses: Range<u64>,
    /// Address and line, in order; the first address is where the piece begins.
    rows: Vec<(u64, u32)>,
}

/// A function of a source file.
struct SourceFunction<'n> {
    name: &'n str,
    addresses: Range<u64>,
    line: u32,
}

/// What is of one source file.
#[derive(Default)]
struct Unit<'n> {
    pieces: Vec<Piece>,
    functions: Vec<SourceFunction<'n>>,
}

impl DebugInfo {
    /// The debug information of code that starts at `text_address`, with these names of functions.
    /// `code` are the instructions.
    pub(crate) fn new(
        lines: &SourceLines,
        functions: &Functions,
        names: &[Cow<str>],
        text_address: u64,
        code: &[u8],
    ) -> Self {
        let units = units(lines, functions, names, text_address, code);
        let mut info = DebugInfo { abbreviations: abbreviations(), ..DebugInfo::default() };
        for (path, unit) in lines.files.iter().zip(&units) {
            if !unit.pieces.is_empty() {
                info.add(path, unit);
            }
        }
        info
    }

    fn add(&mut self, path: &str, unit: &Unit) {
        let (lines, ranges) = (self.lines.len(), self.ranges.len());
        let mut body = Vec::new();
        body.extend(VERSION.to_le_bytes());
        // All units have the same abbreviations.
        body.extend(0u32.to_le_bytes());
        body.push(ADDRESS_BYTES);
        body.push(1);
        text(&mut body, "rbz");
        body.extend(DW_LANG_C99.to_le_bytes());
        text(&mut body, path);
        text(&mut body, ".");
        body.extend(0u64.to_le_bytes());
        // The sections are far below 4 GiB: their parts are of a core that is.
        body.extend((ranges as u32).to_le_bytes());
        body.extend((lines as u32).to_le_bytes());
        for function in &unit.functions {
            body.push(2);
            text(&mut body, function.name);
            body.extend(function.addresses.start.to_le_bytes());
            body.extend((function.addresses.end - function.addresses.start).to_le_bytes());
            unsigned(&mut body, 1);
            unsigned(&mut body, function.line.into());
        }
        body.push(0);
        record(&mut self.units, &body);

        for piece in &unit.pieces {
            self.ranges.extend(piece.addresses.start.to_le_bytes());
            self.ranges.extend(piece.addresses.end.to_le_bytes());
        }
        self.ranges.extend([0; 16]);
        record(&mut self.lines, &line_program(path, &unit.pieces));
    }
}

/// What is of each file, in the order of addresses.
fn units<'n>(
    lines: &SourceLines,
    functions: &Functions,
    names: &'n [Cow<str>],
    text_address: u64,
    code: &[u8],
) -> Vec<Unit<'n>> {
    let mut units: Vec<Unit> = lines.files.iter().map(|_| Unit::default()).collect();
    // Code that was collected as garbage is no longer there.
    let serials: HashMap<u32, &Range<u64>> =
        functions.codes.iter().map(|code| (code.serial, &code.range)).collect();
    let mut codes: Vec<_> = lines
        .codes
        .iter()
        .filter_map(|code| serials.get(&code.serial).map(|range| (*range, &code.rows)))
        .collect();
    codes.sort_by_key(|(range, _)| range.start);
    for (range, rows) in codes {
        let rows = rows.iter().filter_map(|row| {
            let start = range.start.checked_add(row.offset)?;
            let place = match row.is_function {
                true => functions.first_instruction(start),
                false => before_new_frame(code, start),
            };
            (place < range.end).then_some((place, row))
        });
        let mut last: Option<u64> = None;
        for (start, row) in rows {
            // The first instruction of a function is behind what its row says, if at all.
            if last.is_some_and(|last| last >= start) {
                continue;
            }
            let is_new = last.is_none();
            last = Some(start);
            add_row(&mut units, row, text_address + start, is_new);
            if row.is_function {
                let number = functions.functions.binary_search_by_key(&start, |f| f.range.start);
                units[row.file].functions.extend(number.ok().map(|number| SourceFunction {
                    name: &names[number],
                    addresses: text_address + start
                        ..text_address + functions.functions[number].range.end,
                    line: row.line,
                }));
            }
        }
        // What is open ends with the code.
        for unit in &mut units {
            if let Some(piece) = unit.pieces.last_mut()
                && piece.addresses.end == OPEN
            {
                piece.addresses.end = text_address + range.end;
            }
        }
    }
    units
}

/// Where a line begins whose call is at this place: a debugger that stopped after the frame of the
/// called function was made would take it for the frame that it is in.
fn before_new_frame(code: &[u8], call: u64) -> u64 {
    // A core is in memory, so its offsets fit.
    let before = code.get(..call as usize).unwrap_or_default();
    let before = before.strip_suffix(&STEPPING).unwrap_or(before);
    before.strip_suffix(&NEW_FRAME).map_or(call, |before| before.len() as u64)
}

/// The end of a piece that is not known yet.
const OPEN: u64 = u64::MAX;

/// Adds a row to the open piece of its file, or begins one there and ends that of another file.
fn add_row(units: &mut [Unit], row: &Row, address: u64, is_new: bool) {
    let open = units
        .iter()
        .position(|unit| unit.pieces.last().is_some_and(|piece| piece.addresses.end == OPEN));
    if !is_new && open == Some(row.file) {
        if let Some(piece) = units[row.file].pieces.last_mut() {
            piece.rows.push((address, row.line));
        }
        return;
    }
    if let Some(piece) = open.and_then(|open| units[open].pieces.last_mut()) {
        piece.addresses.end = address;
    }
    let rows = vec![(address, row.line)];
    units[row.file].pieces.push(Piece { addresses: address..OPEN, rows });
}

/// What the records of a unit and of a function consist of.
fn abbreviations() -> Vec<u8> {
    let has_children = 1;
    let mut bytes = vec![1, DW_TAG_COMPILE_UNIT, has_children];
    for (attribute, form) in [
        (DW_AT_PRODUCER, DW_FORM_STRING),
        (DW_AT_LANGUAGE, DW_FORM_DATA2),
        (DW_AT_NAME, DW_FORM_STRING),
        (DW_AT_COMP_DIR, DW_FORM_STRING),
        (DW_AT_LOW_PC, DW_FORM_ADDR),
        (DW_AT_RANGES, DW_FORM_SEC_OFFSET),
        (DW_AT_STMT_LIST, DW_FORM_SEC_OFFSET),
        (0, 0),
    ] {
        bytes.extend([attribute, form]);
    }
    bytes.extend([2, DW_TAG_SUBPROGRAM, 0]);
    for (attribute, form) in [
        (DW_AT_NAME, DW_FORM_STRING),
        (DW_AT_LOW_PC, DW_FORM_ADDR),
        (DW_AT_HIGH_PC, DW_FORM_DATA8),
        (DW_AT_DECL_FILE, DW_FORM_UDATA),
        (DW_AT_DECL_LINE, DW_FORM_UDATA),
        (0, 0),
    ] {
        bytes.extend([attribute, form]);
    }
    bytes.push(0);
    bytes
}

/// The program that makes the table of lines of one file.
fn line_program(path: &str, pieces: &[Piece]) -> Vec<u8> {
    let mut header = Vec::new();
    // Bytes and operations of the shortest instruction; whether a row is a place to stop at.
    header.extend([1, 1, 1]);
    // Instructions that advance address and line at once are not used: line base, line range.
    header.extend([0, 1, OPERANDS.len() as u8 + 1]);
    header.extend(OPERANDS);
    // No directories but that of the unit, then one file.
    header.push(0);
    text(&mut header, path);
    header.extend([0, 0, 0, 0]);

    let mut program = VERSION.to_le_bytes().to_vec();
    program.extend((header.len() as u32).to_le_bytes());
    program.extend(header);
    for piece in pieces {
        program.extend([0, 1 + ADDRESS_BYTES, DW_LNE_SET_ADDRESS]);
        program.extend(piece.addresses.start.to_le_bytes());
        let (mut at, mut current) = (piece.addresses.start, 1i64);
        for (address, line) in &piece.rows {
            program.push(DW_LNS_ADVANCE_PC);
            unsigned(&mut program, address - at);
            program.push(DW_LNS_ADVANCE_LINE);
            signed(&mut program, i64::from(*line) - current);
            program.push(DW_LNS_COPY);
            (at, current) = (*address, i64::from(*line));
        }
        program.push(DW_LNS_ADVANCE_PC);
        unsigned(&mut program, piece.addresses.end - at);
        program.extend([0, 1, DW_LNE_END_SEQUENCE]);
    }
    program
}

/// Adds a record after its length.
fn record(section: &mut Vec<u8>, body: &[u8]) {
    section.extend((body.len() as u32).to_le_bytes());
    section.extend(body);
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

/// Seven bits in each byte, the lowest first.
fn unsigned(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The same for numbers with a sign, which is the highest bit that is written.
fn signed(bytes: &mut Vec<u8>, mut number: i64) {
    while !(-0x40..0x40).contains(&number) {
        bytes.push(number as u8 & 0x7F | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8 & 0x7F);
}

#[cfg(test)]
mod tests {
    use super::{NEW_FRAME, STEPPING, before_new_frame, signed, unsigned};

    #[test]
    fn a_line_begins_before_the_frame_of_what_it_calls() {
        let code = [&[0x90; 5][..], &NEW_FRAME, &STEPPING].concat();
        assert_eq!(before_new_frame(&code, 12), 5);
        assert_eq!(before_new_frame(&code, 21), 5);
        assert_eq!(before_new_frame(&code, 11), 11);
        assert_eq!(before_new_frame(&code, 99), 99);
    }

    #[test]
    fn numbers_have_as_many_bytes_as_they_need() {
        for (number, expected) in
            [(0, &[0][..]), (127, &[0x7F]), (128, &[0x80, 1]), (300, &[0xAC, 2])]
        {
            let mut bytes = Vec::new();
            unsigned(&mut bytes, number);
            assert_eq!(bytes, expected);
        }
        for (number, expected) in
            [(2, &[2][..]), (-2, &[0x7E]), (63, &[63]), (64, &[0xC0, 0]), (-129, &[0xFF, 0x7E])]
        {
            let mut bytes = Vec::new();
            signed(&mut bytes, number);
            assert_eq!(bytes, expected);
        }
    }
}
