//! Requests: what the user asked for, checked and fit for use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rbz_engine::build::Residency;
use rbz_engine::sandbox::Ways;

use crate::arguments::{BuildArguments, BuildOptions, DisplayOptions, TestOptions, When};
use crate::command_error::CommandError;
use crate::directories::{Directories, expand_home};
use crate::environment::Environment;
use crate::option_reader::OptionUse;
use crate::per_test::PerTest;

/// How messages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Display {
    /// With colours.
    pub color: bool,
    /// With colours on stdout.
    pub data_color: bool,
    /// Redrawn in place.
    pub curses: bool,
    /// With what is going on.
    pub progress: bool,
}

impl Display {
    /// How the surroundings suggest, before options are known.
    pub fn of_environment(environment: &Environment) -> Display {
        let (terminal, color) = Self::suggested(environment);
        let data_color = color && environment.stdout_is_terminal;
        Display { color, data_color, curses: terminal, progress: true }
    }

    /// Whether there is a terminal that can redraw, and whether it is to have colours.
    fn suggested(environment: &Environment) -> (bool, bool) {
        let dumb = environment.variables.get("TERM").is_none_or(|term| term == "dumb");
        let no_color = environment.variables.get("NO_COLOR").is_some_and(|text| !text.is_empty());
        let terminal = environment.stderr_is_terminal && !dumb;
        (terminal, terminal && !no_color)
    }

    /// How `options` and the surroundings say.
    pub fn new(options: &DisplayOptions, environment: &Environment) -> Display {
        let (terminal, suggested_color) = Self::suggested(environment);
        let decide = |when, otherwise| match when {
            When::Yes => true,
            When::No => false,
            When::Auto => otherwise,
        };
        Display {
            color: decide(options.color, suggested_color),
            data_color: decide(options.color, suggested_color && environment.stdout_is_terminal),
            curses: decide(options.curses, terminal),
            progress: options.show_progress,
        }
    }
}

/// What to build, run or test, and how.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// Target patterns as the user wrote them; for `run` the first is the program.
    pub residue: Vec<String>,
    /// `fastbuild`, `dbg` or `opt`.
    pub compilation_mode: String,
    /// How many actions run at a time.
    pub jobs: usize,
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
    /// Where events are written to.
    pub event_log: Option<PathBuf>,
    /// Where the profile is written to.
    pub profile: Option<PathBuf>,
    /// How tests are chosen, run and reported.
    pub tests: TestRequest,
}

/// How tests are chosen, run and reported.
#[derive(Clone, Debug)]
pub struct TestRequest {
    /// Which output is shown.
    pub output: TestOutput,
    /// How results are listed.
    pub summary: TestSummaryStyle,
    /// What the program is to restrict itself to.
    pub filter: Option<String>,
    /// Arguments after the target's own.
    pub arguments: Vec<String>,
    /// Additions to the environment.
    pub environment: BTreeMap<String, String>,
    /// In place of what goes with short, moderate, long and eternal.
    pub timeouts: [Option<Duration>; 4],
    /// How often each test runs.
    pub runs: PerTest<u32>,
    /// How often a failing test is tried; `None`: as its `flaky` says.
    pub attempts: PerTest<Option<u32>>,
    /// Which known results are used again.
    pub cached_results: CachedResults,
    /// Which tests run, by their tags.
    pub tags: NameFilter,
    /// Which tests run, by their size.
    pub sizes: NameFilter,
    /// Which tests run, by their timeout.
    pub timeout_filter: NameFilter,
    /// Whether only tests are built.
    pub tests_only: bool,
}

/// `--test_output`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestOutput {
    /// Where the log is.
    Summary,
    /// The log of what failed.
    Errors,
    /// Every log.
    All,
    /// Everything as it is written, one test at a time.
    Streamed,
}

/// `--test_summary`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestSummaryStyle {
    /// Every test that was run.
    Short,
    /// Only tests that did not pass.
    Terse,
    /// Every test, with each of its runs.
    Detailed,
    /// None.
    None,
}

/// `--cache_test_results`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachedResults {
    /// All of them.
    Use,
    /// None of them.
    RunAgain,
    /// All of them, unless a test is to run more than once.
    Auto,
}

/// Names to accept and to refuse, such as `small,-slow`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameFilter {
    /// One of these must be there, unless there are none.
    pub required: Vec<String>,
    /// None of these may be there.
    pub excluded: Vec<String>,
}

impl NameFilter {
    fn new(words: &[String]) -> NameFilter {
        let mut filter = NameFilter::default();
        for word in words.iter().filter(|word| !word.is_empty()) {
            match word.strip_prefix('-') {
                Some(name) => filter.excluded.push(name.to_owned()),
                None => {
                    let name = word.strip_prefix('+').unwrap_or(word);
                    filter.required.push(name.to_owned());
                }
            }
        }
        filter
    }

    /// Whether something with these names is accepted.
    pub fn accepts<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> bool {
        let mut found = self.required.is_empty();
        for name in names {
            if self.excluded.iter().any(|excluded| excluded == name) {
                return false;
            }
            found = found || self.required.iter().any(|required| required == name);
        }
        found
    }

    /// Which of `all` names are accepted; none when there is no filter.
    pub fn accepted(&self, all: &[&str]) -> Vec<String> {
        if self.accepts_all() {
            return vec![];
        }
        let accepted = all.iter().filter(|name| self.accepts([**name]));
        accepted.map(|name| name.to_string()).collect()
    }

    /// True when everything is accepted.
    pub fn accepts_all(&self) -> bool {
        self.required.is_empty() && self.excluded.is_empty()
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
            build_event_json_file,
            profile,
        } = arguments.build.clone();
        let here = environment.here()?;
        let path = |path: PathBuf| expand_home(&path, environment, here);
        let tests = TestRequest::new(&arguments.test, environment)?;
        let overrides = pairs("override_repository", &override_repository)?
            .into_iter()
            .map(|(name, written)| {
                let directory = path(PathBuf::from(&written));
                if !directory.is_dir() {
                    let why = format!("there is no directory `{}`", directory.display());
                    return Err(wrong("override_repository", &format!("{name}={written}"), &why));
                }
                Ok((name.trim_start_matches('@').to_owned(), directory))
            })
            .collect::<Result<_, _>>()?;
        Ok(BuildRequest {
            residue: arguments.residue.clone(),
            compilation_mode,
            jobs: jobs(&wanted_jobs)?,
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
            event_log: build_event_json_file.map(path),
            profile: profile.map(path),
            tests,
        })
    }
}

impl TestRequest {
    fn new(options: &TestOptions, environment: &Environment) -> Result<TestRequest, CommandError> {
        let runs = PerTest::parse(&options.runs_per_test, positive)
            .map_err(|(value, why)| wrong("runs_per_test", &value, &why))?;
        let attempts = PerTest::parse(&options.flaky_test_attempts, |text| match text {
            "default" => Ok(None),
            text => positive(text).map(Some),
        })
        .map_err(|(value, why)| wrong("flaky_test_attempts", &value, &why))?;
        let size_filter = NameFilter::new(&options.test_size_filters);
        check_names("test_size_filters", &size_filter, &["small", "medium", "large", "enormous"])?;
        let timeout_filter = NameFilter::new(&options.test_timeout_filters);
        check_names(
            "test_timeout_filters",
            &timeout_filter,
            &["short", "moderate", "long", "eternal"],
        )?;
        Ok(TestRequest {
            output: match options.test_output.as_str() {
                "errors" => TestOutput::Errors,
                "all" => TestOutput::All,
                "streamed" => TestOutput::Streamed,
                _ => TestOutput::Summary,
            },
            summary: match options.test_summary.as_str() {
                "terse" => TestSummaryStyle::Terse,
                "detailed" => TestSummaryStyle::Detailed,
                "none" => TestSummaryStyle::None,
                _ => TestSummaryStyle::Short,
            },
            filter: options.test_filter.clone().filter(|filter| !filter.is_empty()),
            arguments: options.test_arg.clone(),
            environment: variables("test_env", &options.test_env, environment)?,
            timeouts: timeouts(options.test_timeout.as_deref())?,
            runs,
            attempts,
            cached_results: match options.cache_test_results {
                When::Yes => CachedResults::Use,
                When::No => CachedResults::RunAgain,
                When::Auto => CachedResults::Auto,
            },
            tags: NameFilter::new(&options.test_tag_filters),
            sizes: size_filter,
            timeout_filter,
            tests_only: options.build_tests_only,
        })
    }
}

fn wrong(option: &str, value: &str, expected: &str) -> CommandError {
    CommandError::command_line(format!("`--{option}={value}`: {expected}"))
}

fn positive(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("it must be a number above 0".to_owned()),
    }
}

/// `4`, `auto`, `HOST_CPUS`, `HOST_CPUS*.5`, `HOST_CPUS-1`.
fn jobs(text: &str) -> Result<usize, CommandError> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let error = || wrong("jobs", text, "it must be `auto` or a number above 0");
    if text == "auto" {
        return Ok(processors);
    }
    if let Some(rest) = text.strip_prefix("HOST_CPUS") {
        let number = match (rest.strip_prefix('*'), rest.strip_prefix('-')) {
            // Processor counts and their parts are small: the cast loses only the fraction.
            (Some(factor), _) => {
                (processors as f64 * factor.parse::<f64>().map_err(|_| error())?.clamp(0.0, 1000.0))
                    as usize
            }
            (_, Some(minus)) => processors.saturating_sub(minus.parse().map_err(|_| error())?),
            _ if rest.is_empty() => processors,
            _ => return Err(error()),
        };
        return Ok(number.max(1));
    }
    match text.parse() {
        Ok(number) if (1..=10_000).contains(&number) => Ok(number),
        _ => Err(error()),
    }
}

/// A number of bytes such as `500M`; `None` for 0.
fn size(text: &str) -> Result<Option<u64>, CommandError> {
    let expected = "it must be a size such as `500M` or `20G`";
    let error = || wrong("experimental_disk_cache_gc_max_size", text, expected);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        "T" | "t" => 1 << 40,
        _ => return Err(error()),
    };
    let number: u64 = digits.parse().map_err(|_| error())?;
    let bytes = number.checked_mul(unit).ok_or_else(error)?;
    Ok((bytes > 0).then_some(bytes))
}

/// Which actions `--strategy` lets be forked; a later word for the same actions counts.
fn residency(texts: &[String]) -> Result<Residency, CommandError> {
    let mut residency = Residency { default: true, ..Residency::default() };
    for text in texts {
        let (mnemonic, way) = match text.split_once('=') {
            Some((mnemonic, way)) => (Some(mnemonic), way),
            None => (None, text.as_str()),
        };
        let resident = match way {
            "resident" => true,
            "sandboxed" => false,
            _ => return Err(wrong("strategy", text, "it must be `resident` or `sandboxed`")),
        };
        match mnemonic {
            Some(mnemonic) => {
                residency.by_mnemonic.insert(mnemonic.to_owned(), resident);
            }
            None => residency.default = resident,
        }
    }
    Ok(residency)
}

fn pairs(option: &str, texts: &[String]) -> Result<BTreeMap<String, String>, CommandError> {
    texts
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(wrong(option, text, "it must have the form `NAME=VALUE`")),
        })
        .collect()
}

/// Variables of an environment; a name without a value takes rbz's own, if it has one.
fn variables(
    option: &str,
    texts: &[String],
    environment: &Environment,
) -> Result<BTreeMap<String, String>, CommandError> {
    let mut variables = BTreeMap::new();
    for text in texts {
        match text.split_once('=') {
            Some(("", _)) => {
                return Err(wrong(option, text, "the name of the variable is missing"));
            }
            Some((name, value)) => {
                variables.insert(name.to_owned(), value.to_owned());
            }
            None => match environment.variables.get(text) {
                Some(value) => {
                    variables.insert(text.clone(), value.clone());
                }
                None => {
                    variables.remove(text);
                }
            },
        }
    }
    Ok(variables)
}

fn timeouts(text: Option<&str>) -> Result<[Option<Duration>; 4], CommandError> {
    let Some(text) = text else { return Ok([None; 4]) };
    let error = || wrong("test_timeout", text, "it must be one number of seconds, or four");
    let seconds = text
        .split(',')
        .map(|number| match number.trim().parse::<i64>() {
            // Bazel's way to say "the default".
            Ok(number) if number <= 0 => Ok(None),
            Ok(number) => Ok(Some(Duration::from_secs(number.unsigned_abs()))),
            Err(_) => Err(error()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    match seconds[..] {
        [one] => Ok([one; 4]),
        [short, moderate, long, eternal] => Ok([short, moderate, long, eternal]),
        _ => Err(error()),
    }
}

fn check_names(option: &str, filter: &NameFilter, known: &[&str]) -> Result<(), CommandError> {
    let given = filter.required.iter().chain(&filter.excluded);
    match given.into_iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            Err(wrong(option, name, &format!("it must be one of `{}`", known.join("`, `"))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(',').map(String::from).collect()
    }

    #[test]
    fn a_filter_wants_one_of_its_names_and_none_of_those_with_a_minus() {
        let filter = NameFilter::new(&words("a,b,-c"));
        assert!(filter.accepts(["a", "x"]) && filter.accepts(["b"]));
        assert!(!filter.accepts(["a", "c"]) && !filter.accepts(["x"]) && !filter.accepts([]));
        let only_minus = NameFilter::new(&words("-c"));
        assert!(only_minus.accepts([]) && !only_minus.accepts(["c"]));
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

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("3k").expect("valid"), Some(3072));
        assert_eq!(size("20G").expect("valid"), Some(20 << 30));
        assert_eq!(size("0").expect("valid"), None);
        for text in ["", "G", "1x", "-1", "99999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn jobs_and_timeouts_as_bazel_writes_them() {
        assert_eq!(jobs("4").expect("valid"), 4);
        assert_eq!(jobs("HOST_CPUS").expect("valid"), jobs("auto").expect("valid"));
        assert_eq!(jobs("HOST_CPUS*0.0001").expect("valid"), 1);
        for text in ["0", "-1", "many", "HOST_CPUSx", "HOST_CPUS*x"] {
            assert!(jobs(text).is_err(), "{text}");
        }
        let seconds = |number| Some(Duration::from_secs(number));
        assert_eq!(timeouts(Some("7")).expect("valid"), [seconds(7); 4]);
        assert_eq!(
            timeouts(Some("1,-1,3,4")).expect("valid"),
            [seconds(1), None, seconds(3), seconds(4)]
        );
        assert!(timeouts(Some("1,2")).is_err());
    }
}
