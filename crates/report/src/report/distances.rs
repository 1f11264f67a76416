//! How far apart uses of the registers are.

use super::{
    Material,
    data::{Column, Table},
    html::{self, Content},
    look,
    words::{self, Format::Percent, Format::Plain},
};
use crate::{
    analysis::{
        estimate::{ends, over_workloads},
        subject::Subject,
        usage::Gaps,
    },
    chart::{Axis, Colour, Dash, Line, Lines, Part, Scale, Series, THICK, THIN},
    inspect::Distances,
};

/// Points of a distribution per factor of ten.
const PER_DECADE: i32 = 12;

/// Returns the text, figures and tables.
pub fn part(material: &Material<'_>) -> Content {
    let programs = material.programs();
    let (table, quantiles) = (distances(&programs), quantiles(material));
    let mut content = Content::default();
    content.paragraph(&gap_sentence(&programs));
    content.figure(
        "distance",
        "From one use to the next, in entry windows",
        "For each distance, how many of all uses followed the one before within it: at 1, a use in the very \
         next window. The thick line is the mean over workloads with a Linux guest, each thin one a workload. A line that \
         rises at once and then stays flat tells of bursts and pauses.",
        &ecdf(&programs),
        &table,
    );
    content.push(&html::details(&quantiles));
    content.keep(table);
    content.keep(quantiles);
    content
}

fn gap_sentence(subjects: &[&Subject]) -> String {
    let next: Vec<_> = subjects
        .iter()
        .filter_map(|s| within(&s.gaps.windows, 1))
        .map(|share| (share, 1.0))
        .collect();
    let far: Vec<_> = subjects
        .iter()
        .filter_map(|s| Some((1.0 - within(&s.gaps.windows, 10)?, 1.0)))
        .collect();
    format!(
        "Of all uses, {} follow the one before in the very next entry window, and {} only after more than ten \
         (means over workloads). The table has quantiles in windows, in the vCPU's own instructions and in \
         time.",
        Percent.estimate(&over_workloads(&next)),
        Percent.estimate(&over_workloads(&far))
    )
}

/// The share of distances that are not above one.
fn within(distances: &Distances, most: u64) -> Option<f64> {
    let below = distances
        .cumulated()
        .take_while(|(distance, _)| *distance <= most);
    let count = below.last().map_or(0, |(_, count)| count);
    (distances.total() > 0).then(|| count as f64 / distances.total() as f64)
}

/// Distances at which distributions are shown: each once, up to the greatest.
fn grid(subjects: &[&Subject]) -> Vec<u64> {
    let longest = subjects
        .iter()
        .filter_map(|s| s.gaps.windows.quantiles().max)
        .max();
    let longest = longest.unwrap_or(1);
    let mut grid = Vec::new();
    let mut power = 0;
    while grid.last().is_none_or(|last| *last < longest) {
        let next = 10_f64
            .powf(f64::from(power) / f64::from(PER_DECADE))
            .round() as u64;
        if grid.last() != Some(&next) {
            grid.push(next);
        }
        power += 1;
    }
    grid
}

fn distances(subjects: &[&Subject]) -> Table {
    let mut table = Table::new(
        "distances",
        "How many uses follow the one before within a distance, workloads with a Linux guest.",
        &[
            Column::whole(
                "distance",
                "entry windows from one use to the next, at most",
            ),
            Column::estimate(
                "share",
                "share of uses within it, the mean over workloads and how far it would move with others",
                Percent,
            ),
            Column::number("least", "the share in the workload with the least", Percent),
            Column::number("most", "the share in the workload with the most", Percent),
        ],
    );
    for distance in grid(subjects) {
        let shares: Vec<_> = subjects
            .iter()
            .filter_map(|s| within(&s.gaps.windows, distance))
            .collect();
        let ends = ends(shares.iter().copied());
        let mean = over_workloads(&shares.iter().map(|share| (*share, 1.0)).collect::<Vec<_>>());
        table.push([
            distance.into(),
            mean.into(),
            ends.map(|ends| ends.low).into(),
            ends.map(|ends| ends.high).into(),
        ]);
    }
    table
}

fn ecdf(subjects: &[&Subject]) -> Lines {
    let grid = grid(subjects);
    let line = |name: &str,
                (part, colour): (&'static Part, &'static Colour),
                share: &dyn Fn(u64) -> Option<f64>| Line {
        series: Series {
            name: name.to_string(),
            colour,
            dash: if name.is_empty() {
                Dash::Dotted
            } else {
                Dash::Solid
            },
            ..Series::default()
        },
        points: grid
            .iter()
            .filter_map(|&distance| Some((distance as f64, share(distance)?)))
            .collect(),
        part,
        is_stepped: false,
    };
    let mut lines: Vec<_> = subjects
        .iter()
        .map(|s| {
            line("", (&THIN, &look::FIRST), &|distance| {
                within(&s.gaps.windows, distance)
            })
        })
        .collect();
    let mean = |distance| {
        let shares: Vec<_> = subjects
            .iter()
            .filter_map(|s| Some((within(&s.gaps.windows, distance)?, 1.0)))
            .collect();
        over_workloads(&shares).value
    };
    lines.push(line(
        "mean over workloads with a Linux guest",
        (&THICK, &look::SECOND),
        &mean,
    ));
    Lines {
        x: Axis {
            label: "entry windows from one use to the next".to_string(),
            scale: Scale::Log,
            from: 1.0,
            to: grid.last().map_or(10.0, |last| (*last as f64).max(10.0)),
            format: words::tick,
        },
        y: Axis {
            label: "share of uses".to_string(),
            scale: Scale::Linear,
            from: 0.0,
            to: 1.0,
            format: words::percent_tick,
        },
        lines,
    }
}

fn quantiles(material: &Material<'_>) -> Table {
    let mut table = Table::new(
        "distance_quantiles",
        "Quantiles of the distance from one use to the same vCPU's next.",
        &[
            Column::text("workload", "the workload"),
            Column::text(
                "unit",
                "entry windows; the vCPU's own instructions, from first use to first use; or microseconds, \
                 from entry to entry",
            ),
            Column::whole("distances", "how many there are"),
            Column::number("p50", "half of them are not above this", Plain),
            Column::number("p90", "90 of 100", Plain),
            Column::number("p99", "99 of 100", Plain),
            Column::number("p999", "999 of 1000", Plain),
            Column::number("max", "all of them", Plain),
        ],
    );
    for subject in material.in_order().into_iter().flat_map(|(_, group)| group) {
        let Gaps {
            windows,
            instructions,
            ticks,
        } = &subject.gaps;
        let microseconds = 1e6 / subject.counter_frequency.max(1) as f64;
        let mut units = vec![
            ("windows", windows, 1.0),
            ("microseconds", ticks, microseconds),
        ];
        // Each of several cores counts the instructions of all.
        if subject.guest_instructions.is_some() {
            units.insert(1, ("instructions", instructions, 1.0));
        }
        for (unit, distances, factor) in units {
            let quantiles = distances.quantiles();
            let scaled = |number: Option<u64>| number.map(|number| number as f64 * factor);
            table.push([
                (&subject.name).into(),
                unit.into(),
                quantiles.count.into(),
                scaled(quantiles.p50).into(),
                scaled(quantiles.p90).into(),
                scaled(quantiles.p99).into(),
                scaled(quantiles.p999).into(),
                scaled(quantiles.max).into(),
            ]);
        }
    }
    table
}
