//! A hostile guest beside a checker, on one core and on two: EL2 survives, the checker stays clean, the
//! hostile guest finishes.
//!
//! Needs what `make build` leaves. Cases are generated, so each has its own name and time.

#[path = "../../lab/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use trapcast_forecast::Scheme;
use trapcast_machine::{
    machine::Cpu,
    vectors::{Length, RegisterFiles},
};
use trapcast_tool::paths::Paths;
use xtask::hostile::{self, Options};

/// Operations of each case: about a second of one core.
const OPERATIONS: u64 = 12_000;

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, options: Options, resets: u64| {
        let paths = Arc::clone(paths);
        trials.push(Trial::test(name, move || {
            survives(&paths, &options, resets)
        }));
    };
    for (seed, (cpu, cores, vcpus, scheme)) in (1..).zip([
        (Cpu::NeoverseN1, 1, 1, Scheme::UntilPut),
        (Cpu::NeoverseN1, 2, 3, Scheme::Owner),
        (Cpu::CortexA57, 1, 2, Scheme::Owner),
        (Cpu::CortexA57, 2, 1, Scheme::Eager),
        (Cpu::Max, 1, 1, Scheme::PerEntry),
        (Cpu::Max, 2, 2, Scheme::UntilPut),
    ]) {
        let options = Options {
            vcpus,
            ..options(cpu, cores, scheme, seed)
        };
        add(format!("hostile/{cpu}/cores-{cores}"), options, 0);
    }
    let wide = Options {
        registers: RegisterFiles {
            fp: true,
            sve: Length::Max,
            sme: Length::Max,
        },
        ..options(Cpu::Max, 1, Scheme::UntilPut, 7)
    };
    add("hostile/max/sve-and-sme".into(), wide, 0);
    // A reset waits for the other vCPUs, which wait for the one that resets.
    for (cores, seed) in [(1, 8), (2, 9)] {
        let reset = Options {
            vcpus: 2,
            kinds: Some("gic,mmio,storm,hvc,reset".into()),
            ..options(Cpu::NeoverseN1, cores, Scheme::UntilPut, seed)
        };
        add(format!("hostile/reset/cores-{cores}"), reset, 1);
    }
    trials
}

fn options(cpu: Cpu, cores: u32, scheme: Scheme, seed: u64) -> Options {
    Options {
        cpu,
        cores,
        vcpus: 1,
        registers: RegisterFiles::FP,
        operations: OPERATIONS,
        seed,
        kinds: None,
        scheme,
        // Several cores run at the same time only without it.
        icount: cores == 1,
    }
}

/// All operations are done, of every way to end some, and nothing is amiss.
fn survives(paths: &Paths, options: &Options, resets: u64) -> Result<(), Failed> {
    let outcome = hostile::run(paths, options, |_| ())?;
    let of_each = ["returned", "data-aborts", "interrupts"];
    if outcome.operations >= options.operations * (1 + resets)
        && outcome.resets == resets
        && outcome.stopped.is_empty()
        && outcome.checker_windows > 0
        && of_each.iter().all(|name| outcome.ends[*name] > 0)
    {
        return Ok(());
    }
    Err(format!("{outcome:?}").into())
}
