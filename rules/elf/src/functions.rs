//! Compiled functions: where the code of each is, and what it is called.
//!
//! The space of the code is a row of objects without gaps. A code object has a head of Lisp
//! words, then the instructions of one or more functions, then the offsets of the entry points.
//! What is called how, the debug information says: a chain of records, one for each function
//! that was compiled separately, each with the offset at which its instructions begin.

use std::ops::Range;

use crate::core_file::{CoreError, CoreFile};
use crate::function_name::NamePrinter;
use crate::heap::{Heap, Value, widetag};
use crate::symbols::Symbols;

/// Bytes of an entry point before its first instruction.
const ENTRY_HEAD: u64 = 16;
/// More functions than this for each kilobyte of code are in no core.
const MAX_FUNCTIONS_PER_KILOBYTE: usize = 64;

/// A function in the space of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// As Lisp prints it.
    pub name: String,
    /// From its first instruction to what comes after it, in bytes from the start of the space.
    pub range: Range<u64>,
}

/// A code object: the instructions of some functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodeObject {
    /// The number that it got when it was made.
    pub(crate) serial: u32,
    /// Its instructions, in bytes from the start of the space.
    pub(crate) range: Range<u64>,
}

/// The functions of a core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    /// In the order of their addresses; those with one name side by side are one.
    pub functions: Vec<Function>,
    /// Where functions are entered by a full call, in the order of addresses: there the caller's
    /// frame is as the call left it, with the return address on top of the stack.
    pub(crate) entries: Vec<u64>,
    /// In the order of their addresses.
    pub(crate) codes: Vec<CodeObject>,
    /// The parts of the space that are in no use.
    pub(crate) unused: Vec<Range<u64>>,
}

impl Functions {
    /// Those of a core.
    pub fn of(core: &CoreFile) -> Result<Self, CoreError> {
        let heap = Heap::of(core)?;
        Self::read(core, &heap, &Symbols::find(core, &heap)?)
    }

    /// The first instruction of a function whose code begins at this offset from the start of the
    /// space: an entry point is aligned, and its head comes before the instructions.
    pub(crate) fn first_instruction(&self, start: u64) -> u64 {
        let next = self.entries.partition_point(|entry| *entry < start);
        let entry = self.entries.get(next).copied();
        entry.filter(|entry| *entry < start + 2 * ENTRY_HEAD).unwrap_or(start)
    }

    pub(crate) fn read(core: &CoreFile, heap: &Heap, symbols: &Symbols) -> Result<Self, CoreError> {
        let text = core.text()?;
        let names = NamePrinter::new(heap, symbols);
        let limit = core.contents(text).len() / 1024 * MAX_FUNCTIONS_PER_KILOBYTE;
        let mut walk = Walk { heap, names, limit, found: Functions::default() };
        let mut address = text.address;
        let end = text.address + text.bytes;
        while address < end {
            let header = heap.word(address).unwrap_or_default();
            let bytes = (header >> 32) * 8;
            let next = address + bytes;
            if bytes == 0 || !bytes.is_multiple_of(16) || next > end {
                let offset = address - text.address;
                let what = format!("the code has an object of {bytes} bytes at {offset:#x}");
                return Err(CoreError::damaged(what));
            }
            let object = address - text.address..next - text.address;
            match header as u8 {
                widetag::CODE => walk.code(text.address, object)?,
                widetag::FILLER => walk.found.unused.push(object.start + 8..object.end),
                other => {
                    let what = format!("an object of type {other:#x} lies between the code");
                    return Err(CoreError::other_version(what));
                }
            }
            address = next;
        }
        Ok(walk.found)
    }
}

struct Walk<'h, 'a> {
    heap: &'h Heap<'a>,
    names: NamePrinter<'h, 'a>,
    limit: usize,
    found: Functions,
}

impl Walk<'_, '_> {
    /// Notes the functions of a code object.
    fn code(&mut self, space: u64, object: Range<u64>) -> Result<(), CoreError> {
        let unknown = |what: &str| {
            CoreError::other_version(format!("{what} of the code at {:#x}", object.start))
        };
        let word = |index: u64| self.heap.word(space + object.start + 8 * index);
        let head = word(1).ok_or_else(|| unknown("the head"))? & 0xFFFF_FFFF;
        let start = object.start + head;
        if start >= object.end {
            return Err(unknown("the length of the head"));
        }
        let debug_info = Value(word(2).ok_or_else(|| unknown("the debug information"))?);
        if let Some((routines, _)) = self.heap.cons(debug_info) {
            return self.routines(start..object.end, routines).ok_or_else(|| unknown("routines"));
        }
        let entries = self.entry_points(space, start..object.end);
        let entries = entries.ok_or_else(|| unknown("the entry points"))?;
        if !self.heap.is_instance(debug_info) {
            // Nobody says what it is called; a trampoline, for example.
            return Ok(());
        }
        // Before the instructions is a table of jumps, in whose first word is the serial number.
        let serial = self.heap.word(space + start).ok_or_else(|| unknown("the table of jumps"))?;
        let serial = (serial >> 32) as u32;
        self.found.codes.push(CodeObject { serial, range: start..object.end });
        let functions = self.debug_functions(debug_info, start..object.end);
        let functions = functions.ok_or_else(|| unknown("the debug information"))?;
        self.add(&functions, &entries, object.end)?;
        self.found.entries.extend(entries);
        Ok(())
    }

    /// The first instructions of the functions that can be called from everywhere.
    fn entry_points(&self, space: u64, code: Range<u64>) -> Option<Vec<u64>> {
        let half = |before_end: u64| {
            let bytes = self.heap.bytes(space + code.end - before_end, 2)?;
            Some(u16::from_le_bytes([bytes[0], bytes[1]]))
        };
        let count = u64::from(half(4)? >> 5);
        if 4 * count + 4 > code.end - code.start {
            return None;
        }
        let mut entries = Vec::new();
        for index in 1..=count {
            let at = space + code.end - 4 - 4 * index;
            let bytes = self.heap.bytes(at, 4)?;
            let offset = u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            let entry = code.start + offset + ENTRY_HEAD;
            let follows = entries.last().is_none_or(|last| last + ENTRY_HEAD <= entry);
            if entry >= code.end || !follows {
                return None;
            }
            entries.push(entry);
        }
        Some(entries)
    }

    /// Where the instructions of each function begin, and its name.
    fn debug_functions(&self, debug_info: Value, code: Range<u64>) -> Option<Vec<(u64, Value)>> {
        const FUNCTION_MAP: u64 = 2;
        const NAME: u64 = 0;
        const LOCATIONS: u64 = 6;
        const NEXT: u64 = 7;
        let mut functions: Vec<(u64, Value)> = Vec::new();
        let mut function = self.heap.slot(debug_info, FUNCTION_MAP)?;
        // Each has at least a byte of instructions, so that a chain that bites its tail ends.
        for _ in code.clone() {
            let name = self.heap.slot(function, NAME)?;
            let locations = self.heap.slot(function, LOCATIONS)?;
            let locations = self.heap.cons(locations).map_or(locations, |(_, rest)| rest);
            let start = code.start.checked_add(first_number(&self.heap.integer(locations)?)?)?;
            if start >= code.end || functions.last().is_some_and(|(last, _)| *last > start) {
                return None;
            }
            functions.push((start, name));
            function = self.heap.slot(function, NEXT)?;
            if !self.heap.is_instance(function) {
                return Some(functions);
            }
        }
        None
    }

    /// Adds functions, of which each ends where the next begins and the last at `end`.
    fn add(
        &mut self,
        functions: &[(u64, Value)],
        entries: &[u64],
        end: u64,
    ) -> Result<(), CoreError> {
        let first = self.found.functions.len();
        for (index, (start, name)) in functions.iter().enumerate() {
            let end = functions.get(index + 1).map_or(end, |(next, _)| *next);
            // An entry point is aligned, and its head comes before the instructions.
            let near = *start..(*start + 2 * ENTRY_HEAD).min(end);
            let entry = entries.iter().find(|entry| near.contains(entry));
            let start = entry.copied().unwrap_or(*start);
            if start >= end {
                continue;
            }
            let is_same = index > 0 && functions[index - 1].1 == *name;
            match self.found.functions[first..].last_mut() {
                Some(last) if is_same => last.range.end = end,
                _ => self.push(self.names.print(*name), start..end)?,
            }
        }
        Ok(())
    }

    /// Notes the routines of the assembler, whose table has the place of each by its name.
    fn routines(&mut self, code: Range<u64>, table: Value) -> Option<()> {
        let mut routines = Vec::new();
        for (name, place) in self.heap.hash_table(table)? {
            let (start, rest) = self.heap.cons(place)?;
            let (last, _) = self.heap.cons(rest)?;
            let start = code.start.checked_add_signed(start.fixnum()?)?;
            let end = code.start.checked_add_signed(last.fixnum()?)?.checked_add(1)?;
            if start < code.start || end > code.end {
                return None;
            }
            // Some are only another name of the one that follows.
            if start < end {
                routines.push((start, end, name));
            }
        }
        routines.sort_by_key(|(start, ..)| *start);
        for (start, end, name) in routines {
            self.push(self.names.print(name), start..end).ok()?;
        }
        Some(())
    }

    fn push(&mut self, name: String, range: Range<u64>) -> Result<(), CoreError> {
        if self.found.functions.len() >= self.limit {
            return Err(CoreError::damaged("it has more functions than code"));
        }
        self.found.functions.push(Function { name, range });
        Ok(())
    }
}

/// The first of the numbers in a row of bytes: seven bits in each, the lowest first.
fn first_number(bytes: &[u8]) -> Option<u64> {
    let mut number = 0;
    for (byte, shift) in bytes.iter().zip((0..35).step_by(7)) {
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
