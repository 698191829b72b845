//! Measurements, for developers: `cargo test --test sandbox -- --measure`.

use std::time::{Duration, Instant};

use rbz_engine::strategy::PreparedSpawn;

use crate::workshop::{With, Workshop};

/// Prints what actions cost beside what they do.
pub fn measure() {
    let workshop = Workshop::new();
    let mut nothing = workshop.script("");
    let tool = nothing.inputs.iter().find(|input| input.path.ends_with("/bin/env")).cloned();
    nothing.argv = vec![tool.map(|tool| tool.path.to_string()).unwrap_or_default()];
    let nothing = nothing.output("out/pkg/x");
    let files = |count: usize, tag: &str| -> Vec<_> {
        let file = |number| workshop.text(&format!("{tag}/p{}/f{number}", number / 50), "x");
        (0..count).map(file).collect()
    };
    let first = Instant::now();
    workshop.run(&nothing);
    println!("the first action, which starts the init: {:?}", first.elapsed());
    report("no inputs", &workshop, &[&nothing]);
    for count in [500, 5000] {
        let one = nothing.clone().inputs(files(count, "in"));
        let started = Instant::now();
        workshop.run(&one);
        println!("{count} new inputs: {:?}", started.elapsed());
        report(&format!("{count} inputs, the same"), &workshop, &[&one]);
        let other = one.clone().inputs(files(10, "more"));
        report(&format!("{count} inputs, ten of them on and off"), &workshop, &[&one, &other]);
    }
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| drop(workshop.run(&nothing))));
        }
    });
    println!("four at once: {:?} each", started.elapsed() / 200);
}

fn report(what: &str, workshop: &Workshop, spawns: &[&PreparedSpawn]) {
    let mut times: Vec<Duration> = (0..100)
        .map(|round| {
            let started = Instant::now();
            drop(workshop.run(spawns[round % spawns.len()]));
            started.elapsed()
        })
        .collect();
    times.sort();
    println!("{what}: median {:?}, best {:?}", times[times.len() / 2], times[0]);
}
