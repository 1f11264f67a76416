//! One SVE instruction, at the longest vector length that there is.

use core::arch::asm;

use super::vectors;
use crate::vectors::MAX_GRANULES;

/// Lets this CPU use SVE at the longest length that it has.
///
/// # Errors
///
/// If it has no SVE.
pub fn open() -> Result<(), &'static str> {
    if !vectors::Features::read().sve {
        return Err("this CPU shows no SVE; give this VM sve=max on a core that has it");
    }
    vectors::open();
    vectors::select(MAX_GRANULES);
    Ok(())
}

/// Executes one SVE instruction, which leaves Z0 as it is.
#[inline(always)]
pub fn touch() {
    // SAFETY: [`open`] has found SVE and lets it be used; Z0 keeps its value.
    unsafe {
        asm!(
            ".arch_extension sve",
            "mov z0.d, z0.d",
            ".arch_extension nosve",
            ".arch_extension nosimd",
            ".arch_extension nofp",
            options(nomem, nostack, preserves_flags),
        );
    }
}
