//! One FP/SIMD instruction.

use core::arch::asm;

/// Executes one SIMD instruction, which leaves V0 as it is.
#[inline(always)]
pub fn touch() {
    // SAFETY: FP access is on since the start; V0 keeps its value.
    unsafe {
        asm!(
            ".arch_extension simd",
            "mov v0.16b, v0.16b",
            ".arch_extension nosimd",
            ".arch_extension nofp",
            options(nomem, nostack, preserves_flags),
        );
    }
}
