//! The documents: their examples work, and they name everything there is and nothing else.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rbz_integration_tests::workspace::read;
use rbz_integration_tests::{binary, document, workspace};
use walkdir::WalkDir;

fn in_repository(path: &str) -> PathBuf {
    binary::repository().join(path)
}

#[test]
fn getting_started_works_as_it_says() {
    let ws = workspace().in_directory("greeter").build();
    ws.remove("WORKSPACE");
    document::follow(&in_repository("docs/getting-started.md"), &ws);
}

#[test]
fn the_examples_of_the_rules_reference_build() {
    let ws = workspace().build();
    document::follow(&in_repository("docs/rules.md"), &ws);
    ws.rbz("build //...").run();
    ws.rbz("test //...").run();
}

#[test]
fn the_examples_of_the_page_on_queries_answer_as_it_says() {
    let ws = workspace().build();
    document::follow(&in_repository("docs/querying.md"), &ws);
}

#[test]
fn the_examples_of_the_page_on_testing_work() {
    let ws = workspace().build();
    document::follow(&in_repository("docs/testing.md"), &ws);
}

#[test]
fn the_example_of_the_page_on_coverage_counts_as_it_says() {
    // The page says that the test ran.
    let ws = workspace().own_cache().build();
    document::follow(&in_repository("docs/coverage.md"), &ws);
}

#[test]
fn the_examples_of_the_command_line_reference_work() {
    let ws = workspace().build();
    document::follow(&in_repository("docs/command-line.md"), &ws);
}

/// The words that begin with `--` in `text`, without a leading `no`.
fn flags(text: &str) -> BTreeSet<String> {
    let text = text.replace("--[no]", "--");
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    let flags = words.filter_map(|word| word.strip_prefix("--"));
    flags
        .filter(|flag| flag.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_command_line_reference_has_every_flag_and_no_other() {
    let ws = workspace().build();
    let help = ws.rbz("help flags").run();
    let there = flags(help.stdout());
    assert!(there.len() > 30, "{help}");
    let named = flags(&read(in_repository("docs/command-line.md")));
    let missing: Vec<_> = there.difference(&named).collect();
    assert!(missing.is_empty(), "docs/command-line.md does not have {missing:?}");
    let unknown: Vec<_> = named
        .iter()
        .filter(|flag| {
            !there.contains(*flag)
                && !flag.strip_prefix("no").is_some_and(|flag| there.contains(flag))
        })
        .collect();
    assert!(unknown.is_empty(), "docs/command-line.md has {unknown:?}");
}

#[test]
fn every_command_is_in_the_reference() {
    let ws = workspace().build();
    let help = ws.rbz("help").run();
    let page = read(in_repository("docs/command-line.md"));
    let list = help.stdout().split("\n\n").find_map(|part| part.strip_prefix("Commands:\n"));
    let commands: Vec<&str> = list
        .expect("help lists the commands")
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"build") && commands.contains(&"init"), "{help}");
    for command in commands {
        assert!(
            page.contains(&format!("### rbz {command}\n")),
            "docs/command-line.md has no `{command}`"
        );
    }
}

#[test]
fn the_rules_reference_has_every_public_attribute() {
    let page = read(in_repository("docs/rules.md"));
    let mut found = 0;
    for entry in WalkDir::new(in_repository("rules/repositories/rbz")) {
        let entry = entry.expect("the repository can be read");
        let is_module = entry.path().extension().is_some_and(|extension| extension == "bzl");
        // Toolchains, and the tool of coverage, are declared by rbz itself.
        let is_own = [
            "toolchain.bzl",
            "runtime.bzl",
            "sbcl_configure.bzl",
            "configure.bzl",
            "missing.bzl",
            "coverage/tool.bzl",
        ]
        .iter()
        .any(|name| entry.path().ends_with(name));
        if !is_module || is_own {
            continue;
        }
        for line in read(entry.path()).lines() {
            let Some((name, _)) = line.trim().split_once("\": attr.") else { continue };
            let name = name.trim_start_matches('"');
            if name.starts_with('_') || name.starts_with('$') {
                continue;
            }
            found += 1;
            assert!(
                page.contains(&format!("`{name}`")),
                "docs/rules.md has no `{name}` of {}",
                entry.path().display()
            );
        }
    }
    assert!(found > 20, "attributes were found: {found}");
}

#[test]
fn the_example_of_a_workspace_file_loads_and_its_repositories_work() {
    let build = r#"
genrule(name = "o", outs = ["o.txt"], cmd = "perl -e 'print 6 * 7' > $@")
lisp_library(name = "l", srcs = ["l.lisp"], deps = ["@trivial_features"])
"#;
    let ws = workspace()
        .file("WORKSPACE", &read(in_repository("WORKSPACE.example")))
        .file("BUILD", build)
        .file("l.lisp", "(defun f () #+little-endian 1)\n")
        .file("third_party/BUILD", "")
        .file("third_party/split-sequence.BUILD", "")
        .file("tools/BUILD", "")
        .file("tools/dependencies.bzl", "def dependencies():\n    pass\n")
        .build();
    ws.rbz("build //...").run();
    assert_eq!(ws.read("rbz-bin/o.txt"), "42");
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let root = binary::repository();
    let mut pages = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    for directory in ["docs", "examples"] {
        let entries = WalkDir::new(root.join(directory)).into_iter().flatten();
        pages.extend(
            entries
                .map(|entry| entry.into_path())
                .filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    for page in pages {
        let text = read(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().expect("a page lies in a directory").join(target);
            assert!(path.exists(), "`{link}` in {} leads nowhere", page.display());
        }
    }
}

#[test]
fn the_code_map_names_files_that_are_there() {
    let text = read(in_repository("ARCHITECTURE.md"));
    let map = text.split("## Code map").nth(1).and_then(|rest| rest.split("## Invariants").next());
    let map = map.expect("ARCHITECTURE.md has a code map");
    let sections: Vec<_> = map.split("\n### ").skip(1).collect();
    assert_eq!(sections.len(), 10, "one section for each crate");
    for section in sections {
        let (crate_name, text) = section.split_once('\n').expect("a title, then text");
        let quoted = text.split('`').skip(1).step_by(2);
        for file in quoted.filter(|word| word.ends_with(".rs")) {
            let path = in_repository(crate_name).join("src").join(file);
            assert!(path.exists(), "`{file}` of {crate_name} is not there");
        }
    }
}

#[test]
fn the_table_of_dependencies_is_complete() {
    let architecture = read(in_repository("ARCHITECTURE.md"));
    let table = architecture.split("## Dependencies").nth(1).expect("there is a table");
    let manifest = read(in_repository("Cargo.toml"));
    let section =
        manifest.split("[workspace.dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
    let lines = section.expect("there are dependencies").lines();
    let names: BTreeSet<&str> = lines
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("rbz-"))
        .collect();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let listed: BTreeSet<&str> =
        rows.flat_map(|row| row.split(", ")).filter(|name| *name != "crate").collect();
    assert_eq!(listed, names);
}

/// A message that is explained is one that somebody can get.
#[test]
fn messages_that_are_explained_for_projects_of_asdf_exist() {
    let page = read(in_repository("docs/coming-from-asdf.md"));
    let (_, table) = page.split_once("| message | what to do |").expect("the table is there");
    let mut sources = String::new();
    for directory in ["rules/repositories/rbz/lisp", "cli/src", "starlark_lib/src"] {
        for entry in WalkDir::new(in_repository(directory)) {
            let entry = entry.expect("the repository can be read");
            if entry.file_type().is_file() {
                sources += &read(entry.path()).replace('\\', "");
            }
        }
    }
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut seen = 0;
    for row in rows {
        let message = row.split('`').nth(1).expect("a message stands in backticks");
        for part in message.split(['…', '"']).map(str::trim).filter(|part| part.len() > 8) {
            assert!(sources.contains(part), "`{part}` is no part of a message: {row}");
            seen += 1;
        }
    }
    assert!(seen > 6, "{table}");
}
