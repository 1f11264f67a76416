//! How often windows use the registers, how far that follows from the window before, and how far apart
//! uses are.

use std::collections::BTreeMap;

use trapcast_trace::report::WindowReport;

use super::{
    estimate::{Estimate, block_length, over_blocks},
    sample::Sample,
};
use crate::inspect::Distances;
use trapcast_results::ratio;

/// The windows of one kind, in their order: each with whether it used the registers, and whether the
/// window of its vCPU before did.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    windows: Vec<(bool, Option<bool>)>,
    /// By number of the vCPU: its windows that did not use the registers, and those that did.
    vcpus: BTreeMap<u16, [u64; 2]>,
}

/// What is known of the windows of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Windows.
    pub windows: u64,
    /// Those that used the registers.
    pub used: u64,
    /// Their share.
    pub share: Estimate,
    /// P(use | the window before used them): the precision of "used last time, will be used now".
    pub after_use: Estimate,
    /// P(use | the window before did not).
    pub after_none: Estimate,
    /// Share of windows that do as the one before.
    pub accuracy: Estimate,
    /// Share of windows that do what most of their vCPU's do: what a forecast that always says the same of a vCPU
    /// comes to at best.
    pub majority: Option<f64>,
}

impl Sequence {
    /// Adds the next window, one of this vCPU.
    pub fn push(&mut self, vcpu: u16, used: bool, before: Option<bool>) {
        self.windows.push((used, before));
        self.vcpus.entry(vcpu).or_default()[usize::from(used)] += 1;
    }

    /// Returns what is known of them.
    pub fn usage(&self) -> Usage {
        let length = block_length(self.windows.len());
        let blocks: Vec<_> = self.windows.chunks(length).map(count).collect();
        let counts = count(&self.windows);
        let [share, after_use, after_none, accuracy] = over_blocks(&blocks, statistics);
        Usage {
            windows: counts.windows,
            used: counts.used,
            share,
            after_use,
            after_none,
            accuracy,
            majority: ratio(
                self.vcpus
                    .values()
                    .map(|[unused, used]| unused.max(used))
                    .sum(),
                counts.windows,
            ),
        }
    }
}

fn count(windows: &[(bool, Option<bool>)]) -> WindowReport {
    let mut counts = WindowReport::default();
    for &(used, before) in windows {
        counts.windows += 1;
        counts.used += u64::from(used);
        if let Some(before) = before {
            counts.pairs[usize::from(before)][usize::from(used)] += 1;
        }
    }
    counts
}

/// Share used, P(use | use), P(use | none) and accuracy. The share of uses that followed a use would say P(use | use)
/// again: a vCPU begins to use the registers as often as it stops, or once more or less.
fn statistics(counts: &WindowReport) -> [Option<f64>; 4] {
    let [[none_none, none_use], [use_none, use_use]] = counts.pairs;
    let all = none_none + none_use + use_none + use_use;
    [
        ratio(counts.used, counts.windows),
        ratio(use_use, use_none + use_use),
        ratio(none_use, none_none + none_use),
        ratio(none_none + use_use, all),
    ]
}

/// How far apart uses of the registers by one vCPU are.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    /// In entry windows: 1 is the next one.
    pub windows: Distances,
    /// In the vCPU's own instructions, from one window's first use to the next one's.
    pub instructions: Distances,
    /// In ticks of the board's counter, from entry to entry.
    pub ticks: Distances,
}

/// Sorts the windows of a record by kind.
#[derive(Debug)]
pub struct Splitter {
    vcpus: Vec<Vcpu>,
    /// Windows from an entry to its exit.
    pub entry: Phases,
    /// Windows from load to put.
    pub load: Phases,
    /// How far apart uses are.
    pub gaps: Gaps,
}

/// Windows of one kind, those of the boot apart from those of the program.
#[derive(Clone, Debug, Default)]
pub struct Phases {
    /// All.
    pub all: Sequence,
    /// Those of the program at work.
    pub work: Sequence,
}

impl Phases {
    fn push(&mut self, sample: &Sample, used: bool, before: Option<bool>) {
        self.all.push(sample.vcpu, used, before);
        if sample.at_work {
            self.work.push(sample.vcpu, used, before);
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Vcpu {
    last_entry: Option<bool>,
    last_load: Option<bool>,
    used_since_load: bool,
    instructions: u64,
    windows: u64,
    /// Window, instruction and tick of the last use.
    last_use: Option<[u64; 3]>,
}

impl Splitter {
    /// Begins with so many vCPUs that have not run.
    pub fn new(vcpus: usize) -> Self {
        Self {
            vcpus: vec![Vcpu::default(); vcpus],
            entry: Phases::default(),
            load: Phases::default(),
            gaps: Gaps::default(),
        }
    }

    /// Adds the next window of the record.
    ///
    /// # Panics
    /// If there is no such vCPU.
    pub fn add(&mut self, sample: &Sample) {
        let vcpu = &mut self.vcpus[usize::from(sample.vcpu)];
        let before = vcpu.last_entry.replace(sample.used);
        self.entry.push(sample, sample.used, before);
        vcpu.used_since_load |= sample.used;
        if sample.put {
            let used = std::mem::take(&mut vcpu.used_since_load);
            let before = vcpu.last_load.replace(used);
            self.load.push(sample, used, before);
        }
        if sample.used {
            let first_use = u64::from(sample.first_use.unwrap_or(0));
            let now = [vcpu.windows, vcpu.instructions + first_use, sample.start];
            if let Some(last) = vcpu.last_use.replace(now) {
                let [windows, instructions, ticks] =
                    std::array::from_fn(|unit| now[unit].saturating_sub(last[unit]));
                self.gaps.windows.add(windows);
                self.gaps.instructions.add(instructions);
                self.gaps.ticks.add(ticks);
            }
        }
        vcpu.windows += 1;
        vcpu.instructions += sample.instructions;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(vcpu: u16, used: bool, put: bool) -> Sample {
        Sample {
            vcpu,
            used,
            put,
            at_work: true,
            ..Sample::default()
        }
    }

    #[test]
    fn pairs_are_of_one_vcpus_windows() {
        let mut splitter = Splitter::new(2);
        for (vcpu, used) in [
            (0, true),
            (1, false),
            (0, true),
            (1, true),
            (0, false),
            (1, true),
        ] {
            splitter.add(&sample(vcpu, used, vcpu == 1));
        }
        let usage = splitter.entry.all.usage();
        assert_eq!((usage.windows, usage.used), (6, 4));
        // vCPU 0: use, use, none; vCPU 1: none, use, use.
        assert_eq!(usage.after_use.value, Some(2.0 / 3.0));
        assert_eq!(usage.after_none.value, Some(1.0));
        assert_eq!(usage.accuracy.value, Some(0.5));
        // Two of three windows of each vCPU use them.
        assert_eq!(usage.majority, Some(4.0 / 6.0));
        assert_eq!(splitter.load.all.usage().windows, 3);
    }

    #[test]
    fn a_load_window_uses_the_registers_if_one_of_its_entries_does() {
        let mut splitter = Splitter::new(1);
        for (used, put) in [
            (true, false),
            (false, true),
            (false, false),
            (false, true),
            (true, false),
        ] {
            splitter.add(&sample(0, used, put));
        }
        let usage = splitter.load.all.usage();
        assert_eq!((usage.windows, usage.used), (2, 1));
        assert_eq!(usage.after_use.value, Some(0.0));
    }

    #[test]
    fn the_programs_windows_stand_apart() {
        let mut splitter = Splitter::new(1);
        for row in 0..10 {
            let sample = sample(0, row >= 4, true);
            splitter.add(&Sample {
                at_work: row >= 6,
                ..sample
            });
        }
        assert_eq!(splitter.entry.all.usage().share.value, Some(0.6));
        let work = splitter.entry.work.usage();
        assert_eq!((work.windows, work.share.value), (4, Some(1.0)));
        // The window before the first of them counts as before.
        assert_eq!(work.after_use.value, Some(1.0));
    }

    #[test]
    fn gaps_are_in_windows_own_instructions_and_ticks() {
        let mut splitter = Splitter::new(2);
        let window = |vcpu, first_use, start| Sample {
            vcpu,
            used: first_use > 0,
            first_use: (first_use > 0).then_some(first_use),
            instructions: 100,
            start,
            ..Sample::default()
        };
        for sample in [
            window(0, 10, 1000),
            window(1, 50, 1200),
            window(0, 0, 1400),
            window(0, 30, 1600),
            window(1, 50, 1800),
        ] {
            splitter.add(&sample);
        }
        let steps = |distances: &Distances| distances.cumulated().collect::<Vec<_>>();
        assert_eq!(steps(&splitter.gaps.windows), [(1, 1), (2, 2)]);
        assert_eq!(steps(&splitter.gaps.instructions), [(100, 1), (220, 2)]);
        assert_eq!(steps(&splitter.gaps.ticks), [(600, 2)]);
    }
}
