"""The C compiler as a target: its programs, headers, start files and libraries."""

load(":provider.bzl", "CcInfo", "create_compilation_context", "create_linker_input", "merge_linking_contexts")

CcToolchainInfo = provider(
    doc = "A C compiler and what belongs to it.",
    fields = {
        "compiler": "What it is: `gcc` or `clang`.",
        "version": "What it says of itself.",
        "program": "Absolute path of the compiler.",
        "ar": "Absolute path of the archiver.",
        "objcopy": "Absolute path of `objcopy`; empty if there is none.",
        "strip": "Absolute path of `strip`; empty if there is none.",
        "gcov": "Absolute path of the compiler's `gcov`; empty if there is none.",
        "gcov_files": "Depset of what `gcov` needs, itself included.",
        "cxx": "Whether it compiles C++.",
        "path": "Value of PATH by which its programs are found.",
        "linker": "The linker to use: `bfd`, `gold`, `lld`, `mold`; empty: the compiler's own choice.",
        "linkers": "Dict from linker to the depset of its files.",
        "compiler_files": "Depset of the programs, for every action.",
        "compile_files": "Depset of what compiling needs: programs and headers.",
        "link_files": "Depset of what linking needs besides the linker.",
        "runtime_files": "Depset of what a linked program needs of the machine when it runs.",
        "libraries": "Dict from the name of a library of the machine to a SystemLibraryInfo.",
        "base_libraries": "Names of the libraries that are there in every link.",
        "cpu": "The processor, as Bazel calls it.",
        "all_files": "Depset of everything.",
    },
)

NoCcToolchainInfo = provider(
    doc = "Why there is no C compiler, for those who can do without.",
    fields = {"message": "What to tell the user."},
)

SystemLibraryInfo = provider(
    doc = "A library of the machine.",
    fields = {
        "headers": "Depset of its headers that are not there for every source.",
        "link_files": "Depset of what a link with it reads.",
        "runtime_files": "Depset of what a program linked with it needs when it runs.",
    },
)

def _files(targets):
    return depset(transitive = [target[DefaultInfo].files for target in targets])

def _cc_toolchain_impl(ctx):
    attr = ctx.attr
    compiler_files = _files(attr.compiler_files)
    compile_files = depset(transitive = [compiler_files, _files(attr.headers)])
    link_files = depset(transitive = [compiler_files, _files(attr.link_files)])
    linkers = {
        target.label.name.removeprefix("linker_"): target[DefaultInfo].files
        for target in attr.linkers
    }
    directories = {}
    for file in compiler_files.to_list() + [file for files in linkers.values() for file in files.to_list()]:
        if file.dirname.endswith("/bin"):
            directories[file.dirname] = None
    return [
        DefaultInfo(files = compile_files),
        CcToolchainInfo(
            compiler = attr.compiler,
            version = attr.version,
            program = attr.program,
            ar = attr.ar,
            objcopy = attr.objcopy,
            strip = attr.strip,
            gcov = attr.gcov,
            gcov_files = _files(attr.gcov_files),
            cxx = attr.cxx,
            path = ":".join(directories.keys()),
            linker = attr.linker,
            linkers = linkers,
            compiler_files = compiler_files,
            compile_files = compile_files,
            link_files = link_files,
            runtime_files = _files(attr.runtime_files),
            libraries = {
                target.label.name: target[SystemLibraryInfo]
                for target in attr.libraries
            },
            base_libraries = attr.base_libraries,
            cpu = ctx.var["TARGET_CPU"],
            all_files = depset(transitive = [compile_files, link_files]),
        ),
    ]

cc_toolchain = rule(
    implementation = _cc_toolchain_impl,
    doc = "A C compiler on this machine.",
    attrs = {
        "compiler": attr.string(mandatory = True, values = ["gcc", "clang"], doc = "What it is."),
        "version": attr.string(doc = "What it says of itself."),
        "program": attr.string(mandatory = True, doc = "Absolute path of the compiler."),
        "ar": attr.string(mandatory = True, doc = "Absolute path of the archiver."),
        "objcopy": attr.string(doc = "Absolute path of `objcopy`."),
        "strip": attr.string(doc = "Absolute path of `strip`."),
        "gcov": attr.string(doc = "Absolute path of the compiler's `gcov`."),
        "gcov_files": attr.label_list(doc = "What `gcov` needs, itself included."),
        "cxx": attr.bool(doc = "Whether it compiles C++."),
        "linker": attr.string(doc = "The linker to use."),
        "linkers": attr.label_list(doc = "The linkers that are there, each named `linker_NAME`."),
        "base_libraries": attr.string_list(doc = "Names of libraries that every link may use."),
        "compiler_files": attr.label_list(doc = "Its programs."),
        "headers": attr.label_list(doc = "Headers of the machine."),
        "link_files": attr.label_list(doc = "Start files, and libraries that every link may use."),
        "runtime_files": attr.label_list(doc = "What a linked program needs when it runs."),
        "libraries": attr.label_list(
            providers = [SystemLibraryInfo],
            doc = "Libraries of the machine.",
        ),
    },
)

def _missing_cc_toolchain_impl(ctx):
    if ctx.attr.optional:
        return [DefaultInfo(), NoCcToolchainInfo(message = ctx.attr.message)]
    fail(ctx.attr.message)

missing_cc_toolchain = rule(
    implementation = _missing_cc_toolchain_impl,
    doc = "Stands for a compiler or library that was not found: an error for whoever needs it.",
    attrs = {
        "message": attr.string(mandatory = True, doc = "What to tell the user."),
        "optional": attr.bool(doc = "Whether it is an error only for those who make it one."),
    },
)

def _cc_system_library_impl(ctx):
    attr = ctx.attr
    headers = _files(attr.headers)
    link_files = _files(attr.link_files)
    runtime_files = _files(attr.runtime_files)
    return [
        DefaultInfo(runfiles = ctx.runfiles(transitive_files = runtime_files)),
        SystemLibraryInfo(headers = headers, link_files = link_files, runtime_files = runtime_files),
        CcInfo(
            compilation_context = create_compilation_context(headers = headers),
            linking_context = merge_linking_contexts([], own = [create_linker_input(
                owner = ctx.label,
                user_link_flags = ["-l" + ctx.label.name],
            )]),
        ),
    ]

cc_system_library = rule(
    implementation = _cc_system_library_impl,
    doc = "A library of the machine, linked by its name.",
    attrs = {
        "headers": attr.label_list(doc = "Its headers that are not there for every source."),
        "link_files": attr.label_list(doc = "What a link with it reads."),
        "runtime_files": attr.label_list(doc = "What a program linked with it needs when it runs."),
    },
)
