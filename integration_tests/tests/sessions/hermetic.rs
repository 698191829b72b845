//! What an action does not declare does not exist for it, and the failure says what to declare.

use rbz_integration_tests::Outcome;
use rbz_integration_tests::projects::build_file;
use rbz_integration_tests::workspace::WorkspaceBuilder;

/// A genrule `//:o` with this command.
fn command(cmd: &str) -> WorkspaceBuilder {
    build_file(&format!("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"\"\"{cmd}\"\"\")\n"))
}

/// A library `//:lib` that reads the file at `path` when it is compiled.
fn reading(path: &str) -> WorkspaceBuilder {
    let text = format!("(defparameter *text* #.(with-open-file (in \"{path}\") (read-line in)))\n");
    build_file("lisp_library(name = \"lib\", srcs = [\"lib.lisp\"])\n").file("lib.lisp", &text)
}

#[test]
fn a_sibling_file() {
    let ws = reading("sibling.txt").file("sibling.txt", "a line\n").build();
    let outcome = ws.rbz("build //:lib").exit_code(1).run();
    outcome.stderr_has("sibling.txt").stderr_has("//:lib").stderr_has("compile_data");

    ws.edit("BUILD", "\"lib.lisp\"])", "\"lib.lisp\"], compile_data = [\"sibling.txt\"])");
    ws.rbz("build //:lib").run();
}

#[test]
fn a_sibling_file_of_a_genrule() {
    let ws = command("cat sibling.txt > $@").file("sibling.txt", "a line\n").build();
    let outcome = ws.rbz("build //:o").exit_code(1).run();
    outcome.stderr_has("`sibling.txt`").stderr_has("\":sibling.txt\"").stderr_has("srcs");
}

#[test]
fn a_file_of_another_package() {
    let ws = reading("other/data.txt")
        .file("other/BUILD", "exports_files([\"data.txt\"])\n")
        .file("other/data.txt", "a line\n")
        .build();
    let outcome = ws.rbz("build //:lib").exit_code(1).run();
    outcome.stderr_has("//other:data.txt").stderr_has("compile_data");
}

#[test]
fn a_generated_file_that_is_not_declared() {
    let ws = build_file(
        r#"
genrule(name = "made", outs = ["made.txt"], cmd = "echo made > $@")
genrule(name = "o", outs = ["o.txt"], cmd = "cat $(BINDIR)/made.txt > $@")
"#,
    )
    .build();
    // Even when it is there already.
    ws.rbz("build //:made").run();
    let outcome = ws.rbz("build //:o").exit_code(1).run();
    outcome.stderr_has("\":made.txt\"").stderr_has("not declared");
}

#[test]
fn a_library_that_is_used_but_not_in_deps() {
    let ws = build_file(
        r#"
lisp_library(name = "a", srcs = ["a.lisp"])
lisp_library(name = "b", srcs = ["b.lisp"])
"#,
    )
    .file(
        "a.lisp",
        "(defpackage #:a (:use #:cl) (:export #:f))\n(in-package #:a)\n(defun f () 1)\n",
    )
    .file("b.lisp", "(defun b () (a:f))\n")
    .build();
    ws.rbz("build //:a").run();
    let outcome = ws.rbz("build //:b").exit_code(1).run();
    outcome.stderr_has("b.lisp:1").stderr_has("does not exist");
}

#[test]
fn the_home_directory() {
    let ws = command("ls -A $$HOME > $@; ls -A /root /home >> $@ 2>&1 || true").build();
    std::fs::write(ws.home().join("secret.txt"), "secret\n").expect("the home can be written");
    ws.rbz("build //:o").run();
    assert!(!ws.read("rbz-bin/o.txt").contains("secret"));

    let ws = reading("~/secret.txt").build();
    std::fs::write(ws.home().join("secret.txt"), "secret\n").expect("the home can be written");
    ws.rbz("build //:lib").exit_code(1).run().stderr_has("secret.txt");
}

#[test]
fn an_absolute_path_into_the_workspace() {
    let ws = command("true").file("data.txt", "a line\n").build();
    let path = ws.path("data.txt");
    ws.write(
        "BUILD",
        &format!(
            "genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"cp '{}' $@\")\n",
            path.display()
        ),
    );
    let outcome = ws.rbz("build //:o").exit_code(1).run();
    outcome.stderr_has("No such file").stderr_has("\":data.txt\"");
}

#[test]
fn the_lisp_sources_of_the_system() {
    let ws = reading("/usr/share/common-lisp/source/alexandria/package.lisp").build();
    ws.rbz("build //:lib").exit_code(1).run().stderr_has("/usr/share/common-lisp");

    let ws = command("test ! -e /usr/share/common-lisp; touch $@").build();
    ws.rbz("build //:o").run();
}

#[test]
fn programs_that_are_no_part_of_the_toolchain() {
    let ws = command("python3 --version > $@").build();
    ws.rbz("build //:o").exit_code(1).run().stderr_has("python3");
}

#[test]
fn the_network() {
    // A server of our own, on the machine's loopback: not the one that an action has.
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port can be had");
    let port = server.local_addr().expect("it has an address").port();
    let ws = command(&format!("exec 3<>/dev/tcp/127.0.0.1/{port}; touch $@")).build();
    ws.rbz("build //:o").exit_code(1).run().stderr_has("Connection refused");

    // Of interfaces there is the loopback alone.
    let ws = command("tail -n +3 /proc/net/dev | cut -d: -f1 > $@").build();
    ws.rbz("build //:o").run();
    assert_eq!(ws.read("rbz-bin/o.txt").trim(), "lo");
}

#[test]
fn the_environment_of_the_user() {
    let ws = command("env | sort > $@").build();
    ws.rbz("build //:o").env("SECRET", "value").env("LC_ALL", "de_DE.UTF-8").run();
    let environment = ws.read("rbz-bin/o.txt");
    assert!(!environment.contains("SECRET") && !environment.contains("de_DE"), "{environment}");
    assert!(environment.contains("LANG=C.UTF-8\n"), "{environment}");
}

#[test]
fn other_processes_and_the_user_are_hidden() {
    let ws = command("echo $$(ls /proc | grep -c ^[0-9]) $$(id -u) $$(id -g) $$(hostname 2>/dev/null || uname -n) > $@").build();
    ws.rbz("build //:o").run();
    let text = ws.read("rbz-bin/o.txt");
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(words[0].parse::<u32>().is_ok_and(|count| count < 10), "{text}");
    assert_eq!(&words[1..3], ["1000", "1000"]);
    let hostname = rbz_integration_tests::system::output_of(ws.root(), "uname", &["-n"]);
    assert_ne!(words[3], hostname.trim());
}

#[test]
fn inputs_cannot_be_written() {
    let ws = build_file("genrule(name = \"o\", srcs = [\"in.txt\"], outs = [\"o.txt\"], cmd = \"echo poison >> $<; cat $< > $@\")\n")
        .file("in.txt", "pure\n")
        .build();
    ws.rbz("build //:o").exit_code(1).run();
    assert_eq!(ws.read("in.txt"), "pure\n");
}

#[test]
fn an_output_that_was_not_written_is_named() {
    let ws = build_file(
        "genrule(name = \"o\", outs = [\"a.txt\", \"b.txt\"], cmd = \"touch $(RULEDIR)/a.txt\")\n",
    )
    .build();
    let outcome = ws.rbz("build //:o").exit_code(1).run();
    outcome.stderr_has("b.txt").stderr_has("//:o");
}

#[test]
fn a_test_sees_only_its_runfiles() {
    let ws = build_file("sh_test(name = \"t\", srcs = [\"t.sh\"])\n")
        .file("t.sh", "#!/bin/bash\n[[ ! -e other.txt ]] && [[ -z \"$(find / -name other.txt -not -path '/proc/*' 2>/dev/null)\" ]]\n")
        .file("other.txt", "")
        .build();
    ws.rbz("test //:t").run();
}

#[test]
fn a_test_that_misses_a_file_is_told_what_to_declare() {
    let ws = build_file(
        r#"
genrule(name = "gen", outs = ["made.txt"], cmd = "touch $@")
sh_test(name = "t", srcs = ["t.sh"], data = ["here.txt"])
"#,
    )
    .file("t.sh", "#!/bin/bash\ncat here.txt other.txt $TEST_SRCDIR/$TEST_WORKSPACE/made.txt\n")
    .file("here.txt", "")
    .file("other.txt", "")
    .build();
    let outcome = ws.rbz("test //:t //:gen").exit_code(3).run();
    outcome
        .stderr_has("`//:t` uses `other.txt`, which exists but is not declared")
        .stderr_has("hint: add `\":other.txt\"` to `data` of `//:t`")
        .stderr_has("hint: add `\":gen\"` to `data` of `//:t`")
        .stderr_lacks("here.txt");
    ws.edit("BUILD", "\"here.txt\"]", "\"here.txt\", \":other.txt\", \":gen\"]");
    ws.rbz("test //:t").run();
}

#[test]
fn a_script_whose_shell_is_not_declared() {
    let ws = build_file("load(\":run.bzl\", \"run\")\nrun(name = \"x\", tool = \"tool.sh\")\n")
        .file(
            "run.bzl",
            r#"
def _run_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run(
        outputs = [out],
        executable = ctx.file.tool,
        arguments = [out.path],
        tools = [target[DefaultInfo].files for target in ctx.attr.tools],
    )
    return [DefaultInfo(files = depset([out]))]

run = rule(
    implementation = _run_impl,
    attrs = {"tool": attr.label(allow_single_file = True), "tools": attr.label_list()},
)
"#,
        )
        .file("tool.sh", "#!/bin/bash\necho made > $1\n")
        .build();
    rbz_integration_tests::workspace::set_mode(&ws.path("tool.sh"), 0o755);
    let outcome = ws.rbz("build //:x").exit_code(1).run();
    outcome
        .stderr_has("cannot run `tool.sh`: its interpreter `/bin/bash` is not among the inputs")
        .stderr_has("`//:x` uses `/bin/bash` of this machine, which its rule does not declare")
        .stderr_has("`@shell//:shell`");
    ws.edit("BUILD", "\"tool.sh\"", "\"tool.sh\", tools = [\"@shell//:shell\"]");
    ws.rbz("build //:x").run();
    assert_eq!(ws.read("rbz-bin/x"), "made\n");
}

#[test]
fn where_namespaces_are_asked_for_and_forbidden_that_is_said() {
    let ws = command("echo made > $@").build();
    // Without rights, in a user namespace that allows no further one.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"";
    let wrapper = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"];
    let outcome = ws.rbz("build //:o --sandbox=namespaces").wrapped(wrapper).exit_code(36).run();
    outcome
        .stderr_has("cannot sandbox actions on this machine")
        .stderr_has("`/proc/sys/user/max_user_namespaces` is 0")
        .stderr_has("`--sandbox=none`");
    ws.rbz("build //:o --sandbox=none").wrapped(wrapper).run();
    assert_eq!(ws.read("rbz-bin/o.txt"), "made\n");
}

#[test]
fn without_the_sandbox_an_action_sees_the_machine() {
    let ws = command("cat /etc/debian_version > $@ || ls / > $@").build();
    ws.rbz("build //:o --sandbox=none").run();
}

#[test]
fn a_kept_sandbox_shows_what_the_action_saw() {
    let ws = command("cat missing.txt > $@").build();
    let outcome = ws.rbz("build //:o --sandbox_debug").exit_code(1).run();
    let (_, kept) = outcome.stderr().split_once("its directory was kept: `").expect("a hint");
    let (kept, _) = kept.split_once('`').expect("the end of the path");
    assert!(std::path::Path::new(kept).is_dir(), "{kept} in {outcome}");
}

/// The arguments of the line that enters the sandbox which a failure kept.
fn line_that_enters(outcome: &Outcome) -> Vec<&str> {
    let mut lines = outcome.stderr().lines();
    let directory = lines.find_map(|line| line.trim().strip_prefix("rbz tool sandbox "));
    let directory = directory.unwrap_or_else(|| panic!("no line in {outcome}"));
    // Quoted for a shell, if its path has blanks.
    vec!["tool", "sandbox", directory.trim_matches('\'')]
}

#[test]
fn a_kept_sandbox_can_be_entered_again() {
    let build = r#"
genrule(name = "o", srcs = ["in.txt"], outs = ["o.txt"], cmd = "mkdir ~/made; cat $< >&2; pwd >&2; exit 7")
genrule(name = "l", outs = ["l.txt"], local = True, cmd = "exit 6")
sh_test(name = "t", srcs = ["t.sh"])
lisp_library(name = "lib", srcs = ["lib.lisp"])
"#;
    let ws = build_file(build)
        .file("in.txt", "as it was\n")
        .file("t.sh", "#!/bin/bash\nls $TEST_SRCDIR; exit 5\n")
        .file("lib.lisp", "(defun f (\n")
        .build();
    let outcome = ws.rbz("build //:o --sandbox_debug").exit_code(1).run();
    let enter = line_that_enters(&outcome);
    let with = |more: &[&str]| ws.rbz_args(enter.iter().chain(more));
    // The source may change: the sandbox is that of the action.
    ws.write("in.txt", "changed\n");
    for _ in 0..2 {
        let again = with(&[]).exit_code(7).run();
        assert_eq!(again.stderr(), "as it was\n/rbz/execroot\n");
    }
    let seen = with(&["bash", "-c", "echo $HOME $(id -u); ls -d * /etc"]);
    assert_eq!(seen.run().stdout(), "/rbz/home 1000\n/etc\nin.txt\nrbz-out\n");
    let copy = std::path::Path::new(enter[2]).join("inputs/in.txt");
    std::fs::write(copy, "mended\n").expect("the copy can be edited");
    with(&["--", "cat", "in.txt"]).run().stdout_has("mended");
    with(&["bahs"]).exit_code(2).run().stderr_has("did you mean `bash`?");
    with(&["bash", "-c", "kill -SEGV $$"]).exit_code(139).run().stderr_has("SIGSEGV");

    let outcome = ws.rbz("build //:l --sandbox_debug").exit_code(1).run();
    ws.rbz_args(line_that_enters(&outcome)).exit_code(6).run();
    let outcome = ws.rbz("build //:o --sandbox=landlock --sandbox_debug").exit_code(1).run();
    ws.rbz_args(line_that_enters(&outcome)).exit_code(7).run().stderr_has("changed");
    let outcome = ws.rbz("test //:t --sandbox_debug").exit_code(3).run();
    ws.rbz_args(line_that_enters(&outcome)).exit_code(5).run().stdout_has("test\n");
    let outcome = ws.rbz("build //:lib --sandbox_debug").exit_code(1).run();
    let lisp = [line_that_enters(&outcome), vec!["sbcl", "--version"]].concat();
    ws.rbz_args(lisp).run().stdout_has("SBCL");
    ws.rbz("tool sandbox .").exit_code(2).run().stderr_has("no directory that");
}
