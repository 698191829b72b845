//! `lisp_binary`: programs that are linked, and those that cannot be.

use std::path::Path;

use rbz_integration_tests::system::output_of;
use rbz_integration_tests::workspace;
use rbz_integration_tests::workspace::WorkspaceBuilder;

const BUILD: &str = r#"
lisp_library(name = "lib", srcs = ["lib.lisp"])
lisp_binary(name = "p", srcs = ["main.lisp"], main = "program:main", deps = [":lib"])
"#;

const LIB: &str = r#"
(defpackage #:lib (:use #:cl) (:export #:shout))
(in-package #:lib)
(defun shout (text)
  (flet ((louder (c) (char-upcase c)))
    (declare (notinline louder))
    (map 'string #'louder text)))
"#;

const MAIN: &str = r#"
(defpackage #:program (:use #:cl) (:export #:main #:save #:deflated))
(in-package #:program)
(defun main ()
  (format t "~{~a~^ ~}~%" (mapcar #'lib:shout (rest sb-ext:*posix-argv*))))
(defvar *saved* nil)
(defun save ()
  (cond (*saved* (write-line "again"))
        (t (setf *saved* t)
           (sb-ext:save-lisp-and-die "again" :executable t :toplevel #'save))))
"#;

fn with_targets(targets: &str) -> WorkspaceBuilder {
    workspace()
        .file("BUILD", &format!("{BUILD}{targets}"))
        .file("lib.lisp", LIB)
        .file("main.lisp", MAIN)
}

/// What a program prints when it is called with these words.
fn prints(directory: &Path, program: &str, words: &[&str]) -> String {
    output_of(directory, program, words)
}

#[test]
fn a_program_is_linked_and_its_functions_have_names() {
    let ws = with_targets("").build();
    ws.rbz("build //:p").run();
    let names = output_of(ws.root(), "nm", &["rbz-bin/p"]);
    for name in ["program:main", "lib:shout", "(flet lib::louder :in lib:shout)"] {
        assert!(names.contains(&format!(" t {name}\n")), "no `{name}`");
    }
    ws.rbz("tool elf check rbz-bin/p").run();

    // Options are the program's own, and it runs without what it was built of.
    let alone = workspace().build();
    std::fs::copy(ws.path("rbz-bin/p"), alone.path("p")).expect("it was built");
    assert_eq!(prints(alone.root(), "./p", &["--version", "b"]), "--VERSION B\n");

    // Another workspace makes the same bytes, and does it itself.
    let other = with_targets("").own_cache().build();
    other.rbz("build //:p").run();
    let read = |path: std::path::PathBuf| std::fs::read(path).expect("it was built");
    assert!(read(ws.path("rbz-bin/p")) == read(other.path("rbz-bin/p")));

    let outcome = ws.rbz("build //:p --@rbz//lisp:linked=false").run();
    outcome.stderr_lacks("not linked");
    let names = output_of(ws.root(), "sh", &["-c", "nm rbz-bin/p 2>&1 || true"]);
    assert!(!names.contains("lib:shout"));
    assert_eq!(prints(ws.root(), "rbz-bin/p", &["--version"]), "--VERSION\n");
}

#[test]
fn a_program_that_may_save_itself_does() {
    let ws = with_targets(
        r#"
lisp_binary(
    name = "saver", srcs = ["main.lisp"], deps = [":lib"], main = "program:save", allow_save_lisp = True,
)
"#,
    )
    .build();
    ws.rbz("build //:saver").run();
    ws.rbz("tool elf check rbz-bin/saver").run();
    prints(ws.root(), "rbz-bin/saver", &[]);
    assert_eq!(prints(ws.root(), "./again", &[]), "again\n");
}

#[test]
fn a_program_takes_options_of_the_linker_an_allocator_and_a_runtime() {
    let ws = with_targets(
        r#"
cc_library(name = "counting", srcs = ["counting.c"], linkopts = ["-lz"])
cc_library(name = "allocator", srcs = ["allocator.c"], alwayslink = True)
cc_library(name = "runtime", srcs = ["sbcl.o"], linkopts = ["-ldl", "-lpthread", "-l:libzstd.so.1"])
lisp_library(name = "z", srcs = ["z.lisp"], cdeps = [":counting"])
lisp_binary(name = "mold", malloc = ":allocator", linkopts = ["-fuse-ld=mold"], deps = [":z"])
lisp_binary(name = "saves", allow_save_lisp = True, deps = [":z"])
lisp_binary(name = "own", runtime = ":runtime", deps = [":z"])
lisp_binary(name = "gold", linkopts = ["-fuse-ld=gold"], deps = [":z"])
lisp_binary(name = "low", linkopts = ["-Wl,-Ttext-segment=0x51000000"], deps = [":z"])
lisp_binary(name = "wrong", malloc = ":lib", deps = [":z"])
lisp_binary(name = "small", srcs = ["main.lisp"], deps = [":lib"], main = "program:main", compression = "1")
lisp_binary(name = "both", srcs = ["main.lisp"], deps = [":lib"], compression = "1", linkopts = ["-lz"])
"#,
    )
    .file("counting.c", "int answer(void) { return 42; }\n")
    .file("allocator.c", "const char allocator[] = \"an allocator of its own\";\n")
    .file(
        "z.lisp",
        r#"
(defun main ()
  (format t "~d ~x~%"
          (sb-alien:alien-funcall
           (sb-alien:extern-alien "answer" (function sb-alien:int)))
          (sb-alien:alien-funcall
           (sb-alien:extern-alien "crc32" (function sb-alien:unsigned-long sb-alien:unsigned-long
                                                    sb-alien:c-string sb-alien:unsigned))
           0 "hello" 5)))
"#,
    )
    .build();
    std::fs::copy("/usr/lib/sbcl/sbcl.o", ws.path("sbcl.o")).expect("SBCL is installed");
    ws.rbz("build //:mold //:own //:saves").run();
    for program in ["mold", "own", "saves"] {
        // The C libraries are inside.
        let alone = workspace().build();
        let copy = alone.path(program);
        std::fs::copy(ws.path(&format!("rbz-bin/{program}")), &copy).expect("it was built");
        assert_eq!(prints(alone.root(), &format!("./{program}"), &[]), "42 3610A686\n");
        let bytes = std::fs::read(copy).expect("it was copied");
        let allocator = b"an allocator of its own";
        let has_it = bytes.windows(allocator.len()).any(|window| window == allocator);
        assert_eq!(has_it, program == "mold", "{program}");
    }
    let fails = |target: &str, text: &str| {
        ws.rbz(&format!("build {target}")).exit_code(1).run().stderr_has(text);
        assert!(!ws.path(&format!("rbz-bin/{}", &target[3..])).exists(), "{target}");
    };
    fails("//:gold", "hint: this linker moves Lisp code");
    fails("//:low", "where the Lisp has its own memory");
    fails("//:wrong", "malloc");
    fails("//:both", "compression: a compressed core cannot be linked");
    ws.rbz("build //:small").run();
    assert_eq!(prints(ws.root(), "rbz-bin/small", &["a"]), "A\n");
}

/// Before it opens the library of its first argument, what is in there is nowhere. Afterwards it is
/// found; and code that is loaded later calls C, too.
const LATE: &str = r#"
(defun own () (sb-alien:alien-funcall (sb-alien:extern-alien "own" (function sb-alien:int))))
(defun made () (sb-alien:extern-alien "own_count" sb-alien:int))
(defun (setf made) (new) (setf (sb-alien:extern-alien "own_count" sb-alien:int) new))
(defun attempt (function)
  (handler-case (funcall function) (error (error) (substitute #\Space #\Newline (princ-to-string error)))))
(defun main ()
  (format t "~a~%" (attempt #'own))
  (format t "~a~%" (attempt #'made))
  (sb-alien:load-shared-object (second sb-ext:*posix-argv*))
  (setf (made) 40)
  (format t "~a ~a~%" (own) (made))
  (load (third sb-ext:*posix-argv*))
  (format t "~a~%" (funcall 'loaded))
  (format t "~a~%" (funcall (compile nil '(lambda () (own)))))
  (format t "~a~%" (sb-thread:join-thread (sb-thread:make-thread 'loaded))))
"#;

#[test]
fn a_linked_program_finds_what_it_is_not_linked_with() {
    let ws = workspace()
        .file(
            "BUILD",
            r#"lisp_binary(name = "late", srcs = ["late.lisp"], nowarn = ["undefined-alien"])"#,
        )
        .file("late.lisp", LATE)
        .file("own.c", "int own_count;\nint own(void) { return ++own_count; }\n")
        .file(
            "loaded.lisp",
            r#"
(defun loaded ()
  (list (sb-alien:alien-funcall (sb-alien:extern-alien "own" (function sb-alien:int)))
        (sb-alien:extern-alien "own_count" sb-alien:int)
        (sb-alien:alien-funcall (sb-alien:extern-alien "toupper" (function sb-alien:int sb-alien:int)) 97)))
"#,
        )
        .build();
    ws.rbz("build //:late").run();
    ws.rbz("tool elf check rbz-bin/late").run();
    output_of(ws.root(), "cc", &["-shared", "-fPIC", "own.c", "-o", "own.so"]);
    let compile = "(compile-file \"loaded.lisp\")";
    output_of(
        ws.root(),
        "sbcl",
        &["--noinform", "--no-userinit", "--non-interactive", "--eval", compile],
    );
    let printed = prints(ws.root(), "rbz-bin/late", &["./own.so", "loaded.fasl"]);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].contains("ndefined") && lines[0].contains("own"), "{printed}");
    assert!(lines[1].contains("undefined"), "{printed}");
    assert_eq!(lines[2..], ["41 41", "(42 42 65)", "43", "(44 44 65)"], "{printed}");
}

#[test]
fn programs_are_linked_and_tests_where_nobody_waits_for_them() {
    let ws = with_targets("lisp_test(name = \"t\", srcs = [\"t.lisp\"], size = \"small\")\n")
        .file("t.lisp", "(defun main () t)\n")
        .build();
    let is_linked = |program: &str, options: &str| {
        ws.rbz(&format!("build //:{program} {options}")).run();
        let path = format!("rbz-bin/{program}");
        output_of(ws.root(), "readelf", &["--sections", "--wide", &path]).contains(" lisp.core ")
    };
    assert!(is_linked("p", ""));
    assert!(!is_linked("t", ""));
    assert!(is_linked("p", "-c opt") && is_linked("t", "-c opt"));
    assert!(!is_linked("p", "--@rbz//lisp:linked=false"));
    assert_eq!(prints(ws.root(), "rbz-bin/p", &["a"]), "A\n");
}

#[test]
fn what_cannot_be_linked_is_the_runtime_and_a_core() {
    let ws = with_targets(
        "lisp_binary(name = \"c\", srcs = [\"main.lisp\"], deps = [\":lib\"], linkopts = [\"-lz\"])\n",
    )
    .build();
    let reason = "Lisp programs are not linked, but made of the runtime and a core: no C compiler";
    ws.rbz("build //:p").env("CC", "/no/such/compiler").run().stderr_has(reason);
    assert_eq!(prints(ws.root(), "rbz-bin/p", &["a"]), "A\n");
    let outcome = ws.rbz("build //:c").env("CC", "/no/such/compiler").exit_code(1).run();
    outcome.stderr_has("the program has to be linked, for linkopts, and cannot be: no C compiler");

    // An SBCL whose package has no runtime to link.
    let home = ws.path("sbcl");
    std::fs::create_dir(&home).expect("the workspace is there");
    std::fs::copy("/usr/lib/sbcl/sbcl.core", home.join("sbcl.core")).expect("SBCL is installed");
    std::os::unix::fs::symlink("/usr/lib/sbcl/contrib", home.join("contrib")).expect("it is new");
    let (object, makefile) = (home.join("sbcl.o"), home.join("sbcl.mk"));
    let home = home.to_str().expect("it is UTF-8");
    let outcome = ws.rbz("build //:p").env("SBCL_HOME", home).run();
    outcome.stderr_has("sbcl.o is not there; the SBCL was built without :sb-linkable-runtime");
    assert_eq!(prints(ws.root(), "rbz-bin/p", &["b"]), "B\n");

    // One whose runtime needs a library that is not there.
    std::fs::copy("/usr/lib/sbcl/sbcl.o", object).expect("SBCL is installed");
    let libraries = rbz_integration_tests::workspace::read("/usr/lib/sbcl/sbcl.mk");
    std::fs::write(makefile, libraries.replace("-lzstd", "-lnowhere")).expect("it can be written");
    let outcome = ws.rbz("build //:p").env("SBCL_HOME", home).run();
    outcome.stderr_has("needs `-lnowhere`, and its own program does not use such a library");
    assert_eq!(prints(ws.root(), "rbz-bin/p", &["c"]), "C\n");
}
