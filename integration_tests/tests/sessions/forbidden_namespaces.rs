//! Machines that forbid namespaces, as most containers do: actions run under Landlock.

use rbz_integration_tests::events::Action;
use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::{Workspace, workspace_from};

/// In a user namespace that allows no further one, without any right: as root, or as user 1000.
fn without_namespaces(as_root: bool) -> Vec<&'static str> {
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all \"$@\"";
    let user: &[&str] = match as_root {
        true => &["--map-root-user"],
        false => &["--map-user=1000", "--map-group=1000", "--keep-caps"],
    };
    [&["unshare", "--user"], user, &["sh", "-c", script, "sh"]].concat()
}

fn built_and_tested(ws: &Workspace, as_root: bool) {
    let outcome = ws.rbz("build //...").wrapped(without_namespaces(as_root)).run();
    let told = outcome.stderr().matches("INFO: this machine has no namespaces").count();
    assert_eq!(told, 1, "{outcome}");
    outcome.stderr_has("`/proc/sys/user/max_user_namespaces` is 0").stderr_has("Landlock");
    ws.rbz("test //...").wrapped(without_namespaces(as_root)).run().shows("PASSED");
    let again = ws.rbz("test //...").wrapped(without_namespaces(as_root)).run();
    assert!(again.ran().is_empty(), "everything is done: {again}");
    again.stderr_lacks("Landlock");
}

#[test]
fn the_examples_work_for_root() {
    for example in ["library", "generated", "native"] {
        built_and_tested(&workspace_from(&format!("examples/{example}")).own_cache().build(), true);
    }
}

#[test]
fn an_example_works_for_an_ordinary_user() {
    let ws = workspace_from("examples/hello").own_cache().build();
    built_and_tested(&ws, false);
    let run = ws.rbz("run //:hello -- Ada Grace").wrapped(without_namespaces(false));
    run.run().stdout_has("Hello, Ada and Grace!\n");
}

#[test]
fn what_is_not_declared_is_refused_and_named() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port can be had");
    let port = server.local_addr().expect("it has an address").port();
    let ws = build_file(&format!(
        r#"
genrule(name = "sibling", outs = ["s.txt"], cmd = "cat sibling.txt > $@")
genrule(name = "home", outs = ["h.txt"], cmd = "cat '/HOME/secret.txt' > $@")
genrule(name = "lisp_sources", outs = ["l.txt"], cmd = "ls /usr/share/common-lisp > $@")
genrule(name = "connection", outs = ["c.txt"], cmd = "exec 3<>/dev/tcp/127.0.0.1/{port}; touch $@")
genrule(name = "declared", srcs = ["sibling.txt"], outs = ["d.txt"], cmd = "cat $< > $@; ls -A ~ >> $@")
lisp_library(name = "lib", srcs = ["lib.lisp"])
"#
    ))
    .file("sibling.txt", "a line\n")
    .file("lib.lisp", "(defvar *x* #.(with-open-file (in \"sibling.txt\") (read-line in)))\n")
    .build();
    let home = ws.home().display().to_string();
    ws.edit("BUILD", "/HOME", &home);
    std::fs::write(ws.home().join("secret.txt"), "secret\n").expect("the home can be written");
    for as_root in [true, false] {
        let outcome = ws.rbz("build -k //...").wrapped(without_namespaces(as_root));
        let outcome = outcome.exit_code(1).run();
        outcome
            .stderr_has("`//:sibling` uses `sibling.txt`, which exists but is not declared")
            .stderr_has("to `srcs`, `deps` or `compile_data` of `//:sibling`")
            .stderr_has("`//:lib` uses `sibling.txt`, which exists but is not declared")
            .stderr_has("to `srcs`, `deps` or `compile_data` of `//:lib`")
            .stderr_has(&format!("`//:home` uses `{home}/secret.txt` of this machine"))
            .stderr_has("`//:lisp_sources` uses `/usr/share/common-lisp` of this machine")
            .stderr_has("hint: in the sandbox of this machine `Permission denied` is the answer");
        assert_eq!(ws.read("rbz-bin/d.txt"), "a line\n");
    }
}

#[test]
fn results_of_the_two_kinds_are_kept_apart() {
    let ws = build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"pwd > $@\")\n")
        .own_cache()
        .build();
    let ran = |option: &str| {
        let outcome = ws.rbz(&format!("build //:o {option}")).run();
        let ran: Vec<&Action> = outcome.ran();
        (ran.len(), ws.read("rbz-bin/o.txt").starts_with("/rbz/"))
    };
    assert_eq!(ran("--sandbox=namespaces"), (1, true));
    assert_eq!(ran("--sandbox=landlock"), (1, false));
    assert_eq!(ran("--sandbox=none"), (1, false));
    assert_eq!(ran(""), (0, true));
    assert_eq!(ran("--sandbox=landlock"), (0, false));
}

#[test]
fn a_killed_rbz_leaves_no_process() {
    let ws = build_file(
        "genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"(trap '' TERM HUP; sleep 87.25 &); sleep 87.25; touch $@\")\n",
    )
    .build();
    let sleeping = || {
        let entries = std::fs::read_dir("/proc").expect("there are processes").flatten();
        let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines.filter(|line| line.starts_with(b"sleep\x0087.25")).count()
    };
    let mut running = ws.rbz("build //:o --sandbox=landlock").spawn();
    running.wait_until("both sleep", |_| sleeping() == 2);
    running.kill();
    let begin = std::time::Instant::now();
    while sleeping() > 0 {
        assert!(begin.elapsed().as_secs() < 10, "they still sleep");
        std::thread::yield_now();
    }
}
