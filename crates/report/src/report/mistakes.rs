//! The fourth question: what a wrong forecast costs, and, in `latency`, what switching does to interrupt
//! latency.

use trapcast_forecast::Scheme;

use super::{
    Answer, Material,
    data::{Column, Table},
    html::{self, Content},
    latency, look,
    schemes::{PLAIN, correct},
    words::{self, Format::Plain},
};
use crate::{
    analysis::{
        costs::per_thousand,
        estimate::{Estimate, over_workloads},
        machine::{Class, Machine},
        subject::{Sharing, Subject},
    },
    chart::{Axis, Dots, Row, Scale},
};

const QUESTION: &str =
    "What does a wrong forecast cost, and what does switching do to interrupt latency?";

/// Answers it.
pub fn answer(material: &Material<'_>) -> Answer {
    let mistakes = mistakes(material);
    let latency = latency::part(material);
    let mut content = Content::default();
    content.paragraph(
        "A scheme is wrong in two ways. It leaves the registers out and they are used: a late trap, which \
         costs T. It loads them and they are not used: a wasted load, which costs up to 2 C, once to bring \
         them in and once to bring back whose they were. Traps of a scheme that never loads ahead count as \
         late, too: they are what a forecast could save.",
    );
    content.push(&prices(material));
    content.figure(
        "mistakes",
        "How often each scheme is wrong",
        "Per thousand entries, the mean over workloads: traps of registers that were left out, and loads \
         that the window then did not use. The line is the interval of 95 % over workloads, or from the \
         least to the greatest where there are fewer than four. Multiply the first by T and the second by \
         2 C to have their price on your machine.",
        &chart(material),
        &mistakes,
    );
    content.append(latency.content);
    content.keep(mistakes);
    Answer {
        question: QUESTION,
        line: format!("{} {}", line(material), latency.line),
        short: format!("{} {}", short(material), latency.short),
        others: Vec::new(),
        content,
    }
}

/// Late traps and wasted loads per thousand entries.
fn wrong(subject: &Subject, machine: &Machine, scheme: Scheme) -> Option<[f64; 2]> {
    let counts = subject.outcome.scheme(scheme, &machine.costs)?.total;
    Some([counts.traps, counts.wasted_loads].map(|count| per_thousand(count, subject)))
}

/// The means of both over workloads.
fn mean_wrong(subjects: &[&Subject], machine: &Machine, scheme: Scheme) -> [Estimate; 2] {
    let all: Vec<_> = subjects
        .iter()
        .filter_map(|s| wrong(s, machine, scheme))
        .collect();
    [0, 1].map(|kind| over_workloads(&all.iter().map(|each| (each[kind], 1.0)).collect::<Vec<_>>()))
}

fn short(material: &Material<'_>) -> String {
    let programs = material.programs();
    let machine = material.machine(Class::CheapTrap.representative());
    let of = |scheme: Scheme| {
        let [late, wasted] = mean_wrong(&programs, machine, scheme).map(|estimate| estimate.value);
        let (Some(late), Some(wasted)) = (late, wasted) else {
            return format!("{scheme} was not replayed");
        };
        let price = late * machine.round_trip() as f64 + wasted * 2.0 * machine.exchange() as f64;
        format!(
            "{scheme} traps late {} times and loads in vain {} times ({} {})",
            words::plain(late),
            words::plain(wasted),
            words::plain(price),
            machine.profile.unit.name()
        )
    };
    format!(
        "Per thousand entries, {}; {}; {}; the price is that of {}.",
        of(Scheme::LastTrap),
        of(Scheme::UntilPut),
        of(Scheme::Forecast),
        machine.name
    )
}

/// The answer in a line.
pub fn line(material: &Material<'_>) -> String {
    let machine = material.machine(Class::CheapTrap.representative());
    let [late, wasted] = mean_wrong(&material.programs(), machine, Scheme::LastTrap);
    format!(
        "The 2018 patch (last-trap) is wrong {} times per thousand entries by leaving them out, {} times by \
         loading them.",
        Plain.estimate(&late),
        Plain.estimate(&wasted)
    )
}

fn prices(material: &Material<'_>) -> String {
    let prices = PLAIN.map(|class| {
        let machine = material.machine(class.representative());
        format!(
            "{} ({}): T = {}, 2 C = {} {}",
            class.name(),
            machine.name,
            words::whole(machine.round_trip()),
            words::whole(2 * machine.exchange()),
            machine.profile.unit.name()
        )
    });
    html::paragraph(&format!("One of each costs: {}.", prices.join("; ")))
}

fn chart(material: &Material<'_>) -> Dots {
    let machine = material.machine(Class::CheapTrap.representative());
    let mut rows = Vec::new();
    for sharing in Sharing::ALL {
        let subjects = material.sharing(sharing);
        for (number, scheme) in correct().enumerate().filter(|_| !subjects.is_empty()) {
            let estimates = mean_wrong(&subjects, machine, scheme);
            rows.push(Row {
                heading: (number == 0).then(|| sharing.name().to_string()),
                label: scheme.name().to_string(),
                dots: look::dots(estimates, Plain),
            });
        }
    }
    let dots = rows.iter().flat_map(|row| &row.dots);
    let ends = dots.map(|dot| dot.interval.map_or(dot.value, |(_, high)| high));
    let highest = ends.fold(10.0, f64::max);
    Dots {
        axis: Axis {
            label: "per thousand entries".to_string(),
            scale: Scale::Linear,
            from: 0.0,
            to: (highest / 100.0).ceil() * 100.0,
            format: words::tick,
        },
        series: look::pair(["late traps", "wasted loads"]),
        rows,
        references: Vec::new(),
        is_dodged: true,
    }
}

fn mistakes(material: &Material<'_>) -> Table {
    let mut table = Table::new(
        "mistakes",
        "Late traps and wasted loads of each scheme, and what they cost on a machine of each class.",
        &[
            Column::text("sharing", "whom vCPUs share cores with"),
            Column::text("machine", "the machine"),
            Column::text("scheme", "the scheme"),
            Column::estimate(
                "late_traps",
                "traps of registers left out, per thousand entries",
                Plain,
            ),
            Column::estimate(
                "wasted_loads",
                "loads not used, per thousand entries",
                Plain,
            ),
            Column::number("late_cost", "late traps × T, per thousand entries", Plain),
            Column::number(
                "wasted_cost",
                "wasted loads × 2 C, per thousand entries: at most",
                Plain,
            ),
            Column::text("unit", "what costs are counted in"),
        ],
    );
    for sharing in Sharing::ALL {
        let subjects = material.sharing(sharing);
        if subjects.is_empty() {
            continue;
        }
        for class in PLAIN {
            let machine = material.machine(class.representative());
            for scheme in correct() {
                let [late, wasted] = mean_wrong(&subjects, machine, scheme);
                let price =
                    |count: Estimate, each: u64| count.value.map(|count| count * each as f64);
                table.push([
                    sharing.name().into(),
                    (&machine.name).into(),
                    scheme.name().into(),
                    late.into(),
                    wasted.into(),
                    price(late, machine.round_trip()).into(),
                    price(wasted, 2 * machine.exchange()).into(),
                    machine.profile.unit.name().into(),
                ]);
            }
        }
    }
    table
}
