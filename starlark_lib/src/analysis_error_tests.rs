//! Tests of analysis: what is wrong with rules and targets, and how a user is told.

use crate::analysis_fixture::{Fixture, rule};

const CC_RULES: &str = r#"
def _impl(ctx):
    return []

thing = rule(implementation = _impl, attrs = {"deps": attr.label_list()})
"#;

/// A target of the rule under test.
const X: &str = "r(name = \"x\")";

#[test]
fn what_cannot_be_kept_in_a_provider_is_refused_where_it_is_made() {
    for (value, error) in [
        ("lambda: 1", "the function `lambda`"),
        ("ctx", "a value of type `ctx`"),
        ("struct(f = [ctx.actions])", "a value of type `actions`"),
        ("len", "`len`"),
    ] {
        let fixture = rule(&format!("return [P(a = {value})]"), "", X);
        let errors = fixture.errors(&["//a:x"]);
        assert!(errors.contains(error) && errors.contains("a/r.bzl:7:13"), "{errors}");
    }
    let nested = "def inner():\n    return ctx\nreturn [P(a = [0, {\"k\": inner}])]";
    insta::assert_snapshot!(rule(nested, "", X).errors(&["//a:x"]), @r#"
    a/r.bzl:9:13: the field `a` of `P` cannot hold the function `inner` (at `a[1]["k"]`): only functions at the top level of a .bzl file can be kept, not closures, lambdas or built-in functions
            return [P(a = [0, {"k": inner}])]
                    ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    "#);
}

#[test]
fn mistakes_in_an_implementation() {
    let error = |body: &str| rule(body, "\"deps\": attr.label_list()", X).errors(&["//a:x"]);
    insta::assert_snapshot!(error("return [P(c = 1)]"), @r"
    a/r.bzl:7:13: the provider `P` has no field `c`
            return [P(c = 1)]
                    ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    ");
    insta::assert_snapshot!(error("return 3"), @r#"
    a/BUILD:2:1: the implementation of `r` must return a list of providers, but returned an int
        r(name = "x")
        ^
    hint: for example `return [DefaultInfo(files = depset([...]))]`
    "#);
    insta::assert_snapshot!(error("return [P(a = 1), P(a = 2)]"), @r#"
    a/BUILD:2:1: the implementation of `r` returned `P` twice
        r(name = "x")
        ^
    "#);
    insta::assert_snapshot!(error("ctx.actions.declare_file(\"o\")"), @r#"
    a/r.bzl:7:5: `a/o` is declared as an output of `//a:x`, but no action writes it
            ctx.actions.declare_file("o")
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    hint: give it to an action of the rule `r` as an output, or do not declare it
    "#);
    insta::assert_snapshot!(error("ctx.actions.declare_file(\"../o\")"), @r#"
    a/r.bzl:7:5: `../o` cannot be the name of an output: a target name may not contain `..` as a segment
            ctx.actions.declare_file("../o")
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    hint: an output lies in the package of its target, or below it
    "#);
    insta::assert_snapshot!(
        error("o = ctx.actions.declare_file(\"o\")\nctx.actions.write(o, \"\")\nctx.actions.write(o, \"\")"),
        @r#"
    a/r.bzl:9:5: `a/o` is written by two actions of `//a:x`
            ctx.actions.write(o, "")
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    "#
    );
    insta::assert_snapshot!(error("ctx.actions.run(outputs = [], executable = \"/x\")"), @r#"
    a/r.bzl:7:5: an action (`Action`) must have at least one output
            ctx.actions.run(outputs = [], executable = "/x")
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    "#);
    insta::assert_snapshot!(error("ctx.actions.run_shell(outputs = [\"o\"], command = \"\")"), @r#"
    a/r.bzl:7:5: `outputs` must be a list of files, and every item a file, not a string
            ctx.actions.run_shell(outputs = ["o"], command = "")
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    "#);
    insta::assert_snapshot!(
        error("ctx.actions.run(outputs = [], executable = \"/x\", unused_inputs_list = ctx)"),
        @r#"
    a/r.bzl:7:5: `unused_inputs_list` is not supported
            ctx.actions.run(outputs = [], executable = "/x", unused_inputs_list = ctx)
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    hint: every action sees exactly the inputs that it declares
    "#
    );
    insta::assert_snapshot!(error("return [DefaultInfo(files = [])]"), @r"
    a/r.bzl:7:13: the field `files` of `DefaultInfo` must be a depset of files, not a list
            return [DefaultInfo(files = [])]
                    ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    hint: write `files = depset([...])`
    ");
    insta::assert_snapshot!(error("return [DefaultInfo(file = [])]"), @r"
    a/r.bzl:7:13: the provider `DefaultInfo` has no field `file`
            return [DefaultInfo(file = [])]
                    ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    hint: did you mean `files`?
    ");
    insta::assert_snapshot!(error("ctx.attr.depz"), @r"
    a/r.bzl:7:5: Object of type `struct` has no attribute `depz`
            ctx.attr.depz
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    hint: did you mean `deps`?
    ");
    insta::assert_snapshot!(error("depset([[1]])"), @r"
    a/r.bzl:7:5: a depset cannot hold a list, since that could be changed later
            depset([[1]])
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    ");
    insta::assert_snapshot!(error("depset([1, \"a\"])"), @r#"
    a/r.bzl:7:5: a depset holds values of one type, but this one would hold an int and a string
            depset([1, "a"])
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    "#);
    insta::assert_snapshot!(error("depset(depset())"), @r"
    a/r.bzl:7:5: `direct` of a depset must be a list, not a depset
            depset(depset())
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    hint: a depset goes into another as `transitive = [...]`
    ");
    insta::assert_snapshot!(
        error("depset(transitive = [depset([1], order = \"preorder\")], order = \"postorder\")"),
        @r#"
    a/r.bzl:7:5: a depset of order `postorder` cannot contain one of order `preorder`
            depset(transitive = [depset([1], order = "preorder")], order = "postorder")
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    "#
    );
    insta::assert_snapshot!(error("ctx.actions.args().add([1])"), @r"
    a/r.bzl:7:5: `add` takes one value, not a list
            ctx.actions.args().add([1])
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    hint: use `add_all` or `add_joined`
    ");
    insta::assert_snapshot!(error("ctx.actions.args().add_all([1], map_each = lambda x: x)"), @r"
    a/r.bzl:7:5: `map_each` must be a function at the top level of a .bzl file, which `lambda` is not
            ctx.actions.args().add_all([1], map_each = lambda x: x)
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    hint: move it to the top level, or pass `allow_closure = True`
    ");
    insta::assert_snapshot!(error("ctx.actions.args().add_all([1], format_each = \"x\")"), @r#"
    a/r.bzl:7:5: `format_each` must contain `%s` once, for the value, but is `x`
            ctx.actions.args().add_all([1], format_each = "x")
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    "#);
    insta::assert_snapshot!(error("fail(\"no\", \"way\")"), @r#"
    a/r.bzl:7:5: no way
            fail("no", "way")
            ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
    "#);
}

#[test]
fn an_error_in_an_implementation_is_shown_where_it_is() {
    let fixture = rule("def inner():\n    return 1 // 0\nreturn [inner()]", "", X);
    insta::assert_snapshot!(fixture.errors(&["//a:x"]), @r"
    a/r.bzl:8:16: Floor division by zero: 1 // 0
                return 1 // 0
                       ^
      a/BUILD:2:1: in the target `//a:x` (a `r`)
      a/r.bzl:9:13: in `_impl`
        return [inner()]
    ");
}

#[test]
fn a_dependency_must_be_what_its_attribute_asks_for() {
    let error = |attrs: &str, target: &str| rule("return []", attrs, target).errors(&["//a:x"]);
    insta::assert_snapshot!(
        error("\"deps\": attr.label_list(providers = [P])", "r(name = \"x\", deps = [\":y\"])\nr(name = \"y\")"),
        @r#"
    a/BUILD:2:23: in the attribute `deps` of `//a:x`: `//a:y` (a `r`) does not have the provider `P`
        r(name = "x", deps = [":y"])
                              ^
    hint: depend on a target of a rule that provides it
    "#
    );
    insta::assert_snapshot!(
        error("\"srcs\": attr.label_list(allow_files = [\".lisp\"])", "r(name = \"x\", srcs = [\"f.txt\"])"),
        @r#"
    a/BUILD:2:23: in the attribute `srcs` of `//a:x`: the file `//a:f.txt` does not fit: its name must end in `.lisp`
        r(name = "x", srcs = ["f.txt"])
                              ^
    "#
    );
    insta::assert_snapshot!(
        error("\"deps\": attr.label_list()", "r(name = \"x\", deps = [\"f.txt\"])"),
        @r#"
    a/BUILD:2:23: in the attribute `deps` of `//a:x`: `//a:f.txt` is a file, but only targets of rules can stand here
        r(name = "x", deps = ["f.txt"])
                              ^
    hint: write the name of the target that has the file among its sources
    "#
    );
    insta::assert_snapshot!(
        error("\"src\": attr.label(allow_single_file = True)", "r(name = \"x\", src = \":y\")\nr(name = \"y\")"),
        @r#"
    a/BUILD:2:21: in the attribute `src` of `//a:x`: `//a:y` must be exactly one file, but it has 0
        r(name = "x", src = ":y")
                            ^
    "#
    );
    insta::assert_snapshot!(
        error("\"t\": attr.label(executable = True, cfg = \"exec\")", "r(name = \"x\", t = \":y\")\nr(name = \"y\")"),
        @r#"
    a/BUILD:2:19: in the attribute `t` of `//a:x`: `//a:y` (a `r`) must be a program, but it cannot be run
        r(name = "x", t = ":y")
                          ^
    "#
    );
}

#[test]
fn who_may_depend_on_whom() {
    let fixture = Fixture::new(&[
        ("a/r.bzl", CC_RULES),
        (
            "a/BUILD",
            "load(\":r.bzl\", \"thing\")\nthing(name = \"private\")\nthing(name = \"friend\", visibility = [\":friends\"])\npackage_group(name = \"friends\", packages = [\"//c/...\", \"-//c/d\"])\nthing(name = \"test_only\", testonly = True, visibility = [\"//visibility:public\"])\n",
        ),
        (
            "c/BUILD",
            "load(\"//a:r.bzl\", \"thing\")\nthing(name = \"ok\", deps = [\"//a:friend\"])\nthing(name = \"no\", deps = [\"//a:private\"])\nthing(name = \"prod\", deps = [\"//a:test_only\"])\nthing(name = \"missing\", deps = [\"//a:privat\"])\nthing(name = \"nowhere\", deps = [\"//z:y\"])\n",
        ),
        (
            "c/d/BUILD",
            "load(\"//a:r.bzl\", \"thing\")\nthing(name = \"x\", deps = [\"//a:friend\"])\n",
        ),
    ]);
    assert_eq!(fixture.plan(&["//c:ok"]), "//c:ok (thing) = ");
    insta::assert_snapshot!(fixture.errors(&["//c:no"]), @r#"
    c/BUILD:3:28: `//a:private` is not visible to `//c:no`, which depends on it in its `deps`
        thing(name = "no", deps = ["//a:private"])
                                   ^
    hint: add `//c:__pkg__` to the `visibility` of `//a:private` (a/BUILD:2:1)
    "#);
    insta::assert_snapshot!(fixture.errors(&["//c/d:x"]), @r#"
    c/d/BUILD:2:27: `//a:friend` is not visible to `//c/d:x`, which depends on it in its `deps`
        thing(name = "x", deps = ["//a:friend"])
                                  ^
    hint: add `//c/d:__pkg__` to the `visibility` of `//a:friend` (a/BUILD:3:1)
    "#);
    insta::assert_snapshot!(fixture.errors(&["//c:prod"]), @r#"
    c/BUILD:4:30: `//c:prod` depends on `//a:test_only`, which only tests may use (`testonly`)
        thing(name = "prod", deps = ["//a:test_only"])
                                     ^
    hint: set `testonly = True` on `//c:prod`, or depend on something else
    "#);
    insta::assert_snapshot!(fixture.errors(&["//c:missing"]), @r#"
    c/BUILD:5:33: there is no target `//a:privat`: `a/BUILD` declares none of that name
        thing(name = "missing", deps = ["//a:privat"])
                                        ^
      `//c:missing` names it in its `deps`
    hint: did you mean `private`?
    "#);
    insta::assert_snapshot!(fixture.errors(&["//c:nowhere"]), @r#"
    c/BUILD:6:33: there is no package `//z`: no BUILD file in `z`
        thing(name = "nowhere", deps = ["//z:y"])
                                        ^
      `//c:nowhere` names it in its `deps`
    hint: add a `BUILD.bazel` or `BUILD` file in `z`
    "#);
}

#[test]
fn cycles_are_told_with_every_step() {
    let fixture = Fixture::new(&[
        ("a/r.bzl", CC_RULES),
        (
            "a/BUILD",
            "load(\":r.bzl\", \"thing\")\nthing(name = \"x\", deps = [\":y\"])\nthing(name = \"y\", deps = [\":z\"])\nthing(name = \"z\", deps = [\":x\"])\nthing(name = \"self\", deps = [\":self\"])\nalias(name = \"al\", actual = \":al\")\nthing(name = \"above\", deps = [\":x\"])\n",
        ),
    ]);
    insta::assert_snapshot!(fixture.errors(&["//a:above"]), @r#"
    a/BUILD:2:1: there is a cycle of 3 targets: `//a:x` depends on itself
        thing(name = "x", deps = [":y"])
        ^
      a/BUILD:2:1: `//a:x` depends on `//a:y` in its `deps`
      a/BUILD:3:1: `//a:y` depends on `//a:z` in its `deps`
      a/BUILD:4:1: `//a:z` depends on `//a:x` in its `deps`
    hint: take one of these dependencies away, or move what both need into a target of its own
    "#);
    insta::assert_snapshot!(fixture.errors(&["//a:self"]), @r#"
    a/BUILD:5:1: `//a:self` depends on itself
        thing(name = "self", deps = [":self"])
        ^
      a/BUILD:5:1: `//a:self` depends on `//a:self` in its `deps`
    hint: take one of these dependencies away, or move what both need into a target of its own
    "#);
    insta::assert_snapshot!(fixture.errors(&["//a:al"]), @r#"
    a/BUILD:6:1: `//a:al` depends on itself
        alias(name = "al", actual = ":al")
        ^
      a/BUILD:6:1: `//a:al` depends on `//a:al` in its `actual`
    hint: take one of these dependencies away, or move what both need into a target of its own
    "#);
}

#[test]
fn two_targets_cannot_write_one_file() {
    let fixture = rule(
        "o = ctx.actions.declare_file(\"o\")\nctx.actions.write(o, ctx.label.name)\nreturn [DefaultInfo(files = depset([o]))]",
        "",
        "r(name = \"x\")\nr(name = \"y\")",
    );
    insta::assert_snapshot!(fixture.errors(&["//a:all"]), @r#"
    a/BUILD:3:1: `//a:x` and `//a:y` both write to `rbz-out/k8-fastbuild/bin/a/o`
        r(name = "y")
        ^
      a/BUILD:2:1: `//a:x` is here
      one path can only be written by one action, and nothing can lie below a file
    hint: give the output of one of them another name
    "#);
    let within = rule(
        "o = [ctx.actions.declare_file(name) for name in [\"o\", \"o/p\"]]\n[ctx.actions.write(file, \"\") for file in o]\nreturn [DefaultInfo(files = depset(o))]",
        "",
        "r(name = \"x\")",
    );
    insta::assert_snapshot!(within.errors(&["//a:x"]), @r#"
    a/BUILD:2:1: `//a:x` writes to `rbz-out/k8-fastbuild/bin/a/o/p`, which lies in `rbz-out/k8-fastbuild/bin/a/o`, that `//a:x` writes
        r(name = "x")
        ^
      one path can only be written by one action, and nothing can lie below a file
    hint: give the output of one of them another name
    "#);
}
