//! The exception vectors of EL2 and the way back into a guest.
//!
//! While a guest runs, SP_EL2 points at its [`Vcpu`], whose first bytes are the guest's general
//! registers: a vector saves them with no scratch register to find first. Behind x30 stands a
//! pointer to the [`Core`], which begins with the top of the core's stack. A handler in Rust gets
//! both, runs on that stack from its top, and returns the vCPU to enter, the same or another.
//!
//! A trap of the closed gate (ESR_EL2.EC = 0x07, 0x19, 0x1d) takes a path of its own: it saves what a call may
//! change, asks the state machine what to move, moves it, and returns. No FP/SIMD instruction
//! stands here; the move is `trapcast_fpsimd_exchange`.

use ::core::{arch::global_asm, mem::offset_of};

use crate::el2::{
    arch::meter::{Meter, RETURN_INSTRUCTIONS},
    board::stacks,
    state::{core::Core, vcpu::Vcpu},
};

/// Instructions from a guest's synchronous exception to the reading of the EL2 counter, that one
/// included. The assembler checks this and the next two.
pub const SYNCHRONOUS_INSTRUCTIONS: u32 = 26;
/// Instructions from an interrupt to the reading of the EL2 counter, that one included.
pub const INTERRUPT_INSTRUCTIONS: u32 = 22;

const _: () = {
    assert!(offset_of!(Vcpu, registers) == 0);
    assert!(offset_of!(Vcpu, core) == 248);
    assert!(offset_of!(Core, stack_top) == 0);
};

global_asm!(
    // The registers behind x0 and x1 that a call may change, at their place in the vCPU.
    ".macro store_x2_to_x17",
    "stp x2, x3, [sp, #16]",
    "stp x4, x5, [sp, #32]",
    "stp x6, x7, [sp, #48]",
    "stp x8, x9, [sp, #64]",
    "stp x10, x11, [sp, #80]",
    "stp x12, x13, [sp, #96]",
    "stp x14, x15, [sp, #112]",
    "stp x16, x17, [sp, #128]",
    ".endm",
    ".macro load_x2_to_x17",
    "ldp x2, x3, [sp, #16]",
    "ldp x4, x5, [sp, #32]",
    "ldp x6, x7, [sp, #48]",
    "ldp x8, x9, [sp, #64]",
    "ldp x10, x11, [sp, #80]",
    "ldp x12, x13, [sp, #96]",
    "ldp x14, x15, [sp, #112]",
    "ldp x16, x17, [sp, #128]",
    ".endm",
    // Saves x2 to x30; x0 and x1 are saved already. Leaves the vCPU in x0, the core in x1, the
    // stack in SP.
    ".macro save_and_change_stack",
    "store_x2_to_x17",
    "stp x18, x19, [sp, #144]",
    "stp x20, x21, [sp, #160]",
    "stp x22, x23, [sp, #176]",
    "stp x24, x25, [sp, #192]",
    "stp x26, x27, [sp, #208]",
    "stp x28, x29, [sp, #224]",
    "str x30, [sp, #240]",
    "mov x0, sp",
    "ldr x1, [sp, #248]",
    "ldr x3, [x1]",
    "mov sp, x3",
    "mrs x2, pmevcntr4_el0",
    ".endm",
    // An exception that is not expected at all.
    ".macro unexpected number",
    ".balign 0x80",
    "mov x18, #\\number",
    "b el2_unexpected",
    ".endm",
    ".pushsection .text.vectors, \"ax\"",
    ".balign 0x800",
    ".global el2_vectors",
    "el2_vectors:",
    // From EL2 itself, on SP_EL0 and on SP_EL2.
    "unexpected 0",
    "unexpected 1",
    "unexpected 2",
    "unexpected 3",
    "unexpected 4",
    "unexpected 5",
    "unexpected 6",
    "unexpected 7",
    // From a guest in AArch64 state: synchronous.
    ".balign 0x80",
    "10:",
    "stp x0, x1, [sp]",
    "mrs x0, esr_el2",
    "lsr x1, x0, #26",
    "cmp x1, #0x07",
    "b.eq el2_fp_trap",
    // 0x19 and 0x1d are odd, all that is frequent is even.
    "tbz x1, #0, el2_synchronous",
    "11:",
    "bic x1, x1, #0x04",
    "cmp x1, #0x19",
    "b.eq el2_vector_trap",
    "b el2_synchronous_odd",
    "12:",
    // Interrupt.
    ".balign 0x80",
    "stp x0, x1, [sp]",
    "b el2_interrupt",
    // Fast interrupt: none is configured.
    "unexpected 10",
    // SError.
    ".balign 0x80",
    "stp x0, x1, [sp]",
    "b el2_serror",
    // From a guest in AArch32 state, which has no SVE and no SME: synchronous.
    ".balign 0x80",
    "stp x0, x1, [sp]",
    "mrs x0, esr_el2",
    "lsr x1, x0, #26",
    "cmp x1, #0x07",
    "b.eq el2_fp_trap_aarch32",
    "b el2_synchronous",
    // Interrupt.
    ".balign 0x80",
    "stp x0, x1, [sp]",
    "b el2_interrupt",
    // Fast interrupt.
    "unexpected 14",
    // SError.
    ".balign 0x80",
    "stp x0, x1, [sp]",
    "b el2_serror",
    ".balign 0x80",
    "el2_synchronous:",
    "save_and_change_stack",
    ".if (11b - 10b) + (. - el2_synchronous) != 4 * {synchronous_instructions}",
    ".error \"SYNCHRONOUS_INSTRUCTIONS is wrong\"",
    ".endif",
    "3:",
    "bl el2_exit_synchronous",
    // x0: the vCPU to enter.
    ".global el2_enter",
    "el2_enter:",
    "mov sp, x0",
    "ldr x1, [sp, #248]",
    "mrs x2, pmevcntr4_el0",
    "0:",
    "str x2, [x1, #{entered}]",
    "load_x2_to_x17",
    "ldp x18, x19, [sp, #144]",
    "ldp x20, x21, [sp, #160]",
    "ldp x22, x23, [sp, #176]",
    "ldp x24, x25, [sp, #192]",
    "ldp x26, x27, [sp, #208]",
    "ldp x28, x29, [sp, #224]",
    "ldr x30, [sp, #240]",
    "ldp x0, x1, [sp]",
    "eret",
    ".if (. - 0b) != 4 * {return_instructions}",
    ".error \"RETURN_INSTRUCTIONS is wrong\"",
    ".endif",
    // What was executed more than on the other way counts behind the reading.
    "el2_synchronous_odd:",
    "save_and_change_stack",
    "sub x2, x2, #(12b - 11b) / 4",
    "b 3b",
    "el2_interrupt:",
    "save_and_change_stack",
    ".if 8 + (. - el2_interrupt) != 4 * {interrupt_instructions}",
    ".error \"INTERRUPT_INSTRUCTIONS is wrong\"",
    ".endif",
    "bl el2_exit_interrupt",
    "b el2_enter",
    "el2_serror:",
    "save_and_change_stack",
    "bl el2_exit_serror",
    "b el2_enter",
    // The closed gate. A call changes x0 to x18 and x30 at most; the rest stays the guest's.
    ".macro gate_trap handler",
    "store_x2_to_x17",
    "stp x18, x19, [sp, #144]",
    "str x30, [sp, #240]",
    "mov x2, sp",
    "ldr x3, [sp, #248]",
    "ldr x1, [x3]",
    "mov x19, sp",
    "mov sp, x1",
    "bl \\handler",
    ".endm",
    "el2_vector_trap:",
    "gate_trap el2_gate_trap_above",
    "b 1f",
    // LR_und may be changed too.
    "el2_fp_trap_aarch32:",
    "str x22, [sp, #176]",
    "gate_trap el2_gate_trap_aarch32",
    "ldr x22, [x19, #176]",
    "b 0f",
    "el2_fp_trap:",
    "gate_trap el2_gate_trap",
    // x0: where to save, or 0; x1: where to load from.
    "0:",
    "cbz x0, 1f",
    "bl trapcast_fpsimd_exchange",
    "1:",
    "mov sp, x19",
    "load_x2_to_x17",
    "ldp x18, x19, [sp, #144]",
    "ldr x30, [sp, #240]",
    "ldp x0, x1, [sp]",
    "eret",
    // An exception at EL2, or one that no guest can cause. The stack may be what went wrong.
    "el2_unexpected:",
    "msr tpidr_el2, x0",
    "mov x0, sp",
    // The core's emergency stack: SP holds the sum, as there is no other register to spare.
    "mrs x1, mpidr_el1",
    "and x1, x1, #0xff",
    "add x1, x1, #1",
    "lsl x1, x1, #{stack_shift}",
    "mov sp, x1",
    "adrp x1, stacks_start",
    "add sp, sp, x1",
    "stp x28, x29, [sp, #-16]!",
    "stp x26, x27, [sp, #-16]!",
    "stp x24, x25, [sp, #-16]!",
    "stp x22, x23, [sp, #-16]!",
    "stp x20, x21, [sp, #-16]!",
    "stp x18, x19, [sp, #-16]!",
    "stp x30, x0, [sp, #-16]!",
    "mov x0, x18",
    "mov x1, sp",
    "b el2_unexpected_exception",
    ".popsection",
    stack_shift = const stacks::SHIFT,
    synchronous_instructions = const SYNCHRONOUS_INSTRUCTIONS,
    interrupt_instructions = const INTERRUPT_INSTRUCTIONS,
    return_instructions = const RETURN_INSTRUCTIONS,
    entered = const offset_of!(Core, meter) + offset_of!(Meter, entered),
);
