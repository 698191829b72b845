//! Arguments of `rbz repl`, as they were written.

use std::path::PathBuf;

use clap::Args;

use crate::arguments::BuildArguments;

/// Arguments of `rbz repl`.
#[derive(Args, Debug, Clone)]
#[command(args_override_self = true)]
pub struct ReplArguments {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub repl: ReplOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub build: BuildArguments,
}

/// Options of `rbz repl` alone.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "REPL")]
pub struct ReplOptions {
    /// Lets SLIME and Vlime connect: to this port (default: 4005, or one that is free), or with the
    /// Swank that is a target
    #[arg(long, value_name = "PORT|LABEL", num_args = 0..=1, require_equals = true,
          default_missing_value = "")]
    pub swank: Option<String>,
    /// Lets SLY connect, in the same way
    #[arg(long, value_name = "PORT|LABEL", num_args = 0..=1, require_equals = true,
          default_missing_value = "")]
    pub slynk: Option<String>,
    /// Shows the command that starts the Lisp, for a shell, and does not run it
    #[arg(long = "print-command")]
    pub print_command: bool,
    /// Builds, writes to this file what the Lisp would load, and starts nothing: for `(rbz:reload)`
    #[arg(long, value_name = "FILE")]
    pub prepare: Option<PathBuf>,
}
