//! Waits of any length on all CPUs, while the hypervisor moves these from core to core.

use super::alone::wait_for_interrupt;
use super::timer::{ENABLE, FAR, Timer};
use super::{Check, with};
use crate::board::cpus::{self, give_way};
use crate::board::entry::fail;
use crate::board::fdt::Machine;
use crate::board::ppi;
use crate::board::timer::ticks;
use crate::bootargs::Timers as Settings;
use crate::rng::{SplitMix64, seed_of};

/// The longest wait, in microseconds.
const LONGEST: u64 = 400;

/// Runs `rounds` of them on each CPU.
pub fn run(machine: &Machine, settings: Settings) {
    let work = |cpu: usize| {
        let mut random = SplitMix64::new(seed_of(settings.seed, cpu as u64));
        with(|check| {
            for _ in 0..settings.rounds {
                round(check, &mut random);
            }
        });
    };
    if let Err(cpu) = cpus::on_all(machine.cpus, &work) {
        fail(&format_args!("CPU {cpu} cannot be turned on"));
    }
}

/// One timer is waited for, while the other one keeps what it was told.
fn round(check: &mut Check, random: &mut SplitMix64) {
    check.quiet();
    let timer = Timer::ALL[random.below(2) as usize];
    let other = timer.other();
    let kept = other.count() + FAR + random.next_u64() % FAR;
    other.ppi(check.cpu).enable(true);
    other.expire_at(kept);
    timer.ppi(check.cpu).enable(true);
    let deadline = timer.count() + random.below(ticks(LONGEST));
    timer.expire_at(deadline);
    if random.below(2) == 0 {
        wait_for_interrupt();
    } else {
        while !ppi::is_signalled() {
            give_way();
        }
    }
    check.expect(timer.count() >= deadline, format_args!("{timer} too early"));
    check.take_timer(timer, format_args!("on the move"));
    let found = timer.compare_value();
    check.expect(
        found == deadline,
        format_args!("{timer} cval={found:#x} set={deadline:#x}"),
    );
    let found = other.compare_value();
    check.expect(
        found == kept,
        format_args!("{other} cval={found:#x} set={kept:#x}"),
    );
    let found = other.control();
    check.expect(found == ENABLE, format_args!("{other} ctl={found:#x}"));
    timer.stop();
    check.end(timer);
    check.expect_interrupt(timer, false, false, format_args!("stopped, on the move"));
    check.expect_interrupt(other, false, false, format_args!("far away, on the move"));
}
