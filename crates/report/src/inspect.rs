//! What is in a record file: `trapcast inspect`.

mod distances;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;
use trapcast_trace::report::{EXIT_NAMES, EXITS, WindowReport};

pub use distances::{Distances, Quantiles};
pub use table::render;

use crate::record::{self, Metadata, RecordFile, Vcpu, Window, schema::COLUMNS};
use trapcast_results::WindowFigures;
use trapcast_tool::{error::Result, signals};

/// What is in a record file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The file's name.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// The version of its layout.
    pub format: u32,
    /// What it says about itself.
    pub metadata: Metadata,
    /// Row groups.
    pub row_groups: usize,
    /// Ticks from the first entry to the last exit; in an observer's record, instructions of all kinds.
    pub ticks: u64,
    /// The same in seconds, if the counter's frequency is known.
    pub seconds: Option<f64>,
    /// Instructions that guests retired in all windows.
    pub guest_instructions: u64,
    /// Instructions retired at EL2.
    pub el2_instructions: u64,
    /// Windows from an entry to its exit.
    pub entry_windows: WindowFigures,
    /// Entry windows of which is not known whether they used the registers; no other figure has them.
    pub unseen_windows: u64,
    /// Windows from load to put.
    pub load_windows: WindowFigures,
    /// Each vCPU that ran.
    pub vcpus: Vec<VcpuSummary>,
    /// Each reason for an exit that occurred.
    pub exits: Vec<ExitSummary>,
    /// From one use of the registers to the same vCPU's next, in entry windows: 1 is the next window.
    pub distances: Quantiles,
    /// Each column.
    pub columns: Vec<ColumnSummary>,
}

/// What one vCPU did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VcpuSummary {
    /// Its number over all VMs.
    pub vcpu: usize,
    /// Where it belongs.
    #[serde(flatten)]
    pub place: Vcpu,
    /// Windows from an entry to its exit.
    pub entry_windows: WindowFigures,
    /// Windows from load to put.
    pub load_windows: WindowFigures,
    /// Times that it was preempted.
    pub preemptions: u64,
    /// Times that the hypervisor used the registers itself after its windows.
    pub host_uses: u64,
    /// Its windows before its VM's work began, if the VM said when that was.
    pub boot_windows: Option<u64>,
}

/// The windows that ended for one reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExitSummary {
    /// The reason.
    pub exit: &'static str,
    /// Windows that it ended.
    pub windows: u64,
    /// Share of them that used the registers.
    pub used_share: Option<f64>,
    /// Share of the same vCPU's next windows that did.
    pub next_used_share: Option<f64>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnSummary {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub r#type: String,
    /// Its unit.
    pub unit: &'static str,
    /// Bytes in the file.
    pub bytes: u64,
}

/// Reads a record file and says what is in it. Memory does not grow with the file.
///
/// # Errors
/// [`Input`](trapcast_tool::error::Error::Input) where it is no record, or damaged;
/// [`Stopped`](trapcast_tool::error::Error::Stopped) on Ctrl-C.
pub fn inspect(path: &Path) -> Result<Summary> {
    let file = record::open(path)?;
    let mut tally = Tally::new(&file.metadata().vcpus);
    let mut rows = file.rows().map_err(record::told)?;
    let mut windows = Vec::new();
    loop {
        signals::check()?;
        rows.read(&mut windows).map_err(record::told)?;
        if windows.is_empty() {
            return Ok(tally.summary(&file));
        }
        windows.iter().for_each(|window| tally.add(window));
    }
}

/// Sums over the windows so far.
struct Tally {
    vcpus: Vec<VcpuTally>,
    places: Vec<Vcpu>,
    exits: [ExitTally; EXITS],
    distances: Distances,
    first_tick: u64,
    last_tick: u64,
    guest_instructions: u64,
    el2_instructions: u64,
}

#[derive(Clone, Default)]
struct VcpuTally {
    entry: Windows,
    load: Windows,
    /// Whether the load window under way used the registers so far.
    load_used: bool,
    /// Windows since the last use, if there was one.
    since_use: Option<u64>,
    /// The last window's exit.
    exit: Option<usize>,
    preemptions: u64,
    host_uses: u64,
    boot_windows: Option<u64>,
}

/// Windows of one kind, and whether the last one used the registers.
#[derive(Clone, Default)]
struct Windows {
    /// Of those of which that is known.
    report: WindowReport,
    last: Option<bool>,
    /// The others.
    unseen: u64,
}

impl Windows {
    fn add(&mut self, used: Option<bool>) {
        let Some(used) = used else {
            self.unseen += 1;
            self.last = None;
            return;
        };
        self.report.windows += 1;
        self.report.used += u64::from(used);
        if let Some(last) = self.last.replace(used) {
            self.report.pairs[usize::from(last)][usize::from(used)] += 1;
        }
    }
}

#[derive(Clone, Copy, Default)]
struct ExitTally {
    windows: u64,
    /// Of these, those of which is known whether they used the registers.
    seen: u64,
    used: u64,
    next: u64,
    next_used: u64,
}

impl Tally {
    fn new(vcpus: &[Vcpu]) -> Self {
        Self {
            vcpus: vec![VcpuTally::default(); vcpus.len()],
            places: vcpus.to_vec(),
            exits: [ExitTally::default(); EXITS],
            distances: Distances::default(),
            first_tick: u64::MAX,
            last_tick: 0,
            guest_instructions: 0,
            el2_instructions: 0,
        }
    }

    fn add(&mut self, window: &Window) {
        let number = usize::from(window.vcpu);
        let vcpu = &mut self.vcpus[number];
        let exit = usize::from(window.exit);
        if let Some(before) = vcpu.exit.replace(exit) {
            self.exits[before].next += u64::from(window.used.is_some());
            self.exits[before].next_used += u64::from(window.used == Some(true));
        }
        self.exits[exit].windows += 1;
        self.exits[exit].seen += u64::from(window.used.is_some());
        self.exits[exit].used += u64::from(window.used == Some(true));
        if let Some(distance) = vcpu.add(window) {
            self.distances.add(distance);
        }
        if window.mark {
            self.mark(self.places[number].vm);
        }
        self.first_tick = self.first_tick.min(window.start);
        self.last_tick = self.last_tick.max(window.end);
        self.guest_instructions += window.instructions;
        self.el2_instructions += window.el2_instructions.map_or(0, u64::from);
    }

    /// The work of a VM begins: what its vCPUs did so far was its boot.
    fn mark(&mut self, vm: u16) {
        let vcpus = self.vcpus.iter_mut().zip(&self.places);
        for (vcpu, _) in vcpus.filter(|(_, place)| place.vm == vm) {
            vcpu.boot_windows
                .get_or_insert(vcpu.entry.report.windows + vcpu.entry.unseen);
        }
    }

    fn summary(&self, file: &RecordFile) -> Summary {
        let metadata = file.metadata().clone();
        let ticks = self.last_tick.saturating_sub(self.first_tick);
        let frequency = metadata.counter_frequency;
        let sum = |kind: fn(&VcpuTally) -> &Windows| {
            let mut sum = WindowReport::default();
            for vcpu in &self.vcpus {
                sum += &kind(vcpu).report;
            }
            WindowFigures::from(&sum)
        };
        let vcpus = self.vcpus.iter().enumerate();
        Summary {
            file: file.path().display().to_string(),
            bytes: file.bytes(),
            format: file.format(),
            row_groups: file.row_group_count(),
            ticks,
            seconds: (frequency > 0).then(|| ticks as f64 / frequency as f64),
            guest_instructions: self.guest_instructions,
            el2_instructions: self.el2_instructions,
            unseen_windows: self.vcpus.iter().map(|vcpu| vcpu.entry.unseen).sum(),
            entry_windows: sum(|vcpu| &vcpu.entry),
            load_windows: sum(|vcpu| &vcpu.load),
            vcpus: vcpus
                .filter(|(_, vcpu)| vcpu.entry.report.windows + vcpu.entry.unseen > 0)
                .map(|(number, vcpu)| vcpu.summary(number, metadata.vcpus[number]))
                .collect(),
            exits: self.exit_summaries(),
            distances: self.distances.quantiles(),
            columns: column_summaries(file),
            metadata,
        }
    }

    fn exit_summaries(&self) -> Vec<ExitSummary> {
        let exits = EXIT_NAMES.iter().zip(&self.exits);
        exits
            .filter(|(_, exit)| exit.windows > 0)
            .map(|(name, exit)| ExitSummary {
                exit: name,
                windows: exit.windows,
                used_share: share(exit.used, exit.seen),
                next_used_share: share(exit.next_used, exit.next),
            })
            .collect()
    }
}

impl VcpuTally {
    /// Adds a window; returns how many windows after the last use it uses the registers again.
    fn add(&mut self, window: &Window) -> Option<u64> {
        let used = window.used;
        self.entry.add(used);
        // The registers are used within a load before windows of it are unseen.
        let used = used == Some(true);
        self.load_used = used || self.load_used && !window.loaded;
        if window.put {
            self.load.add(Some(self.load_used));
            self.load_used = false;
        }
        self.preemptions += u64::from(window.preempted);
        self.host_uses += u64::from(window.host_uses);
        self.since_use = self.since_use.map(|windows| windows + 1);
        match used {
            true => self.since_use.replace(0),
            false => None,
        }
    }

    fn summary(&self, vcpu: usize, place: Vcpu) -> VcpuSummary {
        VcpuSummary {
            vcpu,
            place,
            entry_windows: WindowFigures::from(&self.entry.report),
            load_windows: WindowFigures::from(&self.load.report),
            preemptions: self.preemptions,
            host_uses: self.host_uses,
            boot_windows: self.boot_windows,
        }
    }
}

fn column_summaries(file: &RecordFile) -> Vec<ColumnSummary> {
    let columns = COLUMNS.iter().enumerate();
    columns
        .map(|(number, column)| ColumnSummary {
            name: column.name,
            r#type: column.type_name(),
            unit: column.unit,
            bytes: file.column_bytes(number),
        })
        .collect()
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
