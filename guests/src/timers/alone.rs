//! What one CPU finds: the timers' registers, and their interrupts in every state.

use super::timer::{ENABLE, FAR, IMASK, ISTATUS, Timer};
use super::{Check, NOTHING};
use crate::board::ppi::{self, Ppi};
use crate::board::timer::ticks;
use crate::board::{cpus, gic};

/// Each step of the checks on one CPU.
pub fn run(check: &mut Check) {
    for timer in Timer::ALL {
        registers(check, timer);
        for way in Way::ALL {
            for fall in FALLS {
                for closed_first in [false, true] {
                    line(check, timer, way, fall, closed_first);
                }
            }
        }
        latch(check, timer);
        again(check, timer);
        time(check, timer);
        wait(check, timer);
        wait_beside(check, timer);
    }
    order(check);
}

/// Each value is read as it was written, and the condition is met when the counter says so.
fn registers(check: &mut Check, timer: Timer) {
    check.quiet();
    let now = timer.count();
    for value in [
        0,
        1,
        now,
        now + FAR,
        u64::MAX,
        1 << 63,
        (1 << 63) - 1,
        u64::MAX - now,
    ] {
        timer.expire_at(value);
        let found = timer.compare_value();
        check.expect(
            found == value,
            format_args!("{timer} cval={value:#x} found={found:#x}"),
        );
        condition(check, timer, value);
    }
    for value in [
        0_u32,
        1,
        1000,
        0x7fff_ffff,
        0x8000_0000,
        u32::MAX,
        u32::MAX - 1000,
    ] {
        let offset = i64::from(value.cast_signed()).cast_unsigned();
        let before = timer.count();
        timer.set_timer_value(value);
        let after = timer.count();
        let found = timer.compare_value();
        let late = found.wrapping_sub(before.wrapping_add(offset));
        check.expect(
            late <= after - before,
            format_args!("{timer} tval={value:#x} cval={found:#x}"),
        );
        let before = timer.count();
        let left = timer.timer_value();
        let after = timer.count();
        let early = (found.wrapping_sub(before) as u32).wrapping_sub(left);
        check.expect(
            u64::from(early) <= after - before,
            format_args!("{timer} cval={found:#x} tval={left:#x}"),
        );
        condition(check, timer, found);
    }
    timer.set_compare_value(0);
    for value in [0, ENABLE, IMASK, ENABLE | IMASK, ISTATUS, !0, !ENABLE] {
        timer.set_control(value);
        let enabled = value & ENABLE != 0;
        let found = timer.control();
        check.expect(
            found & (ENABLE | IMASK) == value & (ENABLE | IMASK)
                && found >> 3 == 0
                && (!enabled || found & ISTATUS != 0),
            format_args!("{timer} ctl={value:#x} found={found:#x}"),
        );
        let line = enabled && value & IMASK == 0;
        check.expect_interrupt(timer, line, false, format_args!("ctl={value:#x}"));
    }
}

/// The timer is enabled, with this CompareValue.
fn condition(check: &mut Check, timer: Timer, compare_value: u64) {
    let before = timer.count() >= compare_value;
    let met = timer.control() & ISTATUS != 0;
    let after = timer.count() >= compare_value;
    check.expect(
        met == before || met == after,
        format_args!("{timer} cval={compare_value:#x} istatus={met}"),
    );
}

/// What keeps an interrupt from being signalled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Disabled,
    Distributor,
    Interface,
    PriorityMask,
    Active,
}

impl Way {
    const ALL: [Self; 5] = [
        Self::Disabled,
        Self::Distributor,
        Self::Interface,
        Self::PriorityMask,
        Self::Active,
    ];

    fn set(self, ppi: Ppi, open: bool) {
        match self {
            Self::Disabled => ppi.enable(open),
            Self::Distributor => gic::enable_groups(open),
            Self::Interface => ppi::enable_group(open),
            Self::PriorityMask => ppi::set_priority_mask(open),
            Self::Active => ppi.activate(!open),
        }
    }
}

/// A way to make a line low, and its name.
type Fall = (&'static str, fn(Timer));

const FALLS: [Fall; 4] = [
    ("disable", |timer| timer.set_control(0)),
    ("mask", |timer| timer.set_control(ENABLE | IMASK)),
    ("cval", |timer| timer.set_compare_value(timer.count() + FAR)),
    ("tval", |timer| timer.set_timer_value(0x7fff_ffff)),
];

/// A line that rises and falls behind a closed way leaves nothing behind; one that rises again is taken, and
/// goes on being pending as long as it is high.
fn line(check: &mut Check, timer: Timer, way: Way, (fall, make_fall): Fall, closed_first: bool) {
    check.quiet();
    let ppi = timer.ppi(check.cpu);
    ppi.enable(true);
    if closed_first {
        way.set(ppi, false);
        timer.raise();
    } else {
        timer.raise();
        check.expect_interrupt(timer, true, true, format_args!("way={way:?}, open"));
        way.set(ppi, false);
    }
    check.expect_interrupt(timer, true, false, format_args!("way={way:?}, closed"));
    make_fall(timer);
    check.expect_interrupt(timer, false, false, format_args!("way={way:?} fall={fall}"));
    way.set(ppi, true);
    check.expect_interrupt(
        timer,
        false,
        false,
        format_args!("way={way:?} fall={fall}, open again"),
    );
    check.take(NOTHING, format_args!("{timer} way={way:?} fall={fall}"));

    timer.raise();
    check.expect_interrupt(
        timer,
        true,
        true,
        format_args!("way={way:?} fall={fall}, high again"),
    );
    check.take_timer(timer, format_args!("way={way:?} fall={fall}"));
    check.expect_interrupt(
        timer,
        true,
        false,
        format_args!("way={way:?} fall={fall}, taken"),
    );
    check.expect(
        ppi.is_active(),
        format_args!("{timer} way={way:?} is not active"),
    );
    make_fall(timer);
    check.expect_interrupt(
        timer,
        false,
        false,
        format_args!("way={way:?} fall={fall}, served"),
    );
    check.end(timer);
    check.expect(
        !ppi.is_active(),
        format_args!("{timer} way={way:?} is active after its end"),
    );
    check.expect_interrupt(
        timer,
        false,
        false,
        format_args!("way={way:?} fall={fall}, ended"),
    );
}

/// What software makes pending is so until it is acknowledged, whatever the line does.
fn latch(check: &mut Check, timer: Timer) {
    check.quiet();
    let ppi = timer.ppi(check.cpu);
    ppi.pend(true);
    check.expect_interrupt(timer, true, false, format_args!("made pending"));
    ppi.pend(false);
    check.expect_interrupt(timer, false, false, format_args!("made not pending"));
    timer.raise();
    ppi.pend(true);
    ppi.pend(false);
    check.expect_interrupt(
        timer,
        true,
        false,
        format_args!("made not pending, with a high line"),
    );
    ppi.pend(true);
    timer.stop();
    check.expect_interrupt(
        timer,
        true,
        false,
        format_args!("made pending, the line fell"),
    );
    ppi.enable(true);
    check.take_timer(timer, format_args!("made pending"));
    check.expect_interrupt(timer, false, false, format_args!("made pending, taken"));
    ppi.pend(true);
    check.expect_interrupt(
        timer,
        true,
        false,
        format_args!("made pending while active"),
    );
    check.end(timer);
    check.expect_interrupt(
        timer,
        true,
        true,
        format_args!("made pending while active, ended"),
    );
    check.take_timer(timer, format_args!("made pending while active"));
    check.end(timer);
    check.expect_interrupt(
        timer,
        false,
        false,
        format_args!("made pending, ended twice"),
    );
    check.take(NOTHING, format_args!("{timer} was made pending once"));
}

/// A line that stays high makes its interrupt pending after each end.
fn again(check: &mut Check, timer: Timer) {
    check.quiet();
    timer.ppi(check.cpu).enable(true);
    timer.raise();
    for _ in 0..4 {
        check.expect_interrupt(timer, true, true, format_args!("again"));
        check.take_timer(timer, format_args!("again"));
        check.end(timer);
    }
    timer.ppi(check.cpu).activate(true);
    check.expect_interrupt(timer, true, false, format_args!("made active"));
    timer.ppi(check.cpu).activate(false);
    check.expect_interrupt(timer, true, true, format_args!("made inactive"));
    timer.stop();
    check.expect_interrupt(timer, false, false, format_args!("stopped"));
    check.take(NOTHING, format_args!("{timer} stopped"));
}

/// A line rises by itself when its time has come, not before.
fn time(check: &mut Check, timer: Timer) {
    for enabled in [false, true] {
        check.quiet();
        timer.ppi(check.cpu).enable(enabled);
        let deadline = timer.count() + ticks(200);
        timer.expire_at(deadline);
        let pending = timer.ppi(check.cpu).is_pending();
        let early = timer.count() < deadline;
        check.expect(
            !(pending && early),
            format_args!("{timer} pending too early"),
        );
        while timer.count() < deadline + ticks(1000) {
            core::hint::spin_loop();
        }
        check.expect_interrupt(timer, true, enabled, format_args!("at its time"));
    }
}

/// WFI, until an interrupt is signalled.
pub fn wait_for_interrupt() {
    while !ppi::is_signalled() {
        // SAFETY: waits; a pending interrupt ends it although it is masked.
        unsafe { core::arch::asm!("wfi", options(nostack, preserves_flags)) };
    }
}

/// Its interrupt ends a WFI.
fn wait(check: &mut Check, timer: Timer) {
    check.quiet();
    timer.ppi(check.cpu).enable(true);
    for microseconds in [0, 5, 300] {
        let deadline = timer.count() + ticks(microseconds);
        timer.expire_at(deadline);
        wait_for_interrupt();
        check.expect(timer.count() >= deadline, format_args!("{timer} too early"));
        check.take_timer(timer, format_args!("after a WFI"));
        timer.stop();
        check.end(timer);
    }
}

/// One that is not to be signalled does not keep a WFI from waiting for the other one.
fn wait_beside(check: &mut Check, timer: Timer) {
    let other = timer.other();
    for way in [Way::Disabled, Way::Active] {
        for microseconds in [0, 50] {
            check.quiet();
            timer.ppi(check.cpu).enable(true);
            way.set(timer.ppi(check.cpu), false);
            other.ppi(check.cpu).enable(true);
            timer.expire_at(timer.count() + ticks(microseconds));
            let deadline = other.count() + ticks(200);
            other.expire_at(deadline);
            wait_for_interrupt();
            check.expect(other.count() >= deadline, format_args!("{other} too early"));
            check.take_timer(other, format_args!("beside one with way={way:?}"));
            other.stop();
            check.end(other);
            way.set(timer.ppi(check.cpu), true);
            check.expect_interrupt(
                timer,
                true,
                true,
                format_args!("way={way:?} after the other one"),
            );
        }
    }
}

/// Of two that run, that comes first whose time comes first.
fn order(check: &mut Check) {
    check.quiet();
    let cpu = cpus::current();
    for timer in Timer::ALL {
        timer.ppi(cpu).enable(true);
    }
    for first in Timer::ALL {
        for (early, late) in [(5, 200), (100, 300), (0, 100)] {
            let now = first.count();
            let other = first.other();
            other.expire_at(other.count() + ticks(late));
            first.expire_at(now + ticks(early));
            for timer in [first, other] {
                wait_for_interrupt();
                check.take_timer(timer, format_args!("in order, {early} and {late} us"));
                timer.stop();
                check.end(timer);
            }
        }
    }
}
