//! Filling and reading the registers without the crate that is checked: one register after the
//! other, at addresses that this program counts itself.

use core::arch::global_asm;

use trapcast_fpsimd::{FpSimd, VectorLength};

use crate::pattern::Vectors;

global_asm!(
    ".pushsection .text.check_registers, \"ax\"",
    ".arch_extension fp",
    ".arch_extension simd",
    ".arch_extension sve",
    ".arch_extension sme",
    ".macro check_each op, register, last",
    ".set check_n, 0",
    ".rept \\last + 1",
    "check_one \\op, \\register, %check_n",
    ".set check_n, check_n + 1",
    ".endr",
    ".endm",
    ".altmacro",
    ".macro check_one op, register, n",
    "\\op \\register\\()\\n, [x0]",
    "add x0, x0, x1",
    ".endm",
    // x0: values, x1: bytes of each
    "check_load_v: check_each ldr, q, 31",
    "ret",
    "check_store_v: check_each str, q, 31",
    "ret",
    "check_load_z: check_each ldr, z, 31",
    "ret",
    "check_store_z: check_each str, z, 31",
    "ret",
    "check_load_p: check_each ldr, p, 15",
    "ret",
    "check_store_p: check_each str, p, 15",
    "ret",
    ".noaltmacro",
    ".purgem check_each",
    ".purgem check_one",
    // x0: value. P0 is lost.
    "check_load_ffr: ldr p0, [x0]",
    "wrffr p0.b",
    "ret",
    "check_store_ffr: rdffr p0.b",
    "str p0, [x0]",
    "ret",
    // x0: rows, x1: bytes of each, x2: how many
    "check_load_za: mov w12, #0",
    "0: ldr za[w12, 0], [x0]",
    "add x0, x0, x1",
    "add w12, w12, #1",
    "cmp w12, w2",
    "b.ne 0b",
    "ret",
    "check_store_za: mov w12, #0",
    "0: str za[w12, 0], [x0]",
    "add x0, x0, x1",
    "add w12, w12, #1",
    "cmp w12, w2",
    "b.ne 0b",
    "ret",
    "check_vl: rdvl x0, #1",
    "ret",
    "check_svl: rdsvl x0, #1",
    "ret",
    "check_touch_v: mov v0.16b, v0.16b",
    "ret",
    "check_touch_z: mov z0.d, z0.d",
    "ret",
    ".popsection",
);

unsafe extern "C" {
    fn check_load_v(values: *const u128, size: usize);
    fn check_store_v(values: *mut u128, size: usize);
    fn check_load_z(values: *const u8, size: usize);
    fn check_store_z(values: *mut u8, size: usize);
    fn check_load_p(values: *const u8, size: usize);
    fn check_store_p(values: *mut u8, size: usize);
    fn check_load_ffr(value: *const u8);
    fn check_store_ffr(value: *mut u8);
    fn check_load_za(rows: *const u8, size: usize, count: usize);
    fn check_store_za(rows: *mut u8, size: usize, count: usize);
    safe fn check_vl() -> usize;
    safe fn check_svl() -> usize;
    safe fn check_touch_v();
    safe fn check_touch_z();
}

/// Executes an instruction that uses V.
pub fn touch_v() {
    check_touch_v();
}

/// Executes an instruction that uses Z.
pub fn touch_z() {
    check_touch_z();
}

/// Executes an instruction of SME.
pub fn touch_sme() {
    check_svl();
}

/// The vector length that counts now.
pub fn vector_length() -> Option<VectorLength> {
    VectorLength::from_bits(check_vl() * 8)
}

/// The streaming vector length, in streaming mode or not.
pub fn streaming_length() -> Option<VectorLength> {
    VectorLength::from_bits(check_svl() * 8)
}

/// Fills V, FPSR and FPCR.
pub fn load_fp(fp: &FpSimd) {
    // SAFETY: moves registers that nobody else uses, from or to memory that is large enough.
    unsafe { check_load_v(fp.v.as_ptr(), 16) }
    load_status(fp.fpsr, fp.fpcr);
}

/// Reads V, FPSR and FPCR.
pub fn store_fp() -> FpSimd {
    let mut fp = FpSimd::ZERO;
    // SAFETY: moves registers that nobody else uses, from or to memory that is large enough.
    unsafe { check_store_v(fp.v.as_mut_ptr(), 16) }
    (fp.fpsr, fp.fpcr) = status();
    fp
}

/// Fills Z, P, FPSR and FPCR, and FFR if it is accessible, at the vector length that counts now.
pub fn load(vectors: &Vectors, length: VectorLength, ffr: bool) {
    if ffr {
        // SAFETY: moves registers that nobody else uses, from or to memory that is large enough.
        unsafe { check_load_ffr(vectors.ffr.as_ptr()) }
    }
    // SAFETY: moves registers that nobody else uses, from or to memory that is large enough.
    unsafe { check_load_p(vectors.p.as_ptr(), length.predicate_bytes()) }
    // SAFETY: moves registers that nobody else uses, from or to memory that is large enough.
    unsafe { check_load_z(vectors.z.as_ptr(), length.bytes()) }
    load_status(vectors.fpsr, vectors.fpcr);
}

/// Reads Z, P, FPSR and FPCR, and FFR if it is accessible.
pub fn store(vectors: &mut Vectors, length: VectorLength, ffr: bool) {
    *vectors = Vectors::ZERO;
    (vectors.fpsr, vectors.fpcr) = status();
    // SAFETY: moves registers that nobody else uses, from or to memory that is large enough.
    unsafe { check_store_z(vectors.z.as_mut_ptr(), length.bytes()) }
    // SAFETY: moves registers that nobody else uses, from or to memory that is large enough.
    unsafe { check_store_p(vectors.p.as_mut_ptr(), length.predicate_bytes()) }
    if ffr {
        // SAFETY: moves registers that nobody else uses, from or to memory that is large enough.
        unsafe { check_store_ffr(vectors.ffr.as_mut_ptr()) }
        // SAFETY: moves registers that nobody else uses, from or to memory that is large enough.
        unsafe { check_load_p(vectors.p.as_ptr(), length.predicate_bytes()) }
    }
}

/// Fills ZA.
pub fn load_za(rows: &[u8], length: VectorLength) {
    // SAFETY: moves registers that nobody else uses, from or to memory that is large enough.
    unsafe { check_load_za(rows.as_ptr(), length.bytes(), length.bytes()) }
}

/// Reads ZA.
pub fn store_za(rows: &mut [u8], length: VectorLength) {
    // SAFETY: moves registers that nobody else uses, from or to memory that is large enough.
    unsafe { check_store_za(rows.as_mut_ptr(), length.bytes(), length.bytes()) }
}

/// FPSR and FPCR.
pub fn status() -> (u64, u64) {
    (crate::mrs!("S3_3_C4_C4_1"), crate::mrs!("S3_3_C4_C4_0"))
}

fn load_status(fpsr: u64, fpcr: u64) {
    // SAFETY: no arithmetic of this program's depends on them.
    unsafe {
        crate::msr!("S3_3_C4_C4_1", fpsr);
        crate::msr!("S3_3_C4_C4_0", fpcr);
    }
}
