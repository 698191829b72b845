//! Builds in process: graphs of actions run by a strategy that is a table of functions.

mod explanations;
mod failures;
mod order;
mod outputs;
mod project;
mod reuse;
mod status;
mod test_runs;
