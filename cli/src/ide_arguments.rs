//! Arguments of `rbz ide`, as they were written.

use std::path::PathBuf;

use clap::Args;

use crate::arguments::BuildArguments;

/// Arguments of `rbz ide`.
#[derive(Args, Debug, Clone)]
#[command(args_override_self = true)]
pub struct IdeArguments {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub ide: IdeOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub build: BuildArguments,
}

/// Options of `rbz ide` alone.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "IDE")]
pub struct IdeOptions {
    /// Where to write: for `json` a file, or `-` for standard output; for `asd` a directory. Default:
    /// `project.json` or `asd`, in `rbz-out/ide`
    #[arg(long, value_name = "PATH")]
    pub output: Option<PathBuf>,
}
