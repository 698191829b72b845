//! One file compiled: what is written, and what is said of files that are wrong.

use std::fs;
use std::process::Command;

use crate::room::{Room, compiles, fails, text};

#[test]
fn a_fine_file_gives_a_fasl_no_warnings_and_its_hash() {
    let room = compiles("(defun f (x) (1+ x))\n", "");
    assert!(room.path("a.fasl").is_file());
    assert_eq!(room.read("a.warnings"), "");
    let hash = fs::read(room.path("a.hash")).expect("the hash");
    assert_eq!(hash.len(), "a.lisp\0".len() + 16);
    assert!(hash.starts_with(b"a.lisp\0"));
}

#[test]
fn init_files_are_not_read() {
    let room =
        Room::with(&[(".sbclrc", "(error \"read\")\n"), ("a.lisp", "(defun main () (print 1))\n")]);
    assert_eq!(text(&room.compile("a.lisp", "")), "");
    let core = "load fasl a.fasl\noutput program\nexecutable yes\nmain main\n";
    assert_eq!(text(&room.run("core", core)), "");
    let output = Command::new(room.path("program")).env("HOME", room.path("")).output();
    assert_eq!(text(&output.expect("it starts")).trim(), "1");
}

#[test]
fn an_empty_file_is_legal() {
    compiles("", "");
}

#[test]
fn an_unused_variable_fails_with_its_place_unless_nowarn_names_it() {
    let source = "(defun f (x y)\n  (let ((z 1))\n    x))\n";
    fails(
        source,
        "",
        "\
a.lisp:1:1: warning: The variable Y is defined but never used.
    1 | (defun f (x y)
      | ^
  in: (defun f (x y)
  condition: sb-int:simple-style-warning
  hint: nowarn = [\"unused-variable\"] silences it
a.lisp:2:9: warning: The variable Z is defined but never used.
    2 |   (let ((z 1))
      |         ^
  in: (defun f (x y)
  condition: sb-int:simple-style-warning
  hint: nowarn = [\"unused-variable\"] silences it
",
    );
    compiles(source, "nowarn unused-variable\n");
}

#[test]
fn an_undefined_variable_is_a_failure() {
    fails(
        "(defun f () zz)\n",
        "",
        "\
a.lisp:1:1: warning: undefined variable: COMMON-LISP-USER::ZZ
    1 | (defun f () zz)
      | ^
  in: (defun f () zz)
  condition: common-lisp:simple-warning
  hint: nowarn = [\"undefined-variable-warning\"] silences it
",
    );
}

#[test]
fn a_wrong_number_of_arguments_is_a_failure_at_the_call() {
    fails(
        "(defun ü (x) x)\n\n(defun g ()\n  (ü 1 2))\n",
        "",
        "\
a.lisp:4:3: warning: The function Ü is called with two arguments, but wants exactly one.
    4 |   (ü 1 2))
      |   ^
  in: (defun g ()
  condition: common-lisp:simple-warning
  hint: nowarn = [\"wrong-argument-count\"] silences it
",
    );
}

#[test]
fn a_malformed_form_is_an_error() {
    fails(
        "(defun f ()\n  (let ((y 1 2)) y))\n",
        "",
        "\
a.lisp:2:9: error: The LET binding spec (Y 1 2) is malformed.
    2 |   (let ((y 1 2)) y))
      |         ^
  in: (defun f ()
  condition: sb-int:simple-program-error
",
    );
}

#[test]
fn what_cannot_be_read_has_the_place_where_the_reader_stopped() {
    fails(
        "(defun f () 1)\n(defun g () (foo:bar 1))\n",
        "",
        "\
a.lisp:2:20: error: Package FOO does not exist.
    2 | (defun g () (foo:bar 1))
      |                    ^
  in: (defun g () (foo:bar 1))
  condition: sb-int:simple-reader-package-error
  hint: the file that defines it must come before this one in srcs, or its target be in deps
",
    );
}

#[test]
fn a_form_that_does_not_end_is_shown_at_its_start() {
    fails(
        "(defun f () 1)\n\n; a comment\n(defun g ()\n  (list 1 2)\n",
        "",
        "\
a.lisp:4:1: error: end of file in the middle of a form: a parenthesis, string or comment is not closed
    4 | (defun g ()
      | ^
  in: (defun g ()
  condition: common-lisp:end-of-file
",
    );
}

#[test]
fn a_function_that_is_defined_twice_is_a_failure() {
    let source = "(defun f () 1)\n(defun f () 2)\n";
    let room = Room::with(&[("a.lisp", source)]);
    let output = room.compile("a.lisp", "");
    let text = text(&output);
    assert!(text.starts_with("a.lisp:2:1: warning: Duplicate definition for "), "{text}");
    assert!(text.contains("hint: nowarn = [\"duplicate-definition\"]"), "{text}");
}

#[test]
fn an_undefined_function_is_deferred_to_the_core() {
    let room = compiles("(defun f () (later 1))\n", "");
    assert_eq!(
        room.read("a.warnings"),
        "((\"a.lisp\" :undefined-function COMMON-LISP-USER::LATER))\n"
    );
    let core = "load fasl a.fasl\nwarnings a.warnings\nmain f\noutput program\nexecutable yes\n";
    let output = room.run("core", core);
    assert_eq!(text(&output), "a.lisp: error: undefined function: common-lisp-user::later\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(!room.path("program").exists());
}

#[test]
fn a_call_that_turns_out_to_be_of_a_macro_is_a_failure() {
    let room = compiles("(defun f () (later 1))\n", "");
    fs::write(room.path("b.lisp"), "(defmacro later (x) x)\n").expect("a file can be written");
    assert!(room.compile("b.lisp", "").status.success());
    let output = room.run(
        "core",
        "load fasl a.fasl\nload fasl b.fasl\nwarnings a.warnings\nmain f\noutput program\n",
    );
    let text = text(&output);
    assert!(text.starts_with("a.lisp: error: common-lisp-user::later is a macro"), "{text}");
}

#[test]
fn handlers_can_be_functions_and_types_of_a_dependency() {
    let room = Room::with(&[
        ("a.lisp", "(defun f (x y) x)\n"),
        (
            "dep.lisp",
            "(defpackage :dep (:use :cl))\n(in-package :dep)\n(defun all (c) (declare (ignore c)) t)\n",
        ),
    ]);
    let output = room.compile("a.lisp", "load source dep.lisp\nnowarn dep::all\n");
    assert_eq!(text(&output), "");
    let output = room.compile("a.lisp", "nowarn dep::all\n");
    assert!(text(&output).contains("`nowarn` names `dep::all`"), "{}", text(&output));
}

#[test]
fn a_module_that_is_no_dependency_is_refused_by_name() {
    let room = Room::with(&[("a.lisp", "(eval-when (:compile-toplevel) (require :sb-posix))\n")]);
    let output = room.compile("a.lisp", "");
    assert!(text(&output).contains("add \"@lisp//:sb-posix\" to its deps"), "{}", text(&output));
    let output = room.compile("a.lisp", "load module sb-posix\n");
    assert_eq!(text(&output), "");
}

#[test]
fn a_file_that_is_not_there_is_noted_for_the_build() {
    let room = Room::with(&[(
        "a.lisp",
        "(eval-when (:compile-toplevel) (with-open-file (s \"data/x.txt\") (read s)))\n",
    )]);
    let output = room.compile("a.lisp", "");
    assert_eq!(output.status.code(), Some(1));
    assert!(room.read("missing").trim_end().ends_with("data/x.txt"));
}

#[test]
fn code_that_cannot_be_loaded_as_source_gets_the_hint() {
    let room = Room::with(&[
        ("a.lisp", "(defun g () 1)\n"),
        ("dep.lisp", "(eval-when (:compile-toplevel) (defun f () 1))\n(defvar *x* (f))\n"),
    ]);
    let output = room.compile("a.lisp", "load source dep.lisp\n");
    let text = text(&output);
    assert!(text.starts_with("dep.lisp:2:1: error: while loading: "), "{text}");
    assert!(text.contains("load = \"fasl\""), "{text}");
}

#[test]
fn the_same_source_gives_the_same_bytes_in_any_directory() {
    let source = "(defstruct s a b)\n(defun f (x) (make-s :a x :b \"ä\"))\n";
    let fasl = |more: &str| {
        let room = Room::with(&[("a.lisp", source)]);
        let file = fs::File::options().write(true).open(room.path("a.lisp")).expect("the source");
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_577_836_800))
            .expect("a write date can be set");
        assert!(room.compile("a.lisp", more).status.success());
        fs::read(room.path("a.fasl")).expect("the FASL")
    };
    assert!(fasl("") == fasl(""));
    assert!(fasl("") != fasl("mode opt\n"), "the compilation mode makes no difference");
}

#[test]
fn programs_run_their_main_and_are_the_same_each_time() {
    let room = compiles(
        "(defun cl-user::start () (format t \"~{~a~^ ~}~%\" (rest sb-ext:*posix-argv*)))\n",
        "",
    );
    let save = |name: &str| {
        let parameters = format!(
            "load fasl a.fasl\nmain start\noutput {name}\nexecutable yes\nsave-runtime-options yes\n"
        );
        assert_eq!(text(&room.run("core", &parameters)), "");
        fs::read(room.path(name)).expect("the program")
    };
    assert!(save("one") == save("two"), "two programs of the same code differ");
    let output = Command::new(room.path("one")).args(["--help", "x y"]).output().expect("it runs");
    assert_eq!(text(&output), "--help x y\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_error_ends_up_in_the_debugger_when_it_is_asked_for() {
    let room =
        Room::with(&[("a.lisp", "(eval-when (:compile-toplevel) (error \"Look at me.\"))\n")]);
    let shown = text(&room.interact("a.lisp", "0\n"));
    assert!(shown.contains("debugger invoked on a SIMPLE-ERROR"), "{shown}");
    assert!(shown.contains("Look at me.") && shown.contains("[ABORT]"), "{shown}");
    let shown = text(&room.compile("a.lisp", ""));
    assert!(!shown.contains("debugger invoked"), "{shown}");
}

#[test]
fn main_must_be_a_function() {
    let room = compiles("(defun f () 1)\n", "");
    let output = room.run("core", "load fasl a.fasl\ntarget //a:b\nmain nothing\noutput p\n");
    assert_eq!(
        text(&output),
        "//a:b: error: `main` is nothing, but no function of this name is defined\n"
    );
}
