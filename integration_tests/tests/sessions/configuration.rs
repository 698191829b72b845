//! `select`, settings, defines and compilation modes.

use rbz_integration_tests::projects::build_file;

#[test]
fn select_follows_mode_define_and_default() {
    let ws = build_file(r#"
config_setting(name = "opt", values = {"compilation_mode": "opt"})
config_setting(name = "tea", define_values = {"drink": "tea"})
config_setting(name = "opt_tea", values = {"compilation_mode": "opt"}, define_values = {"drink": "tea"})

genrule(
    name = "o",
    outs = ["o.txt"],
    cmd = "echo " + select({
        ":opt": "opt",
        ":tea": "tea",
        ":opt_tea": "both",
        "//conditions:default": "neither",
    }) + " > $@",
)
"#)
    .build();
    for (flags, text) in [
        ("", "neither"),
        ("--define=drink=tea", "tea"),
        ("--define drink=coffee", "neither"),
        ("-c opt", "opt"),
        ("--compilation_mode=opt --define=drink=tea", "both"),
    ] {
        ws.rbz(&format!("build //:o {flags}")).run();
        assert_eq!(ws.read("rbz-bin/o.txt"), format!("{text}\n"), "{flags}");
    }
}

#[test]
fn action_env_reaches_genrules_and_those_who_ask() {
    let ws = build_file(
        r#"
load(":r.bzl", "r")
genrule(name = "g", outs = ["g.txt"], cmd = "echo $${A-unset} $${B-unset} > $@")
r(name = "asks", ask = True)
r(name = "does_not", ask = False)
"#,
    )
    .file(
        "r.bzl",
        r#"
def _r(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.run_shell(
        outputs = [out],
        command = "echo ${A-unset} ${B-unset} $1 > %s" % out.path,
        arguments = [ctx.configuration.default_shell_env.get("A", "none")],
        env = {"B": "own"},
        use_default_shell_env = ctx.attr.ask,
    )
    return [DefaultInfo(files = depset([out]))]

r = rule(implementation = _r, attrs = {"ask": attr.bool()})
"#,
    )
    .build();
    for (flags, expected) in [
        ("", ["unset unset", "unset own none", "unset own none"]),
        ("--action_env=A=1 --action_env=B", ["1 theirs", "1 own 1", "unset own 1"]),
        ("--action_env=A=2", ["2 unset", "2 own 2", "unset own 2"]),
    ] {
        ws.rbz(&format!("build //... {flags}")).env("B", "theirs").run();
        let files = ["g", "asks", "does_not"].map(|name| ws.read(&format!("rbz-bin/{name}.txt")));
        assert_eq!(files, expected.map(|line| format!("{line}\n")), "{flags}");
    }
}

#[test]
fn select_adds_to_lists_and_chooses_deps() {
    let ws = build_file(r#"
config_setting(name = "x", define_values = {"x": "1"})
genrule(name = "a", outs = ["a.txt"], cmd = "echo a > $@")
genrule(name = "b", outs = ["b.txt"], cmd = "exit 1")
genrule(
    name = "o",
    srcs = ["base.txt"] + select({":x": [":a"], "//conditions:default": []}),
    outs = ["o.txt"],
    cmd = "cat $(SRCS) > $@",
)
genrule(name = "never", srcs = select({":x": [":b"], "//conditions:default": ["base.txt"]}), outs = ["never.txt"], cmd = "cp $< $@")
"#)
    .file("base.txt", "base\n")
    .build();
    ws.rbz("build //:o //:never").run();
    assert_eq!(ws.read("rbz-bin/o.txt"), "base\n");
    ws.rbz("build //:o --define=x=1").run();
    assert_eq!(ws.read("rbz-bin/o.txt"), "base\na\n");
}

#[test]
fn user_settings_are_flags_and_conditions() {
    let ws = build_file(
        r#"
load(":settings.bzl", "string_setting", "bool_setting")

string_setting(name = "colour", build_setting_default = "red")
bool_setting(name = "bright", build_setting_default = False)
config_setting(name = "blue", flag_values = {":colour": "blue"})
config_setting(name = "is_bright", flag_values = {":bright": "true"})

genrule(
    name = "o",
    outs = ["o.txt"],
    cmd = "echo " + select({":blue": "blue", "//conditions:default": "other"}) +
          select({":is_bright": " bright", "//conditions:default": ""}) + " > $@",
)
"#,
    )
    .file(
        "settings.bzl",
        r#"
def _impl(ctx):
    return []

string_setting = rule(implementation = _impl, build_setting = config.string(flag = True))
bool_setting = rule(implementation = _impl, build_setting = config.bool(flag = True))
"#,
    )
    .build();
    for (flags, text) in [
        ("", "other"),
        ("--//:colour=blue", "blue"),
        ("--//:bright --//:colour=green", "other bright"),
    ] {
        ws.rbz(&format!("build //:o {flags}")).run();
        assert_eq!(ws.read("rbz-bin/o.txt"), format!("{text}\n"), "{flags}");
    }
}

#[test]
fn constraint_values_are_conditions() {
    let ws = build_file(r#"
genrule(
    name = "o",
    outs = ["o.txt"],
    cmd = "echo " + select({"@platforms//os:linux": "linux", "//conditions:default": "other"}) + " > $@",
)
"#)
    .build();
    ws.rbz("build //:o").run();
    assert_eq!(ws.read("rbz-bin/o.txt"), "linux\n");
}

#[test]
fn an_option_that_a_target_does_not_read_builds_nothing_again() {
    let ws = build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo o > $@\")\n")
        .own_cache()
        .build();
    ws.rbz("build //:o").run();
    let outcome = ws.rbz("build //:o --define=unused=1").run();
    assert!(outcome.ran().is_empty(), "{outcome}");
}

#[test]
fn make_variables_come_from_define_and_the_configuration() {
    let ws = build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo $(WORD) $(COMPILATION_MODE) > $@\")\n").build();
    ws.rbz("build //:o --define=WORD=given -c dbg").run();
    assert_eq!(ws.read("rbz-bin/o.txt"), "given dbg\n");
    ws.rbz("build //:o").exit_code(1).run().stderr_has("WORD");
}

#[test]
fn what_is_for_another_platform_is_left_out() {
    let ws = build_file(
        r#"
genrule(name = "here", outs = ["h"], cmd = "touch $@")
genrule(name = "there", outs = ["t"], cmd = "touch $@", target_compatible_with = ["@platforms//os:windows"])
genrule(name = "never", srcs = [":nowhere"], outs = ["n"], cmd = "touch $@")
genrule(name = "nowhere", outs = ["w"], cmd = "touch $@", target_compatible_with = ["@platforms//:incompatible"])
"#,
    )
    .build();
    let outcome = ws.rbz("build //...").run();
    outcome.stderr_has("left out, as not for this platform: `//:there`, `//:never`, `//:nowhere`");
    assert!(ws.path("rbz-bin/h").exists() && !ws.path("rbz-bin/n").exists());
    let outcome = ws.rbz("build //:never").exit_code(1).run();
    outcome.stderr_has("BUILD:4:1: `//:never` cannot be built for this platform");
    outcome.stderr_has("BUILD:5:1: `//:nowhere` says so in its `target_compatible_with`");
}

#[test]
fn who_depends_on_what_is_deprecated_is_warned() {
    let ws = build_file("filegroup(name = \"mine\", srcs = [\"//old:thing\"])\n")
        .file(
            "old/BUILD",
            r#"
package(default_visibility = ["//visibility:public"])
filegroup(name = "thing", srcs = [":part"], deprecation = "take `//new:thing`")
filegroup(name = "part", deprecation = "of no use alone")
filegroup(name = "user", srcs = [":part"])
"#,
        )
        .build();
    let outcome = ws.rbz("build //... //old:user").run();
    outcome.stderr_has(
        "BUILD:1:1: `//:mine` depends on `//old:thing`, which is deprecated: take `//new:thing`",
    );
    outcome.stderr_lacks("of no use alone");
}
