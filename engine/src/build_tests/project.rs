//! Projects: a workspace, a plan under construction, and a strategy that is a table of functions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::action::*;
use crate::artifact::{Artifact, ArtifactKind, Root};
use crate::build::*;
use crate::depset::Depset;
use crate::event::Event;
use crate::failure::FailureCause;
use crate::label::{Label, PackageId, RepoName};
use crate::manifest::BuildNote;
use crate::plan::{Plan, Program, RequestedTarget, TestTarget};
use crate::runfiles::Runfiles;
use crate::strategy::*;
use crate::test_plan::{TestOptions, add_test_runs};
use crate::workspace_status::WorkspaceStatus;

pub(super) const BIN: &str = "rbz-out/k8-fastbuild/bin";

/// What a process of a test sees: its command, its inputs, and a directory for its outputs.
pub(super) struct Process<'a> {
    pub(super) spawn: &'a PreparedSpawn,
    pub(super) root: PathBuf,
    pub(super) cancel: &'a Cancel,
}

impl Process<'_> {
    pub(super) fn input(&self, path: &str) -> Option<String> {
        let input = self.spawn.inputs.iter().find(|input| *input.path == *path)?;
        match &input.content {
            StagedContent::Blob { store_path, .. } => {
                Some(std::fs::read_to_string(store_path).unwrap())
            }
            StagedContent::Symlink(text) => Some(format!("-> {text}")),
            StagedContent::Directory => Some("dir".into()),
        }
    }

    pub(super) fn output(&self, path: &str) -> PathBuf {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

pub(super) type Function = Box<dyn Fn(&Process<'_>) -> (Exit, String, String) + Send + Sync>;

/// Runs programs by their names. `cat` is there from the start: it writes all its inputs, one
/// after the other, to its first output.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) programs: Mutex<BTreeMap<String, Arc<Function>>>,
    pub(super) ran: Mutex<Vec<String>>,
    /// How long programs say that they ran; 5 ms, if they say nothing.
    pub(super) walls: Mutex<BTreeMap<String, Duration>>,
    pub(super) running: AtomicUsize,
    pub(super) most: AtomicUsize,
}

const DEFAULT_WALL: Duration = Duration::from_millis(5);

pub(super) struct Shared(Arc<Fake>);

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
            wall: fake.walls.lock().unwrap().get(&name).copied().unwrap_or(DEFAULT_WALL),
            cpu: Duration::ZERO,
            max_rss: 0,
            exec_root: crate::strategy::EXEC_ROOT.into(),
            outputs_root: scratch.path().to_owned(),
            missed: vec![],
            scratch: Box::new(scratch),
            kept: None,
        })
    }

    fn isolation(&self) -> Isolation {
        Isolation::Namespaces
    }
}

/// A workspace with an output base and a cache, and a plan under construction.
pub(super) struct Project {
    pub(super) dir: tempfile::TempDir,
    pub(super) fake: Arc<Fake>,
    pub(super) plan: Plan,
    pub(super) keep_going: bool,
    pub(super) jobs: usize,
    pub(super) caching: TestCaching,
    pub(super) status: WorkspaceStatus,
    /// Set if builds are to explain what they do.
    pub(super) note: Option<BuildNote>,
    pub(super) cancel: Cancel,
}

/// What a build did, for comparison.
pub(super) struct Built {
    pub(super) outcome: BuildOutcome,
    /// What ran, sorted.
    pub(super) ran: Vec<String>,
    /// What ran, in the order in which it began.
    pub(super) in_turn: Vec<String>,
    pub(super) events: Vec<Event>,
}

impl Built {
    pub(super) fn how(&self) -> (usize, usize, usize) {
        let counts = self.outcome.counts;
        (counts.up_to_date, counts.cache_hits, counts.processes + counts.internal)
    }

    pub(super) fn cause(&self) -> &FailureCause {
        &self.outcome.failures.first().expect("no failure").cause
    }

    pub(super) fn status(&self) -> Vec<TargetStatus> {
        self.outcome.targets.iter().map(|target| target.status).collect()
    }

    pub(super) fn shown(&self) -> String {
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

pub(super) fn label(name: &str) -> Label {
    PackageId::new(RepoName::main(), "pkg").label(name)
}

pub(super) fn source(path: &str) -> Artifact {
    let owner = PackageId::new(RepoName::main(), "").label(path);
    Artifact::new(ArtifactKind::SourceFile, Root::Source, path, owner)
}

pub(super) fn output(kind: ArtifactKind, path: &str) -> Artifact {
    Artifact::new(kind, Root::Output(BIN.into()), path, label(path))
}

pub(super) fn file(path: &str) -> Artifact {
    output(ArtifactKind::File, path)
}

pub(super) fn spawn(argv: &[&str]) -> Spawn {
    Spawn {
        argv: argv.iter().map(|arg| CommandArg::Str((*arg).into())).collect(),
        env: BTreeMap::new(),
        requirements: BTreeMap::new(),
        timeout: None,
        test: None,
        resident: None,
    }
}

impl Project {
    pub(super) fn new() -> Project {
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
            status: WorkspaceStatus::default(),
            note: None,
            cancel: Cancel::default(),
        }
    }

    pub(super) fn empty_plan(dir: &Path) -> Plan {
        Plan::new("ws", BTreeMap::from([(RepoName::main(), dir.join("ws"))]))
    }

    /// Begins the plan anew, as after an edit of BUILD files.
    pub(super) fn replan(&mut self) {
        self.plan = Self::empty_plan(self.dir.path());
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join("ws").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A program that the fake strategy runs under this name.
    pub(super) fn program(
        &self,
        name: &str,
        run: impl Fn(&Process<'_>) -> (Exit, String, String) + Send + Sync + 'static,
    ) {
        self.fake.programs.lock().unwrap().insert(name.into(), Arc::new(Box::new(run)));
    }

    pub(super) fn action(&mut self, kind: ActionKind, inputs: Depset, outputs: &[Artifact]) {
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

    pub(super) fn run(&mut self, argv: &[&str], inputs: &[Artifact], outputs: &[Artifact]) {
        let inputs = Depset::of_files(inputs.iter().cloned());
        self.action(ActionKind::Spawn(spawn(argv)), inputs, outputs);
    }

    /// `cat` from inputs to one output.
    pub(super) fn cat(&mut self, inputs: &[Artifact], to: &Artifact) {
        self.run(&["cat", to.exec_path()], inputs, std::slice::from_ref(to));
    }

    pub(super) fn request(&mut self, files: &[Artifact]) {
        self.plan.requested.push(RequestedTarget {
            label: label(files[0].root_relative_path()),
            rule: "rule".into(),
            place: None,
            configuration: "k8-fastbuild".into(),
            files: Depset::of_files(files.iter().cloned()),
            output_groups: BTreeMap::new(),
            executable: None,
            test: None,
            instrumented: None,
        });
    }

    /// A requested test that runs `program`, with runfiles.
    pub(super) fn request_test(&mut self, program: &str, runfiles: &[Artifact], flaky: bool) {
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
            place: None,
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
                tools: Depset::of_files([]),
                runs: vec![],
            }),
            instrumented: None,
        });
    }

    pub(super) fn engine(&self) -> Engine {
        let options = EngineOptions {
            workspace_root: self.dir.path().join("ws"),
            output_base: self.dir.path().join("base"),
            disk_cache: Some(self.dir.path().join("cache")),
            jobs: self.jobs,
            memory: Default::default(),
            keep_going: self.keep_going,
            sandbox_debug: false,
            residency: Default::default(),
            subcommands: false,
            log_spawns: false,
            explain: self.note.is_some(),
            note: self.note.clone().unwrap_or_default(),
            shuffle: None,
            test_caching: self.caching,
            workspace_status: self.status.clone(),
            stream_tests: false,
        };
        let strategy = || Arc::new(Shared(self.fake.clone()));
        Engine::open(options, strategy(), strategy()).unwrap()
    }

    pub(super) fn try_build(&self, goals: &Goals) -> Result<Built, crate::diagnostic::Diagnostic> {
        self.fake.ran.lock().unwrap().clear();
        let events = Mutex::new(Vec::new());
        let sink = |event: Event| events.lock().unwrap().push(event);
        let outcome = self.engine().build(&self.plan, goals, &sink, &self.cancel)?;
        let in_turn = self.fake.ran.lock().unwrap().clone();
        let mut ran = in_turn.clone();
        ran.sort();
        Ok(Built { outcome, ran, in_turn, events: events.into_inner().unwrap() })
    }

    pub(super) fn build(&self) -> Built {
        self.try_build(&Goals::build()).unwrap()
    }

    pub(super) fn test(&mut self, options: &TestOptions) -> Built {
        let mut plan = self.plan.clone();
        plan.index();
        std::mem::swap(&mut plan, &mut self.plan);
        add_test_runs(&mut self.plan, options).unwrap();
        let built = self.try_build(&Goals::test()).unwrap();
        self.plan = plan;
        self.plan.index();
        built
    }

    pub(super) fn path(&self, artifact: &Artifact) -> PathBuf {
        self.dir.path().join("base/execroot/ws").join(artifact.exec_path())
    }

    pub(super) fn read(&self, artifact: &Artifact) -> String {
        std::fs::read_to_string(self.path(artifact)).unwrap()
    }

    pub(super) fn log(&self, test: &str) -> String {
        let path = format!("base/execroot/ws/rbz-out/k8-fastbuild/testlogs/pkg/{test}/test.log");
        std::fs::read_to_string(self.dir.path().join(path)).unwrap()
    }

    /// Forgets what was built, as `rbz clean` does.
    pub(super) fn clean(&self) {
        std::fs::remove_dir_all(self.dir.path().join("base")).unwrap();
    }

    pub(super) fn blobs(&self) -> Vec<PathBuf> {
        ["cas", "cas-x"]
            .iter()
            .flat_map(|dir| walkdir::WalkDir::new(self.dir.path().join("cache").join(dir)))
            .flatten()
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.into_path())
            .collect()
    }

    pub(super) fn blob_with(&self, text: &str) -> PathBuf {
        let found =
            self.blobs().into_iter().find(|blob| std::fs::read(blob).unwrap() == text.as_bytes());
        found.expect("no such blob")
    }
}

/// a.in -> a -> ab <- b <- b.in
pub(super) fn diamond() -> Project {
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

pub(super) fn ok() -> (Exit, String, String) {
    (Exit::Status(0), String::new(), String::new())
}

impl Project {
    pub(super) fn build_variant(&mut self, argv: &[&str], variable: &str, input: &str) {
        let mut spawn = spawn(argv);
        spawn.env.insert("VARIABLE".into(), variable.into());
        let inputs = Depset::of_files([source(input)]);
        self.action(ActionKind::Spawn(spawn), inputs, &[file("out")]);
        self.request(&[file("out")]);
    }
}
