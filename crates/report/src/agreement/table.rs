//! The table of `cargo xtask agreement`, and the sentence that sums it up.

use comfy_table::{Cell, CellAlignment, Table, presets};

use trapcast_results::{Agreement, SchemeResult};

/// What a study's results say of one scheme on one workload.
#[derive(Clone, Debug)]
pub struct Row {
    /// The workload.
    pub workload: String,
    /// The scheme.
    pub scheme: String,
    /// How its replays agree, if it ran.
    pub agreement: Option<Agreement>,
}

impl From<&SchemeResult> for Row {
    fn from(result: &SchemeResult) -> Self {
        Self {
            workload: result.workload.clone(),
            scheme: result.scheme.to_string(),
            agreement: result.agreement.clone(),
        }
    }
}

/// Shows every cell; at most 120 columns wide.
pub fn render(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|row| row.workload == first.workload);
        let (block, others) = rest.split_at(same.count());
        text += &format!("{}\n{}\n\n", first.workload, block_table(block));
        rest = others;
    }
    text + LEGEND + &summary(rows)
}

const LEGEND: &str = "\
live: the plain run (wasted: the observed run); replay: over the record of the reference's run; %: their
difference in percent of live; own: the replay over the record of the scheme's own run against that run's
counts. What differs over another's record differs by time: see docs/replay.md.
";

fn block_table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut headings = vec![Cell::new("scheme")];
    for name in ["traps", "loads", "saves", "wasted"] {
        headings.extend([name, "replay", "%"].map(|text| right(text.to_string())));
    }
    headings.push(Cell::new("own"));
    table.set_header(headings);
    for row in rows {
        let Some(agreement) = &row.agreement else {
            continue;
        };
        let mut cells = vec![Cell::new(&row.scheme)];
        let counts = agreement.live.by_name().into_iter();
        let counts = counts.zip(agreement.replayed.by_name());
        for (((_, live), (_, replayed)), percent) in counts.zip(agreement.differences()) {
            cells.extend([live.to_string(), replayed.to_string(), places(percent)].map(right));
        }
        let own = if agreement.is_exact() {
            "exact"
        } else {
            "DIFFERS"
        };
        cells.push(Cell::new(own));
        table.add_row(cells);
    }
    table
}

fn places(percent: f64) -> String {
    format!("{percent:.2}")
}

/// Sums all cells up.
pub fn summary(rows: &[Row]) -> String {
    let agreements: Vec<(&Row, &Agreement)> = rows
        .iter()
        .filter_map(|row| Some((row, row.agreement.as_ref()?)))
        .collect();
    let exact = agreements.iter().filter(|(_, a)| a.is_exact()).count();
    let mut cells = Vec::new();
    for (row, agreement) in &agreements {
        let names = agreement.live.by_name().map(|(name, _)| name);
        for (name, difference) in names.into_iter().zip(agreement.differences()) {
            cells.push((difference, name, *row));
        }
    }
    let (within, all) = within(agreements.iter().map(|(_, agreement)| *agreement));
    let largest = cells.iter().max_by(|a, b| a.0.total_cmp(&b.0));
    let largest = largest.map_or(String::new(), |(difference, name, row)| {
        format!(
            "; the largest difference is {difference:.2} %: {name} of {}/{}",
            row.workload, row.scheme
        )
    });
    format!(
        "Replay: {exact} of {} recorded runs replayed to their very counts. Over another scheme's record {within} \
         of {} counts\nare within 1 % of the live run{largest}.\n",
        agreements.len(),
        all
    )
}

/// How many counts of replays over another scheme's record are within 1 % of the live run, of how many.
pub fn within<'a>(agreements: impl IntoIterator<Item = &'a Agreement>) -> (usize, usize) {
    let agreements = agreements.into_iter();
    let cells: Vec<f64> = agreements.flat_map(Agreement::differences).collect();
    let within = cells.iter().filter(|difference| **difference <= 1.0);
    (within.count(), cells.len())
}
