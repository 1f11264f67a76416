//! Minimum, median, maximum and percentiles of a series of counts.

/// What a series of counts comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Summary {
    /// The smallest.
    pub min: u64,
    /// The one in the middle; of an even number, the lower of the two.
    pub median: u64,
    /// The largest.
    pub max: u64,
}

impl Summary {
    /// Sorts `counts` and sums them up; `None` if there are none.
    #[must_use]
    pub fn of(counts: &mut [u64]) -> Option<Self> {
        counts.sort_unstable();
        Some(Self {
            min: *counts.first()?,
            median: counts[(counts.len() - 1) / 2],
            max: *counts.last()?,
        })
    }
}

/// The smallest of the `sorted` counts that at least `percent` in a hundred of them do not exceed; `None` if
/// there are none.
#[must_use]
pub fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let hundred: [u64; 100] = core::array::from_fn(|n| n as u64 + 1);
        let of = |percent| percentile(&hundred, percent);
        assert_eq!([of(1), of(50), of(99), of(100)], [1, 50, 99, 100].map(Some));
        assert_eq!(percentile(&[7, 9], 51), Some(9));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn sums_up() {
        let summary = |mut counts: [u64; 4]| Summary::of(&mut counts);
        assert_eq!(
            summary([9, 1, 4, 2]),
            Some(Summary {
                min: 1,
                median: 2,
                max: 9
            })
        );
        assert_eq!(Summary::of(&mut []), None);
    }
}
