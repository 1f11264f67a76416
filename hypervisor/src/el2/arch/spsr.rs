//! The SPSR of an AArch32 guest's current mode, on machines where EL2 does not reach it.
//!
//! By the architecture SPSR_<mode> is one register to AArch32 and to EL2. QEMU, from 7.2 at least, keeps
//! that of the mode that runs in a place of its own while it runs, and exchanges the two places only when
//! AArch32 code changes its mode: what EL2 writes for the mode that it returns to has no effect, and what
//! it reads of the mode that came out is old. There EL2 lets EL1 execute one CPS, which changes the mode.

use ::core::{
    arch::global_asm,
    sync::atomic::{AtomicBool, Ordering},
};

use trapcast_hypervisor::aarch32::{MODE_SYSTEM, exception_mode};

use crate::el2::arch::visit::visit;
use crate::msr;

/// Whether this machine is one of those.
static APART: AtomicBool = AtomicBool::new(false);

global_asm!(
    ".pushsection .text.visit, \"ax\"",
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
    safe static visit_modes: u8;
    safe static visit_spsr: u8;
}

/// Finds out, once, what kind of machine this is. Only on a core with AArch32 at EL1, before a guest is
/// loaded.
pub fn detect() {
    const MODE: u64 = 0x1b;
    const VALUE: u64 = 0x6000_01d3;
    // SAFETY: nothing is in SPSR_und yet.
    unsafe { msr!("s3_4_c4_c3_2", VALUE) }
    let found = visit(MODE, &raw const visit_spsr);
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
fn change_to(mode: u64) -> *const u8 {
    (&raw const visit_modes).wrapping_add(8 * mode as usize)
}
