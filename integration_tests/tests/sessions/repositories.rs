//! Other repositories: directories, archives, and rules that make them.

use std::process::Command;

use rbz_integration_tests::Workspace;
use rbz_integration_tests::{system, workspace};

/// Writes a repository with a library `//:shout` into `directory` beside the workspace.
fn shout(ws: &Workspace, directory: &str, with_build_file: bool) -> String {
    let root = ws.base().join(directory);
    std::fs::create_dir_all(&root).expect("the temporary directory can be written");
    let files = [
        (
            "shout.lisp",
            "(defpackage #:shout (:use #:cl) (:export #:shout))\n(in-package #:shout)\n(defun shout (text) (string-upcase text))\n",
        ),
        ("WORKSPACE", "workspace(name = \"shout\")\n"),
        ("BUILD", BUILD),
    ];
    for (name, text) in files {
        if with_build_file || name == "shout.lisp" {
            std::fs::write(root.join(name), text).expect("the temporary directory can be written");
        }
    }
    root.display().to_string()
}

const BUILD: &str = "lisp_library(name = \"shout\", srcs = [\"shout.lisp\"], visibility = [\"//visibility:public\"])\n";

/// A workspace with a program on `@shout//:shout`.
fn user() -> Workspace {
    workspace()
        .file("BUILD", "lisp_binary(name = \"p\", srcs = [\"p.lisp\"], main = \"main\", deps = [\"@shout\"])\n")
        .file("p.lisp", "(defun main () (write-line (shout:shout \"hello\")))\n")
        .build()
}

#[test]
fn a_local_repository() {
    let ws = user();
    shout(&ws, "shout", true);
    ws.write(
        "WORKSPACE",
        "workspace(name = \"test\")\nlocal_repository(name = \"shout\", path = \"../shout\")\n",
    );
    assert_eq!(ws.rbz("run //:p").run().stdout(), "HELLO\n");

    // Its sources are watched like one's own.
    let file = ws.base().join("shout/shout.lisp");
    let text = rbz_integration_tests::workspace::read(&file);
    std::fs::write(&file, text.replace("upcase", "capitalize")).expect("it can be written");
    assert_eq!(ws.rbz("run //:p").run().stdout(), "Hello\n");
}

#[test]
fn a_repository_can_be_overridden_on_the_command_line() {
    let ws = user();
    shout(&ws, "shout", true);
    let other = shout(&ws, "other", true);
    let file = ws.base().join("other/shout.lisp");
    let text = rbz_integration_tests::workspace::read(&file);
    std::fs::write(&file, text.replace("upcase", "capitalize")).expect("it can be written");
    ws.write(
        "WORKSPACE",
        "workspace(name = \"test\")\nlocal_repository(name = \"shout\", path = \"../shout\")\n",
    );
    assert_eq!(ws.rbz("run //:p").run().stdout(), "HELLO\n");
    let flag = format!("--override_repository=shout={other}");
    assert_eq!(ws.rbz_args(["run", &flag, "//:p"]).run().stdout(), "Hello\n");
    assert_eq!(ws.rbz("run //:p").run().stdout(), "HELLO\n");

    // Relative to where one is; and no WORKSPACE need know of it.
    ws.write("WORKSPACE", "workspace(name = \"test\")\n");
    let outcome = ws.rbz("run --override_repository=shout=../other //:p").run();
    assert_eq!(outcome.stdout(), "Hello\n");
    let wrong = ws.rbz("build --override_repository=shout=nowhere //:p").exit_code(2).run();
    wrong.stderr_has("`--override_repository=shout=nowhere`: there is no directory `");
}

#[test]
fn a_directory_with_a_build_file_of_ours() {
    let ws = user();
    let path = shout(&ws, "shout", false);
    ws.write(
        "WORKSPACE",
        &format!("new_local_repository(name = \"shout\", path = \"{path}\", build_file = \"//third_party:shout.BUILD\")\n"),
    );
    ws.write("third_party/BUILD", "");
    ws.write("third_party/shout.BUILD", BUILD);
    assert_eq!(ws.rbz("run //:p").run().stdout(), "HELLO\n");

    ws.write(
        "WORKSPACE",
        &format!("new_local_repository(name = \"shout\", path = \"{path}\", build_file_content = \"\"\"{BUILD}\"\"\")\n"),
    );
    assert_eq!(ws.rbz("run //:p").run().stdout(), "HELLO\n");
}

/// An archive of a repository, with one directory around it; its path and SHA-256.
fn archive(ws: &Workspace) -> (String, String) {
    shout(ws, "around/shout-1.0", true);
    let tar = ws.base().join("shout.tar.gz");
    let status = Command::new("tar")
        .arg("-czf")
        .arg(&tar)
        .arg("shout-1.0")
        .current_dir(ws.base().join("around"))
        .status();
    assert!(status.is_ok_and(|status| status.success()), "tar makes archives");
    let path = tar.display().to_string();
    let sum = system::output_of(ws.base(), "sha256sum", &[&path]);
    (path, sum.split(' ').next().expect("sha256sum prints the sum").to_owned())
}

fn http_archive(path: &str, sum: &str) -> String {
    format!(
        r#"
load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_archive")

http_archive(
    name = "shout",
    urls = ["file://{path}"],
    sha256 = "{sum}",
    strip_prefix = "shout-1.0",
)
"#
    )
}

#[test]
fn an_archive_with_its_checksum() {
    let ws = user();
    let (path, sum) = archive(&ws);
    ws.write("WORKSPACE", &http_archive(&path, &sum));
    assert_eq!(ws.rbz("run //:p").run().stdout(), "HELLO\n");
}

#[test]
fn an_archive_with_another_checksum() {
    let ws = user();
    let (path, sum) = archive(&ws);
    let wrong = "0".repeat(64);
    ws.write("WORKSPACE", &http_archive(&path, &wrong));
    let outcome = ws.rbz("build //:p").exit_code(1).run();
    outcome.stderr_has(&wrong).stderr_has(&sum);
}

#[test]
fn an_archive_that_leaves_its_directory() {
    let ws = user();
    let path = ws.base().join("evil.tar");
    let inside = ws.base().join("inside");
    std::fs::create_dir(&inside).expect("the temporary directory can be written");
    std::fs::write(ws.base().join("evil.txt"), "evil\n")
        .expect("the temporary directory can be written");
    let status = Command::new("tar")
        .args(["-P", "-cf"])
        .arg(&path)
        .arg("../evil.txt")
        .current_dir(&inside)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "tar makes archives");
    let sum = system::output_of(ws.base(), "sha256sum", &[&path.display().to_string()]);
    let sum = sum.split(' ').next().expect("sha256sum prints the sum");
    ws.write(
        "WORKSPACE",
        &http_archive(&path.display().to_string(), sum)
            .replace("strip_prefix = \"shout-1.0\",", ""),
    );
    ws.rbz("build //:p").exit_code(1).run().stderr_has("../evil.txt");
}

#[test]
fn a_repository_rule_of_ones_own_is_run_again_when_what_it_read_changes() {
    let ws = workspace()
        .file("WORKSPACE", "load(\"//:repo.bzl\", \"words\")\nwords(name = \"words\", file = \"//:words.txt\")\n")
        .file("words.txt", "one\n")
        .file("repo.bzl", r#"
def _impl(repository_ctx):
    text = repository_ctx.read(repository_ctx.path(repository_ctx.attr.file)).strip()
    mood = repository_ctx.os.environ.get("MOOD", "none")
    repository_ctx.file("BUILD", """
genrule(
    name = "o",
    outs = ["o.txt"],
    cmd = "echo %s %s > $@",
    visibility = ["//visibility:public"],
)
""" % (text, mood))

words = repository_rule(
    implementation = _impl,
    attrs = {"file": attr.label(mandatory = True)},
    environ = ["MOOD"],
)
"#)
        .file("BUILD", "genrule(name = \"o\", srcs = [\"@words//:o\"], outs = [\"o.txt\"], cmd = \"cp $< $@\")\n")
        .build();
    ws.rbz("build //:o").run();
    assert_eq!(ws.read("rbz-bin/o.txt"), "one none\n");
    ws.write("words.txt", "two\n");
    ws.rbz("build //:o").env("MOOD", "merry").run();
    assert_eq!(ws.read("rbz-bin/o.txt"), "two merry\n");
}
