//! Filling memory with the Q registers: a real user of the registers at EL2.

use core::arch::{asm, global_asm};

/// Bytes that one round of the loops below moves.
const STEP: usize = 64;

global_asm!(
    ".pushsection .text.trapcast_fpsimd, \"ax\"",
    ".arch_extension fp",
    ".arch_extension simd",
    ".balign 64",
    ".global trapcast_fpsimd_copy",
    ".type trapcast_fpsimd_copy, %function",
    "trapcast_fpsimd_copy:",
    "0:",
    "ldp q0, q1, [x1], #32",
    "ldp q2, q3, [x1], #32",
    "stp q0, q1, [x0], #32",
    "stp q2, q3, [x0], #32",
    "subs x2, x2, #64",
    "b.ne 0b",
    "ret",
    ".size trapcast_fpsimd_copy, . - trapcast_fpsimd_copy",
    ".balign 64",
    ".global trapcast_fpsimd_zero",
    ".type trapcast_fpsimd_zero, %function",
    "trapcast_fpsimd_zero:",
    "movi v0.2d, #0",
    "0:",
    "stp q0, q0, [x0], #32",
    "stp q0, q0, [x0], #32",
    "subs x2, x2, #64",
    "b.ne 0b",
    "ret",
    ".size trapcast_fpsimd_zero, . - trapcast_fpsimd_zero",
    ".popsection",
);

/// Copies `bytes` from `from` to `to`, with V0 to V3.
///
/// # Safety
/// `from` is valid for reads and `to` for writes of `bytes`, and the two do not overlap. The gate
/// is open, and the values of V0 to V3 are not needed.
///
/// # Panics
/// If `bytes` is not a multiple of 64.
pub unsafe fn copy(to: *mut u8, from: *const u8, bytes: usize) {
    assert!(bytes.is_multiple_of(STEP), "copy of {bytes} bytes");
    if bytes != 0 {
        // SAFETY: the loop reads and writes just `bytes`, a positive multiple of its step, which
        // the caller vouches for; Normal memory takes accesses of any alignment.
        unsafe {
            asm!(
                "bl trapcast_fpsimd_copy",
                inout("x0") to => _,
                inout("x1") from => _,
                inout("x2") bytes => _,
                out("x30") _,
                options(nostack),
            );
        }
    }
}

/// Writes zeroes to `bytes` at `to`, with V0.
///
/// # Safety
/// `to` is valid for writes of `bytes`. The gate is open, and the value of V0 is not needed.
///
/// # Panics
/// If `bytes` is not a multiple of 64.
pub unsafe fn zero(to: *mut u8, bytes: usize) {
    assert!(bytes.is_multiple_of(STEP), "zeroing of {bytes} bytes");
    if bytes != 0 {
        // SAFETY: as for `copy`.
        unsafe {
            asm!(
                "bl trapcast_fpsimd_zero",
                inout("x0") to => _,
                inout("x2") bytes => _,
                out("x30") _,
                options(nostack),
            );
        }
    }
}
