//! Target patterns, from wherever they are typed.

use rbz_integration_tests::Workspace;
use rbz_integration_tests::workspace;

/// Packages `//`, `//a`, `//a/b`, `//c`, each with a genrule of its name that writes `o.txt`.
fn packages() -> Workspace {
    let mut builder = workspace();
    for (package, name) in [("", "root"), ("a/", "a"), ("a/b/", "b"), ("c/", "c")] {
        builder = builder.file(
            &format!("{package}BUILD"),
            &format!("genrule(name = \"{name}\", outs = [\"o.txt\"], cmd = \"echo {name} > $@\", tags = [\"{name}s\", \"any\"])\ngenrule(name = \"never\", outs = [\"never.txt\"], cmd = \"exit 1\", tags = [\"manual\"])\n"),
        );
    }
    builder.build()
}

/// The packages whose genrule was built by `call`, after a clean.
fn built(ws: &Workspace, directory: &str, patterns: &str) -> Vec<String> {
    ws.rbz("clean").run();
    std::fs::create_dir_all(ws.path(directory)).expect("the workspace can be written");
    let outcome = ws.rbz(&format!("build {patterns}")).in_directory(directory).run();
    let actions = outcome.events().actions().iter();
    let mut built: Vec<_> = actions.map(|action| action.output.clone()).collect();
    built.sort();
    built.dedup();
    built
}

#[test]
fn patterns_mean_what_they_mean_in_bazel() {
    let ws = packages();
    for (directory, patterns, expected) in [
        ("", "//...", &["a/b/o.txt", "a/o.txt", "c/o.txt", "o.txt"][..]),
        ("", "//a/...", &["a/b/o.txt", "a/o.txt"]),
        ("", "//a", &["a/o.txt"]),
        ("", "//a:all", &["a/o.txt"]),
        ("", "//a:o.txt", &["a/o.txt"]),
        ("", "//a:a //c:c", &["a/o.txt", "c/o.txt"]),
        ("", ":root", &["o.txt"]),
        ("", "root", &["o.txt"]),
        ("", "a", &["a/o.txt"]),
        ("", "a/b", &["a/b/o.txt"]),
        ("", "a/...", &["a/b/o.txt", "a/o.txt"]),
        ("", "...", &["a/b/o.txt", "a/o.txt", "c/o.txt", "o.txt"]),
        ("a", ":a", &["a/o.txt"]),
        ("a", "...", &["a/b/o.txt", "a/o.txt"]),
        ("a", "b", &["a/b/o.txt"]),
        ("a", "//c", &["c/o.txt"]),
        ("", "-- //... -//a/...", &["c/o.txt", "o.txt"]),
        ("", "-- //... -//a/... //a/b", &["a/b/o.txt", "c/o.txt", "o.txt"]),
        ("", "@//c", &["c/o.txt"]),
        ("", "//... --build_tag_filters=as,cs,-cs", &["a/o.txt"]),
        ("", "//... --build_tag_filters=any,-as,-bs", &["c/o.txt", "o.txt"]),
        ("", "//a //c --build_tag_filters=-as", &["c/o.txt"]),
        ("", "@test//c", &["c/o.txt"]),
    ] {
        assert_eq!(built(&ws, directory, patterns), expected, "`{patterns}` in `{directory}`");
    }
}

#[test]
fn rbzignore_keeps_directories_out() {
    let ws = packages();
    ws.write(".rbzignore", "# not ours\na\n");
    assert_eq!(built(&ws, "", "//..."), ["c/o.txt", "o.txt"]);
}

#[test]
fn with_k_what_is_right_is_built() {
    let ws = packages();
    ws.write("c/BUILD", "genrule(name = \"c\",\n");
    let outcome = ws.rbz("build -k //...").exit_code(1).run();
    outcome.stderr_has("c/BUILD");
    assert_eq!(ws.read("rbz-bin/a/b/o.txt"), "b\n");
}
