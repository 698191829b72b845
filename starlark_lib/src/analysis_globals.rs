//! The globals of .bzl files that are about analysis: providers, transitions.

use starlark::environment::GlobalsBuilder;

use crate::builtin_providers::builtin_provider_globals;
use crate::coverage::coverage_members;
use crate::not_there::{absent_in_bzl_files, absent_in_config_common};
use crate::provider_value::provider_globals;
use crate::transition_value::{config_members, transition_globals};

/// Adds them.
pub fn analysis_functions(builder: &mut GlobalsBuilder) {
    provider_globals(builder);
    builtin_provider_globals(builder);
    transition_globals(builder);
    absent_in_bzl_files(builder);
    builder.namespace("config", config_members);
    builder.namespace("config_common", absent_in_config_common);
    builder.namespace("coverage_common", coverage_members);
}
