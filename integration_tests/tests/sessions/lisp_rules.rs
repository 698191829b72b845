//! What the Lisp rules do, seen from Lisp.

use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::workspace;
use rbz_integration_tests::workspace::WorkspaceBuilder;

/// A program `//:p` of one file that begins in a package of its own.
fn program(attributes: &str, text: &str) -> WorkspaceBuilder {
    build_file(&format!("lisp_binary(name = \"p\", srcs = [\"p.lisp\"], {attributes})\n"))
        .file("p.lisp", text)
}

fn printed(builder: WorkspaceBuilder) -> String {
    builder.build().rbz("run //:p").run().stdout().to_owned()
}

/// A library of two files; the second says which of the first's things it saw.
fn two_files(order: &str) -> WorkspaceBuilder {
    build_file(&format!(
        r#"
lisp_library(name = "lib", srcs = ["a.lisp", "b.lisp", "c.lisp"], order = "{order}", nowarn = ["redefined-macro"])
lisp_binary(name = "p", srcs = ["p.lisp"], main = "main", deps = [":lib"])
"#
    ))
    .file("a.lisp", "(defmacro a-is-known () t)\n")
    .file(
        "b.lisp",
        "(defun seen () '(:a #.(and (macro-function 'a-is-known) t) :c #.(and (macro-function 'c-is-known) t)))\n",
    )
    .file("c.lisp", "(defmacro c-is-known () t)\n")
    .file("p.lisp", "(defun main () (format t \"~S~%\" (seen)))\n")
}

#[test]
fn serial_files_see_those_before_them() {
    assert_eq!(printed(two_files("serial")), "(:A T :C NIL)\n");
}

#[test]
fn parallel_files_see_no_other() {
    assert_eq!(printed(two_files("parallel")), "(:A NIL :C NIL)\n");
}

#[test]
fn multipass_files_see_all_others() {
    assert_eq!(printed(two_files("multipass")), "(:A T :C T)\n");
}

/// Two files; the second needs of the first what only some ways of loading give.
fn loaded(load: &str, first: &str, second: &str) -> WorkspaceBuilder {
    build_file(&format!(
        r#"
lisp_library(name = "lib", srcs = ["a.lisp", "b.lisp"], load = "{load}")
lisp_binary(name = "p", srcs = ["p.lisp"], main = "main", deps = [":lib"])
"#
    ))
    .file("a.lisp", first)
    .file("b.lisp", second)
    .file("p.lisp", "(defun main () (format t \"~S~%\" (result)))\n")
}

#[test]
fn load_says_whether_a_function_is_interpreted_or_compiled() {
    let first = "(defun f () 1)\n";
    let second = "(defun result () #.(if (typep (symbol-function 'f) 'sb-eval::interpreted-function) :interpreted :compiled))\n";
    assert_eq!(printed(loaded("source", first, second)), ":INTERPRETED\n");
    assert_eq!(printed(loaded("fasl", first, second)), ":COMPILED\n");
    assert_eq!(printed(loaded("image", first, second)), ":COMPILED\n");
}

#[test]
fn methods_that_use_slots_run_while_their_source_is_loaded() {
    let first = "(defclass tea () ((cups :initarg :cups)))\n\
        (defmethod cups ((tea tea)) (with-slots (cups) tea (incf cups) cups))\n\
        (defvar *cups* (cups (make-instance 'tea :cups 1)))\n";
    assert_eq!(printed(loaded("source", first, "(defun result () #.*cups*)\n")), "2\n");
}

#[test]
fn load_image_keeps_what_compiling_did() {
    // The variable lives in the compiler only: nothing that is loaded afterwards has it.
    let first = "(eval-when (:compile-toplevel)\n  (defvar cl-user::*at-compile-time* 42))\n(defun f () 1)\n";
    let second = "(defun result () #.(symbol-value 'cl-user::*at-compile-time*))\n";
    assert_eq!(printed(loaded("image", first, second)), "42\n");
    let ws = loaded("fasl", first, second).build();
    ws.rbz("build //:lib").exit_code(1).run().stderr_has("*AT-COMPILE-TIME*");
}

#[test]
fn a_target_is_loaded_in_its_own_way_by_those_that_use_it() {
    let ws = build_file(r#"
lisp_library(name = "fasl", srcs = ["fasl.lisp"], load = "fasl")
lisp_library(name = "source", srcs = ["source.lisp"])
lisp_library(name = "user", srcs = ["user.lisp"], deps = [":fasl", ":source"])
lisp_binary(name = "p", srcs = [], main = "main", deps = [":user"])
"#)
    .file("fasl.lisp", "(defun by-fasl () 1)\n")
    .file("source.lisp", "(defun by-source () 1)\n")
    .file("user.lisp", "(defun main () (print '(#.(compiled-function-p #'by-fasl) #.(typep #'by-source 'sb-eval::interpreted-function))))\n");
    assert!(printed(ws).contains("(T T)"));
}

#[test]
fn a_library_without_sources_is_built_by_building_what_it_puts_together() {
    let ws = build_file(
        r#"
lisp_library(name = "all", deps = [":both", "@lisp//:sb-posix"])
lisp_library(name = "both", deps = [":a", ":b"])
lisp_library(name = "a", srcs = ["a.lisp"])
lisp_library(name = "b", srcs = ["b.lisp"])
"#,
    )
    .file("a.lisp", "(defun a () 1)\n")
    .file("b.lisp", "(defun b () (car 1))\n")
    .build();
    ws.rbz("build //:all").exit_code(1).run().stderr_has("b.lisp:1");
    ws.write("b.lisp", "(defun b () 2)\n");
    ws.rbz("build //:all").run();
    assert!(ws.path("rbz-bin/a.fasl").exists() && ws.path("rbz-bin/b.fasl").exists());
}

#[test]
fn bundled_modules_are_deps() {
    let text = "(require :sb-posix)\n(defun main () (format t \"~D~%\" (sb-posix:getpid)))\n";
    let pid = printed(program("main = \"main\", deps = [\"@lisp//:sb-posix\"]", text));
    assert!(pid.trim().parse::<u32>().is_ok(), "{pid}");

    let text = "(defun main () (write-line (uiop:strcat \"u\" \"iop\")))\n";
    assert_eq!(printed(program("main = \"main\", deps = [\"@lisp//:uiop\"]", text)), "uiop\n");

    let text = "(defun main () (format t \"~:[no~;yes~]~%\" (asdf:version-satisfies (asdf:asdf-version) \"3\")))\n";
    assert_eq!(printed(program("main = \"main\", deps = [\"@lisp//:asdf\"]", text)), "yes\n");
}

#[test]
fn features_reach_the_target_and_those_above_and_the_program() {
    let ws = build_file(r#"
lisp_library(name = "below", srcs = ["below.lisp"])
lisp_library(name = "lib", srcs = ["lib.lisp"], add_features = ["with-tea", "|milkLess|"], deps = [":below"])
lisp_binary(name = "p", srcs = ["p.lisp"], main = "main", deps = [":lib"])
"#)
    .file("below.lisp", "(defun below () #+with-tea :tea #-with-tea :no-tea)\n")
    .file("lib.lisp", "(defun lib () #+with-tea :tea #-with-tea :no-tea)\n")
    .file("p.lisp", "(defun main () (format t \"~S~%\" (list (below) (lib) #+with-tea :tea #+:rbz :rbz #+bazel :bazel (and (find :with-tea *features*) t) (and (find :|milkLess| *features*) t))))\n");
    assert_eq!(printed(ws), "(:NO-TEA :TEA :TEA :RBZ :BAZEL T T)\n");
}

#[test]
fn the_compilation_mode_is_a_feature() {
    let modes = "(defun main () (format t \"~S~%\" '(#+opt :opt #+dbg :dbg)))\n";
    let ws = program("main = \"main\"", modes).build();
    assert_eq!(ws.rbz("run //:p").run().stdout(), "NIL\n");
    assert_eq!(ws.rbz("run -c opt //:p").run().stdout(), "(:OPT)\n");
    assert_eq!(ws.rbz("run -c dbg //:p").run().stdout(), "(:DBG)\n");
    // And back: each mode has an output directory of its own.
    assert!(ws.rbz("build //:p").run().ran().is_empty());
}

#[test]
fn main_is_a_symbol_a_call_or_the_repl() {
    let text = "(defpackage #:p (:use #:cl) (:export #:main #:show))\n(in-package #:p)\n(defun main () (write-line \"main\"))\n(defun show (a b) (format t \"~S ~S~%\" a b))\n";
    assert_eq!(printed(program("main = \"p:main\"", text)), "main\n");
    assert_eq!(printed(program("main = \"(p:show x (+ 1 2))\"", text)), "X (+ 1 2)\n");
    assert_eq!(printed(program("main = \"(progn (p:show 1 2))\"", text)), "1 2\n");
    // Standard input is empty: the REPL says goodbye.
    let repl = program("main = \"nil\"", text).build();
    repl.rbz("run //:p").run();
}

#[test]
fn the_value_of_main_is_no_exit_status_but_an_error_is() {
    let run = |text: &str, code| {
        let ws = program("main = \"main\"", text).build();
        ws.rbz("run //:p").exit_code(code).run();
    };
    run("(defun main () 3)\n", 0);
    run("(defun main () (error \"no\"))\n", 1);
    run("(defun main () (sb-ext:exit :code 5))\n", 5);
}

#[test]
fn a_program_gets_all_its_arguments() {
    let text = "(defun main () (format t \"~{~A~^|~}~%\" (rest sb-ext:*posix-argv*)))\n";
    let ws = program("main = \"main\"", text).build();
    let outcome =
        ws.rbz_args(["run", "//:p", "--", "--help", "--version", "--eval", "1", "ä ö"]).run();
    assert_eq!(outcome.stdout(), "--help|--version|--eval|1|ä ö\n");
}

#[test]
fn lisp_main_replaces_main_for_one_run() {
    let text = "(defpackage #:p (:use #:cl) (:export #:main #:other))\n(in-package #:p)\n(defun main () (write-line \"main\"))\n(defun other () (format t \"other ~A~%\" (sb-ext:posix-getenv \"LISP_MAIN\")))\n";
    let ws = program("main = \"p:main\"", text).build();
    ws.rbz("build //:p").run();
    let program = ws.path("rbz-bin/p");
    let output = std::process::Command::new(program).env("LISP_MAIN", "p:other").output();
    assert_eq!(String::from_utf8_lossy(&output.expect("it starts").stdout), "other NIL\n");
}

#[test]
fn data_is_there_at_run_time_and_compile_data_at_compile_time() {
    let ws = build_file(r#"
lisp_library(name = "lib", srcs = ["lib.lisp"], compile_data = ["template.txt"], data = ["data.txt"])
lisp_test(name = "t", srcs = ["t.lisp"], main = "main", deps = [":lib"])
"#)
    .file("lib.lisp", "(defparameter *template* #.(with-open-file (in (merge-pathnames \"template.txt\" (or *compile-file-truename* *load-truename*))) (read-line in)))\n")
    .file("t.lisp", "(defun main ()\n  (assert (string= *template* \"compiled in\"))\n  (with-open-file (in \"data.txt\") (assert (string= (read-line in) \"at run time\")))\n  (assert (not (probe-file \"template.txt\"))))\n")
    .file("template.txt", "compiled in\n")
    .file("data.txt", "at run time\n")
    .build();
    ws.rbz("test //:t --test_output=errors").run();
}

#[test]
fn readtable_package_and_policy_end_with_the_file() {
    let ws = build_file(r#"
lisp_library(name = "lib", srcs = ["a.lisp", "b.lisp"])
lisp_binary(name = "p", srcs = [], main = "main", deps = [":lib"])
"#)
    .file("a.lisp", "(defpackage #:other (:use #:cl))\n(in-package #:other)\n(declaim (optimize (safety 0)))\n(eval-when (:compile-toplevel :load-toplevel :execute) (setq *readtable* (copy-readtable)) (setf (readtable-case *readtable*) :preserve))\n")
    .file("b.lisp", "(defun main () (format t \"~A~%\" '#.(package-name *package*)) (format t \"~S~%\" 'Symbol))\n");
    assert_eq!(printed(ws), "COMMON-LISP-USER\nSYMBOL\n");
}

#[test]
fn a_test_can_be_one_expression() {
    let ws = build_file(
        r#"
lisp_test(name = "good", srcs = ["t.lisp"], expression = "(and (eql (one) 1) t)")
lisp_test(name = "bad", srcs = ["t.lisp"], expression = "(eql (one) 2)")
"#,
    )
    .file("t.lisp", "(defun one () 1)\n")
    .build();
    ws.rbz("test //:good").run();
    ws.rbz("test //:bad").exit_code(3).run();
}

#[test]
fn the_core_alone_is_an_output_group() {
    let ws = program("main = \"main\"", "(defun main () (write-line \"core\"))\n").build();
    ws.rbz("build //:p").run();
    assert!(!ws.path("rbz-bin/p.core").exists());
    ws.rbz("build //:p --output_groups=core").run();
    let printed = rbz_integration_tests::system::output_of(
        ws.root(),
        "sbcl",
        &["--noinform", "--core", "rbz-bin/p.core"],
    );
    assert_eq!(printed, "core\n");
}

#[test]
fn a_library_without_sources_hands_on_its_deps() {
    let ws = build_file(
        r#"
lisp_library(name = "a", srcs = ["a.lisp"])
lisp_library(name = "all", deps = [":a"])
lisp_binary(name = "p", srcs = ["p.lisp"], main = "main", deps = [":all"])
"#,
    )
    .file("a.lisp", "(defun a () (write-line \"a\"))\n")
    .file("p.lisp", "(defun main () (a))\n");
    assert_eq!(printed(ws), "a\n");
}

#[test]
fn empty_files_and_files_of_comments_are_fine() {
    let ws = build_file("lisp_library(name = \"lib\", srcs = [\"a.lisp\", \"b.lisp\"])\n")
        .file("a.lisp", "")
        .file("b.lisp", "; nothing\n")
        .build();
    ws.rbz("build //:lib").run();
    assert!(ws.path("rbz-bin/lib.fasl").exists());
}

#[test]
fn outputs_have_the_names_that_the_reference_gives() {
    let ws = build_file("lisp_library(name = \"one\", srcs = [\"a.lisp\"])\nlisp_library(name = \"two\", srcs = [\"a.lisp\", \"sub/b.lisp\"])\n")
        .file("a.lisp", "(defun a () 1)\n")
        .file("sub/b.lisp", "(defun b () 1)\n")
        .build();
    ws.rbz("build //...").run();
    for file in ["one.fasl", "two.fasl", "two~/a.fasl", "two~/sub/b.fasl"] {
        assert!(ws.path("rbz-bin").join(file).exists(), "{file}");
    }
}

#[test]
fn bazelisp_s_loads_give_the_same_rules() {
    let ws = workspace()
        .file(
            "BUILD",
            r#"
load("@rules_lisp//lisp:defs.bzl", "lisp_library")
load("@bazelisp//:rules.bzl", "lisp_binary")

lisp_library(name = "lib", srcs = ["lib.lisp"])
lisp_binary(name = "p", srcs = ["p.lisp"], main = "main", deps = [":lib"])
"#,
        )
        .file("lib.lisp", "(defun lib () \"lib\")\n")
        .file("p.lisp", "(defun main () (write-line (lib)))\n");
    assert_eq!(printed(ws), "lib\n");
}

#[test]
fn the_same_fasl_is_loaded_once_through_a_diamond() {
    let ws = build_file(
        r#"
lisp_library(name = "base", srcs = ["base.lisp"])
lisp_library(name = "left", srcs = ["left.lisp"], deps = [":base"])
lisp_library(name = "right", srcs = ["right.lisp"], deps = [":base"])
lisp_binary(name = "p", srcs = ["p.lisp"], main = "main", deps = [":left", ":right"])
"#,
    )
    .file("base.lisp", "(defvar *loads* 0)\n(incf *loads*)\n(defconstant +text+ 'a)\n")
    .file("left.lisp", "(defun left () *loads*)\n")
    .file("right.lisp", "(defun right () *loads*)\n")
    .file("p.lisp", "(defun main () (format t \"~D ~D~%\" (left) (right)))\n");
    assert_eq!(printed(ws), "1 1\n");
}
