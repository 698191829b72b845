//! Arguments of the commands that ask about targets, as data.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use rbz_query::action_output::ActionFormat;
use rbz_query::output::Format;

use crate::arguments::{BuildArguments, DisplayOptions};

/// Arguments of `rbz query`.
#[derive(Args, Debug, Clone)]
#[command(args_override_self = true)]
pub struct QueryArguments {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub display: DisplayOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub loading: LoadingOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub query: QueryOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub expression: ExpressionOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub answer: AnswerOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub followed: FollowedOptions,
    /// The expression
    #[arg(hide = true)]
    pub residue: Vec<String>,
}

/// Arguments of `rbz cquery`.
#[derive(Args, Debug, Clone)]
#[command(args_override_self = true)]
pub struct CqueryArguments {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub query: CqueryOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub expression: ExpressionOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub answer: AnswerOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub followed: FollowedOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub build: BuildArguments,
}

/// Arguments of `rbz aquery`.
#[derive(Args, Debug, Clone)]
#[command(args_override_self = true)]
pub struct AqueryArguments {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub query: AqueryOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub expression: ExpressionOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub followed: FollowedOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub build: BuildArguments,
}

/// Arguments of `rbz why`.
#[derive(Args, Debug, Clone)]
#[command(args_override_self = true)]
pub struct WhyArguments {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub display: DisplayOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub loading: LoadingOptions,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub followed: FollowedOptions,
    /// The two targets
    #[arg(hide = true)]
    pub residue: Vec<String>,
}

/// Options of commands that load and do no more.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "Loading")]
pub struct LoadingOptions {
    /// Goes on after an error, as far as possible
    #[arg(long, short)]
    pub keep_going: bool,
    /// Takes this directory for the repository, whatever WORKSPACE says; may be repeated
    #[arg(long, value_name = "NAME=DIR")]
    pub override_repository: Vec<String>,
}

/// Options that say which dependencies count.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "Dependencies")]
pub struct FollowedOptions {
    /// Follows dependencies that the rule, and not the target, declares, such as compilers
    #[arg(long, default_value = "true")]
    pub implicit_deps: bool,
    /// Follows dependencies on tools
    #[arg(long, default_value = "true")]
    pub tool_deps: bool,
    /// The same as `--tool_deps`, by its old name
    #[arg(long, default_value = "true")]
    pub host_deps: bool,
    /// Follows what is named without being needed, such as the groups of a visibility
    #[arg(long, default_value = "true")]
    pub nodep_deps: bool,
}

/// Options that say what is asked.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "Query")]
pub struct ExpressionOptions {
    /// Reads the expression from this file
    #[arg(long, value_name = "FILE")]
    pub query_file: Option<PathBuf>,
    /// All targets that are looked at, with all that these depend on; default: for `query` everything
    /// in the workspace, else what the expression names
    #[arg(long, value_name = "PATTERN,…", value_delimiter = ',', allow_hyphen_values = true)]
    pub universe_scope: Vec<String>,
}

/// Options that say how targets are written.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "Query")]
pub struct AnswerOptions {
    /// The order of the answer: `deps` and `full` have each target before what it depends on; `auto`: by
    /// label, or so where the form is about dependencies
    #[arg(long, default_value = "auto", value_name = "auto|no|deps|full",
          value_parser = PossibleValuesParser::new(["auto", "no", "deps", "full"]))]
    pub order_output: String,
    /// Shows paths relative to the workspace
    #[arg(long)]
    pub relative_locations: bool,
    /// Ends lines with a NUL
    #[arg(long, short = '0')]
    pub line_terminator_null: bool,
    /// Draws targets that have the same neighbours as one
    #[arg(long = "graph:factored", default_value = "true")]
    pub graph_factored: bool,
    /// How many characters the text of a node may have before targets are left out of it; -1: any number
    #[arg(
        long = "graph:node_limit",
        default_value = "512",
        value_name = "N",
        allow_hyphen_values = true
    )]
    pub graph_node_limit: i64,
    /// Puts attributes that a target does not give into messages
    #[arg(long = "proto:default_values", default_value = "true")]
    pub proto_default_values: bool,
    /// Puts the values of all branches together into messages, instead of `select`s
    #[arg(long = "proto:flatten_selects", default_value = "true")]
    pub proto_flatten_selects: bool,
    /// Puts places into messages
    #[arg(long = "proto:locations", default_value = "true")]
    pub proto_locations: bool,
    /// Puts only these attributes into messages
    #[arg(
        long = "proto:output_rule_attrs",
        default_value = "all",
        value_name = "NAME,…",
        value_delimiter = ','
    )]
    pub proto_output_rule_attrs: Vec<String>,
    /// Puts what rules depend on, and what they declare as outputs, into messages
    #[arg(long = "proto:rule_inputs_and_outputs", default_value = "true")]
    pub proto_rule_inputs_and_outputs: bool,
    /// Puts the calls of macros that led to a rule into messages
    #[arg(long = "proto:instantiation_stack")]
    pub proto_instantiation_stack: bool,
}

/// Options that only `rbz query` has.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "Query")]
pub struct QueryOptions {
    /// The form of the answer: label, label_kind, package, location, build, graph, minrank, maxrank, xml,
    /// proto, streamed_proto, streamed_jsonproto or json
    #[arg(long, default_value = "label", value_name = "FORM",
          value_parser = PossibleValuesParser::new(Format::NAMES.map(|(name, _)| name)))]
    pub output: String,
    /// Takes the patterns of the expression for `--universe_scope`, if that is not given
    #[arg(long)]
    pub infer_universe_scope: bool,
    /// Says so if a suite that `tests` looks into holds something else than tests
    #[arg(long)]
    pub strict_test_suite: bool,
    /// Puts attributes that a target does not give into XML
    #[arg(long = "xml:default_values")]
    pub xml_default_values: bool,
    /// Puts places into XML
    #[arg(long = "xml:line_numbers", default_value = "true")]
    pub xml_line_numbers: bool,
}

/// The forms of `rbz cquery`.
pub const CONFIGURED_FORMS: [&str; 9] = [
    "build",
    "files",
    "graph",
    "jsonproto",
    "label",
    "label_kind",
    "proto",
    "starlark",
    "transitions",
];

/// Options that only `rbz cquery` has.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "Query")]
pub struct CqueryOptions {
    /// The form of the answer: label, label_kind, build, files, graph, starlark, transitions, proto or jsonproto
    #[arg(long, default_value = "label", value_name = "FORM",
          value_parser = PossibleValuesParser::new(CONFIGURED_FORMS))]
    pub output: String,
    /// With `--output=starlark`: an expression of `target` whose value is shown
    #[arg(long = "starlark:expr", value_name = "EXPRESSION", default_value = "")]
    pub starlark_expr: String,
    /// With `--output=starlark`: a file with the function `format(target)`, whose value is shown
    #[arg(long = "starlark:file", value_name = "FILE")]
    pub starlark_file: Option<PathBuf>,
}

/// Options that only `rbz aquery` has.
#[derive(Args, Debug, Clone)]
#[command(rename_all = "snake_case", next_help_heading = "Query")]
pub struct AqueryOptions {
    /// The form of the answer: text, commands, proto or jsonproto
    #[arg(long, default_value = "text", value_name = "FORM",
          value_parser = PossibleValuesParser::new(ActionFormat::NAMES.map(|(name, _)| name)))]
    pub output: String,
    /// Shows inputs and outputs
    #[arg(long, default_value = "true")]
    pub include_artifacts: bool,
    /// Shows command lines
    #[arg(long, default_value = "true")]
    pub include_commandline: bool,
    /// Shows parameter files
    #[arg(long)]
    pub include_param_files: bool,
    /// Shows the texts of files that actions write
    #[arg(long)]
    pub include_file_write_contents: bool,
}
