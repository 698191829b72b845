"""The rule `lisp_library`."""

load(":attributes.bzl", "LISP_COMPILE_ATTRS")
load(":compile.bzl", "instrumented_files", "lisp_compile_srcs")
load(":outputs.bzl", "lisp_output_groups")
load(":provider.bzl", "LispInfo")
load(":runfiles.bzl", "lisp_runfiles")
load(":tests.bzl", "TESTS_ATTRS", "tested")
load(":toolchain.bzl", "toolchain_of")

def _lisp_library_impl(ctx):
    attr = ctx.attr
    compiled = lisp_compile_srcs(
        ctx,
        srcs = ctx.files.srcs,
        deps = attr.deps,
        cdeps = attr.cdeps,
        image = attr.image,
        add_features = attr.add_features,
        nowarn = attr.nowarn,
        order = attr.order,
        compile_data = attr.compile_data,
        block_compile = attr.block_compile,
        block_compile_specified_only = attr.block_compile_specified_only,
        instrument_coverage = attr.instrument_coverage,
        load = attr.load,
        encoding = attr.encoding,
    )
    instrumented = instrumented_files(ctx, compiled)
    compiled = tested(ctx, toolchain_of(ctx, attr.image), compiled)
    if compiled.output_fasl:
        parts = []
    else:
        # A library without sources stands for those that it puts together.
        parts = [dep[DefaultInfo].files for dep in attr.deps]
    own = ([compiled.output_fasl] if compiled.output_fasl else []) + compiled.files
    return [
        DefaultInfo(files = depset(own, transitive = parts), runfiles = lisp_runfiles(ctx)),
        lisp_output_groups(ctx, compiled, compiled.shared_object),
        compiled.lisp_info,
        instrumented,
    ]

_LISP_LIBRARY_ATTRS = dict(LISP_COMPILE_ATTRS)
_LISP_LIBRARY_ATTRS.update(TESTS_ATTRS)

lisp_library = rule(
    implementation = _lisp_library_impl,
    doc = "Lisp sources that other Lisp targets use.",
    attrs = _LISP_LIBRARY_ATTRS,
    provides = [LispInfo],
)
