//! Tests of Lisp: expressions, and the cases of test frameworks one by one.

use std::process::Command;

use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::workspace::{Workspace, WorkspaceBuilder};
use rbz_integration_tests::workspace_from;

const SOURCES: &str = "/usr/share/common-lisp/source";

/// A workspace with the frameworks of the distribution, and a package `//own` with these files.
fn with_frameworks(build: &str, files: &[(&str, &str)]) -> WorkspaceBuilder {
    let builder = workspace_from("integration_tests/workspaces/libraries").file("own/BUILD", build);
    files.iter().fold(builder, |builder, (name, text)| builder.file(&format!("own/{name}"), text))
}

const FIVEAM: &str = r#"(defpackage #:numbers (:use #:common-lisp #:fiveam))
(in-package #:numbers)
(def-suite arithmetic)
(in-suite arithmetic)
(defun plus (a b) (+ a b))
(test sums
  (is (= 4 (plus 2 2)))
  (is (= 5
         (plus 2 2))))
(test (products :depends-on sums) (is (= 6 (* 2 3))))
(def-suite text)
(test (letters :suite text) (is (string= "a" "a")) (is-true (evenp 3) "because ~a" 3))
(test (later :suite text) (skip "not yet"))
(test (broken :suite text) (error "out of ]]> ~a & <b>" #\Bel))
"#;

const FIVEAM_BUILD: &str = r#"
lisp_test(name = "five", srcs = ["five.lisp"], deps = ["@fiveam"])
lisp_test(name = "some", srcs = ["five.lisp"], deps = ["@fiveam"], suites = ["text", "-letters", "-broken"])
lisp_test(name = "shards", srcs = ["five.lisp"], deps = ["@fiveam"], suites = ["letters", "later"], shard_count = 3)
"#;

/// Says that a report is XML, for programs that are strict.
fn assert_valid(ws: &Workspace, report: &str) {
    let output = Command::new("xmllint").arg("--noout").arg(ws.path(report)).output();
    let output = output.expect("`cargo xtask setup` installs xmllint");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn cases_of_fiveam_are_told_one_by_one() {
    let ws = with_frameworks(FIVEAM_BUILD, &[("five.lisp", FIVEAM)]).build();
    let outcome = ws.rbz("test //own:five").exit_code(3).run();
    outcome.stdout_has(", 3 of 5 cases\n");
    outcome.stdout_has("\nTest cases: 0 passed, 3 failed, 2 skipped.\n");
    for message in [
        r#"own/five.lisp:8:7: error: test `arithmetic/sums` failed: (= 5 (plus 2 2))
    8 |   (is (= 5
      |       ^
  expected: 5
    actual: 4
"#,
        r#"own/five.lisp:12:61: error: test `text/letters` failed: (evenp 3)
   12 | (test (letters :suite text) (is (string= "a" "a")) (is-true (evenp 3) "because ~a" 3))
      |                                                             ^
   message: because 3
"#,
        "own/five.lisp:14:1: error: test `text/broken` was ended by an error: out of ]]> \u{fffd} & <b>\n",
    ] {
        outcome.stderr_has(message);
    }
    let log = ws.read("rbz-testlogs/own/five/test.log");
    assert!(log.contains("test `text/later` was skipped: not yet\n"), "{log}");
    assert!(log.contains("test `arithmetic/products` was skipped: Dependencies"), "{log}");
    assert!(log.ends_with("5 test cases: 0 passed, 3 failed, 2 skipped\n"), "{log}");

    let report = "rbz-testlogs/own/five/test.xml";
    assert_valid(&ws, report);
    let xml = ws.read(report);
    for part in [
        r#"<testsuite name="own/five" tests="5" failures="2" errors="1" skipped="2" time=""#,
        r#"<testcase name="sums" classname="arithmetic" file="own/five.lisp" line="6" status="run""#,
        r#"<failure message="(= 5 (plus 2 2))" type="failed">own/five.lisp:8:7: error: "#,
        r#"<skipped message="not yet"/>"#,
        r#"<error message="out of ]]&gt; "#,
    ] {
        assert!(xml.contains(part), "{part}\n{xml}");
    }

    let json = ws.rbz("test //own:five --diagnostics=json").exit_code(3).run();
    json.stdout_has(r#""file":"own/five.lisp""#);
    json.stdout_has("test `arithmetic/sums` failed: (= 5 (plus 2 2))");
}

#[test]
fn suites_filters_and_shards_choose_among_the_cases() {
    let ws = with_frameworks(FIVEAM_BUILD, &[("five.lisp", FIVEAM)]).build();
    ws.rbz("test //own:some").run().stdout_has(", 1 case\n").stdout_has("0 passed, 1 skipped.");

    let cases = |filter: &str, status: i32| {
        let flag = format!("--test_filter={filter}");
        let line = ["test", "//own:five", &flag];
        ws.rbz_args(line).exit_code(status).run();
        let xml = ws.read("rbz-testlogs/own/five/test.xml");
        let names = xml.split("<testcase name=\"").skip(1);
        names.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(cases("Sums", 3), ["sums"]);
    assert_eq!(cases("numbers::sums", 3), ["sums"]);
    assert_eq!(cases("text,-letters,-bro*", 0), ["later"]);
    assert_eq!(cases("text/la?er", 0), ["later"]);
    let none = ws.rbz("test //own:five --test_filter=nothing").exit_code(4).run();
    none.stderr_has("no test case matches `--test_filter=nothing`");
    let log = ws.read("rbz-testlogs/own/five/test.log");
    assert!(
        log.contains(
            "no test matches the filter `nothing`: there are `arithmetic`, `text`, `sums`"
        )
    );

    let outcome = ws.rbz("test //own:shards").exit_code(3).run();
    outcome.stdout_has("FAILED in 1 out of 3 in ").stdout_has(", 1 of 2 cases\n");
    let third = ws.read("rbz-testlogs/own/shards/shard_3_of_3/test.log");
    assert_eq!(third, "0 test cases: 0 passed\n", "a shard without cases passes");
}

/// The log of a test, with what it said of its cases.
fn log_of(ws: &Workspace, name: &str) -> String {
    assert_valid(ws, &format!("rbz-testlogs/own/{name}/test.xml"));
    ws.read(&format!("rbz-testlogs/own/{name}/test.log"))
}

#[test]
fn the_frameworks_of_the_distribution_are_known() {
    let ws = with_frameworks(
        r#"
lisp_test(name = "rt", srcs = ["rt.lisp"], deps = ["@rt"])
lisp_test(name = "xlunit", srcs = ["xlunit.lisp"], deps = ["@xlunit"])
lisp_test(name = "fiasco", srcs = ["fiasco.lisp"], deps = ["@fiasco"])
lisp_test(
    name = "ptester",
    srcs = ["ptester.lisp"],
    expression = "(pt:run)",
    framework = "ptester",
    deps = ["@ptester"],
)
"#,
        &[
            (
                "rt.lisp",
                r#"(defpackage #:regressions (:use #:common-lisp #:rt))
(in-package #:regressions)
(deftest one (+ 1 1) 2)
(deftest two (values 1 (list 2 "a")) 1 (2 "b"))
(deftest three
  (error "a message"))
(deftest four 1 2)
(push 'four regression-test::*expected-failures*)
"#,
            ),
            (
                "xlunit.lisp",
                r#"(defpackage #:xl (:use #:common-lisp #:xlunit))
(in-package #:xl)
(defclass sums (test-case) ((two :accessor two)))
(defmethod set-up ((self sums)) (setf (two self) 2))
(def-test-method test-add ((self sums) :run nil)
  (assert-equal 4 (+ (two self) 2)))
(def-test-method test-subtract ((self sums) :run nil)
  (assert-equal 4 (- (two self) 2) "difference"))
(def-test-method test-error ((self sums) :run nil)
  (error "a message"))
"#,
            ),
            (
                "fiasco.lisp",
                r#"(fiasco:define-test-package #:fi (:use #:common-lisp))
(in-package #:fi)
(deftest adds () (is (= 4 (+ 2 2))))
(deftest subtracts ()
  (is (= 4 (- 2 2)))
  (signals error (list 1)))
(deftest breaks () (error "a message"))
(deftest waits () (skip) (is (= 1 2)))
"#,
            ),
            (
                "ptester.lisp",
                r#"(defpackage #:pt (:use #:common-lisp) (:export #:run))
(in-package #:pt)
(defun run ()
  (ptester:with-tests (:name "sums")
    (ptester:test 4 (+ 2 2))
    (ptester:test 5 (+ 2 2))
    (ptester:test '(1 2) (values 1 3) :multiple-values t :fail-info "look here")
    (ptester:test-error (list 1))
    (ptester:test 6 (+ 2 2) :known-failure t)
    (ptester:test 6 (error "a message"))))
"#,
            ),
        ],
    )
    .build();
    let outcome = ws.rbz("test -k //own:all").exit_code(3).run();
    outcome.stdout_has("Executed 4 out of 4 tests: 4 tests fail");
    outcome.stdout_has("\nTest cases: 4 passed, 10 failed, 3 skipped.\n");
    insta::assert_snapshot!(log_of(&ws, "rt"), @r#"
    own/rt.lisp:4:14: error: test `two` failed: (values 1 (list 2 "a"))
        4 | (deftest two (values 1 (list 2 "a")) 1 (2 "b"))
          |              ^
      expected: 1, (2 "b")
        actual: 1, (2 "a")
    own/rt.lisp:6:3: error: test `three` was ended by an error: a message
        6 |   (error "a message"))
          |   ^
          form: (error "a message")
      condition: common-lisp:simple-error
    test `four` was skipped: it failed, as RT was told to expect
    4 test cases: 1 passed, 2 failed, 1 skipped
    "#);
    insta::assert_snapshot!(log_of(&ws, "xlunit"), @r#"
    own/xlunit.lisp:7:1: error: test `sums/test-subtract` failed: Assert equal: 4 0 difference
        7 | (def-test-method test-subtract ((self sums) :run nil)
          | ^
    own/xlunit.lisp:9:1: error: test `sums/test-error` was ended by an error: a message
        9 | (def-test-method test-error ((self sums) :run nil)
          | ^
      condition: common-lisp:simple-error
    3 test cases: 1 passed, 2 failed
    "#);
    insta::assert_snapshot!(log_of(&ws, "fiasco"), @r#"
    own/fiasco.lisp:5:7: error: test `all-tests/fi/subtracts` failed: (= 4 (- 2 2))
        5 |   (is (= 4 (- 2 2)))
          |       ^
      expected: = of both
        actual: 4 and 0
    own/fiasco.lisp:6:18: error: test `all-tests/fi/subtracts` failed: (list 1)
        6 |   (signals error (list 1)))
          |                  ^
       message: ((LIST 1)) failed to signal a condition of type ERROR
    own/fiasco.lisp:7:1: error: test `all-tests/fi/breaks` was ended by an error: a message
        7 | (deftest breaks () (error "a message"))
          | ^
      condition: common-lisp:simple-error
    test `all-tests/fi/waits` was skipped
    4 test cases: 1 passed, 2 failed, 1 skipped
    "#);
    let ptester = log_of(&ws, "ptester");
    for part in [
        "test `(+ 2 2)` failed: (+ 2 2)\n  expected: 5\n    actual: 4\n",
        "test `(values 1 3)` failed: (values 1 3)\n  expected: 1, 2\n    actual: 1, 3\n   message: look here\n",
        "test `(list 1)` failed: (list 1)\n  expected: simple-error is signalled\n    actual: nothing is signalled\n",
        "test `(+ 2 2)` was skipped: a known failure\n",
        "error: test `check 6` was ended by an error: a message\n  condition: common-lisp:simple-error\n",
    ] {
        assert!(ptester.contains(part), "{part}\n{ptester}");
    }
}

#[test]
fn a_framework_of_ones_own_has_an_adapter() {
    let adapter = r#"(rbz.test:define-framework "checks"
  :cases (lambda ()
           (loop for (name form) in (rbz.test:value "CHECKS::*CHECKS*")
                 collect (rbz.test:make-test-case name :data form)))
  :run (lambda (case)
         (let* ((form (rbz.test:case-data case)) (value (eval form)))
           (if value
               (rbz.test:passed :form form)
               (rbz.test:failed :form form :expected t :actual value)))))
"#;
    let ws = build_file(
        "lisp_test(name = \"t\", srcs = [\"t.lisp\"], framework_adapter = \"checks-adapter.lisp\")\n\
         lisp_test(name = \"empty\", srcs = [\"t.lisp\"], framework_adapter = \"t.lisp\")\n",
    )
    .file("checks-adapter.lisp", adapter)
    .file(
        "t.lisp",
        "(defpackage #:checks (:use #:common-lisp))\n(in-package #:checks)\n(defvar *checks* '())\n\
         (defmacro check (name form) `(push '(,name ,form) *checks*))\n(check good (= 1 1))\n\
         (check bad\n  (= 1 2))\n",
    )
    .build();
    let outcome = ws.rbz("test //:t").exit_code(3).run();
    outcome.stderr_has("t.lisp:7:3: error: test `bad` failed: (= 1 2)\n");
    outcome.stderr_has("  expected: t\n    actual: nil\n");
    outcome.stdout_has(", 1 of 2 cases\n");
    ws.rbz("test //:empty").exit_code(1).run().stderr_has(
        "BUILD:2:1: error: `//:empty`: `framework_adapter`: t.lisp defines no framework\n  \
         hint: it calls (rbz.test:define-framework",
    );
}

#[test]
fn a_test_that_ends_in_the_middle_tells_what_ran_and_what_was_running() {
    let test = |name: &str, form: &str| {
        format!(
            "lisp_test(name = \"{name}\", srcs = [\"{name}.lisp\"], size = \"small\", deps = [\"@rt\"])\n#{form}\n"
        )
    };
    let source = |form: &str| {
        format!(
            "(defpackage #:ends (:use #:common-lisp #:rt))\n(in-package #:ends)\n(deftest first 1 1)\n\
             (deftest second {form} 1)\n(deftest third 1 1)\n"
        )
    };
    let ways = [
        ("quits", "(sb-ext:exit :code 0)"),
        ("aborts", "(sb-ext:exit :code 0 :abort t)"),
        ("hangs", "(sleep 1000)"),
        ("killed", "(sb-unix:unix-kill (sb-unix:unix-getpid) 9)"),
    ];
    let build: String = ways.iter().map(|(name, form)| test(name, form)).collect();
    let sources: Vec<_> =
        ways.iter().map(|(name, form)| (format!("{name}.lisp"), source(form))).collect();
    let files: Vec<_> = sources.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let ws = with_frameworks(&build, &files).build();
    let outcome = ws.rbz("test -k //own:all --test_timeout=2").exit_code(3).run();
    for (name, _) in ways {
        let report = format!("rbz-testlogs/own/{name}/test.xml");
        assert_valid(&ws, &report);
        let xml = ws.read(&report);
        assert!(xml.contains("tests=\"2\" failures=\"0\" errors=\"1\""), "{name}: {xml}");
        assert!(xml.contains("<testcase name=\"first\" "), "{name}: {xml}");
        assert!(xml.contains("<error message=\"the program ended while this test ran\""), "{xml}");
        assert!(!xml.contains("third"), "{name}: {xml}");
    }
    let log = ws.read("rbz-testlogs/own/aborts/test.log");
    assert!(log.contains("-- the test ended before it was done, with status 0 --"), "{log}");
    outcome.stdout_has("//own:hangs").stdout_has("TIMEOUT in 2.");
    outcome.stdout_has("\nTest cases: 4 passed, 4 failed.\n");
}

#[test]
fn what_a_case_exhausts_or_breaks_ends_that_case_alone() {
    let ws = with_frameworks(
        "lisp_test(name = \"t\", srcs = [\"t.lisp\"], deps = [\"@rt\"])\n",
        &[(
            "t.lisp",
            r#"(defpackage #:limits (:use #:common-lisp #:rt))
(in-package #:limits)
(defun deep (n) (1+ (deep (1+ n))))
(deftest stack (deep 0) 1)
(deftest breaks (break "here") 1)
(deftest |a "strange" <name> & more| (string (code-char 1)) 2)
(deftest good 1 1)
"#,
        )],
    )
    .build();
    let outcome = ws.rbz("test //own:t").exit_code(3).run();
    outcome.stdout_has("\nTest cases: 1 passed, 3 failed.\n");
    let log = log_of(&ws, "t");
    assert!(
        log.contains("error: test `stack` was ended by an error: Control stack exhausted"),
        "{log}"
    );
    assert!(log.contains("error: test `breaks` was ended by an error: here"), "{log}");
}

#[test]
fn a_wrong_expression_or_framework_is_told_at_the_target() {
    let ws = with_frameworks(
        r#"lisp_test(name = "package", expression = "(nowhere:run)")
lisp_test(name = "open", expression = "(list 1")
lisp_test(name = "undefined", expression = "(list (run-all))")
lisp_test(name = "two", expression = "(list 1) t")
lisp_test(name = "nothing")
lisp_test(name = "absent", framework = "fiveam")
lisp_test(name = "suite", srcs = ["five.lisp"], deps = ["@fiveam"], suites = ["arithmetics"])
lisp_test(name = "none", framework = "fiveam", deps = ["@fiveam"])
lisp_test(name = "unnamed", framework = "ptester", deps = ["@ptester"])
lisp_test(name = "both", srcs = ["five.lisp", "rt.lisp"], deps = ["@fiveam", "@rt"])
lisp_test(name = "twice", srcs = ["five.lisp"], framework = "fiveam", expression = "t", deps = ["@fiveam"])
"#,
        &[
            ("five.lisp", FIVEAM),
            ("rt.lisp", "(rt:deftest one 1 1)\n"),
            ("more/BUILD", "lisp_test(name = \"main\", main = \"f\", suites = [\"x\"])\n"),
            ("name/BUILD", "lisp_test(name = \"name\", framework = \"fiveem\")\n"),
        ],
    )
    .build();
    let outcome = ws.rbz("test -k //own:all").exit_code(1).run();
    for message in [
        "own/BUILD:1:1: error: `//own:package`: `expression` is (nowhere:run): Package NOWHERE does not exist.\n  hint: it names",
        "own/BUILD:2:1: error: `//own:open`: `expression` is (list 1: ",
        "own/BUILD:3:1: error: `//own:undefined`: `expression` is (list (run-all)): undefined function: ",
        "own/BUILD:4:1: error: `//own:two`: there is more than one form: (list 1) t\n",
        "own/BUILD:5:1: error: `//own:nothing`: `main` is main, but no function of this name is defined",
        "own/BUILD:6:1: error: `//own:absent`: `framework` is fiveam, but nothing that the test depends on has the package IT.BESE.FIVEAM\n  hint: the target",
        "own/BUILD:7:1: error: `//own:suite`: `suites`: no test or suite is called `arithmetics`\n  hint: there are `arithmetic`, `text`,",
        "own/BUILD:8:1: error: `//own:none`: fiveam knows no test\n",
        "own/BUILD:9:1: error: `//own:unnamed`: tests of ptester cannot be listed before they run\n  hint: expression = ",
        "own/BUILD:10:1: error: `//own:both`: tests of fiveam and of rt are defined\n  hint: framework = ",
        "own/BUILD:11:1: error: `//own:twice`: `expression` and `framework` are both given",
    ] {
        outcome.stderr_has(message);
    }
    let main = ws.rbz("build //own/more:main").exit_code(1).run();
    main.stderr_has("`main` and `suites` are both given: a test runs one of them");
    let name = ws.rbz("build //own/name").exit_code(1).run();
    name.stderr_has("fiveem").stderr_has("fiveam");

    ws.write(
        "own/BUILD",
        r#"lisp_test(name = "error", expression = "(error \"a message\")")
lisp_test(name = "false", expression = "(null 1)")
"#,
    );
    ws.rbz("test -k //own:all").exit_code(3).run();
    let log = ws.read("rbz-testlogs/own/error/test.log");
    assert!(
        log.starts_with("//own:error: error: the expression (error \"a message\") was ended by an error: a message\n"),
        "{log}"
    );
    let log = ws.read("rbz-testlogs/own/false/test.log");
    assert!(
        log.starts_with("//own:false: error: the expression is false: (null 1)\n  hint: "),
        "{log}"
    );
}

#[test]
fn a_library_is_there_for_others_only_if_its_tests_pass() {
    let ws = with_frameworks(
        r#"
lisp_library(name = "lib", srcs = ["lib.lisp"], tests = ["lib-tests.lisp"], tests_deps = ["@rt"])
lisp_library(name = "user", srcs = ["user.lisp"], deps = [":lib"])
lisp_binary(
    name = "program",
    main = "lib:main",
    tests_expression = "(= 3 (lib:add 1 2))",
    deps = [":user"],
)
"#,
        &[
            (
                "lib.lisp",
                "(defpackage #:lib (:use #:common-lisp) (:export #:add #:main))\n(in-package #:lib)\n\
                 (defun add (a b) (+ a b))\n(defun main () (print (add 1 2)))\n",
            ),
            (
                "lib-tests.lisp",
                "(defpackage #:lib-tests (:use #:common-lisp #:rt))\n(in-package #:lib-tests)\n\
                 (deftest sum (lib:add 1 1) 2)\n",
            ),
            ("user.lisp", "(defun use () (lib:add 1 2))\n"),
        ],
    )
    .build();
    ws.rbz("build //own:all").run();
    assert!(ws.rbz("build //own:all").run().ran().is_empty(), "what passed is known");

    ws.edit("own/lib-tests.lisp", "(lib:add 1 1) 2)", "(lib:add 1 1) 3)");
    let outcome = ws.rbz("build -k //own:all").exit_code(1).run();
    outcome.stderr_has("ERROR: //own:lib: Testing //own:lib failed: exit status 1 (LispTest)");
    outcome.stderr_has("own/lib-tests.lisp:3:14: error: test `sum` failed: (lib:add 1 1)\n");
    for target in ["lib", "user", "program"] {
        outcome.stderr_has(&format!("Target //own:{target} failed to build"));
    }

    ws.edit("own/lib-tests.lisp", "(lib:add 1 1) 3)", "(lib:add 1 1) 2)");
    ws.edit("own/BUILD", "(= 3 (lib:add 1 2))", "(= 4 (lib:add 1 2))");
    let outcome = ws.rbz("build -k //own:all").exit_code(1).run();
    outcome.stderr_has(
        "own/BUILD:4:1: error: `//own:program`: `tests_expression` is false: (= 4 (lib:add 1 2))",
    );
    ws.edit("own/BUILD", "(= 4 (lib:add 1 2))", "(nowhere:run)");
    let outcome = ws.rbz("build -k //own:all").exit_code(1).run();
    outcome.stderr_has("own/BUILD:4:1: error: `//own:program`: Package NOWHERE does not exist.");
}

/// The project of a library of the distribution, as its author has it, after `rbz init`.
fn initialised(library: &str) -> Workspace {
    let from = std::path::Path::new(SOURCES).join(library);
    let mut builder = rbz_integration_tests::workspace();
    for entry in walkdir::WalkDir::new(&from).into_iter().flatten() {
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(&from).expect("the walk began there");
            let text = rbz_integration_tests::workspace::read(entry.path());
            builder = builder.file(name.to_str().expect("names are ASCII"), &text);
        }
    }
    let ws = builder.build();
    ws.remove("WORKSPACE");
    ws.rbz("init").run();
    ws
}

#[test]
fn init_drafts_tests_by_their_framework() {
    let build = initialised("cl-split-sequence").read("BUILD");
    assert!(
        build.contains("framework = \"fiveam\",\n    suites = [\"split-sequence\"],"),
        "{build}"
    );

    // The tests of esrap ask for their own library by `require`.
    let ws = initialised("esrap");
    ws.rbz("build //...").run();
}
