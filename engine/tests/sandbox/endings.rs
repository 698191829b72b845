//! How processes end, and that nothing of them is left.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rbz_engine::strategy::{Cancel, Exit, Streams};

use crate::runner::Test;
use crate::workshop::{With, Workshop};

pub const TESTS: &[Test] = &[
    ("status_and_signal_are_told", status_and_signal_are_told),
    ("stdout_and_stderr_are_kept_apart_or_in_order", stdout_and_stderr_are_kept_apart_or_in_order),
    ("a_timeout_kills_the_whole_tree", a_timeout_kills_the_whole_tree),
    ("a_cancelled_build_kills_at_once", a_cancelled_build_kills_at_once),
    ("what_a_process_leaves_running_dies", what_a_process_leaves_running_dies),
    ("closed_streams_hang_nothing", closed_streams_hang_nothing),
    ("forks_without_end_are_killed", forks_without_end_are_killed),
    ("processes_are_limited", processes_are_limited),
    ("a_killed_init_is_started_again", a_killed_init_is_started_again),
    ("endless_output_fills_no_memory", endless_output_fills_no_memory),
    ("cpu_time_of_all_processes_counts", cpu_time_of_all_processes_counts),
    ("many_run_at_once", many_run_at_once),
    ("a_killed_rbz_leaves_no_process", a_killed_rbz_leaves_no_process),
    ("missed_inputs_are_told", missed_inputs_are_told),
    ("a_program_that_is_not_there_is_told", a_program_that_is_not_there_is_told),
    ("a_kept_sandbox_can_be_looked_at", a_kept_sandbox_can_be_looked_at),
];

/// How many processes of the machine have `word` in their command lines.
pub fn processes_with(word: &str) -> usize {
    let mut count = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(line) = fs::read(entry.path().join("cmdline"))
            && String::from_utf8_lossy(&line).contains(word)
        {
            count += 1;
        }
    }
    count
}

/// Waits until `condition` holds, but not for ever.
pub fn soon(condition: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn status_and_signal_are_told() {
    let workshop = Workshop::new();
    assert_eq!(workshop.run(&workshop.script("exit 42")).exit, Exit::Status(42));
    assert_eq!(workshop.run(&workshop.script("kill -SEGV $$")).exit, Exit::Signal(libc::SIGSEGV));
    assert_eq!(workshop.run(&workshop.script("kill -TERM $$")).exit, Exit::Signal(libc::SIGTERM));
    // No limit is too far away to be reckoned with.
    let mut endless = workshop.script("exit 4");
    endless.timeout = Some(Duration::MAX);
    assert_eq!(workshop.run(&endless).exit, Exit::Status(4));
    // Nobody inside can touch the process that watches over them.
    assert_eq!(workshop.run(&workshop.script("kill -9 1; exit 3")).exit, Exit::Status(3));
}

fn stdout_and_stderr_are_kept_apart_or_in_order() {
    let workshop = Workshop::new();
    let mut spawn = workshop.script("echo a; echo b >&2; echo c; echo d >&2");
    let done = workshop.run(&spawn);
    assert_eq!((&*done.stdout, &*done.stderr), (&b"a\nc\n"[..], &b"b\nd\n"[..]));
    spawn.streams = Streams::Merged;
    let done = workshop.run(&spawn);
    assert_eq!((&*done.stdout, &*done.stderr), (&b"a\nb\nc\nd\n"[..], &b""[..]));
}

fn a_timeout_kills_the_whole_tree() {
    let workshop = Workshop::new();
    let spawn = workshop
        .script("trap '' TERM INT HUP; (trap '' TERM; sleep 71.5)& setsid sleep 71.5 & echo on; sleep 71.5")
        .timeout(300);
    let started = Instant::now();
    let done = workshop.run(&spawn);
    assert_eq!(done.exit, Exit::TimedOut);
    assert_eq!(done.stdout, b"on\n");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(processes_with("71.5"), 0);
}

fn a_cancelled_build_kills_at_once() {
    let workshop = Workshop::new();
    let spawn = workshop.script("sleep 72.5");
    let cancel = Cancel::default();
    let (strategy, stop) = (workshop.strategy.clone(), cancel.clone());
    let thread = std::thread::spawn(move || strategy.run(&spawn, &cancel).unwrap().exit);
    assert!(soon(|| processes_with("72.5") > 0));
    stop.cancel();
    let started = Instant::now();
    assert_eq!(thread.join().unwrap(), Exit::Cancelled);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(processes_with("72.5"), 0);
}

fn what_a_process_leaves_running_dies() {
    let workshop = Workshop::new();
    let spawn = workshop.script("(setsid sleep 73.5 & ) ; (sleep 73.5 &) ; echo done");
    let started = Instant::now();
    assert_eq!(workshop.says(&spawn), "done\n");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(processes_with("73.5"), 0);
}

fn closed_streams_hang_nothing() {
    let workshop = Workshop::new();
    let spawn = workshop.script("exec >&- 2>&- <&-; sleep 0.2; exit 5");
    assert_eq!(workshop.run(&spawn).exit, Exit::Status(5));
}

fn forks_without_end_are_killed() {
    let workshop = Workshop::new();
    // Each generation is of two processes; the sleeps keep the machine usable.
    let script = "f() { sleep 0.02; f 74.5 & f 74.5 & wait; }; f 74.5";
    let done = workshop.run(&workshop.script(script).timeout(400));
    assert_eq!(done.exit, Exit::TimedOut);
    assert_eq!(processes_with("74.5"), 0);
}

fn processes_are_limited() {
    let workshop = Workshop::new();
    let says =
        workshop.says(&workshop.script(
            "ulimit -u; cat /proc/self/oom_score_adj /proc/sys/kernel/pid_max /proc/version",
        ));
    let lines: Vec<&str> = says.lines().collect();
    let number = |line: usize| lines[line].parse::<u64>().unwrap();
    assert!(number(0) <= 16 * 1024, "{says}");
    assert!(number(1) >= 500, "{says}");
    // Kernels from 6.14 on count by namespace; the number of the machine stays in any case.
    let release = lines[3].split_whitespace().nth(2).unwrap();
    let mut release = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    if (release.next(), release.next()) >= (Some(6), Some(14)) {
        assert_eq!(number(2), 16 * 1024, "{says}");
    }
    let of_machine = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
    assert!(of_machine.trim() != "16384" || number(2) != 16 * 1024, "{of_machine}");
}

/// The processes below this one, with their command lines.
fn descendants() -> Vec<(i32, String)> {
    let mut found = Vec::new();
    let mut pending = vec![std::process::id() as i32];
    while let Some(pid) = pending.pop() {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().map(|word| word.parse().unwrap()) {
                let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
                found.push((child, String::from_utf8_lossy(&line).into_owned()));
                pending.push(child);
            }
        }
    }
    found
}

fn a_killed_init_is_started_again() {
    let workshop = Workshop::new();
    // The first process below this one that waits for nothing else is the inner init: the one
    // whose children are actions.
    let spawn = workshop.script("sleep 0.79; echo done");
    let strategy = workshop.strategy.clone();
    let running =
        std::thread::spawn(move || strategy.run(&spawn, &Cancel::default()).unwrap().stdout);
    assert!(soon(|| descendants().iter().any(|(_, line)| line.contains("0.79"))));
    let inits: Vec<i32> = descendants()
        .into_iter()
        .filter(|(_, line)| line.contains("__sandbox-init"))
        .map(|(pid, _)| pid)
        .collect();
    // What waits for the init, the init, and the reaper of the action.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(inits[1]), nix::sys::signal::SIGKILL)
        .unwrap();
    assert_eq!(running.join().unwrap(), b"done\n");
    assert_eq!(workshop.says(&workshop.script("echo again")), "again\n");
}

fn endless_output_fills_no_memory() {
    let workshop = Workshop::new();
    let spawn = workshop.script("while :; do dd if=/dev/zero bs=1M count=64 2>/dev/null; done");
    let done = workshop.run(&spawn.timeout(1500));
    assert_eq!(done.exit, Exit::TimedOut);
    assert!(done.stdout.len() < (64 << 20) + 100);
    assert!(done.stdout.ends_with(b" more bytes of output were dropped]\n"));
}

fn cpu_time_of_all_processes_counts() {
    let workshop = Workshop::new();
    let burn = "x=0; while ((x++ < 60000)); do :; done";
    let done = workshop.run(&workshop.script(&format!("({burn}) & ({burn}) & wait; exit 0")));
    assert_eq!(done.exit, Exit::Status(0));
    assert!(done.cpu > Duration::from_millis(50), "{:?}", done.cpu);
    assert!(done.cpu < Duration::from_secs(30), "{:?}", done.cpu);
    assert!(done.max_rss > 1 << 20, "{}", done.max_rss);
}

fn many_run_at_once() {
    let workshop = Arc::new(Workshop::new());
    std::thread::scope(|scope| {
        for number in 0..12 {
            let workshop = workshop.clone();
            scope.spawn(move || {
                for round in 0..4 {
                    let text = format!("{number} {round}");
                    let spawn = workshop
                        .script("cat in; echo > /tmp/x; echo > out/o; ls /tmp out")
                        .input(workshop.text("in", &format!("{text}\n")))
                        .output("out/o");
                    assert_eq!(workshop.says(&spawn), format!("{text}\n/tmp:\nx\n\nout:\no\n"));
                }
            });
        }
    });
}

/// What [`a_killed_rbz_leaves_no_process`] kills.
pub fn victim() {
    let workshop = Workshop::new();
    println!("{}", workshop.directory.path().display());
    let spawn = workshop.script("(setsid sleep 75.5 &); sleep 75.5");
    workshop.run(&spawn);
}

fn a_killed_rbz_leaves_no_process() {
    let mut child =
        Command::new("/proc/self/exe").arg("--victim").stdout(Stdio::piped()).spawn().unwrap();
    let mut directory = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut directory).unwrap();
    assert!(soon(|| processes_with("75.5") >= 2), "both that sleep");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(soon(|| processes_with("75.5") == 0));

    // What it left on the disk is no hindrance.
    let sandbox = std::path::Path::new(directory.trim()).join("base/sandbox");
    assert!(fs::read_dir(sandbox.join("0/scratch")).unwrap().count() > 0);
    let workshop = Workshop::with(|_| {
        Arc::new(rbz_engine::sandbox::Sandboxed::new(&sandbox, Default::default()))
    });
    assert_eq!(workshop.says(&workshop.script("echo well")), "well\n");
    assert_eq!(fs::read_dir(sandbox.join("0/scratch")).unwrap().count(), 0);
    drop(workshop);
    fs::remove_dir_all(directory.trim()).unwrap();
}

fn missed_inputs_are_told() {
    let workshop = Workshop::new();
    let script = "echo pkg/x.lisp >> $RBZ_MISSING_INPUTS; echo pkg/x.lisp >> $RBZ_MISSING_INPUTS; \
                  echo /opt/y >> $RBZ_MISSING_INPUTS";
    assert_eq!(workshop.run(&workshop.script(script)).missed, ["pkg/x.lisp", "/opt/y"]);
    // It is not to be trusted.
    for trick in
        ["ln -s /etc/passwd $F", "mkdir $F", "ln -s /dev/zero $F", "mkfifo $F || ln -s . $F"]
    {
        let script = format!("F=$RBZ_MISSING_INPUTS; {trick} 2>/dev/null");
        assert!(workshop.run(&workshop.script(&script)).missed.is_empty(), "{trick}");
    }
}

fn a_program_that_is_not_there_is_told() {
    let workshop = Workshop::new();
    let mut spawn = workshop.script("").input(workshop.blob("tool", b"#!/no/shell\n", true));
    spawn = spawn.input(workshop.text("plain", "text"));
    for (program, status, said) in [
        ("pkg/none", 127, "cannot run `pkg/none`: No such file or directory\n"),
        ("tool", 127, "cannot run `tool`: its interpreter `/no/shell` is not among the inputs\n"),
        ("plain", 126, "cannot run `plain`: Permission denied\n"),
    ] {
        spawn.argv[0] = program.into();
        let done = workshop.run(&spawn);
        assert_eq!(done.exit, Exit::Status(status));
        assert_eq!(String::from_utf8_lossy(&done.stderr), said);
        let missed: &[&str] = match program {
            "tool" => &["/no/shell"],
            "pkg/none" => &["pkg/none"],
            _ => &[],
        };
        assert_eq!(done.missed, missed);
    }
    let mut spawn = workshop.script("");
    spawn.working_directory = "no/where".into();
    let error = workshop.strategy.run(&spawn, &Cancel::default()).unwrap_err().to_string();
    assert!(error.contains("`/rbz/execroot/no/where`"), "{error}");
}

fn a_kept_sandbox_can_be_looked_at() {
    let workshop = Workshop::new();
    let mut spawn = workshop
        .script("echo o > out/o; echo t > /tmp/t; exit 1")
        .input(workshop.text("pkg/in", "i"))
        .output("out/o");
    spawn.keep = true;
    let done = workshop.run(&spawn);
    let kept = done.kept.clone().unwrap();
    assert!(done.outputs_root.join("out/o").exists());
    drop(done);
    assert_eq!(fs::read_to_string(kept.join("tmp/t")).unwrap(), "t\n");
    assert_eq!(fs::read_to_string(kept.join("inputs/pkg/in")).unwrap(), "i");
    assert!(fs::read_to_string(kept.join("command")).unwrap().contains("exit 1"));
}
