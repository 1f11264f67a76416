//! Counters as results hold them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trapcast_trace::report::{ClassReport, EXIT_NAMES, VcpuReport, WindowReport};

/// What one vCPU did, or several together.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counters {
    /// Entries into the guest.
    pub entries: u64,
    /// Exits by reason.
    pub exits: BTreeMap<String, u64>,
    /// Loads of the vCPU onto a core.
    pub vcpu_loads: u64,
    /// Traps that the scheme armed.
    pub traps: u64,
    /// Traps that the scheme armed although it had loaded the registers.
    pub probes: u64,
    /// Traps that only the observer armed.
    pub observer_traps: u64,
    /// Loads of the registers.
    pub register_loads: u64,
    /// Saves of the registers.
    pub register_saves: u64,
    /// Bytes moved.
    pub bytes_moved: u64,
    /// Instructions at EL2.
    pub el2_instructions: u64,
    /// Those of them that switched the registers and decided about it.
    pub switch_instructions: u64,
    /// Windows from entry to exit.
    pub entry_windows: WindowReport,
    /// Windows from load to put.
    pub load_windows: WindowReport,
    /// Watched windows of the scheme's kind, `[forecast use][used]`.
    pub forecast: [[u64; 2]; 2],
    /// Loads at the start of a watched window that then did not use the registers.
    pub wasted_loads: u64,
    /// What of it concerns SVE; not there for guests without.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub sve: ClassReport,
    /// What of it concerns SME; likewise.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub sme: ClassReport,
}

fn is_nothing(class: &ClassReport) -> bool {
    *class == ClassReport::default()
}

impl From<&VcpuReport> for Counters {
    fn from(report: &VcpuReport) -> Self {
        Self {
            entries: report.entries,
            exits: EXIT_NAMES
                .map(String::from)
                .into_iter()
                .zip(report.exits)
                .collect(),
            vcpu_loads: report.loads_of_vcpu,
            traps: report.traps,
            probes: report.probes,
            observer_traps: report.observer_traps,
            register_loads: report.register_loads,
            register_saves: report.register_saves,
            bytes_moved: report.bytes_moved,
            el2_instructions: report.el2_instructions,
            switch_instructions: report.switch_instructions,
            entry_windows: report.entry_windows,
            load_windows: report.load_windows,
            forecast: report.forecast,
            wasted_loads: report.wasted_loads,
            sve: report.sve,
            sme: report.sme,
        }
    }
}

fn add_windows(into: &mut WindowReport, from: &WindowReport) {
    into.windows += from.windows;
    into.used += from.used;
    add_table(&mut into.pairs, &from.pairs);
}

impl Counters {
    /// The sum over these vCPUs.
    pub fn sum<'a>(counters: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for one in counters {
            sum.add(one);
        }
        sum
    }

    fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        for (reason, count) in &other.exits {
            *self.exits.entry(reason.clone()).or_default() += count;
        }
        self.vcpu_loads += other.vcpu_loads;
        self.traps += other.traps;
        self.probes += other.probes;
        self.observer_traps += other.observer_traps;
        self.register_loads += other.register_loads;
        self.register_saves += other.register_saves;
        self.bytes_moved += other.bytes_moved;
        self.el2_instructions += other.el2_instructions;
        self.switch_instructions += other.switch_instructions;
        add_windows(&mut self.entry_windows, &other.entry_windows);
        add_windows(&mut self.load_windows, &other.load_windows);
        add_table(&mut self.forecast, &other.forecast);
        self.wasted_loads += other.wasted_loads;
        add_class(&mut self.sve, &other.sve);
        add_class(&mut self.sme, &other.sme);
    }
}

fn add_class(into: &mut ClassReport, from: &ClassReport) {
    into.traps += from.traps;
    into.eager_loads += from.eager_loads;
    add_windows(&mut into.windows, &from.windows);
    into.unseen += from.unseen;
}

fn add_table(into: &mut [[u64; 2]; 2], from: &[[u64; 2]; 2]) {
    for (row, other) in into.iter_mut().zip(from) {
        for (cell, count) in row.iter_mut().zip(other) {
            *cell += count;
        }
    }
}

/// A quotient; none of nothing.
pub fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vcpus_add_up() {
        let vcpu = Counters {
            entries: 10,
            exits: [("wait".to_string(), 4), ("mmio".to_string(), 6)].into(),
            load_windows: WindowReport {
                windows: 8,
                used: 4,
                pairs: [[1, 2], [3, 1]],
            },
            forecast: [[5, 1], [2, 2]],
            ..Counters::default()
        };
        let sum = Counters::sum([&vcpu, &vcpu]);
        assert_eq!((sum.entries, sum.exits["mmio"]), (20, 12));
        assert_eq!(sum.load_windows.pairs, [[2, 4], [6, 2]]);
        assert_eq!(sum.forecast, [[10, 2], [4, 4]]);
    }
}
