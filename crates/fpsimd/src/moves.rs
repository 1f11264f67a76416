//! Save, load and exchange of the register file: 16 STP and 16 LDP of Q registers, FPSR and FPCR.
//!
//! The functions follow the procedure call standard but touch nothing beyond x0 to x3 and the
//! register file itself, so that an exception vector may call them with few registers saved.

use core::arch::global_asm;

use crate::FpSimd;

global_asm!(
    ".pushsection .text.trapcast_fpsimd, \"ax\"",
    ".arch_extension fp",
    ".arch_extension simd",
    ".macro trapcast_save_to base",
    ".irp n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30",
    "trapcast_pair stp, \\base, \\n",
    ".endr",
    "mrs x2, fpsr",
    "mrs x3, fpcr",
    "stp x2, x3, [\\base]",
    ".endm",
    ".macro trapcast_load_from base",
    ".irp n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30",
    "trapcast_pair ldp, \\base, \\n",
    ".endr",
    "ldp x2, x3, [\\base]",
    "msr fpsr, x2",
    "msr fpcr, x3",
    ".endm",
    ".altmacro",
    ".macro trapcast_pair op, base, n",
    "trapcast_pair_of \\op, \\base, \\n, %(\\n + 1)",
    ".endm",
    ".macro trapcast_pair_of op, base, n, m",
    "\\op q\\n, q\\m, [\\base, #16 + 16 * \\n]",
    ".endm",
    ".balign 64",
    ".global trapcast_fpsimd_save",
    ".type trapcast_fpsimd_save, %function",
    "trapcast_fpsimd_save:",
    "trapcast_save_to x0",
    "ret",
    ".size trapcast_fpsimd_save, . - trapcast_fpsimd_save",
    ".balign 64",
    ".global trapcast_fpsimd_load",
    ".type trapcast_fpsimd_load, %function",
    "trapcast_fpsimd_load:",
    "trapcast_load_from x0",
    "ret",
    ".size trapcast_fpsimd_load, . - trapcast_fpsimd_load",
    ".balign 64",
    ".global trapcast_fpsimd_exchange",
    ".type trapcast_fpsimd_exchange, %function",
    "trapcast_fpsimd_exchange:",
    "trapcast_save_to x0",
    "trapcast_load_from x1",
    "ret",
    ".size trapcast_fpsimd_exchange, . - trapcast_fpsimd_exchange",
    ".noaltmacro",
    ".purgem trapcast_pair",
    ".purgem trapcast_pair_of",
    ".purgem trapcast_save_to",
    ".purgem trapcast_load_from",
    ".popsection",
);

/// Calls one of this crate's functions that move vector registers. Only x0 to x3 and the link register change, and the register
/// file, which the compiler does not use on a soft-float target.
macro_rules! call {
    ($function:ident, $first:expr, $second:expr) => {
        core::arch::asm!(
            concat!("bl ", stringify!($function)),
            inout("x0") $first => _,
            inout("x1") $second => _,
            out("x2") _,
            out("x3") _,
            out("x30") _,
            options(nostack, preserves_flags),
        )
    };
}
pub(crate) use call;

impl FpSimd {
    /// Saves the CPU's registers to `to`.
    ///
    /// # Safety
    /// `to` is valid for a write. The code is built for a soft-float target, and the gate is
    /// open ([`Cptr::unlock`](crate::Cptr::unlock)).
    #[inline]
    pub unsafe fn save(to: *mut Self) {
        // SAFETY: writes `size_of::<Self>()` bytes to `to`, which the caller vouches for, by
        // 16-byte accesses to which the type's alignment is sufficient.
        unsafe { call!(trapcast_fpsimd_save, to, 0usize) }
    }

    /// Loads the CPU's registers from `from`.
    ///
    /// # Safety
    /// As for [`save`](Self::save), with `from` valid for a read. What the registers held is lost.
    #[inline]
    pub unsafe fn load(from: *const Self) {
        // SAFETY: reads `size_of::<Self>()` bytes from `from`, as above.
        unsafe { call!(trapcast_fpsimd_load, from, 0usize) }
    }

    /// Saves the CPU's registers to `to`, then loads them from `from`.
    ///
    /// # Safety
    /// As for [`save`](Self::save) and [`load`](Self::load).
    #[inline]
    pub unsafe fn exchange(to: *mut Self, from: *const Self) {
        // SAFETY: as above, for both.
        unsafe { call!(trapcast_fpsimd_exchange, to, from) }
    }
}
