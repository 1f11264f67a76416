//! Whether use is bimodal: whether those who share a task or a resume point use the registers nearly
//! always or nearly never.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::sample::Sample;
use trapcast_results::ratio;

/// Bins of a histogram over the share of windows that use the registers: tenths.
pub const BINS: usize = 10;

/// Windows that a task or a resume point must have: with fewer, its share says little.
pub const FEWEST: u64 = 8;

/// Tasks or resume points that there must be to say anything of them.
pub const ENOUGH: u64 = 10;

/// Bytes of code that count as one resume point.
const LINE: u64 = 64;

/// Windows and those of them that used the registers.
type Counts = (u64, u64);

/// The tasks and the resume points of one record.
#[derive(Clone, Debug, Default)]
pub struct Modes {
    tasks: FxHashMap<(u16, u16, u64), Counts>,
    points: FxHashMap<(u16, u64), Counts>,
    /// The vCPUs that were seen at EL0.
    users: BTreeSet<u16>,
}

/// How tasks, or resume points, spread over the share of their windows that use the registers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// How many fall into each tenth; the last one has 100 % in it.
    pub things: [u64; BINS],
    /// How many windows those have.
    pub windows: [u64; BINS],
    /// How many of them would be in the lowest and the highest tenth if each window of a workload used
    /// the registers by chance, with the share of them that did.
    pub by_chance: f64,
}

impl Modes {
    /// Counts a window: it belongs to a task if the guest resumed at EL0.
    pub fn add(&mut self, sample: &Sample) {
        let count = |counts: &mut Counts| {
            counts.0 += 1;
            counts.1 += u64::from(sample.used);
        };
        if sample.is_user {
            self.users.insert(sample.vcpu);
            let (asid, table) = sample.space;
            count(self.tasks.entry((sample.vcpu, asid, table)).or_default());
        }
        let point = (sample.vcpu, sample.pc / LINE);
        count(self.points.entry(point).or_default());
    }

    /// Returns how its tasks spread.
    pub fn tasks(&self) -> Spread {
        Spread::of(self.tasks.values())
    }

    /// Returns how its resume points spread: those of guests that have tasks. What one program without an
    /// operating system does says nothing of others.
    pub fn points(&self) -> Spread {
        let of_users = |((vcpu, _), _): &(&(u16, u64), &Counts)| self.users.contains(vcpu);
        Spread::of(
            self.points
                .iter()
                .filter(of_users)
                .map(|(_, counts)| counts),
        )
    }
}

impl Spread {
    fn of<'a>(things: impl Iterator<Item = &'a Counts> + Clone) -> Self {
        let things = things.filter(|(windows, _)| *windows >= FEWEST);
        let sum = |sum: Counts, counts: &Counts| (sum.0 + counts.0, sum.1 + counts.1);
        let (windows, used) = things.clone().fold((0, 0), sum);
        let share = ratio(used, windows).unwrap_or(0.0);
        // In ascending order, so that a sum of fractions does not depend on a table's order.
        let mut things: Vec<_> = things.copied().collect();
        things.sort_unstable();
        let mut spread = Self::default();
        for (windows, used) in things {
            let bin = bin(windows, used);
            spread.things[bin] += 1;
            spread.windows[bin] += windows;
            spread.by_chance += chance_of_extremes(windows, share);
        }
        spread
    }

    /// Adds those of another record.
    pub fn merge(&mut self, other: &Self) {
        for bin in 0..BINS {
            self.things[bin] += other.things[bin];
            self.windows[bin] += other.windows[bin];
        }
        self.by_chance += other.by_chance;
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.things.iter().sum()
    }

    /// The share of them that is in the lowest tenth, and in the highest.
    pub fn extremes(&self) -> Option<(f64, f64)> {
        let total = self.total();
        Some((
            ratio(self.things[0], total)?,
            ratio(self.things[BINS - 1], total)?,
        ))
    }

    /// The share of all windows that belong to those in the lowest or the highest tenth.
    pub fn windows_in_extremes(&self) -> Option<f64> {
        let all = self.windows.iter().sum();
        ratio(self.windows[0] + self.windows[BINS - 1], all)
    }

    /// Whether use is bimodal: both ends hold more than any tenth between them, and more than half of all
    /// windows are theirs. `None` where there are not [`ENOUGH`].
    pub fn is_bimodal(&self) -> Option<bool> {
        let (low, high) = (self.things[0], self.things[BINS - 1]);
        let between = self.things[1..BINS - 1].iter().max().copied();
        let most = between.unwrap_or(0);
        let in_extremes = self.windows_in_extremes()?;
        (self.total() >= ENOUGH).then_some(low > most && high > most && in_extremes > 0.5)
    }
}

fn bin(windows: u64, used: u64) -> usize {
    ((used * BINS as u64 / windows) as usize).min(BINS - 1)
}

/// The chance that of so many windows, each of which uses the registers with probability `share`, so few
/// or so many do that they are in the lowest or the highest tenth: sums of a binomial.
fn chance_of_extremes(windows: u64, share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 1.0;
    }
    let odds = share / (1.0 - share);
    // From the most probable number both ways, as the ends are too small for a float to begin with.
    let middle = ((windows + 1) as f64 * share) as u64;
    let (mut all, mut extreme) = (0.0, 0.0);
    let mut add = |used: u64, weight: f64| {
        all += weight;
        if matches!(bin(windows, used), 0 | LAST) {
            extreme += weight;
        }
    };
    let mut weight = 1.0;
    add(middle, weight);
    for used in middle + 1..=windows {
        weight *= odds * (windows - used + 1) as f64 / used as f64;
        add(used, weight);
    }
    weight = 1.0;
    for used in (0..middle).rev() {
        weight *= (used + 1) as f64 / ((windows - used) as f64 * odds);
        add(used, weight);
    }
    extreme / all
}

const LAST: usize = BINS - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(task: u16, pc: u64, used: bool) -> Sample {
        Sample {
            is_user: task > 0,
            space: (task, 0),
            pc,
            used,
            ..Sample::default()
        }
    }

    #[test]
    fn tasks_are_address_spaces_at_el0_and_points_are_lines_of_code() {
        let mut modes = Modes::default();
        for n in 0..20 {
            modes.add(&sample(1, 0x1000, true));
            modes.add(&sample(2, 0x1030, false));
            modes.add(&sample(0, 0x2000, n % 2 == 0));
            // A vCPU without a task.
            modes.add(&Sample {
                vcpu: 1,
                ..sample(0, 0x4000, true)
            });
            // Too few to count.
            if n < 3 {
                modes.add(&sample(3, 0x3000, true));
            }
        }
        let tasks = modes.tasks();
        assert_eq!((tasks.things[0], tasks.things[9], tasks.total()), (1, 1, 2));
        assert_eq!(tasks.windows_in_extremes(), Some(1.0));
        assert_eq!(tasks.is_bimodal(), None);
        let points = modes.points();
        assert_eq!((points.things[5], points.total()), (2, 2));
    }

    #[test]
    fn chance_is_that_of_a_binomial() {
        // 16 windows with a chance of a half: 0, 1, 15 or 16 uses, (1 + 16 + 16 + 1) / 2^16.
        let expected = 34.0 / 65536.0;
        assert!((chance_of_extremes(16, 0.5) - expected).abs() < 1e-12);
        // 20 windows, 5 %: 0 or 1 use, or 18 and more.
        let none = 0.95_f64.powi(20);
        let one = 20.0 * 0.05 * 0.95_f64.powi(19);
        assert!((chance_of_extremes(20, 0.05) - none - one).abs() < 1e-9);
        assert_eq!(chance_of_extremes(20, 0.0), 1.0);
        assert!(chance_of_extremes(1_000_000, 0.5) < 1e-300);
    }

    #[test]
    fn two_ends_are_bimodal_if_most_windows_are_theirs() {
        let spread = |things: [u64; BINS], windows: [u64; BINS]| Spread {
            things,
            windows,
            by_chance: 0.0,
        };
        let ends = [10, 1, 0, 0, 2, 0, 0, 0, 1, 5];
        assert_eq!(spread(ends, ends).is_bimodal(), Some(true));
        let others = [10, 0, 0, 0, 90, 0, 0, 0, 0, 5];
        assert_eq!(spread(ends, others).is_bimodal(), Some(false));
        let one = [30, 6, 0, 0, 0, 0, 0, 0, 0, 5];
        assert_eq!(spread(one, one).is_bimodal(), Some(false));
    }

    #[test]
    fn spreads_of_records_add_up() {
        let spread = Spread {
            things: [3, 0, 0, 0, 1, 0, 0, 0, 0, 2],
            windows: [60, 0, 0, 0, 20, 0, 0, 0, 0, 20],
            by_chance: 0.5,
        };
        let mut sum = spread;
        sum.merge(&spread);
        assert_eq!((sum.total(), sum.by_chance), (12, 1.0));
        assert_eq!(sum.extremes(), Some((0.5, 1.0 / 3.0)));
        assert_eq!(sum.windows_in_extremes(), Some(0.8));
        assert_eq!(Spread::default().extremes(), None);
    }
}
