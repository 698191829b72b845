//! The sessions, one module for each subject.

mod c_failures;
mod c_rules;
mod caching;
mod cdeps;
mod commands;
mod configuration;
mod core_rules;
mod crashes;
mod determinism;
mod documentation;
mod examples;
mod hermetic;
mod libraries;
mod linked_programs;
mod lisp_failures;
mod lisp_rules;
mod machine;
mod patterns;
mod programs;
mod rc_files;
mod repositories;
mod testing;
mod user_rules;
mod wrong_input;
