//! The sandbox of machines that forbid namespaces: what is refused there, and that nothing is left.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rbz_engine::sandbox::{SandboxKind, Sandboxed, Ways};
use rbz_engine::strategy::{Cancel, Exit, Isolation, Strategy};

use crate::endings::{processes_with, soon};
use crate::runner::Test;
use crate::workshop::{With, Workshop};

pub const TESTS: &[Test] = &[
    ("landlock_shows_inputs_and_takes_outputs", landlock_shows_inputs_and_takes_outputs),
    ("landlock_refuses_the_rest", landlock_refuses_the_rest),
    ("landlock_refuses_system_calls", landlock_refuses_system_calls),
    ("landlock_spares_the_store", landlock_spares_the_store),
    ("landlock_gives_the_same_paths_again", landlock_gives_the_same_paths_again),
    ("landlock_kills_what_is_left", landlock_kills_what_is_left),
    ("landlock_spares_what_it_did_not_start", landlock_spares_what_it_did_not_start),
    ("a_killed_rbz_leaves_no_process_under_landlock", a_killed_rbz_leaves_no_process),
    ("no_way_at_all_is_an_error", no_way_at_all_is_an_error),
];

fn landlocked() -> Workshop {
    Workshop::with(|directory| Arc::new(Sandboxed::new(directory, Ways::landlock())))
}

fn landlock_shows_inputs_and_takes_outputs() {
    let workshop = landlocked();
    assert_eq!(workshop.strategy.isolation(), Isolation::Landlock);
    let inputs = vec![workshop.text("pkg/in", "I\n"), workshop.text("out/p/beside", "B\n")];
    let mut spawn = workshop
        .script(
            "cat pkg/in out/p/beside; ls pkg out/p; echo o > $OUT; mv out/p/made $TMPDIR 2>&1; \
             echo t > out/t/new; mv out/t/new out/t/leaf; [ $PWD/out/p/o -ef $OUT ] && echo same; \
             echo x > $TMPDIR/x && echo x > ~/x && cat < /dev/null && head -c 4 /dev/urandom | wc -c; \
             cat <(echo substituted); echo pkg/missed > $RBZ_MISSING_INPUTS",
        )
        .inputs(inputs)
        .output("out/p/o")
        .tree("out/t");
    spawn.env.insert("OUT".into(), "/rbz/execroot/out/p/o".into());
    let done = workshop.run(&spawn);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.starts_with("I\nB\nout/p:\nbeside\n\npkg:\nin\n"), "{said}");
    assert!(said.ends_with("same\n4\nsubstituted\n"), "{said}");
    assert_eq!(fs::read_to_string(done.outputs_root.join("out/p/o")).unwrap(), "o\n");
    assert_eq!(fs::read_to_string(done.outputs_root.join("out/t/leaf")).unwrap(), "t\n");
    assert_eq!(done.missed, ["pkg/missed"]);
    assert!(done.exec_root.is_absolute() && done.exec_root.ends_with("upper"));
}

fn landlock_refuses_the_rest() {
    let workshop = landlocked();
    let other = workshop.directory.path().join("sibling");
    fs::write(&other, "secret\n").unwrap();
    for command in [
        format!("cat {}", other.display()),
        format!("echo x > {}", other.display()),
        format!("rm {}", other.display()),
        "cat /etc/passwd".to_owned(),
        "ls /usr/share".to_owned(),
        "ls /home".to_owned(),
        // A program that is there, but is not declared.
        "/usr/bin/true".to_owned(),
        "echo x > pkg/in".to_owned(),
        "chmod +w pkg/in; echo x > pkg/in".to_owned(),
        "rm pkg/in".to_owned(),
        "ln pkg/in out/in && echo x > out/in".to_owned(),
        "echo x > beside".to_owned(),
        "echo x > /tmp/rbz-was-here".to_owned(),
        "dd if=/dev/null of=pkg/in".to_owned(),
    ] {
        let spawn = workshop.script(&command).input(workshop.text("pkg/in", "I\n")).output("out/o");
        let done = workshop.run(&spawn);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_ne!(done.exit, Exit::Status(0), "{command}");
        let refused = ["Permission denied", "Invalid cross-device link"];
        assert!(refused.iter().any(|text| said.contains(text)), "{command}: {said}");
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "secret\n");
}

fn landlock_refuses_system_calls() {
    let workshop = landlocked();
    // Nobody listens there: who may ask is told that the connection is refused.
    let connect = "exec 3<>/dev/tcp/127.0.0.1/9";
    let said = |spawn| String::from_utf8_lossy(&workshop.run(&spawn).stderr).into_owned();
    let without = said(workshop.script(connect));
    assert!(without.contains("Permission denied"), "{without}");
    let mut spawn = workshop.script(connect);
    spawn.network = true;
    let with = said(spawn);
    assert!(with.contains("Connection refused"), "{with}");
    let status = workshop.says(&workshop.script("cat /proc/self/status"));
    for line in ["NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n"] {
        assert!(status.contains(line), "{status}");
    }
}

fn landlock_spares_the_store() {
    let workshop = landlocked();
    let inputs = vec![workshop.text("pkg/in", "I\n"), workshop.text("out/beside", "B\n")];
    let before = workshop.store();
    let spawn = workshop
        .script(
            "chmod +w out/beside && echo changed > out/beside && mv out/beside out/other; \
             echo x > pkg/in; cp pkg/in out/copy; chmod +w out/copy; echo more >> out/copy; true",
        )
        .inputs(inputs)
        .output("out/o");
    for _ in 0..2 {
        workshop.run(&spawn);
        assert!(workshop.store() == before);
    }
}

fn landlock_gives_the_same_paths_again() {
    let workshop = landlocked();
    let where_it_is = |output: &str| workshop.says(&workshop.script("pwd").output(output));
    let first = where_it_is("out/a");
    assert_ne!(where_it_is("out/b"), first);
    assert_eq!(where_it_is("out/a"), first);
}

const LEFT: &str =
    "(setsid sleep 84.5 &); (sleep 84.5 &); (trap '' TERM; sleep 84.5; true) & echo on";

fn landlock_kills_what_is_left() {
    let workshop = landlocked();
    let started = Instant::now();
    assert_eq!(workshop.says(&workshop.script(LEFT)), "on\n");
    assert_eq!(processes_with("84.5"), 0);
    let late = workshop.script(&format!("{LEFT}; sleep 84.5")).timeout(200);
    assert_eq!(workshop.run(&late).exit, Exit::TimedOut);
    assert_eq!(processes_with("84.5"), 0);
    assert!(started.elapsed() < Duration::from_secs(20));
}

fn landlock_spares_what_it_did_not_start() {
    let workshop = landlocked();
    let mut outside = Command::new("sleep").arg("85.5").stdout(Stdio::null()).spawn().unwrap();
    let script = format!("kill -9 {}; kill -9 $PPID; kill -9 -1; exit 7", outside.id());
    let done = workshop.run(&workshop.script(&script));
    // By its own last signal, if that reached itself; nobody else's way of ending is shown.
    assert!(matches!(done.exit, Exit::Status(7) | Exit::Signal(libc::SIGKILL)), "{:?}", done.exit);
    assert!(outside.try_wait().unwrap().is_none(), "a process outside was killed");
    outside.kill().unwrap();
    outside.wait().unwrap();
    assert_eq!(workshop.says(&workshop.script("echo on")), "on\n");
}

/// The process that is killed: runs something long in this directory.
pub fn victim(directory: &str) {
    let workshop =
        Workshop::with(|_| Arc::new(Sandboxed::new(Path::new(directory), Ways::landlock())));
    let spawn = workshop.script("(setsid sleep 86.5 &); (sleep 86.5 &); sleep 86.5");
    let _ = workshop.strategy.run(&spawn, &Cancel::default());
}

fn a_killed_rbz_leaves_no_process() {
    let sleeping = || processes_with("sleep\086.5");
    // While they are being started, and when all are there.
    for wanted in [1, 2, 3, 3] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--landlock-victim")
            .arg(directory.path())
            .spawn()
            .unwrap();
        assert!(soon(|| sleeping() >= wanted));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(soon(|| processes_with("(sleep 86.5 &)") == 0 && sleeping() == 0));
    }
}

fn no_way_at_all_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let ways =
        Ways { user_namespaces: false, root_namespaces: false, landlock: false, overlay: true };
    let sandboxed = Sandboxed::new(directory.path(), ways);
    let SandboxKind::Unavailable { reason } = sandboxed.kind() else { panic!("there is no way") };
    assert!(reason.contains("`--sandbox=none`"), "{reason}");
    // What ran before counts.
    assert_eq!(sandboxed.isolation(), Isolation::Namespaces);
    assert_eq!(Sandboxed::new(directory.path(), Ways::landlock()).kind(), SandboxKind::Landlock);
}
