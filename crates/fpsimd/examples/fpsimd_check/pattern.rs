//! Values to fill the registers with, and to compare them with: every byte is its own.

use trapcast_fpsimd::{FpSimd, SveFile, VectorLength};

use crate::check::{Outcome, expect};

/// FPSR: the cumulative flags.
const FPSR: u64 = 0x0800_009f;
/// FPCR: rounding mode, flush to zero, default NaN, alternative half precision.
const FPCR: u64 = 0x07c0_0000;

/// The vector registers of a core, in memory of this program's own layout: each kind without gaps.
pub struct Vectors {
    /// Z0 to Z31.
    pub z: [u8; 32 * 256],
    /// P0 to P15.
    pub p: [u8; 16 * 32],
    /// FFR.
    pub ffr: [u8; 32],
    /// FPSR.
    pub fpsr: u64,
    /// FPCR.
    pub fpcr: u64,
}

/// Mixes 64 bits (the finalizer of splitmix64, Steele, Lea and Flood 2014).
pub const fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Fills bytes from a seed.
pub fn fill(bytes: &mut [u8], seed: u64) {
    for (index, part) in bytes.chunks_mut(8).enumerate() {
        let value = mix(mix(seed) ^ index as u64).to_le_bytes();
        part.copy_from_slice(&value[..part.len()]);
    }
}

impl Vectors {
    /// All zero.
    pub const ZERO: Self = Self {
        z: [0; 32 * 256],
        p: [0; 16 * 32],
        ffr: [0; 32],
        fpsr: 0,
        fpcr: 0,
    };

    /// Sets values for vectors of this length.
    pub fn set(&mut self, seed: u64, length: VectorLength) {
        *self = Self::ZERO;
        fill(&mut self.z[..32 * length.bytes()], seed);
        fill(&mut self.p[..16 * length.predicate_bytes()], seed ^ 1 << 32);
        // What FFR can hold: ones up to some place.
        let ones = mix(seed ^ 2 << 32) as usize % (length.bytes() + 1);
        (0..ones).for_each(|bit| self.ffr[bit / 8] |= 1 << (bit % 8));
        self.fpsr = mix(seed ^ 3 << 32) & FPSR;
        self.fpcr = mix(seed ^ 4 << 32) & FPCR;
    }

    /// What is left of the values after V0 to V31 are written as they are, and P and FFR as another
    /// has them.
    pub fn widened(&mut self, length: VectorLength, predicates: &Self) {
        for z in self.z.chunks_mut(length.bytes()).take(32) {
            z[16..].fill(0);
        }
        self.p = predicates.p;
        self.ffr = predicates.ffr;
    }

    /// The V registers.
    pub fn v(&self, length: VectorLength) -> FpSimd {
        let mut fp = FpSimd {
            fpsr: self.fpsr,
            fpcr: self.fpcr,
            ..FpSimd::ZERO
        };
        for (v, z) in fp.v.iter_mut().zip(self.z.chunks(length.bytes())) {
            *v = u128::from_le_bytes(z[..16].try_into().unwrap_or_default());
        }
        fp
    }

    /// Writes the values into a register file.
    pub fn store(&self, file: &mut SveFile<'_>) {
        let (bytes, predicate) = (
            file.vector_length().bytes(),
            file.vector_length().predicate_bytes(),
        );
        (0..32).for_each(|n| file.z_mut(n).copy_from_slice(&self.z[n * bytes..][..bytes]));
        (0..16).for_each(|n| {
            file.p_mut(n)
                .copy_from_slice(&self.p[n * predicate..][..predicate])
        });
        file.ffr_mut().copy_from_slice(&self.ffr[..predicate]);
        file.set_status_and_control(self.fpsr, self.fpcr);
    }

    /// Compares the values with a register file in memory.
    pub fn is_in(&self, file: &SveFile<'_>) -> Outcome {
        let (bytes, predicate) = (
            file.vector_length().bytes(),
            file.vector_length().predicate_bytes(),
        );
        let numbers = |n| [n as u64, bytes as u64 * 8, 0, 0];
        for n in 0..32 {
            let same = file.z(n) == &self.z[n * bytes..][..bytes];
            expect(same, "memory: register Z, vector length:", numbers(n))?;
        }
        for n in 0..16 {
            let same = file.p(n) == &self.p[n * predicate..][..predicate];
            expect(same, "memory: register P, vector length:", numbers(n))?;
        }
        expect(
            file.ffr() == &self.ffr[..predicate],
            "memory: FFR, vector length:",
            numbers(0),
        )?;
        self.status(
            file.fpsr(),
            file.fpcr(),
            "memory: FPSR and FPCR, and as they were:",
        )
    }

    /// Compares the values with those that a core had.
    pub fn is(&self, found: &Self, length: VectorLength) -> Outcome {
        let differ = |a: &[u8], b: &[u8]| a.iter().zip(b).position(|(a, b)| a != b);
        let numbers = |at: Option<usize>, size: usize| {
            let at = at.unwrap_or(0);
            [
                (at / size) as u64,
                (at % size) as u64,
                length.bits() as u64,
                0,
            ]
        };
        let (bytes, predicate) = (length.bytes(), length.predicate_bytes());
        let z = differ(&self.z[..32 * bytes], &found.z);
        expect(
            z.is_none(),
            "core: register Z, byte, vector length:",
            numbers(z, bytes),
        )?;
        let p = differ(&self.p[..16 * predicate], &found.p);
        expect(
            p.is_none(),
            "core: register P, byte, vector length:",
            numbers(p, predicate),
        )?;
        let ffr = differ(&self.ffr[..predicate], &found.ffr);
        expect(
            ffr.is_none(),
            "core: FFR 0, byte, vector length:",
            numbers(ffr, predicate),
        )?;
        self.status(
            found.fpsr,
            found.fpcr,
            "core: FPSR and FPCR, and as they were:",
        )
    }

    fn status(&self, fpsr: u64, fpcr: u64, what: &'static str) -> Outcome {
        expect(
            (fpsr, fpcr) == (self.fpsr, self.fpcr),
            what,
            [fpsr, fpcr, self.fpsr, self.fpcr],
        )
    }
}
