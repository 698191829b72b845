//! Test runs: the actions that run the requested tests, added to a plan.
//!
//! A plan is analysed and saved without them, since they depend on flags of the command `test`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::action::{Action, ActionKind, CommandArg, Spawn, TestRun};
use crate::artifact::{Artifact, ArtifactKind, Root};
use crate::coverage_plan::add_coverage_reports;
use crate::depset::Depset;
use crate::label::{Label, join};
use crate::plan::{Plan, PlanError, RequestedTarget, TestTarget};
use crate::strategy::EXEC_ROOT;

/// What the command line says about running tests.
#[derive(Clone, Debug)]
pub struct TestOptions {
    /// `--test_filter`: which test cases to run, in the words of the test's framework.
    pub filter: Option<String>,
    /// `--test_arg`: follow the target's own `args`.
    pub args: Vec<String>,
    /// `--test_env`: set in each test, over what the target says.
    pub env: BTreeMap<String, String>,
    /// `--runs_per_test`: how often a test runs; 1 for those that are not here.
    pub runs_per_test: BTreeMap<Label, u32>,
    /// `--test_timeout`: for `short`, `moderate`, `long` and `eternal` tests.
    pub timeouts: [Duration; 4],
    /// `--flaky_test_attempts`: how often a test that fails is tried; those that are not here
    /// three times if they are marked flaky, else once.
    pub attempts: BTreeMap<Label, u32>,
    /// Variables of the environment of rbz, for those that a test says it inherits.
    pub client_env: BTreeMap<String, String>,
    /// Which reports are made of what the tests ran, if that is collected.
    pub coverage: Option<CoverageReports>,
}

/// Which reports are made of what tests ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoverageReports {
    /// One for each test.
    Each,
    /// One for all of them, too.
    Combined,
}

impl Default for TestOptions {
    fn default() -> Self {
        TestOptions {
            filter: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            runs_per_test: BTreeMap::new(),
            timeouts: [60, 300, 900, 3600].map(Duration::from_secs),
            attempts: BTreeMap::new(),
            client_env: BTreeMap::new(),
            coverage: None,
        }
    }
}

impl TestOptions {
    fn runs_of(&self, test: &Label) -> u32 {
        self.runs_per_test.get(test).copied().unwrap_or(1).max(1)
    }
}

/// Adds the actions that run the requested tests to `plan`, and notes them in
/// [`TestTarget::runs`]: shard by shard within each run.
pub fn add_test_runs(plan: &mut Plan, options: &TestOptions) -> Result<(), PlanError> {
    for index in 0..plan.requested.len() {
        let target = plan.requested[index].clone();
        let Some(test) = &target.test else { continue };
        let mut runs = Vec::new();
        for run in 1..=options.runs_of(&target.label) {
            for shard in 0..test.shard_count.unwrap_or(1).max(1) {
                let Some(action) = test_run(plan, &target, test, options, shard, run) else {
                    continue;
                };
                runs.push(plan.add(action)?);
            }
        }
        if let Some(test) = &mut plan.requested[index].test {
            test.runs = runs;
        }
    }
    match options.coverage {
        Some(reports) => add_coverage_reports(plan, reports),
        None => Ok(()),
    }
}

/// How long a test may take.
fn timeout(test: &TestTarget, options: &TestOptions) -> Duration {
    let by_name = |name: &str| match name {
        "short" | "small" => Some(0),
        "moderate" | "medium" => Some(1),
        "long" | "large" => Some(2),
        "eternal" | "enormous" => Some(3),
        _ => None,
    };
    let index = by_name(&test.timeout).or_else(|| by_name(&test.size)).unwrap_or(1);
    options.timeouts[index]
}

fn test_run(
    plan: &Plan,
    target: &RequestedTarget,
    test: &TestTarget,
    options: &TestOptions,
    shard: u32,
    run: u32,
) -> Option<Action> {
    let program = target.executable.as_ref()?;
    let shards = test.shard_count.unwrap_or(1).max(1);
    let runs = options.runs_of(&target.label);
    let timeout = timeout(test, options);
    let outputs = RunOutputs::new(target, shard, shards, run, runs);

    let mut env: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    for name in &program.inherited_env {
        if let Some(value) = options.client_env.get(&**name) {
            env.insert(name.clone(), value.as_str().into());
        }
    }
    env.extend(program.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    env.extend(options.env.iter().map(|(n, v)| (n.as_str().into(), v.as_str().into())));
    let mut set = |name: &str, value: String| env.insert(name.into(), value.into());
    let absolute = |path: &str| format!("{EXEC_ROOT}/{path}");
    let runfiles = absolute(program.runfiles_tree.exec_path());
    set("BAZEL_TEST", "1".into());
    set("RUNFILES_DIR", runfiles.clone());
    set("TEST_SRCDIR", runfiles);
    set("TEST_WORKSPACE", plan.workspace.to_string());
    set("TEST_TARGET", target.label.to_string());
    set("TEST_BINARY", program.file.short_path());
    set("TEST_SIZE", test.size.to_string());
    set("TEST_TIMEOUT", timeout.as_secs().to_string());
    set("TEST_TMPDIR", absolute(&outputs.temporary()));
    set("TEST_UNDECLARED_OUTPUTS_DIR", absolute(outputs.undeclared.exec_path()));
    set("XML_OUTPUT_FILE", absolute(outputs.xml.exec_path()));
    set("TEST_PREMATURE_EXIT_FILE", absolute(&outputs.premature_exit()));
    if runs > 1 {
        set("TEST_RUN_NUMBER", run.to_string());
    }
    if shards > 1 {
        set("TEST_SHARD_INDEX", shard.to_string());
        set("TEST_TOTAL_SHARDS", shards.to_string());
        set("TEST_SHARD_STATUS_FILE", absolute(&outputs.shard_status()));
    }
    if let Some(filter) = &options.filter {
        set("TESTBRIDGE_TEST_ONLY", filter.clone());
    }
    let coverage = options.coverage.map(|_| outputs.coverage.clone());
    if let Some(coverage) = &coverage {
        let directory = absolute(coverage.exec_path());
        set("COVERAGE", "1".into());
        set("COVERAGE_OUTPUT_FILE", format!("{directory}/test.dat"));
        // What GCC writes has the place of its object as its name, below this directory.
        set("GCOV_PREFIX", directory.clone());
        set("GCOV_PREFIX_STRIP", EXEC_ROOT.matches('/').count().to_string());
        set("COVERAGE_DIR", directory);
    }

    let argv = std::iter::once(Arc::from(program.file.exec_path()))
        .chain(program.args.iter().cloned())
        .chain(options.args.iter().map(|arg| arg.as_str().into()))
        .map(CommandArg::Str)
        .collect();
    let attempts = options.attempts.get(&target.label).copied();
    let default_attempts = if test.flaky { 3 } else { 1 };
    Some(Action {
        owner: target.label.clone(),
        mnemonic: "TestRunner".into(),
        progress_message: Some(outputs.message(&target.label).into()),
        configuration: target.configuration.clone(),
        inputs: Depset::union([
            Depset::of_files([program.file.clone(), program.runfiles_tree.clone()]),
            test.tools.clone(),
        ]),
        outputs: [outputs.log.clone(), outputs.xml.clone(), outputs.undeclared.clone()]
            .into_iter()
            .chain(coverage.clone())
            .collect(),
        kind: ActionKind::Spawn(Spawn {
            argv,
            env,
            requirements: requirements(&test.tags),
            timeout: Some(timeout),
            test: Some(TestRun {
                shard,
                shards,
                run,
                runs,
                attempts: attempts.unwrap_or(default_attempts).max(1),
                executable: program.file.clone(),
                runfiles: program.runfiles_tree.clone(),
                workspace: plan.workspace.clone(),
                log: outputs.log,
                xml: outputs.xml,
                undeclared_outputs: outputs.undeclared,
                coverage,
            }),
            resident: None,
        }),
    })
}

/// The tags of a test that say how it is to be run.
fn requirements(tags: &[Arc<str>]) -> BTreeMap<Arc<str>, Arc<str>> {
    let counts = |tag: &str| {
        ["no-", "requires-", "block-", "cpu:", "resources:", "supports-"]
            .iter()
            .any(|prefix| tag.starts_with(prefix))
            || matches!(tag, "local" | "exclusive" | "external")
    };
    tags.iter().filter(|tag| counts(tag)).map(|tag| (tag.clone(), "".into())).collect()
}

/// Where one run of one shard leaves what it makes.
struct RunOutputs {
    /// Below the directory of the configuration's test logs.
    dir: String,
    root: Arc<str>,
    /// Says which of several it is; empty if it is the only one.
    which: String,
    log: Artifact,
    xml: Artifact,
    undeclared: Artifact,
    coverage: Artifact,
}

impl RunOutputs {
    fn new(target: &RequestedTarget, shard: u32, shards: u32, run: u32, runs: u32) -> RunOutputs {
        let root: Arc<str> = format!("rbz-out/{}/testlogs", target.configuration).into();
        let mut which = Vec::new();
        if shards > 1 {
            which.push(format!("shard_{}_of_{shards}", shard + 1));
        }
        if runs > 1 {
            which.push(format!("run_{run}_of_{runs}"));
        }
        let which = which.join("_");
        let label = &target.label;
        let dir = join(&join(&label.package().exec_dir(), label.name()), &which);
        let artifact = |kind, name: &str| {
            Artifact::new(kind, Root::Output(root.clone()), &join(&dir, name), label.clone())
        };
        RunOutputs {
            log: artifact(ArtifactKind::File, "test.log"),
            xml: artifact(ArtifactKind::File, "test.xml"),
            undeclared: artifact(ArtifactKind::Tree, "test.outputs"),
            coverage: artifact(ArtifactKind::Tree, "_coverage"),
            dir,
            root,
            which,
        }
    }

    fn temporary(&self) -> String {
        temporary_dir(&join(&self.root, &self.dir))
    }

    fn shard_status(&self) -> String {
        shard_status_file(&join(&self.root, &self.dir))
    }

    fn premature_exit(&self) -> String {
        premature_exit_file(&join(&self.root, &self.dir))
    }

    fn message(&self, label: &Label) -> String {
        if self.which.is_empty() {
            format!("Testing {label}")
        } else {
            format!("Testing {label} ({})", self.which.replace('_', " "))
        }
    }
}

/// The writable directory of a test (`TEST_TMPDIR`), given that of its log.
pub(crate) fn temporary_dir(log_dir: &str) -> String {
    format!("{log_dir}/_tmp")
}

/// The file that is there as long as a test that makes it is not done, given the directory of its log.
pub(crate) fn premature_exit_file(log_dir: &str) -> String {
    format!("{}/exited_prematurely", temporary_dir(log_dir))
}

/// The file by which a test says that it knows of shards, given the directory of its log.
pub(crate) fn shard_status_file(log_dir: &str) -> String {
    format!("{}/shard_status", temporary_dir(log_dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::{PackageId, RepoName};
    use crate::plan::Program;
    use crate::runfiles::Runfiles;

    fn plan(change: impl FnOnce(&mut TestTarget, &mut Program)) -> Plan {
        let label = PackageId::new(RepoName::main(), "pkg").label("t");
        let output = |kind, path| {
            let root = Root::Output("rbz-out/k8-fastbuild/bin".into());
            Artifact::new(kind, root, path, label.clone())
        };
        let mut test = TestTarget {
            size: "medium".into(),
            timeout: "moderate".into(),
            flaky: false,
            shard_count: None,
            tags: vec!["manual".into(), "exclusive".into()],
            tools: Depset::of_files([]),
            runs: vec![],
        };
        let mut program = Program {
            file: output(ArtifactKind::File, "pkg/t"),
            runfiles: Runfiles::empty(),
            runfiles_tree: output(ArtifactKind::RunfilesTree, "pkg/t.runfiles"),
            args: vec!["own".into()],
            env: BTreeMap::from([("A".into(), "target".into())]),
            inherited_env: vec!["INHERITED".into(), "UNSET".into()],
        };
        change(&mut test, &mut program);
        let mut plan = Plan::new("ws", BTreeMap::new());
        plan.requested.push(RequestedTarget {
            label,
            rule: "sh_test".into(),
            place: None,
            configuration: "k8-fastbuild".into(),
            files: Depset::of_files([program.file.clone()]),
            output_groups: BTreeMap::new(),
            executable: Some(program),
            test: Some(test),
            instrumented: None,
        });
        plan
    }

    fn spawns(plan: &Plan) -> Vec<(&Action, &Spawn)> {
        let runs = plan.requested[0].test.iter().flat_map(|test| &test.runs);
        runs.map(|id| {
            let action = plan.action(*id);
            match &action.kind {
                ActionKind::Spawn(spawn) => (action, spawn),
                _ => panic!("a test that is no process"),
            }
        })
        .collect()
    }

    #[test]
    fn a_test_runs_once_with_bazels_environment() {
        let mut plan = plan(|_, _| {});
        let options = TestOptions {
            args: vec!["more".into()],
            filter: Some("some".into()),
            env: BTreeMap::from([("A".into(), "line".into())]),
            client_env: BTreeMap::from([("INHERITED".into(), "i".into())]),
            ..TestOptions::default()
        };
        add_test_runs(&mut plan, &options).unwrap();
        let [(action, spawn)] = spawns(&plan)[..] else { panic!("not one run") };
        assert_eq!(
            action.outputs.iter().map(Artifact::exec_path).collect::<Vec<_>>(),
            [
                "rbz-out/k8-fastbuild/testlogs/pkg/t/test.log",
                "rbz-out/k8-fastbuild/testlogs/pkg/t/test.xml",
                "rbz-out/k8-fastbuild/testlogs/pkg/t/test.outputs",
            ]
        );
        let argv: Vec<_> = spawn.argv.iter().map(|arg| format!("{arg:?}")).collect();
        assert_eq!(
            argv,
            ["Str(\"rbz-out/k8-fastbuild/bin/pkg/t\")", "Str(\"own\")", "Str(\"more\")"]
        );
        for (name, value) in [
            ("A", "line"),
            ("INHERITED", "i"),
            ("TEST_TARGET", "//pkg:t"),
            ("TEST_WORKSPACE", "ws"),
            ("TEST_SRCDIR", "/rbz/execroot/rbz-out/k8-fastbuild/bin/pkg/t.runfiles"),
            ("TESTBRIDGE_TEST_ONLY", "some"),
            ("TEST_TIMEOUT", "300"),
            ("BAZEL_TEST", "1"),
        ] {
            assert_eq!(spawn.env.get(name).map(|v| &**v), Some(value), "{name}");
        }
        for name in ["UNSET", "TEST_TOTAL_SHARDS", "TEST_RUN_NUMBER"] {
            assert!(!spawn.env.contains_key(name), "{name}");
        }
        assert_eq!(spawn.requirements.keys().map(|k| &**k).collect::<Vec<_>>(), ["exclusive"]);
        assert_eq!(spawn.timeout, Some(Duration::from_secs(300)));
    }

    #[test]
    fn shards_and_runs_multiply_and_have_directories_of_their_own() {
        let mut plan = plan(|test, _| {
            test.shard_count = Some(2);
            test.flaky = true;
        });
        let runs_per_test = BTreeMap::from([(plan.requested[0].label.clone(), 2)]);
        let options = TestOptions { runs_per_test, ..TestOptions::default() };
        add_test_runs(&mut plan, &options).unwrap();
        let runs = spawns(&plan);
        let logs: Vec<_> = runs.iter().map(|(action, _)| action.outputs[0].exec_path()).collect();
        let log = |dir| format!("rbz-out/k8-fastbuild/testlogs/pkg/t/{dir}/test.log");
        assert_eq!(
            logs,
            [
                log("shard_1_of_2_run_1_of_2"),
                log("shard_2_of_2_run_1_of_2"),
                log("shard_1_of_2_run_2_of_2"),
                log("shard_2_of_2_run_2_of_2"),
            ]
        );
        assert_eq!(runs[1].1.env["TEST_SHARD_INDEX"], "1".into());
        assert_eq!(runs[2].1.env["TEST_RUN_NUMBER"], "2".into());
        assert!(runs.iter().all(|(_, spawn)| spawn.test.as_ref().unwrap().attempts == 3));
    }

    #[test]
    fn the_timeout_is_that_of_the_attribute_then_of_the_size_and_can_be_set() {
        for (timeout, size, seconds) in
            [("short", "large", 60), ("", "large", 900), ("eternal", "small", 3600), ("", "", 300)]
        {
            let mut plan = plan(|test, _| {
                test.timeout = timeout.into();
                test.size = size.into();
            });
            add_test_runs(&mut plan, &TestOptions::default()).unwrap();
            assert_eq!(spawns(&plan)[0].1.timeout, Some(Duration::from_secs(seconds)));
        }
        let mut plan = plan(|_, _| {});
        let options =
            TestOptions { timeouts: [Duration::from_secs(7); 4], ..TestOptions::default() };
        add_test_runs(&mut plan, &options).unwrap();
        assert_eq!(spawns(&plan)[0].1.timeout, Some(Duration::from_secs(7)));
    }
}
