//! Requests of queries: what the user asks of targets, checked and fit for use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rbz_engine::diagnostic::Diagnostic;
use rbz_query::dependencies::Followed;
use rbz_query::dialect::Dialect;
use rbz_query::order::Order;
use rbz_query::output::messages::MessageOptions;
use rbz_query::output::{Format, OutputOptions};
use rbz_query::query::Query;
use rbz_query::world::WorldOptions;

use crate::command_error::{CommandError, ErrorKind};
use crate::environment::Environment;
use crate::option_values::repositories;
use crate::query_arguments::{FollowedOptions, LoadingOptions, QueryArguments, QueryOptions};

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

impl QueryRequest {
    /// Checks the arguments of `rbz query`.
    pub fn new(
        arguments: &QueryArguments,
        environment: &Environment,
    ) -> Result<QueryRequest, CommandError> {
        let query = expression(&arguments.residue, &arguments.query, Dialect::Query, environment)?;
        let universe = universe(&arguments.query, &query);
        Ok(QueryRequest {
            world: WorldOptions {
                universe,
                strict_test_suite: arguments.query.strict_test_suite,
                ..world(&arguments.loading, &arguments.followed)
            },
            output: output(&arguments.query)?,
            overrides: repositories(&arguments.loading.override_repository, environment)?,
            query,
        })
    }
}

/// How a command that only loads sees targets.
pub fn world(loading: &LoadingOptions, followed: &FollowedOptions) -> WorldOptions {
    WorldOptions {
        keep_going: loading.keep_going,
        followed: Followed {
            implicit: followed.implicit_deps,
            tools: followed.tool_deps && followed.host_deps,
            nodep: followed.nodep_deps,
        },
        ..WorldOptions::default()
    }
}

/// The patterns of all targets that functions with a universe look at.
fn universe(options: &QueryOptions, query: &Query) -> Vec<String> {
    match (&options.universe_scope[..], options.infer_universe_scope) {
        ([], true) => query.patterns(),
        ([], false) => vec!["//...:*".to_owned()],
        (given, _) => given.to_vec(),
    }
}

/// The expression on the command line or in a file.
pub fn expression(
    residue: &[String],
    options: &QueryOptions,
    dialect: Dialect,
    environment: &Environment,
) -> Result<Query, CommandError> {
    let command = dialect.command();
    let (text, name) = match (&options.query_file, residue) {
        (Some(file), []) => {
            let path = environment.here()?.join(file);
            let text = std::fs::read_to_string(&path).map_err(|error| {
                let text = format!("cannot read `{}`: {error}", file.display());
                CommandError::command_line(text)
            })?;
            (text, file.display().to_string())
        }
        (Some(_), [word, ..]) => {
            return Err(CommandError::command_line(format!(
                "`--query_file` has the expression, and `{word}` is another"
            )));
        }
        (None, []) => {
            return Err(CommandError::command_line(format!("`rbz {command}` needs an expression"))
                .hint(format!("`rbz {command} 'deps(//pkg:target)'` shows what a target needs")));
        }
        // A shell has taken it apart where it was not quoted.
        (None, words) => (words.join(" "), "expression".to_owned()),
    };
    Query::parse(&text, &name, dialect)
        .map_err(|error: Diagnostic| CommandError::new(ErrorKind::CommandLine, error.to_string()))
}

/// How the answer is written.
fn output(options: &QueryOptions) -> Result<OutputOptions, CommandError> {
    let unknown = |name: &str| CommandError::command_line(format!("there is no `{name}`"));
    let node_limit = match options.graph_node_limit {
        -1 => None,
        limit => Some(usize::try_from(limit).map_err(|_| {
            CommandError::command_line(format!(
                "`--graph:node_limit={limit}`: it must be a number from 0, or -1"
            ))
        })?),
    };
    Ok(OutputOptions {
        // Both were among the values that are known.
        format: Format::from_name(&options.output).ok_or_else(|| unknown(&options.output))?,
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
        xml: MessageOptions {
            default_values: options.xml_default_values,
            locations: options.xml_line_numbers,
            ..MessageOptions::default()
        },
    })
}
