//! No guest: careless firmware. It runs at EL2 before the hypervisor, leaves other values than those of a reset
//! in all registers of EL2 that concern EL1 and EL0, and in those of EL1 itself, and jumps to where the
//! word at [`ENTRY`] says. It runs wherever it is loaded.

#![no_std]
#![no_main]

use core::arch::global_asm;

/// Where the address of the hypervisor's first instruction is.
pub const ENTRY: u64 = 0x4700_0000;

global_asm!(
    r#"
    // Runs what follows, up to 9:, only if the field of 4 bits at \shift of \register is not zero.
    .macro if_field register, shift
        mrs     x2, \register
        ubfx    x2, x2, #\shift, #4
        cbz     x2, 9f
    .endm
    .macro leave value, registers:vararg
    .irp register, \registers
        msr     \register, \value
    .endr
    .endm

    .section .head.text, "ax"
    .global image_header
    image_header:
        mov     x0, #-1
        // Nothing that EL2 itself uses here traps.
        msr     cptr_el2, xzr
        isb

        // HFGRTR, HFGWTR, HFGITR, HDFGRTR and HDFGWTR_EL2.
        if_field id_aa64mmfr0_el1, 56
        leave   x0, s3_4_c1_c1_4, s3_4_c1_c1_5, s3_4_c1_c1_6, s3_4_c3_c1_4, s3_4_c3_c1_5
    9:  if_field id_aa64pfr0_el1, 44
        leave   x0, s3_4_c3_c1_6            // HAFGRTR_EL2
    9:  if_field id_aa64mmfr1_el1, 40
        leave   x0, s3_4_c1_c2_2            // HCRX_EL2
    9:  if_field id_aa64dfr0_el1, 40
        leave   x0, s3_4_c1_c2_1            // TRFCR_EL2
    9:  if_field id_aa64pfr1_el1, 24
        leave   x0, s3_4_c1_c2_5            // SMPRIMAP_EL2
    9:  if_field id_aa64pfr0_el1, 32
        msr     s3_4_c1_c2_0, xzr           // ZCR_EL2
    9:  if_field s3_0_c0_c7_3, 0
        leave   x0, s3_4_c2_c0_3            // TCR2_EL2
    9:  if_field s3_0_c0_c7_3, 4
        mov     x1, #0
        leave   x1, s3_4_c1_c0_3            // SCTLR2_EL2
    9:  if_field id_aa64mmfr1_el1, 8
        leave   x0, s3_4_c13_c0_1           // CONTEXTIDR_EL2
        mov     x1, #1
        leave   x1, s3_4_c14_c3_1           // CNTHV_CTL_EL2
    9:
        leave   x0, hstr_el2, hacr_el2, vttbr_el2, vtcr_el2, vpidr_el2, vmpidr_el2, tpidr_el2
        leave   x0, ttbr0_el2, mair_el2, amair_el2, vbar_el2, cntvoff_el2, cnthctl_el2
        leave   x0, far_el2, hpfar_el2, elr_el2, esr_el2, afsr0_el2, afsr1_el2
        mov     x1, #0x3c9
        leave   x1, spsr_el2
        // MDCR_EL2: all traps, and six counters for EL1.
        bic     x1, x0, #0x1f
        orr     x1, x1, #6
        leave   x1, mdcr_el2

        // The PMU counts and interrupts, and EL0 may use it.
        leave   x0, pmcntenset_el0, pmintenset_el1, pmovsset_el0, pmuserenr_el0, pmevtyper0_el0
        mov     x1, #0x41
        leave   x1, pmcr_el0

        // MDSCR_EL1.MDE, KDE and SS, a breakpoint at the start of a guest's image, a watchpoint on its stack.
        msr     oslar_el1, xzr
        mov     x1, #1 << 15 | 1 << 13 | 1
        leave   x1, mdscr_el1
        ldr     x1, =0x40200000
        leave   x1, dbgbvr0_el1, dbgwvr0_el1
        mov     x1, #0x1e7
        leave   x1, dbgbcr0_el1
        ldr     x1, =0x1500111f
        leave   x1, dbgwcr0_el1

        // EL1's own state: both timers have fired.
        mov     x1, #1
        leave   xzr, cntv_cval_el0, cntp_cval_el0
        leave   x1, cntv_ctl_el0, cntp_ctl_el0
        leave   x0, sctlr_el1, cpacr_el1, ttbr0_el1, ttbr1_el1, tcr_el1, vbar_el1, contextidr_el1
        leave   x0, cntkctl_el1, tpidr_el0, tpidrro_el0, tpidr_el1, csselr_el1, sp_el1

        // The virtual CPU interface has an interrupt pending and one active.
        mov     x1, #0xf
        leave   x1, icc_sre_el2
        isb
        ldr     x1, =0x5000000000000001
        leave   x1, ich_lr0_el2
        leave   x0, ich_vmcr_el2, ich_ap1r0_el2, ich_ap0r0_el2, ich_hcr_el2
        leave   x0, icc_pmr_el1, icc_igrpen1_el1, icc_igrpen0_el1, icc_ctlr_el1

        ldr     x1, ={entry}
        ldr     x1, [x1]
        msr     cptr_el2, x0
        mov     x0, #0
        msr     spsel, #0
        isb
        br      x1
        .ltorg
    .purgem if_field
    .purgem leave
    "#,
    entry = const ENTRY,
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
