//! Scans of every encoding of a System register: one VM writes all of them, another looks whether anything
//! changes. What this has in common for both Execution states.

mod aarch32;
mod aarch64;
mod bootargs;
#[cfg(target_os = "none")]
mod run;

use core::fmt;

use crate::rng::mix;

pub use aarch32::AArch32;
pub use aarch64::AArch64;
pub use bootargs::{Role, Settings};
#[cfg(target_os = "none")]
pub use run::{Access, main};

/// The encodings of an Execution state, by number from 0 on.
pub trait Encodings {
    /// How many there are.
    const COUNT: usize;
    /// Those that are not like all others.
    const EXCEPTIONS: &'static [Exception];

    /// The instructions that read it into the first register, or write it from there.
    fn instruction(index: usize, read: bool) -> u32;

    /// Its name: what an [`Exception`] calls it, without trailing zeroes.
    fn name(index: usize) -> Name;
}

/// An encoding's name: op0, op1, CRn, CRm and op2; or the coprocessor, opc1, CRn, CRm and opc2; or, with
/// [`PAIR`] as the last, the coprocessor, opc1 and CRm of a pair of registers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Name(pub [u8; 5]);

/// Stands for opc2 in the name of a pair: coprocessor, opc1, 0, CRm.
pub const PAIR: u8 = 0xff;

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, op1, crn, crm, op2] = self.0;
        let coprocessor = if first >= 14 { "p" } else { "" };
        match op2 {
            PAIR => write!(f, "{coprocessor}{first},{op1},c{crm}"),
            _ => write!(f, "{coprocessor}{first},{op1},c{crn},c{crm},{op2}"),
        }
    }
}

/// Encodings that are not like all others.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The first one's name.
    pub first: [u8; 5],
    /// The last one's, in every place at least the first one's: those with all places between are meant.
    pub last: [u8; 5],
    /// The bits that a guest may change and go on; none: it is not written at all.
    pub written: u64,
    /// The bits that change only if somebody changes them.
    pub kept: u64,
}

impl Exception {
    /// Bits of one encoding that may not be written.
    #[must_use]
    pub const fn written(name: [u8; 5], written: u64) -> Self {
        Self {
            first: name,
            last: name,
            written,
            kept: u64::MAX,
        }
    }

    /// The same of several encodings.
    #[must_use]
    pub const fn several(first: [u8; 5], last: [u8; 5], written: u64) -> Self {
        Self {
            first,
            last,
            ..Self::written(first, written)
        }
    }

    /// Encodings of which only these bits do not change by themselves.
    #[must_use]
    pub const fn kept(first: [u8; 5], last: [u8; 5], kept: u64) -> Self {
        Self {
            first,
            last,
            written: u64::MAX,
            kept,
        }
    }

    fn is_of(&self, name: Name) -> bool {
        let places = name.0.iter().zip(self.first.iter().zip(self.last));
        places
            .into_iter()
            .all(|(place, (first, last))| (*first..=last).contains(place))
    }
}

/// PMU counters of a guest, the cycle counter and four more, by their bits: the rest is EL2's, and QEMU 7.2 keeps no
/// guest from it (MDCR_EL2.HPMN).
const OWN_COUNTERS: u64 = 1 << 31 | 0xf;

/// What may be done to an encoding: the bits that are written, and those that are compared.
#[must_use]
pub fn bits<E: Encodings>(index: usize) -> (u64, u64) {
    let name = E::name(index);
    let exceptions = E::EXCEPTIONS.iter().filter(|one| one.is_of(name));
    exceptions.fold((u64::MAX, u64::MAX), |(written, kept), one| {
        (written & one.written, kept & one.kept)
    })
}

/// What is written to an encoding in a round: a number that no other encoding, round or seed has.
#[must_use]
pub fn marker(seed: u64, round: u64, index: usize) -> u64 {
    mix(mix(seed ^ mix(round)).wrapping_add(index as u64))
}

/// What reading an encoding gives; none if that is an exception.
pub type Reading = Option<u64>;

/// The encodings in which two readings differ by more than they do by themselves.
pub fn differences<'a, E: Encodings>(
    one: &'a [Reading],
    other: &'a [Reading],
) -> impl Iterator<Item = (Name, Reading, Reading)> + 'a {
    let pairs = one.iter().copied().zip(other.iter().copied()).enumerate();
    pairs
        .filter(|(index, (one, other))| {
            let kept = || bits::<E>(*index).1;
            let masked = |reading: &Reading| reading.map(|value| value & kept());
            one != other && masked(one) != masked(other)
        })
        .map(|(index, (one, other))| (E::name(index), one, other))
}

/// What a VM finds when it begins: the encodings that are not zero, as far as they are the same in each of its
/// lives.
pub fn remarkable<'a, E: Encodings>(
    readings: &'a [Reading],
) -> impl Iterator<Item = (Name, u64)> + 'a {
    readings.iter().enumerate().filter_map(|(index, reading)| {
        let value = (*reading)? & bits::<E>(index).1;
        (value != 0).then(|| (E::name(index), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, format, vec, vec::Vec};

    fn number<E: Encodings>(name: [u8; 5]) -> usize {
        let index = (0..E::COUNT).find(|index| E::name(*index) == Name(name));
        index.unwrap_or_else(|| panic!("{name:?}"))
    }

    fn names_and_instructions_are_unique<E: Encodings>() {
        let instructions = |read| (0..E::COUNT).map(move |index| E::instruction(index, read));
        let both: HashSet<u32> = instructions(true).chain(instructions(false)).collect();
        assert_eq!(both.len(), 2 * E::COUNT);
        let names: HashSet<_> = (0..E::COUNT).map(|index| E::name(index).0).collect();
        assert_eq!(names.len(), E::COUNT);
        for exception in E::EXCEPTIONS {
            number::<E>(exception.first);
            number::<E>(exception.last);
        }
    }

    #[test]
    fn every_encoding_is_there_once() {
        assert_eq!((AArch64::COUNT, AArch32::COUNT), (32_768, 33_280));
        names_and_instructions_are_unique::<AArch64>();
        names_and_instructions_are_unique::<AArch32>();
    }

    #[test]
    fn encodings_are_those_of_the_assembler() {
        let a64 = |name, read| AArch64::instruction(number::<AArch64>(name), read);
        // MRS X0, TPIDR_EL1; MSR TPIDR_EL1, X0; MRS X0, MDSCR_EL1.
        assert_eq!(a64([3, 0, 13, 0, 4], true), 0xd538_d080);
        assert_eq!(a64([3, 0, 13, 0, 4], false), 0xd518_d080);
        assert_eq!(a64([2, 0, 0, 2, 2], true), 0xd530_0240);
        let a32 = |name, read| AArch32::instruction(number::<AArch32>(name), read);
        // MRC p15, 0, R0, c13, c0, 0; MCR of the same; MRC p14, 0, R0, c0, c2, 2.
        assert_eq!(a32([15, 0, 13, 0, 0], true), 0xee1d_0f10);
        assert_eq!(a32([15, 0, 13, 0, 0], false), 0xee0d_0f10);
        assert_eq!(a32([14, 0, 0, 2, 2], true), 0xee10_0e52);
        // MRRC p15, 1, R0, R1, c14; MCRR p15, 3, R0, R1, c14.
        assert_eq!(a32([15, 1, 0, 14, PAIR], true), 0xec51_0f1e);
        assert_eq!(a32([15, 3, 0, 14, PAIR], false), 0xec41_0f3e);
    }

    #[test]
    fn names_read_as_manuals_have_them() {
        assert_eq!(format!("{}", Name([3, 0, 13, 0, 4])), "3,0,c13,c0,4");
        assert_eq!(format!("{}", Name([15, 0, 13, 0, 0])), "p15,0,c13,c0,0");
        assert_eq!(format!("{}", Name([15, 1, 0, 14, PAIR])), "p15,1,c14");
    }

    #[test]
    fn a_change_is_told_unless_it_comes_by_itself() {
        let mut first = vec![None; AArch64::COUNT];
        first[number::<AArch64>([3, 0, 13, 0, 4])] = Some(7);
        first[number::<AArch64>([3, 3, 14, 0, 2])] = Some(7);
        let mut now = first.clone();
        // The virtual counter goes on.
        now[number::<AArch64>([3, 3, 14, 0, 2])] = Some(8);
        assert_eq!(differences::<AArch64>(&first, &now).count(), 0);
        now[number::<AArch64>([3, 0, 13, 0, 4])] = Some(8);
        now[number::<AArch64>([2, 0, 0, 2, 2])] = Some(0);
        let found: Vec<_> = differences::<AArch64>(&first, &now).collect();
        let expected = [
            (Name([2, 0, 0, 2, 2]), None, Some(0)),
            (Name([3, 0, 13, 0, 4]), Some(7), Some(8)),
        ];
        assert_eq!(found, expected);
        let remarkable: Vec<_> = remarkable::<AArch64>(&now).collect();
        assert_eq!(remarkable, [(Name([3, 0, 13, 0, 4]), 8)]);
    }

    #[test]
    fn what_stops_the_guest_is_not_written() {
        let written = |name| bits::<AArch64>(number::<AArch64>(name)).0;
        assert_eq!(written([3, 0, 12, 0, 0]), 0, "VBAR_EL1");
        assert_eq!(written([3, 0, 1, 0, 0]) & 1, 0, "SCTLR_EL1.M");
        assert_eq!(written([3, 0, 13, 0, 4]), u64::MAX, "TPIDR_EL1");
        assert_ne!(marker(1, 1, 5), marker(1, 2, 5));
        assert_ne!(marker(1, 1, 5), marker(2, 1, 5));
    }
}
