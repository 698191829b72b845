//! The examples, as a newcomer copies them.

use rbz_integration_tests::{Workspace, workspace_from};

fn built_and_tested(name: &str) -> Workspace {
    let ws = workspace_from(&format!("examples/{name}")).build();
    ws.rbz("build //...").run();
    let outcome = ws.rbz("test //...").run();
    outcome.shows("PASSED");
    assert!(ws.rbz("test //...").run().ran().is_empty(), "everything is done");
    ws
}

#[test]
fn hello() {
    let ws = built_and_tested("hello");
    ws.rbz("run //:hello -- Ada Grace").run().stdout_has("Hello, Ada and Grace!\n");
}

#[test]
fn library() {
    built_and_tested("library");
}

#[test]
fn generated() {
    let ws = built_and_tested("generated");
    ws.rbz("run //:nearest -- 250 130 10").run().stdout_has("orange\n");
    ws.rbz("run //:nearest").exit_code(2).run().stderr_has("usage:");
}

#[test]
fn packages() {
    let ws = built_and_tested("packages");
    ws.rbz("run //app").run().stdout_has("lawn          80.00\n");
    ws.write(
        "other/BUILD",
        "lisp_library(name = \"other\", deps = [\"//report\", \"//shapes/internal:geometry\"])\n",
    );
    ws.rbz("build //other").exit_code(1).run().stderr_has("visib");
}

#[test]
fn custom_rule() {
    let ws = built_and_tested("custom_rule");
    assert!(ws.read("rbz-bin/greeter/texts.lisp").contains("Grüß Gott"));
}

#[test]
fn native() {
    let ws = built_and_tested("native");
    ws.rbz("run //:show").run().stdout_has("  oooooooo  \n  oo    oo  \n");
}

/// Every directory of `examples` has its test above.
#[test]
fn every_example_is_here() {
    let directory = rbz_integration_tests::binary::repository().join("examples");
    let entries = std::fs::read_dir(directory).expect("there are examples").flatten();
    let directories = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> =
        directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["custom_rule", "generated", "hello", "library", "native", "packages"]);
}
