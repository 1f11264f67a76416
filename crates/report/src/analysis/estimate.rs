//! Estimates: a number, and the interval that belongs to it.
//!
//! Counts of a run repeat exactly, so an interval is not about another measurement. It says how far the
//! number would move if the guest had gone on for as long with windows of the same kind: a bootstrap over
//! blocks of windows (Künsch 1989), and over workloads where several are put together.

use trapcast_trace::report::WindowReport;

use trapcast_tool::random::Random;

/// Draws of a bootstrap.
const DRAWS: usize = 1000;

/// The seed of every bootstrap.
const SEED: u64 = 6;

/// Blocks or workloads that a bootstrap needs: with fewer, its draws are too much alike.
const FEWEST: usize = 4;

/// From where to where a number may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A number, and its interval of 95 % where there is enough to estimate it from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The number; `None` where it is a quotient of nothing.
    pub value: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
}

impl Estimate {
    /// The interval as two ends.
    pub fn ends(&self) -> Option<(f64, f64)> {
        self.interval.map(|interval| (interval.low, interval.high))
    }
}

/// Cuts a sequence of windows into about as many blocks as a block has windows, so that what depends on
/// the windows before stays within most blocks.
pub fn block_length(windows: usize) -> usize {
    (windows as f64).sqrt().ceil().max(1.0) as usize
}

/// Estimates statistics of windows from the counts of blocks of them.
pub fn over_blocks<const N: usize>(
    blocks: &[WindowReport],
    statistics: impl Fn(&WindowReport) -> [Option<f64>; N],
) -> [Estimate; N] {
    let values = statistics(&sum(blocks));
    let mut draws: [Vec<f64>; N] = [const { Vec::new() }; N];
    if blocks.len() >= FEWEST {
        let mut random = Random::new(SEED);
        for _ in 0..DRAWS {
            let drawn = (0..blocks.len()).map(|_| &blocks[random.below(blocks.len())]);
            for (draws, value) in draws.iter_mut().zip(statistics(&sum(drawn))) {
                draws.extend(value);
            }
        }
    }
    let mut draws = draws.into_iter();
    values.map(|value| Estimate {
        value,
        interval: value.and_then(|_| middle(draws.next().unwrap_or_default())),
    })
}

/// Estimates the sum of some numbers over the sum of others, one of each per workload. With too few
/// workloads for a bootstrap, the interval goes from the least to the greatest quotient of one.
pub fn over_workloads(pairs: &[(f64, f64)]) -> Estimate {
    let quotient = |(part, whole): (f64, f64)| (whole > 0.0).then_some(part / whole);
    let add = |sum: (f64, f64), pair: &(f64, f64)| (sum.0 + pair.0, sum.1 + pair.1);
    let value = quotient(pairs.iter().fold((0.0, 0.0), add));
    let interval = if pairs.len() >= FEWEST {
        let mut random = Random::new(SEED);
        let draw = |_| {
            let drawn = (0..pairs.len()).map(|_| &pairs[random.below(pairs.len())]);
            quotient(drawn.fold((0.0, 0.0), add))
        };
        middle((0..DRAWS).filter_map(draw).collect())
    } else {
        ends(pairs.iter().copied().filter_map(quotient))
    };
    Estimate {
        value,
        interval: value.and(interval),
    }
}

/// The least and the greatest of some numbers.
pub fn ends(numbers: impl Iterator<Item = f64>) -> Option<Interval> {
    numbers.fold(None, |ends, number| {
        let (low, high) = ends.map_or((number, number), |ends: Interval| (ends.low, ends.high));
        Some(Interval {
            low: low.min(number),
            high: high.max(number),
        })
    })
}

/// Where the middle 95 % of some draws lie.
fn middle(mut draws: Vec<f64>) -> Option<Interval> {
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (share * draws.len() as f64) as usize;
        draws.get(place.min(draws.len().saturating_sub(1))).copied()
    };
    Some(Interval {
        low: at(0.025)?,
        high: at(0.975)?,
    })
}

fn sum<'a>(blocks: impl IntoIterator<Item = &'a WindowReport>) -> WindowReport {
    let mut sum = WindowReport::default();
    for block in blocks {
        sum.windows += block.windows;
        sum.used += block.used;
        for (sums, counts) in sum.pairs.iter_mut().zip(block.pairs) {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(windows: u64, used: u64) -> WindowReport {
        WindowReport {
            windows,
            used,
            ..WindowReport::default()
        }
    }

    fn share(report: &WindowReport) -> [Option<f64>; 1] {
        [(report.windows > 0).then(|| report.used as f64 / report.windows as f64)]
    }

    #[test]
    fn windows_by_chance_have_the_interval_of_a_binomial() {
        let mut random = Random::new(3);
        let blocks: Vec<_> = (0..100)
            .map(|_| {
                block(
                    100,
                    (0..100).filter(|_| random.below(10) < 3).count() as u64,
                )
            })
            .collect();
        let [estimate] = over_blocks(&blocks, share);
        let (value, interval) = (estimate.value.unwrap(), estimate.interval.unwrap());
        // Two standard deviations of a share of 0.3 of 10,000 are 0.0092.
        assert!((value - 0.3).abs() < 0.01, "{value}");
        let width = interval.high - interval.low;
        assert!((0.014..0.022).contains(&width), "{interval:?}");
        assert!(interval.low < value && value < interval.high);
    }

    #[test]
    fn blocks_that_differ_widen_the_interval() {
        let bursts: Vec<_> = (0..100)
            .map(|n| block(100, if n % 10 < 3 { 100 } else { 0 }))
            .collect();
        let [estimate] = over_blocks(&bursts, share);
        let interval = estimate.interval.unwrap();
        assert_eq!(estimate.value, Some(0.3));
        assert!(interval.high - interval.low > 0.15, "{interval:?}");
    }

    #[test]
    fn a_draw_repeats_and_nothing_comes_of_nothing() {
        let blocks: Vec<_> = (0..9).map(|n| block(10, n)).collect();
        assert_eq!(over_blocks(&blocks, share), over_blocks(&blocks, share));
        assert_eq!(over_blocks(&[], share), [Estimate::default()]);
        let [few] = over_blocks(&blocks[..3], share);
        assert_eq!((few.value, few.interval), (Some(0.1), None));
    }

    #[test]
    fn few_workloads_give_their_ends_and_many_a_bootstrap() {
        let few = over_workloads(&[(1.0, 2.0), (3.0, 2.0), (5.0, 0.0)]);
        assert_eq!(few.value, Some(9.0 / 4.0));
        assert_eq!(few.ends(), Some((0.5, 1.5)));
        let same = over_workloads(&[(1.0, 4.0); 10]);
        assert_eq!((same.value, same.ends()), (Some(0.25), Some((0.25, 0.25))));
        let many: Vec<_> = (0..40).map(|n| (f64::from(n % 2), 1.0)).collect();
        let (low, high) = over_workloads(&many).ends().unwrap();
        assert!(
            (0.3..0.45).contains(&low) && (0.55..0.7).contains(&high),
            "{low} {high}"
        );
        assert_eq!(over_workloads(&[(1.0, 0.0)]), Estimate::default());
    }
}
