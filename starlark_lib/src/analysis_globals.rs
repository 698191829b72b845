//! The globals of .bzl files that are about analysis: providers, depsets, transitions.

use starlark::environment::GlobalsBuilder;

use crate::builtin_providers::builtin_provider_globals;
use crate::depset_value::depset_globals;
use crate::provider_value::provider_globals;

/// Adds them.
pub fn analysis_functions(builder: &mut GlobalsBuilder) {
    depset_globals(builder);
    provider_globals(builder);
    builtin_provider_globals(builder);
}
