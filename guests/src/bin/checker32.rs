//! The checker of AArch32: uses D0-D31, FPSCR and FPEXC in a known pattern of windows, and checks at
//! each use that they hold exactly what it left in them; and in every window, the registers of its other
//! modes.

#![no_std]
#![no_main]

use trapcast_guests::board::entry::fail;
use trapcast_guests::board::fdt::Machine;
use trapcast_guests::board::mismatches::Mismatches;
use trapcast_guests::board::window::{self, Found, Opening};
use trapcast_guests::board::{checks, debug, modes};
use trapcast_guests::bootargs::Checker as Settings;
use trapcast_guests::pattern::{Mismatch, Name};
use trapcast_guests::pattern32::{FPEXC_EN, Modes, Registers};
use trapcast_guests::plan::{Plan, Window};
use trapcast_guests::println;
use trapcast_guests::rng::SplitMix64;

trapcast_guests::entry!(main);

/// Windows from one line to the next with `verbose`.
const WINDOWS_PER_LINE: u64 = 1000;

/// Reads the bootargs and follows them.
pub fn main(machine: &Machine) {
    match Settings::parse(machine.bootargs) {
        Ok(settings) => Checker::new(settings).run(),
        Err(error) => fail(&error),
    }
}

struct Checker {
    settings: Settings,
    expected: Registers,
    modes: Modes,
    operands: SplitMix64,
    used: u64,
    mismatches: Mismatches,
}

impl Checker {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            expected: Registers::ZERO,
            modes: Modes::pattern(settings.seed, u64::MAX),
            operands: SplitMix64::stream(settings.seed, 2),
            used: 0,
            mismatches: Mismatches::default(),
        }
    }

    fn run(&mut self) {
        let Settings {
            workload,
            seed,
            windows,
            exits,
            percent,
            verbose,
            ..
        } = self.settings;
        println!(
            "start workload={workload} seed={seed} windows={windows} exits={exits} p={percent}"
        );
        checks::run(|mismatch| self.report(0, mismatch));
        modes::write(&self.modes);
        let plan = Plan::new(workload, seed, percent);
        for (index, window) in (0..windows).zip(plan) {
            self.run_window(index, &window);
            if verbose && (index + 1) % WINDOWS_PER_LINE == 0 {
                let Self {
                    used, mismatches, ..
                } = self;
                let ran = index + 1;
                println!("ran windows={ran} used={used} mismatches={mismatches}");
            }
        }
        let Self {
            used, mismatches, ..
        } = self;
        println!(
            "done workload={workload} seed={seed} windows={windows} used={used} \
             mismatches={mismatches}"
        );
    }

    fn run_window(&mut self, index: u64, window: &Window) {
        let exits = self.settings.exits;
        window::open(if exits != 0 && index.is_multiple_of(exits) {
            Opening::Wait
        } else {
            Opening::Call
        });
        self.check_modes(index);
        self.check_fcse(index);
        self.check_debug(index);
        let next = Registers::pattern(self.settings.seed, index);
        let operand = self.operands.below(1 << 16) as u32;
        let mut written = next;
        if self.settings.fault == Some(index) {
            written.d[3] ^= 1;
        }
        // FPEXC is the first register to be used in half of the windows.
        let look_first = index.is_multiple_of(2);
        if let Some(found) = window::run(window, operand, &written, look_first) {
            self.check(index, operand, &found);
            self.expected = next;
            self.used += 1;
        }
        self.modes = Modes::pattern(self.settings.seed, index);
        modes::write(&self.modes);
    }

    fn check_modes(&mut self, index: u64) {
        let expected = self.modes;
        for mismatch in expected.differences(&modes::read()) {
            self.report(index, &mismatch);
        }
    }

    /// FCSEIDR reads as zero since Armv8. QEMU keeps what is written: then that is this guest's own.
    fn check_fcse(&mut self, index: u64) {
        let own = (self.settings.seed as u32 | 1) << 25;
        let found = modes::fcseidr();
        if found != 0 {
            self.compare(index, "FCSEIDR", own, found);
        }
        modes::set_fcseidr(own);
    }

    /// Debug registers keep what this guest has left in them.
    fn check_debug(&mut self, index: u64) {
        let left = |index: u64| SplitMix64::stream(self.settings.seed, !index).next_u64() as u32;
        let (before, now) = (left(index), left(index + 1));
        if index != 0 && !debug::holds(before) {
            self.compare(index, "DBGBVR0", 1, 0);
        }
        debug::leave(now);
    }

    fn check(&mut self, index: u64, operand: u32, found: &Found) {
        let expected = self.expected;
        for mismatch in expected.differences(&found.registers) {
            self.report(index, &mismatch);
        }
        let sum = window::expected_sum(operand);
        self.compare(index, "arithmetic", sum, found.sum);
        // While EN is clear the first use has to be UNDEFINED at EL1, once.
        let undefined = u32::from(expected.fpexc & FPEXC_EN == 0);
        self.compare(index, "UNDEF", undefined, found.enabled);
    }

    fn compare(&mut self, index: u64, name: &'static str, expected: u32, found: u32) {
        if let Some(mismatch) = Mismatch::of(Name::Other(name), expected.into(), found.into()) {
            self.report(index, &mismatch);
        }
    }

    fn report(&mut self, index: u64, mismatch: &Mismatch) {
        self.mismatches
            .add(format_args!("window={index} {mismatch}"));
    }
}
