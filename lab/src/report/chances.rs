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
        line,
        short,
        content,
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
