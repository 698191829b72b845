"""What Lisp rules tell each other."""

load("//cc:provider.bzl", "CcInfo", "merge_cc_infos")

LispInfo = provider(
    doc = "What a Lisp target offers to those that depend on it.",
    fields = {
        "fasls": "Depset of the compiled files of the closure, in load order.",
        "srcs": "Depset of the sources of the closure, in load order.",
        "hashes": "Depset of files, each with a source's name and MD5.",
        "warnings": "Depset of files that list the functions that were undefined at compile time.",
        "features": "Depset of the features (strings) that the closure adds.",
        "compile_data": "Depset of files that are there when the closure and its users compile.",
        "cc_info": "The C and C++ part of the closure.",
        "loads": "Depset of strings: how the closure is loaded before a file compiles, in order: `source PATH`, `fasl PATH` or `module NAME`.",
        "load_inputs": "Depset of the files that `loads` names.",
        "core_loads": "Depset of strings: how the closure gets into a core: `fasl PATH` or `module NAME`.",
    },
)

def loads_of(info):
    """How what a LispInfo offers is loaded before a file compiles; rules of others need not say it."""
    loads = getattr(info, "loads", None)
    if loads == None:
        loads = depset(["source " + src.path for src in info.srcs.to_list()], order = "postorder")
    return loads

def load_inputs_of(info):
    """The files that `loads_of` names."""
    files = getattr(info, "load_inputs", None)
    return info.srcs if files == None else files

def core_loads_of(info):
    """How what a LispInfo offers gets into a core; rules of others need not say it."""
    loads = getattr(info, "core_loads", None)
    if loads == None:
        loads = depset(["fasl " + fasl.path for fasl in info.fasls.to_list()], order = "postorder")
    return loads

def _compile_data_files(compile_data):
    """Depsets of the files of `compile_data`: files, or targets with their runfiles."""
    files = [item for item in compile_data if type(item) == "File"]
    depsets = [depset(files)]
    for target in [item for item in compile_data if type(item) != "File"]:
        info = target[DefaultInfo]
        depsets.append(info.files)
        if info.default_runfiles:
            depsets.append(info.default_runfiles.files)
    return depsets

def collect_lisp_info(deps = [], cdeps = [], build_image = None, features = [], compile_data = [], before = []):
    """The union of what targets offer.

    Args:
      deps: targets with LispInfo, in load order.
      cdeps: targets with CcInfo.
      build_image: the program that runs the actions, if it is not the usual one. What it holds
        belongs to the target like its dependencies: those who do not use the image need it.
      features: features to add.
      compile_data: files or targets to add.
      before: LispInfos that come before those of `deps`.

    Returns:
      A LispInfo without sources of its own.
    """
    infos = [build_image[LispInfo]] if build_image and LispInfo in build_image else []
    infos = infos + before + [dep[LispInfo] for dep in deps]
    return LispInfo(
        fasls = depset(transitive = [info.fasls for info in infos], order = "postorder"),
        srcs = depset(transitive = [info.srcs for info in infos], order = "postorder"),
        hashes = depset(transitive = [info.hashes for info in infos], order = "postorder"),
        warnings = depset(transitive = [info.warnings for info in infos], order = "postorder"),
        features = depset(
            features,
            transitive = [info.features for info in infos],
            order = "postorder",
        ),
        compile_data = depset(transitive = _compile_data_files(compile_data) + [
            info.compile_data
            for info in infos
        ]),
        cc_info = merge_cc_infos(
            cc_infos = [dep[CcInfo] for dep in cdeps] +
                       [info.cc_info for info in infos if info.cc_info],
        ),
        loads = depset(transitive = [loads_of(info) for info in infos], order = "postorder"),
        load_inputs = depset(transitive = [load_inputs_of(info) for info in infos]),
        core_loads = depset(transitive = [core_loads_of(info) for info in infos], order = "postorder"),
    )

def extend_lisp_info(
        base,
        fasls = [],
        srcs = [],
        hashes = [],
        warnings = [],
        loads = None,
        load_inputs = None,
        core_loads = None):
    """What `base` offers, and after it what a target makes itself.

    Args:
      base: a LispInfo.
      fasls: compiled files of the target.
      srcs: its sources.
      hashes: their hashes.
      warnings: what was undefined in them.
      loads: how the target is loaded before others compile; by default its sources are.
      load_inputs: the files that `loads` names.
      core_loads: how it gets into a core; by default its compiled files are loaded.

    Returns:
      A LispInfo.
    """
    if loads == None:
        loads = ["source " + src.path for src in srcs]
        load_inputs = srcs
    if core_loads == None:
        core_loads = ["fasl " + fasl.path for fasl in fasls]
    return LispInfo(
        fasls = depset(fasls, transitive = [base.fasls], order = "postorder"),
        srcs = depset(srcs, transitive = [base.srcs], order = "postorder"),
        hashes = depset(hashes, transitive = [base.hashes], order = "postorder"),
        warnings = depset(warnings, transitive = [base.warnings], order = "postorder"),
        features = base.features,
        compile_data = base.compile_data,
        cc_info = base.cc_info,
        loads = depset(loads, transitive = [loads_of(base)], order = "postorder"),
        load_inputs = depset(load_inputs or [], transitive = [load_inputs_of(base)]),
        core_loads = depset(core_loads, transitive = [core_loads_of(base)], order = "postorder"),
    )

def with_compile_data(info, files):
    """What `info` offers, to those who have `files` too.

    Args:
      info: a LispInfo.
      files: a list of files.

    Returns:
      A LispInfo.
    """
    return LispInfo(
        fasls = info.fasls,
        srcs = info.srcs,
        hashes = info.hashes,
        warnings = info.warnings,
        features = info.features,
        compile_data = depset(files, transitive = [info.compile_data]),
        cc_info = info.cc_info,
        loads = loads_of(info),
        load_inputs = load_inputs_of(info),
        core_loads = core_loads_of(info),
    )

def print_provider(info):
    """Prints what a LispInfo holds, for those who write rules.

    Args:
      info: a LispInfo.
    """
    for name in ["fasls", "srcs", "hashes", "warnings", "compile_data"]:
        files = getattr(info, name).to_list()
        if files:
            print("%s: %s" % (name, [file.short_path for file in files]))
    features = info.features.to_list()
    if features:
        print("features: %s" % features)
