//! Minimum, median and maximum of a series of counts.

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

#[cfg(test)]
mod tests {
    use super::*;

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
