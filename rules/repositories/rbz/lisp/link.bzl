"""Programs that are linked: the objects of a core, the Lisp runtime, and C libraries."""

load("//cc:compile.bzl", "cc_mode")
load("//cc:link.bzl", "has_libraries", "link")
load("//cc:provider.bzl", "CcInfo", "merge_linking_contexts")
load(":runtime.bzl", "LispLinkingInfo", "LispRuntimeInfo")
load(":toolchain.bzl", "shown_path")

LISP_LINK_ATTRS = {
    "linkopts": attr.string_list(doc = "Arguments of the linker."),
    "malloc": attr.label(
        providers = [CcInfo],
        doc = "A C library that is linked first: an allocator.",
    ),
    "runtime": attr.label(
        providers = [CcInfo],
        doc = "The Lisp runtime as a C library; by default that of the implementation.",
    ),
    "_linking": attr.label(default = Label("//lisp:linking")),
    "_rbz": attr.label(default = Label("@rbz_program//:rbz"), allow_single_file = True),
    "_rbz_libraries": attr.label(default = Label("@rbz_program//:libraries")),
}

def is_linked(ctx, is_test):
    """Whether the program of a target is linked; an error if it must be and cannot.

    Args:
      ctx: the context of a rule with LISP_LINK_ATTRS and `compression`.
      is_test: whether the program is a test: in `fastbuild` it runs sooner as it is.
    """
    linking = ctx.attr._linking[LispLinkingInfo]
    obstacle = linking.obstacle
    if ctx.attr.compression and not obstacle:
        obstacle = "compression: a compressed core cannot be linked"
    needs = ""
    if ctx.attr.linkopts:
        needs = "linkopts"
    elif ctx.attr.malloc and has_libraries(ctx.attr.malloc[CcInfo]):
        needs = "malloc"
    elif ctx.attr.runtime and (LispRuntimeInfo not in ctx.attr.runtime):
        needs = "runtime"
    if needs and obstacle:
        fail("the program has to be linked, for %s, and cannot be: %s" % (needs, obstacle))
    wanted = linking.wanted and not (is_test and cc_mode(ctx) == "fastbuild")
    return bool(needs) or (wanted and not obstacle)

def link_program(ctx, core, lines, cc_info, output):
    """Registers the actions that link a program.

    Args:
      ctx: the context of a rule with LISP_LINK_ATTRS and `allow_save_lisp`.
      core: a core, uncompressed.
      lines: of which lines its code is, or None.
      cc_info: the C libraries of the closure, or None.
      output: the program.

    Returns:
      The depset of what the program needs of the machine when it runs.
    """
    attr = ctx.attr
    linking = attr._linking[LispLinkingInfo]
    rbz = ctx.file._rbz
    rbz_files = depset([rbz], transitive = [attr._rbz_libraries[DefaultInfo].files])
    name = "%s~/%s." % (ctx.label.name, ctx.label.name)
    object = ctx.actions.declare_file(name + "o")
    options = ctx.actions.declare_file(name + "options")
    outputs = [object, options]
    arguments = ctx.actions.args()
    arguments.add_all(["tool", "elf"])
    if attr.allow_save_lisp:
        symbols = ctx.actions.declare_file(name + "symbols")
        outputs.append(symbols)
        arguments.add("copy")
        arguments.add(symbols, format = "--dynamic_list=%s")
    else:
        arguments.add("split")
        if lines:
            arguments.add(lines, format = "--lines=%s")
    arguments.add(core)
    arguments.add(object, format = "--output=%s")
    arguments.add(options, format = "--linker_options=%s")
    ctx.actions.run(
        mnemonic = "LispElf",
        progress_message = "Splitting %s" % shown_path(output),
        executable = rbz,
        arguments = [arguments],
        inputs = depset([core] + ([lines] if lines else []), transitive = [rbz_files]),
        outputs = outputs,
    )
    runtime = attr.runtime[CcInfo] if attr.runtime else linking.runtime
    infos = [attr.malloc[CcInfo]] if attr.malloc else []
    infos = infos + ([cc_info] if cc_info else []) + [runtime]
    return link(
        ctx,
        linking.cc_toolchain,
        output,
        [object],
        merge_linking_contexts([info.linking_context for info in infos]),
        cc_mode(ctx),
        # What Lisp code calls, nothing may refer to.
        linkopts = attr.linkopts + ["-Wl,--no-gc-sections", "@" + options.path],
        additional_inputs = outputs[1:],
        launcher = struct(
            executable = rbz,
            arguments = ["tool", "elf", "link", output.path],
            files = rbz_files,
        ),
    )
