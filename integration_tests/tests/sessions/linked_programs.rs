//! Cores that `rbz tool elf` makes programs of, in the hands of linkers, debuggers and profilers.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use rbz_integration_tests::debugger::{debug, in_order};
use rbz_integration_tests::system::output_of;
use rbz_integration_tests::workspace::WorkspaceBuilder;
use rbz_integration_tests::{Workspace, workspace};

const LISP: &str = r#"
(defpackage "GREETER" (:use "CL" "SB-ALIEN") (:export "GREET"))
(in-package "GREETER")
(defun spin (count)
  (declare (fixnum count))
  (let ((sum 0))
    (declare (fixnum sum))
    (dotimes (i count sum)
      (setf sum (logand most-positive-fixnum (+ sum (* 7 i)))))))
(defun plus-one (x) (1+ x))
(define-alien-callable increment int ((x int)) (plus-one x))
(defun greet (name)
  (flet ((inner (who) (format t "hello ~a~%" who) (finish-output)))
    (declare (notinline inner))
    (inner name)
    (inner "all")))
(defun call-c ()
  (alien-funcall (extern-alien "twice" (function int (* t) int))
                 (alien-sap (alien-callable-function 'increment)) 40))
(defun checksum ()
  (alien-funcall (extern-alien "crc32" (function unsigned-long unsigned-long c-string unsigned))
                 0 "hello" 5))
(defun main ()
  (spin 40000000)
  (greet "world")
  (format t "~d ~x ~d~%" (call-c) (checksum) (extern-alien "calls" int))
  (finish-output)
  (sb-ext:exit :code 3))
"#;

/// What has the collector, the compiler and threads at work among linked code.
const BUSY: &str = r#"
(defvar *junk* nil)
(defun adder (n) (lambda (x) (+ x n)))
(defun churn (n) (dotimes (i 50 n) (setf *junk* (make-list 10000))))
(defun start ()
  (dotimes (i 5)
    (setf *junk* (make-array 100000 :initial-element (list i)))
    (sb-ext:gc :full t))
  (let ((threads (loop for i below 4
                       collect (let ((i i)) (sb-thread:make-thread (lambda () (churn i)))))))
    (format t "~a~%" (mapcar #'sb-thread:join-thread threads)))
  ;; More code than there is room for beside what is linked.
  (let ((compiled (loop for i below 200
                        collect (compile nil `(lambda (x) (list ,@(loop for k below 40
                                                                        collect `(* x ,k))))))))
    (sb-ext:gc :full t)
    (format t "~a~%" (loop for f in compiled sum (reduce #'+ (funcall f 1)))))
  (setf (symbol-function 'churn) (adder 1))
  (format t "~a ~a~%" (churn 2) (handler-case (error "caught") (error (e) e)))
  (finish-output)
  (sb-ext:exit :code 4))
"#;

/// A program that saves itself again before it greets.
const AGAIN: &str = r#"
(defvar *saved* nil)
(defun start ()
  (cond (*saved* (format t "again~%") (finish-output) (sb-ext:exit))
        (t (setf *saved* t)
           (sb-ext:save-lisp-and-die "again" :executable t :toplevel #'start))))
"#;

const C: &str = "int calls;\nint twice(int (*f)(int), int x) { calls++; return f(f(x)); }\n";

/// What every linked program needs; the library by the name that it has without headers.
const RUNTIME: [&str; 5] = ["/usr/lib/sbcl/sbcl.o", "-ldl", "-lpthread", "-l:libzstd.so.1", "-lm"];

fn program() -> WorkspaceBuilder {
    workspace().file("greeter.lisp", LISP).file("twice.c", C)
}

/// Has SBCL load a source and save `NAME.core`.
fn save(ws: &Workspace, name: &str, arguments: &str) {
    let load = format!("(load (compile-file \"{name}.lisp\"))");
    let save = format!("(save-lisp-and-die \"{name}.core\" {arguments})");
    let options = ["--noinform", "--no-sysinit", "--no-userinit", "--non-interactive"];
    output_of(ws.root(), "sbcl", &[&options[..], &["--eval", &load, "--eval", &save]].concat());
}

/// Links `NAME.o` with further arguments into the program `NAME`.
fn link(ws: &Workspace, name: &str, arguments: &[&str]) -> Output {
    let (options, object) = (format!("@{name}.options"), format!("{name}.o"));
    let mut cc = Command::new("cc");
    cc.args([&options, &object, "-o", name]).args(arguments).args(RUNTIME);
    cc.current_dir(ws.root()).output().expect("there is a C compiler")
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a program; one that does not end is killed.
fn run(ws: &Workspace, program: &str) -> (Option<i32>, String) {
    let output = Command::new("timeout").args(["60", program]).current_dir(ws.root()).output();
    let output = output.expect("`timeout` is there");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes the object of the greeter.
fn split_greeter() -> Workspace {
    let ws = program().build();
    save(&ws, "greeter", ":toplevel 'greeter::main");
    ws.rbz("tool elf split greeter.core -o greeter.o --linker_options greeter.options").run();
    output_of(ws.root(), "cc", &["-g", "-c", "twice.c"]);
    ws
}

#[test]
fn a_split_core_is_an_ordinary_program_for_nm_gdb_and_perf() {
    let ws = split_greeter();
    succeeds(&link(&ws, "greeter", &["twice.o", "-l:libz.a"]));
    ws.rbz("tool elf check greeter").run();
    let greeting = "hello world\nhello all\n42 3610A686 1\n";
    assert_eq!(run(&ws, "./greeter"), (Some(3), greeting.to_owned()));

    let names = output_of(ws.root(), "nm", &["--defined-only", "greeter"]);
    for name in [" t greeter:greet\n", " t (flet greeter::inner :in greeter:greet)\n", " T crc32\n"]
    {
        assert!(names.contains(name), "no `{name}`");
    }

    // At its first instruction and in the depths, in Lisp and in C.
    let stack = debug(
        ws.root(),
        "./greeter",
        &["break '(flet greeter::inner :in greeter:greet)'", "run", "bt", "break write", "c", "bt"],
    );
    in_order(
        &stack,
        &[
            "hit Breakpoint 1",
            "#0 ",
            "(flet greeter::inner :in greeter:greet) ()\n#1 ",
            "greeter:greet ()\n#2 ",
            "greeter::main ()\n#3 ",
            "sb-impl::%start-lisp ()",
            "initialize_lisp",
            "main (",
            "hit Breakpoint 2",
            "write (fd=1",
            "(flet greeter::inner :in greeter:greet) ()",
            "greeter:greet ()",
            "greeter::main ()",
            "main (",
        ],
    );
    let stack = debug(ws.root(), "./greeter", &["break 'greeter::plus-one'", "run", "bt"]);
    in_order(
        &stack,
        &[
            "greeter::plus-one ()\n#1 ",
            "twice (f=",
            ", x=40) at twice.c:2\n",
            "greeter::main ()",
            "main (",
        ],
    );

    let profile = profile(&ws, &["./greeter"]);
    assert!(profile.is_none_or(|profile| profile.contains("greeter::spin")));
}

/// The function in which a program spends most of its time, with its share, as perf reports it;
/// nothing where the kernel lets nobody measure.
fn profile(ws: &Workspace, command: &[&str]) -> Option<String> {
    let event = "--event=cpu-clock:u";
    let measured = Command::new("perf").args(["stat", event, "true"]).output();
    if !measured.expect("perf is installed").status.success() {
        // Written past the harness, which shows nothing of tests that pass.
        let text = "note: the kernel lets nobody here measure programs: no profile is looked at\n";
        std::io::stderr().write_all(text.as_bytes()).ok();
        return None;
    }
    let record = ["record", "--quiet", event, "--output=perf.data"];
    // The exit status is that of the program.
    let _ = Command::new("perf").args(record).args(command).current_dir(ws.root()).output();
    let report = ["report", "--stdio", "--quiet", "--sort=symbol", "--input=perf.data"];
    let profile = output_of(ws.root(), "perf", &report);
    let hottest = profile.lines().find(|line| line.contains('%')).unwrap_or_default();
    Some(hottest.to_owned())
}

/// SHA-256 of many bytes.
const HASHING: &str = r#"
(require :asdf)
(asdf:initialize-output-translations '(:output-translations (t (:here "fasls")) :ignore-inherited-configuration))
(asdf:load-system "ironclad/digest/sha256")
(compile 'cl-user::start
         '(lambda ()
           (loop repeat 5
                 do (uiop:symbol-call "IRONCLAD" "DIGEST-SEQUENCE" :sha256
                                      (make-array 4000000 :element-type '(unsigned-byte 8))))
           (sb-ext:exit :code 0 :abort t)))
"#;

#[test]
fn ironclad_has_names_for_nm_gdb_and_perf() {
    let ws = workspace().file("hashing.lisp", HASHING).build();
    let save = "(save-lisp-and-die \"hashing.core\" :toplevel 'start)";
    let options = ["--noinform", "--no-sysinit", "--no-userinit", "--non-interactive"];
    let load = ["--load", "hashing.lisp", "--eval", save];
    output_of(ws.root(), "sbcl", &[options, load].concat());
    ws.rbz("tool elf split hashing.core -o hashing.o --linker_options hashing.options").run();
    succeeds(&link(&ws, "hashing", &[]));
    ws.rbz("tool elf check hashing").run();
    let names = output_of(ws.root(), "nm", &["hashing"]);
    for name in
        ["ironclad::update-sha256-block", "(:method ironclad:copy-digest (ironclad:sha256))"]
    {
        assert!(names.contains(&format!(" t {name}\n")), "no `{name}`");
    }
    let commands = ["break -function 'ironclad::update-sha256-block'", "run", "bt", "kill"];
    in_order(
        &debug(ws.root(), "./hashing", &commands),
        &[
            "hit Breakpoint 1",
            "#0 ",
            "ironclad::update-sha256-block ()\n#1 ",
            "ironclad:digest-sequence (",
            "sb-impl::%start-lisp ()",
            "initialize_lisp",
            "main (",
        ],
    );
    let profile = profile(&ws, &["./hashing"]);
    assert!(profile.is_none_or(|profile| profile.contains("ironclad::update-sha256-block")));
}

#[test]
fn every_linker_makes_a_program_that_runs_or_is_refused() {
    let ws = split_greeter();
    let mut results = Vec::new();
    for linker in ["bfd", "lld", "mold"] {
        let choice = format!("-fuse-ld={linker}");
        succeeds(&link(&ws, "greeter", &[&choice, "twice.o", "-l:libz.a"]));
        ws.rbz("tool elf check greeter").run();
        results.push(run(&ws, "./greeter").0);
    }
    assert_eq!(results, [Some(3); 3]);
    assert!(!link(&ws, "greeter", &["-fuse-ld=gold", "twice.o", "-l:libz.a"]).status.success());
    let low = "-Wl,-Ttext-segment=0x51000000";
    succeeds(&link(&ws, "greeter", &[low, "twice.o", "-l:libz.a"]));
    let outcome = ws.rbz("tool elf check greeter").exit_code(1).run();
    outcome.stderr_has("where the Lisp has its own memory");
}

#[test]
fn a_linked_program_collects_garbage_compiles_and_runs_threads() {
    let ws = workspace().file("busy.lisp", BUSY).build();
    save(&ws, "busy", ":toplevel 'start");
    ws.rbz("tool elf split busy.core -o busy.o --linker_options busy.options").run();
    succeeds(&link(&ws, "busy", &[]));
    let expected = "(0 1 2 3)\n156000\n3 caught\n".to_owned();
    assert_eq!(run(&ws, "./busy"), (Some(4), expected));
}

#[test]
fn a_linked_core_saves_itself_again() {
    let ws = workspace().file("saver.lisp", AGAIN).build();
    save(&ws, "saver", ":toplevel 'start");
    for tool in ["split", "copy --dynamic_list saver.list"] {
        let words = format!("tool elf {tool} saver.core -o saver.o --linker_options saver.options");
        ws.rbz(&words).run();
        succeeds(&link(&ws, "saver", &[]));
        ws.rbz("tool elf check saver").run();
        assert_eq!(run(&ws, "./saver").0, Some(0), "{tool}");
        assert_eq!(run(&ws, "./again"), (Some(0), "again\n".to_owned()), "{tool}");
        std::fs::remove_file(ws.path("again")).expect("it was saved");
    }
}

#[test]
fn objects_and_programs_of_one_core_are_the_same_wherever_they_are_made() {
    let ws = split_greeter();
    let core = ws.path("greeter.core");
    let other = workspace().file("twice.o", "").build();
    for file in ["greeter.core", "twice.o"] {
        std::fs::copy(ws.path(file), other.path(file)).expect("it is there");
    }
    std::fs::remove_file(core).expect("it is there");
    other.rbz("tool elf split greeter.core -o greeter.o --linker_options greeter.options").run();
    let read = |path: &Path| std::fs::read(path).expect("it is there");
    for ws in [&ws, &other] {
        succeeds(&link(ws, "greeter", &["twice.o", "-l:libz.a"]));
    }
    for file in ["greeter.o", "greeter.options", "greeter"] {
        assert!(read(&ws.path(file)) == read(&other.path(file)), "{file} differs");
    }
}

#[test]
fn a_foreign_symbol_that_nothing_defines_is_named() {
    let ws = split_greeter();
    let output = link(&ws, "greeter", &["-l:libz.a"]);
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("undefined reference to `twice'"), "{message}");
}

#[test]
fn a_core_of_another_sbcl_is_refused() {
    let ws = split_greeter();
    let mut core = std::fs::read(ws.path("greeter.core")).expect("it was saved");
    // The entry of the build's name: its type, its length, that of the name, the name.
    let entry = core[..4096].chunks_exact(8).position(|word| word == 3860u64.to_le_bytes());
    core[8 * entry.expect("every core has one") + 24] = b'?';
    std::fs::write(ws.path("greeter.core"), core).expect("it can be written");
    ws.rbz("tool elf split greeter.core -o greeter.o --linker_options greeter.options").run();
    succeeds(&link(&ws, "greeter", &["twice.o", "-l:libz.a"]));
    let outcome = ws.rbz("tool elf check greeter").exit_code(1).run();
    outcome.stderr_has("the runtime that it was linked with is that of another");
}

#[test]
fn what_cannot_be_linked_is_refused_with_a_reason() {
    let ws = workspace()
        .file("nothing.lisp", "")
        .file("text.core", "some text\n")
        .file("twice.c", "int main(void) { return 0; }\n")
        .build();
    output_of(ws.root(), "cc", &["-c", "twice.c"]);
    save(&ws, "nothing", "");
    std::fs::copy(ws.path("nothing.core"), ws.path("short.core")).expect("it is there");
    let resize = |name: &str, length: u64| {
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(ws.path(name));
        file.and_then(|file| file.set_len(length)).expect("files can have holes");
    };
    resize("short.core", 10_000_000);
    resize("huge.core", (1 << 32) + 1);
    save(&ws, "nothing", ":compression 1");
    for (core, reason) in [
        ("text", "it is no core of SBCL"),
        ("short", "it is truncated: a space would end at byte"),
        ("huge", "it has 4294967297 bytes"),
        ("nothing", "it is compressed"),
    ] {
        let words = ["tool", "elf", "split", &format!("{core}.core"), "--output=core.o"];
        let outcome = ws.rbz_args(words).exit_code(1).run();
        outcome.stderr_has(&format!("`{core}.core` cannot be linked: {reason}"));
        assert!(!ws.path("core.o").exists(), "{core}: something was written");
    }
    ws.rbz("tool elf split missing.core -o core.o")
        .exit_code(36)
        .run()
        .stderr_has("`missing.core`");
    ws.rbz("tool elf split").exit_code(2).run().stderr_has("--output <FILE>");
    ws.rbz("tool elf check /bin/true").exit_code(1).run().stderr_has("no section `lisp.core`");
    ws.rbz("tool elf runtime /usr/lib/sbcl/sbcl.o").run();
    ws.rbz("tool elf runtime /bin/true").exit_code(1).run().stderr_has("it is no object");
    ws.rbz("tool elf runtime twice.o").exit_code(1).run().stderr_has("refer to `lisp_code_start`");
    ws.rbz("tool elf link out cc -o out no.o").exit_code(1).run().stderr_has("no.o");
    ws.rbz("tool elf link out cc -o out twice.o").exit_code(1).run().stderr_has("`lisp.core`");
    assert!(!ws.path("out").exists(), "a program that would not run was left");
    ws.rbz("tool elf link out /no/cc").exit_code(36).run().stderr_has("`/no/cc`");
    ws.rbz("tool elf --help").run().stdout_has("split").stdout_has("list");
}
