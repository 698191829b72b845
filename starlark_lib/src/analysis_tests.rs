//! Tests of analysis: workspaces with rules, and the plans they make.

use crate::analysis_fixture::Fixture;

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
