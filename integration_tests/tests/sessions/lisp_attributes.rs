//! What attributes and options of the Lisp rules change, seen in what is built.

use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::workspace::WorkspaceBuilder;

/// A program `//:p` of one file.
fn program(attributes: &str, text: &str) -> WorkspaceBuilder {
    build_file(&format!("lisp_binary(name = \"p\", srcs = [\"p.lisp\"], {attributes})\n"))
        .file("p.lisp", text)
}

#[test]
fn several_sources_are_one_block_and_one_action() {
    let ws = build_file(
        r#"
lisp_library(name = "lib", srcs = ["one.lisp", "two.lisp"], block_compile = True)
lisp_binary(name = "p", srcs = ["p.lisp", "q.lisp"], block_compile = True, block_compile_specified_only = True, deps = [":lib"])
lisp_test(name = "t", srcs = ["p.lisp"], block_compile = True, deps = [":lib"])
"#,
    )
    .file("one.lisp", "(defun one () 1)\n")
    .file("two.lisp", "(defun two () (one))\n")
    .file("p.lisp", "(declaim (sb-ext:start-block main))\n(defun inside () 1)\n(defun main ()\n  (setf (fdefinition 'one) (constantly 2))\n  (print (list (one) (two) (fboundp 'inside) (inside))))\n(declaim (sb-ext:end-block))\n")
    .file("q.lisp", "(defun q () (inside-of-q))\n(defun inside-of-q () 1)\n")
    .build();
    let outcome = ws.rbz("run //:p").run();
    assert_eq!(outcome.stdout().trim(), "(2 1 NIL 1)");
    for file in ["lib.fasl", "lib~/lib.warnings", "lib~/one.hash", "lib~/two.hash"] {
        assert!(ws.path("rbz-bin").join(file).exists(), "{file}");
    }
    assert!(!ws.path("rbz-bin/lib~/one.fasl").exists());
    ws.rbz("test //:t").run();
    ws.write("two.lisp", "(defun two (x) (one))\n");
    ws.rbz("build //:lib").exit_code(1).run().stderr_has("two.lisp:1:1: warning: The variable X");
}

#[test]
fn sources_in_another_encoding_are_read_so_by_everybody() {
    let ws = build_file(
        r#"
lisp_library(name = "lib", srcs = ["a.lisp", "b.lisp"], encoding = "latin-1")
lisp_binary(name = "p", srcs = ["p.lisp"], deps = [":lib"])
"#,
    )
    .file("p.lisp", "(defun main () (format t \"~a ~d~%\" (b) #.(length (a))))\n")
    .build();
    std::fs::write(ws.path("a.lisp"), b"(defun a () \"\xe4\")\n").expect("it can be written");
    std::fs::write(ws.path("b.lisp"), b"(defun b () #.(concatenate 'string (a) \"\xf6\"))\n")
        .expect("it can be written");
    assert_eq!(ws.rbz("run //:p").run().stdout(), "äö 1\n");
}

#[test]
fn the_mode_of_lisp_code_can_differ_from_that_of_the_rest() {
    let text =
        "(defun main () (print '(#+opt :opt #+dbg :dbg #.(sb-ext:posix-getenv \"none\"))))\n";
    let ws = program("", text).build();
    let mode = |flags: &str| ws.rbz(&format!("run //:p {flags}")).run().stdout().trim().to_owned();
    assert_eq!(mode("--define LISP_COMPILATION_MODE=opt"), "(:OPT NIL)");
    assert_eq!(mode("-c opt --define LISP_COMPILATION_MODE=dbg"), "(:DBG NIL)");
    assert_eq!(mode("-c opt --define LISP_COMPILATION_MODE=fastbuild"), "(NIL)");
}

#[test]
fn what_went_on_past_a_failure_is_never_kept() {
    let ws = build_file("lisp_library(name = \"lib\", srcs = [\"lib.lisp\"])\n")
        .file("lib.lisp", "(defun f () unknown)\n")
        .own_cache()
        .build();
    ws.rbz("build //:lib").exit_code(1).run();
    let outcome = ws.rbz("build //:lib --define LISP_BUILD_FORCE=1").run();
    outcome.stderr_has("undefined variable");
    assert!(ws.path("rbz-bin/lib.fasl").exists());
    ws.rbz("clean").run();
    let outcome = ws.rbz("build //:lib --define LISP_BUILD_FORCE=1").run();
    assert_eq!(outcome.ran_of("LispCompile").len(), 1, "{outcome}");
}

#[test]
fn more_is_told_by_attribute_or_by_option() {
    let ws = build_file(
        "lisp_library(name = \"quiet\", srcs = [\"a.lisp\"])\nlisp_library(name = \"loud\", srcs = [\"a.lisp\"], deps = [\":quiet\"], verbose = 1)\n",
    )
    .file("a.lisp", "(defvar *a* 1)\n")
    .build();
    ws.rbz("build //:quiet").run().stderr_lacks("INFO: compile");
    ws.rbz("build //:loud").run().shows("INFO: compile //:loud\nINFO: load source a.lisp\n");
    ws.rbz("build //:quiet --define VERBOSE_LISP_BUILD=2").run().shows("INFO: features:");
}

#[test]
fn the_sizes_of_a_program_are_its_own_and_not_those_of_its_actions() {
    let text = "(defun main () (format t \"~d ~d~%\" (sb-ext:dynamic-space-size) (- (sb-sys:sap-int (sb-vm::current-thread-offset-sap sb-vm::thread-control-stack-end-slot)) (sb-sys:sap-int (sb-vm::current-thread-offset-sap sb-vm::thread-control-stack-start-slot)))))\n";
    let sizes = |attributes: &str| {
        program(attributes, text).build().rbz("run //:p").run().stdout().trim().to_owned()
    };
    let usual = rbz_integration_tests::system::output_of(
        std::path::Path::new("/"),
        "sbcl",
        &["--noinform", "--non-interactive", "--eval", "(princ (sb-ext:dynamic-space-size))"],
    );
    assert_eq!(sizes(""), format!("{usual} 2097152"));
    assert_eq!(
        sizes("dynamic_space_size = \"700MB\", control_stack_size = \"5MB\""),
        "734003200 5242880"
    );
}

#[test]
fn instrumented_code_notes_what_ran() {
    let text = "(defun main () (format t \"~d~%\" (hash-table-count (car sb-c:*code-coverage-info*))))\n(defun other (x) (if x 1 2))\n";
    let count = |attributes: &str| {
        let ws = program(attributes, text).build();
        let printed = ws.rbz("run //:p").run().stdout().trim().to_owned();
        printed.parse::<u32>().expect("a number")
    };
    assert_eq!(count(""), 0);
    assert_eq!(count("instrument_coverage = 1"), 1);
    assert_eq!(count("instrument_coverage = 0"), 0);
}

#[test]
fn programs_know_the_status_of_the_workspace_when_they_are_stamped() {
    let text = "(defun main ()\n  (format t \"~{~a~^ ~}~%\" (sort (mapcar #'first rbz.program:*workspace-status*) #'string<))\n  (format t \"~a~%\" (cdr (assoc \"STABLE_FLAVOUR\" rbz.program:*workspace-status* :test #'equal))))\n";
    let ws = build_file(
        r#"
[lisp_binary(name = "p%d" % (stamp + 1), srcs = ["p.lisp"], stamp = stamp) for stamp in [-1, 0, 1]]
"#,
    )
    .file("p.lisp", text)
    .file("status.sh", "echo STABLE_FLAVOUR sweet and sour\necho WEATHER rain\n")
    .build();
    let run = |target: &str, flags: &[&str]| {
        let mut arguments = vec!["run", target, "--workspace_status_command=sh status.sh"];
        arguments.extend(flags);
        ws.rbz_args(arguments).run().stdout().to_owned()
    };
    let stamped = run("//:p2", &[]);
    assert!(stamped.contains("STABLE_FLAVOUR") && stamped.contains("WEATHER"), "{stamped}");
    assert!(stamped.ends_with("\nsweet and sour\n"), "{stamped}");
    assert_eq!(run("//:p0", &[]), "\nNIL\n", "as --stamp says");
    assert_eq!(run("//:p0", &["--stamp"]), stamped);
    assert_eq!(run("//:p1", &["--stamp"]), "\nNIL\n", "never");
}

#[test]
fn output_groups_have_the_fasl_and_the_manifest_of_what_is_loaded() {
    let ws = build_file(
        r#"
lisp_library(name = "a", srcs = ["a.lisp"], add_features = ["tea"])
lisp_library(name = "b", srcs = ["b.lisp", "c.lisp"], deps = [":a"])
lisp_binary(name = "p", srcs = ["p.lisp"], deps = [":b"])
"#,
    )
    .file("a.lisp", "")
    .file("b.lisp", "")
    .file("c.lisp", "")
    .file("p.lisp", "(defun main () 1)\n")
    .build();
    let outcome = ws.rbz("build //:p --output_groups=fasl").run();
    assert!(ws.path("rbz-bin/p.fasl").exists());
    assert!(outcome.ran_of("LispCore").is_empty(), "{outcome}");
    let outcome = ws.rbz("build //:p --output_groups=deps_manifest").run();
    assert!(!ws.path("rbz-bin/p.deps").exists(), "only where it is asked for: {outcome}");
    ws.rbz("build //:p --output_groups=deps_manifest --@bazelisp//:additional_dynamic_load_outputs=True")
        .run();
    let manifest = ws.read("rbz-bin/p.deps");
    assert_eq!(manifest, "feature: tea\nsrc: a.lisp\nsrc: b.lisp\nsrc: c.lisp\nsrc: p.lisp\n");
}

#[test]
fn runfiles_are_those_of_the_target_and_of_all_that_it_is_made_of() {
    let ws = build_file(
        r#"
cc_library(name = "c", srcs = ["c.c"], data = ["c.txt"])
lisp_library(name = "lib", srcs = ["lib.lisp"], cdeps = [":c"], data = ["lib.txt"])
genrule(name = "made", outs = ["made.lisp"], cmd = "echo > $@")
lisp_binary(name = "helper", srcs = [], main = "values", data = ["helper.txt"])
lisp_test(name = "t", srcs = ["t.lisp", ":made"], data = ["own.txt", ":helper"], deps = [":lib"])
"#,
    )
    .file("lib.lisp", "")
    .file("t.lisp", "(defun main ()\n  (dolist (name '(\"c.txt\" \"lib.txt\" \"own.txt\" \"helper.txt\" \"helper\" \"t\"))\n    (assert (probe-file name) () \"~a\" name)))\n")
    .file("c.c", "")
    .file("c.txt", "")
    .file("lib.txt", "")
    .file("own.txt", "")
    .file("helper.txt", "")
    .build();
    ws.rbz("test //:t --test_output=errors").run();
}

#[test]
fn names_of_files_may_hold_what_lisp_takes_for_patterns() {
    let ws = build_file(
        "lisp_library(name = \"lib\", srcs = [\"a [x] b.lisp\", \"ü.v2.lisp\", \"st*r?.lisp\"])\nlisp_binary(name = \"p\", srcs = [], deps = [\":lib\"])\n",
    )
    .file("a [x] b.lisp", "(defun a () 1)\n")
    .file("ü.v2.lisp", "(defun u () (list (a) #.(a)))\n")
    .file("st*r?.lisp", "(defun main () (print (u)))\n")
    .build();
    assert_eq!(ws.rbz("run //:p").run().stdout().trim(), "(1 1)");
    assert!(ws.path("rbz-bin/lib~/ü.v2.hash").exists());
}

#[test]
fn uiop_and_asdf_are_there_only_as_dependencies_and_together() {
    let text = "(defun main () (print (list #+asdf :asdf (and (find-package :uiop) t) (and (find \"SB-POSIX\" *modules* :test #'equal) t))))\n";
    let shown = |attributes: &str| {
        program(attributes, text).build().rbz("run //:p").run().stdout().trim().to_owned()
    };
    assert_eq!(shown(""), "(NIL NIL)");
    assert_eq!(shown("deps = [\"@lisp//:uiop\", \"@lisp//:asdf\"]"), "(:ASDF T NIL)");
    assert_eq!(shown("deps = [\"@lisp//:sb-posix\"]"), "(NIL T)");
}

#[test]
fn what_the_runtime_ran_out_of_is_named_with_the_attribute_that_gives_more() {
    let library = |text: &str, attributes: &str| {
        build_file(&format!(
            "lisp_library(name = \"dep\", srcs = [\"dep.lisp\"])\nlisp_library(name = \"lib\", srcs = [\"lib.lisp\"], deps = [\":dep\"], {attributes})\n"
        ))
        .file("dep.lisp", text)
        .file("lib.lisp", "(defun f () 1)\n")
        .build()
    };
    let ws = library(
        "(defvar *list* (loop collect (make-array 100000)))\n",
        "dynamic_space_size = \"200MB\"",
    );
    ws.rbz("build //:lib").exit_code(1).run().stderr_has("hint: dynamic_space_size of the target");
    let ws =
        library("(defun deep (n) (1+ (deep (1+ n))))\n(deep 0)\n", "control_stack_size = \"5MB\"");
    ws.rbz("build //:lib").exit_code(1).run().stderr_has("hint: control_stack_size of the target");
    let text = "(defvar *keep* '())\n(dotimes (i 4000000)\n  (let ((symbol (make-symbol \"A\")))\n    (setf (fdefinition symbol) #'car)\n    (push symbol *keep*)))\n";
    let ws = library(&format!("(funcall (compile nil '(lambda () {text})))\n"), "");
    ws.rbz("build //:lib").exit_code(1).run().stderr_has("hint: the space for names of functions");
}

#[test]
fn every_common_attribute_is_taken() {
    let ws = build_file(
        r#"
lisp_test(
    name = "t",
    srcs = ["t.lisp"],
    args = ["one"],
    compatible_with = [],
    compression = None,
    deprecation = None,
    distribs = None,
    env = {"TEA": "green"},
    env_inherit = ["COFFEE"],
    exec_compatible_with = [],
    exec_properties = {},
    features = ["-none"],
    flaky = False,
    licenses = ["notice"],
    local = False,
    restricted_to = None,
    shard_count = 1,
    size = "small",
    tags = ["a-tag"],
    target_compatible_with = ["@platforms//os:linux"],
    testonly = True,
    timeout = "short",
    toolchains = [],
    visibility = ["//visibility:private"],
)
"#,
    )
    .file("t.lisp", "(defun main ()\n  (assert (equal (rest sb-ext:*posix-argv*) '(\"one\")))\n  (assert (string= (sb-ext:posix-getenv \"TEA\") \"green\")))\n")
    .build();
    ws.rbz("test //:t --test_output=errors").run();
}

#[test]
fn the_lines_that_subcommands_prints_run() {
    let ws = build_file("lisp_library(name = \"lib\", srcs = [\"lib.lisp\"])\n")
        .file("lib.lisp", "(defun f () 1)\n")
        .own_cache()
        .build();
    let outcome = ws.rbz("build //:lib -s").run();
    outcome.stderr_has("setarch").stderr_has("SBCL_HOME=").stderr_has(" compile @");
}

#[test]
fn a_program_can_be_a_dependency() {
    let ws = build_file(
        r#"
lisp_binary(name = "tool", srcs = ["tool.lisp"], main = "tool")
lisp_test(name = "t", srcs = ["t.lisp"], deps = [":tool"])
"#,
    )
    .file("tool.lisp", "(defun tool () 7)\n")
    .file("t.lisp", "(defun main () (assert (= 7 (tool))))\n")
    .build();
    ws.rbz("test //:t --test_output=errors").run();
}

#[test]
fn a_program_can_be_compressed_where_sbcl_can() {
    let can = rbz_integration_tests::system::output_of(
        std::path::Path::new("/"),
        "sbcl",
        &[
            "--noinform",
            "--non-interactive",
            "--eval",
            "(princ (if (find :sb-core-compression *features*) 1 0))",
        ],
    );
    let size = |attributes: &str| {
        let ws = program(attributes, "(defun main () (write-line \"small\"))\n").build();
        assert_eq!(ws.rbz("run //:p").run().stdout(), "small\n");
        std::fs::metadata(ws.path("rbz-bin/p")).expect("it is there").len()
    };
    let (plain, compressed) = (size(""), size("compression = \"1\""));
    assert_eq!(compressed < plain / 2, can == "1", "{compressed} of {plain}");
}

#[test]
fn multipass_may_define_again() {
    let files = |order: &str| {
        build_file(&format!(
            "lisp_library(name = \"lib\", srcs = [\"a.lisp\", \"b.lisp\"], order = \"{order}\")\n"
        ))
        .file(
            "a.lisp",
            "(eval-when (:compile-toplevel :load-toplevel :execute)\n  (defun a () 1))\n",
        )
        .file(
            "b.lisp",
            "(eval-when (:compile-toplevel :load-toplevel :execute)\n  (defun b () (a)))\n",
        )
        .build()
    };
    files("multipass").rbz("build //:lib").run();
    files("serial").rbz("build //:lib").run();
    // Only where a file sees what another file defined is it a failure.
    let ws = files("serial");
    ws.edit("b.lisp", "(defun b () (a))", "(defun a () 2)");
    ws.rbz("build //:lib").exit_code(1).run().stderr_has("redefined-function");
    ws.edit("BUILD", "serial", "multipass");
    ws.rbz("build //:lib").run();
}
