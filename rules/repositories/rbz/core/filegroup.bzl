"""The rule `filegroup`."""

def _filegroup_impl(ctx):
    targets = ctx.attr.srcs
    group = ctx.attr.output_group
    if group:
        files = depset(transitive = [
            getattr(target[OutputGroupInfo], group, depset())
            for target in targets
            if OutputGroupInfo in target
        ])
    else:
        files = depset(transitive = [target[DefaultInfo].files for target in targets])
    runfiles = ctx.runfiles(files = ctx.files.data, transitive_files = files)
    return [
        DefaultInfo(
            files = files,
            runfiles = runfiles.merge_all([
                target[DefaultInfo].default_runfiles
                for target in targets + ctx.attr.data
            ]),
        ),
        coverage_common.instrumented_files_info(ctx, dependency_attributes = ["srcs", "data"]),
    ]

filegroup = rule(
    implementation = _filegroup_impl,
    doc = "A name for a set of files.",
    attrs = {
        "srcs": attr.label_list(allow_files = True, doc = "The files."),
        "data": attr.label_list(allow_files = True, doc = "Files that are there when a user of these runs."),
        "output_group": attr.string(doc = "The output group of `srcs` that is meant; empty: the usual outputs."),
        "path": attr.string(doc = "Accepted for compatibility; not used."),
    },
)
