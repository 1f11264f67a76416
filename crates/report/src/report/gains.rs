//! The fifth question: what is left to gain beyond what KVM does, without and with prediction, and where.

use trapcast_forecast::Scheme;

use super::{
    Answer, Material,
    data::{Cell, Column, Table},
    html::{self, Content},
    look,
    words::{self, Format::Percent},
};
use crate::{
    analysis::{
        costs::{Of, cheapest, mean, quotient},
        estimate::Estimate,
        machine::{Class, Machine},
        subject::{Sharing, Subject},
        verdict,
    },
    chart::{Axis, Dots, Row, Scale, Series},
};

const QUESTION: &str =
    "Lazy until put, or prediction: what is left to gain once registers are kept across exits?";

/// What all others stand beside: the scheme that Linux KVM has.
const BASE: Of = Of::Scheme(Scheme::Kvm);

/// What stands beside it: the best scheme that does not predict, the best that does, and the oracle.
fn compared(subjects: &[&Subject], machine: &Machine) -> Option<[Of; 3]> {
    let best = |among: &[Of]| Some(cheapest(subjects, machine, among)?.0);
    Some([best(&verdict::WITHOUT)?, best(&verdict::WITH)?, Of::Oracle])
}

/// What each of these costs over the base.
fn left(subjects: &[&Subject], machine: &Machine) -> Option<[Estimate; 3]> {
    let compared = compared(subjects, machine)?;
    Some(compared.map(|of| quotient(subjects, machine, of, BASE)))
}

/// The machines that are shown: one per class, and all that have larger registers.
fn shown<'a>(material: &'a Material<'_>) -> Vec<&'a Machine> {
    let machines = material.machines.iter();
    let is_shown = |machine: &&Machine| {
        machine.state.is_some() || machine.name == machine.class.representative()
    };
    machines.filter(is_shown).collect()
}

/// Answers it.
pub fn answer(material: &Material<'_>) -> Answer {
    let gains = gains(material);
    let mut content = Content::default();
    content.paragraph(
        "kvm, the scheme of Linux KVM, loads at the first use after the vCPU's load and keeps the registers until \
         its put, which saves them. Of those that predict nothing either, the cheapest on each machine stands \
         beside it, and the cheapest of those that predict. What the second takes off beyond the first is the gain \
         of predicting; what the oracle takes off is all that could be gained at all.",
    );
    content.push(&overview(material));
    content.paragraph(
        "Figures for SVE and SME are replays of FP/SIMD windows at the larger price: what was recorded is \
         when guests used FP/SIMD, and one save or load is charged in proportion to the bytes of the \
         larger registers. A guest that uses SVE or SME in other windows has other figures.",
    );
    content.figure(
        "gains",
        "What remains of the cost of kvm",
        "100 % is what kvm costs on the machine; a mark further left costs less. The line is the \
         interval of 95 % over workloads, or from the least to the greatest where there are fewer than \
         four. From the circle (the best without prediction) to the diamond (the best with it) is what predicting \
         gains; from there to the vertical line (oracle) is what only knowledge of the future gains.",
        &chart(material),
        &gains,
    );
    content.keep(gains);
    Answer {
        question: QUESTION,
        line: line(material),
        short: short(material),
        others: Vec::new(),
        content,
    }
}

fn short(material: &Material<'_>) -> String {
    let parts: Vec<_> = [Class::CheapTrap, Class::Nested, Class::LargeState]
        .into_iter()
        .map(|class| {
            let machine = material.machine(class.representative());
            let kinds = Sharing::ALL.into_iter().filter_map(|sharing| {
                let subjects = material.sharing(sharing);
                let [without, with, _] = compared(&subjects, machine)?;
                let shares = left(&subjects, machine)?.map(|left| left.value.map(words::percent));
                let [Some(before), Some(after), Some(oracle)] = shares else {
                    return None;
                };
                Some(format!(
                    "{without} {before}, {with} {after} and the oracle {oracle} {}",
                    sharing.place()
                ))
            });
            format!(
                "{}, {}",
                class.place(),
                kinds.collect::<Vec<_>>().join("; ")
            )
        })
        .collect();
    format!(
        "Of what kvm costs, the cheapest without prediction, the cheapest with it, and the oracle leave: {}.",
        parts.join(". Next, ")
    )
}

/// The answer in a line.
pub fn line(material: &Material<'_>) -> String {
    let machine = material.machine(Class::CheapTrap.representative());
    let parts: Vec<_> = Sharing::ALL
        .into_iter()
        .filter_map(|sharing| {
            let subjects = material.sharing(sharing);
            let [without, with, _] = left(&subjects, machine)?.map(|left| left.value);
            Some(format!(
                "{} and {} {}",
                words::percent(without?),
                words::percent(with?),
                sharing.place()
            ))
        })
        .collect();
    format!(
        "Of the cost of KVM’s rule (kvm), the best of the others leave, without and with prediction, {}.",
        words::list(&parts)
    )
}

/// A table's own columns, and behind them those of what is [compared].
fn columns(own: &[Column]) -> Vec<Column> {
    let rivals = [
        Column::text("without", "the cheapest scheme that does not predict"),
        Column::estimate("without_leaves", "what it leaves of kvm’s cost", Percent),
        Column::text("with", "the cheapest scheme that predicts"),
        Column::estimate("with_leaves", "what it leaves of that", Percent),
        Column::estimate("oracle", "what the oracle leaves", Percent),
    ];
    [own, &rivals].concat()
}

/// The cells of these columns.
fn cells(subjects: &[&Subject], machine: &Machine) -> Option<[Cell; 5]> {
    let [without, with, _] = compared(subjects, machine)?;
    let [before, after, oracle] = left(subjects, machine)?;
    Some([
        without.name().into(),
        before.into(),
        with.name().into(),
        after.into(),
        oracle.into(),
    ])
}

/// A table instead of a paragraph: by sharing and class, what is left.
fn overview(material: &Material<'_>) -> String {
    let mut table = Table::new(
        "overview",
        "What schemes without and with prediction, and the oracle, leave of the cost of kvm, on one machine of each class.",
        &columns(&[
            Column::text("sharing", "whom vCPUs share cores with"),
            Column::text("class", "the class of machine"),
        ]),
    );
    for sharing in Sharing::ALL {
        let subjects = material.sharing(sharing);
        for class in Class::ALL {
            let machine = material.machine(class.representative());
            let own: [Cell; 2] = [sharing.name().into(), class.name().into()];
            if let Some(cells) = cells(&subjects, machine) {
                table.push([&own[..], &cells].concat());
            }
        }
    }
    html::table(&table)
}

fn chart(material: &Material<'_>) -> Dots {
    let mut rows = Vec::new();
    for sharing in Sharing::ALL {
        let subjects = material.sharing(sharing);
        let machines = shown(material).into_iter().enumerate();
        for (number, machine) in machines {
            let Some(left) = left(&subjects, machine) else {
                continue;
            };
            rows.push(Row {
                heading: (number == 0).then(|| sharing.name().to_string()),
                label: machine.name.clone(),
                dots: look::dots(left, Percent),
            });
        }
    }
    let dots = rows.iter().flat_map(|row| &row.dots);
    let ends = dots.map(|dot| {
        dot.interval
            .map_or(dot.value, |(_, high)| high.max(dot.value))
    });
    let highest = ends.fold(1.0, f64::max);
    Dots {
        axis: Axis {
            label: "cost over kvm’s".to_string(),
            scale: Scale::Linear,
            from: 0.0,
            to: (highest * 10.0).ceil() / 10.0,
            format: words::percent_tick,
        },
        series: series(),
        rows,
        references: Vec::new(),
        is_dodged: true,
    }
}

/// The looks of what is [compared].
fn series() -> Vec<Series> {
    let named = |name: &str, series: Series| Series {
        name: name.to_string(),
        ..series
    };
    vec![
        named("best without prediction", look::scheme(Scheme::Owner)),
        named("best with prediction", look::scheme(Scheme::Forecast)),
        look::oracle(),
    ]
}

fn gains(material: &Material<'_>) -> Table {
    let mut table = Table::new(
        "gains",
        "What schemes without and with prediction, and the oracle, leave of the cost of kvm.",
        &columns(&[
            Column::text("sharing", "whom vCPUs share cores with"),
            Column::whole("workloads", "workloads of this kind"),
            Column::text("machine", "the machine"),
            Column::text("class", "its class"),
            Column::number(
                "kvm",
                "what kvm costs per thousand entries, in the profile’s unit",
                words::Format::Plain,
            ),
        ]),
    );
    for sharing in Sharing::ALL {
        let subjects = material.sharing(sharing);
        for machine in &material.machines {
            let own: [Cell; 5] = [
                sharing.name().into(),
                (subjects.len() as u64).into(),
                (&machine.name).into(),
                machine.class.name().into(),
                mean(&subjects, machine, BASE).into(),
            ];
            if let Some(cells) = cells(&subjects, machine) {
                table.push([&own[..], &cells].concat());
            }
        }
    }
    table
}
