//! Exceptions that EL2 lets a guest take at its own EL1.

use super::boot::HCR_E2H;
use crate::{mrs, msr};

/// PSTATE's fields in SPSR_EL2: the Exception level and stack pointer, the execution state.
const SPSR_MODE: u64 = 0x1f;
const SPSR_EL0: u64 = 0b0_0000;
const SPSR_EL1T: u64 = 0b0_0100;
const SPSR_EL1H: u64 = 0b0_0101;
/// PSTATE.{D, A, I, F}.
const SPSR_DAIF: u64 = 0xf << 6;
const SPSR_SSBS: u64 = 1 << 12;
const SPSR_PAN: u64 = 1 << 22;
const SPSR_DIT: u64 = 1 << 24;
/// SCTLR_EL1.SPAN: do not set PAN on an exception. DSSBS: what PSTATE.SSBS becomes.
const SCTLR_SPAN: u64 = 1 << 23;
const SCTLR_DSSBS: u64 = 1 << 44;

/// ESR_EL1.IL: a 32-bit instruction.
const IL: u64 = 1 << 25;

/// Lets the guest take an undefined-instruction exception, as if the instruction did not exist.
pub fn undefined() {
    inject(IL, None);
}

/// Lets the guest take a synchronous external abort for its access to `address`.
pub fn abort(instruction: bool, address: u64) {
    /// Synchronous External abort, not on a walk.
    const DFSC: u64 = 0x10;
    // Classes of aborts from a lower level and from EL1 itself differ by one.
    let mode = mrs!("spsr_el2") & SPSR_MODE;
    let same_level = mode == SPSR_EL1T || mode == SPSR_EL1H;
    let class: u64 = if instruction { 0x20 } else { 0x24 } + u64::from(same_level);
    inject(class << 26 | IL | DFSC, Some(address));
}

/// Makes the guest enter its own vector for a synchronous exception (Arm ARM,
/// `AArch64.TakeException`).
fn inject(esr: u64, far: Option<u64>) {
    let spsr = mrs!("spsr_el2");
    let offset = match spsr & SPSR_MODE {
        SPSR_EL1T => 0x000,
        SPSR_EL1H => 0x200,
        SPSR_EL0 => 0x400,
        _ => 0x600,
    };
    let elr = mrs!("elr_el2");
    // SAFETY: EL1's own registers, as the exception would have set them; with E2H = 1 they have
    // names of their own.
    let (vbar, sctlr) = unsafe {
        if mrs!("hcr_el2") & HCR_E2H != 0 {
            msr!("s3_5_c4_c0_0", spsr);
            msr!("s3_5_c4_c0_1", elr);
            msr!("s3_5_c5_c2_0", esr);
            if let Some(far) = far {
                msr!("s3_5_c6_c0_0", far);
            }
            (mrs!("s3_5_c12_c0_0"), mrs!("s3_5_c1_c0_0"))
        } else {
            msr!("spsr_el1", spsr);
            msr!("elr_el1", elr);
            msr!("esr_el1", esr);
            if let Some(far) = far {
                msr!("far_el1", far);
            }
            (mrs!("vbar_el1"), mrs!("sctlr_el1"))
        }
    };
    let mut pstate = SPSR_DAIF | SPSR_EL1H | spsr & (SPSR_PAN | SPSR_DIT);
    if has_pan() && sctlr & SCTLR_SPAN == 0 {
        pstate |= SPSR_PAN;
    }
    if sctlr & SCTLR_DSSBS != 0 {
        pstate |= SPSR_SSBS;
    }
    // SAFETY: the guest goes on at EL1, in its own vector.
    unsafe {
        msr!("elr_el2", vbar.wrapping_add(offset));
        msr!("spsr_el2", pstate);
    }
}

/// Returns whether the core has PSTATE.PAN (ID_AA64MMFR1_EL1.PAN).
fn has_pan() -> bool {
    mrs!("id_aa64mmfr1_el1") >> 20 & 0xf != 0
}
