//! Linked programs in the hands of debuggers and profilers: functions have names, code has lines.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use rbz_integration_tests::debugger::{debug, in_order};
use rbz_integration_tests::system::output_of;
use rbz_integration_tests::workspace::WorkspaceBuilder;
use rbz_integration_tests::{Workspace, workspace};

const BUILD: &str = r#"
cc_library(name = "twice", srcs = ["native/twice.c"])
cc_library(name = "z", linkopts = ["-lz"])
lisp_library(name = "greeting", srcs = ["lib/greeting.lisp"], cdeps = [":twice", ":z"])
lisp_binary(name = "p", srcs = ["p.lisp"], deps = [":greeting"], main = "program:main")
lisp_binary(name = "together", srcs = ["one.lisp", "two.lisp"], main = "one", block_compile = True)
"#;

const GREETING: &str = r#"(defpackage #:greeting (:use #:cl #:sb-alien) (:export #:greet #:checksum #:apply-twice #:spin))
(in-package #:greeting)

(defmacro with-noise (text &body body)
  `(progn (format t "~a!~%" ,text)
          ,@body))

(defun greet (name)
  (let ((upper (string-upcase name))
        (count 0))
    (dotimes (i (length upper))
      (when (char= #\A
                   (char upper i))
        (incf count)))
    (with-noise upper
      (finish-output))
    #+no-such-feature (not this)
    (list 'name "a (string) with #| noise"
          `(and ,count #'car) #\( count)))

(defun checksum (text)
  (alien-funcall (extern-alien "crc32" (function unsigned-long unsigned-long c-string unsigned))
                 0 text (length text)))

(define-alien-callable increment int ((x int))
  (let ((next (1+ x)))
    (print next)
    next))

(defun apply-twice (x)
  (alien-funcall (extern-alien "twice" (function int (* t) int))
                 (alien-sap (alien-callable-function 'increment)) x))

(defun spin (count)
  (declare (fixnum count))
  (let ((sum 0))
    (declare (fixnum sum))
    (dotimes (i count sum)
      (setf sum (logand most-positive-fixnum (+ sum (* 7 i)))))))
"#;

const PROGRAM: &str = r#"(defpackage #:program (:use #:cl) (:export #:main))
(in-package #:program)

(defun main ()
  (greeting:greet "banana")
  (format t "~d ~x~%"
          (greeting:apply-twice 40)
          (greeting:checksum "hello"))
  (greeting:spin (parse-integer (or (second sb-ext:*posix-argv*) "1000"))))
"#;

const C: &str = "int twice(int (*f)(int), int x)\n{\n    int y = f(x);\n    return f(y);\n}\n";

fn program() -> WorkspaceBuilder {
    workspace()
        .file("BUILD", BUILD)
        .file("lib/greeting.lisp", GREETING)
        .file("p.lisp", PROGRAM)
        .file("native/twice.c", C)
        .file("one.lisp", "\n(defun one ()\n  (two 1))\n")
        .file("two.lisp", "(defvar *x* 1)\n\n(defun two (x)\n  (print x)\n  (print *x*))\n")
}

/// Line (from 1) of the first line with this text.
fn line_of(source: &str, text: &str) -> usize {
    1 + source.lines().position(|line| line.contains(text)).expect("it is there")
}

#[test]
fn gdb_stops_at_lines_of_lisp_and_shows_them() {
    let ws = program().build();
    ws.rbz("build -c dbg //:p //:together").run();
    let at = |text: &str| format!("break greeting.lisp:{}", line_of(GREETING, text));
    let said = debug(
        ws.root(),
        "rbz-bin/p",
        &[
            &at("(incf count)"),
            &at("(finish-output)"),
            "break -function greeting:greet",
            "run",
            "continue",
            "backtrace",
            "list",
            "delete 1",
            "continue",
            "next",
            "next",
        ],
    );
    in_order(
        &said,
        &[
            "Breakpoint 1 at 0x",
            ": file lib/greeting.lisp, line 14.",
            "Breakpoint 2 at 0x",
            ": file lib/greeting.lisp, line 16.",
            "hit Breakpoint 3, greeting:greet () at lib/greeting.lisp:8",
            "hit Breakpoint 1, greeting:greet () at lib/greeting.lisp:14",
            "14\t        (incf count)))",
            "#0  greeting:greet () at lib/greeting.lisp:14\n#1 ",
            " in program:main () at p.lisp:5\n#2 ",
            "sb-impl::%start-lisp ()\n",
            " main (",
            "13\t                   (char upper i))",
            "hit Breakpoint 2, greeting:greet () at lib/greeting.lisp:16",
            // What returns is of the function as a whole.
            "8\t(defun greet (name)",
            "program:main () at p.lisp:7\n7\t          (greeting:apply-twice 40)",
        ],
    );

    // From Lisp into C, and from there into Lisp again.
    let said = debug(
        ws.root(),
        "rbz-bin/p",
        &[&at("(print next)"), "break twice.c:4", "run", "backtrace", "continue", "backtrace"],
    );
    let expected = [
        " () at lib/greeting.lisp:27\n",
        " in twice (f=0x",
        ", x=40) at native/twice.c:3\n",
        " in greeting:apply-twice () at lib/greeting.lisp:",
        " in program:main () at p.lisp:7\n",
        " main (",
        "twice (f=0x",
        "native/twice.c:4\n",
        " in greeting:apply-twice () at lib/greeting.lisp:",
        " in program:main () at p.lisp:7\n",
    ];
    in_order(&said, &expected);

    // Two files that were compiled as one are two files all the same.
    let said = debug(ws.root(), "rbz-bin/together", &["break two.lisp:5", "run", "backtrace"]);
    in_order(&said, &["at two.lisp:5", "5\t  (print *x*))", " at one.lisp:3\n"]);

    // The paths in it lead to the sources from the workspace, wherever that is.
    let other = program().in_directory("elsewhere").own_cache().build();
    other.rbz("build -c dbg //:p").run();
    for file in ["p", "p~/p.lines", "p~/p.o"] {
        let read = |ws: &Workspace| std::fs::read(ws.path("rbz-bin").join(file));
        let (one, two) = (read(&ws).expect("it is there"), read(&other).expect("it is there"));
        assert!(one == two, "{file} differs");
    }
    assert!(debug(other.root(), "rbz-bin/p", &["list p.lisp:4"]).contains("4\t(defun main ()"));
    let said =
        debug(Path::new("/"), &ws.path("rbz-bin/p").to_string_lossy(), &["info line p.lisp:5"]);
    assert!(said.contains("Line 5 of \"p.lisp\" starts at address 0x"), "{said}");
}

#[test]
fn a_profiler_names_the_function_that_takes_the_time() {
    let ws = program().build();
    for mode in ["fastbuild", "opt"] {
        ws.rbz(&format!("build -c {mode} //:p")).run();
        assert_eq!(hottest(&ws, "rbz-bin/p", &["400000000"]), "greeting:spin", "{mode}");
        let sections = output_of(ws.root(), "readelf", &["--sections", "--wide", "rbz-bin/p"]);
        assert!(!sections.contains(".debug_line"), "{mode}: {sections}");
    }
}

/// The function in which a program spends most of its time, as perf reports it; where the kernel
/// lets nobody measure, as its name is found for its instructions.
fn hottest(ws: &Workspace, program: &str, words: &[&str]) -> String {
    let event = "--event=cpu-clock:u";
    let measured = Command::new("perf").args(["stat", event, "true"]).output();
    if !measured.expect("perf is installed").status.success() {
        // Written past the harness, which shows nothing of tests that pass.
        let text =
            "note: the kernel lets nobody here measure programs: addr2line in place of perf\n";
        std::io::stderr().write_all(text.as_bytes()).ok();
        return name_in_the_midst(ws, program);
    }
    let record = ["record", "--quiet", event, "--output=perf.data", program];
    output_of(ws.root(), "perf", &[&record[..], words].concat());
    let report = ["report", "--stdio", "--quiet", "--sort=symbol", "--input=perf.data"];
    let profile = output_of(ws.root(), "perf", &report);
    let line = profile.lines().find(|line| line.contains('%')).unwrap_or_default();
    // The name, and columns that say nothing here.
    line.rsplit("[.]")
        .next()
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_default()
        .to_owned()
}

/// The name that tools find for an address in the midst of the function that takes the time.
fn name_in_the_midst(ws: &Workspace, program: &str) -> String {
    let sizes = output_of(ws.root(), "nm", &["--print-size", program]);
    let line = sizes.lines().find(|line| line.ends_with(" t greeting:spin"));
    let line = line.expect("the function has a symbol with a size");
    let number = |index: usize| {
        let word = line.split(' ').nth(index).expect("nm writes columns");
        u64::from_str_radix(word, 16).expect("nm writes addresses")
    };
    let address = format!("{:#x}", number(0) + number(1) / 2);
    let found = output_of(ws.root(), "addr2line", &["--functions", "--exe", program, &address]);
    found.lines().next().unwrap_or_default().to_owned()
}
