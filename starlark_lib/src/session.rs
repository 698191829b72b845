//! Sessions: from a request in the user's words to a plan.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use rbz_engine::artifact::Root;
use rbz_engine::dependency::Dependency;
use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::event::{Event, EventSink};
use rbz_engine::file_state::FileState;
use rbz_engine::label::{Label, RepoName};
use rbz_engine::plan::{CoverageTool, Instrumented, Plan, RequestedTarget};
use rbz_engine::value::Value;

use crate::analyzer::Analyzer;
use crate::build_settings::{default_value, flag_target, parse_value, setting_of};
use crate::builtin_providers::Builtin;
use crate::configuration::{Configuration, native_option};
use crate::configured_graph::ConfiguredGraph;
use crate::dependency_graph::NodeId;
use crate::instrumentation_filter;
use crate::loader::Loader;
use crate::loader_options::LoaderOptions;
use crate::plan_builder::{PlanBuilder, conflict};
use crate::programs;
use crate::rule_context::Shell;
use crate::saved_targets::SavedTargets;
use crate::transitions::Transitions;

/// What a session is told once, before its first request.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Where everything is.
    pub loader: LoaderOptions,
    /// The constraint values that hold on this machine, such as `@platforms//cpu:x86_64`.
    pub host_constraints: Vec<Label>,
    /// The target whose files (`DefaultInfo.files`) are the shell of `run_shell`; its program is
    /// the first of them called `bash` or `sh`.
    pub shell: Label,
    /// The target that reads what instrumented programs leave: its output group `program` is the
    /// program, the first file of another is the value of an option of the group's name.
    pub coverage_tool: Label,
}

/// A workspace that is open for requests.
pub struct Session {
    loader: Arc<Loader>,
    host_constraints: Arc<[Label]>,
    shell: Label,
    coverage_tool: Label,
    transitions: Transitions,
    saved: SavedTargets,
    events: Arc<dyn EventSink>,
}

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
    /// What is no test, or for `build` any target, is built if its tags pass.
    pub build_tags: TagFilter,
    /// `Some`: the command is `test`, and these filters say which tests it means.
    pub tests: Option<TestFilters>,
}

/// Which targets a pattern means, by their tags.
#[derive(Clone, Debug, Default)]
pub struct TagFilter {
    /// A target has one of these tags …
    pub with: Vec<String>,
    /// … and none of these (written with `-`).
    pub without: Vec<String>,
}

/// Which tests a pattern means.
#[derive(Clone, Debug, Default)]
pub struct TestFilters {
    /// `--test_tag_filters`
    pub tags: TagFilter,
    /// `--test_lang_filters`
    pub languages: TagFilter,
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
    /// `--action_env`: for actions that ask for the shell's environment.
    pub action_env: BTreeMap<String, String>,
    /// `--features`; a leading `-` turns one off.
    pub features: Vec<String>,
    /// `--stamp`.
    pub stamp: bool,
    /// `--collect_code_coverage`.
    pub collect_code_coverage: bool,
    /// `--instrumentation_filter`; `None`: everything in the main repository.
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
            action_env: BTreeMap::new(),
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
        options: SessionOptions,
        file_state: Arc<FileState>,
        events: Arc<dyn EventSink>,
    ) -> Result<Session, Diagnostic> {
        let log = options.loader.output_base.join("log").join("configured_targets");
        let loader =
            Loader::open(options.loader, file_state, events.clone()).map_err(|error| *error)?;
        let loader = Arc::new(loader);
        // Functions in providers that come from a saved target are found by loading their module.
        let weak = Arc::downgrade(&loader);
        loader.session().functions.set_loader(Arc::new(move |label| {
            let loader = weak.upgrade();
            let loader = loader.ok_or_else(|| Diagnostic::internal("the session is closed"))?;
            loader.module(label).map(|module| module.frozen.clone()).map_err(|error| *error)
        }));
        Ok(Session {
            loader,
            host_constraints: options.host_constraints.into(),
            shell: options.shell,
            coverage_tool: options.coverage_tool,
            transitions: Transitions::default(),
            saved: SavedTargets::open(&log),
            events,
        })
    }

    /// What the session loads from; for queries.
    pub fn loader(&self) -> &Loader {
        &self.loader
    }

    /// Loads and analyses what `request` names.
    pub fn analyze(&self, request: &AnalysisRequest) -> Analysis {
        let workspace = self.loader.workspace_name();
        let mut analysis = Analysis {
            plan: Plan::new(&workspace, BTreeMap::new()),
            errors: Vec::new(),
            packages: 0,
            targets: 0,
            evaluated: 0,
            dependencies: Vec::new(),
        };
        // On the loader's threads, so that no step of it has to be handed over to them.
        let result = self.loader.threads().install(|| self.analyze_into(request, &mut analysis));
        if let Err(error) = result {
            analysis.errors.push(error);
        }
        let errors = std::mem::take(&mut analysis.errors);
        analysis.errors = errors.into_iter().map(|error| self.loader.with_source(error)).collect();
        analysis.packages = self.loader.package_count();
        analysis.dependencies = self.loader.dependencies();
        analysis
    }

    fn analyze_into(
        &self,
        request: &AnalysisRequest,
        analysis: &mut Analysis,
    ) -> Result<(), Diagnostic> {
        let mut configuration = self.configuration(&request.options)?;
        let expansion = self.loader.expand(&request.patterns, &request.directory);
        analysis.errors.extend(expansion.errors);
        if !analysis.errors.is_empty() && !request.keep_going {
            analysis.errors.truncate(1);
            return Ok(());
        }
        let selection = self.select(expansion.targets, request)?;
        if request.options.collect_code_coverage && request.options.instrumentation_filter.is_none()
        {
            configuration = self.with_default_filter(&configuration, &selection)?;
        }
        let mut analyzer = self.analyzer(&configuration, request.keep_going);
        let roots: Vec<(Label, Arc<Configuration>)> =
            selection.iter().map(|(label, _)| (label.clone(), configuration.clone())).collect();
        let nodes = analyzer.analyze(&roots);
        analysis.errors.extend(analyzer.take_errors());
        let mut requested = Vec::with_capacity(nodes.len());
        let mut left_out = Vec::new();
        for (node, (label, explicit)) in nodes.into_iter().zip(&selection) {
            if let Some(error) = analyzer.incompatibility(node) {
                match explicit {
                    true => analysis.errors.push(error),
                    false => left_out.push(format!("`{label}`")),
                }
                continue;
            }
            match self.requested(&analyzer, node, label) {
                Ok(target) => requested.extend(target),
                Err(error) => analysis.errors.push(error),
            }
        }
        if !left_out.is_empty() {
            let names = left_out.join(", ");
            self.events
                .event(Event::Warning(format!("left out, as not for this platform: {names}")));
        }
        (analysis.targets, analysis.evaluated) = analyzer.counts();
        self.events.event(Event::Analyzed { targets: analysis.targets });
        if analysis.errors.is_empty() || request.keep_going {
            let workspace = self.loader.workspace_name();
            // Only what tests leave is read.
            let has_tests = requested.iter().any(|target| target.test.is_some());
            let coverage_tool = match request.options.collect_code_coverage && has_tests {
                true => Some(self.find_coverage_tool(&mut analyzer, &configuration)?),
                false => None,
            };
            let repositories = self.repositories(&analyzer)?;
            let targets = analyzer.into_targets();
            let plan = PlanBuilder::new(targets.iter())
                .build(&workspace, repositories, requested)
                .map_err(|error| conflict(error, &self.loader))?;
            analysis.plan = plan;
            analysis.plan.coverage_tool = coverage_tool;
        }
        self.saved.save();
        Ok(())
    }

    /// Analyses what the patterns of `request` name, as a graph for queries. Patterns that mean
    /// nothing are the caller's business.
    pub fn configured_graph(
        &self,
        request: &AnalysisRequest,
    ) -> Result<ConfiguredGraph, Diagnostic> {
        self.loader.threads().install(|| {
            let configuration = self.configuration(&request.options)?;
            let targets = self.loader.expand(&request.patterns, &request.directory).targets;
            let mut analyzer = self.analyzer(&configuration, request.keep_going);
            let roots: Vec<(Label, Arc<Configuration>)> =
                targets.into_keys().map(|label| (label, configuration.clone())).collect();
            let roots = analyzer.analyze(&roots);
            let errors = analyzer.take_errors().into_iter();
            let errors = errors.map(|error| self.loader.with_source(error)).collect();
            self.saved.save();
            Ok(ConfiguredGraph::new(&analyzer, &roots, configuration, errors))
        })
    }

    /// An analyzer that knows the shell, and nothing else yet.
    fn analyzer(&self, configuration: &Arc<Configuration>, keep_going: bool) -> Analyzer<'_> {
        let mut analyzer = Analyzer::new(
            &self.loader,
            self.host_constraints.clone(),
            &self.transitions,
            &self.saved,
            keep_going,
            self.events.clone(),
        );
        analyzer.shell = Arc::new(self.find_shell(&mut analyzer, configuration));
        analyzer
    }

    /// The configuration of the command line.
    fn configuration(
        &self,
        options: &ConfigurationOptions,
    ) -> Result<Arc<Configuration>, Diagnostic> {
        let main = rbz_engine::label::PackageId::new(RepoName::main(), "");
        let mut settings: BTreeMap<Label, Value> = BTreeMap::new();
        for (text, value) in &options.flags {
            let wrong = |reason: String| Diagnostic::user(format!("`--{text}={value}`: {reason}"));
            let label = self
                .loader
                .session()
                .parse_label(text, &main)
                .map_err(|error| wrong(error.to_string()))?;
            let target = flag_target(&self.loader, &label).map_err(|error| {
                let mut error = *error;
                error.message = format!("`--{text}={value}`: {}", error.message);
                error
            })?;
            let setting = setting_of(&self.loader, &target).map_err(|error| *error)?;
            if !setting.flag {
                return Err(wrong(format!("`{label}` cannot be set on the command line"))
                    .hint("its rule must say `flag = True` in its `build_setting`"));
            }
            let value = parse_value(setting, value).map_err(|reason| wrong(reason.to_owned()))?;
            let label = &target.label;
            match value == default_value(&target) {
                true => settings.remove(label),
                false => settings.insert(label.clone(), value),
            };
        }
        Configuration::of_command_line(options, settings)
    }

    /// The shell, or why there is none. Rules that need none are not concerned.
    fn find_shell(
        &self,
        analyzer: &mut Analyzer,
        configuration: &Arc<Configuration>,
    ) -> Result<Shell, Diagnostic> {
        let nodes = analyzer.analyze(&[(self.shell.clone(), configuration.clone())]);
        let errors = analyzer.take_errors();
        let Some(target) = nodes.first().and_then(|node| analyzer.result(*node)) else {
            return Err(errors.into_iter().next().unwrap_or_else(|| {
                Diagnostic::user(format!("`{}` cannot be analysed", self.shell))
            }));
        };
        let files = target.default_info().files;
        let list = files.to_files();
        let named = |names: &[&str]| {
            list.iter()
                .find(|file| names.contains(&file.basename()) && *file.root() == Root::System)
        };
        let program = named(&["bash"]).or_else(|| named(&["sh"])).or(list.first());
        match program {
            Some(program) => Ok(Shell { program: program.clone(), files }),
            None => Err(Diagnostic::user(format!("`{}` has no files", self.shell))),
        }
    }

    /// The configuration with a filter for the packages of the tests.
    fn with_default_filter(
        &self,
        configuration: &Arc<Configuration>,
        selection: &[(Label, bool)],
    ) -> Result<Arc<Configuration>, Diagnostic> {
        let mut tests = Vec::new();
        for (label, _) in selection {
            if self.test_info(label)?.is_some() {
                tests.push(label);
            }
        }
        let Some(filter) = instrumentation_filter::of_tests(tests) else {
            return Ok(configuration.clone());
        };
        self.events.event(Event::Info(format!(
            "what is instrumented: --instrumentation_filter=\"{filter}\", the packages of the tests"
        )));
        let option = native_option("instrumentation_filter");
        Ok(configuration.with_of_command_line([(option, Some(Value::str(&filter)))]))
    }

    /// The tool that reads what instrumented programs leave.
    fn find_coverage_tool(
        &self,
        analyzer: &mut Analyzer,
        configuration: &Arc<Configuration>,
    ) -> Result<CoverageTool, Diagnostic> {
        let label = &self.coverage_tool;
        let nodes = analyzer.analyze(&[(label.clone(), configuration.of_tools())]);
        if let Some(error) = analyzer.take_errors().into_iter().next() {
            return Err(error);
        }
        let missing = || Diagnostic::internal(format!("`{label}` has no group `program`"));
        let target = nodes.first().and_then(|node| analyzer.result(*node)).ok_or_else(missing)?;
        let groups = target.provider(&Builtin::OutputGroupInfo.id()).ok_or_else(missing)?;
        let mut program = None;
        let mut arguments = vec!["tool".into(), "coverage".into()];
        for (name, files) in &groups.fields {
            let Value::Depset(files) = files else { continue };
            match (&**name, files.to_files().into_iter().next()) {
                ("program", first) => program = first,
                (name, Some(file)) => {
                    arguments.push(format!("--{name}={}", file.exec_path()).into());
                }
                _ => {}
            }
        }
        let program = program.ok_or_else(missing)?;
        Ok(CoverageTool { program, arguments, files: target.default_info().files })
    }

    /// The directory of every repository that a configured target lies in.
    fn repositories(&self, analyzer: &Analyzer) -> Result<BTreeMap<RepoName, PathBuf>, Diagnostic> {
        let mut names: BTreeSet<RepoName> =
            analyzer.targets().map(|target| target.label.repo().clone()).collect();
        names.insert(RepoName::main());
        names
            .into_iter()
            .map(|name| {
                let root = self.loader.repository_root(&name).map_err(|error| *error)?;
                Ok((name, root))
            })
            .collect()
    }

    /// What building a requested target yields.
    fn requested(
        &self,
        analyzer: &Analyzer,
        node: NodeId,
        label: &Label,
    ) -> Result<Option<RequestedTarget>, Diagnostic> {
        let Some(target) = analyzer.result(node) else { return Ok(None) };
        let mut output_groups = BTreeMap::new();
        if let Some(groups) = target.provider(&Builtin::OutputGroupInfo.id()) {
            for (name, files) in &groups.fields {
                if let Value::Depset(files) = files {
                    output_groups.insert(name.clone(), files.clone());
                }
            }
        }
        let declaring = analyzer.declaring(node);
        let context = analyzer.context(declaring);
        let placed = |error: Diagnostic| match (&error.place, &declaring.state) {
            (None, Ok(resolved)) => error.at(resolved.target.place.clone()),
            _ => error,
        };
        let (executable, test) = match &context {
            Some(context) => (
                programs::program(context, target).map_err(placed)?,
                programs::test(context, target),
            ),
            None => (None, None),
        };
        let instrumented = target.provider(&Builtin::InstrumentedFilesInfo.id()).map(|info| {
            let files = |name: &str| match info.get(name) {
                Some(Value::Depset(files)) => files.clone(),
                _ => Depset::of_files([]),
            };
            Instrumented { sources: files("instrumented_files"), metadata: files("metadata_files") }
        });
        Ok(Some(RequestedTarget {
            instrumented,
            label: label.clone(),
            rule: target.rule.clone(),
            place: declaring.state.as_ref().ok().map(|resolved| resolved.target.place.clone()),
            configuration: target.configuration.clone(),
            files: target.default_info().files,
            output_groups,
            executable,
            test,
        }))
    }

    /// The targets that a request means: suites are replaced by their tests, and for tests the
    /// filters hold. With each, whether it was named itself.
    fn select(
        &self,
        targets: impl IntoIterator<Item = (Label, bool)>,
        request: &AnalysisRequest,
    ) -> Result<Vec<(Label, bool)>, Diagnostic> {
        let mut selected = Vec::new();
        let mut seen = HashSet::new();
        for (label, explicit) in targets {
            let expanded = self.expand_suite(&label, request.keep_going)?;
            let is_suite = expanded.is_some();
            for label in expanded.unwrap_or_else(|| vec![label]) {
                let test = self.test_info(&label)?;
                let wanted = match (&request.tests, &test) {
                    (Some(filters), Some(test)) => filters.select(test),
                    // `test` builds what is no test as well, unless it is told not to.
                    (Some(_), None) => {
                        !request.build_tests_only
                            && !is_suite
                            && self.has_tags(&request.build_tags, &label)
                    }
                    (None, Some(test)) => request.build_tags.selects(&test.tags),
                    (None, None) => {
                        (!request.build_tests_only || explicit && !is_suite)
                            && self.has_tags(&request.build_tags, &label)
                    }
                };
                if wanted && seen.insert(label.clone()) {
                    selected.push((label, explicit && !is_suite));
                }
            }
        }
        Ok(selected)
    }
}
