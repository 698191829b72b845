"""The attributes that C and C++ rules share."""

load(":provider.bzl", "CcInfo")

TOOLCHAIN_ATTRS = {
    "_cc_toolchain": attr.label(default = Label("@cc//:toolchain")),
}

CC_COMPILE_ATTRS = {
    "srcs": attr.label_list(
        allow_files = True,
        doc = "Sources of C, C++ and assembler; headers that only they include; objects, archives " +
              "and shared objects that are linked as they are.",
    ),
    "deps": attr.label_list(providers = [CcInfo], doc = "What the sources use, C and C++ targets."),
    "data": attr.label_list(allow_files = True, doc = "Files that are there when it runs."),
    "copts": attr.string_list(doc = "Arguments for the compiler, of this target alone."),
    "conlyopts": attr.string_list(doc = "Arguments for C sources."),
    "cxxopts": attr.string_list(doc = "Arguments for C++ sources."),
    "defines": attr.string_list(
        doc = "Macros, `NAME` or `NAME=VALUE`, for this target and all that depend on it.",
    ),
    "local_defines": attr.string_list(doc = "Macros for this target alone."),
    "includes": attr.string_list(
        doc = "Directories, relative to the package, in which this target and all that depend on " +
              "it find `#include <…>`.",
    ),
    "linkopts": attr.string_list(
        doc = "Arguments for the linker; of libraries, for all that they are linked into.",
    ),
    "additional_linker_inputs": attr.label_list(
        allow_files = True,
        doc = "Files that `linkopts` names with `$(location …)`.",
    ),
    "additional_compiler_inputs": attr.label_list(
        allow_files = True,
        doc = "Files that `copts` names with `$(location …)`.",
    ),
    "nocopts": attr.string(doc = "Accepted for compatibility; not used."),
    "linkstamp": attr.label(allow_single_file = True, doc = "Accepted for compatibility; not used."),
    "win_def_file": attr.label(allow_single_file = True, doc = "Accepted for compatibility; not used."),
}
CC_COMPILE_ATTRS.update(TOOLCHAIN_ATTRS)

CC_LIBRARY_ATTRS = dict(CC_COMPILE_ATTRS)
CC_LIBRARY_ATTRS.update({
    "hdrs": attr.label_list(allow_files = True, doc = "Headers for those that depend on it."),
    "textual_hdrs": attr.label_list(
        allow_files = True,
        doc = "Files that others include but that cannot be compiled alone.",
    ),
    "implementation_deps": attr.label_list(
        providers = [CcInfo],
        doc = "What only the sources use: its headers are not there for those that depend on this.",
    ),
    "strip_include_prefix": attr.string(
        doc = "What is left out at the beginning of the headers' paths in `#include`; relative to " +
              "the package, with a leading slash to the repository.",
    ),
    "include_prefix": attr.string(doc = "What is put before the headers' paths in `#include`."),
    "alwayslink": attr.bool(doc = "Whether all of it is linked, used or not."),
    "linkstatic": attr.bool(doc = "Whether there is no shared object of it."),
})

CC_BINARY_ATTRS = dict(CC_COMPILE_ATTRS)
CC_BINARY_ATTRS.update({
    "linkshared": attr.bool(doc = "Whether it is a shared object instead of a program."),
    "linkstatic": attr.bool(
        default = True,
        doc = "Whether libraries are linked into it; else their shared objects are in its runfiles.",
    ),
    "malloc": attr.label(
        providers = [CcInfo],
        doc = "A library that is linked first and may bring its own allocator.",
    ),
    "link_extra_lib": attr.label(providers = [CcInfo], doc = "A library that is linked, too."),
    "stamp": attr.int(default = -1, values = [-1, 0, 1], doc = "Accepted for compatibility; not used."),
})
