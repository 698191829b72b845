"""The test frameworks that `lisp_test` knows."""

# The packages by which a framework is seen to be in a program; its adapter is frameworks/NAME.lisp.
FRAMEWORKS = {
    "fiasco": ["FIASCO"],
    "fiveam": ["IT.BESE.FIVEAM"],
    "lift": ["LIFT"],
    "lisp-unit2": ["LISP-UNIT2"],
    "parachute": ["ORG.SHIRAKUMO.PARACHUTE", "PARACHUTE"],
    "prove": ["PROVE"],
    "ptester": ["PTESTER"],
    "rove": ["ROVE"],
    "rt": ["REGRESSION-TEST", "SB-RT"],
    "stefil": ["HU.DWIM.STEFIL", "STEFIL"],
    "xlunit": ["XLUNIT"],
}

FRAMEWORK_ATTRS = {
    "framework": attr.string(
        values = [""] + sorted(FRAMEWORKS),
        doc = "The test framework whose tests run; by default the one that has some in the program. " +
              "With `expression` for those that do not list their tests.",
    ),
    "framework_adapter": attr.label(
        allow_single_file = [".lisp"],
        doc = "In place of `framework`: a Lisp file that tells of another one; see docs/testing.md.",
    ),
    "suites": attr.string_list(
        doc = "The suites and tests that run, of those that the framework knows; patterns as those of " +
              "`--test_filter`. By default all.",
    ),
    "_adapters": attr.label(default = Label("//lisp/frameworks:adapters")),
}

def add_framework(ctx, parameters, info):
    """Adds to `parameters` of a core what they say of the framework of a test.

    Args:
      ctx: the context of a rule with FRAMEWORK_ATTRS, `main` and `expression`.
      parameters: `Args`.
      info: the LispInfo of the program.

    Returns:
      The depset of the files that they name.
    """
    attr = ctx.attr
    if attr.framework and attr.framework_adapter:
        fail("`framework` and `framework_adapter` are both given: the adapter is that of another framework")
    named = attr.framework or attr.framework_adapter
    if attr.main != "main":
        if named or attr.suites:
            fail("`main` and `%s` are both given: a test runs one of them" % ("suites" if attr.suites else "framework"))
        return depset()
    if attr.expression and not named:
        if attr.suites:
            fail("`expression` and `suites` are both given: a test runs one of them")
        return depset()
    parameters.add_all(attr.suites, format_each = "suite %s")
    if attr.framework_adapter:
        parameters.add(ctx.file.framework_adapter, format = "own-adapter %s")
        return depset([ctx.file.framework_adapter], transitive = [_add_sources(ctx, parameters, info)])
    if attr.framework:
        parameters.add("framework " + attr.framework)
    return add_adapters(ctx, parameters, info, attr.framework)

def add_adapters(ctx, parameters, info, framework = ""):
    """Adds to `parameters` what they say of the adapters of frameworks.

    Args:
      ctx: the context of a rule with `_adapters`.
      parameters: `Args`.
      info: the LispInfo of the program.
      framework: the one that is meant; if empty, all.

    Returns:
      The depset of the files that they name.
    """
    files = []
    for file in ctx.attr._adapters[DefaultInfo].files.to_list():
        name = file.basename[:-len(".lisp")]
        if framework in ("", name):
            files.append(file)
            parameters.add("adapter %s %s %s" % (name, ",".join(FRAMEWORKS[name]), file.path))
    return depset(files, transitive = [_add_sources(ctx, parameters, info)])

def _add_sources(ctx, parameters, info):
    """Adds where the tests are defined: not in what others have made. The depset of the sources."""
    own = None if ctx.label.workspace_name else _own_source
    parameters.add_all(info.srcs, map_each = own, format_each = "defined-in %s")
    return info.srcs

def _own_source(file):
    return None if file.path.startswith("external/") else file.path
