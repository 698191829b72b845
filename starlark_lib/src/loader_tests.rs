//! Sessions of a user with the loader: files in, packages or messages out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rbz_engine::event::Event;
use rbz_engine::file_state::FileState;
use rbz_engine::label::{Label, PackageId, RepoName};

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
        self.loader_with(BTreeMap::new(), None, None)
    }

    fn loader_with(
        &self,
        shipped: BTreeMap<RepoName, std::path::PathBuf>,
        prelude: Option<Label>,
        default_repositories: Option<(Label, String)>,
    ) -> Loader {
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
            shipped,
            prelude,
            default_repositories,
            overrides: BTreeMap::new(),
            environment: BTreeMap::from([(
                "PATH".to_owned(),
                format!("{}:/usr/bin:/bin", self.root().join("bin").display()),
            )]),
        };
        Loader::open(options, files, Arc::new(events)).unwrap()
    }

    /// A loader to which the repository `name` at `directory` came with the program.
    pub fn loader_with_shipped(&self, name: &str, directory: &std::path::Path) -> Loader {
        let shipped = BTreeMap::from([(RepoName::new(name), directory.to_owned())]);
        self.loader_with(shipped, None, None)
    }

    /// A loader with the repositories that come with the program.
    pub fn shipped_loader(&self) -> Loader {
        let repositories =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/repositories");
        let mut shipped = BTreeMap::new();
        for entry in std::fs::read_dir(repositories).unwrap() {
            let entry = entry.unwrap();
            shipped.insert(RepoName::new(entry.file_name().to_str().unwrap()), entry.path());
        }
        let rbz = PackageId::new(RepoName::new("rbz"), "");
        self.loader_with(
            shipped,
            Some(rbz.label("prelude.bzl")),
            Some((rbz.label("defaults.bzl"), "default_repositories".to_owned())),
        )
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
    let Configurable::Plain(AttrValue::LabelList(srcs)) = rule.attrs.get("srcs").unwrap() else {
        panic!()
    };
    assert_eq!(srcs[1].to_string(), "//a:none.txt");
}

/// A workspace whose package `a` has this BUILD file, and a package `rules` with [`RULES`].
fn with_build(text: &str) -> Workspace {
    let build = format!("load(\"//rules:defs.bzl\", \"thing\")\n{text}");
    Workspace::new(&[("rules/BUILD", ""), ("rules/defs.bzl", RULES), ("a/BUILD", &build)])
}

fn names(package: &Package) -> Vec<&str> {
    package.targets.keys().map(|name| &**name).collect()
}

fn labels(loader: &Loader, patterns: &[&str], directory: &str) -> (Vec<String>, Vec<String>) {
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    let expansion = loader.expand(&patterns, directory);
    (
        expansion.targets.keys().map(ToString::to_string).collect(),
        expansion.errors.iter().map(ToString::to_string).collect(),
    )
}

#[test]
fn a_glob_stays_in_its_package_and_is_sorted() {
    let workspace = with_build(
        r#"print(glob(["**/*.txt", "odd[*]?.txt"], exclude = ["**/no*.txt"]))
print(glob(["*"], exclude_directories = 0, exclude = ["*.txt"]))
print(subpackages(include = ["**"]))
"#,
    );
    for file in ["b.txt", "a.txt", "d/c.txt", "d/no1.txt", "sub/x.txt", "odd[*]?.txt"] {
        workspace.write(&format!("a/{file}"), "");
    }
    workspace.write("a/sub/BUILD", "");
    workspace.package("a").unwrap();
    let printed = workspace.printed.lock().unwrap().clone();
    assert_eq!(
        printed,
        [
            r#"a/BUILD:2:1: ["a.txt", "b.txt", "d/c.txt", "odd[*]?.txt"]"#,
            r#"a/BUILD:3:1: ["BUILD", "d"]"#,
            r#"a/BUILD:4:1: ["sub"]"#,
        ]
    );
}

#[test]
fn patterns_mean_what_they_mean_in_bazel() {
    let thing = "load(\"//rules:defs.bzl\", \"thing\")\n";
    let workspace = Workspace::new(&[
        ("WORKSPACE", "workspace(name = \"w\")"),
        (".rbzignore", "ignored\n"),
        ("rules/BUILD", ""),
        ("rules/defs.bzl", RULES),
        (
            "a/BUILD",
            &format!(
                "{thing}thing(name = \"a\", srcs = [\"f.txt\"])\nthing(name = \"m\", tags = [\"manual\"])"
            ),
        ),
        ("a/f.txt", ""),
        ("a/b/BUILD", &format!("{thing}thing(name = \"x\")")),
        ("ignored/BUILD", "broken("),
    ]);
    let loader = workspace.loader();
    for (patterns, directory, expected) in [
        (&["//..."] as &[&str], "", &["//a:a", "//a/b:x"] as &[&str]),
        (&["..."], "a", &["//a:a", "//a/b:x"]),
        (&["//a"], "", &["//a:a"]),
        (&["//a:all"], "", &["//a:a"]),
        (&["//a:*"], "", &["//a:a", "//a:f.txt"]),
        (&[":m"], "a", &["//a:m"]),
        (&["a", "m"], "a", &["//a:a", "//a:m"]),
        (&["a/b:x"], "", &["//a/b:x"]),
        (&["a/f.txt"], "", &["//a:f.txt"]),
        (&["@w//a/b:all"], "", &["//a/b:x"]),
        (&["//...", "-//a/b/..."], "", &["//a:a"]),
        (&["//...", "-//a:a"], "", &["//a/b:x"]),
    ] {
        let (found, errors) = labels(&loader, patterns, directory);
        assert_eq!(
            (found.as_slice(), errors.len()),
            (&expected.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>()[..], 0),
            "{patterns:?} {errors:?}"
        );
    }
    assert_eq!(&*loader.workspace_name(), "w");
}

#[test]
fn a_package_that_does_not_load_leaves_the_others() {
    let workspace = with_build("thing(name = \"x\")");
    workspace.write("b/BUILD", "nonsense(");
    let (found, errors) = labels(&workspace.loader(), &["//..."], "");
    assert_eq!(found, ["//a:x"]);
    assert_eq!(errors.len(), 1);
}

#[test]
fn repositories_are_where_workspace_says() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x.txt"), "").unwrap();
    let workspace = Workspace::new(&[
        ("other/BUILD", "exports_files([\"y\"])"),
        ("other/y", ""),
        ("third/x.BUILD", "exports_files([\"x.txt\"])"),
        ("third/BUILD", ""),
    ]);
    workspace.write(
        "WORKSPACE",
        &format!(
            "workspace(name = \"w\")\nlocal_repository(name = \"other\", path = \"other\")\nnew_local_repository(name = \"x\", path = \"{}\", build_file = \"//third:x.BUILD\")\n",
            outside.path().display()
        ),
    );
    let loader = workspace.loader();
    let package = |repo: &str| loader.package(&PackageId::new(RepoName::new(repo), "")).unwrap();
    assert_eq!(names(&package("other")), ["y"]);
    assert_eq!(names(&package("x")), ["x.txt"]);
    assert_eq!(loader.repository_root(&RepoName::new("x")).unwrap(), outside.path());
    let error = loader.package(&PackageId::new(RepoName::new("othr"), "")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no repository `@othr`\nhint: declare it in the WORKSPACE file\nhint: did you mean `other`?"
    );
}

const REPOSITORY_RULE: &str = r#"
def _impl(ctx):
    print("made")
    tool = ctx.which("tool")
    ctx.file("BUILD", "exports_files(['%s'])" % ctx.attr.word)
    ctx.file("note", "%s %s %s" % (tool, ctx.os.environ.get("FLAVOUR", "plain"), ctx.path("BUILD").exists))
    r = ctx.execute([ctx.which("sh"), "-c", "echo out; exit 3"])
    ctx.file("result", "%d %s" % (r.return_code, r.stdout.strip()))
made = repository_rule(implementation = _impl, attrs = {"word": attr.string(mandatory = True)})
"#;

#[test]
fn a_repository_rule_runs_again_exactly_when_what_it_looked_at_changed() {
    let workspace = Workspace::new(&[
        ("WORKSPACE", "load(\"//:r.bzl\", \"made\")\nmade(name = \"r\", word = \"hello\")\n"),
        ("BUILD", ""),
        ("r.bzl", REPOSITORY_RULE),
    ]);
    let made = |workspace: &Workspace| {
        let loader = workspace.loader();
        let package = loader.package(&PackageId::new(RepoName::new("r"), "")).unwrap();
        let root = loader.repository_root(&RepoName::new("r")).unwrap();
        let note = std::fs::read_to_string(root.join("note")).unwrap();
        let result = std::fs::read_to_string(root.join("result")).unwrap();
        let count = workspace.printed.lock().unwrap().len();
        (names(&package).join(" "), note, result, count)
    };
    let (targets, note, result, count) = made(&workspace);
    assert_eq!((&*targets, &*note, &*result, count), ("hello", "None plain True", "3 out", 1));
    assert_eq!(made(&workspace).3, 1);
    // A program of that name appears where the rule had looked.
    workspace.write("bin/tool", "#!/bin/sh\n");
    use std::os::unix::fs::PermissionsExt;
    let tool = workspace.root().join("bin/tool");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (_, note, _, count) = made(&workspace);
    assert_eq!((note, count), (format!("{} plain True", tool.display()), 2));
    workspace
        .write("WORKSPACE", "load(\"//:r.bzl\", \"made\")\nmade(name = \"r\", word = \"bye\")\n");
    assert_eq!(made(&workspace).0, "bye");
}

#[test]
fn the_shipped_repositories_load() {
    let workspace = Workspace::new(&[(
        "BUILD",
        "filegroup(name = \"f\", srcs = [])\nlisp_library(name = \"l\", load = \"fasl\")",
    )]);
    let loader = workspace.shipped_loader();
    for (repo, path) in [
        ("", ""),
        ("rbz", ""),
        ("rbz", "lisp"),
        ("rbz", "core"),
        ("rbz", "shell"),
        ("rbz", "cc"),
        ("rules_cc", "cc"),
        ("rules_cc", "cc/common"),
        ("bazel_tools", "tools/cpp"),
        ("rules_lisp", "lisp"),
        ("bazelisp", ""),
        ("platforms", "cpu"),
        ("shell", ""),
    ] {
        if let Err(error) = loader.package(&PackageId::new(RepoName::new(repo), path)) {
            panic!("{repo}//{path}: {error}");
        }
    }
    let package = loader.package(&PackageId::new(RepoName::main(), "")).unwrap();
    let TargetKind::Rule(rule) = &package.targets["l"].kind else { panic!() };
    assert_eq!(
        rule.attrs.get("load").unwrap(),
        &Configurable::Plain(AttrValue::String("fasl".into()))
    );
}

#[test]
fn a_package_is_evaluated_again_exactly_when_something_that_it_read_changed() {
    let workspace =
        with_build("print(\"evaluated\")\nthing(name = \"x\", srcs = glob([\"*.txt\"]))");
    workspace.write("a/1.txt", "");
    let evaluated = |what: &str| {
        let package = workspace.package("a").unwrap();
        let count = std::mem::take(&mut *workspace.printed.lock().unwrap()).len();
        (format!("{what}: {}", names(&package).join(" ")), count)
    };
    assert_eq!(evaluated("first"), ("first: x 1.txt".to_owned(), 1));
    assert_eq!(evaluated("again"), ("again: x 1.txt".to_owned(), 0));
    workspace.write("a/other", "");
    assert_eq!(
        evaluated("file that no glob finds"),
        ("file that no glob finds: x 1.txt".to_owned(), 0)
    );
    workspace.write("a/2.txt", "");
    assert_eq!(evaluated("new source"), ("new source: x 1.txt 2.txt".to_owned(), 1));
    workspace.write("rules/defs.bzl", &format!("{RULES}# changed\n"));
    assert_eq!(evaluated("rule"), ("rule: x 1.txt 2.txt".to_owned(), 1));
    workspace.write("a/BUILD.bazel", "");
    assert_eq!(evaluated("another BUILD file"), ("another BUILD file: ".to_owned(), 0));
}

#[test]
fn selects_join_from_both_sides() {
    let workspace = Workspace::new(&[
        ("rules/BUILD", ""),
        (
            "rules/defs.bzl",
            "def _impl(ctx):\n    pass\n\nr = rule(implementation = _impl, attrs = {\"d\": attr.string_dict(), \"l\": attr.string_list(), \"s\": attr.string()})\n",
        ),
        (
            "a/BUILD",
            r#"load("//rules:defs.bzl", "r")
r(
    name = "x",
    d = {"a": "1"} | select({":c": {"b": "2"}, "//conditions:default": {}}),
    l = ["a"] + select({":c": ["b"]}) + ["c"] + select({":d": ["e"]}, no_match_error = "no"),
    s = "a" + select({":c": None}),
)
"#,
        ),
    ]);
    let package = workspace.package("a").unwrap();
    let TargetKind::Rule(rule) = &package.targets["x"].kind else { panic!() };
    let parts = |name: &str| match rule.attrs.get(name).unwrap() {
        Configurable::Select(parts) => parts.len(),
        Configurable::Plain(_) => 0,
    };
    assert_eq!((parts("d"), parts("l"), parts("s")), (2, 4, 2));
}

#[test]
fn what_is_no_target_says_what_is_near() {
    let workspace = with_build("thing(name = \"x\")");
    workspace.write("a/f.txt", "");
    workspace.write("a/sub/BUILD", "");
    workspace.write("a/sub/g.txt", "");
    let loader = workspace.loader();
    let error = |name: &str| {
        loader.target(&PackageId::new(RepoName::main(), "a").label(name)).unwrap_err().to_string()
    };
    assert_eq!(
        error("f.txt"),
        "there is no target `//a:f.txt`: the file is there, but `a/BUILD` does not export it\nhint: add `exports_files([\"f.txt\"])` to `a/BUILD`"
    );
    assert_eq!(
        error("sub/g.txt"),
        "there is no target `//a:sub/g.txt`: `a/sub` is a package of its own\nhint: write `//a/sub:g.txt`"
    );
    assert_eq!(error("y"), "there is no target `//a:y`: `a/BUILD` declares none of that name");
}

#[test]
fn an_archive_is_checked_before_it_is_unpacked() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    builder.append_data(&mut header, "p-1/x.txt", &b""[..]).unwrap();
    let bytes = builder.into_inner().unwrap();
    let sha256 = rbz_engine::digest::Digest::of(&bytes).to_hex();
    let workspace = Workspace::new(&[]);
    std::fs::create_dir_all(workspace.root()).unwrap();
    let path = workspace.root().join("p.tar");
    std::fs::write(&path, bytes).unwrap();
    let attempt = |sha256: &str, url: &str| {
        workspace.write(
            "WORKSPACE",
            &format!("http_archive(name = \"p\", url = \"{url}\", sha256 = \"{sha256}\", strip_prefix = \"p-1\", build_file_content = \"exports_files(['x.txt'])\")\n"),
        );
        let package = workspace.loader().package(&PackageId::new(RepoName::new("p"), ""));
        package.map(|package| names(&package).join(" ")).map_err(|error| error.message)
    };
    let url = format!("file://{}", path.display());
    assert_eq!(attempt(&sha256, &url), Ok("x.txt".to_owned()));
    let shown = path.display();
    assert_eq!(
        attempt("00", &url),
        Err(format!(
            "the archive `{shown}` is not the one that was declared: its sha256 is `{sha256}`, not `00`"
        ))
    );
    assert_eq!(
        attempt("", &url),
        Err(format!("the archive `{shown}` is not pinned by a `sha256`"))
    );
    assert_eq!(
        attempt(&sha256, "https://example.org/p.tar"),
        Err("`https://example.org/p.tar` cannot be fetched: nothing is loaded from the network"
            .to_owned())
    );
}

#[test]
fn a_glob_over_a_link_to_above_ends() {
    let workspace = with_build("glob([\"**/*.txt\"])");
    std::os::unix::fs::symlink("..", workspace.root().join("a/up")).unwrap();
    assert!(workspace.error("a").contains("the link `up` leads to a directory that it lies in"));
}

#[test]
fn a_macro_finds_the_keyword_load_and_joins_selects_with_dicts() {
    let macros = r#"
def m(**kwargs):
    found = [kwargs["load"], kwargs.get("load"), "load" in kwargs, "load" not in kwargs]
    if found + [kwargs.pop("load"), len(kwargs)] != [1, 1, True, False, 1, 0]:
        fail(found)
    plain = {"load": 2}
    if plain["load"] != 2 or "load" not in plain:
        fail(plain)

def joined():
    both = [{"a": "1"} | select({"//x": {}}), select({"//x": {}}) | {"a": "1"}]
    both += [["1"] + select({"//x": []}), select({"//x": []}) + ["1"]]
    return [type(one) for one in both] + [str({"a": 1} | {"b": 2})]
"#;
    let build = "load(\":m.bzl\", \"joined\", \"m\")\nm(load = 1)\nprint(joined())\n";
    let workspace = Workspace::new(&[("a/m.bzl", macros), ("a/BUILD", build)]);
    workspace.package("a").unwrap();
    assert_eq!(
        workspace.printed.lock().unwrap().join("\n"),
        r#"a/BUILD:3:1: ["select", "select", "select", "select", "{\"a\": 1, \"b\": 2}"]"#
    );
}
