//! The table of a torture: one line per part and scheme.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::{Results, Row};
use trapcast_results::Verdict;

const HEADINGS: [&str; 10] = [
    "part",
    "scheme",
    "runs",
    "windows\nchecked",
    "moves",
    "preemp-\ntions",
    "host\nuses",
    "mis-\nmatches",
    "seconds",
    "",
];

/// Shows the results of a stress run.
pub fn render(results: &Results) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(
        HEADINGS
            .iter()
            .enumerate()
            .map(|(column, heading)| match column {
                0 | 1 | 9 => Cell::new(heading),
                _ => right(heading),
            }),
    );
    for row in &results.rows {
        table.add_row(cells(row));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    format!("{table}\n\n{}", summary(results))
}

fn cells(row: &Row) -> Vec<Cell> {
    let numbers = [
        row.runs,
        row.windows,
        row.moves,
        row.preemptions,
        row.host_uses,
        row.mismatches + row.host_mismatches,
    ];
    let mut cells = vec![Cell::new(row.part), Cell::new(row.scheme)];
    cells.extend(numbers.map(right));
    cells.push(right(format!("{:.0}", row.seconds)));
    cells.push(Cell::new(verdict(row)));
    cells
}

fn verdict(row: &Row) -> String {
    match (row.verdict, row.first_mismatch) {
        _ if row.runs == 0 => "not run".to_string(),
        (Verdict::Clean, _) => "ok".to_string(),
        (Verdict::Caught, Some(first)) => format!("caught, within {first} windows each time"),
        (Verdict::Caught, None) => "caught".to_string(),
        (Verdict::Missed, _) => "MISSED".to_string(),
        (Verdict::Corrupt, _) => "CORRUPT".to_string(),
    }
}

fn summary(results: &Results) -> String {
    let switching = results.rows.iter().filter(|row| row.scheme != "none");
    let sum = |of: fn(&Row) -> u64| switching.clone().map(of).sum::<u64>();
    let mut text = format!(
        "{} window checks on up to {} cores under schemes that switch, {} moves, {} mismatches; {:.0} s.\n",
        sum(|row| row.windows),
        results.cores,
        sum(|row| row.moves),
        sum(|row| row.mismatches + row.host_mismatches),
        results.seconds
    );
    if let Some(hostile) = &results.hostile {
        text += &format!(
            "{} random operations of hostile guests in {} boots; {} VMs were stopped, {} window checks \
             beside them.\n",
            hostile.operations,
            hostile.boots,
            hostile.stopped.values().sum::<u64>(),
            hostile.checker_windows
        );
    }
    if let Some(scans) = &results.scans {
        text += &format!(
            "{} scans of all System registers: {} readings, {} resets, {} moves.\n",
            scans.scans, scans.readings, scans.resets, scans.moves
        );
    }
    if !results.complete && results.failures.is_empty() {
        text += "Time was up before all was done that was asked for.\n";
    }
    text
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapcast_results::Versions;

    #[test]
    fn a_line_says_what_was_checked_and_how_the_control_was_caught() {
        let row = |scheme, verdict, mismatches, first_mismatch| Row {
            part: "fp",
            scheme,
            runs: 3,
            windows: 123_456_789,
            moves: 12_345_678,
            preemptions: 12_345_678,
            host_uses: 12_345_678,
            mismatches,
            first_mismatch,
            verdict,
            ..Row::default()
        };
        let results = Results {
            format: super::super::FORMAT,
            versions: Versions::default(),
            cores: 4,
            seed: 1,
            windows: 10_000_000,
            complete: false,
            rows: vec![
                row("none", Verdict::Caught, 77, Some(3)),
                row("until-put", Verdict::Clean, 0, None),
            ],
            hostile: Some(crate::hostile::Outcome {
                operations: 12_345_678,
                boots: 124,
                checker_windows: 1_543_210,
                ..Default::default()
            }),
            scans: Some(super::super::scan::Outcome {
                scans: 8,
                readings: 160,
                resets: 16,
                moves: 1_234,
            }),
            failures: Vec::new(),
            seconds: 1.0,
        };
        let text = render(&results);
        for wanted in [
            "caught, within 3 windows each time",
            "ok",
            "123456789 window checks on up to 4 cores under schemes that switch, 12345678 moves, 0 mis",
            "Time was up before all was done",
            "8 scans of all System registers: 160 readings, 16 resets, 1234 moves.",
            "12345678 random operations of hostile guests in 124 boots; 0 VMs",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }
}
