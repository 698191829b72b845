//! Tests: what they see, what is reported, what is kept.

use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::workspace::WorkspaceBuilder;

/// A package with one test `//:t` that is this script.
fn script(text: &str) -> WorkspaceBuilder {
    script_with("", text)
}

fn script_with(attributes: &str, text: &str) -> WorkspaceBuilder {
    build_file(&format!("sh_test(name = \"t\", srcs = [\"t.sh\"], {attributes})\n"))
        .file("t.sh", &format!("#!/bin/bash\n{text}\n"))
}

#[test]
fn a_test_that_passes_is_reported_and_its_log_kept() {
    let ws = script("echo all is well").build();
    let outcome = ws.rbz("test //:t").run();
    outcome.shows("//:t").shows("PASSED in ");
    assert!(ws.read("rbz-testlogs/t/test.log").contains("all is well\n"));
    let xml = ws.read("rbz-testlogs/t/test.xml");
    assert!(xml.contains("<testsuite ") && xml.contains("failures=\"0\""), "{xml}");
    assert!(xml.contains("all is well"), "{xml}");
}

#[test]
fn a_test_that_fails_is_reported_with_its_log() {
    let ws = script("echo this is wrong; exit 5").build();
    let outcome = ws.rbz("test //:t").exit_code(3).run();
    outcome.shows("//:t").shows("FAILED in ");
    outcome.shows("test.log");
    let xml = ws.read("rbz-testlogs/t/test.xml");
    assert!(xml.contains("errors=\"1\"") && xml.contains("exited with error code 5"), "{xml}");

    let shown = ws.rbz("test //:t --test_output=errors").exit_code(3).run();
    shown.shows("this is wrong");
}

#[test]
fn a_result_is_known_the_second_time_unless_it_was_a_failure() {
    let ws = script("exit 0").build();
    ws.rbz("test //:t").run();
    let again = ws.rbz("test //:t").run();
    again.shows("(cached) PASSED");
    assert!(again.ran().is_empty(), "{again}");
    assert!(!ws.rbz("test //:t --cache_test_results=no").run().ran().is_empty());
    assert!(!ws.rbz("test //:t -t-").run().ran().is_empty());

    ws.write("t.sh", "#!/bin/bash\nexit 1\n");
    ws.rbz("test //:t").exit_code(3).run();
    let again = ws.rbz("test //:t").exit_code(3).run();
    assert!(!again.ran().is_empty(), "a failure runs again: {again}");
    assert!(!again.to_string().contains("(cached)"), "{again}");
}

#[test]
fn a_test_that_hangs_is_stopped_and_never_cached() {
    let ws = script_with("size = \"small\"", "echo begun; sleep 1000; echo never").build();
    for _ in 0..2 {
        let outcome = ws.rbz("test //:t --test_timeout=1").exit_code(3).run();
        outcome.shows("TIMEOUT in ");
        assert!(!outcome.to_string().contains("(cached)"), "{outcome}");
        let log = ws.read("rbz-testlogs/t/test.log");
        assert!(log.contains("begun") && !log.contains("never"), "{log}");
    }
}

#[test]
fn processes_that_a_test_leaves_behind_end_with_it() {
    // The test ends at once; its child would keep the pipe open for ever.
    let ws = script("sleep 1000 &\nexit 0").build();
    ws.rbz("test //:t").run().shows("PASSED");
}

#[test]
fn the_environment_is_that_of_the_protocol() {
    let ws = build_file("sh_test(name = \"t\", srcs = [\"t.sh\"], data = [\"data.txt\"], env = {\"MINE\": \"given\"}, args = [\"one\", \"two\"])\n")
        .file("data.txt", "data\n")
        .file("t.sh", r#"#!/bin/bash
set -eu
[[ "$TEST_TARGET" == "//:t" ]]
[[ "$TEST_WORKSPACE" == "test" ]]
[[ -w "$TEST_TMPDIR" ]]
[[ "$PWD" == "$TEST_SRCDIR/test" ]]
[[ "$(cat data.txt)" == "data" ]]
[[ "$(cat "$TEST_SRCDIR/test/data.txt")" == "data" ]]
[[ "$MINE" == "given" && "$*" == "one two three" ]]
[[ "$TESTBRIDGE_TEST_ONLY" == "only" ]]
[[ -z "${SECRET:-}" ]]
echo kept > "$TEST_UNDECLARED_OUTPUTS_DIR/output.txt"
[[ -n "$XML_OUTPUT_FILE" ]]
"#).build();
    let outcome = ws
        .rbz("test //:t --test_arg=three --test_filter=only --test_output=errors")
        .env("SECRET", "of the shell of the user")
        .run();
    outcome.shows("PASSED");
    assert_eq!(ws.read("rbz-testlogs/t/test.outputs/output.txt"), "kept\n");
}

#[test]
fn an_xml_report_of_the_test_itself_is_kept() {
    let ws = script("echo '<testsuites><!-- by the test --></testsuites>' > \"$XML_OUTPUT_FILE\"")
        .build();
    ws.rbz("test //:t").run();
    assert!(ws.read("rbz-testlogs/t/test.xml").contains("by the test"));
}

#[test]
fn shards_and_runs_each_have_a_log() {
    let ws = script_with(
        "shard_count = 3",
        "touch \"$TEST_SHARD_STATUS_FILE\"; echo shard $TEST_SHARD_INDEX of $TEST_TOTAL_SHARDS",
    )
    .build();
    ws.rbz("test //:t").run();
    for shard in 1..=3 {
        let log = ws.read(&format!("rbz-testlogs/t/shard_{shard}_of_3/test.log"));
        assert!(log.contains(&format!("shard {} of 3", shard - 1)), "{log}");
    }

    let ws = script("echo once more").build();
    ws.rbz("test //:t --runs_per_test=2").run().shows("PASSED");
    for run in 1..=2 {
        assert!(ws.read(&format!("rbz-testlogs/t/run_{run}_of_2/test.log")).contains("once more"));
    }
}

#[test]
fn numbers_of_runs_and_attempts_can_be_meant_for_some_tests() {
    let ws = build_file(
        r#"
[sh_test(name = name, srcs = ["t.sh"]) for name in ["a", "b", "c"]]
sh_test(name = "bad", srcs = ["bad.sh"])
"#,
    )
    .file("t.sh", "#!/bin/bash\n")
    .file("bad.sh", "#!/bin/bash\nexit 1\n")
    .build();
    let outcome = ws.rbz("test //:a //:b //:c --runs_per_test=2 --runs_per_test=//:[ab]$,-:b@3");
    let outcome = outcome.run();
    let runs = |test: &str| outcome.ran().iter().filter(|run| run.owner == test).count();
    assert_eq!([runs("//:a"), runs("//:b"), runs("//:c")], [3, 2, 2], "{outcome}");

    ws.rbz("test //:bad --flaky_test_attempts=bad@2").exit_code(3).run();
    let log = ws.read("rbz-testlogs/bad/test.log");
    assert_eq!(log, "-- attempt 1 of 2 failed --\n");
    ws.rbz("test //:bad --flaky_test_attempts=good@2").exit_code(3).run();
    assert_eq!(ws.read("rbz-testlogs/bad/test.log"), "");
    let wrong = ws.rbz("test //:a --runs_per_test=a@none").exit_code(2).run();
    wrong.stderr_has("`--runs_per_test=a@none`: it must be a number above 0");
}

#[test]
fn streamed_output_is_shown_while_the_test_runs() {
    // The test ends when its output was seen. It runs outside the sandbox to be told so.
    let text = "echo begun; until [[ -e \"$MARK\" ]]; do sleep 0.02; done; printf 'the end'";
    let ws = script_with("local = True", text).build();
    let mark = ws.base().join("mark");
    let flag = format!("--test_env=MARK={}", mark.display());
    let line = ["test", "//:t", "--test_output=streamed", &flag];
    let mut running = ws.rbz_args(line).spawn();
    running.wait_for_stderr("Test output for //:t:\nbegun\n");
    std::fs::write(&mark, "").expect("the temporary directory can be written");
    let outcome = running.wait();
    let shown = outcome.stderr().matches("begun\nthe end\n====").count();
    assert_eq!(shown, 1, "once, and whole: {outcome}");
    assert_eq!(ws.read("rbz-testlogs/t/test.log"), "begun\nthe end");

    let again = ws.rbz_args(line).run();
    again.stdout_has("(cached) PASSED").stderr_has("begun\nthe end\n====");
}

#[test]
fn a_flaky_test_is_tried_again() {
    // The test runs outside the sandbox, so that it can remember that it ran before.
    let text = "if [[ -e \"$MARK\" ]]; then exit 0; fi\ntouch \"$MARK\"\nexit 1";
    let ws = script_with("flaky = True, local = True", text).build();
    let mark = ws.base().join("mark");
    let flag = format!("--test_env=MARK={}", mark.display());
    ws.rbz_args(["test", "//:t", &flag]).run().shows("FLAKY");
}

#[test]
fn nothing_to_test_is_exit_status_4() {
    let ws = build_file("filegroup(name = \"f\")\n").build();
    ws.rbz("test //...").exit_code(4).run().stderr_has("No test targets");
}

#[test]
fn a_test_that_cannot_be_built_is_reported_and_with_k_the_others_run() {
    let ws = build_file(
        r#"
genrule(name = "broken", outs = ["broken.txt"], cmd = "exit 1")
sh_test(name = "bad", srcs = ["t.sh"], data = [":broken"])
sh_test(name = "good", srcs = ["t.sh"])
"#,
    )
    .file("t.sh", "#!/bin/bash\n")
    .build();
    let outcome = ws.rbz("test -k //...").exit_code(1).run();
    outcome.shows("FAILED TO BUILD").shows("PASSED");
}

#[test]
fn filters_choose_among_tests() {
    let ws = build_file(
        r#"
sh_test(name = "a", size = "small", srcs = ["t.sh"], tags = ["slow"])
sh_test(name = "b", size = "large", srcs = ["t.sh"])
sh_test(name = "c", size = "small", srcs = ["t.sh"], tags = ["manual"])
test_suite(name = "suite", tags = ["manual"], tests = [":a", ":c"])
"#,
    )
    .file("t.sh", "#!/bin/bash\n")
    .build();
    let tested = |line: &str| -> Vec<String> {
        let outcome = ws.rbz(line).run();
        let lines = outcome.stdout().lines().filter(|line| line.contains("PASSED"));
        lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    };
    assert_eq!(tested("test //..."), ["//:a", "//:b"]);
    assert_eq!(tested("test //... --test_tag_filters=-slow"), ["//:b"]);
    assert_eq!(tested("test //... --test_tag_filters=slow"), ["//:a"]);
    assert_eq!(tested("test //... --test_size_filters=large"), ["//:b"]);
    assert_eq!(tested("test //:suite"), ["//:a", "//:c"]);
    assert_eq!(tested("test //... --test_lang_filters=sh,lisp"), ["//:a", "//:b"]);
    let none = ws.rbz("test //... --test_lang_filters=-sh").exit_code(4).run();
    none.stderr_has("the filters may leave out every test");
    assert_eq!(tested("test //... --test_timeout_filters=short"), ["//:a"]);
    assert_eq!(tested("test //... --build_tag_filters=no_such_tag"), ["//:a", "//:b"]);
}

#[test]
fn test_output_all_shows_the_log_of_what_passes() {
    let ws = script("echo the log").build();
    let shown = ws.rbz("test //:t --test_output=all").run();
    shown.shows("the log");
    let quiet = ws.rbz("test //:t").run();
    assert!(!quiet.to_string().contains("the log"), "{quiet}");
}

#[test]
fn a_lisp_test_passes_when_main_returns_and_fails_when_an_error_leaves_it() {
    let ws = build_file(
        r#"
lisp_test(name = "good", srcs = ["t.lisp"], main = "tests:good")
lisp_test(name = "bad", srcs = ["t.lisp"], main = "tests:bad")
lisp_test(name = "true", srcs = ["t.lisp"], expression = "(null (tests:good))")
lisp_test(name = "false", srcs = ["t.lisp"], expression = "(tests:good)")
"#,
    )
    .file(
        "t.lisp",
        r#"(defpackage #:tests (:use #:common-lisp) (:export #:good #:bad))
(in-package #:tests)
(defun good () nil)
(defun bad () (error "a condition with a ~A" 'report))
"#,
    )
    .build();
    let outcome = ws.rbz("test -k //...").exit_code(3).run();
    outcome.shows("PASSED").shows("FAILED");
    assert!(ws.read("rbz-testlogs/bad/test.log").contains("a condition with a REPORT"));
    outcome.stdout_has("2 tests pass and 2 fail locally");
    let log = ws.read("rbz-testlogs/false/test.log");
    assert!(log.starts_with("//:false: error: the expression is false: (tests:good)\n"), "{log}");
}

#[test]
fn a_suite_without_tests_has_those_of_its_package_with_its_tags() {
    let test = |name: &str, tags: &str| {
        format!("sh_test(name = \"{name}\", srcs = [\"t.sh\"], tags = [{tags}])\n")
    };
    let build = [
        test("quick", "\"fast\""),
        test("lazy", "\"slow\""),
        test("asked_for", "\"fast\", \"manual\""),
        "test_suite(name = \"fast\", tags = [\"fast\"])\n".to_owned(),
        "test_suite(name = \"not_fast\", tags = [\"-fast\"])\n".to_owned(),
    ];
    let ws = build_file(&build.concat()).file("t.sh", "#!/bin/bash\n").build();
    let outcome = ws.rbz("test //:fast").run();
    outcome.shows("//:quick").shows("Executed 1 out of 1 test");
    let outcome = ws.rbz("test //:not_fast").run();
    outcome.shows("//:lazy").shows("Executed 1 out of 1 test");
}

#[test]
fn a_test_finds_its_data_beside_its_source_as_under_asdf() {
    let ws = build_file(
        "lisp_test(\n    name = \"t\",\n    srcs = [\"src/t.lisp\"],\n    data = [\"src/table.txt\"],\n    \
         expression = \"(and (probe-file (beside \\\"table.txt\\\")) (null (probe-file (beside \\\"other.txt\\\"))))\",\n)\n",
    )
    .file(
        "src/t.lisp",
        "(defun beside (name)\n  (merge-pathnames name #.(or *compile-file-truename* *load-truename*)))\n",
    )
    .file("src/table.txt", "data\n")
    .file("src/other.txt", "not declared\n")
    .build();
    ws.rbz("test //:t").run();
}
