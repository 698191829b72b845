"""What a read-eval-print loop needs of a target: output groups that `rbz repl` builds.

The group `repl_manifest` has one file, of lines, each a key, a space and a value. After those of the
implementation (`program`, `home`, `driver`, `repl`) stand `target LABEL`, `mode`, `feature`,
`provided`, `shared-object` and `load STEP` as the driver's actions know them; `whole FASL`, by which
other targets load this one; `encoding NAME`; and for each file that is loaded for the target itself
`fasl PATH` and the `source PATH` of what is in it. The group `repl` has what must be there,
`repl_own` the target's own compiled files: as long as one of those cannot be had, its sources do.
"""

load(":cdeps.bzl", "add_c_libraries")
load(":compile.bzl", "add_settings")
load(":toolchain.bzl", "add_implementation", "toolchain_of")

def repl_groups(ctx, compiled, object):
    """The output groups of a Lisp target for `rbz repl`.

    Args:
      ctx: the rule's context.
      compiled: what `lisp_compile_srcs` returned.
      object: what `shared_object` says.

    Returns:
      A dictionary of depsets.
    """
    toolchain = toolchain_of(ctx, ctx.attr.image)
    base = compiled.base
    lines = ctx.actions.args()
    lines.set_param_file_format("multiline")
    add_implementation(lines, toolchain)
    lines.add("target " + str(ctx.label))
    add_settings(ctx, lines, base, [])
    add_c_libraries(lines, base.cc_info, object)
    lines.add_all(base.core_loads, format_each = "load %s")
    if compiled.output_fasl:
        lines.add(compiled.output_fasl, format = "whole %s")
    if ctx.attr.encoding:
        lines.add("encoding " + ctx.attr.encoding)
    for file in compiled.compiled:
        lines.add(file.fasl, format = "fasl %s")
        lines.add_all(file.sources, format_each = "source %s")
    manifest = ctx.actions.declare_file("%s~/%s.repl" % (ctx.label.name, ctx.label.name))
    ctx.actions.write(manifest, lines)
    return {
        "repl": depset(
            [toolchain.driver, toolchain.repl] + ctx.files.srcs,
            transitive = [base.fasls, base.compile_data] + ([object.files] if object else []),
        ),
        "repl_manifest": depset([manifest]),
        "repl_own": depset([file.fasl for file in compiled.compiled]),
    }
