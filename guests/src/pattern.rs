//! The FP/SIMD registers as a value: patterns to write, and the differences to what was found.

use core::fmt;

use crate::rng::mix;

/// Number of vector registers.
pub const VECTOR_REGISTERS: usize = 32;

/// The bits of FPCR that every Armv8.0 core lets a program vary: AHP, DN, FZ and RMode
/// (Arm ARM, "FPCR, Floating-point Control Register"). The trap enables may be RAZ/WI.
pub const FPCR_BITS: u32 = 1 << 26 | 1 << 25 | 1 << 24 | 0b11 << 22;

/// The bits of FPSR that AArch64 gives a meaning to: QC, IDC and the five cumulative exception
/// flags (Arm ARM, "FPSR, Floating-point Status Register").
pub const FPSR_BITS: u32 = 1 << 27 | 1 << 7 | 0b1_1111;

/// The contents of V0-V31, FPSR and FPCR, laid out as the assembly of the guests stores them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C, align(16))]
pub struct Registers {
    /// V0 to V31, 128 bits each.
    pub v: [u128; VECTOR_REGISTERS],
    /// FPSR, the status flags.
    pub fpsr: u32,
    /// FPCR, the control bits.
    pub fpcr: u32,
}

impl Registers {
    /// What a vCPU starts with: zero everywhere.
    pub const ZERO: Self = Self {
        v: [0; VECTOR_REGISTERS],
        fpsr: 0,
        fpcr: 0,
    };

    /// The pattern that belongs to `seed` and `window`: no two registers, windows or seeds share
    /// contents, except by a chance of 2^-128.
    #[must_use]
    pub fn pattern(seed: u64, window: u64) -> Self {
        let base = mix(seed ^ mix(window));
        let word = |index: u64| mix(base.wrapping_add(mix(index)));
        let mut registers = Self::ZERO;
        for (index, v) in (0u64..).zip(&mut registers.v) {
            *v = u128::from(word(2 * index)) << 64 | u128::from(word(2 * index + 1));
        }
        let control = word(2 * VECTOR_REGISTERS as u64);
        registers.fpsr = (control >> 32) as u32 & FPSR_BITS;
        registers.fpcr = control as u32 & FPCR_BITS;
        registers
    }

    /// The registers in which `found` differs from `self`.
    pub fn differences(&self, found: &Self) -> impl Iterator<Item = Mismatch> {
        let vectors = self.v.into_iter().zip(found.v).enumerate();
        let vectors =
            vectors.map(|(index, (expected, found))| (Name::V(index as u8), expected, found));
        let controls = [
            (Name::Fpsr, self.fpsr.into(), found.fpsr.into()),
            (Name::Fpcr, self.fpcr.into(), found.fpcr.into()),
        ];
        differing(vectors.chain(controls))
    }
}

/// The mismatches among places with what they must hold and what they hold.
pub(crate) fn differing(
    places: impl Iterator<Item = (Name, u128, u128)>,
) -> impl Iterator<Item = Mismatch> {
    places.filter_map(|(name, expected, found)| Mismatch::of(name, expected, found))
}

/// What a mismatch was found in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Name {
    /// One of V0 to V31.
    V(u8),
    /// One of D0 to D31 of AArch32.
    D(u8),
    /// One of Z0 to Z31, and which 128 bits of it.
    Z(u8, u8),
    /// One of P0 to P15, and which 16 bits of it.
    P(u8, u8),
    /// FFR, and which 16 bits of it.
    Ffr(u8),
    /// A row of ZA, and which 128 bits of it.
    Za(u8, u8),
    /// Another register, or a result.
    Other(&'static str),
    /// The status register.
    Fpsr,
    /// The control register.
    Fpcr,
    /// The result of a calculation with known outcome.
    Arithmetic,
    /// A word of memory that nobody has written yet.
    Memory,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V(index) => write!(f, "V{index}"),
            Self::D(index) => write!(f, "D{index}"),
            Self::Z(index, part) => write!(f, "Z{index}.Q[{part}]"),
            Self::P(index, part) => write!(f, "P{index}[{part}]"),
            Self::Ffr(part) => write!(f, "FFR[{part}]"),
            Self::Za(row, part) => write!(f, "ZA[{row}].Q[{part}]"),
            Self::Other(name) => f.write_str(name),
            Self::Fpsr => f.write_str("FPSR"),
            Self::Fpcr => f.write_str("FPCR"),
            Self::Arithmetic => f.write_str("arithmetic"),
            Self::Memory => f.write_str("memory"),
        }
    }
}

/// One place that does not hold what it must.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mismatch {
    /// The place.
    pub name: Name,
    /// What it must hold.
    pub expected: u128,
    /// What it holds.
    pub found: u128,
}

impl Mismatch {
    /// The mismatch between two values, if they differ.
    #[must_use]
    pub fn of(name: Name, expected: u128, found: u128) -> Option<Self> {
        (expected != found).then_some(Self {
            name,
            expected,
            found,
        })
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            expected,
            found,
        } = self;
        write!(f, "register={name} expected={expected:#x} found={found:#x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::HashSet, format, mem, vec::Vec};

    #[test]
    fn layout_is_what_the_assembly_expects() {
        assert_eq!(mem::offset_of!(Registers, v), 0);
        assert_eq!(mem::offset_of!(Registers, fpsr), 512);
        assert_eq!(mem::offset_of!(Registers, fpcr), 516);
        assert_eq!(mem::align_of::<Registers>(), 16);
    }

    #[test]
    fn every_register_of_every_window_is_unique() {
        let mut seen = HashSet::new();
        for window in 0..1000 {
            for v in Registers::pattern(7, window).v {
                assert!(seen.insert(v), "window {window} repeats {v:#x}");
            }
        }
    }

    #[test]
    fn every_control_bit_is_varied() {
        let both = |bits: fn(&Registers) -> u32| {
            (0..100).fold((0, !0), |(any, all), window| {
                let bits = bits(&Registers::pattern(1, window));
                (any | bits, all & bits)
            })
        };
        assert_eq!(both(|r| r.fpcr), (FPCR_BITS, 0));
        assert_eq!(both(|r| r.fpsr), (FPSR_BITS, 0));
    }

    #[test]
    fn mismatch_reads_as_documented() {
        let mut found = Registers::ZERO;
        found.v[3] = 0x10;
        found.fpcr = 0x20;
        let lines: Vec<_> = Registers::ZERO
            .differences(&found)
            .map(|m| format!("{m}"))
            .collect();
        assert_eq!(
            lines,
            [
                "register=V3 expected=0x0 found=0x10",
                "register=FPCR expected=0x0 found=0x20"
            ]
        );
    }

    proptest! {
        #![proptest_config(crate::fixed_seed())]

        #[test]
        fn a_flipped_bit_is_one_difference(
            seed: u64,
            window: u64,
            register in 0..VECTOR_REGISTERS,
            bit in 0..128,
        ) {
            let expected = Registers::pattern(seed, window);
            prop_assert_eq!(expected.differences(&expected).count(), 0);
            let mut found = expected;
            found.v[register] ^= 1u128 << bit;
            let names: Vec<_> = expected.differences(&found).map(|m| m.name).collect();
            prop_assert_eq!(names, [Name::V(register as u8)]);
        }

        #[test]
        fn a_neighbouring_window_differs_in_every_vector(seed: u64, window in 0..u64::MAX) {
            let one = Registers::pattern(seed, window);
            let next = Registers::pattern(seed, window + 1);
            prop_assert!(one.v.iter().zip(&next.v).all(|(a, b)| a != b));
        }
    }
}
