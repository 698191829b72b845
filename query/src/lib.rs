//! Queries: what a workspace's targets are, and how they depend on one another.
//!
//! An expression of Bazel's query language is read ([`parser`]), then evaluated over the graph of
//! targets ([`graph`]), of which only what it needs is loaded ([`world`]). What it means is written
//! in one of many forms ([`output`]). It knows nothing of Lisp, and no rule by name save those of
//! the language itself.

pub mod action_graph;
pub mod action_output;
pub mod actions;
pub mod analysis_proto;
pub mod attribute_text;
pub mod build_language;
pub mod build_proto;
pub mod configured;
pub mod configured_output;
pub mod dependencies;
pub mod dialect;
pub mod evaluator;
pub mod file_functions;
pub mod functions;
pub mod graph;
pub mod lexer;
pub mod loaded_files;
pub mod node_set;
pub mod order;
pub mod output;
pub mod parser;
pub mod query;
pub mod query_error;
pub mod reverse;
pub mod rule_info;
pub mod selection;
pub mod subgraph;
pub mod syntax;
pub mod why;
pub mod world;
