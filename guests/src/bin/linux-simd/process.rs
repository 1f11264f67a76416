//! The processes: each fills the registers with its own pattern, lets the others run, and checks.

use core::ffi::CStr;
use core::hint::black_box;

use trapcast_guests::pattern::{Mismatch, Registers};
use trapcast_guests::rng::SplitMix64;

use crate::{simd, system, work};

/// Processes that run at the same time, the first one included.
const PROCESSES: u64 = 4;

/// Rounds of each process, unless the first argument says otherwise.
const DEFAULT_ROUNDS: u64 = 2000;

/// Each so many rounds a process sleeps instead of yielding.
const ROUNDS_PER_SLEEP: u64 = 16;

/// How long it sleeps.
const SLEEP_NANOSECONDS: u32 = 20_000;

/// Mismatches that a process prints; the others are only counted.
const PRINTED_MISMATCHES: u64 = 8;

/// A child's exit status is its number of mismatches, up to this one.
const MOST_IN_STATUS: u64 = 100;

/// Runs the program with its first argument and returns the exit status: 0 if every process found
/// everything as it must be, 1 if not, 2 if it could not run.
pub fn run(argument: Option<&CStr>) -> u8 {
    let rounds = match argument {
        None => Some(DEFAULT_ROUNDS),
        Some(text) => text.to_str().ok().and_then(|text| text.parse().ok()),
    };
    let Some(rounds) = rounds else {
        system::print_error(format_args!(
            "error: the argument is not a number of rounds"
        ));
        return 2;
    };
    for process in 1..PROCESSES {
        match system::fork() {
            Ok(0) => system::exit(run_rounds(process, rounds).min(MOST_IN_STATUS) as u8),
            Ok(_) => {}
            Err(error) => {
                system::print_error(format_args!("error: fork failed with error {error}"));
                return 2;
            }
        }
    }
    let mut mismatches = run_rounds(0, rounds);
    for _ in 1..PROCESSES {
        match system::wait_for_child() {
            Ok(Some(status)) => mismatches += u64::from(status),
            Ok(None) => {
                system::print_error(format_args!("error: a process was killed"));
                return 2;
            }
            Err(error) => {
                system::print_error(format_args!("error: wait4 failed with error {error}"));
                return 2;
            }
        }
    }
    system::print(format_args!(
        "done processes={PROCESSES} rounds={rounds} mismatches={mismatches}"
    ));
    u8::from(mismatches != 0)
}

/// Runs the rounds of one process and returns how many mismatches it found.
fn run_rounds(process: u64, rounds: u64) -> u64 {
    let mut rng = SplitMix64::stream(process, 0);
    let mut mismatches = 0;
    for round in 0..rounds {
        let expected = Registers::pattern(process, round);
        simd::load(&expected);
        spend_time(rng.below(1000));
        if round % ROUNDS_PER_SLEEP == ROUNDS_PER_SLEEP - 1 {
            system::sleep(SLEEP_NANOSECONDS);
        } else {
            system::sched_yield();
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
            system::print(format_args!(
                "MISMATCH process={process} round={round} wrong-results={wrong}"
            ));
        }
    }
    mismatches
}

fn report(process: u64, round: u64, mismatch: &Mismatch) {
    system::print(format_args!(
        "MISMATCH process={process} round={round} {mismatch}"
    ));
}

/// Integer work of that many turns, while the registers hold the pattern.
fn spend_time(turns: u64) {
    for turn in 0..turns {
        black_box(turn);
    }
}
