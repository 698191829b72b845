"""The rule `genrule`."""

load(":make_variables.bzl", "expand_variables")

def _directory(ctx):
    """The output directory of the package."""
    label = ctx.label
    parts = [ctx.bin_dir.path]
    if label.workspace_root:
        parts.append(label.workspace_root)
    if label.package:
        parts.append(label.package)
    return "/".join(parts)

def _genrule_impl(ctx):
    attr = ctx.attr
    outs = ctx.outputs.outs
    srcs = ctx.files.srcs
    command = attr.cmd_bash or attr.cmd
    if not outs:
        fail("a genrule makes at least one file: outs is empty")
    if not command:
        fail("a genrule needs a command: give cmd")
    if attr.executable and len(outs) != 1:
        fail("executable = True needs exactly one file in outs")
    variables = dict(ctx.var)
    variables.update({
        "SRCS": " ".join([src.path for src in srcs]),
        "OUTS": " ".join([out.path for out in outs]),
        "BINDIR": ctx.bin_dir.path,
        "GENDIR": ctx.bin_dir.path,
        "RULEDIR": _directory(ctx),
        "@D": outs[0].dirname if len(outs) == 1 else _directory(ctx),
    })
    if len(outs) == 1:
        variables["@"] = outs[0].path
    if len(srcs) == 1:
        variables["<"] = srcs[0].path
    command = ctx.expand_location(command, attr.srcs + attr.tools)
    command = expand_variables(command, variables, "cmd")

    # The last line leaves the exit status of the command as it is.
    script = "set -euo pipefail\n" + command
    if attr.executable:
        script += "\nchmod +x " + outs[0].path
    status = []
    if attr.stamp == 1 or (attr.stamp == -1 and ctx.configuration.stamp_binaries()):
        status = [ctx.info_file, ctx.version_file]
    requirements = {tag: "" for tag in attr.tags}
    if attr.local:
        requirements["local"] = ""
    ctx.actions.run_shell(
        mnemonic = "Genrule",
        progress_message = attr.message or "Running genrule %s" % ctx.label,
        command = script,
        inputs = depset(srcs + status, transitive = [target[DefaultInfo].files for target in attr.tools]),
        tools = [
            tool[DefaultInfo].files_to_run
            for tool in attr.tools
            if tool[DefaultInfo].files_to_run and tool[DefaultInfo].files_to_run.executable
        ],
        outputs = outs,
        use_default_shell_env = True,
        execution_requirements = requirements,
    )
    files = depset(outs)
    runfiles = ctx.runfiles(files = outs)
    if attr.executable:
        return [DefaultInfo(files = files, runfiles = runfiles, executable = outs[0])]
    return [DefaultInfo(files = files, runfiles = runfiles)]

genrule = rule(
    implementation = _genrule_impl,
    doc = "Files that a shell command makes.",
    attrs = {
        "srcs": attr.label_list(allow_files = True, doc = "Files that the command reads."),
        "outs": attr.output_list(mandatory = True, doc = "Files that the command writes."),
        "cmd": attr.string(doc = "The command, for bash."),
        "cmd_bash": attr.string(doc = "The command, in place of `cmd`."),
        "cmd_bat": attr.string(doc = "Accepted for compatibility; not used."),
        "cmd_ps": attr.string(doc = "Accepted for compatibility; not used."),
        "tools": attr.label_list(
            allow_files = True,
            cfg = "exec",
            doc = "Programs and other files that the command uses.",
        ),
        "executable": attr.bool(doc = "Whether the one output is a program."),
        "output_to_bindir": attr.bool(doc = "Accepted for compatibility; all outputs go there."),
        "stamp": attr.int(
            default = 0,
            values = [-1, 0, 1],
            doc = "Whether the command sees the status of the workspace, in the files " +
                  "rbz-out/stable-status.txt and rbz-out/volatile-status.txt; -1: if --stamp is given.",
        ),
        "message": attr.string(doc = "What to show while the command runs."),
        "local": attr.bool(doc = "Whether the command runs outside of the sandbox."),
    },
)
