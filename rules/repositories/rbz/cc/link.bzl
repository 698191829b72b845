"""Archives, shared objects and programs of what was compiled."""

load(":provider.bzl", "create_library_to_link", "create_linker_input")

def archive(actions, toolchain, output, objects):
    """Registers the action that puts objects into an archive."""
    args = actions.args()
    args.add("rcsD", output)
    args.add_all(objects)
    args.use_param_file("@%s")
    actions.run(
        mnemonic = "CcArchive",
        progress_message = "Archiving %s" % output.short_path,
        executable = toolchain.ar,
        arguments = [args],
        inputs = depset(objects, transitive = [toolchain.compiler_files]),
        outputs = [output],
        env = {"PATH": toolchain.path},
    )

def _prefers_shared(input):
    arguments = []
    for library in input.libraries:
        file = library.interface_library or library.dynamic_library
        if file and not library.alwayslink:
            arguments.append(file.path)
        else:
            arguments += _library_arguments(library)
    return arguments + list(input.user_link_flags)

def _prefers_static(input):
    arguments = []
    for library in input.libraries:
        arguments += _library_arguments(library)
    return arguments + list(input.user_link_flags)

def _whole(input):
    arguments = []
    for library in input.libraries:
        file = library.pic_static_library or library.static_library
        if file:
            arguments += ["-Wl,--whole-archive", file.path, "-Wl,--no-whole-archive"]
        else:
            arguments += _library_arguments(library)
    return arguments + list(input.user_link_flags)

def _library_arguments(library):
    file = library.pic_static_library or library.static_library
    if not file:
        return [(library.interface_library or library.dynamic_library).path]
    if library.alwayslink:
        return ["-Wl,--whole-archive", file.path, "-Wl,--no-whole-archive"]
    return [file.path]

_LINK_FLAGS = {
    "static": _prefers_static,
    "shared": _prefers_shared,
    "whole": _whole,
}

def library_files(library, form):
    """The files of a library that a link of this form reads."""
    if form == "shared" and library.dynamic_library and not library.alwayslink:
        return [library.interface_library or library.dynamic_library]
    file = library.pic_static_library or library.static_library
    return [file or library.interface_library or library.dynamic_library]

def dynamic_libraries(linking_context, form):
    """The shared objects that a program so linked opens when it starts."""
    files = []
    for input in linking_context.linker_inputs.to_list():
        for library in input.libraries:
            if not library.dynamic_library:
                continue
            is_static = library.pic_static_library or library.static_library
            if not is_static or (form == "shared" and not library.alwayslink):
                files.append(library.dynamic_library)
    return files

def system_libraries(toolchain, flags):
    """What the machine's libraries among linker flags bring, or why they cannot be linked.

    Args:
      toolchain: a CcToolchainInfo.
      flags: arguments of the linker.

    Returns:
      A struct of the depsets `headers`, `link_files` and `runtime_files`.
    """
    headers = []
    link_files = []
    runtime_files = []
    elsewhere = any([flag.startswith("-L") or flag.startswith("-Wl,-L") for flag in flags])
    for flag in flags:
        if not flag.startswith("-l") or len(flag) < 3:
            continue
        name = flag[2:]
        info = toolchain.libraries.get(name)
        if info:
            headers.append(info.headers)
            link_files.append(info.link_files)
            runtime_files.append(info.runtime_files)
        elif not elsewhere and name not in toolchain.base_libraries and not name.startswith(":"):
            fail("`%s`: the C toolchain has no library `%s`\nhint: if the machine has it, say so in WORKSPACE: `cc_configure(name = \"cc\", libraries = [\"%s\"])`, which is loaded from `@rbz//cc:configure.bzl`" % (flag, name, name))
    return struct(
        headers = depset(transitive = headers),
        link_files = depset(transitive = link_files),
        runtime_files = depset(transitive = runtime_files),
    )

def _linker(ctx_linker, toolchain, flags):
    """The linker to use, and its files."""
    linker = ctx_linker or toolchain.linker
    for flag in flags:
        if flag.startswith("-fuse-ld="):
            linker = flag[len("-fuse-ld="):]
    if linker and linker not in toolchain.linkers:
        fail("the linker `%s` is not there: %s finds %s" % (
            linker,
            toolchain.program,
            ", ".join(["`%s`" % name for name in toolchain.linkers]) or "none",
        ))
    return linker

def _relative(from_directory, to_directory):
    """A path from one directory to another."""
    here = [part for part in from_directory.split("/") if part]
    there = [part for part in to_directory.split("/") if part]
    shared = 0
    for left, right in zip(here, there):
        if left != right:
            break
        shared += 1
    return "/".join([".."] * (len(here) - shared) + there[shared:])

def _run_paths(output, files, workspace):
    """Where the program finds shared objects: beside itself among the outputs and in a runfiles
    tree, and in its own runfiles tree."""
    paths = {}
    for file in files:
        beside = _relative(output.dirname, file.dirname)
        paths["$ORIGIN/" + beside if beside else "$ORIGIN"] = None
        own = workspace + "/" + output.short_path
        other = workspace + "/" + file.short_path
        if output.short_path.startswith("../"):
            own = output.short_path[3:]
        if file.short_path.startswith("../"):
            other = file.short_path[3:]
        directory = other.rpartition("/")[0]
        inside = _relative(own.rpartition("/")[0], directory)
        paths["$ORIGIN/" + inside if inside else "$ORIGIN"] = None
        paths["$ORIGIN/%s.runfiles/%s" % (output.basename, directory)] = None
    return paths.keys()

def _collects_coverage(ctx):
    """Whether some of what is linked may count what of it runs."""
    configuration = getattr(ctx, "configuration", None)
    return configuration and configuration.coverage_enabled

def link(
        ctx,
        toolchain,
        output,
        objects,
        linking_context,
        mode,
        form = "static",
        shared = False,
        soname = None,
        first_options = [],
        linkopts = [],
        additional_inputs = [],
        launcher = None,
        progress_message = None):
    """Registers the action that links a program or a shared object.

    Args:
      ctx: the rule's context.
      toolchain: a CcToolchainInfo.
      output: the file to write.
      objects: what was compiled, as a list.
      linking_context: what it depends on.
      mode: `fastbuild`, `opt` or `dbg`.
      form: `static`: archives are preferred; `shared`: shared objects are; `whole`: all that is in
        the archives is linked, used or not.
      shared: whether a shared object is made.
      soname: the name that the shared object says it has.
      first_options: arguments that come first, so that those of libraries can undo them.
      linkopts: arguments that come last.
      additional_inputs: files that arguments name.
      launcher: a struct of what runs the compiler in place of us: `executable`, `arguments`, and
        the depset `files` of what it needs.
      progress_message: what to show.

    Returns:
      The depset of what the output needs of the machine when it runs.
    """
    inputs = []
    flags = list(linkopts)
    dynamic = dynamic_libraries(linking_context, form)
    for input in linking_context.linker_inputs.to_list():
        flags += input.user_link_flags
        inputs += input.additional_inputs
        for library in input.libraries:
            inputs += library_files(library, form)
    linker = _linker(ctx.var.get("CC_LINKER"), toolchain, flags)
    system = system_libraries(toolchain, flags)

    args = ctx.actions.args()
    args.add_all(first_options)
    if shared:
        args.add("-shared")
        if soname:
            args.add("-Wl,-soname," + soname)
    args.add("-o", output)
    args.add_all(objects)
    if toolchain.gcov and _collects_coverage(ctx):
        args.add("--coverage")
    args.add("-no-canonical-prefixes")
    if linker:
        args.add("-fuse-ld=" + linker)
    args.add_all(["-Wl,-z,relro,-z,now", "-Wl,--build-id=sha1"])
    if mode != "dbg":
        args.add("-Wl,-S")
    if mode == "opt" and not shared:
        args.add("-Wl,--gc-sections")

    # A library that only another library needs must be there, too.
    args.add("-Wl,--no-as-needed")
    for path in _run_paths(output, dynamic, ctx.workspace_name):
        args.add("-Wl,-rpath," + path)
    args.add_all(linking_context.linker_inputs, map_each = _LINK_FLAGS[form])
    args.add_all(linkopts)
    if toolchain.cxx:
        args.add_all(["-Wl,--as-needed", "-lstdc++"])
    args.add("-lm")
    args.use_param_file("@%s")
    ctx.actions.run(
        mnemonic = "CcLink",
        progress_message = progress_message or "Linking %s" % output.short_path,
        executable = launcher.executable if launcher else toolchain.program,
        arguments = (launcher.arguments + [toolchain.program] if launcher else []) + [args],
        inputs = depset(
            objects + inputs + additional_inputs + dynamic,
            transitive = [toolchain.link_files, system.link_files] +
                         ([toolchain.linkers[linker]] if linker else []) +
                         ([launcher.files] if launcher else []),
        ),
        outputs = [output],
        env = {"PATH": toolchain.path},
    )
    return depset(transitive = [toolchain.runtime_files, system.runtime_files])

def link_cdeps(ctx, toolchain, output, cc_info, mode):
    """Registers the action that links all of a closure into one shared object.

    Args:
      ctx: the rule's context.
      toolchain: a CcToolchainInfo.
      output: the shared object to write.
      cc_info: the closure.
      mode: `fastbuild`, `opt` or `dbg`.

    Returns:
      The depset of what the shared object needs when it is opened.
    """
    files = link(
        ctx,
        toolchain,
        output,
        [],
        cc_info.linking_context,
        mode,
        form = "whole",
        shared = True,
        soname = output.basename,
        # What no library defines is found now, not when it is called.
        first_options = ["-Wl,-z,defs"],
        progress_message = "Linking the C dependencies of %s" % ctx.label,
    )
    return depset(dynamic_libraries(cc_info.linking_context, "whole"), transitive = [files])

def has_libraries(cc_info):
    """Whether there is anything to link."""
    return bool(cc_info) and any([
        input.libraries or input.user_link_flags
        for input in cc_info.linking_context.linker_inputs.to_list()
    ])
