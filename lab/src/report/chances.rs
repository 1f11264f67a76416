//! The second question: how good "used last time, will be used now" is, and how far apart uses are.

use super::{
    Answer, Material,
    data::{Column, Table},
    html, look,
    usage::from_to,
    words::{self, Format::Percent, Format::Plain},
};
use crate::{
    analysis::{
        estimate::{Estimate, over_workloads},
        subject::Subject,
        usage::{Gaps, Usage},
    },
    chart::{Axis, Dash, Dot, Dots, Line, Lines, Row, Scale, Series},
    record::inspect::Distances,
};

const QUESTION: &str = "How good is “used last time, will be used now”?";

/// A kind of window: its name, and what is known of a workload's.
type Kind = (&'static str, fn(&Subject) -> &Usage);

const KINDS: [Kind; 2] = [
    ("entry", |subject| subject.entry.best()),
    ("load", |subject| subject.load.best()),
];

/// Points of a distribution per factor of ten.
const PER_DECADE: i32 = 12;

/// Answers it.
pub fn answer(material: &Material<'_>) -> Answer {
    let programs = material.programs();
    let table = chances(material);
    let distances = distances(&programs);
    let quantiles = quantiles(material);
    let [entry, load] = KINDS.map(|(_, usage)| Means::of(&programs, usage));
    let right = |means: &Means| Percent.estimate(&means.accuracy);
    let chances = |means: &Means| {
        format!(
            "a use follows a use with a probability of {}, and no use with {}",
            Percent.estimate(&means.after_use),
            Percent.estimate(&means.after_none)
        )
    };
    let short = format!(
        "It is right in {} of entry windows and {} of load windows, in the mean over Linux workloads. Per \
         entry, {}; per load, {}.",
        right(&entry),
        right(&load),
        chances(&entry),
        chances(&load)
    );
    let line = format!(
        "“As last time” is right in {} of entry windows, but finds only {} of the uses.",
        right(&entry),
        Percent.estimate(&entry.recall)
    );
    let mut html = String::new();
    for ((kind, usage), means) in KINDS.into_iter().zip([&entry, &load]) {
        html += &html::paragraph(&sentence(kind, &programs, usage, means));
        html += &html::figure(
            if kind == "entry" {
                "after-entry"
            } else {
                "after-load"
            },
            &format!("How probable a use is after a use and after none, {kind} windows"),
            "Two dots per workload: the probability of a use if the vCPU's window before used the registers, \
             and if it did not, each with its interval of 95 %. Where the two are far apart, the last window \
             tells much. Where the first is left of the second, guessing the contrary would be better. A dot \
             is missing where there was no such window.",
            &chart(material, kind, usage),
            &table,
        );
    }
    html += &html::paragraph(&gap_sentence(&programs));
    html += &html::figure(
        "distance",
        "From one use to the next, in entry windows",
        "For each distance, how many of all uses followed the one before within it: at 1, a use in the very \
         next window. The thick line is the mean over Linux workloads, each thin one a workload. A line that \
         rises at once and then stays flat tells of bursts and pauses.",
        &ecdf(&programs),
        &distances,
    );
    html += &html::details(&quantiles);
    Answer {
        question: QUESTION,
        line,
        short,
        html,
        tables: vec![table, distances, quantiles],
    }
}

/// Means over workloads.
struct Means {
    after_use: Estimate,
    after_none: Estimate,
    accuracy: Estimate,
    recall: Estimate,
}

impl Means {
    fn of(subjects: &[&Subject], usage: fn(&Subject) -> &Usage) -> Self {
        let mean = |of: fn(&Usage) -> &Estimate| {
            let values = subjects.iter().filter_map(|s| of(usage(s)).value);
            over_workloads(&values.map(|value| (value, 1.0)).collect::<Vec<_>>())
        };
        Self {
            after_use: mean(|usage| &usage.after_use),
            after_none: mean(|usage| &usage.after_none),
            accuracy: mean(|usage| &usage.accuracy),
            recall: mean(|usage| &usage.recall),
        }
    }
}

fn sentence(
    kind: &str,
    subjects: &[&Subject],
    usage: fn(&Subject) -> &Usage,
    means: &Means,
) -> String {
    let range =
        |of: fn(&Usage) -> &Estimate| from_to(subjects.iter().filter_map(|s| of(usage(s)).value));
    format!(
        "In {kind} windows, P(use | used before) is {} in the mean over workloads, and {} from one to another; \
         P(use | not used before) is {}, and {} from one to another. As a forecast, “as last time” is right in {} of windows. Its \
         precision is the first of these, its recall {}: so many of the uses had been announced by a use.",
        Percent.estimate(&means.after_use),
        range(|usage| &usage.after_use),
        Percent.estimate(&means.after_none),
        range(|usage| &usage.after_none),
        Percent.estimate(&means.accuracy),
        Percent.estimate(&means.recall),
    )
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

fn chart(material: &Material<'_>, kind: &str, usage: fn(&Subject) -> &Usage) -> Dots {
    let mut rows = Vec::new();
    for (name, group) in material.in_order() {
        for (number, subject) in group.into_iter().enumerate() {
            let usage = usage(subject);
            let estimates = [usage.after_use, usage.after_none];
            let dots = estimates
                .into_iter()
                .enumerate()
                .filter_map(|(series, estimate)| {
                    Some(Dot {
                        series,
                        value: estimate.value?,
                        interval: estimate.ends(),
                        hint: format!("{}: {}", subject.name, Percent.estimate(&estimate)),
                        ..Dot::default()
                    })
                });
            rows.push(Row {
                heading: (number == 0).then(|| name.to_string()),
                label: subject.name.clone(),
                dots: dots.collect(),
            });
        }
    }
    Dots {
        axis: Axis {
            label: format!("probability of a use, {kind} windows"),
            scale: Scale::Linear,
            from: 0.0,
            to: 1.0,
            format: words::percent_tick,
        },
        series: look::pair(["after a use", "after none"]),
        rows,
        references: Vec::new(),
        is_dodged: true,
    }
}

fn chances(material: &Material<'_>) -> Table {
    let mut table = Table::new(
        "chances",
        "The window before as a forecast of the next, by workload and kind of window.",
        &[
            Column::text("workload", "the workload"),
            Column::text(
                "windows_of",
                "entry: from an entry to its exit; load: from load to put",
            ),
            Column::estimate(
                "use_after_use",
                "P(use | used before): the precision",
                Percent,
            ),
            Column::estimate("use_after_none", "P(use | not used before)", Percent),
            Column::estimate(
                "accuracy",
                "share of windows that did as the one before",
                Percent,
            ),
            Column::estimate("recall", "share of uses that followed a use", Percent),
        ],
    );
    for subject in material.in_order().into_iter().flat_map(|(_, group)| group) {
        for (kind, usage) in KINDS {
            let usage = usage(subject);
            table.push([
                (&subject.name).into(),
                kind.into(),
                usage.after_use.into(),
                usage.after_none.into(),
                usage.accuracy.into(),
                usage.recall.into(),
            ]);
        }
    }
    table
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
        "How many uses follow the one before within a distance, Linux workloads.",
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
        let ends = crate::analysis::estimate::ends(shares.iter().copied());
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
    let line = |name: &str, class: &str, share: &dyn Fn(u64) -> Option<f64>| Line {
        series: Series {
            name: name.to_string(),
            class: class.to_string(),
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
        is_stepped: false,
    };
    let mut lines: Vec<_> = subjects
        .iter()
        .map(|s| {
            line("", "c-thin s-first", &|distance| {
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
    lines.push(line("mean over Linux workloads", "c-thick s-second", &mean));
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
