//! Runs of tests, and which results are used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::build::*;
use crate::event::{Event, TestStatus};
use crate::failure::UndeclaredInput;
use crate::label::Label;
use crate::strategy::*;
use crate::test_plan::TestOptions;

use super::project::*;

#[test]
fn a_passed_test_is_cached_and_a_failed_one_runs_again() {
    let mut project = Project::new();
    project.write("pkg/data", "pass");
    project.program("t", |process| {
        assert_eq!(process.spawn.working_directory, format!("{BIN}/pkg/t.runfiles/ws"));
        assert_eq!(process.spawn.streams, Streams::Merged);
        let data = process.input(&format!("{BIN}/pkg/t.runfiles/ws/pkg/data")).unwrap();
        let exit = Exit::Status(i32::from(data != "pass"));
        (exit, format!("data is {data}\n"), String::new())
    });
    project.request_test("t", &[source("pkg/data")], false);
    let options = TestOptions::default();
    let status = |built: &Built| {
        let [summary] = &built.outcome.tests[..] else { panic!("not one test") };
        (summary.status, summary.cached)
    };
    let first = project.test(&options);
    assert_eq!(status(&first), (TestStatus::Passed, false));
    assert!(first.events.iter().any(|event| matches!(event, Event::TestFinished(_))));
    assert_eq!(project.log("t"), "data is pass\n");
    assert_eq!(status(&project.test(&options)), (TestStatus::Passed, true));
    project.clean();
    assert_eq!(status(&project.test(&options)), (TestStatus::Passed, true));
    project.caching = TestCaching::No;
    assert_eq!(status(&project.test(&options)), (TestStatus::Passed, false));

    project.caching = TestCaching::Auto;
    project.write("pkg/data", "fail");
    for _ in 0..2 {
        let built = project.test(&options);
        assert_eq!(status(&built), (TestStatus::Failed, false));
        assert!(built.outcome.failures.is_empty() && built.outcome.is_built());
        assert_eq!(built.outcome.tests[0].logs.len(), 1);
        assert_eq!(project.log("t"), "data is fail\n");
    }
    project.caching = TestCaching::Yes;
    assert_eq!(status(&project.test(&options)), (TestStatus::Failed, true));
}

#[test]
fn what_a_failed_test_missed_is_what_its_runfiles_lack() {
    let mut project = Project::new();
    project.write("pkg/BUILD", "");
    project.write("pkg/data", "");
    project.write("pkg/declared", "");
    let made = file("pkg/made");
    project.cat(&[], &made);
    let failed = |exit| {
        let tree = format!("{EXEC_ROOT}/{BIN}/pkg/t.runfiles/ws");
        let paths =
            ["pkg/data", "./pkg/declared", &format!("{tree}/pkg/made"), "pkg/never", "pkg/data"];
        let lines = paths.map(|path| format!("cat: {path}: No such file or directory\n"));
        (exit, lines.concat(), String::new())
    };
    project.program("t", move |_| failed(Exit::Status(1)));
    project.request_test("t", &[source("pkg/declared")], false);
    let missed = |built: &Built| -> Vec<(String, String)> {
        let inputs = built.events.iter().filter_map(|event| match event {
            Event::TestMissed { label, inputs } if label.name() == "t" => Some(inputs),
            _ => None,
        });
        let said = |input: &UndeclaredInput| {
            (input.path.clone(), input.label.as_ref().map(Label::to_string).unwrap_or_default())
        };
        inputs.flatten().map(said).collect()
    };
    let options = TestOptions::default();
    let expected = [("pkg/data", "//pkg:data"), ("pkg/made", "//pkg:pkg/made")];
    let expected = expected.map(|(path, label)| (path.to_owned(), label.to_owned()));
    assert_eq!(missed(&project.test(&options)), expected);
    // Who does without is not told.
    project.program("t", move |_| failed(Exit::Status(0)));
    assert_eq!(missed(&project.test(&options)), []);
}

#[test]
fn a_test_that_takes_too_long_is_never_cached() {
    let mut project = Project::new();
    project.caching = TestCaching::Yes;
    project.program("t", |_| (Exit::TimedOut, "half a li".into(), String::new()));
    project.request_test("t", &[], false);
    for _ in 0..2 {
        let built = project.test(&TestOptions::default());
        assert_eq!(built.outcome.tests[0].status, TestStatus::Timeout);
        assert!(!built.outcome.tests[0].cached);
    }
    assert_eq!(project.log("t"), "half a li\n-- the test timed out after 0 s --\n");
}

#[test]
fn a_flaky_test_is_tried_again_and_not_cached() {
    let mut project = Project::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = tries.clone();
    project.program("t", move |_| {
        let number = counter.fetch_add(1, Ordering::SeqCst);
        (Exit::Status(i32::from(number.is_multiple_of(2))), "try\n".into(), String::new())
    });
    project.request_test("t", &[], true);
    for _ in 0..2 {
        let built = project.test(&TestOptions::default());
        assert_eq!(built.outcome.tests[0].status, TestStatus::Flaky);
    }
    assert_eq!(tries.load(Ordering::SeqCst), 4);
    assert_eq!(project.log("t"), "try\n-- attempt 1 of 3 failed --\ntry\n");
}

#[test]
fn several_runs_are_all_run_and_the_worst_counts() {
    let mut project = Project::new();
    project.program("t", |process| {
        let run = process.spawn.env["TEST_RUN_NUMBER"].as_str();
        (Exit::Status(i32::from(run == "2")), String::new(), String::new())
    });
    project.request_test("t", &[], false);
    let options = TestOptions { runs_per_test: [(label("t"), 3)].into(), ..TestOptions::default() };
    for _ in 0..2 {
        let built = project.test(&options);
        let [summary] = &built.outcome.tests[..] else { panic!("not one test") };
        assert_eq!((summary.status, summary.runs), (TestStatus::Failed, (3, 1)));
        assert!(!summary.cached);
        assert_eq!(summary.logs.len(), 1);
        assert!(summary.logs[0].ends_with("/run_2_of_3/test.log"));
    }
}

#[test]
fn shards_must_be_known_to_the_test() {
    let mut project = Project::new();
    project.program("t", |process| {
        if process.spawn.env["TEST_SHARD_INDEX"] == "0" {
            let path = &process.spawn.env["TEST_SHARD_STATUS_FILE"];
            let path = path.strip_prefix("/rbz/execroot/").unwrap();
            std::fs::write(process.output(path), "").unwrap();
        }
        ok()
    });
    project.request_test("t", &[], false);
    project.plan.requested[0].test.as_mut().unwrap().shard_count = Some(2);
    let built = project.test(&TestOptions::default());
    let [summary] = &built.outcome.tests[..] else { panic!("not one test") };
    assert_eq!((summary.status, summary.runs), (TestStatus::Failed, (2, 1)));
    assert!(summary.logs[0].ends_with("/shard_2_of_2/test.log"));
}

#[test]
fn reports_and_other_outputs_of_tests_are_kept() {
    let mut project = Project::new();
    project.program("t", |process| {
        let path = |name: &str| {
            let path = process.spawn.env[name].strip_prefix("/rbz/execroot/").unwrap();
            process.output(path)
        };
        assert!(path("TEST_TMPDIR").is_dir());
        std::fs::write(path("XML_OUTPUT_FILE"), "<mine/>").unwrap();
        std::fs::write(path("TEST_UNDECLARED_OUTPUTS_DIR").join("shot.png"), "png").unwrap();
        ok()
    });
    project.request_test("t", &[], false);
    project.test(&TestOptions::default());
    let dir = project.dir.path().join("base/execroot/ws/rbz-out/k8-fastbuild/testlogs/pkg/t");
    assert_eq!(std::fs::read_to_string(dir.join("test.xml")).unwrap(), "<mine/>");
    assert_eq!(std::fs::read_to_string(dir.join("test.outputs/shot.png")).unwrap(), "png");
    assert!(!dir.join("_tmp").exists());
}

#[test]
fn a_test_that_cannot_be_built_says_so() {
    let mut project = Project::new();
    project.request_test("t", &[source("pkg/gone")], false);
    let built = project.test(&TestOptions::default());
    assert_eq!(built.outcome.tests[0].status, TestStatus::FailedToBuild);
    assert_eq!(built.outcome.failures.len(), 1);
}
