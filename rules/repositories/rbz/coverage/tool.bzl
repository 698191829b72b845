"""What reads what instrumented programs leave when they end."""

load("//cc:toolchain.bzl", "CcToolchainInfo")

def _coverage_tool_impl(ctx):
    attr = ctx.attr
    gcov = []
    files = [depset([ctx.file.program]), attr.program_libraries[DefaultInfo].files]
    if CcToolchainInfo in attr.cc_toolchain:
        cc = attr.cc_toolchain[CcToolchainInfo]
        gcov = [file for file in cc.gcov_files.to_list() if file.path == cc.gcov]
        files.append(cc.gcov_files)
    return [
        DefaultInfo(files = depset(transitive = files)),
        OutputGroupInfo(program = depset([ctx.file.program]), gcov = depset(gcov)),
    ]

coverage_tool = rule(
    implementation = _coverage_tool_impl,
    doc = "The program that makes reports of coverage; each output group but `program` is an option of it, and its value.",
    attrs = {
        "program": attr.label(allow_single_file = True, doc = "The program: rbz itself."),
        "program_libraries": attr.label(doc = "What it needs of the machine."),
        "cc_toolchain": attr.label(doc = "The C compiler, if there is one: it says where its `gcov` is."),
    },
)
