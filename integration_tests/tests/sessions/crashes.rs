//! Ends that come too early, and changes that come too late.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rbz_integration_tests::Workspace;
use rbz_integration_tests::projects::{build_file, tower};
use rbz_integration_tests::session::Running;

/// A workspace with an action that never ends, and the word by which its process is known.
struct Endless {
    ws: Workspace,
    word: String,
}

/// `//:endless` on `//:first`; with further attributes.
fn endless(attributes: &str) -> Endless {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let word = format!("100000.{}{number}", std::process::id());
    let ws = build_file(&format!(
        r#"
genrule(name = "first", outs = ["first.txt"], cmd = "echo first > $@")
genrule(
    name = "endless",
    srcs = ["first.txt"],
    outs = ["endless.txt"],
    cmd = "sleep {word}",
    {attributes}
)
"#
    ));
    Endless { ws: ws.build(), word }
}

impl Endless {
    /// Starts a build and waits until the action runs.
    fn start(&self) -> Running {
        let mut call = self.ws.rbz("build //:endless").exit_code(8).spawn();
        call.wait_until("the action", |_| self.runs());
        call
    }

    /// True while the action's process is there.
    fn runs(&self) -> bool {
        let processes = std::fs::read_dir("/proc").expect("there is /proc").flatten();
        let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines
            .map(|line| String::from_utf8_lossy(&line).into_owned())
            .any(|line| line.contains(&self.word))
    }

    /// Waits until the action's process is gone.
    fn wait_for_end(&self) {
        let start = Instant::now();
        while self.runs() {
            assert!(start.elapsed() < Duration::from_secs(30), "the action goes on without rbz");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn ctrl_c_stops_the_build_with_status_8_and_keeps_what_was_finished() {
    for attributes in ["", "local = True"] {
        let endless = endless(attributes);
        let call = endless.start();
        call.signal(Signal::SIGINT);
        call.wait().stderr_has("nterrupt");
        assert!(!endless.runs(), "the action's processes are gone");
        assert_eq!(endless.ws.read("rbz-bin/first.txt"), "first\n");
        assert!(endless.ws.rbz("build //:first").run().ran().is_empty());
    }
}

#[test]
fn a_second_ctrl_c_ends_rbz_at_once() {
    let endless = endless("");
    let call = endless.start();
    call.signal(Signal::SIGINT);
    call.signal(Signal::SIGINT);
    call.wait();
    endless.wait_for_end();
}

#[test]
fn when_rbz_is_killed_its_actions_end_too() {
    for attributes in ["", "local = True"] {
        let endless = endless(attributes);
        endless.start().kill();
        endless.wait_for_end();
        assert!(endless.ws.rbz("build //:first").run().ran().is_empty());
    }
}

#[test]
fn of_two_rbz_in_one_workspace_the_second_waits_and_says_so() {
    let endless = endless("");
    let first = endless.start();
    let mut second = endless.ws.rbz("build //:first").spawn();
    second.wait_for_stderr("ait");
    // Who waits can be called off, and who does not want to wait need not.
    for command in ["build //:first", "info", "clean"] {
        let mut third = endless.ws.rbz(command).exit_code(8).spawn();
        third.wait_for_stderr("waiting for another rbz");
        third.signal(Signal::SIGINT);
        third.wait().stderr_has("interrupted");
    }
    let impatient = endless.ws.rbz("--noblock_for_lock build //:first").exit_code(9).run();
    impatient.stderr_has("another rbz works in this workspace (pid ").stderr_lacks("waiting");
    assert!(endless.runs(), "the first does not notice");
    first.signal(Signal::SIGINT);
    first.wait();
    second.wait();
}

#[test]
fn a_terminal_that_closes_or_a_request_to_end_is_an_interrupt() {
    for signal in [Signal::SIGHUP, Signal::SIGTERM] {
        let endless = endless("");
        let call = endless.start();
        call.signal(signal);
        call.wait().stderr_has("Build was interrupted");
        assert!(!endless.runs(), "the action's processes are gone");
    }
    // Unless whoever called rbz does not want it to end with the terminal.
    let endless = endless("");
    let call = endless.ws.rbz("build //:endless").wrapped(["nohup"]).exit_code(8);
    let mut call = call.spawn();
    call.wait_until("the action", |_| endless.runs());
    call.signal(Signal::SIGHUP);
    call.signal(Signal::SIGTERM);
    // One interrupt, and not two.
    call.wait().stderr_has("Build was interrupted");
}

#[test]
fn several_rbz_in_one_workspace_take_turns() {
    let ws = tower().own_cache().build();
    let calls: Vec<_> = (0..3).map(|_| ws.rbz("build //...").spawn()).collect();
    for call in calls {
        call.wait();
    }
    ws.rbz("run //app").run().stdout_has("Hello, world!");
}

#[test]
fn workspaces_share_a_cache_at_the_same_time() {
    let first = tower().own_cache().build();
    let second = first.clone_to("elsewhere", true);
    let cache = format!("--disk_cache={}", first.disk_cache().display());
    let calls = [&first, &second].map(|ws| ws.rbz_args(["build", "//...", &cache]).spawn());
    for call in calls {
        call.wait();
    }
    for ws in [&first, &second] {
        ws.rbz_args(["run", "//app", &cache]).run().stdout_has("Hello, world!");
    }
}

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Twelve genrules in four rows of three, each on the one before, and a Lisp library on the last.
fn rows() -> Workspace {
    let mut build = String::new();
    for row in 0..4 {
        for column in 0..3 {
            let source = match column {
                0 => format!("in{row}.txt"),
                _ => format!("o{row}{}.txt", column - 1),
            };
            build.push_str(&format!(
                "genrule(name = \"g{row}{column}\", srcs = [\"{source}\"], outs = [\"o{row}{column}.txt\"], \
                 cmd = \"(cat $<; echo {row}{column}) > $@\")\n"
            ));
        }
    }
    build.push_str(
        "genrule(name = \"lisp\", srcs = [\"o02.txt\", \"o12.txt\"], outs = [\"g.lisp\"], \
         cmd = \"(echo '(defparameter *text* \\\"'; cat $(SRCS); echo '\\\")') > $@\")\n\
         lisp_library(name = \"lib\", srcs = [\"g.lisp\", \"h.lisp\"])\n",
    );
    let mut builder = build_file(&build).file("h.lisp", "(defun h () *text*)\n").own_cache();
    for row in 0..4 {
        builder = builder.file(&format!("in{row}.txt"), "0\n");
    }
    builder.build()
}

fn assert_rows_right(ws: &Workspace, version: u64) {
    for row in 0..4 {
        let expected = format!("{version}\n{row}0\n{row}1\n{row}2\n");
        assert_eq!(ws.read(&format!("rbz-bin/o{row}2.txt")), expected);
    }
    let generated = ws.read("rbz-bin/g.lisp");
    assert!(generated.contains(&format!("\"\n{version}\n00\n")), "{generated}");
    let fasl = std::fs::read(ws.path("rbz-bin/lib.fasl")).expect("the library is built");
    let text = format!("{version}\n10\n11\n12\n");
    assert!(fasl.windows(text.len()).any(|window| window == text.as_bytes()));
}

#[test]
fn killed_at_any_moment_the_next_build_is_right_and_does_nothing_twice() {
    let ws = rows();
    let start = Instant::now();
    ws.rbz("build //...").run();
    assert_rows_right(&ws, 0);
    let mut whole = start.elapsed();
    let mut random = Random(20_200_101);
    let mut interrupted = 0;
    for version in 1..=50 {
        for row in 0..4 {
            ws.write(&format!("in{row}.txt"), &format!("{version}\n"));
        }
        let moment = Duration::from_micros(random.below(whole.as_micros() as u64 + 1));
        let start = Instant::now();
        let mut call = ws.rbz("build //...").spawn();
        while start.elapsed() < moment && call.is_running() {
            std::thread::sleep(Duration::from_micros(500));
        }
        interrupted += u32::from(call.is_running());
        let killed = call.kill();
        let finished = killed.ran();

        let start = Instant::now();
        let outcome = ws.rbz("build //...").run();
        assert_rows_right(&ws, version);
        let again: Vec<_> =
            outcome.ran().into_iter().filter(|action| finished.contains(action)).collect();
        assert!(again.is_empty(), "finished before the kill, and done again: {again:?}");
        whole = whole.min(start.elapsed().max(whole / 2));
    }
    assert!(interrupted >= 25, "most kills came before the end: {interrupted} of 50");
}

#[test]
fn a_source_edited_while_it_is_compiled_poisons_nothing() {
    // The compiler waits, in the middle of the file, for a sign from the test.
    let first = r#"
(eval-when (:compile-toplevel)
  (close (open "/tmp/waiting" :direction :output))
  (loop repeat 6000 until (probe-file "/tmp/go") do (sleep 1/100)))
(defun f () "first text")
"#;
    let other = "(defun f () \"other text\")\n";
    let ws = build_file("lisp_library(name = \"lib\", srcs = [\"lib.lisp\"])\n")
        .file("lib.lisp", first)
        .own_cache()
        .build();
    let has = |text: &str| {
        let fasl = std::fs::read(ws.path("rbz-bin/lib.fasl")).expect("the library is built");
        fasl.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let mut call = ws.rbz("build //:lib").spawn();
    // The private `/tmp` of an action is a directory of the sandbox.
    let mut sign = None;
    call.wait_until("the compiler waits", |_| {
        let mut files = walkdir::WalkDir::new(ws.output_user_root()).into_iter().flatten();
        let waiting = files.find(|entry| entry.path().ends_with("tmp/waiting"));
        sign = waiting.map(|entry| entry.path().with_file_name("go"));
        sign.is_some()
    });
    ws.write("lib.lisp", other);
    std::fs::write(sign.expect("the compiler waits"), "").expect("its directory is there");
    call.wait();
    assert!(has("first text"), "what was there at the start was compiled");
    ws.rbz("build //:lib").run();
    assert!(has("other text"), "the change counts");
    ws.write("lib.lisp", first);
    let outcome = ws.rbz("build //:lib").run();
    assert!(outcome.ran().is_empty() && has("first text"), "what was cached is what was compiled");
}
