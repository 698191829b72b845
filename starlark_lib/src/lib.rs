//! The BUILD language: from WORKSPACE, BUILD and .bzl files to a plan for the engine.
//!
//! It knows nothing of Lisp. Starlark values live only while a module or a rule is evaluated;
//! everything that leaves this crate is plain data. See `ARCHITECTURE.md`.

pub mod attr;
pub mod configured_target;
pub mod loader_options;
pub mod package;
pub mod rule;
pub mod session;
