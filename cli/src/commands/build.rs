//! `rbz build`, and what `test` and `run` share with it: from a request to built targets.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rbz_engine::build::{Engine, EngineOptions, Goals, TestCaching, exec_root};
use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::event::{Event, EventSink};
use rbz_engine::file_state::FileState;
use rbz_engine::files::FileError;
use rbz_engine::label::{Label, PackageId, RepoName};
use rbz_engine::local::Local;
use rbz_engine::memory::Memory;
use rbz_engine::plan::Plan;
use rbz_engine::sandbox::Sandboxed;
use rbz_engine::seal::Seals;
use rbz_engine::strategy::Strategy;
use rbz_engine::test_plan::add_test_runs;
use rbz_starlark::loader::Loader;
use rbz_starlark::loader_options::LoaderOptions;
use rbz_starlark::session::{
    Analysis, AnalysisRequest, ConfigurationOptions, Session, SessionOptions, TagFilter,
    TestFilters,
};

use crate::build_events::{End, Invoked};
use crate::built::{Built, end, finish, only_program};
use crate::command_error::{CommandError, ErrorKind};
use crate::commands::test::test_options;
use crate::console::{Console, Severity};
use crate::convenience_symlinks;
use crate::directories::Directories;
use crate::environment::Environment;
use crate::name_filter::NameFilter;
use crate::progress::count;
use crate::question::Question;
use crate::reporter::{Records, ReportOptions, Reporter};
use crate::request::BuildRequest;
use crate::result_lines;
use crate::signals::Interrupts;
use crate::test_request::{CachedResults, TestOutput};
use crate::workspace_status::workspace_status;

/// What the build is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `rbz build`
    Build,
    /// `rbz test`, `rbz coverage`
    Test,
    /// `rbz run`
    Run,
    /// `rbz repl`
    Repl,
}

/// A workspace and where its outputs go. The request lock is held.
#[derive(Debug)]
pub struct Workspace<'a> {
    /// Its root.
    pub root: &'a Path,
    /// The directories outside it.
    pub directories: &'a Directories,
    /// What rbz was called with.
    pub environment: &'a Environment,
    /// What the user wants no more.
    pub interrupts: &'a Interrupts,
    /// What is asked of it.
    pub invoked: Invoked,
}

/// What analysis came to.
struct Planned {
    plan: Plan,
    /// What the plan relied on.
    dependencies: Vec<Dependency>,
    /// What was wrong; it was shown.
    errors: Vec<Diagnostic>,
}

impl Workspace<'_> {
    /// The options of a session in this workspace.
    fn session_options(
        &self,
        overrides: &BTreeMap<String, PathBuf>,
    ) -> Result<SessionOptions, CommandError> {
        let install = self.directories.install();
        let shipped = rbz_rules::materialize(&install).map_err(|error| {
            CommandError::environment(format!("cannot write `{}`: {error}", install.display()))
        })?;
        let main = PackageId::new(RepoName::main(), "");
        let label = |text: &str| {
            Label::parse(text, &main)
                .map_err(|error| CommandError::new(ErrorKind::Internal, error.to_string()))
        };
        let cpu = match std::env::consts::ARCH {
            "aarch64" => "@platforms//cpu:aarch64",
            _ => "@platforms//cpu:x86_64",
        };
        Ok(SessionOptions {
            loader: LoaderOptions {
                workspace_root: self.root.to_owned(),
                output_base: self.directories.output_base.clone(),
                shipped: shipped
                    .into_iter()
                    .map(|(name, directory)| (RepoName::new(&name), directory))
                    .collect(),
                prelude: Some(label("@rbz//:prelude.bzl")?),
                default_repositories: Some((
                    label("@rbz//:defaults.bzl")?,
                    "default_repositories".to_owned(),
                )),
                overrides: overrides
                    .iter()
                    .map(|(name, directory)| (RepoName::new(name), directory.clone()))
                    .collect(),
                environment: self.environment.variables.clone(),
            },
            host_constraints: vec![label(cpu)?, label("@platforms//os:linux")?],
            shell: label("@shell//:shell")?,
            coverage_tool: label("@rbz//coverage:tool")?,
        })
    }

    /// The directory that patterns are relative to.
    pub fn directory(&self) -> String {
        let here = self.environment.current_directory.as_deref();
        let here = here.and_then(|here| here.strip_prefix(self.root).ok());
        here.map(|here| here.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Name of the workspace, as its WORKSPACE file says it.
    pub fn name(&self, request: &BuildRequest) -> Result<Arc<str>, CommandError> {
        let engine = self.open_engine(request)?;
        let events = Arc::new(|_| {});
        let session = Session::open(
            self.session_options(&request.overrides)?,
            engine.file_state().clone(),
            events,
        )?;
        Ok(session.analyze(&AnalysisRequest::default()).plan.workspace)
    }

    /// Does something with what a session loads. Shows on `console` what goes on meanwhile.
    pub fn with_loader<R>(
        &self,
        overrides: &BTreeMap<String, PathBuf>,
        console: &mut Console,
        work: impl FnOnce(&Loader) -> R,
    ) -> Result<R, CommandError> {
        self.with_session(overrides, console, |session| work(session.loader()))
    }

    /// Does something with a session, in the same way.
    pub fn with_session<R>(
        &self,
        overrides: &BTreeMap<String, PathBuf>,
        console: &mut Console,
        work: impl FnOnce(&Session) -> R,
    ) -> Result<R, CommandError> {
        let files = self.directories.output_base.join("log").join("files");
        let open = |error: FileError| CommandError::environment(error.to_string());
        let files = Arc::new(FileState::open(&files).map_err(open)?);
        let options = self.session_options(overrides)?;
        let report = ReportOptions { verbose_failures: false, test_output: TestOutput::Summary };
        let reporter = Reporter::start(console.take(), Records::none(), report);
        let session = Session::open(options, files.clone(), Arc::new(reporter.sink()));
        let result = session.map(|session| {
            let result = work(&session);
            // Its heaps are large, and nobody has to wait until they are freed.
            std::thread::spawn(move || drop(session));
            result
        });
        *console = reporter.finish(End::default());
        if let Err(error) = files.save() {
            // The next command takes a little longer.
            console.message(Severity::Warning, &error.to_string());
        }
        Ok(result?)
    }

    fn open_engine(&self, request: &BuildRequest) -> Result<Engine, CommandError> {
        let sandbox = self.directories.output_base.join("sandbox");
        let memory = Memory::new(request.memory);
        let local: Arc<dyn Strategy> = Arc::new(Local::new(&sandbox));
        let sandboxed: Arc<dyn Strategy> = match request.sandbox {
            Some(ways) => Arc::new(Sandboxed::new(&sandbox, ways).within(memory.clone())),
            None => local.clone(),
        };
        let options = EngineOptions {
            workspace_root: self.root.to_owned(),
            output_base: self.directories.output_base.clone(),
            disk_cache: Some(request.disk_cache.clone()),
            jobs: request.jobs,
            memory,
            keep_going: request.keep_going,
            sandbox_debug: request.sandbox_debug,
            residency: request.residency.clone(),
            subcommands: request.subcommands,
            explain: request.explain.is_some(),
            log_spawns: request.execution_log.is_some(),
            note: self.invoked.note(),
            shuffle: request.shuffle.then(seed),
            test_caching: match request.tests.cached_results {
                CachedResults::Use => TestCaching::Yes,
                CachedResults::RunAgain => TestCaching::No,
                CachedResults::Auto => TestCaching::Auto,
            },
            workspace_status: workspace_status(
                request.workspace_status_command.as_deref(),
                &request.embed_label,
                self.environment,
            ),
            stream_tests: request.tests.output == TestOutput::Streamed,
        };
        Ok(Engine::open(options, sandboxed, local)?)
    }

    /// Builds what `request` names. Shows what happens, and what went wrong, on `console`.
    pub fn build(
        &self,
        purpose: Purpose,
        request: &BuildRequest,
        console: Console,
    ) -> (Console, Result<Built, CommandError>) {
        let options = ReportOptions {
            verbose_failures: request.verbose_failures,
            test_output: request.tests.output,
        };
        let records = match Records::create(request, &self.invoked, self.environment) {
            Ok(records) => records,
            Err(error) => return (console, Err(error)),
        };
        let reporter = Reporter::start(console, records, options);
        let result = self.build_reported(purpose, request, &reporter);
        (reporter.finish(end(purpose, &result)), result)
    }

    /// Loads and analyses what `request` names. Shows what went wrong on `console`. The plan has the
    /// runs of tests too.
    pub fn analyzed(
        &self,
        request: &BuildRequest,
        console: Console,
    ) -> (Console, Result<(Engine, Plan), CommandError>) {
        let options = ReportOptions {
            verbose_failures: request.verbose_failures,
            test_output: request.tests.output,
        };
        let reporter = Reporter::start(console, Records::none(), options);
        let result = self.analyze_reported(request, &reporter);
        (reporter.finish(End::default()), result)
    }

    fn analyze_reported(
        &self,
        request: &BuildRequest,
        reporter: &Reporter,
    ) -> Result<(Engine, Plan), CommandError> {
        let analysis = self.analysis_request(Purpose::Build, request);
        let session = self.session_options(&request.overrides)?;
        let question = Question::new(Purpose::Build, request, analysis, session);
        let engine = self.open_engine(request)?;
        let Planned { mut plan, errors, .. } = self.plan(&question, &engine, reporter)?;
        if let Some(first) = errors.first() {
            return Err(CommandError::already_reported(first.class.into()));
        }
        let options = test_options(request, self.environment, &plan);
        add_test_runs(&mut plan, &options)
            .map_err(|error| CommandError::new(ErrorKind::BuildFailed, error.to_string()))?;
        Ok((engine, plan))
    }

    fn build_reported(
        &self,
        purpose: Purpose,
        request: &BuildRequest,
        reporter: &Reporter,
    ) -> Result<Built, CommandError> {
        let begin = Instant::now();
        let analysis = self.analysis_request(purpose, request);
        let session = self.session_options(&request.overrides)?;
        let question = Question::new(purpose, request, analysis, session);
        // A seal does not know all that build events tell, or a Lisp is told.
        if request.execute
            && purpose != Purpose::Repl
            && request.build_events.is_none()
            && let Some(built) = self.sealed(&question, begin, reporter)
        {
            return Ok(built);
        }
        let engine = self.open_engine(request)?;
        let planned = self.plan(&question, &engine, reporter)?;
        let Planned { mut plan, dependencies, errors } = planned;
        let worst = errors.first().map(|error| error.class);
        let mut built = Built {
            execution_root: engine.exec_root(&plan),
            plan: Arc::new(Plan::new("", Default::default())),
            linked: None,
            outcome: None,
            analysis_is_fine: errors.is_empty(),
            worst,
            begin,
        };
        let goes_on = built.analysis_is_fine || request.keep_going;
        if purpose == Purpose::Test && goes_on {
            let options = test_options(request, self.environment, &plan);
            add_test_runs(&mut plan, &options)
                .map_err(|error| CommandError::new(ErrorKind::BuildFailed, error.to_string()))?;
        }
        built.plan = Arc::new(plan);
        let plan = &built.plan;
        // What cannot be run need not be built for that.
        let is_wanted = purpose != Purpose::Run || only_program(plan).is_some();
        if !goes_on || !request.execute || plan.requested.is_empty() || !is_wanted {
            return Ok(built);
        }
        if let Some(first) = plan.requested.first() {
            built.linked =
                self.make_symlinks(&first.configuration, &built.execution_root, reporter);
        }
        reporter.plan(plan, built.execution_root.clone());
        let goals = Goals {
            default_files: request.output_groups.default
                || matches!(purpose, Purpose::Test | Purpose::Run),
            output_groups: request.output_groups.groups.iter().map(|g| g.as_str().into()).collect(),
            tests: purpose == Purpose::Test,
        };
        let sink = reporter.sink();
        let outcome = self
            .interrupts
            .while_executing(sink.clone(), |cancel| engine.build(plan, &goals, &sink, cancel));
        let outcome = outcome?;
        let mut dependencies = dependencies;
        dependencies.extend(self.inherited(purpose, plan));
        let listed = plan.requested.len() <= request.show_result || purpose == Purpose::Run;
        // A seal tells of no errors.
        if built.analysis_is_fine
            && let Err(error) = engine.seal(&question.seal, plan, &outcome, &dependencies, listed)
        {
            // The next build takes a little longer.
            reporter.sink().note(Severity::Warning, &error.message);
        }
        built.outcome = Some(outcome);
        if let Some(limit) = request.disk_cache_limit
            && let Err(error) = engine.collect_garbage(limit)
        {
            // The build is fine, and the next one tries again.
            let text = format!("the disk cache cannot be brought below its limit: {error}");
            reporter.sink().note(Severity::Warning, &text);
        }
        Ok(built)
    }

    /// The build, if it was sealed and there is still nothing to do.
    fn sealed(&self, question: &Question, begin: Instant, reporter: &Reporter) -> Option<Built> {
        let variables = &self.environment.variables;
        let seals = Seals::open(&self.directories.output_base);
        let told = seals.intact(&question.seal, &|name| variables.get(name).cloned())?;
        let execution_root = exec_root(&self.directories.output_base, &told.workspace);
        let linked = self.make_symlinks(&told.configuration, &execution_root, reporter);
        let built = Built::sealed(told, execution_root, linked, begin);
        reporter.plan(&built.plan, built.execution_root.clone());
        for test in built.outcome.iter().flat_map(|outcome| &outcome.tests) {
            reporter.sink().event(Event::TestFinished(test.clone()));
        }
        Some(built)
    }

    /// The variables that tests take over from the environment, as what the build depends on.
    fn inherited(&self, purpose: Purpose, plan: &Plan) -> HashSet<Dependency> {
        let programs = plan.requested.iter().filter_map(|target| target.executable.as_ref());
        let names = programs.filter(|_| purpose == Purpose::Test).flat_map(|p| &p.inherited_env);
        names
            .map(|name| Dependency::Environment {
                name: name.to_string(),
                value: self.environment.variables.get(&**name).cloned(),
            })
            .collect()
    }

    /// The plan of the request: the one of last time if nothing has changed, else a new one.
    /// Errors were shown.
    fn plan(
        &self,
        question: &Question,
        engine: &Engine,
        reporter: &Reporter,
    ) -> Result<Planned, CommandError> {
        let variables = &self.environment.variables;
        let known = engine.load_plan(&question.plan, &|name| variables.get(name).cloned());
        if let Some((plan, dependencies)) = known {
            return Ok(Planned { plan, dependencies, errors: Vec::new() });
        }
        let sink = reporter.sink();
        let events = Arc::new(sink.clone());
        let session = Session::open(question.session.clone(), engine.file_state().clone(), events)?;
        let analysis = session.analyze(&question.analysis);
        for error in &analysis.errors {
            sink.diagnostic(error);
        }
        let (targets, packages) = (analysis.plan.requested.len(), analysis.packages);
        if analysis.errors.is_empty() {
            sink.note(
                Severity::Info,
                &format!(
                    "Analyzed {} ({} loaded, {} configured)",
                    count(targets, "target"),
                    count(packages, "package"),
                    count(analysis.targets, "target")
                ),
            );
        }
        // Its heaps are large, and nobody has to wait until they are freed.
        std::thread::spawn(move || drop(session));
        if analysis.errors.is_empty() {
            engine.save_plan(&question.plan, &analysis.plan, &analysis.dependencies)?;
        }
        let Analysis { plan, errors, dependencies, .. } = analysis;
        Ok(Planned { plan, dependencies, errors })
    }

    /// What is to be analysed for a request.
    pub fn analysis_request(&self, purpose: Purpose, request: &BuildRequest) -> AnalysisRequest {
        let patterns = match purpose {
            // What follows the program are its arguments.
            Purpose::Run => request.residue.iter().take(1).cloned().collect(),
            Purpose::Build | Purpose::Test | Purpose::Repl => request.residue.clone(),
        };
        let filter_tests = purpose == Purpose::Test || request.tests.tests_only;
        AnalysisRequest {
            patterns,
            directory: self.directory(),
            options: ConfigurationOptions {
                compilation_mode: request.compilation_mode.clone(),
                defines: request.defines.clone(),
                action_env: request.action_environment.clone(),
                features: request.features.clone(),
                stamp: request.stamp,
                collect_code_coverage: request.coverage.collect,
                instrumentation_filter: request.coverage.filter.clone(),
                instrument_test_targets: request.coverage.of_tests,
                flags: request.settings.clone(),
                ..ConfigurationOptions::default()
            },
            // What is asked for first and what then is analysed once.
            keep_going: request.keep_going || purpose == Purpose::Repl,
            build_tests_only: request.tests.tests_only,
            build_tags: tag_filter(&request.build_tags),
            tests: filter_tests.then(|| TestFilters {
                tags: tag_filter(&request.tests.tags),
                languages: tag_filter(&request.tests.languages),
                sizes: request.tests.sizes.accepted(&["small", "medium", "large", "enormous"]),
                timeouts: request
                    .tests
                    .timeout_filter
                    .accepted(&["short", "moderate", "long", "eternal"]),
            }),
        }
    }

    /// Makes the symlinks show the outputs of a configuration, and yields it if they do.
    fn make_symlinks(
        &self,
        configuration: &Arc<str>,
        execution_root: &Path,
        reporter: &Reporter,
    ) -> Option<Arc<str>> {
        let made = convenience_symlinks::make(self.root, execution_root, configuration);
        // A workspace that cannot be written to can be built none the less.
        match made {
            Ok(blocked) if blocked.is_empty() => return Some(configuration.clone()),
            Ok(blocked) => {
                for name in blocked {
                    let text = format!("`{name}` is not of rbz, and so does not show the outputs");
                    reporter.sink().note(Severity::Warning, &text);
                }
            }
            Err(error) => {
                let text = format!("cannot make the symlinks to the outputs: {error}");
                reporter.sink().note(Severity::Warning, &text);
            }
        }
        None
    }
}

fn tag_filter(filter: &NameFilter) -> TagFilter {
    TagFilter { with: filter.required.clone(), without: filter.excluded.clone() }
}

/// A number that differs from call to call.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// `rbz build`
pub fn run(
    workspace: &Workspace,
    request: &BuildRequest,
    console: &mut Console,
) -> Result<(), CommandError> {
    if request.residue.is_empty() {
        return Err(CommandError::command_line("`rbz build` needs a target")
            .hint("`rbz build //...` builds everything")
            .hint("`rbz help target-syntax` explains how targets are named"));
    }
    let (own, result) = workspace.build(Purpose::Build, request, console.take());
    *console = own;
    let built = result?;
    result_lines::show_targets(&built, request, console);
    finish(&built, console)
}
