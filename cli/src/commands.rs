//! The commands of `rbz`, one module each.

pub mod analyze_profile;
pub mod build;
pub mod clean;
pub mod completion;
pub mod coverage;
pub mod coverage_tool;
pub mod fmt;
pub mod help;
pub mod ide;
pub mod info;
pub mod init;
pub mod query;
pub mod repl;
pub mod run;
pub mod sandbox;
pub mod test;
pub mod tool;
pub mod version;
pub mod why;
pub mod why_rebuilt;
