//! The draft of a BUILD file: libraries of the Lisp files that lie in a directory, made of the
//! system definitions beside them.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::system_definition::{System, systems};

/// A BUILD file for sources that are there.
#[derive(Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its text.
    pub text: String,
    /// Whether system definitions said what belongs together.
    of_systems: bool,
    /// The systems from elsewhere that it names.
    elsewhere: BTreeSet<String>,
}

impl Draft {
    /// A BUILD file for `directory`: a library for each system that is defined there, else one of
    /// all Lisp files at and below it, called `name`. `None` if there is no Lisp.
    pub fn of(directory: &Path, name: &str) -> io::Result<Option<Draft>> {
        let systems = systems_of(directory)?;
        if systems.is_empty() {
            let sources = sources_below(directory)?;
            if sources.is_empty() {
                return Ok(None);
            }
            let text = library(name, &sources, &[], false);
            return Ok(Some(Draft { text, of_systems: false, elsewhere: BTreeSet::new() }));
        }
        let mut draft = Draft { text: String::new(), of_systems: true, elsewhere: BTreeSet::new() };
        for system in &systems {
            let dependencies: Vec<String> =
                system.dependencies.iter().map(|needed| draft.label_of(needed, &systems)).collect();
            let gap = if draft.text.is_empty() { "" } else { "\n" };
            let is_test = system.name.ends_with("test") || system.name.ends_with("tests");
            let name = target_name(&system.name);
            draft.text +=
                &format!("{gap}{}", library(&name, &system.files, &dependencies, is_test));
        }
        Ok(Some(draft))
    }

    /// What its reader has to do.
    pub fn advice(&self) -> String {
        let mut text = match self.of_systems {
            true => {
                "\nIt says what the system definition says: check `srcs` and `deps`.\n".to_owned()
            }
            false => "\nThe sources are compiled in the order of `srcs`: check it.\n".to_owned(),
        };
        if let Some(first) = self.elsewhere.first() {
            let names: Vec<_> = self.elsewhere.iter().map(|name| format!("`{name}`")).collect();
            text += &format!(
                "WORKSPACE has to say where {} come{} from, and what the BUILD file there is:\n    \
                 new_local_repository(name = \"{first}\", path = …, build_file = …)\n",
                names.join(", "),
                if names.len() == 1 { "s" } else { "" }
            );
        }
        text
    }

    fn label_of(&mut self, system: &str, here: &[System]) -> String {
        if here.iter().any(|own| own.name == system) {
            return format!(":{}", target_name(system));
        }
        if system.starts_with("sb-") || matches!(system, "asdf" | "uiop") {
            return format!("@lisp//:{system}");
        }
        self.elsewhere.insert(system.to_owned());
        format!("@{system}")
    }
}

fn target_name(system: &str) -> String {
    system.replace('/', "_")
}

/// The systems that are defined in `directory` and have files there, each with those files.
fn systems_of(directory: &Path) -> io::Result<Vec<System>> {
    let mut definitions = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "asd") {
            definitions.push(path);
        }
    }
    definitions.sort();
    let mut all: Vec<System> = Vec::new();
    for definition in definitions {
        let text = std::fs::read(definition)?;
        for mut system in systems(&String::from_utf8_lossy(&text)) {
            system.files.retain_mut(|file| {
                let extension = ["lisp", "lsp", "cl"]
                    .iter()
                    .find(|e| directory.join(format!("{file}.{e}")).is_file());
                *file = format!("{file}.{}", extension.unwrap_or(&"lisp"));
                extension.is_some()
            });
            let is_known = |known: &System| target_name(&known.name) == target_name(&system.name);
            if !system.files.is_empty() && !all.iter().any(is_known) {
                all.push(system);
            }
        }
    }
    Ok(all)
}

/// The Lisp files at and below `directory`, those that define packages by their name first.
/// Directories that are packages of their own, or hidden, are left out.
fn sources_below(directory: &Path) -> io::Result<Vec<String>> {
    let mut sources = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(below) = pending.pop() {
        for entry in std::fs::read_dir(directory.join(&below))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let is_package =
                    ["BUILD", "BUILD.bazel"].iter().any(|n| entry.path().join(n).exists());
                if !name.starts_with('.') && !is_package {
                    pending.push(path);
                }
            } else if [".lisp", ".lsp", ".cl"].iter().any(|end| name.ends_with(end)) {
                sources.push(path);
            }
        }
    }
    sources.sort_by_cached_key(|path| {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        (!name.starts_with("package"), path.clone())
    });
    Ok(sources)
}

fn library(name: &str, sources: &[String], dependencies: &[String], testonly: bool) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let list = |attribute: &str, items: &[String]| match items {
        [] => String::new(),
        items => {
            let lines: String =
                items.iter().map(|item| format!("        {},\n", quote(item))).collect();
            format!("    {attribute} = [\n{lines}    ],\n")
        }
    };
    format!(
        "lisp_library(\n    name = {},\n{}{}{})\n",
        quote(name),
        if testonly { "    testonly = True,\n" } else { "" },
        list("srcs", sources),
        list("deps", dependencies)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it is below")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
        directory
    }

    #[test]
    fn each_system_becomes_a_library() {
        let system = r#"
(defsystem "time" :depends-on ("sb-posix" "cl-fad") :serial t
  :components ((:module "src" :components ((:file "package") (:file "time") (:file "gone")))))
(defsystem "time/test" :depends-on ("time" "stefil") :components ((:file "test/all")))
(defsystem "time/docs" :components ((:static-file "manual")))
"#;
        let directory = with(&[
            ("time.asd", system),
            ("src/time.lisp", ""),
            ("src/package.lisp", ""),
            ("src/unused.lisp", ""),
            ("test/all.lisp", ""),
        ]);
        let draft = Draft::of(directory.path(), "x").expect("readable").expect("a draft");
        insta::assert_snapshot!(format!("{}{}", draft.text, draft.advice()), @r#"
        lisp_library(
            name = "time",
            srcs = [
                "src/package.lisp",
                "src/time.lisp",
            ],
            deps = [
                "@lisp//:sb-posix",
                "@cl-fad",
            ],
        )

        lisp_library(
            name = "time_test",
            testonly = True,
            srcs = [
                "test/all.lisp",
            ],
            deps = [
                ":time",
                "@stefil",
            ],
        )

        It says what the system definition says: check `srcs` and `deps`.
        WORKSPACE has to say where `cl-fad`, `stefil` come from, and what the BUILD file there is:
            new_local_repository(name = "cl-fad", path = …, build_file = …)
        "#);
    }

    #[test]
    fn without_a_definition_all_files_are_one_library() {
        let directory = with(&[
            ("b.lisp", ""),
            ("src/package.lisp", ""),
            ("src/a.cl", ""),
            ("sub/BUILD", ""),
            ("sub/c.lisp", ""),
            (".git/d.lisp", ""),
            ("x.asd", "(defsystem"),
        ]);
        let draft = Draft::of(directory.path(), "x").expect("readable").expect("a draft");
        insta::assert_snapshot!(draft.text, @r#"
        lisp_library(
            name = "x",
            srcs = [
                "src/package.lisp",
                "b.lisp",
                "src/a.cl",
            ],
        )
        "#);
        let empty = with(&[("README", "")]);
        assert_eq!(Draft::of(empty.path(), "x").expect("readable"), None);
    }
}
