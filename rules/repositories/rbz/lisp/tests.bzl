"""Tests of a library or program, without which nobody gets it."""

load(":cdeps.bzl", "add_c_libraries", "shared_object")
load(":compile.bzl", "lisp_compile_srcs", "requirements", "runtime_options", "shared_parameters")
load(":frameworks.bzl", "add_adapters")
load(":provider.bzl", "LispInfo", "core_loads_of", "with_compile_data")
load(":toolchain.bzl", "run_lisp")

TESTS_ATTRS = {
    "tests": attr.label_list(
        allow_files = [".lisp", ".lsp", ".cl"],
        doc = "Sources of tests of this target, which are loaded after its own. The target builds only if " +
              "the tests pass.",
    ),
    "tests_deps": attr.label_list(
        providers = [LispInfo],
        doc = "Lisp targets that `tests` need besides: a test framework.",
    ),
    "tests_expression": attr.string(
        doc = "What runs `tests`: an expression that is true if they pass; by default those of the test " +
              "framework among `tests_deps` run.",
    ),
    "_adapters": attr.label(default = Label("//lisp/frameworks:adapters")),
}

def tested(ctx, toolchain, compiled):
    """What a target offers if its tests pass.

    Args:
      ctx: the context of a rule with TESTS_ATTRS.
      toolchain: a LispToolchainInfo.
      compiled: what `lisp_compile_srcs` says of the target.

    Returns:
      A struct like `compiled`, whose LispInfo needs that the tests pass, and has also `files`: what
      is there when they did.
    """
    attr = ctx.attr
    info = compiled.lisp_info
    files = []
    if attr.tests or attr.tests_expression:
        if attr.image:
            fail("`tests` are not for targets with an `image`: let a lisp_test have it")
        mark = ctx.actions.declare_file(ctx.label.name + ".tested")
        _run(ctx, toolchain, info, mark)
        files.append(mark)
        info = with_compile_data(info, files)
    fields = {name: getattr(compiled, name) for name in dir(compiled)}
    fields.update(files = files, lisp_info = info)
    return struct(**fields)

def _run(ctx, toolchain, info, mark):
    """Registers the actions that compile the tests, and the one that runs them and writes `mark`."""
    attr = ctx.attr
    name = ctx.label.name + ".tests"
    tests = lisp_compile_srcs(
        ctx,
        srcs = ctx.files.tests,
        deps = attr.tests_deps,
        nowarn = attr.nowarn,
        encoding = attr.encoding,
        name = name,
        before = [info],
    ).lisp_info
    object = shared_object(ctx, tests.cc_info, name)
    parameters = shared_parameters(ctx, tests, attr.nowarn)
    add_c_libraries(parameters, tests.cc_info, object)
    parameters.add(mark, format = "output %s")
    if attr.tests_expression:
        parameters.add("expression " + " ".join(attr.tests_expression.split("\n")))
        adapters = depset()
    else:
        parameters.add("main nil")
        adapters = add_adapters(ctx, parameters, tests)
    parameters.add_all(core_loads_of(tests), format_each = "load %s")
    parameters.add_all(tests.warnings, format_each = "warnings %s")
    run_lisp(
        ctx,
        toolchain,
        "test",
        parameters,
        inputs = depset(
            ctx.files.data,
            transitive = [tests.fasls, tests.warnings, tests.compile_data, adapters] +
                         ([object.files] if object else []),
        ),
        outputs = [mark],
        mnemonic = "LispTest",
        progress_message = "Testing %s" % ctx.label,
        runtime_options = runtime_options(ctx),
        execution_requirements = requirements(ctx),
    )
