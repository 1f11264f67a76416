//! End to end under QEMU: every scheme on cores with and without VHE, Linux, and the
//! negative control.
//!
//! Needs what `make build guest` leaves. Cases are generated, so each has its own name and time.

mod commands;
mod cores;
mod fleet;
mod latency;
mod looking;
mod outside;
mod recompute;
mod refusals;
mod repeats;
mod runs;
mod studies;
#[path = "../support/mod.rs"]
mod support;
mod typing;
mod workloads;

use std::sync::Arc;

use libtest_mimic::Trial;
use support::Outcomes;
use trapcast_tool::paths::Paths;

/// What one trial does.
type Test = Box<dyn FnOnce(&Paths) -> Outcomes + Send>;

/// Adds a trial of this name.
type Add<'a> = dyn FnMut(String, Test) + 'a;

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, test: Test| {
        let paths = Arc::clone(paths);
        trials.push(Trial::test(name, move || test(&paths)));
    };
    workloads::trials(&mut add);
    cores::trials(&mut add);
    studies::trials(&mut add);
    latency::trials(&mut add);
    repeats::trials(&mut add);
    outside::trials(&mut add);
    fleet::trials(&mut add);
    recompute::trials(&mut add);
    refusals::trials(&mut add);
    commands::trials(&mut add);
    typing::trials(&mut add);
    looking::trials(&mut add);
    trials
}
