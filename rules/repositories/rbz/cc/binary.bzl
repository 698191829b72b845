"""The rules `cc_binary` and `cc_test`."""

load(":attributes.bzl", "CC_BINARY_ATTRS")
load(":compile.bzl", "cc_mode")
load(":library.bzl", "cc_runfiles", "compiled", "link_options", "prebuilt_libraries", "sorted_sources")
load(":link.bzl", "dynamic_libraries", "link")
load(":provider.bzl", "CcInfo", "create_linker_input", "merge_linking_contexts")
load(":toolchain.bzl", "CcToolchainInfo")

def _cc_binary_impl(ctx):
    attr = ctx.attr
    toolchain = attr._cc_toolchain[CcToolchainInfo]
    kinds = sorted_sources(ctx)
    result = compiled(ctx, kinds)
    name = ctx.label.name
    if attr.linkshared and not (name.endswith(".so") or ".so." in name):
        name = "lib%s.so" % name
    output = ctx.actions.declare_file(name)
    first = [attr.malloc] if attr.malloc else []
    last = [attr.link_extra_lib] if attr.link_extra_lib else []
    prebuilt = prebuilt_libraries(ctx, kinds)
    linking_context = merge_linking_contexts(
        [dep[CcInfo].linking_context for dep in first + attr.deps + last],
        own = [create_linker_input(owner = ctx.label, libraries = prebuilt)] if prebuilt else [],
    )
    form = "static" if attr.linkstatic else "shared"
    system = link(
        ctx,
        toolchain,
        output,
        result.objects,
        linking_context,
        cc_mode(ctx),
        form = form,
        shared = attr.linkshared,
        soname = output.basename if attr.linkshared else None,
        linkopts = link_options(ctx),
        additional_inputs = ctx.files.additional_linker_inputs,
    )
    runfiles = cc_runfiles(
        ctx,
        files = [output] + dynamic_libraries(linking_context, form),
        transitive_files = system,
    )
    return [
        DefaultInfo(
            executable = output,
            files = depset([output]),
            runfiles = runfiles,
        ),
        OutputGroupInfo(compilation_outputs = depset(result.objects)),
        result.instrumented_files,
    ]

_CC_TEST_ATTRS = dict(CC_BINARY_ATTRS)
_CC_TEST_ATTRS["linkstatic"] = attr.bool(
    doc = "Whether libraries are linked into it; else their shared objects are in its runfiles.",
)
_CC_TEST_ATTRS["stamp"] = attr.int(
    default = 0,
    values = [-1, 0, 1],
    doc = "Accepted for compatibility; not used.",
)

cc_binary = rule(
    implementation = _cc_binary_impl,
    doc = "A program, or a shared object, of C and C++.",
    attrs = CC_BINARY_ATTRS,
    executable = True,
)

cc_test = rule(
    implementation = _cc_binary_impl,
    doc = "A program of C and C++ that is a test: it passes if it ends with 0.",
    attrs = _CC_TEST_ATTRS,
    test = True,
)
