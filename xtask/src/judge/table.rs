//! What was found as tables for people.

use comfy_table::{Cell as TableCell, Table};
use trapcast_forecast::Scheme;

use super::{
    Cell, Judged, Judgement, LeftOut, Rival,
    goals::{Forecast, mean},
};
use trapcast_replay::ratio;
use trapcast_report::replaying::{
    self,
    table::{factor, ratio_cell, right},
};

/// Columns of the table by record and of that by profile: schemes, then rivals.
const SCHEMES: [Scheme; 5] = [
    Scheme::Kvm,
    Scheme::Credit,
    Scheme::Owner,
    Scheme::EagerOwner,
    Scheme::Forecast,
];
const RIVALS: [Rival; 3] = [Rival::KnowsVcpus, Rival::KnowsPlaces, Rival::KnowsWindows];

/// Shows everything; at most 120 columns wide.
pub fn render(judgement: &Judgement) -> String {
    let (tuned, judged): (Vec<_>, Vec<_>) =
        judgement.records.iter().partition(|record| record.tuned);
    let mut text = String::new();
    for (records, title) in [
        (&tuned, "Records by which the rule was chosen"),
        (&judged, "Records that were not used for that"),
    ] {
        if !records.is_empty() {
            text += &format!(
                "{title}: cost over the oracle's, mean over profiles\n{}\n\n\
                 The same, mean over these records\n{}\n\n",
                by_record(records),
                by_profile(records)
            );
        }
    }
    text += &format!(
        "What each part is worth: cost over forecast's, mean over records and profiles\n{}\n\n\
         {}Goals: costs, on the records that were not used in choosing the rule\n{}\n{LEGEND}",
        ablations(&tuned, &judged),
        left_out(&judgement.left_out),
        goals(judgement)
    );
    text
}

const LEGEND: &str = "
Means are geometric. knows each vCPU, place, window: what the same state machine costs where the decision is
the better one, in hindsight, for all windows of a vCPU; for those of a place; for each. Between forecast and
knows each place lies what it takes to learn; between that and the oracle what no rule that goes by places can
know. in cells: where a goal about single cells holds. Three others: last-trap, counter and credit.
";

fn over_oracle(cell: &Cell, cost: u64) -> Option<f64> {
    ratio(cost, cell.oracle)
}

/// What stands in each column of a cell.
fn columns(cell: &Cell) -> Vec<Option<f64>> {
    let schemes = SCHEMES.map(|scheme| over_oracle(cell, cell.scheme(scheme)));
    let rivals = RIVALS.map(|rival| over_oracle(cell, cell.rival(rival)));
    schemes.into_iter().chain(rivals).collect()
}

fn table(first: &str, headings: impl IntoIterator<Item = &'static str>) -> Table {
    let headings = headings.into_iter().map(String::from);
    replaying::table::table(std::iter::once(first.to_string()).chain(headings))
}

fn shown(ratio: Option<f64>) -> TableCell {
    ratio_cell(ratio, factor)
}

fn headings() -> impl Iterator<Item = &'static str> {
    let schemes = SCHEMES.iter().map(|scheme| scheme.name());
    schemes.chain(RIVALS.iter().map(|rival| match rival {
        Rival::KnowsVcpus => "knows vCPUs",
        Rival::KnowsPlaces => "places",
        _ => "windows",
    }))
}

/// The geometric means of what stands in each column of some cells.
fn means<'a>(cells: impl Iterator<Item = &'a Cell> + Clone) -> Vec<TableCell> {
    let count = SCHEMES.len() + RIVALS.len();
    (0..count)
        .map(|column| shown(mean(cells.clone().filter_map(|cell| columns(cell)[column]))))
        .collect()
}

fn by_record(records: &[&Judged]) -> Table {
    let mut table = table("record", headings());
    for record in records {
        let name = [TableCell::new(&record.workload)];
        table.add_row(name.into_iter().chain(means(record.cells.iter())));
    }
    table
}

fn by_profile(records: &[&Judged]) -> Table {
    let mut table = table("profile", headings());
    for (number, first) in records[0].cells.iter().enumerate() {
        let cells = records.iter().map(|record| &record.cells[number]);
        let name = [TableCell::new(&first.profile)];
        table.add_row(name.into_iter().chain(means(cells)));
    }
    let all = records.iter().flat_map(|record| &record.cells);
    table.add_row([TableCell::new("all")].into_iter().chain(means(all)));
    table
}

fn ablations(tuned: &[&Judged], judged: &[&Judged]) -> Table {
    let mut table = table("", ["used in choosing", "not used", "worst record"]);
    for &rival in Rival::ABLATIONS {
        let of = |cell: &Cell| ratio(cell.rival(rival), cell.forecast());
        let of_record = |record: &Judged| mean(record.cells.iter().filter_map(of));
        let mean_of = |records: &[&Judged]| {
            mean(
                records
                    .iter()
                    .flat_map(|record| record.cells.iter().filter_map(of)),
            )
        };
        let all = tuned.iter().chain(judged);
        let worst = all
            .filter_map(|record| Some((of_record(record)?, record)))
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        table.add_row([
            TableCell::new(rival.name()),
            shown(mean_of(tuned)),
            shown(mean_of(judged)),
            right(worst.map_or("-".to_string(), |(ratio, record)| {
                format!("{} {ratio:.3}", record.workload)
            })),
        ]);
    }
    table
}

fn left_out(workloads: &[LeftOut]) -> String {
    if workloads.is_empty() {
        return String::new();
    }
    let mut table = table(
        "left out",
        ["horizon", "place", "so chosen", "the rule's", "best"],
    );
    let costs: [fn(&LeftOut) -> f64; 3] = [
        |left_out| left_out.cost,
        |left_out| left_out.cost_of_the_rule,
        |left_out| left_out.least_cost,
    ];
    for left_out in workloads {
        let constants = left_out.constants;
        let name = [
            TableCell::new(&left_out.workload),
            right(constants.horizon.to_string()),
            right(format!("{} bytes", constants.place)),
        ];
        table.add_row(
            name.into_iter()
                .chain(costs.map(|cost| shown(Some(cost(left_out))))),
        );
    }
    let means = costs.map(|cost| shown(mean(workloads.iter().map(cost))));
    let name = ["all", "", ""].map(TableCell::new);
    table.add_row(name.into_iter().chain(means));
    format!(
        "Constants by all other workloads: cost of the one left out over its oracle's, mean\n{table}\n\n"
    )
}

fn goals(judgement: &Judgement) -> Table {
    let mut table = table("", ["prompt", "found", "goal", "", "in cells", "worst in"]);
    for goal in &judgement.goals {
        let bound = if goal.at_least { ">=" } else { "<=" };
        table.add_row([
            TableCell::new(&goal.name),
            right(match goal.forecast {
                Forecast::Prompt => "on",
                Forecast::NotPrompt => "off",
            }),
            shown(goal.found),
            right(format!("{bound} {:.2}", goal.bound)),
            right(match goal.met() {
                Some(true) => "met",
                Some(false) => "NOT MET",
                None => "no record",
            }),
            right(
                goal.reached
                    .map_or(String::new(), |share| format!("{:.1} %", 100.0 * share)),
            ),
            right(goal.worst.as_deref().unwrap_or("")),
        ]);
    }
    table
}
