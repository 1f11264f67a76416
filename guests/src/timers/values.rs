//! Any values in the timers' registers: the guest goes on, and so does its timer.

use super::Check;
use super::alone::wait_for_interrupt;
use super::timer::{FAR, Timer};
use crate::board::timer::ticks;
use crate::board::{gic, ppi};
use crate::bootargs::Timers as Settings;
use crate::rng::SplitMix64;

/// Rounds from one look at whether a timer still works to the next.
const ROUNDS_PER_LOOK: u64 = 32;

/// How long a value is left alone, in microseconds.
const PAUSE: u64 = 20;

/// Writes `rounds` values.
pub fn run(check: &mut Check, settings: Settings) {
    let mut random = SplitMix64::new(settings.seed);
    for round in 0..settings.rounds {
        let timer = Timer::ALL[random.below(2) as usize];
        timer.ppi(check.cpu).enable(random.below(2) == 0);
        match random.below(4) {
            0 => timer.set_timer_value(value(&mut random, timer) as u32),
            1 => timer.set_control(random.below(4)),
            _ => timer.set_compare_value(value(&mut random, timer)),
        }
        if random.below(2) == 0 {
            timer.set_control(1);
        }
        let begin = timer.count();
        while timer.count() < begin + ticks(PAUSE) {
            core::hint::spin_loop();
        }
        if ppi::is_signalled() {
            let intid = gic::acknowledge();
            Timer::ALL.into_iter().for_each(Timer::stop);
            gic::end(intid);
        }
        if round % ROUNDS_PER_LOOK == ROUNDS_PER_LOOK - 1 {
            works(check, timer);
        }
    }
}

/// A binary point that is out of range is the least one, and interrupts are taken as before.
#[cfg(target_arch = "aarch64")]
pub fn binary_point(check: &mut Check) {
    /// ICC_BPR1_EL1.BinaryPoint.
    const RANGE: u64 = 0b111;
    for value in [RANGE + 1, 0x100, !RANGE] {
        for timer in Timer::ALL {
            check.quiet();
            // SAFETY: IRQs are masked, and none is pending.
            unsafe { crate::write_sysreg!("icc_bpr1_el1", value) };
            works(check, timer);
            let found = crate::read_sysreg!("icc_bpr1_el1");
            check.expect(
                (1..=RANGE).contains(&found),
                format_args!("icc_bpr1={value:#x} found={found:#x}"),
            );
        }
    }
}

/// A number, often one at an edge of what there is.
fn value(random: &mut SplitMix64, timer: Timer) -> u64 {
    let any = random.next_u64();
    let near = any >> 52;
    match random.below(8) {
        0 => u64::MAX,
        1 => u64::MAX - near,
        2 => 1 << 63 | near,
        3 => (1 << 63) - near,
        4 => near,
        5 => timer.count() + near,
        6 => timer.count().wrapping_neg().wrapping_sub(near),
        _ => any.wrapping_add(FAR),
    }
}

/// The timer still interrupts when it is told to.
fn works(check: &mut Check, timer: Timer) {
    check.quiet();
    timer.ppi(check.cpu).enable(true);
    let deadline = timer.count() + ticks(5);
    timer.expire_at(deadline);
    wait_for_interrupt();
    check.expect(timer.count() >= deadline, format_args!("{timer} too early"));
    check.take_timer(timer, format_args!("after any values"));
    timer.stop();
    check.end(timer);
}
