//! The hostile guests of the torture: boots of several machines in turn, until so many random
//! operations are done.

use trapcast_forecast::Scheme;

use super::Plan;
use crate::hostile::{self, Options, Outcome};
use trapcast_machine::{
    machine::Cpu,
    vectors::{Length, RegisterFiles},
};
use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
    progress::Progress,
};

/// Operations of one boot.
const OPERATIONS: u64 = 100_000;

/// Boots that may fail until no more begin: the others would tell nothing new.
const MOST_FAILURES: usize = 8;

/// All that a guest can have.
const EVERYTHING: RegisterFiles = RegisterFiles {
    fp: true,
    sve: Length::Max,
    sme: Length::Max,
};

/// The machines that take turns: a core and how many of it, the hostile guest's vCPUs and registers.
const MACHINES: [(Cpu, u32, u32, RegisterFiles); 6] = [
    (Cpu::NeoverseN1, 1, 1, RegisterFiles::FP),
    (Cpu::NeoverseN1, 4, 3, RegisterFiles::FP),
    (Cpu::CortexA57, 1, 2, RegisterFiles::FP),
    (Cpu::CortexA57, 2, 2, RegisterFiles::FP),
    (Cpu::Max, 1, 1, EVERYTHING),
    (Cpu::Max, 2, 2, RegisterFiles::FP),
];

/// Runs hostile guests for the operations of `plan`, unless `is_late` says that time is up. Those that
/// EL2 does not survive, that another guest notices, or that get what they must not, are reported in
/// `failures`, and the next boot begins; after [`MOST_FAILURES`] none does.
///
/// # Errors
/// [`Error::Input`] where something is missing, [`Error::Stopped`] on Ctrl-C.
pub fn run(
    plan: &Plan,
    paths: &Paths,
    is_late: impl Fn() -> bool,
    failures: &mut Vec<String>,
) -> Result<Outcome> {
    let progress = Progress::new(plan.operations);
    let schemes = Scheme::ALL.into_iter().filter(|s| *s != Scheme::None);
    let mut turns = MACHINES
        .iter()
        .cycle()
        .zip(schemes.cycle())
        .zip(plan.seed..);
    let mut total = Outcome::default();
    let mut begun = 0;
    let mut failed = 0;
    while begun < plan.operations && failed < MOST_FAILURES && !is_late() {
        let Some(((&(cpu, cores, vcpus, registers), scheme), seed)) = turns.next() else {
            break;
        };
        let options = Options {
            cpu,
            cores: cores.min(plan.cores),
            vcpus,
            registers,
            operations: OPERATIONS.min(plan.operations - begun),
            seed,
            kinds: None,
            scheme,
            icount: false,
        };
        begun += options.operations;
        let name = format!("hostile/{cpu}/{scheme}/seed {seed}");
        progress.start(&name);
        let outcome = hostile::run(paths, &options, |_| ());
        progress.end(&name, options.operations, outcome.as_ref().err());
        match outcome {
            Ok(outcome) => add(&mut total, outcome),
            Err(Error::Run(sentence)) => {
                failures.push(sentence);
                failed += 1;
            }
            Err(other) => return Err(other),
        }
    }
    progress.finish();
    Ok(total)
}

/// Adds the result of one boot.
fn add(total: &mut Outcome, one: Outcome) {
    total.boots += one.boots;
    total.operations += one.operations;
    total.resets += one.resets;
    total.checker_windows += one.checker_windows;
    for (name, count) in one.ends {
        *total.ends.entry(name).or_default() += count;
    }
    for (reason, count) in one.stopped {
        *total.stopped.entry(reason).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_boots_come_to_is_added_up() {
        let one = Outcome {
            boots: 1,
            operations: 5,
            ends: [("returned".to_string(), 3)].into(),
            stopped: [("SError".to_string(), 1)].into(),
            resets: 2,
            checker_windows: 7,
        };
        let mut total = Outcome::default();
        add(&mut total, one.clone());
        add(&mut total, one);
        assert_eq!((total.boots, total.operations, total.resets), (2, 10, 4));
        assert_eq!((total.ends["returned"], total.stopped["SError"]), (6, 2));
        assert_eq!(total.checker_windows, 14);
    }
}
