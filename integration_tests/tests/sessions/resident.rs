//! Files that are compiled in processes forked from one that has loaded what they need: what is built,
//! seen and said is that of a process of their own.

use rbz_integration_tests::projects::{build_file, tower};
use rbz_integration_tests::workspace::WorkspaceBuilder;

/// Says how many parameters were dealt with before the process was forked; 0 in one of its own.
const SAY: &str = "(eval-when (:compile-toplevel)\n  (format t \"began with ~d~%\" (length rbz.action:*dealt-with*)))\n";

/// Everything that a target can ask of how it is loaded.
fn every_way() -> WorkspaceBuilder {
    tower()
        .file(
            "ways/BUILD",
            r#"
cc_library(name = "twice", srcs = ["twice.c"])
lisp_library(name = "macros", srcs = ["macros.lisp"], add_features = ["tea", "|Milk|"])
lisp_library(name = "fasl", srcs = ["one.lisp", "two.lisp"], load = "fasl", deps = [":macros"])
lisp_library(name = "image", srcs = ["three.lisp", "four.lisp"], load = "image", deps = [":fasl"])
lisp_library(name = "parallel", srcs = ["five.lisp", "six.lisp"], order = "parallel", deps = [":image"])
lisp_library(name = "latin", srcs = ["latin.lisp", "uses.lisp"], encoding = "latin-1", deps = ["//words"])
lisp_library(name = "posix", srcs = ["posix.lisp"], deps = ["@lisp//:sb-posix"])
lisp_library(name = "c", srcs = ["c.lisp", "d.lisp"], cdeps = [":twice"], cdeps_at_compile = True)
lisp_library(name = "data", srcs = ["data.lisp", "more.lisp"], compile_data = ["words.txt"], nowarn = ["unused-variable"])
lisp_test(name = "all", srcs = ["all.lisp"], cdeps_at_compile = True, deps = [":parallel", ":latin", ":posix", ":c", ":data"])
"#,
        )
        .file("ways/twice.c", "int twice(int n) { return 2 * n; }\n")
        .file("ways/macros.lisp", "(defmacro define (name value) `(defun ,name () ,value))\n")
        .file("ways/one.lisp", "#+(and tea |Milk|) (define one 1)\n")
        .file("ways/two.lisp", "(define two (+ (one) 1))\n")
        .file("ways/three.lisp", "(define three (+ (two) 1))\n(eval-when (:compile-toplevel) (defvar *left* 1))\n")
        .file("ways/four.lisp", "(define four (+ 3 #.*left*))\n")
        .file("ways/five.lisp", "(define five (1+ (four)))\n(defstruct cup size)\n")
        .file("ways/six.lisp", "(define six (list (gensym) '#:a #.(random 1000)))\n")
        .file("ways/latin.lisp", "(defun latin () #\\a)\n")
        .file("ways/uses.lisp", "(defun uses () (list (latin) #.(latin)))\n")
        .file("ways/posix.lisp", "(defun id () (list (sb-posix:getpid) #.sb-posix:o-creat))\n")
        .file("ways/c.lisp", "(sb-alien:define-alien-routine \"twice\" sb-alien:int (n sb-alien:int))\n")
        .file("ways/d.lisp", "(defun d () (list (twice 2) #.(twice 21)))\n")
        .file("ways/words.txt", "a word\n")
        .file("ways/data.lisp", "(defparameter *words* #.(with-open-file (in \"ways/words.txt\") (read-line in)))\n(defun f (x) 1)\n")
        .file("ways/more.lisp", "(defun more () #.*words*)\n")
        .file("ways/all.lisp", "(defun main () (assert (equal (list (five) (uses) (d) (more)) '(5 (#\\a #\\a) (4 42) \"a word\"))))\n")
}

#[test]
fn what_is_built_is_the_same_byte_for_byte() {
    let ws = every_way().own_cache().build();
    ws.rbz("test //... -j1").run();
    for flags in ["--strategy=sandboxed", "--strategy=LispCompile=sandboxed -j4", "-j4 --shuffle"] {
        let other = ws.clone_to("somewhere else", true);
        other.rbz(&format!("test //... {flags}")).run();
        ws.assert_same_outputs(&other, &[".fasl"], flags);
    }
}

#[test]
fn what_many_files_load_is_loaded_once() {
    let names: Vec<String> = (0..12).map(|number| format!("file-{number}.lisp")).collect();
    let list = names.iter().map(|name| format!("\"{name}\", ")).collect::<String>();
    let mut ws = build_file(&format!("lisp_library(name = \"lib\", srcs = [{list}])\n"));
    for (number, name) in names.iter().enumerate() {
        ws = ws.file(name, &format!("(defun f-{number} () {number})\n"));
    }
    let ws = ws.own_cache().build();
    let opened = |flags: &str| {
        let built = ws.rbz(&format!("build //:lib {flags}")).traced().run();
        let first = std::path::Path::new("/rbz/execroot/file-0.lisp");
        built.trace().opened.iter().filter(|path| *path == first).count()
    };
    let resident = opened("-j1");
    ws.append("file-0.lisp", ";\n");
    let alone = opened("-j1 --strategy=sandboxed");
    assert!(alone >= 12 && resident + 9 <= alone, "opened {resident} times, alone {alone} times");
}

#[test]
fn a_file_is_compiled_where_everything_before_it_was_loaded() {
    let ws = build_file("lisp_library(name = \"lib\", srcs = [\"a.lisp\", \"b.lisp\"])\n")
        .file("a.lisp", SAY)
        .file("b.lisp", SAY)
        .build();
    let outcome = ws.rbz("build //:lib").run();
    outcome.shows("began with 3\n").shows("began with 4\n");
    for flag in ["--strategy=sandboxed", "--strategy=resident --strategy=LispCompile=sandboxed"] {
        ws.append("a.lisp", ";\n");
        let outcome = ws.rbz(&format!("build //:lib {flag}")).run();
        outcome.shows("began with 0\n");
    }
    let outcome = ws.rbz("build //:lib --strategy=LispCompile=fast").exit_code(2).run();
    outcome.stderr_has("`--strategy=LispCompile=fast`: it must be `resident` or `sandboxed`");
}

#[test]
fn a_file_sees_its_own_inputs_and_no_others() {
    let looks = "(eval-when (:compile-toplevel)\n  (format t \"~a ~{~a~^ ~}~%\" (length rbz.action:*dealt-with*)\n          (mapcar (lambda (name) (and (probe-file name) 1)) '(\"a.lisp\" \"b.lisp\" \"c.lisp\" \"a.txt\" \"c.txt\" \"/etc/passwd.txt\" \"/proc/3\" \"/proc/4\")))\n  (with-open-file (out \"/tmp/mark\" :direction :output :if-exists :error) (print 1 out))\n  (handler-case (progn (with-open-file (out \"a.lisp\" :direction :output :if-exists :supersede)) (print :written))\n    (error () nil)))\n(defvar *x* 1)\n";
    let ws = build_file(
        r#"
lisp_library(name = "a", srcs = ["a.lisp", "b.lisp"], compile_data = ["a.txt"])
lisp_library(name = "c", srcs = ["c.lisp"], compile_data = ["c.txt"])
"#,
    )
    .file("a.lisp", &looks.replace("\"a.lisp\" :direction", "\"x.lisp\" :direction"))
    .file("b.lisp", &looks.replace("(defvar *x* 1)", ""))
    .file("c.lisp", looks)
    .file("a.txt", "")
    .file("c.txt", "")
    .build();
    let outcome = ws.rbz("build //...").run();
    outcome.shows("3 1 NIL NIL 1 NIL").shows("4 1 1 NIL 1 NIL").shows("3 NIL NIL 1 NIL 1");
    assert_eq!(ws.read("b.lisp"), looks.replace("(defvar *x* 1)", ""), "sources are not written");
}

#[test]
fn a_stem_that_is_killed_costs_time_and_nothing_else() {
    let names: Vec<String> = (0..12).map(|number| format!("f{number}.lisp")).collect();
    let build = format!("lisp_library(name = \"lib\", srcs = {names:?})\n");
    let mut builder = build_file(&build).own_cache();
    for (number, name) in names.iter().enumerate() {
        let slow = "(eval-when (:compile-toplevel) (sleep 0.1))";
        builder = builder.file(name, &format!("{slow}\n(defun f{number} () {number})\n"));
    }
    let ws = builder.build();
    let mut running = ws.rbz("build //:lib").spawn();
    let mut killed = 0;
    while killed < 8 && running.is_running() {
        killed += running.kill_below("stem");
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    running.wait();
    assert!(killed > 0, "there are stems");
    let other = ws.clone_to("elsewhere", true);
    other.rbz("build //:lib --strategy=sandboxed").run();
    ws.assert_same_outputs(&other, &[".fasl"], "killed");
}

#[test]
fn what_goes_wrong_is_said_as_of_a_process_of_its_own() {
    for (case, first, second, exit_code) in [
        ("a dependency with an error", "(error \"no\")", "", 1),
        ("a dependency that ends the process", "(sb-ext:exit :code 3 :abort t)", "", 1),
        ("a dependency that kills it", "(sb-unix:unix-kill (sb-unix:unix-getpid) 9)", "", 1),
        ("a dependency that prints", "(print :hello)", SAY, 0),
        ("a dependency with a thread", "(sb-thread:make-thread (lambda () (sleep 99)))", SAY, 0),
        (
            "a dependency with a warning",
            "(dolist (name '(\"A\" \"B\")) (eval `(defpackage :p (:use) (:export ,name))))",
            "",
            1,
        ),
        ("a dependency that is large", "(loop collect (make-array 10000000))", "", 1),
        ("a dependency that needs a file", "(open \"none.txt\")", "", 1),
        ("an error", "nil", "(defun g (x) 1)\n(error \"no\")\n", 1),
        ("the end", "nil", "#.(sb-ext:exit :code 3 :abort t)\n", 1),
        ("a kill", "nil", "#.(sb-unix:unix-kill (sb-unix:unix-getpid) 9)\n", 1),
        ("a stack", "nil", "#.(labels ((deep (n) (1+ (deep n)))) (deep 1))\n", 1),
        ("a file that is not declared", "nil", "#.(open \"none.txt\")\n", 1),
        ("much output", "nil", "(eval-when (:compile-toplevel) (dotimes (i 1000) (print i)))\n", 0),
    ] {
        let ws = build_file(
            r#"
lisp_library(name = "first", srcs = ["first.lisp"])
lisp_library(name = "second", srcs = ["second.lisp"], deps = [":first"])
"#,
        )
        .file("first.lisp", &format!("(eval-when (:load-toplevel :execute)\n  {first})\n"))
        .file("second.lisp", second)
        .file("none.txt", "")
        .build();
        let said = |flags: &str| {
            // So that no result is found that was kept.
            ws.append("second.lisp", ";\n");
            let command = format!("build //:second --verbose_failures {flags}");
            let errors = ws.rbz(&command).exit_code(exit_code).run().golden_errors();
            // SBCL's table of the heap is never the same twice.
            let is_table =
                |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
            let lines: Vec<_> = errors
                .lines()
                .filter(|line| !line.starts_with("Tot"))
                .filter(|line| !is_table(line) || line.contains('|'))
                .collect();
            lines.join("\n")
        };
        let alone = said("--strategy=sandboxed");
        assert!(exit_code == 0 || alone.contains("ERROR: //:second: "), "{case}: {alone}");
        assert_eq!(said(""), alone, "{case}");
    }
}
