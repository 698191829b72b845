//! The order in which ready actions run: what the build waits for longest comes first.

use std::time::Duration;

use super::project::*;

/// Three actions that wait for nothing, of which the last but one is the begin of a chain.
fn chain_and_others(texts: [&str; 3]) -> Project {
    let mut project = Project::new();
    project.jobs = 1;
    for (name, text) in ["a", "b", "c"].into_iter().zip(texts) {
        project.write(&format!("pkg/{name}.in"), text);
        project.program(name, move |process| {
            std::fs::write(process.output(&process.spawn.outputs[0].path), "x").unwrap();
            ok()
        });
        project.run(&[name], &[source(&format!("pkg/{name}.in"))], &[file(name)]);
    }
    project.program("after_b", |process| {
        std::fs::write(process.output(&process.spawn.outputs[0].path), "y").unwrap();
        ok()
    });
    project.run(&["after_b"], &[file("b")], &[file("after_b")]);
    project.request(&[file("a"), file("after_b"), file("c")]);
    project
}

#[test]
fn what_took_longest_with_all_that_waits_for_it_comes_first() {
    let project = chain_and_others(["1", "1", "1"]);
    for (program, seconds) in [("a", 5), ("b", 2), ("after_b", 4), ("c", 7)] {
        let wall = Duration::from_secs(seconds);
        project.fake.walls.lock().unwrap().insert(program.into(), wall);
    }
    // Where nothing is known of any, the longer chain is the one of more actions.
    assert_eq!(project.build().in_turn[0], "b ");
    for name in ["a", "b", "c"] {
        project.write(&format!("pkg/{name}.in"), "22");
    }
    let again = project.build();
    assert_eq!(again.in_turn, ["c ", "b ", "a "], "7, 2 + 4, 5 seconds");
}

#[test]
fn of_what_never_ran_the_larger_source_comes_first() {
    let large = "x".repeat(100_000);
    let project = chain_and_others(["1", "1", &large]);
    assert_eq!(project.build().in_turn[0], "c ");
}
