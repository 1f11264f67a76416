//! The processes: each fills the registers with its own pattern, lets the others run, and checks.

use core::ffi::CStr;
use core::hint::black_box;

use trapcast_guests::linux;
use trapcast_guests::pattern::{Mismatch, Registers};
use trapcast_guests::rng::{self, SplitMix64};

use crate::{simd, work};

/// What begins each line.
const PROGRAM: &str = env!("CARGO_BIN_NAME");

/// What to do: the program's arguments, in their order.
#[derive(Clone, Copy)]
struct Job {
    /// Rounds of each process.
    rounds: u64,
    /// Processes that run at the same time, the first one included.
    processes: u64,
    /// Chooses what they leave in the registers.
    seed: u64,
}

impl Job {
    /// What holds for arguments that are not given.
    const DEFAULT: Self = Self {
        rounds: 2000,
        processes: 4,
        seed: 0,
    };

    /// `None` if one of the arguments is not a number, or there are too many.
    fn parse(mut arguments: impl Iterator<Item = &'static CStr>) -> Option<Self> {
        let mut number = |default| match arguments.next() {
            None => Some(default),
            Some(text) => text.to_str().ok()?.parse().ok(),
        };
        let job = Self {
            rounds: number(Self::DEFAULT.rounds)?,
            processes: number(Self::DEFAULT.processes)?.max(1),
            seed: number(Self::DEFAULT.seed)?,
        };
        arguments.next().is_none().then_some(job)
    }
}

/// Each so many rounds a process sleeps instead of yielding.
const ROUNDS_PER_SLEEP: u64 = 16;

/// How long it sleeps.
const SLEEP_NANOSECONDS: u32 = 20_000;

/// Mismatches that a process prints; the others are only counted.
const PRINTED_MISMATCHES: u64 = 8;

/// A child's exit status is its number of mismatches, up to this one.
const MOST_IN_STATUS: u64 = 100;

/// Runs the program with its arguments and returns the exit status: 0 if every process found
/// everything as it must be, 1 if not, 2 if it could not run.
pub fn run(arguments: impl Iterator<Item = &'static CStr>) -> u8 {
    let Some(job) = Job::parse(arguments) else {
        linux::print_error(
            PROGRAM,
            format_args!("error: give at most three numbers: rounds, processes and a seed"),
        );
        return 2;
    };
    let Job {
        rounds, processes, ..
    } = job;
    for process in 1..processes {
        match linux::fork() {
            Ok(0) => linux::exit(run_rounds(process, job).min(MOST_IN_STATUS) as u8),
            Ok(_) => {}
            Err(error) => {
                linux::print_error(
                    PROGRAM,
                    format_args!("error: fork failed with error {error}"),
                );
                return 2;
            }
        }
    }
    let mut mismatches = run_rounds(0, job);
    for _ in 1..processes {
        match linux::wait_for_child() {
            Ok(Some(status)) => mismatches += u64::from(status),
            Ok(None) => {
                linux::print_error(PROGRAM, format_args!("error: a process was killed"));
                return 2;
            }
            Err(error) => {
                linux::print_error(
                    PROGRAM,
                    format_args!("error: wait4 failed with error {error}"),
                );
                return 2;
            }
        }
    }
    linux::print(
        PROGRAM,
        format_args!(
            "done processes={processes} rounds={rounds} used={} mismatches={mismatches}",
            processes * rounds
        ),
    );
    u8::from(mismatches != 0)
}

/// Runs the rounds of one process and returns how many mismatches it found.
fn run_rounds(process: u64, job: Job) -> u64 {
    let seed = rng::seed_of(job.seed, process);
    let mut rng = SplitMix64::stream(seed, 0);
    let mut mismatches = 0;
    for round in 0..job.rounds {
        let expected = Registers::pattern(seed, round);
        simd::load(&expected);
        spend_time(rng.below(1000));
        if round % ROUNDS_PER_SLEEP == ROUNDS_PER_SLEEP - 1 {
            linux::sleep(SLEEP_NANOSECONDS);
        } else {
            linux::sched_yield();
        }
        let found = simd::store();
        for mismatch in expected.differences(&found) {
            mismatches += 1;
            if mismatches <= PRINTED_MISMATCHES {
                report(process, round, &mismatch);
            }
        }
        let wrong = work::wrong_results(&mut rng);
        if wrong != 0 {
            mismatches += wrong;
            linux::print(
                PROGRAM,
                format_args!("MISMATCH process={process} round={round} wrong-results={wrong}"),
            );
        }
    }
    mismatches
}

fn report(process: u64, round: u64, mismatch: &Mismatch) {
    linux::print(
        PROGRAM,
        format_args!("MISMATCH process={process} round={round} {mismatch}"),
    );
}

/// Integer work of that many turns, while the registers hold the pattern.
fn spend_time(turns: u64) {
    for turn in 0..turns {
        black_box(turn);
    }
}
