"""Finding the C compiler: on PATH and by CC, or where WORKSPACE says; and what belongs to it."""

load("//core:programs.bzl", "add_program", "install_hint", "named_in_workspace", "not_found", "searched_path")

_COMPILERS = ["gcc", "cc", "clang"]

# Programs that stand in front of a compiler: the compiler itself is wanted.
_WRAPPERS = ["ccache", "distcc", "icecc", "sccache"]

# What the compiler runs itself; not all of it is everywhere.
_PARTS = ["cc1", "cc1plus", "collect2", "lto1", "lto-wrapper"]
_BINARY_TOOLS = ["ar", "as", "nm", "objcopy", "strip"]
_LINKERS = ["bfd", "gold", "lld", "mold"]

_START_FILES = [
    "crt1.o",
    "crtbegin.o",
    "crtbeginS.o",
    "crtbeginT.o",
    "crtend.o",
    "crtendS.o",
    "crti.o",
    "crtn.o",
    "gcrt1.o",
    "grcrt1.o",
    "rcrt1.o",
    "Scrt1.o",
]

# The directory in which every package of the system puts its headers, and what of it belongs to the
# C library and the kernel, besides the files in it.
_SHARED_INCLUDES = "/usr/include"
_C_LIBRARY_INCLUDES = [
    "arpa",
    "asm",
    "asm-generic",
    "bits",
    "gnu",
    "linux",
    "misc",
    "mtd",
    "net",
    "netinet",
    "netipx",
    "netpacket",
    "nfs",
    "protocols",
    "rdma",
    "rpc",
    "rpcsvc",
    "scsi",
    "sound",
    "sys",
    "video",
]

# What comes with the compiler and the C library: there in every link.
_BASE_LIBRARIES = [
    "anl",
    "atomic",
    "c",
    "dl",
    "gcc",
    "gcc_eh",
    "gcc_s",
    "gcov",
    "m",
    "pthread",
    "resolv",
    "rt",
    "stdc++",
    "supc++",
    "util",
]

# Libraries that many programs use: if they are here, `-lNAME` finds them without more ado. For each
# the directories of its headers in `_SHARED_INCLUDES`.
_COMMON_LIBRARIES = {
    "asan": [],
    "bz2": [],
    "crypt": [],
    "crypto": ["openssl"],
    "ffi": [],
    "gmp": [],
    "gomp": [],
    "lzma": ["lzma"],
    "ncurses": [],
    "ncursesw": ["ncursesw"],
    "quadmath": [],
    "readline": ["readline"],
    "sqlite3": [],
    "ssl": ["openssl"],
    "tinfo": [],
    "ubsan": [],
    "uuid": ["uuid"],
    "z": [],
    "zstd": [],
}

def _search(ctx, name):
    """Every program of this name on PATH."""
    if name.startswith("/"):
        return [ctx.path(name)] if ctx.path(name).exists else []
    found = []
    first = ctx.which(name)
    if not first:
        return []
    found.append(first)
    if first.realpath.basename in _WRAPPERS:
        for directory in ctx.os.environ.get("PATH", "").split(":"):
            path = directory + "/" + name
            if directory.startswith("/") and ctx.path(path).exists:
                found.append(ctx.path(path))
    return found

def _find_compiler(ctx):
    """The compiler, and where it was looked for."""
    if ctx.attr.path:
        names = [ctx.attr.path]
        looked = named_in_workspace(ctx)[1]
    elif ctx.os.environ.get("CC"):
        names = [ctx.os.environ["CC"]]
        looked = "CC (%s)" % names[0]
    else:
        names = _COMPILERS
        looked = "%s for %s" % (searched_path(ctx), ", ".join(names))
    for name in names:
        for path in _search(ctx, name):
            if path.realpath.basename not in _WRAPPERS:
                return path, looked
    return None, looked

def _clean(path):
    """An absolute path without `.`, `..` and double slashes."""
    segments = []
    for segment in path.split("/"):
        if segment == "..":
            segments.pop()
        elif segment not in ("", "."):
            segments.append(segment)
    return "/" + "/".join(segments)

def _ask(ctx, compiler, *arguments):
    """The last line of what the compiler says, or nothing."""
    result = ctx.execute([str(compiler)] + list(arguments))
    lines = result.stdout.strip().split("\n")
    return lines[-1].strip() if result.return_code == 0 else ""

def _library_directories(ctx, compiler):
    """Where the compiler looks for files that it links, in this order."""
    directories = {}
    for line in ctx.execute([str(compiler), "-print-search-dirs"]).stdout.split("\n"):
        if line.startswith("libraries: ="):
            for directory in line[len("libraries: ="):].split(":"):
                if directory.startswith("/") and ctx.path(directory).exists:
                    directories[_clean(directory)] = None
    return directories.keys()

def _find_file(ctx, directories, name):
    """Where a file that is linked is, or nothing."""
    for directory in directories:
        path = directory + "/" + name
        if ctx.path(path).exists:
            return path
    return None

def _find_program(ctx, compiler, name):
    """Where the compiler finds a program that it runs, or nothing."""
    path = _ask(ctx, compiler, "-print-prog-name=" + name)
    if path.startswith("/"):
        return _clean(path) if ctx.path(path).exists else None
    found = ctx.which(name)
    return str(found) if found else None

def _find_gcov(ctx, compiler):
    """The `gcov` that reads what programs of this GCC write, or nothing: each has its own."""
    name = compiler.basename
    if "gcc" not in name and "g++" not in name:
        return None
    name = name.replace("gcc", "gcov").replace("g++", "gcov")
    beside = ctx.path(str(compiler.dirname) + "/" + name)
    if beside.exists:
        return str(beside.realpath)
    found = ctx.which("gcov-" + _ask(ctx, compiler, "-dumpversion").split(".")[0])
    return str(found.realpath) if found else None

def _include_directories(ctx, compiler, language):
    """Where the compiler looks for headers; empty if it does not know the language."""
    result = ctx.execute([str(compiler), "-E", "-v", "-x", language, "/dev/null", "-o", "/dev/null"])
    if result.return_code != 0:
        return []
    directories = []
    inside = False
    for line in result.stderr.split("\n"):
        if line.startswith("#include <...>") or line.startswith("#include \"...\""):
            inside = True
        elif line.startswith("End of search list"):
            inside = False
        elif inside:
            directories.append(_clean(line.strip()))
    return directories

def _outermost(ctx, directories):
    """Those of the directories that are there and in no other."""
    kept = []
    for directory in sorted(directories):
        if any([directory == outer or directory.startswith(outer + "/") for outer in kept]):
            continue
        if ctx.path(directory).exists:
            kept.append(directory)
    return kept

def _headers(ctx, directories):
    """The files and directories that hold the headers of the C library and of what is asked for."""
    files = []
    trees = list(directories)
    if _SHARED_INCLUDES in trees:
        trees.remove(_SHARED_INCLUDES)
        for path in ctx.path(_SHARED_INCLUDES).readdir():
            if not path.is_dir:
                files.append(str(path))
            elif path.basename in _C_LIBRARY_INCLUDES + ctx.attr.headers:
                trees.append(str(path))
    return files, _outermost(ctx, trees)

def _library_headers(ctx, name):
    """The directories of the headers of a library."""
    return _outermost(ctx, [
        _SHARED_INCLUDES + "/" + directory
        for directory in _COMMON_LIBRARIES.get(name, [name])
        if ctx.path(_SHARED_INCLUDES + "/" + directory).is_dir
    ])

def _script_words(text):
    """The files that a linker script names."""
    for comment in text.split("/*")[1:]:
        text = text.replace("/*" + comment.split("*/")[0] + "*/", " ")
    for mark in ["(", ")", ",", "\n", "\t"]:
        text = text.replace(mark, " %s " % mark)
    words = []
    skipped = False
    for word in [word for word in text.split(" ") if word]:
        if word == "OUTPUT_FORMAT":
            skipped = True
        elif word == ")":
            skipped = False
        elif not skipped and (word.startswith("/") or word.startswith("-l") or word.startswith("lib")):
            words.append(word)
    return words

def _soname(ctx, readelf, path):
    """The name under which the loader looks for a shared object."""
    result = ctx.execute([readelf, "-d", path])
    for line in result.stdout.split("\n"):
        if "(SONAME)" in line:
            return line.split("[")[-1].split("]")[0]
    return None

def _library_files(ctx, directories, readelf, name):
    """What a link with `-lNAME` reads, and what a program linked so needs when it runs."""
    link = {}
    run = {}
    waiting = ["lib%s.so" % name, "lib%s.a" % name]
    seen = {}

    # Linker scripts name files, and these may be scripts again.
    for _ in range(100):
        if not waiting:
            break
        file = waiting.pop()
        if file in seen:
            continue
        seen[file] = None
        path = file if file.startswith("/") else _find_file(ctx, directories, file)
        if not path or not ctx.path(path).exists:
            continue
        link[path] = None
        if ctx.is_text(path):
            for word in _script_words(ctx.read(path)):
                if word.startswith("-l"):
                    waiting += ["lib%s.so" % word[2:], "lib%s.a" % word[2:]]
                else:
                    waiting.append(word)
        elif not path.endswith(".a"):
            soname = _soname(ctx, readelf, path)
            real = ctx.path(path).realpath
            loaded = str(real.dirname) + "/" + soname if soname else str(real)
            for library in [loaded if ctx.path(loaded).exists else str(real)] + [
                str(library)
                for library in ctx.dynamic_libraries(path)
            ]:
                run[library] = None

                # A linker looks for what a library needs, too.
                link[library] = None
    return link.keys(), run.keys()

def _list(items):
    return "[" + "".join(["\n        %s," % repr(item) for item in items]) + ("\n    ]" if items else "]")

def _system_files(name, srcs, trees = []):
    return """
system_files(
    name = {name},
    srcs = {srcs},
    trees = {trees},
)
""".format(name = repr(name), srcs = _list(sorted(srcs)), trees = _list(trees))

def _no_library(compiler, name):
    return "%s finds neither lib%s.so nor lib%s.a\nhint: on Debian, a package whose name ends with -dev has them" % (compiler, name, name)

def _missing(ctx, message):
    ctx.file("BUILD.bazel", """\
load("@rbz//cc:toolchain.bzl", "missing_cc_toolchain")

package(default_visibility = ["//visibility:public"])

[missing_cc_toolchain(
    name = name,
    message = {message},
) for name in {names}]

missing_cc_toolchain(
    name = "toolchain_if_any",
    message = {message},
    optional = True,
)
""".format(message = repr(message), names = repr(["toolchain"] + _COMMON_LIBRARIES.keys())))

def _cc_configure_impl(ctx):
    found, looked = _find_compiler(ctx)
    if not found:
        _missing(ctx, not_found(
            "C compiler",
            looked,
            "gcc",
            "cc_configure(name = \"cc\", path = \"/where/it/is/bin/gcc\")",
            "@rbz//cc:configure.bzl",
        ))
        return
    compiler = found.realpath
    version = ctx.execute([str(compiler), "--version"])
    if version.return_code != 0:
        _missing(ctx, "%s --version failed: %s" % (compiler, version.stderr.strip()))
        return
    kind = "clang" if "clang" in version.stdout else "gcc"

    programs = {}
    add_program(ctx, programs, str(compiler))
    parts = {}
    for name in _PARTS + _BINARY_TOOLS:
        path = _find_program(ctx, compiler, name)
        if path:
            parts[name] = path
            add_program(ctx, programs, path)
    for name in ["ar", "as"] if kind == "gcc" else ["ar"]:
        if name not in parts:
            _missing(ctx, "%s has no `%s`\n%s" % (compiler, name, install_hint("binutils")))
            return
    directories = _library_directories(ctx, compiler)
    plugin = _find_file(ctx, directories, "liblto_plugin.so")
    if plugin:
        add_program(ctx, programs, plugin)

    gcov = _find_gcov(ctx, compiler) if kind == "gcc" else None
    gcov_files = {}
    if gcov:
        add_program(ctx, gcov_files, gcov)

    includes = _include_directories(ctx, compiler, "c")
    cxx = _include_directories(ctx, compiler, "c++") if kind == "clang" or "cc1plus" in parts else []
    header_files, header_trees = _headers(ctx, includes + cxx)

    linkers = {}
    for linker in _LINKERS:
        path = ctx.which("ld." + linker)
        if path:
            files = {}
            add_program(ctx, files, str(path))
            linkers[linker] = files
    plain = _find_program(ctx, compiler, "ld")
    if plain:
        # What the compiler takes when it is not told.
        add_program(ctx, programs, plain)
    chosen = ctx.attr.linker or ("bfd" if "bfd" in linkers else "")
    if chosen and chosen not in linkers:
        _missing(ctx, "linker = \"%s\" in WORKSPACE: there is no `ld.%s` on PATH" % (chosen, chosen))
        return
    if not chosen and not plain:
        _missing(ctx, "%s has no linker\n%s" % (compiler, install_hint("binutils")))
        return

    start_files = {}
    for name in _START_FILES:
        path = _find_file(ctx, directories, name)
        if path:
            start_files[path] = None
    if not any([path.endswith("/crt1.o") for path in start_files]):
        _missing(ctx, "%s finds no crt1.o, which belongs to the C library\n%s" % (compiler, install_hint("libc6-dev")))
        return
    readelf = _find_program(ctx, compiler, "readelf") or "readelf"
    link = dict(start_files)
    run = {}
    for name in _BASE_LIBRARIES:
        link_files, run_files = _library_files(ctx, directories, readelf, name)
        for path in link_files:
            link[path] = None
        for path in run_files:
            run[path] = None

    text = ["""\
load("@rbz//cc:toolchain.bzl", "cc_system_library", "cc_toolchain", "missing_cc_toolchain")

package(default_visibility = ["//visibility:public"])
"""]
    libraries = {}
    for name in _COMMON_LIBRARIES.keys() + [name for name in ctx.attr.libraries if name not in _COMMON_LIBRARIES]:
        link_files, run_files = _library_files(ctx, directories, readelf, name)
        if not link_files:
            if name in ctx.attr.libraries:
                fail("libraries: " + _no_library(compiler, name))
            text.append("""
missing_cc_toolchain(
    name = {name},
    message = {message},
)
""".format(name = repr(name), message = repr(_no_library(compiler, name))))
            continue
        libraries[name] = ":" + name
        text.append(_system_files(name + "_headers", [], _library_headers(ctx, name)))
        text.append(_system_files(name + "_link_files", [path for path in link_files if path not in link]))
        text.append(_system_files(name + "_runtime_files", [path for path in run_files if path not in run]))
        text.append("""
cc_system_library(
    name = {name},
    headers = [":{plain}_headers"],
    link_files = [":{plain}_link_files"],
    runtime_files = [":{plain}_runtime_files"],
)
""".format(name = repr(name), plain = name))
    text.append(_system_files("compiler", programs.keys()))
    text.append(_system_files("gcov", gcov_files.keys()))
    text.append(_system_files("headers", header_files, header_trees))
    text.append(_system_files("link_files", link.keys()))
    text.append(_system_files("runtime_files", run.keys()))
    for linker, files in linkers.items():
        text.append(_system_files("linker_" + linker, files.keys()))
    text.append("""
alias(
    name = "toolchain_if_any",
    actual = ":toolchain",
)

cc_toolchain(
    name = "toolchain",
    ar = {ar},
    base_libraries = {base},
    compiler = {kind},
    compiler_files = [":compiler"],
    cxx = {cxx},
    gcov = {gcov},
    gcov_files = [":gcov"],
    headers = [":headers"],
    libraries = {libraries},
    link_files = [":link_files"],
    linker = {linker},
    linkers = {linkers},
    objcopy = {objcopy},
    program = {program},
    runtime_files = [":runtime_files"],
    strip = {strip},
    version = {version},
)
""".format(
        ar = repr(parts["ar"]),
        kind = repr(kind),
        cxx = bool(cxx),
        gcov = repr(gcov or ""),
        libraries = _list(libraries.values()),
        linker = repr(chosen),
        linkers = _list([":linker_" + linker for linker in linkers]),
        objcopy = repr(parts.get("objcopy", "")),
        program = repr(str(compiler)),
        strip = repr(parts.get("strip", "")),
        base = _list(_BASE_LIBRARIES),
        version = repr(version.stdout.split("\n")[0]),
    ))
    ctx.file("BUILD.bazel", "".join(text))

cc_configure = repository_rule(
    implementation = _cc_configure_impl,
    doc = "The C compiler of this machine as a repository: `:toolchain`, and libraries of the machine by their names.",
    attrs = {
        "path": attr.string(doc = "The compiler; by default CC, or the first of gcc, cc, clang on PATH."),
        "linker": attr.string(doc = "`bfd` (the default), `gold`, `lld` or `mold`."),
        "libraries": attr.string_list(doc = "Further libraries of the machine, by their names as in `-lNAME`."),
        "headers": attr.string_list(doc = "Further directories of `/usr/include`, by their names in it."),
    },
    environ = ["PATH", "CC"],
    local = True,
)
