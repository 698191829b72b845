//! Requests of queries: what the user asks of targets, checked and fit for use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rbz_query::action_output::{ActionFormat, ActionOptions};
use rbz_query::configured_output::ConfiguredFormat;
use rbz_query::dependencies::Followed;
use rbz_query::dialect::Dialect;
use rbz_query::order::Order;
use rbz_query::output::messages::MessageOptions;
use rbz_query::output::{Format, OutputOptions};
use rbz_query::query::Query;
use rbz_query::world::WorldOptions;
use rbz_starlark::format_function::FormatFunction;

use crate::command_error::{CommandError, ErrorKind};
use crate::environment::Environment;
use crate::option_values::repositories;
use crate::query_arguments::{
    AnswerOptions, AqueryArguments, CqueryArguments, CqueryOptions, ExpressionOptions,
    FollowedOptions, QueryArguments,
};
use crate::request::BuildRequest;

/// What is asked, and how the answer is written.
#[derive(Clone, Debug)]
pub struct QueryRequest {
    /// The expression.
    pub query: Query,
    /// How targets are seen; the directory is the caller's business.
    pub world: WorldOptions,
    /// How they are written.
    pub output: OutputOptions,
    /// Directories that stand for repositories, by the names of these.
    pub overrides: BTreeMap<String, PathBuf>,
}

/// What is asked of configured targets or of their actions.
#[derive(Clone, Debug)]
pub struct ConfiguredRequest {
    /// The expression.
    pub query: Query,
    /// How targets are seen; the directory is the caller's business.
    pub world: WorldOptions,
    /// What is analysed, and how.
    pub build: BuildRequest,
    /// What is written.
    pub shown: Shown,
}

/// What is written of configured targets.
#[derive(Clone, Debug)]
pub enum Shown {
    /// They themselves.
    Targets(ConfiguredFormat, OutputOptions),
    /// Their actions.
    Actions(ActionOptions),
}

impl QueryRequest {
    /// Checks the arguments of `rbz query`.
    pub fn new(
        arguments: &QueryArguments,
        environment: &Environment,
    ) -> Result<QueryRequest, CommandError> {
        let options = &arguments.query;
        let query =
            expression(&arguments.residue, &arguments.expression, Dialect::Query, environment)?;
        let universe =
            match (&arguments.expression.universe_scope[..], options.infer_universe_scope) {
                ([], true) => query.patterns(),
                ([], false) => vec!["//...:*".to_owned()],
                (given, _) => given.to_vec(),
            };
        let xml = MessageOptions {
            default_values: options.xml_default_values,
            locations: options.xml_line_numbers,
            ..MessageOptions::default()
        };
        // It was among the values that are known.
        let format = Format::from_name(&options.output).ok_or_else(|| unknown(&options.output))?;
        Ok(QueryRequest {
            world: WorldOptions {
                universe,
                keep_going: arguments.loading.keep_going,
                strict_test_suite: options.strict_test_suite,
                ..world(&arguments.followed)
            },
            output: OutputOptions { format, xml, ..output(&arguments.answer)? },
            overrides: repositories(&arguments.loading.override_repository, environment)?,
            query,
        })
    }
}

impl ConfiguredRequest {
    /// Checks the arguments of `rbz cquery`.
    pub fn of_targets(
        arguments: &CqueryArguments,
        build: BuildRequest,
        environment: &Environment,
    ) -> Result<ConfiguredRequest, CommandError> {
        let options = &arguments.query;
        let format = match &*options.output {
            "files" => ConfiguredFormat::Files,
            "transitions" => ConfiguredFormat::Transitions,
            "proto" => ConfiguredFormat::Proto,
            "jsonproto" => ConfiguredFormat::JsonProto,
            "starlark" => ConfiguredFormat::Starlark(function(options, environment)?),
            name => ConfiguredFormat::Plain(Format::from_name(name).ok_or_else(|| unknown(name))?),
        };
        let shown = Shown::Targets(format, output(&arguments.answer)?);
        let (expression, followed) = (&arguments.expression, &arguments.followed);
        ConfiguredRequest::new(Dialect::Cquery, expression, followed, build, shown, environment)
    }

    /// Checks the arguments of `rbz aquery`.
    pub fn of_actions(
        arguments: &AqueryArguments,
        build: BuildRequest,
        environment: &Environment,
    ) -> Result<ConfiguredRequest, CommandError> {
        let options = &arguments.query;
        let name = &options.output;
        let shown = Shown::Actions(ActionOptions {
            format: ActionFormat::from_name(name).ok_or_else(|| unknown(name))?,
            artifacts: options.include_artifacts,
            command_lines: options.include_commandline,
            param_files: options.include_param_files,
            file_contents: options.include_file_write_contents,
        });
        let (expression, followed) = (&arguments.expression, &arguments.followed);
        ConfiguredRequest::new(Dialect::Aquery, expression, followed, build, shown, environment)
    }

    fn new(
        dialect: Dialect,
        options: &ExpressionOptions,
        followed: &FollowedOptions,
        build: BuildRequest,
        shown: Shown,
        environment: &Environment,
    ) -> Result<ConfiguredRequest, CommandError> {
        let query = expression(&build.residue, options, dialect, environment)?;
        let universe = match &options.universe_scope[..] {
            [] => query.patterns(),
            given => given.to_vec(),
        };
        let keep_going = build.keep_going;
        let world = WorldOptions { universe, keep_going, ..world(followed) };
        Ok(ConfiguredRequest { query, world, build, shown })
    }
}

/// The function that `--output=starlark` shows targets by.
fn function(
    options: &CqueryOptions,
    environment: &Environment,
) -> Result<FormatFunction, CommandError> {
    match (&*options.starlark_expr, &options.starlark_file) {
        ("", None) => Ok(FormatFunction::of_expression("str(target.label)")),
        (expression, None) => Ok(FormatFunction::of_expression(expression)),
        ("", Some(file)) => {
            Ok(FormatFunction::of_file(&file.display().to_string(), &text_of(file, environment)?))
        }
        _ => Err(CommandError::command_line(
            "`--starlark:expr` and `--starlark:file` cannot both be given",
        )),
    }
}

fn text_of(file: &Path, environment: &Environment) -> Result<String, CommandError> {
    std::fs::read_to_string(environment.here()?.join(file)).map_err(|error| {
        CommandError::command_line(format!("cannot read `{}`: {error}", file.display()))
    })
}

fn unknown(name: &str) -> CommandError {
    CommandError::command_line(format!("there is no `{name}`"))
}

/// How a command sees targets.
pub fn world(followed: &FollowedOptions) -> WorldOptions {
    WorldOptions {
        followed: Followed {
            implicit: followed.implicit_deps,
            tools: followed.tool_deps && followed.host_deps,
            nodep: followed.nodep_deps,
        },
        ..WorldOptions::default()
    }
}

/// The expression on the command line or in a file.
fn expression(
    residue: &[String],
    options: &ExpressionOptions,
    dialect: Dialect,
    environment: &Environment,
) -> Result<Query, CommandError> {
    let command = dialect.command();
    let (text, name) = match (&options.query_file, residue) {
        (Some(file), []) => (text_of(file, environment)?, file.display().to_string()),
        (Some(_), [word, ..]) => {
            return Err(CommandError::command_line(format!(
                "`--query_file` has the expression, and `{word}` is another"
            )));
        }
        (None, []) => {
            return Err(CommandError::command_line(format!("`rbz {command}` needs an expression"))
                .hint(format!(
                    "`rbz {command} 'deps(//pkg:target)'` asks for what a target needs"
                )));
        }
        // A shell has taken it apart where it was not quoted.
        (None, words) => (words.join(" "), "expression".to_owned()),
    };
    Query::parse(&text, &name, dialect)
        .map_err(|error| CommandError::new(ErrorKind::CommandLine, error.to_string()))
}

/// How the answer is written, in some form.
fn output(options: &AnswerOptions) -> Result<OutputOptions, CommandError> {
    let node_limit = match options.graph_node_limit {
        -1 => None,
        limit => Some(usize::try_from(limit).map_err(|_| {
            CommandError::command_line(format!(
                "`--graph:node_limit={limit}`: it must be a number from 0, or -1"
            ))
        })?),
    };
    Ok(OutputOptions {
        format: Format::Label,
        order: Order::from_name(&options.order_output)
            .ok_or_else(|| unknown(&options.order_output))?,
        null_terminated: options.line_terminator_null,
        relative_locations: options.relative_locations,
        factored: options.graph_factored,
        node_limit,
        messages: MessageOptions {
            default_values: options.proto_default_values,
            flatten_selects: options.proto_flatten_selects,
            locations: options.proto_locations,
            attributes: match &options.proto_output_rule_attrs[..] {
                [all] if all == "all" => None,
                names => Some(names.to_vec()),
            },
            inputs_and_outputs: options.proto_rule_inputs_and_outputs,
            instantiation_stack: options.proto_instantiation_stack,
        },
        xml: MessageOptions::default(),
    })
}
