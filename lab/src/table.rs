//! The main table of a study: one block per workload, one line per scheme.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::results::{Results, SchemeResult, Verdict};

/// Columns: the heading and, below it, what it counts.
const HEADINGS: [&str; 15] = [
    "scheme",
    "entries",
    "windows",
    "used\n%",
    "P(u|u)",
    "P(u|-)",
    "traps",
    "loads",
    "wasted",
    "kB\nmoved",
    "acc\n%",
    "prec\n%",
    "rec\n%",
    "EL2 instr./entry\nswitch    all",
    "masked\nmax",
];

/// Shows a study's figures; at most 120 columns wide.
pub fn render(results: &Results) -> String {
    let mut text = String::new();
    let mut rest = results.results.as_slice();
    while let Some(first) = rest.first() {
        let same = rest
            .iter()
            .take_while(|result| result.workload == first.workload);
        let (block, others) = rest.split_at(same.count());
        text += &format!("{}\n{}\n\n", first.workload, block_table(block));
        rest = others;
    }
    text + LEGEND
}

const LEGEND: &str = "\
windows: what one decision of the scheme covers, from entry to exit (e) or from load to put (l); used %: of
them, how many used the registers; P(u|u), P(u|-): probability of use after a window with use, without;
wasted: loads that the window then did not use; acc, prec, rec: accuracy, precision and recall of the
scheme as a forecast; masked: longest stretch of EL2 instructions with interrupts masked.
Entries, traps, loads, bytes and instructions are of the plain run, the rest of the observed run.
";

fn block_table(block: &[SchemeResult]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut headings: Vec<String> = HEADINGS.map(String::from).into();
    headings.push("integrity".to_string());
    table.set_header(headings);
    for result in block {
        table.add_row(row(result));
    }
    table
}

fn row(result: &SchemeResult) -> Vec<Cell> {
    let mut cells = vec![Cell::new(result.scheme)];
    let (Some(figures), Some(plain)) = (&result.figures, &result.plain) else {
        cells.extend((2..HEADINGS.len() + 1).map(|_| right("-")));
        cells.push(Cell::new(integrity(result)));
        return cells;
    };
    let per_entry = format!(
        "{:>6} {:>6}",
        decimal(figures.switch_per_entry, 1),
        decimal(figures.el2_per_entry, 1)
    );
    cells.extend(
        [
            plain.total.entries.to_string(),
            format!("{}{}", figures.windows, &figures.window_kind[..1]),
            percent(figures.used_share),
            decimal(figures.use_after_use, 2),
            decimal(figures.use_after_none, 2),
            plain.total.traps.to_string(),
            plain.total.register_loads.to_string(),
            figures.wasted_loads.to_string(),
            (plain.total.bytes_moved / 1000).to_string(),
            percent(figures.accuracy),
            percent(figures.precision),
            percent(figures.recall),
            per_entry,
            figures.longest_masked.to_string(),
        ]
        .map(right),
    );
    cells.push(Cell::new(integrity(result)));
    cells
}

fn integrity(result: &SchemeResult) -> String {
    let integrity = &result.integrity;
    match integrity.verdict {
        Verdict::Clean if result.figures.is_none() => "not run".to_string(),
        Verdict::Clean => "ok".to_string(),
        Verdict::Caught => "caught".to_string(),
        Verdict::Missed => "MISSED".to_string(),
        Verdict::Corrupt => "CORRUPT".to_string(),
    }
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
