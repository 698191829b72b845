//! Outputs of every kind, and what was in their places.

use std::path::Path;
use std::sync::Arc;

use crate::action::*;
use crate::artifact::ArtifactKind;
use crate::depset::Depset;
use crate::failure::FailureCause;
use crate::value::Value;

use super::project::*;

#[test]
fn trees_are_inputs_outputs_and_cached() {
    let mut project = Project::new();
    project.write("pkg/n", "2");
    project.program("mktree", |process| {
        let number: usize = process.input("pkg/n").unwrap().parse().unwrap();
        let dir = process.output(&process.spawn.outputs[0].path);
        for index in 0..number {
            std::fs::create_dir_all(dir.join("sub")).unwrap();
            std::fs::write(dir.join(format!("sub/{index}")), format!("{index};")).unwrap();
        }
        std::os::unix::fs::symlink("sub/0", dir.join("link")).unwrap();
        std::fs::create_dir(dir.join("void")).unwrap();
        ok()
    });
    let tree = output(ArtifactKind::Tree, "tree");
    project.run(&["mktree"], &[source("pkg/n")], std::slice::from_ref(&tree));
    let all = ManyArgs {
        flag: None,
        values: ArgValues::List([Value::File(tree.clone())].into()),
        format_each: None,
        before_each: None,
        terminate_with: None,
        omit_if_empty: true,
        uniquify: false,
        expand_directories: true,
        joined: None,
    };
    let args = Args { items: vec![ArgItem::Many(all)], ..Args::default() };
    let mut reader = spawn(&["cat"]);
    reader.argv.push(CommandArg::Args(Arc::new(args)));
    let kind = ActionKind::Spawn(reader);
    project.action(kind, Depset::of_files([tree.clone()]), &[file("list")]);
    project.request(&[file("list")]);

    let built = project.build();
    let expanded = format!("cat {BIN}/tree/link {BIN}/tree/sub/0 {BIN}/tree/sub/1");
    assert_eq!(built.ran, [expanded, "mktree ".to_owned()]);
    assert_eq!(project.read(&file("list")), "dir-> sub/00;1;dir");
    assert!(project.path(&tree).join("void").is_dir());
    assert_eq!(project.build().how(), (2, 0, 0));

    project.write("pkg/n", "1");
    project.build();
    assert!(!project.path(&tree).join("sub/1").exists());
    project.write("pkg/n", "2");
    assert_eq!(project.build().how(), (0, 2, 0));
    assert_eq!(std::fs::read_to_string(project.path(&tree).join("sub/1")).unwrap(), "1;");
}

#[test]
fn an_output_may_change_its_kind_between_builds() {
    let mut project = Project::new();
    project.program("tree", |process| {
        std::fs::write(process.output(&process.spawn.outputs[0].path).join("f"), "leaf").unwrap();
        ok()
    });
    let tree = output(ArtifactKind::Tree, "x");
    let below = file("x/y/z");
    for _ in 0..2 {
        for step in 0..3 {
            project.replan();
            let wanted = match step {
                0 => file("x"),
                1 => tree.clone(),
                _ => below.clone(),
            };
            let program = if step == 1 { "tree" } else { "cat" };
            project.run(&[program], &[], std::slice::from_ref(&wanted));
            project.request(std::slice::from_ref(&wanted));
            assert!(project.build().outcome.is_built());
            let path = project.path(&wanted);
            assert_eq!(path.is_dir(), step == 1, "step {step}");
        }
    }
}

#[test]
fn an_output_nobody_writes_any_more_goes_away() {
    let mut project = Project::new();
    project.program("both", |process| {
        for output in &process.spawn.outputs {
            std::fs::write(process.output(&output.path), "x").unwrap();
        }
        ok()
    });
    project.run(&["both"], &[], &[file("one"), file("two")]);
    project.request(&[file("one")]);
    project.build();
    assert!(project.path(&file("two")).exists());
    project.replan();
    project.run(&["both"], &[], &[file("one")]);
    project.request(&[file("one")]);
    project.build();
    assert!(!project.path(&file("two")).exists());
}

#[test]
fn a_stale_tree_takes_nothing_along() {
    let mut project = Project::new();
    project.program("both", |process| {
        for output in &process.spawn.outputs {
            let path = process.output(&output.path);
            std::fs::write(if output.is_tree { path.join("leaf") } else { path }, "x").unwrap();
        }
        ok()
    });
    let outputs = [file("one"), output(ArtifactKind::Tree, "dir")];
    project.run(&["both"], &[], &outputs);
    project.request(&outputs);
    project.build();
    project.replan();
    let outputs = [file("one"), file("dir/below")];
    project.run(&["both"], &[], &outputs);
    project.request(&outputs);
    project.build();
    assert_eq!(project.read(&outputs[1]), "x");
    assert!(project.build().ran.is_empty());
}

#[test]
fn an_output_that_is_now_part_of_the_tree_of_another_stays() {
    let mut project = Project::new();
    project.jobs = 1;
    project.program("both", |process| {
        for output in &process.spawn.outputs {
            let path = process.output(&output.path);
            std::fs::write(if output.is_tree { path.join("leaf") } else { path }, "x").unwrap();
        }
        ok()
    });
    project.run(&["both"], &[], &[file("one"), file("dir/leaf")]);
    project.request(&[file("one")]);
    project.build();
    project.replan();
    let tree = output(ArtifactKind::Tree, "dir");
    project.run(&["both"], &[], std::slice::from_ref(&tree));
    // It runs after the tree has taken the place of its former output.
    project.run(&["both"], std::slice::from_ref(&tree), &[file("one")]);
    project.request(&[file("one"), tree]);
    project.build();
    assert_eq!(project.read(&file("dir/leaf")), "x");
}

#[test]
fn a_tree_that_is_no_input_is_not_looked_into() {
    let mut project = Project::new();
    project.jobs = 1;
    let tree = output(ArtifactKind::Tree, "tree");
    project.program("mktree", |process| {
        std::fs::write(process.output(&process.spawn.outputs[0].path).join("leaf"), "x").unwrap();
        ok()
    });
    project.run(&["mktree"], &[], std::slice::from_ref(&tree));
    let all = ManyArgs {
        flag: None,
        values: ArgValues::List([Value::File(tree.clone())].into()),
        format_each: None,
        before_each: None,
        terminate_with: None,
        omit_if_empty: true,
        uniquify: false,
        expand_directories: true,
        joined: None,
    };
    let args = Args { items: vec![ArgItem::Many(all)], ..Args::default() };
    let mut reader = spawn(&["cat"]);
    reader.argv.push(CommandArg::Args(Arc::new(args)));
    // It waits for what made the tree, by way of another action, and yet is not told of it.
    project.cat(std::slice::from_ref(&tree), &file("between"));
    project.action(ActionKind::Spawn(reader), Depset::of_files([file("between")]), &[file("o")]);
    project.request(&[file("o")]);
    assert!(project.build().ran.contains(&format!("cat {BIN}/tree")));
}

#[test]
fn links_are_the_file_or_the_text() {
    let mut project = Project::new();
    project.write("pkg/a.in", "A");
    let link = |target, executable| ActionKind::Symlink { target, executable };
    let to_file = SymlinkTarget::Artifact(source("pkg/a.in"));
    let inputs = Depset::of_files([source("pkg/a.in")]);
    project.action(link(to_file.clone(), false), inputs.clone(), &[file("same")]);
    let dangling = output(ArtifactKind::Symlink, "dangling");
    let text = SymlinkTarget::Path("no/where".into());
    project.action(link(text, false), Depset::of_files([]), std::slice::from_ref(&dangling));
    project.cat(&[file("same"), dangling.clone()], &file("seen"));
    project.request(&[file("seen")]);
    assert!(project.build().outcome.is_built());
    assert_eq!(project.read(&file("same")), "A");
    assert_eq!(std::fs::read_link(project.path(&dangling)).unwrap(), Path::new("no/where"));
    assert_eq!(project.read(&file("seen")), "-> no/whereA");

    project.action(link(to_file, true), inputs, &[file("runnable")]);
    project.request(&[file("runnable")]);
    let FailureCause::Unfit { path, reason } = project.build().cause().clone() else { panic!() };
    assert_eq!((&*path, &*reason), ("pkg/a.in", "cannot be run, but must be"));
}

#[test]
fn an_output_that_is_a_link_is_what_it_leads_to() {
    let mut project = Project::new();
    project.write("pkg/a.in", "A");
    project.program("link", |process| {
        let outputs = &process.spawn.outputs;
        std::os::unix::fs::symlink("../../../pkg/a.in", process.output(&outputs[0].path)).unwrap();
        std::fs::write(process.output(&outputs[1].path), "made").unwrap();
        std::os::unix::fs::symlink("made", process.output(&outputs[2].path)).unwrap();
        ok()
    });
    let outputs = [file("to-input"), file("made"), file("to-output")];
    project.run(&["link"], &[source("pkg/a.in")], &outputs);
    project.request(&outputs);
    assert!(project.build().outcome.is_built());
    assert_eq!(project.read(&outputs[0]), "A");
    assert_eq!(project.read(&outputs[2]), "made");
    assert!(!project.path(&outputs[2]).is_symlink());
}

#[test]
fn texts_and_templates_are_written_without_a_process() {
    use std::os::unix::fs::PermissionsExt;
    let mut project = Project::new();
    project.write("pkg/t", "Hello {who}");
    let template = ActionKind::ExpandTemplate {
        template: source("pkg/t"),
        substitutions: vec![("{who}".into(), "World".into())],
        executable: true,
    };
    project.action(template, Depset::of_files([source("pkg/t")]), &[file("hello")]);
    project.request(&[file("hello")]);
    let built = project.build();
    assert_eq!(built.outcome.counts.internal, 1);
    assert_eq!(project.read(&file("hello")), "Hello World");
    let mode = std::fs::metadata(project.path(&file("hello"))).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o555);
    assert_eq!(project.build().how(), (1, 0, 0));
    project.write("pkg/t", "Bye {who}");
    project.build();
    assert_eq!(project.read(&file("hello")), "Bye World");
}

#[test]
fn the_runfiles_of_a_program_are_links_on_disk() {
    let mut project = Project::new();
    project.write("pkg/data", "x");
    project.request_test("t", &[source("pkg/data")], false);
    project.build();
    let tree = output(ArtifactKind::RunfilesTree, "pkg/t.runfiles");
    let link = project.path(&tree).join("ws/pkg/data");
    let data = project.dir.path().join("ws/pkg/data");
    assert_eq!(std::fs::read_link(&link).unwrap(), data);
    let program = std::fs::read_link(project.path(&tree).join("ws/pkg/t")).unwrap();
    assert_eq!(program, project.path(&file("pkg/t")));
    let manifest = std::fs::read_to_string(project.path(&tree).join("MANIFEST")).unwrap();
    assert!(manifest.contains(&format!("ws/pkg/data {}\n", data.display())), "{manifest}");
}
