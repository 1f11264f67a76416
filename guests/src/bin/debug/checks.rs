//! The checks: breakpoints, watchpoints, software step and the locks.

use trapcast_guests::board::debug::{
    AT_EL0, AT_EL1, ENABLE, KDE, LOADS, MDE, Point, SS, STORES, WHOLE, breakpoint, control,
    os_lock, set_breakpoint, set_control, set_double_lock, set_os_lock, set_watchpoint, watchpoint,
};
use trapcast_guests::board::{gic, psci, timer};
use trapcast_guests::hostile::attempt::attempt;
use trapcast_guests::{read_sysreg, write_sysreg};

use crate::attempts::{Check, SVC};
use crate::level::{Level, VALUE, WORDS, data, read_word, write_word};

/// PSTATE.SS: the next instruction is to be stepped.
const SPSR_SS: u64 = 1 << 21;

/// Classes of ESR_EL1, of exceptions from EL0; one more is from EL1.
const BREAKPOINT: u64 = 0x30;
const STEP: u64 = 0x32;
const WATCHPOINT: u64 = 0x34;
/// IFSC and DFSC of a debug exception.
const DEBUG_STATUS: u64 = 0b10_0010;
/// ISS.WnR of a watchpoint.
const WNR: u64 = 1 << 6;

/// DBGBCR.BT: a breakpoint on an address that is linked to one on a context; that one.
const LINKED_ADDRESS: u64 = 1 << 20;
const LINKED_CONTEXT: u64 = 3 << 20;
/// DBGBCR.LBN.
const LINK_SHIFT: u64 = 16;

/// Until when, by the physical counter, a VM's first life begins, and has to go on to be told from
/// its second: in microseconds.
pub const FIRST_LIFE: u64 = 50_000;

impl Check {
    /// A reset leaves nothing enabled, and nothing of who was here before.
    pub fn after_reset(&mut self, is_first: bool) {
        self.equal("MDSCR_EL1", 0, control());
        self.equal("OSLK", true, os_lock());
        if !is_first {
            for n in 0..self.numbers.breakpoints {
                self.equal("breakpoint", Point::default(), breakpoint(n));
            }
            for n in 0..self.numbers.watchpoints {
                self.equal("watchpoint", Point::default(), watchpoint(n));
            }
        }
        set_os_lock(false);
        self.equal("OSLK", false, os_lock());
    }

    /// Looks whether the OS Lock keeps a breakpoint away.
    pub fn try_locks(&mut self) {
        set_os_lock(true);
        self.arm_target(0, Level::El0, ENABLE | WHOLE | AT_EL0, MDE);
        let outcome = self.attempt(Level::El0, Level::El0.target(), false, 0);
        self.locks_work = outcome.class() == Some(SVC);
        set_os_lock(false);
        self.disarm();
    }

    /// All registers keep what they are given, while others run.
    pub fn keep(&mut self) {
        let numbers = self.numbers;
        let breakpoints = [(); 16].map(|()| self.any_point(0x0070_e1e6));
        let watchpoints = [(); 16].map(|()| self.any_point(0x1f1f_fffe));
        for (n, point) in breakpoints.iter().enumerate().take(numbers.breakpoints) {
            // SAFETY: it is not enabled.
            unsafe { set_breakpoint(n, *point) };
        }
        for (n, point) in watchpoints.iter().enumerate().take(numbers.watchpoints) {
            // SAFETY: as above.
            unsafe { set_watchpoint(n, *point) };
        }
        // SAFETY: as above.
        unsafe { set_control(MDE) };
        self.wait();
        for (n, point) in breakpoints.iter().enumerate().take(numbers.breakpoints) {
            self.equal("breakpoint", *point, breakpoint(n));
        }
        for (n, point) in watchpoints.iter().enumerate().take(numbers.watchpoints) {
            self.equal("watchpoint", *point, watchpoint(n));
        }
        self.equal("MDSCR_EL1", MDE, control());
        self.disarm();
    }

    /// A disabled point with any values that a register keeps.
    pub fn any_point(&mut self, mask: u64) -> Point {
        Point {
            value: self.rng.next_u64() & 0x0000_ffff_ffff_fffc,
            control: self.rng.next_u64() & mask | WHOLE,
        }
    }

    /// A breakpoint is hit where it is enabled, and nowhere else.
    pub fn break_somewhere(&mut self) {
        let n = self.rng.below(self.numbers.breakpoints as u64) as usize;
        for level in Level::BOTH {
            let (mdscr, masked) = (self.any_control(), self.one_in(4));
            let levels = self.any_levels();
            let enable = u64::from(!self.one_in(4));
            self.arm_target(n, level, WHOLE | levels | enable, mdscr);
            self.wait();
            let outcome = self.attempt(level, level.target(), masked, 0);
            let hit =
                self.is_enabled(level, mdscr, masked) && enable != 0 && levels & level.bit() != 0;
            self.expect("breakpoint", level, BREAKPOINT, hit, &outcome);
            if hit {
                self.equal("ELR_EL1", level.target() + 4, outcome.elr);
                self.equal("IFSC", DEBUG_STATUS, outcome.esr & 0x3f);
                self.equal("x1", 0, outcome.registers[1]);
            }
            self.disarm();
        }
    }

    /// A watchpoint is hit by what it watches, before that is done, and by nothing else.
    pub fn watch_something(&mut self) {
        let n = self.rng.below(self.numbers.watchpoints as u64) as usize;
        for level in Level::BOTH {
            let (mdscr, masked) = (self.any_control(), self.one_in(4));
            let (levels, kinds) = (self.any_levels(), self.any_kinds());
            let is_store = self.one_in(2);
            let (watched, accessed) = (self.rng.below(8), self.rng.below(8));
            // Half of a doubleword, or all of the words by the mask of an address.
            let wide = self.one_in(4);
            let (value, range) = if wide {
                (data(0), 5 << 24 | 0xff << 5)
            } else {
                (data(watched & !1), 0xf << (5 + 4 * (watched & 1)))
            };
            let control = ENABLE | levels | kinds | range;
            (0..WORDS as u64).for_each(|word| write_word(word, VALUE));
            // SAFETY: `attempt` copes with what it matches, the stubs' accesses.
            self.arm(mdscr, || unsafe {
                set_watchpoint(n, Point { value, control })
            });
            self.wait();
            let outcome = self.attempt(level, level.access(is_store), masked, data(accessed));
            let wanted = if is_store { STORES } else { LOADS };
            let hit = self.is_enabled(level, mdscr, masked)
                && levels & level.bit() != 0
                && kinds & wanted != 0
                && (wide || watched == accessed);
            self.expect("watchpoint", level, WATCHPOINT, hit, &outcome);
            if hit {
                let syndrome = DEBUG_STATUS | if is_store { WNR } else { 0 };
                self.equal("ISS", syndrome, outcome.esr & (WNR | 0x3f));
                self.equal("FAR_EL1", data(accessed), outcome.far);
                self.equal("ELR_EL1", level.access(is_store), outcome.elr);
            }
            let stored = is_store && !hit;
            let expected = if stored { 0 } else { VALUE };
            self.disarm();
            self.equal("memory", expected, read_word(accessed));
        }
    }

    /// A breakpoint that is linked to a context is hit in that context alone.
    pub fn link(&mut self) {
        let contexts = self.numbers.contexts as u64;
        let last = self.numbers.breakpoints as u64;
        let context = last - 1 - self.rng.below(contexts);
        if context == 0 {
            return;
        }
        let n = self.rng.below(context) as usize;
        let id = self.rng.next_u64() & 0xffff_ffff;
        let same = self.one_in(2);
        for level in Level::BOTH {
            let linked = ENABLE | WHOLE | AT_EL1 | AT_EL0;
            let point = Point {
                value: id,
                control: linked | LINKED_CONTEXT,
            };
            // SAFETY: it matches nothing by itself.
            unsafe { set_breakpoint(context as usize, point) };
            let control = linked | LINKED_ADDRESS | context << LINK_SHIFT;
            self.arm_target(n, level, control, MDE | KDE);
            let found = if same { id } else { !id & 0xffff_ffff };
            // SAFETY: no other code reads it.
            unsafe { write_sysreg!("contextidr_el1", found) };
            self.wait();
            let outcome = self.attempt(level, level.target(), false, 0);
            self.expect("linked breakpoint", level, BREAKPOINT, same, &outcome);
            self.disarm();
            // SAFETY: as above.
            unsafe { set_breakpoint(context as usize, Point::default()) };
        }
    }

    /// A lock keeps debug exceptions away.
    pub fn lock(&mut self) {
        let double = self.one_in(2) && self.numbers.double_lock;
        let set = if double { set_double_lock } else { set_os_lock };
        for level in Level::BOTH {
            let locked = self.one_in(2);
            self.arm_target(0, level, ENABLE | WHOLE | level.bit(), MDE | KDE);
            set(locked);
            self.wait();
            let outcome = self.attempt(level, level.target(), false, 0);
            set(false);
            self.disarm();
            if double || self.locks_work {
                self.expect("locked breakpoint", level, BREAKPOINT, !locked, &outcome);
            }
        }
    }

    /// Software step goes instruction by instruction, whatever each of them does.
    pub fn walk(&mut self) {
        for level in Level::BOTH {
            let (mut at, end) = level.walk();
            let mut registers = [0; 31];
            registers[0] = data(0);
            registers[3] = gic::GICD_IIDR as u64;
            registers[8] = self.next_free();
            if level == Level::El1 {
                // WFI finds an interrupt.
                timer::set(0);
            }
            // SAFETY: `attempt` copes with each step.
            unsafe { set_control(SS | KDE) };
            while at != end {
                let spsr = level.spsr(false) | SPSR_SS;
                self.taken += 1;
                // SAFETY: this is vCPU 0, and the code accesses what the registers say.
                let outcome = unsafe { attempt(0, at, spsr, &registers) };
                self.expect("step", level, STEP, true, &outcome);
                self.equal("stepped to", at + 4, outcome.elr);
                self.equal("IFSC of a step", DEBUG_STATUS, outcome.esr & 0x3f);
                self.equal("SPSR_EL1.SS", 0, outcome.spsr & SPSR_SS);
                if outcome.elr != at + 4 {
                    break;
                }
                registers = outcome.registers;
                at = outcome.elr;
            }
            // SAFETY: disables it.
            unsafe { set_control(0) };
            timer::stop();
        }
    }

    /// Resets the VM with everything on.
    pub fn leave_everything_on(&mut self) -> ! {
        const SYSTEM_RESET: u32 = 0x8400_0009;
        for n in 0..self.numbers.breakpoints {
            let value = Level::El0.target() + 4 * (n as u64 & 1);
            let control = ENABLE | WHOLE | AT_EL0 | AT_EL1;
            // SAFETY: it matches at EL0, which does not run.
            unsafe { set_breakpoint(n, Point { value, control }) };
        }
        for n in 0..self.numbers.watchpoints {
            let control = ENABLE | 0xff << 5 | AT_EL0 | LOADS | STORES;
            // SAFETY: as above.
            unsafe {
                set_watchpoint(
                    n,
                    Point {
                        value: data(0),
                        control,
                    },
                )
            };
        }
        while read_sysreg!("cntpct_el0") < timer::ticks(2 * FIRST_LIFE) {
            self.wait();
        }
        // SAFETY: EL0 does not run, and debug exceptions from EL1 are masked.
        unsafe { set_control(MDE | KDE | SS) };
        loop {
            psci::call(SYSTEM_RESET);
        }
    }
}
