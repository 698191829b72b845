//! The globals of .bzl files that are about analysis: providers, depsets, transitions.

use starlark::environment::GlobalsBuilder;

/// Adds them.
pub fn analysis_functions(builder: &mut GlobalsBuilder) {
    let _ = builder;
}
