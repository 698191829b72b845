//! C and C++: what is compiled, what is linked, and what a compiler may see.

use rbz_integration_tests::Workspace;
use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::system::output_of;
use rbz_integration_tests::workspace;
use rbz_integration_tests::workspace::WorkspaceBuilder;

/// A library of C with a private header, one of C++ on it, and a program of C++ on that:
/// `//app` prints `3 apples, 4 pears`.
fn fruit() -> WorkspaceBuilder {
    workspace()
        .file(
            "fruit/BUILD",
            r#"
package(default_visibility = ["//visibility:public"])
cc_library(name = "count", srcs = ["count.c", "limits.h"], hdrs = ["count.h"])
cc_library(name = "text", srcs = ["text.cc"], hdrs = ["text.hpp"], deps = [":count"])
"#,
        )
        .file("fruit/count.h", "#pragma once\n#ifdef __cplusplus\nextern \"C\"\n#endif\nint count(int n);\n")
        .file("fruit/limits.h", "#define MOST 1000\n")
        .file(
            "fruit/count.c",
            "#include \"fruit/count.h\"\n#include \"limits.h\"\nint count(int n) { return n > MOST ? MOST : n; }\n",
        )
        .file("fruit/text.hpp", "#pragma once\n#include <string>\nstd::string text(int n, const std::string &what);\n")
        .file(
            "fruit/text.cc",
            "#include \"fruit/text.hpp\"\n#include \"fruit/count.h\"\nstd::string text(int n, const std::string &what) { return std::to_string(count(n)) + \" \" + what; }\n",
        )
        .file(
            "app/BUILD",
            r#"
cc_binary(name = "app", srcs = ["app.cc"], deps = ["//fruit:text"])
cc_test(name = "test", size = "small", srcs = ["app.cc"], deps = ["//fruit:text"])
"#,
        )
        .file(
            "app/app.cc",
            "#include <iostream>\n#include \"fruit/text.hpp\"\nint main() { std::cout << text(3, \"apples\") << \", \" << text(4, \"pears\") << std::endl; }\n",
        )
}

fn run(ws: &Workspace, program: &str) -> String {
    output_of(ws.root(), &ws.path(program).to_string_lossy(), &[])
}

#[test]
fn programs_of_c_and_cxx_are_compiled_file_by_file_and_linked() {
    let ws = fruit().build();
    let outcome = ws.rbz("build //app").run();
    assert_eq!(
        outcome.ran_of("CcCompile"),
        ["app/_objs/app/app.pic.o", "fruit/_objs/count/count.pic.o", "fruit/_objs/text/text.pic.o"]
    );
    assert_eq!(outcome.ran_of("CcArchive"), ["fruit/libcount.a", "fruit/libtext.a"]);
    assert_eq!(outcome.ran_of("CcLink"), ["app/app"]);
    assert_eq!(run(&ws, "rbz-bin/app/app"), "3 apples, 4 pears\n");

    // Tests are linked to shared objects, wherever they run.
    ws.rbz("test //app:test").run().shows("PASSED");
    let needed = output_of(ws.root(), "readelf", &["-d", "rbz-bin/app/test"]);
    assert!(needed.contains("[libfruit_text.so]"), "{needed}");
    assert_eq!(run(&ws, "rbz-bin/app/test"), "3 apples, 4 pears\n");

    // A header of others: what includes it is compiled again; a change that the compiler does not
    // see in its output is the end of it.
    ws.append("fruit/text.hpp", "// more to come\n");
    let outcome = ws.rbz("build //app").run();
    let again = ["app/_objs/app/app.pic.o", "fruit/_objs/text/text.pic.o"];
    assert_eq!(outcome.ran_of("CcCompile"), again);
    assert!(outcome.ran_of("CcLink").is_empty(), "{outcome}");

    // Other modes: debug information, and what `NDEBUG` leaves.
    ws.rbz("build //app -c dbg").run();
    let sections = output_of(ws.root(), "readelf", &["-S", "rbz-bin/app/app"]);
    assert!(sections.contains(".debug_info"), "{sections}");
    ws.rbz("build //app -c opt").run();
    let sections = output_of(ws.root(), "readelf", &["-S", "rbz-bin/app/app"]);
    assert!(!sections.contains(".debug_info"), "{sections}");
}

#[test]
fn objects_and_programs_are_the_same_in_another_directory() {
    let dated = "const char *built = __FILE__ __DATE__ __TIME__ __TIMESTAMP__;\n";
    let bytes: Vec<Vec<u8>> = ["here", "somewhere/else"]
        .map(|directory| {
            let ws = fruit().in_directory(directory).own_cache().build();
            ws.append("fruit/count.c", dated);
            ws.rbz("build -c dbg //app //fruit:count").run();
            let read = |path| std::fs::read(ws.path(path)).expect("it was built");
            [read("rbz-bin/fruit/libcount.a"), read("rbz-bin/app/app")].concat()
        })
        .into();
    assert!(bytes[0] == bytes[1]);
    let text = String::from_utf8_lossy(&bytes[0]);
    assert!(text.contains("fruit/count.credactedredactedredacted"));
    assert!(!text.contains("/rbz/execroot"), "a path of the sandbox is in it");
}

#[test]
fn every_attribute_reaches_the_compiler_and_the_linker() {
    let ws = build_file(
        r#"
cc_library(
    name = "lib",
    srcs = ["lib.c"],
    hdrs = ["include/lib.h", "include/deep/other.h"],
    copts = ["-DFROM_COPTS=1", "-DQUOTED='\"a b\"'", "-DSIZE_FILE='\"$(location size.inc)\"'"],
    conlyopts = ["-DFROM_CONLYOPTS=2"],
    cxxopts = ["-DFROM_CONLYOPTS=wrong"],
    defines = ["FOR_ALL=4"],
    includes = ["include"],
    local_defines = ["ONLY_HERE=8"],
    textual_hdrs = ["body.inc"],
    additional_compiler_inputs = ["size.inc"],
)

cc_library(
    name = "moved",
    hdrs = ["include/deep/other.h"],
    include_prefix = "new/place",
    strip_include_prefix = "include/deep",
)

genrule(name = "generated", outs = ["made/table.h"], cmd = "echo '#define TABLE 32' > $@")

cc_library(name = "registered", srcs = ["registered.c"], alwayslink = True)
cc_library(name = "hook", srcs = ["hook.c"], hdrs = ["hook.h"])
cc_library(name = "math", srcs = ["same/twice.c", "other/twice.c", "assembler.S"], linkopts = ["-lm"])

cc_binary(
    name = "program",
    srcs = ["program.c", ":generated"],
    data = ["notes.txt"],
    deps = [":hook", ":lib", ":math", ":moved", ":registered"],
    linkopts = ["-Wl,--defsym=from_linkopts=64", "-lz", "-Wl,--version-script=$(location exports.lds)"],
    additional_linker_inputs = ["exports.lds"],
)
"#,
    )
    .file("include/lib.h", "int lib(void);\n")
    .file("include/deep/other.h", "#define OTHER 16\n")
    .file("body.inc", "return FROM_COPTS + FROM_CONLYOPTS + FOR_ALL + ONLY_HERE + (int)sizeof QUOTED + SIZE;\n")
    .file("size.inc", "#define SIZE 0\n")
    .file("lib.c", "#include <lib.h>\n#include SIZE_FILE\nint lib(void) {\n#include \"body.inc\"\n}\n")
    .file("hook.h", "extern int hooked;\n")
    .file("hook.c", "#include \"hook.h\"\nint hooked = 0;\n")
    .file(
        "registered.c",
        "extern int hooked;\n__attribute__((constructor)) static void reg(void) { hooked = 1; }\n",
    )
    .file("same/twice.c", "#include <math.h>\ndouble same(double x) { return pow(x, 2); }\n")
    .file("other/twice.c", "int other(void) { return 5; }\n")
    .file(
        "assembler.S",
        ".globl answer\nanswer: mov $42, %eax\n ret\n.section .note.GNU-stack,\"\",@progbits\n",
    )
    .file("exports.lds", "{ global: main; local: *; };\n")
    .file("notes.txt", "noted\n")
    .file(
        "program.c",
        r#"
#include <lib.h>
#include <stdio.h>
#include <zlib.h>
#include "hook.h"
#include "made/table.h"
#include "new/place/other.h"
#ifdef ONLY_HERE
#error local_defines of another target
#endif
extern char from_linkopts;
int other(void), answer(void);
double same(double);
int main(int argc, char **argv) {
  char line[10] = "";
  FILE *notes = fopen("notes.txt", "r");
  if (notes) fgets(line, 9, notes);
  printf("%d %d %d %d %ld %d %d %.0f %d %s", lib(), FOR_ALL, OTHER, TABLE, (long)&from_linkopts, hooked, other(), same(argc + 2), answer(), line);
  return zlibVersion()[0] != '1';
}
"#,
    )
    .build();
    ws.rbz("build //...").run();
    // The address is absolute only in a program that is linked so.
    let outcome = ws.rbz("run //:program").run();
    let words: Vec<&str> = outcome.stdout().split_whitespace().collect();
    let expected = ["19", "4", "16", "32", "", "1", "5", "9", "42", "noted"];
    for (n, expected) in expected.iter().enumerate().filter(|(n, _)| *n != 4) {
        assert_eq!(words.get(n), Some(expected), "word {n} of {words:?}");
    }
    let symbols = output_of(ws.root(), "nm", &["rbz-bin/program"]);
    assert!(symbols.contains("0000000000000040 a from_linkopts"), "{symbols}");
    let objects = output_of(ws.root(), "ar", &["t", "rbz-bin/libmath.a"]);
    assert_eq!(objects.lines().count(), 3, "{objects}");
}

#[test]
fn libraries_made_elsewhere_are_linked() {
    let ws = build_file(
        r#"
cc_binary(name = "libshared.so", srcs = ["shared.c"], linkshared = True)
cc_library(name = "packed", srcs = ["packed.c"])
filegroup(name = "archive", srcs = [":packed"])
cc_import(name = "shared", hdrs = ["shared.h"], shared_library = ":libshared.so")
cc_import(name = "static", static_library = ":archive")
cc_binary(name = "program", srcs = ["program.c"], deps = [":shared", ":static", "@cc//:sqlite3"])
cc_test(name = "test", size = "small", srcs = ["program.c", ":libshared.so", "shared.h"], deps = [":static", "@cc//:sqlite3"])
"#,
    )
    .file("shared.c", "int shared(void) { return 7; }\n")
    .file("shared.h", "int shared(void);\n")
    .file("packed.c", "int packed(void) { return 8; }\n")
    .file(
        "program.c",
        "#include <sqlite3.h>\n#include \"shared.h\"\nint packed(void);\nint main(void) { return shared() + packed() + (sqlite3_libversion_number() > 3000000) - 16; }\n",
    )
    .build();
    ws.rbz("run //:program").run();
    ws.rbz("test //:test").run();
    run(&ws, "rbz-bin/program");
}

#[test]
fn other_linkers_link_when_asked_for() {
    let ws = build_file("cc_binary(name = \"p\", srcs = [\"p.c\"])\n")
        .file("p.c", "int main(void) { return 0; }\n")
        .build();
    for (linker, mark) in [("mold", "mold "), ("lld", "LLD ")] {
        ws.rbz(&format!("run //:p --define CC_LINKER={linker}")).run();
        let comment = output_of(ws.root(), "readelf", &["-p", ".comment", "rbz-bin/p"]);
        assert!(comment.contains(mark), "{comment}");
    }
    ws.rbz("build //:p --define CC_LINKER=tin").exit_code(1).run().stderr_has("`tin`");
}

#[test]
fn rules_of_users_see_cc_info_and_make_their_own() {
    let rules = r##"
load("@rules_cc//cc:find_cc_toolchain.bzl", "find_cc_toolchain")
load("@rules_cc//cc/common:cc_info.bzl", LoadedCcInfo = "CcInfo")

def _impl(ctx):
    if LoadedCcInfo != CcInfo:
        fail("two kinds of CcInfo")
    toolchain = find_cc_toolchain(ctx)
    features = cc_common.configure_features(ctx = ctx, cc_toolchain = toolchain)
    source = ctx.actions.declare_file(ctx.label.name + ".c")
    ctx.actions.write(source, "#include \"base.h\"\nint %s(void) { return BASE + ADDED; }\n" % ctx.label.name)
    infos = [dep[CcInfo] for dep in ctx.attr.deps]
    context, outputs = cc_common.compile(
        name = ctx.label.name,
        actions = ctx.actions,
        feature_configuration = features,
        cc_toolchain = toolchain,
        srcs = [source],
        defines = ["ADDED=1"],
        compilation_contexts = [info.compilation_context for info in infos],
    )
    linking, _ = cc_common.create_linking_context_from_compilation_outputs(
        name = ctx.label.name,
        actions = ctx.actions,
        feature_configuration = features,
        cc_toolchain = toolchain,
        compilation_outputs = outputs,
    )
    linked = cc_common.link(
        name = ctx.label.name + "_alone",
        actions = ctx.actions,
        feature_configuration = features,
        cc_toolchain = toolchain,
        compilation_outputs = outputs,
        linking_contexts = [info.linking_context for info in infos],
        output_type = "dynamic_library",
    )
    own = CcInfo(compilation_context = context, linking_context = linking)
    merged = cc_common.merge_cc_infos(direct_cc_infos = [own], cc_infos = infos)
    listing = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.write(listing, "\n".join([
        "headers: %s" % [file.short_path for file in merged.compilation_context.headers.to_list()],
        "defines: %s" % merged.compilation_context.defines.to_list(),
        "libraries: %s" % [
            library.static_library.basename
            for input in merged.linking_context.linker_inputs.to_list()
            for library in input.libraries
        ],
        "flags: %s" % [
            flag
            for input in merged.linking_context.linker_inputs.to_list()
            for flag in input.user_link_flags
        ],
    ]) + "\n")
    return [merged, DefaultInfo(files = depset([listing, linked.library_to_link.dynamic_library]))]

constant = rule(
    implementation = _impl,
    attrs = {
        "deps": attr.label_list(providers = [CcInfo]),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
)
"##;
    let build = r#"
load("@rules_cc//cc:defs.bzl", "cc_binary", loaded_library = "cc_library")
load(":rules.bzl", "constant")

loaded_library(name = "base", srcs = ["base.c"], hdrs = ["base.h"], defines = ["BASE=2"], linkopts = ["-lm"])
constant(name = "three", deps = [":base"])
cc_binary(name = "program", srcs = ["program.c"], deps = [":three"])
"#;
    let ws = build_file(build)
        .file("rules.bzl", rules)
        .file("base.h", "")
        .file("base.c", "int base;\n")
        .file(
            "program.c",
            "int three(void);\nint main(void) { return three() + ADDED + BASE - 6; }\n",
        )
        .build();
    ws.rbz("build //:three").run();
    assert_eq!(
        ws.read("rbz-bin/three.txt"),
        r#"headers: ["base.h"]
defines: ["ADDED=1", "BASE=2"]
libraries: ["libthree.a", "libbase.a"]
flags: ["-lm"]
"#
    );
    ws.rbz("run //:program").run();
}
