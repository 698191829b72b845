//! `rbz fmt`: what it makes of files, and that buildifier makes the same of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use rbz_integration_tests::workspace::{mode, read, set_mode};
use rbz_integration_tests::{Workspace, binary, workspace};
use walkdir::WalkDir;

const UNFORMATTED: &str =
    "lisp_library(srcs = ['b.lisp', 'a.lisp'], deps = [':z', '//a:a'],name='x')\n";

const FORMATTED: &str = r#"lisp_library(
    name = "x",
    srcs = [
        "b.lisp",
        "a.lisp",
    ],
    deps = [
        ":z",
        "//a",
    ],
)
"#;

#[test]
fn files_of_the_workspace_are_formatted_in_place() {
    let ws = workspace()
        .file("BUILD", UNFORMATTED)
        .file("lib/rules.bzl", "def f( a,b ):\n  return a+b # sum\n")
        .file("lib/BUILD.bazel", FORMATTED)
        .file("broken/BUILD", "x = 1\nf(a = [1,\n")
        .file("vendor/BUILD", UNFORMATTED)
        .file(".rbzignore", "vendor\n")
        .file("notes.txt", "a  =  1\n")
        .build();
    set_mode(&ws.path("BUILD"), 0o640);
    let outcome = ws.rbz("fmt").exit_code(1).run();
    assert_snapshot!(outcome.golden(), @r#"
    exit status 1
    ERROR: broken/BUILD:2:7: this `[` is not closed
        f(a = [1,
              ^
    "#);
    assert_eq!(outcome.stdout(), "BUILD\nlib/rules.bzl\n");
    assert_eq!(ws.read("BUILD"), FORMATTED);
    assert_eq!(mode(&ws.path("BUILD")) & 0o777, 0o640);
    assert_eq!(ws.read("lib/rules.bzl"), "def f(a, b):\n    return a + b  # sum\n");
    assert_eq!(ws.read("broken/BUILD"), "x = 1\nf(a = [1,\n");
    assert_eq!(ws.read("vendor/BUILD"), UNFORMATTED);
    ws.remove("broken/BUILD");
    assert_eq!(ws.rbz("fmt").run().stdout(), "");
    ws.rbz("fmt --check").run();
}

#[test]
fn what_is_not_formatted_is_named_and_shown() {
    let ws = workspace().file("a/BUILD", UNFORMATTED).file("b/BUILD", FORMATTED).build();
    let check = ws.rbz("fmt --check").exit_code(4).run();
    assert_snapshot!(check.golden(), @r#"
    exit status 4
    ERROR: 1 of 3 files is not formatted
    hint: `rbz fmt` formats them
    "#);
    assert_eq!(check.stdout(), "a/BUILD\n");
    assert_snapshot!(ws.rbz("fmt --diff a").exit_code(4).run().stdout(), @r#"
    --- a/a/BUILD
    +++ b/a/BUILD
    @@ -1 +1,11 @@
    -lisp_library(srcs = ['b.lisp', 'a.lisp'], deps = [':z', '//a:a'],name='x')
    +lisp_library(
    +    name = "x",
    +    srcs = [
    +        "b.lisp",
    +        "a.lisp",
    +    ],
    +    deps = [
    +        ":z",
    +        "//a",
    +    ],
    +)
    "#);
    assert_eq!(ws.rbz("fmt --mode=check BUILD").in_directory("b").run().stdout(), "");
    assert_eq!(
        ws.rbz("fmt --mode=check BUILD").in_directory("a").exit_code(4).run().stdout(),
        "BUILD\n"
    );
    assert_eq!(ws.read("a/BUILD"), UNFORMATTED);
}

#[test]
fn standard_input_is_formatted_to_standard_output() {
    let ws = workspace().build();
    let piped = |text: &str, arguments: &str, status| {
        ws.write("input", text);
        ws.rbz(&format!("fmt {arguments}"))
            .wrapped(["sh", "-c", "exec \"$@\" <input", "sh"])
            .exit_code(status)
            .run()
    };
    assert_eq!(piped(UNFORMATTED, "--path=a/BUILD -", 0).stdout(), FORMATTED);
    assert_eq!(piped("f(b=1,a=2)\n", "-", 0).stdout(), "f(b = 1, a = 2)\n");
    assert_eq!(
        piped("f(b=1,a=2)\n", "--type=build -", 0).stdout(),
        "f(\n    a = 2,\n    b = 1,\n)\n"
    );
    piped(FORMATTED, "--check --path=BUILD -", 0);
    piped("f(\n", "--check --path=p/BUILD -", 1).stderr_has("p/BUILD:1:2: ");
}

#[test]
fn what_cannot_be_formatted_is_said() {
    let ws = workspace().file("a/BUILD", UNFORMATTED).file("MODULE.bazel", "").build();
    let wrong = |arguments: &str, status| {
        let outcome = ws.rbz(&format!("fmt {arguments}")).exit_code(status).run();
        assert_eq!(outcome.stdout(), "", "{outcome}");
        outcome.golden_errors()
    };
    assert_snapshot!(wrong("//a:a", 2), @r#"
    exit status 2
    ERROR: cannot read `//a:a`: No such file or directory
    hint: `rbz fmt` takes files and directories, not labels
    "#);
    assert_snapshot!(wrong("MODULE.bazel", 2), @r#"
    exit status 2
    ERROR: `MODULE.bazel` is a file of modules, which rbz does not have
    hint: `rbz fmt` formats BUILD, WORKSPACE and .bzl files
    "#);
    assert_snapshot!(wrong("--check --diff", 2), @r#"
    exit status 2
    ERROR: `--check` and `--diff` are two different things to do
    "#);
    assert_snapshot!(wrong("--path=BUILD", 2), @r#"
    exit status 2
    ERROR: `--path` says what standard input is, and that is not read
    hint: `rbz fmt --path=PATH -` reads it
    "#);
    set_mode(&ws.path("a/BUILD"), 0o444);
    assert_snapshot!(wrong("a/BUILD", 36), @r#"
    exit status 36
    ERROR: cannot write `a/BUILD`: it is read-only
    "#);
    assert_eq!(ws.read("a/BUILD"), UNFORMATTED);
    ws.write("a/BUILD", &format!("x = {}1{}\n", "(".repeat(5000), ")".repeat(5000)));
    assert!(wrong("a", 1).contains("this is nested too deep"));
    ws.write(".buildifier.json", "{\"addTables\": \"none.json\"}");
    assert_snapshot!(wrong("", 2), @r#"
    exit status 2
    ERROR: `.buildifier.json` names `none.json`, which is not there
    "#);
}

#[test]
fn tables_of_the_workspace_say_what_is_sorted() {
    let rule =
        "my_rule(\n    name = \"x\",\n    srcs = [\n        \"b\",\n        \"a\",\n    ],\n)\n";
    let ws = workspace()
        .file(".buildifier.json", "{\"addTables\": \"own.json\"}")
        .file("own.json", "{\"SortableDenylist\": {\"my_rule.srcs\": true}}")
        .file("BUILD", rule)
        .build();
    assert_eq!(ws.rbz("fmt").run().stdout(), "");
    ws.remove(".buildifier.json");
    assert_eq!(ws.rbz("fmt").run().stdout(), "BUILD\n");
}

/// The program itself, which `cargo xtask setup` gets.
fn buildifier() -> PathBuf {
    let directory = binary::repository().join("target/buildifier/node_modules/@bazel/buildifier");
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let program = directory.join(format!("buildifier-linux_{machine}"));
    assert!(program.exists(), "`cargo xtask setup` gets buildifier");
    program
}

/// Formats everything in the workspace until nothing changes any more.
fn format_by_buildifier(ws: &Workspace) {
    for _ in 0..4 {
        let mut command = Command::new(buildifier());
        let output = command.args(["-v", "-r", "."]).current_dir(ws.root()).output();
        let output = output.expect("buildifier runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        if !text.contains("fixed ") {
            return;
        }
    }
    panic!("buildifier changes files each time");
}

/// The files of Starlark in this repository.
fn own_files() -> Vec<(String, String)> {
    let root = binary::repository();
    let directories =
        ["rules", "examples", "integration_tests/workspaces"].map(|name| root.join(name));
    let entries = directories.iter().flat_map(|path| WalkDir::new(path).sort_by_file_name());
    let is_starlark = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ["BUILD", "WORKSPACE"].contains(&name.as_str())
            || name.ends_with(".bzl")
            || name.ends_with(".BUILD")
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.into_path());
    let files = paths.filter(|path| path.is_file() && is_starlark(path)).map(|path| {
        let relative = path.strip_prefix(root).expect("it is below").to_string_lossy().into_owned();
        (relative, read(&path))
    });
    files.collect()
}

#[test]
fn the_files_of_this_repository_are_formatted() {
    let files = own_files();
    assert!(files.len() > 40, "only {} files", files.len());
    let words = ["fmt", "--check", "rules", "examples", "integration_tests"];
    let paths = words
        .iter()
        .skip(2)
        .map(|name| binary::repository().join(name).to_string_lossy().into_owned());
    let ws = workspace().build();
    ws.rbz_args(words[..2].iter().map(|word| (*word).to_owned()).chain(paths)).run();
}

#[test]
fn what_init_writes_is_formatted_and_keeps_buildifier_from_sorting_sources() {
    let ws = workspace().in_directory("new").build();
    ws.remove("WORKSPACE");
    ws.rbz("init").run();
    ws.rbz("fmt --check").run();
    ws.write("lib/BUILD", FORMATTED);
    let text = read(ws.path("lib/BUILD"));
    format_by_buildifier(&ws);
    assert_eq!(ws.read("lib/BUILD"), text);
    ws.rbz("fmt --check").run();
    ws.remove(".buildifier.json");
    format_by_buildifier(&ws);
    assert_ne!(ws.read("lib/BUILD"), text, "without the table, buildifier sorts");
}

/// Numbers that look random, and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// `text` with lines joined and broken, comments, and quotes of the other kind.
fn untidy(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut line = line.to_owned();
        let plain = !line.contains('#') && !line.contains("\"\"\"") && !line.contains('\\');
        let opens = line.ends_with(['(', '[', '{']);
        let before = lines.last().map(String::as_str).unwrap_or_default();
        let joins = before.ends_with([',', '(', '[', '{']) && !before.contains('#');
        match random.below(24) {
            0 | 1 if plain && line.ends_with(',') => line += &format!(" # behind {number}"),
            2 if plain && opens => line += &format!("  # within {number}"),
            3..6 if plain && joins => {
                let joined = format!("{before}{}", line.trim());
                lines.pop();
                line = joined;
            }
            6 if line.starts_with("    ") && line.ends_with(',') => {
                lines.push(format!("# above {number}"));
            }
            7 if plain && line.contains('(') && !line.contains('"') => {
                line = line.replacen(", ", ",\n", 1);
            }
            8 | 9 if plain && !line.contains('\'') => line = line.replace('"', "'"),
            10 if line.is_empty() => lines.push(format!("\n# alone {number}")),
            11 if plain && !line.contains('"') => line = line.replacen(" + ", " + \\\n  ", 1),
            12 if plain => line = line.replace(" = ", "="),
            13 if plain && opens => line += "\n\n",
            _ => {}
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[test]
fn buildifier_makes_the_same_of_untidy_files() {
    let (ours, theirs) = (workspace().build(), workspace().build());
    let mut random = Random(7);
    let mut files = own_files();
    // A word that buildifier takes for a statement.
    files.retain(|(_, text)| !text.contains("load = "));
    for ws in [&ours, &theirs] {
        ws.rbz("init").run();
    }
    let mut paths = Vec::new();
    for (path, text) in &files {
        for (variant, kind) in ["BUILD", "rules.bzl", "WORKSPACE"].iter().enumerate() {
            let path = format!("{}/{variant}/{kind}", path.replace('.', "_"));
            let text = untidy(text, &mut random);
            ours.write(&path, &text);
            theirs.write(&path, &text);
            paths.push(path);
        }
    }
    // What untidying made no Starlark of is the same for both.
    let broken: Vec<String> = ours
        .rbz("fmt --check")
        .wrapped(["sh", "-c", "\"$@\" || true", "sh"])
        .run()
        .stderr()
        .lines()
        .filter_map(|line| line.strip_prefix("ERROR: ")?.split(':').next().map(str::to_owned))
        .collect();
    for path in broken.iter().filter(|path| paths.contains(path)) {
        ours.remove(path);
        theirs.remove(path);
    }
    paths.retain(|path| !broken.contains(path));
    assert!(
        paths.len() * 10 > files.len() * 3 * 9,
        "{} of {} are left",
        paths.len(),
        files.len() * 3
    );
    ours.rbz("fmt").run();
    format_by_buildifier(&theirs);
    for path in &paths {
        assert_eq!(ours.read(path), theirs.read(path), "{path}");
    }
}
