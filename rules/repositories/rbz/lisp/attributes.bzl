"""The attributes that all Lisp rules share."""

load("//cc:provider.bzl", "CcInfo")
load(":provider.bzl", "LispInfo")

LISP_COMPILE_ATTRS = {
    "srcs": attr.label_list(
        allow_files = [".lisp", ".lsp", ".cl"],
        doc = "The sources, in the order in which they are loaded.",
    ),
    "deps": attr.label_list(
        providers = [LispInfo],
        doc = "Lisp targets that are loaded before the sources compile, in this order.",
    ),
    "cdeps": attr.label_list(
        providers = [CcInfo],
        doc = "C and C++ libraries that the sources call; programs have them inside.",
    ),
    "cdeps_at_compile": attr.bool(
        doc = "Whether the C libraries of the closure can be called while the sources compile.",
    ),
    "order": attr.string(
        default = "serial",
        values = ["serial", "parallel", "multipass"],
        doc = "Which other sources are loaded before one compiles: `serial`: those before it; " +
              "`parallel`: none; `multipass`: all.",
    ),
    "load": attr.string(
        default = "source",
        values = ["source", "fasl", "image"],
        doc = "How later sources and other targets see the sources before they compile. " +
              "`source`: loaded by the interpreter, so that everything compiles in parallel; " +
              "`fasl`: the compiled files are loaded, for code that cannot be loaded as source; " +
              "`image`: one process compiles and loads file after file, for code whose later " +
              "files need what compiling the earlier ones left behind.",
    ),
    "encoding": attr.string(
        default = "utf-8",
        doc = "How the sources are written: an external format of the implementation, such as `latin-1`.",
    ),
    "block_compile": attr.bool(doc = "Whether each source is compiled as one block."),
    "block_compile_specified_only": attr.bool(
        doc = "Whether blocks are only what stands between `start-block` and `end-block`.",
    ),
    "data": attr.label_list(allow_files = True, doc = "Files that are there when it runs."),
    "compile_data": attr.label_list(
        allow_files = True,
        doc = "Files that are there when this target and those that depend on it compile.",
    ),
    "add_features": attr.string_list(
        doc = "Features for this target and all that depend on it, also in the program.",
    ),
    "nowarn": attr.string_list(
        doc = "Handlers of conditions: names of condition types, or of functions of a condition, " +
              "read in the package `bazel.warning`.",
    ),
    "image": attr.label(
        executable = True,
        cfg = "target",
        doc = "The program that runs the actions in place of the usual one: a `lisp_binary` with " +
              "`allow_save_lisp`. What it holds is not loaded again.",
    ),
    "instrument_coverage": attr.int(
        default = -1,
        values = [-1, 0, 1],
        doc = "Whether the code counts what it runs; -1: as the command line says.",
    ),
    "dynamic_space_size": attr.string(doc = "Heap of the actions; for programs also of the program."),
    "control_stack_size": attr.string(doc = "Stack of the actions; for programs also of the program."),
    "verbose": attr.int(default = 0, values = [0, 1, 2, 3], doc = "How much the driver tells."),
    "_additional_dynamic_load_outputs": attr.label(
        default = Label("//lisp:additional_dynamic_load_outputs"),
    ),
    "_cc_toolchain": attr.label(default = Label("@cc//:toolchain_if_any")),
    "_lisp_toolchain": attr.label(default = Label("@lisp//:toolchain")),
    "_repl": attr.label(default = Label("//lisp:repl")),
}
