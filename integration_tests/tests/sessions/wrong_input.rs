//! Wrong input: each mistake has its message, kept as a golden file, and its exit status.

use insta::assert_snapshot;
use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::workspace;

#[test]
fn a_syntax_error() {
    let ws = build_file("lisp_library(\n    name = \"a\"\n    srcs = [],\n)\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_name_that_is_not_defined() {
    let ws = build_file("lisp_librari(name = \"a\")\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn an_unknown_attribute() {
    let ws = build_file("lisp_library(\n    name = \"a\",\n    scrs = [],\n)\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_value_of_the_wrong_type() {
    let ws = build_file("lisp_library(\n    name = \"a\",\n    srcs = \"a.lisp\",\n)\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_value_that_is_not_allowed() {
    let ws = build_file("lisp_library(\n    name = \"a\",\n    order = \"random\",\n)\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn an_attribute_that_must_be_given() {
    let ws = build_file("genrule(name = \"a\", cmd = \"touch $@\")\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_target_without_a_name() {
    let ws = build_file("lisp_library(srcs = [])\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_name_that_cannot_be_one() {
    let ws = build_file("filegroup(name = \"a:b\")\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_source_of_the_wrong_kind() {
    let ws =
        build_file("lisp_library(name = \"a\", srcs = [\"a.txt\"])\n").file("a.txt", "").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_file_that_is_missing() {
    let ws = build_file("lisp_library(name = \"a\", srcs = [\"roamn.lisp\"])\n")
        .file("roman.lisp", "")
        .build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_file_that_is_missing_but_is_elsewhere_or_written_otherwise() {
    let ws = workspace()
        .file("a/BUILD", "lisp_library(name = \"a\", srcs = [\"readme.lisp\"])\n")
        .file("a/README.lisp", "")
        .file("b/BUILD", "lisp_library(name = \"b\", srcs = [\"shared-words.lisp\"])\n")
        .file("b/sub/shared-words.lisp", "")
        .file("c/BUILD", "lisp_library(name = \"c\", srcs = [\"README.lisp\"])\n")
        .build();
    let meant = |target: &str, hint: &str| {
        let outcome = ws.rbz(&format!("build {target}")).exit_code(1).run();
        outcome.stderr_has("BUILD:1:34: there is no file").stderr_has(hint);
    };
    meant("//a", "hint: did you mean `README.lisp`? Capital letters count");
    meant("//b", "hint: did you mean `sub/shared-words.lisp`?");
    meant("//c", "hint: did you mean `//a:README.lisp`?");
}

#[test]
fn a_target_that_is_missing() {
    let ws = build_file(
        "lisp_library(name = \"wrods\")\nlisp_library(name = \"a\", deps = [\":words\"])\n",
    )
    .build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_package_that_is_missing() {
    let ws =
        build_file("lisp_library(\n    name = \"a\",\n    deps = [\"//nowhere:b\"],\n)\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_repository_that_is_missing() {
    let ws =
        build_file("lisp_library(name = \"a\", deps = [\"@alexandria//:alexandria\"])\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_label_that_is_none() {
    let ws = build_file("lisp_library(name = \"a\", deps = [\"//a//b:c\"])\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_label_into_another_package() {
    let ws = build_file("lisp_library(name = \"a\", srcs = [\"sub/b.lisp\"])\n")
        .file("sub/BUILD", "")
        .file("sub/b.lisp", "")
        .build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_cycle_of_targets() {
    let ws = build_file("lisp_library(name = \"a\", deps = [\"//sub:b\"], visibility = [\"//visibility:public\"])\n")
        .file("sub/BUILD", "lisp_library(name = \"b\", deps = [\":c\"], visibility = [\"//visibility:public\"])\nlisp_library(name = \"c\", deps = [\"//:a\"])\n")
        .build();
    assert_snapshot!(ws.rbz("build //:a").exit_code(1).run().golden_errors());
}

#[test]
fn a_target_that_depends_on_itself() {
    let ws = build_file("lisp_library(name = \"a\", deps = [\":a\"])\n").build();
    assert_snapshot!(ws.rbz("build //:a").exit_code(1).run().golden_errors());
}

#[test]
fn a_cycle_of_loads() {
    let ws = build_file("load(\":a.bzl\", \"a\")\n")
        .file("a.bzl", "load(\":b.bzl\", \"b\")\na = b\n")
        .file("b.bzl", "load(\":a.bzl\", \"a\")\nb = a\n")
        .build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_load_of_a_file_that_is_missing() {
    let ws = build_file("load(\":no.bzl\", \"x\")\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_load_of_a_symbol_that_is_missing() {
    let ws = build_file("load(\":a.bzl\", \"libary\")\n")
        .file("a.bzl", "def library():\n    pass\n")
        .build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_target_that_is_not_visible() {
    let ws = build_file("lisp_library(name = \"a\", deps = [\"//sub:private\"])\n")
        .file("sub/BUILD", "lisp_library(name = \"private\")\n")
        .build();
    assert_snapshot!(ws.rbz("build //:a").exit_code(1).run().golden_errors());
}

#[test]
fn two_targets_of_one_name() {
    let ws = build_file("filegroup(name = \"a\")\nlisp_library(name = \"a\")\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn two_targets_that_write_one_file() {
    let ws = build_file("genrule(name = \"a\", outs = [\"o.txt\"], cmd = \"touch $@\")\ngenrule(name = \"b\", outs = [\"o.txt\"], cmd = \"touch $@\")\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn two_rules_whose_actions_write_one_file() {
    let rule = r#"
def _impl(ctx):
    out = ctx.actions.declare_file("same.txt")
    ctx.actions.write(out, ctx.label.name)
    return [DefaultInfo(files = depset([out]))]

writer = rule(implementation = _impl)
"#;
    let ws =
        build_file("load(\":w.bzl\", \"writer\")\nwriter(name = \"a\")\nwriter(name = \"b\")\n")
            .file("w.bzl", rule)
            .build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_program_with_the_name_of_a_directory_of_its_data() {
    let ws = build_file(
        "sh_test(\n    name = \"test\",\n    srcs = [\"run.sh\"],\n    data = [\"test/data.txt\"],\n)\n",
    )
    .file("run.sh", "#!/bin/sh\ntest -s test/data.txt\n")
    .file("test/data.txt", "data\n")
    .build();
    assert_snapshot!(ws.rbz("test //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_select_without_a_match() {
    let ws = build_file(
        r#"
config_setting(name = "fast", values = {"compilation_mode": "opt"})

lisp_library(
    name = "a",
    srcs = select({":fast": ["a.lisp"]}),
)
"#,
    )
    .file("a.lisp", "")
    .build();
    assert_snapshot!(ws.rbz("build //:a").exit_code(1).run().golden_errors());
}

#[test]
fn a_select_with_two_matches() {
    let ws = build_file(
        r#"
config_setting(name = "x", define_values = {"x": "1"})
config_setting(name = "y", define_values = {"y": "1"})

genrule(
    name = "a",
    outs = ["a.txt"],
    cmd = select({
        ":x": "echo x > $@",
        ":y": "echo y > $@",
    }),
)
"#,
    )
    .build();
    let outcome = ws.rbz("build //:a --define=x=1 --define=y=1").exit_code(1).run();
    assert_snapshot!(outcome.golden_errors());
}

#[test]
fn fail_in_a_macro() {
    let ws = build_file("load(\":m.bzl\", \"outer\")\n\nouter(\n    name = \"x\",\n)\n")
        .file("m.bzl", "def _inner(name):\n    fail(\"%s: no such thing\" % name)\n\ndef outer(name):\n    _inner(name)\n")
        .build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn an_error_in_a_rule() {
    let ws = build_file("load(\":r.bzl\", \"broken\")\nbroken(name = \"x\")\n")
        .file("r.bzl", "def _impl(ctx):\n    return ctx.attr.colour\n\nbroken = rule(implementation = _impl)\n")
        .build();
    assert_snapshot!(ws.rbz("build //:x").exit_code(1).run().golden_errors());
}

#[test]
fn a_rule_that_returns_something_else() {
    let ws = build_file("load(\":r.bzl\", \"broken\")\nbroken(name = \"x\")\n")
        .file("r.bzl", "def _impl(ctx):\n    return [1]\n\nbroken = rule(implementation = _impl)\n")
        .build();
    assert_snapshot!(ws.rbz("build //:x").exit_code(1).run().golden_errors());
}

#[test]
fn a_closure_in_a_provider() {
    let rule = r#"
MyInfo = provider(fields = ["f"])

def _impl(ctx):
    def inner(x):
        return [x, ctx.label]

    return [MyInfo(f = inner)]

broken = rule(implementation = _impl)
"#;
    let ws = build_file("load(\":r.bzl\", \"broken\")\nbroken(name = \"x\")\n")
        .file("r.bzl", rule)
        .build();
    assert_snapshot!(ws.rbz("build //:x").exit_code(1).run().golden_errors());
}

#[test]
fn a_dependency_without_the_provider() {
    let ws = build_file("filegroup(name = \"f\")\nlisp_library(name = \"a\", deps = [\":f\"])\n")
        .build();
    assert_snapshot!(ws.rbz("build //:a").exit_code(1).run().golden_errors());
}

#[test]
fn brackets_nested_5000_deep() {
    let ws = build_file(&format!("x = {}{}\n", "[".repeat(5000), "]".repeat(5000))).build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn calls_and_operators_nested_5000_deep() {
    for (open, close) in [("f(", ")"), ("{1:", "}"), ("-", ""), ("not ", ""), ("1+(", ")")] {
        let ws = build_file(&format!("x = {}1{}\n", open.repeat(5000), close.repeat(5000))).build();
        ws.rbz("build //...").exit_code(1).run().stderr_has("BUILD:1");
    }
}

#[test]
fn a_chain_of_300000_operators() {
    for link in ["()", "[0]", ".x", " and 1", " or 1", " + 1", " if 1 else 1", " if lambda: 1"] {
        let ws = build_file(&format!("x = 1{}\n", link.repeat(300_000))).build();
        let run = ws.rbz("build //...").exit_code(1).run();
        run.stderr_has("an expression has too many operators");
    }
}

#[test]
fn what_rbz_does_not_have_says_what_to_do_instead() {
    for (bzl, advice) in [
        ("aspect(implementation = print)", "hand on what you need in a provider"),
        ("attr.label(aspects = [1])", "hand on what you need in a provider"),
        ("exec_group()", "every action runs on this machine"),
        ("config_common.toolchain_type(\"//:t\")", "in an attribute"),
        ("configuration_field(\"cpp\", name = \"malloc\")", "a label as its default"),
    ] {
        let ws = build_file("load(\":x.bzl\", \"x\")\n").file("x.bzl", &format!("x = {bzl}\n"));
        let ws = ws.build();
        let run = ws.rbz("build //...").exit_code(1).run();
        run.stderr_has("ERROR: x.bzl:1:5: ").stderr_has("is not supported").stderr_has(advice);
    }
    for build in ["toolchain(name = \"t\")", "toolchain_type(name = \"t\")"] {
        let ws = build_file(&format!("{build}\n")).build();
        let run = ws.rbz("build //...").exit_code(1).run();
        run.stderr_has("ERROR: BUILD:1:1: ")
            .stderr_has("is not supported")
            .stderr_has("attr.label");
    }
}

#[test]
fn providers_within_providers_without_end() {
    let rule = r#"
P = provider(fields = ["below"])

def _impl(ctx):
    return [P(below = [dep[P] for dep in ctx.attr.deps])]

r = rule(implementation = _impl, attrs = {"deps": attr.label_list()})
"#;
    let build = "load(\":r.bzl\", \"r\")\nr(name = \"t0\")\n[r(name = \"t%d\" % n, deps = [\":t%d\" % (n - 1)]) for n in range(1, 2000)]\n";
    let ws = build_file(build).file("r.bzl", rule).build();
    assert_snapshot!(ws.rbz("build //:t1999").exit_code(1).run().golden_errors());
}

#[test]
fn a_depset_chain_of_50000_is_fine() {
    let rule = r#"
def _impl(ctx):
    d = depset(["0"])
    for i in range(1, 50000):
        d = depset([str(i)], transitive = [d])
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    args = ctx.actions.args()
    args.add_joined(d, join_with = ",")
    args.set_param_file_format("multiline")
    ctx.actions.write(out, args)
    if len(d.to_list()) != 50000:
        fail("elements are missing")
    return [DefaultInfo(files = depset([out]))]

chain = rule(implementation = _impl)
"#;
    let ws = build_file("load(\":r.bzl\", \"chain\")\nchain(name = \"x\")\n")
        .file("r.bzl", rule)
        .build();
    ws.rbz("build //:x").run();
    assert_eq!(ws.read("rbz-bin/x.txt").trim().split(',').count(), 50_000);
}

#[test]
fn a_loop_that_never_ends_in_a_build_file() {
    let ws = build_file("x = [i for i in range(1000000000) if i < 0]\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_loop_that_never_ends_in_a_macro() {
    let ws = build_file("load(\":m.bzl\", \"m\")\nm()\n")
        .file("m.bzl", "def m():\n    for i in range(1000000000):\n        for j in range(1000000000):\n            pass\n")
        .build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_string_that_grows_without_end() {
    let ws = build_file("load(\":m.bzl\", \"m\")\nm()\n")
        .file("m.bzl", "def m():\n    s = \"x\"\n    for _ in range(100):\n        s += s\n")
        .build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_global_of_a_bzl_file_that_is_set_twice() {
    let ws = build_file("load(\":m.bzl\", \"x\")\n").file("m.bzl", "x = 1\nx = 2\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn recursion_without_end() {
    let ws =
        build_file("load(\":m.bzl\", \"m\")\nm()\n").file("m.bzl", "def m():\n    m()\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_glob_with_nothing_in_it() {
    let ws =
        build_file("filegroup(name = \"a\", srcs = glob([\"*.lsip\"], allow_empty = False))\n")
            .build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn a_glob_over_a_loop_of_links_ends() {
    let ws = build_file("genrule(name = \"a\", srcs = glob([\"**/*.txt\"]), outs = [\"list\"], cmd = \"echo $(SRCS) > $@\")\n")
        .file("sub/a.txt", "")
        .build();
    std::os::unix::fs::symlink("..", ws.path("sub/up")).expect("a link can be made");
    // A link to a directory above leads to nothing that is not found without it.
    ws.rbz("build //:a").run();
    assert_eq!(ws.read("rbz-bin/list"), "sub/a.txt\n");
}

#[test]
fn a_name_with_spaces_umlauts_and_brackets() {
    let ws = workspace()
        .in_directory("my wörk [*] ?")
        .file("größe [1]/BUILD", "genrule(name = \"o\", srcs = [\"ein gabe [*].txt\"], outs = [\"aus gabe.txt\"], cmd = 'cp \"$<\" \"$@\"')\nlisp_library(name = \"l\", srcs = [\"quel le [*] ü.lisp\"])\n")
        .file("größe [1]/ein gabe [*].txt", "text\n")
        .file("größe [1]/quel le [*] ü.lisp", "(defun f () \"ü\")\n")
        .build();
    ws.rbz("build //...").run();
    assert_eq!(ws.read("rbz-bin/größe [1]/aus gabe.txt"), "text\n");
}

#[test]
fn no_workspace_at_all() {
    let ws = workspace().build();
    ws.remove("WORKSPACE");
    assert_snapshot!(ws.rbz("build //...").exit_code(2).run().golden_errors());
}

#[test]
fn an_error_in_the_workspace_file() {
    let ws =
        workspace().file("WORKSPACE", "local_repository(name = \"x\", paht = \"../x\")\n").build();
    assert_snapshot!(ws.rbz("build //...").exit_code(1).run().golden_errors());
}

#[test]
fn an_unknown_command() {
    let ws = workspace().build();
    assert_snapshot!(ws.rbz("biuld //...").exit_code(2).run().golden());
}

#[test]
fn an_unknown_flag() {
    let ws = workspace().build();
    assert_snapshot!(ws.rbz("build --keep-gonig //...").exit_code(2).run().golden());
}

#[test]
fn a_flag_with_a_wrong_value() {
    let ws = workspace().build();
    assert_snapshot!(ws.rbz("build -c fast //...").exit_code(2).run().golden());
}

#[test]
fn a_pattern_that_is_none() {
    let ws = workspace().build();
    assert_snapshot!(ws.rbz("build //a/.../b").exit_code(1).run().golden_errors());
}

#[test]
fn a_target_on_the_command_line_that_is_missing() {
    let ws = build_file("lisp_library(name = \"words\")\n").build();
    assert_snapshot!(ws.rbz("build //:wrods").exit_code(1).run().golden_errors());
}

#[test]
fn a_pattern_without_targets() {
    let ws = build_file("").build();
    assert_snapshot!(ws.rbz("build //nowhere/...").exit_code(1).run().golden_errors());
}

#[test]
fn a_build_of_nothing() {
    let ws = build_file("").build();
    assert_snapshot!(ws.rbz("build").exit_code(2).run().golden());
}

#[test]
fn a_command_that_fails() {
    let ws = build_file(
        "genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo the reason >&2; exit 3\")\n",
    )
    .build();
    assert_snapshot!(ws.rbz("build //:o").exit_code(1).run().golden_errors());
    ws.rbz("build //:o --verbose_failures").exit_code(1).run().stderr_has("exit 3");
}

#[test]
fn a_command_killed_by_a_signal() {
    let ws = build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"kill -SEGV $$$$\")\n")
        .build();
    assert_snapshot!(ws.rbz("build //:o").exit_code(1).run().golden_errors());
}

#[test]
fn a_repository_in_place_of_rbz_brings_rules_of_its_own_or_says_what_it_lacks() {
    let ws = build_file("empty(name = \"a\")\n")
        .file("WORKSPACE", "local_repository(name = \"rbz\", path = \"own\")\n")
        .file("own/WORKSPACE", "")
        .file("own/BUILD", "")
        .file("own/defaults.bzl", "def default_repositories():\n    pass\n")
        .file(
            "own/prelude.bzl",
            "def _empty_impl(ctx):\n    return []\n\nempty = rule(implementation = _empty_impl)\n",
        )
        .build();
    ws.rbz("build //:a").run();
    std::fs::remove_file(ws.path("own/prelude.bzl")).expect("it is there");
    ws.rbz("build //:a").exit_code(1).run().stderr_has("prelude.bzl");
}
