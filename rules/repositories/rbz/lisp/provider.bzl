"""What Lisp rules tell each other."""

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

def collect_lisp_info(deps, cdeps = [], build_image = None, features = [], compile_data = []):
    """The union of what targets offer.

    Args:
      deps: targets with LispInfo, in load order.
      cdeps: targets with C libraries.
      build_image: the program that runs the actions, if it is not the usual one.
      features: features to add.
      compile_data: files to add.

    Returns:
      A LispInfo without sources of its own.
    """
    if cdeps:
        fail("cdeps are not supported yet")
    infos = [dep[LispInfo] for dep in deps]
    from_image = [build_image[LispInfo]] if build_image and LispInfo in build_image else []
    return LispInfo(
        fasls = depset(transitive = [info.fasls for info in infos], order = "postorder"),
        srcs = depset(transitive = [info.srcs for info in infos], order = "postorder"),
        hashes = depset(transitive = [info.hashes for info in infos], order = "postorder"),
        warnings = depset(transitive = [info.warnings for info in infos], order = "postorder"),
        features = depset(
            features,
            transitive = [info.features for info in infos + from_image],
            order = "postorder",
        ),
        compile_data = depset(
            compile_data,
            transitive = [info.compile_data for info in infos + from_image],
        ),
        cc_info = None,
        loads = depset(transitive = [info.loads for info in infos], order = "postorder"),
        load_inputs = depset(transitive = [info.load_inputs for info in infos]),
        core_loads = depset(transitive = [info.core_loads for info in infos], order = "postorder"),
    )

def extend_lisp_info(
        base,
        srcs = [],
        fasls = [],
        hashes = [],
        warnings = [],
        loads = [],
        load_inputs = [],
        core_loads = []):
    """What `base` offers, and after it what a target makes itself.

    Args:
      base: a LispInfo.
      srcs: sources of the target.
      fasls: its compiled files.
      hashes: their hashes.
      warnings: what was undefined in them.
      loads: how they are loaded before others compile.
      load_inputs: the files that `loads` names.
      core_loads: how they get into a core.

    Returns:
      A LispInfo.
    """
    return LispInfo(
        fasls = depset(fasls, transitive = [base.fasls], order = "postorder"),
        srcs = depset(srcs, transitive = [base.srcs], order = "postorder"),
        hashes = depset(hashes, transitive = [base.hashes], order = "postorder"),
        warnings = depset(warnings, transitive = [base.warnings], order = "postorder"),
        features = base.features,
        compile_data = base.compile_data,
        cc_info = base.cc_info,
        loads = depset(loads, transitive = [base.loads], order = "postorder"),
        load_inputs = depset(load_inputs, transitive = [base.load_inputs]),
        core_loads = depset(core_loads, transitive = [base.core_loads], order = "postorder"),
    )

def print_provider(info, verbose = 0):
    """Prints what a LispInfo holds, for those who write rules.

    Args:
      info: a LispInfo.
      verbose: from 2 on, also the FASLs.
    """
    print("srcs: %s, features: %s" % (info.srcs.to_list(), info.features.to_list()))
    if verbose > 1:
        print("fasls: %s" % info.fasls.to_list())
