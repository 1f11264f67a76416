//! Where the child must stop, and why.

use core::ffi::CStr;
use core::fmt;

use trapcast_guests::linux;

use crate::child::{self, LOADED, WORDS};
use crate::trace::{Child, NT_ARM_HW_BREAK, NT_ARM_HW_WATCH, Slot, Stop};
use crate::uprobe;

/// What begins each line.
const PROGRAM: &str = env!("CARGO_BIN_NAME");

/// Rounds without an argument.
const ROUNDS: u64 = 10;

/// Calls of the function that has a uprobe.
const PROBED_CALLS: u64 = 20;

/// `si_code`: a step, and a hardware breakpoint or watchpoint.
const TRAP_TRACE: i32 = 2;
const TRAP_HWBKPT: i32 = 4;

/// Enabled, at EL0; all of four bytes; loads, stores.
const AT_EL0: u32 = 1 | 0b10 << 1;
const WORD: u32 = 0xf << 5;
const LOADS: u32 = 0b01 << 3;
const STORES: u32 = 0b10 << 3;

/// Runs the program with its arguments and returns the exit status.
pub fn run(mut arguments: impl Iterator<Item = &'static CStr>) -> u8 {
    let rounds = match arguments.next() {
        None => Some(ROUNDS),
        Some(text) => text.to_str().ok().and_then(|text| text.parse().ok()),
    };
    let Some(rounds) = rounds.filter(|_| arguments.next().is_none()) else {
        linux::print_error(
            PROGRAM,
            format_args!("error: give at most a number of rounds"),
        );
        return 2;
    };
    let mut checks = Checks::default();
    for _ in 0..rounds {
        if let Err(error) = checks.round() {
            linux::print_error(
                PROGRAM,
                format_args!("error: ptrace failed with error {error}"),
            );
            return 2;
        }
    }
    match uprobe::count(PROBED_CALLS) {
        Ok(found) => checks.equal("uprobe", (PROBED_CALLS, PROBED_CALLS), found),
        Err(error) => {
            linux::print_error(
                PROGRAM,
                format_args!("error: a uprobe failed with error {error}"),
            );
            return 2;
        }
    }
    let Checks { stops, mismatches } = checks;
    linux::print(
        PROGRAM,
        format_args!("done rounds={rounds} stops={stops} mismatches={mismatches}"),
    );
    u8::from(mismatches != 0)
}

#[derive(Default)]
struct Checks {
    stops: u64,
    mismatches: u64,
}

impl Checks {
    fn round(&mut self) -> Result<(), i64> {
        let child = Child::start()?;
        child.step_to(child::loop_start())?;
        self.steps(&child)?;
        self.breakpoints(&child)?;
        self.watchpoints(&child)
    }

    /// Twice round the loop, instruction by instruction, over a system call too.
    fn steps(&mut self, child: &Child) -> Result<(), i64> {
        let mut pc = child::loop_start();
        for _ in 0..2 * (child::loop_end() + 4 - child::loop_start()) / 4 {
            if pc == child::system_call() {
                // Linux stops at the end of a system call, and again before the next instruction.
                let stop = child.resume(true)?;
                self.stopped("system call", pc + 4, stop.pc, stop);
            }
            pc = if pc == child::loop_end() {
                child::loop_start()
            } else {
                pc + 4
            };
            let stop = child.resume(true)?;
            let code = stop.code;
            self.stopped("step", (TRAP_TRACE, pc), (code, stop.pc), stop);
        }
        Ok(())
    }

    /// Each breakpoint stops before its instruction, each time.
    fn breakpoints(&mut self, child: &Child) -> Result<(), i64> {
        let slots = child.slots(NT_ARM_HW_BREAK)?;
        self.equal("breakpoints", true, slots >= 2);
        for n in 0..slots {
            let target = [child::target(), child::system_call()][n % 2];
            let slot = Slot {
                address: target,
                control: AT_EL0 | WORD,
                pad: 0,
            };
            child.set(NT_ARM_HW_BREAK, n, slot)?;
            for _ in 0..2 {
                let stop = child.resume(false)?;
                let found = (stop.code, stop.address, stop.pc);
                self.stopped("breakpoint", (TRAP_HWBKPT, target, target), found, stop);
            }
            child.set(NT_ARM_HW_BREAK, n, Slot::default())?;
        }
        Ok(())
    }

    /// Each watchpoint stops at its access, each time.
    fn watchpoints(&mut self, child: &Child) -> Result<(), i64> {
        let words = (&raw const WORDS).expose_provenance() as u64;
        let slots = child.slots(NT_ARM_HW_WATCH)?;
        self.equal("watchpoints", true, slots >= 1);
        for n in 0..slots {
            let [store, load] = child::accesses();
            for (kind, address, access) in [(STORES, words, store), (LOADS, words + LOADED, load)] {
                let slot = Slot {
                    address,
                    control: AT_EL0 | WORD | kind,
                    pad: 0,
                };
                child.set(NT_ARM_HW_WATCH, n, slot)?;
                for _ in 0..2 {
                    let stop = child.resume(false)?;
                    let found = (stop.code, stop.address, stop.pc);
                    self.stopped("watchpoint", (TRAP_HWBKPT, address, access), found, stop);
                }
                child.set(NT_ARM_HW_WATCH, n, Slot::default())?;
            }
        }
        Ok(())
    }

    fn stopped<T: PartialEq + fmt::Debug>(
        &mut self,
        what: &str,
        expected: T,
        found: T,
        stop: Stop,
    ) {
        self.stops += 1;
        self.equal(what, (true, expected), (stop.trap, found));
    }

    fn equal<T: PartialEq + fmt::Debug>(&mut self, what: &str, expected: T, found: T) {
        if expected != found {
            self.mismatches += 1;
            linux::print(
                PROGRAM,
                format_args!("MISMATCH {what} expected={expected:x?} found={found:x?}"),
            );
        }
    }
}
