"""Compiling C and C++, one action for each source."""

load(":provider.bzl", "create_compilation_context", "merge_compilation_contexts")

C_SOURCES = ["c"]
CXX_SOURCES = ["cc", "cpp", "cxx", "c++", "C", "cu", "cl"]
ASSEMBLER_SOURCES = ["s", "S", "asm"]
HEADERS = ["h", "hh", "hpp", "hxx", "h++", "inc", "inl", "ipp", "tcc", "tlh", "tli", "H"]
OBJECTS = ["o", "obj"]
ARCHIVES = ["a", "lo"]

def is_shared_object(file):
    """Whether a file is a shared object: `libx.so`, or `libx.so.1.2`."""
    name = file.basename
    if name.endswith(".so"):
        return True
    if ".so." not in name:
        return False
    return all([part.isdigit() for part in name.split(".so.")[-1].split(".")])

def cc_mode(ctx):
    """The compilation mode: `fastbuild`, `opt` or `dbg`."""
    return ctx.var["COMPILATION_MODE"]

_WARNINGS = ["-Wall", "-Wunused-but-set-parameter", "-Wno-free-nonheap-object"]

_MODE_FLAGS = {
    "fastbuild": ["-g0"],
    "dbg": ["-g"],
    "opt": ["-g0", "-O2", "-DNDEBUG", "-ffunction-sections", "-fdata-sections"],
}

# The same bytes wherever and whenever.
_REPRODUCIBLE = [
    "-no-canonical-prefixes",
    "-ffile-prefix-map=/rbz/execroot=.",
    "-Wno-builtin-macro-redefined",
    "-D__DATE__=\"redacted\"",
    "-D__TIMESTAMP__=\"redacted\"",
    "-D__TIME__=\"redacted\"",
]

def own_context(
        ctx,
        headers = [],
        private_headers = [],
        textual_headers = [],
        includes = [],
        defines = [],
        local_defines = [],
        prefixed = None,
        system_headers = []):
    """The compilation context of a target without that of its dependencies.

    Args:
      ctx: the rule's context.
      headers: its public headers.
      private_headers: those that only its own sources include.
      textual_headers: those that cannot be compiled alone.
      includes: directories relative to the package, of which it and its users include.
      defines: macros of it and its users.
      local_defines: macros of its own sources.
      prefixed: what `prefixed_headers` made of its headers.
      system_headers: depsets of headers of the machine.

    Returns:
      A compilation context.
    """
    label = ctx.label
    root = label.workspace_root
    bin_dir = ctx.bin_dir.path
    package = "/".join([part for part in [root, label.package] if part])
    system = []
    for include in includes:
        path = _normalized(package, include, ctx)
        system += [path, bin_dir if path == "." else bin_dir + "/" + path]
    return create_compilation_context(
        headers = depset(
            headers + private_headers + textual_headers + (prefixed.files if prefixed else []),
            transitive = system_headers,
        ),
        includes = prefixed.includes if prefixed else [],
        system_includes = system,
        quote_includes = [root or ".", bin_dir + "/" + root if root else bin_dir],
        defines = defines,
        local_defines = local_defines,
        direct_public_headers = headers + (prefixed.files if prefixed else []),
        direct_private_headers = private_headers,
        direct_textual_headers = textual_headers,
    )

def _normalized(package, include, ctx):
    """The path of an entry of `includes`."""
    if include.startswith("/"):
        fail("includes: `%s` is an absolute path, but must be relative to the package" % include)
    segments = [part for part in package.split("/") if part]
    for part in include.split("/"):
        if part == "..":
            if not segments:
                fail("includes: `%s` leaves the workspace" % include)
            segments.pop()
        elif part not in ("", "."):
            segments.append(part)
    return "/".join(segments) or "."

def prefixed_headers(ctx, headers, strip_include_prefix, include_prefix):
    """Headers under other names: without a prefix of their paths, or with one more.

    Args:
      ctx: the rule's context.
      headers: the headers.
      strip_include_prefix: what is taken from the beginning of their paths in the package; with a
        leading slash, of their paths in the repository. None: nothing.
      include_prefix: what is put before the rest. None: nothing.

    Returns:
      A struct of `files` and `includes`, or None.
    """
    if strip_include_prefix == None and include_prefix == None:
        return None
    package = ctx.label.package
    strip = strip_include_prefix or ""
    if strip.startswith("/"):
        strip = strip.strip("/")
    else:
        strip = "/".join([part for part in [package, strip.strip("/")] if part])
    directory = "_virtual_includes/" + ctx.label.name
    files = []
    for header in headers:
        path = header.short_path
        if path.startswith("../"):
            path = path.split("/", 2)[2]
        if strip and not path.startswith(strip + "/"):
            fail("strip_include_prefix: the header `%s` is not below `%s`" % (path, strip))
        name = path[len(strip) + 1:] if strip else path
        if include_prefix:
            name = include_prefix.strip("/") + "/" + name
        file = ctx.actions.declare_file(directory + "/" + name)
        ctx.actions.symlink(output = file, target_file = header)
        files.append(file)
    parts = [ctx.bin_dir.path, ctx.label.workspace_root, package, directory]
    return struct(files = files, includes = ["/".join([part for part in parts if part])])

def context_of(own, deps):
    """The context in which a target's sources compile, and that its users get."""
    return merge_compilation_contexts(deps, own = own)

def _arguments(actions, toolchain, context, mode, copts, features):
    """What all compilations of a target share."""
    args = actions.args()
    args.add_all(_WARNINGS)
    args.add_all(["-fPIC", "-fno-omit-frame-pointer"])
    args.add_all(_MODE_FLAGS[mode])
    args.add_all(context.defines, format_each = "-D%s")
    args.add_all(context.local_defines, format_each = "-D%s")
    args.add_all(context.quote_includes, before_each = "-iquote")
    args.add_all(context.includes, format_each = "-I%s")
    args.add_all(context.system_includes, before_each = "-isystem")
    args.add_all(context.external_includes, before_each = "-isystem")
    args.add_all(copts)
    args.add_all(_REPRODUCIBLE)
    return args

def object_names(srcs):
    """For each source the name of its object without extension; no two are the same."""
    stems = [src.basename[:-len(src.extension) - 1] for src in srcs]
    counts = {}
    for stem in stems:
        counts[stem] = counts.get(stem, 0) + 1
    seen = {}
    names = []
    for stem in stems:
        if counts[stem] == 1:
            names.append(stem)
            continue
        number = seen.get(stem, 0)
        seen[stem] = number + 1
        names.append("%d/%s" % (number, stem))
    return names

def compile_sources(
        actions,
        toolchain,
        name,
        srcs,
        context,
        mode,
        copts = [],
        conlyopts = [],
        cxxopts = [],
        additional_inputs = [],
        coverage_notes = None):
    """Registers the actions that compile sources.

    Args:
      actions: `ctx.actions`.
      toolchain: a CcToolchainInfo.
      name: the name of the target.
      srcs: sources of C, C++ and assembler.
      context: the compilation context of the target and its dependencies.
      mode: `fastbuild`, `opt` or `dbg`.
      copts: arguments for the compiler.
      conlyopts: arguments for C alone.
      cxxopts: arguments for C++ alone.
      additional_inputs: further files that it reads, as a list.
      coverage_notes: None, or a list: then the code counts what of it runs, and the list gets the
        files that say of which lines it is.

    Returns:
      The objects, as a list.
    """
    objects = []
    shared = _arguments(actions, toolchain, context, mode, copts, [])
    if coverage_notes != None:
        # Several threads count at once.
        shared.add_all(["--coverage", "-fprofile-update=atomic"])
    inputs = depset(additional_inputs, transitive = [context.headers, toolchain.compile_files])
    for src, stem in zip(srcs, object_names(srcs)):
        is_cxx = src.extension in CXX_SOURCES
        if is_cxx and not toolchain.cxx:
            fail("`%s` is C++, but %s compiles only C: install its C++ part (on Debian: apt-get install g++)" % (src.short_path, toolchain.program))
        output = actions.declare_file("_objs/%s/%s.pic.o" % (name, stem))
        own = actions.args()
        own.add_all(cxxopts if is_cxx else conlyopts if src.extension in C_SOURCES else [])
        own.add("-frandom-seed=" + output.short_path)
        own.add("-c", src)
        own.add("-o", output)
        outputs = [output]
        if coverage_notes != None and src.extension not in ASSEMBLER_SOURCES:
            outputs.append(actions.declare_file("_objs/%s/%s.pic.gcno" % (name, stem)))
            coverage_notes.append(outputs[1])
        actions.run(
            mnemonic = "CcCompile",
            progress_message = "Compiling %s" % src.short_path,
            executable = toolchain.program,
            arguments = [shared, own],
            inputs = depset([src], transitive = [inputs]),
            outputs = outputs,
            env = {"PATH": toolchain.path},
        )
        objects.append(output)
    return objects
