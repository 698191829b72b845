//! The names that `nowarn` knows, each provoked by a program, and what handlers decide.

use crate::room::{Room, text};

/// A name, and a file that provokes it. Files are compiled one after the other in one image, so that
/// no two define the same thing.
const CASES: [(&str, &str); 36] = [
    ("undefined-variable-warning", "(defun a1 () a1-unknown)"),
    ("undefined-type-warning", "(defun a2 (x) (typep x 'a2-unknown))"),
    ("unused-variable", "(defun a3 (x y) x)"),
    ("unused-variable", "(defun a4 (x) (let ((y 1)) (setq y x) x))"),
    (
        "inline-used-before-definition",
        "(defun a5 () (a5f 1))\n(declaim (inline a5f))\n(defun a5f (x) x)",
    ),
    ("inline-used-before-definition", "(defun a6 (x) (a6s-a x))\n(defstruct a6s a)"),
    ("inlining-notinline", "(defun a7f (x) x)\n(declaim (inline a7f))\n(defun a7 () (a7f 1))"),
    (
        "compiler-macro-after-function-use",
        "(defun a8 () (a8f 1))\n(defun a8f (x) x)\n(define-compiler-macro a8f (x) x)",
    ),
    (
        "redefined-generic",
        "(eval-when (:compile-toplevel)\n  (defun a9 (x) x)\n  (ignore-errors (defgeneric a9 (x))))",
    ),
    (
        "redefined-package",
        "(defpackage :a10 (:use) (:export :a))\n(defpackage :a10 (:use) (:export :b))",
    ),
    ("duplicate-definition", "(defun a11 () 1)\n(defun a11 () 2)"),
    ("duplicate-definition", "(defmacro a12 () 1)\n(defmacro a12 () 2)"),
    (
        "changed-ftype-proclamation",
        "(declaim (ftype (function (t) fixnum) a13))\n(declaim (ftype (function (t t) fixnum) a13))",
    ),
    (
        "conflicting-ftype-declaration",
        "(declaim (ftype (function (t) t) a14))\n(defun a14 (x y) (list x y))",
    ),
    (
        "conflicting-ftype-declaration",
        "(declaim (ftype (function () fixnum) a15))\n(defun a15 () \"a\")",
    ),
    ("wrong-argument-count", "(defun a16f (x) x)\n(defun a16 () (a16f))"),
    ("wrong-argument-count", "(defun a17 () (car 1 2))"),
    ("wrong-argument-count", "(defun a18f (&key a) a)\n(defun a18 () (a18f :b 1))"),
    ("wrong-argument-count", "(defun a19f (&key a) a)\n(defun a19 () (a19f :a))"),
    ("wrong-argument-count", "(defun a20 () (flet ((f (x) x)) (f)))"),
    ("optional-and-key", "(defun a21 (&optional a &key b) (list a b))"),
    ("type-style", "(defun a22 (x) (+ (if x 1 \"a\") 1))"),
    ("type-conflict", "(defun a23 () (car 1))"),
    ("constant-modified", "(defun a24 () (nreverse '(1 2)))"),
    ("format-arguments", "(defun a25 () (format nil \"~a ~a\" 1))"),
    ("format-arguments", "(defun a26 () (format nil \"~a\" 1 2))"),
    (
        "complex-lexical-environment",
        "(eval-when (:compile-toplevel)\n  (defmacro a27m (&environment env)\n    (let ((sb-ext:*evaluator-mode* :interpret))\n      (sb-int:eval-in-lexenv '(list 1) env)) 1))\n(defun a27 (z) (flet ((h () z)) (a27m) (h)))",
    ),
    (
        "stack-allocate-note",
        "(defun a28 (n) (let ((y (make-array n))) (declare (dynamic-extent y)) (aref y 0)))",
    ),
    ("inline-expansion-limit", "(declaim (inline a29))\n(defun a29 (x) (if x (a29 (cdr x)) 1))"),
    (
        "deprecation",
        "(declaim (sb-ext:deprecated :early \"1\" (function a30f)))\n(defun a30f () 1)\n(defun a30 () (a30f))",
    ),
    (
        "deprecation",
        "(declaim (sb-ext:deprecated :late \"1\" (function a31f)))\n(defun a31f () 1)\n(defun a31 () (a31f))",
    ),
    ("style", "(defun a32 (x) (declare (ignore x)) x)"),
    ("redefined-structure", "(defstruct a33 x)\n(defstruct a33 x y)"),
    ("deleted-code", "(defun a34 (x) (declare (ignore x)) (return-from a34 1) (print 2))"),
    // No release of SBCL so far signals this one by itself.
    (
        "implicit-generic",
        "(eval-when (:compile-toplevel)\n  (warn 'sb-ext:implicit-generic-function-warning :name 'a36))",
    ),
    ("simple-warning", "(eval-when (:compile-toplevel) (warn \"My own.\"))"),
];

/// What is compiled: a group of lines for each file whose case is wanted.
fn groups(wanted: impl Fn(&str) -> bool) -> String {
    (0..CASES.len())
        .filter(|n| wanted(CASES[*n].0))
        .map(|n| {
            format!("source a{n}.lisp\nfasl a{n}.fasl\nwarnings a{n}.warnings\nhash a{n}.hash\n")
        })
        .collect()
}

fn room() -> Room {
    let names: Vec<_> = (0..CASES.len()).map(|n| format!("a{n}.lisp")).collect();
    let files: Vec<_> =
        names.iter().zip(CASES).map(|(name, (_, source))| (name.as_str(), source)).collect();
    Room::with(&files)
}

#[test]
fn each_condition_has_the_name_that_silences_it() {
    let room = room();
    // Notes are dropped unless they are asked for.
    let output = room.run("compile", &format!("force 1\nnowarn show-notes\n{}", groups(|_| true)));
    let shown = format!("\n{}", text(&output));
    for (n, (name, source)) in CASES.into_iter().enumerate() {
        let place = format!("a{n}.lisp:");
        let mut findings = shown.split("\na").map(|rest| format!("a{rest}"));
        let hint = format!("nowarn = [\"{name}\"] silences it");
        assert!(
            findings.any(|finding| finding.starts_with(&place) && finding.contains(&hint)),
            "{name}: {source}\n{shown}"
        );
    }

    let nowarn: String = CASES.iter().map(|(name, _)| format!("nowarn {name}\n")).collect();
    let output =
        room.run("compile", &format!("{nowarn}{}", groups(|name| name != "redefined-structure")));
    assert_eq!(text(&output), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn each_name_of_the_table_is_provoked() {
    let table = include_str!("../../repositories/rbz/lisp/driver/classification.lisp");
    // These have tests of their own: what is deferred, what is seen while files are loaded, and the
    // names that stand for others.
    let elsewhere = [
        "undefined-function-warning",
        "redefined-function",
        "redefined-macro",
        "redefined-method",
        "redefine-warning",
        "uninteresting-condition",
    ];
    let names = table.lines().filter_map(|line| {
        let name = line.trim_start_matches("    '(").trim_start().strip_prefix('(')?;
        let is_entry = name.chars().all(|char| char.is_ascii_lowercase() || char == '-');
        (is_entry && name.contains(|char: char| char.is_ascii_lowercase())).then_some(name)
    });
    let mut count = 0;
    for name in names {
        count += 1;
        let provoked = CASES.iter().any(|(case, _)| *case == name) || elsewhere.contains(&name);
        assert!(provoked, "{name}");
    }
    assert!(count >= 28, "the table has {count} names");
}

#[test]
fn what_a_handler_returns_decides() {
    let handlers = "(defpackage :h (:use :cl))\n(in-package :h)\n\
        (defun nothing (c) (declare (ignore c)) nil)\n\
        (defun show (c) (declare (ignore c)) :show)\n\
        (defun fail (c) (declare (ignore c)) :fail)\n\
        (defun yes (c) (declare (ignore c)) 'yes)\n";
    let style = "(defun f (x y) x)\n";
    let full = "(defun f () (car 1))\n";
    let code = |source: &str, nowarn: &str| {
        let room = Room::with(&[("h.lisp", handlers), ("a.lisp", source)]);
        let output = room.compile("a.lisp", &format!("load source h.lisp\n{nowarn}"));
        (output.status.code(), text(&output).contains("a.lisp:1:"))
    };
    let fails = (Some(1), true);
    assert_eq!(code(style, "nowarn h::nothing\n"), fails, "nil: the next entry, then the rules");
    assert_eq!(code(style, "nowarn h::yes\n"), (Some(0), false), "true: silence");
    assert_eq!(code(style, "nowarn h::show\n"), (Some(0), true), "a style warning is shown");
    assert_eq!(code(full, "nowarn h::show\n"), fails, "a full warning is shown and fails");
    assert_eq!(code(full, "nowarn h::yes\n"), (Some(0), false));
    assert_eq!(code(style, "nowarn h::nothing\nnowarn h::yes\n"), (Some(0), false));
    assert_eq!(code(style, "nowarn h::fail\nnowarn h::yes\n"), fails, "the first verdict counts");
    let note = "(defun f (x) (declare (ignore x)) (return-from f 1) (print 2))\n";
    assert_eq!(code(note, ""), (Some(0), false), "notes are dropped");
    assert_eq!(code(note, "nowarn show-notes\n"), (Some(0), true));
    assert_eq!(code(note, "nowarn h::fail\n"), fails);
    // A predicate of the package, as a handler.
    assert_eq!(code("(defun f () zz)\n", "nowarn undefined-variable-p\n"), (Some(0), false));
}

#[test]
fn redefined_macros_and_notes_are_no_failure() {
    let room = Room::with(&[
        ("a.lisp", "(defmacro m (x) x)\n"),
        ("b.lisp", "(defmacro m (x) (list 'list x))\n(defun f () (m 1))\n"),
    ]);
    let output = room.compile("b.lisp", "load source a.lisp\n");
    assert_eq!(text(&output), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_another_file_defined_is_a_failure_to_define_again() {
    let room = Room::with(&[
        ("a.lisp", "(defun f () 1)\n(defgeneric g (x))\n(defmethod g ((x integer)) 1)\n"),
        (
            "b.lisp",
            "(eval-when (:compile-toplevel)\n  (defun f () 2)\n  (defmethod g ((x integer)) 2))\n",
        ),
    ]);
    let shown = text(&room.compile("b.lisp", "load source a.lisp\n"));
    for name in ["redefined-function", "redefined-method"] {
        assert!(shown.contains(&format!("nowarn = [\"{name}\"] silences it")), "{shown}");
    }
    for nowarn in
        ["nowarn redefine-warning\n", "nowarn redefined-function\nnowarn redefined-method\n"]
    {
        let output = room.compile("b.lisp", &format!("{nowarn}load source a.lisp\n"));
        assert_eq!(text(&output), "");
    }
}

#[test]
fn all_uses_of_what_is_undefined_are_shown_with_their_places() {
    let source = "(defun f () zz)\n(defun g (x)\n  (list x\n        (1+ zz)))\n";
    let room = Room::with(&[("a.lisp", source)]);
    let shown = text(&room.compile("a.lisp", ""));
    for place in
        ["a.lisp:1:1: warning: undefined variable", "a.lisp:4:9: warning: undefined variable"]
    {
        assert!(shown.contains(place), "{place}\n{shown}");
    }
}

#[test]
fn an_undefined_type_is_shown_at_its_uses() {
    let room = Room::with(&[("a.lisp", "(defun f (x)\n  (list (typep x 'nowhere)))\n")]);
    let shown = text(&room.compile("a.lisp", ""));
    assert!(
        shown.contains("a.lisp:2:18: warning: undefined type: COMMON-LISP-USER::NOWHERE"),
        "{shown}"
    );
}

#[test]
fn failures_name_place_line_form_type_and_remedy_for_editors() {
    let room = Room::with(&[("a.lisp", "(defun f (a b) (list a b))\n(defun g () (f 1))\n")]);
    let shown = text(&room.compile("a.lisp", ""));
    for part in [
        "a.lisp:2:13: warning: ",
        "    2 | (defun g () (f 1))\n",
        "  in: (defun g ()",
        "  condition: common-lisp:simple-warning\n",
        "  hint: nowarn = [\"wrong-argument-count\"] silences it\n",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}
