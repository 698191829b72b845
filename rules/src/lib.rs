//! The rule sets that are shipped inside the binary: Starlark and Lisp files, and nothing else.
//!
//! They stand on the public rule API alone. Each directory below `repositories/` is a repository
//! that every workspace knows, unless its WORKSPACE defines one of the same name.

pub mod shipped;

pub use shipped::{materialize, repositories};
