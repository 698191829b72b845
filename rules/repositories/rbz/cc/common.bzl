"""`cc_common`: what rules of others do with C and C++."""

load(":compile.bzl", "compile_sources", "context_of")
load(":link.bzl", "archive", "link")
load(
    ":provider.bzl",
    "CcInfo",
    "create_compilation_context",
    "create_library_to_link",
    "create_linker_input",
    "create_linking_context",
    "merge_cc_infos",
    "merge_compilation_contexts",
    "merge_linking_contexts",
)
load(":toolchain.bzl", "CcToolchainInfo")

def _configure_features(*, ctx = None, cc_toolchain, requested_features = [], unsupported_features = [], language = "c++"):
    """What `compile` and `link` need to know of a rule besides its toolchain."""
    if not ctx:
        fail("configure_features needs the argument ctx")
    return struct(
        mode = ctx.var["COMPILATION_MODE"],
        linker = ctx.var.get("CC_LINKER"),
        bin_dir = ctx.bin_dir.path,
        root = ctx.label.workspace_root,
        package = ctx.label.package,
        workspace = ctx.workspace_name,
        label = ctx.label,
        requested = requested_features,
        unsupported = unsupported_features,
    )

def _is_enabled(*, feature_configuration, feature_name):
    """Whether a feature is on."""
    if feature_name in feature_configuration.unsupported:
        return False
    return feature_name in feature_configuration.requested + ["pic", "supports_pic", "static_link_cpp_runtimes", feature_configuration.mode]

def _compile(
        *,
        actions,
        feature_configuration,
        cc_toolchain,
        name,
        srcs = [],
        public_hdrs = [],
        private_hdrs = [],
        textual_hdrs = [],
        includes = [],
        quote_includes = [],
        system_includes = [],
        framework_includes = [],
        defines = [],
        local_defines = [],
        include_prefix = "",
        strip_include_prefix = "",
        user_compile_flags = [],
        conly_flags = [],
        cxx_flags = [],
        compilation_contexts = [],
        implementation_compilation_contexts = [],
        disallow_pic_outputs = False,
        disallow_nopic_outputs = False,
        additional_inputs = [],
        additional_include_scanning_roots = [],
        language = "c++",
        module_interfaces = []):
    """Compiles sources; returns their compilation context, and their objects."""
    if include_prefix or strip_include_prefix:
        fail("cc_common.compile takes no include_prefix and strip_include_prefix: use cc_library")
    configuration = feature_configuration
    root = configuration.root
    headers = [_file(header) for header in public_hdrs]
    private = [_file(header) for header in private_hdrs]
    own = create_compilation_context(
        headers = depset(headers + private + textual_hdrs),
        includes = includes,
        system_includes = system_includes,
        quote_includes = quote_includes + [
            root or ".",
            configuration.bin_dir + "/" + root if root else configuration.bin_dir,
        ],
        defines = defines,
        local_defines = local_defines,
        direct_public_headers = headers,
        direct_private_headers = private,
        direct_textual_headers = textual_hdrs,
    )
    context = context_of(own, compilation_contexts)
    seen = context_of(own, compilation_contexts + implementation_compilation_contexts)
    objects = compile_sources(
        actions,
        cc_toolchain,
        name,
        [_file(src) for src in srcs],
        seen,
        configuration.mode,
        copts = user_compile_flags,
        conlyopts = conly_flags,
        cxxopts = cxx_flags,
        additional_inputs = additional_inputs,
    )
    return context, _outputs(objects = depset(objects), pic_objects = depset(objects))

def _file(value):
    """A source may be a pair of file and label."""
    return value[0] if type(value) == "tuple" else value

def _outputs(*, objects = None, pic_objects = None, lto_compilation_context = None, dwo_objects = None, pic_dwo_objects = None):
    """Objects, as `link` takes them."""
    objects = objects.to_list() if objects else []
    pic_objects = pic_objects.to_list() if pic_objects else []
    return struct(objects = objects, pic_objects = pic_objects)

def _merge_outputs(*, compilation_outputs = []):
    """The objects of several compilations."""
    return struct(
        objects = [file for outputs in compilation_outputs for file in outputs.objects],
        pic_objects = [file for outputs in compilation_outputs for file in outputs.pic_objects],
    )

def _objects(outputs):
    return (outputs.pic_objects or outputs.objects) if outputs else []

def _link(
        *,
        actions,
        feature_configuration,
        cc_toolchain,
        name,
        compilation_outputs = None,
        user_link_flags = [],
        linking_contexts = [],
        link_deps_statically = True,
        output_type = "executable",
        stamp = 0,
        additional_inputs = [],
        additional_outputs = [],
        language = "c++",
        variables_extension = {},
        main_output = None):
    """Links a program or a shared object of objects and linking contexts."""
    if output_type not in ("executable", "dynamic_library"):
        fail("output_type must be \"executable\" or \"dynamic_library\", not \"%s\"" % output_type)
    shared = output_type == "dynamic_library"
    output = main_output or actions.declare_file("lib%s.so" % name if shared else name)
    link(
        _as_context(actions, feature_configuration),
        cc_toolchain,
        output,
        _objects(compilation_outputs),
        merge_linking_contexts(linking_contexts),
        feature_configuration.mode,
        form = "static" if link_deps_statically else "shared",
        shared = shared,
        soname = output.basename if shared else None,
        linkopts = user_link_flags,
        additional_inputs = additional_inputs.to_list() if type(additional_inputs) == "depset" else additional_inputs,
    )
    return struct(
        executable = None if shared else output,
        library_to_link = create_library_to_link(dynamic_library = output) if shared else None,
    )

def _as_context(actions, configuration):
    """What `link` uses of a rule's context."""
    return struct(
        actions = actions,
        var = {"CC_LINKER": configuration.linker},
        workspace_name = configuration.workspace,
        label = configuration.label,
    )

def _linking_context_from_outputs(
        *,
        actions,
        feature_configuration,
        cc_toolchain,
        name,
        compilation_outputs,
        user_link_flags = [],
        linking_contexts = [],
        alwayslink = False,
        disallow_static_libraries = False,
        disallow_dynamic_library = False,
        additional_inputs = [],
        language = "c++",
        variables_extension = {}):
    """Makes libraries of objects; returns the linking context with them, and the libraries."""
    objects = _objects(compilation_outputs)
    static = None
    dynamic = None
    if objects and not disallow_static_libraries:
        static = actions.declare_file("lib%s.a" % name)
        archive(actions, cc_toolchain, static, objects)
    if objects and not disallow_dynamic_library:
        dynamic = actions.declare_file("lib%s.so" % name)
        link(
            _as_context(actions, feature_configuration),
            cc_toolchain,
            dynamic,
            objects,
            merge_linking_contexts([]),
            feature_configuration.mode,
            shared = True,
            soname = dynamic.basename,
            linkopts = user_link_flags,
            additional_inputs = additional_inputs,
        )
    library = create_library_to_link(
        static_library = static,
        pic_static_library = static,
        dynamic_library = dynamic,
        objects = objects,
        pic_objects = objects,
        alwayslink = alwayslink,
    ) if static or dynamic else None
    own = create_linker_input(
        owner = feature_configuration.label,
        libraries = [library] if library else [],
        user_link_flags = user_link_flags,
        additional_inputs = additional_inputs,
    )
    return merge_linking_contexts(linking_contexts, own = [own]), struct(
        executable = None,
        library_to_link = library,
    )

def _get_tool_for_action(*, feature_configuration, action_name):
    """Not there: a toolchain has one compiler and one archiver, `program` and `ar`."""
    fail("cc_common.get_tool_for_action is not there: the toolchain's `program` compiles and links, its `ar` archives")

def _merge_contexts(*, compilation_contexts = [], non_exported_compilation_contexts = []):
    """What is needed to compile against several targets."""
    return merge_compilation_contexts(compilation_contexts)

def _merge_linking_contexts(*, linking_contexts = []):
    """What is needed to link several targets."""
    return merge_linking_contexts(linking_contexts)

cc_common = struct(
    CcToolchainInfo = CcToolchainInfo,
    compile = _compile,
    configure_features = _configure_features,
    create_compilation_context = create_compilation_context,
    create_compilation_outputs = _outputs,
    create_library_to_link = create_library_to_link,
    create_linker_input = create_linker_input,
    create_linking_context = create_linking_context,
    create_linking_context_from_compilation_outputs = _linking_context_from_outputs,
    do_not_use_tools_cpp_compiler_present = True,
    get_tool_for_action = _get_tool_for_action,
    is_enabled = _is_enabled,
    link = _link,
    merge_cc_infos = merge_cc_infos,
    merge_compilation_contexts = _merge_contexts,
    merge_compilation_outputs = _merge_outputs,
    merge_linking_contexts = _merge_linking_contexts,
)
