"""Compiling the sources of a target, one action for each file where the target allows it."""

load(":cdeps.bzl", "add_c_libraries", "shared_object")
load(":provider.bzl", "LispInfo", "collect_lisp_info", "extend_lisp_info", "loads_of")
load(":toolchain.bzl", "run_lisp", "shown_path", "toolchain_of")

# Code that is interpreted while it is loaded may recurse deeply.
_DYNAMIC_SPACE_SIZE = "5GB"
_CONTROL_STACK_SIZE = "100MB"

def compilation_mode(ctx):
    """The compilation mode of Lisp code: `fastbuild`, `opt` or `dbg`."""
    return ctx.var.get("LISP_COMPILATION_MODE") or ctx.var["COMPILATION_MODE"]

def mode_features(mode):
    """The features that are there in every action and program."""
    return ["bazel", "rbz"] + ([mode] if mode in ("opt", "dbg") else [])

def verbosity(ctx, level = 0):
    """How much the driver tells."""
    level = max(level, getattr(ctx.attr, "verbose", 0))
    return max(level, int(ctx.var.get("VERBOSE_LISP_BUILD") or "0"))

def forced(ctx):
    """Whether actions go on past failures."""
    return int(ctx.var.get("LISP_BUILD_FORCE") or "0") > 0

def requirements(ctx):
    """What the execution of Lisp actions requires: nothing that went on past a failure is kept."""
    return {"no-cache": ""} if forced(ctx) else {}

def target_features(ctx, info):
    """Depset of the features of a target besides those of the mode."""
    if ctx.var.get("LISP_MSAN"):
        return depset(["msan"], transitive = [info.features], order = "postorder")
    return info.features

def build_flags(ctx, info, verbose_level = 0):
    """`Args` with what all actions of a target are told, in the way of bazelisp's image."""
    flags = ctx.actions.args()
    flags.add("--compilation-mode", compilation_mode(ctx))
    flags.add("--bindir", ctx.bin_dir.path)
    flags.add_joined("--features", target_features(ctx, info), join_with = " ")
    level = verbosity(ctx, verbose_level)
    if level > 0:
        flags.add("--verbose", str(level))
    if forced(ctx):
        flags.add("--force")
    return flags

def _stem(file):
    """The short path of a file without its extension, below the directory of the target."""
    path = file.short_path
    if path.startswith("../"):
        path = path[3:]
    return path[:-len(file.extension) - 1] if file.extension else path

def add_settings(ctx, args, info, nowarn):
    """Adds the parameters that decide how something is loaded."""
    mode = compilation_mode(ctx)
    args.add("mode " + mode)
    args.add_all(mode_features(mode), format_each = "feature %s")
    args.add_all(target_features(ctx, info), format_each = "feature %s")
    args.add_all(nowarn, format_each = "nowarn %s")

def shared_parameters(ctx, info, nowarn, verbose_level = 0):
    """`Args` with a line for each parameter that all actions of a target share."""
    args = ctx.actions.args()
    add_settings(ctx, args, info, nowarn)
    args.add("target " + str(ctx.label))
    args.add("verbose %d" % verbosity(ctx, verbose_level))
    if forced(ctx):
        args.add("force 1")
    return args

def runtime_options(ctx):
    """The sizes of the memory of actions of a target."""
    return [
        "--dynamic-space-size",
        getattr(ctx.attr, "dynamic_space_size", "") or _DYNAMIC_SPACE_SIZE,
        "--control-stack-size",
        getattr(ctx.attr, "control_stack_size", "") or _CONTROL_STACK_SIZE,
    ]

_UTF_8 = ["utf-8", "utf8"]

def _source_steps(srcs, encoding):
    """How sources are loaded before others compile."""
    way = "source:" + encoding if encoding else "source"
    return ["%s %s" % (way, src.path) for src in srcs]

def _block_compilation(block_compile, specified_only):
    if specified_only:
        return "specified"
    return "all" if block_compile else None

def _is_instrumented(ctx, instrument_coverage, image):
    """Whether the code of a target notes what of it runs; images of others cannot say where it stands."""
    if image and LispInfo not in image:
        return False
    return instrument_coverage == 1 or (instrument_coverage == -1 and ctx.coverage_instrumented())

def lisp_compile_srcs(
        ctx,
        srcs = [],
        deps = [],
        cdeps = [],
        image = None,
        add_features = [],
        nowarn = [],
        order = "serial",
        compile_data = [],
        block_compile = False,
        block_compile_specified_only = False,
        verbose_level = 0,
        instrument_coverage = -1,
        indexer_metadata = [],
        load = "source",
        encoding = "utf-8",
        name = None,
        before = []):
    """Registers the actions that compile a target's sources.

    Args:
      ctx: the rule's context; `_lisp_toolchain` among its attributes says which Lisp, else `image` does.
      srcs: the sources, in load order.
      deps: targets with LispInfo.
      cdeps: targets with CcInfo.
      image: the program that runs the actions in place of the usual one.
      add_features: features of this target and of all that depend on it.
      nowarn: handlers of conditions.
      order: which of `srcs` are loaded before one of them compiles.
      compile_data: files that are there while this target and those that depend on it compile.
      block_compile: whether the sources together are one block.
      block_compile_specified_only: whether only what files mark themselves is a block.
      verbose_level: how much the actions tell.
      instrument_coverage: whether the code counts what it runs.
      indexer_metadata: files for those who watch the actions; not used.
      load: how consumers and later files see this target before they compile.
      encoding: how the sources are written.
      name: what the outputs are called; by default as the target.
      before: LispInfos of what is loaded before `deps`.

    Returns:
      A struct of `lisp_info`, `output_fasl` (None without sources), `build_flags`; of
      `shared_object`, what `shared_object` says if the sources see it, else None; of `base`, what
      `lisp_info` has of others; of `compiled`, a struct of `fasl` and `sources` for each file
      that is loaded for the target itself; and of `coverage_maps`: where in the sources stands what
      coverage instruments.
    """
    order = order or "serial"
    load = load or "source"
    if order == "multipass" and load != "source":
        fail("order = \"multipass\" loads every file before any of them is compiled: it needs load = \"source\"")
    toolchain = toolchain_of(ctx, image)
    base = collect_lisp_info(
        deps,
        cdeps = cdeps,
        build_image = image,
        features = add_features,
        compile_data = compile_data,
        before = before,
    )
    flags = build_flags(ctx, base, verbose_level)
    object = None
    if getattr(ctx.attr, "cdeps_at_compile", False):
        object = shared_object(ctx, base.cc_info)
    if not srcs:
        return struct(
            lisp_info = base,
            output_fasl = None,
            build_flags = flags,
            shared_object = object,
            base = base,
            compiled = [],
            coverage_maps = [],
        )

    if order == "multipass":
        nowarn = nowarn + ["redefined-method", "redefined-function"]
    target = struct(
        toolchain = toolchain,
        base = base,
        shared_object = object,
        nowarn = nowarn,
        image = image,
        block_compile = _block_compilation(block_compile, block_compile_specified_only),
        coverage = _is_instrumented(ctx, instrument_coverage, image),
        encoding = "" if (encoding or "utf-8").lower() in _UTF_8 else encoding,
        flags = flags,
        verbose_level = verbose_level,
        runtime_options = runtime_options(ctx),
    )
    name = name or ctx.label.name
    directory = name + "~/"
    whole = ctx.actions.declare_file(name + ".fasl")

    # A block goes over all files, so they are compiled together.
    together = target.block_compile and len(srcs) > 1 and load != "image"
    single = len(srcs) == 1 or together
    files = []
    maps = []
    for src in srcs:
        stem = directory + _stem(src)
        map = None
        if target.coverage and not (together and maps):
            map = ctx.actions.declare_file(stem + ".coverage")
            maps.append(map)
        if single:
            fasl = whole
            warnings = files[0].warnings if files else ctx.actions.declare_file(directory + name + ".warnings")
        else:
            fasl = ctx.actions.declare_file(stem + ".fasl")
            warnings = ctx.actions.declare_file(stem + ".warnings")
        files.append(struct(
            src = src,
            fasl = fasl,
            warnings = warnings,
            hash = ctx.actions.declare_file(stem + ".hash"),
            map = map,
        ))

    if load == "image":
        _compile(ctx, target, files, depset(), depset())
    elif together:
        joined = ctx.actions.declare_file(directory + name + ".lisp")
        before = srcs if order == "multipass" else []
        steps = depset(_source_steps(before, target.encoding), order = "postorder")
        _compile(ctx, target, files, steps, depset(before), joined)
    else:
        # What is loaded grows by one node for each file, so that no list is written out for each.
        steps = depset(order = "postorder")
        inputs = depset()
        if order == "multipass":
            steps = depset(_source_steps(srcs, target.encoding), order = "postorder")
            inputs = depset(srcs)
        for file in files:
            _compile(ctx, target, [file], steps, inputs)
            if order == "serial":
                loaded = file.src if load == "source" else file.fasl
                steps = depset(
                    _source_steps([loaded], target.encoding) if load == "source" else ["fasl " + loaded.path],
                    transitive = [steps],
                    order = "postorder",
                )
                inputs = depset([loaded], transitive = [inputs])

    if not single:
        parameters = ctx.actions.args()
        parameters.add(whole, format = "output %s")
        parameters.add_all([file.fasl for file in files], format_each = "input %s")
        run_lisp(
            ctx,
            toolchain,
            "concat",
            parameters,
            inputs = depset([file.fasl for file in files]),
            outputs = [whole],
            mnemonic = "LispConcat",
            progress_message = "Concatenating %s" % shown_path(whole),
        )

    as_source = load == "source"
    info = extend_lisp_info(
        base,
        srcs = srcs,
        fasls = [whole],
        hashes = [file.hash for file in files],
        warnings = [files[0].warnings] if single else [file.warnings for file in files],
        loads = _source_steps(srcs, target.encoding) if as_source else ["fasl " + whole.path],
        load_inputs = srcs if as_source else [whole],
        core_loads = ["fasl " + whole.path],
    )
    return struct(
        lisp_info = info,
        output_fasl = whole,
        build_flags = flags,
        shared_object = object,
        base = base,
        compiled = [struct(fasl = whole, sources = srcs)] if single else [
            struct(fasl = file.fasl, sources = [file.src])
            for file in files
        ],
        coverage_maps = maps,
    )

def _compile(ctx, target, files, steps, step_inputs, joined = None):
    """Registers the action that compiles `files`; as one file, that is written to `joined`, if it is given."""
    base = target.base
    outputs = [file.hash for file in files]
    if joined:
        outputs = [files[0].fasl, files[0].warnings, joined] + outputs
    else:
        outputs = [out for file in files for out in (file.fasl, file.warnings)] + outputs
    outputs += [file.map for file in files if file.map]
    parameters = shared_parameters(ctx, base, target.nowarn, target.verbose_level)
    add_c_libraries(parameters, base.cc_info, target.shared_object)
    if target.block_compile:
        parameters.add("block-compile " + target.block_compile)
    if joined:
        parameters.add(joined, format = "together %s")
    if target.coverage:
        parameters.add("coverage yes")
    elif ctx.configuration.coverage_enabled:
        # What it uses of others may be instrumented there.
        parameters.add("inlining no")
    if target.encoding:
        parameters.add("encoding " + target.encoding)
    image = target.image
    if image and LispInfo in image:
        parameters.add_all(loads_of(image[LispInfo]), format_each = "inside %s")
    parameters.add_all(base.loads, format_each = "load %s")
    parameters.add_all(steps, format_each = "load %s")

    # What is told in detail, or goes on past failures, is told of each file alone.
    first_steps = None
    if not image and not forced(ctx) and not verbosity(ctx, target.verbose_level):
        first_steps = ctx.actions.args()
        add_settings(ctx, first_steps, base, target.nowarn)
        add_c_libraries(first_steps, base.cc_info, target.shared_object)
        first_steps.add_all(base.loads, format_each = "load %s")
        first_steps.add_all(steps, format_each = "load %s")
    for file in files:
        parameters.add(file.src, format = "source %s")
        parameters.add(file.fasl, format = "fasl %s")
        parameters.add(file.warnings, format = "warnings %s")
        parameters.add(file.hash, format = "hash %s")
        if file.map:
            parameters.add(file.map, format = "map %s")
    message = "Compiling %s" % shown_path(files[0].src)
    if len(files) > 1:
        message += " and %d more" % (len(files) - 1)
    run_lisp(
        ctx,
        target.toolchain,
        "compile",
        parameters,
        inputs = depset(
            [file.src for file in files],
            transitive = [step_inputs, base.load_inputs, base.compile_data] +
                         ([target.shared_object.files] if target.shared_object else []),
        ),
        outputs = outputs,
        mnemonic = "LispCompile",
        progress_message = message,
        image = image,
        image_arguments = [target.flags, _image_arguments(ctx, target, files, outputs, steps)] if image else [],
        runtime_options = target.runtime_options,
        execution_requirements = requirements(ctx),
        first_steps = first_steps,
        own = [file.src for file in files],
    )

def instrumented_files(ctx, compiled):
    """The InstrumentedFilesInfo of a Lisp target, given what `lisp_compile_srcs` returned."""
    return coverage_common.instrumented_files_info(
        ctx,
        source_attributes = ["srcs"],
        dependency_attributes = ["deps", "cdeps", "image", "data"],
        metadata_files = compiled.coverage_maps,
    )

def _loaded_path(step):
    """The file of a step, if it is one."""
    return None if step.startswith("module ") else step[step.find(" ") + 1:]

def _image_arguments(ctx, target, files, outputs, steps):
    """The command line by which bazelisp's image would compile `files`."""
    inside = {}
    if LispInfo in target.image:
        inside = {step: True for step in loads_of(target.image[LispInfo]).to_list()}
    deps = [step for step in target.base.loads.to_list() if step not in inside]
    args = ctx.actions.args()
    args.add_joined("--outs", outputs, join_with = " ")
    args.add_joined("--srcs", [file.src for file in files], join_with = " ")
    args.add_joined("--deps", deps, map_each = _loaded_path, join_with = " ")
    args.add_joined("--load", steps, map_each = _loaded_path, join_with = " ")
    args.add_joined("--nowarn", target.nowarn, join_with = " ")
    if target.block_compile:
        args.add("--block-compile")
        if target.block_compile == "specified":
            args.add("--block-compile-specified-only")
    return args
