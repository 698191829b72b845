//! Rules that users write in Starlark.

use rbz_integration_tests::Workspace;
use rbz_integration_tests::projects::build_file;

/// A workspace with this `rules.bzl` and BUILD file.
fn with_rules(rules: &str, build: &str) -> Workspace {
    build_file(build).file("rules.bzl", rules).build()
}

#[test]
fn providers_and_depsets_collect_through_deps() {
    let ws = with_rules(
        r#"
WordsInfo = provider(doc = "Words.", fields = {"words": "depset of strings"})

def _impl(ctx):
    words = depset([ctx.attr.word], transitive = [dep[WordsInfo].words for dep in ctx.attr.deps], order = ctx.attr.order)
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.write(out, " ".join(words.to_list()) + "\n")
    return [WordsInfo(words = words), DefaultInfo(files = depset([out]))]

words = rule(
    implementation = _impl,
    attrs = {
        "word": attr.string(mandatory = True),
        "deps": attr.label_list(providers = [WordsInfo]),
        "order": attr.string(default = "postorder"),
    },
)
"#,
        r#"
load(":rules.bzl", "words")

[words(name = "%s%d" % (order, 4), word = "d", order = order, deps = [":%s2" % order, ":%s3" % order]) for order in ["postorder", "preorder", "topological"]]
[words(name = "%s%d" % (order, 2), word = "b", order = order, deps = [":%s1" % order]) for order in ["postorder", "preorder", "topological"]]
[words(name = "%s%d" % (order, 3), word = "c", order = order, deps = [":%s1" % order]) for order in ["postorder", "preorder", "topological"]]
[words(name = "%s%d" % (order, 1), word = "a", order = order) for order in ["postorder", "preorder", "topological"]]
"#,
    );
    ws.rbz("build //...").run();
    assert_eq!(ws.read("rbz-bin/postorder4.txt"), "a b c d\n");
    assert_eq!(ws.read("rbz-bin/preorder4.txt"), "d b a c\n");
    assert_eq!(ws.read("rbz-bin/topological4.txt"), "d b c a\n");
}

#[test]
fn arguments_are_formatted_mapped_and_joined() {
    let ws = with_rules(
        r#"
def _name(file):
    return "name=" + file.basename if file.extension == "txt" else None

def _twice(file):
    return [file.basename, file.extension]

def _impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    args = ctx.actions.args()
    args.add("--one", 1)
    args.add("plain")
    args.add(ctx.files.srcs[0], format = "<%s>")
    args.add_all(ctx.files.srcs, map_each = _name)
    args.add_all("--twice", depset(ctx.files.srcs), map_each = _twice, before_each = "-b")
    args.add_all("--empty", [])
    args.add_all("--kept", [], omit_if_empty = False)
    args.add_joined("--joined", ["x", "y", "x"], join_with = "+", format_each = "(%s)", format_joined = "=%s", uniquify = True)
    args.add_all(["t"], terminate_with = "end")
    ctx.actions.run_shell(
        outputs = [out],
        inputs = ctx.files.srcs,
        arguments = [out.path, args],
        command = "out=$1; shift; printf '%s\\n' \"$@\" > $out",
    )
    return [DefaultInfo(files = depset([out]))]

show = rule(implementation = _impl, attrs = {"srcs": attr.label_list(allow_files = True)})
"#,
        "load(\":rules.bzl\", \"show\")\nshow(name = \"o\", srcs = [\"a.txt\", \"b.md\"])\n",
    );
    ws.write("a.txt", "");
    ws.write("b.md", "");
    ws.rbz("build //:o").run();
    let expected = "--one 1 plain <a.txt> name=a.txt --twice -b a.txt -b txt -b b.md -b md --kept --joined =(x)+(y) t end";
    assert_eq!(ws.read("rbz-bin/o").replace('\n', " ").trim(), expected);
}

#[test]
fn long_command_lines_go_through_parameter_files() {
    let ws = with_rules(
        r#"
def _impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = ctx.attr.always)
    args.set_param_file_format(ctx.attr.format)
    args.add_all(["a b", "it's"])
    args.add_all([str(i) for i in range(ctx.attr.count)])
    ctx.actions.run_shell(
        outputs = [out],
        arguments = [out.path, args],
        command = "case $2 in @*) (echo file; cat ${2#@}) > $1;; *) echo no file: $# > $1;; esac",
    )
    return [DefaultInfo(files = depset([out]))]

show = rule(implementation = _impl, attrs = {"always": attr.bool(), "count": attr.int(), "format": attr.string(default = "shell")})
"#,
        r#"
load(":rules.bzl", "show")
show(name = "short")
show(name = "always", always = True)
show(name = "lines", always = True, format = "multiline")
show(name = "long", count = 200000)
"#,
    );
    ws.rbz("build //...").run();
    assert_eq!(ws.read("rbz-bin/short"), "no file: 3\n");
    assert_eq!(ws.read("rbz-bin/always"), "file\n'a b'\n'it'\\''s'\n");
    assert_eq!(ws.read("rbz-bin/lines"), "file\na b\nit's\n");
    assert!(ws.read("rbz-bin/long").ends_with("\n199999\n"));
}

#[test]
fn trees_are_made_and_expanded() {
    let ws = with_rules(
        r#"
def _make(ctx):
    tree = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(outputs = [tree], command = "mkdir -p $1/sub; echo a > $1/a.txt; echo b > $1/sub/b.txt", arguments = [tree.path])
    return [DefaultInfo(files = depset([tree]))]

make = rule(implementation = _make)

def _base(file):
    return file.basename

def _list(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    args = ctx.actions.args()
    args.add_all(ctx.files.srcs)
    args.add_all(ctx.files.srcs, expand_directories = False)
    ctx.actions.run_shell(outputs = [out], inputs = ctx.files.srcs, arguments = [out.path, args], command = "out=$1; shift; (echo $@; cat $1) > $out")
    return [DefaultInfo(files = depset([out]))]

list_files = rule(implementation = _list, attrs = {"srcs": attr.label_list(allow_files = True)})
"#,
        "load(\":rules.bzl\", \"make\", \"list_files\")\nmake(name = \"tree\")\nlist_files(name = \"o\", srcs = [\":tree\"])\n",
    );
    ws.rbz("build //...").run();
    let tree = "rbz-out/k8-fastbuild/bin/tree";
    assert_eq!(ws.read("rbz-bin/o"), format!("{tree}/a.txt {tree}/sub/b.txt {tree}\na\n"));
    assert_eq!(ws.read("rbz-bin/tree/sub/b.txt"), "b\n");
    // A tree comes from the cache as a whole.
    ws.rbz("clean").run();
    assert!(ws.rbz("build //...").run().ran().is_empty());
    assert_eq!(ws.read("rbz-bin/tree/a.txt"), "a\n");
}

#[test]
fn templates_links_and_runfiles() {
    let ws = with_rules(
        r##"
def _impl(ctx):
    script = ctx.actions.declare_file(ctx.label.name + ".sh")
    ctx.actions.expand_template(
        template = ctx.file._template,
        output = script,
        substitutions = {"{{NAME}}": ctx.label.name, "{{FILE}}": ctx.file.data.short_path},
        is_executable = True,
    )
    link = ctx.actions.declare_file("linked.txt")
    ctx.actions.symlink(output = link, target_file = ctx.file.data)
    runfiles = ctx.runfiles(files = [ctx.file.data, link], symlinks = {"other/name.txt": ctx.file.data})
    return [DefaultInfo(executable = script, files = depset([script, link]), runfiles = runfiles)]

script = rule(
    implementation = _impl,
    executable = True,
    attrs = {
        "data": attr.label(allow_single_file = True),
        "_template": attr.label(default = "//:template.sh", allow_single_file = True),
    },
)
"##,
        "load(\":rules.bzl\", \"script\")\nexports_files([\"template.sh\"])\nscript(name = \"s\", data = \"data.txt\")\n",
    );
    ws.write("template.sh", "#!/bin/bash\ncd \"$0.runfiles/test\"\necho {{NAME}} $(cat {{FILE}} linked.txt other/name.txt)\n");
    ws.write("data.txt", "data\n");
    assert_eq!(ws.rbz("run //:s").run().stdout(), "s data data data\n");
    assert_eq!(ws.read("rbz-bin/linked.txt"), "data\n");
    ws.write("data.txt", "new\n");
    assert_eq!(ws.rbz("run //:s").run().stdout(), "s new new new\n");
}

#[test]
fn test_rules_and_their_environment() {
    let ws = with_rules(
        r##"
def _impl(ctx):
    script = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(script, "#!/bin/bash\n[[ $FROM_RULE == yes ]]\n", is_executable = True)
    return [
        DefaultInfo(executable = script),
        RunEnvironmentInfo(environment = {"FROM_RULE": ctx.attr.value}),
    ]

my_test = rule(implementation = _impl, test = True, attrs = {"value": attr.string()})
"##,
        "load(\":rules.bzl\", \"my_test\")\nmy_test(name = \"good_test\", value = \"yes\")\nmy_test(name = \"bad_test\", value = \"no\")\n",
    );
    ws.rbz("test //:good_test").run();
    ws.rbz("test //:bad_test").exit_code(3).run();
}

#[test]
fn output_groups_are_built_when_asked_for() {
    let ws = with_rules(
        r#"
def _impl(ctx):
    files = {}
    for group in ["one", "two"]:
        files[group] = ctx.actions.declare_file(group + ".txt")
        ctx.actions.write(files[group], group)
    return [OutputGroupInfo(one = [files["one"]], two = depset([files["two"]]))]

groups = rule(implementation = _impl)
"#,
        "load(\":rules.bzl\", \"groups\")\ngroups(name = \"g\")\nfilegroup(name = \"f\", srcs = [\":g\"], output_group = \"two\")\n",
    );
    ws.rbz("build //:g --output_groups=one").run();
    assert!(ws.path("rbz-bin/one.txt").exists() && !ws.path("rbz-bin/two.txt").exists());
    ws.rbz("build //:f").run();
    assert!(ws.path("rbz-bin/two.txt").exists());
}

#[test]
fn print_and_json_and_struct() {
    let ws = with_rules(
        "def m():\n    print(json.encode(struct(a = [1, None, True], b = {\"x\": \"y\"})))\n",
        "load(\":rules.bzl\", \"m\")\nm()\n",
    );
    let outcome = ws.rbz("build //...").run();
    outcome.stderr_has("rules.bzl:2").stderr_has("{\"a\":[1,null,true],\"b\":{\"x\":\"y\"}}");
}

#[test]
fn what_macros_learn_and_who_may_load_what() {
    let rules = r#"
visibility(["//lib/...", "private"])

def copy(name, of):
    attributes = native.existing_rule(of)
    if attributes["testonly"] or attributes["kind"] != "genrule":
        fail(attributes)
    kept = {key: attributes[key] for key in ["cmd", "tools", "executable"]}
    native.genrule(name = name, outs = [name + ".txt"], **kept)

def text(value):
    return json.encode_indent(value, indent = " ").replace("\n", "@")
"#;
    let build = r#"
load(":rules.bzl", "copy", "text")

genrule(name = "a", outs = ["a.txt"], cmd = "echo '%s' > $@" % text({"b": [1, {}], "a": 1.0}))
copy(name = "b", of = "a")
"#;
    let ws = with_rules(rules, build);
    ws.rbz("build //...").run();
    assert_eq!(ws.read("rbz-bin/b.txt"), "{@ \"a\": 1.0,@ \"b\": [@  1,@  {}@ ]@}\n");
    ws.write("lib/BUILD", "load(\"//:rules.bzl\", \"copy\")\n");
    ws.write("other/BUILD", "load(\"//:rules.bzl\", \"copy\")\n");
    ws.rbz("build //lib/...").run();
    let run = ws.rbz("build //other/...").exit_code(1).run();
    run.stderr_has("other/BUILD:1:6: `//:rules.bzl` is not visible to the package `//other`");
}
