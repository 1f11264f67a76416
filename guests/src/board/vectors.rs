//! Z, P, FFR, ZA and the registers that control them: moves to and from memory.
//!
//! Sources: Arm ARM, "ZCR_EL1", "SMCR_EL1", "SVCR", "TPIDR2_EL0", "CPACR_EL1", "ID_AA64PFR0_EL1",
//! "ID_AA64PFR1_EL1", "ID_AA64SMFR0_EL1".

use core::arch::global_asm;

use crate::classes::Lengths;
use crate::pattern::Registers;
use crate::vectors::{MAX_GRANULES, Vector, Vectors};
use crate::{read_sysreg, write_sysreg};

/// SVCR.SM: streaming mode is on.
pub const SM: u64 = 1 << 0;
/// SVCR.ZA: ZA is on.
pub const ZA: u64 = 1 << 1;

/// CPACR_EL1: ZEN, FPEN and SMEN let EL1 and EL0 use the registers.
const CPACR_OPEN: u64 = 0b11 << 16 | 0b11 << 20 | 0b11 << 24;
/// SMCR_EL1.FA64: in streaming mode, all instructions and FFR can be used.
const FA64: u64 = 1 << 31;

/// ZA, with room for the largest: row by row.
pub type Rows = [Vector; 16 * MAX_GRANULES];

global_asm!(
    include_str!("../registers.s"),
    r#"
    .arch_extension fp
    .arch_extension simd
    .arch_extension sve
    .arch_extension sme
    .section .text.vectors_moves, "ax"

    // Vectors at x0; FFR only if x1 is not 0. Changes x2 and x3.
    .global store_vectors, load_vectors, store_za, load_za, vector_bytes, streaming_bytes
    store_vectors:
        mov     x2, x0
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        str     z\n, [x2]
        add     x2, x2, #256
    .endr
        mov     x3, x2
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        str     p\n, [x3]
        add     x3, x3, #32
    .endr
        cbz     x1, 31f
        rdffr   p0.b
        str     p0, [x3]
        ldr     p0, [x2]
    31: mrs     x2, fpsr
        str     x2, [x3, #32]
        mrs     x2, fpcr
        str     x2, [x3, #40]
        ret
    load_vectors:
        add     x3, x0, #8192
        cbz     x1, 32f
        add     x2, x3, #512
        ldr     p0, [x2]
        wrffr   p0.b
    32:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        ldr     p\n, [x3]
        add     x3, x3, #32
    .endr
        mov     x2, x0
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        ldr     z\n, [x2]
        add     x2, x2, #256
    .endr
        ldr     x2, [x3, #32]
        msr     fpsr, x2
        ldr     x2, [x3, #40]
        msr     fpcr, x2
        ret

    // x0: rows, x1: how many. Changes x0, x12.
    store_za:
        mov     w12, #0
    33: str     za[w12, 0], [x0]
        add     x0, x0, #256
        add     w12, w12, #1
        cmp     x12, x1
        b.ne    33b
        ret
    load_za:
        mov     w12, #0
    34: ldr     za[w12, 0], [x0]
        add     x0, x0, #256
        add     w12, w12, #1
        cmp     x12, x1
        b.ne    34b
        ret

    vector_bytes:
        rdvl    x0, #1
        ret
    streaming_bytes:
        rdsvl   x0, #1
        ret

    // The FP/SIMD registers at x0. Changes x1.
    .global store_fp, load_fp
    store_fp:
        store_registers x0, x1, w1
        ret
    load_fp:
        load_registers x0, x1, w1
        ret
    .purgem store_registers
    .purgem load_registers
    .arch_extension nosme
    .arch_extension nosve
    .arch_extension nosimd
    .arch_extension nofp
    "#
);

unsafe extern "C" {
    fn store_vectors(to: *mut Vectors, with_ffr: u64);
    fn load_vectors(from: *const Vectors, with_ffr: u64);
    fn store_za(to: *mut Rows, rows: u64);
    fn load_za(from: *const Rows, rows: u64);
    fn vector_bytes() -> u64;
    fn streaming_bytes() -> u64;
    fn store_fp(to: *mut Registers);
    fn load_fp(from: *const Registers);
}

/// What this CPU has.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// SVE.
    pub sve: bool,
    /// SME.
    pub sme: bool,
    /// SME with all instructions in streaming mode.
    pub fa64: bool,
}

impl Features {
    /// Reads the ID registers.
    #[must_use]
    pub fn read() -> Self {
        Self {
            sve: read_sysreg!("ID_AA64PFR0_EL1") >> 32 & 0xf != 0,
            sme: read_sysreg!("ID_AA64PFR1_EL1") >> 24 & 0xf != 0,
            // ID_AA64SMFR0_EL1
            fa64: read_sysreg!("S3_0_C0_C4_5") >> 63 != 0,
        }
    }
}

/// Lets EL1 and EL0 use all registers that the CPU has.
pub fn open() {
    // SAFETY: traps fewer instructions; nothing else uses the registers.
    unsafe { write_sysreg!("cpacr_el1", CPACR_OPEN) };
}

/// Asks for a vector length and returns what the CPU selects, both in granules. Not in streaming
/// mode.
pub fn select(granules: usize) -> usize {
    // SAFETY: the checker knows what this does to its registers. ZCR_EL1
    unsafe { write_sysreg!("S3_0_C1_C2_0", granules as u64 - 1) };
    self::granules()
}

/// The vector length in force, in granules. Only with SVE or in streaming mode.
pub fn granules() -> usize {
    // SAFETY: the CPU has the instruction, as the caller knows.
    unsafe { vector_bytes() as usize / 16 }
}

/// Asks for a streaming vector length and returns what the CPU selects, both in granules. Only with
/// streaming mode and ZA off.
pub fn select_streaming(granules: usize, fa64: bool) -> usize {
    let fa64 = if fa64 { FA64 } else { 0 };
    // SAFETY: no register has this length now. SMCR_EL1
    unsafe { write_sysreg!("S3_0_C1_C2_6", (granules as u64 - 1) | fa64) };
    // SAFETY: the CPU has SME.
    unsafe { streaming_bytes() as usize / 16 }
}

/// All that the CPU selects when it is asked for every length.
pub fn lengths(select: impl Fn(usize) -> usize) -> Lengths {
    let asked = 1..=MAX_GRANULES;
    asked.fold(Lengths::default(), |known, granules| {
        known.with(select(granules))
    })
}

/// Reads Z, P, FPSR and FPCR, and FFR if it is accessible.
pub fn store(to: &mut Vectors, with_ffr: bool) {
    // SAFETY: the CPU has SVE or is in streaming mode; there is room for the longest vectors.
    unsafe { store_vectors(to, with_ffr.into()) }
}

/// Fills Z, P, FPSR and FPCR, and FFR if it is accessible.
pub fn load(from: &Vectors, with_ffr: bool) {
    // SAFETY: as above; no Rust code uses the registers.
    unsafe { load_vectors(from, with_ffr.into()) }
}

/// Reads V, FPSR and FPCR.
pub fn store_v(to: &mut Registers) {
    // SAFETY: there is room.
    unsafe { store_fp(to) }
}

/// Fills V, FPSR and FPCR.
pub fn load_v(from: &Registers) {
    // SAFETY: no Rust code uses the registers.
    unsafe { load_fp(from) }
}

/// Reads ZA at a streaming vector length of `granules`. ZA is on.
pub fn store_rows(to: &mut Rows, granules: usize) {
    // SAFETY: ZA is on and has as many rows as a row has bytes; there is room for the longest.
    unsafe { store_za(to, 16 * granules as u64) }
}

/// Fills ZA at a streaming vector length of `granules`. ZA is on.
pub fn load_rows(from: &Rows, granules: usize) {
    // SAFETY: as above; no Rust code uses ZA.
    unsafe { load_za(from, 16 * granules as u64) }
}

/// SVCR.
pub fn svcr() -> u64 {
    read_sysreg!("S3_3_C4_C2_2")
}

/// Writes SVCR: turns streaming mode and ZA on and off.
pub fn set_svcr(svcr: u64) {
    // SAFETY: the checker knows what this does to its registers.
    unsafe { write_sysreg!("S3_3_C4_C2_2", svcr) };
}

/// TPIDR2_EL0.
pub fn tpidr2() -> u64 {
    read_sysreg!("S3_3_C13_C0_5")
}

/// Writes TPIDR2_EL0.
pub fn set_tpidr2(value: u64) {
    // SAFETY: a number that means nothing to anybody.
    unsafe { write_sysreg!("S3_3_C13_C0_5", value) };
}
