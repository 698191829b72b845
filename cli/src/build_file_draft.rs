//! The draft of a BUILD file: targets of the Lisp files that lie in a directory, made of the system
//! definitions beside them.

use std::collections::BTreeSet;

use crate::build_file_text::Target;
use crate::framework_call;
use crate::system_definition::{System, Version};
use crate::system_files::is_of_lisp;

/// What ASDF lets pass, and a rule of rbz does not.
const PASSED_BY_ASDF: [&str; 3] = ["stack-allocate-note", "style", "undefined-variable-warning"];

/// What a system and its tests need.
pub fn needs(system: &System) -> impl Iterator<Item = String> {
    system.dependencies.iter().chain(&system.test.loads).cloned()
}

/// The repository in which a system from elsewhere is: that of its definition file.
pub fn repository_of(system: &str) -> &str {
    system.split('/').next().unwrap_or(system)
}

/// The name of the target of a system.
pub fn target_name(system: &str) -> String {
    system.replace('/', "_")
}

/// The C libraries that are known by name where the machine has them.
const C_LIBRARIES: [&str; 12] = [
    "bz2", "crypt", "crypto", "ffi", "gmp", "lzma", "ncurses", "readline", "sqlite3", "ssl", "z",
    "zstd",
];

/// The C libraries that every program has.
const BASE_C_LIBRARIES: [&str; 5] = ["c", "dl", "m", "pthread", "rt"];

/// What ASDF lets pass in a program: a function of a C library that is opened later, or never.
const PASSED_IN_PROGRAMS: &str = "undefined-alien";

/// How many missing files are named.
const SHOWN: usize = 3;

/// A BUILD file for sources that are there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Its text.
    pub text: String,
    /// What it lacks, a sentence each.
    pub gaps: Vec<String>,
    /// Whether it has a test that patterns find.
    pub has_tests: bool,
}

impl Draft {
    /// One library, called `name`, of `files`.
    pub fn of_files(name: &str, files: &[String]) -> Draft {
        let mut target = Target::new("lisp_library", name);
        target.list("srcs", files.to_vec());
        Draft { text: target.text(), ..Draft::default() }
    }

    /// Targets for the systems of a project. `missing` are those that are nowhere.
    pub fn of_project(systems: &[System], missing: &BTreeSet<String>) -> Draft {
        let drafting = Drafting { systems, missing, repository: None };
        let mut draft = Draft::default();
        for system in systems {
            drafting.add(system, &mut draft);
        }
        draft
    }

    /// Libraries for `wanted`, which are among the `systems` of the repository `name`.
    pub fn of_repository(name: &str, systems: &[System], wanted: &BTreeSet<String>) -> Draft {
        let missing = BTreeSet::new();
        let drafting = Drafting { systems, missing: &missing, repository: Some(name) };
        let mut draft = Draft::default();
        draft.text += "package(default_visibility = [\"//visibility:public\"])\n";
        for system in systems.iter().filter(|system| wanted.contains(&system.name)) {
            let mut target = Target::new("lisp_library", &target_name(&system.name));
            drafting.describe(system, &mut target, &mut draft);
            if !system.files.is_empty() {
                // It is not edited, so that nothing is lost when it is compiled as ASDF does.
                target.text_of("load", "image");
            }
            drafting.note_foreign(system, &mut target, &mut draft);
            draft.add(&target);
        }
        draft
    }

    fn add(&mut self, target: &Target) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text += &target.text();
        self.has_tests |= target.rule == "lisp_test" && !target.is_manual;
    }
}

/// Says in `test` what runs its tests: a framework that rbz knows, or `expression`.
fn describe_tests(expression: &str, test: &mut Target) {
    match framework_call::of_expression(expression) {
        Some(call) => {
            test.text_of("framework", call.framework);
            test.list("suites", call.suites);
        }
        None => test.text_of("expression", expression),
    }
}

struct Drafting<'a> {
    systems: &'a [System],
    missing: &'a BTreeSet<String>,
    /// The repository that the systems are in, if it is not the workspace.
    repository: Option<&'a str>,
}

impl Drafting<'_> {
    /// Adds what becomes of a project's own system.
    fn add(&self, system: &System, draft: &mut Draft) {
        let name = target_name(&system.name);
        let is_test = self.is_test(system);
        if !system.absent.is_empty() {
            let shown: Vec<_> =
                system.absent.iter().take(SHOWN).map(|file| format!("`{file}`")).collect();
            let mut files = shown.join(", ");
            if system.absent.len() > SHOWN {
                files += &format!(" and {} more", system.absent.len() - SHOWN);
            }
            draft.gaps.push(format!("`{name}` lacks {files}, which its definition names."));
        }
        let is_needed = self.systems.iter().any(|other| needs(other).any(|n| n == system.name));
        let expression = system.test.expression();
        let rule = match (&system.entry_point, is_test && expression.is_some() && !is_needed) {
            (Some(_), _) => "lisp_binary",
            (None, true) => "lisp_test",
            (None, false) => "lisp_library",
        };
        let mut target = Target::new(rule, &name);
        self.describe(system, &mut target, draft);
        if system.defines_while_compiling {
            // Its source cannot be loaded without what only compiling it defines.
            target.text_of("load", "fasl");
        }
        match (rule, &system.entry_point, &expression) {
            ("lisp_binary", Some(main), _) => target.text_of("main", main),
            ("lisp_test", _, Some(expression)) => {
                target.list("data", data_of_test(system));
                describe_tests(expression, &mut target);
            }
            _ if is_test => target.flag("testonly"),
            _ => {}
        }
        self.note_foreign(system, &mut target, draft);
        let lacking = self.lacking(&system.dependencies, &mut BTreeSet::new());
        self.note_lacking(system, is_test, &lacking, &mut target, draft);
        let runs = rule == "lisp_test" || !system.test.systems.is_empty();
        if system.test.is_unclear || (is_test && !is_needed && expression.is_none() && !runs) {
            self.note_unclear(&mut target, draft);
        }
        draft.add(&target);
        if let Some(expression) = expression
            && rule != "lisp_test"
        {
            self.add_test(system, &expression, lacking, draft);
        }
    }

    /// Keeps patterns from a target that cannot be built, and says why, if there are others: it
    /// would fail whatever the pattern was meant for.
    fn note_lacking(
        &self,
        system: &System,
        is_test: bool,
        lacking: &BTreeSet<String>,
        target: &mut Target,
        draft: &mut Draft,
    ) {
        let is_whole =
            |other: &System| self.lacking(&other.dependencies, &mut BTreeSet::new()).is_empty();
        let is_beside = is_test || self.systems.iter().any(is_whole);
        if lacking.is_empty() {
            if !system.foreign.is_empty() && is_beside {
                target.make_manual();
            }
            return;
        }
        let names = quoted(lacking);
        target.comment(format!("needs {names}, which this machine has not"));
        if is_beside {
            target.make_manual();
            draft.gaps.push(left_out(&target.name, &names));
        }
    }

    /// Says that somebody has to write how the tests of a system run.
    fn note_unclear(&self, target: &mut Target, draft: &mut Draft) {
        let name = &target.name;
        draft.gaps.push(format!(
            "How the tests of `{name}` run is not clear: write a lisp_test for them, such as\n    \
             lisp_test(name = \"{}\", expression = \"(package:run-tests)\", deps = [\":{name}\"])",
            self.free_name(&format!("check_{name}"))
        ));
        target.comment(
            "how its tests run is not clear from the definition: \
             lisp_test(name, expression, deps) runs them"
                .to_owned(),
        );
    }

    /// Adds the test of a system that is not itself one. Its library is `lacking` these.
    fn add_test(
        &self,
        system: &System,
        expression: &str,
        mut lacking: BTreeSet<String>,
        draft: &mut Draft,
    ) {
        let name = target_name(&system.name);
        let mut test = Target::new("lisp_test", &self.free_name(&format!("{name}_test")));
        describe_tests(expression, &mut test);
        if system.reads_itself {
            test.list("data", system.files.clone());
        }
        test.list("nowarn", vec![PASSED_IN_PROGRAMS.to_owned()]);
        let loads = system.test.loads.iter().filter(|needed| **needed != system.name);
        let labels = loads.map(|needed| self.label_of(needed));
        test.list("deps", std::iter::once(format!(":{name}")).chain(labels).collect());
        lacking.extend(self.lacking(&system.test.loads, &mut BTreeSet::new()));
        if !lacking.is_empty() {
            let names = quoted(&lacking);
            test.comment(format!("needs {names}, which this machine has not"));
            test.make_manual();
            draft.gaps.push(left_out(&test.name, &names));
        }
        draft.add(&test);
    }

    /// Gives a target what every target of a system has.
    fn describe(&self, system: &System, target: &mut Target, draft: &mut Draft) {
        let mut files = system.files.clone();
        if system.asks_for_itself || !system.prelude.is_empty() {
            files.insert(0, self.definition(system, draft));
        }
        target.list("srcs", files);
        target.list("add_features", system.features.clone());
        target.list("compile_data", system.read_files.clone());
        let mut passed = PASSED_BY_ASDF.map(str::to_owned).to_vec();
        if target.rule != "lisp_library" {
            passed.push(PASSED_IN_PROGRAMS.to_owned());
        }
        if !system.files.is_empty() || target.rule != "lisp_library" {
            target.list("nowarn", passed);
        }
        let labels = system.dependencies.iter().map(|needed| self.label_of(needed));
        target.list("deps", labels.collect());
        let opened = system.c_libraries.iter().map(String::as_str);
        let opened = opened.filter(|name| !BASE_C_LIBRARIES.contains(name));
        let (known, unknown): (Vec<_>, Vec<_>) =
            opened.partition(|name| C_LIBRARIES.contains(name));
        if !known.is_empty() {
            target.list("cdeps", known.iter().map(|name| format!("@cc//:{name}")).collect());
            // Most of them are opened as soon as they are defined, by a form of the top level.
            target.flag("cdeps_at_compile");
        }
        if known.is_empty() && !unknown.is_empty() {
            draft.gaps.push(format!(
                "`{}` opens the C library `{}`: name it in cc_configure(libraries = […]) in WORKSPACE, \
                 and here cdeps = [\"@cc//:{}\"], cdeps_at_compile = True.",
                target.name,
                unknown.join("` or `"),
                unknown[0]
            ));
        }
    }

    /// The file that has what the code needs of the definition: ASDF loads none in a build.
    fn definition(&self, system: &System, draft: &mut Draft) -> String {
        let mut forms = system.prelude.clone();
        if system.asks_for_itself {
            let version = match &system.version {
                Some(Version::Text(version)) => format!(" :version \"{version}\""),
                _ => String::new(),
            };
            let place = match self.repository {
                Some(repository) => format!("external/{repository}/{}", system.definition),
                None => system.definition.clone(),
            };
            let name = &system.name;
            forms.push(format!("(asdf:defsystem \"{name}\"{version})"));
            forms.push(format!(
                "(setf (asdf:system-source-file (asdf:registered-system \"{name}\")) (merge-pathnames \"{place}\"))"
            ));
        }
        let mut target =
            Target::new("genrule", &format!("{}-definition", target_name(&system.name)));
        let file = format!("{}.lisp", target.name);
        target.list("outs", vec![file.clone()]);
        let lines = forms.join("\n").replace('\'', "'\\''").replace('$', "$$");
        target.text_of("cmd", &format!("echo '{lines}' > $@"));
        target.comment(format!("what the code of `{}` needs of its definition", system.name));
        draft.add(&target);
        file
    }

    /// Says of what in `system` nothing was made.
    fn note_foreign(&self, system: &System, target: &mut Target, draft: &mut Draft) {
        for (path, kind) in &system.foreign {
            let what = match kind.contains("grovel") || kind.contains("wrapper") {
                true => "a genrule has to make its Lisp file, which then stands in srcs",
                false => "a cc_library has to compile it, which then stands in cdeps",
            };
            target.comment(format!("`{path}` ({kind}) is not here: {what}"));
            draft.gaps.push(format!("`{}` has a {kind}, `{path}`: {what}.", target.name));
        }
    }

    fn is_test(&self, system: &System) -> bool {
        let is_part = self
            .systems
            .iter()
            .any(|other| !is_test_name(&other.name) && other.dependencies.contains(&system.name));
        if is_part {
            return false;
        }
        is_test_name(&system.name)
            || self.systems.iter().any(|other| {
                let (tests, loads) = (&other.test.systems, &other.test.loads);
                other.name != system.name && tests.iter().chain(loads).any(|t| *t == system.name)
            })
    }

    /// Which missing systems those that are `needed` need or are.
    fn lacking(&self, needed: &[String], seen: &mut BTreeSet<String>) -> BTreeSet<String> {
        let mut lacking = BTreeSet::new();
        for needed in needed {
            if self.missing.contains(needed) {
                lacking.insert(needed.clone());
            } else if seen.insert(needed.clone())
                && let Some(own) = self.systems.iter().find(|own| own.name == *needed)
            {
                lacking.extend(self.lacking(&own.dependencies, seen));
            }
        }
        lacking
    }

    fn label_of(&self, system: &str) -> String {
        if self.systems.iter().any(|own| own.name == system) {
            return format!(":{}", target_name(system));
        }
        if is_of_lisp(system) {
            return format!("@lisp//:{system}");
        }
        match repository_of(system) {
            repository if repository == system => format!("@{system}"),
            repository => format!("@{repository}//:{}", target_name(system)),
        }
    }

    /// `name`, or if a target has it, that with a number.
    fn free_name(&self, name: &str) -> String {
        let is_free = |name: &str| !self.systems.iter().any(|own| target_name(&own.name) == name);
        if is_free(name) {
            return name.to_owned();
        }
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        // Systems are finitely many: one of the names is free.
        numbered.into_iter().find(|name| is_free(name)).unwrap_or_default()
    }
}

/// What a test may read when it runs: what its code names, and its code if that asks for its place.
fn data_of_test(system: &System) -> Vec<String> {
    let own: &[String] = if system.reads_itself { &system.files } else { &[] };
    own.iter().chain(&system.read_files).cloned().collect()
}

fn is_test_name(name: &str) -> bool {
    ["test", "tests"].iter().any(|end| {
        name.strip_suffix(end).is_some_and(|before| before.ends_with(['-', '/', '.', '_']))
    })
}

fn left_out(target: &str, names: &str) -> String {
    format!("`{target}` needs {names}: it has the tag `manual`, so that patterns leave it out.")
}

fn quoted(names: &BTreeSet<String>) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project_sources::Sources;

    fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it is below")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
        directory
    }

    fn project(directory: &tempfile::TempDir, missing: &[&str]) -> Draft {
        let sources = Sources::of(directory.path(), None).expect("readable");
        let Sources::Systems(systems, _) = sources else { panic!("{sources:?}") };
        Draft::of_project(&systems, &missing.iter().map(|name| name.to_string()).collect())
    }

    #[test]
    fn of_many_missing_files_some_are_named() {
        let files = ["a", "b", "c", "d", "e"].map(|name| format!("(:file \"{name}\")"));
        let system =
            format!("(defsystem \"time\" :components ({} (:file \"there\")))", files.join(" "));
        let directory = with(&[("time.asd", &system), ("there.lisp", "")]);
        let gaps = project(&directory, &[]).gaps;
        assert_eq!(gaps, ["`time` lacks `a`, `b`, `c` and 2 more, which its definition names."]);
    }

    #[test]
    fn each_system_becomes_a_target() {
        let system = r#"
(defsystem "time" :version "1.1" :depends-on ("sb-posix" "cl-fad") :serial t
  :components ((:module "src" :components ((:file "package") (:file "time") (:file "gone"))))
  :in-order-to ((test-op (test-op "time/test"))))
(defsystem "time/test" :depends-on ("time" "stefil/core") :components ((:file "test/all"))
  :perform (test-op (o c) (symbol-call :stefil :run! "\all")))
(defsystem "time/program" :depends-on ("time") :entry-point "time:main")
(defsystem "time/docs" :components ((:static-file "manual")))
"#;
        let directory = with(&[
            ("time.asd", system),
            ("src/time.lisp", "#.(asdf:find-system :time) (UIOP:getenv \"TZ\")"),
            ("src/package.lisp", ""),
            ("src/unused.lisp", ""),
            ("test/all.lisp", "#.*compile-file-truename*"),
        ]);
        let draft = project(&directory, &[]);
        assert_eq!(draft.gaps, ["`time` lacks `src/gone`, which its definition names."]);
        insta::assert_snapshot!(draft.text, @r#"
        # what the code of `time` needs of its definition
        genrule(
            name = "time-definition",
            outs = ["time-definition.lisp"],
            cmd = "echo '(asdf:defsystem \"time\" :version \"1.1\")\n(setf (asdf:system-source-file (asdf:registered-system \"time\")) (merge-pathnames \"time.asd\"))' > $@",
        )

        lisp_library(
            name = "time",
            srcs = [
                "time-definition.lisp",
                "src/package.lisp",
                "src/time.lisp",
            ],
            nowarn = [
                "stack-allocate-note",
                "style",
                "undefined-variable-warning",
            ],
            deps = [
                "@lisp//:sb-posix",
                "@cl-fad",
                "@lisp//:asdf",
                "@lisp//:uiop",
            ],
        )

        lisp_test(
            name = "time_test",
            srcs = ["test/all.lisp"],
            nowarn = [
                "stack-allocate-note",
                "style",
                "undefined-variable-warning",
                "undefined-alien",
            ],
            deps = [
                ":time",
                "@stefil//:stefil_core",
            ],
            data = ["test/all.lisp"],
            expression = "(stefil::run! \"\\all\")",
        )

        lisp_binary(
            name = "time_program",
            nowarn = [
                "stack-allocate-note",
                "style",
                "undefined-variable-warning",
                "undefined-alien",
            ],
            deps = [":time"],
            main = "time:main",
        )
        "#);
        let elsewhere = Sources::of(directory.path(), None).expect("readable").elsewhere();
        assert_eq!(elsewhere.into_iter().collect::<Vec<_>>(), ["cl-fad", "stefil/core"]);
    }

    #[test]
    fn what_is_not_clear_or_not_there_is_said() {
        let directory = with(&[
            (
                "code/x.asd",
                "(defsystem x :depends-on (:gone) :components ((:file \"a\") (:cffi-grovel-file \"g\"))
                   :in-order-to ((test-op (load-op x-tests)))
                   :perform (test-op (o c) (rt:do-tests)))
                 (defsystem x-tests :depends-on (:x) :components ((:file \"t\")))
                 (defsystem x/more-tests :components ((:file \"t\")))",
            ),
            ("code/a.lisp", ""),
            ("code/t.lisp", ""),
        ]);
        let draft = project(&directory, &["gone"]);
        insta::assert_snapshot!(format!("{}\n{}", draft.text, draft.gaps.join("\n")), @r#"
        # `code/g` (cffi-grovel-file) is not here: a genrule has to make its Lisp file, which then stands in srcs
        # needs `gone`, which this machine has not
        lisp_library(
            name = "x",
            srcs = ["code/a.lisp"],
            nowarn = [
                "stack-allocate-note",
                "style",
                "undefined-variable-warning",
            ],
            deps = ["@gone"],
            tags = ["manual"],
        )

        # needs `gone`, which this machine has not
        lisp_test(
            name = "x_test",
            framework = "rt",
            nowarn = ["undefined-alien"],
            deps = [
                ":x",
                ":x-tests",
            ],
            tags = ["manual"],
        )

        # needs `gone`, which this machine has not
        lisp_library(
            name = "x-tests",
            srcs = ["code/t.lisp"],
            nowarn = [
                "stack-allocate-note",
                "style",
                "undefined-variable-warning",
            ],
            deps = [":x"],
            testonly = True,
            tags = ["manual"],
        )

        # how its tests run is not clear from the definition: lisp_test(name, expression, deps) runs them
        lisp_library(
            name = "x_more-tests",
            srcs = ["code/t.lisp"],
            nowarn = [
                "stack-allocate-note",
                "style",
                "undefined-variable-warning",
            ],
            testonly = True,
        )

        `x` has a cffi-grovel-file, `code/g`: a genrule has to make its Lisp file, which then stands in srcs.
        `x` needs `gone`: it has the tag `manual`, so that patterns leave it out.
        `x_test` needs `gone`: it has the tag `manual`, so that patterns leave it out.
        `x-tests` needs `gone`: it has the tag `manual`, so that patterns leave it out.
        How the tests of `x_more-tests` run is not clear: write a lisp_test for them, such as
            lisp_test(name = "check_x_more-tests", expression = "(package:run-tests)", deps = [":x_more-tests"])
        "#);
    }

    #[test]
    fn the_c_libraries_are_those_of_the_rules() {
        let rules = include_str!("../../rules/repositories/rbz/cc/configure.bzl");
        for name in C_LIBRARIES.iter().chain(&BASE_C_LIBRARIES) {
            assert!(rules.contains(&format!("\"{name}\"")), "{name}");
        }
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
        let sources = Sources::of(directory.path(), None).expect("readable");
        let Sources::Files(files) = sources else { panic!("{sources:?}") };
        insta::assert_snapshot!(Draft::of_files("x", &files).text, @r#"
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
        assert_eq!(Sources::of(empty.path(), None).expect("readable"), Sources::Nothing);
    }
}
