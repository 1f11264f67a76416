//! One attempt: a few instructions with chosen registers, from which this guest always comes back, by
//! their end or by an exception.
//!
//! What is tried may leave garbage in `VBAR_EL1` and `SCTLR_EL1`, on the other stack pointer and in
//! PSTATE; an attempt puts them back. It may not change the tables while the MMU is on.
//!
//! Source: Arm ARM, "Exception vectors", "SPSR_EL1".

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;

use crate::board::exceptions;
use crate::write_sysreg;

/// SPSR_EL1: EL1 with its own stack pointer, and all exceptions masked.
pub const EL1_MASKED: u64 = 0x3c5;
/// The same with IRQ and FIQ unmasked.
pub const EL1_UNMASKED: u64 = 0x305;
/// EL0, nothing masked.
pub const EL0: u64 = 0;
/// EL0 in AArch32 state, nothing masked: the instruction sets A32 and T32.
pub const EL0_A32: u64 = 0x10;
/// See [`EL0_A32`].
pub const EL0_T32: u64 = 0x30;

/// vCPUs that can make attempts.
pub const MAX_VCPUS: usize = 8;

/// One vCPU's attempt.
#[repr(C, align(512))]
struct Context {
    /// The stack pointer to come back with; 0 outside of attempts.
    sp: u64,
    vbar: u64,
    sctlr: u64,
    /// 0 without an exception, else its vector's number and 1.
    vector: u64,
    esr: u64,
    elr: u64,
    far: u64,
    spsr: u64,
    flags: u64,
    registers: [u64; 31],
}

#[repr(transparent)]
struct Contexts(UnsafeCell<[Context; MAX_VCPUS]>);

// SAFETY: each vCPU gets at its own context only.
unsafe impl Sync for Contexts {}

static CONTEXTS: Contexts = Contexts(UnsafeCell::new(
    [const {
        Context {
            sp: 0,
            vbar: 0,
            sctlr: 0,
            vector: 0,
            esr: 0,
            elr: 0,
            far: 0,
            spsr: 0,
            flags: 0,
            registers: [0; 31],
        }
    }; MAX_VCPUS],
));

const _: () = assert!(size_of::<Context>() == 1 << 9);

global_asm!(
    r#"
    // Leaves the address of this vCPU's context in \context; changes \scratch.
    .macro find_context context, scratch
        mrs     \scratch, mpidr_el1
        and     \scratch, \scratch, #7
        adrp    \context, {contexts}
        add     \context, \context, :lo12:{contexts}
        add     \context, \context, \scratch, lsl #9
    .endm

    .section .text.attempt, "ax"
    .balign 2048
    hostile_vectors:
    .irp number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
        .balign 128
        stp     x0, x1, [sp, #-16]!
        mov     x0, #\number
        b       came_back
    .endr

    // x0: where to begin; x1: SPSR_EL1. The registers are in the context.
    hostile_attempt:
        sub     sp, sp, #96
        stp     x19, x20, [sp]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        msr     elr_el1, x0
        msr     spsr_el1, x1
        find_context x30, x2
        mov     x3, sp
        mrs     x4, vbar_el1
        mrs     x5, sctlr_el1
        str     x3, [x30, #{sp_at}]
        str     x4, [x30, #{vbar}]
        str     x5, [x30, #{sctlr}]
        ldp     x0, x1, [x30, #{registers} + 0]
        ldp     x2, x3, [x30, #{registers} + 16]
        ldp     x4, x5, [x30, #{registers} + 32]
        ldp     x6, x7, [x30, #{registers} + 48]
        ldp     x8, x9, [x30, #{registers} + 64]
        ldp     x10, x11, [x30, #{registers} + 80]
        ldp     x12, x13, [x30, #{registers} + 96]
        ldp     x14, x15, [x30, #{registers} + 112]
        ldp     x16, x17, [x30, #{registers} + 128]
        ldp     x18, x19, [x30, #{registers} + 144]
        ldp     x20, x21, [x30, #{registers} + 160]
        ldp     x22, x23, [x30, #{registers} + 176]
        ldp     x24, x25, [x30, #{registers} + 192]
        ldp     x26, x27, [x30, #{registers} + 208]
        ldp     x28, x29, [x30, #{registers} + 224]
        adr     x30, 1f
        eret

    1:  // The end of what was tried at EL1, reached by RET.
        msr     daifset, #0xf
        msr     spsel, #1
        stp     x0, x1, [sp, #-16]!
        mov     x0, #0
    came_back:
        stp     x2, x3, [sp, #-16]!
        find_context x1, x2
        ldr     x2, [x1, #{sctlr}]
        msr     sctlr_el1, x2
        ldr     x2, [x1, #{vbar}]
        msr     vbar_el1, x2
        isb
        ldr     x2, [x1, #{sp_at}]
        cbz     x2, 2f
        str     xzr, [x1, #{sp_at}]
        str     x0, [x1, #{vector}]
        mrs     x3, nzcv
        str     x3, [x1, #{flags}]
        mrs     x3, esr_el1
        str     x3, [x1, #{esr}]
        mrs     x3, elr_el1
        str     x3, [x1, #{elr}]
        mrs     x3, far_el1
        str     x3, [x1, #{far}]
        mrs     x3, spsr_el1
        str     x3, [x1, #{spsr}]
        stp     x4, x5, [x1, #{registers} + 32]
        stp     x6, x7, [x1, #{registers} + 48]
        stp     x8, x9, [x1, #{registers} + 64]
        stp     x10, x11, [x1, #{registers} + 80]
        stp     x12, x13, [x1, #{registers} + 96]
        stp     x14, x15, [x1, #{registers} + 112]
        stp     x16, x17, [x1, #{registers} + 128]
        stp     x18, x19, [x1, #{registers} + 144]
        stp     x20, x21, [x1, #{registers} + 160]
        stp     x22, x23, [x1, #{registers} + 176]
        stp     x24, x25, [x1, #{registers} + 192]
        stp     x26, x27, [x1, #{registers} + 208]
        stp     x28, x29, [x1, #{registers} + 224]
        str     x30, [x1, #{registers} + 240]
        ldp     x4, x5, [sp], #16
        ldp     x6, x7, [sp], #16
        stp     x6, x7, [x1, #{registers}]
        stp     x4, x5, [x1, #{registers} + 16]
        mov     sp, x2
        ldp     x19, x20, [sp]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        add     sp, sp, #96
        ret
    2:  b       {fatal}                 // an exception outside of attempts
    .purgem find_context
    "#,
    contexts = sym CONTEXTS,
    fatal = sym exceptions::fatal,
    sp_at = const offset_of!(Context, sp),
    vbar = const offset_of!(Context, vbar),
    sctlr = const offset_of!(Context, sctlr),
    vector = const offset_of!(Context, vector),
    esr = const offset_of!(Context, esr),
    elr = const offset_of!(Context, elr),
    far = const offset_of!(Context, far),
    spsr = const offset_of!(Context, spsr),
    flags = const offset_of!(Context, flags),
    registers = const offset_of!(Context, registers),
);

unsafe extern "C" {
    static hostile_vectors: u8;
    fn hostile_attempt(begin: u64, spsr: u64);
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The number of the vector of the exception that ended it, if one did.
    pub vector: Option<u64>,
    /// ESR_EL1.
    pub esr: u64,
    /// ELR_EL1.
    pub elr: u64,
    /// FAR_EL1.
    pub far: u64,
    /// SPSR_EL1.
    pub spsr: u64,
    /// PSTATE.{N, Z, C, V} at its end, or in the handler of the exception that ended it.
    pub flags: u64,
    /// x0 to x30.
    pub registers: [u64; 31],
}

impl Outcome {
    /// The class of the synchronous exception that ended it, if one did.
    #[must_use]
    pub fn class(&self) -> Option<u64> {
        let synchronous = self.vector.filter(|vector| vector % 4 == 0);
        synchronous.map(|_| self.esr >> 26 & 0x3f)
    }

    /// Whether an IRQ or FIQ ended it.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.vector
            .is_some_and(|vector| matches!(vector % 4, 1 | 2))
    }
}

/// Installs the vectors on this vCPU. From now on exceptions are for attempts.
pub fn install() {
    let address = (&raw const hostile_vectors).expose_provenance() as u64;
    // SAFETY: this is the address of a table of vectors, aligned to 2 KiB.
    unsafe { write_sysreg!("vbar_el1", address) };
}

/// Begins at the address `begin` with the PSTATE `spsr` and these registers; x30 is set to come back.
///
/// # Safety
///
/// On vCPU `vcpu`, with the vectors installed and all exceptions masked. What stands at `begin` ends by
/// RET or an exception, leaves SP_EL1, the code and the data of this program alone, and changes the
/// translation tables only while the MMU is off.
pub unsafe fn attempt(vcpu: usize, begin: u64, spsr: u64, registers: &[u64; 31]) -> Outcome {
    let context = CONTEXTS.0.get().cast::<Context>().wrapping_add(vcpu);
    // SAFETY: the context is this vCPU's; by this function's contract the attempt comes back.
    unsafe {
        (&raw mut (*context).registers).write_volatile(*registers);
        hostile_attempt(begin, spsr);
        let done = context.read_volatile();
        Outcome {
            vector: done.vector.checked_sub(1),
            esr: done.esr,
            elr: done.elr,
            far: done.far,
            spsr: done.spsr,
            flags: done.flags,
            registers: done.registers,
        }
    }
}
