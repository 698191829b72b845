//! Builds in process: graphs of actions run by a strategy that is a table of functions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::action::*;
use crate::artifact::{Artifact, ArtifactKind, Root};
use crate::build::*;
use crate::depset::Depset;
use crate::event::{Event, How, TestStatus};
use crate::failure::FailureCause;
use crate::label::{Label, PackageId, RepoName};
use crate::plan::{Plan, Program, RequestedTarget, TestTarget};
use crate::runfiles::Runfiles;
use crate::strategy::*;
use crate::test_plan::{TestOptions, add_test_runs};
use crate::value::Value;

const BIN: &str = "rbz-out/k8-fastbuild/bin";

/// What a process of a test sees: its command, its inputs, and a directory for its outputs.
struct Process<'a> {
    spawn: &'a PreparedSpawn,
    root: PathBuf,
    cancel: &'a Cancel,
}

impl Process<'_> {
    fn input(&self, path: &str) -> Option<String> {
        let input = self.spawn.inputs.iter().find(|input| *input.path == *path)?;
        match &input.content {
            StagedContent::Blob { store_path, .. } => {
                Some(std::fs::read_to_string(store_path).unwrap())
            }
            StagedContent::Symlink(text) => Some(format!("-> {text}")),
            StagedContent::Directory => Some("dir".into()),
        }
    }

    fn output(&self, path: &str) -> PathBuf {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

type Program_ = Box<dyn Fn(&Process<'_>) -> (Exit, String, String) + Send + Sync>;

/// Runs programs by their names. `cat` is there from the start: it writes all its inputs, one
/// after the other, to its first output.
#[derive(Default)]
struct Fake {
    programs: Mutex<BTreeMap<String, Arc<Program_>>>,
    ran: Mutex<Vec<String>>,
    running: AtomicUsize,
    most: AtomicUsize,
}

struct Shared(Arc<Fake>);

impl Strategy for Shared {
    fn run(&self, spawn: &PreparedSpawn, cancel: &Cancel) -> Result<Completed, StrategyError> {
        let fake = &self.0;
        let most = fake.running.fetch_add(1, Ordering::SeqCst) + 1;
        fake.most.fetch_max(most, Ordering::SeqCst);
        let scratch = tempfile::tempdir().unwrap();
        let process = Process { spawn, root: scratch.path().to_owned(), cancel };
        for output in &spawn.outputs {
            let path = process.output(&output.path);
            if output.is_tree {
                std::fs::create_dir_all(path).unwrap();
            }
        }
        let name = spawn.argv[0].rsplit('/').next().unwrap().to_owned();
        fake.ran.lock().unwrap().push(format!("{name} {}", spawn.argv[1..].join(" ")));
        let program = fake.programs.lock().unwrap().get(&name).cloned();
        let (exit, stdout, stderr) = match program {
            Some(program) => program(&process),
            None if name == "cat" => {
                let texts = spawn.inputs.iter().filter_map(|input| process.input(&input.path));
                std::fs::write(process.output(&spawn.outputs[0].path), texts.collect::<String>())
                    .unwrap();
                (Exit::Status(0), String::new(), String::new())
            }
            None => (Exit::Status(127), String::new(), format!("{name}: not found\n")),
        };
        fake.running.fetch_sub(1, Ordering::SeqCst);
        Ok(Completed {
            exit,
            stdout: stdout.into(),
            stderr: stderr.into(),
            wall: Duration::from_millis(5),
            cpu: Duration::ZERO,
            max_rss: 0,
            outputs_root: scratch.path().to_owned(),
            missed: vec![],
            scratch: Box::new(scratch),
            kept: None,
        })
    }

    fn name(&self) -> &'static str {
        "fake"
    }

    fn key_material(&self) -> &str {
        ""
    }
}

/// A workspace with an output base and a cache, and a plan under construction.
struct Project {
    dir: tempfile::TempDir,
    fake: Arc<Fake>,
    plan: Plan,
    keep_going: bool,
    jobs: usize,
    caching: TestCaching,
    cancel: Cancel,
}

/// What a build did, for comparison.
struct Built {
    outcome: BuildOutcome,
    ran: Vec<String>,
    events: Vec<Event>,
}

impl Built {
    fn how(&self) -> (usize, usize, usize) {
        let counts = self.outcome.counts;
        (counts.up_to_date, counts.cache_hits, counts.processes + counts.internal)
    }

    fn cause(&self) -> &FailureCause {
        &self.outcome.failures.first().expect("no failure").cause
    }

    fn status(&self) -> Vec<TargetStatus> {
        self.outcome.targets.iter().map(|target| target.status).collect()
    }

    fn shown(&self) -> String {
        let mut shown = String::new();
        for event in &self.events {
            if let Event::ActionFinished { output, .. } = event {
                shown += &String::from_utf8_lossy(&output.stdout);
                shown += &String::from_utf8_lossy(&output.stderr);
            }
        }
        shown
    }
}

fn label(name: &str) -> Label {
    PackageId::new(RepoName::main(), "pkg").label(name)
}

fn source(path: &str) -> Artifact {
    let owner = PackageId::new(RepoName::main(), "").label(path);
    Artifact::new(ArtifactKind::SourceFile, Root::Source, path, owner)
}

fn output(kind: ArtifactKind, path: &str) -> Artifact {
    Artifact::new(kind, Root::Output(BIN.into()), path, label(path))
}

fn file(path: &str) -> Artifact {
    output(ArtifactKind::File, path)
}

fn spawn(argv: &[&str]) -> Spawn {
    Spawn {
        argv: argv.iter().map(|arg| CommandArg::Str((*arg).into())).collect(),
        env: BTreeMap::new(),
        requirements: BTreeMap::new(),
        timeout: None,
        test: None,
    }
}

impl Project {
    fn new() -> Project {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("ws")).unwrap();
        let plan = Self::empty_plan(dir.path());
        Project {
            dir,
            fake: Arc::default(),
            plan,
            keep_going: false,
            jobs: 2,
            caching: TestCaching::Auto,
            cancel: Cancel::default(),
        }
    }

    fn empty_plan(dir: &Path) -> Plan {
        Plan::new("ws", BTreeMap::from([(RepoName::main(), dir.join("ws"))]))
    }

    /// Begins the plan anew, as after an edit of BUILD files.
    fn replan(&mut self) {
        self.plan = Self::empty_plan(self.dir.path());
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join("ws").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A program that the fake strategy runs under this name.
    fn program(
        &self,
        name: &str,
        run: impl Fn(&Process<'_>) -> (Exit, String, String) + Send + Sync + 'static,
    ) {
        self.fake.programs.lock().unwrap().insert(name.into(), Arc::new(Box::new(run)));
    }

    fn action(&mut self, kind: ActionKind, inputs: Depset, outputs: &[Artifact]) {
        let owner = outputs[0].owner().clone();
        self.plan
            .add(Action {
                owner,
                mnemonic: "Test".into(),
                progress_message: None,
                configuration: "k8-fastbuild".into(),
                inputs,
                outputs: outputs.to_vec(),
                kind,
            })
            .unwrap();
    }

    fn run(&mut self, argv: &[&str], inputs: &[Artifact], outputs: &[Artifact]) {
        let inputs = Depset::of_files(inputs.iter().cloned());
        self.action(ActionKind::Spawn(spawn(argv)), inputs, outputs);
    }

    /// `cat` from inputs to one output.
    fn cat(&mut self, inputs: &[Artifact], to: &Artifact) {
        self.run(&["cat", to.exec_path()], inputs, std::slice::from_ref(to));
    }

    fn request(&mut self, files: &[Artifact]) {
        self.plan.requested.push(RequestedTarget {
            label: label(files[0].root_relative_path()),
            rule: "rule".into(),
            configuration: "k8-fastbuild".into(),
            files: Depset::of_files(files.iter().cloned()),
            output_groups: BTreeMap::new(),
            executable: None,
            test: None,
        });
    }

    /// A requested test that runs `program`, with runfiles.
    fn request_test(&mut self, program: &str, runfiles: &[Artifact], flaky: bool) {
        let executable = file(&format!("pkg/{program}"));
        let tree = output(ArtifactKind::RunfilesTree, &format!("pkg/{program}.runfiles"));
        self.action(
            ActionKind::Write {
                content: vec![CommandArg::Str("#!program".into())],
                executable: true,
            },
            Depset::of_files([]),
            std::slice::from_ref(&executable),
        );
        let files = Depset::of_files(runfiles.iter().cloned().chain([executable.clone()]));
        let runfiles = Arc::new(Runfiles::of(files.clone()));
        let kind = ActionKind::RunfilesTree(runfiles.clone());
        self.action(kind, files, std::slice::from_ref(&tree));
        self.plan.requested.push(RequestedTarget {
            label: label(program),
            rule: "test".into(),
            configuration: "k8-fastbuild".into(),
            files: Depset::of_files([executable.clone()]),
            output_groups: BTreeMap::new(),
            executable: Some(Program {
                file: executable,
                runfiles,
                runfiles_tree: tree,
                args: vec![],
                env: BTreeMap::new(),
                inherited_env: vec![],
            }),
            test: Some(TestTarget {
                size: "small".into(),
                timeout: "short".into(),
                flaky,
                shard_count: None,
                tags: vec![],
                runs: vec![],
            }),
        });
    }

    fn engine(&self) -> Engine {
        let options = EngineOptions {
            workspace_root: self.dir.path().join("ws"),
            output_base: self.dir.path().join("base"),
            disk_cache: Some(self.dir.path().join("cache")),
            jobs: self.jobs,
            keep_going: self.keep_going,
            sandbox_debug: false,
            subcommands: false,
            shuffle: None,
            test_caching: self.caching,
        };
        let strategy = || Arc::new(Shared(self.fake.clone()));
        Engine::open(options, strategy(), strategy()).unwrap()
    }

    fn try_build(&self, goals: &Goals) -> Result<Built, crate::diagnostic::Diagnostic> {
        self.fake.ran.lock().unwrap().clear();
        let events = Mutex::new(Vec::new());
        let sink = |event: Event| events.lock().unwrap().push(event);
        let outcome = self.engine().build(&self.plan, goals, &sink, &self.cancel)?;
        let mut ran = self.fake.ran.lock().unwrap().clone();
        ran.sort();
        Ok(Built { outcome, ran, events: events.into_inner().unwrap() })
    }

    fn build(&self) -> Built {
        self.try_build(&Goals::build()).unwrap()
    }

    fn test(&mut self, options: &TestOptions) -> Built {
        let mut plan = self.plan.clone();
        plan.index();
        std::mem::swap(&mut plan, &mut self.plan);
        add_test_runs(&mut self.plan, options).unwrap();
        let built = self.try_build(&Goals::test()).unwrap();
        self.plan = plan;
        self.plan.index();
        built
    }

    fn path(&self, artifact: &Artifact) -> PathBuf {
        self.dir.path().join("base/execroot/ws").join(artifact.exec_path())
    }

    fn read(&self, artifact: &Artifact) -> String {
        std::fs::read_to_string(self.path(artifact)).unwrap()
    }

    fn log(&self, test: &str) -> String {
        let path = format!("base/execroot/ws/rbz-out/k8-fastbuild/testlogs/pkg/{test}/test.log");
        std::fs::read_to_string(self.dir.path().join(path)).unwrap()
    }

    /// Forgets what was built, as `rbz clean` does.
    fn clean(&self) {
        std::fs::remove_dir_all(self.dir.path().join("base")).unwrap();
    }

    fn blobs(&self) -> Vec<PathBuf> {
        ["cas", "cas-x"]
            .iter()
            .flat_map(|dir| walkdir::WalkDir::new(self.dir.path().join("cache").join(dir)))
            .flatten()
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.into_path())
            .collect()
    }

    fn blob_with(&self, text: &str) -> PathBuf {
        let found =
            self.blobs().into_iter().find(|blob| std::fs::read(blob).unwrap() == text.as_bytes());
        found.expect("no such blob")
    }
}

/// a.in -> a -> ab <- b <- b.in
fn diamond() -> Project {
    let mut project = Project::new();
    project.write("pkg/a.in", "A");
    project.write("pkg/b.in", "B");
    let (a, b, ab) = (file("a"), file("b"), file("ab"));
    project.cat(&[source("pkg/a.in")], &a);
    project.cat(&[source("pkg/b.in")], &b);
    project.cat(&[a, b], &ab);
    project.request(&[ab]);
    project
}

fn ok() -> (Exit, String, String) {
    (Exit::Status(0), String::new(), String::new())
}

#[test]
fn a_first_build_runs_everything_and_a_second_nothing() {
    let project = diamond();
    let first = project.build();
    assert_eq!(first.status(), [TargetStatus::Built]);
    assert_eq!(first.how(), (0, 0, 3));
    assert_eq!(project.read(&file("ab")), "AB");
    let second = project.build();
    assert_eq!(second.how(), (3, 0, 0));
    assert!(second.ran.is_empty());
}

#[test]
fn a_change_runs_what_depends_on_it_and_nothing_else() {
    let project = diamond();
    project.build();
    project.write("pkg/a.in", "X");
    let built = project.build();
    assert_eq!(built.ran, [format!("cat {BIN}/a"), format!("cat {BIN}/ab")]);
    assert_eq!(built.how(), (1, 0, 2));
    assert_eq!(project.read(&file("ab")), "XB");
}

#[test]
fn a_touched_source_runs_nothing() {
    let project = diamond();
    project.build();
    project.write("pkg/a.in", "A");
    assert_eq!(project.build().how(), (3, 0, 0));
}

#[test]
fn a_change_taken_back_is_all_cache_hits() {
    let project = diamond();
    project.build();
    project.write("pkg/a.in", "X");
    project.build();
    project.write("pkg/a.in", "A");
    let built = project.build();
    assert_eq!(built.how(), (1, 2, 0));
    assert_eq!(project.read(&file("ab")), "AB");
}

#[test]
fn after_a_clean_everything_comes_from_the_cache() {
    let project = diamond();
    project.build();
    project.clean();
    let built = project.build();
    assert_eq!(built.how(), (0, 3, 0));
    assert_eq!(project.read(&file("ab")), "AB");
    assert_eq!(project.build().how(), (3, 0, 0));
}

#[test]
fn an_output_that_stays_the_same_stops_the_wave() {
    let project = diamond();
    project.program("cat", |process| {
        let texts = process.spawn.inputs.iter().filter_map(|input| process.input(&input.path));
        let text: String = texts.collect::<String>().to_uppercase();
        std::fs::write(process.output(&process.spawn.outputs[0].path), text).unwrap();
        ok()
    });
    project.build();
    project.write("pkg/a.in", "a");
    let built = project.build();
    assert_eq!(built.ran, [format!("cat {BIN}/a")]);
    assert_eq!(built.how(), (2, 0, 1));
}

#[test]
fn another_argument_variable_or_input_name_is_a_reason_to_run() {
    let build = |argv: &[&str], variable: &str, input: &str| {
        let mut project = Project::new();
        project.write("pkg/a.in", "A");
        project.write("pkg/b.in", "A");
        project.build_variant(&["cat", "x"], "1", "pkg/a.in");
        assert_eq!(project.build().how(), (0, 0, 1));
        project.replan();
        project.build_variant(argv, variable, input);
        project.build().how()
    };
    assert_eq!(build(&["cat", "x"], "1", "pkg/a.in"), (1, 0, 0));
    assert_eq!(build(&["cat", "y"], "1", "pkg/a.in"), (0, 0, 1));
    assert_eq!(build(&["cat", "x"], "2", "pkg/a.in"), (0, 0, 1));
    assert_eq!(build(&["cat", "x"], "1", "pkg/b.in"), (0, 0, 1));
}

impl Project {
    fn build_variant(&mut self, argv: &[&str], variable: &str, input: &str) {
        let mut spawn = spawn(argv);
        spawn.env.insert("VARIABLE".into(), variable.into());
        let inputs = Depset::of_files([source(input)]);
        self.action(ActionKind::Spawn(spawn), inputs, &[file("out")]);
        self.request(&[file("out")]);
    }
}

#[test]
fn a_source_that_can_be_run_now_is_a_reason_to_run() {
    use std::os::unix::fs::PermissionsExt;
    let project = diamond();
    project.build();
    let path = project.dir.path().join("ws/pkg/a.in");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(project.build().ran, [format!("cat {BIN}/a")]);
}

#[test]
fn outputs_somebody_removed_or_changed_are_put_back_without_running() {
    let project = diamond();
    project.build();
    let (a, ab) = (project.path(&file("a")), project.path(&file("ab")));
    std::fs::remove_file(&a).unwrap();
    std::fs::remove_file(&ab).unwrap();
    std::fs::create_dir(&ab).unwrap();
    std::fs::write(ab.join("x"), "").unwrap();
    assert_eq!(project.build().how(), (3, 0, 0));
    assert_eq!(project.read(&file("a")), "A");
    assert_eq!(project.read(&file("ab")), "AB");
}

#[test]
fn a_lost_output_tree_is_put_back_without_running() {
    let project = diamond();
    project.build();
    std::fs::remove_dir_all(project.dir.path().join("base/execroot")).unwrap();
    assert_eq!(project.build().how(), (3, 0, 0));
    assert_eq!(project.read(&file("ab")), "AB");
}

#[test]
fn a_failure_stops_the_build_unless_it_is_to_go_on() {
    for keep_going in [false, true] {
        let mut project = Project::new();
        project.keep_going = keep_going;
        project.jobs = 1;
        project.write("pkg/a.in", "A");
        project.program("fail", |_| (Exit::Status(3), "out\n".into(), "err\n".into()));
        let (bad, after, good) = (file("bad"), file("after"), file("good"));
        project.run(&["fail"], &[], std::slice::from_ref(&bad));
        project.cat(std::slice::from_ref(&bad), &after);
        project.cat(&[source("pkg/a.in")], &good);
        project.request(&[after]);
        project.request(&[good]);
        let built = project.build();
        assert!(matches!(built.cause(), FailureCause::Exit(3)));
        assert_eq!(&*built.outcome.failures[0].output.stderr, b"err\n");
        assert_eq!(built.outcome.failures.len(), 1);
        let second = if keep_going { TargetStatus::Built } else { TargetStatus::Skipped };
        assert_eq!(built.status(), [TargetStatus::Failed, second]);
        assert!(!built.outcome.is_built());
        assert!(!project.path(&bad).exists());
        // Failures are remembered nowhere.
        assert!(matches!(project.build().cause(), FailureCause::Exit(3)));
    }
}

#[test]
fn a_failed_action_takes_its_former_output_away() {
    let project = diamond();
    project.build();
    project.write("pkg/a.in", "X");
    project.program("cat", |_| (Exit::Signal(11), String::new(), String::new()));
    let built = project.build();
    assert!(matches!(built.cause(), FailureCause::Signal(11)));
    assert!(!project.path(&file("a")).exists());
    project.write("pkg/a.in", "A");
    let built = project.build();
    assert!(built.outcome.is_built());
    assert!(built.ran.is_empty());
    assert_eq!(project.read(&file("a")), "A");
}

#[test]
fn outputs_that_were_not_made_are_named() {
    let mut project = Project::new();
    project.program("half", |process| {
        std::fs::write(process.output(&process.spawn.outputs[0].path), "x").unwrap();
        ok()
    });
    let outputs = [file("one"), file("two"), output(ArtifactKind::Symlink, "three")];
    project.run(&["half"], &[], &outputs);
    project.request(&outputs);
    let built = project.build();
    let FailureCause::OutputsMissing(missing) = built.cause() else { panic!() };
    assert_eq!(*missing, [format!("{BIN}/two"), format!("{BIN}/three")]);
    assert!(!project.path(&outputs[0]).exists());
}

#[test]
fn a_missing_source_is_reported_once_by_its_label() {
    let mut project = Project::new();
    project.keep_going = true;
    project.cat(&[source("pkg/gone")], &file("one"));
    project.cat(&[source("pkg/gone")], &file("two"));
    project.request(&[file("one")]);
    project.request(&[file("two")]);
    project.request(&[source("pkg/gone")]);
    let built = project.build();
    assert_eq!(built.outcome.failures.len(), 1);
    let FailureCause::SourceMissing { path, .. } = built.cause() else { panic!() };
    assert_eq!(path, "pkg/gone");
    assert_eq!(built.status(), [TargetStatus::Failed; 3]);
}

#[test]
fn a_requested_source_that_is_missing_fails_the_target() {
    let mut project = Project::new();
    project.request(&[source("pkg/gone")]);
    let built = project.build();
    assert!(matches!(built.cause(), FailureCause::SourceMissing { .. }));
    assert_eq!(built.status(), [TargetStatus::Failed]);
}

#[test]
fn a_strategy_that_cannot_is_the_machines_fault() {
    struct Broken;
    impl Strategy for Broken {
        fn run(&self, _: &PreparedSpawn, _: &Cancel) -> Result<Completed, StrategyError> {
            Err(StrategyError { what: "start a process".into(), reason: "no memory".into() })
        }
        fn name(&self) -> &'static str {
            "broken"
        }
        fn key_material(&self) -> &str {
            ""
        }
    }
    let project = diamond();
    let options = EngineOptions {
        workspace_root: project.dir.path().join("ws"),
        output_base: project.dir.path().join("base"),
        disk_cache: None,
        jobs: 1,
        keep_going: false,
        sandbox_debug: false,
        subcommands: false,
        shuffle: None,
        test_caching: TestCaching::Auto,
    };
    let engine = Engine::open(options, Arc::new(Broken), Arc::new(Broken)).unwrap();
    let sink = |_: Event| {};
    let outcome = engine.build(&project.plan, &Goals::build(), &sink, &Cancel::default()).unwrap();
    let FailureCause::Machine(text) = &outcome.failures[0].cause else { panic!() };
    assert_eq!(text, "start a process: no memory");
}

#[test]
fn what_was_finished_when_a_build_was_cancelled_is_not_done_again() {
    let mut project = diamond();
    project.jobs = 1;
    let cancel = project.cancel.clone();
    project.program("cat", move |process| {
        let path = process.spawn.outputs[0].path.clone();
        if path.ends_with("/ab") {
            cancel.cancel();
            assert!(process.cancel.is_cancelled());
            return (Exit::Cancelled, String::new(), String::new());
        }
        std::fs::write(process.output(&path), &*path).unwrap();
        ok()
    });
    let built = project.build();
    assert!(built.outcome.interrupted);
    assert!(built.outcome.failures.is_empty());
    assert_eq!(built.status(), [TargetStatus::Skipped]);
    project.cancel = Cancel::default();
    project.fake.programs.lock().unwrap().clear();
    assert_eq!(project.build().how(), (2, 0, 1));
}

#[test]
fn what_an_action_said_is_said_again_by_the_cache() {
    let mut project = Project::new();
    project.program("talk", |process| {
        std::fs::write(process.output(&process.spawn.outputs[0].path), "x").unwrap();
        (Exit::Status(0), "to stdout\n".into(), "WARNING: style\n".into())
    });
    project.run(&["talk"], &[], &[file("x")]);
    project.request(&[file("x")]);
    assert_eq!(project.build().shown(), "to stdout\nWARNING: style\n");
    assert_eq!(project.build().shown(), "");
    project.clean();
    let again = project.build();
    assert_eq!(again.how(), (0, 1, 0));
    assert_eq!(again.shown(), "to stdout\nWARNING: style\n");
}

#[test]
fn an_action_that_must_not_be_cached_runs_after_a_clean_only() {
    let mut project = Project::new();
    let mut spawn = spawn(&["cat"]);
    spawn.requirements.insert("no-cache".into(), "".into());
    project.action(ActionKind::Spawn(spawn), Depset::of_files([]), &[file("x")]);
    project.request(&[file("x")]);
    assert_eq!(project.build().how(), (0, 0, 1));
    assert_eq!(project.build().how(), (1, 0, 0));
    project.clean();
    assert_eq!(project.build().how(), (0, 0, 1));
}

#[test]
fn a_lost_blob_behind_a_hit_is_a_miss() {
    let project = diamond();
    project.build();
    project.clean();
    std::fs::remove_file(project.blob_with("AB")).unwrap();
    let built = project.build();
    assert_eq!(built.ran, [format!("cat {BIN}/ab")]);
    assert_eq!(project.read(&file("ab")), "AB");
}

#[test]
fn a_damaged_blob_is_a_miss() {
    use std::os::unix::fs::PermissionsExt;
    let project = diamond();
    project.build();
    let blob = project.blob_with("AB");
    project.clean();
    std::fs::set_permissions(&blob, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&blob, "ab").unwrap();
    let built = project.build();
    assert_eq!(built.ran, [format!("cat {BIN}/ab")]);
    assert_eq!(project.read(&file("ab")), "AB");
}

#[test]
fn a_lost_cache_costs_nothing_while_the_outputs_are_there() {
    let project = diamond();
    project.build();
    std::fs::remove_dir_all(project.dir.path().join("cache")).unwrap();
    assert_eq!(project.build().how(), (3, 0, 0));
    // What is needed again is taken from the outputs and from the sources.
    std::fs::remove_dir_all(project.dir.path().join("cache")).unwrap();
    project.write("pkg/a.in", "X");
    let built = project.build();
    assert_eq!(built.ran, [format!("cat {BIN}/a"), format!("cat {BIN}/ab")]);
    assert_eq!(project.read(&file("ab")), "XB");
}

#[test]
fn bytes_that_are_nowhere_are_made_again() {
    use std::os::unix::fs::PermissionsExt;
    let project = diamond();
    // Sources that are old enough to be trusted are not read again.
    std::thread::sleep(Duration::from_millis(30));
    project.build();
    // The blob of `b` goes, and its output is damaged in a way that no stamp shows.
    let b = project.path(&file("b"));
    std::fs::remove_file(project.blob_with("B")).unwrap();
    std::fs::remove_dir_all(project.dir.path().join("cache")).unwrap();
    std::fs::set_permissions(&b, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&b, "?").unwrap();
    crate::files::set_mtime(&b, crate::store::BLOB_DATE).unwrap();
    project.write("pkg/a.in", "X");
    let built = project.build();
    assert!(built.outcome.is_built());
    assert_eq!(project.read(&file("ab")), "XB");
    assert_eq!(project.read(&file("b")), "B");
}

#[test]
fn a_source_that_changes_during_the_build_poisons_nothing() {
    let mut project = Project::new();
    project.jobs = 1;
    project.write("pkg/a.in", "before");
    let path = project.dir.path().join("ws/pkg/a.in");
    let edited = path.clone();
    project.program("edit", move |process| {
        // Whoever edits now is too late for this build.
        std::fs::write(&edited, "after").unwrap();
        let text = process.input("pkg/a.in").unwrap();
        std::fs::write(process.output(&process.spawn.outputs[0].path), text).unwrap();
        ok()
    });
    project.run(&["edit"], &[source("pkg/a.in")], &[file("x")]);
    project.request(&[file("x")]);
    project.build();
    assert_eq!(project.read(&file("x")), "before");
    assert_eq!(project.build().how(), (0, 0, 1));
    assert_eq!(project.read(&file("x")), "after");
    std::fs::write(&path, "before").unwrap();
    assert_eq!(project.build().how(), (0, 1, 0));
    assert_eq!(project.read(&file("x")), "before");
}

#[test]
fn trees_are_inputs_outputs_and_cached() {
    let mut project = Project::new();
    project.write("pkg/n", "2");
    project.program("mktree", |process| {
        let number: usize = process.input("pkg/n").unwrap().parse().unwrap();
        let dir = process.output(&process.spawn.outputs[0].path);
        for index in 0..number {
            std::fs::create_dir_all(dir.join("sub")).unwrap();
            std::fs::write(dir.join(format!("sub/{index}")), format!("{index};")).unwrap();
        }
        std::os::unix::fs::symlink("sub/0", dir.join("link")).unwrap();
        std::fs::create_dir(dir.join("void")).unwrap();
        ok()
    });
    let tree = output(ArtifactKind::Tree, "tree");
    project.run(&["mktree"], &[source("pkg/n")], std::slice::from_ref(&tree));
    let all = ManyArgs {
        flag: None,
        values: ArgValues::List([Value::File(tree.clone())].into()),
        format_each: None,
        before_each: None,
        terminate_with: None,
        omit_if_empty: true,
        uniquify: false,
        expand_directories: true,
        joined: None,
    };
    let args = Args { items: vec![ArgItem::Many(all)], ..Args::default() };
    let mut reader = spawn(&["cat"]);
    reader.argv.push(CommandArg::Args(Arc::new(args)));
    let kind = ActionKind::Spawn(reader);
    project.action(kind, Depset::of_files([tree.clone()]), &[file("list")]);
    project.request(&[file("list")]);

    let built = project.build();
    let expanded = format!("cat {BIN}/tree/link {BIN}/tree/sub/0 {BIN}/tree/sub/1");
    assert_eq!(built.ran, [expanded, "mktree ".to_owned()]);
    assert_eq!(project.read(&file("list")), "dir-> sub/00;1;dir");
    assert!(project.path(&tree).join("void").is_dir());
    assert_eq!(project.build().how(), (2, 0, 0));

    project.write("pkg/n", "1");
    project.build();
    assert!(!project.path(&tree).join("sub/1").exists());
    project.write("pkg/n", "2");
    assert_eq!(project.build().how(), (0, 2, 0));
    assert_eq!(std::fs::read_to_string(project.path(&tree).join("sub/1")).unwrap(), "1;");
}

#[test]
fn an_output_may_change_its_kind_between_builds() {
    let mut project = Project::new();
    project.program("tree", |process| {
        std::fs::write(process.output(&process.spawn.outputs[0].path).join("f"), "leaf").unwrap();
        ok()
    });
    let tree = output(ArtifactKind::Tree, "x");
    let below = file("x/y/z");
    for _ in 0..2 {
        for step in 0..3 {
            project.replan();
            let wanted = match step {
                0 => file("x"),
                1 => tree.clone(),
                _ => below.clone(),
            };
            let program = if step == 1 { "tree" } else { "cat" };
            project.run(&[program], &[], std::slice::from_ref(&wanted));
            project.request(std::slice::from_ref(&wanted));
            assert!(project.build().outcome.is_built());
            let path = project.path(&wanted);
            assert_eq!(path.is_dir(), step == 1, "step {step}");
        }
    }
}

#[test]
fn an_output_nobody_writes_any_more_goes_away() {
    let mut project = Project::new();
    project.program("both", |process| {
        for output in &process.spawn.outputs {
            std::fs::write(process.output(&output.path), "x").unwrap();
        }
        ok()
    });
    project.run(&["both"], &[], &[file("one"), file("two")]);
    project.request(&[file("one")]);
    project.build();
    assert!(project.path(&file("two")).exists());
    project.replan();
    project.run(&["both"], &[], &[file("one")]);
    project.request(&[file("one")]);
    project.build();
    assert!(!project.path(&file("two")).exists());
}

#[test]
fn a_stale_tree_takes_nothing_along() {
    let mut project = Project::new();
    project.program("both", |process| {
        for output in &process.spawn.outputs {
            let path = process.output(&output.path);
            std::fs::write(if output.is_tree { path.join("leaf") } else { path }, "x").unwrap();
        }
        ok()
    });
    let outputs = [file("one"), output(ArtifactKind::Tree, "dir")];
    project.run(&["both"], &[], &outputs);
    project.request(&outputs);
    project.build();
    project.replan();
    let outputs = [file("one"), file("dir/below")];
    project.run(&["both"], &[], &outputs);
    project.request(&outputs);
    project.build();
    assert_eq!(project.read(&outputs[1]), "x");
    assert!(project.build().ran.is_empty());
}

#[test]
fn the_number_of_actions_told_is_that_of_those_that_are_told_of() {
    let mut project = Project::new();
    project.request_test("t", &[], false);
    let events = project.build().events;
    let finished = events.iter().filter(|e| matches!(e, Event::ActionFinished { .. })).count();
    assert!(
        events.iter().any(|e| matches!(e, Event::Executing { actions } if *actions == finished))
    );
}

#[test]
fn links_are_the_file_or_the_text() {
    let mut project = Project::new();
    project.write("pkg/a.in", "A");
    let link = |target, executable| ActionKind::Symlink { target, executable };
    let to_file = SymlinkTarget::Artifact(source("pkg/a.in"));
    let inputs = Depset::of_files([source("pkg/a.in")]);
    project.action(link(to_file.clone(), false), inputs.clone(), &[file("same")]);
    let dangling = output(ArtifactKind::Symlink, "dangling");
    let text = SymlinkTarget::Path("no/where".into());
    project.action(link(text, false), Depset::of_files([]), std::slice::from_ref(&dangling));
    project.cat(&[file("same"), dangling.clone()], &file("seen"));
    project.request(&[file("seen")]);
    assert!(project.build().outcome.is_built());
    assert_eq!(project.read(&file("same")), "A");
    assert_eq!(std::fs::read_link(project.path(&dangling)).unwrap(), Path::new("no/where"));
    assert_eq!(project.read(&file("seen")), "-> no/whereA");

    project.action(link(to_file, true), inputs, &[file("runnable")]);
    project.request(&[file("runnable")]);
    let FailureCause::Machine(text) = project.build().cause().clone() else { panic!() };
    assert_eq!(text, "`pkg/a.in` cannot be run, but must be");
}

#[test]
fn an_output_that_is_a_link_is_what_it_leads_to() {
    let mut project = Project::new();
    project.write("pkg/a.in", "A");
    project.program("link", |process| {
        let outputs = &process.spawn.outputs;
        std::os::unix::fs::symlink("../../../pkg/a.in", process.output(&outputs[0].path)).unwrap();
        std::fs::write(process.output(&outputs[1].path), "made").unwrap();
        std::os::unix::fs::symlink("made", process.output(&outputs[2].path)).unwrap();
        ok()
    });
    let outputs = [file("to-input"), file("made"), file("to-output")];
    project.run(&["link"], &[source("pkg/a.in")], &outputs);
    project.request(&outputs);
    assert!(project.build().outcome.is_built());
    assert_eq!(project.read(&outputs[0]), "A");
    assert_eq!(project.read(&outputs[2]), "made");
    assert!(!project.path(&outputs[2]).is_symlink());
}

#[test]
fn texts_and_templates_are_written_without_a_process() {
    use std::os::unix::fs::PermissionsExt;
    let mut project = Project::new();
    project.write("pkg/t", "Hello {who}");
    let template = ActionKind::ExpandTemplate {
        template: source("pkg/t"),
        substitutions: vec![("{who}".into(), "World".into())],
        executable: true,
    };
    project.action(template, Depset::of_files([source("pkg/t")]), &[file("hello")]);
    project.request(&[file("hello")]);
    let built = project.build();
    assert_eq!(built.outcome.counts.internal, 1);
    assert_eq!(project.read(&file("hello")), "Hello World");
    let mode = std::fs::metadata(project.path(&file("hello"))).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o555);
    assert_eq!(project.build().how(), (1, 0, 0));
    project.write("pkg/t", "Bye {who}");
    project.build();
    assert_eq!(project.read(&file("hello")), "Bye World");
}

#[test]
fn actions_that_need_each_other_are_named() {
    let mut project = Project::new();
    project.cat(&[file("b")], &file("a"));
    project.cat(&[file("a")], &file("b"));
    project.request(&[file("a")]);
    let error = project.try_build(&Goals::build()).err().unwrap();
    let text = error.to_string();
    assert!(text.contains(&format!("`{BIN}/a` is made by Test of //pkg:a")), "{text}");
    assert!(text.contains(&format!("`{BIN}/b` is made by Test of //pkg:b")), "{text}");
}

#[test]
fn only_what_is_needed_runs_and_output_groups_count() {
    let mut project = Project::new();
    for name in ["wanted", "extra", "never"] {
        project.cat(&[], &file(name));
    }
    project.request(&[file("wanted")]);
    let extra = Depset::of_files([file("extra")]);
    project.plan.requested[0].output_groups.insert("more".into(), extra);
    assert_eq!(project.build().ran, [format!("cat {BIN}/wanted")]);
    let goals = Goals { output_groups: vec!["more".into()], ..Goals::build() };
    assert_eq!(project.try_build(&goals).unwrap().ran, [format!("cat {BIN}/extra")]);
}

#[test]
fn no_more_run_at_a_time_than_may_and_exclusive_ones_run_alone() {
    let mut project = Project::new();
    project.jobs = 3;
    project.program("slow", |process| {
        std::thread::sleep(Duration::from_millis(10));
        std::fs::write(process.output(&process.spawn.outputs[0].path), "").unwrap();
        ok()
    });
    let names: Vec<String> = (0..12).map(|number| format!("o{number}")).collect();
    for name in &names {
        project.run(&["slow", name], &[], &[file(name)]);
    }
    project.request(&names.iter().map(|name| file(name)).collect::<Vec<_>>());
    project.build();
    assert_eq!(project.fake.most.load(Ordering::SeqCst), 3);
}

#[test]
fn a_chain_of_ten_thousand_depsets_is_built() {
    let mut project = Project::new();
    project.write("pkg/a.in", "A");
    let mut inputs = Depset::of_files([source("pkg/a.in")]);
    for number in 0..10_000 {
        let own = Value::str(&format!("{number}"));
        let order = crate::depset::Order::Default;
        inputs = Depset::new(order, vec![own], vec![inputs]).unwrap();
    }
    project.action(ActionKind::Spawn(spawn(&["cat"])), inputs, &[file("x")]);
    project.request(&[file("x")]);
    assert_eq!(project.build().how(), (0, 0, 1));
    project.write("pkg/a.in", "B");
    assert_eq!(project.build().how(), (0, 0, 1));
    assert_eq!(project.read(&file("x")), "B");
}

#[test]
fn a_passed_test_is_cached_and_a_failed_one_runs_again() {
    let mut project = Project::new();
    project.write("pkg/data", "pass");
    project.program("t", |process| {
        assert_eq!(process.spawn.working_directory, format!("{BIN}/pkg/t.runfiles/ws"));
        assert!(process.spawn.merge_output);
        let data = process.input(&format!("{BIN}/pkg/t.runfiles/ws/pkg/data")).unwrap();
        let exit = Exit::Status(i32::from(data != "pass"));
        (exit, format!("data is {data}\n"), String::new())
    });
    project.request_test("t", &[source("pkg/data")], false);
    let options = TestOptions::default();
    let status = |built: &Built| {
        let [summary] = &built.outcome.tests[..] else { panic!("not one test") };
        (summary.status, summary.cached)
    };
    let first = project.test(&options);
    assert_eq!(status(&first), (TestStatus::Passed, false));
    assert!(first.events.iter().any(|event| matches!(event, Event::TestFinished(_))));
    assert_eq!(project.log("t"), "data is pass\n");
    assert_eq!(status(&project.test(&options)), (TestStatus::Passed, true));
    project.clean();
    assert_eq!(status(&project.test(&options)), (TestStatus::Passed, true));
    project.caching = TestCaching::No;
    assert_eq!(status(&project.test(&options)), (TestStatus::Passed, false));

    project.caching = TestCaching::Auto;
    project.write("pkg/data", "fail");
    for _ in 0..2 {
        let built = project.test(&options);
        assert_eq!(status(&built), (TestStatus::Failed, false));
        assert!(built.outcome.failures.is_empty() && built.outcome.is_built());
        assert_eq!(built.outcome.tests[0].logs.len(), 1);
        assert_eq!(project.log("t"), "data is fail\n");
    }
    project.caching = TestCaching::Yes;
    assert_eq!(status(&project.test(&options)), (TestStatus::Failed, true));
}

#[test]
fn a_test_that_takes_too_long_is_never_cached() {
    let mut project = Project::new();
    project.caching = TestCaching::Yes;
    project.program("t", |_| (Exit::TimedOut, "half a li".into(), String::new()));
    project.request_test("t", &[], false);
    for _ in 0..2 {
        let built = project.test(&TestOptions::default());
        assert_eq!(built.outcome.tests[0].status, TestStatus::Timeout);
        assert!(!built.outcome.tests[0].cached);
    }
    assert_eq!(project.log("t"), "half a li\n-- the test timed out after 0 s --\n");
}

#[test]
fn a_flaky_test_is_tried_again_and_not_cached() {
    let mut project = Project::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = tries.clone();
    project.program("t", move |_| {
        let number = counter.fetch_add(1, Ordering::SeqCst);
        (Exit::Status(i32::from(number.is_multiple_of(2))), "try\n".into(), String::new())
    });
    project.request_test("t", &[], true);
    for _ in 0..2 {
        let built = project.test(&TestOptions::default());
        assert_eq!(built.outcome.tests[0].status, TestStatus::Flaky);
    }
    assert_eq!(tries.load(Ordering::SeqCst), 4);
    assert_eq!(project.log("t"), "try\n-- attempt 1 of 3 failed --\ntry\n");
}

#[test]
fn several_runs_are_all_run_and_the_worst_counts() {
    let mut project = Project::new();
    project.program("t", |process| {
        let run = process.spawn.env["TEST_RUN_NUMBER"].as_str();
        (Exit::Status(i32::from(run == "2")), String::new(), String::new())
    });
    project.request_test("t", &[], false);
    let options = TestOptions { runs_per_test: 3, ..TestOptions::default() };
    for _ in 0..2 {
        let built = project.test(&options);
        let [summary] = &built.outcome.tests[..] else { panic!("not one test") };
        assert_eq!((summary.status, summary.runs), (TestStatus::Failed, (3, 1)));
        assert!(!summary.cached);
        assert_eq!(summary.logs.len(), 1);
        assert!(summary.logs[0].ends_with("/run_2_of_3/test.log"));
    }
}

#[test]
fn shards_must_be_known_to_the_test() {
    let mut project = Project::new();
    project.program("t", |process| {
        if process.spawn.env["TEST_SHARD_INDEX"] == "0" {
            let path = &process.spawn.env["TEST_SHARD_STATUS_FILE"];
            let path = path.strip_prefix("/rbz/execroot/").unwrap();
            std::fs::write(process.output(path), "").unwrap();
        }
        ok()
    });
    project.request_test("t", &[], false);
    project.plan.requested[0].test.as_mut().unwrap().shard_count = Some(2);
    let built = project.test(&TestOptions::default());
    let [summary] = &built.outcome.tests[..] else { panic!("not one test") };
    assert_eq!((summary.status, summary.runs), (TestStatus::Failed, (2, 1)));
    assert!(summary.logs[0].ends_with("/shard_2_of_2/test.log"));
}

#[test]
fn reports_and_other_outputs_of_tests_are_kept() {
    let mut project = Project::new();
    project.program("t", |process| {
        let path = |name: &str| {
            let path = process.spawn.env[name].strip_prefix("/rbz/execroot/").unwrap();
            process.output(path)
        };
        assert!(path("TEST_TMPDIR").is_dir());
        std::fs::write(path("XML_OUTPUT_FILE"), "<mine/>").unwrap();
        std::fs::write(path("TEST_UNDECLARED_OUTPUTS_DIR").join("shot.png"), "png").unwrap();
        ok()
    });
    project.request_test("t", &[], false);
    project.test(&TestOptions::default());
    let dir = project.dir.path().join("base/execroot/ws/rbz-out/k8-fastbuild/testlogs/pkg/t");
    assert_eq!(std::fs::read_to_string(dir.join("test.xml")).unwrap(), "<mine/>");
    assert_eq!(std::fs::read_to_string(dir.join("test.outputs/shot.png")).unwrap(), "png");
    assert!(!dir.join("_tmp").exists());
}

#[test]
fn a_test_that_cannot_be_built_says_so() {
    let mut project = Project::new();
    project.request_test("t", &[source("pkg/gone")], false);
    let built = project.test(&TestOptions::default());
    assert_eq!(built.outcome.tests[0].status, TestStatus::FailedToBuild);
    assert_eq!(built.outcome.failures.len(), 1);
}

#[test]
fn the_runfiles_of_a_program_are_links_on_disk() {
    let mut project = Project::new();
    project.write("pkg/data", "x");
    project.request_test("t", &[source("pkg/data")], false);
    project.build();
    let tree = output(ArtifactKind::RunfilesTree, "pkg/t.runfiles");
    let link = project.path(&tree).join("ws/pkg/data");
    let data = project.dir.path().join("ws/pkg/data");
    assert_eq!(std::fs::read_link(&link).unwrap(), data);
    let program = std::fs::read_link(project.path(&tree).join("ws/pkg/t")).unwrap();
    assert_eq!(program, project.path(&file("pkg/t")));
    let manifest = std::fs::read_to_string(project.path(&tree).join("MANIFEST")).unwrap();
    assert!(manifest.contains(&format!("ws/pkg/data {}\n", data.display())), "{manifest}");
}

#[test]
fn what_a_failed_action_missed_is_named_by_its_label() {
    let mut project = Project::new();
    project.write("pkg/BUILD", "");
    project.write("pkg/sub/secret", "s");
    let outside = project.dir.path().join("outside");
    std::fs::write(&outside, "").unwrap();
    let said = format!(
        "cat: pkg/sub/secret: No such file or directory\n\
         cat: sub/secret: No such file or directory\n\
         cat: {BIN}/other: No such file or directory\n\
         cat: pkg/never: No such file or directory\n\
         cat: {}: No such file or directory\n",
        outside.display()
    );
    project.program("grope", move |_| (Exit::Status(1), String::new(), said.clone()));
    project.cat(&[], &file("other"));
    project.run(&["grope"], &[], &[file("x")]);
    project.request(&[file("x")]);
    let built = project.build();
    let found: Vec<(String, Option<String>)> = built.outcome.failures[0]
        .undeclared
        .iter()
        .map(|input| (input.path.clone(), input.label.as_ref().map(Label::to_string)))
        .collect();
    let secret = ("pkg/sub/secret".to_owned(), Some("//pkg:sub/secret".to_owned()));
    assert_eq!(
        found,
        [
            secret.clone(),
            secret,
            (format!("{BIN}/other"), Some("//pkg:other".to_owned())),
            // Temporary directories of the machine are not those of an action.
        ]
    );
}

#[test]
fn events_tell_how_each_action_came_about() {
    let project = diamond();
    let how = |built: Built| -> Vec<How> {
        built
            .events
            .iter()
            .filter_map(|event| match event {
                Event::ActionFinished { how, .. } => Some(*how),
                _ => None,
            })
            .collect()
    };
    assert_eq!(how(project.build()), [How::Ran; 3]);
    assert_eq!(how(project.build()), [How::UpToDate; 3]);
    project.clean();
    assert_eq!(how(project.build()), [How::CacheHit; 3]);
}

#[test]
fn two_workspaces_share_a_cache() {
    let first = diamond();
    let mut second = diamond();
    first.build();
    let cache = first.dir.path().join("cache");
    let link = second.dir.path().join("cache");
    std::os::unix::fs::symlink(cache, link).unwrap();
    assert_eq!(second.build().how(), (0, 3, 0));
    second.jobs = 1;
    let engine = first.engine();
    assert_eq!(second.build().how(), (3, 0, 0));
    drop(engine);
}
