//! A hostile guest beside a checker, on one core and on two: EL2 lives, the checker stays clean, the
//! hostile guest comes to its end.
//!
//! Needs what `make build` leaves. Cases are generated, so each has its own name and time.

use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use trapcast::{
    hostile::{self, Options, Outcome},
    machine::Cpu,
    paths::Paths,
};
use trapcast_forecast::Scheme;

/// Operations of each case: a second or two of one core.
const OPERATIONS: u64 = 20_000;

fn main() {
    let arguments = Arguments::from_args();
    let paths = match Paths::find(std::env::var_os("TRAPCAST_TARGET").map(Into::into)) {
        Ok(paths) => Arc::new(paths),
        Err(error) => panic!("{error}"),
    };
    let mut trials = Vec::new();
    for (seed, (cpu, cores, scheme)) in (1..).zip([
        (Cpu::NeoverseN1, 1, Scheme::UntilPut),
        (Cpu::NeoverseN1, 2, Scheme::Owner),
        (Cpu::CortexA57, 1, Scheme::Owner),
        (Cpu::CortexA57, 2, Scheme::Eager),
        (Cpu::Max, 1, Scheme::PerEntry),
        (Cpu::Max, 2, Scheme::UntilPut),
    ]) {
        let options = Options {
            cpu,
            cores,
            operations: OPERATIONS,
            seed,
            kinds: None,
            scheme,
            // Several cores run at the same time only without it.
            icount: cores == 1,
        };
        let paths = Arc::clone(&paths);
        let name = format!("hostile/{cpu}/cores-{cores}");
        trials.push(Trial::test(name, move || survives(&paths, &options)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// All operations are done, of every way to end some, and nothing is amiss.
fn survives(paths: &Paths, options: &Options) -> Result<(), Failed> {
    let outcome = hostile::run(paths, options, |_| ())?;
    let Outcome {
        operations,
        ends,
        checker_windows,
        ..
    } = &outcome;
    let of_each = ["returned", "undefined", "data-aborts", "interrupts"];
    if *operations == options.operations
        && *checker_windows > 0
        && of_each.iter().all(|name| ends[*name] > 0)
    {
        return Ok(());
    }
    Err(format!("{outcome:?}").into())
}
