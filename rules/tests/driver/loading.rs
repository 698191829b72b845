//! What is loaded before a file compiles: what is heard of it, and what it may do.

use crate::room::{Room, text};

/// Loads two sources, then compiles a file; what was printed and whether it succeeded.
fn loads(first: &str, second: &str, more: &str) -> (String, bool) {
    let room = Room::with(&[
        ("first.lisp", first),
        ("second.lisp", second),
        ("a.lisp", "(defun a () 1)\n"),
    ]);
    let lines = format!("{more}load source first.lisp\nload source second.lisp\n");
    let output = room.compile("a.lisp", &lines);
    (text(&output), output.status.success())
}

#[test]
fn most_warnings_of_what_is_loaded_are_muffled() {
    for (first, second) in [
        ("(warn \"loud\")", "(warn 'style-warning)"),
        ("(defmacro m () 1)", "(defmacro m () 2)"),
        ("(defun m () 1)", "(defmacro m () 2)"),
        ("(defgeneric g (x))\n(defmethod g ((x t)) 1)", "(defmethod g ((x t)) 2)"),
        ("(defgeneric g (x))", "(defgeneric g (x &key a))"),
        ("(declaim (ftype (function (t) t) f))", "(declaim (ftype (function (t t) t) f))"),
        ("(defun f () (unknown))", "(defun g (x y) x)"),
    ] {
        assert_eq!(loads(first, second, ""), (String::new(), true), "{first} {second}");
    }
}

#[test]
fn what_makes_the_image_another_than_expected_fails_while_it_is_loaded() {
    for (first, second, name) in [
        ("(defun f () 1)", "(defun f () 2)", "redefined-function"),
        (
            "(defpackage :p (:use) (:export :a))",
            "(defpackage :p (:use) (:export :b))",
            "redefined-package",
        ),
        (
            "(declaim (ftype (function (t) t) f))",
            "(defun f (a b) (list a b))\n(compile 'f)",
            "conflicting-ftype-declaration",
        ),
        (
            "(defun g () (f 1))\n(compile 'g)",
            "(declaim (inline f))\n(defun f (x) x)",
            "inline-used-before-definition",
        ),
        (
            "(defun g () (f 1))\n(compile 'g)",
            "(define-compiler-macro f (x) x)\n(defun f (x) x)",
            "compiler-macro-after-function-use",
        ),
    ] {
        let (shown, good) = loads(first, second, "");
        assert!(!good, "{name}");
        assert!(shown.starts_with("second.lisp: error: while loading: "), "{shown}");
        assert!(shown.contains(&format!("nowarn = [\"{name}\"] silences it")), "{shown}");
        let silenced = loads(first, second, &format!("nowarn {name}\n"));
        assert_eq!(silenced, (String::new(), true), "{name}");
    }
}

#[test]
fn what_is_loaded_changes_the_action_but_its_readtable_package_and_policy_end_with_its_file() {
    let room = Room::with(&[
        (
            "first.lisp",
            "(defvar *expanded* 0)\n\
             (setf *macroexpand-hook* (compile nil (quote (lambda (f form env) (incf *expanded*) (funcall f form env)))))\n\
             (sb-ext:unlock-package :sb-gray)\n\
             (push :tea *features*)\n\
             (set-macro-character #\\! (constantly :exclaimed))\n\
             (declaim (optimize (speed 3)))\n\
             (setq *package* (find-package :keyword))\n\
             (cl:setq cl:*readtable* (cl:copy-readtable))\n\
             (cl:set-macro-character #\\? (cl:constantly 1))\n",
        ),
        (
            "a.lisp",
            "(defun sb-gray::own () 1)\n\
             (macrolet ((quality (&environment env)\n  \
               (print (sb-c::policy-quality (sb-c::lexenv-policy env) 'speed)) nil))\n  \
               (defun a () (quality)))\n\
             (eval-when (:compile-toplevel)\n\
               (print (list ! '? (package-name *package*) #+tea :tea (plusp *expanded*))))\n",
        ),
    ]);
    let shown = text(&room.compile("a.lisp", "load source first.lisp\n"));
    assert_eq!(shown.trim(), "1 \n(:EXCLAIMED ? \"COMMON-LISP-USER\" :TEA T)");
    // The next action has none of it.
    let room = Room::with(&[(
        "a.lisp",
        "(eval-when (:compile-toplevel)\n  (print (list '! *macroexpand-hook* (sb-ext:package-locked-p :sb-gray))))\n",
    )]);
    assert_eq!(text(&room.compile("a.lisp", "")).trim(), "(! FUNCALL T)");
}

#[test]
fn a_constant_keeps_its_value_if_the_new_one_is_equalp_and_else_fails_by_name() {
    let (shown, good) = loads("(defconstant +c+ \"abc\")", "(defconstant +c+ \"abc\")", "");
    assert!(good, "{shown}");
    let (shown, good) = loads("(defconstant +c+ \"abc\")", "(defconstant +c+ \"xyz\")", "");
    assert!(!good);
    assert!(
        shown.starts_with("second.lisp:1:1: error: while loading: The constant +C+"),
        "{shown}"
    );
}

#[test]
fn a_structure_may_be_defined_again_only_with_the_same_layout() {
    let same = "(defstruct (s (:constructor nil) (:copier nil) (:predicate nil)) a)";
    let (shown, good) = loads(same, same, "nowarn redefined-function\n");
    assert!(good, "{shown}");
    let other = "(defstruct (s (:constructor nil) (:copier nil) (:predicate nil)) a b)";
    let (shown, good) = loads(same, other, "nowarn redefined-function\n");
    assert!(!good);
    assert!(
        shown.contains("attempt to redefine the STRUCTURE-OBJECT class S incompatibly"),
        "{shown}"
    );
}

#[test]
fn a_violated_lock_names_lock_and_symbol() {
    for (source, name) in [
        ("(defun bazel.main:process-file (x) x)", "BAZEL.MAIN"),
        ("(defmacro rbz.driver:main () 1)", "RBZ.DRIVER"),
        ("(defun cl:car (x) x)", "COMMON-LISP"),
    ] {
        let (shown, good) = loads(source, "", "nowarn redefined-function\n");
        assert!(!good, "{source}");
        assert!(shown.contains(&format!("Lock on package {name} violated")), "{shown}");
    }
}

#[test]
fn the_driver_leaves_nothing_in_the_package_of_users() {
    let source = "(eval-when (:compile-toplevel)\n  (let ((own '()))\n    (do-symbols (symbol :cl-user)\n      (when (eq (symbol-package symbol) *package*) (push symbol own)))\n    (format t \"~{~a~^ ~}~%\" (remove-if (lambda (s) (member (symbol-name s) '(\"OWN\" \"S\" \"SYMBOL\" \"P\") :test 'equal)) own))\n    (format t \"~{~a~^ ~}~%\" (remove-if-not (lambda (p) (and (or (search \"RBZ\" (package-name p)) (search \"BAZEL\" (package-name p))) (or (package-nicknames p) (not (sb-ext:package-locked-p p))))) (list-all-packages)))))\n";
    let room = Room::with(&[("a.lisp", source)]);
    assert_eq!(text(&room.compile("a.lisp", "")), "\n\n");
}

#[test]
fn what_has_run_out_is_named_with_the_attribute_that_gives_more() {
    let room = Room::with(&[(
        "a.lisp",
        "(eval-when (:compile-toplevel)\n  (defun deep (n) (1+ (deep (1+ n))))\n  (deep 0))\n",
    )]);
    let shown = text(&room.compile("a.lisp", ""));
    assert!(shown.contains("a.lisp: error: Control stack exhausted"), "{shown}");
    assert!(shown.contains("hint: control_stack_size of the target"), "{shown}");
}

#[test]
fn sources_are_interpreted_under_the_policy_of_loading() {
    let source = "(defvar *seen* nil)\n(defmacro see (&environment env)\n  (setf *seen* (list (mapcar (lambda (q) (sb-c::policy-quality (sb-c::lexenv-policy (sb-c::coerce-to-lexenv env)) q)) '(speed debug safety space compilation-speed)) sb-ext:*evaluator-mode*)) nil)\n(see)\n";
    let room = Room::with(&[
        ("first.lisp", source),
        ("a.lisp", "(eval-when (:compile-toplevel) (print *seen*))\n"),
    ]);
    let output = room.compile("a.lisp", "load source first.lisp\n");
    assert_eq!(text(&output).trim(), "((1 1 1 1 3) :INTERPRET)");
}

#[test]
fn files_compile_under_the_policy_of_their_mode() {
    let source = "(macrolet ((see (&environment env)\n  (print (mapcar (lambda (q) (sb-c::policy-quality (sb-c::lexenv-policy env) q)) '(speed debug safety space compilation-speed sb-c:insert-array-bounds-checks sb-c:store-coverage-data))) nil))\n  (defun a () (see)))\n";
    for (more, expected) in [
        ("", "(1 2 3 1 1 3 0)"),
        ("mode opt\n", "(3 0 0 1 1 3 0)"),
        ("mode dbg\n", "(1 3 3 1 1 3 0)"),
        ("coverage yes\n", "(1 2 3 1 1 3 3)"),
    ] {
        let room = Room::with(&[("a.lisp", source)]);
        assert_eq!(text(&room.compile("a.lisp", more)).trim(), expected, "{more}");
    }
    // Functions of macros are compiled for safety, whatever the policy around them.
    let source = "(defmacro m (x) (car x))\n(eval-when (:compile-toplevel)\n  (handler-case (macroexpand '(m \"no list\")) (type-error () (print :safe))))\n";
    let room = Room::with(&[("a.lisp", source)]);
    assert_eq!(text(&room.compile("a.lisp", "mode opt\n")).trim(), ":SAFE");
}

#[test]
fn features_are_read_as_keywords_unless_they_name_a_package() {
    let room = Room::with(&[(
        "a.lisp",
        "(eval-when (:compile-toplevel)\n  (format t \"~s~%\" (loop for f in *features* until (eq f :x86-64) collect f)))\n",
    )]);
    let features = "feature bazel\nfeature tea\nfeature |Milk|\nfeature kitchen:kettle\n";
    let shown = text(&room.compile("a.lisp", features));
    for name in [":BAZEL", ":TEA", ":|Milk|", "KITCHEN:"] {
        assert!(shown.contains(name), "{name}: {shown}");
    }
}

#[test]
fn strings_of_sources_are_base_strings_where_they_can_be() {
    let room = Room::with(&[(
        "a.lisp",
        "(eval-when (:compile-toplevel)\n  (print (list (type-of \"abc\") (type-of \"ä\") (type-of (symbol-name 'abc)))))\n",
    )]);
    assert_eq!(
        text(&room.compile("a.lisp", "")).trim(),
        "((SIMPLE-BASE-STRING 3) (SIMPLE-ARRAY CHARACTER (1)) (SIMPLE-BASE-STRING 3))"
    );
}

#[test]
fn a_file_in_another_encoding_says_so() {
    let room = Room::with(&[("use.lisp", "(eval-when (:compile-toplevel) (print (latin)))\n")]);
    std::fs::write(room.path("a.lisp"), b"(defun latin () \"\xe4\")\n")
        .expect("a file can be written");
    assert_eq!(text(&room.compile("a.lisp", "encoding latin-1\n")), "");
    let shown = text(&room.compile("use.lisp", "load source:latin-1 a.lisp\n"));
    assert_eq!(shown.trim(), "\"ä\"");
    let shown = text(&room.compile("a.lisp", ""));
    assert!(
        shown
            .starts_with("a.lisp:1:1: error: the bytes e4 22 29 are no text in the encoding utf-8"),
        "{shown}"
    );
    assert!(shown.contains("hint: encoding = \"latin-1\""), "{shown}");
}

#[test]
fn more_is_told_when_more_is_asked_for() {
    let say = |level: u32| {
        let room = Room::with(&[("a.lisp", "(defun a (x) 1)\n"), ("b.lisp", "")]);
        let more = format!(
            "verbose {level}\ntarget //a:a\nfeature tea\nload source b.lisp\nnowarn unused-variable\n"
        );
        text(&room.compile("a.lisp", &more))
    };
    assert_eq!(say(0), "");
    assert_eq!(say(1), "INFO: compile //a:a\nINFO: load source b.lisp\n");
    assert!(say(2).contains("INFO: features: \"tea\"\n"), "{}", say(2));
    assert!(
        say(2).contains("INFO: muffle sb-int:simple-style-warning: The variable X"),
        "{}",
        say(2)
    );
    assert!(say(3).contains("(:FEATURE . \"tea\")"), "{}", say(3));
}

#[test]
fn several_files_are_one_block_and_stay_files_in_messages() {
    let files = [
        (
            "one.lisp",
            "(declaim (optimize (safety 0)))\n(defpackage :o (:use :cl))\n(in-package :o)\n(setq *readtable* (copy-readtable))\n(setf (readtable-case *readtable*) :preserve)\n(DEFUN CL-USER::ONE () 1)\n",
        ),
        ("two.lisp", "(defun two () (one))\n(defun unknown () (nowhere))\n"),
    ];
    let block = "block-compile all\ntogether both.lisp\nsource one.lisp\nfasl f.fasl\nwarnings f.warnings\nhash one.hash\nsource two.lisp\nhash two.hash\n";
    let room = Room::with(&files);
    assert_eq!(text(&room.run("compile", block)), "");
    assert!(
        room.read("f.warnings")
            .contains("(\"two.lisp\" :undefined-function COMMON-LISP-USER::NOWHERE)")
    );
    let hash = std::fs::read(room.path("two.hash")).expect("the hash");
    assert!(hash.starts_with(b"two.lisp\0"));
    // In a block a call is bound to its function, whatever becomes of the name.
    std::fs::write(room.path("a.lisp"), "(eval-when (:compile-toplevel)\n  (setf (fdefinition 'one) (constantly 2))\n  (print (list (one) (two))))\n").expect("a file can be written");
    assert_eq!(text(&room.compile("a.lisp", "load fasl f.fasl\n")).trim(), "(2 1)");

    let room = Room::with(&[files[0], ("two.lisp", "\n(defun two (x) (one))\n")]);
    let shown = text(&room.run("compile", block));
    assert!(shown.starts_with("two.lisp:2:1: warning: The variable X"), "{shown}");
}

#[test]
fn a_block_can_be_what_the_file_says() {
    let source = "(declaim (sb-ext:start-block inside))\n(defun narrow () 1)\n(defun inside () (narrow))\n(declaim (sb-ext:end-block))\n(defun outside () (wide))\n(defun wide () 1)\n";
    let room = Room::with(&[
        ("a.lisp", source),
        (
            "b.lisp",
            "(eval-when (:compile-toplevel)\n  (setf (fdefinition 'wide) (constantly 2))\n  (print (list (fboundp 'narrow) (inside) (outside))))\n",
        ),
    ]);
    assert_eq!(text(&room.compile("a.lisp", "block-compile specified\n")), "");
    assert_eq!(text(&room.compile("b.lisp", "load fasl a.fasl\n")).trim(), "(NIL 1 2)");
}

#[test]
fn a_fasl_that_holds_the_directory_or_the_time_is_reported() {
    for (source, what) in [
        ("(defvar *here* #.*compile-file-truename*)\n", "holds the absolute path"),
        ("(defvar *now* #.(get-universal-time))\n", "holds the time"),
    ] {
        let room = Room::with(&[("a.lisp", source)]);
        let output = room.compile("a.lisp", "");
        assert!(text(&output).contains(what), "{}", text(&output));
        assert!(output.status.success(), "it is no failure");
    }
}

#[test]
fn going_on_past_failures_is_possible() {
    let room = Room::with(&[("a.lisp", "(defun a () zz)\n(defun b (x) 1)\n")]);
    let output = room.compile("a.lisp", "force 1\n");
    assert!(text(&output).contains("undefined variable"), "{}", text(&output));
    assert!(output.status.success());
    assert!(room.path("a.fasl").exists());
}
