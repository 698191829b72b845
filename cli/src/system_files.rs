//! The systems of definition files, with the files that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::computed_systems::computed;
use crate::lisp_reader::Reader;
use crate::source_text::{
    code, defines_while_compiling, names_package, packages_needed, shared_objects,
};
use crate::system_definition::{System, Version, definitions, join};

/// The modules that come with the Lisp, beside those that `asdf` names.
const MODULES: [&str; 20] = [
    "asdf",
    "sb-aclrepl",
    "sb-bsd-sockets",
    "sb-capstone",
    "sb-cltl2",
    "sb-concurrency",
    "sb-cover",
    "sb-executable",
    "sb-gmp",
    "sb-grovel",
    "sb-introspect",
    "sb-md5",
    "sb-mpfr",
    "sb-posix",
    "sb-queue",
    "sb-rotate-byte",
    "sb-rt",
    "sb-simple-streams",
    "sb-sprof",
    "uiop",
];

/// The extensions that Lisp files have.
pub const EXTENSIONS: [&str; 3] = ["lisp", "lsp", "cl"];

/// Whether a system comes with the Lisp.
pub fn is_of_lisp(system: &str) -> bool {
    system.starts_with("sb-") || matches!(system, "asdf" | "uiop")
}

/// The systems that `definition` defines and that are made of anything, each with those of its
/// files that are there, by their paths below `root`, in which the definition is. `lisp` is asked
/// for systems that the definition computes.
pub fn systems_of(root: &Path, definition: &Path, lisp: Option<&Path>) -> io::Result<Vec<System>> {
    let text = std::fs::read(definition)?;
    let mut found = definitions(&String::from_utf8_lossy(&text));
    if let Some(lisp) = lisp
        && (found.is_computed || lacks_own(&found.systems, definition))
        && let Some(text) = computed(lisp, definition)
    {
        let computed = definitions(&text);
        for system in computed.systems {
            match found.systems.iter_mut().find(|known| known.name == system.name) {
                Some(known) if found.is_computed && !system.files.is_empty() => {
                    known.files = system.files;
                    known.dependencies = system.dependencies;
                }
                Some(_) => {}
                None => found.systems.push(system),
            }
        }
        found.features = computed.features;
    }
    let directory = definition.parent().unwrap_or(definition);
    let prefix = directory.strip_prefix(root).unwrap_or(Path::new("")).to_string_lossy();
    let place = |path: &str| join(&prefix, path);
    let mut systems = found.systems;
    for system in &mut systems {
        for file in std::mem::take(&mut system.files) {
            match source(root, &place(&file)) {
                Some(file) if system.files.contains(&file) => {}
                Some(file) => system.files.push(file),
                None => system.absent.push(place(&file)),
            }
        }
        for (path, _) in &mut system.foreign {
            *path = place(path);
        }
        system.inferred = system.inferred.take().map(|directory| place(&directory));
    }
    for system in &mut systems {
        if let Some(Version::File(file)) = &system.version {
            let text = std::fs::read(root.join(place(file))).unwrap_or_default();
            let form = Reader::new(&String::from_utf8_lossy(&text)).form();
            let version = form.and_then(|form| form.name().map(str::to_owned));
            system.version = version.map(Version::Text);
        }
    }
    infer(root, &mut systems, &found.packages.into_iter().collect())?;
    let beside = Beside {
        data: data_files(root)?,
        definition: definition.strip_prefix(root).unwrap_or(definition).display().to_string(),
        packages: found.defined,
        features: found.features,
    };
    for system in &mut systems {
        complete(root, system, &beside)?;
    }
    systems.retain(|system| {
        !(system.files.is_empty() && system.dependencies.is_empty() && system.foreign.is_empty())
    });
    Ok(systems)
}

/// Whether a system that must be in `definition`, by its name, is not among `systems`.
fn lacks_own(systems: &[System], definition: &Path) -> bool {
    let stem = definition.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let stem = stem.unwrap_or_default();
    let inferred = systems.iter().any(|system| system.inferred.is_some());
    let needed = systems.iter().flat_map(|system| &system.dependencies).cloned();
    let mut own = needed
        .filter(|name| !inferred && name.split('/').next() == Some(&stem))
        .chain(std::iter::once(stem.clone()));
    own.any(|name| !systems.iter().any(|system| system.name == name))
}

/// The Lisp file that `path`, which may lack its extension, names.
fn source(root: &Path, path: &str) -> Option<String> {
    let written = EXTENSIONS.iter().any(|end| path.ends_with(&format!(".{end}")));
    let as_written = written.then(|| path.to_owned());
    let completed = EXTENSIONS.iter().map(|end| format!("{path}.{end}"));
    as_written.into_iter().chain(completed).find(|path| root.join(path).is_file())
}

/// What the code of a system may refer to without its definition saying so.
struct Beside {
    /// Files that are no Lisp.
    data: Vec<String>,
    /// The definition file, relative to the root.
    definition: String,
    /// The packages that the definition file makes, with their forms.
    packages: Vec<(String, String)>,
    /// The features that it adds.
    features: Vec<String>,
}

/// Adds what the files of `system` use and its definition does not say.
fn complete(root: &Path, system: &mut System, beside: &Beside) -> io::Result<()> {
    let mut text = String::new();
    for file in &system.files {
        text += &code(&String::from_utf8_lossy(&std::fs::read(root.join(file))?));
    }
    // ASDF has itself and UIOP in the image, and modules that others required, so that few systems
    // say that they need them.
    for module in MODULES {
        let declared = system.dependencies.iter().any(|needed| needed == module);
        if !declared && system.name != module && names_package(&text, module) {
            system.dependencies.push(module.to_owned());
        }
    }
    system.definition = beside.definition.clone();
    system.asks_for_itself = system.dependencies.iter().any(|needed| needed == "asdf")
        && [
            "find-system",
            "system-version",
            "component-version",
            "system-relative",
            "system-source",
        ]
        .iter()
        .any(|function| text.contains(function));
    for (package, form) in &beside.packages {
        if names_package(&text, package) {
            system.prelude.push(form.clone());
        }
    }
    for feature in &beside.features {
        match feature.strip_prefix(':') {
            Some(name) if text.contains(&format!(":{name}")) || text.contains(&format!("#+{name}")) || text.contains(&format!("#-{name}")) => {
                system.features.push(name.to_owned());
            }
            None if !system.prelude.is_empty() => system.prelude.push(format!(
                "(eval-when (:compile-toplevel :load-toplevel :execute) (pushnew '{feature} *features*))"
            )),
            _ => {}
        }
    }
    if system.prelude.iter().any(|form| form.to_lowercase().contains("asdf"))
        && !system.dependencies.iter().any(|needed| needed == "asdf")
    {
        system.dependencies.push("asdf".to_owned());
    }
    system.c_libraries = shared_objects(&text);
    system.defines_while_compiling = defines_while_compiling(&text);
    // A file that the code names is one that it may read while it compiles.
    let is_named = |file: &&String| {
        let name = file.rsplit('/').next().unwrap_or_default();
        text.contains(&name.to_lowercase())
    };
    let places = ["compile-file-truename", "compile-file-pathname"];
    system.reads_itself = places.iter().any(|place| text.contains(place));
    system.read_files = beside.data.iter().filter(is_named).cloned().collect();
    Ok(())
}

/// How many files of a project may be looked at: more are no data of its code.
const MOST_FILES: usize = 10_000;

/// The files at and below `root` that are no Lisp and that code could name: those whose names have
/// an extension.
fn data_files(root: &Path) -> io::Result<Vec<String>> {
    let mut files = files_below(root, |name| {
        let stem_and_extension = name.rsplit_once('.');
        stem_and_extension.is_some_and(|(stem, extension)| {
            !stem.is_empty() && extension != "asd" && !EXTENSIONS.contains(&extension)
        })
    })?;
    files.truncate(MOST_FILES);
    Ok(files)
}

/// The files at and below `directory` whose names are `wanted`, in their order. Directories that are
/// packages of their own, or hidden, are left out.
pub fn files_below(directory: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(below) = pending.pop() {
        for entry in std::fs::read_dir(directory.join(&below))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            let kind = entry.file_type()?;
            if name.starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                let is_package =
                    ["BUILD", "BUILD.bazel"].iter().any(|n| entry.path().join(n).exists());
                if !is_package {
                    pending.push(path);
                }
            } else if wanted(&name) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Finds the files and dependencies of the systems whose packages say them.
fn infer(
    root: &Path,
    systems: &mut Vec<System>,
    packages: &BTreeMap<String, String>,
) -> io::Result<()> {
    let directories: Vec<(String, String)> = systems
        .iter()
        .filter_map(|system| Some((system.name.clone(), system.inferred.clone()?)))
        .filter(|(name, _)| !name.contains('/'))
        .collect();
    for (primary, directory) in directories {
        let below = format!("{primary}/");
        // What tests name, and no definition defines, is a file.
        let tests: Vec<String> = systems
            .iter()
            .filter(|system| system.name == primary || system.name.starts_with(&below))
            .flat_map(|system| system.test.systems.clone())
            .filter(|name| name.starts_with(&below))
            .collect();
        for name in tests {
            if !systems.iter().any(|system| system.name == name) {
                let dependencies = vec![name.clone()];
                systems.push(System { name, dependencies, ..System::default() });
            }
        }
        let mut taken = BTreeMap::new();
        for system in systems.iter_mut() {
            if system.name != primary && !system.name.starts_with(&below) {
                continue;
            }
            let mut walk = Walk {
                root,
                directory: &directory,
                below: &below,
                packages,
                taken: &taken,
                files: Vec::new(),
                dependencies: Vec::new(),
                seen: BTreeSet::new(),
            };
            for needed in &system.dependencies {
                walk.need(needed)?;
            }
            let (files, dependencies) = (walk.files, walk.dependencies);
            for file in &files {
                taken.insert(file.clone(), system.name.clone());
            }
            system.files.extend(files);
            system.dependencies = dependencies;
            let own = system.name.clone();
            system.dependencies.retain(|needed| *needed != own);
        }
    }
    Ok(())
}

/// The way through the files of a system whose packages say what they need.
struct Walk<'a> {
    root: &'a Path,
    directory: &'a str,
    below: &'a str,
    packages: &'a BTreeMap<String, String>,
    /// Files that belong to another system, by that system.
    taken: &'a BTreeMap<String, String>,
    files: Vec<String>,
    dependencies: Vec<String>,
    seen: BTreeSet<String>,
}

impl Walk<'_> {
    /// Adds the system `name`: a file of this one, with what it needs before, or another system.
    fn need(&mut self, name: &str) -> io::Result<()> {
        if !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let own = name.strip_prefix(self.below);
        let Some(file) = own.and_then(|own| source(self.root, &join(self.directory, own))) else {
            self.dependencies.push(name.to_owned());
            return Ok(());
        };
        if let Some(other) = self.taken.get(&file) {
            if !self.dependencies.contains(other) {
                self.dependencies.push(other.clone());
            }
            return Ok(());
        }
        let text = std::fs::read(self.root.join(&file))?;
        for package in packages_needed(&String::from_utf8_lossy(&text)).unwrap_or_default() {
            match self.packages.get(&package) {
                Some(system) => self.need(system)?,
                None if is_of_every_lisp(&package) => {}
                None => self.need(&package)?,
            }
        }
        self.files.push(file);
        Ok(())
    }
}

/// Whether a package is there without any system.
fn is_of_every_lisp(package: &str) -> bool {
    matches!(package, "cl" | "common-lisp" | "cl-user" | "keyword")
        || (package.starts_with("sb-") && !MODULES.contains(&package))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn systems(files: &[(&str, &str)], definition: &str) -> Vec<System> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it is below")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
        systems_of(directory.path(), &directory.path().join(definition), None).expect("readable")
    }

    #[test]
    fn packages_say_what_files_need() {
        let found = systems(
            &[
                (
                    "lib/x.asd",
                    "(register-system-packages :other '(:o))
                     (defsystem x :class :package-inferred-system :pathname \"src\"
                       :depends-on (\"x/all\") :in-order-to ((test-op (test-op \"x/tests\"))))",
                ),
                ("lib/src/all.lisp", "(defpackage :x/all (:use :cl :x/b :x/a))"),
                ("lib/src/a.lisp", "(defpackage :x/a (:use :cl) (:import-from :o #:f))"),
                (
                    "lib/src/b.lisp",
                    "(defpackage :x/b (:use :cl :x/a :sb-mop) (:local-nicknames (:i :z/i)))",
                ),
                ("lib/src/tests.lisp", "(defpackage :x/tests (:use :cl :x/a :rt))"),
            ],
            "lib/x.asd",
        );
        let found: Vec<_> =
            found.iter().map(|s| (&*s.name, s.files.join(" "), s.dependencies.join(" "))).collect();
        assert_eq!(
            found,
            [
                ("x", "lib/src/a.lisp lib/src/b.lisp lib/src/all.lisp".into(), "other z/i".into()),
                ("x/tests", "lib/src/tests.lisp".into(), "x rt".into()),
            ]
        );
    }

    #[test]
    fn modules_and_files_that_the_code_names_are_added() {
        let found = systems(
            &[
                (
                    "x.asd",
                    "(defsystem x :version (:read-file-form \"v\") :components ((:file \"a\") (:file \"b\")))",
                ),
                (
                    "a.cl",
                    "(sb-posix:getpid) (slurp \"T.txt gone.txt\") (asdf:find-system :x) \
                     (defvar *here* #.*compile-file-truename*)",
                ),
                ("v", "\"1.2\""),
                ("data/t.txt", ""),
                ("other.txt", ""),
            ],
            "x.asd",
        );
        assert_eq!(found[0].files, ["a.cl"]);
        assert_eq!(found[0].absent, ["b"]);
        assert_eq!(found[0].read_files, ["data/t.txt"]);
        assert_eq!(found[0].dependencies, ["asdf", "sb-posix"]);
        assert_eq!(found[0].version, Some(Version::Text("1.2".into())));
        assert!(found[0].asks_for_itself && found[0].reads_itself);
    }
}
