//! The rules that know no language: genrule, filegroup, alias, sh_*, test_suite, exports_files.

use rbz_integration_tests::projects::build_file;

#[test]
fn a_genrule_knows_its_files_by_variables() {
    let ws = build_file(r#"
genrule(
    name = "o",
    srcs = ["a.txt", ":group", "//sub:file.txt"],
    outs = ["one.txt", "dir/two.txt"],
    cmd = """
        echo "$(SRCS)" > $(location one.txt)
        echo "$(location a.txt) $(locations :group) $(location //sub:file.txt)" >> $(location one.txt)
        echo "$(OUTS) $(RULEDIR) $(@D) $$HOME" > $(location dir/two.txt)
    """,
)

filegroup(
    name = "group",
    srcs = ["b.txt", "c.txt"],
)
"#)
    .file("a.txt", "")
    .file("b.txt", "")
    .file("c.txt", "")
    .file("sub/BUILD", "exports_files([\"file.txt\"])\n")
    .file("sub/file.txt", "")
    .build();
    ws.rbz("build //:o").run();
    assert_eq!(
        ws.read("rbz-bin/one.txt"),
        "a.txt b.txt c.txt sub/file.txt\na.txt b.txt c.txt sub/file.txt\n"
    );
    let bin = "rbz-out/k8-fastbuild/bin";
    assert_eq!(
        ws.read("rbz-bin/dir/two.txt"),
        format!("{bin}/one.txt {bin}/dir/two.txt {bin} {bin} /rbz/home\n")
    );
}

#[test]
fn a_genrule_runs_programs_of_the_workspace() {
    let ws = build_file(
        r#"
sh_binary(name = "tool", srcs = ["tool.sh"], data = ["words.txt"])
genrule(name = "o", outs = ["o.txt"], cmd = "$(location :tool) x > $@", tools = [":tool"])
"#,
    )
    .file("tool.sh", "#!/bin/bash\necho \"$1 $(cat \"$0.runfiles/test/words.txt\")\"\n")
    .file("words.txt", "words\n")
    .build();
    ws.rbz("build //:o").run();
    assert_eq!(ws.read("rbz-bin/o.txt"), "x words\n");
}

#[test]
fn an_executable_genrule_can_be_run() {
    let ws = build_file("genrule(name = \"o\", outs = [\"o.sh\"], cmd = \"echo '#!/bin/bash' > $@; echo 'echo made' >> $@\", executable = True)\n").build();
    ws.rbz("run //:o").run().stdout_has("made\n");
}

#[test]
fn an_alias_stands_for_its_target() {
    let ws = build_file(
        r#"
genrule(name = "real", outs = ["real.txt"], cmd = "echo real > $@")
alias(name = "other", actual = ":real")
alias(name = "chosen", actual = select({"//conditions:default": ":real"}))
genrule(name = "o", srcs = [":other"], outs = ["o.txt"], cmd = "cp $(location :other) $@")
"#,
    )
    .build();
    ws.rbz("build //:o //:chosen").run();
    assert_eq!(ws.read("rbz-bin/o.txt"), "real\n");
}

#[test]
fn shell_rules_hand_on_their_data() {
    let ws = build_file(
        r#"
sh_library(name = "lib", srcs = ["lib.sh"], data = ["data.txt"])
sh_test(name = "t", srcs = ["t.sh"], deps = [":lib"])
"#,
    )
    .file("lib.sh", "say() { cat data.txt; }\n")
    .file("data.txt", "data\n")
    .file("t.sh", "#!/bin/bash\nsource ./lib.sh\n[[ \"$(say)\" == data ]]\n")
    .build();
    ws.rbz("test //:t --test_output=errors").run();
}

#[test]
fn exported_files_are_visible_and_others_not() {
    let ws = build_file(
        "genrule(name = \"o\", srcs = [\"//sub:a.txt\"], outs = [\"o.txt\"], cmd = \"cp $< $@\")\n",
    )
    .file("sub/BUILD", "exports_files([\"a.txt\"])\n")
    .file("sub/a.txt", "a\n")
    .file("sub/b.txt", "b\n")
    .build();
    ws.rbz("build //:o").run();
    ws.edit("BUILD", "a.txt", "b.txt");
    ws.rbz("build //:o").exit_code(1).run().stderr_has("//sub:b.txt").stderr_has("exports_files");
}

#[test]
fn package_sets_defaults_and_groups_give_visibility() {
    let ws = build_file("package_group(name = \"friends\", packages = [\"//friend/...\"])\n")
        .file("lib/BUILD", r#"
package(default_visibility = ["//:friends"])
filegroup(name = "f")
filegroup(name = "all", visibility = ["//visibility:public"])
"#)
        .file("friend/deep/BUILD", "filegroup(name = \"x\", srcs = [\"//lib:f\"])\n")
        .file("stranger/BUILD", "filegroup(name = \"x\", srcs = [\"//lib:f\"])\nfilegroup(name = \"y\", srcs = [\"//lib:all\"])\n")
        .build();
    ws.rbz("build //friend/... //stranger:y").run();
    ws.rbz("build //stranger:x").exit_code(1).run().stderr_has("//lib:f").stderr_has("visib");
}

#[test]
fn globs_exclude_and_stop_at_packages() {
    let ws = build_file(
        r#"
genrule(
    name = "o",
    srcs = glob(["**/*.txt", "*.md"], exclude = ["**/no*.txt"]),
    outs = ["o"],
    cmd = "echo $(SRCS) > $@",
)
"#,
    )
    .file("a.txt", "")
    .file("no.txt", "")
    .file("read.md", "")
    .file("dir/b.txt", "")
    .file("dir/nothing.txt", "")
    .file("pkg/BUILD", "")
    .file("pkg/c.txt", "")
    .file(".hidden.txt", "")
    .build();
    ws.rbz("build //:o").run();
    assert_eq!(ws.read("rbz-bin/o"), "a.txt dir/b.txt read.md\n");
}

#[test]
fn a_directory_can_be_an_input() {
    let ws = build_file("genrule(name = \"o\", srcs = [\"tree\"], outs = [\"o\"], cmd = \"find tree -type f | sort > $@\")\n")
        .file("tree/a", "")
        .file("tree/sub/b", "")
        .build();
    ws.rbz("build //:o").run();
    assert_eq!(ws.read("rbz-bin/o"), "tree/a\ntree/sub/b\n");
    ws.write("tree/sub/c", "");
    ws.rbz("build //:o").run();
    assert_eq!(ws.read("rbz-bin/o"), "tree/a\ntree/sub/b\ntree/sub/c\n");
}

#[test]
fn who_asks_for_it_is_told_the_status_of_the_workspace() {
    let ws = build_file(
        r#"
load(":stamped.bzl", "stamped")
genrule(name = "now", outs = ["now.txt"], stamp = 1, cmd = "cat rbz-out/*-status.txt > $@")
genrule(name = "auto", outs = ["auto.txt"], stamp = -1, cmd = "ls rbz-out > $@")
stamped(name = "mine")
"#,
    )
    .file(
        "stamped.bzl",
        r#"
def _stamped_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [out],
        inputs = [ctx.info_file],
        command = "grep REVISION $1 > $2",
        arguments = [ctx.info_file.path, out.path],
    )
    return [DefaultInfo(files = depset([out]))]

stamped = rule(implementation = _stamped_impl)
"#,
    )
    .file("status.sh", "echo STABLE_REVISION $(cat revision); echo WEATHER fine; date >> asked\n")
    .file("revision", "one")
    .build();
    let build = |date: &str, arguments: &str| {
        let status = "--workspace_status_command=sh status.sh";
        let arguments = ["build", status].into_iter().chain(arguments.split(' '));
        ws.rbz_args(arguments).env("SOURCE_DATE_EPOCH", date)
    };
    let (date, later) = ("1685670269", "1685670270");
    build(date, "//:auto").run();
    assert_eq!(ws.read("rbz-bin/auto.txt"), "k8-fastbuild\n");
    assert!(!ws.path("asked").exists(), "nobody needs the status");

    build(date, "//:all --embed_label=1.0").run();
    let now = ws.read("rbz-bin/now.txt");
    for line in [
        "BUILD_EMBED_LABEL 1.0\n",
        "BUILD_TIMESTAMP 1685670269\nFORMATTED_DATE 2023 Jun 2 01 44 29 Fri\n",
        "STABLE_REVISION one\n",
        "WEATHER fine\n",
    ] {
        assert!(now.contains(line), "no {line:?} in {now}");
    }
    assert_eq!(ws.read("rbz-bin/mine"), "STABLE_REVISION one\n");

    // The time goes on, and nothing is made again for it.
    let again = build(later, "//:all --embed_label=1.0").run();
    again.stderr_has("4 actions: 3 up to date, 1 internal");
    assert_eq!(ws.read("rbz-bin/now.txt"), now);
    ws.write("revision", "two");
    build(date, "//:mine").run();
    assert_eq!(ws.read("rbz-bin/mine"), "STABLE_REVISION two\n");

    build(date, "//:auto --stamp").run();
    assert!(ws.read("rbz-bin/auto.txt").contains("stable-status.txt"));
    build(date, "//:auto --stamp --nostamp").run();
    assert_eq!(ws.read("rbz-bin/auto.txt"), "k8-fastbuild\n");

    ws.write("status.sh", "echo no revision here >&2; exit 3\n");
    let outcome = build(date, "//:mine").exit_code(1).run();
    outcome.stderr_has("no revision here").stderr_has("exit status 3");
}

#[test]
fn macros_see_the_package_by_native() {
    let ws = build_file(
        r#"
load(":macro.bzl", "report")

filegroup(name = "first", srcs = ["a.txt"], tags = ["tea"])
report(name = "report")
"#,
    )
    .file("a.txt", "")
    .file(
        "macro.bzl",
        r#"
def report(name):
    first = native.existing_rule("first")
    told = [
        first["kind"],
        first["tags"],
        first["srcs"],
        native.existing_rule("none"),
        [key for key in native.existing_rules()],
        native.glob(["*.txt"]),
        native.package_name(),
        native.repository_name(),
        native.package_relative_label(":first").name,
    ]
    native.genrule(name = name, outs = [name + ".json"], cmd = "echo '%s' > $@" % json.encode(told))
    native.lisp_library(name = name + "_lisp")
"#,
    )
    .build();
    ws.rbz("build //...").run();
    let told = ws.read("rbz-bin/report.json");
    assert_eq!(
        told.trim(),
        r#"["filegroup",["tea"],[":a.txt"],null,["first"],["a.txt"],"","@","first"]"#
    );
}
