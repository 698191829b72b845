//! Tests of configurations: what `select`, flags and transitions make of targets.

use crate::analysis_fixture::{Fixture, rule, shown, with_options};
use crate::session::AnalysisRequest;

const SELECT_BUILD: &str = r#"
load(":r.bzl", "show")
load(":flags.bzl", "flag")

flag(name = "color", build_setting_default = "red", visibility = ["//visibility:public"])
config_setting(name = "opt", values = {"compilation_mode": "opt"})
config_setting(name = "opt_fast", values = {"compilation_mode": "opt"}, define_values = {"fast": "1"})
config_setting(name = "blue", flag_values = {":color": "blue"})
config_setting(name = "linux", constraint_values = ["//platforms:linux"])
config_setting(name = "mac", constraint_values = ["//platforms:mac"])
alias(name = "blue_alias", actual = ":blue")
show(name = "x", words = ["always"] + select({
    ":opt": ["opt"],
    ":opt_fast": ["opt_fast"],
    ":blue_alias": ["blue"],
    ":mac": ["mac"],
    "//conditions:default": ["none"],
}) + select({":linux": ["linux"]}))
show(name = "nothing", words = select({":opt": ["opt"], ":blue": ["x"], ":mac": ["m"]}, no_match_error = "choose one"))
show(name = "both", words = select({":opt": ["opt"], ":blue": ["blue"]}))
show(name = "none", words = select({":opt": None, "//conditions:default": ["d"]}))
"#;

fn select_fixture() -> Fixture {
    Fixture::new(&[
        (
            "a/r.bzl",
            "def _impl(ctx):\n    o = ctx.actions.declare_file(ctx.label.name)\n    ctx.actions.write(o, \" \".join(ctx.attr.words))\n    return [DefaultInfo(files = depset([o]))]\n\nshow = rule(implementation = _impl, attrs = {\"words\": attr.string_list(default = [\"default\"])})\n",
        ),
        (
            "a/flags.bzl",
            "def _impl(ctx):\n    return []\n\nflag = rule(implementation = _impl, build_setting = config.string(flag = True))\n",
        ),
        ("a/BUILD", SELECT_BUILD),
        (
            "platforms/BUILD",
            "constraint_setting(name = \"os\")\nconstraint_value(name = \"linux\", constraint_setting = \":os\", visibility = [\"//visibility:public\"])\nconstraint_value(name = \"mac\", constraint_setting = \":os\", visibility = [\"//visibility:public\"])\n",
        ),
    ])
}

#[test]
fn a_select_chooses_by_the_configuration() {
    let fixture = select_fixture();
    let words = |request: &AnalysisRequest| {
        shown(&fixture.request(request)).lines().next().unwrap_or_default().to_owned()
    };
    insta::assert_snapshot!(words(&with_options("//a:x", |_| {})), @r#"FileWrite: "always none linux" |  -> BIN/a/x"#);
    insta::assert_snapshot!(words(&with_options("//a:x", |o| o.compilation_mode = "opt".into())), @r#"FileWrite: "always opt linux" |  -> rbz-out/k8-opt/bin/a/x"#);
    insta::assert_snapshot!(words(&with_options("//a:x", |o| {
        o.compilation_mode = "opt".into();
        o.defines.insert("fast".into(), "1".into());
    })), @r#"FileWrite: "always opt_fast linux" |  -> rbz-out/k8-opt/bin/a/x"#);
    insta::assert_snapshot!(words(&with_options("//a:x", |o| o.flags.push(("//a:color".into(), "blue".into())))), @r#"FileWrite: "always blue linux" |  -> BIN/a/x"#);
    insta::assert_snapshot!(words(&with_options("//a:none", |o| o.compilation_mode = "opt".into())), @r#"FileWrite: "default" |  -> rbz-out/k8-opt/bin/a/none"#);
}

#[test]
fn a_select_that_cannot_choose_says_what_it_asked_for() {
    let fixture = select_fixture();
    insta::assert_snapshot!(fixture.errors(&["//a:nothing"]), @r#"
    a/BUILD:19:1: in the attribute `words` of `//a:nothing`: no condition of a `select` holds: choose one
        show(name = "nothing", words = select({":opt": ["opt"], ":blue": ["x"], ":mac": ["m"]}, no_match_error = "choose one"))
        ^
      `//a:opt` asks for `--compilation_mode=opt`, but it is `fastbuild`
      `//a:blue` asks for `--//a:color=blue`, but it is `red`
      `//a:mac` asks for the constraint `//platforms:mac`, which the platform does not have
    hint: add a branch for `//conditions:default`
    "#);
    let both = with_options("//a:both", |o| {
        o.compilation_mode = "opt".into();
        o.flags.push(("//a:color".into(), "blue".into()));
    });
    insta::assert_snapshot!(fixture.request(&both).errors[0], @r#"
    a/BUILD:20:1: in the attribute `words` of `//a:both`: more than one condition of a `select` holds: `//a:opt`, `//a:blue`
        show(name = "both", words = select({":opt": ["opt"], ":blue": ["blue"]}))
        ^
    hint: give their branches the same value, or make one ask for all that the other asks for, and more
    "#);
}

#[test]
fn what_is_not_for_the_platform_is_left_out_unless_it_is_named() {
    let fixture = select_fixture();
    fixture.write(
        "b/BUILD",
        r#"
load("//a:r.bzl", "show")
show(name = "mac", target_compatible_with = ["//platforms:mac"])
show(name = "linux", target_compatible_with = ["//platforms:linux"])
alias(name = "other", actual = ":mac")
[show(name = "above_" + name, target_compatible_with = select({
    "//platforms:mac": [],
    "//conditions:default": ["//platforms:" + name],
})) for name in ["mac", "linux"]]
show(name = "wrong", target_compatible_with = [":linux"], tags = ["manual"])
"#,
    );
    let analysis = fixture.analyze(&["//b:all"]);
    assert_eq!(analysis.errors, []);
    let names = analysis.plan.requested.iter().map(|target| target.label.name());
    assert_eq!(names.collect::<Vec<_>>(), ["linux", "above_linux"]);
    insta::assert_snapshot!(fixture.errors(&["//b:mac"]), @r#"
    b/BUILD:3:1: `//b:mac` cannot be built for this platform, which is not `//platforms:mac`
        show(name = "mac", target_compatible_with = ["//platforms:mac"])
        ^
    hint: patterns such as `//...` leave out what cannot be built
    "#);
    insta::assert_snapshot!(fixture.errors(&["//b:other"]), @r#"
    b/BUILD:5:1: `//b:other` cannot be built for this platform: it needs `//b:mac`, which is for `//platforms:mac`
        alias(name = "other", actual = ":mac")
        ^
      b/BUILD:3:1: `//b:mac` says so in its `target_compatible_with`
    hint: patterns such as `//...` leave out what cannot be built
    "#);
    insta::assert_snapshot!(fixture.errors(&["//b:wrong"]), @r#"
    b/BUILD:10:1: in the attribute `target_compatible_with` of `//b:wrong`: `//b:linux` is no constraint value, but a `show`
        show(name = "wrong", target_compatible_with = [":linux"], tags = ["manual"])
        ^
    "#);
}

#[test]
fn flags_of_the_command_line_are_checked() {
    let fixture = select_fixture();
    let error = |flag: &str| {
        let request = with_options("//a:x", |o| o.flags.push((flag.into(), "v".into())));
        fixture.request(&request).errors[0].to_string()
    };
    insta::assert_snapshot!(error("//a:colour"), @r"
    `--//a:colour=v`: there is no target `//a:colour`: `a/BUILD` declares none of that name
    hint: did you mean `color`?
    ");
    insta::assert_snapshot!(error("//a:x"), @"`//a:x` is no build setting, but a `show`");
    let request = with_options("//a:x", |o| o.compilation_mode = "fast".into());
    insta::assert_snapshot!(fixture.request(&request).errors[0], @"`fast` is no compilation mode: it is one of `fastbuild`, `dbg`, `opt`");
}

#[test]
fn transitions_move_targets_to_other_directories() {
    let fixture = Fixture::new(&[
        (
            "a/r.bzl",
            r#"
def _opt(settings, attr):
    return {"//command_line_option:compilation_mode": "opt", "//a:color": settings["//a:color"] + "der"}

opt = transition(implementation = _opt, inputs = ["//a:color"], outputs = ["//command_line_option:compilation_mode", "//a:color"])
back = transition(implementation = lambda settings, attr: {"//a:color": "red"}, inputs = [], outputs = ["//a:color"])

def _bad(settings, attr):
    return [{"//a:color": "x"}, {"//a:color": "y"}]

bad = transition(implementation = _bad, inputs = [], outputs = ["//a:color"])

def _impl(ctx):
    o = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(o, ctx.var["COMPILATION_MODE"] + str(ctx.attr.dep))
    return [DefaultInfo(files = depset([o], transitive = [d.files for d in ctx.attr.dep]))]

def _plain(ctx):
    return _impl(ctx)

r = rule(implementation = _impl, attrs = {"dep": attr.label_list(cfg = opt)})
plain = rule(implementation = _impl, attrs = {"dep": attr.label_list()})
self = rule(implementation = _impl, attrs = {"dep": attr.label_list()}, cfg = opt)
split = rule(implementation = _impl, attrs = {"dep": attr.label_list(cfg = bad)})
reset = rule(implementation = _impl, attrs = {"dep": attr.label_list(cfg = back)})

def _flag(ctx):
    return []

flag = rule(implementation = _flag, build_setting = config.string())
"#,
        ),
        (
            "a/BUILD",
            "load(\":r.bzl\", \"r\", \"plain\", \"self\", \"split\", \"reset\", \"flag\")\nflag(name = \"color\", build_setting_default = \"red\")\nr(name = \"x\", dep = [\":y\"])\nplain(name = \"y\")\nself(name = \"s\")\nsplit(name = \"bad\", dep = [\":y\"])\nreset(name = \"same\", dep = [\":y\"])\n",
        ),
    ]);
    insta::assert_snapshot!(fixture.plan(&["//a:x"]), @r#"
    FileWrite: "opt[]" |  -> rbz-out/k8-opt-3569ca49d1da/bin/a/y
    FileWrite: "fastbuild[<target //a:y>]" |  -> BIN/a/x
    //a:x (r) = a/y a/x
    "#);
    insta::assert_snapshot!(fixture.plan(&["//a:s"]), @r#"
    FileWrite: "opt[]" |  -> rbz-out/k8-opt-3569ca49d1da/bin/a/s
    //a:s (self) = a/s
    "#);
    insta::assert_snapshot!(fixture.plan(&["//a:same"]), @r#"
    FileWrite: "fastbuild[]" |  -> BIN/a/y
    FileWrite: "fastbuild[<target //a:y>]" |  -> BIN/a/same
    //a:same (reset) = a/y a/same
    "#);
    insta::assert_snapshot!(fixture.errors(&["//a:bad"]), @r#"
    a/BUILD:6:1: the transition `bad` must return a dict from settings to values, but returned a list
        split(name = "bad", dep = [":y"])
        ^
    hint: transitions to several configurations are not supported
    "#);
}

#[test]
fn settings_and_configuration_are_there() {
    let fixture = rule(
        r#"
o = ctx.actions.declare_file("o")
c = ctx.configuration
ctx.actions.write(o, str([ctx.features, ctx.disabled_features, c.coverage_enabled, c.stamp_binaries(), ctx.coverage_instrumented(), sorted(ctx.var.keys()), ctx.attr.name, ctx.attr.tags]))
info = coverage_common.instrumented_files_info(ctx, source_attributes = ["srcs"], extensions = ["txt"])
return [DefaultInfo(files = depset([o])), info, OutputGroupInfo(instrumented = info.instrumented_files)]"#,
        "\"srcs\": attr.label_list(allow_files = True)",
        "r(name = \"x\", srcs = [\"f.txt\"], features = [\"a\", \"-b\"])",
    );
    let request = with_options("//a:x", |o| {
        o.features = vec!["b".into(), "c".into()];
        o.collect_code_coverage = true;
        o.stamp = true;
        o.defines.insert("D".into(), "1".into());
    });
    let analysis = fixture.request(&request);
    insta::assert_snapshot!(shown(&analysis), @r#"
    FileWrite: "[[\"c\", \"a\"], [\"b\"], True, True, True, [\"BINDIR\", \"COMPILATION_MODE\", \"D\", \"GENDIR\", \"TARGET_CPU\"], \"x\", []]" |  -> rbz-out/k8-fastbuild-coverage/bin/a/o
    //a:x (r) = a/o
    "#);
    assert_eq!(analysis.plan.requested[0].output_groups["instrumented"].to_files().len(), 1);
}

#[test]
fn a_condition_may_say_who_may_name_it() {
    let fixture = Fixture::new(&[
        (
            "conf/BUILD",
            "config_setting(name = \"shut\", values = {\"cpu\": \"k8\"}, visibility = [\"//b:__pkg__\"])\nconfig_setting(name = \"open\", values = {\"cpu\": \"k8\"})\n",
        ),
        (
            "a/BUILD",
            "alias(name = \"x\", actual = select({\"//conf:open\": \"f.txt\"}))\nalias(name = \"y\", actual = select({\"//conf:shut\": \"f.txt\"}))\n",
        ),
        ("b/BUILD", "alias(name = \"y\", actual = select({\"//conf:shut\": \"f.txt\"}))\n"),
        ("a/f.txt", ""),
        ("b/f.txt", ""),
    ]);
    assert_eq!(fixture.analyze(&["//a:x", "//b:y"]).errors, []);
    insta::assert_snapshot!(fixture.errors(&["//a:y"]), @r#"
    a/BUILD:2:1: in the attribute `actual` of `//a:y`: the condition `//conf:shut` of a `select` is not visible to the package `//a`
        alias(name = "y", actual = select({"//conf:shut": "f.txt"}))
        ^
    hint: add `//a:__pkg__` to the `visibility` of `//conf:shut` (conf/BUILD:1:1)
    "#);
}
