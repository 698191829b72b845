//! Callbacks: Lisp functions that C can call.
//!
//! For each, SBCL assembles a wrapper into a vector of bytes in the static space. It copies the
//! arguments to the stack, makes a frame and calls the runtime; after the call it takes the frame
//! and so many bytes off the stack, and returns. Unwinding needs to know how many these are.

use crate::core_file::{CoreFile, SpaceId};

const BYTE_VECTOR: u8 = 0x9D;

/// `push rbp; mov rbp, rsp; call [address]`
const CALL: [u8; 7] = [0x55, 0x48, 0x8B, 0xEC, 0xFF, 0x14, 0x25];
/// `mov rsp, rbp; pop rbp`, four bytes after that: the address ends there
const AFTER_CALL: [u8; 4] = [0x48, 0x8B, 0xE5, 0x5D];

/// The wrapper of a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Callback {
    /// Where its instructions are.
    pub(crate) address: u64,
    /// Their bytes.
    pub(crate) length: u64,
    /// Bytes on the stack between its frame and the return address.
    pub(crate) arguments: u64,
}

/// The wrappers in a core, in the order of addresses.
pub(crate) fn callbacks(core: &CoreFile) -> Vec<Callback> {
    let Some(space) = core.space(SpaceId::Static) else { return Vec::new() };
    let contents = core.contents(space);
    let starts = (0..contents.len()).step_by(16);
    let found = starts.filter_map(|start| {
        let object = &contents[start..];
        if *object.first()? != BYTE_VECTOR {
            return None;
        }
        let length = u64::from_le_bytes(object.get(8..16)?.try_into().ok()?) >> 1;
        let code = object.get(16..)?.get(..usize::try_from(length).ok()?)?;
        let address = space.address + start as u64 + 16;
        Some(Callback { address, length, arguments: arguments(code)? })
    });
    found.collect()
}

/// How much of the stack a wrapper uses besides its frame; `None` if it is no wrapper.
fn arguments(code: &[u8]) -> Option<u64> {
    let call = code.windows(CALL.len()).position(|window| window == CALL)?;
    let rest = code.get(call + CALL.len() + 4..)?;
    if !rest.starts_with(&AFTER_CALL) {
        return None;
    }
    // The last instructions: add rsp, a number of one or four bytes; ret.
    let end = code.iter().rposition(|byte| *byte == 0xC3)?;
    match code.get(..end)? {
        [.., 0x48, 0x83, 0xC4, bytes] => Some(u64::from(*bytes)),
        [.., 0x48, 0x81, 0xC4, a, b, c, d] => Some(u32::from_le_bytes([*a, *b, *c, *d]).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::arguments;

    #[test]
    fn a_wrapper_says_how_much_of_the_stack_it_uses() {
        let call =
            [0x48, 0x83, 0xEC, 8, 0x55, 0x48, 0x8B, 0xEC, 0xFF, 0x14, 0x25, 0xA0, 2, 0, 0x50];
        let short = [&call[..], &[0x48, 0x8B, 0xE5, 0x5D, 0x48, 0x83, 0xC4, 0x10, 0xC3]].concat();
        assert_eq!(arguments(&short), Some(16));
        let long = [0x48, 0x8B, 0xE5, 0x5D, 0x48, 0x81, 0xC4, 0, 1, 0, 0, 0xC3, 0, 0];
        assert_eq!(arguments(&[&call[..], &long].concat()), Some(256));
        assert_eq!(arguments(&call), None);
        assert_eq!(arguments(b"some other bytes"), None);
    }
}
