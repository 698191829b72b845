"""The rule `cc_import`."""

load(":compile.bzl", "own_context")
load(":library.bzl", "solib")
load(
    ":provider.bzl",
    "CcInfo",
    "create_library_to_link",
    "create_linker_input",
    "merge_compilation_contexts",
    "merge_linking_contexts",
)

def _cc_import_impl(ctx):
    attr = ctx.attr
    static = ctx.file.static_library or ctx.file.pic_static_library
    shared = ctx.file.shared_library
    if attr.system_provided and shared:
        fail("system_provided = True means that the machine brings the shared object: give interface_library instead of shared_library")
    own = own_context(ctx, headers = ctx.files.hdrs, includes = attr.includes, defines = attr.defines)
    dynamic = solib(ctx, shared) if shared else None
    libraries = []
    if static or shared or ctx.file.interface_library:
        libraries.append(create_library_to_link(
            static_library = static,
            pic_static_library = ctx.file.pic_static_library or static,
            dynamic_library = dynamic,
            interface_library = ctx.file.interface_library,
            alwayslink = attr.alwayslink,
        ))
    linkopts = attr.linkopts
    inputs = [create_linker_input(
        owner = ctx.label,
        libraries = libraries,
        user_link_flags = linkopts,
    )] if libraries or linkopts else []
    infos = [dep[CcInfo] for dep in attr.deps]
    runfiles = ctx.runfiles(files = ctx.files.data + ([dynamic] if dynamic else []))
    files = [file for file in [static, shared, ctx.file.interface_library] if file]
    return [
        DefaultInfo(
            files = depset(files),
            runfiles = runfiles.merge_all([
                target[DefaultInfo].default_runfiles
                for target in attr.deps + attr.data
            ]),
        ),
        CcInfo(
            compilation_context = merge_compilation_contexts(
                [info.compilation_context for info in infos],
                own = own,
            ),
            linking_context = merge_linking_contexts(
                [info.linking_context for info in infos],
                own = inputs,
            ),
        ),
    ]

cc_import = rule(
    implementation = _cc_import_impl,
    doc = "A library that was built elsewhere.",
    attrs = {
        "hdrs": attr.label_list(allow_files = True, doc = "Its headers."),
        "static_library": attr.label(allow_single_file = True, doc = "The archive."),
        "pic_static_library": attr.label(
            allow_single_file = True,
            doc = "The archive of position-independent code.",
        ),
        "shared_library": attr.label(
            allow_single_file = True,
            doc = "The shared object; it must be called what its soname says.",
        ),
        "interface_library": attr.label(
            allow_single_file = True,
            doc = "What is linked against in place of the shared object.",
        ),
        "system_provided": attr.bool(doc = "Whether the machine brings the shared object."),
        "alwayslink": attr.bool(doc = "Whether all of the archive is linked, used or not."),
        "includes": attr.string_list(
            doc = "Directories, relative to the package, in which users find `#include <…>`.",
        ),
        "defines": attr.string_list(doc = "Macros for all that depend on it."),
        "linkopts": attr.string_list(doc = "Arguments for the linker."),
        "deps": attr.label_list(providers = [CcInfo], doc = "What the library uses."),
        "data": attr.label_list(allow_files = True, doc = "Files that are there when it runs."),
    },
    provides = [CcInfo],
)
