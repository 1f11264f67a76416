//! A summary for people.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::summary::{Quantiles, Summary, Usage};

/// Shows a summary.
pub fn render(summary: &Summary) -> String {
    let mut text = about(summary);
    text += &format!("\n{}\n", costs(summary));
    text += "windows: those that it ended; instructions outside of the guest, at EL2 and of the host, until the same\nvCPU goes on.\n\n";
    text += &format!("{}\n", usage(summary));
    text += "P(u|u): probability of use after a window of the same vCPU with use.\n\n";
    text += &format!("FP/SIMD policy: {}\n", summary.verdict.policy);
    for sentence in &summary.verdict.evidence {
        text += &format!("  - {sentence}\n");
    }
    text
}

fn about(summary: &Summary) -> String {
    let Summary {
        entries,
        loads,
        cores,
        vms,
        vcpus,
        ..
    } = summary;
    format!(
        "entries: {entries}; loads: {loads}, told by {}; vCPUs: {vcpus}, VMs: {vms}, cores: {cores}\n\
         {} instructions of guests, {} at EL2, {} of the host\n",
        summary.load_mark.sentence(),
        summary.guest_instructions,
        summary.el2_instructions,
        summary.host_instructions,
    )
}

fn costs(summary: &Summary) -> Table {
    let mut table = table(&["exit", "windows", "median", "p90", "longest"]);
    for exit in &summary.exits {
        add(
            &mut table,
            &exit.exit,
            exit.windows.to_string(),
            exit.instructions,
        );
    }
    if let Some(switches) = summary.switches {
        let count = switches.count.to_string();
        add(&mut table, "to another vCPU", count, Some(switches));
    }
    let traps = &summary.fp_traps;
    if traps.traps > 0 {
        let rate = traps.per_1000_entries.unwrap_or_default();
        let count = format!("{} ({rate:.1} per 1,000 entries)", traps.traps);
        add(&mut table, "FP trap", count, traps.instructions);
    }
    table
}

fn add(table: &mut Table, name: &str, windows: String, instructions: Option<Quantiles>) {
    let mut row = vec![Cell::new(name), right(windows)];
    let counts = instructions.map(|counts| [counts.median, counts.p90, counts.longest]);
    match counts {
        Some(counts) => row.extend(counts.map(|count| right(count.to_string()))),
        None => row.extend(["-"; 3].map(|dash| right(dash.to_string()))),
    }
    table.add_row(row);
}

fn usage(summary: &Summary) -> Table {
    let mut table = table(&["windows", "count", "used %", "P(u|u)"]);
    for (name, usage) in [
        ("entry to exit", &summary.entry_windows),
        ("load to put", &summary.load_windows),
    ] {
        let Usage {
            windows,
            used_share,
            used_given_used,
            ..
        } = usage;
        let percent = used_share.map(|share| format!("{:.1}", 100.0 * share));
        let given = used_given_used.map(|share| format!("{share:.2}"));
        let dash = || "-".to_string();
        table.add_row([
            Cell::new(name),
            right(windows.to_string()),
            right(percent.unwrap_or_else(dash)),
            right(given.unwrap_or_else(dash)),
        ]);
    }
    table
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().enumerate().map(|(column, name)| {
        let alignment = match column {
            0 => CellAlignment::Left,
            _ => CellAlignment::Right,
        };
        Cell::new(name).set_alignment(alignment)
    }));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
