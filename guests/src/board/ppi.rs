//! A private interrupt of one CPU as software sees it: its state in the redistributor, and the CPU interface
//! that it comes through. For guests that take interrupts by hand, with IRQs masked.
//!
//! Source: Arm IHI 0069, "GIC architecture specification, GICv3 and GICv4".

use super::gic;
use crate::{read_sysreg, write_sysreg};

const ISENABLER0: usize = 0x100;
const ICENABLER0: usize = 0x180;
const ISPENDR0: usize = 0x200;
const ICPENDR0: usize = 0x280;
const ISACTIVER0: usize = 0x300;
const ICACTIVER0: usize = 0x380;

/// Interrupt `intid`, below 32, of CPU `cpu`: of this one or of another.
#[derive(Clone, Copy, Debug)]
pub struct Ppi {
    /// The number of the CPU.
    pub cpu: usize,
    /// Its INTID.
    pub intid: u32,
}

impl Ppi {
    fn is_set(self, register: usize) -> bool {
        gic::read_private(self.cpu, register) >> self.intid & 1 != 0
    }

    fn set(self, register: usize) {
        gic::write_private(self.cpu, register, 1 << self.intid);
    }

    /// Whether it is pending (`GICR_ISPENDR0`).
    #[must_use]
    pub fn is_pending(self) -> bool {
        self.is_set(ISPENDR0)
    }

    /// Whether it is active (`GICR_ISACTIVER0`).
    #[must_use]
    pub fn is_active(self) -> bool {
        self.is_set(ISACTIVER0)
    }

    /// Enables or disables it.
    pub fn enable(self, on: bool) {
        self.set(if on { ISENABLER0 } else { ICENABLER0 });
    }

    /// Makes it pending, or takes that back. Its line does so on top.
    pub fn pend(self, on: bool) {
        self.set(if on { ISPENDR0 } else { ICPENDR0 });
    }

    /// Makes it active or inactive.
    pub fn activate(self, on: bool) {
        self.set(if on { ISACTIVER0 } else { ICACTIVER0 });
    }
}

/// Whether an interrupt is signalled to this CPU (`ISR_EL1.I`), masked or not.
#[must_use]
pub fn is_signalled() -> bool {
    read_sysreg!("isr_el1") >> 7 & 1 != 0
}

/// Lets all interrupts through to this CPU, or, by the priority mask, none.
pub fn set_priority_mask(open: bool) {
    // SAFETY: IRQs are masked, so that none is taken unawares.
    unsafe { write_sysreg!("icc_pmr_el1", if open { 0xff } else { 0 }) };
}

/// Enables or disables Group 1 in this CPU's interface.
pub fn enable_group(on: bool) {
    // SAFETY: as above.
    unsafe { write_sysreg!("icc_igrpen1_el1", u64::from(on)) };
}
