//! What is done again, and what is not.

use std::time::Duration;

use crate::action::*;
use crate::build::*;
use crate::depset::Depset;
use crate::event::{Event, How};
use crate::strategy::*;
use crate::value::Value;

use super::project::*;

#[test]
fn a_first_build_runs_everything_and_a_second_nothing() {
    let project = diamond();
    let first = project.build();
    assert_eq!(first.status(), [TargetStatus::Built]);
    assert_eq!(first.how(), (0, 0, 3));
    assert_eq!(project.read(&file("ab")), "AB");
    let second = project.build();
    assert_eq!(second.how(), (3, 0, 0));
    assert!(second.ran.is_empty());
}

#[test]
fn a_change_runs_what_depends_on_it_and_nothing_else() {
    let project = diamond();
    project.build();
    project.write("pkg/a.in", "X");
    let built = project.build();
    assert_eq!(built.ran, [format!("cat {BIN}/a"), format!("cat {BIN}/ab")]);
    assert_eq!(built.how(), (1, 0, 2));
    assert_eq!(project.read(&file("ab")), "XB");
}

#[test]
fn a_touched_source_runs_nothing() {
    let project = diamond();
    project.build();
    project.write("pkg/a.in", "A");
    assert_eq!(project.build().how(), (3, 0, 0));
}

#[test]
fn a_change_taken_back_is_all_cache_hits() {
    let project = diamond();
    project.build();
    project.write("pkg/a.in", "X");
    project.build();
    project.write("pkg/a.in", "A");
    let built = project.build();
    assert_eq!(built.how(), (1, 2, 0));
    assert_eq!(project.read(&file("ab")), "AB");
}

#[test]
fn after_a_clean_everything_comes_from_the_cache() {
    let project = diamond();
    project.build();
    project.clean();
    let built = project.build();
    assert_eq!(built.how(), (0, 3, 0));
    assert_eq!(project.read(&file("ab")), "AB");
    assert_eq!(project.build().how(), (3, 0, 0));
}

#[test]
fn an_output_that_stays_the_same_stops_the_wave() {
    let project = diamond();
    project.program("cat", |process| {
        let texts = process.spawn.inputs.iter().filter_map(|input| process.input(&input.path));
        let text: String = texts.collect::<String>().to_uppercase();
        std::fs::write(process.output(&process.spawn.outputs[0].path), text).unwrap();
        ok()
    });
    project.build();
    project.write("pkg/a.in", "a");
    let built = project.build();
    assert_eq!(built.ran, [format!("cat {BIN}/a")]);
    assert_eq!(built.how(), (2, 0, 1));
}

#[test]
fn another_argument_variable_or_input_name_is_a_reason_to_run() {
    let build = |argv: &[&str], variable: &str, input: &str| {
        let mut project = Project::new();
        project.write("pkg/a.in", "A");
        project.write("pkg/b.in", "A");
        project.build_variant(&["cat", "x"], "1", "pkg/a.in");
        assert_eq!(project.build().how(), (0, 0, 1));
        project.replan();
        project.build_variant(argv, variable, input);
        project.build().how()
    };
    assert_eq!(build(&["cat", "x"], "1", "pkg/a.in"), (1, 0, 0));
    assert_eq!(build(&["cat", "y"], "1", "pkg/a.in"), (0, 0, 1));
    assert_eq!(build(&["cat", "x"], "2", "pkg/a.in"), (0, 0, 1));
    assert_eq!(build(&["cat", "x"], "1", "pkg/b.in"), (0, 0, 1));
}

#[test]
fn a_source_that_can_be_run_now_is_a_reason_to_run() {
    use std::os::unix::fs::PermissionsExt;
    let project = diamond();
    project.build();
    let path = project.dir.path().join("ws/pkg/a.in");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(project.build().ran, [format!("cat {BIN}/a")]);
}

#[test]
fn outputs_somebody_removed_or_changed_are_put_back_without_running() {
    let project = diamond();
    project.build();
    let (a, ab) = (project.path(&file("a")), project.path(&file("ab")));
    std::fs::remove_file(&a).unwrap();
    std::fs::remove_file(&ab).unwrap();
    std::fs::create_dir(&ab).unwrap();
    std::fs::write(ab.join("x"), "").unwrap();
    assert_eq!(project.build().how(), (3, 0, 0));
    assert_eq!(project.read(&file("a")), "A");
    assert_eq!(project.read(&file("ab")), "AB");
}

#[test]
fn a_lost_output_tree_is_put_back_without_running() {
    let project = diamond();
    project.build();
    std::fs::remove_dir_all(project.dir.path().join("base/execroot")).unwrap();
    assert_eq!(project.build().how(), (3, 0, 0));
    assert_eq!(project.read(&file("ab")), "AB");
}

#[test]
fn what_an_action_said_is_said_again_by_the_cache() {
    let mut project = Project::new();
    project.program("talk", |process| {
        std::fs::write(process.output(&process.spawn.outputs[0].path), "x").unwrap();
        (Exit::Status(0), "to stdout\n".into(), "WARNING: style\n".into())
    });
    project.run(&["talk"], &[], &[file("x")]);
    project.request(&[file("x")]);
    assert_eq!(project.build().shown(), "to stdout\nWARNING: style\n");
    assert_eq!(project.build().shown(), "");
    project.clean();
    let again = project.build();
    assert_eq!(again.how(), (0, 1, 0));
    assert_eq!(again.shown(), "to stdout\nWARNING: style\n");
}

#[test]
fn an_action_that_must_not_be_cached_runs_after_a_clean_only() {
    let mut project = Project::new();
    let mut spawn = spawn(&["cat"]);
    spawn.requirements.insert("no-cache".into(), "".into());
    project.action(ActionKind::Spawn(spawn), Depset::of_files([]), &[file("x")]);
    project.request(&[file("x")]);
    assert_eq!(project.build().how(), (0, 0, 1));
    assert_eq!(project.build().how(), (1, 0, 0));
    project.clean();
    assert_eq!(project.build().how(), (0, 0, 1));
}

#[test]
fn a_lost_blob_behind_a_hit_is_a_miss() {
    let project = diamond();
    project.build();
    project.clean();
    std::fs::remove_file(project.blob_with("AB")).unwrap();
    let built = project.build();
    assert_eq!(built.ran, [format!("cat {BIN}/ab")]);
    assert_eq!(project.read(&file("ab")), "AB");
}

#[test]
fn a_damaged_blob_is_a_miss() {
    use std::os::unix::fs::PermissionsExt;
    let project = diamond();
    project.build();
    let blob = project.blob_with("AB");
    project.clean();
    std::fs::set_permissions(&blob, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&blob, "ab").unwrap();
    let built = project.build();
    assert_eq!(built.ran, [format!("cat {BIN}/ab")]);
    assert_eq!(project.read(&file("ab")), "AB");
}

#[test]
fn a_lost_cache_costs_nothing_while_the_outputs_are_there() {
    let project = diamond();
    project.build();
    std::fs::remove_dir_all(project.dir.path().join("cache")).unwrap();
    assert_eq!(project.build().how(), (3, 0, 0));
    // What is needed again is taken from the outputs and from the sources.
    std::fs::remove_dir_all(project.dir.path().join("cache")).unwrap();
    project.write("pkg/a.in", "X");
    let built = project.build();
    assert_eq!(built.ran, [format!("cat {BIN}/a"), format!("cat {BIN}/ab")]);
    assert_eq!(project.read(&file("ab")), "XB");
}

#[test]
fn bytes_that_are_nowhere_are_made_again() {
    use std::os::unix::fs::PermissionsExt;
    let project = diamond();
    // Sources that are old enough to be trusted are not read again.
    std::thread::sleep(Duration::from_millis(30));
    project.build();
    // The blob of `b` goes, and its output is damaged in a way that no stamp shows.
    let b = project.path(&file("b"));
    std::fs::remove_file(project.blob_with("B")).unwrap();
    std::fs::remove_dir_all(project.dir.path().join("cache")).unwrap();
    std::fs::set_permissions(&b, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&b, "?").unwrap();
    crate::files::set_mtime(&b, crate::store::BLOB_DATE).unwrap();
    project.write("pkg/a.in", "X");
    let built = project.build();
    assert!(built.outcome.is_built());
    assert_eq!(project.read(&file("ab")), "XB");
    assert_eq!(project.read(&file("b")), "B");
}

#[test]
fn a_source_that_changes_during_the_build_poisons_nothing() {
    let mut project = Project::new();
    project.jobs = 1;
    project.write("pkg/a.in", "before");
    let path = project.dir.path().join("ws/pkg/a.in");
    let edited = path.clone();
    project.program("edit", move |process| {
        // Whoever edits now is too late for this build.
        std::fs::write(&edited, "after").unwrap();
        let text = process.input("pkg/a.in").unwrap();
        std::fs::write(process.output(&process.spawn.outputs[0].path), text).unwrap();
        ok()
    });
    project.run(&["edit"], &[source("pkg/a.in")], &[file("x")]);
    project.request(&[file("x")]);
    project.build();
    assert_eq!(project.read(&file("x")), "before");
    assert_eq!(project.build().how(), (0, 0, 1));
    assert_eq!(project.read(&file("x")), "after");
    std::fs::write(&path, "before").unwrap();
    assert_eq!(project.build().how(), (0, 1, 0));
    assert_eq!(project.read(&file("x")), "before");
}

#[test]
fn a_chain_of_ten_thousand_depsets_is_built() {
    let mut project = Project::new();
    project.write("pkg/a.in", "A");
    let mut inputs = Depset::of_files([source("pkg/a.in")]);
    for number in 0..10_000 {
        let own = Value::str(&format!("{number}"));
        let order = crate::depset::Order::Default;
        inputs = Depset::new(order, vec![own], vec![inputs]).unwrap();
    }
    project.action(ActionKind::Spawn(spawn(&["cat"])), inputs, &[file("x")]);
    project.request(&[file("x")]);
    assert_eq!(project.build().how(), (0, 0, 1));
    project.write("pkg/a.in", "B");
    assert_eq!(project.build().how(), (0, 0, 1));
    assert_eq!(project.read(&file("x")), "B");
}

#[test]
fn events_tell_how_each_action_came_about() {
    let project = diamond();
    let how = |built: Built| -> Vec<How> {
        built
            .events
            .iter()
            .filter_map(|event| match event {
                Event::ActionFinished { how, .. } => Some(*how),
                _ => None,
            })
            .collect()
    };
    assert_eq!(how(project.build()), [How::Ran; 3]);
    assert_eq!(how(project.build()), [How::UpToDate; 3]);
    project.clean();
    assert_eq!(how(project.build()), [How::CacheHit; 3]);
}

#[test]
fn two_workspaces_share_a_cache() {
    let first = diamond();
    let mut second = diamond();
    first.build();
    let cache = first.dir.path().join("cache");
    let link = second.dir.path().join("cache");
    std::os::unix::fs::symlink(cache, link).unwrap();
    assert_eq!(second.build().how(), (0, 3, 0));
    second.jobs = 1;
    let engine = first.engine();
    assert_eq!(second.build().how(), (3, 0, 0));
    drop(engine);
}
