//! Directories in which the driver runs as actions run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use tempfile::TempDir;

/// The driver's core, made once for all tests.
static DRIVER: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let base = dir.path().join("base.core");
    let core = dir.path().join("driver.core");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("repositories/rbz/lisp/driver");
    let build = fs::read_to_string(sources.join("BUILD")).expect("the BUILD file");
    let (_, listed) = build.split_once("srcs = [").expect("the list of sources");
    let (listed, _) = listed.split_once(']').expect("the end of the list");
    let files: Vec<_> = listed
        .split(',')
        .map(|name| name.trim().trim_matches('"'))
        .filter(|name| !name.is_empty())
        .collect();
    let save = |from: &[&str], script: &str, output: &Path, arguments: &[&str]| {
        let output = Command::new("setarch")
            .args(["-R", "sbcl"])
            .args(from)
            .args(["--noinform", "--no-sysinit", "--no-userinit", "--disable-debugger"])
            .args(["--load", script, "--end-toplevel-options"])
            .arg(output)
            .args(arguments)
            .current_dir(&sources)
            .output()
            .expect("sbcl must be installed");
        assert!(output.status.success(), "{}", text(&output));
    };
    save(&[], "base.lisp", &base, &[]);
    save(&["--core", &base.to_string_lossy()], "build.lisp", &core, &files);
    (dir, core)
});

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// A directory with files, in which commands of the driver run.
pub struct Room(TempDir);

impl Room {
    pub fn with(files: &[(&str, &str)]) -> Room {
        let room = Room(tempfile::tempdir().expect("a temporary directory"));
        for (name, content) in files {
            fs::write(room.path(name), content).expect("a file can be written");
        }
        room
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn run(&self, command: &str, parameters: &str) -> Output {
        self.command(command, parameters).output().expect("setarch must be installed")
    }

    /// Compiles a file with the debugger, which gets these answers.
    pub fn interact(&self, source: &str, answers: &str) -> Output {
        fs::write(self.path("answers"), answers).expect("a file can be written");
        let answers = fs::File::open(self.path("answers")).expect("it is there");
        let stem = source.trim_end_matches(".lisp");
        let parameters = format!(
            "source {source}\nfasl {stem}.fasl\nwarnings {stem}.warnings\nhash {stem}.hash\n"
        );
        let mut command = self.command("compile", &parameters);
        command.arg("--interactive").stdin(answers).output().expect("setarch must be installed")
    }

    fn command(&self, command: &str, parameters: &str) -> Command {
        fs::write(self.path("params"), parameters).expect("a file can be written");
        let mut process = Command::new("setarch");
        process
            .args(["-R", "sbcl", "--core"])
            .arg(&DRIVER.1)
            .args(["--noinform", "--disable-ldb"])
            .args(["--control-stack-size", "20MB", "--end-runtime-options", command, "@params"])
            .env("SOURCE_DATE_EPOCH", "1577836800")
            .env("HOME", self.0.path())
            .env("RBZ_MISSING_INPUTS", self.path("missing"))
            .current_dir(self.0.path());
        process
    }

    pub fn compile(&self, source: &str, more: &str) -> Output {
        let stem = source.trim_end_matches(".lisp");
        self.run(
            "compile",
            &format!(
                "{more}source {source}\nfasl {stem}.fasl\nwarnings {stem}.warnings\nhash {stem}.hash\n"
            ),
        )
    }
}

/// Compiles one file and expects it to fail with exactly this output.
#[track_caller]
pub fn fails(source: &str, more: &str, expected: &str) {
    let room = Room::with(&[("a.lisp", source)]);
    let output = room.compile("a.lisp", more);
    assert_eq!(text(&output), expected);
    assert_eq!(output.status.code(), Some(1));
}

/// Compiles one file and expects silence.
#[track_caller]
pub fn compiles(source: &str, more: &str) -> Room {
    let room = Room::with(&[("a.lisp", source)]);
    let output = room.compile("a.lisp", more);
    assert_eq!(text(&output), "");
    assert_eq!(output.status.code(), Some(0));
    room
}
