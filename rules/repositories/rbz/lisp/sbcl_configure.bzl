"""Finding SBCL: on PATH and by SBCL_HOME, or where WORKSPACE says."""

load("//core:programs.bzl", "add_program", "install_hint", "named_in_workspace", "not_found", "searched_path")

_OLDEST = [2, 2, 0]

# Versions whose cores `rbz tool elf` knows.
_FIRST_LINKABLE = [2, 2, 9]
_FIRST_UNKNOWN = [2, 3]

# What a runtime is linked with if nothing says it, and what of it the C library has.
_USUAL_LIBRARIES = ["-ldl", "-lpthread", "-lm"]
_C_LIBRARIES = ["dl", "pthread", "m", "c", "rt"]

# What each bundled module requires itself.
_MODULES = {
    "asdf": [],
    "sb-aclrepl": [],
    "sb-bsd-sockets": ["sb-posix"],
    "sb-capstone": [],
    "sb-cltl2": [],
    "sb-concurrency": [],
    "sb-cover": ["sb-md5"],
    "sb-executable": [],
    "sb-gmp": [],
    "sb-graph": [],
    "sb-grovel": ["asdf"],
    "sb-introspect": [],
    "sb-md5": [],
    "sb-mpfr": ["sb-gmp"],
    "sb-posix": [],
    "sb-queue": ["sb-concurrency"],
    "sb-rotate-byte": [],
    "sb-rt": [],
    "sb-simd": [],
    "sb-simple-streams": ["sb-bsd-sockets", "sb-posix"],
    "sb-sprof": [],
    "uiop": [],
}

def _is_file(ctx, path):
    return ctx.path(path).exists

def _find_program(ctx):
    """The program, and where it was looked for."""
    if ctx.attr.path:
        path, place = named_in_workspace(ctx)
        return path, [place]
    looked = [searched_path(ctx)]
    home = ctx.os.environ.get("SBCL_HOME", "")
    if home:
        # An SBCL in its own tree: PREFIX/lib/sbcl beside PREFIX/bin/sbcl.
        looked.append("SBCL_HOME (%s)" % home)
        for candidate in [home + "/sbcl", home + "/../../bin/sbcl"]:
            if _is_file(ctx, candidate):
                return ctx.path(candidate).realpath, looked
    found = ctx.which("sbcl")
    return (found.realpath if found else None), looked

def _find_home(ctx, program):
    """The directory of the core and the modules."""
    candidates = []
    home = ctx.attr.home or ctx.os.environ.get("SBCL_HOME", "")
    if home:
        candidates.append(home)
    prefix = program.dirname.dirname
    candidates += [str(prefix) + "/lib/sbcl", "/usr/local/lib/sbcl", "/usr/lib/sbcl"]
    for candidate in candidates:
        if _is_file(ctx, candidate + "/sbcl.core"):
            return str(ctx.path(candidate).realpath), candidates
    return None, candidates

def _numbers(version):
    """The numbers that a version starts with."""
    numbers = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return numbers

def _missing(ctx, message):
    ctx.file("BUILD.bazel", """\
load("@rbz//lisp:toolchain.bzl", "missing_lisp_toolchain")

package(default_visibility = ["//visibility:public"])

[missing_lisp_toolchain(
    name = name,
    message = {message},
) for name in {names}]
""".format(message = repr(message), names = repr(["toolchain", "sbcl", "core", "c-support"] + sorted(_MODULES))))

def _words(text, name):
    """The words of a variable in a makefile."""
    for line in text.split("\n"):
        if line.startswith(name + "="):
            return [word for word in line[len(name) + 1:].split(" ") if word]
    return []

def _runtime(ctx, version, home, libraries):
    """The runtime as something to link: the attributes of a `lisp_runtime`, and files."""
    object = home + "/sbcl.o"
    if not _is_file(ctx, object):
        return "%s is not there; the SBCL was built without :sb-linkable-runtime" % object, [], []
    if not _FIRST_LINKABLE <= _numbers(version) or _numbers(version) >= _FIRST_UNKNOWN:
        return "how SBCL %s lays out its cores is not known" % version, [], []
    check = ctx.execute([ctx.os.environ.get("RBZ", ""), "tool", "elf", "runtime", object])
    if check.return_code != 0:
        return check.stderr.strip().removeprefix("ERROR: "), [], []
    makefile = home + "/sbcl.mk"
    flags = [object]
    files = [object]
    words = _words(ctx.read(makefile), "LIBS") if _is_file(ctx, makefile) else _USUAL_LIBRARIES
    for word in words:
        name = word.removeprefix("-l")
        loaded = [path for path in libraries if path.split("/")[-1].startswith("lib%s.so" % name)]
        if word == name or name in _C_LIBRARIES:
            flags.append(word)
        elif loaded:
            # What the installed program uses itself; the files for `-lNAME` may not be installed.
            flags.append(loaded[0])
            files.append(loaded[0])
        else:
            return "%s needs `%s`, and %s does not use such a library" % (object, word, "its own program"), [], []
    return "", flags, files

def _list(items):
    return "[" + ", ".join([repr(item) for item in items]) + "]"

def _sbcl_configure_impl(ctx):
    program, looked = _find_program(ctx)
    if not program:
        _missing(ctx, not_found(
            "SBCL",
            "; ".join(looked),
            "sbcl",
            "sbcl_configure(name = \"lisp\", path = \"/where/it/is/bin/sbcl\")",
            "@rbz//lisp:sbcl_configure.bzl",
        ))
        return
    home, looked = _find_home(ctx, program)
    if not home:
        _missing(ctx, "\n".join([
            "`%s` has no `sbcl.core`; looked in: %s" % (program, ", ".join(looked)),
            "hint: set `SBCL_HOME`, or give `home` to `sbcl_configure` in WORKSPACE",
        ]))
        return
    result = ctx.execute([str(program), "--version"])
    version = result.stdout.strip().split(" ")[-1] if result.return_code == 0 else ""
    if not version:
        _missing(ctx, "%s --version failed: %s" % (program, result.stderr.strip()))
        return
    if _numbers(version) < _OLDEST:
        _missing(ctx, "\n".join([
            "%s is SBCL %s, which is too old: %s or newer is needed" % (program, version, ".".join([str(n) for n in _OLDEST])),
            install_hint("sbcl"),
        ]))
        return

    launcher = ctx.which("setarch")
    contrib = home + "/contrib"
    libraries = [str(path) for path in ctx.dynamic_libraries(str(program))]
    launcher_files = {}
    if launcher:
        add_program(ctx, launcher_files, str(launcher))
    modules = [
        module
        for module in sorted(_MODULES)
        if _is_file(ctx, contrib + "/" + module + ".fasl")
    ]
    unlinkable, flags, runtime_files = _runtime(ctx, version, home, libraries)
    lines = ["""\
load("@rbz//lisp:runtime.bzl", "lisp_runtime")
load("@rbz//lisp:toolchain.bzl", "lisp_module", "lisp_toolchain")

package(default_visibility = ["//visibility:public"])

system_files(
    name = "sbcl",
    srcs = {program},
)

system_files(
    name = "libraries",
    srcs = {libraries},
)

system_files(
    name = "core",
    srcs = {core},
)

system_files(
    name = "launcher",
    srcs = {launcher},
)

system_files(
    name = "contrib",
    trees = {contrib},
)

system_files(
    name = "runtime_object",
    srcs = {runtime_files},
)

lisp_runtime(
    name = "c-support",
    files = [":runtime_object"],
    flags = {flags},
    missing = {unlinkable},
)

lisp_toolchain(
    name = "toolchain",
    core = {core_path},
    files = [
        ":contrib",
        ":core",
        ":launcher",
        ":libraries",
        ":sbcl",
    ],
    home = {home},
    launcher = {launcher_path},
    program = {program_path},
    runtime_files = [":libraries"],
    version = {version},
)
""".format(
        program = _list([str(program)]),
        program_path = repr(str(program)),
        libraries = _list(libraries),
        core = _list([home + "/sbcl.core"]),
        core_path = repr(home + "/sbcl.core"),
        home = repr(home),
        launcher = _list(launcher_files.keys()),
        launcher_path = repr(str(launcher) if launcher else ""),
        contrib = _list([contrib] if _is_file(ctx, contrib) else []),
        version = repr(version),
        flags = _list(flags),
        runtime_files = _list(runtime_files),
        unlinkable = repr(unlinkable),
    )]
    for module in modules:
        lines.append("""
system_files(
    name = {name},
    srcs = {srcs},
)
""".format(name = repr("contrib/" + module), srcs = _list([contrib + "/" + module + ".fasl"])))
        lines.append("""
lisp_module(
    name = {name},
    module = {name},
    deps = {deps},
)
""".format(name = repr(module), deps = _list([":" + dep for dep in _MODULES[module] if dep in modules])))
    ctx.file("BUILD.bazel", "".join(lines))

sbcl_configure = repository_rule(
    implementation = _sbcl_configure_impl,
    doc = "The SBCL of this machine as a repository: `:toolchain`, `:sbcl`, `:core`, and its modules.",
    attrs = {
        "path": attr.string(doc = "The program; by default the first `sbcl` on PATH."),
        "home": attr.string(doc = "The directory of its core and modules; by default SBCL_HOME or beside the program."),
    },
    environ = ["PATH", "RBZ", "SBCL_HOME"],
    local = True,
)
