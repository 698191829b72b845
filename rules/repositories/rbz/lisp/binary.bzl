"""The rules `lisp_binary` and `lisp_test`."""

load("//cc:compile.bzl", "cc_mode")
load(":attributes.bzl", "LISP_COMPILE_ATTRS")
load(":cdeps.bzl", "add_c_libraries", "path_in_runfiles", "shared_object")
load(
    ":compile.bzl",
    "build_flags",
    "instrumented_files",
    "lisp_compile_srcs",
    "requirements",
    "shared_parameters",
)
load(":frameworks.bzl", "FRAMEWORK_ATTRS", "add_framework")
load(":link.bzl", "LISP_LINK_ATTRS", "is_linked", "link_program")
load(":outputs.bzl", "lisp_output_groups")
load(":provider.bzl", "LispInfo", "core_loads_of")
load(":runfiles.bzl", "lisp_runfiles")
load(":tests.bzl", "TESTS_ATTRS", "tested")
load(":toolchain.bzl", "run_lisp", "shown_path", "toolchain_of")

def _without(files, excluded):
    """The list of those of a depset of files that are not in another."""
    excluded = {file: True for file in excluded.to_list()}
    return [file for file in files.to_list() if file not in excluded]

def _runtime_options(attr):
    """The sizes are saved into the program: those of the target or the implementation's own."""
    options = []
    if attr.dynamic_space_size:
        options += ["--dynamic-space-size", attr.dynamic_space_size]
    if attr.control_stack_size:
        options += ["--control-stack-size", attr.control_stack_size]
    return options

def _is_stamped(ctx):
    """Whether the program knows the status of the workspace."""
    return ctx.attr.stamp == 1 or (ctx.attr.stamp == -1 and ctx.configuration.stamp_binaries())

def _core(ctx, toolchain, compiled, object, output, shown, executable = False, linked = False, lines = None):
    """Registers the action that saves a core: alone, to be linked, or with the runtime before it;
    `object` is what `shared_object` says."""
    attr = ctx.attr
    info = compiled.lisp_info
    image = attr.image
    warnings = info.warnings
    hashes = info.hashes
    parameters = shared_parameters(ctx, info, attr.nowarn)
    if image and LispInfo in image:
        inside = image[LispInfo]
        parameters.add_all(core_loads_of(inside), format_each = "inside %s")
        warnings = depset(_without(warnings, inside.warnings))
        hashes = depset(_without(hashes, inside.hashes))
    parameters.add(output, format = "output %s")
    parameters.add("program " + path_in_runfiles(ctx, shown))
    add_c_libraries(parameters, info.cc_info, object)
    if lines:
        parameters.add(lines, format = "lines %s")
    if linked:
        parameters.add("linked yes")
    elif object:
        parameters.add("opens " + path_in_runfiles(ctx, object.file))

    # A core alone may be another target's image; of programs only those that say so.
    if attr.allow_save_lisp or not (executable or linked):
        parameters.add("image yes")
    if executable:
        parameters.add("executable yes")
    if executable or linked:
        if attr.save_runtime_options:
            parameters.add("save-runtime-options yes")
    if attr.precompile_generics:
        parameters.add("precompile-generics yes")
    if attr.compression:
        parameters.add("compression " + attr.compression)
    expression = getattr(attr, "expression", "")
    main = attr.main or "main"
    if expression and attr.main != "main":
        fail("`main` and `expression` are both given: a test runs one of them")
    if expression:
        parameters.add("expression " + " ".join(expression.split("\n")))
    else:
        parameters.add("main " + main)
    extra = []
    of_framework = add_framework(ctx, parameters, info) if hasattr(attr, "framework") else depset()
    if ctx.file.helper_script:
        parameters.add(ctx.file.helper_script, format = "helper %s")
        extra.append(ctx.file.helper_script)
    if _is_stamped(ctx):
        status = [ctx.info_file, ctx.version_file]
        parameters.add_all(status, format_each = "status %s")
        extra += status
    parameters.add_all(core_loads_of(info), format_each = "load %s")
    parameters.add_all(warnings, format_each = "warnings %s")
    parameters.add_all(hashes, format_each = "hash-of %s")
    run_lisp(
        ctx,
        toolchain,
        "binary" if image and LispInfo not in image and executable else "core",
        parameters,
        inputs = depset(
            extra,
            transitive = [info.fasls, warnings, hashes, info.compile_data, of_framework] +
                         ([object.files] if object else []),
        ),
        outputs = [output] + ([lines] if lines else []),
        mnemonic = "LispCore",
        progress_message = "Saving %s" % shown_path(shown),
        image = image,
        image_arguments = _image_arguments(ctx, info, main, output, warnings, hashes) if image else [],
        runtime_options = _runtime_options(attr),
        execution_requirements = requirements(ctx),
    )

def _image_arguments(ctx, info, main, output, warnings, hashes):
    """The command line by which bazelisp's image would save the core."""
    image = ctx.attr.image
    fasls = info.fasls
    if LispInfo in image:
        fasls = depset(_without(fasls, image[LispInfo].fasls))
    args = ctx.actions.args()
    args.add_joined("--deps", fasls, join_with = " ")
    args.add_joined("--warnings", warnings, join_with = " ")
    args.add_joined("--hashes", hashes, join_with = " ")
    args.add("--outs", output)
    args.add("--main", main)
    args.add_joined("--nowarn", ctx.attr.nowarn, join_with = " ")
    if ctx.attr.precompile_generics:
        args.add("--precompile-generics")
    if ctx.attr.save_runtime_options:
        args.add("--save-runtime-options")
    return [build_flags(ctx, info), args]

def _lisp_binary_impl(ctx):
    return _program(ctx, is_test = False)

def _lisp_test_impl(ctx):
    return _program(ctx, is_test = True)

def _program(ctx, is_test):
    attr = ctx.attr
    toolchain = toolchain_of(ctx, attr.image)
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
    if not is_test:
        compiled = tested(ctx, toolchain, compiled)
    program = ctx.actions.declare_file(ctx.label.name)
    core = ctx.actions.declare_file(ctx.label.name + ".core")
    object = compiled.shared_object or shared_object(ctx, compiled.lisp_info.cc_info)
    runtime_files = [toolchain.runtime_files]
    if is_linked(ctx, is_test):
        part = ctx.actions.declare_file("%s~/%s.core" % (ctx.label.name, ctx.label.name))

        # The image of others does not say of which lines its code is.
        lines = None
        if cc_mode(ctx) == "dbg" and not attr.allow_save_lisp and not (attr.image and LispInfo not in attr.image):
            lines = ctx.actions.declare_file("%s~/%s.lines" % (ctx.label.name, ctx.label.name))
        _core(ctx, toolchain, compiled, object, part, program, linked = True, lines = lines)
        runtime_files.append(link_program(ctx, part, lines, compiled.lisp_info.cc_info, program))
    else:
        _core(ctx, toolchain, compiled, object, program, program, executable = True)
        if object:
            runtime_files.append(object.files)

    # Made only if somebody asks for it: the program holds a core of its own.
    _core(ctx, toolchain, compiled, object, core, core)
    runfiles = lisp_runfiles(ctx, files = [program])
    return [
        DefaultInfo(
            executable = program,
            files = depset([program]),
            runfiles = runfiles.merge(ctx.runfiles(transitive_files = depset(transitive = runtime_files))),
        ),
        lisp_output_groups(
            ctx,
            compiled,
            object,
            core = depset([core], transitive = [object.files] if object else [], order = "preorder"),
        ),
        compiled.lisp_info,
        toolchain,
        instrumented,
    ]

_BINARY_ATTRS = {
    "main": attr.string(
        default = "main",
        doc = "The function that the program starts with, read in `cl-user`; a call `(f a b)` is " +
              "applied to its unevaluated arguments; `nil` is the read-eval-print loop.",
    ),
    "helper_script": attr.label(
        allow_single_file = True,
        doc = "A Lisp file that is loaded before the program is saved, and saves it: it defines " +
              "`(cl-user::save-and-exit name &key toplevel save-runtime-options verbose " +
              "precompile-generics executable)`.",
    ),
    "allow_save_lisp": attr.bool(
        doc = "Whether the program can save itself again, and so be the `image` of other targets.",
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
_LISP_BINARY_ATTRS.update(LISP_LINK_ATTRS)
_LISP_BINARY_ATTRS.update(TESTS_ATTRS)
_LISP_BINARY_ATTRS["stamp"] = attr.int(
    default = -1,
    values = [-1, 0, 1],
    doc = "Whether the program knows the status of the workspace, as `rbz.program:*workspace-status*`: 1: yes, 0: no, -1: as `--stamp` says.",
)

_LISP_TEST_ATTRS = dict(LISP_COMPILE_ATTRS)
_LISP_TEST_ATTRS.update(_BINARY_ATTRS)
_LISP_TEST_ATTRS.update(LISP_LINK_ATTRS)
_LISP_TEST_ATTRS["stamp"] = attr.int(
    default = 0,
    values = [-1, 0, 1],
    doc = "Whether the program knows the status of the workspace, as `rbz.program:*workspace-status*`: 1: yes, 0: no, -1: as `--stamp` says.",
)
_LISP_TEST_ATTRS.update(FRAMEWORK_ATTRS)
_LISP_TEST_ATTRS["expression"] = attr.string(
    doc = "In place of `main`: an expression, whose value is true if the test passes.",
)

lisp_binary = rule(
    implementation = _lisp_binary_impl,
    doc = "A Lisp program, linked of its code, the runtime and C libraries; where that cannot be, the runtime and a core in one file.",
    attrs = _LISP_BINARY_ATTRS,
    executable = True,
)

lisp_test = rule(
    implementation = _lisp_test_impl,
    doc = "A Lisp program that is a test: it passes if the tests of a framework in it do, if an " +
          "expression is true, or if `main` returns.",
    attrs = _LISP_TEST_ATTRS,
    test = True,
)
