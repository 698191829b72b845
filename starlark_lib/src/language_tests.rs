//! What the functions of the language do, seen from BUILD and .bzl files.

use std::sync::Arc;

use rbz_engine::label::{PackageId, RepoName};

use crate::analysis_fixture::Fixture;
use crate::loader_tests::{RULES, Workspace};

/// What a .bzl file with this text prints, without the places.
fn printed(bzl: &str) -> String {
    let workspace = Workspace::new(&[
        ("a/f.bzl", &format!("{bzl}\n\ndone = True\n")),
        ("a/BUILD", "load(\":f.bzl\", \"done\")"),
    ]);
    workspace.package("a").unwrap_or_else(|error| panic!("{error}"));
    let printed = workspace.printed.lock().unwrap();
    let texts = printed.iter().map(|line| line.split_once(": ").map_or("", |(_, text)| text));
    texts.collect::<Vec<_>>().join("\n")
}

/// The first line of the error for a .bzl file.
fn error(bzl: &str) -> String {
    let workspace = Workspace::new(&[("a/f.bzl", bzl), ("a/BUILD", "load(\":f.bzl\", \"done\")")]);
    workspace.error("a").lines().next().unwrap_or_default().to_owned()
}

#[test]
fn json_is_written_as_bazel_writes_it() {
    let shown = printed(
        r#"
print(json.encode({"b": 1, "a": [1, 2.5, 1.0, None, True, (), "ä\n\"\\" + "\001"]}))
print(json.encode(struct(z = 1 << 70, a = {"k": range(2)})))
print(json.encode_indent({"a": [1, {}], "b": [], "c": {"d": "[,]"}}, prefix = "> ", indent = "  "))
print(json.indent('{"a":[1,{ }]}'))
"#,
    );
    insta::assert_snapshot!(shown.replace('\t', "->"), @r#"
    {"a":[1,2.5,1.0,null,true,[],"ä\n\"\\\u0001"],"b":1}
    {"a":{"k":[0,1]},"z":1180591620717411303424}
    {
    >   "a": [
    >     1,
    >     {}
    >   ],
    >   "b": [],
    >   "c": {
    >     "d": "[,]"
    >   }
    > }
    {
    ->"a": [
    ->->1,
    ->->{}
    ->]
    }
    "#);
    for (code, expected) in [
        ("json.encode({1: 2})", "`json.encode`: a key of a dict must be a string, not an int"),
        (
            "json.encode({\"a\": [1, print]})",
            "`json.encode`, at `x[\"a\"][1]`: a function has no form in JSON",
        ),
        ("json.encode(float(\"inf\"))", "`json.encode`: `+inf` is no number in JSON"),
        (
            "def f():\n    l = []\n    l.append(l)\n    json.encode(l)\nf()",
            "`json.encode`, at `x[0][0][0][0][0][0][0][0]`: values lie within one another more than 200 deep",
        ),
    ] {
        let error = error(code);
        assert!(error.ends_with(expected), "{code}: {error}");
    }
}

#[test]
fn json_is_read_as_bazel_reads_it() {
    let shown = printed(
        r#"
print(json.decode(' {"a": [1, -2.5e1, null, true, {}], "b": 123456789012345678901234567890} '))
print(json.decode('"\\u00e4\\ud83d\\ude00\\n\\/"') == "ä😀\n/")
print(json.decode("nope", default = 7), json.decode("{", default = None), json.decode("-0"))
"#,
    );
    insta::assert_snapshot!(shown, @r#"
    {"a": [1, -25.0, None, True, {}], "b": 123456789012345678901234567890}
    True
    7 None 0
    "#);
    let deep = "[".repeat(1000);
    for (text, expected) in [
        ("", "at character 0: expected a value, but the text ends"),
        ("{\"a\": }", "at character 6: expected a value, but there is `}`"),
        ("{\"ä\": 1, \"ä\": 2}", "at character 9: the object has the name `ä` twice"),
        ("[1, 01]", "at character 4: `01` is no number"),
        ("[1,]", "at character 3: expected a value, but there is `]`"),
        ("1 2", "at character 2: `2` follows after the end"),
        ("\"a", "at character 2: a string is not closed"),
        ("\"\\x\"", "at character 2: `\\x` is no escape"),
        (&deep, "at character 201: lists and objects lie within one another more than 200 deep"),
    ] {
        let error = error(&format!("json.decode({})", text_literal(text)));
        assert!(error.ends_with(expected), "{text}: {error}");
    }
}

fn text_literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn what_is_not_there_says_what_to_do_instead() {
    for (code, expected) in [
        ("aspect(implementation = print)", "`aspect` is not supported"),
        ("exec_group()", "`exec_group` is not supported"),
        ("configuration_field(\"cpp\", name = \"x\")", "`configuration_field` is not supported"),
        ("macro(implementation = print)", "`macro` is not supported"),
        (
            "config_common.toolchain_type(\"//x\")",
            "`config_common.toolchain_type` is not supported",
        ),
        ("attr.label(aspects = [1])", "`aspects` of an attribute is not supported"),
        ("native.toolchain_type(name = \"x\")", "`toolchain_type` is not supported"),
        ("rule(implementation = fail, subrules = [1])", "`subrules` of `rule` is not supported"),
        (
            "def f(): pass\nrule(implementation = f, outputs = f)",
            "a function as `outputs` of `rule` is not supported",
        ),
    ] {
        let workspace =
            Workspace::new(&[("a/f.bzl", code), ("a/BUILD", "load(\":f.bzl\", \"done\")")]);
        let error = workspace.error("a");
        assert!(error.contains(expected) && error.contains("\nhint: "), "{code}: {error}");
    }
}

#[test]
fn what_a_rule_is_made_of_is_checked() {
    for (call, expected) in [
        (
            "x = rule(implementation = f, provides = 3)",
            "`provides` must be a list of providers, not an int",
        ),
        (
            "x = rule(implementation = f, outputs = 3)",
            "`outputs` must be a dict of strings, not an int",
        ),
        (
            "x = rule(implementation = f, initializer = 3)",
            "`initializer` must be a function, not an int",
        ),
        (
            "x = rule(implementation = f, toolchains = \"//x\")",
            "`toolchains` must be a list of labels of toolchain types, not a string",
        ),
        (
            "x = rule(implementation = f, attrs = {\"a-b\": attr.int()})",
            "`a-b` cannot be the name of an attribute: it takes letters, digits and `_`, and begins with no digit",
        ),
        (
            "x = rule(implementation = f, test = True)",
            "`x` cannot be the name of a rule for tests: it must end in `_test`",
        ),
        (
            "x_test = rule(implementation = f)",
            "`x_test` cannot be the name of a rule: its targets are no tests, but it ends in `_test`",
        ),
        ("P, raw = provider(init = 3)", "`init` of a provider must be a function, not an int"),
        (
            "depset([1], transitive = [depset(transitive = [depset([\"a\"]), depset([\"b\"])])])",
            "a depset holds values of one type, but this one would hold an int and a string",
        ),
    ] {
        let error = error(&format!("def f(ctx):\n    pass\n\n{call}\n"));
        assert!(error.ends_with(expected), "{call}: {error}");
    }
}

#[test]
fn a_select_keeps_what_it_was_given() {
    let workspace = Workspace::new(&[
        (
            "a/f.bzl",
            "def f():\n    d = {\"//x\": [1]}\n    s = select(d)\n    d[\"//y\"] = [2]\n    print(s)\n",
        ),
        ("a/BUILD", "load(\":f.bzl\", \"f\")\nf()\n"),
    ]);
    workspace.package("a").unwrap();
    assert_eq!(workspace.printed.lock().unwrap()[0], "a/f.bzl:5:5: select({\"//x\": [1]})");
}

#[test]
fn existing_rules_are_shown_with_their_defaults() {
    let macros = r#"
def show():
    rule = native.existing_rule("x")
    print([rule["kind"], rule["srcs"], rule["deps"], rule["order"], "_tool" in rule, rule["testonly"]])
    copy = {key: value for key, value in rule.items() if key not in ["kind", "name"]}
    print(sorted(native.existing_rules()), native.existing_rule("y"), native.module_name())
    return copy
"#;
    let workspace = Workspace::new(&[
        ("rules/BUILD", ""),
        ("rules/defs.bzl", RULES),
        ("rules/macros.bzl", macros),
        (
            "a/BUILD",
            "load(\"//rules:defs.bzl\", \"thing\")\nload(\"//rules:macros.bzl\", \"show\")\nthing(name = \"x\", srcs = [\"a.txt\"])\nthing(name = \"y\", **show())\n",
        ),
    ]);
    workspace.package("a").unwrap();
    assert_eq!(
        *workspace.printed.lock().unwrap(),
        [
            r#"rules/macros.bzl:4:5: ["thing", [":a.txt"], [], "serial", False, False]"#,
            r#"rules/macros.bzl:6:5: ["x"] None None"#,
        ]
    );
}

#[test]
fn a_file_says_who_may_load_it() {
    let load = "load(\"//lib:f.bzl\", \"x\")\n";
    let workspace = Workspace::new(&[
        ("lib/BUILD", load),
        ("lib/f.bzl", "visibility([\"//a/...\", \"private\"])\nx = 1\n"),
        ("a/BUILD", load),
        ("a/b/BUILD", "load(\":g.bzl\", \"x\")\n"),
        ("a/b/g.bzl", "load(\"//lib:f.bzl\", _x = \"x\")\nx = _x\n"),
        ("c/BUILD", load),
        ("d/BUILD", "load(\":g.bzl\", \"x\")\n"),
        ("d/g.bzl", "visibility(\"public\")\nvisibility(\"private\")\n"),
        ("e/BUILD", "load(\":g.bzl\", \"x\")\n"),
        ("e/g.bzl", "visibility([\"-//a\"])\n"),
    ]);
    for package in ["lib", "a", "a/b"] {
        assert_eq!(workspace.package(package).map(|_| ()), Ok(()), "{package}");
    }
    insta::assert_snapshot!(workspace.error("c"), @r#"
    c/BUILD:1:6: `//lib:f.bzl` is not visible to the package `//c`, as its `visibility()` says
        load("//lib:f.bzl", "x")
             ^
    hint: add `"//c"` to the list there, or load something else
    "#);
    assert!(workspace.error("d").contains("d/g.bzl:2:1: `visibility` is called twice"));
    assert!(workspace.error("e").contains("`-//a` takes packages away"));
}

#[test]
fn names_of_repositories_mean_what_their_mapping_says() {
    let workspace = Workspace::new(&[
        (
            "WORKSPACE",
            r#"
local_repository(name = "one", path = "one")
local_repository(name = "two", path = "two")
local_repository(name = "user", path = "user", repo_mapping = {"@lib": "@two"})
local_repository(name = "lib", path = "one")
"#,
        ),
        ("one/BUILD", ""),
        ("one/f.bzl", "x = 1"),
        ("two/BUILD", ""),
        ("two/f.bzl", "x = 2"),
        (
            "user/BUILD",
            "load(\"@lib//:f.bzl\", \"x\")\nprint(x, package_relative_label(\"@lib//:x\"), package_relative_label(\"@@lib//:x\"))",
        ),
    ]);
    let load = |workspace: &Workspace| {
        let package = workspace.loader().package(&PackageId::new(RepoName::new("user"), ""));
        package.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(load(&workspace), Ok(()));
    workspace.write(
        "WORKSPACE",
        "local_repository(name = \"lib\", path = \"one\")\nlocal_repository(name = \"user\", path = \"user\")\n",
    );
    assert_eq!(load(&workspace), Ok(()));
    assert_eq!(
        *workspace.printed.lock().unwrap(),
        [
            "external/user/BUILD:2:1: 2 @two//:x @lib//:x",
            "external/user/BUILD:2:1: 1 @lib//:x @lib//:x",
        ]
    );
}

#[test]
fn what_a_group_excludes_another_one_may_include() {
    let fixture = Fixture::new(&[
        (
            "lib/BUILD",
            r#"
package_group(name = "most", packages = ["//...", "-//b/..."], includes = [":b"])
package_group(name = "b", packages = ["//b"])
package_group(name = "round", packages = ["//x"], includes = [":trip"])
package_group(name = "trip", includes = [":round"])
constraint_setting(name = "t", visibility = [":most"])
constraint_setting(name = "u", visibility = [":round"])
"#,
        ),
        ("a/BUILD", "alias(name = \"x\", actual = \"//lib:t\")"),
        ("b/BUILD", "alias(name = \"x\", actual = \"//lib:t\")"),
        ("b/c/BUILD", "alias(name = \"x\", actual = \"//lib:t\")"),
        ("d/BUILD", "alias(name = \"x\", actual = \"//lib:u\")"),
    ]);
    for package in ["a", "b"] {
        assert_eq!(fixture.analyze(&[&format!("//{package}:x")]).errors, [], "{package}");
    }
    assert!(fixture.errors(&["//b/c:x"]).contains("`//lib:t` is not visible to `//b/c:x`"));
    let error = fixture.errors(&["//d:x"]);
    assert!(error.contains("the `package_group` `//lib:round` includes itself"), "{error}");
}

#[test]
fn a_rule_writes_only_into_its_repository() {
    let workspace = Workspace::new(&[
        ("WORKSPACE", "load(\"//:r.bzl\", \"made\")\nmade(name = \"r\")\n"),
        ("BUILD", ""),
        (
            "r.bzl",
            "def _impl(ctx):\n    ctx.symlink(ctx.workspace_root, \"link\")\n    ctx.file(\"link/stolen\", \"\")\n\nmade = repository_rule(implementation = _impl)\n",
        ),
    ]);
    let loader = workspace.loader();
    let error = loader.package(&PackageId::new(RepoName::new("r"), "")).unwrap_err().to_string();
    assert!(error.contains("outside of the repository `@r`"), "{error}");
    assert!(!workspace.root().join("stolen").exists());
}

#[test]
fn what_a_shipped_rule_says_of_a_repository_begins_where_the_user_declares_it() {
    let shipped = Arc::new(tempfile::tempdir().unwrap());
    let rules = "def _impl(ctx):\n    fail(\"there is no tool\\nhint: install it\")\n\ntool = repository_rule(implementation = _impl)\n";
    std::fs::write(shipped.path().join("r.bzl"), rules).unwrap();
    std::fs::write(shipped.path().join("BUILD"), "").unwrap();
    let workspace = Workspace::new(&[(
        "WORKSPACE",
        "load(\"@tools//:r.bzl\", \"tool\")\n\ntool(name = \"t\")\n",
    )]);
    let loader = workspace.loader_with_shipped("tools", shipped.path());
    let error = loader.package(&PackageId::new(RepoName::new("t"), "")).unwrap_err();
    insta::assert_snapshot!(error, @r"
    WORKSPACE:3:1: for the repository `@t`: there is no tool
    hint: install it
    ");
}

#[test]
fn the_first_file_among_the_addresses_of_an_archive_is_taken() {
    let workspace = Workspace::new(&[("f.tar", "")]);
    let file = format!("file://{}", workspace.root().join("f.tar").display());
    let error = |urls: &str, more: &str| {
        workspace
            .write("WORKSPACE", &format!("http_archive(name = \"p\", urls = [{urls}], {more})\n"));
        let loader = workspace.loader();
        loader.package(&PackageId::new(RepoName::new("p"), "")).unwrap_err().message
    };
    let both = format!("\"https://example.org/f.tar\", \"{file}\"");
    assert!(error(&both, "").ends_with("is not pinned by a `sha256`"));
    assert!(error("\"https://example.org/f.tar\"", "").contains("cannot be fetched"));
    let integrity = "integrity = \"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"";
    // It is the right file, and has nothing in it.
    assert_eq!(
        error(&both, integrity),
        "there is no package `@p//`: no BUILD file in `external/p`"
    );
}
