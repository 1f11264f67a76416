//! Save, load and exchange of the SVE register file, at the vector length of the file.
//!
//! One base register in the middle of the file reaches Z0 to Z31 by offsets of -16 to 15 vectors, and
//! P0 to P15 and FFR by offsets of 128 to 144 predicates. The functions touch x0 to x3, and only
//! `save_narrow` the flags, so that an exception vector may call them with few registers saved.
//!
//! ZCR_EL2.LEN counts for the instructions that follow its write without an ISB (Arm ARM, D24.2
//! "ZCR_EL2, SVE Control Register (EL2)").

use core::arch::{asm, global_asm};

use crate::{FpSimd, SveArea, VectorLengths, moves::call, sve::Granule};

global_asm!(
    ".pushsection .text.trapcast_fpsimd_sve, \"ax\"",
    ".arch_extension fp",
    ".arch_extension simd",
    ".arch_extension sve",
    ".arch_extension sme",
    // The vector length of the file at `base`. The write is left out where it changes nothing: it may
    // stall the core, or trap if this EL2 is itself a guest's.
    ".macro trapcast_set_length base",
    "ldr x2, [\\base]",
    "mrs x3, zcr_el2",
    "eor x3, x3, x2",
    "cbz x3, 1f",
    "msr zcr_el2, x2",
    "1:",
    ".endm",
    ".macro trapcast_middle base",
    "add x2, \\base, #32",
    "addvl x2, x2, #16",
    ".endm",
    ".macro trapcast_z op",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "\\op z\\n, [x2, #\\n - 16, mul vl]",
    ".endr",
    ".endm",
    ".macro trapcast_p op",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "\\op p\\n, [x2, #128 + \\n, mul vl]",
    ".endr",
    ".endm",
    ".macro trapcast_save_status base",
    "mrs x2, fpsr",
    "mrs x3, fpcr",
    "stp x2, x3, [\\base, #16]",
    ".endm",
    ".macro trapcast_load_status base",
    "ldp x2, x3, [\\base, #16]",
    "msr fpsr, x2",
    "msr fpcr, x3",
    ".endm",
    // FFR is read through P0, which gets its own value back.
    ".macro trapcast_save_ffr",
    "rdffr p0.b",
    "str p0, [x2, #144, mul vl]",
    "ldr p0, [x2, #128, mul vl]",
    ".endm",
    ".macro trapcast_load_ffr",
    "ldr p0, [x2, #144, mul vl]",
    "wrffr p0.b",
    ".endm",
    ".macro trapcast_sve_save_to base",
    "trapcast_set_length \\base",
    "trapcast_save_status \\base",
    "trapcast_middle \\base",
    "trapcast_z str",
    "trapcast_p str",
    "trapcast_save_ffr",
    ".endm",
    ".macro trapcast_sve_load_from base",
    "trapcast_set_length \\base",
    "trapcast_middle \\base",
    "trapcast_load_ffr",
    "trapcast_p ldr",
    "trapcast_z ldr",
    "trapcast_load_status \\base",
    ".endm",
    ".altmacro",
    ".macro trapcast_pair n",
    "trapcast_pair_of %(2 * \\n), %(2 * \\n + 1)",
    ".endm",
    ".macro trapcast_pair_of n, m",
    "stp q\\n, q\\m, [x1, #16 + 16 * \\n]",
    ".endm",
    ".macro trapcast_function name",
    ".balign 64",
    ".global \\name",
    ".type \\name, %function",
    "\\name:",
    ".endm",
    // x0: to
    "trapcast_function trapcast_fpsimd_sve_save",
    "trapcast_sve_save_to x0",
    "ret",
    ".size trapcast_fpsimd_sve_save, . - trapcast_fpsimd_sve_save",
    // x0: from
    "trapcast_function trapcast_fpsimd_sve_load",
    "trapcast_sve_load_from x0",
    "ret",
    ".size trapcast_fpsimd_sve_load, . - trapcast_fpsimd_sve_load",
    // x0: to, x1: from
    "trapcast_function trapcast_fpsimd_sve_exchange",
    "trapcast_sve_save_to x0",
    "trapcast_sve_load_from x1",
    "ret",
    ".size trapcast_fpsimd_sve_exchange, . - trapcast_fpsimd_sve_exchange",
    // x0: from. A write to V<n> zeroes the rest of Z<n>.
    "trapcast_function trapcast_fpsimd_sve_widen",
    "trapcast_set_length x0",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "mov v\\n\\().16b, v\\n\\().16b",
    ".endr",
    "trapcast_middle x0",
    "trapcast_load_ffr",
    "trapcast_p ldr",
    "ret",
    ".size trapcast_fpsimd_sve_widen, . - trapcast_fpsimd_sve_widen",
    // x0: to, x1: to for V alone. Z0 collects what any of Z1 to Z31 holds, once it is saved itself; where
    // nothing is set above 128 bits, the V registers are all of Z. Returns in x0: 1 if
    // Z was saved, 0 if V was. FPSR and FPCR go with them.
    "trapcast_function trapcast_fpsimd_sve_save_narrow",
    "trapcast_set_length x0",
    "trapcast_middle x0",
    "trapcast_p str",
    "trapcast_save_ffr",
    "str z0, [x2, #-16, mul vl]",
    ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "orr z0.d, z0.d, z\\n\\().d",
    ".endr",
    "ptrue p0.d",
    "ptrue p1.d, vl2",
    "bic p0.b, p0/z, p0.b, p1.b",
    "cmpne p0.d, p0/z, z0.d, #0",
    "b.any 1f",
    "ldr q0, [x0, #32]",
    "stp q0, q1, [x1, #16]",
    ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "trapcast_pair \\n",
    ".endr",
    "mrs x2, fpsr",
    "mrs x3, fpcr",
    "stp x2, x3, [x1]",
    "mov x0, #0",
    "ret",
    "1:",
    ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "str z\\n, [x2, #\\n - 16, mul vl]",
    ".endr",
    "trapcast_save_status x0",
    "mov x0, #1",
    "ret",
    ".size trapcast_fpsimd_sve_save_narrow, . - trapcast_fpsimd_sve_save_narrow",
    // In streaming mode, at its vector length. x0: to, x1: FFR too, or 0
    "trapcast_function trapcast_fpsimd_streaming_save",
    "trapcast_save_status x0",
    "trapcast_middle x0",
    "trapcast_z str",
    "trapcast_p str",
    "cbz x1, 1f",
    "trapcast_save_ffr",
    "1:",
    "ret",
    ".size trapcast_fpsimd_streaming_save, . - trapcast_fpsimd_streaming_save",
    // x0: from, x1: FFR too, or 0
    "trapcast_function trapcast_fpsimd_streaming_load",
    "trapcast_middle x0",
    "cbz x1, 1f",
    "trapcast_load_ffr",
    "1:",
    "trapcast_p ldr",
    "trapcast_z ldr",
    "trapcast_load_status x0",
    "ret",
    ".size trapcast_fpsimd_streaming_load, . - trapcast_fpsimd_streaming_load",
    // The lengths that the core answers with, from the longest down, as bits of x0. ZCR_EL2 stays.
    "trapcast_function trapcast_fpsimd_sve_lengths",
    "mrs x1, zcr_el2",
    "mov x0, #0",
    "mov x2, #15",
    "0:",
    "msr zcr_el2, x2",
    "rdvl x3, #1",
    "lsr x3, x3, #4",
    "sub x2, x3, #1",
    "mov x3, #1",
    "lsl x3, x3, x2",
    "orr x0, x0, x3",
    "sub x2, x2, #1",
    "tbz x2, #63, 0b",
    "msr zcr_el2, x1",
    "ret",
    ".size trapcast_fpsimd_sve_lengths, . - trapcast_fpsimd_sve_lengths",
    ".noaltmacro",
    ".purgem trapcast_pair",
    ".purgem trapcast_pair_of",
    ".purgem trapcast_set_length",
    ".purgem trapcast_middle",
    ".purgem trapcast_z",
    ".purgem trapcast_p",
    ".purgem trapcast_save_status",
    ".purgem trapcast_load_status",
    ".purgem trapcast_save_ffr",
    ".purgem trapcast_load_ffr",
    ".purgem trapcast_sve_save_to",
    ".purgem trapcast_sve_load_from",
    ".purgem trapcast_function",
    ".popsection",
);

impl SveArea {
    /// Saves the CPU's registers here, at the file's vector length. They keep their values.
    ///
    /// # Safety
    /// The file is valid for a write. The code is built for a soft-float target, the gates of FP/SIMD
    /// and SVE are open, and the core has the file's vector length. SVCR is 0. ZCR_EL2 has not
    /// selected a shorter length since the registers were loaded.
    #[inline]
    pub unsafe fn save(self) {
        // SAFETY: writes no more than `SveFile::bytes` of the file's length, which the caller vouches
        // for.
        unsafe { call!(trapcast_fpsimd_sve_save, self.0.as_ptr(), 0usize) }
    }

    /// Saves the CPU's registers, V alone to `fp` if Z holds nothing above 128 bits, else all of Z
    /// here; P and FFR go here in any case. Returns whether it was Z. FPSR and FPCR go with the vectors.
    ///
    /// For the next load: V alone costs less, and only after this answer was `false` may it be loaded
    /// without the rest. Z0, P0 and P1 of the CPU are lost.
    ///
    /// # Safety
    /// As for [`save`](Self::save), and `fp` is valid for a write.
    #[inline]
    pub unsafe fn save_narrow(self, fp: *mut FpSimd) -> bool {
        let wide: u64;
        // SAFETY: writes to the file and to `fp`, which the caller vouches for.
        unsafe {
            asm!(
                "bl trapcast_fpsimd_sve_save_narrow",
                inout("x0") self.0.as_ptr() => wide,
                inout("x1") fp => _,
                out("x2") _,
                out("x3") _,
                out("x30") _,
                options(nostack),
            );
        }
        wide != 0
    }

    /// Loads the CPU's registers from here. ZCR_EL2 is left at the file's vector length, which is
    /// then the most that the guest can select.
    ///
    /// # Safety
    /// As for [`save`](Self::save), with the file valid for a read. What the registers held is lost.
    #[inline]
    pub unsafe fn load(self) {
        // SAFETY: reads the file, as above.
        unsafe { call!(trapcast_fpsimd_sve_load, self.0.as_ptr(), 0usize) }
    }

    /// Saves the CPU's registers here, then loads them from `from`. The two may have different
    /// vector lengths.
    ///
    /// # Safety
    /// As for [`save`](Self::save) and [`load`](Self::load).
    #[inline]
    pub unsafe fn exchange(self, from: Self) {
        // SAFETY: as above, for both.
        unsafe {
            call!(
                trapcast_fpsimd_sve_exchange,
                self.0.as_ptr(),
                from.0.as_ptr()
            )
        }
    }

    /// Makes V0 to V31, which are in the core, Z0 to Z31 at the file's vector length with zeroes
    /// above, and loads P0 to P15 and FFR. V, FPSR and FPCR stay as they are.
    ///
    /// For a guest that used FP/SIMD first and now uses SVE, if the file's Z registers hold nothing
    /// above 128 bits: the V registers need not go through memory.
    ///
    /// # Safety
    /// As for [`load`](Self::load), but V0 to V31, FPSR and FPCR are the guest's own.
    #[inline]
    pub unsafe fn widen(self) {
        // SAFETY: reads the file, as above.
        unsafe { call!(trapcast_fpsimd_sve_widen, self.0.as_ptr(), 0usize) }
    }
}

impl VectorLengths {
    /// Asks the core which vector lengths it has outside streaming mode. ZCR_EL2 is as before then.
    ///
    /// # Safety
    /// Runs at EL2, on a core with SVE (ID_AA64PFR0_EL1.SVE), with the gates of FP/SIMD and SVE open.
    /// What Z, P and FFR hold is not needed: a shorter length may lose it. SVCR.SM is 0.
    pub unsafe fn of_sve() -> Self {
        let lengths: u64;
        // SAFETY: changes x0 to x3 and registers that are not needed.
        unsafe {
            asm!(
                "bl trapcast_fpsimd_sve_lengths",
                out("x0") lengths,
                out("x1") _,
                out("x2") _,
                out("x3") _,
                out("x30") _,
                options(nostack, preserves_flags),
            );
        }
        Self::from_bitmap(lengths as u16)
    }
}

/// Saves the registers in streaming mode behind the header at `to`, FFR only where it is accessible.
///
/// # Safety
/// As for [`SveArea::save`], at the streaming vector length, with SVCR.SM = 1 and the gate of SME
/// open.
#[inline]
pub(crate) unsafe fn save_streaming(to: *mut Granule, ffr: bool) {
    // SAFETY: as the caller vouches for.
    unsafe { call!(trapcast_fpsimd_streaming_save, to, u64::from(ffr)) }
}

/// Loads the registers in streaming mode.
///
/// # Safety
/// As for [`save_streaming`], and what the registers held is lost.
#[inline]
pub(crate) unsafe fn load_streaming(from: *const Granule, ffr: bool) {
    // SAFETY: as the caller vouches for.
    unsafe { call!(trapcast_fpsimd_streaming_load, from, u64::from(ffr)) }
}
