//! `rbz ide`: files by which editors know the targets of a workspace; and what tools for Bazel ask for.

use std::process::{Command, Output};

use rbz_integration_tests::projects::{build_file, tower};
use rbz_integration_tests::{Workspace, workspace};
use serde_json::{Value, json};

/// What a Lisp without init files prints that finds systems only among the stubs.
fn lisp(ws: &Workspace, forms: &[&str]) -> String {
    let stubs = ws.rbz("ide asd").run();
    // Without an empty part systems are found nowhere else.
    let registry = stubs.stdout().trim();
    let mut command = Command::new("sbcl");
    command.args(["--noinform", "--non-interactive", "--no-userinit", "--eval", "(require :asdf)"]);
    for form in forms {
        command.args(["--eval", form]);
    }
    command.current_dir(ws.home()).env_clear().env("HOME", ws.home()).env("LANG", "C.UTF-8");
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let Output { stdout, stderr, .. } =
        command.env("CL_SOURCE_REGISTRY", registry).output().expect("sbcl");
    String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr)
}

#[test]
fn the_project_file_says_of_each_source_how_it_is_compiled() {
    let ws = tower()
        .file("words/more.lisp", "")
        .file("all/BUILD", "lisp_library(name = \"all\", srcs = [\"a.lisp\", \"b.lisp\"], order = \"multipass\", add_features = [\"tea\"], deps = [\"//words\", \"@lisp//:sb-posix\"])\n")
        .file("all/a.lisp", "")
        .file("all/b.lisp", "")
        .build();
    // Nothing is built, and nothing needs to be.
    let outcome = ws.rbz("ide json").run();
    let file = outcome.stdout().trim().to_owned();
    assert!(file.ends_with("/rbz-out/ide/project.json"), "{file}");
    let text = rbz_integration_tests::workspace::read(&file);
    assert_eq!(ws.rbz("ide json --output=-").run().stdout(), text);
    let entries: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let of = |file: &str| entries.iter().find(|entry| entry["file"] == file).expect("its entry");
    let words = of("words/words.lisp");
    for (key, value) in [
        ("directory", json!(ws.root())),
        ("target", json!("//words:words")),
        ("position", json!(1)),
        ("order", json!("serial")),
        ("prior_files", json!(["words/macros.lisp"])),
        ("deps", json!([])),
        ("features", json!(["bazel", "rbz"])),
        ("fasl", json!("rbz-out/k8-fastbuild/bin/words/words~/words/words.fasl")),
    ] {
        assert_eq!(words[key], value, "{key}");
    }
    assert_eq!(of("greeting/greeting.lisp")["deps"], json!(["//words:words"]));
    let all = of("all/a.lisp");
    assert_eq!(all["prior_files"], json!(["all/a.lisp", "all/b.lisp"]));
    assert_eq!(all["deps"], json!(["//words:words", "@lisp//:sb-posix"]));
    assert_eq!(all["features"], json!(["bazel", "rbz", "tea"]));
    // The command and its parameters are those of the action.
    let actions = ws.rbz("aquery outputs(\".*words/words.fasl\",//words) --output=jsonproto").run();
    let actions: Value = serde_json::from_str(actions.stdout()).expect("JSON");
    assert_eq!(actions["actions"][0]["arguments"], words["command"]);
    let parameters = words["parameters"].as_array().expect("a list");
    assert!(parameters.contains(&json!("load source words/macros.lisp")), "{parameters:?}");
    // The policy is the driver's.
    for mode in ["fastbuild", "opt", "dbg"] {
        let form = format!(
            "(loop for (name value) in (rbz.compiling::policy \"{mode}\" nil) do (format t \"~(~a~) ~d~%\" name value))\n"
        );
        let driver = ws.rbz("repl -- --no-userinit").input(&form).run();
        let outcome = ws.rbz(&format!("ide json -c {mode} --output=- //words")).run();
        let entries: Vec<Value> = serde_json::from_str(outcome.stdout()).expect("JSON");
        let policy = entries[0]["policy"].as_object().expect("an object");
        assert_eq!(policy.len(), 5);
        for (name, value) in policy {
            driver.stdout_has(&format!("{name} {value}\n"));
        }
    }
}

#[test]
fn asdf_sees_targets_as_systems() {
    let ws = tower()
        .file(
            "all/BUILD",
            "cc_library(name = \"twice\", srcs = [\"twice.c\"])\nlisp_library(name = \"all\", srcs = [\"a b.lisp\", \"latin.lisp\"], encoding = \"latin-1\", cdeps = [\":twice\"], add_features = [\"tea\"], deps = [\"//greeting\", \"@lisp//:sb-posix\"])\nlisp_test(name = \"test\", srcs = [\"test.lisp\"], deps = [\":all\"])\n",
        )
        .in_directory("an ümlaut")
        .file("all/twice.c", "int twice(int n) { return 2 * n; }\n")
        .file("all/a b.lisp", "(defpackage :all (:use :cl))\n(in-package :all)\n(sb-alien:define-alien-routine \"twice\" sb-alien:int (n sb-alien:int))\n(defun a () (list #+tea :tea (twice 21) (greeting:greet \"you\") (integerp (sb-posix:getpid))))\n")
        .file("all/test.lisp", "(defun main () (print (all::a)) (assert (= 4 (length (all::a)))))\n")
        .build();
    let latin = b"(in-package :all)\n(defun latin () \"\xfc\")\n";
    std::fs::write(ws.path("all/latin.lisp"), latin).expect("written");
    // For the shared object; sources that are not generated need no build.
    ws.rbz("build //all:all --@rbz//lisp:repl --output_groups=repl").run();
    let said = lisp(
        &ws,
        &[
            "(asdf:load-system \"all\")",
            "(print (list (all::a) (char-code (char (all::latin) 0))))",
            "(require :sb-introspect)",
            "(print (sb-introspect:definition-source-pathname (sb-introspect:find-definition-source #'greeting:greet)))",
            "(print (asdf:system-depends-on (asdf:find-system \"all\")))",
        ],
    );
    assert!(said.contains("((:TEA 42 \"Hello, you!\" T) 252)"), "{said}");
    let source = ws.path("greeting/greeting.lisp");
    assert!(said.contains(&format!("#P\"{}\"", source.display())), "{said}");
    assert!(said.contains("(\"greeting\" \"sb-posix\")"), "{said}");
    // A system is tested as the target is. What is no target any more is no system.
    ws.edit("all/BUILD", "name = \"all\"", "name = \"most\"");
    ws.edit("all/BUILD", "deps = [\":all\"]", "deps = [\":most\"]");
    let said = lisp(
        &ws,
        &["(print (list (asdf:find-system \"all\" nil) (asdf:find-system \"all.most\" nil)))"],
    );
    assert!(said.contains("(NIL #<ASDF/SYSTEM:SYSTEM \"all.most\">)"), "{said}");
}

#[test]
fn a_system_is_tested_as_its_target_is() {
    let ws = build_file("lisp_test(name = \"test\", srcs = [\"test.lisp\"])\n")
        .file("test.lisp", "(defun main () (assert (= 1 1)))\n")
        .build();
    let said = lisp(&ws, &["(asdf:operate 'asdf:test-op \"test\")", "(print :passed)"]);
    assert!(said.contains("Executed 1 out of 1 test") && said.contains(":PASSED"), "{said}");
}

#[test]
fn what_is_wrong_with_a_call_is_said() {
    let ws = workspace().file("BUILD", "lisp_library(name = \"a\", deps = [\":b\"])\n").build();
    ws.rbz("ide").exit_code(2).run().stderr_has("`rbz ide json` writes");
    ws.rbz("ide jsn").exit_code(2).run().stderr_has("did you mean `json`?");
    ws.rbz("ide json").exit_code(1).run().stderr_has("`//:b`");
    ws.rbz("ide json -k --output=x.json").exit_code(3).run().stderr_has("`//:b`");
    assert_eq!(ws.read("x.json"), "[]\n");
    ws.write("BUILD", "lisp_library(name = \"a\")\n");
    ws.rbz("ide asd --output=x.json").exit_code(36).run().stderr_has("cannot write");
}

#[test]
fn what_the_extension_of_vs_code_calls_is_answered() {
    let ws = tower().build();
    // Queries have an output base of their own, so that they do not wait for builds.
    let base = format!("--output_base={}", ws.base().join("queries").display());
    let proto = [
        "--output=proto",
        "--proto:output_rule_attrs=''",
        "--noproto:rule_inputs_and_outputs",
        "--noproto:default_values",
    ];
    for (query, name) in [
        ("//...:*", "//app:app"),
        ("(//...:*) intersect (//words:all)", "//words:words"),
        ("kind(rule, //greeting:all)", "//greeting:greeting"),
        ("kind(rule, \"//words:words\") + kind(file, \"//words:words\")", "//words:words"),
    ] {
        let call = [base.as_str(), "query", query].into_iter().chain(proto);
        let outcome = ws.rbz_args(call).run();
        // The protocol holds texts as they are; the place is what goes to a definition needs.
        outcome.stdout_has(name).stdout_has(&format!("{}/", ws.root().display()));
    }
    let packages = ws.rbz_args([&base, "query", "//...", "--output=package"]).run();
    assert_eq!(packages.stdout(), "app\ngreeting\nweather\nwords\n");
    let expression = "\"\\n\".join([f.path for f in target.files.to_list()])";
    let files = ws
        .rbz_args(["cquery", "//words", "--output=starlark", "--starlark:expr", expression])
        .run();
    assert_eq!(files.stdout(), "rbz-out/k8-fastbuild/bin/words/words.fasl\n");
    let all = ws.rbz("info").run();
    let of = |key: &str| {
        let lines = all.stdout().lines();
        let mut values = lines.filter_map(|line| line.strip_prefix(&format!("{key}: ")));
        values.next().unwrap_or_else(|| panic!("no `{key}` in {all}")).to_owned()
    };
    for key in ["execution_root", "output_path", "output_base", "workspace", "bazel-bin"] {
        assert_eq!(ws.rbz(&format!("info {key}")).run().stdout().trim(), of(key));
    }
    assert_eq!(of("workspace"), ws.root().display().to_string());
    for key in ["server_pid", "max-heap-size", "local_resources", "default-package-path"] {
        assert!(!ws.rbz(&format!("info {key}")).run().stdout().trim().is_empty(), "{key}");
    }
}
