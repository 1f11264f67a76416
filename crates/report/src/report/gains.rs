//! The fifth question: what is left to gain once the registers are kept across exits, and where.

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
        costs::{Of, mean, quotient},
        estimate::Estimate,
        machine::{Class, Machine},
        subject::{Sharing, Subject},
    },
    chart::{Axis, Dot, Dots, Row, Scale},
};

const QUESTION: &str =
    "Lazy until put, or prediction: what is left to gain once registers are kept across exits?";

/// The columns beside `until-put`.
const COMPARED: [Of; 4] = [
    Of::Scheme(Scheme::Owner),
    Of::Scheme(Scheme::Forecast),
    Of::NotPrompt,
    Of::Oracle,
];

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
        "until-put loads at the first use after the vCPU's load and keeps the registers until its put. \
         owner keeps them longer, until another owner uses them, and predicts nothing either. What \
         forecast takes off the cost of until-put beyond owner is the gain of predicting; what the oracle \
         takes off is all that could be gained at all.",
    );
    content.push(&overview(material));
    content.paragraph(
        "Figures for SVE and SME are replays of FP/SIMD windows at the larger price: what was recorded is \
         when guests used FP/SIMD, and one save or load is charged in proportion to the bytes of the \
         larger registers. A guest that uses SVE or SME in other windows has other figures.",
    );
    content.figure(
        "gains",
        "What remains of the cost of until-put",
        "100 % is what until-put costs on the machine; a mark further left costs less. The line is the \
         interval of 95 % over workloads, or from the least to the greatest where there are fewer than \
         four. From the circle (owner) to the diamond (forecast) is what predicting gains, or to the \
         cross (prompt=off) where a register load may delay a pending interrupt; from there to \
         the vertical line (oracle) is what only knowledge of the future gains.",
        &chart(material),
        &gains,
    );
    content.keep(gains);
    Answer {
        question: QUESTION,
        line: line(material),
        short: short(material),
        content,
    }
}

fn remains(subjects: &[&Subject], machine: &Machine, of: Of) -> Estimate {
    quotient(subjects, machine, of, Of::Scheme(Scheme::UntilPut))
}

fn short(material: &Material<'_>) -> String {
    let parts: Vec<_> = [Class::CheapTrap, Class::Nested, Class::LargeState]
        .into_iter()
        .map(|class| {
            let machine = material.machine(class.representative());
            let kinds = Sharing::ALL.into_iter().filter_map(|sharing| {
                let subjects = material.sharing(sharing);
                let left =
                    COMPARED.map(|of| remains(&subjects, machine, of).value.map(words::percent));
                let [Some(owner), Some(forecast), Some(not_prompt), Some(oracle)] = left else {
                    return None;
                };
                Some(format!(
                    "{owner}, {forecast}, {not_prompt} and {oracle} {}",
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
        "Of what until-put costs, owner (which predicts nothing), forecast, the same with prompt=off, and the oracle leave: {}.",
        parts.join(". Next, ")
    )
}

fn line(material: &Material<'_>) -> String {
    let machine = material.machine(Class::CheapTrap.representative());
    let parts: Vec<_> = Sharing::ALL
        .into_iter()
        .filter_map(|sharing| {
            let subjects = material.sharing(sharing);
            let [owner, forecast, ..] = COMPARED.map(|of| remains(&subjects, machine, of).value);
            Some(format!(
                "{} and {} {}",
                words::percent(owner?),
                words::percent(forecast?),
                sharing.place()
            ))
        })
        .collect();
    format!(
        "Of until-put’s cost, keeping them with their last owner leaves, without and with prediction, {}.",
        words::list(&parts)
    )
}

/// A table's own columns, and behind them one for each of [`COMPARED`].
fn columns(own: &[Column], of_owner: &'static str) -> Vec<Column> {
    let rivals = [
        Column::estimate("owner", of_owner, Percent),
        Column::estimate("forecast", "what forecast leaves", Percent),
        Column::estimate(
            "not_prompt",
            "what forecast leaves with prompt=off",
            Percent,
        ),
        Column::estimate("oracle", "what the oracle leaves", Percent),
    ];
    [own, &rivals].concat()
}

/// The cells of the columns of [`COMPARED`].
fn left(subjects: &[&Subject], machine: &Machine) -> [Cell; COMPARED.len()] {
    COMPARED.map(|of| remains(subjects, machine, of).into())
}

/// A table instead of a paragraph: by sharing and class, what is left.
fn overview(material: &Material<'_>) -> String {
    let mut table = Table::new(
        "overview",
        "What owner, forecast and the oracle leave of the cost of until-put, on one machine of each class.",
        &columns(
            &[
                Column::text("sharing", "whom vCPUs share cores with"),
                Column::text("class", "the class of machine"),
            ],
            "what owner leaves of until-put’s cost",
        ),
    );
    for sharing in Sharing::ALL {
        let subjects = material.sharing(sharing);
        for class in Class::ALL.into_iter().filter(|_| !subjects.is_empty()) {
            let machine = material.machine(class.representative());
            let own: [Cell; 2] = [sharing.name().into(), class.name().into()];
            table.push([&own[..], &left(&subjects, machine)].concat());
        }
    }
    html::table(&table)
}

fn chart(material: &Material<'_>) -> Dots {
    let mut rows = Vec::new();
    for sharing in Sharing::ALL {
        let subjects = material.sharing(sharing);
        let machines = shown(material).into_iter().enumerate();
        for (number, machine) in machines.filter(|_| !subjects.is_empty()) {
            let dots = COMPARED.into_iter().enumerate().filter_map(|(series, of)| {
                let estimate = remains(&subjects, machine, of);
                Some(Dot {
                    series,
                    value: estimate.value?,
                    interval: estimate.ends(),
                    hint: Percent.estimate(&estimate),
                    ..Dot::default()
                })
            });
            rows.push(Row {
                heading: (number == 0).then(|| sharing.name().to_string()),
                label: machine.name.clone(),
                dots: dots.collect(),
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
            label: "cost over until-put’s".to_string(),
            scale: Scale::Linear,
            from: 0.0,
            to: (highest * 10.0).ceil() / 10.0,
            format: words::percent_tick,
        },
        series: COMPARED.map(look::of).to_vec(),
        rows,
        references: Vec::new(),
        is_dodged: true,
    }
}

fn gains(material: &Material<'_>) -> Table {
    let mut table = Table::new(
        "gains",
        "What owner, forecast and the oracle leave of the cost of until-put.",
        &columns(
            &[
                Column::text("sharing", "whom vCPUs share cores with"),
                Column::whole("workloads", "workloads of this kind"),
                Column::text("machine", "the machine"),
                Column::text("class", "its class"),
                Column::number(
                    "until_put",
                    "what until-put costs per thousand entries, in the profile’s unit",
                    words::Format::Plain,
                ),
            ],
            "what owner leaves of that",
        ),
    );
    for sharing in Sharing::ALL {
        let subjects = material.sharing(sharing);
        for machine in material.machines.iter().filter(|_| !subjects.is_empty()) {
            let own: [Cell; 5] = [
                sharing.name().into(),
                (subjects.len() as u64).into(),
                (&machine.name).into(),
                machine.class.name().into(),
                mean(&subjects, machine, Of::Scheme(Scheme::UntilPut)).into(),
            ];
            table.push([&own[..], &left(&subjects, machine)].concat());
        }
    }
    table
}
