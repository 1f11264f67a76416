//! SplitMix64: the seeded generator behind every choice and every pattern of the guests.
//!
//! Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A generator of 64-bit numbers with a state of 64 bits.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator that starts at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator for the purpose `stream`: same seed, unrelated numbers.
    #[must_use]
    pub const fn stream(seed: u64, stream: u64) -> Self {
        Self(mix(seed ^ mix(stream.wrapping_add(GOLDEN_GAMMA))))
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        mix(self.0)
    }

    /// A number below `bound`, which is at most 2^32. The bias is below 2^-32.
    ///
    /// # Panics
    ///
    /// Panics if `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        assert!(bound != 0, "a number below 0 does not exist");
        ((self.next_u64() >> 32) * bound) >> 32
    }
}

/// The seed of part `part` of something that has the seed `seed`: part 0 has the same one.
#[must_use]
pub const fn seed_of(seed: u64, part: u64) -> u64 {
    if part == 0 {
        seed
    } else {
        mix(seed ^ mix(part))
    }
}

/// SplitMix64's finalizer: a bijection in which each input bit changes half of the output bits.
#[must_use]
pub const fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn agrees_with_the_published_sequence() {
        let mut rng = SplitMix64::new(1_234_567);
        let numbers = [(); 3].map(|()| rng.next_u64());
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let first = SplitMix64::stream(1, 0).next_u64();
        let second = SplitMix64::stream(1, 1).next_u64();
        assert_ne!(first, second);
    }

    #[test]
    fn no_two_parts_of_small_seeds_share_one() {
        let seeds = (0..100).flat_map(|seed| (0..8).map(move |part| seed_of(seed, part)));
        assert_eq!(seeds.collect::<HashSet<_>>().len(), 800);
        assert_eq!(seed_of(7, 0), 7);
    }

    proptest! {
        #![proptest_config(crate::fixed_seed())]

        #[test]
        fn stays_below_the_bound(seed: u64, bound in 1..=1u64 << 32) {
            prop_assert!(SplitMix64::new(seed).below(bound) < bound);
        }
    }
}
