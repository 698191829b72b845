//! Lisp code that is wrong: where, what, and what to do.

use insta::assert_snapshot;
use rbz_integration_tests::projects::{build_file, one_file};
use rbz_integration_tests::workspace;
use rbz_integration_tests::workspace::WorkspaceBuilder;

/// The messages of a build of `//:lib` that fails.
fn failure(builder: WorkspaceBuilder) -> String {
    builder.build().rbz("build //:lib").exit_code(1).run().golden_errors()
}

/// A library of one file with this attribute.
fn with_attribute(attribute: &str, text: &str) -> WorkspaceBuilder {
    one_file(text).file(
        "BUILD",
        &format!("lisp_library(name = \"lib\", srcs = [\"lib.lisp\"], {attribute})\n"),
    )
}

#[test]
fn a_parenthesis_that_is_missing() {
    assert_snapshot!(failure(one_file("(defun f ()\n  (list 1 2)\n\n(defun g () 3)\n")));
}

#[test]
fn a_package_that_is_not_there() {
    assert_snapshot!(failure(one_file("(defun f ()\n  (alexandria:flatten '(1)))\n")));
}

#[test]
fn a_symbol_that_is_not_exported() {
    let text = "(defpackage #:p (:use #:cl))\n(in-package #:p)\n(defun f () 1)\n(in-package #:cl-user)\n(defun g () (p:f))\n";
    assert_snapshot!(failure(one_file(text)));
}

#[test]
fn an_undefined_variable() {
    assert_snapshot!(failure(one_file("(in-package #:cl-user)\n\n(defun f (x)\n  (+ x wdith))\n")));
}

#[test]
fn an_unused_variable() {
    assert_snapshot!(failure(one_file("(defun f (x y)\n  x)\n")));
}

#[test]
fn a_conflict_of_types() {
    assert_snapshot!(failure(one_file("(defun f ()\n  (+ 1 (length 17)))\n")));
}

#[test]
fn a_wrong_number_of_arguments() {
    assert_snapshot!(failure(one_file("(defun f (a b) (list a b))\n(defun g () (f 1))\n")));
}

#[test]
fn an_error_in_a_macro() {
    let text = "(defmacro m (x)\n  (error \"No ~A today.\" x))\n\n(defun f ()\n  (m tea))\n";
    assert_snapshot!(failure(one_file(text)));
}

#[test]
fn an_error_while_a_dependency_is_loaded() {
    let builder = build_file(r#"
lisp_library(name = "dep", srcs = ["dep.lisp"])
lisp_library(name = "lib", srcs = ["lib.lisp"], deps = [":dep"])
"#)
    .file("dep.lisp", "(defparameter *x* (when (find :compiling *features*) 1))\n(car (list 1))\n(unless (boundp 'cl-user::*unbound*) (error \"Not at load time.\"))\n")
    .file("lib.lisp", "(defun f () 1)\n");
    let ws = builder.build();
    ws.rbz("build //:lib")
        .exit_code(1)
        .run()
        .stderr_has("dep.lisp:3:1: error: while loading: Not at load time.")
        .stderr_has("Not at load time.");
}

#[test]
fn warnings_are_silenced_by_name() {
    let ws = with_attribute("nowarn = [\"unused-variable\"]", "(defun f (x y)\n  x)\n").build();
    ws.rbz("build //:lib").run();
    let ws =
        with_attribute("nowarn = [\"undefined-variable-warning\"]", "(defun f () zzz)\n").build();
    ws.rbz("build //:lib").run();
}

#[test]
fn the_message_names_the_nowarn_that_would_silence_it() {
    let message = failure(one_file("(defun f (x y)\n  x)\n"));
    assert!(message.contains("unused-variable"), "{message}");
}

#[test]
fn a_nowarn_that_is_unknown() {
    let text = "(defun f (x y)\n  x)\n";
    assert_snapshot!(failure(with_attribute("nowarn = [\"unsued-variable\"]", text)));
}

#[test]
fn an_undefined_function_is_deferred_and_fails_at_the_core() {
    let ws = build_file(
        r#"
lisp_library(name = "lib", srcs = ["lib.lisp"])
lisp_binary(name = "program", srcs = ["program.lisp"], main = "main", deps = [":lib"])
"#,
    )
    .file("lib.lisp", "(defun f ()\n  (not-there 1))\n")
    .file("program.lisp", "(defun main () (f))\n")
    .build();
    ws.rbz("build //:lib").run();
    assert!(ws.read("rbz-bin/lib~/lib.warnings").contains("NOT-THERE"));
    assert_snapshot!(ws.rbz("build //:program").exit_code(1).run().golden_errors());

    // A function that comes later, even from a target above, is what deferring is for.
    ws.write("program.lisp", "(defun not-there (x) x)\n(defun main () (f))\n");
    ws.rbz("build //:program").run();
}

#[test]
fn a_function_that_turns_out_to_be_a_macro_fails_at_the_core() {
    let ws = build_file(
        r#"
lisp_library(name = "lib", srcs = ["uses.lisp", "defines.lisp"])
lisp_binary(name = "program", srcs = [], main = "f", deps = [":lib"])
"#,
    )
    .file("uses.lisp", "(defun f () (twice 1))\n")
    .file("defines.lisp", "(defmacro twice (x) `(list ,x ,x))\n")
    .build();
    assert_snapshot!(ws.rbz("build //:program").exit_code(1).run().golden_errors());
}

#[test]
fn a_file_that_kills_the_compiler() {
    let text = "(eval-when (:compile-toplevel)\n  (sb-alien:alien-funcall (sb-alien:extern-alien \"abort\" (function sb-alien:void))))\n";
    let ws = one_file(text).build();
    let outcome = ws.rbz("build //:lib").exit_code(1).run();
    outcome.stderr_has("lib.lisp").stderr_has("//:lib").stderr_has("SIGABRT");
}

#[test]
fn a_file_that_exits_the_compiler() {
    for code in [0, 1, 7] {
        let ws = one_file(&format!(
            "(eval-when (:compile-toplevel)\n  (sb-ext:exit :code {code} :abort t))\n"
        ))
        .build();
        ws.rbz("build //:lib").exit_code(1).run().stderr_has("lib.lisp");
        assert!(!ws.path("rbz-bin/lib.fasl").exists());
    }
}

#[test]
fn a_heap_that_is_too_small_is_named_with_the_attribute() {
    let text =
        "(eval-when (:compile-toplevel)\n  (defvar *list* (loop collect (make-array 100000))))\n";
    let ws = with_attribute("dynamic_space_size = \"200MB\"", text).build();
    ws.rbz("build //:lib").exit_code(1).run().stderr_has("dynamic_space_size");
}

#[test]
fn a_stack_that_is_too_small_is_named_with_its_file() {
    let text =
        "(eval-when (:compile-toplevel)\n  (defun deep (n) (1+ (deep (1+ n))))\n  (deep 0))\n";
    let ws = one_file(text).build();
    let outcome = ws.rbz("build //:lib").exit_code(1).run();
    outcome.stderr_has("lib.lisp").stderr_has("ontrol stack exhausted");
}

#[test]
fn main_that_is_no_function() {
    let ws = build_file(
        "lisp_binary(name = \"lib\", srcs = [\"lib.lisp\"], main = \"app:mian\")\n",
    )
    .file(
        "lib.lisp",
        "(defpackage #:app (:use #:cl) (:export #:main))\n(in-package #:app)\n(defun main () 1)\n",
    );
    assert_snapshot!(failure(ws));
}

#[test]
fn a_bundled_module_that_is_not_declared() {
    let message = failure(one_file(
        "(eval-when (:compile-toplevel :load-toplevel :execute) (require :sb-posix))\n",
    ));
    assert!(message.contains("@lisp//:sb-posix"), "{message}");
}

#[test]
fn a_lock_that_is_violated() {
    assert_snapshot!(failure(one_file("(defun car (x) x)\n")));
}

#[test]
fn a_failure_that_many_files_share_is_shown_once() {
    let ws = build_file(
        r#"
lisp_library(name = "lib", srcs = ["lib.lisp"], nowarn = ["undefined-variable-warning"])
lisp_library(name = "user", srcs = ["a.lisp", "b.lisp"], deps = [":lib"], order = "parallel")
"#,
    )
    .file("lib.lisp", "(print not-there)\n")
    .file("a.lisp", "(defun a () 1)\n")
    .file("b.lisp", "(defun b () 2)\n")
    .build();
    let outcome = ws.rbz("build -k -j1 //:user").exit_code(1).run();
    assert_snapshot!(outcome.golden_errors());
    let verbose = ws.rbz("build -k //:user --verbose_failures").exit_code(1).run();
    assert_eq!(verbose.stderr().matches("NOT-THERE").count(), 2, "{verbose}");
}

#[test]
fn a_file_of_another_repository_is_named_by_the_path_that_its_errors_have() {
    let ws = build_file("")
        .file("WORKSPACE", "local_repository(name = \"other\", path = \"other\")\n")
        .file("other/WORKSPACE", "")
        .file("other/BUILD", "lisp_library(name = \"lib\", srcs = [\"lib.lisp\"])\n")
        .file("other/lib.lisp", "(defun f (x) 1)\n")
        .build();
    let outcome = ws.rbz("build @other//:lib").exit_code(1).run();
    outcome.stderr_has("Compiling external/other/lib.lisp failed");
    outcome.stderr_has("external/other/lib.lisp:1:1: ");
}

#[test]
fn errors_of_several_files_are_all_shown_with_k() {
    let ws = build_file(
        "lisp_library(name = \"lib\", srcs = [\"a.lisp\", \"b.lisp\"], order = \"parallel\")\n",
    )
    .file("a.lisp", "(defun a () x-in-a)\n")
    .file("b.lisp", "(defun b () x-in-b)\n")
    .build();
    let outcome = ws.rbz("build -k //:lib").exit_code(1).run();
    outcome.stderr_has("a.lisp:1").stderr_has("b.lisp:1");
}

/// What stands in the way of those who begin: one workspace, a mistake in each target.
#[test]
fn what_beginners_forget_is_said_with_what_to_write() {
    let mistakes = [
        (
            "lisp_library",
            "contrib",
            "(defun f () (sb-posix:getpid))",
            "",
            "deps = [\"@lisp//:sb-posix\"] brings it",
        ),
        (
            "lisp_library",
            "asdf",
            "(asdf:load-system :x)",
            "",
            "deps = [\"@lisp//:asdf\"] brings it",
        ),
        (
            "lisp_library",
            "system",
            "(eval-when (:compile-toplevel) (asdf:load-system :gone))",
            "deps = [\"@lisp//:asdf\"]",
            "ASDF knows no system in a build",
        ),
        ("lisp_library", "quicklisp", "(ql:quickload :x)", "", "Quicklisp is not there in a build"),
        ("lisp_library", "mark", "\u{feff}(defun f () 1)", "", "it begins with a byte order mark"),
        (
            "lisp_library",
            "conflict",
            "(defpackage a (:export #:x)) (defpackage b (:export #:x)) (defpackage c (:use a b))",
            "",
            "(:shadowing-import-from package symbol)",
        ),
        (
            "lisp_library",
            "inner",
            "(defpackage a (:intern #:x)) (defun f () (a:x))",
            "",
            "export it where the package is defined",
        ),
        (
            "lisp_binary",
            "name",
            "(defpackage p (:export #:main))",
            "main = \"p:mian\"",
            "`main` is p:mian: Symbol \"MIAN\" not found",
        ),
        (
            "lisp_test",
            "both",
            "(defun f () t)",
            "main = \"f\", expression = \"(f)\"",
            "`main` and `expression` are both given",
        ),
    ];
    let mut builder = workspace();
    for (rule, name, text, attributes, _) in mistakes {
        let target = format!("{rule}(name = \"{name}\", srcs = [\"a.lisp\"], {attributes})\n");
        builder = builder.file(&format!("{name}/BUILD"), &target);
        builder = builder.file(&format!("{name}/a.lisp"), &format!("{text}\n"));
    }
    let outcome = builder.build().rbz("build -k //...").exit_code(1).run();
    for (_, _, _, _, message) in mistakes {
        outcome.stderr_has(message);
    }
}
