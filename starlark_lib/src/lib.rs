//! The BUILD language: from WORKSPACE, BUILD and .bzl files to a plan for the engine.
//!
//! It knows nothing of Lisp. Starlark values live only while a module or a rule is evaluated;
//! everything that leaves this crate is plain data. See `ARCHITECTURE.md`.

#![allow(
    clippy::too_many_arguments,
    reason = "functions of Starlark have as many as Bazel's, and each is one of the Rust function"
)]

pub mod action_arguments;
pub mod action_registration;
pub mod actions;
pub mod analysis_globals;
pub mod analyzer;
pub mod archive;
pub mod args;
pub mod args_inputs;
pub mod attr;
pub mod attr_arguments;
pub mod attr_functions;
pub mod attribute_conversion;
pub mod attributes_value;
pub mod build_settings;
pub mod builtin_providers;
pub mod common_attributes;
pub mod compatibility;
pub mod conditions;
pub mod configuration;
pub mod configuration_value;
pub mod configured_graph;
pub mod configured_target;
pub mod conversion;
pub mod coverage;
pub mod ctx;
pub mod definitions;
pub mod dependency_graph;
pub mod depset_value;
pub mod dialect;
pub mod evaluation;
pub mod file_value;
pub mod format_function;
pub mod function_index;
pub mod function_value;
pub mod glob;
pub mod globals;
pub mod instantiation;
pub mod instrumentation_filter;
pub mod json;
pub mod json_reader;
pub mod label_value;
pub mod limits;
pub mod load_visibility;
pub mod loader;
pub mod loader_options;
pub mod locations;
pub mod map_each;
pub mod mention;
pub mod missing_target;
pub mod module;
pub mod module_closure;
pub mod native_rule;
pub mod native_targets;
pub mod nearest;
pub mod not_there;
pub mod operators;
pub mod package;
pub mod package_builder;
pub mod package_functions;
pub mod package_loader;
pub mod package_pattern;
pub mod parents;
pub mod path_value;
pub mod patterns;
pub mod plain_attribute;
pub mod plan_builder;
pub mod programs;
pub mod provider_value;
pub mod repositories;
pub mod repository_archive;
pub mod repository_context;
pub mod repository_declaration;
pub mod repository_methods;
pub mod repository_process;
pub mod repository_rule;
pub mod resolved_attributes;
pub mod rule;
pub mod rule_context;
pub mod rule_evaluation;
pub mod rule_facts;
pub mod rule_value;
pub mod runfiles_value;
pub mod saved_packages;
pub mod saved_targets;
pub mod select_value;
pub mod session;
pub mod shown_source;
pub mod source_tree;
pub mod starlark_error;
pub mod target_checks;
pub mod target_value;
pub mod template_dict;
pub mod test_selection;
pub mod toolchains_value;
pub mod transition_value;
pub mod transitions;
pub mod value_repr;
pub mod workspace;
pub mod workspace_functions;

#[cfg(test)]
mod analysis_error_tests;

#[cfg(test)]
mod analysis_fixture;

#[cfg(test)]
mod analysis_tests;

#[cfg(test)]
mod configuration_tests;

#[cfg(test)]
mod error_tests;

#[cfg(test)]
mod language_tests;

#[cfg(test)]
mod loader_tests;

#[cfg(test)]
mod request_tests;
