//! The main table of a study: one block per workload, one line per scheme.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, Table, Width, presets};

use trapcast_results::{Figures, Results, SchemeResult, Verdict};

/// Columns: their headings, and the width that most figures need, so that blocks are aligned.
const COLUMNS: [(&str, u16); 16] = [
    ("scheme", 15),
    ("entries", 7),
    ("windows", 7),
    ("used\n%", 5),
    ("P(u\n|u)", 4),
    ("P(u\n|-)", 4),
    ("traps", 6),
    ("loads", 6),
    ("wasted\nloads", 6),
    ("acc\n%", 5),
    ("prec\n%", 5),
    ("rec\n%", 5),
    ("switch\n/entry", 6),
    ("EL2\n/entry", 6),
    ("masked\nlongest", 7),
    ("inte-\ngrity", 7),
];

/// Shows a study's figures; at most 120 columns wide.
pub fn render(results: &Results) -> String {
    let blocks = results.results.chunk_by(|a, b| a.workload == b.workload);
    let text: String = blocks.map(|block| render_block(block) + "\n").collect();
    text + LEGEND
}

/// Shows the figures of one workload.
pub fn render_block(block: &[SchemeResult]) -> String {
    let Some(first) = block.first() else {
        return String::new();
    };
    let cores = first.plain.as_ref().map_or(1, |run| run.cores.len());
    let on = if cores > 1 {
        format!(" (on {cores} cores)")
    } else {
        String::new()
    };
    format!("{}{on}\n{}\n", first.workload, block_table(block))
}

const LEGEND: &str = "\
windows: what one decision of the scheme covers, from entry to exit (e) or from load to put (l); used %: of
them, how many used the registers; P(u|u), P(u|-): probability of use after a window with use, without;
wasted: loads that the window then did not use; acc, prec, rec: accuracy, precision and recall of the
scheme as a forecast; switch/entry, EL2/entry: EL2 instructions per entry, to switch registers and in all;
masked: longest IRQs-off section, in EL2 instructions.
Entries, traps, loads and instructions are of the plain run, the rest of the observed run.
All figures here repeat exactly. Instructions are shown for one core only: with several, QEMU runs them in turns,
and each one's counters count the instructions of all.
";

fn block_table(block: &[SchemeResult]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let (scheme, others) = COLUMNS.split_at(1);
    let headings = others.iter().map(|(heading, _)| right(heading));
    table.set_header(
        scheme
            .iter()
            .map(|(heading, _)| Cell::new(heading))
            .chain(headings),
    );
    for result in block {
        table.add_row(row(result));
    }
    for (column, (_, width)) in table.column_iter_mut().zip(COLUMNS) {
        // The width counts the space that keeps columns apart.
        column
            .set_padding((0, 1))
            .set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width + 1)));
    }
    table
}

fn row(result: &SchemeResult) -> Vec<Cell> {
    let mut cells = vec![Cell::new(result.scheme)];
    let windows = result.figures.as_ref().map(Figures::own_windows);
    let figures = match (&result.figures, windows, &result.plain) {
        (Some(figures), Some(windows), Some(plain)) => [
            plain.total.entries.to_string(),
            format!("{}{}", windows.windows, figures.window_kind.letter()),
            percent(windows.used_share),
            decimal(windows.use_after_use, 2),
            decimal(windows.use_after_none, 2),
            plain.total.traps.to_string(),
            plain.total.register_loads.to_string(),
            figures.wasted_loads.to_string(),
            percent(figures.accuracy),
            percent(figures.precision),
            percent(figures.recall),
            decimal(figures.switch_per_entry, 1),
            decimal(figures.el2_per_entry, 0),
            figures
                .longest_masked
                .map_or("-".to_string(), |longest| longest.to_string()),
        ],
        _ => std::array::from_fn(|_| "-".to_string()),
    };
    cells.extend(figures.map(right));
    cells.push(right(integrity(result)));
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

#[cfg(test)]
mod tests {
    use trapcast_forecast::Scheme;

    use super::*;
    use trapcast_results::{
        Counters, Integrity, RunCounters, Scale, Timing, Versions, WindowFigures, WindowKind,
    };

    fn result(workload: &str, scheme: Scheme, ran: bool) -> SchemeResult {
        let total = Counters {
            entries: 1_234_567,
            traps: 123_456,
            register_loads: 123_456,
            bytes_moved: 123_456_789,
            ..Counters::default()
        };
        let figures = Figures {
            window_kind: WindowKind::Entry,
            entry_windows: WindowFigures {
                windows: 1_234_567,
                used: 1_000_000,
                used_share: Some(1.0),
                use_after_use: Some(1.0),
                use_after_none: None,
            },
            load_windows: WindowFigures::default(),
            accuracy: Some(1.0),
            precision: Some(1.0),
            recall: Some(1.0),
            wasted_loads: 123_456,
            switch_per_entry: Some(1234.5),
            el2_per_entry: Some(12345.6),
            longest_masked: Some(123_456),
            masked: None,
            timer_delay: None,
        };
        SchemeResult {
            workload: workload.to_string(),
            scheme,
            figures: ran.then_some(figures),
            integrity: Integrity::default(),
            plain: ran.then_some(RunCounters {
                cores: Vec::new(),
                vcpus: Vec::new(),
                total,
            }),
            observed: None,
            agreement: None,
        }
    }

    #[test]
    fn even_large_figures_fit_into_the_width() {
        let results = Results {
            format: 1,
            versions: Versions::default(),
            cpu: "max".to_string(),
            vhe: true,
            scale: Scale::QUICK,
            slice: None,
            courses: 1,
            further_courses: Vec::new(),
            results: vec![
                result("linux", Scheme::PerEntry, true),
                result("linux", Scheme::None, false),
                result("pair", Scheme::EagerUntilPut, true),
            ],
            replays: Vec::new(),
            failures: Vec::new(),
            timing: Timing::default(),
        };
        let text = render(&results);
        for line in text.lines() {
            assert!(
                line.chars().count() <= 120,
                "{}: {line}",
                line.chars().count()
            );
        }
        for wanted in ["1234567e", "1234.5", "12346", "not run", "pair\n"] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }
}
