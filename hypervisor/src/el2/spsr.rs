//! The SPSR of an AArch32 guest's current mode, on machines where EL2 does not reach it.
//!
//! By the architecture SPSR_<mode> is one register to AArch32 and to EL2. QEMU, from 7.2 at least, keeps
//! that of the mode that runs in a place of its own while it runs, and exchanges the two places only when
//! AArch32 code changes its mode: what EL2 writes for the mode that it returns to has no effect, and what
//! it reads of the mode that came out is old. There EL2 lets two instructions run at EL1: CPS, which
//! changes the mode, and HVC, which comes back. They run on physical addresses, with interrupts masked.

use ::core::{
    arch::global_asm,
    sync::atomic::{AtomicBool, Ordering},
};

use trapcast_hypervisor::aarch32::{MODE_SYSTEM, RESET_SCTLR, exception_mode, masked};

use super::{
    boot::HCR_E2H,
    inject::{VectorState, set_sctlr},
    sysreg::isb,
};
use crate::{mrs, msr};

/// Whether this machine is one of those.
static APART: AtomicBool = AtomicBool::new(false);

global_asm!(
    ".pushsection .text.visit, \"ax\"",
    // The vectors while AArch32 is visited: those of EL2, but for a synchronous exception from AArch32.
    ".balign 0x800",
    "visit_vectors:",
    ".rept 12",
    "b el2_vectors + (. - visit_vectors)",
    ".balign 0x80",
    ".endr",
    "b 1f",
    ".balign 0x80",
    ".rept 3",
    "b el2_vectors + (. - visit_vectors)",
    ".balign 0x80",
    ".endr",
    // Runs AArch32 code at EL1 up to an HVC: x0 is PSTATE, x1 the address. Returns R0. The code may
    // change no register but R0; it leaves the upper halves of all of them undefined.
    ".global el2_visit",
    "el2_visit:",
    "stp x29, x30, [sp, #-96]!",
    "stp x19, x20, [sp, #16]",
    "stp x21, x22, [sp, #32]",
    "stp x23, x24, [sp, #48]",
    "stp x25, x26, [sp, #64]",
    "stp x27, x28, [sp, #80]",
    "msr spsr_el2, x0",
    "msr elr_el2, x1",
    "adr x2, visit_vectors",
    "msr vbar_el2, x2",
    "eret",
    "1:",
    "adrp x2, el2_vectors",
    "add x2, x2, :lo12:el2_vectors",
    "msr vbar_el2, x2",
    "isb",
    "ldp x19, x20, [sp, #16]",
    "ldp x21, x22, [sp, #32]",
    "ldp x23, x24, [sp, #48]",
    "ldp x25, x26, [sp, #64]",
    "ldp x27, x28, [sp, #80]",
    "ldp x29, x30, [sp], #96",
    "ret",
    // A32: CPS #mode and HVC #0, 8 bytes for each of the 32 modes; MRS R0, SPSR and HVC #0.
    ".global visit_modes",
    "visit_modes:",
    ".set visit_mode, 0",
    ".rept 32",
    ".word 0xf1020000 + visit_mode",
    ".word 0xe1400070",
    ".set visit_mode, visit_mode + 1",
    ".endr",
    ".global visit_spsr",
    "visit_spsr:",
    ".word 0xe14f0000",
    ".word 0xe1400070",
    ".popsection",
);

unsafe extern "C" {
    fn el2_visit(pstate: u64, address: u64) -> u32;
    safe static visit_modes: u8;
    safe static visit_spsr: u8;
}

/// Finds out, once, what kind of machine this is. Only on a core with AArch32 at EL1, before a guest is
/// loaded.
pub fn detect() {
    const MODE: u64 = 0x1b;
    const VALUE: u64 = 0x6000_01d3;
    // SAFETY: SPSR_und is nobody's yet.
    unsafe { msr!("s3_4_c4_c3_2", VALUE) }
    let found = visit(MODE, &raw const visit_spsr as u64);
    APART.store(u64::from(found) != VALUE, Ordering::Relaxed);
}

/// A guest came out in state `pstate`: brings the SPSR of its mode to where EL2 reads it.
pub fn fetch(pstate: u64) {
    if let Some(mode) = exception_mode(pstate)
        && APART.load(Ordering::Relaxed)
    {
        visit(mode, change_to(MODE_SYSTEM));
    }
}

/// A guest is about to be entered in state `pstate`: brings the SPSR of its mode to where it is read.
pub fn hand_over(pstate: u64) {
    if let Some(mode) = exception_mode(pstate)
        && APART.load(Ordering::Relaxed)
    {
        visit(MODE_SYSTEM, change_to(mode));
    }
}

/// Where the code stands that changes the mode.
fn change_to(mode: u64) -> u64 {
    &raw const visit_modes as u64 + 8 * mode
}

/// Runs code of two instructions in this mode, and leaves everything else as it was.
#[inline(never)]
fn visit(mode: u64, address: u64) -> u32 {
    let (hcr, esr) = (mrs!("hcr_el2"), mrs!("esr_el2"));
    let (elr, spsr) = (mrs!("elr_el2"), mrs!("spsr_el2"));
    let sctlr = VectorState::current().sctlr;
    // SAFETY: the code is EL2's own and ends by HVC; EL1 runs on physical addresses meanwhile, and
    // everything that was changed for it is put back.
    unsafe {
        set_sctlr(RESET_SCTLR);
        msr!("hcr_el2", hcr & HCR_E2H);
        isb();
        let found = el2_visit(masked(mode), address);
        msr!("hcr_el2", hcr);
        isb();
        set_sctlr(sctlr);
        msr!("elr_el2", elr);
        msr!("spsr_el2", spsr);
        msr!("esr_el2", esr);
        found
    }
}
