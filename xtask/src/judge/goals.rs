//! What the forecast was to reach on records that its rule was not chosen by, and whether it does.

use serde::Serialize;
use trapcast_forecast::Scheme;

use super::{Cell, Judged, Rival};
use trapcast_replay::ratio;
use trapcast_study::workload::Kind;

/// Which forecast is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forecast {
    /// As it is unless a VM is told otherwise: an interrupt that is pending goes first.
    Prompt,
    /// With `prompt=off`.
    NotPrompt,
}

impl Forecast {
    fn cost(self, cell: &Cell) -> u64 {
        match self {
            Self::Prompt => cell.forecast(),
            Self::NotPrompt => cell.rival(Rival::NotPrompt),
        }
    }
}

/// Something that was to be reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What it is about.
    pub name: String,
    /// By which forecast.
    pub forecast: Forecast,
    /// What was found, if there was a record to find it in.
    pub found: Option<f64>,
    /// What it was to be: at most that, or at least.
    pub bound: f64,
    /// Whether it was to be at least that.
    pub at_least: bool,
    /// In which cell it is worst, if it is about single cells.
    pub worst: Option<String>,
    /// The share of the cells that reach it, if it is about single cells.
    pub reached: Option<f64>,
}

impl Goal {
    /// Whether it is reached; nothing where there was no record.
    pub fn met(&self) -> Option<bool> {
        self.found.map(|found| {
            if self.at_least {
                found >= self.bound
            } else {
                found <= self.bound
            }
        })
    }
}

/// A cell, and the record that it is of.
type Place<'a> = (&'a Judged, &'a Cell);

/// Judges by the records that were not used in tuning.
pub(super) fn goals(records: &[Judged]) -> Vec<Goal> {
    [Forecast::Prompt, Forecast::NotPrompt]
        .into_iter()
        .flat_map(|forecast| goals_of(forecast, records))
        .collect()
}

fn goals_of(forecast: Forecast, records: &[Judged]) -> Vec<Goal> {
    let judged = || records.iter().filter(|record| !record.tuned);
    let cells = |kinds: &[Kind]| -> Vec<Place<'_>> {
        judged()
            .filter(|record| kinds.contains(&record.kind))
            .flat_map(|record| record.cells.iter().map(move |cell| (record, cell)))
            .collect()
    };
    let structured = cells(&[Kind::Structure, Kind::Both]);
    let chance = cells(&[Kind::Chance]);
    let all = cells(&[Kind::Structure, Kind::Both, Kind::Chance]);
    let over_oracle = |(_, cell): &Place<'_>| ratio(forecast.cost(cell), cell.oracle);
    let over_known =
        |(_, cell): &Place<'_>| ratio(forecast.cost(cell), cell.rival(Rival::KnowsVcpus));
    let over_fixed = |(_, cell): &Place<'_>| ratio(forecast.cost(cell), cell.fixed);
    let others = [Scheme::LastTrap, Scheme::Counter, Scheme::Credit];
    let no_worse = |(_, cell): &&Place<'_>| {
        others
            .iter()
            .all(|&scheme| forecast.cost(cell) <= cell.scheme(scheme))
    };
    let share =
        (!all.is_empty()).then(|| all.iter().filter(no_worse).count() as f64 / all.len() as f64);
    let goals = [
        at_most(
            "structure: mean over the oracle",
            mean(structured.iter().filter_map(over_oracle)),
            1.10,
        ),
        worst(
            "structure: worst over the oracle",
            &structured,
            over_oracle,
            1.30,
        ),
        worst(
            "chance: worst over knowing p and costs",
            &chance,
            over_known,
            1.02,
        ),
        worst(
            "all: worst over the better fixed scheme",
            &all,
            over_fixed,
            1.02,
        ),
        Goal {
            at_least: true,
            ..at_most("all: three others no better", share, 0.95)
        },
    ];
    goals
        .map(|goal| Goal { forecast, ..goal })
        .into_iter()
        .collect()
}

/// The geometric mean; nothing of nothing.
pub(super) fn mean(ratios: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = ratios.fold((0.0, 0), |(sum, count), ratio| {
        (sum + ratio.ln(), count + 1)
    });
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

fn at_most(name: &str, found: Option<f64>, bound: f64) -> Goal {
    Goal {
        name: name.to_string(),
        forecast: Forecast::Prompt,
        found,
        bound,
        at_least: false,
        worst: None,
        reached: None,
    }
}

fn worst(
    name: &str,
    cells: &[Place<'_>],
    ratio: impl Fn(&Place<'_>) -> Option<f64>,
    bound: f64,
) -> Goal {
    let ratios: Vec<_> = cells
        .iter()
        .filter_map(|place| Some((ratio(place)?, *place)))
        .collect();
    let within = ratios.iter().filter(|(ratio, _)| *ratio <= bound).count();
    let worst = ratios.iter().max_by(|(a, _), (b, _)| a.total_cmp(b));
    Goal {
        reached: (!ratios.is_empty()).then(|| within as f64 / ratios.len() as f64),
        worst: worst.map(|(_, (record, cell))| format!("{}, {}", record.workload, cell.profile)),
        ..at_most(name, worst.map(|(ratio, _)| *ratio), bound)
    }
}
