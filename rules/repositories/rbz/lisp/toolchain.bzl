"""The Lisp implementation as a target: its program, its files, and the driver that actions run."""

load(":provider.bzl", "LispInfo")

LispToolchainInfo = provider(
    doc = "A Lisp implementation.",
    fields = {
        "program": "Absolute path of the implementation's program.",
        "launcher": "Arguments before the program: what turns address-space randomisation off.",
        "home": "The directory of its core and modules, SBCL_HOME.",
        "driver": "The core that every Lisp action runs.",
        "files": "Depset of everything that an action needs of the implementation.",
        "runtime_files": "Depset of what a program that was built needs of the machine when it runs.",
        "version": "Version of the implementation.",
        "repl": "The FASL that makes a read-eval-print loop of the driver.",
    },
)

def _system_program(path, launcher):
    """The executable of an action and its first arguments."""
    if launcher:
        return launcher, ["-R", path]
    return path, []

def _run_sbcl(ctx, mnemonic, message, core, script, arguments, inputs, output):
    """Load `script` into the implementation started from `core`; it saves the core `output`."""
    executable, launch = _system_program(ctx.attr.program, ctx.attr.launcher)
    ctx.actions.run(
        mnemonic = mnemonic,
        progress_message = message,
        executable = executable,
        arguments = launch + [
            "--noinform",
            "--core",
            core,
            "--no-sysinit",
            "--no-userinit",
            "--disable-debugger",
            "--load",
            script.path,
            "--end-toplevel-options",
            output.path,
        ] + arguments,
        inputs = inputs,
        outputs = [output],
        env = {"SBCL_HOME": ctx.attr.home},
    )

def _lisp_toolchain_impl(ctx):
    attr = ctx.attr
    system = depset(transitive = [target[DefaultInfo].files for target in attr.files])
    base = ctx.actions.declare_file(ctx.label.name + "_base.core")
    _run_sbcl(
        ctx,
        mnemonic = "LispBase",
        message = "Preparing the Lisp implementation",
        core = attr.core,
        script = ctx.file._base,
        arguments = [],
        inputs = depset([ctx.file._base], transitive = [system]),
        output = base,
    )
    driver = ctx.actions.declare_file(ctx.label.name + ".core")
    _run_sbcl(
        ctx,
        mnemonic = "LispDriver",
        message = "Compiling the Lisp driver",
        core = base.path,
        script = ctx.file._build,
        arguments = [source.path for source in ctx.files._sources],
        inputs = depset([base, ctx.file._build] + ctx.files._sources, transitive = [system]),
        output = driver,
    )
    repl = ctx.actions.declare_file(ctx.label.name + "_repl.fasl")
    toolchain = LispToolchainInfo(
        program = attr.program,
        launcher = attr.launcher,
        home = attr.home,
        driver = driver,
        files = depset([driver], transitive = [system]),
        runtime_files = depset(transitive = [
            target[DefaultInfo].files
            for target in attr.runtime_files
        ]),
        version = attr.version,
        repl = repl,
    )
    _compile_repl(ctx, toolchain)
    manifest = ctx.actions.declare_file(ctx.label.name + ".repl")
    lines = ctx.actions.args()
    lines.set_param_file_format("multiline")
    add_implementation(lines, toolchain)
    ctx.actions.write(manifest, lines)
    return [
        DefaultInfo(files = depset([driver])),
        OutputGroupInfo(repl = depset([driver, repl]), repl_manifest = depset([manifest])),
        toolchain,
    ]

def _compile_repl(ctx, toolchain):
    """Registers the action that compiles what makes a read-eval-print loop of the driver."""
    source = ctx.file._repl
    warnings = ctx.actions.declare_file(ctx.label.name + "_repl.warnings")
    hash = ctx.actions.declare_file(ctx.label.name + "_repl.hash")
    parameters = ctx.actions.args()
    parameters.add("mode fastbuild")
    parameters.add(source, format = "source %s")
    parameters.add(toolchain.repl, format = "fasl %s")
    parameters.add(warnings, format = "warnings %s")
    parameters.add(hash, format = "hash %s")
    run_lisp(
        ctx,
        toolchain,
        "compile",
        parameters,
        inputs = depset([source]),
        outputs = [toolchain.repl, warnings, hash],
        mnemonic = "LispDriver",
        progress_message = "Compiling the Lisp driver's read-eval-print loop",
    )

def add_implementation(lines, toolchain):
    """Adds what `rbz repl` has to know of an implementation to the lines that it reads."""
    lines.add("program " + toolchain.program)
    lines.add("home " + toolchain.home)
    lines.add(toolchain.driver, format = "driver %s")
    lines.add(toolchain.repl, format = "repl %s")

lisp_toolchain = rule(
    implementation = _lisp_toolchain_impl,
    doc = "An SBCL on this machine.",
    attrs = {
        "program": attr.string(mandatory = True, doc = "Absolute path of the program."),
        "core": attr.string(mandatory = True, doc = "Absolute path of its core."),
        "home": attr.string(mandatory = True, doc = "Absolute path of the directory of its modules."),
        "launcher": attr.string(doc = "Absolute path of `setarch`."),
        "version": attr.string(doc = "What the program says its version is."),
        "files": attr.label_list(doc = "Everything that an action needs of it."),
        "runtime_files": attr.label_list(doc = "What a built program needs when it runs."),
        "_base": attr.label(
            default = Label("//lisp/driver:base.lisp"),
            allow_single_file = True,
        ),
        "_build": attr.label(
            default = Label("//lisp/driver:build.lisp"),
            allow_single_file = True,
        ),
        "_repl": attr.label(
            default = Label("//lisp/driver:repl.lisp"),
            allow_single_file = True,
        ),
        "_sources": attr.label(default = Label("//lisp/driver:sources"), allow_files = True),
    },
)

def _missing_lisp_toolchain_impl(ctx):
    fail(ctx.attr.message)

missing_lisp_toolchain = rule(
    implementation = _missing_lisp_toolchain_impl,
    doc = "Stands for an implementation that was not found: an error for whoever needs it.",
    attrs = {
        "message": attr.string(mandatory = True, doc = "What to tell the user."),
    },
)

def _lisp_module_impl(ctx):
    infos = [dep[LispInfo] for dep in ctx.attr.deps]
    step = ["module " + ctx.attr.module]
    nothing = depset(order = "postorder")
    return [
        DefaultInfo(),
        LispInfo(
            fasls = nothing,
            srcs = nothing,
            hashes = nothing,
            warnings = nothing,
            features = nothing,
            compile_data = depset(),
            cc_info = None,
            loads = depset(step, transitive = [info.loads for info in infos], order = "postorder"),
            load_inputs = depset(),
            core_loads = depset(
                step,
                transitive = [info.core_loads for info in infos],
                order = "postorder",
            ),
        ),
    ]

lisp_module = rule(
    implementation = _lisp_module_impl,
    doc = "A module that comes with the implementation.",
    attrs = {
        "module": attr.string(mandatory = True, doc = "The argument of `require`."),
        "deps": attr.label_list(providers = [LispInfo], doc = "Modules that it requires."),
    },
)

def shown_path(file):
    """The path of a file in messages: that of an external repository is `external/REPO/…`, as errors name it."""
    path = file.short_path
    return "external/" + path[3:] if path.startswith("../") else path

def _name_in_package(ctx, output):
    """The path of an output below the directory of its package."""
    path = output.short_path
    if path.startswith("../"):
        path = path[path.find("/", 3) + 1:]
    package = ctx.label.package
    return path[len(package) + 1:] if package else path

def toolchain_of(ctx, image):
    """The implementation of a rule: that of its attribute `_lisp_toolchain`, else that of its image."""
    target = getattr(ctx.attr, "_lisp_toolchain", None) or image
    if not target or LispToolchainInfo not in target:
        fail("the rule knows no Lisp: give it attr.label(default = Label(\"@lisp//:toolchain\")) under the name _lisp_toolchain, or pass an image that is a lisp_binary")
    return target[LispToolchainInfo]

def _image_core(image):
    """The core of an image that is a Lisp program of ours, and after it what it opens; or None."""
    if LispInfo not in image or OutputGroupInfo not in image:
        return None
    return getattr(image[OutputGroupInfo], "core", None)

# Where the runtime ends without a chance for the driver to say a word.
_HINTS = {
    "hint:Heap exhausted": "dynamic_space_size of the target gives its actions more memory",
    "hint:No more immobile pages": "the space for names of functions, symbols and layouts is full, and no option makes it larger: put fewer of them into one image",
    "hint:Control stack exhausted while pseudo-atomic": "control_stack_size of the target gives its actions a deeper stack",
    "hint:Control stack exhausted, fault": "control_stack_size of the target gives its actions a deeper stack",
}

def run_lisp(
        ctx,
        toolchain,
        command,
        parameters,
        inputs,
        outputs,
        mnemonic,
        progress_message,
        image = None,
        image_arguments = [],
        runtime_options = [],
        execution_requirements = {},
        first_steps = None,
        own = []):
    """Registers an action that the driver does.

    Args:
      ctx: the rule's context.
      toolchain: a LispToolchainInfo.
      command: what to do: `compile`, `concat` or `core`.
      parameters: `Args` with a line for each parameter.
      inputs: depset of what the action reads besides the toolchain.
      outputs: what it writes.
      mnemonic: the kind of action.
      progress_message: what to show while it runs.
      image: a target to run in place of the driver: it starts with `bazel.main:main`, is called with
        `image_arguments`, and finds the name of a file with `parameters` in the environment.
      image_arguments: a list of `Args` that say what `parameters` say in the way of bazelisp.
      runtime_options: options of the Lisp runtime.
      execution_requirements: as those of `ctx.actions.run`.
      first_steps: `Args` with the lines of `parameters` that other actions begin with, too: an image
        that has dealt with them may be forked in place of starting one.
      own: files of `inputs` that `first_steps` do not need.
    """
    parameters.set_param_file_format("multiline")
    env = {"SBCL_HOME": toolchain.home}
    runtime = ["--noinform", "--disable-ldb"]
    runtime = runtime + runtime_options + ["--end-runtime-options"]
    direct = [toolchain.files, inputs]
    tools = []
    if image:
        file = ctx.actions.declare_file(_name_in_package(ctx, outputs[0]) + ".parameters")
        ctx.actions.write(file, parameters)
        direct.append(depset([file]))
        env["RBZ_LISP_PARAMETERS"] = file.path
        env["LISP_MAIN"] = "bazel.main:main"
        core = _image_core(image)
        if core:
            program = toolchain.program
            direct.append(core)
            direct.append(image[DefaultInfo].default_runfiles.files)
            arguments = ["--core", core.to_list()[0].path] + runtime + [command] + image_arguments
        else:
            program = image[DefaultInfo].files_to_run.executable.path
            tools.append(image[DefaultInfo].files_to_run)
            arguments = [command] + image_arguments
    else:
        parameters.use_param_file("@%s", use_always = True)
        program = toolchain.program
        arguments = ["--core", toolchain.driver.path] + runtime + [command, parameters]
    executable, launch = _system_program(program, toolchain.launcher)
    resident = None
    if first_steps:
        resident = {
            "arguments": launch + ["--core", toolchain.driver.path] + runtime + ["stem"],
            "own": own,
            "steps": first_steps,
            "tools": toolchain.files,
        }
    ctx.actions.run(
        mnemonic = mnemonic,
        progress_message = progress_message,
        resident = resident,
        executable = executable,
        arguments = launch + arguments,
        inputs = depset(transitive = direct),
        tools = tools,
        outputs = outputs,
        env = env,
        execution_requirements = _HINTS | execution_requirements,
    )
