//! What switching does to interrupt latency: IRQs-off sections at EL2, and how late a guest's
//! timer comes.

use std::collections::BTreeMap;

use trapcast_forecast::Scheme;

use super::{
    Material,
    data::{Column, Table},
    html::Content,
    longest, look,
    words::{self, whole},
};
use crate::chart::{Axis, CURVE, Line, Lines, Scale};
use trapcast_results::Figures;
use trapcast_trace::histogram::{Bin, Histogram};

/// Schemes that a picture of distributions shows: lines of all of them would be hard to tell apart.
pub const SHOWN: [Scheme; 4] = [
    Scheme::Eager,
    Scheme::UntilPut,
    Scheme::Owner,
    Scheme::Forecast,
];

/// What the answer says of latency.
pub struct Part {
    /// In a line.
    pub line: String,
    /// In a sentence.
    pub short: String,
    /// At length.
    pub content: Content,
}

/// Something whose distribution was counted.
struct Measured {
    name: &'static str,
    title: &'static str,
    /// What it is, in a sentence that says "of"; and the unit.
    what: &'static str,
    unit: &'static str,
    how_to_read: &'static str,
    about: &'static str,
    of: fn(&Figures) -> Option<&Histogram>,
}

const MASKED: Measured = Measured {
    name: "masked_stretches",
    title: "How many IRQs-off sections are longer",
    what: "IRQs-off sections at EL2",
    unit: "instructions",
    how_to_read: "For each length, the share of IRQs-off sections (EL2 instructions with interrupts masked) that are \
                  longer. The axis at the left is logarithmic, so that rare long ones show: a line further left \
                  or lower is better; where it ends, nothing was longer. All workloads on one core, put \
                  together.",
    about: "IRQs-off sections, in EL2 instructions, by scheme, all workloads on one core.",
    of: |figures| figures.masked.as_ref(),
};

const DELAY: Measured = Measured {
    name: "timer_delays",
    title: "How many timer interrupts come later",
    what: "delays from a timer’s expiry to the guest’s handler",
    unit: "instructions",
    how_to_read: "For each delay, the share of a guest's timer interrupts whose handler began later after the \
                  timer's expiry, while the guest was on the core, in instructions, by which the clock runs here. All \
                  workloads whose guests measure it, put together.",
    about: "Delays from a timer’s expiry to the guest’s handler, by scheme, all guests that measure them.",
    of: |figures| figures.timer_delay.as_ref(),
};

/// Returns the text, figures and tables.
pub fn part(material: &Material<'_>) -> Part {
    let mut part = longest::part(material);
    for measured in [&MASKED, &DELAY] {
        let all = measured.by_scheme(material);
        if all.is_empty() {
            part.content.paragraph(&format!(
                "How {} are distributed was not measured by this study.",
                measured.what
            ));
            continue;
        }
        let table = measured.table(&all);
        part.content.paragraph(&measured.sentence(&all));
        part.content.figure(
            measured.name,
            measured.title,
            measured.how_to_read,
            &measured.chart(&all),
            &table,
        );
        part.short += &measured.short(&all);
        part.content.keep(table);
    }
    part
}

type ByScheme = BTreeMap<Scheme, Histogram>;

impl Measured {
    /// What was counted under each correct scheme, all workloads together.
    fn by_scheme(&self, material: &Material<'_>) -> ByScheme {
        let mut all = ByScheme::new();
        for result in &material.results.results {
            let figures = result
                .figures
                .as_ref()
                .filter(|_| result.scheme != Scheme::None);
            if let Some(histogram) = figures.and_then(self.of) {
                match all.get_mut(&result.scheme) {
                    Some(sum) => *sum = merged(sum, histogram),
                    None => drop(all.insert(result.scheme, histogram.clone())),
                }
            }
        }
        all
    }

    fn short(&self, all: &ByScheme) -> String {
        let of = |scheme: Scheme| {
            let histogram = all.get(&scheme)?;
            let (most, longest) = (histogram.quantile(0.99)?, histogram.max()?);
            Some(format!(
                "{} under {scheme} (all within {})",
                whole(most),
                whole(longest)
            ))
        };
        let parts: Vec<_> = SHOWN.into_iter().filter_map(of).collect();
        format!(
            " Of {}, 99 of 100 are within, in {}: {}.",
            self.what,
            self.unit,
            words::list(&parts)
        )
    }

    fn sentence(&self, all: &ByScheme) -> String {
        let of = |(scheme, histogram): (&Scheme, &Histogram)| {
            let quantile = |share| {
                histogram
                    .quantile(share)
                    .map_or(words::NOTHING.to_string(), whole)
            };
            format!(
                "under {scheme}, half of {} are within {} {}, 99 of 100 within {}, 999 of 1,000 within {}",
                whole(histogram.total()),
                quantile(0.5),
                self.unit,
                quantile(0.99),
                quantile(0.999)
            )
        };
        let shown = all.iter().filter(|(scheme, _)| SHOWN.contains(scheme));
        let parts: Vec<_> = shown.map(of).collect();
        format!("Of {}: {}.", self.what, parts.join("; "))
    }

    fn chart(&self, all: &ByScheme) -> Lines {
        let shown = all.iter().filter(|(scheme, _)| SHOWN.contains(scheme));
        let lines: Vec<_> = shown
            .map(|(scheme, histogram)| Line {
                part: &CURVE,
                series: look::scheme(*scheme),
                points: longer(histogram),
                is_stepped: true,
            })
            .collect();
        let points = lines.iter().flat_map(|line| &line.points);
        let shares = points.clone().map(|(_, share)| *share);
        let least = shares.filter(|share| *share > 0.0).fold(0.1, f64::min) / 2.0;
        let first = points
            .clone()
            .map(|(length, _)| *length)
            .fold(f64::INFINITY, f64::min);
        let last = points.map(|(length, _)| *length).fold(10.0, f64::max);
        let first = if first < last { first.max(1.0) } else { 1.0 };
        Lines {
            x: Axis {
                label: self.unit.to_string(),
                scale: if last / first > 20.0 {
                    Scale::Log
                } else {
                    Scale::Linear
                },
                from: first,
                to: last * 1.05,
                format: words::tick,
            },
            y: Axis {
                label: "share that is longer".to_string(),
                scale: Scale::Log,
                from: least,
                to: 1.0,
                format: words::percent_tick,
            },
            lines,
        }
    }

    fn table(&self, all: &ByScheme) -> Table {
        let mut table = Table::new(
            self.name,
            self.about,
            &[
                Column::text("scheme", "the scheme"),
                Column::whole("from", "the least number of the bin"),
                Column::whole("to", "the largest number of the bin"),
                Column::whole("count", "how many fell into it"),
            ],
        );
        for (scheme, histogram) in all {
            for bin in &histogram.bins {
                table.push([
                    scheme.name().into(),
                    bin.from.into(),
                    bin.to.into(),
                    bin.count.into(),
                ]);
            }
        }
        table
    }
}

/// The share of numbers that are longer: all before the first bin, none behind the last.
fn longer(histogram: &Histogram) -> Vec<(f64, f64)> {
    let total = histogram.total();
    let mut left = total;
    let first = histogram
        .bins
        .first()
        .map(|bin| (bin.from.max(1) as f64, 1.0));
    let bins = histogram.bins.iter().map(|bin| {
        left -= bin.count;
        (bin.to.max(1) as f64, left as f64 / total as f64)
    });
    first.into_iter().chain(bins).collect()
}

/// Both together: bins of the same range are one.
fn merged(one: &Histogram, other: &Histogram) -> Histogram {
    let mut bins = BTreeMap::<(u64, u64), u64>::new();
    for bin in one.bins.iter().chain(&other.bins) {
        *bins.entry((bin.from, bin.to)).or_default() += bin.count;
    }
    let bins = bins
        .into_iter()
        .map(|((from, to), count)| Bin { from, to, count });
    Histogram {
        unit: one.unit,
        bins: bins.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapcast_trace::histogram::Unit;

    fn histogram(bins: &[(u64, u64, u64)]) -> Histogram {
        Histogram {
            unit: Unit::Instructions,
            bins: bins
                .iter()
                .map(|&(from, to, count)| Bin { from, to, count })
                .collect(),
        }
    }

    #[test]
    fn distributions_add_up_bin_by_bin() {
        let sum = merged(
            &histogram(&[(0, 9, 1), (20, 29, 2)]),
            &histogram(&[(10, 19, 4), (20, 29, 8)]),
        );
        assert_eq!(sum, histogram(&[(0, 9, 1), (10, 19, 4), (20, 29, 10)]));
    }

    #[test]
    fn what_is_longer_falls_from_all_to_nothing() {
        let points = longer(&histogram(&[(2, 3, 1), (10, 19, 2), (100, 199, 1)]));
        assert_eq!(
            points,
            [(2.0, 1.0), (3.0, 0.75), (19.0, 0.25), (199.0, 0.0)]
        );
        assert_eq!(longer(&histogram(&[])), []);
    }
}
