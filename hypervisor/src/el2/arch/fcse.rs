//! FCSEIDR of AArch32 guests, on machines that keep it.
//!
//! Since Armv8 the register is RAZ/WI. QEMU (7.2 at least) keeps what EL1 writes, and no register of AArch64
//! state and no trap of its own gives EL2 a hold on it: the trap of all of CRn 13 (HSTR_EL2.T13) would take
//! the thread pointers with it. There it is zeroed whenever an AArch32 vCPU is loaded, so that none finds what
//! another one left.

use ::core::{
    arch::global_asm,
    sync::atomic::{AtomicBool, Ordering},
};

use trapcast_hypervisor::aarch32::MODE_SYSTEM;

use crate::el2::arch::visit::visit;

/// Whether this machine is one of those.
static KEPT: AtomicBool = AtomicBool::new(false);

global_asm!(
    ".pushsection .text.visit, \"ax\"",
    // A32: MOV R0, #1 << 25; MCR p15, 0, R0, c13, c0, 0; MRC of the same; HVC #0.
    ".global visit_fcse",
    "visit_fcse:",
    ".word 0xe3a00402",
    ".word 0xee0d0f10",
    ".word 0xee1d0f10",
    ".word 0xe1400070",
    // MOV R0, #0; MCR p15, 0, R0, c13, c0, 0; HVC #0.
    ".global visit_clear_fcse",
    "visit_clear_fcse:",
    ".word 0xe3a00000",
    ".word 0xee0d0f10",
    ".word 0xe1400070",
    ".popsection",
);

unsafe extern "C" {
    safe static visit_fcse: u8;
    safe static visit_clear_fcse: u8;
}

/// Finds out, once, what kind of machine this is. Only on a core with AArch32 at EL1.
pub fn detect() {
    let found = visit(MODE_SYSTEM, &raw const visit_fcse);
    KEPT.store(found != 0, Ordering::Relaxed);
}

/// Zeroes it for an AArch32 vCPU that is loaded.
pub fn clear() {
    if KEPT.load(Ordering::Relaxed) {
        visit(MODE_SYSTEM, &raw const visit_clear_fcse);
    }
}
