//! The commands beside build, test and run, and what all of them have in common.

use insta::assert_snapshot;
use rbz_integration_tests::projects::{build_file, tower};
use rbz_integration_tests::workspace;

#[test]
fn init_makes_a_workspace_that_builds_and_passes_its_tests() {
    let ws = workspace().build();
    ws.remove("WORKSPACE");
    ws.rbz("init").run();
    ws.rbz("test //...").run().shows("PASSED");
    assert_eq!(ws.rbz("run //:hello").run().stdout(), "Hello, world!\n");
    // Twice is no harm.
    ws.write("greeting.lisp", "; mine\n");
    ws.rbz("init").run();
    assert_eq!(ws.read("greeting.lisp"), "; mine\n");
}

#[test]
fn init_makes_a_library_of_what_is_there() {
    let ws = workspace()
        .file("package.lisp", "(defpackage #:mine (:use #:cl))\n")
        .file("code.lisp", "(in-package #:mine)\n(defun f () 1)\n")
        .file(
            "mine.asd",
            "(defsystem \"mine\" :components ((:file \"package\") (:file \"code\")))\n",
        )
        .build();
    ws.remove("WORKSPACE");
    ws.rbz("init").run();
    ws.rbz("build //:mine").run().stderr_has("  rbz-bin/mine.fasl\n");
}

#[test]
fn init_makes_libraries_of_systems_that_lie_in_directories() {
    let ws = workspace()
        .file(
            "mine.asd",
            r#"
(defsystem "mine"
  :depends-on (:sb-posix)
  :components ((:module "src"
                :components ((:file "code" :depends-on ("package")) (:file "package")))))
(defsystem "mine/tests" :depends-on ("mine") :components ((:file "tests")))
"#,
        )
        .file("src/package.lisp", "(defpackage #:mine (:use #:cl) (:export #:id))\n")
        .file("src/code.lisp", "(in-package #:mine)\n(defun id () (sb-posix:getpid))\n")
        .file("tests.lisp", "(defun tests () (assert (plusp (mine:id))))\n")
        .build();
    ws.remove("WORKSPACE");
    ws.rbz("init").run().stdout_has("check `srcs` and `deps`");
    ws.rbz("build //:mine //:mine_tests").run();
}

#[test]
fn init_finds_the_systems_that_a_project_needs() {
    let ws = workspace()
        .file(
            "mine.asd",
            "(defsystem \"mine\" :depends-on (\"shout/twice\") :components ((:file \"mine\")))\n\
             (defsystem \"mine/docs\" :depends-on (\"nowhere\") :components ((:file \"docs\")))\n",
        )
        // Style warnings do not stop ASDF, and UIOP is always there.
        .file("mine.lisp", "(defun mine (unused) (uiop:strcat (shout:twice \"a\") \"b\"))\n")
        .file("docs.lisp", "")
        .build();
    let below = ws.home().join("common-lisp/shout");
    std::fs::create_dir_all(&below).expect("the home directory can be written");
    for (name, text) in [
        (
            "shout.asd",
            "(defsystem \"shout\" :components ((:file \"shout\")))\n\
             (defsystem \"shout/twice\" :depends-on (\"shout\") :components ((:file \"twice\")))\n",
        ),
        (
            "shout.lisp",
            "(defpackage #:shout (:use #:cl) (:export #:shout #:twice))\n(in-package #:shout)\n\
             (defun shout (text) (string-upcase text))\n",
        ),
        (
            "twice.lisp",
            "(in-package #:shout)\n(defun twice (text) (shout (format nil \"~a~a\" text text)))\n",
        ),
    ] {
        std::fs::write(below.join(name), text).expect("the home directory can be written");
    }
    ws.remove("WORKSPACE");
    let outcome = ws.rbz("init").run();
    outcome.stdout_has("created third_party/shout.BUILD").stdout_has("`nowhere` was not found");
    ws.write(
        "check/BUILD",
        "lisp_test(name = \"check\", expression = \"(equal (mine 1) \\\"AAb\\\")\", deps = [\"//:mine\"])\n",
    );
    ws.write(
        "BUILD",
        &format!("package(default_visibility = [\"//check:__pkg__\"])\n{}", ws.read("BUILD")),
    );
    ws.rbz("test //check").run().stdout_has("PASSED");
    ws.rbz("build //:mine_docs").exit_code(1).run().stderr_has("there is no repository `@nowhere`");
}

/// A project as ASDF allows it: files found by packages, tests that are looked up by name, definitions
/// for the compiler alone, data that are read while compiling, questions to ASDF.
#[test]
fn init_reads_what_asdf_would_do() {
    let ws = workspace()
        .file(
            "shapes.asd",
            r#"
(defpackage :shapes-system (:use :cl :asdf) (:export #:*depth*))
(defsystem "shapes"
  :class :package-inferred-system :pathname "src"
  :version (:read-file-form "version.sexp")
  :depends-on ("shapes/all")
  :in-order-to ((test-op (test-op "shapes/tests"))))
(defsystem "shapes/tests"
  :class :package-inferred-system
  :depends-on ("shapes/checks" "nowhere-to-be-found-not-needed")
  :perform (test-op (o c) (symbol-call :shapes/checks '#:run)))
(defsystem "plain" :components ((:file "plain") (:file "later" :depends-on ("plain")))
  :perform (test-op (o c)
             (or (funcall (intern (string '#:ok) (find-package '#:plain)))
                 (error "no"))))
(defsystem "program" :depends-on ("shapes") :entry-point "shapes/all:main")
"#,
        )
        .file("version.sexp", "\"1.5\"\n")
        .file(
            "src/all.lisp",
            "(uiop:define-package :shapes/all (:use :cl) (:use-reexport :shapes/area) (:export #:main))
(in-package :shapes/all)
(defvar shapes-system:*depth* 1)
(defparameter *version* #.(asdf:component-version (asdf:find-system \"shapes\")))
(defun main () (format t \"~a ~a~%\" (area 2) *version*))
",
        )
        .file(
            "src/area.lisp",
            "(defpackage :shapes/area (:use :cl) (:export #:area))
(in-package :shapes/area)
(defun area (side) (* side #.(with-open-file (in \"factor.txt\") (read in)) side))
",
        )
        .file("factor.txt", "10\n")
        .file("src/checks.lisp", "(defpackage :shapes/checks (:use :cl :shapes/area))\n")
        .file(
            "plain.lisp",
            "(defpackage :plain (:use :cl)) (in-package :plain)
(eval-when (:compile-toplevel)
  (defconstant +size+ 3))
(defun ok () (= #.+size+ 3))
",
        )
        .file("later.lisp", "(in-package :plain) (defun later () (ok))\n")
        .build();
    ws.remove("WORKSPACE");
    ws.rbz("init").run().stdout_has(
        "`shapes_tests` needs `nowhere-to-be-found-not-needed`: it has the tag `manual`",
    );
    ws.rbz("test //...").run().stdout_has("//:plain_test").stdout_has("PASSED");
    assert_eq!(ws.rbz("run //:program").run().stdout(), "40 1.5\n");
}

/// What only loading the definition tells, the Lisp is asked for.
#[test]
fn init_asks_the_lisp_for_systems_that_are_computed() {
    let ws = workspace()
        .file(
            "many.asd",
            "(defmacro parts (&rest names)
  `(progn ,@(loop for name in names
                  collect `(defsystem ,(format nil \"many/~a\" name)
                             :components ((:file ,name))))))
(parts \"a\" \"b\")
(when (> char-code-limit 1000) (pushnew :wide *features*))
(defsystem \"many\" :depends-on (\"many/a\" \"many/b\")
  :components (#+wide (:file \"c\") #-wide (:file \"d\")))
",
        )
        .file("a.lisp", "(defun a () 1)\n")
        .file("b.lisp", "(defun b () 2)\n")
        .file("c.lisp", "#-wide (error \"narrow\")\n(defun c () (+ (a) (b)))\n")
        .build();
    ws.remove("WORKSPACE");
    ws.rbz("init").run();
    ws.write(
        "BUILD",
        &(ws.read("BUILD")
            + "lisp_test(name = \"t\", expression = \"(= 3 (c))\", deps = [\":many\"])\n"),
    );
    ws.rbz("test //...").run().stdout_has("PASSED");
}

#[test]
fn info_shows_where_things_are() {
    let ws = workspace().build();
    let info = |key: &str| ws.rbz(&format!("info {key}")).run().stdout().trim().to_owned();
    assert_eq!(info("workspace"), ws.root().display().to_string());
    assert!(info("output_base").starts_with(&ws.output_user_root().display().to_string()));
    assert!(ws.rbz("info").run().stdout().contains("disk_cache: "));
    ws.rbz("info workspce").exit_code(2).run().stderr_has("workspace");

    ws.write("BUILD", "genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"touch $@\")\n");
    ws.rbz("build //:o").run();
    assert!(std::path::Path::new(&info("rbz-bin")).join("o.txt").exists());
}

#[test]
fn version_and_help_need_no_workspace() {
    let ws = workspace().build();
    ws.remove("WORKSPACE");
    ws.rbz("version").run().stdout_has("0.1.0");
    ws.rbz("--version").run().stdout_has("0.1.0");
    ws.rbz("help").run().stdout_has("rbz test //...");
    ws.rbz("help test").run().stdout_has("--test_output");
    ws.rbz("build --help").run().stdout_has("--jobs");
}

#[test]
fn bash_completes_commands_options_and_their_values() {
    let ws = workspace().build();
    let script = ws.rbz("completion bash").run().stdout().to_owned();
    ws.write("completion.bash", &script);
    let complete = |line: &str| {
        let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
        let ask = format!(
            "source completion.bash; COMP_WORDS=({}); COMP_CWORD={}; _rbz rbz {} ''; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1,
            words.last().expect("a line has words"),
        );
        let output = std::process::Command::new("bash")
            .args(["-c", &ask])
            .current_dir(ws.root())
            .output()
            .expect("bash is part of every Debian");
        String::from_utf8(output.stdout).expect("names of options are ASCII")
    };
    assert_eq!(complete("rbz bui"), "build\n");
    assert_eq!(complete("rbz build --keep"), "--keep_going\n");
    ws.rbz("completion bsh").exit_code(2).run().stderr_has("did you mean `bash`?");
}

#[test]
fn the_workspace_is_found_from_below() {
    let ws = tower().build();
    ws.rbz("build :words").in_directory("words").run().stderr_has("  rbz-bin/words/words");
    ws.rbz("build //weather").in_directory("words").run().stderr_has("  rbz-bin/weather/weather");
}

#[test]
fn among_the_outputs_or_nowhere_rbz_says_where_it_is() {
    let ws = tower().build();
    ws.rbz("build //words").run();
    let root = ws.root().display().to_string();
    for directory in ["rbz-out", "rbz-bin/words"] {
        let outcome = ws.rbz("build //words").in_directory(directory).exit_code(2).run();
        outcome.stderr_has(&format!("among the outputs of the workspace `{root}`"));
        outcome.stderr_lacks("rbz init");
    }
    let gone = ["sh", "-c", "mkdir gone; cd gone; rmdir ../gone; exec \"$@\"", "sh"];
    let outcome = ws.rbz("build //words").wrapped(gone).exit_code(2).run();
    outcome.stderr_has("the current directory is not there any more");
    ws.rbz("version").wrapped(gone).run().stdout_has("rbz ");
    ws.rbz("help build").wrapped(gone).run().stdout_has("keep_going");
}

#[test]
fn what_cannot_be_run_is_not_built_for_that() {
    let ws = build_file(
        "[genrule(name = n, outs = [n + \".txt\"], cmd = \"exit 1\") for n in [\"a\", \"b\"]]\n",
    )
    .build();
    let outcome = ws.rbz("run //...").exit_code(2).run();
    outcome.stderr_has("`rbz run` runs one program, and `//...` names 2 targets");
    assert!(outcome.events().actions().is_empty(), "{outcome}");
    let outcome = ws.rbz("run //:a").exit_code(2).run();
    outcome.stderr_has("`//:a` is not executable: a `genrule` is no program");
    assert!(outcome.events().actions().is_empty(), "{outcome}");
}

/// Tests that read their own text, and such that cannot run here.
#[test]
fn init_says_what_to_do_next() {
    let system = r#"
(defsystem "mine" :components ((:file "mine"))
  :perform (test-op (o c) (symbol-call :rt :do-tests)) :in-order-to ((test-op (load-op "nowhere"))))
"#;
    let ws = workspace().file("mine.asd", system).file("mine.lisp", "(defun mine () 1)\n").build();
    ws.remove("WORKSPACE");
    ws.rbz("init").run().stdout_has("Next: rbz build -k //...");
    ws.rbz("build -k //...").run();

    let system = r#"
(defsystem "own" :components ((:file "own")))
(defsystem "own/tests" :depends-on ("own") :components ((:file "tests"))
  :perform (test-op (o c) (symbol-call :own-tests :run)))
"#;
    let tests = "(defpackage #:own-tests (:use #:cl))\n(in-package #:own-tests)\n\
                 (defvar *here* #.*compile-file-truename*)\n\
                 (defun run () (and (probe-file *here*) t))\n";
    let ws = workspace().file("own.asd", system).file("own.lisp", "").file("tests.lisp", tests);
    let ws = ws.build();
    ws.remove("WORKSPACE");
    ws.rbz("init").run().stdout_has("Next: rbz test -k //...");
    ws.rbz("test -k //...").run().stdout_has("PASSED");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let ws =
        build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo o > $@\")\n").build();
    let pipe = ["bash", "-c", "set -o pipefail; \"$@\" | true", "bash"];
    let closed = ["bash", "-c", "exec \"$@\" <&- >&- 2>&-", "bash"];
    for command in ["help flags", "info", "build //:o", "clean"] {
        ws.rbz(command).wrapped(pipe).run();
        ws.rbz(command).wrapped(closed).run();
    }
}

#[test]
fn clean_removes_outputs_and_expunge_the_output_base() {
    let ws = build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"touch $@\")\n").build();
    ws.rbz("build //:o").run();
    let base = ws.rbz("info output_base").run().stdout().trim().to_owned();
    ws.rbz("clean").run();
    assert!(!ws.path("rbz-out").is_symlink());
    ws.rbz("build //:o").run();
    ws.rbz("clean --expunge").run();
    assert!(!std::path::Path::new(&base).join("execroot").exists());
}

#[test]
fn subcommands_shows_lines_that_can_be_read() {
    let ws = build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo 'it is' > $@\")\n")
        .own_cache()
        .build();
    let outcome = ws.rbz("build -s //:o").run();
    outcome.stderr_has("SUBCOMMAND").stderr_has("it is");
    ws.rbz("clean").run();
    ws.rbz("build -s //:o").run().stderr_lacks("SUBCOMMAND");
}

#[test]
fn the_profile_has_every_action_that_ran() {
    let ws = build_file(
        "[genrule(name = n, outs = [n + \".txt\"], cmd = \"touch $@\") for n in [\"a\", \"b\"]]\n\
         genrule(name = \"bad\", outs = [\"bad.txt\"], cmd = \"exit 1\")\n",
    )
    .own_cache()
    .build();
    ws.rbz("build -k --profile=profile.json //...").exit_code(1).run();
    let trace: serde_json::Value =
        serde_json::from_str(&ws.read("profile.json")).expect("the profile is JSON");
    let spans = trace["traceEvents"].as_array().expect("there are events").iter();
    let mut spans: Vec<String> = spans
        .filter(|span| span["ph"] == "X" && span["cat"] != "critical path component")
        .map(|span| {
            format!("{} {} {}", span["cat"], span["args"]["target"], span["args"]["result"])
        })
        .collect();
    spans.sort();
    assert_eq!(
        spans,
        [
            r#""Genrule" "//:a" "done""#,
            r#""Genrule" "//:b" "done""#,
            r#""Genrule" "//:bad" "failed""#,
            r#""phase" null null"#,
            r#""phase" null null"#,
        ]
    );
}

#[test]
fn a_build_without_a_terminal_is_plain_text() {
    let ws = build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo o > $@\")\n")
        .own_cache()
        .build();
    let outcome = ws.rbz("build //:o").run();
    assert!(!outcome.stderr().contains('\u{1b}'), "no colour, no movement: {outcome}");
    assert_eq!(outcome.stdout(), "");
    assert_snapshot!(outcome.golden());
    ws.rbz("clean").run();
    assert!(ws.rbz("build //:o --color=yes").run().stderr().contains('\u{1b}'));
}

#[test]
fn on_a_terminal_progress_is_drawn() {
    let ws = build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"sleep 1; echo o > $@\", message = \"Making o\")\n").own_cache().build();
    let outcome = ws.rbz("build //:o --curses=yes --color=yes").run();
    outcome.stderr_has("Making o").stderr_has("\u{1b}[");
}

#[test]
fn outputs_of_a_target_are_shown_where_they_are() {
    let ws = build_file(
        "genrule(name = \"o\", outs = [\"a.txt\", \"b.txt\"], cmd = \"touch $(OUTS)\")\n",
    )
    .build();
    ws.rbz("build //:o").run().stderr_has("  rbz-bin/a.txt\n  rbz-bin/b.txt\n");
}

#[test]
fn with_nobuild_nothing_is_executed_but_mistakes_are_found() {
    let ws = build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"exit 1\")\n").build();
    ws.rbz("build --nobuild //:o").run();
    ws.write(
        "BUILD",
        "genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"exit 1\", srcs = [\"//no:no\"])\n",
    );
    ws.rbz("build --nobuild //:o").exit_code(1).run().stderr_has("`//:o` names it in its `srcs`");
}
