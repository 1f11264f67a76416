//! Distributions of whole numbers, as results hold them.

use alloc::vec::Vec;

use crate::bins::{Bins, bounds};
use serde::{Deserialize, Serialize};

/// What is counted in bins.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Unit {
    /// Retired instructions.
    #[serde(rename = "instructions")]
    Instructions,
    /// Nanoseconds of the guest's time.
    #[serde(rename = "ns")]
    Nanoseconds,
}

/// How often numbers occurred.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Histogram {
    /// What the numbers count.
    pub unit: Unit,
    /// The bins that hold a number, in ascending order; no two overlap.
    pub bins: Vec<Bin>,
}

/// The numbers of a range.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bin {
    /// The least one of the range.
    pub from: u64,
    /// The largest one of the range.
    pub to: u64,
    /// How many fell into it.
    pub count: u64,
}

impl Histogram {
    /// Returns the distribution that the hypervisor counted; none if it counted nothing.
    pub fn of_instructions(counted: &Bins) -> Option<Self> {
        let counts = counted.0.iter().enumerate();
        let bins: Vec<_> = counts
            .filter(|(_, count)| **count > 0)
            .map(|(bin, &count)| {
                let (from, to) = bounds(bin);
                Bin {
                    from: from.into(),
                    to: to.into(),
                    count,
                }
            })
            .collect();
        let unit = Unit::Instructions;
        (!bins.is_empty()).then_some(Self { unit, bins })
    }

    /// How many numbers there are.
    pub fn total(&self) -> u64 {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    /// The upper end of the bin with the least number that at least the share `share` (0 to 1) of all
    /// numbers are not above; none if there are none.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let wanted = (share * self.total() as f64).ceil().max(1.0) as u64;
        let mut counted = 0;
        let bin = self.bins.iter().find(|bin| {
            counted += bin.count;
            counted >= wanted
        });
        bin.or(self.bins.last()).map(|bin| bin.to)
    }

    /// The upper end of the bin with the largest number; none if there are none.
    pub fn max(&self) -> Option<u64> {
        self.bins.last().map(|bin| bin.to)
    }
}

#[cfg(test)]
mod tests {
    use crate::bins::BINS;

    use super::*;

    #[test]
    fn a_distribution_is_its_bins_that_are_not_empty() {
        let mut counted = Bins([0; BINS]);
        assert_eq!(Histogram::of_instructions(&counted), None);
        for (number, times) in [(3, 1), (600, 8), (1500, 1)] {
            (0..times).for_each(|_| counted.add(number));
        }
        let histogram = Histogram::of_instructions(&counted).unwrap();
        let bins: Vec<_> = histogram
            .bins
            .iter()
            .map(|b| (b.from, b.to, b.count))
            .collect();
        assert_eq!(bins, [(3, 3, 1), (512, 639, 8), (1280, 1535, 1)]);
        assert_eq!((histogram.total(), histogram.max()), (10, Some(1535)));
    }

    #[test]
    fn quantiles_are_the_ends_of_bins() {
        let bin = |from, to, count| Bin { from, to, count };
        let histogram = Histogram {
            unit: Unit::Nanoseconds,
            bins: vec![bin(0, 15, 5), bin(32, 47, 4), bin(480, 495, 1)],
        };
        let quantiles = [0.0, 0.5, 0.51, 0.9, 0.91, 1.0].map(|share| histogram.quantile(share));
        assert_eq!(quantiles, [15, 15, 47, 47, 495, 495].map(Some));
        let nothing = Histogram {
            bins: Vec::new(),
            ..histogram
        };
        assert_eq!((nothing.quantile(0.5), nothing.max()), (None, None));
    }

    #[test]
    fn results_name_the_unit() {
        let json = r#"{"unit":"ns","bins":[{"from":16,"to":31,"count":2}]}"#;
        let histogram: Histogram = serde_json::from_str(json).unwrap();
        assert_eq!(histogram.unit, Unit::Nanoseconds);
        assert_eq!(serde_json::to_string(&histogram).unwrap(), json);
    }
}
