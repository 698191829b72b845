//! The heap of a core: the objects of a Lisp, found by their addresses.
//!
//! Nothing that is read here is trusted. Every access yields `None` when it is not what was
//! asked for, or lies outside of the core; who asks decides whether that is an error.
//!
//! The low four bits of a word say what it points to; an even word is a small integer. The first
//! word of most objects has their type in its lowest byte.

use std::borrow::Cow;

use crate::core_file::{CoreError, CoreFile, SpaceId};

const TAG_MASK: u64 = 15;
const TAG_INSTANCE: u64 = 3;
const TAG_LIST: u64 = 7;
const TAG_OTHER: u64 = 15;

/// The type in an object's first word.
pub(crate) mod widetag {
    pub(crate) const BIGNUM: u8 = 0x11;
    pub(crate) const SYMBOL: u8 = 0x2D;
    pub(crate) const CODE: u8 = 0x35;
    pub(crate) const INSTANCE: u8 = 0x39;
    pub(crate) const CHARACTER: u8 = 0x51;
    pub(crate) const FILLER: u8 = 0x6D;
    pub(crate) const SIMPLE_VECTOR: u8 = 0x89;
    pub(crate) const FIXNUM_VECTOR: u8 = 0xC9;
    pub(crate) const BASE_STRING: u8 = 0xE1;
    pub(crate) const CHARACTER_STRING: u8 = 0xE5;
}

/// Where `nil` is, counted from the start of the static space.
const NIL_OFFSET: u64 = 0x117;
/// No name or text that is needed is longer.
const MAX_STRING: u64 = 1 << 16;
/// In a symbol, the bits of the word that points to the name; the others say the package.
const NAME_BITS: u32 = 48;

/// A word of Lisp: a small integer, a character, or a pointer to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Value(pub(crate) u64);

impl Value {
    /// The small integer that it is.
    pub(crate) fn fixnum(self) -> Option<i64> {
        // The same bits as a signed number.
        self.0.is_multiple_of(2).then_some((self.0 as i64) >> 1)
    }

    /// The character that it is.
    pub(crate) fn character(self) -> Option<char> {
        let is_character = self.0 & 0xFF == u64::from(widetag::CHARACTER);
        is_character.then(|| char::from_u32((self.0 >> 8) as u32)).flatten()
    }

    /// Where the object starts, if it is a pointer with this tag.
    fn address(self, tag: u64) -> Option<u64> {
        (self.0 & TAG_MASK == tag).then_some(self.0 & !TAG_MASK)
    }
}

/// A symbol of the heap.
#[derive(Clone, Debug)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: Cow<'a, str>,
    /// The number of its home package; 0: none.
    pub(crate) package: u16,
    pub(crate) value: Value,
}

/// The objects of a core.
#[derive(Clone, Debug)]
pub(crate) struct Heap<'a> {
    /// Address and contents of each space.
    spaces: Vec<(u64, &'a [u8])>,
    nil: Value,
}

impl<'a> Heap<'a> {
    /// The heap of a core, in which `nil` is where it has to be.
    pub(crate) fn of(core: &CoreFile<'a>) -> Result<Self, CoreError> {
        let spaces = core.spaces().iter();
        let spaces = spaces.map(|space| (space.address, core.contents(space))).collect();
        let nil = core.space(SpaceId::Static).map(|space| space.address + NIL_OFFSET);
        let heap = Heap { spaces, nil: Value(nil.unwrap_or_default()) };
        match heap.cons(heap.nil) {
            Some((_, rest)) if rest == heap.nil => Ok(heap),
            _ => Err(CoreError::other_version("`nil` is not where it is known to be")),
        }
    }

    pub(crate) fn nil(&self) -> Value {
        self.nil
    }

    /// So many bytes of memory.
    pub(crate) fn bytes(&self, address: u64, length: u64) -> Option<&'a [u8]> {
        for (start, contents) in &self.spaces {
            let Some(offset) = address.checked_sub(*start) else { continue };
            if offset < contents.len() as u64 {
                let (offset, length) = (offset as usize, usize::try_from(length).ok()?);
                return contents.get(offset..offset.checked_add(length)?);
            }
        }
        None
    }

    /// A word of memory.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let bytes = self.bytes(address, 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The first and the rest of a cons, or of `nil`.
    pub(crate) fn cons(&self, value: Value) -> Option<(Value, Value)> {
        let address = value.address(TAG_LIST)?;
        Some((Value(self.word(address)?), Value(self.word(address.checked_add(8)?)?)))
    }

    /// The word of a structure after its first, by number.
    pub(crate) fn slot(&self, instance: Value, slot: u64) -> Option<Value> {
        let address = instance.address(TAG_INSTANCE)?;
        if self.word(address)? as u8 != widetag::INSTANCE {
            return None;
        }
        Some(Value(self.word(address.checked_add(8 * (slot + 1))?)?))
    }

    /// Whether it points to a structure; the structure may not be there.
    pub(crate) fn is_instance(&self, value: Value) -> bool {
        value.address(TAG_INSTANCE).is_some()
    }

    /// The symbol.
    pub(crate) fn symbol(&self, value: Value) -> Option<Symbol<'a>> {
        self.symbol_at(value.address(TAG_OTHER)?)
    }

    /// The symbol that starts at this address.
    pub(crate) fn symbol_at(&self, address: u64) -> Option<Symbol<'a>> {
        let bytes = self.bytes(address, 48)?;
        let word = |index: usize| {
            let bytes = &bytes[8 * index..8 * index + 8];
            u64::from_le_bytes([
                bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7],
            ])
        };
        if word(0) as u8 != widetag::SYMBOL {
            return None;
        }
        let name = word(5);
        Some(Symbol {
            name: self.string(Value(name & ((1 << NAME_BITS) - 1)))?,
            package: (name >> NAME_BITS) as u16,
            value: Value(word(2)),
        })
    }

    /// The text of a simple string.
    pub(crate) fn string(&self, value: Value) -> Option<Cow<'a, str>> {
        let address = value.address(TAG_OTHER)?;
        let length = u64::try_from(Value(self.word(address.checked_add(8)?)?).fixnum()?).ok()?;
        if length > MAX_STRING {
            return None;
        }
        let data = address.checked_add(16)?;
        match self.word(address)? as u8 {
            widetag::BASE_STRING => {
                std::str::from_utf8(self.bytes(data, length)?).ok().map(Cow::Borrowed)
            }
            widetag::CHARACTER_STRING => {
                let codes = self.bytes(data, 4 * length)?.chunks_exact(4);
                let codes =
                    codes.map(|code| u32::from_le_bytes([code[0], code[1], code[2], code[3]]));
                codes.map(char::from_u32).collect::<Option<String>>().map(Cow::Owned)
            }
            _ => None,
        }
    }

    /// The elements of a simple vector.
    pub(crate) fn vector(&self, value: Value) -> Option<impl Iterator<Item = Value> + use<'a>> {
        let address = value.address(TAG_OTHER)?;
        if self.word(address)? as u8 != widetag::SIMPLE_VECTOR {
            return None;
        }
        let length = u64::try_from(Value(self.word(address.checked_add(8)?)?).fixnum()?).ok()?;
        let data = self.bytes(address.checked_add(16)?, length.checked_mul(8)?)?;
        Some(data.chunks_exact(8).map(|word| {
            Value(u64::from_le_bytes([
                word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7],
            ]))
        }))
    }

    /// The lowest bytes of an integer that is not negative, the least first.
    pub(crate) fn integer(&self, value: Value) -> Option<Cow<'a, [u8]>> {
        if let Some(number) = value.fixnum() {
            return Some(Cow::Owned(number.to_le_bytes().to_vec()));
        }
        let address = value.address(TAG_OTHER)?;
        let header = self.word(address)?;
        if header as u8 != widetag::BIGNUM {
            return None;
        }
        let words = (header >> 8) & 0xFFFF;
        self.bytes(address.checked_add(8)?, 8 * words).map(Cow::Borrowed)
    }

    /// Key and value of each pair in a hash table, which has at least one.
    pub(crate) fn hash_table(&self, table: Value) -> Option<Vec<(Value, Value)>> {
        const PAIRS: u64 = 4;
        const COUNT: u64 = 16;
        let count = usize::try_from(self.slot(table, COUNT)?.fixnum()?).ok()?;
        let pairs: Vec<Value> = self.vector(self.slot(table, PAIRS)?)?.collect();
        // The first pair is the table's own; what is not in use comes after what is.
        let pairs = pairs.chunks_exact(2).skip(1).map(|pair| (pair[0], pair[1]));
        let pairs: Vec<_> = pairs.take(count).collect();
        (pairs.len() == count && count > 0).then_some(pairs)
    }
}
