//! Z, P, FFR and ZA as values: patterns to write, what has to be found, and the differences.
//!
//! Source: Arm ARM, B1.2.2 "SVE vector registers", "Effective vector length", and the pseudocode of
//! `V[]` and `Z[]`: what lies above the vector length that a write was made at, and above a shorter
//! one that was selected since, is what it was before, or zero. All else has one value.

use crate::pattern::{Mismatch, Name, Registers, VECTOR_REGISTERS};
use crate::rng::mix;

/// Number of predicate registers.
pub const PREDICATES: usize = 16;

/// The longest vector in granules: 2048 bits.
pub const MAX_GRANULES: usize = 16;

/// FPSR after a change of PSTATE.SM: QC, IDC and the five flags (Arm ARM, "PSTATE.SM").
const FPSR_AFTER_CHANGE: u64 = 0x0800_009f;

/// A vector: a granule of 128 bits in each element, the lowest first.
pub type Vector = [u128; MAX_GRANULES];

/// A predicate: the 16 bits of one granule in each element.
pub type Predicate = [u16; MAX_GRANULES];

/// Z0-Z31, P0-P15, FFR, FPSR and FPCR, laid out as the assembly of the guests stores them: each with
/// room for the longest vector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C, align(16))]
pub struct Vectors {
    /// Z0 to Z31.
    pub z: [Vector; VECTOR_REGISTERS],
    /// P0 to P15.
    pub p: [Predicate; PREDICATES],
    /// FFR.
    pub ffr: Predicate,
    /// FPSR.
    pub fpsr: u64,
    /// FPCR.
    pub fpcr: u64,
}

impl Vectors {
    /// Zero everywhere.
    pub const ZERO: Self = Self {
        z: [[0; MAX_GRANULES]; VECTOR_REGISTERS],
        p: [[0; MAX_GRANULES]; PREDICATES],
        ffr: [0; MAX_GRANULES],
        fpsr: 0,
        fpcr: 0,
    };

    /// Becomes the pattern that belongs to `seed` and `window`, at a vector length of `granules`; V,
    /// FPSR and FPCR are those of [`Registers::pattern`].
    pub fn set_pattern(&mut self, seed: u64, window: u64, granules: usize) {
        let fp = Registers::pattern(seed, window);
        (self.fpsr, self.fpcr) = (fp.fpsr.into(), fp.fpcr.into());
        let word = |kind, index, granule| pattern_word(seed, window, kind, index, granule);
        for (index, (z, v)) in self.z.iter_mut().zip(fp.v).enumerate() {
            z[0] = v;
            for (granule, value) in z.iter_mut().enumerate().take(granules).skip(1) {
                *value = word(Kind::Z, index, granule);
            }
        }
        for (index, p) in self.p.iter_mut().enumerate() {
            for (granule, value) in p.iter_mut().enumerate().take(granules) {
                *value = word(Kind::P, index, granule) as u16;
            }
        }
        // What FFR can hold: ones up to some place.
        let ones = (word(Kind::Ffr, 0, 0) % (16 * granules as u128 + 1)) as usize;
        for (granule, value) in self.ffr.iter_mut().enumerate() {
            *value = ((1u32 << ones.saturating_sub(16 * granule).min(16)) - 1) as u16;
        }
    }
}

/// What a word of a pattern is for.
#[derive(Clone, Copy)]
enum Kind {
    Z = 1,
    P,
    Ffr,
    Za,
}

fn pattern_word(seed: u64, window: u64, kind: Kind, index: usize, granule: usize) -> u128 {
    let place = (kind as u64) << 32 | (index as u64) << 8 | granule as u64;
    let base = mix(seed ^ mix(window)).wrapping_add(mix(place));
    u128::from(mix(base)) << 64 | u128::from(mix(!base))
}

/// A granule of a row of ZA in the pattern that belongs to `seed` and `window`.
#[must_use]
pub fn za_pattern(seed: u64, window: u64, row: usize, granule: usize) -> u128 {
    pattern_word(seed, window, Kind::Za, row, granule)
}

/// What the registers hold by all that was done to them.
#[derive(Clone, Debug)]
pub struct Held {
    values: Vectors,
    /// Granules of Z that have one value; those above have this one, or are zero.
    certain_z: usize,
    /// As above, of P and FFR.
    certain_p: usize,
}

impl Held {
    /// Registers that nobody has used yet.
    pub const ZERO: Self = Self {
        values: Vectors::ZERO,
        certain_z: MAX_GRANULES,
        certain_p: MAX_GRANULES,
    };

    /// V, FPSR and FPCR.
    #[must_use]
    pub fn fp(&self) -> Registers {
        Registers {
            v: self.values.z.map(|z| z[0]),
            fpsr: self.values.fpsr as u32,
            fpcr: self.values.fpcr as u32,
        }
    }

    /// After a vector length of `granules` was selected.
    pub fn selected(&mut self, granules: usize) {
        self.certain_z = self.certain_z.min(granules);
        self.certain_p = self.certain_p.min(granules);
    }

    /// After all registers were written at a vector length of `granules`; FFR only if `with_ffr`.
    pub fn wrote(&mut self, new: &Vectors, granules: usize, with_ffr: bool) {
        for (old, new) in self.values.z.iter_mut().zip(&new.z) {
            old[..granules].copy_from_slice(&new[..granules]);
        }
        for (old, new) in self.values.p.iter_mut().zip(&new.p) {
            old[..granules].copy_from_slice(&new[..granules]);
        }
        if with_ffr {
            self.values.ffr[..granules].copy_from_slice(&new.ffr[..granules]);
        }
        (self.values.fpsr, self.values.fpcr) = (new.fpsr, new.fpcr);
        (self.certain_z, self.certain_p) = (granules, granules);
    }

    /// After V, FPSR and FPCR were written at a vector length of `granules`.
    pub fn wrote_fp(&mut self, new: &Registers, granules: usize) {
        for (z, v) in self.values.z.iter_mut().zip(new.v) {
            z[..granules].fill(0);
            z[0] = v;
        }
        (self.values.fpsr, self.values.fpcr) = (new.fpsr.into(), new.fpcr.into());
        self.certain_z = granules;
    }

    /// After a change of PSTATE.SM.
    pub fn changed_mode(&mut self) {
        let fpcr = self.values.fpcr;
        *self = Self::ZERO;
        self.values.fpsr = FPSR_AFTER_CHANGE;
        self.values.fpcr = fpcr;
    }

    /// The registers in which `found`, read at a vector length of `granules`, is none of what can be
    /// there: for each one the first granule. FFR only if `with_ffr`.
    pub fn differences<'a>(
        &'a self,
        found: &'a Vectors,
        granules: usize,
        with_ffr: bool,
    ) -> impl Iterator<Item = Mismatch> + 'a {
        let Vectors {
            z,
            p,
            ffr,
            fpsr,
            fpcr,
        } = &self.values;
        let z = (0..).zip(z.iter().zip(&found.z));
        let z = z.filter_map(move |(register, (expected, found))| {
            let granule = first(&expected[..granules], found, self.certain_z)?;
            Some(Mismatch {
                name: Name::Z(register, granule as u8),
                expected: expected[granule],
                found: found[granule],
            })
        });
        let predicate =
            move |name: fn(u8, u8) -> Name, register, expected: &Predicate, found: &_| {
                let found: &Predicate = found;
                let granule = first(&expected[..granules], found, self.certain_p)?;
                Some(Mismatch {
                    name: name(register, granule as u8),
                    expected: expected[granule].into(),
                    found: found[granule].into(),
                })
            };
        let p = (0..).zip(p.iter().zip(&found.p));
        let p = p.filter_map(move |(n, (expected, found))| predicate(Name::P, n, expected, found));
        let ffr = with_ffr.then_some(ffr);
        let ffr = ffr.and_then(|ffr| predicate(|_, part| Name::Ffr(part), 0, ffr, &found.ffr));
        let status = [
            Mismatch::of(Name::Fpsr, (*fpsr).into(), found.fpsr.into()),
            Mismatch::of(Name::Fpcr, (*fpcr).into(), found.fpcr.into()),
        ];
        z.chain(p).chain(ffr).chain(status.into_iter().flatten())
    }
}

/// The first granule that does not hold what it must: its value, or zero above the `certain` ones.
fn first<T: Copy + Default + PartialEq>(
    expected: &[T],
    found: &[T],
    certain: usize,
) -> Option<usize> {
    (0..)
        .zip(expected.iter().zip(found))
        .find_map(|(at, (expected, found))| {
            let zero = at >= certain && *found == T::default();
            (expected != found && !zero).then_some(at)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{boxed::Box, collections::HashSet, mem, vec::Vec};

    fn pattern(seed: u64, window: u64, granules: usize) -> Box<Vectors> {
        let mut vectors = Box::new(Vectors::ZERO);
        vectors.set_pattern(seed, window, granules);
        vectors
    }

    fn names(held: &Held, found: &Vectors, granules: usize) -> Vec<Name> {
        let differences = held.differences(found, granules, true);
        differences.map(|mismatch| mismatch.name).collect()
    }

    #[test]
    fn layout_is_what_the_assembly_expects() {
        assert_eq!(mem::offset_of!(Vectors, p), 32 * 256);
        assert_eq!(mem::offset_of!(Vectors, ffr), 32 * 256 + 16 * 32);
        assert_eq!(mem::offset_of!(Vectors, fpsr), 32 * 256 + 17 * 32);
        assert_eq!(mem::offset_of!(Vectors, fpcr), 32 * 256 + 17 * 32 + 8);
    }

    #[test]
    fn every_granule_of_every_window_is_unique() {
        let mut seen = HashSet::new();
        for window in 0..20 {
            for value in pattern(7, window, 16).z.as_flattened() {
                assert!(seen.insert(*value), "window {window} repeats {value:#x}");
            }
            for row in 0..256 {
                for granule in 0..16 {
                    let value = za_pattern(7, window, row, granule);
                    assert!(seen.insert(value), "window {window} repeats {value:#x}");
                }
            }
        }
    }

    #[test]
    fn v_zeroes_what_lies_above_it_and_leaves_predicates() {
        let vectors = pattern(1, 1, 4);
        let mut held = Held::ZERO;
        held.wrote(&vectors, 4, true);
        let fp = Registers::pattern(1, 2);
        held.wrote_fp(&fp, 4);
        assert_eq!(held.fp(), fp);
        let mut found = *vectors;
        (found.fpsr, found.fpcr) = (fp.fpsr.into(), fp.fpcr.into());
        for (z, v) in found.z.iter_mut().zip(fp.v) {
            *z = [0; 16];
            z[0] = v;
        }
        assert_eq!(names(&held, &found, 4), []);
        found.z[5][3] = 1;
        found.p[2][1] ^= 1;
        found.ffr[0] ^= 1;
        assert_eq!(
            names(&held, &found, 4),
            [Name::Z(5, 3), Name::P(2, 1), Name::Ffr(0)]
        );
    }

    #[test]
    fn a_change_of_mode_zeroes_all_but_fpcr() {
        let vectors = pattern(1, 1, 16);
        let mut held = Held::ZERO;
        held.wrote(&vectors, 16, true);
        held.changed_mode();
        let mut found = Vectors::ZERO;
        (found.fpsr, found.fpcr) = (0x0800_009f, vectors.fpcr);
        assert_eq!(names(&held, &found, 16), []);
    }

    proptest! {
        #![proptest_config(crate::fixed_seed())]

        #[test]
        fn above_a_shorter_length_there_is_the_old_value_or_zero(
            seed: u64,
            shorter in 1usize..16,
            granule in 0usize..16,
            register in 0usize..32,
        ) {
            let vectors = pattern(seed, 3, 16);
            let mut held = Held::ZERO;
            held.wrote(&vectors, 16, true);
            held.selected(shorter);
            let mut found = *vectors;
            prop_assert_eq!(names(&held, &found, 16), []);
            found.z[register][granule] = 0;
            let wrong = granule < shorter;
            prop_assert_eq!(names(&held, &found, 16).len(), usize::from(wrong));
            found.z[register][granule] = 1;
            prop_assert_eq!(names(&held, &found, 16), [Name::Z(register as u8, granule as u8)]);
        }

        #[test]
        fn ffr_is_ones_up_to_some_place(seed: u64, window: u64, granules in 1usize..=16) {
            let ffr = pattern(seed, window, granules).ffr;
            let bits: Vec<bool> = (0..256).map(|bit| ffr[bit / 16] >> (bit % 16) & 1 == 1).collect();
            let ones = bits.iter().take_while(|bit| **bit).count();
            prop_assert!(ones <= 16 * granules && bits[ones..].iter().all(|bit| !bit));
        }
    }
}
