//! The sandbox with real processes: what they see, what they leave, and how they end.

mod builds;
mod confinement;
mod endings;
mod landlock;
mod measure;
mod outside;
mod paths;
mod runner;
mod workshop;

fn main() {
    rbz_engine::sandbox::maybe_become_init();
    match std::env::args().nth(1).as_deref() {
        Some("--victim") => return endings::victim(),
        Some("--landlock-victim") => {
            return landlock::victim(&std::env::args().nth(2).unwrap_or_default());
        }
        Some("--build") => {
            return builds::killed_build(&std::env::args().nth(2).unwrap_or_default());
        }
        Some("--measure") => return measure::measure(),
        _ => {}
    }
    runner::run(&[
        builds::TESTS,
        confinement::TESTS,
        endings::TESTS,
        landlock::TESTS,
        outside::TESTS,
        paths::TESTS,
    ]);
}
