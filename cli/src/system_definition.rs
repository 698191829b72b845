//! System definitions: which files an `.asd` file names, in which order, and what they need.
//!
//! Only what can be read without a Lisp is understood. What is computed (`#.(…)`) is left out, so
//! that the result is a good beginning and not a translation.

use std::collections::{BTreeMap, BTreeSet};

use crate::lisp_reader::{Data, Form, Reader, list_property, property};
use crate::test_operation::{TestOperation, as_written};

/// A system that a `defsystem` form describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// Its name, in lower case.
    pub name: String,
    /// Its Lisp files relative to the file of the definition; each comes after those that it
    /// depends on. As a definition names them they lack their extension.
    pub files: Vec<String>,
    /// The systems that it depends on, in lower case.
    pub dependencies: Vec<String>,
    /// The Lisp files that its definition names and that are not there.
    pub absent: Vec<String>,
    /// Files that are no code, and that its code names.
    pub read_files: Vec<String>,
    /// Whether its code asks where its own source is.
    pub reads_itself: bool,
    /// What must be done to make Lisp files first, or to bring C in: paths, each with its kind.
    pub foreign: Vec<(String, String)>,
    /// The function that the program of this system runs.
    pub entry_point: Option<String>,
    /// Its version.
    pub version: Option<Version>,
    /// Whether its code asks ASDF for the system.
    pub asks_for_itself: bool,
    /// Whether its code has definitions that exist only while it is compiled.
    pub defines_while_compiling: bool,
    /// Its definition file, relative to the root.
    pub definition: String,
    /// Forms of the definition file that its code needs.
    pub prelude: Vec<String>,
    /// Features that the definition file adds and its code asks for.
    pub features: Vec<String>,
    /// The shared objects of C that its code opens, without `lib` and `.so`.
    pub c_libraries: BTreeSet<String>,
    /// What `asdf:test-system` does.
    pub test: TestOperation,
    /// The directory below which packages say what the files are and need, if they do.
    pub inferred: Option<String>,
}

/// How a definition gives the version of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// In its text.
    Text(String),
    /// As the first form of this file.
    File(String),
}

/// What a definition file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// The systems, in the order of the text.
    pub systems: Vec<System>,
    /// The systems of packages that are not called like them: `(package, system)`.
    pub packages: Vec<(String, String)>,
    /// The packages that it defines itself, each with its form.
    pub defined: Vec<(String, String)>,
    /// The features that it adds, as they are written there.
    pub features: Vec<String>,
    /// Whether it decides by computation which features it adds.
    pub is_computed: bool,
}

/// What a definition file with this text says.
pub fn definitions(text: &str) -> Definitions {
    let mut reading = Reading {
        text,
        reader: Reader::new(text),
        superclasses: BTreeMap::new(),
        found: Definitions::default(),
    };
    let mut tests = Vec::new();
    while let Some(form) = reading.reader.form() {
        reading.top_level(&form, &mut tests);
    }
    let mut found = reading.found;
    for (name, test) in tests {
        if let Some(system) = found.systems.iter_mut().find(|system| system.name == name) {
            system.test.extend(test);
        }
    }
    found
}

struct Reading<'a> {
    text: &'a str,
    reader: Reader<'a>,
    /// Of each class that the file defines the first superclass.
    superclasses: BTreeMap<String, String>,
    found: Definitions,
}

impl Reading<'_> {
    fn top_level(&mut self, form: &Form, tests: &mut Vec<(String, TestOperation)>) {
        let [_, rest @ ..] = form.list() else { return };
        match form.operator() {
            Some("defsystem") => {
                if let [name, options @ ..] = rest {
                    let system = self.system(name, options);
                    self.found.systems.extend(system);
                }
            }
            Some("defmethod") => tests.extend(self.test_method(rest)),
            Some("progn" | "eval-when" | "let" | "let*" | "locally") => {
                for part in rest {
                    self.top_level(part, tests);
                }
            }
            Some("pushnew" | "push") => {
                if let [feature, place] = rest
                    && place.name() == Some("*features*")
                    && let Some(name) = feature.name()
                {
                    self.reader.add_feature(name);
                    let written = self.text[feature.span.clone()].trim_start_matches('\'');
                    self.found.features.push(written.to_lowercase());
                }
            }
            Some("defclass") => {
                if let [name, supers, ..] = rest
                    && let (Some(name), Some(first)) = (name.name(), supers.list().first())
                    && let Some(superclass) = first.name()
                {
                    self.superclasses.insert(name.to_owned(), superclass.to_owned());
                }
            }
            Some("defpackage") => {
                if let Some(name) = rest.first().and_then(Form::name)
                    && let Some(text) = as_written(self.text, form)
                {
                    self.found.defined.push((name.to_lowercase(), text));
                }
            }
            Some("register-system-packages") => {
                if let [system, packages] = rest
                    && let Some(system) = system.name()
                {
                    let single = std::slice::from_ref(packages);
                    let packages =
                        if packages.list().is_empty() { single } else { packages.list() };
                    let names = packages.iter().filter_map(Form::name);
                    self.found
                        .packages
                        .extend(names.map(|name| (name.to_lowercase(), system.to_lowercase())));
                }
            }
            _ => self.found.is_computed |= adds_feature(form),
        }
    }

    /// `perform ((o test-op) (c (eql (find-system "x")))) …`
    fn test_method(&self, form: &[Form]) -> Option<(String, TestOperation)> {
        let [function, rest @ ..] = form else { return None };
        let at = rest.iter().position(|part| !part.list().is_empty())?;
        let [operation, component, ..] = rest[at].list() else { return None };
        let is_test = operation.list().get(1).and_then(Form::name) == Some("test-op");
        if function.name() != Some("perform") || !is_test {
            return None;
        }
        let mut test = TestOperation::default();
        test.read_body(self.text, &rest[at + 1..]);
        Some((found_system(component)?, test))
    }

    fn system(&self, name: &Form, options: &[Form]) -> Option<System> {
        let mut system = System { name: name.name()?.to_lowercase(), ..System::default() };
        let directory = self.directory(options, "");
        self.components(options, "", "file", &mut system);
        for list in ["defsystem-depends-on", "depends-on"] {
            for needed in list_property(options, list) {
                if let Some(needed) = self.dependency(needed)
                    && !system.dependencies.contains(&needed)
                {
                    system.dependencies.push(needed);
                }
            }
        }
        let class = property(options, "class").and_then(Form::name);
        if class == Some("package-inferred-system") {
            system.inferred = Some(directory);
        }
        system.entry_point = match property(options, "entry-point").map(|form| &form.data) {
            Some(Data::Text(function)) => Some(function.clone()),
            _ => None,
        };
        system.version = property(options, "version").and_then(|form| match &form.data {
            Data::Text(version) => Some(Version::Text(version.clone())),
            Data::List(parts) => match &parts[..] {
                [kind, file, ..] if kind.is_keyword("read-file-form") => {
                    Some(Version::File(file.name()?.to_owned()))
                }
                _ => None,
            },
            _ => None,
        });
        system.test.read_order(list_property(options, "in-order-to"));
        let perform = list_property(options, "perform");
        if let Some(("test-op", rest)) =
            perform.split_first().and_then(|(first, rest)| Some((first.name()?, rest)))
            && let Some(at) = rest.iter().position(|part| matches!(part.data, Data::List(_)))
        {
            system.test.read_body(self.text, &rest[at + 1..]);
        }
        Some(system)
    }

    /// `"name"`, `(:version "name" …)`, `(:feature expression "name")`.
    fn dependency(&self, form: &Form) -> Option<String> {
        let name = match form.list() {
            [] => form.name(),
            [kind, condition, name] if kind.is_keyword("feature") => {
                return self.reader.holds(condition).then(|| self.dependency(name)).flatten();
            }
            [kind, name, ..] if kind.is_keyword("version") || kind.is_keyword("require") => {
                name.name()
            }
            _ => None,
        };
        // What ASDF once took from a library, and has itself now.
        name.filter(|name| *name != "asdf-package-system").map(str::to_lowercase)
    }

    /// What components of a class are, which the file may define.
    fn kind(&self, class: &str) -> Kind {
        let mut classes = vec![class];
        while let Some(next) = classes.last().and_then(|class| self.superclasses.get(*class))
            && !classes.contains(&next.as_str())
        {
            classes.push(next);
        }
        // The name of any of them may tell that its files are made of others.
        match classes.iter().any(|class| Kind::of(class) == Kind::Foreign) {
            true => Kind::Foreign,
            false => Kind::of(classes.last().unwrap_or(&class)),
        }
    }

    /// The directory of the components of a system or module below `outer`.
    fn directory(&self, options: &[Form], outer: &str) -> String {
        match property(options, "pathname").and_then(path_of) {
            Some(path) => join(outer, &path),
            None => outer.to_owned(),
        }
    }

    /// Adds what is below a system or module with these options. `file` is the class of a `:file`
    /// around it.
    fn components(&self, options: &[Form], directory: &str, file: &str, system: &mut System) {
        let directory = self.directory(options, directory);
        let file =
            property(options, "default-component-class").and_then(Form::name).unwrap_or(file);
        for component in in_order(list_property(options, "components")) {
            let [kind, name, options @ ..] = component.list() else { continue };
            let (Some(kind), Some(name)) = (kind.name(), name.name()) else { continue };
            if property(options, "if-feature").is_some_and(|when| !self.reader.holds(when)) {
                continue;
            }
            if kind == "module" {
                let own = property(options, "pathname").and_then(path_of).is_some();
                let directory = if own { directory.clone() } else { join(&directory, name) };
                self.components(options, &directory, file, system);
                continue;
            }
            let path = property(options, "pathname").and_then(path_of);
            let path = join(&directory, path.as_deref().unwrap_or(name));
            match self.kind(if kind == "file" { file } else { kind }) {
                Kind::Lisp => system.files.push(path),
                Kind::Static => {}
                Kind::Foreign => system.foreign.push((path, kind.to_owned())),
            }
        }
    }
}

/// What a component is, as far as that can be seen.
#[derive(PartialEq)]
enum Kind {
    Lisp,
    Static,
    Foreign,
}

impl Kind {
    /// By the name of the component's class; systems have classes of their own.
    fn of(class: &str) -> Kind {
        let has = |part: &str| class.contains(part);
        let is_document = ["doc", "html", "txt", "css", "js", "javascript", "image"]
            .iter()
            .any(|kind| class.split('-').any(|part| part == *kind));
        if has("grovel") || has("wrapper") || class.starts_with("c-") || has("-c-") || has("dso") {
            Kind::Foreign
        } else if has("static") || is_document || !(has("file") || class.starts_with("test")) {
            Kind::Static
        } else {
            Kind::Lisp
        }
    }
}

/// Whether a feature is added somewhere in `form`.
fn adds_feature(form: &Form) -> bool {
    let parts = form.list();
    let adds = matches!(form.operator(), Some("pushnew" | "push"))
        && parts.last().and_then(Form::name) == Some("*features*");
    adds || parts.iter().any(adds_feature)
}

/// The system that `(find-system "x")` within `form` is about.
fn found_system(form: &Form) -> Option<String> {
    match form.list() {
        [_, name, ..] if form.operator() == Some("find-system") => {
            name.name().map(str::to_lowercase)
        }
        parts => parts.iter().find_map(found_system),
    }
}

/// The path that a string, or the names after `:relative`, stand for.
fn path_of(form: &Form) -> Option<String> {
    match &form.data {
        Data::Text(path) => Some(path.clone()),
        Data::List(parts) if parts.first().is_some_and(|part| part.is_keyword("relative")) => {
            Some(parts[1..].iter().filter_map(Form::name).collect::<Vec<_>>().join("/"))
        }
        Data::List(parts) => parts.iter().find_map(|part| match part.data {
            Data::List(_) => path_of(part),
            _ => None,
        }),
        _ => None,
    }
}

/// The components, each after those of its siblings that it depends on.
fn in_order(components: &[Form]) -> Vec<&Form> {
    let name = |form: &Form| form.list().get(1).and_then(Form::name).map(str::to_owned);
    let mut left: Vec<&Form> = components.iter().collect();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let names: Vec<_> = left.iter().filter_map(|form| name(form)).collect();
        let waits = |form: &Form| {
            let mut needed = list_property(form.list(), "depends-on").iter().filter_map(Form::name);
            needed.any(|needed| {
                names.iter().any(|left| left == needed) && name(form).as_deref() != Some(needed)
            })
        };
        // In a cycle, which is a mistake, the order is that of the text.
        let next = left.iter().position(|form| !waits(form)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

/// The path `path` below `directory`, without `.` and with `..` only at its beginning.
pub fn join(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> System {
        let mut systems = definitions(text).systems;
        assert_eq!(systems.len(), 1, "{systems:?}");
        systems.remove(0)
    }

    #[test]
    fn files_come_in_the_order_in_which_they_load() {
        let system = one(r#"
;; A comment with (defsystem "no")
#| (defsystem "nor this") |#
(in-package :asdf-user)
(asdf:defsystem #:My-System
  :version "1.0" :long-description "with \"quotes\" and (brackets"
  :depends-on (:alexandria #+sbcl "sb-posix" #-sbcl "osicat" (:version "babel" "1")
               (:feature :ccl "other") (:feature (:and :sbcl (:not :win32)) "bordeaux-threads"))
  :defsystem-depends-on ("trivial-features" :alexandria)
  :pathname "code/"
  :components ((:file "main" :depends-on ("package" "util"))
               (:static-file "README")
               (:file "package")
               (:module "util" :depends-on ("package")
                :components ((:file "a") #+(or ccl ecl) (:file "b") (:file #+sbcl "c" #-sbcl "d")))
               (:module "flat" :pathname "" :components ((:file "e" :if-feature :sbcl)
                                                         (:file "f" :if-feature :ccl)))))
(defmethod perform ((o test-op) (c (eql (find-system :my-system)))) #\( 'x)
"#);
        assert_eq!(system.name, "my-system");
        let files = ["code/package", "code/util/a", "code/util/c", "code/main", "code/e"];
        assert_eq!(system.files, files);
        let needed = ["trivial-features", "alexandria", "sb-posix", "babel", "bordeaux-threads"];
        assert_eq!(system.dependencies, needed);
    }

    #[test]
    fn classes_of_components_say_what_these_are() {
        let system = one(r#"
(defsystem x
  :default-component-class my-file
  :components ((:cl-source-file.cl "a") (my-source-file b :pathname #p"other/c")
               (:cffi-grovel-file "g") (:c-source-file "h") (:html-file "i")
               (:module "m" :pathname (:relative "n" "o")
                :components ((:file "p") (:file "q" :pathname "../r.lisp")))))"#);
        assert_eq!(system.files, ["a", "other/c", "n/o/p", "n/r.lisp"]);
        let foreign = [("g", "cffi-grovel-file"), ("h", "c-source-file")];
        assert_eq!(system.foreign, foreign.map(|(path, kind)| (path.to_owned(), kind.to_owned())));
    }

    #[test]
    fn classes_that_a_definition_defines_are_what_they_are_derived_from() {
        let system = one(r#"
(defclass x-file (cl-source-file) ())
(defclass legacy (static-file) ())
(defclass manual (x-file) ())
(defclass library (asdf:c-source-file) ())
(defsystem x
  :default-component-class x-file
  :components ((:file "a") (manual "b") (:library "c") (:legacy "d")
               (:module "old" :default-component-class legacy
                :components ((:file "e") (:module "f" :components ((:file "g") (:x-file "h")))))))"#);
        assert_eq!(system.files, ["a", "b", "old/f/h"]);
        assert_eq!(system.foreign, [("c".to_owned(), "library".to_owned())]);
    }

    #[test]
    fn a_definition_may_add_features_and_be_within_other_forms() {
        let found = definitions(
            "#+sbcl (pushnew :special *features*)
             (eval-when (:load-toplevel) (register-system-packages :c2 '(:c2mop)))
             (progn (defsystem x :class :package-inferred-system :pathname \"src\"
                      :components (#+special (:file \"a\")) :entry-point \"x:main\"))",
        );
        assert_eq!(found.packages, [("c2mop".to_owned(), "c2".to_owned())]);
        let [system] = &found.systems[..] else { panic!("{found:?}") };
        assert_eq!(system.files, ["src/a"]);
        assert_eq!(system.inferred.as_deref(), Some("src"));
        assert_eq!(system.entry_point.as_deref(), Some("x:main"));
    }

    #[test]
    fn what_is_computed_or_broken_is_left_out() {
        let system = one("(defsystem \"x\" :version #.(read-version \"v\") :components \
                          ((:file \"a\" :depends-on (\"b\")) (:file \"b\" :depends-on (\"a\"))))");
        assert_eq!(system.files, ["a", "b"]);
        for text in ["", "(", ")", "\"", "#", "#+", "(defsystem", "(defsystem)", "#|", "'", "#\\"] {
            assert_eq!(definitions(text), Definitions::default(), "{text}");
        }
        assert_eq!(definitions(&"(".repeat(100_000)), Definitions::default());
    }

    #[test]
    fn what_a_method_runs_belongs_to_its_system() {
        let found = definitions(
            "(defsystem \"x\")
             (defmethod asdf:perform :after ((o asdf:test-op) (c (eql (find-system 'x))))
               (funcall (intern \"RUN\" :x-test)))",
        );
        assert_eq!(found.systems[0].test.expression(), Some("(x-test::run)".to_owned()));
    }
}
