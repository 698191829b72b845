//! Processes outside of the sandbox, and the sandbox of other users and on lesser machines.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rbz_engine::local::Local;
use rbz_engine::sandbox::{SandboxKind, Sandboxed, Ways, probe};
use rbz_engine::strategy::{Exit, Isolation, Strategy};

use crate::endings::processes_with;
use crate::runner::Test;
use crate::workshop::{With, Workshop};

pub const TESTS: &[Test] = &[
    ("local_sees_the_machine_and_spares_the_store", local_sees_the_machine_and_spares_the_store),
    ("local_kills_what_is_left", local_kills_what_is_left),
    ("an_action_can_ask_to_be_outside", an_action_can_ask_to_be_outside),
    ("without_overlays_inputs_are_safe_too", without_overlays_inputs_are_safe_too),
    ("two_rbz_in_one_directory", two_rbz_in_one_directory),
    ("the_probe_tells_what_the_machine_allows", the_probe_tells_what_the_machine_allows),
    ("an_ordinary_user_can_do_all_this", an_ordinary_user_can_do_all_this),
];

fn local() -> Workshop {
    Workshop::with(|directory| Arc::new(Local::new(directory)))
}

fn local_sees_the_machine_and_spares_the_store() {
    let workshop = local();
    let input = workshop.text("pkg/in", "I\n");
    let before = workshop.store();
    let mut spawn = workshop
        .script(
            "[ -d /usr/share ] && echo outside; cat pkg/in; chmod +w pkg/in; echo no > pkg/in; \
             echo o > $OUT; [ $PWD/out/p/o -ef $OUT ] && echo same; \
             [ -z \"$(ls -A $TMPDIR $HOME | grep -v :)\" ] && echo empty; \
             echo pkg/missed > $RBZ_MISSING_INPUTS",
        )
        .input(input)
        .output("out/p/o");
    spawn.env.insert("OUT".into(), "/rbz/execroot/out/p/o".into());
    let done = workshop.run(&spawn);
    assert_eq!(String::from_utf8_lossy(&done.stdout), "outside\nI\nsame\nempty\n");
    assert_eq!(fs::read_to_string(done.outputs_root.join("out/p/o")).unwrap(), "o\n");
    assert_eq!(done.missed, ["pkg/missed"]);
    assert!(workshop.store() == before);
    assert_eq!(workshop.strategy.isolation(), Isolation::None);
}

fn local_kills_what_is_left() {
    let workshop = local();
    let left = "(setsid sleep 81.5 &); (sleep 81.5 &); (trap '' TERM; sleep 81.5; true) & echo on";
    let started = Instant::now();
    assert_eq!(workshop.says(&workshop.script(left)), "on\n");
    let late = workshop.script(&format!("{left}; sleep 81.5")).timeout(200);
    assert_eq!(workshop.run(&late).exit, Exit::TimedOut);
    assert_eq!(workshop.run(&workshop.script("kill -INT $$")).exit, Exit::Signal(libc::SIGINT));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(processes_with("81.5"), 0);
}

fn an_action_can_ask_to_be_outside() {
    let workshop = Workshop::new();
    let mut spawn = workshop.script("[ -d /usr/share ] && echo outside; true");
    assert_eq!(workshop.says(&spawn), "");
    spawn.unconfined = true;
    assert_eq!(workshop.says(&spawn), "outside\n");
}

fn without_overlays_inputs_are_safe_too() {
    let ways = Ways { overlay: false, ..Ways::default() };
    let workshop = Workshop::with(|directory| Arc::new(Sandboxed::new(directory, ways)));
    let inputs = vec![workshop.text("pkg/in", "I\n"), workshop.text("out/p/beside", "B\n")];
    let before = workshop.store();
    let spawn = workshop
        .script(
            "cat pkg/in out/p/beside; chmod +w out/p/beside; echo no > out/p/beside; \
             chmod +w pkg/in 2>&1; rm pkg/in 2>&1; echo o > out/p/o; echo t > out/t/t; \
             realpath out/p/beside",
        )
        .inputs(inputs)
        .output("out/p/o")
        .tree("out/t");
    for _ in 0..2 {
        let done = workshop.run(&spawn);
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(said.starts_with("I\nB\n"), "{said}");
        assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
        assert!(said.ends_with("/rbz/execroot/out/p/beside\n"), "{said}");
        assert_eq!(fs::read_to_string(done.outputs_root.join("out/p/o")).unwrap(), "o\n");
        assert_eq!(fs::read_to_string(done.outputs_root.join("out/t/t")).unwrap(), "t\n");
    }
    assert!(workshop.store() == before);
}

fn two_rbz_in_one_directory() {
    let workshop = Workshop::new();
    let place = workshop.directory.path().join("base/sandbox");
    let other = Sandboxed::new(&place, Ways::default());
    let spawn =
        workshop.script("cat in; chmod +w in; echo x > in").input(workshop.text("in", "I\n"));
    assert_eq!(workshop.says(&spawn), "I\n");
    assert_eq!(other.run(&spawn, &Default::default()).unwrap().stdout, b"I\n");
    assert_eq!(workshop.says(&spawn), "I\n");
    assert!(place.join("0").exists() && place.join("1").exists());
}

fn the_probe_tells_what_the_machine_allows() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(probe(directory.path()), SandboxKind::UserNamespaces);
    let unwritable = Path::new("/proc/nowhere");
    let SandboxKind::Unavailable { reason } = probe(unwritable) else { panic!("no sandbox there") };
    assert!(reason.contains("`/proc/nowhere`"), "{reason}");
}

fn an_ordinary_user_can_do_all_this() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("program");
    fs::copy("/proc/self/exe", &program).unwrap();
    for path in [directory.path(), &program] {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("test outputs_appear ... ok"), "{said}");
}
