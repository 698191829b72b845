//! The draft of a BUILD file: libraries of the Lisp files that lie in a directory, made of the
//! system definitions beside them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::system_definition::{System, systems};

/// What ASDF lets pass, and a rule of rbz does not.
const PASSED_BY_ASDF: [&str; 2] = ["stack-allocate-note", "style"];

/// A BUILD file for sources that are there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Its text.
    pub text: String,
    /// Whether system definitions said what belongs together.
    pub of_systems: bool,
    /// The systems from elsewhere that it names.
    pub elsewhere: BTreeSet<String>,
}

impl Draft {
    /// A BUILD file for `directory`: a library for each system that is defined there, else one of
    /// all Lisp files at and below it, called `name`. `None` if there is no Lisp.
    pub fn of(directory: &Path, name: &str) -> io::Result<Option<Draft>> {
        let mut definitions = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "asd") {
                definitions.push(path);
            }
        }
        definitions.sort();
        let systems = systems_of(&definitions)?;
        if !systems.is_empty() {
            return Ok(Some(Draft::of_systems(&systems)));
        }
        let sources = sources_below(directory)?;
        if sources.is_empty() {
            return Ok(None);
        }
        let text = library(name, &sources, &[], &[], false);
        Ok(Some(Draft { text, ..Draft::default() }))
    }

    /// A library for each of `systems`.
    pub fn of_systems(systems: &[System]) -> Draft {
        let mut draft = Draft { of_systems: true, ..Draft::default() };
        for system in systems {
            let dependencies: Vec<String> =
                system.dependencies.iter().map(|needed| draft.label_of(needed, systems)).collect();
            let gap = if draft.text.is_empty() { "" } else { "\n" };
            let is_test = system.name.ends_with("test") || system.name.ends_with("tests");
            let name = target_name(&system.name);
            let nowarn = PASSED_BY_ASDF.map(str::to_owned);
            draft.text +=
                &format!("{gap}{}", library(&name, &system.files, &nowarn, &dependencies, is_test));
        }
        draft
    }

    /// Whether a system comes with the Lisp.
    pub fn is_of_lisp(system: &str) -> bool {
        system.starts_with("sb-") || matches!(system, "asdf" | "uiop")
    }

    fn label_of(&mut self, system: &str, here: &[System]) -> String {
        if here.iter().any(|own| own.name == system) {
            return format!(":{}", target_name(system));
        }
        if Draft::is_of_lisp(system) {
            return format!("@lisp//:{system}");
        }
        self.elsewhere.insert(system.to_owned());
        match repository_of(system) {
            repository if repository == system => format!("@{system}"),
            repository => format!("@{repository}//:{}", target_name(system)),
        }
    }
}

/// The repository in which a system from elsewhere is: that of its definition file.
pub fn repository_of(system: &str) -> &str {
    system.split('/').next().unwrap_or(system)
}

fn target_name(system: &str) -> String {
    system.replace('/', "_")
}

/// The systems that these files define and that have files there, each with those files.
pub fn systems_of(definitions: &[PathBuf]) -> io::Result<Vec<System>> {
    let mut all: Vec<System> = Vec::new();
    for definition in definitions {
        let directory = definition.parent().unwrap_or(definition);
        let text = std::fs::read(definition)?;
        for mut system in systems(&String::from_utf8_lossy(&text)) {
            system.files.retain_mut(|file| {
                let extension = ["lisp", "lsp", "cl"]
                    .iter()
                    .find(|e| directory.join(format!("{file}.{e}")).is_file());
                *file = format!("{file}.{}", extension.unwrap_or(&"lisp"));
                extension.is_some()
            });
            // ASDF has itself and UIOP in the image, so that few systems say that they need them.
            for module in ["asdf", "uiop"] {
                let declared = system.dependencies.iter().any(|needed| needed == module);
                if !declared && uses(directory, &system.files, module)? {
                    system.dependencies.push(module.to_owned());
                }
            }
            let is_known = |known: &System| target_name(&known.name) == target_name(&system.name);
            if !system.files.is_empty() && !all.iter().any(is_known) {
                all.push(system);
            }
        }
    }
    Ok(all)
}

/// Whether a symbol of `package` is named in one of `files`.
fn uses(directory: &Path, files: &[String], package: &str) -> io::Result<bool> {
    let prefix = format!("{package}:");
    for file in files {
        let text = std::fs::read(directory.join(file))?;
        let text = String::from_utf8_lossy(&text).to_lowercase();
        let mut found = text.match_indices(&prefix);
        // `my-asdf:` is another package.
        let begins = |at: usize| {
            !text[..at].ends_with(|c: char| c.is_alphanumeric() || "-_./+*".contains(c))
        };
        if found.any(|(at, _)| begins(at)) {
            return Ok(true);
        }
    }
    Ok(false)
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

fn library(
    name: &str,
    sources: &[String],
    nowarn: &[String],
    dependencies: &[String],
    testonly: bool,
) -> String {
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
        "lisp_library(\n    name = {},\n{}{}{}{})\n",
        quote(name),
        if testonly { "    testonly = True,\n" } else { "" },
        list("srcs", sources),
        list("nowarn", nowarn),
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
(defsystem "time/test" :depends-on ("time" "stefil/core") :components ((:file "test/all")))
(defsystem "time/docs" :components ((:static-file "manual")))
"#;
        let directory = with(&[
            ("time.asd", system),
            ("src/time.lisp", "(my-asdf:f) (UIOP:getenv \"TZ\")"),
            ("src/package.lisp", ""),
            ("src/unused.lisp", ""),
            ("test/all.lisp", ""),
        ]);
        let draft = Draft::of(directory.path(), "x").expect("readable").expect("a draft");
        insta::assert_snapshot!(draft.text, @r#"
        lisp_library(
            name = "time",
            srcs = [
                "src/package.lisp",
                "src/time.lisp",
            ],
            nowarn = [
                "stack-allocate-note",
                "style",
            ],
            deps = [
                "@lisp//:sb-posix",
                "@cl-fad",
                "@lisp//:uiop",
            ],
        )

        lisp_library(
            name = "time_test",
            testonly = True,
            srcs = [
                "test/all.lisp",
            ],
            nowarn = [
                "stack-allocate-note",
                "style",
            ],
            deps = [
                ":time",
                "@stefil//:stefil_core",
            ],
        )
        "#);
        let elsewhere: Vec<_> = draft.elsewhere.iter().collect();
        assert_eq!(elsewhere, ["cl-fad", "stefil/core"]);
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
