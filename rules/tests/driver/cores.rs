//! Cores and programs: what is checked before they are saved, and how they start.

use std::process::{Command, Output};

use crate::room::{Room, text};

/// Files that are compiled, in this order, each by itself.
fn compiled(files: &[(&str, &str)]) -> Room {
    let room = Room::with(files);
    for (name, _) in files {
        let output = room.compile(name, "");
        assert_eq!(text(&output), "", "{name}");
    }
    room
}

/// The parameters by which all of the FASLs get into a program.
fn core(files: &[(&str, &str)], more: &str) -> String {
    let mut lines = String::from("output program\nexecutable yes\nsave-runtime-options yes\n");
    for (name, _) in files {
        let stem = name.trim_end_matches(".lisp");
        lines += &format!("load fasl {stem}.fasl\nwarnings {stem}.warnings\nhash-of {stem}.hash\n");
    }
    lines + more
}

/// Builds a program of these files.
fn program(files: &[(&str, &str)], more: &str) -> Room {
    let room = compiled(files);
    let output = room.run("core", &core(files, more));
    assert_eq!(text(&output), "");
    room
}

/// Runs it.
fn started(room: &Room, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(room.path("program"));
    command.args(arguments).envs(environment.iter().copied());
    command.current_dir("/").stdin(std::process::Stdio::null()).output().expect("it starts")
}

fn prints(room: &Room, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = started(room, arguments, environment);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    text(&output)
}

#[test]
fn what_was_deferred_fails_if_it_is_not_there_or_is_no_plain_function() {
    for (definition, complaint) in [
        ("(defun other () 1)", "undefined function: common-lisp-user::later"),
        ("(defmacro later (x) x)", "common-lisp-user::later is a macro,"),
        ("(declaim (inline later))\n(defun later (x) x)", "common-lisp-user::later is inline,"),
        (
            "(define-compiler-macro later (x) x)\n(defun later (x) x)",
            "common-lisp-user::later has a compiler macro,",
        ),
        (
            "(defstruct (s (:conc-name nil)) later)",
            "common-lisp-user::later is known to the compiler",
        ),
        (
            "(sb-c:defknown later (t) t)\n(sb-c:deftransform later ((x) (t)) 'x)\n(defun later (x) x)",
            "common-lisp-user::later is known to the compiler",
        ),
    ] {
        let files = [("a.lisp", "(defun main () (later 1))\n"), ("b.lisp", definition)];
        let room = compiled(&files);
        let output = room.run("core", &core(&files, "main main\n"));
        assert_eq!(output.status.code(), Some(1), "{definition}");
        let shown = text(&output);
        assert!(shown.contains(&format!("a.lisp: error: {complaint}")), "{shown}");
        assert!(!room.path("program").exists());
    }
    // As does a function of `setf`, and one in a package that nobody has.
    let files = [("a.lisp", "(defun main () (setf (later 1) 2))\n")];
    let shown = text(&compiled(&files).run("core", &core(&files, "main main\n")));
    assert!(
        shown.contains("undefined function: (common-lisp:setf common-lisp-user::later)"),
        "{shown}"
    );

    let files =
        [("a.lisp", "(defun main () (later 1))\n"), ("b.lisp", "(defun later (x) (print x))\n")];
    assert_eq!(prints(&program(&files, "main main\n"), &[], &[]).trim(), "1");
}

#[test]
fn two_modes_at_once_are_refused() {
    let files = [("a.lisp", "(defun main () 1)\n")];
    let room = compiled(&files);
    let shown = text(&room.run("core", &core(&files, "main main\nfeature opt\nfeature dbg\n")));
    assert!(shown.contains("both of the features :opt and :dbg are set"), "{shown}");
}

#[test]
fn a_thread_that_still_runs_is_named_with_its_file() {
    let files = [
        ("a.lisp", "(defun main () 1)\n"),
        ("b.lisp", "(sb-thread:make-thread (lambda () (sleep 60)) :name \"ticker\")\n"),
    ];
    let room = compiled(&files);
    let shown = text(&room.run("core", &core(&files, "main main\n")));
    assert!(shown.starts_with("b.fasl: error: loading it started the thread `ticker`"), "{shown}");
}

#[test]
fn hooks_run_before_it_is_saved_and_the_package_is_that_of_users() {
    let files = [(
        "a.lisp",
        "(defvar *saved* nil)\n(push (lambda () (setf *saved* t)) sb-ext:*save-hooks*)\n(setf *package* (find-package :keyword))\n(defun main () (print (list *saved* (package-name *package*) sb-ext:*invoke-debugger-hook* sb-ext:*evaluator-mode*)))\n",
    )];
    let shown = prints(&program(&files, "main main\n"), &[], &[]);
    assert!(shown.contains("(T \"COMMON-LISP-USER\" "), "{shown}");
    assert!(shown.contains("DEBUGGER-DISABLED-HOOK"), "{shown}");
    assert!(shown.contains(":COMPILE"), "{shown}");
}

#[test]
fn generic_functions_are_ready_when_it_is_asked_for() {
    let files = [(
        "a.lisp",
        "(defgeneric g (x)\n  (:method ((x integer)) :integer)\n  (:method ((x string)) :string))\n(defun main () (print (type-of (sb-pcl::gf-dfun-info #'g))) (print (g 1)))\n",
    )];
    let with = prints(&program(&files, "main main\nprecompile-generics yes\n"), &[], &[]);
    let without = prints(&program(&files, "main main\n"), &[], &[]);
    assert!(with.contains(":INTEGER") && without.contains(":INTEGER"));
    assert!(without.contains("INITIAL"), "{without}");
    assert!(!with.contains("INITIAL"), "{with}");
}

#[test]
fn optimised_programs_lack_what_only_programmers_read() {
    let files = [(
        "a.lisp",
        "(defvar *tea* 1)\n\
         (defun f (x) \"What F does.\" (list x *tea*))\n\
         (defclass cup () ())\n\
         (defclass pot () ())\n\
         (defmethod print-object ((x cup) s) (print-unreadable-object (x s :type t)))\n\
         (defmethod print-object ((x pot) s) (print-unreadable-object (x s :type t)))\n\
         (defun code (class)\n  \
           (sb-kernel:fun-code-header\n   \
            (sb-pcl::safe-method-fast-function\n    \
             (find-method #'print-object '() (list (find-class class) (find-class t))))))\n\
         (defun main ()\n  \
           (print (list (documentation 'f 'function)\n               \
                        (and (sb-kernel:%simple-fun-xrefs #'f) t)\n               \
                        (eq (code 'cup) (code 'pot))\n               \
                        (f 2))))\n",
    )];
    let shown = |more: &str| prints(&program(&files, &format!("main main\n{more}")), &[], &[]);
    assert_eq!(shown("mode opt\nfeature opt\n").trim(), "(NIL NIL T (2 1))");
    assert_eq!(shown("").trim(), "(\"What F does.\" T NIL (2 1))");
}

#[test]
fn main_is_a_name_a_call_a_form_or_the_repl() {
    let files = [(
        "a.lisp",
        "(defpackage :p (:use :cl) (:export :main))\n(in-package :p)\n(defun main () (write-line \"main\"))\n(defun show (&rest things) (format t \"~{~s~^ ~}~%\" things))\n",
    )];
    let room = compiled(&files);
    for (main, expected) in [
        ("p:main", "main\n"),
        ("P::SHOW", "\n"),
        ("(p::show x (+ 1 2) \"s\")", "X (+ 1 2) \"s\"\n"),
        ("(progn (p::show (+ 1 2)) (p:main))", "3\nmain\n"),
        ("(if nil (break) (p:main))", "main\n"),
        ("((lambda (x) (p::show x)) 5)", "5\n"),
    ] {
        assert_eq!(text(&room.run("core", &core(&files, &format!("main {main}\n")))), "");
        assert_eq!(prints(&room, &[], &[]), expected, "{main}");
    }
    for main in ["nil", "t"] {
        assert_eq!(text(&room.run("core", &core(&files, &format!("main {main}\n")))), "");
        let shown = prints(&room, &["--eval", "(progn (p:main) (exit))"], &[]);
        assert!(shown.contains("main\n"), "{shown}");
    }
    for (main, complaint) in [
        ("p::nothing", "`main` is p::nothing, but no function of this name is defined"),
        ("(p::nothing 1)", "`main` is p::nothing, but no function of this name is defined"),
        ("12", "`main` must be a symbol or a call, not 12"),
        ("q:main", "`main` is q:main: Package Q does not exist."),
    ] {
        let output = room.run("core", &core(&files, &format!("target //:p\nmain {main}\n")));
        assert!(
            text(&output).starts_with(&format!("//:p: error: {complaint}")),
            "{}",
            text(&output)
        );
    }
}

#[test]
fn lisp_main_replaces_main_once() {
    let files = [(
        "a.lisp",
        "(defun main () (write-line \"main\"))\n(defun other () (format t \"other ~a~%\" (sb-ext:posix-getenv \"LISP_MAIN\")))\n",
    )];
    let room = program(&files, "main main\n");
    assert_eq!(prints(&room, &[], &[("LISP_MAIN", "other")]), "other NIL\n");
    for repl in ["nil", "t"] {
        let shown = prints(&room, &["--eval", "(exit)"], &[("LISP_MAIN", repl)]);
        assert!(!shown.contains("main"), "{shown}");
    }
    let shown =
        prints(&room, &["--eval", "(progn (other) (exit))"], &[("LISP_MAIN", "nowhere::x")]);
    assert!(
        shown.contains("warning: LISP_MAIN is `nowhere::x`, which names no function\n"),
        "{shown}"
    );
    assert!(shown.contains("other NIL"), "the REPL: {shown}");
}

#[test]
fn options_of_the_runtime_are_the_program_s_own_and_come_by_the_environment() {
    let main = "(defun main () (format t \"~{~a~^|~} ~d~%\" sb-ext:*posix-argv* (sb-ext:dynamic-space-size)))\n";
    let files = [("a.lisp", main)];
    let room = program(&files, "main main\n");
    let path = room.path("program").display().to_string();
    let arguments = ["--help", "--version", "--noinform", "--core", "x", "a b"];
    let shown = prints(&room, &arguments, &[]);
    let usual = shown.trim_end().rsplit_once(' ').expect("the size").1.to_owned();
    assert_eq!(shown, format!("{path}|--help|--version|--noinform|--core|x|a b {usual}\n"));
    for variable in ["RBZ_LISP_ARGS", "NIX_BUILDLISP_LISP_ARGS"] {
        let shown = prints(&room, &arguments, &[(variable, "--dynamic-space-size 300MB")]);
        assert_eq!(shown, format!("{path}|--help|--version|--noinform|--core|x|a b 314572800\n"));
        let shown = prints(&room, &[], &[(variable, "--version")]);
        assert!(shown.starts_with("SBCL "), "{shown}");
    }
    // SBCL's runtime itself takes sizes of memory wherever they stand before `--`.
    let shown =
        prints(&room, &["a", "--dynamic-space-size", "300MB", "--", "--tls-limit", "5000"], &[]);
    assert_eq!(shown, format!("{path}|a|--|--tls-limit|5000 314572800\n"));

    // Without saved options the runtime has its usual command line.
    let room = compiled(&files);
    let lines = core(&files, "main main\n").replace("save-runtime-options yes\n", "");
    assert_eq!(text(&room.run("core", &lines)), "");
    assert!(prints(&room, &["--version"], &[]).starts_with("SBCL "));
    let shown = prints(&room, &["--noinform", "a"], &[]);
    assert!(shown.ends_with(&format!("program|a {usual}\n")), "{shown}");
}

#[test]
fn a_helper_script_saves_in_place_of_the_driver() {
    let helper = "(defun cl-user::save-and-exit (name &key toplevel save-runtime-options verbose precompile-generics executable)\n  (format t \"~s~%\" (list name verbose precompile-generics executable save-runtime-options))\n  (finish-output)\n  (sb-ext:save-lisp-and-die name :toplevel toplevel :executable executable :save-runtime-options save-runtime-options))\n";
    let files = [("a.lisp", "(defun main () (write-line \"saved by the helper\"))\n")];
    let room = compiled(&files);
    std::fs::write(room.path("helper.lisp"), helper).expect("a file can be written");
    let output =
        room.run("core", &core(&files, "main main\nhelper helper.lisp\nprecompile-generics yes\n"));
    assert!(text(&output).contains("(\"program\" NIL T T T)"), "{}", text(&output));
    assert_eq!(prints(&room, &[], &[]), "saved by the helper\n");

    for (helper, complaint) in [
        ("(defun other () 1)\n", "the script does not define the function `save-and-exit`"),
        (
            "(defun cl-user::save-and-exit (&rest r) r)\n",
            "`save-and-exit` returned and did not save",
        ),
    ] {
        std::fs::write(room.path("helper.lisp"), helper).expect("a file can be written");
        let output = room.run("core", &core(&files, "main main\nhelper helper.lisp\n"));
        assert!(text(&output).contains(complaint), "{}", text(&output));
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn uiop_hears_that_an_image_is_dumped_and_restored() {
    let files = [(
        "a.lisp",
        "(eval-when (:compile-toplevel :load-toplevel :execute)\n  (setf *features* *features*))\n(defvar *dumped* nil)\n(uiop:register-image-dump-hook (lambda () (setf *dumped* t)))\n(defvar *restored* nil)\n(uiop:register-image-restore-hook (lambda () (setf *restored* t)) nil)\n(defun main () (print (list *dumped* *restored* uiop:*image-dumped-p*)))\n",
    )];
    let room = Room::with(&files);
    let output = room.compile("a.lisp", "load module uiop\n");
    assert_eq!(text(&output), "");
    let lines = format!("load module uiop\n{}", core(&files, "main main\n"));
    assert_eq!(text(&room.run("core", &lines)), "");
    assert_eq!(prints(&room, &[], &[]).trim(), "(T T :EXECUTABLE)");
}

#[test]
fn an_image_knows_the_sources_that_are_in_it() {
    let files = [(
        "a.lisp",
        "(defun main () (print (length (gethash \"a.lisp\" bazel.main:*compiled-sources*))))\n",
    )];
    assert_eq!(prints(&program(&files, "main main\n"), &[], &[]).trim(), "16");
}

#[test]
fn the_packages_that_bazelisp_s_image_has_are_in_programs_too() {
    let main = "(defun main ()\n  (dolist (name '(\"BAZEL.MAIN\" \"BAZEL.WARNING\" \"BAZEL.SBCL\" \"BAZEL.LOG\" \"BAZEL.UTILS\"))\n    (assert (find-package name)))\n  (print (list (bazel.sbcl:command-line-arguments) (bazel.sbcl:getenv \"TEA\")\n               (bazel.sbcl:run \"/bin/true\") (bazel.utils:split \"a b\")\n               (length (sb-md5:md5sum-string \"a\")) (sb-rotate-byte:rotate-byte 1 (byte 8 0) 128)))\n  (bazel.log:info \"said ~a\" 1)\n  (bazel.sbcl:exit 3))\n";
    let room = program(&[("a.lisp", main)], "main main\n");
    let output = started(&room, &["x", "y"], &[("TEA", "green")]);
    assert!(
        text(&output).contains("((\"x\" \"y\") \"green\" 0 (\"a\" \"b\") 16 1)"),
        "{}",
        text(&output)
    );
    assert!(text(&output).contains("INFO: said 1\n"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn the_status_of_the_workspace_is_in_a_program_that_is_stamped() {
    let files = [("a.lisp", "(defun main () (print rbz.program:*workspace-status*))\n")];
    let room = compiled(&files);
    std::fs::write(room.path("status"), "STABLE_ONE first value\nEMPTY\n")
        .expect("a file can be written");
    assert_eq!(text(&room.run("core", &core(&files, "main main\nstatus status\n"))), "");
    let shown = prints(&room, &[], &[]);
    assert!(shown.contains("(\"STABLE_ONE\" . \"first value\")"), "{shown}");
    assert!(shown.contains("(\"EMPTY\" . \"\")"), "{shown}");
}
