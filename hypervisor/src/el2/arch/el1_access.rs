//! EL1's own registers in the core, under either of their two names.

use crate::el2::arch::hcr::HCR_E2H;
use crate::{mrs, msr};

/// Returns whether the core has PSTATE.PAN (ID_AA64MMFR1_EL1.PAN).
pub fn has_pan() -> bool {
    mrs!("id_aa64mmfr1_el1") >> 20 & 0xf != 0
}

/// What of a guest's EL1 state says how it takes an exception.
pub struct VectorState {
    pub sctlr: u64,
    pub tcr: u64,
    pub vbar: u64,
    pub far: u64,
}

impl VectorState {
    /// Returns that of the core.
    pub fn current() -> Self {
        if e2h() {
            Self {
                sctlr: mrs!("s3_5_c1_c0_0"),
                tcr: mrs!("s3_5_c2_c0_2"),
                vbar: mrs!("s3_5_c12_c0_0"),
                far: mrs!("s3_5_c6_c0_0"),
            }
        } else {
            Self {
                sctlr: mrs!("sctlr_el1"),
                tcr: mrs!("tcr_el1"),
                vbar: mrs!("vbar_el1"),
                far: mrs!("far_el1"),
            }
        }
    }
}

/// Sets SCTLR_EL1.
///
/// # Safety
/// What EL1 runs next is to run with it.
pub unsafe fn set_sctlr(sctlr: u64) {
    // SAFETY: the caller's; it has no effect at EL2.
    unsafe {
        if e2h() {
            msr!("s3_5_c1_c0_0", sctlr);
        } else {
            msr!("sctlr_el1", sctlr);
        }
    }
}

/// Sets ESR_EL1, which is DFSR in AArch32 state.
///
/// # Safety
/// The guest takes an exception with this syndrome next.
pub unsafe fn set_esr(esr: u64) {
    // SAFETY: the caller's; it has no effect at EL2.
    unsafe {
        if e2h() {
            msr!("s3_5_c5_c2_0", esr);
        } else {
            msr!("esr_el1", esr);
        }
    }
}

/// Sets FAR_EL1.
///
/// # Safety
/// As for [`set_esr`].
pub unsafe fn set_far(far: u64) {
    // SAFETY: as above.
    unsafe {
        if e2h() {
            msr!("s3_5_c6_c0_0", far);
        } else {
            msr!("far_el1", far);
        }
    }
}

/// Returns HCR_EL2.E2H.
pub fn e2h() -> bool {
    mrs!("hcr_el2") & HCR_E2H != 0
}
