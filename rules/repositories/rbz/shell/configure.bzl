"""The shell of this machine: bash, and the programs that commands may use."""

# What POSIX and the GNU coreutils have that a build command may want.
_TOOLS = """
awk base64 basename bash cat chmod cksum cmp comm cp csplit cut date dd diff dirname du echo
egrep env expand expr factor false fgrep find fmt fold gawk grep gunzip gzip head hostname id
install join kill link ln ls mawk md5sum mkdir mkfifo mktemp mv nl nohup nproc numfmt od paste
pathchk pr printenv printf ps pwd readlink realpath rm rmdir sed seq setarch sh sha1sum
sha224sum sha256sum sha384sum sha512sum shred shuf sleep sort split stat stdbuf stty sum sync
tac tail tar tee test timeout touch tr true truncate tsort tty uname unexpand uniq unlink wc
which who whoami xargs yes zcat
""".split()

# The locale that every action has in its environment.
_TREES = ["/usr/lib/locale/C.utf8"]

def _lines(paths):
    return "".join(["        %r,\n" % path for path in paths])

def _program_files(ctx, program):
    """A program at every path by which it may be called, and what it needs to start."""
    path = str(program)
    files = [path]
    real = str(program.realpath)
    if real != path:
        files.append(real)

    # The search path of actions is fixed: /usr/local/bin, /usr/bin, /bin.
    name = path.split("/")[-1]
    for directory in ["/usr/bin/", "/bin/"]:
        candidate = directory + name
        if candidate not in files and ctx.path(candidate).exists:
            files.append(candidate)
    return files + [str(library) for library in ctx.dynamic_libraries(real)]

def _shell_configure_impl(ctx):
    bash = ctx.which("bash")
    if not bash:
        ctx.file("BUILD.bazel", """\
load("@rbz//shell:missing.bzl", "missing_shell")

missing_shell(
    name = "shell",
    visibility = ["//visibility:public"],
)
""")
        return
    files = {}
    for path in _program_files(ctx, bash):
        files[path] = None
    for name in _TOOLS + ctx.attr.tools:
        program = ctx.which(name)
        if not program:
            if name in ctx.attr.tools:
                fail("tools: there is no `%s` on PATH" % name)
            continue
        for path in _program_files(ctx, program):
            files[path] = None
    ctx.file("BUILD.bazel", """\
package(default_visibility = ["//visibility:public"])

# The first of them is the shell itself.
system_files(
    name = "shell",
    srcs = [
%s    ],
    trees = [
%s    ],
)
""" % (_lines(files), _lines([tree for tree in _TREES if ctx.path(tree).exists])))

shell_configure = repository_rule(
    implementation = _shell_configure_impl,
    doc = "The shell as a repository: `:shell` is bash and every program that commands find.",
    attrs = {
        "tools": attr.string_list(doc = "Further programs, by their names on PATH."),
    },
    environ = ["PATH"],
    local = True,
)
