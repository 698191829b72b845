//! System stubs: `.asd` files by which what knows ASDF sees Lisp targets as systems.
//!
//! A stub names the sources where they are, so that ASDF compiles them itself, into its own cache. What
//! must be there before (features, C libraries) is in a file that is the first of the system.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use rbz_engine::label::Label;

use crate::lisp_target::{Dependency, LispTarget, Places};

/// How each file begins: what does not begin so was not written here.
pub const HEADER: &str = ";;;; Written by `rbz ide asd`";

/// The text of each file, by its name.
pub fn stubs(targets: &[LispTarget], places: &Places, program: &str) -> BTreeMap<String, String> {
    let names = system_names(targets.iter().map(|target| &target.label));
    let mut files = BTreeMap::new();
    for target in targets {
        let name = &names[&target.label];
        files.insert(format!("{name}.asd"), definition(target, &names, places, program));
        files.insert(format!("{name}.prepare.lisp"), preparation(target, places));
    }
    files
}

/// The name of each target as a system: the path of its package and its name, once if the package has
/// the same.
fn system_names<'a>(labels: impl Iterator<Item = &'a Label>) -> BTreeMap<Label, String> {
    let mut taken = HashSet::new();
    let mut names = BTreeMap::new();
    for label in labels {
        let mut parts = Vec::new();
        if !label.repo().is_main() {
            parts.push(label.repo().as_str().to_owned());
        }
        parts.extend(label.package().path.split('/').map(str::to_owned));
        parts.retain(|part| !part.is_empty());
        // A name with `/` would be part of another system.
        let own = label.name().replace('/', ".");
        if parts.last() != Some(&own) {
            parts.push(own);
        }
        let plain = parts.join(".");
        let mut name = plain.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{plain}~{number}");
            number += 1;
        }
        names.insert(label.clone(), name);
    }
    names
}

fn definition(
    target: &LispTarget,
    names: &BTreeMap<Label, String>,
    places: &Places,
    program: &str,
) -> String {
    let name = &names[&target.label];
    let label = target.label.to_string();
    let dependencies: Vec<String> = target
        .dependencies
        .iter()
        .filter_map(|dependency| match dependency {
            Dependency::Target(label) => names.get(label).map(|name| string(name)),
            Dependency::Module(module) => Some(string(module)),
        })
        .collect();
    let mut text = format!("{HEADER}: {label} as a system.\n\n(asdf:defsystem {}\n", string(name));
    // Writing to a string does not fail.
    let _ = writeln!(text, "  :description {}", string(&label));
    let _ = writeln!(text, "  :depends-on ({})", dependencies.join(" "));
    if !matches!(target.encoding.to_lowercase().as_str(), "utf-8" | "utf8") {
        // The default of the Lisp stays: names of files are written in it.
        let _ = writeln!(text, "  :encoding :default");
        let _ = writeln!(
            text,
            "  :around-compile (lambda (compile)\n                    \
             (let ((uiop:*encoding-external-format-hook* (constantly :{})))\n                      \
             (funcall compile)))",
            target.encoding.to_lowercase()
        );
    }
    let _ = writeln!(text, "  :serial t");
    let _ = writeln!(
        text,
        "  :perform (asdf:test-op (operation system)\n             \
         (uiop:run-program (list {} \"test\" {})\n                               \
         :directory {} :output t :error-output t))",
        string(program),
        string(&label),
        string(&places.workspace.to_string_lossy())
    );
    // It is written by rbz, and so in UTF-8.
    let _ = write!(
        text,
        "  :components ((:file {} :encoding :utf-8 :around-compile nil)",
        string(&format!("{name}.prepare"))
    );
    for (source, _) in target.sources() {
        let path = places.path(source);
        let (file, path) = (string(source), pathname(&path.to_string_lossy()));
        let _ = write!(text, "\n               (:file {file} :pathname {path})");
    }
    text + "))\n"
}

/// The first file of a system.
fn preparation(target: &LispTarget, places: &Places) -> String {
    let mut text = format!(
        "{HEADER}: what {} needs before its sources.\n\n\
         (eval-when (:compile-toplevel :load-toplevel :execute)\n  \
         (dolist (feature '({}))\n    (pushnew feature *features*))",
        target.label,
        target.features.iter().map(|one| feature(one)).collect::<Vec<_>>().join(" ")
    );
    for object in &target.shared_objects {
        let path = places.path(object);
        let _ = write!(
            text,
            "\n  (when (probe-file {path})\n    (sb-alien:load-shared-object {path}))",
            path = pathname(&path.to_string_lossy())
        );
    }
    text + ")\n"
}

/// A feature as it is read in any package.
fn feature(name: &str) -> String {
    match name.contains(':') {
        true => name.to_owned(),
        false => format!(":{name}"),
    }
}

/// A string of Lisp.
fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A pathname of Lisp, in which no character means more than itself.
fn pathname(path: &str) -> String {
    let mut escaped = String::new();
    for letter in path.chars() {
        if matches!(letter, '*' | '?' | '[' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    format!("#p{}", string(&escaped))
}

#[cfg(test)]
mod tests {
    use rbz_engine::label::{PackageId, RepoName};

    use super::*;

    #[test]
    fn names_of_systems_are_short_and_differ() {
        let main = PackageId::new(RepoName::main(), "");
        let labels: Vec<Label> =
            ["//app", "//app:lib", "//:top", "@r//:r", "@r//a/b", "//a:b/c", "//a/b:c", "//a.b:c"]
                .iter()
                .map(|text| Label::parse(text, &main).expect("a label"))
                .collect();
        let names = system_names(labels.iter());
        let names: Vec<&str> = labels.iter().map(|label| &*names[label]).collect();
        assert_eq!(names, ["app", "app.lib", "top", "r", "r.a.b", "a.b.c", "a.b.c~2", "a.b.c~3"]);
    }

    #[test]
    fn characters_of_paths_mean_themselves() {
        assert_eq!(pathname("/a b/ü[1]*.lisp"), "#p\"/a b/ü\\\\[1]\\\\*.lisp\"");
        assert_eq!(string("a\"b\\"), "\"a\\\"b\\\\\"");
    }
}
