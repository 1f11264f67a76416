//! The FP/SIMD registers of AArch32 and those of its other modes as values: patterns to write, and the
//! differences to what was found.

use crate::pattern::{Mismatch, Name, differing};
use crate::rng::mix;

/// Number of doubleword registers.
pub const DOUBLEWORDS: usize = 32;

/// FPEXC.EN.
pub const FPEXC_EN: u32 = 1 << 30;

/// The bits of FPSCR that every Armv8.0 core lets a program vary (Arm ARM, "FPSCR"): NZCV, QC, AHP, DN,
/// FZ, RMode, IDC and the five cumulative exception flags.
pub const FPSCR_BITS: u32 = 0xf << 28 | 1 << 27 | 0x1f << 22 | 1 << 7 | 0b1_1111;

/// The contents of D0-D31, FPSCR and FPEXC, laid out as the assembly of the guest stores them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C, align(8))]
pub struct Registers {
    /// D0 to D31, 64 bits each.
    pub d: [u64; DOUBLEWORDS],
    /// FPSCR, status and control.
    pub fpscr: u32,
    /// FPEXC, of which EN is varied.
    pub fpexc: u32,
}

impl Registers {
    /// What a vCPU starts with: zero everywhere.
    pub const ZERO: Self = Self {
        d: [0; DOUBLEWORDS],
        fpscr: 0,
        fpexc: 0,
    };

    /// The pattern that belongs to `seed` and `window`.
    #[must_use]
    pub fn pattern(seed: u64, window: u64) -> Self {
        let word = words(seed, window, 0);
        let mut registers = Self::ZERO;
        for (index, d) in (0..).zip(&mut registers.d) {
            *d = word(index);
        }
        let control = word(DOUBLEWORDS as u64);
        registers.fpscr = control as u32 & FPSCR_BITS;
        registers.fpexc = (control >> 32) as u32 & FPEXC_EN;
        registers
    }

    /// The registers in which `found` differs from `self`.
    pub fn differences(&self, found: &Self) -> impl Iterator<Item = Mismatch> {
        let doublewords = self.d.into_iter().zip(found.d).enumerate();
        let doublewords = doublewords.map(|(index, (expected, found))| {
            (Name::D(index as u8), expected.into(), found.into())
        });
        let controls = [
            ("FPSCR", self.fpscr, found.fpscr),
            ("FPEXC", self.fpexc, found.fpexc),
        ];
        let controls = controls
            .map(|(name, expected, found)| (Name::Other(name), expected.into(), found.into()));
        differing(doublewords.chain(controls))
    }
}

/// Bits of an SPSR that mean something, and the mode that a pattern has in it.
const SPSR_BITS: u32 = 0xfe0f_ffe0;
const SPSR_MODE: u32 = 0x13;
/// Bits of DFSR and IFSR that mean something with short descriptors: FS and ExT.
const FSR_BITS: u32 = 1 << 12 | 1 << 10 | 0xf;
/// Domains 1 to 15 of DACR, which map nothing; domain 0 maps all.
const DACR_BITS: u32 = !0b11;
const DACR_DOMAIN_0: u32 = 0b01;

/// Number of registers in [`Modes`].
pub const MODE_REGISTERS: usize = 21;

/// Each register of [`Modes`]: its name, the bits that are varied, the bits that are set.
const MODES: [(&str, u32, u32); MODE_REGISTERS] = [
    ("R8_fiq", !0, 0),
    ("R9_fiq", !0, 0),
    ("R10_fiq", !0, 0),
    ("R11_fiq", !0, 0),
    ("R12_fiq", !0, 0),
    ("SP_fiq", !0, 0),
    ("LR_fiq", !0, 0),
    ("SP_usr", !0, 0),
    ("LR_usr", !0, 0),
    ("LR_abt", !0, 0),
    ("SPSR_fiq", SPSR_BITS, SPSR_MODE),
    ("SPSR_abt", SPSR_BITS, SPSR_MODE),
    ("SPSR_svc", SPSR_BITS, SPSR_MODE),
    ("DACR", DACR_BITS, DACR_DOMAIN_0),
    ("DFSR", FSR_BITS, 0),
    ("IFSR", FSR_BITS, 0),
    ("DFAR", !0, 0),
    ("IFAR", !0, 0),
    ("TPIDRURW", !0, 0),
    ("TPIDRURO", !0, 0),
    ("TPIDRPRW", !0, 0),
];

/// Registers of other modes than the one that looks at them, and others that keep what is written, laid
/// out as the assembly of the guest stores them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Modes(pub [u32; MODE_REGISTERS]);

impl Modes {
    /// The pattern that belongs to `seed` and `window`.
    #[must_use]
    pub fn pattern(seed: u64, window: u64) -> Self {
        let word = words(seed, window, 1);
        let mut modes = Self([0; MODE_REGISTERS]);
        for (index, (register, (_, varied, set))) in (0..).zip(modes.0.iter_mut().zip(MODES)) {
            *register = word(index) as u32 & varied | set;
        }
        modes
    }

    /// The registers in which `found` differs from `self`.
    pub fn differences(&self, found: &Self) -> impl Iterator<Item = Mismatch> {
        let pairs = self.0.into_iter().zip(found.0).zip(MODES);
        differing(pairs.map(|((expected, found), (name, ..))| {
            (Name::Other(name), expected.into(), found.into())
        }))
    }
}

/// The numbers that patterns of `seed`, `window` and `kind` are made of.
fn words(seed: u64, window: u64, kind: u64) -> impl Fn(u64) -> u64 {
    let base = mix(seed ^ mix(window)).wrapping_add(mix(kind));
    move |index| mix(base.wrapping_add(mix(index)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, mem, vec::Vec};

    #[test]
    fn layout_is_what_the_assembly_expects() {
        assert_eq!(mem::offset_of!(Registers, d), 0);
        assert_eq!(mem::offset_of!(Registers, fpscr), 256);
        assert_eq!(mem::size_of::<Modes>(), 4 * MODE_REGISTERS);
    }

    #[test]
    fn every_bit_that_may_be_is_varied() {
        let both = |bits: &dyn Fn(u64) -> u32| {
            (0..200).fold((0, !0), |(any, all), window| {
                (any | bits(window), all & bits(window))
            })
        };
        let registers = |window| Registers::pattern(1, window);
        assert_eq!(both(&|window| registers(window).fpscr), (FPSCR_BITS, 0));
        assert_eq!(both(&|window| registers(window).fpexc), (FPEXC_EN, 0));
        for (index, (name, varied, set)) in MODES.into_iter().enumerate() {
            let bits = both(&|window| Modes::pattern(1, window).0[index]);
            assert_eq!(bits, (varied | set, set), "{name}");
        }
    }

    #[test]
    fn patterns_of_windows_and_seeds_differ_in_every_doubleword() {
        let one = Registers::pattern(1, 7);
        for other in [Registers::pattern(1, 8), Registers::pattern(2, 7)] {
            assert!(one.d.iter().zip(&other.d).all(|(a, b)| a != b));
        }
    }

    #[test]
    fn mismatch_reads_as_documented() {
        let mut found = Registers::ZERO;
        found.d[31] = 0x10;
        found.fpexc = FPEXC_EN;
        let lines: Vec<_> = Registers::ZERO
            .differences(&found)
            .map(|m| format!("{m}"))
            .collect();
        assert_eq!(
            lines,
            [
                "register=D31 expected=0x0 found=0x10",
                "register=FPEXC expected=0x0 found=0x40000000"
            ]
        );
        let modes = Modes::pattern(1, 1);
        let mut found = modes;
        found.0[13] ^= 0x10;
        let names: Vec<_> = modes
            .differences(&found)
            .map(|m| format!("{}", m.name))
            .collect();
        assert_eq!(names, ["DACR"]);
    }
}
