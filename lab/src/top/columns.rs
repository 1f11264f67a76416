//! The columns of both tables, on the terminal and as text.

use super::snapshot::{CoreRow, Row, Snapshot};

/// Shown for a figure that is not known.
const UNKNOWN: &str = "-";

/// A table: its headings, and its lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    /// Headings, each with the width of its column.
    pub headings: &'static [(&'static str, u16)],
    /// Lines, with whether one is a VM's.
    pub lines: Vec<(bool, Vec<String>)>,
}

const CORES: &[(&str, u16)] = &[
    ("core", 6),
    ("EL2 %", 7),
    ("switches/s", 11),
    ("moves/s", 9),
    ("idle/s", 9),
    ("host uses/s", 12),
];

const VCPUS: &[(&str, u16)] = &[
    ("vm", 5),
    ("vcpu", 5),
    ("scheme", 16),
    ("entries/s", 10),
    ("traps/s", 9),
    ("loads/s", 9),
    ("eager/s", 9),
    ("hit %", 6),
    ("kB/s", 9),
    ("EL2 %", 6),
    ("in core", 8),
    ("mostly", 16),
];

/// The table of the cores.
pub fn cores(snapshot: &Snapshot) -> Sheet {
    Sheet {
        headings: CORES,
        lines: snapshot
            .cores
            .iter()
            .map(|core| (false, core_line(core)))
            .collect(),
    }
}

/// The table of the VMs, each followed by its vCPUs if there are several.
pub fn vcpus(snapshot: &Snapshot) -> Sheet {
    let mut lines = Vec::new();
    for vm in &snapshot.vms {
        lines.push((true, line(vm)));
        let vcpus = snapshot.vcpus.iter().filter(|vcpu| vcpu.vm == vm.vm);
        if vcpus.clone().count() > 1 {
            lines.extend(vcpus.map(|vcpu| (false, line(vcpu))));
        }
    }
    Sheet {
        headings: VCPUS,
        lines,
    }
}

/// The lines above the tables.
pub fn title(snapshot: &Snapshot) -> String {
    format!(
        "trapcast, process {}: {}, {}{}, {}, {}",
        snapshot.pid,
        snapshot.state,
        snapshot.cpu,
        if snapshot.vhe { " with VHE" } else { "" },
        number_of(snapshot.cores.len(), "core"),
        number_of(snapshot.vms.len(), "VM"),
    )
}

fn number_of(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

fn core_line(core: &CoreRow) -> Vec<String> {
    let rates = core.rates.as_ref();
    vec![
        core.core.to_string(),
        percent(core.el2_share),
        figure(rates.map(|rates| rates.vcpu_switches)),
        figure(rates.map(|rates| rates.moves)),
        figure(rates.map(|rates| rates.idles)),
        figure(rates.map(|rates| rates.host_uses)),
    ]
}

fn line(row: &Row) -> Vec<String> {
    let rates = row.rates.as_ref();
    let text = |text: Option<&str>| text.unwrap_or(UNKNOWN).to_string();
    vec![
        if row.vcpu.is_some() {
            String::new()
        } else {
            row.vm.to_string()
        },
        row.vcpu.map_or(String::new(), |vcpu| vcpu.to_string()),
        text(row.scheme),
        figure(rates.map(|rates| rates.entries)),
        figure(rates.map(|rates| rates.traps)),
        figure(rates.map(|rates| rates.loads)),
        figure(rates.map(|rates| rates.eager_loads)),
        percent(row.hit_share),
        figure(rates.map(|rates| rates.bytes / 1000.0)),
        percent(row.el2_share),
        row.in_core
            .map_or(UNKNOWN.to_string(), |files| files.to_string()),
        text(rates.and_then(|rates| rates.most)),
    ]
}

fn percent(share: Option<f64>) -> String {
    share.map_or(UNKNOWN.to_string(), |share| format!("{:.1}", share * 100.0))
}

fn figure(rate: Option<f64>) -> String {
    match rate {
        None => UNKNOWN.to_string(),
        Some(rate) if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}
