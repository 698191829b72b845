//! C libraries of Lisp targets: called when programs run and while files compile, with no path of the
//! build in a program.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::system::output_of;
use rbz_integration_tests::workspace::{WorkspaceBuilder, set_mode};

/// `//lib:bind` calls two libraries of C, one of them of the machine; `//:app` and `//:test` are on it.
fn bound() -> WorkspaceBuilder {
    build_file(
        r#"
lisp_library(name = "early", srcs = ["early.lisp"], cdeps_at_compile = True, deps = ["//lib:bind"])
lisp_binary(name = "app", srcs = ["app.lisp"], deps = [":early"])
lisp_test(name = "test", size = "small", srcs = ["test.lisp"], deps = ["//lib:bind"])
sh_test(name = "run_test", size = "small", srcs = ["run.sh"], data = [":app"])
"#,
    )
    .file("early.lisp", "(defmacro four () (bind:twice 2))\n(defun early () (four))\n")
    .file(
        "app.lisp",
        "(defun main () (setf bind:counter 10) (print (list (early) (bind:twice 21) (subseq (bind:z-version) 0 2) (bind:call-back 6))))\n",
    )
    .file("test.lisp", "(defun main () (assert (= 42 (bind:twice 21))))\n")
    .file("run.sh", "#!/bin/bash\n[ \"$(./app)\" = '\n(4 42 \"1.\" 17) ' ]\n")
    .file(
        "lib/BUILD",
        r#"
package(default_visibility = ["//visibility:public"])
cc_library(name = "twice", srcs = ["twice.c"], hdrs = ["twice.h"])
cc_library(name = "z", linkopts = ["-lz"])
lisp_library(name = "bind", srcs = ["bind.lisp"], cdeps = [":twice", ":z"])
"#,
    )
    .file("lib/twice.h", "int twice(int n);\n")
    .file(
        "lib/twice.c",
        "#include \"lib/twice.h\"\nint counter = 5;\nint twice(int n) { return 2 * n; }\nint apply(int (*f)(int), int n) { return f(n) + counter; }\n",
    )
    .file(
        "lib/bind.lisp",
        r#"(defpackage #:bind (:use #:cl #:sb-alien) (:export #:twice #:z-version #:counter #:call-back))
(in-package #:bind)
;; What `cdeps` bring need not be there under this name.
(load-shared-object "libz.so")
(define-alien-routine "twice" int (n int))
(define-alien-variable "counter" int)
(defun z-version () (alien-funcall (extern-alien "zlibVersion" (function c-string))))
(define-alien-callable add-one int ((n int)) (1+ n))
(defun call-back (n)
  (alien-funcall (extern-alien "apply" (function int system-area-pointer int))
                 (alien-sap (alien-callable-function 'add-one)) n))
"#,
    )
}

const PRINTED: &str = "\n(4 42 \"1.\" 17) ";

#[test]
fn lisp_calls_c_in_programs_tests_and_macros_and_c_calls_lisp() {
    let ws = bound().build();
    set_mode(&ws.path("run.sh"), 0o755);
    ws.rbz("test //...").run();
    assert_eq!(ws.rbz("run //:app").run().stdout(), PRINTED);

    // A library alone needs no shared object; who calls C while it compiles does.
    let compiled = ws.rbz("build //:early").run();
    assert!(compiled.ran_of("CcLink").is_empty(), "{compiled}");
    // In the cache of earlier runs of this test is nothing of it.
    let more = format!("int more_{}(void) {{ return 1; }}\n", std::process::id());
    ws.append("lib/twice.c", &more);
    let outcome = ws.rbz("build //...").run();
    assert_eq!(outcome.ran_of("LispCompile"), ["early.fasl"], "only this one sees C");

    // The program and its runfiles, somewhere else, with everything else gone.
    let elsewhere = ws.base().join("elsewhere");
    fs::create_dir(&elsewhere).expect("the temporary directory can be written");
    let copy = |name: &str| {
        output_of(
            ws.root(),
            "cp",
            &["-rL", &format!("rbz-bin/{name}"), &elsewhere.to_string_lossy()],
        );
    };
    copy("app");
    copy("app.runfiles");
    let bytes = fs::read(elsewhere.join("app")).expect("it was copied");
    for path in ["/rbz/execroot", "rbz-out/", &*ws.root().to_string_lossy()] {
        let found = bytes.windows(path.len()).any(|window| window == path.as_bytes());
        assert!(!found, "`{path}` is in the program");
    }
    fs::remove_dir_all(ws.output_user_root()).ok();
    assert_eq!(output_of(Path::new("/"), &elsewhere.join("app").to_string_lossy(), &[]), PRINTED);
}

#[test]
fn a_core_and_an_image_open_the_c_libraries_that_they_were_made_with() {
    let ws = bound().build();
    ws.append(
        "BUILD",
        r#"
lisp_binary(name = "image", main = "nil", allow_save_lisp = True, deps = ["//lib:bind"])
lisp_binary(name = "other", srcs = ["other.lisp"], image = ":image")
"#,
    );
    ws.write(
        "other.lisp",
        "(defmacro now () (bind:twice 4))\n(defun main () (print (list (now) (bind:twice 5))))\n",
    );
    ws.rbz("build //:app --output_groups=core").run();
    let core = ws.path("rbz-bin/app.core");
    let arguments = ["--noinform", "--core", &*core.to_string_lossy()];
    assert_eq!(output_of(Path::new("/"), "sbcl", &arguments), PRINTED);
    assert_eq!(ws.rbz("run //:other").run().stdout(), "\n(8 10) ");
}

#[test]
fn a_shared_object_that_code_opens_by_its_path_is_found_in_the_runfiles() {
    let ws = build_file(
        r#"
cc_binary(name = "libmade.so", srcs = ["made.c"], linkshared = True)
lisp_library(name = "opens", srcs = ["opens.lisp"], compile_data = ["prebuilt/libown.so"], data = ["prebuilt/libown.so"])
lisp_binary(name = "app", srcs = ["app.lisp"], deps = [":opens"])
"#,
    )
    .file("made.c", "int own(void) { return 9; }\n")
    .file("prebuilt/libown.so", "")
    .file("opens.lisp", "(sb-alien:load-shared-object (merge-pathnames \"prebuilt/libown.so\"))\n(sb-alien:define-alien-routine \"own\" sb-alien:int)\n")
    .file("app.lisp", "(defun main () (print (own)))\n")
    .build();
    ws.rbz("build //:libmade.so").run();
    fs::copy(ws.path("rbz-bin/libmade.so"), ws.path("prebuilt/libown.so")).expect("it was built");
    ws.rbz("build //:app").run();
    let program = ws.path("rbz-bin/app");
    assert_eq!(output_of(Path::new("/"), &program.to_string_lossy(), &[]), "\n9 ");
}

#[test]
fn all_c_libraries_of_a_target_are_one_shared_object_for_those_who_ask() {
    let ws = bound().build();
    let flag = "--@rbz//lisp:additional_dynamic_load_outputs";
    ws.rbz(&format!("build //lib:bind {flag} --output_groups=dynamic_library")).run();
    let object = ws.path("rbz-bin/lib/bind~/libbind.so");
    let symbols = output_of(ws.root(), "nm", &["-D", &object.to_string_lossy()]);
    assert!(symbols.contains(" T twice\n") && symbols.contains(" D counter\n"), "{symbols}");
    let needed = output_of(ws.root(), "readelf", &["-d", &object.to_string_lossy()]);
    assert!(needed.contains("[libz.so.1]"), "{needed}");
}

/// The messages of a build of `//:p` that fails.
fn failure(builder: WorkspaceBuilder) -> String {
    builder.build().rbz("build //:p").exit_code(1).run().golden_errors()
}

/// A program with this C library, and the text of it.
fn program(text: &str, cdep: &str, c: &str) -> WorkspaceBuilder {
    let build =
        format!("lisp_binary(name = \"p\", srcs = [\"p.lisp\"], cdeps = [\":c\"])\n{cdep}\n");
    build_file(&build).file("p.lisp", text).file("c.c", c)
}

const CALLS: &str = "(defun main () (sb-alien:alien-funcall (sb-alien:extern-alien \"answer\" (function sb-alien:int))))\n";
const LIBRARY: &str = "cc_library(name = \"c\", srcs = [\"c.c\"])";

#[test]
fn a_dependency_that_is_not_c() {
    assert_snapshot!(failure(program(CALLS, "lisp_library(name = \"c\")", "")));
}

#[test]
fn a_name_that_no_c_library_defines() {
    assert_snapshot!(failure(program(CALLS, LIBRARY, "int other(void) { return 1; }\n")));

    // That is no error for a program that opens the library itself, later.
    let text = "(defun main () (handler-case (sb-alien:alien-funcall (sb-alien:extern-alien \"answer\" (function sb-alien:int))) (error () (write-string \"later\"))))\n";
    let build = "lisp_binary(name = \"p\", srcs = [\"p.lisp\"], nowarn = [\"undefined-alien\"])\n";
    let ws = build_file(build).file("p.lisp", text).build();
    assert_eq!(ws.rbz("run //:p").run().stdout(), "later");
}

#[test]
fn a_c_library_that_needs_another() {
    let c = "int nowhere(void);\nint answer(void) { return nowhere(); }\n";
    assert_snapshot!(failure(program(CALLS, LIBRARY, c)));
}

#[test]
fn a_c_library_that_does_not_compile() {
    let c = "#include \"missing.h\"\nint answer(void) { return 42; }\n";
    let outcome = program(CALLS, LIBRARY, c).build().rbz("build //:p").exit_code(1).run();
    outcome.stderr_has("c.c:1:10: fatal error: missing.h: No such file or directory");
}

#[test]
fn a_shared_object_that_is_not_there() {
    let text = "(sb-alien:load-shared-object \"libnowhere.so.1\")\n";
    let builder =
        build_file("lisp_binary(name = \"p\", srcs = [\"p.lisp\"])\n").file("p.lisp", text);
    builder
        .build()
        .rbz("build //:p")
        .exit_code(1)
        .run()
        .stderr_has("libnowhere.so.1: cannot open shared object file");
}
