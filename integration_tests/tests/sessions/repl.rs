//! `rbz repl`: a Lisp that has loaded what targets need.

use std::net::TcpListener;
use std::process::Command;

use rbz_integration_tests::projects::{build_file, tower};
use rbz_integration_tests::workspace::WorkspaceBuilder;
use rbz_integration_tests::{Workspace, workspace};

/// Forms that a Lisp without init files evaluates; what it prints, without prompts and blank lines.
fn answers(ws: &Workspace, command: &str, forms: &str) -> Vec<String> {
    let outcome = ws.rbz(command).input(forms).run();
    let lines = outcome.stdout().lines().map(|line| line.trim_start_matches("* ").trim());
    lines.filter(|line| !line.is_empty() && *line != "*").map(str::to_owned).collect()
}

/// The paths of definitions, below the directory of the workspace where they are.
fn places(ws: &Workspace, command: &str, names: &[&str]) -> Vec<String> {
    let forms: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                "(progn (princ (sb-introspect:definition-source-pathname (first \
                 (sb-introspect:find-definition-sources-by-name '{name})))) (terpri) (values))\n"
            )
        })
        .collect();
    let root = format!("{}/", ws.root().display());
    let found = answers(
        ws,
        command,
        &format!("(progn (require :sb-introspect) (values))\n{}", forms.concat()),
    );
    found.iter().map(|path| path.replace(&root, "").replace('\\', "")).collect()
}

#[test]
fn a_lisp_with_the_target_and_what_it_needs_loaded() {
    let ws = tower().build();
    let form = "(list (greeting:greet \"you\") (package-name *package*) (find-package :weather))\n";
    let command = "repl //greeting -- --no-userinit";
    // Nothing but what the Lisp itself writes.
    let outcome = ws.rbz(command).input(form).run();
    assert_eq!(outcome.stdout(), "* (\"Hello, you!\" \"GREETING\" NIL)\n* ");
    // The next time it is there at once.
    let again = ws.rbz(command).input(form).run();
    assert_eq!(again.stdout(), outcome.stdout());
    assert_eq!(again.ran_of("LispCompile"), [""; 0]);
    // Definitions are where the user can edit them.
    assert_eq!(
        places(
            &ws,
            command,
            &["greeting:greet :function", "words:join :function", "words::define-word :macro"]
        ),
        ["greeting/greeting.lisp", "words/words.lisp", "words/macros.lisp"]
    );
    // Several targets, patterns, none.
    assert_eq!(
        answers(&ws, "repl //weather //words -- --no-userinit", "(words:hello)\n"),
        ["\"Hello\""]
    );
    let all = answers(
        &ws,
        "repl //... -- --no-userinit",
        "(greeting:greet \"all\")\n(package-name *package*)\n",
    );
    assert_eq!(all, ["\"Hello, all!\"", "\"COMMON-LISP-USER\""]);
    assert_eq!(
        answers(
            &ws,
            "repl -- --no-userinit",
            "(list (fboundp 'rbz:reload) (find-package :words))\n"
        ),
        ["(#<FUNCTION RBZ.REPL:RELOAD> NIL)"]
    );
}

#[test]
fn the_lisp_is_where_the_user_is_and_takes_their_arguments() {
    let ws = tower().build();
    std::fs::write(ws.home().join(".sbclrc"), "(defvar cl-user::*mine* :loaded)\n")
        .expect("written");
    let outcome = ws
        .rbz_args([
            "repl",
            ":words",
            "--",
            "--dynamic-space-size",
            "700MB",
            "--eval",
            "(print (sb-ext:dynamic-space-size))",
            "--eval",
            "(print (cons (last (pathname-directory *default-pathname-defaults*)) cl-user::*mine*))",
            "--quit",
        ])
        .in_directory("words")
        .run();
    outcome.stdout_has(&(700 * 1024 * 1024).to_string()).stdout_has("((\"words\") . :LOADED)");
    let without = answers(&ws, "repl //words -- --no-userinit", "(boundp 'cl-user::*mine*)\n");
    assert_eq!(without, ["NIL"]);
    // The command can be given to others.
    let outcome = ws
        .rbz("repl //words --print-command -- --no-userinit --eval (print(words:hello)) --quit")
        .run();
    let shell = Command::new("sh").args(["-c", outcome.stdout()]).output().expect("sh");
    assert_eq!(String::from_utf8_lossy(&shell.stdout).trim(), "\"Hello\"");
}

#[test]
fn a_terminal_is_that_of_the_lisp() {
    let ws = tower().build();
    let outcome = ws
        .rbz("repl //app -- --no-userinit")
        .on_terminal(&[
            ("* ", "(progn (print :begun) (finish-output) (loop))\n"),
            (":BEGUN", "\u{3}"),
            ("0] ", ":abort\n"),
            ("* ", "(words:hello)\n"),
            ("\"Hello\"", "(sb-ext:exit :code 3)\n"),
        ])
        .exit_code(3)
        .run();
    outcome.stdout_has("Interactive interrupt");
}

#[test]
fn what_changed_is_built_and_loaded() {
    let ws = tower().build();
    let edit = |path: &str, from: &str, to: &str| {
        let path = ws.path(path);
        format!(
            "(let* ((path {path:?}) (text (with-open-file (in path) (let ((s (make-string (file-length in)))) (subseq s 0 (read-sequence s in))))) (at (search {from:?} text)))\n (with-open-file (out path :direction :output :if-exists :supersede) (format out \"~a~a~a\" (subseq text 0 at) {to:?} (subseq text (+ at (length {from:?})))))\n (values))\n"
        )
    };
    let forms = [
        "(rbz:reload)\n".to_owned(),
        edit(
            "words/macros.lisp",
            "(defun ,name () ,text)",
            "(defun ,name () (string-upcase ,text))",
        ),
        "(rbz:reload)\n(greeting:greet \"you\")\n".to_owned(),
        // While it is broken nothing is loaded, and the Lisp goes on.
        edit("greeting/greeting.lisp", "(words:hello)", "(words:hello) wrod"),
        "(rbz:reload)\n(greeting:greet \"you\")\n".to_owned(),
        edit("greeting/greeting.lisp", "(words:hello) wrod", "\"Bye\""),
        "(rbz:reload)\n(greeting:greet \"you\")\n".to_owned(),
    ];
    let said = answers(&ws, "repl //greeting -- --no-userinit", &forms.concat()).join("\n");
    let mut rest = said.as_str();
    for text in [
        "; nothing has changed\nNIL\n",
        "; loading words/words.fasl\n",
        "\"HELLO, you!\"\n",
        "greeting/greeting.lisp:4:3: warning: undefined variable",
        "; nothing was loaded\nNIL\n\"HELLO, you!\"\n",
        "; loading greeting/greeting.fasl\n",
        "\"Bye, you!\"",
    ] {
        let at = rest.find(text).unwrap_or_else(|| panic!("no `{text}` in `{rest}` of:\n{said}"));
        rest = &rest[at + text.len()..];
    }
}

#[test]
fn a_target_that_cannot_be_built_is_loaded_as_source() {
    let ws = tower().build();
    ws.append("greeting/greeting.lisp", "(defun half (x) (done-later x))\n(defun unused (x) 1)\n");
    let outcome =
        ws.rbz("repl //greeting -- --no-userinit").input("(greeting:greet \"you\")\n").run();
    outcome.stdout_has("\"Hello, you!\"");
    outcome.stderr_has("greeting/greeting.lisp:6:").stderr_has("1 file could not be built");
    assert_eq!(
        places(&ws, "repl //greeting -- --no-userinit", &["greeting:greet :function"]),
        ["greeting/greeting.lisp"]
    );
    // What it needs must be there.
    ws.append("words/words.lisp", "(defun unused (x) 1)\n");
    let outcome = ws.rbz("repl //greeting").exit_code(1).run();
    outcome.stderr_has("words/words.lisp").stderr_has("Build did NOT complete");
    assert_eq!(outcome.stdout(), "");
}

#[test]
fn systems_and_c_libraries_and_places_elsewhere() {
    let ws = elsewhere().build();
    let command = "repl //:main -- --no-userinit";
    assert_eq!(
        answers(&ws, command, "(list (twice 21) (far:away) *words* (characterp (latin)))\n"),
        ["(42 :AWAY \"a word\" T)"]
    );
    let far = places(&ws, command, &["far:away :function"]);
    assert_eq!(far, [format!("{}/far away/far.lisp", ws.base().display())]);
    // A system that ASDF finds, which is no target.
    let forms = "(progn (require :asdf) (values))\n(let ((*standard-output* (make-broadcast-stream)) (*error-output* (make-broadcast-stream))) (asdf:load-system \"split-sequence\") (values))\n(split-sequence:split-sequence #\\a \"bab\")\n";
    let only = "/usr/share/common-lisp/source/cl-split-sequence/";
    let outcome = ws.rbz(command).env("CL_SOURCE_REGISTRY", only).input(forms).run();
    outcome.stdout_has("(\"b\" \"b\")");
}

/// A target with C, with sources in another encoding, and one of another repository.
fn elsewhere() -> WorkspaceBuilder {
    workspace()
        .file(
            "WORKSPACE",
            "workspace(name = \"test\")\nnew_local_repository(name = \"far\", path = \"../far away\", build_file_content = 'lisp_library(name = \"far\", srcs = [\"far.lisp\"], visibility = [\"//visibility:public\"])')\n",
        )
        .file("../far away/far.lisp", "(defpackage :far (:use :cl) (:export :away))\n(in-package :far)\n(defun away () :away)\n")
        .file(
            "BUILD",
            "cc_library(name = \"twice\", srcs = [\"twice.c\"])\nlisp_library(name = \"main\", srcs = [\"main.lisp\"], deps = [\":latin\", \"@far\"], cdeps = [\":twice\"], compile_data = [\"words.txt\"])\nlisp_library(name = \"latin\", srcs = [\"latin.lisp\"], encoding = \"latin-1\")\n",
        )
        .file("twice.c", "int twice(int n) { return 2 * n; }\n")
        .file("words.txt", "a word\n")
        .file("latin.lisp", "(defun latin () #\\a)\n")
        .file("main.lisp", "(sb-alien:define-alien-routine \"twice\" sb-alien:int (n sb-alien:int))\n(defparameter *words* #.(with-open-file (in \"words.txt\") (read-line in)))\n")
}

#[test]
fn what_is_wrong_with_a_call_is_said() {
    let ws = build_file("sh_library(name = \"scripts\")\nlisp_library(name = \"lib\")\n").build();
    for (command, exit_code, text) in [
        ("repl //:nothing", 1, "`//:nothing`"),
        ("repl //:scripts", 2, "there is no Lisp in `//:scripts`: it is a `sh_library`"),
        ("repl //:scripts //:lib", 2, "there is no Lisp in `//:scripts`"),
        ("repl --nobuild //:lib", 2, "has nothing to load"),
        ("repl --swank=port //:lib", 2, "it must be a port"),
        ("repl --swank --slynk //:lib", 2, "both given"),
        ("repl --slynk //:lib", 36, "slynk is not installed"),
        ("repl --swank=//:nothing //:lib", 1, "`//:nothing`"),
    ] {
        ws.rbz(command).exit_code(exit_code).run().stderr_has(text);
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its own").port();
    let outcome = ws.rbz(&format!("repl --swank={port} //:lib")).exit_code(36).run();
    outcome.stderr_has(&format!("port {port} is in use")).stderr_has("--swank=0");
    // Patterns may name what is no Lisp.
    ws.rbz("repl //... -- --no-userinit").input("").run();
}

#[test]
fn a_server_can_be_a_target_and_needs_no_home() {
    let ws = build_file("lisp_library(name = \"swank\", srcs = [\"swank.lisp\"])\nlisp_library(name = \"lib\")\n")
        .file(
            "swank.lisp",
            "(defpackage :swank (:use :cl) (:export :create-server))\n(in-package :swank)\n(defun create-server (&key port dont-close) (list port dont-close) 4711)\n",
        )
        .build();
    let port = "(with-open-file (in \"rbz-out/swank-port\") (read in))\n";
    let outcome = ws.rbz("repl --swank=//:swank //:lib -- --no-userinit").input(port).run();
    outcome.stderr_has("swank listens on port 4711").stdout_has("4711");
    assert!(!ws.path("rbz-out/swank-port").exists(), "it is removed at the end");
    // What the installed one compiles goes elsewhere if the home directory cannot be written.
    let root = format!("--output_user_root={}", ws.output_user_root().display());
    let call = [root.as_str(), "repl", "--swank=0", "//:lib", "--", "--no-userinit"];
    let outcome = ws.rbz_args(call).env("HOME", "/dev/null").input(port).run();
    outcome.stderr_has("swank listens on port");
}

/// What Emacs does with SLIME: first a Lisp that it starts, then one that it connects to.
const SLIME: &str = r#"
(add-to-list 'load-path (car (file-expand-wildcards "/usr/share/emacs/site-lisp/elpa/slime-*")))
(require 'slime)
(defun wait-until (what test)
  (let ((end (+ (float-time) 90)))
    (while (not (funcall test))
      (when (> (float-time) end) (error "%s took too long" what))
      (accept-process-output nil 0.05))))
(defun show (&rest words) (princ (mapconcat (lambda (word) (format "%s" word)) words " ") #'external-debugging-output) (terpri #'external-debugging-output))
(defun definition (name)
  (slime-edit-definition name)
  (prog1 (format "%s:%d" (file-relative-name (buffer-file-name) root) (line-number-at-pos))
    (kill-buffer)))
(defun look ()
  ;; Other buffers may belong to a connection that is closed.
  (set-buffer "*scratch*")
  (wait-until "connecting" (lambda () connected))
  (setq connected nil)
  (show "sum" (slime-eval '(cl:+ 1 2)))
  (show "own" (definition "greeting:greet"))
  (show "dependency" (definition "words:join"))
  (show "macro" (definition "words::define-word")))
(defvar connected nil)
;; The last thing that is done: before, SLIME asks the Lisp for what it needs.
(add-hook 'slime-connected-hook (lambda () (setq connected t)) t)
(setq root default-directory
      slime-lisp-implementations
      (list (list 'rbz (list (getenv "RBZ") "repl" (concat "--disk_cache=" (getenv "CACHE")) "//greeting" "--" "--no-userinit"))))
(slime 'rbz)
(look)
(with-temp-file "greeting/greeting.lisp"
  (insert "(defpackage #:greeting (:use #:common-lisp) (:export #:greet))\n(in-package #:greeting)\n\n;; One more line.\n(defun greet (name)\n  (words:join \"Bye\" name))\n"))
(show "reload" (slime-eval '(cl:prin1-to-string (rbz:reload))))
(show "greet" (slime-eval '(greeting:greet "you")))
(show "own" (definition "greeting:greet"))
(slime-quit-lisp-internal (slime-connection) 'slime-quit-sentinel t)
(wait-until "the end" (lambda () (not (slime-connected-p))))
(let ((lisp (make-process :name "lisp" :command
              (list (getenv "RBZ") "repl" (concat "--disk_cache=" (getenv "CACHE")) "--swank=0" "//greeting" "--" "--no-userinit"))))
  (wait-until "the server" (lambda () (file-exists-p "rbz-out/swank-port")))
  (slime-connect "127.0.0.1" (with-temp-buffer (insert-file-contents "rbz-out/swank-port") (read (current-buffer))))
  (look)
  (process-send-string lisp "(sb-ext:exit :abort nil)\n")
  (wait-until "the end" (lambda () (not (process-live-p lisp))))
  (show "port" (file-exists-p "rbz-out/swank-port")))
"#;

#[test]
fn emacs_works_with_it_through_slime() {
    let ws = tower().build();
    ws.write("slime.el", SLIME);
    let emacs = Command::new("emacs")
        .args(["--batch", "--quick", "--load", "slime.el"])
        .current_dir(ws.root())
        .env_clear()
        .env("HOME", ws.home())
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .env("RBZ", rbz_integration_tests::binary::rbz())
        .env("CACHE", ws.disk_cache())
        .output()
        .unwrap_or_else(|error| panic!("emacs: {error}"));
    let said = String::from_utf8_lossy(&emacs.stderr);
    let mut rest = &*said;
    for text in [
        "sum 3\n",
        "own greeting/greeting.lisp:3\n",
        "dependency words/words.lisp:4\n",
        "macro words/macros.lisp:3\n",
        "greeting.fasl\")\n",
        "greet Bye, you!\n",
        "own greeting/greeting.lisp:5\n",
        "sum 3\n",
        "own greeting/greeting.lisp:5\n",
        "port nil\n",
    ] {
        let at = rest.find(text).unwrap_or_else(|| panic!("no `{text}` in:\n{said}"));
        rest = &rest[at + text.len()..];
    }
}
