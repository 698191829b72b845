//! Why what is done is done: as a build tells it, and as it is told afterwards.

use crate::event::{Event, How};
use crate::manifest::BuildNote;
use crate::plan::ActionId;
use crate::rebuild::{Made, Rebuild};

use super::project::*;
use crate::build::Goals;

/// What a build tells, as `OUTPUT: REASON`; what came from the cache is marked.
fn explained(project: &Project, built: &Built) -> Vec<String> {
    let mut lines: Vec<String> = built
        .events
        .iter()
        .filter_map(|event| match event {
            Event::ActionExplained { action, how, reason } => {
                let cached = if *how == How::CacheHit { " (cached)" } else { "" };
                Some(format!("{}{cached}: {reason}", name(project, *action)))
            }
            _ => None,
        })
        .collect();
    lines.sort();
    lines
}

fn name(project: &Project, action: ActionId) -> String {
    project.plan.action(action).primary().trim_start_matches(BIN).trim_matches('/').to_owned()
}

/// What the last build did, as `OUTPUT: REASON => WHAT IT MADE`.
fn told(project: &Project) -> Vec<String> {
    let rebuild = project.engine().rebuild(&project.plan, &Goals::build()).unwrap();
    let Rebuild { steps, .. } = rebuild;
    let line = |step: &crate::rebuild::Step| {
        let made = match &step.made {
            Made::New => "new".to_owned(),
            Made::Same => "same".to_owned(),
            Made::Other(paths) => format!("{} other", paths.len()),
            Made::Nothing => "failed".to_owned(),
        };
        let earlier = step.earlier.as_ref().map(|note| format!(" in {}", note.command));
        let from: Vec<String> =
            step.from.iter().map(|index| name(project, steps[*index].action)).collect();
        let from = if from.is_empty() { String::new() } else { format!(" by {}", from.join(" ")) };
        let earlier = earlier.unwrap_or_default();
        format!("{}: {}{from} => {made}{earlier}", name(project, step.action), step.reason)
            .replace(&format!("{BIN}/"), "")
    };
    steps.iter().map(line).collect()
}

fn build(project: &mut Project, number: u64) -> Built {
    project.note = Some(BuildNote { command: format!("build {number}"), begun: number });
    project.build()
}

#[test]
fn a_change_is_told_from_its_source_to_where_the_wave_ends() {
    let mut project = diamond();
    assert_eq!(told(&project), Vec::<String>::new());
    let built = build(&mut project, 1);
    let new = "it was not done here before";
    let lines = ["a", "ab", "b"].map(|name| format!("{name}: {new}"));
    assert_eq!(explained(&project, &built), lines);
    assert_eq!(told(&project).len(), 3);

    project.write("pkg/a.in", "X");
    build(&mut project, 2);
    let expected = ["a: `pkg/a.in` changed => 1 other", "ab: `a` changed by a => 1 other"];
    assert_eq!(told(&project), expected);
    // Nothing to do: what is told is the build that did something.
    let built = build(&mut project, 3);
    assert!(explained(&project, &built).is_empty());
    assert_eq!(told(&project), expected);

    // `b` writes the same whatever it reads.
    project.program("cat", |process| {
        let path = &process.spawn.outputs[0].path;
        std::fs::write(process.output(path), "B").unwrap();
        ok()
    });
    project.write("pkg/b.in", "Y");
    build(&mut project, 4);
    assert_eq!(told(&project), ["b: `pkg/b.in` changed => same"]);
}

#[test]
fn a_part_that_was_built_before_on_its_own_is_told_of_too() {
    let mut project = diamond();
    build(&mut project, 1);
    project.write("pkg/a.in", "X");
    let whole = project.plan.requested.clone();
    project.plan.requested.clear();
    project.request(&[file("a")]);
    build(&mut project, 2);
    project.plan.requested = whole;
    build(&mut project, 3);
    assert_eq!(
        told(&project),
        ["a: `pkg/a.in` changed => 1 other in build 2", "ab: `a` changed by a => 1 other"]
    );
}

#[test]
fn failures_and_lost_outputs_are_reasons() {
    let mut project = diamond();
    project.program("cat", |_| (crate::strategy::Exit::Status(1), String::new(), String::new()));
    project.jobs = 1;
    build(&mut project, 1);
    let failed = told(&project);
    assert_eq!(failed.len(), 1);
    assert!(failed[0].ends_with("it was not done here before => failed"), "{failed:?}");
    project.fake.programs.lock().unwrap().clear();
    let built = build(&mut project, 2);
    let lines = explained(&project, &built);
    assert_eq!(lines.iter().filter(|line| line.ends_with(": it failed last time")).count(), 1);

    // Gone from its place and from the cache; what it was made of is the same.
    std::fs::remove_file(project.path(&file("a"))).unwrap();
    std::fs::remove_dir_all(project.dir.path().join("cache")).unwrap();
    let built = build(&mut project, 3);
    let gone = "nothing changed, but its output is neither there nor in the disk cache";
    assert!(explained(&project, &built).contains(&format!("a: {gone}")));

    // What is known of earlier runs is gone too, but the cache is not.
    project.clean();
    let built = build(&mut project, 4);
    assert!(
        explained(&project, &built)
            .contains(&format!("a (cached): {}", "it was not done here before"))
    );
}
