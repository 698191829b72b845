//! External systems: where those lie that a project depends on, and repositories made of them.
//!
//! They are looked for where ASDF and Quicklisp would find them. A repository is made for each
//! `.asd` file, with a draft of a BUILD file for the systems in it that are needed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::build_file_draft::{Draft, repository_of};
use crate::computed_systems::lisp;
use crate::environment::Environment;
use crate::system_definition::System;
use crate::system_files::{is_of_lisp, systems_of};

/// How deep below a place definitions are looked for: `dists/…/software/alexandria/x.asd` is deep
/// enough for anybody.
const DEPTH: usize = 3;

/// Where systems are looked for, and what reads their definitions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The directories in which systems may lie, best first.
    pub places: Vec<PathBuf>,
    /// The Lisp, if there is one.
    pub lisp: Option<PathBuf>,
}

impl Search {
    /// As ASDF and Quicklisp do it.
    pub fn of(environment: &Environment) -> Search {
        let of_home = [
            "common-lisp",
            ".local/share/common-lisp/source",
            "quicklisp/local-projects",
            "quicklisp/dists/quicklisp/software",
        ];
        let of_machine = ["/usr/local/share/common-lisp/source", "/usr/share/common-lisp/source"];
        let home = environment.home.iter();
        let places = home.flat_map(|home| of_home.map(|place| home.join(place)));
        Search {
            places: places.chain(of_machine.map(PathBuf::from)).collect(),
            lisp: lisp(&environment.variables),
        }
    }
}

/// Repositories for systems that were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Repositories {
    /// The name of each, and the directory that it lies in.
    pub found: BTreeMap<String, PathBuf>,
    /// The text of the BUILD file of each, by its name.
    pub build_files: BTreeMap<String, String>,
    /// What the BUILD files lack, a sentence each.
    pub gaps: Vec<String>,
    /// The systems that were not found.
    pub missing: BTreeSet<String>,
}

impl Repositories {
    /// Repositories for the systems `needed`, and for those that these need.
    pub fn of(needed: &BTreeSet<String>, search: &Search) -> io::Result<Repositories> {
        let mut repositories = Repositories::default();
        if needed.is_empty() {
            return Ok(repositories);
        }
        let definitions = definitions(&search.places);
        let mut read: BTreeMap<String, Definition> = BTreeMap::new();
        let own = |system: &String| (repository_of(system).to_owned(), system.clone());
        let mut pending: Vec<(String, String)> = needed.iter().map(own).collect();
        while let Some((repository, system)) = pending.pop() {
            let Some(path) = definitions.get(&repository) else {
                repositories.missing.insert(system);
                continue;
            };
            let definition = match read.entry(repository.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(Definition::read(path, search.lisp.as_deref())?)
                }
                Entry::Occupied(entry) => entry.into_mut(),
            };
            if !definition.wanted.insert(system.clone()) {
                continue;
            }
            match definition.systems.iter().find(|defined| defined.name == system) {
                Some(defined) => {
                    for needed in defined.dependencies.iter().filter(|needed| !is_of_lisp(needed)) {
                        // A file may define systems whose names do not begin with its own.
                        let is_beside = definition.systems.iter().any(|own| own.name == *needed);
                        pending.push(match is_beside {
                            true => (repository.clone(), needed.clone()),
                            false => own(needed),
                        });
                    }
                }
                None => repositories.gaps.push(format!(
                    "`{}` does not define `{system}` in a way that could be read: add a \
                     target for it to `{}`.",
                    path.display(),
                    build_file_of(&repository)
                )),
            }
        }
        for (name, definition) in read {
            let draft = Draft::of_repository(&name, &definition.systems, &definition.wanted);
            let place = build_file_of(&name);
            repositories.gaps.extend(draft.gaps.iter().map(|gap| format!("{place}: {gap}")));
            repositories.build_files.insert(name.clone(), draft.text);
            repositories.found.insert(name, definition.root);
        }
        Ok(repositories)
    }

    /// What WORKSPACE has to say of them.
    pub fn declarations(&self) -> String {
        let declarations = self.found.iter().map(|(name, directory)| {
            let path = directory.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
            format!(
                "\nnew_local_repository(\n    name = \"{name}\",\n    path = \"{path}\",\n    \
                 build_file = \"//third_party:{name}.BUILD\",\n)\n"
            )
        });
        declarations.collect()
    }
}

/// The BUILD file that a repository gets.
pub fn build_file_of(repository: &str) -> String {
    format!("third_party/{repository}.BUILD")
}

/// A definition file that was read.
struct Definition {
    /// The directory that its systems lie in.
    root: PathBuf,
    systems: Vec<System>,
    /// The names of the systems that are needed.
    wanted: BTreeSet<String>,
}

impl Definition {
    /// Reads the definition file at `path`. Its systems may have files beside its directory.
    fn read(path: &Path, lisp: Option<&Path>) -> io::Result<Definition> {
        let outward = |system: &System| system.files.iter().any(|file| file.starts_with("../"));
        let mut root = path.parent().unwrap_or(path);
        let mut systems = systems_of(root, path, lisp)?;
        while let Some(parent) = root.parent()
            && systems.iter().any(outward)
        {
            root = parent;
            systems = systems_of(root, path, lisp)?;
        }
        Ok(Definition { root: root.to_owned(), systems, wanted: BTreeSet::new() })
    }
}

/// The definition files below `places` by their names. What cannot be read is not there for ASDF
/// either.
fn definitions(places: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for place in places {
        let mut level = vec![place.clone()];
        for _ in 0..DEPTH {
            let mut below = Vec::new();
            for directory in level {
                let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
                let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
                paths.sort();
                for path in paths {
                    let stem = path.file_stem().and_then(|stem| stem.to_str());
                    let is_definition = path.extension().is_some_and(|end| end == "asd");
                    match stem {
                        Some(stem) if is_definition && path.is_file() => {
                            found.entry(stem.to_owned()).or_insert(path);
                        }
                        Some(_) if path.is_dir() => below.push(path),
                        _ => {}
                    }
                }
            }
            level = below;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_found_with_what_that_needs() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let base = directory.path().canonicalize().expect("it exists");
        for (path, text) in [
            (
                "first/util-1.2/util.asd",
                "(defsystem \"util\" :depends-on (\"base\" \"sb-posix\" \"gone\") \
                 :components ((:file \"u\"))) \
                 (defsystem \"util/more\" :depends-on (\"util\" \"beside\") :components ((:file \"m\"))) \
                 (defsystem \"beside\" :components ((:file \"u\"))) \
                 (defsystem \"util/tests\" :depends-on (\"fiveam\") :components ((:file \"t\")))",
            ),
            ("first/util-1.2/u.lisp", ""),
            ("first/util-1.2/m.lisp", ""),
            ("first/util-1.2/t.lisp", ""),
            ("second/util/util.asd", "(defsystem \"util\" :components ((:file \"other\")))"),
            ("second/base/base.asd", "(defsystem \"base\" :components ((:file \"b\")))"),
            ("second/base/b.lisp", ""),
        ] {
            let path = base.join(path);
            std::fs::create_dir_all(path.parent().expect("it is below")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
        let needed = BTreeSet::from(["util/more".to_owned()]);
        let places = vec![base.join("absent"), base.join("first"), base.join("second")];
        let search = Search { places, lisp: None };
        let repositories = Repositories::of(&needed, &search).expect("readable");
        assert_eq!(repositories.missing, BTreeSet::from(["gone".to_owned()]));
        let found: Vec<_> = repositories.found.iter().collect();
        let at = |path: &str| base.join(path);
        assert_eq!(
            found,
            [(&"base".to_owned(), &at("second/base")), (&"util".to_owned(), &at("first/util-1.2"))]
        );
        insta::assert_snapshot!(repositories.build_files["util"], @r#"
        package(default_visibility = ["//visibility:public"])

        lisp_library(
            name = "util",
            srcs = ["u.lisp"],
            nowarn = [
                "stack-allocate-note",
                "style",
                "undefined-variable-warning",
            ],
            deps = [
                "@base",
                "@lisp//:sb-posix",
                "@gone",
            ],
            load = "image",
        )

        lisp_library(
            name = "util_more",
            srcs = ["m.lisp"],
            nowarn = [
                "stack-allocate-note",
                "style",
                "undefined-variable-warning",
            ],
            deps = [
                ":util",
                ":beside",
            ],
            load = "image",
        )

        lisp_library(
            name = "beside",
            srcs = ["u.lisp"],
            nowarn = [
                "stack-allocate-note",
                "style",
                "undefined-variable-warning",
            ],
            load = "image",
        )
        "#);
        let declared = repositories.declarations().replace(&base.display().to_string(), "[BASE]");
        insta::assert_snapshot!(declared, @r#"

        new_local_repository(
            name = "base",
            path = "[BASE]/second/base",
            build_file = "//third_party:base.BUILD",
        )

        new_local_repository(
            name = "util",
            path = "[BASE]/first/util-1.2",
            build_file = "//third_party:util.BUILD",
        )
        "#);
    }
}
