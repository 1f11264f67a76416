//! The registers of other modes, by MRS and MSR of banked registers, and CP15's that keep what is
//! written.
//!
//! Source: Arm ARM, "MRS (Banked register)", "MSR (Banked register)".

use core::arch::global_asm;

use crate::pattern32::Modes;
use crate::{read_coprocessor, write_coprocessor};

global_asm!(
    r#"
    .arch_extension virt
    @ Calls \banked with each banked register's name and \cp15 with each other's operands, in the order
    @ of pattern32.rs, and their places.
    .macro every_register banked, cp15
        \banked R8_fiq, 0
        \banked R9_fiq, 4
        \banked R10_fiq, 8
        \banked R11_fiq, 12
        \banked R12_fiq, 16
        \banked SP_fiq, 20
        \banked LR_fiq, 24
        \banked SP_usr, 28
        \banked LR_usr, 32
        \banked LR_abt, 36
        \banked SPSR_fiq, 40
        \banked SPSR_abt, 44
        \banked SPSR, 48
        \cp15   c3, c0, 0, 52
        \cp15   c5, c0, 0, 56
        \cp15   c5, c0, 1, 60
        \cp15   c6, c0, 0, 64
        \cp15   c6, c0, 2, 68
        \cp15   c13, c0, 2, 72
        \cp15   c13, c0, 3, 76
        \cp15   c13, c0, 4, 80
    .endm
    .macro store_banked register, place
        mrs     r1, \register
        str     r1, [r0, #\place]
    .endm
    .macro load_banked register, place
        ldr     r1, [r0, #\place]
    .ifc \register, SPSR
        msr     SPSR_fsxc, r1
    .else
        msr     \register, r1
    .endif
    .endm
    .macro store_cp15 crn, crm, opc2, place
        mrc     p15, 0, r1, \crn, \crm, \opc2
        str     r1, [r0, #\place]
    .endm
    .macro load_cp15 crn, crm, opc2, place
        ldr     r1, [r0, #\place]
        mcr     p15, 0, r1, \crn, \crm, \opc2
    .endm
    .section .text.modes, "ax"
    .global store_modes, load_modes
    store_modes:
        every_register store_banked, store_cp15
        bx      lr
    load_modes:
        every_register load_banked, load_cp15
        isb
        bx      lr
    .purgem every_register
    .purgem store_banked
    .purgem load_banked
    .purgem store_cp15
    .purgem load_cp15
    "#
);

unsafe extern "C" {
    fn store_modes(to: *mut Modes);
    fn load_modes(from: *const Modes);
}

/// Takes the registers as they are.
#[must_use]
pub fn read() -> Modes {
    let mut modes = Modes::pattern(0, 0);
    // SAFETY: stores all of the value, in supervisor mode.
    unsafe { store_modes(&raw mut modes) };
    modes
}

/// Leaves these values in the registers.
pub fn write(modes: &Modes) {
    // SAFETY: nobody uses what these registers hold, but for domain 0 of DACR, which a pattern leaves.
    unsafe { load_modes(&raw const *modes) };
}

/// FCSEIDR, which reads as zero since Armv8, but not under QEMU.
#[must_use]
pub fn fcseidr() -> u32 {
    read_coprocessor!("p15, 0, {}, c13, c0, 0") as u32
}

/// Writes FCSEIDR.
pub fn set_fcseidr(value: u32) {
    // SAFETY: no core with Armv8 translates by it.
    unsafe { write_coprocessor!("p15, 0, {}, c13, c0, 0", value.into()) };
}
