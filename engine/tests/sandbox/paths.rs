//! Names that are odd, long or many.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rbz_engine::sandbox::{Sandboxed, Ways};
use rbz_engine::strategy::{Cancel, Exit, StagedContent, StagedInput};

use crate::endings::soon;
use crate::runner::Test;
use crate::workshop::{With, Workshop};

pub const TESTS: &[Test] = &[
    ("odd_names", odd_names),
    ("an_odd_place_for_the_sandbox", an_odd_place_for_the_sandbox),
    ("paths_as_long_as_they_may_be", paths_as_long_as_they_may_be),
    ("a_deep_heap_of_directories_is_cleaned_up", a_deep_heap_of_directories_is_cleaned_up),
    ("a_path_out_of_the_tree_is_refused", a_path_out_of_the_tree_is_refused),
    ("a_file_becomes_a_directory_and_back", a_file_becomes_a_directory_and_back),
    ("the_working_directory_is_where_it_should_be", the_working_directory_is_where_it_should_be),
    ("unreadable_leftovers_are_cleaned_up", unreadable_leftovers_are_cleaned_up),
];

const ODD: [&str; 6] = ["a b", "übergröße", "[*]?", "new\nline", "co,lon:s\\", "-dash"];

fn odd_names() {
    let workshop = Workshop::new();
    let mut spawn = workshop.script(
        "for d in */; do cat -- \"$d/f\"; echo o > \"out/$d/o\"; done; cat -- ./-dash/f | wc -l",
    );
    for name in ODD {
        spawn = spawn
            .input(workshop.text(&format!("{name}/f"), &format!("<{name}>")))
            .output(&format!("out/{name}/o"));
    }
    spawn.argv[2] = spawn.argv[2].replace("*/", "[!o]*/");
    let done = workshop.run(&spawn);
    let said = String::from_utf8_lossy(&done.stdout);
    for name in ODD {
        assert!(said.contains(&format!("<{name}>")), "{name}: {said}");
        assert!(done.outputs_root.join(format!("out/{name}/o")).exists(), "{name}");
    }
}

fn an_odd_place_for_the_sandbox() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join(ODD.concat());
    let workshop = Workshop::with(|_| Arc::new(Sandboxed::new(&place, Ways::default())));
    let spawn = workshop.script("cat in; echo x > o").input(workshop.text("in", "I\n"));
    assert_eq!(workshop.says(&spawn), "I\n");
}

fn paths_as_long_as_they_may_be() {
    let workshop = Workshop::new();
    // With `/rbz/execroot/` before it just less than the 4,096 bytes that a path may have.
    let long = format!("{}file", "d23456789/".repeat(407));
    let name = "n".repeat(255);
    let spawn = workshop
        .script(&format!("cat {long} {name}"))
        .inputs(vec![workshop.text(&long, "deep\n"), workshop.text(&name, "wide\n")]);
    assert_eq!(workshop.says(&spawn), "deep\nwide\n");
    // The tree must lose it again, too.
    assert_eq!(workshop.says(&workshop.script("ls")), "");
}

fn a_deep_heap_of_directories_is_cleaned_up() {
    let workshop = Workshop::new();
    // More than a path can name from the outside.
    let script = format!(
        "for ((i = 0; i < 30; i++)); do mkdir {0}; cd -P {0} 2>/dev/null; done; chmod 0 .",
        "d".repeat(200)
    );
    let done = workshop.run(&workshop.script(&script).tree("out"));
    assert_eq!(done.exit, Exit::Status(0));
    let session = done.outputs_root.ancestors().nth(3).unwrap().to_owned();
    drop(done);
    assert_eq!(fs::read_dir(session.join("scratch")).unwrap().count(), 0);
    let rubbish = session.join("rubbish");
    assert!(soon(|| fs::read_dir(&rubbish).unwrap().count() == 0));
}

fn unreadable_leftovers_are_cleaned_up() {
    let workshop = Workshop::new();
    let script = "mkdir -p /tmp/a/b ~/c; touch /tmp/a/b/f; chmod 0 /tmp/a/b /tmp/a ~/c out; true";
    let done = workshop.run(&workshop.script(script).tree("out"));
    let session = done.outputs_root.ancestors().nth(3).unwrap().to_owned();
    drop(done);
    assert_eq!(fs::read_dir(session.join("scratch")).unwrap().count(), 0);
    let rubbish = session.join("rubbish");
    assert!(soon(|| fs::read_dir(&rubbish).unwrap().count() == 0));
}

fn a_path_out_of_the_tree_is_refused() {
    let workshop = Workshop::new();
    for path in ["../x", "a/../../x", "a//b", "./a", ""] {
        let spawn = workshop.script("true").input(workshop.text(path, "x"));
        let error = workshop.strategy.run(&spawn, &Cancel::default()).unwrap_err().to_string();
        assert!(error.contains("is no path that an input can have"), "{path}: {error}");
        let spawn = workshop.script("true").output(path);
        assert!(workshop.strategy.run(&spawn, &Cancel::default()).is_err(), "{path}");
    }
    assert_eq!(workshop.says(&workshop.script("echo well")), "well\n");
    assert!(!Path::new(workshop.directory.path()).join("base/x").exists());
}

fn a_file_becomes_a_directory_and_back() {
    let workshop = Workshop::new();
    let link = |path: &str, to: &str| StagedInput {
        path: path.into(),
        content: StagedContent::Symlink(to.into()),
    };
    let empty = StagedInput { path: "a".into(), content: StagedContent::Directory };
    for (inputs, expected) in [
        (vec![workshop.text("a", "1")], "a=1\n"),
        (vec![workshop.text("a/b", "2"), workshop.text("a/c/d", "3")], "a/b=2\na/c/d=3\n"),
        (vec![link("a", "b"), workshop.text("b", "4")], "a=4\nb=4\n"),
        (vec![link("a", "b"), workshop.text("b", "5")], "a=5\nb=5\n"),
        (vec![empty], ""),
        (vec![workshop.text("a/c/d", "6")], "a/c/d=6\n"),
        (vec![workshop.text("a/c", "7")], "a/c=7\n"),
        (vec![], ""),
    ] {
        let spawn = workshop
            .script(
                "shopt -s globstar; for f in **; do [ -d $f ] || [ $f = '**' ] || \
                 echo $f=$(cat $f); done",
            )
            .inputs(inputs);
        assert_eq!(workshop.says(&spawn), expected);
    }
}

fn the_working_directory_is_where_it_should_be() {
    let workshop = Workshop::new();
    let mut spawn = workshop
        .script("")
        .input(workshop.blob("bin/tool", b"#!/usr/bin/bash\necho $0 $PWD $(cat here)\n", true))
        .input(workshop.text("sub/here", "yes"));
    let bash = spawn.argv[0].clone();
    if bash != "/usr/bin/bash" {
        return;
    }
    spawn.argv = vec!["bin/tool".into()];
    spawn.working_directory = "sub".into();
    assert_eq!(workshop.says(&spawn), "/rbz/execroot/bin/tool /rbz/execroot/sub yes\n");
}
