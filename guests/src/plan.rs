//! Plans: which windows use the registers, from where, and how much else they do.

use core::fmt;
use core::str::FromStr;

use crate::rng::SplitMix64;

/// Mean length of a run of windows that use the registers, in [`Workload::Bursts`].
pub const MEAN_USED_RUN: u64 = 20;

/// Mean length of a run of windows that leave them alone, in [`Workload::Bursts`].
pub const MEAN_UNUSED_RUN: u64 = 60;

/// Instructions of integer work before and after the use: at least, at most.
pub const WORK_INSTRUCTIONS: (u64, u64) = (50, 2000);

/// A known pattern of use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Workload {
    /// No window uses the registers.
    Never,
    /// Every window does.
    Always,
    /// Every second one does, the first included.
    Alternating,
    /// Each does with the same probability, independent of all others.
    Random,
    /// Runs of windows that do and of windows that do not, of geometric lengths with the means
    /// [`MEAN_USED_RUN`] and [`MEAN_UNUSED_RUN`].
    Bursts,
    /// Those that resume at EL0 do, those that resume at EL1 do not; EL0 has a fixed probability.
    ResumePoint,
}

impl Workload {
    /// Every workload with its name.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("never", Self::Never),
        ("always", Self::Always),
        ("alternating", Self::Alternating),
        ("random", Self::Random),
        ("bursts", Self::Bursts),
        ("resume-point", Self::ResumePoint),
    ];
}

impl FromStr for Workload {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, workload)| *workload).ok_or(())
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, workload)| workload == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// Where a window begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// At EL1.
    Kernel,
    /// At EL0.
    User,
}

/// One stretch of guest code between two exits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Whether it uses the registers.
    pub uses: bool,
    /// Where the exit before it comes from, and so where it begins.
    pub place: Place,
    /// Instructions of integer work before the use.
    pub work_before: u64,
    /// Instructions of integer work after it.
    pub work_after: u64,
}

/// The windows of a workload, without end: the same for the same arguments, always.
#[derive(Clone, Debug)]
pub struct Plan {
    workload: Workload,
    percent: u64,
    most_work: u64,
    index: u64,
    uses: bool,
    use_rng: SplitMix64,
    work_rng: SplitMix64,
}

impl Plan {
    /// The plan for `workload` and `seed`. `percent`, 0 to 100, is the probability of a use in
    /// [`Workload::Random`] and of EL0 in [`Workload::ResumePoint`].
    #[must_use]
    pub fn new(workload: Workload, seed: u64, percent: u64) -> Self {
        let mut use_rng = SplitMix64::stream(seed, 0);
        // A burst workload starts as an observer who comes at a random time would find it.
        let uses = use_rng.below(MEAN_USED_RUN + MEAN_UNUSED_RUN) < MEAN_USED_RUN;
        Self {
            workload,
            percent,
            most_work: WORK_INSTRUCTIONS.1,
            index: 0,
            uses,
            use_rng,
            work_rng: SplitMix64::stream(seed, 1),
        }
    }

    /// The same with at most `most` instructions of integer work before and after each use.
    #[must_use]
    pub fn with_most_work(self, most: u64) -> Self {
        Self {
            most_work: most,
            ..self
        }
    }

    fn next_use(&mut self) -> bool {
        match self.workload {
            Workload::Never => false,
            Workload::Always => true,
            Workload::Alternating => self.index.is_multiple_of(2),
            Workload::Random | Workload::ResumePoint => self.use_rng.below(100) < self.percent,
            Workload::Bursts => {
                let uses = self.uses;
                let mean = if uses { MEAN_USED_RUN } else { MEAN_UNUSED_RUN };
                let ends = self.use_rng.below(mean) == 0;
                self.uses = uses ^ ends;
                uses
            }
        }
    }

    fn next_work(&mut self) -> u64 {
        let least = WORK_INSTRUCTIONS.0.min(self.most_work);
        least + self.work_rng.below(self.most_work - least + 1)
    }
}

impl Iterator for Plan {
    type Item = Window;

    fn next(&mut self) -> Option<Window> {
        let uses = self.next_use();
        let place = match self.workload {
            Workload::ResumePoint if uses => Place::User,
            _ => Place::Kernel,
        };
        self.index += 1;
        Some(Window {
            uses,
            place,
            work_before: self.next_work(),
            work_after: self.next_work(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{format, vec::Vec};

    fn uses(workload: Workload, seed: u64, percent: u64, count: usize) -> Vec<bool> {
        let plan = Plan::new(workload, seed, percent);
        plan.take(count).map(|window| window.uses).collect()
    }

    #[test]
    fn names_round_trip() {
        for (name, workload) in Workload::NAMES {
            assert_eq!(name.parse(), Ok(workload));
            assert_eq!(format!("{workload}"), name);
        }
        assert_eq!("sometimes".parse::<Workload>(), Err(()));
    }

    #[test]
    fn simple_workloads_follow_their_rule() {
        assert_eq!(uses(Workload::Never, 1, 50, 4), [false; 4]);
        assert_eq!(uses(Workload::Always, 1, 50, 4), [true; 4]);
        assert_eq!(
            uses(Workload::Alternating, 1, 50, 4),
            [true, false, true, false]
        );
    }

    #[test]
    fn random_keeps_its_probability() {
        for percent in [0, 5, 29, 50, 83, 95, 100] {
            let windows = 100_000;
            let used = uses(Workload::Random, 42, percent, windows);
            let share = used.iter().filter(|uses| **uses).count() * 1000 / windows;
            assert!(
                share.abs_diff(percent as usize * 10) <= 5,
                "seed 42: {share} per mille used at p={percent}"
            );
        }
    }

    #[test]
    fn bursts_have_their_means() {
        let used = uses(Workload::Bursts, 42, 50, 1_000_000);
        let runs: Vec<_> = used.chunk_by(|a, b| a == b).collect();
        for (kind, mean) in [(true, MEAN_USED_RUN), (false, MEAN_UNUSED_RUN)] {
            let lengths: Vec<_> = runs.iter().filter(|run| run[0] == kind).collect();
            let total: usize = lengths.iter().map(|run| run.len()).sum();
            let found = total as f64 / lengths.len() as f64;
            assert!(
                (found / mean as f64 - 1.0).abs() < 0.05,
                "seed 42: runs with use={kind} last {found} windows, not {mean}"
            );
        }
    }

    #[test]
    fn work_can_be_less() {
        for most in [0, 50, 51, 300] {
            for window in Plan::new(Workload::Always, 1, 50)
                .with_most_work(most)
                .take(100)
            {
                assert!(window.work_before <= most && window.work_after <= most);
            }
        }
    }

    proptest! {
        #![proptest_config(crate::fixed_seed())]

        #[test]
        fn place_tells_use_in_resume_point(seed: u64, percent in 0..=100u64) {
            for window in Plan::new(Workload::ResumePoint, seed, percent).take(200) {
                prop_assert_eq!(window.uses, window.place == Place::User);
            }
        }

        #[test]
        fn work_stays_in_bounds_and_depends_on_the_seed_alone(seed: u64) {
            let work = |workload| {
                let plan = Plan::new(workload, seed, 50);
                plan.take(100).map(|w| (w.work_before, w.work_after)).collect::<Vec<_>>()
            };
            let (least, most) = WORK_INSTRUCTIONS;
            for (before, after) in work(Workload::Always) {
                prop_assert!((least..=most).contains(&before));
                prop_assert!((least..=most).contains(&after));
            }
            prop_assert_eq!(work(Workload::Always), work(Workload::Bursts));
        }
    }
}
