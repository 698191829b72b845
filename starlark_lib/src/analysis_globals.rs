//! The globals of .bzl files that are about analysis: providers, depsets, transitions.

use starlark::environment::GlobalsBuilder;

use crate::builtin_providers::builtin_provider_globals;
use crate::coverage::coverage_members;
use crate::depset_value::depset_globals;
use crate::provider_value::provider_globals;
use crate::transition_value::{config_members, transition_globals};

/// Adds them.
pub fn analysis_functions(builder: &mut GlobalsBuilder) {
    depset_globals(builder);
    provider_globals(builder);
    builtin_provider_globals(builder);
    transition_globals(builder);
    builder.namespace("config", config_members);
    builder.namespace("coverage_common", coverage_members);
}
