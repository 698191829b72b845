//! Small Lisp projects that tests of several subjects start from.

use crate::workspace::{WorkspaceBuilder, workspace};

/// Three libraries and a program:
///
/// - `//words`: two files, the second uses a macro of the first
/// - `//greeting`, one file, on `//words`
/// - `//weather`, one file, on nothing
/// - `//app`, a program on `//greeting` that prints `Hello, world!`
pub fn tower() -> WorkspaceBuilder {
    workspace()
        .file(
            "words/BUILD",
            r#"
lisp_library(
    name = "words",
    srcs = ["macros.lisp", "words.lisp"],
    visibility = ["//visibility:public"],
)
"#,
        )
        .file(
            "words/macros.lisp",
            r#"(defpackage #:words (:use #:common-lisp) (:export #:join #:define-word))
(in-package #:words)
(defmacro define-word (name text)
  `(defun ,name () ,text))
"#,
        )
        .file(
            "words/words.lisp",
            r#"(in-package #:words)
(define-word hello "Hello")
(export 'hello)
(defun join (a b)
  (format nil "~A, ~A!" a b))
"#,
        )
        .file(
            "greeting/BUILD",
            r#"
lisp_library(
    name = "greeting",
    srcs = ["greeting.lisp"],
    visibility = ["//visibility:public"],
    deps = ["//words"],
)
"#,
        )
        .file(
            "greeting/greeting.lisp",
            r#"(defpackage #:greeting (:use #:common-lisp) (:export #:greet))
(in-package #:greeting)
(defun greet (name)
  (words:join (words:hello) name))
"#,
        )
        .file("weather/BUILD", "lisp_library(name = \"weather\", srcs = [\"weather.lisp\"])\n")
        .file(
            "weather/weather.lisp",
            r#"(defpackage #:weather (:use #:common-lisp) (:export #:forecast))
(in-package #:weather)
(defun forecast () :rain)
"#,
        )
        .file(
            "app/BUILD",
            r#"
lisp_binary(
    name = "app",
    srcs = ["app.lisp"],
    main = "app:main",
    deps = ["//greeting"],
)
"#,
        )
        .file(
            "app/app.lisp",
            r#"(defpackage #:app (:use #:common-lisp) (:export #:main))
(in-package #:app)
(defun main () (write-line (greeting:greet "world")))
"#,
        )
}

/// A library `//:lib` of one file with this text.
pub fn one_file(text: &str) -> WorkspaceBuilder {
    workspace()
        .file("BUILD", "lisp_library(name = \"lib\", srcs = [\"lib.lisp\"])\n")
        .file("lib.lisp", text)
}

/// A package with this BUILD file and nothing else.
pub fn build_file(text: &str) -> WorkspaceBuilder {
    workspace().file("BUILD", text)
}
