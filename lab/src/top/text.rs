//! A snapshot as text.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::{
    columns::{self, Sheet},
    snapshot::Snapshot,
};

/// What is meant by the columns.
const LEGEND: &str = "\
loads: of the registers, eager ones at an entry and the others in a trap; hit %: eager loads that were of use;
EL2 %: of all instructions; in core: register files that are in a core; mostly: the most frequent exit.
";

/// Shows a snapshot; at most 120 columns wide.
pub fn render(snapshot: &Snapshot) -> String {
    let [cores, vcpus] = [columns::cores(snapshot), columns::vcpus(snapshot)];
    format!(
        "{}\n\n{}\n\n{}\n\n{LEGEND}",
        columns::title(snapshot),
        table(&cores),
        table(&vcpus)
    )
}

fn table(sheet: &Sheet) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let cell = |text: &str| Cell::new(text).set_alignment(CellAlignment::Right);
    table.set_header(sheet.headings.iter().map(|(heading, _)| cell(heading)));
    for (_, line) in &sheet.lines {
        table.add_row(line.iter().map(|text| cell(text)));
    }
    table
}
