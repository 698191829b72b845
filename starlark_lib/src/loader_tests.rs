//! Sessions of a user with the loader: files in, packages or messages out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rbz_engine::event::Event;
use rbz_engine::file_state::FileState;
use rbz_engine::label::{PackageId, RepoName};

use crate::attr::{AttrValue, Configurable};
use crate::loader::Loader;
use crate::loader_options::LoaderOptions;
use crate::package::{Package, TargetKind};

/// A workspace in a temporary directory.
pub struct Workspace {
    dir: tempfile::TempDir,
    /// What was printed.
    pub printed: Arc<Mutex<Vec<String>>>,
}

impl Workspace {
    pub fn new(files: &[(&str, &str)]) -> Workspace {
        // A temporary directory must be there for any test.
        let workspace = Workspace { dir: tempfile::tempdir().unwrap(), printed: Arc::default() };
        for (path, text) in files {
            workspace.write(path, text);
        }
        workspace
    }

    pub fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("main")
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn loader(&self) -> Loader {
        std::fs::create_dir_all(self.dir.path().join("base")).unwrap();
        let files = Arc::new(FileState::open(&self.dir.path().join("files")).unwrap());
        let printed = self.printed.clone();
        let events = move |event: Event| {
            if let Event::Printed { place, text } = event {
                printed.lock().unwrap().push(format!("{place}: {text}"));
            }
        };
        let options = LoaderOptions {
            workspace_root: self.root(),
            output_base: self.dir.path().join("base"),
            shipped: BTreeMap::new(),
            prelude: None,
            default_repositories: None,
            environment: BTreeMap::new(),
        };
        Loader::open(options, files, Arc::new(events)).unwrap()
    }

    pub fn package(&self, path: &str) -> Result<Arc<Package>, String> {
        let result = self.loader().package(&PackageId::new(RepoName::main(), path));
        result.map_err(|diagnostic| diagnostic.to_string())
    }

    /// The message for the package `path`, that does not load.
    pub fn error(&self, path: &str) -> String {
        self.package(path).expect_err("an error")
    }
}

/// A rule for tests.
pub const RULES: &str = r#"
def _impl(ctx):
    return []

thing = rule(
    implementation = _impl,
    attrs = {
        "srcs": attr.label_list(allow_files = [".txt"]),
        "deps": attr.label_list(),
        "order": attr.string(default = "serial", values = ["serial", "parallel"]),
        "out": attr.output(),
        "_tool": attr.label(default = "//tools:tool"),
    },
)
"#;

#[test]
fn a_rule_makes_targets_for_itself_its_sources_and_its_outputs() {
    let workspace = Workspace::new(&[
        ("rules/BUILD", ""),
        ("rules/defs.bzl", RULES),
        ("a/a.txt", ""),
        (
            "a/BUILD",
            "load(\"//rules:defs.bzl\", \"thing\")\nthing(name = \"x\", srcs = [\"a.txt\", \"none.txt\"], out = \"o\", order = None)\n",
        ),
    ]);
    let package = workspace.package("a").unwrap();
    let names: Vec<&str> = package.targets.keys().map(|name| &**name).collect();
    assert_eq!(names, ["x", "o", "a.txt"]);
    assert_eq!(package.targets["x"].place.to_string(), "a/BUILD:2:1");
    assert!(
        matches!(&package.targets["o"].kind, TargetKind::GeneratedFile { generator } if &**generator == "x")
    );
    let TargetKind::Rule(rule) = &package.targets["x"].kind else { panic!() };
    assert!(!rule.attrs.contains_key("order"));
    let Configurable::Plain(AttrValue::LabelList(srcs)) = &rule.attrs["srcs"] else { panic!() };
    assert_eq!(srcs[1].to_string(), "//a:none.txt");
}
