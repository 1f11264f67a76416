//! Exception vectors: interrupts are handled, an SVC ends a stay at EL0, the rest is fatal.
//!
//! Source: Arm ARM, "AArch64 Exception model", "Exception vectors", "ESR_EL1".

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::{gic, psci, timer, window};
use crate::{println, read_sysreg, write_sysreg};

global_asm!(
    r#"
    .section .text.vectors, "ax"
    .macro save_caller_saved
        sub     sp, sp, #192
        stp     x0, x1, [sp]
        stp     x2, x3, [sp, #16]
        stp     x4, x5, [sp, #32]
        stp     x6, x7, [sp, #48]
        stp     x8, x9, [sp, #64]
        stp     x10, x11, [sp, #80]
        stp     x12, x13, [sp, #96]
        stp     x14, x15, [sp, #112]
        stp     x16, x17, [sp, #128]
        stp     x18, x30, [sp, #144]
        mrs     x0, elr_el1
        mrs     x1, spsr_el1
        stp     x0, x1, [sp, #160]
    .endm

    .balign 2048
    .global vectors
    vectors:
    .rept 4                                     // from EL1 with SP_EL0
        b       {fatal}
        .balign 128
    .endr
        b       9f                              // from EL1: synchronous
        .balign 128
        b       8f                              // IRQ
        .balign 128
        b       {fatal}                         // FIQ
        .balign 128
        b       {fatal}                         // SError
        .balign 128
        b       {from_el0}                      // from EL0: synchronous
        .balign 128
        b       8f                              // IRQ
        .balign 128
    .rept 6                                     // FIQ, SError; from AArch32
        b       {fatal}
        .balign 128
    .endr

    8:  save_caller_saved
        bl      {interrupt}
        b       7f
    9:  save_caller_saved
        bl      {synchronous}
    7:  ldr     x1, [sp, #168]
        msr     elr_el1, x0
        msr     spsr_el1, x1
        ldp     x2, x3, [sp, #16]
        ldp     x4, x5, [sp, #32]
        ldp     x6, x7, [sp, #48]
        ldp     x8, x9, [sp, #64]
        ldp     x10, x11, [sp, #80]
        ldp     x12, x13, [sp, #96]
        ldp     x14, x15, [sp, #112]
        ldp     x16, x17, [sp, #128]
        ldp     x18, x30, [sp, #144]
        ldp     x0, x1, [sp]
        add     sp, sp, #192
        eret
    "#,
    fatal = sym fatal,
    interrupt = sym interrupt,
    synchronous = sym synchronous,
    from_el0 = sym window::from_el0,
);

unsafe extern "C" {
    static vectors: u8;
}

/// Where to go on after an undefined instruction; 0: nowhere, it is fatal. For code that tries an
/// instruction out, which sets this to an address that copes and then to 0 again.
pub(super) static RECOVERY: AtomicU64 = AtomicU64::new(0);

/// Installs the vectors.
pub fn install() {
    let address = (&raw const vectors).expose_provenance() as u64;
    // SAFETY: this is the address of a table of vectors, aligned to 2 KiB.
    unsafe { write_sysreg!("vbar_el1", address) };
}

/// Handles an interrupt that was taken at `elr`, and returns where to go on.
extern "C" fn interrupt(elr: u64) -> u64 {
    match gic::acknowledge() {
        gic::VIRTUAL_TIMER => {
            timer::handle();
            gic::end(gic::VIRTUAL_TIMER);
        }
        gic::SGI => {
            gic::end(gic::SGI);
            gic::SGIS_HANDLED.fetch_add(1, Ordering::Relaxed);
        }
        gic::FIRST_SPECIAL.. => {}
        other => {
            println!("error: interrupt {other} was never enabled");
            psci::system_off();
        }
    }
    window::resume_after_interrupt(elr)
}

/// Handles a synchronous exception from EL1, and returns where to go on.
extern "C" fn synchronous() -> u64 {
    const EC_UNKNOWN: u64 = 0;
    /// With FEAT_IDST, that of ID registers that there are not.
    const EC_SYSTEM_REGISTER: u64 = 0x18;
    let recovery = RECOVERY.load(Ordering::Relaxed);
    let class = read_sysreg!("esr_el1") >> 26;
    if matches!(class, EC_UNKNOWN | EC_SYSTEM_REGISTER) && recovery != 0 {
        recovery
    } else {
        fatal()
    }
}

/// Reports an exception that nothing handles, and powers the machine off.
pub extern "C" fn fatal() -> ! {
    let esr = read_sysreg!("esr_el1");
    let elr = read_sysreg!("elr_el1");
    let far = read_sysreg!("far_el1");
    println!("exception ESR={esr:#x} ELR={elr:#x} FAR={far:#x}");
    psci::system_off()
}
