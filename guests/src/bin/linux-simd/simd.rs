//! The FP/SIMD instructions of this program: all registers at once, and three kernels.

use core::arch::global_asm;

use trapcast_guests::pattern::Registers;

global_asm!(
    include_str!("../../registers.s"),
    r#"
    .arch_extension fp
    .arch_extension simd
    .global simd_store, simd_load, simd_multiply, simd_saxpy, simd_popcount
    .section .text.simd, "ax"

    simd_store:
        store_registers x0, x1, w1
        ret
    simd_load:
        load_registers x0, x1, w1
        ret
    .purgem store_registers
    .purgem load_registers

    // x0 = x1 * x2, 4x4 matrices of f32 in column-major order.
    simd_multiply:
        ld1     {{v0.4s-v3.4s}}, [x1]
        ld1     {{v4.4s-v7.4s}}, [x2]
        fmul    v16.4s, v0.4s, v4.s[0]
        fmul    v17.4s, v0.4s, v5.s[0]
        fmul    v18.4s, v0.4s, v6.s[0]
        fmul    v19.4s, v0.4s, v7.s[0]
        fmla    v16.4s, v1.4s, v4.s[1]
        fmla    v17.4s, v1.4s, v5.s[1]
        fmla    v18.4s, v1.4s, v6.s[1]
        fmla    v19.4s, v1.4s, v7.s[1]
        fmla    v16.4s, v2.4s, v4.s[2]
        fmla    v17.4s, v2.4s, v5.s[2]
        fmla    v18.4s, v2.4s, v6.s[2]
        fmla    v19.4s, v2.4s, v7.s[2]
        fmla    v16.4s, v3.4s, v4.s[3]
        fmla    v17.4s, v3.4s, v5.s[3]
        fmla    v18.4s, v3.4s, v6.s[3]
        fmla    v19.4s, v3.4s, v7.s[3]
        st1     {{v16.4s-v19.4s}}, [x0]
        ret

    // x0 += 5 * x1, arrays of x2 f32; x2 is a multiple of 8.
    simd_saxpy:
        fmov    v0.4s, #5.0
    1:  ldp     q1, q2, [x0]
        ldp     q3, q4, [x1], #32
        fmla    v1.4s, v0.4s, v3.4s
        fmla    v2.4s, v0.4s, v4.4s
        stp     q1, q2, [x0], #32
        subs    x2, x2, #8
        b.ne    1b
        ret

    // Returns the number of bits that are set in x1 bytes at x0; x1 is a multiple of 16.
    simd_popcount:
        movi    v0.2d, #0
    1:  ldr     q1, [x0], #16
        cnt     v1.16b, v1.16b
        uaddlv  h1, v1.16b
        add     d0, d0, d1
        subs    x1, x1, #16
        b.ne    1b
        fmov    x0, d0
        ret

    .arch_extension nosimd
    .arch_extension nofp
    "#
);

unsafe extern "C" {
    fn simd_store(registers: *mut Registers);
    fn simd_load(registers: *const Registers);
    fn simd_multiply(product: *mut f32, left: *const f32, right: *const f32);
    fn simd_saxpy(sums: *mut f32, addends: *const f32, length: usize);
    fn simd_popcount(bytes: *const u8, length: usize) -> u64;
}

/// A 4x4 matrix in column-major order.
pub type Matrix = [f32; 16];

/// What all registers hold.
pub fn store() -> Registers {
    let mut registers = Registers::ZERO;
    // SAFETY: writes one `Registers`; changes X1 only.
    unsafe { simd_store(&raw mut registers) };
    registers
}

/// Sets all registers.
pub fn load(registers: &Registers) {
    // SAFETY: reads one `Registers`; no Rust code of this target keeps anything in V registers.
    unsafe { simd_load(registers) };
}

/// The product of two matrices.
pub fn multiply(left: &Matrix, right: &Matrix) -> Matrix {
    let mut product = [0.0; 16];
    // SAFETY: each pointer is that of 16 numbers; as above for the registers.
    unsafe { simd_multiply(product.as_mut_ptr(), left.as_ptr(), right.as_ptr()) };
    product
}

/// Adds 5 times the addends to the sums, element by element.
pub fn saxpy<const LENGTH: usize>(sums: &mut [f32; LENGTH], addends: &[f32; LENGTH]) {
    const { assert!(LENGTH > 0 && LENGTH.is_multiple_of(8)) };
    // SAFETY: both pointers are those of `LENGTH` numbers, a multiple of 8.
    unsafe { simd_saxpy(sums.as_mut_ptr(), addends.as_ptr(), LENGTH) };
}

/// The number of bits that are set.
pub fn popcount<const LENGTH: usize>(bytes: &[u8; LENGTH]) -> u64 {
    const { assert!(LENGTH > 0 && LENGTH.is_multiple_of(16)) };
    // SAFETY: the pointer is that of `LENGTH` bytes, a multiple of 16.
    unsafe { simd_popcount(bytes.as_ptr(), LENGTH) }
}
