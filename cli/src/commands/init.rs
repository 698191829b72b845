//! `rbz init`: makes a workspace of the current directory.
//!
//! Nothing that is there is changed, save that `.gitignore` gets the lines it lacks. A directory
//! without Lisp files gets a small program with a test; one that has some gets libraries of them,
//! and repositories of the systems that they need.

use std::io::Write;
use std::path::Path;

use crate::build_file_draft::{Draft, repository_of};
use crate::command_error::CommandError;
use crate::external_systems::{Repositories, Search, build_file_of};
use crate::format_tables::{self, CONFIGURATION, TABLES};
use crate::project_sources::Sources;
use crate::workspace_root::{self, WORKSPACE_FILES};

const GREETING: &str = r#"(defpackage :greeting
  (:use :cl)
  (:export #:greet))

(in-package :greeting)

(defun greet (name)
  "A friendly line for NAME."
  (format nil "Hello, ~a!" name))
"#;

const HELLO: &str = r#"(defpackage :hello
  (:use :cl)
  (:export #:main))

(in-package :hello)

(defun main ()
  (write-line (greeting:greet "world")))
"#;

const GREETING_TEST: &str = r#"(defpackage :greeting-test
  (:use :cl)
  (:export #:main))

(in-package :greeting-test)

(defun main ()
  (assert (string= "Hello, Lisp!" (greeting:greet "Lisp"))))
"#;

const EXAMPLE_BUILD: &str = r#"lisp_library(
    name = "greeting",
    srcs = ["greeting.lisp"],
)

lisp_binary(
    name = "hello",
    srcs = ["hello.lisp"],
    main = "hello:main",
    deps = [":greeting"],
)

lisp_test(
    name = "greeting_test",
    srcs = ["greeting_test.lisp"],
    main = "greeting-test:main",
    deps = [":greeting"],
)
"#;

const IGNORED: [&str; 3] = ["/rbz-out", "/rbz-bin", "/rbz-testlogs"];

/// Makes a workspace of `directory`. Yields what is to be said about it.
pub fn run(directory: &Path, search: &Search) -> Result<String, CommandError> {
    let mut report = String::new();
    let name = workspace_name(directory);
    let has = |names: &[&str]| names.iter().any(|name| directory.join(name).exists());
    let (mut advice, mut repositories) = (String::new(), Repositories::default());
    let mut gaps = Vec::new();
    let mut next = "rbz test //...";
    if has(&["BUILD", "BUILD.bazel"]) {
        report += "kept    BUILD\n";
    } else {
        let read = |error| cannot("read", directory, error);
        let sources = Sources::of(directory, search.lisp.as_deref()).map_err(read)?;
        repositories = Repositories::of(&sources.elsewhere(), search).map_err(read)?;
        match &sources {
            Sources::Nothing => {
                create(directory, "BUILD", EXAMPLE_BUILD, &mut report)?;
                create(directory, "greeting.lisp", GREETING, &mut report)?;
                create(directory, "hello.lisp", HELLO, &mut report)?;
                create(directory, "greeting_test.lisp", GREETING_TEST, &mut report)?;
                next = "rbz test //... && rbz run //:hello";
            }
            Sources::Files(files) => {
                create(directory, "BUILD", &Draft::of_files(&name, files).text, &mut report)?;
                advice += "\nThe sources are compiled in the order of `srcs`: check it.\n";
                next = "rbz build -k //...";
            }
            Sources::Systems(systems, absent) => {
                let draft = Draft::of_project(systems, &(&repositories.missing | absent));
                create(directory, "BUILD", &draft.text, &mut report)?;
                advice +=
                    "\nBUILD says what the system definition says: check `srcs` and `deps`.\n";
                next = if draft.has_tests { "rbz test -k //..." } else { "rbz build -k //..." };
                gaps = draft.gaps;
                gaps.extend(absent.iter().map(|name| {
                    format!("`{name}` was left out, since none of its files are there.")
                }));
            }
        }
    }
    for (name, text) in &repositories.build_files {
        create(directory, &build_file_of(name), text, &mut report)?;
    }
    if !repositories.found.is_empty() && !has(&["third_party/BUILD", "third_party/BUILD.bazel"]) {
        create(directory, "third_party/BUILD", "", &mut report)?;
    }
    let declarations = repositories.declarations();
    if WORKSPACE_FILES.iter().any(|file| directory.join(file).exists()) {
        report += "kept    WORKSPACE\n";
        if !declarations.is_empty() {
            advice += &format!("\nWORKSPACE has to say:\n{declarations}");
        }
    } else {
        let text = format!("workspace(name = \"{name}\")\n{declarations}");
        create(directory, "WORKSPACE", &text, &mut report)?;
        if let Some(outer) = directory.parent().and_then(workspace_root::find) {
            let outer = outer.display();
            advice += &format!(
                "\n`{outer}` is a workspace too. This one is not part of it: without WORKSPACE here, it \
                 would be.\n"
            );
        }
    }
    if !has(&[CONFIGURATION]) {
        create(directory, CONFIGURATION, &format_tables::configuration(), &mut report)?;
        create(directory, TABLES, &format_tables::tables(), &mut report)?;
    }
    ignore_outputs(directory, &mut report)?;
    for gap in gaps.iter().chain(&repositories.gaps) {
        advice += &format!("\n{gap}\n");
    }
    advice += &about_missing(&repositories);
    Ok(format!("{report}{advice}\nNext: {next}\n"))
}

/// What the reader has to do about systems that were not found.
fn about_missing(repositories: &Repositories) -> String {
    let Some(first) = repositories.missing.first() else { return String::new() };
    let names: Vec<_> = repositories.missing.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "\n{} {} not found on this machine. WORKSPACE has to say where to look, and what the BUILD \
         file there is:\n    new_local_repository(name = \"{}\", path = …, build_file = …)\n",
        names.join(", "),
        if names.len() == 1 { "was" } else { "were" },
        repository_of(first)
    )
}

fn cannot(what: &str, path: &Path, error: std::io::Error) -> CommandError {
    CommandError::environment(format!("cannot {what} `{}`: {error}", path.display()))
}

fn create(
    directory: &Path,
    name: &str,
    text: &str,
    report: &mut String,
) -> Result<(), CommandError> {
    let path = directory.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| cannot("create", parent, error))?;
    }
    match std::fs::File::create_new(&path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).map_err(|error| cannot("write", &path, error))?;
            *report += &format!("created {name}\n");
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            *report += &format!("kept    {name}\n");
            Ok(())
        }
        Err(error) => Err(cannot("create", &path, error)),
    }
}

/// The directory's name with what a workspace's name cannot contain replaced.
fn workspace_name(directory: &Path) -> String {
    let name = directory.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match name.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => name,
        Some(_) => format!("w{name}"),
        None => "workspace".to_owned(),
    }
}

fn ignore_outputs(directory: &Path, report: &mut String) -> Result<(), CommandError> {
    let path = directory.join(".gitignore");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(cannot("read", &path, error)),
    };
    let has = |line: &str| {
        let name = line.trim_start_matches('/');
        text.lines().any(|own| own.trim().trim_start_matches('/') == name || own == "/rbz-*")
    };
    let missing: Vec<&str> = IGNORED.into_iter().filter(|line| !has(line)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let addition = format!("{gap}{}\n", missing.join("\n"));
    let file = std::fs::File::options().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(addition.as_bytes()))
        .map_err(|error| cannot("write", &path, error))?;
    *report += if text.is_empty() { "created .gitignore\n" } else { "changed .gitignore\n" };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, std::path::PathBuf) {
        let outer = tempfile::tempdir().expect("a temporary directory");
        let path = outer.path().join("my project");
        std::fs::create_dir(&path).expect("a directory");
        (outer, path)
    }

    fn read(directory: &Path, name: &str) -> String {
        std::fs::read_to_string(directory.join(name)).expect(name)
    }

    #[test]
    fn an_empty_directory_gets_a_program_with_a_test() {
        let (_outer, path) = directory();
        insta::assert_snapshot!(run(&path, &Search::default()).expect("a workspace"), @r#"
        created BUILD
        created greeting.lisp
        created hello.lisp
        created greeting_test.lisp
        created WORKSPACE
        created .buildifier.json
        created .buildifier-tables.json
        created .gitignore

        Next: rbz test //... && rbz run //:hello
        "#);
        assert_eq!(read(&path, "WORKSPACE"), "workspace(name = \"my_project\")\n");
    }

    #[test]
    fn a_workspace_within_another_is_no_accident() {
        let (outer, path) = directory();
        assert!(!run(&path, &Search::default()).expect("a workspace").contains("too"));
        std::fs::write(outer.path().join("WORKSPACE"), "").expect("a file");
        std::fs::remove_file(path.join("WORKSPACE")).expect("it was made");
        let report = run(&path, &Search::default()).expect("a workspace");
        let outer = outer.path().display();
        assert!(report.contains(&format!("`{outer}` is a workspace too.")), "{report}");
    }

    #[test]
    fn nothing_is_overwritten_and_twice_is_as_good_as_once() {
        let (_outer, path) = directory();
        std::fs::write(path.join("BUILD"), "# mine\n").expect("a file");
        std::fs::write(path.join(".gitignore"), "*.fasl\nrbz-out").expect("a file");
        run(&path, &Search::default()).expect("a workspace");
        run(&path, &Search::default()).expect("a workspace");
        assert_eq!(read(&path, "BUILD"), "# mine\n");
        assert_eq!(read(&path, ".gitignore"), "*.fasl\nrbz-out\n/rbz-bin\n/rbz-testlogs\n");
        assert!(!path.join("hello.lisp").exists());
    }

    #[test]
    fn sources_that_are_there_become_libraries() {
        let (_outer, path) = directory();
        std::fs::create_dir(path.join("src")).expect("a directory");
        std::fs::write(path.join("src/mine.lisp"), "").expect("a file");
        insta::assert_snapshot!(run(&path, &Search::default()).expect("a workspace"), @r#"
        created BUILD
        created WORKSPACE
        created .buildifier.json
        created .buildifier-tables.json
        created .gitignore

        The sources are compiled in the order of `srcs`: check it.

        Next: rbz build -k //...
        "#);
        assert!(read(&path, "BUILD").contains("\"src/mine.lisp\""));
        assert!(!path.join("greeting.lisp").exists());
    }
}
