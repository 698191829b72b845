//! Saved Lisp images as parts of ordinary programs: cores of SBCL in, objects for a linker out.
//!
//! A core is what `save-lisp-and-die` writes: the memory of a Lisp, space by space. [`CoreFile`]
//! reads one, [`Functions`] finds the compiled functions in it with their names, and
//! [`split`](split()) or [`copy`](copy()) make an object of it that the system's linker puts
//! together with the runtime and with C libraries. [`LinkedProgram`] checks what came out.
//!
//! A split program has the Lisp code at the address that it has in the core. So nothing in the
//! heap changes, and nothing has to be known of the machine's instructions.

mod aliens;
mod callbacks;
mod copy;
mod core_file;
mod debug_info;
mod function_name;
mod functions;
mod heap;
mod linkable_runtime;
mod linked_program;
mod object_file;
mod source_lines;
mod split;
mod symbols;
mod unwind;

pub use aliens::{Alien, Aliens};
pub use copy::{Copied, copy};
pub use core_file::{CoreError, CoreFile, MAX_CORE_BYTES, Space, SpaceId};
pub use functions::{Function, Functions};
pub use linkable_runtime::{RuntimeError, check_runtime};
pub use linked_program::{LinkedProgram, ProgramError};
pub use source_lines::{SourceLines, SourceLinesError};
pub use split::{LINKAGE_SECTION, Split, SplitError, split};
