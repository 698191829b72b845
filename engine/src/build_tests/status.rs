//! The status of the workspace: who reads it is built again when it should be, and only then.

use std::sync::{Arc, Mutex};

use crate::action::ActionKind;
use crate::build::TargetStatus;
use crate::depset::Depset;
use crate::failure::FailureCause;
use crate::strategy::Exit;
use crate::workspace_status;

use super::project::*;

/// One target reads both files, another none.
fn stamped() -> (Project, Arc<Mutex<String>>) {
    let mut project = Project::new();
    let said = Arc::new(Mutex::new("STABLE_REVISION one\nTIME 1\n".to_owned()));
    let says = said.clone();
    // The command for the shell is run by the strategy, as any program.
    project.program("sh", move |process| {
        assert_eq!(process.spawn.argv[1..], ["-c", "tools/status"]);
        (Exit::Status(0), says.lock().unwrap().clone(), String::new())
    });
    project.status.command = Some("tools/status".into());
    project.status.facts.insert("BUILD_USER".into(), "somebody".into());
    project.plan.add(workspace_status::action()).unwrap();
    let status = [workspace_status::stable_file(), workspace_status::volatile_file()];
    project.cat(&status, &file("stamped"));
    project.write("pkg/a.in", "A");
    project.cat(&[source("pkg/a.in")], &file("plain"));
    project.request(&[file("stamped")]);
    (project, said)
}

#[test]
fn what_is_stable_is_a_reason_to_run_and_what_is_volatile_is_none() {
    let (project, said) = stamped();
    project.build();
    assert_eq!(
        project.read(&file("stamped")),
        "BUILD_USER somebody\nSTABLE_REVISION one\nTIME 1\n"
    );
    // One action asks each time; nothing else has to be done.
    assert_eq!(project.build().how(), (1, 0, 1));

    *said.lock().unwrap() = "STABLE_REVISION one\nTIME 2\n".into();
    let built = project.build();
    assert_eq!(built.ran, ["sh -c tools/status"]);
    assert_eq!(
        project.read(&file("stamped")),
        "BUILD_USER somebody\nSTABLE_REVISION one\nTIME 1\n"
    );
    assert_eq!(project.read(&workspace_status::volatile_file()), "TIME 2\n");

    *said.lock().unwrap() = "STABLE_REVISION two\nTIME 3\n".into();
    project.build();
    assert_eq!(
        project.read(&file("stamped")),
        "BUILD_USER somebody\nSTABLE_REVISION two\nTIME 3\n"
    );

    // Back to a stable fact of before: the cache has what was made of it, with its time.
    *said.lock().unwrap() = "STABLE_REVISION one\nTIME 4\n".into();
    assert_eq!(project.build().how(), (0, 1, 1));
    assert_eq!(
        project.read(&file("stamped")),
        "BUILD_USER somebody\nSTABLE_REVISION one\nTIME 1\n"
    );
}

#[test]
fn nobody_is_asked_if_nobody_needs_to_know() {
    let (mut project, _) = stamped();
    project.plan.requested.clear();
    project.request(&[file("plain")]);
    assert_eq!(project.build().ran.len(), 1);
    assert!(!project.path(&workspace_status::stable_file()).exists());
}

#[test]
fn a_command_that_fails_fails_who_needs_it() {
    let (mut project, _) = stamped();
    project.keep_going = true;
    project.request(&[file("plain")]);
    project.program("sh", |_| (Exit::Status(2), String::new(), "no git\n".into()));
    let built = project.build();
    assert!(matches!(built.cause(), FailureCause::Exit(2)));
    assert_eq!(&*built.outcome.failures[0].output.stderr, b"no git\n");
    assert_eq!(built.status(), [TargetStatus::Failed, TargetStatus::Built]);
}

#[test]
fn a_copy_of_a_volatile_file_is_a_file() {
    let (mut project, _) = stamped();
    let volatile = workspace_status::volatile_file();
    let kind = ActionKind::Symlink {
        target: crate::action::SymlinkTarget::Artifact(volatile.clone()),
        executable: false,
    };
    project.action(kind, Depset::of_files([volatile]), &[file("copy")]);
    project.cat(&[file("copy")], &file("reader"));
    project.request(&[file("reader")]);
    project.build();
    assert_eq!(project.read(&file("reader")), "TIME 1\n");
    assert_eq!(project.build().ran, ["sh -c tools/status"]);
}
