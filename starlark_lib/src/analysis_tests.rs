//! Tests of analysis: workspaces with rules, and the plans they make.

use crate::analysis_fixture::{Fixture, rule, shown};

const COPY: &str = r#"
CopyInfo = provider(fields = {"names": "depset of names"})

def _copy_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    args = ctx.actions.args()
    args.add("--out", out)
    args.add_all(ctx.files.srcs)
    ctx.actions.run_shell(
        outputs = [out],
        inputs = ctx.files.srcs,
        command = "cat \"$@\"",
        arguments = [args],
        mnemonic = "Copy",
    )
    names = depset(
        [ctx.label.name],
        transitive = [d[CopyInfo].names for d in ctx.attr.deps],
    )
    return [
        DefaultInfo(files = depset([out]), runfiles = ctx.runfiles([out])),
        CopyInfo(names = names),
    ]

copy = rule(
    implementation = _copy_impl,
    attrs = {
        "srcs": attr.label_list(allow_files = [".txt"]),
        "deps": attr.label_list(providers = [CopyInfo]),
    },
)
"#;

#[test]
fn a_rule_makes_actions() {
    let fixture = Fixture::new(&[
        ("a/copy.bzl", COPY),
        (
            "a/BUILD",
            "load(\":copy.bzl\", \"copy\")\ncopy(name = \"x\", srcs = [\"s.txt\"])\ncopy(name = \"y\", srcs = [\":x\"], deps = [\":x\"])\n",
        ),
        ("a/s.txt", ""),
    ]);
    insta::assert_snapshot!(fixture.plan(&["//a:y"]), @r#"
    Copy: /bin/sh -c cat "$@"  --out BIN/a/x.txt {a/s.txt} | /bin/sh /lib/libc.so a/s.txt -> BIN/a/x.txt
    Copy: /bin/sh -c cat "$@"  --out BIN/a/y.txt {BIN/a/x.txt} | /bin/sh /lib/libc.so BIN/a/x.txt -> BIN/a/y.txt
    //a:y (copy) = a/y.txt
    "#);
}

#[test]
fn files_have_bazels_paths() {
    let fixture = rule(
        r#"
s = ctx.file.src
o = ctx.actions.declare_file("d/o.tar.gz")
t = ctx.actions.declare_directory("tree")
l = ctx.actions.declare_symlink("link")
b = ctx.actions.declare_file("beside", sibling = o)
lines = []
for f in [s, o, t, l, b]:
    lines.append(" ".join([f.path, f.short_path, f.basename, f.dirname, f.extension, f.root.path, str(f.owner), str(f.is_source), str(f.is_directory), str(f.is_symlink)]))
lines.append(str(s) + str(o) + str({o: 1}[o]) + str(o == o) + str(o < s) + str(sorted([s, o])))
lines.append(ctx.bin_dir.path + " " + ctx.label.name + " " + str(ctx.label) + " " + ctx.workspace_name + " " + ctx.build_file_path)
ctx.actions.write(o, "\n".join(lines))
ctx.actions.run_shell(outputs = [t, b], command = "x")
ctx.actions.symlink(output = l, target_path = "../else")
return [DefaultInfo(files = depset([o, t, l, b]))]"#,
        "\"src\": attr.label(allow_single_file = True)",
        "r(name = \"x\", src = \"f.txt\")",
    );
    insta::assert_snapshot!(fixture.plan(&["//a:x"]).replace("\\n", "\n"), @r#"
    FileWrite: "a/f.txt a/f.txt f.txt a txt  //a:f.txt True False False
    BIN/a/d/o.tar.gz a/d/o.tar.gz o.tar.gz BIN/a/d gz BIN //a:x False False False
    BIN/a/tree a/tree tree BIN/a  BIN //a:x False True False
    BIN/a/link a/link link BIN/a  BIN //a:x False False True
    BIN/a/d/beside a/d/beside beside BIN/a/d  BIN //a:x False False False
    <source file a/f.txt><generated file a/d/o.tar.gz>1TrueFalse[<source file a/f.txt>, <generated file a/d/o.tar.gz>]
    BIN x //a:x ws a/BUILD" |  -> BIN/a/d/o.tar.gz
    Action: /bin/sh -c x | /bin/sh /lib/libc.so -> BIN/a/tree BIN/a/d/beside
    Symlink: Path("../else") |  -> BIN/a/link
    //a:x (r) = a/d/o.tar.gz a/tree a/link a/d/beside
    "#);
}

#[test]
fn every_way_to_add_arguments() {
    let fixture = rule(
        r#"
o = ctx.actions.declare_file("o")
args = ctx.actions.args()
args.add("one").add("--two", 2).add("--file", o, format = "=%s").add(ctx.label)
args.add_all(["a", "b"])
args.add_all("--list", ["a", o], format_each = "-%s", before_each = "-b", terminate_with = "end", uniquify = True)
args.add_all(depset(["d"], transitive = [depset(["e"])]), map_each = top)
args.add_joined("--joined", depset(["x", "y"]), join_with = ":", format_joined = "<%s>")
args.add_all([1, 2], map_each = lambda x: [str(x), str(x + 1)] if x == 1 else None, allow_closure = True)
args.use_param_file("@%s", use_always = True)
args.set_param_file_format("multiline")
ctx.actions.run(
    outputs = [o],
    executable = "/usr/bin/prog",
    arguments = ["first", args],
    env = {"A": "b"},
    execution_requirements = {"no-cache": ""},
    progress_message = "Doing %{label} to %{output}",
    mnemonic = "Do",
)
return [DefaultInfo(files = depset([o]))]"#,
        "",
        "r(name = \"x\", tags = [\"no-sandbox\", \"mine\"])",
    );
    let analysis = fixture.analyze(&["//a:x"]);
    insta::assert_snapshot!(shown(&analysis), @r#"
    Do: /usr/bin/prog first one --two 2 --file =BIN/a/o Label("//a:x") {a,b} --list{a,BIN/a/o} {top:e,top:d} --joined{x,y} {["1", "2"]} |  -> BIN/a/o
    //a:x (r) = a/o
    "#);
    let action = analysis.plan.action(analysis.plan.ids().next().unwrap());
    insta::assert_debug_snapshot!(action.kind, @r#"
    Spawn(
        Spawn {
            argv: [
                Str(
                    "/usr/bin/prog",
                ),
                Str(
                    "first",
                ),
                Args(
                    Args {
                        items: [
                            One {
                                flag: None,
                                value: Str(
                                    "one",
                                ),
                                format: None,
                            },
                            One {
                                flag: Some(
                                    "--two",
                                ),
                                value: Int(
                                    2,
                                ),
                                format: None,
                            },
                            One {
                                flag: Some(
                                    "--file",
                                ),
                                value: File(
                                    File(rbz-out/k8-fastbuild/bin/a/o),
                                ),
                                format: Some(
                                    "=%s",
                                ),
                            },
                            One {
                                flag: None,
                                value: Label(
                                    //a:x,
                                ),
                                format: None,
                            },
                            Many(
                                ManyArgs {
                                    flag: None,
                                    values: List(
                                        [
                                            Str(
                                                "a",
                                            ),
                                            Str(
                                                "b",
                                            ),
                                        ],
                                    ),
                                    format_each: None,
                                    before_each: None,
                                    terminate_with: None,
                                    omit_if_empty: true,
                                    uniquify: false,
                                    expand_directories: true,
                                    joined: None,
                                },
                            ),
                            Many(
                                ManyArgs {
                                    flag: Some(
                                        "--list",
                                    ),
                                    values: List(
                                        [
                                            Str(
                                                "a",
                                            ),
                                            File(
                                                File(rbz-out/k8-fastbuild/bin/a/o),
                                            ),
                                        ],
                                    ),
                                    format_each: Some(
                                        "-%s",
                                    ),
                                    before_each: Some(
                                        "-b",
                                    ),
                                    terminate_with: Some(
                                        "end",
                                    ),
                                    omit_if_empty: true,
                                    uniquify: true,
                                    expand_directories: true,
                                    joined: None,
                                },
                            ),
                            Many(
                                ManyArgs {
                                    flag: None,
                                    values: Depset(
                                        depset(1 direct, 1 transitive),
                                    ),
                                    format_each: None,
                                    before_each: None,
                                    terminate_with: None,
                                    omit_if_empty: true,
                                    uniquify: false,
                                    expand_directories: true,
                                    joined: None,
                                },
                            ),
                            Many(
                                ManyArgs {
                                    flag: Some(
                                        "--joined",
                                    ),
                                    values: Depset(
                                        depset(2 direct, 0 transitive),
                                    ),
                                    format_each: None,
                                    before_each: None,
                                    terminate_with: None,
                                    omit_if_empty: true,
                                    uniquify: false,
                                    expand_directories: true,
                                    joined: Some(
                                        Joined {
                                            join_with: ":",
                                            format_joined: Some(
                                                "<%s>",
                                            ),
                                        },
                                    ),
                                },
                            ),
                            Many(
                                ManyArgs {
                                    flag: None,
                                    values: List(
                                        [
                                            List(
                                                [
                                                    Str(
                                                        "1",
                                                    ),
                                                    Str(
                                                        "2",
                                                    ),
                                                ],
                                            ),
                                        ],
                                    ),
                                    format_each: None,
                                    before_each: None,
                                    terminate_with: None,
                                    omit_if_empty: true,
                                    uniquify: false,
                                    expand_directories: true,
                                    joined: None,
                                },
                            ),
                        ],
                        param_file: Some(
                            ParamFile {
                                flag_format: "@%s",
                                always: true,
                            },
                        ),
                        format: Multiline,
                    },
                ),
            ],
            env: {
                "A": "b",
            },
            requirements: {
                "no-cache": "",
                "no-sandbox": "",
            },
            timeout: None,
            test: None,
            resident: None,
        },
    )
    "#);
    assert_eq!(
        action.progress_message.as_deref(),
        Some("Doing //a:x to rbz-out/k8-fastbuild/bin/a/o")
    );
}

#[test]
fn templates_writes_and_links() {
    let fixture = rule(
        r#"
o = [ctx.actions.declare_file("o%d" % i) for i in range(4)]
args = ctx.actions.args()
args.add_all(["x", "y"])
ctx.actions.write(o[0], args, is_executable = True)
ctx.actions.expand_template(template = ctx.file.src, output = o[1], substitutions = {"a": "b"},
    computed_substitutions = ctx.actions.template_dict().add("k", "v").add_joined("j", depset([1, 2]), join_with = ",", map_each = top))
ctx.actions.symlink(output = o[2], target_file = o[0], is_executable = True)
ctx.actions.write(output = o[3], content = ctx.expand_location("$(location :f.txt)") + ctx.expand_make_variables("cmd", "$(BINDIR) $(ME)", {"ME": "you"}) + str(ctx.tokenize("a 'b c'")))
ctx.actions.do_nothing(mnemonic = "Nothing", inputs = o)
return DefaultInfo(files = depset(o))"#,
        "\"src\": attr.label(allow_single_file = True)",
        "r(name = \"x\", src = \"f.txt\")",
    );
    insta::assert_snapshot!(fixture.plan(&["//a:x"]), @r#"
    FileWrite: "{x,y}" |  -> BIN/a/o0
    TemplateExpand: [("a", "b"), ("k", "v"), ("j", "top:1,top:2")] | a/f.txt -> BIN/a/o1
    Symlink: Artifact(File(BIN/a/o0)) | BIN/a/o0 -> BIN/a/o2
    FileWrite: "a/f.txtBIN you[\"a\", \"b c\"]" |  -> BIN/a/o3
    //a:x (r) = a/o0 a/o1 a/o2 a/o3
    "#);
}

#[test]
fn a_program_has_runfiles_arguments_and_environment() {
    let fixture = Fixture::new(&[
        (
            "a/r.bzl",
            r#"
def _impl(ctx):
    program = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(program, "", is_executable = True)
    runfiles = ctx.runfiles(
        files = ctx.files.data,
        symlinks = {"link/f": ctx.files.data[0]},
        root_symlinks = {"top": ctx.files.data[0]},
    ).merge(ctx.runfiles(collect_default = True)).merge_all([])
    return [
        DefaultInfo(executable = program, runfiles = runfiles),
        RunEnvironmentInfo({"B": "2"}, ["HOME"]),
        testing.ExecutionInfo({"requires-network": ""}),
    ]

t_test = rule(implementation = _impl, test = True, attrs = {"data": attr.label_list(allow_files = True)})

def _user(ctx):
    out = ctx.actions.declare_file("used")
    ctx.actions.run(outputs = [out], executable = ctx.executable._tool, tools = [ctx.attr._tool[DefaultInfo].files_to_run])
    return [DefaultInfo(files = depset([out]))]

user = rule(implementation = _user, attrs = {"_tool": attr.label(executable = True, cfg = "exec", default = "//a:t")})
"#,
        ),
        (
            "a/BUILD",
            "load(\":r.bzl\", \"t_test\", \"user\")\nt_test(name = \"t\", data = [\"f.txt\"], args = [\"$(location f.txt) 'b c'\", \"$(COMPILATION_MODE)\"], env = {\"A\": \"$(rootpath f.txt)\"}, size = \"small\", flaky = True, shard_count = 3)\nuser(name = \"user\", testonly = True)\n",
        ),
        ("a/f.txt", ""),
    ]);
    insta::assert_snapshot!(fixture.plan(&["//a:user"]), @r#"
    FileWrite: "" |  -> BIN/a/t
    RunfilesTree: top ws/a/f.txt ws/a/t ws/link/f | BIN/a/t a/f.txt -> BIN/a/t.runfiles
    Action: BIN/a/t | BIN/a/t BIN/a/t.runfiles -> BIN/a/used
    //a:user (user) = a/used
    "#);
    let analysis = fixture.analyze(&["//a:t"]);
    let target = &analysis.plan.requested[0];
    let program = target.executable.as_ref().unwrap();
    insta::assert_debug_snapshot!((&program.args, &program.env, &program.inherited_env), @r#"
    (
        [
            "a/f.txt",
            "b c",
            "fastbuild",
        ],
        {
            "A": "a/f.txt",
            "B": "2",
        },
        [
            "HOME",
        ],
    )
    "#);
    insta::assert_debug_snapshot!(target.test.as_ref().unwrap(), @r#"
    TestTarget {
        size: "small",
        timeout: "short",
        flaky: true,
        shard_count: Some(
            3,
        ),
        tags: [
            "requires-network",
        ],
        tools: depset(2 direct, 0 transitive),
        runs: [],
    }
    "#);
}

#[test]
fn providers_carry_plain_data_and_functions_by_name() {
    let fixture = Fixture::new(&[
        (
            "a/r.bzl",
            r#"
load(":other.bzl", "shout")

P, _raw = provider(doc = "d", fields = {"value": "v", "call": "c"}, init = lambda value: {"value": value, "call": shout})

def _make(ctx):
    return [P(value = struct(list = [1, 1 << 70, 1.5, None, True], dict = {"k": ("t",)}, label = ctx.label))]

def _use(ctx):
    out = ctx.actions.declare_file("o")
    p = ctx.attr.dep[P]
    text = [str(p.value), p.call("hey"), str(hasattr(p, "value")), str(P in ctx.attr.dep), str(DefaultInfo in ctx.attr.dep), str(p.value.list[1] == 1 << 70), str(ctx.attr.dep), str(P)]
    ctx.actions.write(out, " ".join(text))
    return [DefaultInfo(files = depset([out])), OutputGroupInfo(extra = [out], more = depset())]

make = rule(implementation = _make, provides = [P])
use = rule(implementation = _use, attrs = {"dep": attr.label(providers = [[P]])})
"#,
        ),
        ("a/other.bzl", "def shout(x):\n    return x.upper() + \"!\"\n"),
        (
            "a/BUILD",
            "load(\":r.bzl\", \"make\", \"use\")\nmake(name = \"m\")\nuse(name = \"x\", dep = \":m\")\n",
        ),
    ]);
    let analysis = fixture.analyze(&["//a:x"]);
    insta::assert_snapshot!(shown(&analysis), @r#"
    FileWrite: "struct(dict={\"k\": (\"t\",)}, label=//a:m, list=[1, 1180591620717411303424, 1.5, None, True]) HEY! True True True True <target //a:m> <provider P>" |  -> BIN/a/o
    //a:x (use) = a/o
    "#);
    let groups: Vec<&str> =
        analysis.plan.requested[0].output_groups.keys().map(|name| &**name).collect();
    assert_eq!(groups, ["extra", "more"]);
}

#[test]
fn system_files_are_named_by_absolute_paths() {
    let fixture = Fixture::new(&[(
        "a/BUILD",
        "system_files(name = \"x\", srcs = [\"/bin/sh\"], trees = [\"/usr/lib/sbcl\"])\nsystem_files(name = \"bad\", srcs = [\"bin/../sh\"])\n",
    )]);
    let analysis = fixture.analyze(&["//a:x"]);
    insta::assert_debug_snapshot!(analysis.plan.requested[0].files.to_files(), @r"
    [
        SourceFile(/bin/sh),
        SourceTree(/usr/lib/sbcl),
    ]
    ");
    insta::assert_snapshot!(fixture.errors(&["//a:bad"]), @r#"
    a/BUILD:2:1: in the attribute `srcs` of `//a:bad`: `bin/../sh` is no absolute path without `.`, `..` and double slashes
        system_files(name = "bad", srcs = ["bin/../sh"])
        ^
    "#);
}

#[test]
fn who_reads_the_status_of_the_workspace_has_the_action_that_writes_it() {
    let body = r#"
o = ctx.actions.declare_file(ctx.label.name)
inputs = [ctx.info_file, ctx.version_file] if ctx.attr.stamp else []
ctx.actions.run(outputs = [o], inputs = inputs, executable = "/bin/x")
return [DefaultInfo(files = depset([o]))]"#;
    let targets = "r(name = \"x\", stamp = True)\nr(name = \"y\")";
    let fixture = rule(body, "\"stamp\": attr.bool()", targets);
    insta::assert_snapshot!(fixture.plan(&["//a:x"]), @"
    Action: /bin/x | rbz-out/stable-status.txt rbz-out/volatile-status.txt -> BIN/a/x
    WorkspaceStatus:  |  -> rbz-out/stable-status.txt rbz-out/volatile-status.txt
    //a:x (r) = a/x
    ");
    insta::assert_snapshot!(fixture.plan(&["//a:y"]), @"
    Action: /bin/x |  -> BIN/a/y
    //a:y (r) = a/y
    ");
}

#[test]
fn outputs_that_attributes_declare_must_be_written() {
    let attrs = "\"out\": attr.output(), \"outs\": attr.output_list()";
    let target = "r(name = \"x\", out = \"o.txt\", outs = [\"p\", \"q\"])";
    let body = "for o in [ctx.outputs.out] + ctx.outputs.outs:\n    ctx.actions.write(o, str(ctx.attr.out))";
    insta::assert_snapshot!(rule(body, attrs, target).plan(&["//a:x"]), @r#"
    FileWrite: "//a:o.txt" |  -> BIN/a/o.txt
    FileWrite: "//a:o.txt" |  -> BIN/a/p
    FileWrite: "//a:o.txt" |  -> BIN/a/q
    //a:x (r) = a/o.txt a/p a/q
    "#);
    insta::assert_snapshot!(rule(body, attrs, target).plan(&["//a:q"]), @r#"
    FileWrite: "//a:o.txt" |  -> BIN/a/q
    //a:q (generated file) = a/q
    "#);
    insta::assert_snapshot!(rule("return []", attrs, target).errors(&["//a:x"]), @r#"
    a/BUILD:2:1: `a/o.txt` is declared as an output of `//a:x`, but no action writes it
        r(name = "x", out = "o.txt", outs = ["p", "q"])
        ^
    hint: give it to an action of the rule `r` as an output, or do not declare it
    "#);
}
