//! Messages about lines of files, for editors and other programs.

use std::process::Command;

use rbz_integration_tests::{Workspace, workspace};
use serde_json::{Value, json};

fn project() -> Workspace {
    workspace()
        .file(
            "lisp/BUILD",
            "lisp_library(name = \"lib\", srcs = [\"lib.lisp\"])\n",
        )
        .file(
            "lisp/lib.lisp",
            "(in-package #:cl-user)\n\n(defun f (x)\n  (+ x wdith))\n\n(defun g ()\n  (+ 1 (length 17)))\n",
        )
        .file("c/BUILD", "cc_library(name = \"c\", srcs = [\"x.c\"], copts = [\"-Wall\"])\n")
        .file("c/x.c", "int f(void) {\n  int unused;\n  return y;\n}\n")
        .file("fine/BUILD", "sh_test(name = \"t\", srcs = [\"t.sh\"])\n")
        .file("fine/t.sh", "#!/bin/bash\n")
        .file("starlark/BUILD", "genrule(\n    name = nope,\n)\n")
        .own_cache()
        .build()
}

/// Each message of `--diagnostics=json`, as `file:line:column severity`.
fn places(messages: &[Value]) -> Vec<String> {
    let mut places: Vec<String> = messages
        .iter()
        .map(|message| {
            let text = |name: &str| message[name].to_string().replace('"', "");
            format!("{}:{}:{} {}", text("file"), text("line"), text("column"), text("severity"))
        })
        .collect();
    places.sort();
    places
}

const PLACES: [&str; 4] = [
    "c/x.c:2:7 warning",
    "c/x.c:3:10 error",
    "lisp/lib.lisp:4:3 warning",
    "lisp/lib.lisp:7:8 warning",
];

#[test]
fn messages_are_json_on_standard_output() {
    let ws = project();
    let run = |command: &str| -> Vec<Value> {
        let outcome = ws.rbz(command).exit_code(1).run();
        let parse = |line| serde_json::from_str(line).expect("JSON");
        outcome.stdout().lines().map(parse).collect()
    };
    let messages = run("build -k //c //lisp:lib --diagnostics=json");
    let found = places(&messages);
    for place in PLACES {
        assert!(found.iter().any(|one| one == place), "{place} is not in {found:?}");
    }
    let lisp = messages.iter().find(|m| m["file"] == "lisp/lib.lisp" && m["line"] == 7);
    let lisp = lisp.expect("it was found above");
    assert_eq!(lisp["target"], "//lisp:lib");
    assert_eq!(lisp["mnemonic"], "LispCompile");
    assert_eq!(lisp["code"], "sb-int:type-warning");
    assert_eq!(lisp["source"], "  (+ 1 (length 17)))");
    assert_eq!(lisp["hints"], json!(["nowarn = [\"type-conflict\"] silences it"]));
    let starlark = run("build //starlark:all --diagnostics=json");
    assert_eq!(places(&starlark), ["starlark/BUILD:2:12 error"]);
    let text = ws.rbz("build -k //c //lisp:lib").exit_code(1).run();
    assert_eq!(text.stdout(), "");
}

#[test]
fn messages_are_a_sarif_document() {
    let ws = project();
    let outcome = ws.rbz("build -k //c //lisp:lib --diagnostics=sarif").exit_code(1).run();
    let document: Value = serde_json::from_str(outcome.stdout()).expect("one JSON document");
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    let results = run["results"].as_array().expect("results");
    let place = |result: &Value| {
        let location = &result["locations"][0]["physicalLocation"];
        let (file, region) = (&location["artifactLocation"]["uri"], &location["region"]);
        let (line, column) = (&region["startLine"], &region["startColumn"]);
        format!(
            "{}:{line}:{column} {}",
            file.as_str().unwrap_or_default(),
            result["level"].as_str().unwrap_or_default()
        )
    };
    let found: Vec<String> = results.iter().map(place).collect();
    for place in PLACES {
        assert!(found.iter().any(|one| one == place), "{place} is not in {found:?}");
    }
    // Each rule that a result names is there.
    let rules: Vec<&Value> = run["tool"]["driver"]["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|r| &r["id"])
        .collect();
    assert!(
        results
            .iter()
            .all(|result| result["ruleId"].is_null() || rules.contains(&&result["ruleId"]))
    );
    assert!(rules.contains(&&json!("sb-int:type-warning")), "{rules:?}");
    // Nothing is wrong: an empty document, and results of tests do not get into it.
    let fine = ws.rbz("test //fine:t --diagnostics=sarif").run();
    fine.stderr_has("Executed 1 out of 1 test");
    let document: Value = serde_json::from_str(fine.stdout()).expect("one JSON document");
    assert_eq!(document["runs"][0]["results"], json!([]));
    ws.rbz("build //... --diagnostics=xml").exit_code(2).run().stderr_has("xml");
}

/// What Emacs finds in a file of messages: `file:line:column type`, the type as Emacs counts.
const FIND: &str = r#"
(progn
  (require 'compile)
  (find-file "messages.txt")
  (compilation-mode)
  (compilation--ensure-parse (point-max))
  (goto-char (point-min))
  (while (ignore-errors (compilation-next-error 1) t)
    (let* ((message (get-text-property (point) 'compilation-message))
           (location (compilation--message->loc message)))
      (princ (format "%s:%s:%s %s\n"
                     (caar (compilation--loc->file-struct location))
                     (compilation--loc->line location)
                     (compilation--loc->col location)
                     (compilation--message->type message))))))
"#;

#[test]
fn emacs_finds_the_messages() {
    let ws = project();
    let mut messages = String::new();
    for target in ["//lisp:lib", "//c", "//starlark:all"] {
        messages += ws.rbz(&format!("build {target}")).exit_code(1).run().stderr();
    }
    ws.write("messages.txt", &messages);
    let emacs = Command::new("emacs")
        .args(["--batch", "--quick", "--eval", FIND])
        .current_dir(ws.root())
        .output()
        .unwrap_or_else(|error| panic!("emacs: {error}"));
    let found = String::from_utf8_lossy(&emacs.stdout);
    // Errors are 2, warnings 1.
    for place in [
        "lisp/lib.lisp:4:3 1",
        "lisp/lib.lisp:7:8 1",
        "c/x.c:2:7 1",
        "c/x.c:3:10 2",
        "starlark/BUILD:2:12 2",
    ] {
        assert!(found.lines().any(|line| line == place), "{place} is not in:\n{found}\n{messages}");
    }
}
