//! Whole builds with real processes in the sandbox, killed ones too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rbz_engine::action::{Action, ActionKind, CommandArg, Spawn};
use rbz_engine::artifact::{Artifact, ArtifactKind, Root};
use rbz_engine::build::{BuildOutcome, Engine, EngineOptions, Goals, TestCaching};
use rbz_engine::depset::{Depset, Order};
use rbz_engine::dynamic_libraries::dynamic_libraries;
use rbz_engine::event::{Event, TestStatus};
use rbz_engine::failure::FailureCause;
use rbz_engine::label::{Label, PackageId, RepoName};
use rbz_engine::local::Local;
use rbz_engine::plan::{Plan, Program, RequestedTarget, TestTarget};
use rbz_engine::runfiles::Runfiles;
use rbz_engine::sandbox::{Sandboxed, Ways};
use rbz_engine::strategy::Cancel;
use rbz_engine::test_plan::{TestOptions, add_test_runs};
use rbz_engine::value::Value;
use rbz_engine::workspace_status::WorkspaceStatus;

use crate::runner::Test;

pub const TESTS: &[Test] = &[
    ("a_build_runs_in_the_sandbox_and_then_not_again", a_build_runs_and_then_not_again),
    ("an_undeclared_sibling_is_named", an_undeclared_sibling_is_named),
    ("a_test_finds_its_runfiles_and_its_directories", a_test_finds_its_runfiles),
    ("a_local_test_finds_them_too", a_local_test_finds_them_too),
    ("a_killed_build_is_continued", a_killed_build_is_continued),
];

const OUT: &str = "rbz-out/k8-fastbuild/bin";

/// Number of actions of the build that is killed.
const STEPS: usize = 30;

struct Workspace {
    dir: PathBuf,
    plan: Plan,
    shell: Depset,
}

fn label(name: &str) -> Label {
    PackageId::new(RepoName::main(), "pkg").label(name)
}

fn source(path: &str) -> Artifact {
    let name = path.strip_prefix("pkg/").unwrap();
    Artifact::new(ArtifactKind::SourceFile, Root::Source, path, label(name))
}

fn output(kind: ArtifactKind, name: &str) -> Artifact {
    Artifact::new(kind, Root::Output(OUT.into()), &format!("pkg/{name}"), label(name))
}

impl Workspace {
    fn new(dir: &Path) -> Workspace {
        fs::create_dir_all(dir.join("ws/pkg")).unwrap();
        fs::write(dir.join("ws/pkg/BUILD"), "").unwrap();
        let mut parts = Vec::new();
        for tool in ["bash", "cat", "sleep", "ls"] {
            let path = ["/usr/bin", "/bin"].iter().map(|dir| Path::new(dir).join(tool));
            let path = path.into_iter().find(|path| path.exists()).unwrap();
            parts.extend(dynamic_libraries(&path).unwrap());
            parts.push(path);
        }
        parts.push("/bin/bash".into());
        parts.sort();
        parts.dedup();
        let system = parts.iter().map(|path| {
            let path = path.to_str().unwrap();
            Artifact::new(ArtifactKind::SourceFile, Root::System, path, label("shell"))
        });
        let repositories = BTreeMap::from([(RepoName::main(), dir.join("ws"))]);
        let plan = Plan::new("ws", repositories);
        Workspace { dir: dir.to_owned(), plan, shell: Depset::of_files(system) }
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.dir.join("ws").join(path), text).unwrap();
    }

    fn script(&mut self, script: &str, inputs: &[Artifact], outputs: &[Artifact]) {
        let direct = inputs.iter().cloned().map(Value::File).collect();
        let inputs = Depset::new(Order::Default, direct, vec![self.shell.clone()]).unwrap();
        let argv = ["/bin/bash", "-c", script];
        let kind = ActionKind::Spawn(Spawn {
            argv: argv.iter().map(|arg| CommandArg::Str((*arg).into())).collect(),
            env: BTreeMap::new(),
            requirements: BTreeMap::new(),
            timeout: None,
            test: None,
            resident: None,
        });
        self.add(kind, inputs, outputs);
    }

    fn add(&mut self, kind: ActionKind, inputs: Depset, outputs: &[Artifact]) {
        let action = Action {
            owner: outputs[0].owner().clone(),
            mnemonic: "Script".into(),
            progress_message: None,
            configuration: "k8-fastbuild".into(),
            inputs,
            outputs: outputs.to_vec(),
            kind,
        };
        self.plan.add(action).unwrap();
    }

    fn request(&mut self, files: &[Artifact]) {
        self.plan.requested.push(RequestedTarget {
            label: label("all"),
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

    fn build(&self, goals: &Goals) -> BuildOutcome {
        let options = EngineOptions {
            workspace_root: self.dir.join("ws"),
            output_base: self.dir.join("base"),
            disk_cache: Some(self.dir.join("cache")),
            jobs: 2,
            memory: Default::default(),
            keep_going: false,
            sandbox_debug: false,
            residency: Default::default(),
            subcommands: false,
            log_spawns: false,
            explain: false,
            note: Default::default(),
            shuffle: None,
            test_caching: TestCaching::Auto,
            workspace_status: WorkspaceStatus::default(),
            stream_tests: false,
        };
        let sandbox = self.dir.join("base/sandbox");
        let (sandboxed, local) = (Sandboxed::new(&sandbox, Ways::default()), Local::new(&sandbox));
        let engine = Engine::open(options, Arc::new(sandboxed), Arc::new(local)).unwrap();
        let sink = |_: Event| {};
        engine.build(&self.plan, goals, &sink, &Cancel::default()).unwrap()
    }

    fn read(&self, artifact: &Artifact) -> String {
        let root = self.dir.join("base/execroot/ws");
        fs::read_to_string(root.join(artifact.exec_path())).unwrap()
    }
}

fn a_build_runs_and_then_not_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut workspace = Workspace::new(dir.path());
    workspace.write("pkg/in put", "text\n");
    let (copy, tree) = (output(ArtifactKind::File, "copy"), output(ArtifactKind::Tree, "tree"));
    let list = output(ArtifactKind::File, "list");
    let script = format!("cat 'pkg/in put' > {OUT}/pkg/copy; echo t > {OUT}/pkg/tree/leaf");
    workspace.script(&script, &[source("pkg/in put")], &[copy.clone(), tree.clone()]);
    let script =
        format!("cat {OUT}/pkg/copy > {OUT}/pkg/list; ls {OUT}/pkg/tree >> {OUT}/pkg/list");
    workspace.script(&script, &[copy, tree], std::slice::from_ref(&list));
    workspace.request(std::slice::from_ref(&list));
    let built = workspace.build(&Goals::build());
    assert!(built.is_built(), "{:?}", built.failures);
    assert_eq!(workspace.read(&list), "text\nleaf\n");
    assert_eq!(workspace.build(&Goals::build()).counts.up_to_date, 2);
    fs::remove_dir_all(dir.path().join("base")).unwrap();
    assert_eq!(workspace.build(&Goals::build()).counts.cache_hits, 2);
}

fn an_undeclared_sibling_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut workspace = Workspace::new(dir.path());
    workspace.write("pkg/declared", "");
    workspace.write("pkg/sibling", "");
    let out = output(ArtifactKind::File, "out");
    let script = format!("set -e; cat pkg/declared pkg/sibling > {OUT}/pkg/out");
    workspace.script(&script, &[source("pkg/declared")], std::slice::from_ref(&out));
    workspace.request(&[out]);
    let built = workspace.build(&Goals::build());
    assert!(matches!(built.failures[0].cause, FailureCause::Exit(1)));
    let undeclared = &built.failures[0].undeclared;
    assert_eq!(undeclared.len(), 1, "{undeclared:?}");
    assert_eq!(undeclared[0].label, Some(label("sibling")));
}

fn test_of(dir: &Path, tags: &[&str]) -> BuildOutcome {
    let mut workspace = Workspace::new(dir);
    workspace.write("pkg/data", "data\n");
    let program = output(ArtifactKind::File, "t");
    let tree = output(ArtifactKind::RunfilesTree, "t.runfiles");
    let script = "#!/bin/bash\nset -ex\n[ \"$(cat pkg/data)\" = data ]\n\
                  [ \"$(cat $TEST_SRCDIR/ws/pkg/data)\" = data ]\n\
                  [ \"$(cat $0.runfiles/ws/pkg/data)\" = data ]\n\
                  echo scratch > $TEST_TMPDIR/file\n\
                  echo kept > $TEST_UNDECLARED_OUTPUTS_DIR/file\n\
                  echo to stdout; echo to stderr >&2; echo to stdout\n";
    let write =
        ActionKind::Write { content: vec![CommandArg::Str(script.into())], executable: true };
    workspace.add(write, Depset::of_files([]), std::slice::from_ref(&program));
    let direct = vec![Value::File(program.clone()), Value::File(source("pkg/data"))];
    let files = Depset::new(Order::Default, direct, vec![workspace.shell.clone()]).unwrap();
    let runfiles = Arc::new(Runfiles::of(files.clone()));
    let kind = ActionKind::RunfilesTree(runfiles.clone());
    workspace.add(kind, files, std::slice::from_ref(&tree));
    workspace.request(std::slice::from_ref(&program));
    workspace.plan.requested[0].executable = Some(Program {
        file: program,
        runfiles,
        runfiles_tree: tree,
        args: vec![],
        env: BTreeMap::new(),
        inherited_env: vec![],
    });
    workspace.plan.requested[0].test = Some(TestTarget {
        size: "small".into(),
        timeout: "short".into(),
        flaky: false,
        shard_count: None,
        tags: tags.iter().map(|tag| (*tag).into()).collect(),
        tools: Depset::of_files([]),
        runs: vec![],
    });
    add_test_runs(&mut workspace.plan, &TestOptions::default()).unwrap();
    workspace.build(&Goals::test())
}

fn assert_passed(dir: &Path, outcome: &BuildOutcome) {
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    let logs = dir.join("base/execroot/ws/rbz-out/k8-fastbuild/testlogs/pkg/all");
    let log = fs::read_to_string(logs.join("test.log")).unwrap();
    assert_eq!(outcome.tests[0].status, TestStatus::Passed, "{log}");
    // Both streams, in the order in which they were written.
    let said = "+ echo to stdout\nto stdout\n+ echo to stderr\nto stderr\n+ echo to stdout\n";
    assert!(log.contains(said), "{log}");
    assert_eq!(fs::read_to_string(logs.join("test.outputs/file")).unwrap(), "kept\n");
    assert!(fs::read_to_string(logs.join("test.xml")).unwrap().contains("errors=\"0\""));
}

fn a_test_finds_its_runfiles() {
    let dir = tempfile::tempdir().unwrap();
    assert_passed(dir.path(), &test_of(dir.path(), &[]));
}

fn a_local_test_finds_them_too() {
    let dir = tempfile::tempdir().unwrap();
    assert_passed(dir.path(), &test_of(dir.path(), &["local"]));
}

/// Steps that each take the former's output, in two chains.
fn long_build(dir: &Path) -> (Workspace, Vec<Artifact>) {
    let mut workspace = Workspace::new(dir);
    workspace.write("pkg/start", "0\n");
    let mut before = [source("pkg/start"), source("pkg/start")];
    for step in 0..STEPS {
        let own = output(ArtifactKind::File, &format!("step{step}"));
        let chain = &mut before[step % 2];
        let (from, to) = (chain.exec_path(), own.exec_path());
        let script = format!("cat {from} > {to}; sleep 0.01; echo {step} >> {to}");
        workspace.script(&script, std::slice::from_ref(chain), std::slice::from_ref(&own));
        *chain = own;
    }
    workspace.request(&before);
    (workspace, before.to_vec())
}

/// The process that is killed: builds in this directory.
pub fn killed_build(dir: &str) {
    let (workspace, _) = long_build(Path::new(dir));
    workspace.build(&Goals::build());
}

fn a_killed_build_is_continued() {
    for attempt in 0..5_u64 {
        let dir = tempfile::tempdir().unwrap();
        let (workspace, last) = long_build(dir.path());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--build")
            .arg(dir.path())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(30 + attempt * 97));
        child.kill().unwrap();
        child.wait().unwrap();
        let results = walkdir::WalkDir::new(dir.path().join("cache/ac"));
        let finished = results.into_iter().flatten().filter(|e| e.file_type().is_file()).count();
        let built = workspace.build(&Goals::build());
        assert!(built.is_built(), "{:?}", built.failures);
        assert_eq!(built.counts.processes, STEPS - finished, "attempt {attempt}");
        for (artifact, parity) in last.iter().zip(0..) {
            let steps = (0..STEPS).filter(|step| step % 2 == parity);
            let expected: String = steps.map(|step| format!("{step}\n")).collect();
            assert_eq!(workspace.read(artifact), format!("0\n{expected}"));
        }
        assert_eq!(workspace.build(&Goals::build()).counts.up_to_date, STEPS);
    }
}
