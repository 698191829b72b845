"""The rules `sh_library`, `sh_binary` and `sh_test`."""

def _merged_runfiles(ctx, files):
    attr = ctx.attr
    targets = attr.srcs + attr.deps + attr.data
    return ctx.runfiles(files = files + ctx.files.data).merge_all([
        target[DefaultInfo].default_runfiles
        for target in targets
    ])

def _sh_library_impl(ctx):
    return [
        DefaultInfo(
            files = depset(ctx.files.srcs),
            runfiles = _merged_runfiles(ctx, ctx.files.srcs),
        ),
        _instrumented_files(ctx),
    ]

def _instrumented_files(ctx):
    """Scripts count nothing; what they run may."""
    return coverage_common.instrumented_files_info(ctx, dependency_attributes = ["srcs", "deps", "data"])

def _sh_binary_impl(ctx):
    srcs = ctx.files.srcs
    if len(srcs) != 1:
        fail("srcs must be exactly one file, the script, but is %d; further scripts belong into deps" % len(srcs))
    script = srcs[0]
    program = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = program, target_file = script, is_executable = True)
    runfiles = _merged_runfiles(ctx, [program, script])
    shell = ctx.attr._shell[DefaultInfo].files
    return [
        DefaultInfo(
            executable = program,
            files = depset([program, script]),
            runfiles = runfiles.merge(ctx.runfiles(transitive_files = shell)),
        ),
        _instrumented_files(ctx),
    ]

_ATTRS = {
    "srcs": attr.label_list(allow_files = True, doc = "The script; for libraries, scripts."),
    "deps": attr.label_list(allow_files = True, doc = "Libraries that the script sources."),
    "data": attr.label_list(allow_files = True, doc = "Files that are there when it runs."),
}

_PROGRAM_ATTRS = dict(_ATTRS)
_PROGRAM_ATTRS["_shell"] = attr.label(default = Label("@shell//:shell"))

sh_library = rule(
    implementation = _sh_library_impl,
    doc = "Shell scripts that others source.",
    attrs = _ATTRS,
)

sh_binary = rule(
    implementation = _sh_binary_impl,
    doc = "A script, or another program, as a program.",
    attrs = _PROGRAM_ATTRS,
    executable = True,
)

sh_test = rule(
    implementation = _sh_binary_impl,
    doc = "A script, or another program, as a test: it passes if it ends with 0.",
    attrs = _PROGRAM_ATTRS,
    test = True,
)
