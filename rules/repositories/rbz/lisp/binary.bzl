"""The rules `lisp_binary` and `lisp_test`."""

load(":attributes.bzl", "LISP_COMPILE_ATTRS")
load(":compile.bzl", "compilation_mode", "lisp_compile_srcs", "mode_features")
load(":provider.bzl", "LispInfo")
load(":runfiles.bzl", "lisp_runfiles")
load(":toolchain.bzl", "LispToolchainInfo", "run_lisp")

def _refuse(condition, message):
    if condition:
        fail(message)

def _core(ctx, toolchain, compiled, output, executable, mode):
    """Registers the action that saves a core."""
    attr = ctx.attr
    info = compiled.lisp_info
    parameters = ctx.actions.args()
    parameters.add("mode " + mode)
    parameters.add("target " + str(ctx.label))
    parameters.add(output, format = "output %s")
    if executable:
        parameters.add("executable yes")
        if attr.save_runtime_options:
            parameters.add("save-runtime-options yes")
    if attr.precompile_generics:
        parameters.add("precompile-generics yes")
    if attr.compression:
        parameters.add("compression " + attr.compression)
    expression = getattr(attr, "expression", "")
    if expression:
        parameters.add("expression " + expression)
    else:
        parameters.add("main " + (attr.main or "main"))
    parameters.add_all(mode_features(mode), format_each = "feature %s")
    parameters.add_all(info.features, format_each = "feature %s")
    parameters.add_all(attr.nowarn, format_each = "nowarn %s")
    image = attr.image
    if image and LispInfo in image:
        parameters.add_all(image[LispInfo].core_loads, format_each = "inside %s")
    parameters.add_all(info.core_loads, format_each = "load %s")
    parameters.add_all(info.warnings, format_each = "warnings %s")

    # The sizes are saved into the program: those of the target or the implementation's own.
    options = []
    if attr.dynamic_space_size:
        options += ["--dynamic-space-size", attr.dynamic_space_size]
    if attr.control_stack_size:
        options += ["--control-stack-size", attr.control_stack_size]
    run_lisp(
        ctx,
        toolchain,
        "core",
        parameters,
        inputs = depset(transitive = [info.fasls, info.warnings, info.compile_data]),
        outputs = [output],
        mnemonic = "LispCore",
        progress_message = "Saving %s" % output.short_path,
        image = image[DefaultInfo].files_to_run if image else None,
        runtime_options = options,
    )

def _lisp_binary_impl(ctx):
    attr = ctx.attr
    _refuse(attr.malloc, "malloc: the program is not linked, so its allocator cannot be chosen yet")
    _refuse(attr.runtime, "runtime: the program is not linked, so its runtime cannot be chosen yet")
    _refuse(attr.helper_script, "helper_script is not supported yet")
    _refuse(attr.stamp == 1, "stamp = 1 is not supported yet")
    toolchain = attr._lisp_toolchain[LispToolchainInfo]
    compiled = lisp_compile_srcs(
        ctx,
        srcs = ctx.files.srcs,
        deps = attr.deps,
        cdeps = attr.cdeps,
        image = attr.image,
        add_features = attr.add_features,
        nowarn = attr.nowarn,
        order = attr.order,
        compile_data = ctx.files.compile_data,
        block_compile = attr.block_compile,
        block_compile_specified_only = attr.block_compile_specified_only,
        instrument_coverage = attr.instrument_coverage,
        load = attr.load,
    )
    mode = compilation_mode(ctx)
    program = ctx.actions.declare_file(ctx.label.name)
    core = ctx.actions.declare_file(ctx.label.name + ".core")
    _core(ctx, toolchain, compiled, program, True, mode)

    # Made only if somebody asks for it: the program holds a core of its own.
    _core(ctx, toolchain, compiled, core, False, mode)
    fasls = [compiled.output_fasl] if compiled.output_fasl else []
    runfiles = lisp_runfiles(ctx, files = [program])
    return [
        DefaultInfo(
            executable = program,
            files = depset([program]),
            runfiles = runfiles.merge(ctx.runfiles(transitive_files = toolchain.runtime_files)),
        ),
        OutputGroupInfo(core = depset([core]), fasl = depset(fasls)),
        compiled.lisp_info,
    ]

_BINARY_ATTRS = {
    "main": attr.string(
        default = "main",
        doc = "The function that the program starts with, read in `cl-user`; a call `(f a b)` is " +
              "applied to its unevaluated arguments; `nil` is the read-eval-print loop.",
    ),
    "malloc": attr.label(doc = "Not supported yet."),
    "runtime": attr.label(doc = "Not supported yet."),
    "helper_script": attr.label(allow_single_file = True, doc = "Not supported yet."),
    "allow_save_lisp": attr.bool(
        doc = "Whether the program can save itself again; every program can, as yet.",
    ),
    "precompile_generics": attr.bool(
        default = True,
        doc = "Whether the dispatch of generic functions is computed before the program is saved.",
    ),
    "save_runtime_options": attr.bool(
        default = True,
        doc = "Whether options such as `--help` are the program's own, not those of the runtime.",
    ),
    "compression": attr.string(doc = "Level by which the core is compressed; empty: not at all."),
}

_LISP_BINARY_ATTRS = dict(LISP_COMPILE_ATTRS)
_LISP_BINARY_ATTRS.update(_BINARY_ATTRS)
_LISP_BINARY_ATTRS["stamp"] = attr.int(
    default = -1,
    values = [-1, 0, 1],
    doc = "Whether the program knows the status of the workspace; 1 is not supported yet.",
)

_LISP_TEST_ATTRS = dict(LISP_COMPILE_ATTRS)
_LISP_TEST_ATTRS.update(_BINARY_ATTRS)
_LISP_TEST_ATTRS["stamp"] = attr.int(
    default = 0,
    values = [-1, 0, 1],
    doc = "Whether the program knows the status of the workspace; 1 is not supported yet.",
)
_LISP_TEST_ATTRS["expression"] = attr.string(
    doc = "In place of `main`: an expression, whose value is true if the test passes.",
)

lisp_binary = rule(
    implementation = _lisp_binary_impl,
    doc = "A Lisp program: the implementation's runtime and a core in one file.",
    attrs = _LISP_BINARY_ATTRS,
    executable = True,
)

lisp_test = rule(
    implementation = _lisp_binary_impl,
    doc = "A Lisp program that is a test: it passes if it ends with 0.",
    attrs = _LISP_TEST_ATTRS,
    test = True,
)
