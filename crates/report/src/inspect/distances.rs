//! The distribution of whole numbers in memory that does not grow with their count.

use serde::Serialize;

/// Numbers below this are counted one by one.
const EXACT: u64 = 1024;

/// Above it, each doubling is counted in so many steps: quantiles there are right to 1 in 64.
const STEPS: u64 = 64;

/// Counts of numbers.
#[derive(Clone, Debug, Default)]
pub struct Distances {
    counts: Vec<u64>,
    total: u64,
    largest: u64,
}

/// What a distribution looks like. A quantile is the smallest number that so many are not above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Numbers.
    pub count: u64,
    /// Half of them are not above this.
    pub p50: Option<u64>,
    /// 75 of 100.
    pub p75: Option<u64>,
    /// 90 of 100.
    pub p90: Option<u64>,
    /// 99 of 100.
    pub p99: Option<u64>,
    /// 999 of 1000.
    pub p999: Option<u64>,
    /// All.
    pub max: Option<u64>,
}

impl Distances {
    /// Counts a number.
    pub fn add(&mut self, number: u64) {
        let bucket = bucket(number);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.largest = self.largest.max(number);
    }

    /// Returns the quantiles.
    pub fn quantiles(&self) -> Quantiles {
        Quantiles {
            count: self.total,
            p50: self.quantile(500),
            p75: self.quantile(750),
            p90: self.quantile(900),
            p99: self.quantile(990),
            p999: self.quantile(999),
            max: (self.total > 0).then_some(self.largest),
        }
    }

    /// Returns each number that was counted, or the last one of its step, with how many are not above it:
    /// ascending.
    pub fn cumulated(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut seen = 0;
        let counted = self.counts.iter().enumerate();
        counted
            .filter(|(_, count)| **count > 0)
            .map(move |(bucket, count)| {
                seen += count;
                (last_of(bucket).min(self.largest), seen)
            })
    }

    /// How many numbers were counted.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The smallest number that so many of 1000 are not above.
    fn quantile(&self, per_mille: u64) -> Option<u64> {
        let wanted = (self.total * per_mille).div_ceil(1000);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted && seen > 0
        });
        bucket.map(|bucket| last_of(bucket).min(self.largest))
    }
}

/// Where a number is counted.
fn bucket(number: u64) -> usize {
    if number < EXACT {
        return number as usize;
    }
    let doublings = u64::from(number.ilog2() - EXACT.ilog2());
    let step = (number >> (number.ilog2() - STEPS.ilog2())) - STEPS;
    (EXACT + doublings * STEPS + step) as usize
}

/// The largest number that is counted in a bucket.
fn last_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let Some(above) = bucket.checked_sub(EXACT) else {
        return bucket;
    };
    let shift = above / STEPS + u64::from(EXACT.ilog2() - STEPS.ilog2());
    let next = u128::from(STEPS + above % STEPS + 1) << shift;
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_the_bucket_that_ends_at_or_behind_it() {
        for number in (0..5000).chain([1 << 20, (1 << 40) - 1, 1 << 40, u64::MAX]) {
            let last = last_of(bucket(number));
            assert!(last >= number, "{number}: {last}");
            assert!(last - number <= number / 64, "{number}: {last}");
            assert_eq!(bucket(last), bucket(number), "{number}");
            if let Some(next) = last.checked_add(1) {
                assert_eq!(bucket(next), bucket(number) + 1, "{number}");
            }
        }
    }

    #[test]
    fn quantiles_are_exact_for_small_numbers() {
        let mut distances = Distances::default();
        assert_eq!(distances.quantiles(), Quantiles::default());
        for number in 1..=1000 {
            distances.add(number);
        }
        let quantiles = distances.quantiles();
        assert_eq!(
            [
                quantiles.p50,
                quantiles.p75,
                quantiles.p90,
                quantiles.p99,
                quantiles.p999
            ],
            [500, 750, 900, 990, 999].map(Some)
        );
        assert_eq!((quantiles.count, quantiles.max), (1000, Some(1000)));
        assert_eq!(
            distances.cumulated().last(),
            Some((1000, distances.total()))
        );
        assert_eq!(distances.cumulated().nth(6), Some((7, 7)));
    }
}
