//! The plane over T and C: which scheme is cheapest, and where machines fall.

use trapcast_forecast::Scheme;

use super::{
    Material,
    data::{Column, Table},
    html::Content,
    look,
    words::{self, Format::Percent},
};
use crate::{
    analysis::{
        costs::{ENTRIES, Of, cheapest, mean, per_thousand},
        machine::Machine,
        subject::{Sharing, Subject},
    },
    chart::{Axis, Mark, Scale, Sector, Sectors, Series},
    plane::{self, Plane},
};
use trapcast_results::plane::{Counts, SchemeCounts};

/// Entries that the counts of a workload are scaled to, so that each weighs alike on the plane.
const SCALED: f64 = 1e9;

/// Draws the plane of the workloads that share cores like this, if there are any.
pub fn part(sharing: Sharing, material: &Material<'_>) -> Content {
    let subjects = material.sharing(sharing);
    let plane = plane_of(&subjects, material);
    plane.map_or_else(Content::default, |plane| {
        figure_of(sharing, &subjects, &plane, material)
    })
}

/// The plane of some workloads together, each scaled to the same number of entries.
fn plane_of(subjects: &[&Subject], material: &Material<'_>) -> Option<Plane> {
    let first = subjects.first()?;
    let scaled = |count: u64, subject: &Subject| {
        (per_thousand(count, subject) / ENTRIES * SCALED).round() as u64
    };
    let sum = |count: &dyn Fn(&Counts) -> u64| {
        subjects
            .iter()
            .map(|subject| scaled(count(&subject.plane), subject))
            .sum()
    };
    let counts = Counts {
        schemes: (0..first.plane.schemes.len())
            .map(|index| SchemeCounts {
                scheme: first.plane.schemes[index].scheme.clone(),
                traps: sum(&|counts| counts.schemes[index].traps),
                exchanges: sum(&|counts| counts.schemes[index].exchanges),
            })
            .collect(),
        oracle_exchanges: sum(&|counts| counts.oracle_exchanges),
    };
    let plain = material
        .machines
        .iter()
        .filter(|machine| machine.state.is_none());
    let profiles: Vec<_> = plain.map(|machine| machine.profile.clone()).collect();
    plane::plane(&counts, &profiles).ok()
}

fn figure_of(
    sharing: Sharing,
    subjects: &[&Subject],
    plane: &Plane,
    material: &Material<'_>,
) -> Content {
    let (name, title) = match sharing {
        Sharing::Own => (
            "plane_own",
            "The cheapest scheme for any T and C: a core of its own",
        ),
        Sharing::Shared => (
            "plane_shared",
            "The cheapest scheme for any T and C: a shared core",
        ),
        Sharing::Several => (
            "plane_several",
            "The cheapest scheme for any T and C: several cores",
        ),
    };
    let mut table = Table::new(
        name,
        "Where each machine falls on the plane, and what is cheapest there.",
        &[
            Column::text("mark", "its number on a small picture"),
            Column::text("machine", "the machine, by its cost profile"),
            Column::text("certainty", "how sure its figures are"),
            Column::whole("t", "T: the round trip of a trap"),
            Column::whole("c", "C: one save and one load"),
            Column::text("unit", "what T and C are counted in"),
            Column::text("cheapest", "the cheapest scheme of others there"),
            Column::number("next_costs_more", "what the next one costs more", Percent),
            Column::number(
                "over_oracle",
                "what the cheapest costs more than the oracle",
                Percent,
            ),
            Column::number(
                "forecast_saves",
                "what forecast, which knows T and C, costs less than the cheapest of the others; with writes \
                 of the gate, which the plane leaves out",
                Percent,
            ),
        ],
    );
    let machines = material
        .machines
        .iter()
        .filter(|machine| machine.state.is_none());
    for ((number, place), machine) in (1_u64..).zip(&plane.profiles).zip(machines) {
        table.push([
            number.to_string().as_str().into(),
            (&place.profile).into(),
            place.certainty.name().into(),
            place.round_trip.into(),
            place.exchange.into(),
            place.unit.name().into(),
            (&place.cheapest).into(),
            place
                .next_costs_more_percent
                .map(|percent| percent / 100.0)
                .into(),
            place
                .over_oracle_percent
                .map(|percent| percent / 100.0)
                .into(),
            forecast_saves(subjects, machine).into(),
        ]);
    }
    let workloads: Vec<_> = subjects
        .iter()
        .map(|subject| subject.name.clone())
        .collect();
    let how = format!(
        "Find your machine: T, the round trip of a trap, along the bottom; C, one save and one load of the \
         registers, up the side. The area that it falls into names the cheapest scheme there, of those that \
         know no costs (forecast, which decides by them, is in the other figures). Points are measured or \
         published machines; where names do not fit, numbers replace them, which the table has. \
         Workloads: {}, each scaled to the same number of entries. Borders are exact: {}.",
        words::list(&workloads),
        borders(plane)
    );
    let mut content = Content::default();
    content.figure(name, title, &how, &sectors(plane), &table);
    content.keep(table);
    content
}

/// What `forecast` costs less than the cheapest of the others, as a share of that.
fn forecast_saves(subjects: &[&Subject], machine: &Machine) -> Option<f64> {
    let rules = |of: &Of| matches!(of, Of::Scheme(scheme) if *scheme != Scheme::Forecast);
    let others: Vec<_> = Of::CORRECT.into_iter().filter(rules).collect();
    let (_, least) = cheapest(subjects, machine, &others)?;
    let forecast = mean(subjects, machine, Of::Scheme(Scheme::Forecast))?;
    (least > 0.0).then(|| 1.0 - forecast / least)
}

fn borders(plane: &Plane) -> String {
    if plane.borders.is_empty() {
        return "one scheme is cheapest everywhere".to_string();
    }
    let texts: Vec<_> = plane
        .borders
        .iter()
        .map(|border| {
            format!(
                "{} up to C/T = {}, where p* = 2C/(T+2C) = {}, then {}",
                border.below,
                words::plain(border.ratio),
                border
                    .break_even
                    .map_or(words::NOTHING.to_string(), words::percent),
                border.above
            )
        })
        .collect();
    texts.join("; ")
}

fn sectors(plane: &Plane) -> Sectors {
    let series = |name: &str| {
        name.parse()
            .map_or_else(|_| Series::default(), look::scheme)
    };
    let only = plane.cheapest.first().and_then(|row| row.first());
    let first = match plane.borders.first() {
        Some(border) => border.below.clone(),
        None => only.map_or(String::new(), |&only| {
            plane.counts.schemes[only].scheme.clone()
        }),
    };
    let mut sectors = vec![Sector {
        from: 0.0,
        to: f64::INFINITY,
        series: series(&first),
    }];
    for border in &plane.borders {
        if let Some(last) = sectors.last_mut() {
            last.to = border.ratio;
        }
        sectors.push(Sector {
            from: border.ratio,
            to: f64::INFINITY,
            series: series(&border.above),
        });
    }
    // A sector of no width is none.
    sectors.retain(|sector| sector.from < sector.to);
    let mut marks: Vec<Mark> = Vec::new();
    for (number, place) in (1..).zip(&plane.profiles) {
        let (x, y) = (place.round_trip as f64, place.exchange as f64);
        match marks.iter_mut().find(|mark| (mark.x, mark.y) == (x, y)) {
            Some(same) => {
                same.name += &format!(", {}", place.profile);
                same.short += &format!(",{number}");
            }
            None => marks.push(Mark {
                name: place.profile.clone(),
                short: format!("{number}"),
                x,
                y,
            }),
        }
    }
    let axis = |label: &str, (from, to): (u64, u64)| Axis {
        label: label.to_string(),
        scale: Scale::Log,
        from: from as f64,
        to: to as f64,
        format: words::tick,
    };
    Sectors {
        x: axis("T: round trip of a trap", plane::ROUND_TRIPS),
        y: axis("C: one save and one load", plane::EXCHANGES),
        sectors,
        marks,
    }
}
