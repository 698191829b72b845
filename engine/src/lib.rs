//! The build engine: from a plan of actions to their outputs, with as little work as possible.
//!
//! It knows nothing of Starlark and nothing of Lisp. See `ARCHITECTURE.md`.

pub mod action;
pub mod action_cache;
pub mod action_key;
mod answer_files;
pub mod artifact;
pub mod artifact_value;
pub mod build;
#[cfg(test)]
mod build_tests;
pub mod command_line;
pub mod dependency;
pub mod depset;
pub mod depset_log;
pub mod diagnostic;
pub mod digest;
pub mod dynamic_libraries;
pub mod event;
mod executor;
mod explanation;
pub mod failure;
pub mod file_state;
pub mod files;
pub mod garbage;
pub mod graph;
mod in_process_action;
pub mod label;
pub mod local;
pub mod manifest;
pub mod manifest_log;
pub mod output_tree;
mod paths;
pub mod plan;
pub mod program_file;
pub mod reason;
pub mod rebuild;
pub mod record_log;
mod results;
pub mod runfiles;
pub mod sandbox;
pub mod saved_plan;
pub mod scheduler;
pub mod seal;
pub mod sources;
mod spawn_action;
pub mod spawn_log;
pub mod state_log;
pub mod store;
pub mod strategy;
mod test_action;
pub mod test_plan;
mod test_report;
pub mod undeclared;
pub mod value;
pub mod workspace_status;
