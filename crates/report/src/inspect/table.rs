//! A summary of a record file as tables.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::{Quantiles, Summary};
use crate::record::Recorder;
use trapcast_results::WindowFigures;

/// Shows a summary; at most 120 columns wide but for the file's own words.
pub fn render(summary: &Summary) -> String {
    [
        about(summary),
        section("windows", windows(summary)),
        section("exits", exits(summary)),
        section(
            "windows from one use to the vCPU's next",
            distances(&summary.distances),
        ),
        section("columns", columns(summary)),
        LEGEND.to_string(),
    ]
    .join("\n")
}

const LEGEND: &str = "\
used %: share that used the registers; P(u|u), P(u|-): probability of use after a window with use, without;
entry: windows from an entry to its exit; load: from the load of a vCPU to its put, those that ended;
boot: the vCPU's entry windows before its VM's work began, where the VM said when that was;
next used %: of the windows of the same vCPU that follow such an exit, the share that used the registers.
";

fn section(title: &str, table: Table) -> String {
    format!("{title}\n{table}\n")
}

fn about(summary: &Summary) -> String {
    let metadata = &summary.metadata;
    let time = summary
        .seconds
        .map_or("-".to_string(), |seconds| format!("{seconds:.3} s"));
    let windows = match summary.unseen_windows {
        0 => metadata.windows.to_string(),
        unseen => format!(
            "{}; of {unseen} it is not known whether they used the registers, and no figure has them",
            metadata.windows
        ),
    };
    let lines = [
        (
            "file",
            format!("{}, format {}", summary.file, summary.format),
        ),
        (
            "size",
            format!("{} bytes, {} row groups", summary.bytes, summary.row_groups),
        ),
        ("workload", metadata.workload.clone()),
        ("scheme", metadata.scheme.clone()),
        (
            "machine",
            format!(
                "{}, {}",
                metadata.cpu,
                if metadata.vhe { "VHE" } else { "no VHE" }
            ),
        ),
        ("seed", metadata.seed.to_string()),
        ("scale", metadata.scale.to_string()),
        ("versions", metadata.versions.to_string()),
        (
            "guests",
            format!("{} VMs, {} vCPUs", metadata.vms, metadata.vcpus.len()),
        ),
        ("windows", windows),
        (
            "waits",
            format!("{} times for room in a ring", metadata.waits),
        ),
        (
            "time",
            match metadata.recorder {
                Recorder::El2 | Recorder::Host => format!(
                    "{time}, {} ticks of {} Hz",
                    summary.ticks, metadata.counter_frequency
                ),
                Recorder::Observer => {
                    "not seen: recorded by an observer, which sees instructions only".to_string()
                }
            },
        ),
        (
            "instructions",
            format!(
                "{} of guests, {} at EL2",
                summary.guest_instructions, summary.el2_instructions
            ),
        ),
    ];
    let lines = lines.map(|(name, value)| format!("{name:<14}{value}\n"));
    lines.concat()
}

fn windows(summary: &Summary) -> Table {
    let mut table = table(
        &["vCPU"],
        &[
            "entry",
            "used\n%",
            "P(u\n|u)",
            "P(u\n|-)",
            "load",
            "used\n%",
            "P(u\n|u)",
            "P(u\n|-)",
            "pre-\nempted",
            "host\nuses",
            "boot",
        ],
    );
    let mut row =
        |name: String, entry, load, preemptions: u64, host_uses: u64, boot: Option<u64>| {
            let mut cells = vec![Cell::new(name)];
            cells.extend(figures(entry));
            cells.extend(figures(load));
            cells.extend([right(preemptions), right(host_uses)]);
            cells.push(right(
                boot.map_or("-".to_string(), |windows| windows.to_string()),
            ));
            table.add_row(cells);
        };
    for vcpu in &summary.vcpus {
        row(
            format!("vm{} vcpu{}", vcpu.place.vm, vcpu.place.index),
            &vcpu.entry_windows,
            &vcpu.load_windows,
            vcpu.preemptions,
            vcpu.host_uses,
            vcpu.boot_windows,
        );
    }
    row(
        "all".to_string(),
        &summary.entry_windows,
        &summary.load_windows,
        summary.vcpus.iter().map(|vcpu| vcpu.preemptions).sum(),
        summary.vcpus.iter().map(|vcpu| vcpu.host_uses).sum(),
        summary.vcpus.iter().map(|vcpu| vcpu.boot_windows).sum(),
    );
    table
}

fn figures(windows: &WindowFigures) -> [Cell; 4] {
    [
        right(windows.windows),
        right(percent(windows.used_share)),
        right(decimal(windows.use_after_use, 3)),
        right(decimal(windows.use_after_none, 3)),
    ]
}

fn exits(summary: &Summary) -> Table {
    let mut table = table(
        &["reason"],
        &["windows", "share\n%", "used\n%", "next\nused %"],
    );
    let windows = summary.metadata.windows as f64;
    for exit in &summary.exits {
        table.add_row([
            Cell::new(exit.exit),
            right(exit.windows),
            right(percent(Some(exit.windows as f64 / windows))),
            right(percent(exit.used_share)),
            right(percent(exit.next_used_share)),
        ]);
    }
    table
}

fn distances(quantiles: &Quantiles) -> Table {
    let mut table = table(
        &[],
        &[
            "distances",
            "50 %",
            "75 %",
            "90 %",
            "99 %",
            "99.9 %",
            "largest",
        ],
    );
    let shown = [
        quantiles.p50,
        quantiles.p75,
        quantiles.p90,
        quantiles.p99,
        quantiles.p999,
        quantiles.max,
    ];
    let shown = shown.map(|value| right(value.map_or("-".to_string(), |value| value.to_string())));
    table.add_row([right(quantiles.count)].into_iter().chain(shown));
    table
}

fn columns(summary: &Summary) -> Table {
    let mut table = table(&["column", "type", "unit"], &["bytes", "bytes\n/window"]);
    for column in &summary.columns {
        let windows = summary.metadata.windows;
        let each = (windows > 0).then(|| column.bytes as f64 / windows as f64);
        table.add_row([
            Cell::new(column.name),
            Cell::new(&column.r#type),
            Cell::new(column.unit),
            right(column.bytes),
            right(decimal(each, 3)),
        ]);
    }
    table
}

/// Begins a table with headings to the left and to the right of their columns.
fn table(left: &[&str], others: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let left = left.iter().map(Cell::new);
    table.set_header(left.chain(others.iter().map(right)));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn percent(share: Option<f64>) -> String {
    decimal(share.map(|share| share * 100.0), 1)
}

fn decimal(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_string(), |value| format!("{value:.digits$}"))
}
