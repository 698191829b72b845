"""Compiling the sources of a target, one action for each file where the target allows it."""

load(":provider.bzl", "LispInfo", "collect_lisp_info", "extend_lisp_info")
load(":toolchain.bzl", "LispToolchainInfo", "run_lisp")

# Code that is interpreted while it is loaded may recurse deeply.
_DYNAMIC_SPACE_SIZE = "5GB"
_CONTROL_STACK_SIZE = "100MB"

def compilation_mode(ctx):
    """The compilation mode of Lisp code: `fastbuild`, `opt` or `dbg`."""
    return ctx.var.get("LISP_COMPILATION_MODE") or ctx.var["COMPILATION_MODE"]

def mode_features(mode):
    """The features that are there in every action and program."""
    return ["bazel", "rbz"] + ([mode] if mode in ("opt", "dbg") else [])

def verbosity(ctx):
    """How much the driver tells."""
    return str(ctx.var.get("VERBOSE_LISP_BUILD") or getattr(ctx.attr, "verbose", 0))

def _stem(file):
    """The short path of a file without its extension, below the directory of the target."""
    path = file.short_path
    if path.startswith("../"):
        path = path[3:]
    return path[:-len(file.extension) - 1] if file.extension else path

def _parameters(ctx, info, add_nowarn, mode, image_info, block_compile):
    """The parameters that all compilations of a target share."""
    args = ctx.actions.args()
    args.add("mode " + mode)
    args.add("target " + str(ctx.label))
    args.add("verbose " + verbosity(ctx))
    if ctx.var.get("LISP_BUILD_FORCE"):
        args.add("force " + ctx.var["LISP_BUILD_FORCE"])
    if block_compile:
        args.add("block-compile " + block_compile)
    args.add_all(mode_features(mode), format_each = "feature %s")
    args.add_all(info.features, format_each = "feature %s")
    args.add_all(add_nowarn, format_each = "nowarn %s")
    if image_info:
        args.add_all(image_info.loads, format_each = "inside %s")
    args.add_all(info.loads, format_each = "load %s")
    return args

def _block_compilation(block_compile, specified_only):
    if specified_only:
        return "specified"
    return "all" if block_compile else None

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
        instrument_coverage = 0,
        indexer_metadata = [],
        load = "source"):
    """Registers the actions that compile a target's sources.

    Args:
      ctx: the rule's context; it has the attributes of `LISP_COMPILE_ATTRS`.
      srcs: the sources, in load order.
      deps: targets with LispInfo.
      cdeps: targets with C libraries.
      image: the program that runs the actions in place of the usual one.
      add_features: features of this target and of all that depend on it.
      nowarn: handlers of conditions.
      order: which of `srcs` are loaded before one of them compiles.
      compile_data: files that are there while this target and those that depend on it compile.
      block_compile: whether each file is one block.
      block_compile_specified_only: whether only what files mark themselves is a block.
      verbose_level: not used; the attribute `verbose` counts.
      instrument_coverage: whether the code counts what it runs.
      indexer_metadata: not used.
      load: how consumers and later files see this target before they compile.

    Returns:
      A struct of `lisp_info`, `output_fasl` (None without sources) and `build_flags`.
    """
    order = order or "serial"
    load = load or "source"
    if order == "multipass" and load != "source":
        fail("order = \"multipass\" loads every file before any of them is compiled: it needs load = \"source\"")
    if instrument_coverage == 1:
        fail("instrument_coverage = 1: coverage is not supported yet")
    toolchain = ctx.attr._lisp_toolchain[LispToolchainInfo]
    base = collect_lisp_info(
        deps,
        cdeps = cdeps,
        build_image = image,
        features = add_features,
        compile_data = compile_data,
    )
    mode = compilation_mode(ctx)
    if not srcs:
        return struct(lisp_info = base, output_fasl = None, build_flags = [])

    if order == "multipass":
        nowarn = nowarn + ["redefined-method", "redefined-function"]
    image_info = image[LispInfo] if image and LispInfo in image else None
    block = _block_compilation(block_compile, block_compile_specified_only)
    directory = ctx.label.name + "~/"
    whole = ctx.actions.declare_file(ctx.label.name + ".fasl")
    single = len(srcs) == 1
    files = []
    for src in srcs:
        stem = directory + _stem(src)
        warnings = directory + ctx.label.name if single else stem
        files.append(struct(
            src = src,
            fasl = whole if single else ctx.actions.declare_file(stem + ".fasl"),
            warnings = ctx.actions.declare_file(warnings + ".warnings"),
            hash = ctx.actions.declare_file(stem + ".hash"),
        ))

    options = [
        "--dynamic-space-size",
        ctx.attr.dynamic_space_size or _DYNAMIC_SPACE_SIZE,
        "--control-stack-size",
        ctx.attr.control_stack_size or _CONTROL_STACK_SIZE,
    ]
    if load == "image":
        _compile(ctx, toolchain, files, depset(), depset(), base, nowarn, mode, image, image_info, block, options)
    else:
        # What is loaded grows by one node for each file, so that no list is written out for each.
        steps = depset(order = "postorder")
        inputs = depset()
        if order == "multipass":
            steps = depset(["source " + src.path for src in srcs], order = "postorder")
            inputs = depset(srcs)
        for file in files:
            _compile(ctx, toolchain, [file], steps, inputs, base, nowarn, mode, image, image_info, block, options)
            if order == "serial":
                loaded = file.src if load == "source" else file.fasl
                steps = depset(
                    ["%s %s" % (load, loaded.path)],
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
            progress_message = "Concatenating %s" % whole.short_path,
        )

    as_source = load == "source"
    info = extend_lisp_info(
        base,
        srcs = srcs,
        fasls = [whole],
        hashes = [file.hash for file in files],
        warnings = [file.warnings for file in files],
        loads = ["source " + src.path for src in srcs] if as_source else ["fasl " + whole.path],
        load_inputs = srcs if as_source else [whole],
        core_loads = ["fasl " + whole.path],
    )
    return struct(lisp_info = info, output_fasl = whole, build_flags = [])

def _compile(ctx, toolchain, files, steps, step_inputs, base, nowarn, mode, image, image_info, block, options):
    """Registers the action that compiles `files`."""
    parameters = _parameters(ctx, base, nowarn, mode, image_info, block)
    parameters.add_all(steps, format_each = "load %s")
    for file in files:
        parameters.add(file.src, format = "source %s")
        parameters.add(file.fasl, format = "fasl %s")
        parameters.add(file.warnings, format = "warnings %s")
        parameters.add(file.hash, format = "hash %s")
    message = "Compiling %s" % files[0].src.short_path
    if len(files) > 1:
        message += " and %d more" % (len(files) - 1)
    run_lisp(
        ctx,
        toolchain,
        "compile",
        parameters,
        inputs = depset(
            [file.src for file in files],
            transitive = [step_inputs, base.load_inputs, base.compile_data],
        ),
        outputs = [out for file in files for out in (file.fasl, file.warnings, file.hash)],
        mnemonic = "LispCompile",
        progress_message = message,
        image = image[DefaultInfo].files_to_run if image else None,
        runtime_options = options,
    )
