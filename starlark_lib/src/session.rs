//! Sessions: from a request in the user's words to a plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::event::EventSink;
use rbz_engine::file_state::{Dependency, FileState};
use rbz_engine::label::Label;
use rbz_engine::plan::Plan;

use crate::loader_options::LoaderOptions;

/// What a session is told once, before its first request.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Where everything is.
    pub loader: LoaderOptions,
    /// The constraint values that hold on this machine, such as `@platforms//cpu:x86_64`.
    pub host_constraints: Vec<Label>,
    /// The target whose files are the shell of `run_shell`: its `DefaultInfo.files`, the first of
    /// them the program.
    pub shell: Label,
}

/// A workspace that is open for requests.
pub struct Session {}

/// What to analyse.
#[derive(Clone, Debug, Default)]
pub struct AnalysisRequest {
    /// Target patterns as the user wrote them, negative ones included.
    pub patterns: Vec<String>,
    /// The directory that they are relative to, below the workspace's root; empty: the root.
    pub directory: String,
    /// The configuration of the targets.
    pub options: ConfigurationOptions,
    /// Whether targets that are fine are analysed when others are not.
    pub keep_going: bool,
    /// Whether only tests, and what they need, are built.
    pub build_tests_only: bool,
    /// `Some`: the command is `test`, and these filters say which tests it means.
    pub tests: Option<TestFilters>,
}

/// Which tests a pattern means.
#[derive(Clone, Debug, Default)]
pub struct TestFilters {
    /// `--test_tag_filters`: a test has one of these tags …
    pub with_tags: Vec<String>,
    /// … and none of these (written with `-`).
    pub without_tags: Vec<String>,
    /// `--test_size_filters`; empty: any.
    pub sizes: Vec<String>,
    /// `--test_timeout_filters`; empty: any.
    pub timeouts: Vec<String>,
}

/// The options that make a configuration.
#[derive(Clone, Debug)]
pub struct ConfigurationOptions {
    /// `fastbuild`, `dbg` or `opt`.
    pub compilation_mode: String,
    /// The CPU in output directories: `k8`.
    pub cpu: String,
    /// `--define`.
    pub defines: BTreeMap<String, String>,
    /// `--features`; a leading `-` turns one off.
    pub features: Vec<String>,
    /// `--stamp`.
    pub stamp: bool,
    /// `--collect_code_coverage`.
    pub collect_code_coverage: bool,
    /// `--instrumentation_filter`; `None`: the packages of the tests that are asked for.
    pub instrumentation_filter: Option<String>,
    /// `--instrument_test_targets`.
    pub instrument_test_targets: bool,
    /// User-defined flags in order: the label as written, without `--`, and the value. A flag
    /// without a value has `true`, one written `--no//x:y` has `false`.
    pub flags: Vec<(String, String)>,
}

impl Default for ConfigurationOptions {
    fn default() -> Self {
        ConfigurationOptions {
            compilation_mode: "fastbuild".to_owned(),
            cpu: "k8".to_owned(),
            defines: BTreeMap::new(),
            features: Vec::new(),
            stamp: false,
            collect_code_coverage: false,
            instrumentation_filter: None,
            instrument_test_targets: false,
            flags: Vec::new(),
        }
    }
}

/// What analysis found.
#[derive(Debug)]
pub struct Analysis {
    /// What is to be executed. With errors and without `keep_going` nothing is requested in it.
    pub plan: Plan,
    /// What is wrong, in the order of the targets that were asked for.
    pub errors: Vec<Diagnostic>,
    /// How many packages were loaded.
    pub packages: usize,
    /// How many targets were configured.
    pub targets: usize,
    /// How many of those were evaluated, and not taken from what was saved.
    pub evaluated: usize,
    /// Everything outside that the plan depends on: while all of it holds, the same request makes
    /// the same plan.
    pub dependencies: Vec<Dependency>,
}

impl Session {
    /// Opens a workspace: evaluates its WORKSPACE.
    pub fn open(
        _options: SessionOptions,
        _file_state: Arc<FileState>,
        _events: Arc<dyn EventSink>,
    ) -> Result<Session, Diagnostic> {
        Err(Diagnostic::internal("the loader has not landed"))
    }

    /// Loads and analyses what `request` names.
    pub fn analyze(&self, _request: &AnalysisRequest) -> Analysis {
        unreachable!("no session can be opened yet")
    }
}
