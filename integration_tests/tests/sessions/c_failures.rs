//! C code that is wrong, and machines without a compiler: where, what, and what to do.

use std::os::unix::fs::symlink;

use insta::assert_snapshot;
use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::workspace::WorkspaceBuilder;

/// The messages of a build of `//:p` that fails.
fn failure(builder: WorkspaceBuilder) -> String {
    builder.build().rbz("build //:p").exit_code(1).run().golden_errors()
}

/// A program of one C file with this attribute.
fn program(attribute: &str, text: &str) -> WorkspaceBuilder {
    build_file(&format!("cc_binary(name = \"p\", srcs = [\"p.c\"], {attribute})\n"))
        .file("p.c", text)
}

#[test]
fn a_c_file_that_does_not_compile() {
    assert_snapshot!(failure(program("", "int main(void) {\n  return nothing;\n}\n")));
}

#[test]
fn a_header_that_no_target_declares() {
    let builder = program(
        "deps = [\"//lib\"]",
        "#include \"lib/lib.h\"\nint main(void) { return 0; }\n",
    )
    .file(
        "lib/BUILD",
        "cc_library(name = \"lib\", hdrs = [\"lib.h\"], visibility = [\"//visibility:public\"])\n",
    )
    .file("lib/lib.h", "#include \"inner.h\"\n")
    .file("lib/inner.h", "");
    assert_snapshot!(failure(builder));
}

#[test]
fn a_header_of_a_target_that_is_no_dependency() {
    let builder = program("", "#include \"lib/lib.h\"\nint main(void) { return 0; }\n")
        .file("lib/BUILD", "cc_library(name = \"lib\", hdrs = [\"lib.h\"], visibility = [\"//visibility:public\"])\n")
        .file("lib/lib.h", "");
    assert_snapshot!(failure(builder));
}

#[test]
fn a_header_that_is_nowhere() {
    let text = "#include <no_such.h>\nint main(void) { return 0; }\n";
    assert_snapshot!(failure(program("", text)));
}

#[test]
fn a_header_that_only_the_implementation_of_a_dependency_sees() {
    let builder =
        program("deps = [\":lib\"]", "#include \"hidden.h\"\nint main(void) { return 0; }\n")
            .file(
                "BUILD",
                r#"
cc_library(name = "hidden", hdrs = ["hidden.h"])
cc_library(name = "lib", srcs = ["lib.c"], implementation_deps = [":hidden"])
cc_binary(name = "p", srcs = ["p.c"], deps = [":lib"])
"#,
            )
            .file("lib.c", "#include \"hidden.h\"\nint x = HIDDEN;\n")
            .file("hidden.h", "#define HIDDEN 1\n")
            .build();
    builder.rbz("build //:lib").run();
    builder.rbz("build //:p").exit_code(1).run().stderr_has("hidden.h");
}

#[test]
fn a_symbol_that_two_libraries_define() {
    let builder = build_file(
        r#"
cc_library(name = "a", srcs = ["a.c"], alwayslink = True)
cc_library(name = "b", srcs = ["b.c"], alwayslink = True)
cc_binary(name = "p", srcs = ["p.c"], deps = [":a", ":b"])
"#,
    )
    .file("a.c", "int twice(void) { return 1; }\n")
    .file("b.c", "int twice(void) { return 2; }\n")
    .file("p.c", "int main(void) { return 0; }\n");
    assert_snapshot!(failure(builder));
}

#[test]
fn a_symbol_that_is_nowhere() {
    let text = "int nowhere(void);\nint main(void) { return nowhere(); }\n";
    assert_snapshot!(failure(program("", text)));
}

#[test]
fn a_library_that_the_machine_does_not_have() {
    let text = "int main(void) { return 0; }\n";
    assert_snapshot!(failure(program("linkopts = [\"-lnonesuch\"]", text)));
}

#[test]
fn a_source_of_another_language() {
    assert_snapshot!(failure(
        build_file("cc_binary(name = \"p\", srcs = [\"p.rs\"])\n").file("p.rs", "fn main() {}\n")
    ));
}

#[test]
fn no_c_compiler_is_installed() {
    let ws = program("", "int main(void) { return 0; }\n").build();
    let programs = ws.base().join("programs");
    std::fs::create_dir(&programs).expect("the temporary directory can be written");
    for name in ["bash", "cat", "echo"] {
        symlink(format!("/usr/bin/{name}"), programs.join(name)).expect("a link can be made");
    }
    let path = programs.to_string_lossy();
    assert_snapshot!(ws.rbz("build //:p").env("PATH", &path).exit_code(1).run().golden_errors());

    // What needs no C is built all the same.
    ws.write("sh/BUILD", "genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo o > $@\")\n");
    ws.rbz("build //sh:o").env("PATH", &path).run();
    // And once it is there, it is found; CC wins over PATH.
    ws.rbz("build //:p").run();
    let other = ws.rbz("build //:p").env("CC", "/nowhere/cc").exit_code(1).run();
    other.stderr_has("CC (/nowhere/cc)");
}
