//! Why something was built: `rbz why-rebuilt` and `--explain`.

use insta::assert_snapshot;
use rbz_integration_tests::projects::{build_file, tower};
use rbz_integration_tests::{Workspace, workspace};

/// What is told of a target after a build of it.
fn rebuilt(ws: &Workspace, target: &str) -> String {
    ws.rbz(&format!("build {target}")).run();
    told(ws, &format!("why-rebuilt {target}"))
}

fn told(ws: &Workspace, command: &str) -> String {
    ws.rbz(command).run().golden_stdout()
}

#[test]
fn each_change_is_told_from_its_source_to_the_target() {
    let ws = tower().own_cache().build();
    let before = ws.rbz("why-rebuilt //app").exit_code(1).run();
    before.stderr_has("ERROR: no build of `//app` is on record that did anything");
    assert_snapshot!("first_build", rebuilt(&ws, "//app"));
    ws.edit("words/words.lisp", "~A, ~A!", "~A: ~A!");
    assert_snapshot!("body_of_a_function", rebuilt(&ws, "//app"));
    assert_snapshot!("every_step", told(&ws, "why-rebuilt --verbose_explanations //app"));
    // A build that does nothing changes nothing about it.
    ws.rbz("build //app //words").run();
    assert_snapshot!("part_of_another_build", told(&ws, "why-rebuilt //words"));
    ws.edit("words/words.lisp", "(defun join", ";; A comment.\n(defun join");
    assert_snapshot!("comment", rebuilt(&ws, "//app"));
    ws.edit("words/macros.lisp", "() ,text", "() (copy-seq ,text)");
    assert_snapshot!("macro", rebuilt(&ws, "//app"));
    ws.edit("words/BUILD", "name = \"words\",", "name = \"words\", add_features = [\"spring\"],");
    assert_snapshot!("flag", rebuilt(&ws, "//app"));
    ws.edit("greeting/greeting.lisp", "(words:hello)", "\"Hi\"");
    ws.edit("app/app.lisp", "world", "you");
    assert_snapshot!("two_sources", rebuilt(&ws, "//app"));
    assert_snapshot!("one_of_them", told(&ws, "why-rebuilt //greeting"));
    // What is in the store is put into its place again, and nothing is done for it.
    std::fs::remove_file(ws.path("rbz-bin/app/app")).expect("it is there");
    assert_eq!(rebuilt(&ws, "//app"), told(&ws, "why-rebuilt //app"));
    ws.edit("app/app.lisp", "(defun main", "(defun main (");
    ws.rbz("build //app").exit_code(1).run();
    assert_snapshot!("failure", told(&ws, "why-rebuilt //app"));
    ws.edit("app/app.lisp", "(defun main (", "(defun main");
    ws.rbz("clean").run();
    assert_snapshot!("from_the_cache", rebuilt(&ws, "//app"));
}

#[test]
fn tools_variables_and_results_of_tests_are_reasons() {
    let ws = build_file(
        r#"
sh_binary(name = "tool", srcs = ["tool.sh"])
genrule(name = "g", srcs = ["in.txt"], outs = ["o.txt"], tools = [":tool"], cmd = "$(location :tool) $(SRCS) $$X > $@")
sh_test(name = "t", srcs = ["t.sh"], data = [":g"])
filegroup(name = "f", srcs = ["in.txt"])
"#,
    )
    .file("in.txt", "in\n")
    .file("tool.sh", "#!/bin/bash\ncat $1; echo $2\n")
    // What it says is never the same.
    .file("t.sh", "#!/bin/bash\nhead -c 16 /dev/urandom | base64\ngrep -q in o.txt\n")
    .own_cache()
    .build();
    ws.rbz("test //... --action_env=X=1").run();
    ws.edit("tool.sh", "echo $2", "echo \"$2\"; echo more");
    ws.rbz("test //... --action_env=X=1").run();
    assert_snapshot!("tool", told(&ws, "why-rebuilt //:t --action_env=X=1"));
    ws.rbz("test //... --action_env=X=2 --explain=why.txt").run();
    assert_snapshot!("variable", told(&ws, "why-rebuilt //:t --action_env=X=2"));
    assert_snapshot!("explanations_of_a_variable", ws.read("why.txt"));
    ws.rbz("test //... --action_env=X=2 --cache_test_results=no").run();
    assert_snapshot!("test_again", told(&ws, "why-rebuilt //:t --action_env=X=2"));
    ws.rbz("why-rebuilt //:f").run().stdout_has("`//:f` needs no action");
    // The cache is gone, and one output.
    std::fs::remove_file(ws.path("rbz-bin/o.txt")).expect("it is there");
    std::fs::remove_dir_all(ws.disk_cache()).expect("it is there");
    ws.rbz("build //:g --action_env=X=2").run();
    assert_snapshot!("output_gone", told(&ws, "why-rebuilt //:g --action_env=X=2"));
}

#[test]
fn explanations_name_the_first_change_or_all() {
    let ws = tower().own_cache().build();
    let explain = |options: &str| {
        ws.rbz(&format!("build //words --explain=why.txt {options}")).run();
        // Which of two actions comes first is not said here.
        let text = ws.read("why.txt");
        let mut lines: Vec<&str> = text.lines().collect();
        lines[1..].sort_unstable();
        lines.join("\n")
    };
    assert!(explain("").contains("it was not done here before"));
    // Nothing was done, and nothing is explained.
    assert_eq!(explain("").lines().count(), 1);
    ws.edit("words/macros.lisp", "() ,text", "() (copy-seq ,text)");
    ws.append("words/words.lisp", "(defun another () 1)\n");
    assert_snapshot!("explanations", explain(""));
    ws.append("words/macros.lisp", "(defmacro twice (x) `(progn ,x ,x))\n");
    ws.append("words/words.lisp", "(defun yet-another () 1)\n");
    assert_snapshot!("explanations_of_everything", explain("--verbose_explanations"));
    ws.rbz("clean").run();
    assert!(explain("").contains("found in the disk cache; it was not done here before"));
}

#[test]
fn what_cannot_be_explained_says_so() {
    let ws = workspace()
        .file("BUILD", "genrule(name = \"g\", outs = [\"o\"], cmd = \"echo > $@\")\n")
        .file("d/x", "")
        .build();
    for (arguments, status, text) in [
        ("why-rebuilt", 2, "`rbz why-rebuilt` needs one target"),
        ("why-rebuilt //:g //:h", 2, "`rbz why-rebuilt` needs one target"),
        ("why-rebuilt //:gg", 1, "there is no target `//:gg`"),
        ("why-rebuilt //nowhere:x", 1, "nowhere"),
        ("why-rebuilt //:g --nope", 2, "`--nope` is no option of `rbz why-rebuilt`"),
        ("build //:g --explain=d", 36, "cannot write the explanations to"),
        ("build //:g --explain=no/such/file", 36, "cannot write the explanations to"),
    ] {
        ws.rbz(arguments).exit_code(status).run().stderr_has(text);
    }
    ws.rbz("build //:g").run();
    let base = ws.rbz("info output_base").run().stdout().trim().to_owned();
    let log = std::path::Path::new(&base).join("log/manifests");
    // Torn, it knows less, and takes down what comes.
    let whole = std::fs::read(&log).expect("it is there");
    std::fs::write(&log, &whole[..whole.len() / 2]).expect("it can be written");
    ws.edit("BUILD", "echo >", "echo x >");
    ws.rbz("build //:g").run();
    ws.rbz("why-rebuilt //:g").run().stdout_has("of what it was made last time is not on record");
    ws.edit("BUILD", "echo x >", "echo y >");
    ws.rbz("build //:g").run();
    ws.rbz("why-rebuilt //:g").run().stdout_has("the command line changed");
    // A directory in its place is no log.
    std::fs::remove_file(&log).expect("it is there");
    std::fs::create_dir(&log).expect("it can be made");
    ws.edit("BUILD", "echo y >", "echo z >");
    ws.rbz("build //:g").run().stderr_has("WARNING: what this build did is not on record: cannot");
    ws.rbz("why-rebuilt //:g").exit_code(36).run().stderr_has("log/manifests");
}
