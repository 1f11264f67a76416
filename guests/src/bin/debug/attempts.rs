//! What all checks have in common: they arm a point, let others run, run what is to be debugged, and look how it
//! ended.

use core::fmt;

use trapcast_guests::board::debug::{
    AT_EL0, AT_EL1, KDE, LOADS, MDE, Numbers, Point, STORES, set_breakpoint, set_control,
    set_watchpoint,
};
use trapcast_guests::board::mismatches::Mismatches;
use trapcast_guests::board::{exceptions, gic, timer};
use trapcast_guests::hostile::attempt::{Outcome, attempt, install};
use trapcast_guests::rng::SplitMix64;

use crate::level::Level;

/// Class of ESR_EL1 of an SVC at EL0.
pub const SVC: u64 = 0x15;

/// The checks, and what they have found.
pub struct Check {
    pub numbers: Numbers,
    pub rng: SplitMix64,
    /// Memory that nobody has touched.
    pub free: u64,
    pub free_end: u64,
    /// Whether the locks keep debug exceptions away: the OS Lock does not under QEMU.
    pub locks_work: bool,
    pub taken: u64,
    pub mismatches: Mismatches,
}

impl Check {
    /// Sets a breakpoint on the target of `level`.
    pub fn arm_target(&mut self, n: usize, level: Level, control: u64, mdscr: u64) {
        let value = level.target() + 4;
        // SAFETY: `attempt` copes with it; nothing else goes there.
        self.arm(mdscr, || unsafe {
            set_breakpoint(n, Point { value, control })
        });
    }

    /// Sets a point, and MDSCR_EL1 before or after it.
    pub fn arm(&mut self, mdscr: u64, set: impl FnOnce()) {
        let first = self.one_in(2);
        if first {
            // SAFETY: the caller's handler copes.
            unsafe { set_control(mdscr) };
        }
        set();
        if !first {
            // SAFETY: as above.
            unsafe { set_control(mdscr) };
        }
    }

    pub fn disarm(&self) {
        // SAFETY: disables all.
        unsafe {
            set_control(0);
            (0..self.numbers.breakpoints).for_each(|n| set_breakpoint(n, Point::default()));
            (0..self.numbers.watchpoints).for_each(|n| set_watchpoint(n, Point::default()));
        }
    }

    pub fn is_enabled(&self, level: Level, mdscr: u64, masked: bool) -> bool {
        mdscr & MDE != 0 && (level == Level::El0 || mdscr & KDE != 0 && !masked)
    }

    /// Lets others run: half of the times, as it costs time.
    pub fn wait(&mut self) {
        if self.one_in(2) {
            exceptions::install();
            timer::wait();
            gic::mask();
            install();
        }
    }

    pub fn attempt(&mut self, level: Level, begin: u64, masked: bool, x0: u64) -> Outcome {
        let mut registers = [0; 31];
        registers[0] = x0;
        self.taken += 1;
        gic::mask();
        install();
        // SAFETY: this is vCPU 0, whose interrupts are masked; the stubs access the words alone.
        unsafe { attempt(0, begin, level.spsr(masked), &registers) }
    }

    /// How an attempt has to have ended.
    pub fn expect(&mut self, what: &str, level: Level, class: u64, hit: bool, outcome: &Outcome) {
        let end = (level == Level::El0).then_some(SVC);
        let expected = if hit { Some(level.class(class)) } else { end };
        self.equal(what, (level, expected), (level, outcome.class()));
    }

    /// Memory that nobody has touched yet, as long as there is some.
    pub fn next_free(&mut self) -> u64 {
        let free = self.free;
        if free + (2 << 16) < self.free_end {
            self.free += 1 << 16;
        }
        free
    }

    pub fn any_control(&mut self) -> u64 {
        let mde = if self.one_in(8) { 0 } else { MDE };
        let kde = if self.one_in(4) { 0 } else { KDE };
        mde | kde
    }

    pub fn any_levels(&mut self) -> u64 {
        [AT_EL1, AT_EL0, AT_EL1 | AT_EL0][self.rng.below(3) as usize]
    }

    pub fn any_kinds(&mut self) -> u64 {
        [LOADS, STORES, LOADS | STORES][self.rng.below(3) as usize]
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.rng.below(n) == 0
    }

    pub fn equal<T: PartialEq + fmt::Debug>(&mut self, what: &str, expected: T, found: T) {
        self.mismatches
            .equal(format_args!("{what}"), expected, found);
    }
}
