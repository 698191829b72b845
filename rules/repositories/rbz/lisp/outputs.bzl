"""The output groups of Lisp targets."""

load("//core:settings.bzl", "BuildSettingInfo")
load(":cdeps.bzl", "shared_object")
load(":repl.bzl", "repl_groups")

def _deps_manifest(ctx, info):
    """A file that lists features and sources of the closure, in load order."""
    manifest = ctx.actions.declare_file(ctx.label.name + ".deps")
    content = ctx.actions.args()
    content.set_param_file_format("multiline")
    content.add_all(info.features, format_each = "feature: %s")
    content.add_all(info.srcs, format_each = "src: %s")
    ctx.actions.write(manifest, content)
    return depset([manifest])

def lisp_output_groups(ctx, compiled, object = None, **groups):
    """The OutputGroupInfo of a Lisp target.

    Args:
      ctx: the rule's context.
      compiled: what `lisp_compile_srcs` returned.
      object: what `shared_object` says, if it was asked.
      **groups: depsets of further groups.

    Returns:
      An OutputGroupInfo.
    """
    groups["fasl"] = depset([compiled.output_fasl] if compiled.output_fasl else [])
    if ctx.attr._additional_dynamic_load_outputs[BuildSettingInfo].value:
        groups["deps_manifest"] = _deps_manifest(ctx, compiled.lisp_info)
        object = object or shared_object(ctx, compiled.lisp_info.cc_info)
        groups["dynamic_library"] = depset([object.file] if object else [])
    if ctx.attr._repl[BuildSettingInfo].value:
        object = object or shared_object(ctx, compiled.lisp_info.cc_info)
        groups.update(repl_groups(ctx, compiled, object))
    return OutputGroupInfo(**groups)
