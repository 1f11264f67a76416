//! The second question: how good "used last time, will be used now" is, and how far apart uses are.

use super::{
    Answer, Material,
    data::{Column, Table},
    distances,
    html::Content,
    look,
    usage::{from_to, rows},
    words::{self, Format::Percent},
};
use crate::{
    analysis::{
        estimate::{Estimate, over_workloads},
        subject::Subject,
        usage::Usage,
    },
    chart::{Axis, Dots, Scale},
};

const QUESTION: &str = "How good is “used last time, will be used now”?";

/// A kind of window: its name, and what is known of a workload's.
type Kind = (&'static str, fn(&Subject) -> &Usage);

const KINDS: [Kind; 2] = [
    ("entry", |subject| subject.entry.best()),
    ("load", |subject| subject.load.best()),
];

/// Answers it.
pub fn answer(material: &Material<'_>) -> Answer {
    let programs = material.programs();
    let table = chances(material);
    let [entry, load] = KINDS.map(|(_, usage)| Means::of(programs.iter().map(|s| usage(s))));
    let right = |means: &Means| Percent.estimate(&means.accuracy);
    let short = format!(
        "It is right in {} of entry windows and {} of load windows, in the mean over {}; to say of each vCPU always what \
         it mostly does, in {} and {}. Per entry, {}{}; per load, {}{}.",
        right(&entry),
        right(&load),
        words::count(
            programs.len(),
            "workload with a Linux guest",
            "workloads with a Linux guest"
        ),
        Percent.estimate(&entry.majority),
        Percent.estimate(&load.majority),
        entry.chances(),
        entry.scope(programs.len()),
        load.chances(),
        load.scope(programs.len())
    );
    let mut content = Content::default();
    for ((kind, usage), means) in KINDS.into_iter().zip([&entry, &load]) {
        content.paragraph(&sentence(kind, &programs, usage, means));
        content.figure(
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
    content.keep(table);
    content.append(distances::part(material));
    Answer {
        question: QUESTION,
        line: line(material),
        short,
        others: Vec::new(),
        content,
    }
}

/// The answer in a line.
pub fn line(material: &Material<'_>) -> String {
    let programs = material.programs();
    let entry = Means::of(programs.iter().map(|s| s.entry.best()));
    format!(
        "“As last time” is right in {} of entry windows, “what the vCPU mostly does” in {}: {}{}.",
        Percent.estimate(&entry.accuracy),
        Percent.estimate(&entry.majority),
        entry.chances(),
        entry.scope(programs.len())
    )
}

/// Means over workloads.
struct Means {
    /// Over all of them.
    accuracy: Estimate,
    majority: Estimate,
    /// Over those that have windows after a use and windows after none: else the two would be means over
    /// different workloads.
    after_use: Estimate,
    after_none: Estimate,
    /// How many these are.
    both: usize,
}

impl Means {
    fn of<'a>(usages: impl Iterator<Item = &'a Usage> + Clone) -> Self {
        let mean = |values: Vec<f64>| {
            over_workloads(&values.iter().map(|&value| (value, 1.0)).collect::<Vec<_>>())
        };
        let both: Vec<_> = usages
            .clone()
            .filter_map(|usage| usage.after_use.value.zip(usage.after_none.value))
            .collect();
        Self {
            accuracy: mean(
                usages
                    .clone()
                    .filter_map(|usage| usage.accuracy.value)
                    .collect(),
            ),
            majority: mean(usages.filter_map(|usage| usage.majority).collect()),
            after_use: mean(both.iter().map(|(after_use, _)| *after_use).collect()),
            after_none: mean(both.iter().map(|(_, after_none)| *after_none).collect()),
            both: both.len(),
        }
    }

    /// Both probabilities.
    fn chances(&self) -> String {
        format!(
            "a use follows a use with a probability of {}, and no use with {}",
            Percent.estimate(&self.after_use),
            Percent.estimate(&self.after_none)
        )
    }

    /// Over which of so many workloads they are, if not over all.
    fn scope(&self, workloads: usize) -> String {
        if self.both == workloads {
            return String::new();
        }
        format!(" in the {} that have windows of both kinds", self.both)
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
        "In {kind} windows, P(use | used before) is {} in the mean over workloads{}, and {} from one to another; \
         P(use | not used before) is {}, and {} from one to another. As a forecast, “as last time” is right in {} \
         of windows.",
        Percent.estimate(&means.after_use),
        means.scope(subjects.len()),
        range(|usage| &usage.after_use),
        Percent.estimate(&means.after_none),
        range(|usage| &usage.after_none),
        Percent.estimate(&means.accuracy),
    )
}

fn chart(material: &Material<'_>, kind: &str, usage: fn(&Subject) -> &Usage) -> Dots {
    let rows = rows(material, |subject| {
        let usage = usage(subject);
        [usage.after_use, usage.after_none]
    });
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
                "P(use | used before): the precision, and to one window the recall",
                Percent,
            ),
            Column::estimate("use_after_none", "P(use | not used before)", Percent),
            Column::estimate(
                "accuracy",
                "share of windows that did as the one before",
                Percent,
            ),
            Column::number(
                "majority",
                "share of windows that did what most of their vCPU’s did: always to say the same of a vCPU",
                Percent,
            ),
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
                usage.majority.into(),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(after_use: Option<f64>, after_none: Option<f64>) -> Usage {
        let estimate = |value| Estimate {
            value,
            interval: None,
        };
        Usage {
            after_use: estimate(after_use),
            after_none: estimate(after_none),
            accuracy: estimate(Some(0.5)),
            ..Usage::default()
        }
    }

    /// A workload that always uses the registers has no window after none, and counts in neither mean.
    #[test]
    fn what_is_compared_is_over_the_same_workloads() {
        let usages = [
            usage(Some(0.5), Some(0.25)),
            usage(Some(1.0), None),
            usage(Some(0.25), Some(0.75)),
        ];
        let means = Means::of(usages.iter());
        assert_eq!(means.after_use.value, Some(0.375));
        assert_eq!(means.after_none.value, Some(0.5));
        assert_eq!(means.accuracy.value, Some(0.5));
        assert_eq!(means.scope(3), " in the 2 that have windows of both kinds");
        assert_eq!(Means::of(usages[..1].iter()).scope(1), "");
    }
}
