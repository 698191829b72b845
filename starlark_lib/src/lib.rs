//! The BUILD language: from WORKSPACE, BUILD and .bzl files to a plan for the engine.
//!
//! It knows nothing of Lisp. Starlark values live only while a module or a rule is evaluated;
//! everything that leaves this crate is plain data. See `ARCHITECTURE.md`.

pub mod analysis_globals;
pub mod attr;
pub mod attr_functions;
pub mod attribute_conversion;
pub mod common_attributes;
pub mod configured_target;
pub mod dialect;
pub mod evaluation;
pub mod globals;
pub mod instantiation;
pub mod label_value;
pub mod loader;
pub mod loader_options;
pub mod module;
pub mod native_rule;
pub mod nearest;
pub mod package;
pub mod package_builder;
pub mod package_functions;
pub mod package_loader;
pub mod repositories;
pub mod rule;
pub mod rule_value;
pub mod select_value;
pub mod session;
pub mod source_tree;
pub mod starlark_error;

#[cfg(test)]
mod loader_tests;
