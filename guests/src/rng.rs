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

    proptest! {
        #![proptest_config(crate::fixed_seed())]

        #[test]
        fn stays_below_the_bound(seed: u64, bound in 1..=1u64 << 32) {
            prop_assert!(SplitMix64::new(seed).below(bound) < bound);
        }
    }
}
