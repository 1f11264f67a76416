//! From what happens on a core to its windows: what is an entry, an exit, or a trap within a window.
//!
//! This knows no QEMU: it is given events with the core's counts, and returns each window when nothing more
//! can happen to it.

use trapcast_trace::observed::{NEVER, NO_INTID, ObservedWindow, Seen};

use crate::instruction::Class;

/// Instructions that a core has executed so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// At EL0 and EL1: a guest's or the host's.
    pub below: u64,
    /// At EL2.
    pub el2: u64,
    /// FP/SIMD, SVE and SME instructions at EL2 and at EL1.
    pub fp: u64,
}

/// What an entry into a guest shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// VTTBR_EL2.
    pub vttbr: u64,
    /// VMPIDR_EL2.
    pub vmpidr: u64,
    /// CPTR_EL2.
    pub cptr: u64,
    /// ELR_EL2.
    pub pc: u64,
    /// SPSR_EL2.
    pub pstate: u32,
    /// HCR_EL2.E2H.
    pub e2h: bool,
}

/// What an exit from a guest shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exit {
    /// Offset of the vector.
    pub vector: u16,
    /// ESR_EL2.
    pub esr: u32,
    /// ELR_EL2.
    pub pc: u64,
    /// TTBR0_EL1.
    pub ttbr0: u64,
    /// The current ASID.
    pub asid: u16,
    /// CONTEXTIDR_EL1.
    pub contextidr: u32,
    /// CPACR_EL1.
    pub cpacr: u32,
    /// Whether it is a store that says that the guest's work begins.
    pub marks: bool,
}

/// Classes of exceptions by which a guest is trapped at an instruction that it then executes: ESR_EL2.EC.
mod class {
    /// FP/SIMD.
    pub const FP: u32 = 0x07;
    /// PAuth.
    pub const PAUTH: u32 = 0x09;
    /// SVE.
    pub const SVE: u32 = 0x19;
    /// SME.
    pub const SME: u32 = 0x1d;
    /// HVC from AArch32 and AArch64: executed.
    pub const HVC: [u32; 2] = [0x12, 0x16];
    /// An instruction that could not be fetched, as stage 2 or its address forbids it: not counted.
    pub const FETCH: [u32; 3] = [0x20, 0x21, 0x22];
}

/// ESR_EL2.EC.
const fn exception_class(esr: u32) -> u32 {
    esr >> 26
}

/// A window that has begun.
#[derive(Clone, Copy, Debug)]
struct Open {
    seen: ObservedWindow,
    /// The counts at the entry.
    entered: Counts,
    /// The counts at the last exit, if it is one.
    left: Counts,
}

/// Where a core is.
#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    /// No guest has run on it.
    #[default]
    Before,
    /// In a guest.
    Guest(Open),
    /// Out of a guest, whose window may still go on.
    Gap(Open),
}

/// One core.
#[derive(Clone, Copy, Debug)]
pub struct Core {
    number: u16,
    phase: Phase,
    /// What happened since the last exit, for the window that comes next.
    marks: Seen,
}

impl Core {
    /// A core on which no guest has run.
    pub const fn new(number: u16) -> Self {
        Self {
            number,
            phase: Phase::Before,
            marks: Seen::empty(),
        }
    }

    /// A guest is entered. `next` gives the number of a window; one that ends by this is returned.
    pub fn enter(
        &mut self,
        entry: Entry,
        counts: Counts,
        next: impl FnOnce() -> u64,
    ) -> Option<ObservedWindow> {
        let marks = std::mem::take(&mut self.marks);
        let before = match self.phase {
            Phase::Gap(mut open) if open.goes_on(&entry, counts, marks) => {
                open.trapped(counts);
                self.phase = Phase::Guest(open);
                return None;
            }
            Phase::Gap(open) => Some(open),
            // An entry without an exit: the guest left by a way that is not seen, and nothing is known of it.
            Phase::Guest(_) | Phase::Before => None,
        };
        let mut seen = ObservedWindow {
            number: next(),
            vttbr: entry.vttbr,
            vmpidr: entry.vmpidr,
            pc: entry.pc,
            cptr: entry.cptr,
            pstate: entry.pstate,
            first_use: NEVER,
            intid: NO_INTID,
            core: self.number,
            ..ObservedWindow::default()
        };
        let mut flags = marks;
        flags.set(Seen::E2H, entry.e2h);
        if let Some(before) = &before {
            flags |= Seen::GAP_BEFORE;
            seen.el2_instructions = counts.el2 - before.left.el2;
            seen.host_instructions = counts.below - before.left.below;
        }
        seen.flags = flags.bits();
        self.phase = Phase::Guest(Open {
            seen,
            entered: counts,
            left: counts,
        });
        before.map(|before| before.finished(counts, Seen::GAP_AFTER))
    }

    /// The guest was left.
    pub fn exit(&mut self, exit: Exit, counts: Counts) {
        let Phase::Guest(mut open) = self.phase else {
            return;
        };
        let seen = &mut open.seen;
        seen.vector = exit.vector;
        seen.esr = if seen.is_interrupt() { 0 } else { exit.esr };
        seen.exit_pc = exit.pc;
        seen.ttbr0 = exit.ttbr0;
        seen.asid = exit.asid;
        seen.contextidr = exit.contextidr;
        seen.cpacr = exit.cpacr;
        if exit.marks {
            seen.flags |= Seen::MARK.bits();
        }
        open.left = counts;
        self.marks = Seen::empty();
        self.phase = Phase::Gap(open);
    }

    /// The first instruction of a class in the window, or since it, is about to be executed below EL2, and is
    /// counted already.
    pub fn uses(&mut self, class: Class, counts: Counts) {
        match &mut self.phase {
            Phase::Before => {}
            Phase::Guest(open) => open.uses(class, open.executed(counts) - 1),
            Phase::Gap(open) => open.seen.flags |= Seen::HOST_FP.bits(),
        }
    }

    /// The hypervisor wrote a register that a vCPU's load writes.
    pub fn wrote(&mut self, mark: Seen) {
        self.marks |= mark;
    }

    /// Somebody acknowledged an interrupt.
    pub fn acknowledged(&mut self, intid: u32) {
        /// From here on, an INTID says that there is none.
        const SPECIAL: std::ops::RangeInclusive<u32> = 1020..=1023;
        if let Phase::Gap(open) = &mut self.phase
            && open.seen.is_interrupt()
            && open.seen.intid == NO_INTID
            && !SPECIAL.contains(&intid)
        {
            open.seen.intid = intid;
        }
    }

    /// Nothing more is seen: returns the last window, unless it has not ended.
    pub fn finish(&mut self, counts: Counts) -> Option<ObservedWindow> {
        match std::mem::take(&mut self.phase) {
            Phase::Gap(open) => Some(open.finished(counts, Seen::empty())),
            Phase::Guest(_) | Phase::Before => None,
        }
    }
}

impl Open {
    /// Whether the guest goes on where it was trapped, and nobody else ran meanwhile.
    fn goes_on(&self, entry: &Entry, counts: Counts, marks: Seen) -> bool {
        use class::{FP, PAUTH, SME, SVE};
        let seen = &self.seen;
        !seen.is_interrupt()
            && matches!(exception_class(seen.esr), FP | PAUTH | SVE | SME)
            && entry.pc == seen.exit_pc
            && (entry.vttbr, entry.vmpidr) == (seen.vttbr, seen.vmpidr)
            && counts.below == self.left.below
            && !marks.contains(Seen::VMPIDR_WRITTEN)
    }

    /// What was taken for the exit was a trap. The instruction uses its class, even if an interrupt comes before it
    /// is executed at last.
    fn trapped(&mut self, counts: Counts) {
        let executed = self.executed(self.left) - 1;
        let used = match exception_class(self.seen.esr) {
            class::FP => Some(Class::Fp),
            class::SVE => Some(Class::Sve),
            class::SME => Some(Class::Sme),
            _ => None,
        };
        if let Some(used) = used {
            self.uses(used, executed);
            self.seen.fp_traps += 1;
        }
        self.seen.traps += 1;
        self.seen.trap_instructions += counts.el2 - self.left.el2;
    }

    /// The guest uses a class when it has executed so many instructions.
    fn uses(&mut self, class: Class, executed: u64) {
        let flag = match class {
            Class::Fp => Seen::FP,
            Class::Sve => Seen::SVE,
            Class::Sme => Seen::SME,
        };
        self.seen.flags |= flag.bits();
        self.seen.first_use = self.seen.first_use.min(executed);
    }

    /// Instructions that the guest has executed: what was trapped was counted, and is executed later.
    fn executed(&self, counts: Counts) -> u64 {
        counts.below - self.entered.below - u64::from(self.seen.traps)
    }

    /// The window is over, and so is the gap after it.
    fn finished(mut self, counts: Counts, flags: Seen) -> ObservedWindow {
        let class = exception_class(self.seen.esr);
        let is_counted_only = !self.seen.is_interrupt()
            && !class::HVC.contains(&class)
            && !class::FETCH.contains(&class);
        let executed = self.executed(self.left);
        self.seen.guest_instructions = executed.saturating_sub(is_counted_only.into());
        self.seen.hypervisor_fp = counts.fp - self.left.fp;
        self.seen.flags |= flags.bits();
        self.seen
    }
}

#[cfg(test)]
mod tests;
