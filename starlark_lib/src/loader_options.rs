//! What loading is told by the command that it serves.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rbz_engine::label::{Label, RepoName};

/// Where everything is, and what of the surroundings may be seen.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// The directory of the WORKSPACE file.
    pub workspace_root: PathBuf,
    /// Where external repositories and saved state are kept.
    pub output_base: PathBuf,
    /// Directories of the repositories that are known without a WORKSPACE.
    pub shipped: BTreeMap<RepoName, PathBuf>,
    /// The .bzl file whose globals the user's BUILD files see, and what is no rule their .bzl files.
    pub prelude: Option<Label>,
    /// A .bzl file and the function in it that is called after WORKSPACE was evaluated.
    pub default_repositories: Option<(Label, String)>,
    /// Directories that stand for repositories, whatever WORKSPACE says of these.
    pub overrides: BTreeMap<RepoName, PathBuf>,
    /// The environment that `repository_rule`s may look at.
    pub environment: BTreeMap<String, String>,
}
