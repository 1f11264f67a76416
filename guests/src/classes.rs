//! Classes of registers: which one each window uses, and what it selects before it writes them.

use core::fmt;
use core::str::FromStr;

use crate::rng::SplitMix64;
use crate::vectors::MAX_GRANULES;

/// Which registers a guest uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegisterSet {
    /// V, FPSR and FPCR.
    Fp,
    /// Also Z, P and FFR.
    Sve,
    /// Also ZA and streaming mode; Z, P and FFR outside it only if the CPU has SVE.
    Sme,
}

impl RegisterSet {
    /// Every set with its name.
    const NAMES: [(&'static str, Self); 3] =
        [("fp", Self::Fp), ("sve", Self::Sve), ("sme", Self::Sme)];
}

impl FromStr for RegisterSet {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, set)| *set).ok_or(())
    }
}

impl fmt::Display for RegisterSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, set)| set == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// The registers that one window uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// V, FPSR and FPCR.
    Fp,
    /// Z, P, FFR, FPSR and FPCR.
    Sve,
    /// SVCR, TPIDR2_EL0, ZA, and Z and P in streaming mode.
    Sme,
}

/// A vector length that a guest is told to select.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Length {
    /// The longest that there is.
    Max,
    /// This many bits, or the longest below.
    Bits(usize),
    /// Another one every few windows.
    Vary,
}

impl FromStr for Length {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "max" => Ok(Self::Max),
            "vary" => Ok(Self::Vary),
            _ => {
                let bits: usize = text.parse().map_err(|_| ())?;
                let known = bits.is_multiple_of(128) && (1..=MAX_GRANULES).contains(&(bits / 128));
                known.then_some(Self::Bits(bits)).ok_or(())
            }
        }
    }
}

/// The vector lengths that a CPU answers with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lengths(u16);

impl Lengths {
    /// With a length of `granules` too.
    #[must_use]
    pub const fn with(self, granules: usize) -> Self {
        Self(self.0 | 1 << (granules - 1))
    }

    /// What a CPU with these lengths selects if it is asked for `granules`: the longest that is no
    /// longer, else the shortest of all (Arm ARM, "ZCR_EL1", "SMCR_EL1").
    #[must_use]
    pub const fn selected(self, granules: usize) -> usize {
        let below = self.0 & (0xffff >> (MAX_GRANULES - granules));
        if below == 0 {
            self.0.trailing_zeros() as usize + 1
        } else {
            16 - below.leading_zeros() as usize
        }
    }

    /// How many lengths there are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }
}

/// Shares of the windows that use registers at all, in percent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shares {
    /// Of those that use ZA and streaming mode.
    pub sme: u64,
    /// Of those that use SVE, among the others.
    pub sve: u64,
}

/// The choices of the windows, without end: the same for the same seed, always.
#[derive(Clone, Debug)]
pub struct Choices(SplitMix64);

impl Choices {
    /// Windows from one change of the vector length to the next, in the mean.
    const CHANGES: u64 = 2;

    /// The choices for `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(SplitMix64::stream(seed, 3))
    }

    /// What the next window uses.
    pub const fn class(&mut self, shares: Shares) -> Class {
        let (sme, sve) = (self.0.below(100), self.0.below(100));
        if sme < shares.sme {
            Class::Sme
        } else if sve < shares.sve {
            Class::Sve
        } else {
            Class::Fp
        }
    }

    /// What to ask for now, in granules, by a guest that varies its vector length; `None` to leave it.
    pub const fn length(&mut self) -> Option<usize> {
        let granules = 1 + self.0.below(MAX_GRANULES as u64) as usize;
        if self.0.below(Self::CHANGES) == 0 {
            Some(granules)
        } else {
            None
        }
    }

    /// What to write to SVCR.
    pub const fn svcr(&mut self) -> u64 {
        self.0.below(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, vec::Vec};

    #[test]
    fn names_round_trip() {
        for (name, set) in RegisterSet::NAMES {
            assert_eq!(name.parse(), Ok(set));
            assert_eq!(format!("{set}"), name);
        }
    }

    #[test]
    fn lengths_are_multiples_of_a_granule() {
        assert_eq!("384".parse(), Ok(Length::Bits(384)));
        assert_eq!("vary".parse(), Ok(Length::Vary));
        for bad in ["0", "100", "2176", "-128", "", "maximum"] {
            assert_eq!(bad.parse::<Length>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn a_cpu_selects_the_longest_that_is_no_longer() {
        let lengths = Lengths::default().with(2).with(4).with(16);
        let selected: Vec<_> = (1..=16).map(|asked| lengths.selected(asked)).collect();
        assert_eq!(selected, [2, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 16]);
        assert_eq!(lengths.count(), 3);
    }

    #[test]
    fn classes_keep_their_shares() {
        let mut choices = Choices::new(42);
        let mut counts = [0; 3];
        for _ in 0..100_000 {
            counts[choices.class(Shares { sme: 20, sve: 50 }) as usize] += 1;
        }
        for (class, expected) in [(Class::Fp, 400), (Class::Sve, 400), (Class::Sme, 200)] {
            let found: i32 = counts[class as usize] / 100;
            assert!(
                (found - expected).abs() < 10,
                "seed 42: {class:?} in {found} per mille"
            );
        }
    }
}
