"""The C and C++ part of Lisp targets."""

load("//cc:compile.bzl", "cc_mode")
load("//cc:link.bzl", "has_libraries", "link_cdeps")
load("//cc:toolchain.bzl", "CcToolchainInfo", "NoCcToolchainInfo")

def _cc_toolchain(ctx):
    target = ctx.attr._cc_toolchain
    if NoCcToolchainInfo in target:
        fail(target[NoCcToolchainInfo].message)
    return target[CcToolchainInfo]

def shared_object(ctx, cc_info, name = None):
    """Registers the action that makes one shared object of all C libraries of a closure.

    Args:
      ctx: the rule's context.
      cc_info: the C part of the closure.
      name: what it is called; by default as the target.

    Returns:
      A struct of the `file` and the depset `files` of it and what it needs when it is opened; None
      if there are no C libraries.
    """
    if not has_libraries(cc_info):
        return None
    name = name or ctx.label.name
    output = ctx.actions.declare_file("%s~/lib%s.so" % (name, name.replace("/", "_")))
    needed = link_cdeps(ctx, _cc_toolchain(ctx), output, cc_info, cc_mode(ctx))
    return struct(file = output, files = depset([output], transitive = [needed]))

def _library_name(file_name):
    """The name of the library in a file: `libz` of `libz.a` and `libz.so.1`."""
    for end in [".so", ".pic.a", ".a", ".lo"]:
        if end in file_name:
            return file_name[:file_name.find(end)]
    return file_name

def _provided_names(input):
    """Names by which code may open what a linker input brings."""
    names = [
        _library_name(file.basename)
        for library in input.libraries
        for file in [library.static_library, library.pic_static_library, library.dynamic_library, library.interface_library]
        if file
    ]
    return names + ["lib" + flag[2:] for flag in input.user_link_flags if flag.startswith("-l")]

def add_c_libraries(parameters, cc_info, object = None):
    """Tells an action what it needs to know of the C part of its closure.

    Args:
      parameters: the `Args` to add to.
      cc_info: the C part, or None.
      object: what `shared_object` says if it is to be opened, else None.
    """
    if cc_info:
        parameters.add_all(
            cc_info.linking_context.linker_inputs,
            map_each = _provided_names,
            format_each = "provided %s",
            uniquify = True,
        )
    if object:
        parameters.add(object.file, format = "shared-object %s")

def path_in_runfiles(ctx, file):
    """Where a file is in a tree of runfiles."""
    path = file.short_path
    return path[3:] if path.startswith("../") else ctx.workspace_name + "/" + path
