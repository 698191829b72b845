//! External systems: where those lie that a project depends on, and repositories made of them.
//!
//! They are looked for where ASDF and Quicklisp would find them. A repository is made for each
//! `.asd` file, with a draft of a BUILD file for the systems in it that are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::build_file_draft::{Draft, repository_of, systems_of};

/// How deep below a place definitions are looked for: `dists/…/software/alexandria/x.asd` is deep
/// enough for anybody.
const DEPTH: usize = 3;

/// The directories in which systems may lie, best first.
pub fn places(home: Option<&Path>) -> Vec<PathBuf> {
    let of_home = [
        "common-lisp",
        ".local/share/common-lisp/source",
        "quicklisp/local-projects",
        "quicklisp/dists/quicklisp/software",
    ];
    let of_machine = ["/usr/local/share/common-lisp/source", "/usr/share/common-lisp/source"];
    let of_home = home.into_iter().flat_map(|home| of_home.map(|place| home.join(place)));
    of_home.chain(of_machine.map(PathBuf::from)).collect()
}

/// Repositories for systems that were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Repositories {
    /// The name of each, and the directory that it lies in.
    pub found: BTreeMap<String, PathBuf>,
    /// The text of the BUILD file of each, by its name.
    pub build_files: BTreeMap<String, String>,
    /// The systems that were not found.
    pub missing: BTreeSet<String>,
}

impl Repositories {
    /// Repositories for the systems `needed`, and for those that these need.
    pub fn of(needed: &BTreeSet<String>, places: &[PathBuf]) -> io::Result<Repositories> {
        let mut repositories = Repositories::default();
        if needed.is_empty() {
            return Ok(repositories);
        }
        let definitions = definitions(places);
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut pending: Vec<String> = needed.iter().cloned().collect();
        while let Some(system) = pending.pop() {
            let repository = repository_of(&system).to_owned();
            let Some(definition) = definitions.get(&repository) else {
                repositories.missing.insert(system);
                continue;
            };
            if !wanted.entry(repository).or_default().insert(system.clone()) {
                continue;
            }
            for defined in systems_of(std::slice::from_ref(definition))? {
                if defined.name == system {
                    let own = |needed: &String| !Draft::is_of_lisp(needed);
                    pending.extend(defined.dependencies.into_iter().filter(own));
                }
            }
        }
        for (name, systems) in wanted {
            let definition = &definitions[&name];
            let mut defined = systems_of(std::slice::from_ref(definition))?;
            defined.retain(|system| systems.contains(&system.name));
            let text = Draft::of_systems(&defined).text;
            let text = format!("package(default_visibility = [\"//visibility:public\"])\n\n{text}");
            let directory = definition.parent().unwrap_or(definition).to_owned();
            repositories.build_files.insert(name.clone(), text);
            repositories.found.insert(name, directory);
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
                 (defsystem \"util/more\" :depends-on (\"util\") :components ((:file \"m\"))) \
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
        let places = [base.join("absent"), base.join("first"), base.join("second")];
        let repositories = Repositories::of(&needed, &places).expect("readable");
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
            srcs = [
                "u.lisp",
            ],
            nowarn = [
                "stack-allocate-note",
                "style",
            ],
            deps = [
                "@base",
                "@lisp//:sb-posix",
                "@gone",
            ],
        )

        lisp_library(
            name = "util_more",
            srcs = [
                "m.lisp",
            ],
            nowarn = [
                "stack-allocate-note",
                "style",
            ],
            deps = [
                ":util",
            ],
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
