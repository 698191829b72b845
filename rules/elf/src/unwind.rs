//! Unwind information: how debuggers and profilers get from a Lisp frame to its caller's.
//!
//! In Lisp code `rbp` points to the frame: the caller's `rbp` is there, the return address above
//! it. Only a function that was just entered by a full call has its return address on top of the
//! stack; its first instruction, `pop [rbp+8]`, moves it to its place. So it is, too, in the jump by
//! which a name leads to its function, among the objects that do not move. This is all that has to
//! be said, in the manner of `.eh_frame`.

use std::ops::Range;

use crate::callbacks::Callback;

/// Registers by their DWARF numbers; the last stands for the return address.
const RBP: u8 = 6;
const RSP: u8 = 7;
const RETURN_ADDRESS: u8 = 16;

const DW_CFA_ADVANCE_LOC: u8 = 0x40;
const DW_CFA_OFFSET: u8 = 0x80;
const DW_CFA_ADVANCE_LOC1: u8 = 0x02;
const DW_CFA_ADVANCE_LOC2: u8 = 0x03;
const DW_CFA_ADVANCE_LOC4: u8 = 0x04;
const DW_CFA_DEF_CFA: u8 = 0x0C;
const DW_CFA_EXPRESSION: u8 = 0x10;
const DW_OP_BREG0: u8 = 0x70;
/// Addresses are 32 bits wide and relative to where they stand.
const DW_EH_PE_PCREL_SDATA4: u8 = 0x1B;

/// Bytes of the first instruction of a function that is entered by a full call.
const FIRST_INSTRUCTION: u64 = 3;
/// An unwinder reads a description from its start; so none is for much more code than this.
const BYTES_OF_CODE: u64 = 16 * 1024;

/// What says that the return address is on top of the stack.
const RETURN_ADDRESS_ON_TOP: [u8; 5] = [DW_CFA_EXPRESSION, RETURN_ADDRESS, 2, DW_OP_BREG0 + RSP, 0];

/// A place whose address the linker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// So many bytes after the start of the code.
    Code(u64),
    /// This address.
    Fixed(u64),
    /// The callback with this number.
    Callback(usize),
}

/// Descriptions of frames.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnwindTable {
    /// The contents of `.eh_frame`.
    pub(crate) bytes: Vec<u8>,
    /// Where the distance to a place has to be filled in, and to which.
    pub(crate) distances: Vec<(u64, Place)>,
}

impl UnwindTable {
    /// The table for so many bytes of code with these entry points, in the order of addresses,
    /// for names at these addresses, and for callbacks.
    pub(crate) fn new(
        length: u64,
        entries: &[u64],
        names: Range<u64>,
        callbacks: &[Callback],
    ) -> Self {
        let mut table = UnwindTable { bytes: Vec::new(), distances: Vec::new() };
        table.common();
        let mut start = 0;
        let mut entries = entries;
        while start < length {
            // A description ends at an entry point, so that none is in the midst of a function.
            let next = entries.partition_point(|entry| *entry < start + BYTES_OF_CODE);
            let end = entries.get(next).copied().unwrap_or(length);
            table.description(start..end, &entries[..next]);
            entries = &entries[next..];
            start = end;
        }
        let mut body = table.head(Place::Fixed(names.start), names.end - names.start);
        body.extend(RETURN_ADDRESS_ON_TOP);
        table.record(body);
        for (number, callback) in callbacks.iter().enumerate() {
            let mut body = table.head(Place::Callback(number), callback.length);
            body.push(DW_CFA_DEF_CFA);
            number_of_any_size(&mut body, RBP.into());
            number_of_any_size(&mut body, callback.arguments + 16);
            body.push(DW_CFA_OFFSET | RBP);
            number_of_any_size(&mut body, (callback.arguments + 16) / 8);
            table.record(body);
        }
        table
    }

    /// What all descriptions have in common: the frame of a Lisp function.
    fn common(&mut self) {
        let mut body = 0u32.to_le_bytes().to_vec();
        body.push(1);
        body.extend(b"zR\0");
        let (code_unit, data_unit) = (1, 0x78); // data is counted in steps of -8
        body.extend([code_unit, data_unit, RETURN_ADDRESS]);
        body.extend([1, DW_EH_PE_PCREL_SDATA4]);
        body.extend([DW_CFA_DEF_CFA, RBP, 16]);
        body.extend([DW_CFA_OFFSET | RBP, 2, DW_CFA_OFFSET | RETURN_ADDRESS, 1]);
        self.record(body);
    }

    fn description(&mut self, code: Range<u64>, entries: &[u64]) {
        let mut body = self.head(Place::Code(code.start), code.end - code.start);
        let mut at = code.start;
        for entry in entries {
            advance(&mut body, *entry - at);
            body.extend(RETURN_ADDRESS_ON_TOP);
            advance(&mut body, FIRST_INSTRUCTION);
            body.extend([DW_CFA_OFFSET | RETURN_ADDRESS, 1]);
            at = *entry + FIRST_INSTRUCTION;
        }
        self.record(body);
    }

    /// The beginning of the description of so many bytes of code.
    fn head(&mut self, place: Place, length: u64) -> Vec<u8> {
        let here = self.bytes.len() as u64 + 4;
        self.distances.push((here + 4, place));
        // The offsets fit: no more code than 4 GiB is in a core.
        let mut body = (here as u32).to_le_bytes().to_vec();
        body.extend(0u32.to_le_bytes());
        body.extend((length as u32).to_le_bytes());
        body.push(0);
        body
    }

    /// Adds a record with its length; the rest up to the next word does nothing.
    fn record(&mut self, mut body: Vec<u8>) {
        body.resize((body.len() + 4).next_multiple_of(8) - 4, 0);
        self.bytes.extend((body.len() as u32).to_le_bytes());
        self.bytes.extend(body);
    }
}

/// Seven bits in each byte, the lowest first.
fn number_of_any_size(body: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        body.push(number as u8 | 0x80);
        number >>= 7;
    }
    body.push(number as u8);
}

/// Goes on by so many bytes of code.
fn advance(body: &mut Vec<u8>, bytes: u64) {
    match bytes {
        0 => {}
        1..0x40 => body.push(DW_CFA_ADVANCE_LOC | bytes as u8),
        0x40..0x100 => body.extend([DW_CFA_ADVANCE_LOC1, bytes as u8]),
        0x100..0x1_0000 => {
            body.push(DW_CFA_ADVANCE_LOC2);
            body.extend((bytes as u16).to_le_bytes());
        }
        _ => {
            body.push(DW_CFA_ADVANCE_LOC4);
            body.extend((bytes as u32).to_le_bytes());
        }
    }
}
