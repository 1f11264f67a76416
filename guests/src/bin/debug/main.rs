//! The guest `debug`: uses every breakpoint and watchpoint and software step, at EL1 and EL0, and checks that
//! debug exceptions come where the architecture says and nowhere else, and that the registers keep what it
//! left in them, while others run.
//!
//! Source: Arm ARM, D2 "AArch64 Self-hosted Debug".

#![no_std]
#![no_main]

mod attempts;
mod checks;
mod level;

use trapcast_guests::board::debug::Numbers;
use trapcast_guests::board::entry::fail;
use trapcast_guests::board::fdt::Machine;
use trapcast_guests::board::mismatches::Mismatches;
use trapcast_guests::board::timer;
use trapcast_guests::rng::SplitMix64;
use trapcast_guests::rounds::Rounds;
use trapcast_guests::{println, read_sysreg};

use attempts::Check;
use checks::FIRST_LIFE;

trapcast_guests::entry!(main);

/// Reads the bootargs and follows them.
pub fn main(machine: &Machine) {
    let settings = match Rounds::parse(machine.bootargs) {
        Ok(settings) => settings,
        Err(error) => fail(&error),
    };
    let numbers = Numbers::read();
    let is_first = is_first_life();
    println!(
        "start seed={} breakpoints={} watchpoints={} contexts={} first-life={is_first}",
        settings.seed, numbers.breakpoints, numbers.watchpoints, numbers.contexts
    );
    let mut check = Check {
        numbers,
        rng: SplitMix64::stream(settings.seed, u64::from(is_first)),
        free: machine.free.0.next_multiple_of(1 << 16),
        free_end: machine.free.1,
        locks_work: true,
        taken: 0,
        mismatches: Mismatches::default(),
    };
    check.after_reset(is_first);
    check.try_locks();
    for round in 0..settings.rounds {
        check.keep();
        check.break_somewhere();
        check.watch_something();
        check.link();
        check.lock();
        if round.is_multiple_of(4) {
            check.walk();
        }
    }
    let Check {
        taken,
        mismatches,
        locks_work,
        ..
    } = check;
    if settings.reset && is_first {
        println!("first life taken={taken} mismatches={mismatches}");
        check.leave_everything_on();
    }
    println!("done taken={taken} locks={locks_work} mismatches={mismatches}");
}

/// Whether the VM has not been reset: nothing is left of one life in the next but the counter, which
/// goes on.
fn is_first_life() -> bool {
    read_sysreg!("cntpct_el0") < timer::ticks(FIRST_LIFE)
}
