"""The rule `cc_library`, and what it has in common with programs."""

load(":attributes.bzl", "CC_LIBRARY_ATTRS")
load(
    ":compile.bzl",
    "ARCHIVES",
    "ASSEMBLER_SOURCES",
    "CXX_SOURCES",
    "C_SOURCES",
    "HEADERS",
    "OBJECTS",
    "cc_mode",
    "compile_sources",
    "context_of",
    "is_shared_object",
    "own_context",
    "prefixed_headers",
)
load(":link.bzl", "archive", "link", "system_libraries")
load(":provider.bzl", "CcInfo", "create_library_to_link", "create_linker_input", "merge_linking_contexts")
load(":toolchain.bzl", "CcToolchainInfo")

def sorted_sources(ctx):
    """The files of `srcs` by what becomes of them."""
    kinds = struct(sources = [], headers = [], objects = [], archives = [], shared = [])
    for target in ctx.attr.srcs:
        files = target[DefaultInfo].files.to_list()
        fitting = 0
        for file in files:
            extension = file.extension
            if extension in C_SOURCES or extension in CXX_SOURCES or extension in ASSEMBLER_SOURCES:
                kinds.sources.append(file)
            elif extension in HEADERS or file.is_directory:
                kinds.headers.append(file)
            elif extension in OBJECTS:
                kinds.objects.append(file)
            elif extension in ARCHIVES:
                kinds.archives.append(file)
            elif is_shared_object(file):
                kinds.shared.append(file)
            else:
                continue
            fitting += 1
        if files and not fitting:
            fail("srcs: `%s` is none of C, C++ or assembler source, header, object, archive or shared object" % target.label)
    return kinds

def expanded(ctx, arguments, targets):
    """Arguments with `$(location …)`, make variables and quotes of the shell resolved."""
    words = []
    for argument in arguments:
        if "$" in argument:
            argument = ctx.expand_make_variables("copts", ctx.expand_location(argument, targets), {})
        words += ctx.tokenize(argument)
    return words

def compiled(ctx, kinds, headers = [], textual_headers = [], implementation_deps = [], prefixed = None):
    """Compiles the sources of a target.

    Args:
      ctx: the rule's context; it has the attributes of `CC_COMPILE_ATTRS`.
      kinds: what `sorted_sources` says.
      headers: public headers.
      textual_headers: headers that cannot be compiled alone.
      implementation_deps: targets whose headers only the sources see.
      prefixed: what `prefixed_headers` says.

    Returns:
      A struct of `objects`, the `context` for those that depend on the target, and
      `instrumented_files`, an InstrumentedFilesInfo.
    """
    attr = ctx.attr
    toolchain = attr._cc_toolchain[CcToolchainInfo]
    own = own_context(
        ctx,
        headers = headers,
        private_headers = kinds.headers,
        textual_headers = textual_headers,
        includes = attr.includes,
        defines = [ctx.expand_make_variables("defines", define, {}) for define in attr.defines],
        local_defines = [
            ctx.expand_make_variables("local_defines", define, {})
            for define in attr.local_defines
        ],
        prefixed = prefixed,
        system_headers = [system_libraries(toolchain, link_options(ctx)).headers],
    )
    deps = [dep[CcInfo].compilation_context for dep in attr.deps]
    context = context_of(own, deps)
    seen = context
    if implementation_deps:
        seen = context_of(own, deps + [dep[CcInfo].compilation_context for dep in implementation_deps])
    targets = attr.additional_compiler_inputs + attr.srcs
    coverage_notes = [] if ctx.coverage_instrumented() and toolchain.gcov else None
    objects = compile_sources(
        ctx.actions,
        toolchain,
        ctx.label.name,
        kinds.sources,
        seen,
        cc_mode(ctx),
        copts = expanded(ctx, attr.copts, targets),
        conlyopts = expanded(ctx, attr.conlyopts, targets),
        cxxopts = expanded(ctx, attr.cxxopts, targets),
        additional_inputs = ctx.files.additional_compiler_inputs,
        coverage_notes = coverage_notes,
    )
    return struct(
        objects = objects + kinds.objects,
        context = context,
        instrumented_files = coverage_common.instrumented_files_info(
            ctx,
            source_attributes = ["srcs", "hdrs", "textual_hdrs"],
            dependency_attributes = ["deps", "implementation_deps", "data"],
            extensions = C_SOURCES + CXX_SOURCES + HEADERS,
            metadata_files = coverage_notes or [],
        ),
    )

def link_options(ctx):
    """The target's own arguments of the linker."""
    attr = ctx.attr
    return expanded(ctx, attr.linkopts, attr.additional_linker_inputs + attr.srcs + attr.deps)

def solib(ctx, file):
    """A shared object where programs find it: a name of its own in a directory of the package."""
    link = ctx.actions.declare_file("_solib/" + file.basename)
    ctx.actions.symlink(output = link, target_file = file)
    return link

def shared_name(ctx):
    """A name for the target's shared object that no other target's has."""
    label = ctx.label
    words = [label.workspace_name, label.package, label.name]
    return "lib" + "_".join([word.replace("_", "_U").replace("/", "_S") for word in words if word]) + ".so"

def cc_runfiles(ctx, files = [], transitive_files = None):
    """The runfiles of a C target: `data`, and those of what it depends on."""
    attr = ctx.attr
    runfiles = ctx.runfiles(files = files + ctx.files.data, transitive_files = transitive_files)
    targets = attr.data + attr.srcs + attr.deps + getattr(attr, "implementation_deps", [])
    return runfiles.merge_all([target[DefaultInfo].default_runfiles for target in targets])

def prebuilt_libraries(ctx, kinds, alwayslink = False):
    """The archives and shared objects among the sources, as libraries."""
    return [
        create_library_to_link(static_library = file, alwayslink = alwayslink or file.extension == "lo")
        for file in kinds.archives
    ] + [
        create_library_to_link(dynamic_library = solib(ctx, file))
        for file in kinds.shared
    ]

def _cc_library_impl(ctx):
    attr = ctx.attr
    toolchain = attr._cc_toolchain[CcToolchainInfo]
    kinds = sorted_sources(ctx)
    prefixed = prefixed_headers(
        ctx,
        ctx.files.hdrs + ctx.files.textual_hdrs,
        attr.strip_include_prefix or None,
        attr.include_prefix or None,
    )
    result = compiled(
        ctx,
        kinds,
        headers = ctx.files.hdrs,
        textual_headers = ctx.files.textual_hdrs,
        implementation_deps = attr.implementation_deps,
        prefixed = prefixed,
    )
    linkopts = link_options(ctx)
    contexts = [
        dep[CcInfo].linking_context
        for dep in attr.deps + attr.implementation_deps
    ]
    libraries = []
    files = []
    shared = []
    if result.objects:
        static = ctx.actions.declare_file("lib%s.a" % ctx.label.name)
        archive(ctx.actions, toolchain, static, result.objects)
        files.append(static)
        dynamic = None
        if not attr.linkstatic:
            dynamic = ctx.actions.declare_file("_solib/" + shared_name(ctx))
            link(
                ctx,
                toolchain,
                dynamic,
                result.objects,
                merge_linking_contexts([]),
                cc_mode(ctx),
                shared = True,
                soname = dynamic.basename,
                linkopts = linkopts,
                additional_inputs = ctx.files.additional_linker_inputs,
            )
            shared.append(dynamic)
        libraries.append(create_library_to_link(
            static_library = static,
            pic_static_library = static,
            dynamic_library = dynamic,
            objects = result.objects,
            pic_objects = result.objects,
            alwayslink = attr.alwayslink,
        ))
    libraries += prebuilt_libraries(ctx, kinds, attr.alwayslink)
    own = [create_linker_input(
        owner = ctx.label,
        libraries = libraries,
        user_link_flags = linkopts,
        additional_inputs = ctx.files.additional_linker_inputs,
    )] if libraries or linkopts else []
    runtime = system_libraries(toolchain, linkopts).runtime_files
    return [
        DefaultInfo(
            files = depset(files),
            runfiles = cc_runfiles(ctx, transitive_files = runtime),
        ),
        OutputGroupInfo(
            archive = depset(files),
            compilation_outputs = depset(result.objects),
            dynamic_library = depset(shared),
        ),
        CcInfo(
            compilation_context = result.context,
            linking_context = merge_linking_contexts(contexts, own = own),
        ),
        result.instrumented_files,
    ]

cc_library = rule(
    implementation = _cc_library_impl,
    doc = "C and C++ sources that other targets use.",
    attrs = CC_LIBRARY_ATTRS,
    provides = [CcInfo],
)
