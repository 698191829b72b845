//! `cargo xtask`: everything that a developer of rbz does besides writing code.

mod formatter;
mod packages;
mod steps;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// What a developer of rbz does besides writing code
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Installs the Debian packages, and the other programs, that the tests need
    Setup,
    /// Installs what is missing, builds everything, and runs every test
    Test {
        /// Handed to `cargo test`, such as the name of a test
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Checks format, lints and documentation
    Check,
    /// Compares the time that builds take with that of plain ASDF and of ninja
    Benchmark,
    /// Does what has to be right before a change is merged: `check` and `test`, both to the end
    Ci,
}

fn install() -> anyhow::Result<()> {
    packages::install().and_then(|()| formatter::install())
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        None => Arguments::command().print_help().map_err(Into::into),
        Some(Task::Setup) => install(),
        Some(Task::Test { arguments }) => install().and_then(|()| steps::test(&arguments)),
        Some(Task::Check) => steps::check(),
        Some(Task::Benchmark) => packages::install_for_benchmarks()
            .and_then(|()| install())
            .and_then(|()| steps::benchmark()),
        Some(Task::Ci) => install().and_then(|()| {
            let checks = steps::check();
            steps::test(&[]).and(checks)
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
