//! Visits to AArch32 state: EL2 lets EL1 run a few instructions of EL2's own where only AArch32 code reaches a
//! register, and takes them back by HVC. They run on physical addresses, with interrupts masked.

use ::core::arch::global_asm;

use trapcast_fpsimd::Opening;
use trapcast_hypervisor::aarch32::{RESET_SCTLR, masked};

use crate::el2::arch::{
    el1_access::{VectorState, set_sctlr},
    hcr::HCR_E2H,
    sysreg::isb,
};
use crate::{mrs, msr};

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
    ".popsection",
);

unsafe extern "C" {
    fn el2_visit(pstate: u64, address: u64) -> u32;
}

/// Runs A32 code at EL1 in this mode, up to an HVC that it ends by, and returns R0. It leaves everything but R0
/// and what the code does as it was.
///
/// Only on a core with AArch32 at EL1. The code is in `.text.visit`, and changes no general register but R0.
#[inline(never)]
pub fn visit(mode: u64, code: *const u8) -> u32 {
    let (hcr, esr) = (mrs!("hcr_el2"), mrs!("esr_el2"));
    let (elr, spsr) = (mrs!("elr_el2"), mrs!("spsr_el2"));
    let (sctlr, mdscr) = (VectorState::current().sctlr, mrs!("mdscr_el1"));
    let (e2h, cptr) = (hcr & HCR_E2H, mrs!("cptr_el2"));
    // SAFETY: the code is EL2's own and ends by HVC; EL1 runs on physical addresses meanwhile, and
    // everything that was changed for it is put back.
    unsafe {
        set_sctlr(RESET_SCTLR);
        // A guest's breakpoints and watchpoints are none of this code's.
        msr!("mdscr_el1", 0);
        // A guest's vectors may linger in the core. AArch32 knows their lowest 128 bits only, and the rest is
        // kept where all gates are closed (Arm ARM, rules KXKNK and DMBPN).
        msr!("cptr_el2", Opening::NONE.cptr(e2h != 0));
        msr!("hcr_el2", e2h);
        isb();
        let found = el2_visit(masked(mode), code as u64);
        msr!("cptr_el2", cptr);
        msr!("hcr_el2", hcr);
        isb();
        set_sctlr(sctlr);
        msr!("mdscr_el1", mdscr);
        msr!("elr_el2", elr);
        msr!("spsr_el2", spsr);
        msr!("esr_el2", esr);
        found
    }
}
