//! The sandbox with real processes: what they see, what they leave, and how they end.

mod bench;
mod confinement;
mod endings;
mod outside;
mod paths;
mod runner;
mod workshop;

fn main() {
    rbz_engine::sandbox::maybe_become_init();
    if std::env::args().nth(1).is_some_and(|word| word == "--victim") {
        return endings::victim();
    }
    runner::run(&[confinement::TESTS, endings::TESTS, outside::TESTS, paths::TESTS, bench::TESTS]);
}
