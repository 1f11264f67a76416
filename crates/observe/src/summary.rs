//! What exits, traps and switches cost, and how often the registers are used.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use trapcast_trace::report::EXIT_NAMES;

use crate::{
    policy::Verdict,
    windows::{LoadMark, Observed, Window},
};

/// What was seen of a run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Summary {
    /// Entries into guests, and as many windows.
    pub entries: u64,
    /// Loads of a vCPU onto a core.
    pub loads: u64,
    /// By what a load is told.
    pub load_mark: LoadMark,
    /// Cores on which guests ran.
    pub cores: usize,
    /// VMs.
    pub vms: usize,
    /// vCPUs.
    pub vcpus: usize,
    /// Instructions that guests executed in the windows.
    pub guest_instructions: u64,
    /// Instructions at EL2 from the first window to the last, on each core.
    pub el2_instructions: u64,
    /// Instructions at the host's EL0 and EL1, likewise.
    pub host_instructions: u64,
    /// By the reason of the exit.
    pub exits: Vec<ExitCost>,
    /// From an exit to the entry of another vCPU: instructions at EL2 and of the host.
    pub switches: Option<Quantiles>,
    /// Traps for FP/SIMD, SVE and SME after which the guest went on.
    pub fp_traps: FpTraps,
    /// Windows from an entry to its exit.
    pub entry_windows: Usage,
    /// Windows from a load to the put.
    pub load_windows: Usage,
    /// Which policy moves the registers.
    pub verdict: Verdict,
}

/// What exits of one kind cost.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ExitCost {
    /// The reason.
    pub exit: String,
    /// Windows that it ended.
    pub windows: u64,
    /// Instructions outside of the guest, at EL2 and of the host, from such an exit until the same vCPU goes on,
    /// where no other one runs on the core meanwhile.
    pub instructions: Option<Quantiles>,
}

/// Traps within windows.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FpTraps {
    /// How many.
    pub traps: u64,
    /// The same per 1,000 entries.
    pub per_1000_entries: Option<f64>,
    /// Instructions at EL2 of each, in windows with one trap.
    pub instructions: Option<Quantiles>,
}

/// How often windows of one kind used the registers.
#[derive(Clone, Debug, Deserialize, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Windows.
    pub windows: u64,
    /// Those that used the registers.
    pub used: u64,
    /// Their share.
    pub used_share: Option<f64>,
    /// The share of the vCPU's next windows that used them too.
    pub used_given_used: Option<f64>,
}

/// Some counts of instructions.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Quantiles {
    /// How many counts.
    pub count: u64,
    /// The median: the smallest that half of them do not exceed.
    pub median: u64,
    /// What nine tenths of them do not exceed.
    pub p90: u64,
    /// The largest.
    pub longest: u64,
}

impl Quantiles {
    /// Of counts that are in order; `None` of none.
    pub fn of_sorted(counts: &[u64]) -> Option<Self> {
        let rank = |tenths: usize| counts[(counts.len() * tenths).div_ceil(10).max(1) - 1];
        Some(Self {
            count: counts.len() as u64,
            longest: *counts.last()?,
            median: rank(5),
            p90: rank(9),
        })
    }

    fn of(mut counts: Vec<u64>) -> Option<Self> {
        counts.sort_unstable();
        Self::of_sorted(&counts)
    }
}

/// Instructions outside of guests from a window's end to the core's next window.
pub fn gap(next: &Window) -> u64 {
    next.seen.el2_instructions + next.seen.host_instructions
}

/// The instructions at EL2 of a window's trap for FP/SIMD, SVE or SME, if it had just one trap.
pub const fn trap_cost(window: &Window) -> Option<u64> {
    match (window.seen.traps, window.seen.fp_traps) {
        (1, 1) => Some(window.seen.trap_instructions),
        _ => None,
    }
}

impl Summary {
    /// Sums up what was seen.
    pub fn of(observed: &Observed) -> Self {
        let windows = &observed.windows;
        let sum = |value: fn(&Window) -> u64| windows.iter().map(value).sum::<u64>();
        let entries = windows.len() as u64;
        let traps = sum(|window| window.seen.fp_traps.into());
        let vms: std::collections::BTreeSet<_> =
            observed.vcpus.iter().map(|vcpu| vcpu.vm).collect();
        let (exits, switches) = costs(windows);
        let (entry_windows, load_windows) = usage(windows);
        Self {
            entries,
            loads: sum(|window| window.loaded.into()),
            load_mark: observed.load_mark,
            cores: observed.cores(),
            vms: vms.len(),
            vcpus: observed.vcpus.len(),
            guest_instructions: sum(|window| window.seen.guest_instructions),
            el2_instructions: sum(|window| {
                window.seen.el2_instructions + window.seen.trap_instructions
            }),
            host_instructions: sum(|window| window.seen.host_instructions),
            exits,
            switches: Quantiles::of(switches),
            fp_traps: FpTraps {
                traps,
                per_1000_entries: share(1000 * traps, entries),
                instructions: Quantiles::of(windows.iter().filter_map(trap_cost).collect()),
            },
            entry_windows,
            load_windows,
            verdict: Verdict::of(observed),
        }
    }
}

/// Returns what exits of each kind cost, the most frequent first, and what each switch did.
fn costs(windows: &[Window]) -> (Vec<ExitCost>, Vec<u64>) {
    let mut kinds: BTreeMap<u8, (u64, Vec<u64>)> = BTreeMap::new();
    let mut switches = Vec::new();
    for window in windows {
        let (count, costs) = kinds.entry(window.exit as u8).or_default();
        *count += 1;
        match window.next.map(|next| &windows[next]) {
            Some(next) if next.vcpu == window.vcpu => costs.push(gap(next)),
            Some(next) => switches.push(gap(next)),
            None => {}
        }
    }
    let cost = |(kind, (windows, costs)): (u8, (u64, Vec<u64>))| ExitCost {
        exit: EXIT_NAMES[usize::from(kind)].to_string(),
        windows,
        instructions: Quantiles::of(costs),
    };
    let mut exits: Vec<_> = kinds.into_iter().map(cost).collect();
    exits.sort_by_key(|exit| std::cmp::Reverse(exit.windows));
    (exits, switches)
}

/// Returns how often entry windows and load windows used the registers. A load that has not ended counts.
fn usage(windows: &[Window]) -> (Usage, Usage) {
    let [mut entries, mut loads] = [Pairs::default(), Pairs::default()];
    let mut under_way: HashMap<u16, bool> = HashMap::new();
    for window in windows {
        let used = window.used();
        entries.add(window.vcpu, used);
        let load = under_way.entry(window.vcpu).or_default();
        *load |= used;
        if window.put {
            loads.add(window.vcpu, std::mem::take(load));
        }
    }
    let last: HashMap<u16, bool> = windows
        .iter()
        .map(|window| (window.vcpu, window.put))
        .collect();
    for (vcpu, used) in under_way {
        if last.get(&vcpu) == Some(&false) {
            loads.add(vcpu, used);
        }
    }
    (entries.usage(), loads.usage())
}

/// Windows, and which of them follow one of the same vCPU that used the registers.
#[derive(Default)]
struct Pairs {
    windows: u64,
    used: u64,
    after_use: u64,
    used_after_use: u64,
    last: HashMap<u16, bool>,
}

impl Pairs {
    fn add(&mut self, vcpu: u16, used: bool) {
        self.windows += 1;
        self.used += u64::from(used);
        if self.last.insert(vcpu, used) == Some(true) {
            self.after_use += 1;
            self.used_after_use += u64::from(used);
        }
    }

    fn usage(&self) -> Usage {
        Usage {
            windows: self.windows,
            used: self.used,
            used_share: share(self.used, self.windows),
            used_given_used: share(self.used_after_use, self.after_use),
        }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use trapcast_trace::observed::{ObservedWindow, Seen};

    use super::*;
    use crate::windows::tests::seen;

    const HVC: u32 = 0x16 << 26;

    #[test]
    fn quantiles_are_of_what_was_counted() {
        let counts: Vec<u64> = (1..=10).collect();
        let quantiles = Quantiles::of_sorted(&counts).unwrap();
        let told = (quantiles.median, quantiles.p90, quantiles.longest);
        assert_eq!(told, (5, 9, 10));
        assert_eq!(Quantiles::of_sorted(&[7]).unwrap().median, 7);
        assert_eq!(Quantiles::of_sorted(&[]), None);
    }

    #[test]
    fn an_exit_costs_what_runs_until_its_vcpu_goes_on() {
        let window = |vcpu, el2, host, fp: bool, traps, trap| ObservedWindow {
            el2_instructions: el2,
            host_instructions: host,
            traps,
            fp_traps: traps,
            trap_instructions: trap,
            flags: (Seen::GAP_BEFORE | if fp { Seen::FP } else { Seen::empty() }).bits(),
            ..seen(0, vcpu, 0, 4, HVC)
        };
        let summary = Summary::of(&Observed::of(vec![
            window(1, 0, 0, true, 1, 189),
            window(1, 1000, 44, true, 0, 0),
            window(2, 5000, 0, false, 2, 999),
            window(1, 6000, 7, false, 0, 0),
        ]));
        let [exit] = &summary.exits[..] else {
            panic!("{summary:?}");
        };
        assert_eq!((&*exit.exit, exit.windows), ("hypercall", 4));
        assert_eq!(exit.instructions.unwrap().longest, 1044);
        assert_eq!(exit.instructions.unwrap().count, 1);
        let switches = summary.switches.unwrap();
        assert_eq!(
            (switches.count, switches.median, switches.longest),
            (2, 5000, 6007)
        );
        assert_eq!(summary.fp_traps.traps, 3);
        assert_eq!(summary.fp_traps.per_1000_entries, Some(750.0));
        assert_eq!(summary.fp_traps.instructions.unwrap().median, 189);
        let entry = summary.entry_windows;
        assert_eq!((entry.windows, entry.used), (4, 2));
        // After the first use another one, after the second none.
        assert_eq!(entry.used_given_used, Some(0.5));
        assert_eq!(
            (summary.load_windows.windows, summary.load_windows.used),
            (3, 1)
        );
        assert_eq!(summary.el2_instructions, 13_188);
    }
}
