//! Questions about targets: `rbz query` and `rbz why`.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use rbz_integration_tests::projects::tower;
use rbz_integration_tests::{Workspace, binary, system, workspace, workspace_from};

/// The lines that a query answers with.
fn answer(ws: &Workspace, arguments: &[&str]) -> Vec<String> {
    let words = ["query"].iter().chain(arguments);
    ws.rbz_args(words).run().stdout().lines().map(str::to_owned).collect()
}

/// What a wrong query says, and with which status it ends.
fn wrong(ws: &Workspace, exit_code: i32, arguments: &[&str]) -> String {
    let words = ["query"].iter().chain(arguments);
    let outcome = ws.rbz_args(words).exit_code(exit_code).run();
    assert_eq!(outcome.stdout(), "", "{outcome}");
    outcome.golden_errors()
}

/// Packages `a` to `d`, where each target is there for a function of the language.
fn diamond() -> Workspace {
    workspace()
        .file(
            "a/BUILD",
            r#"load("//b:rules.bzl", "pair")
pair(name = "top", srcs = ["//b:left", "//c:right"])
genrule(
    name = "tool_user",
    outs = ["made.txt"],
    cmd = "$(location //d:tool) > $@",
    tools = ["//d:tool"],
    tags = ["slow", "nightly"],
)
filegroup(name = "made", srcs = ["made.txt"], testonly = True)
"#,
        )
        .file(
            "b/BUILD",
            r#"package(default_visibility = ["//d:friends"])
filegroup(name = "left", srcs = select({
    "//d:optimised": ["fast.txt"],
    "//conditions:default": ["slow.txt", "//d:base"],
}))
"#,
        )
        .file("b/rules.bzl", "load(\":more.bzl\", \"make\")\ndef pair(name, srcs):\n    make(name = name, srcs = srcs)\n")
        .file("b/more.bzl", "def make(**kwargs):\n    native.filegroup(**kwargs)\n")
        .file("b/fast.txt", "")
        .file("b/slow.txt", "")
        .file("c/BUILD", "filegroup(name = \"right\", srcs = [\"//d:base\"], visibility = [\"//visibility:public\"])\n")
        .file(
            "d/BUILD",
            r#"exports_files(["base.txt"], visibility = ["//visibility:public"])
filegroup(name = "base", srcs = ["base.txt"], visibility = ["//b:__pkg__", "//c:__pkg__"])
config_setting(name = "optimised", values = {"compilation_mode": "opt"}, visibility = ["//visibility:public"])
package_group(name = "friends", packages = ["//a", "//b"])
sh_binary(name = "tool", srcs = ["tool.sh"], visibility = ["//visibility:public"])
sh_test(name = "quick_test", srcs = ["tool.sh"], tags = ["quick"])
sh_test(name = "manual_test", srcs = ["tool.sh"], tags = ["manual"])
test_suite(name = "all_tests")
test_suite(name = "quick_tests", tests = [":all_tests", ":manual_test"], tags = ["quick"])
"#,
        )
        .file("d/base.txt", "")
        .file("d/tool.sh", "#!/bin/sh\necho tool\n")
        .build()
}

#[test]
fn every_function_of_the_language() {
    let ws = diamond();
    let explicit = "--noimplicit_deps";
    let mut different = Vec::new();
    for (query, expected) in [
        ("//a:top", &["//a:top"][..]),
        ("//a:all", &["//a:made", "//a:tool_user", "//a:top"]),
        ("//c:*", &["//c:BUILD", "//c:right"]),
        ("a:top + c:right", &["//a:top", "//c:right"]),
        ("//... - //d/... ^ //a:made + //c:right", &["//a:made", "//c:right"]),
        ("set(//a:top //c:right) except //c:right", &["//a:top"]),
        ("let x = //a:all in $x intersect filter(ma.e$, $x)", &["//a:made"]),
        ("deps(//c:right)", &["//c:right", "//d:base", "//d:base.txt"]),
        ("deps(//c:right, 1)", &["//c:right", "//d:base"]),
        ("deps(//a:made, 2)", &["//a:made", "//a:made.txt", "//a:tool_user"]),
        ("rdeps(//a/..., //d:base)", &["//a:top", "//b:left", "//c:right", "//d:base"]),
        ("rdeps(//..., //d:base.txt, 1)", &["//d:base", "//d:base.txt"]),
        ("allrdeps(//d:base, 1)", &["//b:left", "//c:right", "//d:base"]),
        ("allpaths(//a:top, //d:base)", &["//a:top", "//b:left", "//c:right", "//d:base"]),
        ("allpaths(//c:right, //b:left)", &[]),
        (
            "somepath(//a:made, //d:tool)",
            &["//a:made", "//a:made.txt", "//a:tool_user", "//d:tool"],
        ),
        ("somepath(//d:base, //a:made)", &[]),
        ("kind('sh_.* rule', //...)", &["//d:manual_test", "//d:quick_test", "//d:tool"]),
        ("kind('source file', deps(//c:right))", &["//d:base.txt"]),
        ("kind('generated file|package group', //...:*)", &["//a:made.txt", "//d:friends"]),
        ("attr(tags, '\\bslow\\b', //...)", &["//a:tool_user"]),
        ("attr(tags, '^\\[slow, nightly\\]$', //...)", &["//a:tool_user"]),
        ("attr(testonly, 1, //a:all)", &["//a:made"]),
        ("attr(testonly, 0, //a:all)", &["//a:tool_user", "//a:top"]),
        ("attr(srcs, '//b:slow.txt', //...)", &["//b:left"]),
        ("attr(name, '^ri', //...)", &["//c:right"]),
        ("labels(srcs, //b:left)", &["//b:fast.txt", "//b:slow.txt", "//d:base"]),
        ("labels(outs, //a:tool_user)", &["//a:made.txt"]),
        ("labels(nothing, //...)", &[]),
        ("tests(//d:all_tests)", &["//d:quick_test"]),
        ("tests(//d:quick_tests)", &["//d:quick_test"]),
        ("tests(//d:manual_test + //d:tool)", &["//d:manual_test"]),
        ("executables(//...)", &["//d:manual_test", "//d:quick_test", "//d:tool"]),
        ("buildfiles(//a:top)", &["//a:BUILD", "//b:BUILD", "//b:more.bzl", "//b:rules.bzl"]),
        ("loadfiles(//a:top)", &["//b:more.bzl", "//b:rules.bzl"]),
        ("rbuildfiles(b/more.bzl, c/BUILD)", &["//a:BUILD", "//c:BUILD"]),
        ("siblings(//c:right)", &["//c:BUILD", "//c:right"]),
        ("same_pkg_direct_rdeps(//a:made.txt)", &["//a:made"]),
        ("visible(//a:top, //b:left + //c:right + //d:base)", &["//b:left", "//c:right"]),
        ("visible(//a:top + //c:right, //b:left + //c:right + //d:base)", &["//c:right"]),
        ("visible(//c:right, //d:base)", &["//d:base"]),
        ("some(//a:all)", &["//a:made"]),
        ("some(//a:all, 2)", &["//a:made", "//a:tool_user"]),
    ] {
        // The rules that come with the program and their tools are not asked for.
        let query = format!("({query}) - @rbz//...:*");
        let found: Vec<String> = answer(&ws, &[explicit, &query])
            .into_iter()
            .filter(|label| !label.starts_with('@'))
            .collect();
        if found != expected {
            different.push(format!("`{query}` means {found:?} instead of {expected:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn options_say_which_dependencies_count() {
    let ws = diamond();
    let of = |options: &[&str], query: &str| -> BTreeSet<String> {
        answer(&ws, &[options, &[query]].concat()).into_iter().collect()
    };
    // A branch of a `select` counts with its condition, whatever the configuration is.
    let left = of(&[], "deps(//b:left)");
    for label in ["//d:optimised", "//b:fast.txt", "//b:slow.txt", "//d:base", "//d:friends"] {
        assert!(left.contains(label), "{label} in {left:?}");
    }
    assert!(!of(&["--nonodep_deps"], "deps(//b:left)").contains("//d:friends"));
    for tools in ["--notool_deps", "--nohost_deps"] {
        assert!(!of(&[tools], "deps(//a:tool_user)").contains("//d:tool"), "{tools}");
    }
    let all = of(&[], "deps(//a:tool_user)");
    assert!(all.contains("//d:tool") && all.iter().any(|label| label.starts_with("@shell//")));
    let explicit = of(&["--noimplicit_deps"], "deps(//a:tool_user)");
    assert!(!explicit.iter().any(|label| label.starts_with("@shell//")), "{explicit:?}");
    // The universe is what it is said to be.
    let scope =
        |options: &[&str]| of(options, "allrdeps(//d:base.txt, 2)").into_iter().collect::<Vec<_>>();
    assert_eq!(scope(&["--universe_scope=//c/..."]), ["//c:right", "//d:base", "//d:base.txt"]);
    assert_eq!(
        scope(&["--universe_scope=//...,-//c/...,-//a/..."]),
        ["//b:left", "//d:base", "//d:base.txt"]
    );
    assert_eq!(scope(&["--infer_universe_scope"]), ["//d:base.txt"]);
}

#[test]
fn forms_of_the_answer() {
    let ws = diamond();
    let shown = |arguments: &str, query: &str| {
        let mut words: Vec<&str> = vec!["query", "--noimplicit_deps", "--nonodep_deps"];
        words.extend(arguments.split_whitespace());
        words.push(query);
        ws.rbz_args(words).run().stdout().to_owned()
    };
    let top = "deps(//a:top)";
    let forms = [
        ("--output=label_kind", top),
        ("--output=package", top),
        ("--output=location --relative_locations", top),
        ("--output=build --relative_locations", "//a:top + //b:left + //a:tool_user"),
        ("--output=minrank", top),
        ("--output=maxrank", top),
        ("--order_output=deps", top),
        ("--output=graph", top),
        ("--output=graph --graph:node_limit=12", top),
        ("--output=graph --nograph:factored", "deps(//c:right)"),
    ];
    let forms = forms.map(|(options, query)| {
        format!("$ rbz query {options} '{query}'\n{}", shown(options, query))
    });
    assert_snapshot!(forms.join("\n"));
    assert_eq!(shown("--line_terminator_null", "//a:made + //c:right"), "//a:made\0//c:right\0");
    // By default places are absolute: editors open them.
    let place = ws.path("c/BUILD");
    let line = format!("{}:1:1: filegroup rule //c:right\n", place.display());
    assert_eq!(shown("--output=location", "//c:right"), line);
}

#[test]
fn graphviz_draws_the_graph_of_a_library() {
    let ws = workspace_from("integration_tests/workspaces/libraries").build();
    for factored in ["--graph:factored", "--nograph:factored"] {
        let words = ["query", "--output=graph", "--noimplicit_deps", factored, "deps(//...)"];
        let graph = ws.rbz_args(words).run();
        ws.write("graph.dot", graph.stdout());
        let drawn = system::output_of(ws.root(), "dot", &["-Tplain", "graph.dot"]);
        let nodes = drawn.lines().filter(|line| line.starts_with("node ")).count();
        let edges = drawn.lines().filter(|line| line.starts_with("edge ")).count();
        let labels = answer(&ws, &["--noimplicit_deps", "deps(//...)"]);
        assert!(edges >= nodes / 2 && nodes > 3, "{drawn}");
        match factored {
            "--nograph:factored" => assert_eq!(nodes, labels.len(), "{drawn}"),
            _ => assert!(nodes <= labels.len(), "{drawn}"),
        }
    }
}

#[test]
fn a_query_may_stand_in_a_file() {
    let ws = diamond();
    ws.write("q.txt", "deps(//c:right)\n  - kind('source file', //...:*)\n");
    assert_eq!(
        answer(&ws, &["--noimplicit_deps", "--query_file=q.txt"]),
        ["//c:right", "//d:base"]
    );
    ws.write("q.txt", "deps(//c:right)\n  - knd('source file', //...)\n");
    let error = wrong(&ws, 2, &["--query_file=q.txt"]);
    assert!(error.contains("q.txt:2:5: there is no function `knd`\n      - knd("), "{error}");
}

#[test]
fn wrong_queries_are_pointed_at() {
    let ws = diamond();
    let deep = format!("{}//a{}", "(".repeat(300), ")".repeat(300));
    let texts = [
        (2, &["dpes(//a:top)"][..]),
        (2, &["deps(//a:top"]),
        (2, &["rdeps(//a:top)"]),
        (2, &["deps(//a:top, many)"]),
        (7, &["kind('sh_(', //...)"]),
        (2, &[&deep]),
        (2, &[]),
        (7, &["deps(//a:tpo)"]),
        (7, &["//nowhere:x + //a:top"]),
        (7, &["deps(//c:right) + $x"]),
        (7, &["some(//a:top - //a:top)"]),
        (7, &["//a:tool+user"]),
    ];
    let errors = texts.map(|(code, arguments)| {
        let shown = arguments.first().copied().unwrap_or_default();
        let shown: String = shown.chars().take(30).collect();
        format!("{shown}\n{}", wrong(&ws, code, arguments))
    });
    assert_snapshot!(errors.join("\n"));
}

#[test]
fn what_cannot_be_had_is_an_error_or_left_out() {
    let ws = diamond();
    ws.write("e/BUILD", "filegroup(name = \"e\", srcs = [\"//c:rigth\", \"//c:right\"])\n");
    ws.write("f/BUILD", "filegroup(name = \"f\",\n");
    let error = wrong(&ws, 7, &["deps(//e)"]);
    assert_snapshot!(error);
    let words = ["query", "-k", "--noimplicit_deps", "deps(//e) + //f:f"];
    let outcome = ws.rbz_args(words).exit_code(3).run();
    assert_eq!(outcome.stdout(), "//c:right\n//d:base\n//d:base.txt\n//e:e\n");
    outcome.stderr_has("there is no target `//c:rigth`").stderr_has("f/BUILD:");
}

#[test]
fn cycles_have_an_end() {
    let ws = workspace()
        .file("BUILD", "filegroup(name = \"a\", srcs = [\":b\"])\nfilegroup(name = \"b\", srcs = [\":c\"])\nfilegroup(name = \"c\", srcs = [\":a\"])\nfilegroup(name = \"top\", srcs = [\":a\"])\n")
        .build();
    let deps = ["//:a", "//:b", "//:c"];
    let of = |words: &[&str]| answer(&ws, &[&["--noimplicit_deps"], words].concat());
    assert_eq!(of(&["deps(//:a)"]), deps);
    assert_eq!(of(&["rdeps(//:all, //:a)"]), ["//:a", "//:b", "//:c", "//:top"]);
    assert_eq!(
        of(&["--output=maxrank", "deps(//:top)"]),
        ["0 //:top", "1 //:a", "1 //:b", "1 //:c"]
    );
    assert_eq!(of(&["--order_output=full", "deps(//:top)"]), ["//:top", "//:a", "//:b", "//:c"]);
}

#[test]
fn the_workspace_need_not_be_fit_to_build() {
    // A query evaluates no rule and runs no action.
    let ws = tower().build();
    ws.append("app/BUILD", "genrule(name = \"no\", outs = [\"no.txt\"], cmd = \"$(NOTHING)\")\n");
    assert_eq!(
        answer(&ws, &["somepath(//app, //words)"]),
        ["//app:app", "//greeting:greeting", "//words:words"]
    );
    assert_eq!(answer(&ws, &["kind(genrule, //...)"]), ["//app:no"]);
}

#[test]
fn why_shows_the_lines_that_make_a_path() {
    let ws = tower().build();
    let shown = |line: &str, code: i32| ws.rbz(line).exit_code(code).run().stdout().to_owned();
    let mut paths = Vec::new();
    for (line, code) in [
        ("why //app //words", 0),
        ("why //words //app", 1),
        ("why //weather //app", 1),
        ("why //app app", 0),
    ] {
        paths.push(format!("$ rbz {line}\n{}", shown(line, code)));
    }
    ws.write("m.bzl", "def twice(name, of):\n    native.filegroup(name = name, srcs = [of])\n    native.genrule(name = name + \"_g\", outs = [name + \".o\"], cmd = \"\", srcs = [name])\n");
    ws.write("BUILD", "load(\"m.bzl\", \"twice\")\ntwice(\n    name = \"t\",\n    of = \"//greeting\" + \":greeting\",\n)\n");
    let line = "why //:t.o //words:macros.lisp";
    paths.push(format!("$ rbz {line}\n{}", shown(line, 0)));
    assert_snapshot!(paths.join("\n"));
    let implicit = shown("why //words @lisp//:all", 0);
    assert!(
        implicit.contains("of its rule `lisp_library`, as all targets of that rule"),
        "{implicit}"
    );
    ws.rbz("why //app").exit_code(2).run().stderr_has("needs two targets");
    ws.rbz("why //app //wrods").exit_code(7).run().stderr_has("there is no package");
}

/// What `protoc` reads of messages that a query wrote.
fn decoded(ws: &Workspace, words: &[&str]) -> String {
    let script = format!("{} | protoc --decode_raw", words.join(" "));
    // A checkout can lie below a directory with a blank in its name.
    let line = format!("'{}' {script}", binary::rbz().display());
    let outcome = std::process::Command::new("sh")
        .args(["-c", &line])
        .current_dir(ws.root())
        .env("HOME", ws.home())
        .output()
        .expect("there is a shell");
    let text = String::from_utf8(outcome.stdout).expect("it writes text");
    assert!(outcome.status.success() && !text.is_empty(), "{line}");
    text
}

#[test]
fn messages_are_laid_out_as_in_bazel() {
    let ws = diamond();
    let plain = ["--relative_locations", "--noproto:default_values", "--noimplicit_deps"];
    let of = |words: &[&str]| decoded(&ws, &[&["query"], &plain[..], words].concat());
    let query = "'//b:left + //d:friends + //a:made.txt + //d:base.txt + //a:top'";
    let mut texts = vec![
        of(&["--output=proto", query]),
        of(&["--output=proto", "--noproto:flatten_selects", "//b:left"]),
        of(&["--output=proto", "--proto:instantiation_stack", "--noproto:locations", "//a:top"]),
        of(&[
            "--output=proto",
            "--proto:output_rule_attrs=tags",
            "--noproto:rule_inputs_and_outputs",
            "//a:tool_user",
        ]),
    ];
    // What an editor asks for.
    texts.push(of(&[
        "--output=proto",
        "--proto:output_rule_attrs=\"''\"",
        "--noproto:rule_inputs_and_outputs",
        "'kind(rule, //a:all)'",
    ]));
    assert_snapshot!(texts.join("\n"));
    let build_file = of(&["--output=proto", "//a:BUILD"]);
    for label in ["//b:more.bzl", "//b:rules.bzl"] {
        assert!(build_file.contains(&format!("3: \"{label}\"")), "{build_file}");
    }
    let all = of(&["--output=proto", "--proto:default_values", "//a:top"]);
    assert!(all.contains("\"testonly\"") && all.contains("\"visibility\""), "{all}");
}

#[test]
fn json_and_xml_are_read_by_those_who_read_them() {
    let ws = diamond();
    let options = ["--relative_locations", "--noproto:default_values", "--noimplicit_deps"];
    let words = [&["query"], &options[..], &["--output=json", "//a:top + //b:left"]].concat();
    let json = ws.rbz_args(words).run().stdout().to_owned();
    assert_snapshot!(json);
    ws.write("t.json", &json);
    let script = "import json; print([json.loads(l)['rule']['ruleClass'] for l in open('t.json')])";
    let classes = system::output_of(ws.root(), "python3", &["-c", script]);
    assert_eq!(classes, "['filegroup', 'filegroup']\n");
    let words = ["query", "--output=streamed_jsonproto", "--relative_locations"];
    let streamed =
        [&words[..], &["--noproto:default_values", "--noimplicit_deps", "//a:top + //b:left"]]
            .concat();
    assert_eq!(ws.rbz_args(streamed).run().stdout(), json);
    let query =
        "//b:left + //d:friends + //a:made.txt + //d:base.txt + //a:tool_user + @rbz//lisp:all";
    let words = ["query", "--output=xml", "--relative_locations", "--xml:default_values", query];
    ws.write("t.xml", ws.rbz_args(words).run().stdout());
    let count = |path: &str| system::output_of(ws.root(), "xmllint", &["--xpath", path, "t.xml"]);
    assert_eq!(count("count(/query/package-group)").trim(), "1");
    assert_eq!(
        count("string(//rule[@name='//b:left']/list[@name='srcs']/label[2]/@value)").trim(),
        "//b:slow.txt"
    );
    assert_eq!(
        count("string(//rule[@name='//a:tool_user']/rule-output/@name)").trim(),
        "//a:made.txt"
    );
    assert_eq!(count("string(//generated-file/@generating-rule)").trim(), "//a:tool_user");
    assert_eq!(
        count("string(//rule[@name='//a:tool_user']/string[@name='cmd']/@value)").trim(),
        "$(location //d:tool) > $@"
    );
}

#[test]
fn the_length_of_each_streamed_message_stands_before_it() {
    let ws = diamond();
    let words = ["query", "--output=streamed_proto", "//a:all", "|", "tail", "-c", "+3"];
    // The first length has two bytes; what follows is the first message, and its name.
    let line = format!("'{}' {}", binary::rbz().display(), words.join(" "));
    let output = std::process::Command::new("sh")
        .args(["-c", &line])
        .current_dir(ws.root())
        .env("HOME", ws.home())
        .output()
        .expect("there is a shell");
    assert_eq!(&output.stdout[..2], [8, 1], "the first field says that it is a rule");
}

#[test]
fn editors_learn_where_things_are_and_what_build_files_know() {
    let ws = diamond();
    ws.rbz("build //c:right").run();
    let info = |key: &str| ws.rbz(&format!("info {key}")).run().stdout().trim().to_owned();
    assert_eq!(info("bazel-bin"), info("rbz-bin"));
    assert_eq!(info("bazel-testlogs"), info("rbz-testlogs"));
    assert_eq!(info("package_path"), info("workspace"));
    assert!(info("bazel-bin").starts_with(&info("output_path")));
    assert!(info("execution_root").starts_with(&info("output_base")));
    let language = decoded(&ws, &["info", "build-language"]);
    for name in ["lisp_library", "cc_library", "genrule", "config_setting", "srcs", "deps"] {
        assert!(language.contains(&format!("1: \"{name}\"")), "{name} in {language}");
    }
    assert!(!language.contains("1: \"_"), "{language}");
    ws.rbz("info build-langage").exit_code(2).run().stderr_has("did you mean `build-language`?");
}

/// A library in two configurations, of which one is another target's transition.
fn configured() -> Workspace {
    workspace()
        .file(
            "rules.bzl",
            r#"def _to_opt(settings, attr):
    return {"//command_line_option:compilation_mode": "opt"}
to_opt = transition(implementation = _to_opt, inputs = [], outputs = ["//command_line_option:compilation_mode"])
NameInfo = provider(fields = ["name"])
def _named(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.run_shell(outputs = [out], inputs = ctx.files.srcs, mnemonic = "Name", command = "cat $@ > " + out.path, arguments = [f.path for f in ctx.files.srcs])
    note = ctx.actions.declare_file(ctx.label.name + ".note")
    ctx.actions.write(note, "a note\n")
    return [DefaultInfo(files = depset([out])), NameInfo(name = ctx.label.name.upper())]
named = rule(implementation = _named, attrs = {"srcs": attr.label_list(allow_files = True), "fast": attr.label_list(cfg = to_opt)})
"#,
        )
        .file(
            "BUILD",
            r#"load("rules.bzl", "named")
config_setting(name = "opt", values = {"compilation_mode": "opt"})
named(name = "low", srcs = select({":opt": ["fast.txt"], "//conditions:default": ["slow.txt"]}))
named(name = "high", srcs = [":low"], fast = [":low"])
alias(name = "other", actual = ":high")
"#,
        )
        .file("fast.txt", "")
        .file("slow.txt", "")
        .build()
}

#[test]
fn cquery_knows_configurations() {
    let ws = configured();
    let shown = |words: &[&str]| {
        let words = [&["cquery", "--noimplicit_deps"], words].concat();
        let text = ws.rbz_args(&words).run().stdout().to_owned();
        format!("$ rbz {}\n{}", words.join(" "), text)
    };
    let mut texts = vec![
        shown(&["deps(//:high)"]),
        shown(&["-copt", "deps(//:low)"]),
        shown(&["config(//:low + deps(//:high), target)"]),
        shown(&["config(deps(//:high), null)"]),
        shown(&["somepath(//:other, //:fast.txt)"]),
        shown(&["kind(alias, //:all)"]),
        shown(&["attr(srcs, fast, deps(//:high))"]),
        shown(&["--output=label_kind", "deps(//:low)"]),
        shown(&["--output=files", "//:high + //:low"]),
        shown(&["--output=transitions", "deps(//:high)"]),
        shown(&["--output=graph", "deps(//:low)"]),
        shown(&["--output=build", "--relative_locations", "//:low"]),
        shown(&["--output=starlark", "//:high"]),
    ];
    let expr = "--starlark:expr=target.label.name + ' ' + ' '.join([f.basename for f in target.files.to_list()]) + ' ' + \
                providers(target)['//:rules.bzl%NameInfo'].name + ' ' + build_options(target)['//command_line_option:compilation_mode']";
    texts.push(shown(&["--output=starlark", expr, "//:high + //:low"]));
    ws.write("f.cquery", "def format(target):\n    if build_options(target) == None:\n        return \"file \" + target.label.name\n    return None\n");
    texts.push(shown(&["--output=starlark", "--starlark:file=f.cquery", "deps(//:low)"]));
    assert_snapshot!(texts.join("\n"));
    let words = [
        "cquery",
        "--noimplicit_deps",
        "--output=proto",
        "--noproto:default_values",
        "--relative_locations",
        "//:low",
    ];
    let message = decoded(&ws, &words);
    assert!(
        message.contains("\"k8-fastbuild\"") && message.contains("\"//:slow.txt\""),
        "{message}"
    );
    assert!(!message.contains("fast.txt"), "{message}");
    let words = ["cquery", "--output=jsonproto", "//:low"];
    ws.write("c.json", ws.rbz_args(words).run().stdout());
    let script = "import json; d = json.load(open('c.json')); print(d['results'][0]['target']['rule']['name'], d['results'][0]['configurationId'] == d['configurations'][0]['id'])";
    assert_eq!(system::output_of(ws.root(), "python3", &["-c", script]), "//:low True\n");
}

#[test]
fn wrong_questions_about_configured_targets() {
    let ws = configured();
    let wrong = |code: i32, words: &[&str]| {
        let outcome = ws.rbz_args(words).exit_code(code).run();
        format!("$ rbz {}\n{}", words.join(" "), outcome.golden_errors())
    };
    let errors = [
        wrong(2, &["cquery", "siblings(//:low)"]),
        wrong(7, &["cquery", "config(//:low, k8-fats)"]),
        wrong(7, &["cquery", "deps(//:lwo)"]),
        wrong(7, &["cquery", "--output=starlark", "--starlark:expr=target.nme", "//:low"]),
        wrong(7, &["cquery", "--output=starlark", "--starlark:expr=target.(", "//:low"]),
        wrong(7, &["aquery", "deps(mnemonic(Name, //:low))"]),
        wrong(2, &["query", "mnemonic(Name, //:low)"]),
    ];
    assert_snapshot!(errors.join("\n"));
    ws.append("BUILD", "named(name = \"bad\", srcs = [\":none\"])\n");
    ws.rbz("cquery //:all").exit_code(7).run().stderr_has("`//:bad` names it in its `srcs`");
    let kept = ws.rbz("cquery -k //:all").exit_code(3).run();
    kept.stdout_has("//:low (k8-fastbuild)\n").stderr_has("`//:bad` names it in its `srcs`");
}

#[test]
fn aquery_shows_actions() {
    let ws = configured();
    let of = |words: &[&str]| {
        let words = [&["aquery"], words].concat();
        ws.rbz_args(&words).run().stdout().to_owned()
    };
    let lines_of = |text: &str, start: &str| {
        text.lines()
            .filter(|line| line.trim_start().starts_with(start))
            .map(|l| l.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let all = of(&["deps(//:high)"]);
    // In each of two configurations of `low`, and for `high`; others are of the shell's targets.
    assert_eq!(lines_of(&all, "Mnemonic: Name").len(), 3, "{all}");
    let low = of(&["--include_file_write_contents", "//:low"]);
    for expected in [
        "  Mnemonic: Name\n  Target: //:low\n  Configuration: k8-fastbuild\n",
        "slow.txt",
        "  Outputs: [rbz-out/k8-fastbuild/bin/low.txt]\n",
        "    'cat $@ > rbz-out/k8-fastbuild/bin/low.txt'",
        "  FileWriteContents:\n    a note\n",
    ] {
        assert!(low.contains(expected), "{expected:?} in {low}");
    }
    assert!(!low.contains("fast.txt"), "{low}");
    let bare = of(&["--noinclude_artifacts", "--noinclude_commandline", "//:low"]);
    assert!(!bare.contains("slow.txt"), "{bare}");
    let targets = |query: &str| lines_of(&of(&[query]), "Outputs: ");
    let name = "rbz-out/k8-fastbuild/bin";
    assert_eq!(targets("mnemonic(Name, //:low)"), [format!("Outputs: [{name}/low.txt]")]);
    assert_eq!(targets("outputs('.*[.]note', //:low)"), [format!("Outputs: [{name}/low.note]")]);
    assert_eq!(
        targets("inputs('slow.txt', deps(//:high))"),
        [format!("Outputs: [{name}/low.txt]")]
    );
    assert_eq!(targets("inputs('slow', //:low)"), [""; 0]);
    assert_eq!(
        targets("mnemonic(Name, inputs('.*low.txt', //:high))"),
        [format!("Outputs: [{name}/high.txt]")]
    );
    let commands = of(&["--output=commands", "//:low"]);
    assert!(commands.lines().count() == 1 && commands.contains("cat $@ > "), "{commands}");
    ws.write("a.json", &of(&["--output=jsonproto", "mnemonic(Name, //:low)"]));
    // The path of the output, put together from the parts that the messages have.
    let script = "import json
d = json.load(open('a.json'))
parts = {p['id']: p for p in d['pathFragments']}
def path(i): return (path(parts[i]['parentId']) + '/' if 'parentId' in parts[i] else '') + parts[i]['label']
files = {a['id']: path(a['pathFragmentId']) for a in d['artifacts']}
sets = {s['id']: s for s in d['depSetOfFiles']}
def inputs(i): return [files[f] for f in sets[i].get('directArtifactIds', [])] + sum([inputs(j) for j in sets[i].get('transitiveDepSetIds', [])], [])
[a] = d['actions']
print(files[a['primaryOutputId']], 'slow.txt' in sum([inputs(i) for i in a['inputDepSetIds']], []), d['ruleClasses'][0]['name'])";
    let printed = system::output_of(ws.root(), "python3", &["-c", script]);
    assert_eq!(printed, "rbz-out/k8-fastbuild/bin/low.txt True named\n");
    let raw = decoded(&ws, &["aquery", "--output=proto", "//:low"]);
    assert!(raw.contains("4: \"Name\""), "{raw}");
    let lisp = tower().build();
    let compiled = lisp.rbz_args(["aquery", "mnemonic(LispCompile, deps(//app))"]).run();
    assert_eq!(lines_of(compiled.stdout(), "Mnemonic: LispCompile").len(), 4, "{compiled}");
}
