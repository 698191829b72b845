"""The Lisp runtime as something to link, and whether it can be."""

load("//cc:provider.bzl", "CcInfo", "create_linker_input", "merge_linking_contexts")
load("//cc:toolchain.bzl", "CcToolchainInfo", "NoCcToolchainInfo")
load("//core:settings.bzl", "BuildSettingInfo")

LispRuntimeInfo = provider(
    doc = "The runtime of a Lisp as something to link.",
    fields = {"missing": "Why there is none; empty: there is one, in a CcInfo."},
)

LispLinkingInfo = provider(
    doc = "How programs are linked.",
    fields = {
        "cc_toolchain": "A CcToolchainInfo, or None.",
        "runtime": "The CcInfo of the Lisp runtime, or None.",
        "obstacle": "Why no program can be linked; empty: nothing is in the way.",
        "wanted": "Whether programs are linked that need not be.",
    },
)

def _lisp_runtime_impl(ctx):
    attr = ctx.attr
    if attr.missing:
        return [DefaultInfo(), LispRuntimeInfo(missing = attr.missing)]
    files = depset(transitive = [target[DefaultInfo].files for target in attr.files])
    return [
        DefaultInfo(files = files),
        LispRuntimeInfo(missing = ""),
        CcInfo(linking_context = merge_linking_contexts([], own = [create_linker_input(
            owner = ctx.label,
            user_link_flags = attr.flags,
            additional_inputs = files,
        )])),
    ]

lisp_runtime = rule(
    implementation = _lisp_runtime_impl,
    doc = "The runtime of a Lisp on this machine, as something to link.",
    attrs = {
        "files": attr.label_list(doc = "What the flags name."),
        "flags": attr.string_list(doc = "Arguments of the linker: the object, and the libraries that it needs."),
        "missing": attr.string(doc = "Why there is none."),
    },
)

def _lisp_linking_impl(ctx):
    attr = ctx.attr
    obstacle = ""
    if LispRuntimeInfo in attr.runtime:
        obstacle = attr.runtime[LispRuntimeInfo].missing
    if not obstacle and NoCcToolchainInfo in attr.cc_toolchain:
        obstacle = attr.cc_toolchain[NoCcToolchainInfo].message
    wanted = attr.wanted[BuildSettingInfo].value
    if obstacle and wanted:
        # Said once, here, and not for each program.
        print("Lisp programs are not linked, but made of the runtime and a core: " + obstacle)
    return [LispLinkingInfo(
        cc_toolchain = None if obstacle else attr.cc_toolchain[CcToolchainInfo],
        runtime = None if obstacle else attr.runtime[CcInfo],
        obstacle = obstacle,
        wanted = wanted,
    )]

lisp_linking = rule(
    implementation = _lisp_linking_impl,
    doc = "Whether and how Lisp programs are linked on this machine.",
    attrs = {
        "cc_toolchain": attr.label(mandatory = True, doc = "The C compiler, if there is one."),
        "runtime": attr.label(mandatory = True, doc = "The runtime of the Lisp."),
        "wanted": attr.label(mandatory = True, doc = "The build setting that decides."),
    },
)
