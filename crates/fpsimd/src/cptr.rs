//! The gate: CPTR_EL2, which decides whether a use of the FP/SIMD, SVE or SME registers traps to EL2.
//!
//! CPTR_EL2 has two layouts (Arm ARM, D19.2 "CPTR_EL2, Architectural Feature Trap Register"): with
//! HCR_EL2.E2H = 0 a set bit traps, with E2H = 1 two bits per class enable. In both, a closed gate
//! traps EL2's own accesses too.

/// Traps of trace and activity-monitor registers, which no guest may use: TTA and TAM, E2H = 0.
const TTA_TAM: u64 = 1 << 20 | 1 << 30;
/// TTA and TAM with E2H = 1.
const TTA_TAM_E2H: u64 = 1 << 28 | 1 << 30;
/// RES1 with E2H = 0.
const RES1: u64 = 1 << 13 | 1 << 9 | 0xff;

/// The classes of registers that a guest may use without a trap. Opening SVE or SME implies FP/SIMD.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Opening {
    /// V0 to V31, FPSR, FPCR: not trapped by TFP or FPEN.
    pub fp: bool,
    /// Z, P and FFR: not trapped by TZ or ZEN.
    pub sve: bool,
    /// ZA, streaming mode: not trapped by TSM or SMEN.
    pub sme: bool,
}

impl Opening {
    /// Nothing is open.
    pub const NONE: Self = Self {
        fp: false,
        sve: false,
        sme: false,
    };
    /// FP/SIMD is open; SVE and SME trap.
    pub const FP: Self = Self {
        fp: true,
        sve: false,
        sme: false,
    };
    /// FP/SIMD and SVE are open; SME traps.
    pub const SVE: Self = Self {
        fp: true,
        sve: true,
        sme: false,
    };
    /// All is open.
    pub const ALL: Self = Self {
        fp: true,
        sve: true,
        sme: true,
    };

    /// The classes that are open in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self::from_index(self.index() | other.index())
    }

    /// Bits 0, 1 and 2 say whether FP/SIMD, SVE and SME are open.
    pub(crate) const fn index(self) -> usize {
        self.fp as usize | (self.sve as usize) << 1 | (self.sme as usize) << 2
    }

    /// The opening whose [`index`](Self::index) this is.
    pub(crate) const fn from_index(index: usize) -> Self {
        Self {
            fp: index & 1 != 0,
            sve: index & 2 != 0,
            sme: index & 4 != 0,
        }
    }

    /// Returns the value of CPTR_EL2 for this opening, with HCR_EL2.E2H as given.
    pub const fn cptr(self, e2h: bool) -> u64 {
        // An open SME gate alone would let a guest change PSTATE.SM, which zeroes the Z registers.
        let fp = self.fp || self.sve || self.sme;
        if e2h {
            TTA_TAM_E2H
                | (fp as u64 * 0b11) << 20
                | (self.sve as u64 * 0b11) << 16
                | (self.sme as u64 * 0b11) << 24
        } else {
            TTA_TAM | RES1 | (!fp as u64) << 10 | (!self.sve as u64) << 8 | (!self.sme as u64) << 12
        }
    }
}

/// The values of CPTR_EL2 between which a hypervisor switches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cptr {
    open: u64,
    closed: u64,
}

impl Cptr {
    /// Returns the values for HCR_EL2.E2H as it is set: `open` is what an open gate lets through.
    pub const fn new(e2h: bool, open: Opening) -> Self {
        Self {
            open: open.cptr(e2h),
            closed: Opening::NONE.cptr(e2h),
        }
    }

    /// Returns a pair of values.
    pub(crate) const fn of(open: u64, closed: u64) -> Self {
        Self { open, closed }
    }

    /// Returns the register's value for an open or a closed gate.
    #[inline]
    pub const fn value(&self, open: bool) -> u64 {
        if open { self.open } else { self.closed }
    }
}

#[cfg(any(target_arch = "aarch64", doc))]
impl Cptr {
    /// Sets the gate for the guest. Takes effect at the exception return, which synchronizes.
    ///
    /// # Safety
    /// Runs at EL2, with HCR_EL2.E2H as given to [`Cptr::new`]. If the gate is opened, the guest
    /// entered next may see and change the registers.
    #[inline]
    pub unsafe fn set(&self, open: bool) {
        let value = self.value(open);
        // SAFETY: CPTR_EL2 is accessible at EL2 and changes what traps; memory and flags stay.
        unsafe {
            core::arch::asm!("msr cptr_el2, {}", in(reg) value, options(nostack, preserves_flags));
        }
    }

    /// Opens the gate for EL2 itself, at once.
    ///
    /// # Safety
    /// As for [`set`](Self::set).
    #[inline]
    pub unsafe fn unlock(&self) {
        // SAFETY: as above; the ISB makes the write visible to the instructions that follow.
        unsafe {
            core::arch::asm!(
                "msr cptr_el2, {}",
                "isb",
                in(reg) self.open,
                options(nostack, preserves_flags)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_stand_where_the_arm_arm_has_them() {
        const TFP: u64 = 1 << 10;
        const TZ: u64 = 1 << 8;
        const TSM: u64 = 1 << 12;
        let classes = |value| [value & TFP == 0, value & TZ == 0, value & TSM == 0];
        let classes_e2h = |value: u64| [20, 16, 24].map(|shift| value >> shift & 0b11 == 0b11);
        for (opening, expected) in [
            (Opening::NONE, [false, false, false]),
            (Opening::FP, [true, false, false]),
            (
                Opening {
                    fp: true,
                    sve: true,
                    sme: false,
                },
                [true, true, false],
            ),
            (
                Opening {
                    fp: true,
                    sve: false,
                    sme: true,
                },
                [true, false, true],
            ),
        ] {
            assert_eq!(classes(opening.cptr(false)), expected, "{opening:?}");
            assert_eq!(classes_e2h(opening.cptr(true)), expected, "{opening:?}");
        }
    }

    #[test]
    fn sve_is_not_opened_without_fp() {
        let sve = Opening {
            fp: false,
            sve: true,
            sme: false,
        };
        for e2h in [false, true] {
            assert_eq!(sve.cptr(e2h), Opening { fp: true, ..sve }.cptr(e2h));
        }
    }

    #[test]
    fn reserved_bits_hold_what_they_must() {
        for opening in [Opening::NONE, Opening::FP] {
            assert_eq!(opening.cptr(false) & 0x22ff, 0x22ff, "RES1");
            assert_eq!(opening.cptr(true) & 0xffff, 0, "RES0");
        }
    }
}
