//! Counting instructions, exactly where QEMU runs with `-icount`: the PMU's event INST_RETIRED.
//!
//! Two event counters are kept from the guests (MDCR_EL2.HPMN): one counts at EL2 alone, one at EL1
//! and EL0. Both are read by one MRS where it matters, are 32 bits wide and wrap.

use ::core::hint::black_box;

use trapcast_trace::bins::Bins;

use crate::el2::arch::sysreg::isb;
use crate::{mrs, msr};

/// INST_RETIRED, "Instruction architecturally executed" (Arm ARM, D13 "PMU events").
const INST_RETIRED: u64 = 0x08;
/// PMEVTYPER<n>_EL0.P and U: do not count at EL1, EL0.
const NOT_EL1: u64 = 1 << 31;
const NOT_EL0: u64 = 1 << 30;
/// PMEVTYPER<n>_EL0.NSH: count at EL2.
const EL2: u64 = 1 << 27;
/// Event counters that are a guest's: those from MDCR_EL2.HPMN on are the hypervisor's, enabled by HPME.
pub const GUEST_COUNTERS: u64 = 4;
const MDCR_HPMN: u64 = GUEST_COUNTERS;
const MDCR_HPME: u64 = 1 << 7;
/// MDCR_EL2: trap the guest's accesses to the PMU, and to debug registers (`debug.rs`).
const MDCR_TPM: u64 = 1 << 6;
const MDCR_TPMCR: u64 = 1 << 5;
const MDCR_TDRA_TDOSA_TDA: u64 = 1 << 11 | 1 << 10 | 1 << 9;
/// MDCR_EL2: trap its accesses to statistical profiling (FEAT_SPE) and to trace filters (FEAT_TRF). The
/// buffers of both stay EL2's (E2PB and E2TB 0).
const MDCR_TPMS: u64 = 1 << 14;
const MDCR_TTRF: u64 = 1 << 19;

/// Instructions behind the reading of the EL2 counter on the way back to a guest, to ERET.
pub const RETURN_INSTRUCTIONS: u32 = 18;

/// The readings of one core.
#[derive(Debug)]
pub struct Meter {
    /// The EL2 counter as the last return to a guest read it.
    pub entered: u64,
    /// The EL2 counter where the current masked stretch began.
    masked_since: u32,
    /// The guest counter when it was last added up.
    guest: u32,
    /// The EL2 counter when it was last added up.
    total: u32,
    /// The longest masked stretch so far.
    pub longest: u32,
    /// Masked stretches above this are looked at: the longest so far, or 0 if all are counted.
    notable: u32,
    /// Where all masked stretches are counted, if they are.
    all: Option<&'static mut Bins>,
    /// All ones if the counters count, else zero: what assembly adds is then left out as well.
    pub exact: u32,
}

impl Meter {
    /// Sets up the counters of this core, which are there ([`check_counters`]).
    pub fn new() -> Self {
        // SAFETY: the PMU is EL2's to use; counting changes nothing else.
        unsafe {
            msr!("mdcr_el2", MDCR_HPMN | MDCR_HPME);
            msr!("pmevtyper4_el0", INST_RETIRED | NOT_EL1 | NOT_EL0 | EL2);
            msr!("pmevtyper5_el0", INST_RETIRED);
            msr!("pmcntenset_el0", 1 << 4 | 1 << 5);
        }
        isb();
        let counts = instructions() != instructions();
        Self {
            exact: if counts { u32::MAX } else { 0 },
            entered: instructions().into(),
            masked_since: instructions(),
            guest: guest_instructions(),
            total: instructions(),
            longest: 0,
            notable: 0,
            all: None,
        }
    }

    /// Counts every masked stretch from now on.
    pub fn keep_all(&mut self, all: &'static mut Bins) {
        self.all = Some(all);
    }

    /// Begins anew: guests run from now on.
    pub fn restart(&mut self) {
        *self = Self {
            all: self.all.take(),
            ..Self::new()
        };
    }

    /// Returns the instructions at EL2 and below since the last call.
    pub fn lap(&mut self) -> (u64, u64) {
        let (total, guest) = (instructions(), guest_instructions());
        let lap = (
            u64::from(total.wrapping_sub(::core::mem::replace(&mut self.total, total))),
            u64::from(guest.wrapping_sub(::core::mem::replace(&mut self.guest, guest))),
        );
        black_box(lap)
    }

    /// A guest came to EL2: its vector took `before` instructions, then read the counter as `start`.
    /// Returns the instructions that traps of the gate took since the last entry.
    ///
    /// Two stretches with interrupts masked ended since the last exit: the way in, and the traps if
    /// there were any. What lies between the two readings and is neither is the return to the guest
    /// and the vector, whose instructions the assembler has counted.
    #[inline]
    pub fn exited(&mut self, start: u32, before: u32) -> u32 {
        let entered = self.entered as u32;
        let traps = start
            .wrapping_sub(entered)
            .wrapping_sub(RETURN_INSTRUCTIONS + before);
        let traps = traps & self.exact;
        let entry = entered.wrapping_sub(self.masked_since) + (RETURN_INSTRUCTIONS & self.exact);
        self.masked_since = start.wrapping_sub(before & self.exact);
        if entry.max(traps) > self.notable {
            self.note(entry, traps);
        }
        traps
    }

    /// EL2 has looked for a pending interrupt and would have let it in: one stretch ends and the
    /// next begins.
    pub fn looked_for_interrupt(&mut self) {
        let now = instructions();
        let stretch = now.wrapping_sub(self.masked_since);
        self.masked_since = now;
        if stretch > self.notable {
            self.note(stretch, 0);
        }
    }

    /// Two masked stretches ended, of which one is notable; 0 is none. If all are counted, that takes
    /// no instruction of those that are metered, but for the call.
    #[cold]
    #[inline(never)]
    fn note(&mut self, one: u32, other: u32) {
        let begin = instructions();
        self.longest = self.longest.max(one).max(other);
        let Some(all) = &mut self.all else {
            self.notable = self.longest;
            return;
        };
        for stretch in [one, other] {
            if stretch != 0 {
                all.add(stretch);
            }
        }
        let spent = instructions().wrapping_sub(begin);
        self.masked_since = self.masked_since.wrapping_add(spent);
        self.total = self.total.wrapping_add(spent);
    }
}

/// MDCR_EL2 for a guest that may use the PMU's first counters, or may not.
pub fn mdcr(pmu: bool) -> u64 {
    let pmu_traps = if pmu { 0 } else { MDCR_TPM | MDCR_TPMCR };
    let features = mrs!("id_aa64dfr0_el1");
    let field = |shift: u32| features >> shift & 0xf;
    let profiling = if field(32) != 0 { MDCR_TPMS } else { 0 };
    let trace = if field(40) != 0 { MDCR_TTRF } else { 0 };
    MDCR_HPMN | MDCR_HPME | pmu_traps | MDCR_TDRA_TDOSA_TDA | profiling | trace
}

/// Returns whether a guest with this MDCR_EL2 may use the PMU.
#[inline(always)]
pub fn may_use_pmu(mdcr: u64) -> bool {
    mdcr & MDCR_TPM == 0
}

/// Instructions retired at EL2 so far, modulo 2^32; zero without an exact counter.
#[inline(always)]
pub fn instructions() -> u32 {
    mrs!("pmevcntr4_el0") as u32
}

/// Instructions retired at EL1 and EL0 so far, modulo 2^32; zero without an exact counter.
#[inline(always)]
pub fn guest_instructions() -> u32 {
    mrs!("pmevcntr5_el0") as u32
}
