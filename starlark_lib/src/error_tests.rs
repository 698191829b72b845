//! What a user sees when files are wrong: one golden text for each kind of mistake.

use crate::loader_tests::{RULES, Workspace};

/// The message for a BUILD file of package `a`, in a workspace with rules and a few macros.
fn message(build: &str) -> String {
    let build = format!(
        "load(\"//rules:defs.bzl\", \"thing\")\nload(\"//rules:macros.bzl\", \"divide\", \"ever\", \"twice\")\n{build}\n"
    );
    let workspace = Workspace::new(&[
        ("rules/BUILD", ""),
        ("rules/defs.bzl", RULES),
        ("rules/macros.bzl", MACROS),
        ("a/BUILD", &build),
    ]);
    workspace.error("a")
}

const MACROS: &str = r#"
def _inner(n):
    return 1 // n

def divide(name, n):
    _inner(n)

def ever(function):
    result = function(function)
    return result

def twice(name):
    fail("no", name, "today", sep = "-")
"#;

fn check(build: &str, expected: &str) {
    assert_eq!(message(build), expected);
}

fn check_files(files: &[(&str, &str)], expected: &str) {
    assert_eq!(Workspace::new(files).error("a"), expected);
}

#[test]
fn a_text_that_is_no_build_file() {
    check(
        r#"thing(name = "x""#,
        r#"a/BUILD:4:1: syntax error: unexpected new line, expected symbol ')'
    
    ^"#,
    );
    check(
        r#"def f():
    pass"#,
        r#"a/BUILD:3:1: syntax error: `def` is not allowed in a BUILD file
    def f():
    ^
hint: move it into a .bzl file and `load` it from there"#,
    );
    check(
        r#"for x in []:
    pass"#,
        r#"a/BUILD:3:1: syntax error: `for` cannot be used outside `def` in a BUILD file
    for x in []:
    ^
hint: move it into a .bzl file and `load` it from there"#,
    );
}

#[test]
fn names_that_are_not_there() {
    check(
        r#"thng(name = "x")"#,
        r#"a/BUILD:3:1: variable `thng` not found
    thng(name = "x")
    ^
hint: did you mean `thing`?"#,
    );
    check(
        r#"struct(a = 1).b"#,
        r#"a/BUILD:3:1: Object of type `struct` has no attribute `b`
    struct(a = 1).b
    ^
hint: did you mean `a`?"#,
    );
    check(
        r#"native.glob([])"#,
        r#"a/BUILD:3:1: variable `native` not found
    native.glob([])
    ^"#,
    );
}

#[test]
fn attributes_that_a_rule_does_not_have_or_take() {
    check(
        r#"thing(name = "x",
    srcz = [])"#,
        r#"a/BUILD:4:5: `thing` has no attribute `srcz`
        srcz = [])
        ^
hint: did you mean `srcs`?"#,
    );
    check(
        r#"thing(name = "x", srcs = "f.txt")"#,
        r#"a/BUILD:3:19: expected a value of type `list(label)` for the attribute `srcs` of `thing` rule `x`, but got `"f.txt"` (string)
    thing(name = "x", srcs = "f.txt")
                      ^"#,
    );
    check(
        r#"thing(name = "x", order = "paralel")"#,
        r#"a/BUILD:3:19: the attribute `order` of `thing` rule `x`: `paralel` is not allowed, only `serial`, `parallel`
    thing(name = "x", order = "paralel")
                      ^
hint: did you mean `parallel`?"#,
    );
    check(
        r#"thing(name = "x", _tool = "y")"#,
        r#"a/BUILD:3:19: the attribute `_tool` of `thing` is private: it cannot be given
    thing(name = "x", _tool = "y")
                      ^"#,
    );
    check(
        r#"thing(srcs = [])"#,
        r#"a/BUILD:3:1: this `thing` has no `name`
    thing(srcs = [])
    ^"#,
    );
    check(
        r#"thing("x")"#,
        r#"a/BUILD:3:1: `thing` takes no positional arguments
    thing("x")
    ^
hint: write `name = …` and so on"#,
    );
    check(
        r#"thing(name = "x", deps = ["//b//c"])"#,
        r#"a/BUILD:3:19: the attribute `deps` of `thing` rule `x`: `//b//c` is not a label: a package path may not contain `//`
    thing(name = "x", deps = ["//b//c"])
                      ^"#,
    );
    check(
        r#"thing(name = "x", deps = [":a", "a"])"#,
        r#"a/BUILD:3:19: the attribute `deps` of `thing` rule `x`: `//a:a` is there more than once
    thing(name = "x", deps = [":a", "a"])
                      ^"#,
    );
    check(
        r#"thing(name = "x", order = select({":c": "serial"}), tags = select({":c": []}))"#,
        r#"a/BUILD:3:53: the attribute `tags` of `thing` rule `x` cannot depend on the configuration: no `select` may stand in it
    thing(name = "x", order = select({":c": "serial"}), tags = select({":c": []}))
                                                        ^"#,
    );
    check(
        r#"thing(name = "x", visibility = ["//visibility:private", "//b:__pkg__"])"#,
        r#"a/BUILD:3:19: `//visibility:private` cannot stand beside other entries
    thing(name = "x", visibility = ["//visibility:private", "//b:__pkg__"])
                      ^"#,
    );
}

#[test]
fn a_name_that_is_taken() {
    check(
        r#"thing(name = "x")
thing(name = "x")"#,
        r#"a/BUILD:4:7: `//a:x` is declared twice
    thing(name = "x")
          ^
  a/BUILD:3:1: the other `x` is here (a `thing`)
hint: give one of them another name"#,
    );
}

#[test]
fn globs_that_are_wrong_or_find_nothing() {
    check(
        r#"glob(["../x"])"#,
        r#"a/BUILD:3:1: `../x` is no pattern: `.` and `..` cannot be segments of it
    glob(["../x"])
    ^"#,
    );
    check(
        r#"glob(["*.none"])"#,
        r#"a/BUILD:3:1: `glob` finds nothing: `*.none`
    glob(["*.none"])
    ^
hint: if that is as it should be, say `allow_empty = True`"#,
    );
    check(
        r#"glob(["BUILD", "*.none"])"#,
        r#"a/BUILD:3:1: `glob` finds nothing: `*.none`
    glob(["BUILD", "*.none"])
    ^
hint: if that is as it should be, say `allow_empty = True`"#,
    );
    check(
        r#"glob(["BUILD"], exclude = ["B*"])"#,
        r#"a/BUILD:3:1: `glob` finds nothing that is not excluded: `BUILD`
    glob(["BUILD"], exclude = ["B*"])
    ^
hint: if that is as it should be, say `allow_empty = True`"#,
    );
    check(
        r#"glob(["*"], exclude_directories = "no")"#,
        r#"a/BUILD:3:1: `exclude_directories` must be 1 or 0, but is `"no"` (string)
    glob(["*"], exclude_directories = "no")
    ^"#,
    );
}

#[test]
fn errors_in_macros_show_the_way_there() {
    check(
        r#"divide(name = "x", n = 0)"#,
        r#"rules/macros.bzl:6:5: Floor division by zero: 1 // 0
        _inner(n)
        ^
  a/BUILD:3:1: in the top level
    divide(name = "x", n = 0)"#,
    );
    check(
        r#"ever(ever)"#,
        r#"rules/macros.bzl:9:14: functions call each other without end
        result = function(function)
                 ^
  a/BUILD:3:1: in the top level
    ever(ever)
hint: Starlark allows no recursion: turn it into a loop over a list"#,
    );
    check(
        r#"twice(name = "x")"#,
        r#"rules/macros.bzl:13:5: no-x-today
        fail("no", name, "today", sep = "-")
        ^
  a/BUILD:3:1: in the top level
    twice(name = "x")"#,
    );
}

#[test]
fn a_loop_without_end_is_stopped() {
    check(
        r#"[x for x in range(100000000) if x < 0]"#,
        r#"a/BUILD:3:33: the evaluation takes too long: it looks like an endless loop
    [x for x in range(100000000) if x < 0]
                                    ^
hint: a BUILD file only declares; work belongs in actions"#,
    );
}

#[test]
fn functions_of_build_files_that_are_called_in_a_wrong_way() {
    check(
        r#"package(default_visibility = ["//visibility:publik"])"#,
        r#"a/BUILD:3:1: there is no visibility `publik`
    package(default_visibility = ["//visibility:publik"])
    ^
hint: `//visibility:public`, `//visibility:private`, `//pkg:__pkg__`, `//pkg:__subpackages__` or the label of a `package_group`"#,
    );
    check(
        r#"exports_files(["//b:c"])"#,
        r#"a/BUILD:3:1: `//b:c` is no file of this package: only its own files can be exported
    exports_files(["//b:c"])
    ^"#,
    );
    check(
        r#"exports_files(["BUILD"], ["//b:__pkg__"])
exports_files(["BUILD"])"#,
        r#"a/BUILD:4:1: `BUILD` is exported with two visibilities
    exports_files(["BUILD"])
    ^
  a/BUILD:3:1: the other one is here"#,
    );
    check(
        r#"package_group(name = "g", packages = ["//b..."])"#,
        r#"a/BUILD:3:1: `//b...` names no packages: `...` must be a whole segment
    package_group(name = "g", packages = ["//b..."])
    ^
hint: `//pkg`, `//pkg/...` or `//...`"#,
    );
    check(
        r#"thing(name = "x", order = select({":c": "serial", "//a:c": "parallel"}))"#,
        r#"a/BUILD:3:19: the attribute `order` of `thing` rule `x`: `//a:c` is there more than once
    thing(name = "x", order = select({":c": "serial", "//a:c": "parallel"}))
                      ^"#,
    );
    check(
        r#"x = "a" + 1"#,
        r#"a/BUILD:3:5: Operation `+` not supported for types `string` and `int`
    x = "a" + 1
        ^"#,
    );
}

#[test]
fn brackets_that_are_nested_too_deep_are_refused() {
    let deep = format!("x = {}{}", "[".repeat(5000), "]".repeat(5000));
    check(&deep, "a/BUILD:3:205: brackets are nested more than 200 deep");
    let minus = format!("x = {}1", "-".repeat(5000));
    check(&minus, "a/BUILD:3:205: an expression has too many operators");
    for chain in ["f()", "f[0]", "1 and 1", "1 or 1", "1 if 1 else 1", "1 if lambda: 1"] {
        let (first, again) = match chain.strip_prefix('f') {
            Some(call) => ("f", call),
            None => ("1", chain.strip_prefix('1').unwrap_or(chain)),
        };
        let error = message(&format!("x = {first}{}", again.repeat(30_000)));
        assert!(error.ends_with(": an expression has too many operators"), "{chain}: {error}");
    }
    // What stands beside each other is not nested.
    let wide = with_build_and_print(&format!("[{}]", "-1 + f(2), ".repeat(30_000)));
    assert_eq!(wide, "90000");
    let branches = "    elif x:\n        pass\n".repeat(30_000);
    check_files(
        &[
            ("a/BUILD", r#"load(":a.bzl", "f")"#),
            ("a/a.bzl", &format!("def f(x):\n    if x:\n        pass\n{branches}")),
        ],
        "a/a.bzl:40004:5: an `if` has too many branches\n        elif x:\n        ^",
    );
}

/// What a BUILD file prints of a list with calls of `f`, that yields what it is given.
fn with_build_and_print(list: &str) -> String {
    let build = format!("load(\":f.bzl\", \"f\", \"total\")\nprint(total({list}))\n");
    let f = "def f(x):\n    return x + 2\n\ndef total(list):\n    sum = 0\n    for x in list:\n        sum += x\n    return sum\n";
    let workspace = Workspace::new(&[("a/f.bzl", f), ("a/BUILD", &build)]);
    workspace.package("a").unwrap();
    let printed = workspace.printed.lock().unwrap().join("\n");
    printed.rsplit(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn a_line_that_is_too_long_to_help_is_not_shown() {
    let error = message(&format!("x = [{}] + 1 + nothing", "1, ".repeat(1000)));
    assert_eq!(error, "a/BUILD:3:3014: variable `nothing` not found\nhint: did you mean `thing`?");
}

#[test]
fn files_that_cannot_be_loaded() {
    check_files(
        &[(r#"a/BUILD"#, r#"load("//rules:x.bzl", "y")"#)],
        r#"a/BUILD:1:6: there is no file `rules/x.bzl`, that `//rules:x.bzl` names
    load("//rules:x.bzl", "y")
         ^
hint: there is no directory `rules` either"#,
    );
    check_files(
        &[(r#"a/BUILD"#, r#"load(":defz.bzl", "y")"#), (r#"a/defs.bzl"#, "")],
        r#"a/BUILD:1:6: there is no file `a/defz.bzl`, that `//a:defz.bzl` names
    load(":defz.bzl", "y")
         ^
hint: did you mean `defs.bzl`?"#,
    );
    check_files(
        &[
            (r#"a/BUILD"#, r#"load(":defs.bzl", "tihng")"#),
            (
                r#"a/defs.bzl"#,
                r#"thing = 1
_x = 2"#,
            ),
        ],
        r#"a/BUILD:1:19: `//a:defs.bzl` has no `tihng`
    load(":defs.bzl", "tihng")
                      ^
hint: did you mean `thing`?"#,
    );
    check_files(
        &[(r#"a/BUILD"#, r#"load(":defs.bzl", "_x")"#), (r#"a/defs.bzl"#, r#"_x = 2"#)],
        r#"a/BUILD:1:19: `_x` is private to `//a:defs.bzl`: names that start with `_` cannot be loaded
    load(":defs.bzl", "_x")
                      ^"#,
    );
    check_files(
        &[(r#"a/BUILD"#, r#"load(":defs.txt", "_x")"#)],
        r#"a/BUILD:1:6: `:defs.txt` cannot be loaded: it is no .bzl file
    load(":defs.txt", "_x")
         ^
hint: write `//pkg:file.bzl`, `:file.bzl` or `@repo//pkg:file.bzl`"#,
    );
    check_files(
        &[
            (r#"a/BUILD"#, r#"load(":a.bzl", "x")"#),
            (r#"a/a.bzl"#, r#"load(":b.bzl", "x")"#),
            (r#"a/b.bzl"#, r#"load(":a.bzl", "x")"#),
        ],
        r#"a/b.bzl:1:6: `//a:a.bzl` loads itself
    load(":a.bzl", "x")
         ^
  a/a.bzl:1:6: `//a:a.bzl` loads `//a:b.bzl`
    load(":b.bzl", "x")
  a/b.bzl:1:6: `//a:b.bzl` loads `//a:a.bzl`
    load(":a.bzl", "x")
hint: move what both need into a third file"#,
    );
    check_files(
        &[
            (r#"a/BUILD"#, r#"load(":a.bzl", "x")"#),
            (r#"a/a.bzl"#, r#"x = rule(implementation = 1)"#),
        ],
        r#"a/a.bzl:1:5: `implementation` must be a function, but is `1` (int)
    x = rule(implementation = 1)
        ^"#,
    );
    check_files(
        &[(r#"a/BUILD"#, r#"load(":a.bzl", "x")"#), (r#"a/a.bzl"#, r#"native.glob([])"#)],
        r#"a/a.bzl:1:1: `glob` can only be called while a BUILD file is loaded, not at the top level of a .bzl file
    native.glob([])
    ^
hint: call it in a function, and the function in a BUILD file"#,
    );
    check_files(
        &[(r#"b/BUILD"#, "")],
        r#"there is no package `//a`: no BUILD file in `a`
hint: add a `BUILD.bazel` or `BUILD` file in `a`"#,
    );
    check_files(
        &[(r#"a/BUILD"#, r#"load("@nowhere//:a.bzl", "x")"#)],
        r#"a/BUILD:1:6: there is no repository `@nowhere`
    load("@nowhere//:a.bzl", "x")
         ^
hint: declare it in the WORKSPACE file"#,
    );
}

#[test]
fn a_value_that_grows_without_end_is_stopped() {
    let grow = "def grow():\n    text = \"x\"\n    for _ in range(100):\n        text += text\n    return text\n";
    let error =
        Workspace::new(&[("a/m.bzl", grow), ("a/BUILD", "load(\":m.bzl\", \"grow\")\n\ngrow()\n")])
            .error("a");
    assert_eq!(
        error,
        "a/BUILD:3:1: the evaluation takes too much memory: a value seems to grow without end\n    grow()\n    ^\nhint: a BUILD file only declares; work belongs in actions"
    );
    check(
        "x = \"ab\" * 100000000",
        r#"a/BUILD:3:5: a string of 2 cannot be repeated 100000000 times: it grows too large
    x = "ab" * 100000000
        ^"#,
    );
}

#[test]
fn an_endless_loop_in_a_macro_shows_the_way_there() {
    check_files(
        &[
            ("a/m.bzl", "def m():\n    for _ in range(1000000000):\n        pass\n"),
            ("a/BUILD", "load(\":m.bzl\", \"m\")\nm()\n"),
        ],
        r#"a/m.bzl:2:5: the evaluation takes too long: it looks like an endless loop
        for _ in range(1000000000):
        ^
  a/BUILD:2:1: in the top level
    m()
hint: a BUILD file only declares; work belongs in actions"#,
    );
}

#[test]
fn a_global_of_a_bzl_file_is_set_once() {
    check_files(
        &[("a/m.bzl", "x = 1\n\ndef x():\n    pass\n"), ("a/BUILD", "load(\":m.bzl\", \"x\")\n")],
        r#"a/m.bzl:3:5: the global `x` of a .bzl file is set twice
    def x():
        ^
  a/m.bzl:1:1: the other `x` is here
    x = 1
hint: give one of them another name"#,
    );
    // In a BUILD file it may be set again.
    Workspace::new(&[("a/BUILD", "x = 1\nx = 2\n")]).package("a").unwrap();
}

#[test]
fn functions_that_call_themselves_are_refused_unless_the_name_is_their_own() {
    check_files(
        &[
            ("a/m.bzl", "def f(n):\n    return g(n)\n\ndef g(n):\n    return [f(x) for x in n]\n"),
            ("a/BUILD", "load(\":m.bzl\", \"f\")\n"),
        ],
        r#"a/m.bzl:5:13: `f` calls itself by way of others
        return [f(x) for x in n]
                ^
  a/m.bzl:2:12: `f` calls `g`
    return g(n)
  a/m.bzl:5:13: `g` calls `f`
    return [f(x) for x in n]
hint: Starlark allows no recursion: turn it into a loop over a list"#,
    );
    let fine = "def f(f):\n    return f(1)\n\ndef g():\n    return lambda: g()\n";
    Workspace::new(&[("a/m.bzl", fine), ("a/BUILD", "load(\":m.bzl\", \"f\")\n")])
        .package("a")
        .unwrap();
}
