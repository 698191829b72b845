//! What fails, and what else is then done.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::artifact::ArtifactKind;
use crate::build::*;
use crate::depset::Depset;
use crate::event::Event;
use crate::failure::FailureCause;
use crate::label::Label;
use crate::strategy::*;
use crate::workspace_status::WorkspaceStatus;

use super::project::*;

#[test]
fn a_failure_stops_the_build_unless_it_is_to_go_on() {
    for keep_going in [false, true] {
        let mut project = Project::new();
        project.keep_going = keep_going;
        project.jobs = 1;
        project.write("pkg/a.in", "A");
        project.program("fail", |_| (Exit::Status(3), "out\n".into(), "err\n".into()));
        let (bad, after, good) = (file("bad"), file("after"), file("good"));
        project.run(&["fail"], &[], std::slice::from_ref(&bad));
        project.cat(std::slice::from_ref(&bad), &after);
        project.cat(&[source("pkg/a.in")], &good);
        project.request(&[after]);
        project.request(&[good]);
        let built = project.build();
        assert!(matches!(built.cause(), FailureCause::Exit(3)));
        assert_eq!(&*built.outcome.failures[0].output.stderr, b"err\n");
        assert_eq!(built.outcome.failures.len(), 1);
        let second = if keep_going { TargetStatus::Built } else { TargetStatus::Skipped };
        assert_eq!(built.status(), [TargetStatus::Failed, second]);
        assert!(!built.outcome.is_built());
        assert!(!project.path(&bad).exists());
        // Failures are remembered nowhere.
        assert!(matches!(project.build().cause(), FailureCause::Exit(3)));
    }
}

#[test]
fn a_failed_action_takes_its_former_output_away() {
    let project = diamond();
    project.build();
    project.write("pkg/a.in", "X");
    project.program("cat", |_| (Exit::Signal(11), String::new(), String::new()));
    let built = project.build();
    assert!(matches!(built.cause(), FailureCause::Signal(11)));
    assert!(!project.path(&file("a")).exists());
    project.write("pkg/a.in", "A");
    let built = project.build();
    assert!(built.outcome.is_built());
    assert!(built.ran.is_empty());
    assert_eq!(project.read(&file("a")), "A");
}

#[test]
fn outputs_that_were_not_made_are_named() {
    let mut project = Project::new();
    project.program("half", |process| {
        std::fs::write(process.output(&process.spawn.outputs[0].path), "x").unwrap();
        ok()
    });
    let outputs = [file("one"), file("two"), output(ArtifactKind::Symlink, "three")];
    project.run(&["half"], &[], &outputs);
    project.request(&outputs);
    let built = project.build();
    let FailureCause::OutputsMissing(missing) = built.cause() else { panic!() };
    assert_eq!(*missing, [format!("{BIN}/two"), format!("{BIN}/three")]);
    assert!(!project.path(&outputs[0]).exists());
}

#[test]
fn outputs_of_another_kind_than_declared_are_named_with_what_they_are() {
    for (kind, made, reason) in [
        (ArtifactKind::File, "directory", "is a directory, but was declared as a file"),
        (ArtifactKind::Tree, "file", "is a file, but was declared as a directory"),
        (ArtifactKind::Symlink, "file", "is a file, but was declared as a link"),
        (
            ArtifactKind::File,
            "link",
            "is a link to what is neither an output nor an input, but was declared as a file",
        ),
    ] {
        let mut project = Project::new();
        project.program("make", move |process| {
            let path = process.output(&process.spawn.outputs[0].path);
            let _ = std::fs::remove_dir(&path);
            match made {
                "directory" => std::fs::create_dir(path).unwrap(),
                "link" => std::os::unix::fs::symlink("nowhere", path).unwrap(),
                _ => std::fs::write(path, "x").unwrap(),
            }
            ok()
        });
        let made = output(kind, "out");
        project.run(&["make"], &[], std::slice::from_ref(&made));
        project.request(std::slice::from_ref(&made));
        let built = project.build();
        let FailureCause::Unfit { path, reason: said } = built.cause() else {
            panic!("{:?}", built.cause())
        };
        assert_eq!((path.as_str(), said.as_str()), (made.exec_path(), reason));
    }
}

#[test]
fn a_missing_source_is_reported_once_by_its_label() {
    let mut project = Project::new();
    project.keep_going = true;
    project.cat(&[source("pkg/gone")], &file("one"));
    project.cat(&[source("pkg/gone")], &file("two"));
    project.request(&[file("one")]);
    project.request(&[file("two")]);
    project.request(&[source("pkg/gone")]);
    let built = project.build();
    assert_eq!(built.outcome.failures.len(), 1);
    let FailureCause::SourceMissing { path, .. } = built.cause() else { panic!() };
    assert_eq!(path, "pkg/gone");
    assert_eq!(built.status(), [TargetStatus::Failed; 3]);
}

#[test]
fn a_requested_source_that_is_missing_fails_the_target() {
    let mut project = Project::new();
    project.request(&[source("pkg/gone")]);
    let built = project.build();
    assert!(matches!(built.cause(), FailureCause::SourceMissing { .. }));
    assert_eq!(built.status(), [TargetStatus::Failed]);
}

#[test]
fn a_strategy_that_cannot_is_the_machines_fault() {
    struct Broken;
    impl Strategy for Broken {
        fn run(&self, _: &PreparedSpawn, _: &Cancel) -> Result<Completed, StrategyError> {
            Err(StrategyError { what: "start a process".into(), reason: "no memory".into() })
        }
        fn isolation(&self) -> Isolation {
            Isolation::Namespaces
        }
    }
    let project = diamond();
    let options = EngineOptions {
        workspace_root: project.dir.path().join("ws"),
        output_base: project.dir.path().join("base"),
        disk_cache: None,
        jobs: 1,
        memory: Default::default(),
        keep_going: false,
        sandbox_debug: false,
        residency: Default::default(),
        subcommands: false,
        log_spawns: false,
        explain: false,
        note: Default::default(),
        shuffle: None,
        test_caching: TestCaching::Auto,
        stream_tests: false,
        workspace_status: WorkspaceStatus::default(),
    };
    let engine = Engine::open(options, Arc::new(Broken), Arc::new(Broken)).unwrap();
    let sink = |_: Event| {};
    let outcome = engine.build(&project.plan, &Goals::build(), &sink, &Cancel::default()).unwrap();
    let FailureCause::Machine(text) = &outcome.failures[0].cause else { panic!() };
    assert_eq!(text, "cannot start a process: no memory");
}

#[test]
fn what_was_finished_when_a_build_was_cancelled_is_not_done_again() {
    let mut project = diamond();
    project.jobs = 1;
    let cancel = project.cancel.clone();
    project.program("cat", move |process| {
        let path = process.spawn.outputs[0].path.clone();
        if path.ends_with("/ab") {
            cancel.cancel();
            assert!(process.cancel.is_cancelled());
            return (Exit::Cancelled, String::new(), String::new());
        }
        std::fs::write(process.output(&path), &*path).unwrap();
        ok()
    });
    let built = project.build();
    assert!(built.outcome.interrupted);
    assert!(built.outcome.failures.is_empty());
    assert_eq!(built.status(), [TargetStatus::Skipped]);
    project.cancel = Cancel::default();
    project.fake.programs.lock().unwrap().clear();
    assert_eq!(project.build().how(), (2, 0, 1));
}

#[test]
fn the_number_of_actions_told_is_that_of_those_that_are_told_of() {
    let mut project = Project::new();
    project.request_test("t", &[], false);
    let events = project.build().events;
    let finished = events.iter().filter(|e| matches!(e, Event::ActionFinished { .. })).count();
    assert!(
        events.iter().any(|e| matches!(e, Event::Executing { actions } if *actions == finished))
    );
}

#[test]
fn actions_that_need_each_other_are_named() {
    let mut project = Project::new();
    project.cat(&[file("b")], &file("a"));
    project.cat(&[file("a")], &file("b"));
    project.request(&[file("a")]);
    let error = project.try_build(&Goals::build()).err().unwrap();
    let text = error.to_string();
    assert!(text.contains(&format!("`{BIN}/a` is made by Test of //pkg:a")), "{text}");
    assert!(text.contains(&format!("`{BIN}/b` is made by Test of //pkg:b")), "{text}");
}

#[test]
fn only_what_is_needed_runs_and_output_groups_count() {
    let mut project = Project::new();
    for name in ["wanted", "extra", "never"] {
        project.cat(&[], &file(name));
    }
    project.request(&[file("wanted")]);
    let extra = Depset::of_files([file("extra")]);
    project.plan.requested[0].output_groups.insert("more".into(), extra);
    assert_eq!(project.build().ran, [format!("cat {BIN}/wanted")]);
    let goals = Goals { output_groups: vec!["more".into()], ..Goals::build() };
    assert_eq!(project.try_build(&goals).unwrap().ran, [format!("cat {BIN}/extra")]);
}

#[test]
fn no_more_run_at_a_time_than_may_and_exclusive_ones_run_alone() {
    let mut project = Project::new();
    project.jobs = 3;
    project.program("slow", |process| {
        std::thread::sleep(Duration::from_millis(10));
        std::fs::write(process.output(&process.spawn.outputs[0].path), "").unwrap();
        ok()
    });
    let names: Vec<String> = (0..12).map(|number| format!("o{number}")).collect();
    for name in &names {
        project.run(&["slow", name], &[], &[file(name)]);
    }
    project.request(&names.iter().map(|name| file(name)).collect::<Vec<_>>());
    project.build();
    assert_eq!(project.fake.most.load(Ordering::SeqCst), 3);
}

#[test]
fn what_a_failed_action_missed_is_named_by_its_label() {
    let mut project = Project::new();
    project.write("pkg/BUILD", "");
    project.write("pkg/sub/secret", "s");
    let outside = project.dir.path().join("outside");
    std::fs::write(&outside, "").unwrap();
    let said = format!(
        "cat: pkg/sub/secret: No such file or directory\n\
         cat: sub/secret: No such file or directory\n\
         cat: {BIN}/other: No such file or directory\n\
         cat: pkg/never: No such file or directory\n\
         cat: {}: No such file or directory\n",
        outside.display()
    );
    project.program("grope", move |_| (Exit::Status(1), String::new(), said.clone()));
    project.cat(&[], &file("other"));
    project.run(&["grope"], &[], &[file("x")]);
    project.request(&[file("x")]);
    let built = project.build();
    let found: Vec<(String, Option<String>)> = built.outcome.failures[0]
        .undeclared
        .iter()
        .map(|input| (input.path.clone(), input.label.as_ref().map(Label::to_string)))
        .collect();
    let secret = ("pkg/sub/secret".to_owned(), Some("//pkg:sub/secret".to_owned()));
    assert_eq!(
        found,
        [
            secret.clone(),
            secret,
            (format!("{BIN}/other"), Some("//pkg:other".to_owned())),
            // Temporary directories of the machine are not those of an action.
        ]
    );
}
