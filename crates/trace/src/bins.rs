//! Numbers counted in bins whose width grows with them: one for each number below 4, and then four to
//! the octave, so that a bin is at most a quarter as wide as the numbers in it are large.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bins: every number of 32 bits falls into exactly one.
pub const BINS: usize = 124;

/// How many numbers fell into each bin.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct Bins(pub [u64; BINS]);

impl Bins {
    /// Counts a number.
    #[inline]
    pub const fn add(&mut self, number: u32) {
        self.0[bin_of(number)] += 1;
    }
}

/// Returns the bin of a number.
#[inline]
pub const fn bin_of(number: u32) -> usize {
    // Of the numbers with the same highest bit, the two bits below it choose one of four bins.
    let shift = (number | 4).ilog2() - 2;
    4 * shift as usize + (number >> shift) as usize
}

/// Returns the least and the largest number of a bin.
///
/// # Panics
/// If there is no such bin.
pub const fn bounds(bin: usize) -> (u32, u32) {
    assert!(bin < BINS);
    let shift = if bin < 4 { 0 } else { bin as u32 / 4 - 1 };
    let least = (bin as u32 - 4 * shift) << shift;
    (least, least + ((1 << shift) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_follow_one_another_without_gap() {
        let mut next = 0_u64;
        for bin in 0..BINS {
            let (least, most) = bounds(bin);
            assert_eq!(u64::from(least), next, "bin {bin}");
            assert!(most - least <= least / 4, "bin {bin} is too wide");
            next = u64::from(most) + 1;
        }
        assert_eq!(next, 1 << 32);
    }

    #[test]
    fn every_number_falls_into_the_bin_that_holds_it() {
        let edges = (0..BINS).flat_map(|bin| <[u32; 2]>::from(bounds(bin)));
        let near = edges.flat_map(|edge| [edge.saturating_sub(1), edge, edge.saturating_add(1)]);
        for number in near.chain(0..1 << 16) {
            let (least, most) = bounds(bin_of(number));
            assert!((least..=most).contains(&number), "{number}");
        }
    }

    #[test]
    fn numbers_are_counted_where_they_belong() {
        let mut bins = Bins([0; BINS]);
        for number in [0, 583, 583, 700, u32::MAX] {
            bins.add(number);
        }
        let counted: u64 = bins.0.iter().sum();
        assert_eq!((counted, bins.0[0], bins.0[BINS - 1]), (5, 1, 1));
        assert_eq!((bins.0[bin_of(512)], bins.0[bin_of(640)]), (2, 1));
    }
}
