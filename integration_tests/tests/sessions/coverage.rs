//! Coverage: which lines and branches count as run, and what is told of it.

use std::path::Path;
use std::process::Command;

use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::{Workspace, workspace};

/// What the combined report says of a file: its lines with their counts, and its branches.
fn counts(ws: &Workspace, source: &str) -> (String, String) {
    let report = ws.read("rbz-out/_coverage/_coverage_report.dat");
    of_file(&report, source)
}

fn of_file(report: &str, source: &str) -> (String, String) {
    let records = report.split("end_of_record\n");
    let mut of_source = records.filter(|record| record.contains(&format!("SF:{source}\n")));
    let record = of_source.next().unwrap_or_else(|| panic!("no `{source}` in\n{report}"));
    assert!(of_source.next().is_none(), "`{source}` is there twice in\n{report}");
    let rows = |key: &str| {
        let rows: Vec<&str> = record.lines().filter_map(|row| row.strip_prefix(key)).collect();
        rows.join(" ").replace(',', ":")
    };
    (rows("DA:"), rows("BRDA:"))
}

/// Each line says in its comment what is expected of it: nothing, or how many of the two tests run
/// it, however often; `load`: it runs when it is loaded.
const SHAPES: &str = r#"(in-package #:cl-user)                  ; load

(defvar *seen* (list :none              ; load
                     :at-all))          ; load
(defmacro twice (form)
  `(progn ,form
          ,form))
(declaim (inline half))                 ; load
(defun half (n)                         ; 1
  (/ n 2))                              ; 1
(defun area (kind n)                    ; 2
  "How much of the plane it covers;
of a KIND that is not known, nothing."
  (case kind                            ; 2
    (:square
     (* n                               ; 1
        n))                             ; 1
    ((:triangle :wedge)
     (half (* n n)))                    ; 1
    (:circle (* 3 n n))                 ; 0
    (otherwise
     nil)))                             ; 0
(defun name (n)                         ; 1
  (cond ((zerop n) :point)              ; 1 half
        ((plusp n)                      ; 1
         #+sbcl (twice (push n *seen*)) ; 1
         #-sbcl (foo)
         (if (evenp n)                  ; 1
             :even                      ; 0
             #.(intern "ODD" "KEYWORD"))) ; 1
        (t
         (error "negative"))))          ; 0
(defun never (x)                        ; load
  (when x                               ; 0
    (name x)))                          ; 0
(defun one-liner (x) (list x))          ; 0
"#;

/// What the comments of [`SHAPES`] say, as a report says it.
fn expected_lines() -> String {
    let lines = (1..).zip(SHAPES.lines()).filter_map(|(number, line)| {
        let words = line.rsplit_once("; ")?.1;
        let count = words.split(' ').next()?;
        Some(format!("{number}:{}", if count == "load" { "1" } else { count }))
    });
    lines.collect::<Vec<_>>().join(" ")
}

fn shapes() -> Workspace {
    workspace()
        .file(
            "geo/BUILD",
            r#"
lisp_library(name = "shapes", srcs = ["shapes.lisp"])
lisp_test(name = "area-test", srcs = ["area-test.lisp"], deps = [":shapes"])
lisp_test(name = "name-test", srcs = ["name-test.lisp"], deps = [":shapes"])
"#,
        )
        .file("geo/shapes.lisp", SHAPES)
        .file(
            "geo/area-test.lisp",
            "(defun main () (assert (= (area :triangle 4) 8)) (assert (= (area :wedge 2) 2)))\n",
        )
        .file(
            "geo/name-test.lisp",
            "(defun main () (assert (eq (name 3) :odd)) (assert (= 1 (area :square 1))))\n",
        )
        .build()
}

#[test]
fn lines_and_branches_of_lisp_are_exact() {
    let ws = shapes();
    let outcome = ws.rbz("coverage //...").run();
    let (lines, branches) = counts(&ws, "geo/shapes.lisp");
    assert_eq!(lines, expected_lines());
    // Only name-test decides anything by a test of its own: true of 3 is `plusp`, and no other.
    let at = |text: &str| 1 + SHAPES.lines().position(|line| line.contains(text)).expect(text);
    let (zerop, plusp, evenp) = (at("(zerop n)"), at("(plusp n)"), at("(evenp n)"));
    let when = at("(when x");
    assert_eq!(
        branches,
        format!(
            "{zerop}:0:0:0 {zerop}:0:1:1 {plusp}:0:0:1 {plusp}:0:1:0 {evenp}:0:0:0 {evenp}:0:1:1 \
             {when}:0:0:- {when}:0:1:-"
        )
    );
    outcome.stdout_has("geo/shapes.lisp").stdout_has(" branches\n");
    outcome.stderr_has("Coverage: file://").stderr_has("/_coverage/html/index.html");
    outcome.stderr_has("--instrumentation_filter=\"^//geo[/:]\"");
    // One test alone.
    let (own, _) = of_file(&ws.read("rbz-testlogs/geo/name-test/coverage.dat"), "geo/shapes.lisp");
    assert!(own.contains(&format!("{evenp}:1")) && own.contains(&format!("{}:0", at("(half (*"))));

    // The real genhtml takes it.
    let report = ws.path("rbz-out/_coverage/_coverage_report.dat");
    let genhtml = Command::new("genhtml")
        .args(["--branch-coverage", "--output-directory"])
        .arg(ws.base().join("genhtml"))
        .arg(&report)
        .current_dir(ws.root())
        .output()
        .expect("genhtml is installed");
    let said = String::from_utf8_lossy(&genhtml.stdout).into_owned();
    assert!(genhtml.status.success(), "{said}{}", String::from_utf8_lossy(&genhtml.stderr));
    assert!(said.contains("branches...: 37.5% (3 of 8 branches)"), "{said}");
    assert!(ws.base().join("genhtml/geo/shapes.lisp.gcov.html").exists(), "{said}");
}

#[test]
fn coverage_does_only_what_changed_and_leaves_other_builds_alone() {
    let ws = shapes();
    ws.rbz("test //...").run();
    ws.rbz("coverage //...").run();
    let again = ws.rbz("coverage //...").run();
    assert!(again.ran().is_empty(), "{again}");
    again.stdout_has("geo/shapes.lisp").shows("(cached) PASSED");
    let plain = ws.rbz("test //...").run();
    assert!(plain.ran().is_empty(), "the plain build is as it was: {plain}");
    let again = ws.rbz("coverage //...").run();
    assert!(again.ran().is_empty(), "{again}");

    let before = counts(&ws, "geo/shapes.lisp");
    ws.edit("geo/name-test.lisp", "(name 3) :odd", "(name 4) :even");
    let changed = ws.rbz("coverage //...").run();
    let tests = changed.ran_of("TestRunner");
    assert_eq!(tests.len(), 1, "{tests:?}");
    assert!(tests[0].contains("name-test"), "{tests:?}");
    assert_ne!(counts(&ws, "geo/shapes.lisp"), before);

    // Of one test, and without the report on all.
    let one = ws.rbz("coverage //geo:area-test --combined_report=none").run();
    one.stderr_has("coverage.dat for each test").stderr_lacks("_coverage_report.dat");
}

#[test]
fn c_code_counts_how_often_it_ran_over_tests_and_shards() {
    let ws = build_file(
        r#"
cc_library(name = "clamp", srcs = ["clamp.c"], hdrs = ["clamp.h"])
cc_test(name = "c-test", srcs = ["c_test.c"], deps = [":clamp"])
lisp_library(name = "foreign", srcs = ["foreign.lisp"], cdeps = [":clamp"])
lisp_test(name = "lisp-test", srcs = ["lisp-test.lisp"], deps = [":foreign"], shard_count = 2)
"#,
    )
    .file("clamp.h", "int clamp(int n, int most);\n")
    .file(
        "clamp.c",
        "#include \"clamp.h\"\n\nint clamp(int n, int most)\n{\n    if (n > most)\n        return most;\n    return n;\n}\n",
    )
    .file(
        "c_test.c",
        "#include \"clamp.h\"\n\nint main(void)\n{\n    return clamp(1, 5) - 1;\n}\n",
    )
    .file(
        "foreign.lisp",
        "(defun clamp (n most)\n  (sb-alien:alien-funcall\n   (sb-alien:extern-alien \"clamp\" (function sb-alien:int sb-alien:int sb-alien:int))\n   n most))\n",
    )
    .file(
        "lisp-test.lisp",
        r#"(defun main ()
  (close (open (sb-ext:posix-getenv "TEST_SHARD_STATUS_FILE") :direction :output))
  (assert (= 5 (clamp 9 5)))
  (when (string= "1" (sb-ext:posix-getenv "TEST_SHARD_INDEX"))
    (assert (= 4 (clamp 4 5)))))
"#,
    )
    .build();
    ws.rbz("coverage //...").run();
    // Called once by the test of C, once by the first shard and twice by the second.
    let (lines, branches) = counts(&ws, "clamp.c");
    assert_eq!(lines, "3:4 5:4 6:2 7:2");
    assert_eq!(branches, "5:0:0:2 5:0:1:2");
    let (lines, _) = counts(&ws, "foreign.lisp");
    assert_eq!(lines, "1:2 2:2 3:2 4:2", "two shards ran it");
    assert!(!ws.read("rbz-out/_coverage/_coverage_report.dat").contains("c_test.c"));

    let with_tests = ws.rbz("coverage //:c-test --instrument_test_targets").run();
    with_tests.stdout_has("c_test.c").stdout_has("clamp.c");
    assert_eq!(counts(&ws, "c_test.c").0, "3:1 5:1");
}

#[test]
fn marks_are_written_on_every_way_out() {
    let mut build = "lisp_library(name = \"ways\", srcs = [\"ways.lisp\"])\n".to_owned();
    let mut ws = workspace();
    let ends = [
        ("abort", "(sb-ext:exit :code 0 :abort t)"),
        ("error", "(error \"it ends so\")"),
        ("timeout", "(loop)"),
        (
            "fork",
            "(if (zerop (c \"fork\")) (progn (child) (sb-ext:exit :abort t :code 0)) (c \"wait\" 0))",
        ),
        ("killed", "(c \"kill\" (c \"getpid\") 9)"),
    ];
    for (name, end) in ends {
        build += &format!(
            "lisp_test(name = \"{name}-test\", srcs = [\"{name}.lisp\"], deps = [\":ways\"])\n"
        );
        ws = ws.file(&format!("{name}.lisp"), &format!("(defun main () (by-{name}) {end})\n"));
    }
    build += "lisp_binary(name = \"linked\", srcs = [\"linked.lisp\"], deps = [\":ways\"])\n\
              sh_test(name = \"linked-test\", srcs = [\"linked.sh\"], data = [\":linked\"])\n";
    let functions: String = ["abort", "error", "timeout", "fork", "killed", "linked"]
        .iter()
        .map(|name| format!("(defun by-{name} ()\n  (list 1))\n"))
        .collect();
    let c = "(defmacro c (name &rest arguments)\n  `(sb-alien:alien-funcall (sb-alien:extern-alien ,name (function sb-alien:int ,@(mapcar (constantly 'sb-alien:long) arguments))) ,@arguments))\n(defun child ()\n  (list 2))\n";
    let ws = ws
        .file("BUILD", &build)
        .file("ways.lisp", &format!("{functions}{c}"))
        .file("linked.lisp", "(defun main () (by-linked))\n")
        .file("linked.sh", "#!/bin/sh\n./linked\n")
        .build();
    let outcome = ws.rbz("coverage //... --test_timeout=3 --keep_going").exit_code(3).run();
    outcome.shows("TIMEOUT in ").stderr_has(
        "//:killed-test: a process of `killed-test` was killed before it could write what it ran",
    );
    let (lines, _) = counts(&ws, "ways.lisp");
    // The second line of each function: that of the process that was killed is lost.
    let bodies: Vec<&str> = lines
        .split(' ')
        .filter(|line| {
            line.starts_with(['2', '4', '6', '8'])
                || line.starts_with("10:")
                || line.starts_with("12:")
        })
        .collect();
    assert_eq!(bodies, ["2:1", "4:1", "6:1", "8:1", "10:0", "12:1"], "{lines}");
    let child = 1 + ws.read("ways.lisp").lines().position(|line| line == "  (list 2))").unwrap();
    assert!(lines.contains(&format!("{child}:1")), "a forked process: {lines}");
}

#[test]
fn code_that_cannot_be_instrumented_is_built_without_and_told_of() {
    let ws = build_file(
        r#"
lisp_library(name = "mixed", srcs = ["good.lisp", "bad.lisp"])
lisp_library(name = "left", srcs = ["left.lisp"], instrument_coverage = 0)
lisp_test(name = "t", srcs = ["t.lisp"], deps = [":mixed", ":left"])
"#,
    )
    .file("good.lisp", "(defun good ()\n  (list 1))\n")
    .file("left.lisp", "(defun left ()\n  (list 1))\n")
    .file(
        "bad.lisp",
        r#"(defmacro without-marks (&environment env)
  (unless (zerop (sb-c::policy-quality (sb-c::lexenv-policy (sb-c::coerce-to-lexenv env)) 'sb-c:store-coverage-data))
    (error "this takes no marks"))
  1)
(defun bad () (without-marks))
"#,
    )
    .file("t.lisp", "(defun main () (good) (bad) (left))\n")
    .build();
    let outcome = ws.rbz("coverage //...").run();
    outcome.stderr_has("bad.lisp: warning: it cannot be compiled with marks of coverage");
    outcome
        .stderr_has("WARNING: bad.lisp could not be instrumented: ")
        .stderr_has("this takes no marks");
    let report = ws.read("rbz-out/_coverage/_coverage_report.dat");
    assert_eq!(of_file(&report, "good.lisp").0, "1:1 2:1");
    assert!(!report.contains("left.lisp") && !report.contains("SF:bad.lisp"), "{report}");
    let page = ws.read("rbz-out/_coverage/html/index.html");
    assert!(page.contains("not instrumented"), "{page}");

    let nothing = ws.rbz("coverage //... --instrumentation_filter=//nowhere").run();
    nothing.stderr_has("--instrumentation_filter=\"//nowhere\" selects nothing that the tests use");
    let wrong = ws.rbz("coverage //... --instrumentation_filter=(").exit_code(2).run();
    wrong.shows("`(` is no regular expression").shows("`//app[/:],-//app/tests`");
    ws.rbz("coverage").exit_code(2).run().shows("`rbz coverage //...`");
    ws.rbz("coverage //:left").exit_code(4).run().shows("No test targets were found");
}

/// What a page says when a browser has shown it, and these keys were pressed.
fn browsed(ws: &Workspace, page: &str, keys: &str) -> String {
    let directory = ws.base().join("browsed");
    std::fs::create_dir_all(&directory).unwrap();
    let presses: String = keys
        .chars()
        .map(|key| {
            format!("document.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}'}}));")
        })
        .collect();
    let told = "document.title = document.activeElement.textContent.trim() + ' | ' + (document.getElementById('where') || {textContent: ''}).textContent;";
    let text = ws.read(page) + &format!("<script>{presses}{told}</script>");
    let file = directory.join("page.html");
    std::fs::write(&file, text).unwrap();
    let output = chromium(&directory).arg("--dump-dom").arg(&file).output();
    let shown =
        String::from_utf8_lossy(&output.expect("chromium is installed").stdout).into_owned();
    let title = shown.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
    title.unwrap_or_else(|| panic!("no title in {shown}")).to_owned()
}

fn chromium(directory: &Path) -> Command {
    let mut command = Command::new("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--window-size=1200,900",
    ]);
    command.arg(format!("--user-data-dir={}", directory.join("profile").display()));
    command.env("HOME", directory);
    command
}

#[test]
fn pages_can_be_used_by_keyboard() {
    let ws = shapes();
    ws.rbz("coverage //geo:name-test").run();
    let page = "rbz-out/_coverage/html/source/geo/shapes.lisp.html";
    let half = 1 + SHAPES.lines().position(|line| line.contains("(half (*")).unwrap();
    let first = browsed(&ws, page, "");
    assert!(first.contains("places did not run, or only in part"), "{first}");
    let second = browsed(&ws, page, "jj");
    assert!(second.contains(" | 2 of "), "{second}");
    let back = browsed(&ws, page, "jjjk");
    assert_eq!(second, back);
    assert!(browsed(&ws, page, "k").contains("line "), "the last place");
    let index = "rbz-out/_coverage/html/index.html";
    assert!(browsed(&ws, index, "jj").starts_with("shapes.lisp"), "a file has the focus");
    assert!(ws.read(page).contains(&format!("id=\"L{half}\" class=\"uncovered\"")));
    // It is drawn: not one colour all over.
    let picture = ws.base().join("browsed/page.png");
    let address = ws.path(page).canonicalize().unwrap();
    let output = chromium(&ws.base().join("browsed"))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(&address)
        .output()
        .unwrap();
    let size = std::fs::metadata(&picture).map_or(0, |data| data.len());
    assert!(size > 20_000, "{size} bytes: {}", String::from_utf8_lossy(&output.stderr));
}
