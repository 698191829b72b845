"""The running rbz as a target: `rbz tool` does part of the work of actions."""

def _rbz_configure_impl(ctx):
    program = ctx.os.environ.get("RBZ", "")
    if not program or not ctx.path(program).exists:
        fail("the rbz that is running has no file any more: start it again")

    # Actions see it under a path that is the same everywhere.
    ctx.symlink(program, "rbz")
    ctx.file("BUILD.bazel", """\
package(default_visibility = ["//visibility:public"])

exports_files(["rbz"])

system_files(
    name = "libraries",
    srcs = [%s],
)
""" % ", ".join([repr(str(path)) for path in ctx.dynamic_libraries(program)]))

rbz_configure = repository_rule(
    implementation = _rbz_configure_impl,
    doc = "The program that is running, as `:rbz`, and what it needs of the machine, as `:libraries`.",
    environ = ["RBZ"],
    local = True,
)
