//! Arguments: every command and option of `rbz`, as data.
//!
//! What stands here is the only description of the options: parsing, rc files, `rbz help` and the
//! suggestions for misspelt names are all made of it. The values are taken as they were written;
//! [`crate::request`] checks them and makes them fit for use.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Args, Command, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::ide_arguments::IdeArguments;
use crate::query_arguments::{AqueryArguments, CqueryArguments, QueryArguments, WhyArguments};
use crate::repl_arguments::ReplArguments;

/// Builds and tests software, Common Lisp first of all
#[derive(Parser, Debug)]
#[command(
    name = "rbz",
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true
)]
pub struct RawArguments {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub startup: StartupOptions,
    #[allow(missing_docs)]
    #[command(subcommand)]
    pub command: RawCommand,
}

/// Options before the command.
#[derive(Args, Debug, Clone, Default)]
#[command(rename_all = "snake_case")]
pub struct StartupOptions {
    /// Directory of this workspace's outputs and state; default: one of its own below the output user root
    #[arg(long, value_name = "DIR")]
    pub output_base: Option<PathBuf>,
    /// Directory of all workspaces' output bases and of the disk cache; default: ~/.cache/rbz
    #[arg(long, value_name = "DIR")]
    pub output_user_root: Option<PathBuf>,
    /// Waits while another rbz works in this workspace; with `--noblock_for_lock` ends with status 9
    #[arg(long, default_value = "true")]
    pub block_for_lock: bool,
    /// Reads this rc file too, after the others; may be repeated
    #[arg(long, value_name = "FILE")]
    pub rbzrc: Vec<PathBuf>,
    /// Reads the rc file of the system, /etc/rbz.rbzrc
    #[arg(long, default_value = "true")]
    pub system_rc: bool,
    /// Reads the rc file of the workspace, .rbzrc beside WORKSPACE
    #[arg(long, default_value = "true")]
    pub workspace_rc: bool,
    /// Reads the rc file of the user, .rbzrc in the home directory
    #[arg(long, default_value = "true")]
    pub home_rc: bool,
    /// Reads no rc file at all
    #[arg(long)]
    pub ignore_all_rc_files: bool,
}

/// The commands with their options.
#[derive(Subcommand, Debug)]
#[command(disable_help_flag = true)]
pub enum RawCommand {
    /// Builds targets
    Build(BuildArguments),
    /// Builds targets and runs the tests among them
    Test(BuildArguments),
    /// Runs tests, and shows what of the code under test they ran
    Coverage(BuildArguments),
    /// Builds a program and runs it
    Run(BuildArguments),
    /// Starts a Lisp that has loaded what targets need
    Repl(ReplArguments),
    /// Writes files by which editors know the Lisp targets: `json`, `asd`
    Ide(IdeArguments),
    /// Removes what was built; the disk cache stays
    Clean(CleanArguments),
    /// Shows where things are
    Info(BuildArguments),
    /// Shows which targets there are, and how they depend on one another
    Query(QueryArguments),
    /// Shows the same of targets as they are configured
    Cquery(CqueryArguments),
    /// Shows the actions of targets
    Aquery(AqueryArguments),
    /// Shows a shortest path from one target to another, with the lines that make it
    Why(WhyArguments),
    /// Shows what a profile says: phases, the critical path, the slowest actions
    #[command(name = "analyze-profile")]
    AnalyzeProfile(PlainArguments),
    /// Shows what the last build of a target did, and which changes it began with
    #[command(name = "why-rebuilt")]
    WhyRebuilt(BuildArguments),
    /// Shows help: `rbz help`, `rbz help COMMAND`, `rbz help flags`
    Help(PlainArguments),
    /// Does what rbz's own actions do: `rbz tool --help`
    Tool(PlainArguments),
    /// Shows the version
    Version(PlainArguments),
    /// Shows a script for completion in a shell: `bash`, `fish` or `zsh`
    Completion(PlainArguments),
    /// Makes a workspace of the current directory
    Init(PlainArguments),
    /// Formats BUILD, WORKSPACE and .bzl files: those of the workspace, or the files and directories named
    Fmt(FmtArguments),
}

impl RawCommand {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            RawCommand::Build(_) => "build",
            RawCommand::Test(_) => "test",
            RawCommand::Coverage(_) => "coverage",
            RawCommand::Run(_) => "run",
            RawCommand::Repl(_) => "repl",
            RawCommand::Ide(_) => "ide",
            RawCommand::Clean(_) => "clean",
            RawCommand::Info(_) => "info",
            RawCommand::Query(_) => "query",
            RawCommand::Cquery(_) => "cquery",
            RawCommand::Aquery(_) => "aquery",
            RawCommand::Why(_) => "why",
            RawCommand::AnalyzeProfile(_) => "analyze-profile",
            RawCommand::WhyRebuilt(_) => "why-rebuilt",
            RawCommand::Help(_) => "help",
            RawCommand::Tool(_) => "tool",
            RawCommand::Version(_) => "version",
            RawCommand::Completion(_) => "completion",
            RawCommand::Init(_) => "init",
            RawCommand::Fmt(_) => "fmt",
        }
    }
}

/// Arguments of the commands that load and build.
#[derive(Args, Debug, Clone)]
#[command(args_override_self = true)]
pub struct BuildArguments {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub display: DisplayOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub build: BuildOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub test: TestOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub coverage: CoverageOptions,
    /// What does not begin with `-`: target patterns, for `run` a target and its arguments
    #[arg(hide = true)]
    pub residue: Vec<String>,
}

/// Arguments of `rbz clean`.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", args_override_self = true)]
pub struct CleanArguments {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub display: DisplayOptions,
    /// Removes the whole output base: external repositories and all state too
    #[arg(long, help_heading = "Clean")]
    pub expunge: bool,
    /// Removes the disk cache too, which all workspaces share
    #[arg(long, help_heading = "Clean")]
    pub disk_cache_too: bool,
    /// The disk cache that `--disk_cache_too` removes
    #[arg(long, value_name = "DIR", help_heading = "Clean")]
    pub disk_cache: Option<PathBuf>,
    #[allow(missing_docs)]
    #[arg(hide = true)]
    pub residue: Vec<String>,
}

/// Arguments of the commands that need no workspace.
#[derive(Args, Debug, Clone)]
#[command(args_override_self = true)]
pub struct PlainArguments {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub display: DisplayOptions,
    #[allow(missing_docs)]
    #[arg(hide = true)]
    pub residue: Vec<String>,
}

/// Arguments of `rbz fmt`.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", args_override_self = true)]
pub struct FmtArguments {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub display: DisplayOptions,
    /// What is done: `fix` writes files, `check` names those that are not formatted, `diff` shows what would change
    #[arg(long, default_value = "fix", value_name = "fix|check|diff", help_heading = "Formatting",
          value_parser = PossibleValuesParser::new(["fix", "check", "diff"]))]
    pub mode: String,
    /// The same as `--mode=check`
    #[arg(long, help_heading = "Formatting")]
    pub check: bool,
    /// The same as `--mode=diff`
    #[arg(long, help_heading = "Formatting")]
    pub diff: bool,
    /// What files are; `auto`: as their names say
    #[arg(long, default_value = "auto", value_name = "auto|build|bzl|workspace|default",
          help_heading = "Formatting",
          value_parser = PossibleValuesParser::new(["auto", "build", "bzl", "workspace", "default"]))]
    pub r#type: String,
    /// The path, from the root of the workspace, of the text on standard input
    #[arg(long, value_name = "PATH", help_heading = "Formatting")]
    pub path: Option<PathBuf>,
    /// Files and directories; `-` is standard input
    #[arg(hide = true)]
    pub residue: Vec<String>,
}

/// Options that all commands have.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "Display")]
pub struct DisplayOptions {
    /// Takes the options that rc files give under `COMMAND:NAME`; may be repeated
    #[arg(long, value_name = "NAME")]
    pub config: Vec<String>,
    /// Whether messages are coloured; `auto`: on a terminal
    #[arg(long, value_enum, default_value = "auto", value_name = "yes|no|auto")]
    pub color: When,
    /// Whether the display is redrawn in place; `auto`: on a terminal
    #[arg(long, value_enum, default_value = "auto", value_name = "yes|no|auto")]
    pub curses: When,
    /// Shows what is going on while it does
    #[arg(long, default_value = "true")]
    pub show_progress: bool,
    /// Shows which options came from which rc file
    #[arg(long)]
    pub announce_rc: bool,
}

/// Whether to do something that a terminal suggests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Always.
    #[value(alias = "true", alias = "1")]
    Yes,
    /// Never.
    #[value(alias = "false", alias = "0")]
    No,
    /// On a terminal.
    Auto,
}

/// Options that say what is built and how.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "Build")]
pub struct BuildOptions {
    /// The compilation mode
    #[arg(long, short, default_value = "fastbuild", value_name = "fastbuild|dbg|opt",
          value_parser = PossibleValuesParser::new(["fastbuild", "dbg", "opt"]))]
    pub compilation_mode: String,
    /// How many actions run at a time; `auto`: as many as there are processors
    #[arg(long, short, default_value = "auto", value_name = "N")]
    pub jobs: String,
    /// How many processors actions may use, whatever `--jobs` says; or a part of them, such as HOST_CPUS*.5
    #[arg(long, default_value = "HOST_CPUS", value_name = "N")]
    pub local_cpu_resources: String,
    /// How much memory actions and what is kept for them may take, in megabytes; or a part of what
    /// the machine has
    #[arg(long, default_value = "HOST_RAM*.67", value_name = "MB")]
    pub local_ram_resources: String,
    /// Goes on after an error, as far as possible
    #[arg(long, short)]
    pub keep_going: bool,
    /// Defines a variable for rules and `config_setting`; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub define: Vec<String>,
    /// Sets or passes on a variable for actions that ask for the shell's environment, as a genrule does; may be repeated
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub action_env: Vec<String>,
    /// Turns a feature of toolchains on, or with `-NAME` off; may be repeated
    #[arg(long, value_name = "NAME")]
    pub features: Vec<String>,
    /// Puts the workspace's status into programs that ask for it
    #[arg(long)]
    pub stamp: bool,
    /// A shell command that tells the workspace's status: on each line a key, a space and a value
    #[arg(long, value_name = "COMMAND")]
    pub workspace_status_command: Option<String>,
    /// Text that stands in the workspace's status as BUILD_EMBED_LABEL, such as a release
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub embed_label: String,
    /// Takes this directory for the repository, whatever WORKSPACE says; may be repeated
    #[arg(long, value_name = "NAME=DIR")]
    pub override_repository: Vec<String>,
    /// Builds targets only if they have one of these tags; `-TAG` leaves out those that have it
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    pub build_tag_filters: Vec<String>,
    /// Directory of the disk cache; default: `cache` in the output user root
    #[arg(long, value_name = "DIR")]
    pub disk_cache: Option<PathBuf>,
    /// How large the disk cache may become before what was not used for longest is removed from it; 0: no limit
    #[arg(long, default_value = "20G", value_name = "SIZE")]
    pub experimental_disk_cache_gc_max_size: String,
    /// Runs the actions; with `--nobuild` loads and analyses only
    #[arg(long, default_value = "true")]
    pub build: bool,
    /// Builds these output groups; `+NAME` adds one to the default, `-NAME` takes one away
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub output_groups: Vec<String>,
    /// Shows the command line of an action that fails
    #[arg(long)]
    pub verbose_failures: bool,
    /// Shows the command line of every action that runs
    #[arg(long, short = 's')]
    pub subcommands: bool,
    /// What keeps actions from what they do not declare: namespaces, or Landlock where the machine forbids these; `none` lets them see the whole machine
    #[arg(long, default_value = "auto", value_name = "auto|namespaces|landlock|none",
          value_parser = PossibleValuesParser::new(["auto", "namespaces", "landlock", "none"]))]
    pub sandbox: String,
    /// How actions that allow it run: `resident`, forked from a process that has loaded what they need,
    /// or `sandboxed`, each alone; what is built is the same
    #[arg(long, value_name = "[MNEMONIC=]resident|sandboxed")]
    pub strategy: Vec<String>,
    /// Keeps the directories of actions that fail, and shows how to enter them
    #[arg(long)]
    pub sandbox_debug: bool,
    /// Runs ready actions in random order, to expose missing dependencies
    #[arg(long)]
    pub shuffle: bool,
    /// Shows the files of at most this many targets
    #[arg(long, default_value = "1", value_name = "N")]
    pub show_result: usize,
    /// How messages about lines of files are told: `json` and `sarif` write them to standard output too, for other programs
    #[arg(long, default_value = "text", value_name = "text|json|sarif",
          value_parser = PossibleValuesParser::new(["text", "json", "sarif"]))]
    pub diagnostics: String,
    /// Writes to this file why each action was done that was not found done
    #[arg(long, value_name = "FILE")]
    pub explain: Option<PathBuf>,
    /// Names everything that changed in explanations, not only the first
    #[arg(long)]
    pub verbose_explanations: bool,
    /// Writes what every process was given and what it left to this file, in the JSON of Bazel's execution log
    #[arg(long, value_name = "FILE")]
    pub execution_log_json_file: Option<PathBuf>,
    /// Writes the events of the build to this file, in the JSON of the Build Event Protocol
    #[arg(long, value_name = "FILE")]
    pub build_event_json_file: Option<PathBuf>,
    /// Writes what happens, as it happens, to this file: rbz's own events, one JSON object to a line
    #[arg(long, value_name = "FILE")]
    pub event_log_json_file: Option<PathBuf>,
    /// Writes when which action ran to this file, as a trace that ui.perfetto.dev and chrome://tracing show
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
}

/// Options for tests.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "Tests")]
pub struct TestOptions {
    /// Which output of tests is shown
    #[arg(long, default_value = "summary", value_name = "summary|errors|all|streamed",
          value_parser = PossibleValuesParser::new(["summary", "errors", "all", "streamed"]))]
    pub test_output: String,
    /// How results of tests are listed
    #[arg(long, default_value = "short", value_name = "short|terse|detailed|none",
          value_parser = PossibleValuesParser::new(["short", "terse", "detailed", "none"]))]
    pub test_summary: String,
    /// What the test program is told to restrict itself to
    #[arg(long, value_name = "FILTER")]
    pub test_filter: Option<String>,
    /// An argument for the test program; may be repeated
    #[arg(long, value_name = "ARG")]
    pub test_arg: Vec<String>,
    /// Sets or passes on a variable of the tests' environment; may be repeated
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub test_env: Vec<String>,
    /// Seconds that a test may take; four numbers for short, moderate, long and eternal; -1: default
    #[arg(long, value_name = "SECONDS")]
    pub test_timeout: Option<String>,
    /// How often each test runs, or those whose label REGEX matches; may be repeated
    #[arg(long, default_value = "1", value_name = "[REGEX@]N")]
    pub runs_per_test: Vec<String>,
    /// How often a test that fails is tried, or those whose label REGEX matches; `default`: three times if it is marked flaky; may be repeated
    #[arg(long, default_value = "default", value_name = "[REGEX@]N")]
    pub flaky_test_attempts: Vec<String>,
    /// Whether a result that is known is used again; `auto`: unless it was a failure
    #[arg(long, short = 't', default_value = "auto", value_name = "yes|no|auto", value_enum,
          num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub cache_test_results: When,
    /// Runs tests only if they have one of these tags; `-TAG` leaves out those that have it
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    pub test_tag_filters: Vec<String>,
    /// Runs only tests of these sizes; `-SIZE` leaves out those of it
    #[arg(long, value_name = "SIZE,…", value_delimiter = ',')]
    pub test_size_filters: Vec<String>,
    /// Runs only tests of these timeouts; `-TIMEOUT` leaves out those of it
    #[arg(long, value_name = "TIMEOUT,…", value_delimiter = ',')]
    pub test_timeout_filters: Vec<String>,
    /// Runs only tests of these languages, as in `lisp_test`; `-LANGUAGE` leaves out those of it
    #[arg(long, value_name = "LANGUAGE,…", value_delimiter = ',')]
    pub test_lang_filters: Vec<String>,
    /// Builds only tests and what they need
    #[arg(long)]
    pub build_tests_only: bool,
}

/// Options for coverage.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "Coverage")]
pub struct CoverageOptions {
    /// Builds code so that it notes what of it runs, and has tests say so; `rbz coverage` does
    #[arg(long)]
    pub collect_code_coverage: bool,
    /// Of which targets the code is that notes what runs: those whose label one of these matches, and none with `-`; default: the packages of the tests
    #[arg(long, value_name = "[-]REGEX,…")]
    pub instrumentation_filter: Option<String>,
    /// Whether the code of tests notes what of it runs, too
    #[arg(long)]
    pub instrument_test_targets: bool,
    /// Which report `rbz coverage` makes of all tests together
    #[arg(long, default_value = "lcov", value_name = "lcov|none",
          value_parser = PossibleValuesParser::new(["lcov", "none"]))]
    pub combined_report: String,
}

/// The commands, each with the name that rc files know it by.
pub const COMMANDS: [&str; 20] = [
    "analyze-profile",
    "aquery",
    "build",
    "clean",
    "completion",
    "coverage",
    "cquery",
    "fmt",
    "help",
    "ide",
    "info",
    "init",
    "query",
    "repl",
    "run",
    "test",
    "tool",
    "version",
    "why",
    "why-rebuilt",
];

/// An option as rc files, suggestions and the reading of command lines need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// Without `--`.
    pub name: String,
    /// The letter after a single `-`.
    pub short: Option<char>,
    /// Whether it can stand without a value, and as `--noNAME`.
    pub switch: bool,
}

/// The whole command line, for help and completion.
pub fn clap_command() -> &'static Command {
    static WHOLE: LazyLock<Command> = LazyLock::new(|| {
        let mut command = with_boolean_values(RawArguments::command());
        for name in COMMANDS {
            command = command.mut_subcommand(name, with_boolean_values);
        }
        command
    });
    &WHOLE
}

/// The startup options alone.
pub fn clap_startup() -> Command {
    let bare = Command::new("rbz").disable_help_flag(true).args_override_self(true);
    with_boolean_values(StartupOptions::augment_args(bare))
}

/// The command line of one command, without startup options; it is made in a fraction of the
/// time of the whole, which is more than all else that a short command does.
pub fn clap_command_alone(name: &str) -> Command {
    let augment = match name {
        "clean" => CleanArguments::augment_args,
        "fmt" => FmtArguments::augment_args,
        "query" => QueryArguments::augment_args,
        "cquery" => CqueryArguments::augment_args,
        "aquery" => AqueryArguments::augment_args,
        "why" => WhyArguments::augment_args,
        "repl" => ReplArguments::augment_args,
        "ide" => IdeArguments::augment_args,
        "analyze-profile" | "completion" | "help" | "init" | "tool" | "version" => {
            PlainArguments::augment_args
        }
        _ => BuildArguments::augment_args,
    };
    with_boolean_values(augment(Command::new(name.to_owned()).disable_help_flag(true)))
}

/// Gives every switch the forms `--flag=yes` and `--flag=no`; the reader of command lines turns
/// `--noflag` into the latter.
fn with_boolean_values(command: Command) -> Command {
    command.mut_args(|arg| match arg.get_action() {
        ArgAction::SetTrue => {
            let default = if is_on_by_default(&arg) { "true" } else { "false" };
            arg.action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .default_value(default)
                .default_missing_value("true")
                .value_parser(boolean)
                .value_name("yes|no")
        }
        _ => arg,
    })
}

fn is_on_by_default(arg: &Arg) -> bool {
    arg.get_default_values().first().is_some_and(|value| value == "true")
}

fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err("expected `yes` or `no`".to_owned()),
    }
}

/// The options of `command`, or the startup options for `None`.
pub fn options(command: Option<&str>) -> Vec<OptionSpec> {
    let command = match command {
        None => clap_startup(),
        Some(name) => clap_command_alone(name),
    };
    command
        .get_arguments()
        .filter_map(|arg| {
            Some(OptionSpec {
                name: arg.get_long()?.to_owned(),
                short: arg.get_short(),
                switch: arg.get_num_args().is_some_and(|range| range.min_values() == 0),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_consistent() {
        clap_command().clone().debug_assert();
    }

    #[test]
    fn every_command_is_listed() {
        let mut names: Vec<String> =
            RawArguments::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        names.sort();
        assert_eq!(names, COMMANDS);
    }

    #[test]
    fn a_command_alone_is_as_in_the_whole() {
        let options = |command: &Command| -> Vec<String> {
            command.get_arguments().map(|arg| format!("{arg:?}")).collect()
        };
        assert_eq!(options(&clap_startup()), options(clap_command()));
        for command in clap_command().get_subcommands() {
            let name = command.get_name();
            assert_eq!(options(&clap_command_alone(name)), options(command), "{name}");
        }
    }

    #[test]
    fn options_know_whether_they_are_switches() {
        let options = options(Some("test"));
        let of = |name: &str| options.iter().find(|option| option.name == name).cloned();
        assert_eq!(
            of("keep_going"),
            Some(OptionSpec { name: "keep_going".into(), short: Some('k'), switch: true })
        );
        assert!(of("cache_test_results").is_some_and(|option| option.switch));
        assert!(of("test_output").is_some_and(|option| !option.switch));
    }
}
