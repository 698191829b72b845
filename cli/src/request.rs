//! Requests: what the user asked for, checked and fit for use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rbz_engine::build::Residency;
use rbz_engine::sandbox::Ways;

use crate::arguments::{BuildArguments, BuildOptions, CoverageOptions};
use crate::command_error::CommandError;
use crate::diagnostic_output::DiagnosticForm;
use crate::directories::{Directories, expand_home};
use crate::environment::Environment;
use crate::machine_memory::machine_memory;
use crate::name_filter::NameFilter;
use crate::option_reader::OptionUse;
use crate::option_values::{
    jobs, local_processors, memory, pairs, repositories, residency, size, variables,
};
use crate::test_request::TestRequest;
use rbz_starlark::instrumentation_filter::InstrumentationFilter;

/// What to build, run or test, and how.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// Target patterns as the user wrote them; for `run` the first is the program.
    pub residue: Vec<String>,
    /// `fastbuild`, `dbg` or `opt`.
    pub compilation_mode: String,
    /// How many actions run at a time.
    pub jobs: usize,
    /// How much memory actions may take, in bytes.
    pub memory: u64,
    /// Whether to go on after an error.
    pub keep_going: bool,
    /// `--define`.
    pub defines: BTreeMap<String, String>,
    /// Build settings by label as written.
    pub settings: Vec<(String, String)>,
    /// Variables for actions that ask for the shell's environment.
    pub action_environment: BTreeMap<String, String>,
    /// Directories that stand for repositories, by the names of these.
    pub overrides: BTreeMap<String, PathBuf>,
    /// Which targets are built, by their tags.
    pub build_tags: NameFilter,
    /// Features of toolchains, as written.
    pub features: Vec<String>,
    /// Whether programs are stamped.
    pub stamp: bool,
    /// What tells the status of the workspace.
    pub workspace_status_command: Option<String>,
    /// What stands in the status as the build's label.
    pub embed_label: String,
    /// The directory of the disk cache.
    pub disk_cache: PathBuf,
    /// How many bytes the disk cache may have after the build; `None`: any number.
    pub disk_cache_limit: Option<u64>,
    /// Whether actions run, and not only analysis.
    pub execute: bool,
    /// The output groups that are built.
    pub output_groups: OutputGroups,
    /// Whether the command line of a failed action is shown.
    pub verbose_failures: bool,
    /// Whether every command line is shown.
    pub subcommands: bool,
    /// In which ways the sandbox of actions may be made; `None`: they run outside.
    pub sandbox: Option<Ways>,
    /// Which actions are forked from a process that has loaded what they need.
    pub residency: Residency,
    /// Whether the sandboxes of failed actions are kept.
    pub sandbox_debug: bool,
    /// Whether ready actions run in random order.
    pub shuffle: bool,
    /// Of how many targets the files are shown.
    pub show_result: usize,
    /// How messages about lines of files are told.
    pub diagnostics: DiagnosticForm,
    /// Where explanations are written to.
    pub explain: Option<PathBuf>,
    /// Whether explanations name everything.
    pub verbose_explanations: bool,
    /// Where the execution log is written to.
    pub execution_log: Option<PathBuf>,
    /// Where the events of the Build Event Protocol are written to.
    pub build_events: Option<PathBuf>,
    /// Where rbz's own events are written to.
    pub event_log: Option<PathBuf>,
    /// Where the profile is written to.
    pub profile: Option<PathBuf>,
    /// How tests are chosen, run and reported.
    pub tests: TestRequest,
    /// Of what it is collected what runs.
    pub coverage: CoverageRequest,
}

/// Of what it is collected what runs, and how it is told.
#[derive(Clone, Debug)]
pub struct CoverageRequest {
    /// Whether it is.
    pub collect: bool,
    /// `--instrumentation_filter`; `None`: the packages of the tests.
    pub filter: Option<String>,
    /// Whether the code of tests counts.
    pub of_tests: bool,
    /// Whether there is a report on all tests together.
    pub combined: bool,
}

impl CoverageRequest {
    fn new(options: &CoverageOptions) -> Result<CoverageRequest, CommandError> {
        if let Some(filter) = &options.instrumentation_filter {
            InstrumentationFilter::parse(filter).map_err(|error| {
                CommandError::command_line(format!(
                    "`--instrumentation_filter={filter}`: {}",
                    error.message
                ))
                .hint("it is regular expressions with commas between them, as in `//app[/:],-//app/tests`")
            })?;
        }
        Ok(CoverageRequest {
            collect: options.collect_code_coverage,
            filter: options.instrumentation_filter.clone(),
            of_tests: options.instrument_test_targets,
            combined: options.combined_report == "lcov",
        })
    }
}

/// `--output_groups`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputGroups {
    /// Whether the target's own files are built.
    pub default: bool,
    /// The other groups.
    pub groups: Vec<String>,
}

impl OutputGroups {
    /// As in Bazel: a plain name replaces the default group, `+name` adds to what is there,
    /// `-name` takes away.
    fn new(words: &[String]) -> OutputGroups {
        let plain = |word: &String| !word.starts_with(['+', '-']) && !word.is_empty();
        let mut groups = OutputGroups { default: !words.iter().any(plain), groups: Vec::new() };
        for word in words.iter().filter(|word| !word.is_empty()) {
            let (add, name) = match word.strip_prefix('-') {
                Some(name) => (false, name),
                None => (true, word.strip_prefix('+').unwrap_or(word)),
            };
            match (name, add) {
                ("default", _) => groups.default = add,
                (_, true) => groups.groups.push(name.to_owned()),
                (_, false) => groups.groups.retain(|group| group != name),
            }
        }
        groups
    }
}

impl BuildRequest {
    /// Checks the options of a command that builds.
    pub fn new(
        arguments: &BuildArguments,
        settings: &[OptionUse],
        directories: &Directories,
        environment: &Environment,
    ) -> Result<BuildRequest, CommandError> {
        let BuildOptions {
            compilation_mode,
            jobs: wanted_jobs,
            local_cpu_resources,
            local_ram_resources,
            keep_going,
            define,
            action_env,
            override_repository,
            build_tag_filters,
            features,
            stamp,
            workspace_status_command,
            embed_label,
            disk_cache,
            experimental_disk_cache_gc_max_size,
            build,
            output_groups,
            verbose_failures,
            subcommands,
            sandbox,
            strategy,
            sandbox_debug,
            shuffle,
            show_result,
            diagnostics,
            explain,
            verbose_explanations,
            execution_log_json_file,
            build_event_json_file,
            event_log_json_file,
            profile,
        } = arguments.build.clone();
        let here = environment.here()?;
        let path = |path: PathBuf| expand_home(&path, environment, here);
        let tests = TestRequest::new(&arguments.test, environment)?;
        let overrides = repositories(&override_repository, environment)?;
        Ok(BuildRequest {
            residue: arguments.residue.clone(),
            compilation_mode,
            jobs: jobs(&wanted_jobs)?.min(local_processors(&local_cpu_resources)?),
            memory: memory(&local_ram_resources, machine_memory())?,
            keep_going,
            action_environment: variables("action_env", &action_env, environment)?,
            overrides,
            build_tags: NameFilter::new(&build_tag_filters),
            defines: pairs("define", &define)?,
            settings: settings.iter().map(|s| (s.name.clone(), s.value.clone())).collect(),
            features,
            stamp,
            workspace_status_command,
            embed_label,
            disk_cache_limit: size(&experimental_disk_cache_gc_max_size)?,
            disk_cache: disk_cache.map_or_else(|| directories.disk_cache(), path),
            execute: build,
            output_groups: OutputGroups::new(&output_groups),
            verbose_failures,
            subcommands,
            sandbox: match sandbox.as_str() {
                "none" => None,
                "namespaces" => Some(Ways::namespaces()),
                "landlock" => Some(Ways::landlock()),
                _ => Some(Ways::default()),
            },
            residency: residency(&strategy)?,
            sandbox_debug,
            shuffle,
            show_result,
            diagnostics: DiagnosticForm::of(&diagnostics),
            explain: explain.map(path),
            verbose_explanations,
            execution_log: execution_log_json_file.map(path),
            build_events: build_event_json_file.map(path),
            event_log: event_log_json_file.map(path),
            profile: profile.map(path),
            tests,
            coverage: CoverageRequest::new(&arguments.coverage)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(',').map(String::from).collect()
    }

    #[test]
    fn output_groups_replace_the_default_or_add_to_it() {
        let of = |text: &str| {
            let groups = OutputGroups::new(&words(text));
            (groups.default, groups.groups.join(","))
        };
        assert_eq!(of(""), (true, String::new()));
        assert_eq!(of("fasl"), (false, "fasl".into()));
        assert_eq!(of("+fasl"), (true, "fasl".into()));
        assert_eq!(of("fasl,default"), (true, "fasl".into()));
        assert_eq!(of("+fasl,-default,+x,-x"), (false, "fasl".into()));
    }
}
