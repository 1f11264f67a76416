//! The third question: what each scheme costs, per machine, and the plane over T and C.

use trapcast_forecast::Scheme;

use super::{
    Answer, Material,
    data::{Cell, Column, Table},
    html::{self, Content},
    look, plane,
    words::{
        self,
        Format::{Plain, Times},
    },
};
use crate::{
    analysis::{
        costs::{Of, cheapest, cost, mean, quotient},
        estimate::Estimate,
        machine::{Class, Machine},
        subject::{Sharing, Subject},
        verdict,
    },
    chart::{Axis, Dot, Dots, Row, Scale},
};

const QUESTION: &str =
    "What does each scheme cost, against the oracle and against both fixed schemes?";

/// Classes whose registers are FP/SIMD's.
pub const PLAIN: [Class; 4] = [
    Class::Emulated,
    Class::CheapTrap,
    Class::ExpensiveTrap,
    Class::Nested,
];

/// The schemes that are correct, in the order of tables.
pub fn correct() -> impl Iterator<Item = Scheme> + Clone {
    Scheme::ALL
        .into_iter()
        .filter(|scheme| *scheme != Scheme::None)
}

/// Answers it.
pub fn answer(material: &Material<'_>) -> Answer {
    let programs = material.programs();
    let standings = standings(material);
    let costs = every_cost(material);
    let mut content = Content::default();
    content.paragraph(&format!(
        "Every scheme is replayed over the same record of each workload, by the code that runs at EL2, and \
         charged the costs of {} machines: measured, published or derived, see the table of machines at the \
         end. The oracle knows each window beforehand. The better fixed scheme is the cheaper one of eager \
         and per-entry. Costs are per thousand entries, so that each workload counts alike.",
        words::whole(material.machines.len() as u64)
    ));
    content.push(&overview(material, &programs));
    content.figure(
        "costs",
        "What each scheme costs, over the oracle’s cost",
        "The large mark is the scheme's cost over the oracle's, summed over workloads with a Linux guest; the line through \
         it is the interval of 95 % over workloads; each pale point is one workload. The axis is logarithmic: \
         1 is as good as knowing the future. A workload whose oracle pays nothing has no point.",
        &chart(material, &programs),
        &standings,
    );
    for sharing in Sharing::ALL {
        content.append(plane::part(sharing, material));
    }
    content.push(&html::details(&costs));
    content.keep(standings);
    content.keep(costs);
    Answer {
        question: QUESTION,
        line: line(material),
        short: short(material, &programs),
        others: Vec::new(),
        content,
    }
}

/// The cheapest scheme of some on the machine that represents a class, with its cost over the oracle's and
/// over that of the better fixed scheme.
fn best(programs: &[&Subject], machine: &Machine, among: &[Of]) -> Option<(Of, [Estimate; 2])> {
    let (best, _) = cheapest(programs, machine, among)?;
    let over = |of| quotient(programs, machine, best, of);
    Some((best, [over(Of::Oracle), over(Of::BetterFixed)]))
}

/// What is cheapest on each class of machine, and what of that which does not predict.
fn short(material: &Material<'_>, programs: &[&Subject]) -> String {
    let parts = PLAIN.map(|class| {
        let machine = material.machine(class.representative());
        let (first, second) = (
            best(programs, machine, &Of::CORRECT),
            best(programs, machine, &verdict::WITHOUT),
        );
        let (Some((scheme, [oracle, fixed])), Some((without, [other, _]))) = (first, second) else {
            return format!("Nothing was replayed for {}", machine.name);
        };
        let beside = if without == scheme {
            String::new()
        } else {
            format!(
                "; without prediction {without}, {} times",
                Plain.estimate(&other)
            )
        };
        format!(
            "{}: {scheme}, {} times the oracle’s cost, {} of the better fixed scheme’s{beside}",
            words::capital(class.place()),
            Plain.estimate(&oracle),
            fixed
                .value
                .map_or(words::NOTHING.to_string(), words::percent)
        )
    });
    format!("The cheapest, by machine. {}.", parts.join(". "))
}

/// The answer in a line.
pub fn line(material: &Material<'_>) -> String {
    let programs = &material.programs()[..];
    let machine = material.machine(Class::CheapTrap.representative());
    match best(programs, machine, &Of::CORRECT) {
        Some((scheme, [oracle, fixed])) => {
            let without = match best(programs, machine, &verdict::WITHOUT) {
                Some((without, [other, _])) if without != scheme => format!(
                    " Without prediction, {without} does: {} times.",
                    Plain.estimate(&other)
                ),
                _ => String::new(),
            };
            format!(
                "{}, {scheme} costs least: {} times the oracle’s cost, {} of the better fixed scheme’s.{without}",
                words::capital(Class::CheapTrap.place()),
                Plain.estimate(&oracle),
                fixed
                    .value
                    .map_or(words::NOTHING.to_string(), words::percent)
            )
        }
        None => format!("Nothing was replayed for {}.", machine.name),
    }
}

/// A table instead of a paragraph: one line per class of machine.
fn overview(material: &Material<'_>, programs: &[&Subject]) -> String {
    let mut table = Table::new(
        "overview",
        "The machine that represents each class, and what schemes cost there over the oracle.",
        &[
            Column::text("class", "the class of machine"),
            Column::text("machine", "the one that represents it"),
            Column::whole("t", "T: the round trip of a trap"),
            Column::whole("c", "C: one save and one load"),
            Column::text("cheapest", "the cheapest scheme"),
            Column::estimate("its_cost", "its cost over the oracle’s", Times),
            Column::estimate("owner", "that of owner", Times),
            Column::estimate("eager_owner", "that of eager-owner", Times),
            Column::estimate("kvm", "that of kvm", Times),
            Column::estimate("last_trap", "that of last-trap", Times),
            Column::estimate("eager", "that of eager", Times),
            Column::estimate("per_entry", "that of per-entry", Times),
        ],
    );
    for class in PLAIN {
        let machine = material.machine(class.representative());
        let over = |scheme| Cell::from(quotient(programs, machine, Of::Scheme(scheme), Of::Oracle));
        let Some((scheme, [oracle, _])) = best(programs, machine, &Of::CORRECT) else {
            continue;
        };
        table.push([
            class.name().into(),
            (&machine.name).into(),
            machine.round_trip().into(),
            machine.exchange().into(),
            scheme.name().into(),
            oracle.into(),
            over(Scheme::Owner),
            over(Scheme::EagerOwner),
            over(Scheme::Kvm),
            over(Scheme::LastTrap),
            over(Scheme::Eager),
            over(Scheme::PerEntry),
        ]);
    }
    html::table(&table)
}

fn chart(material: &Material<'_>, programs: &[&Subject]) -> Dots {
    let mut rows = Vec::new();
    let mut highest = 10.0_f64;
    for class in PLAIN {
        let machine = material.machine(class.representative());
        for (series, of) in Of::CORRECT.into_iter().enumerate() {
            let part = |subject: &&Subject| {
                let over = cost(subject, machine, of)? / cost(subject, machine, Of::Oracle)?;
                over.is_finite().then(|| Dot {
                    series,
                    value: over,
                    is_part: true,
                    hint: format!("{}: {}", subject.name, words::plain(over)),
                    ..Dot::default()
                })
            };
            let mut dots: Vec<_> = programs.iter().filter_map(part).collect();
            let estimate = quotient(programs, machine, of, Of::Oracle);
            dots.extend(estimate.value.map(|value| Dot {
                series,
                value,
                interval: estimate.ends(),
                hint: format!("{of}: {}", Plain.estimate(&estimate)),
                ..Dot::default()
            }));
            highest = dots.iter().map(|dot| dot.value).fold(highest, f64::max);
            rows.push(Row {
                heading: (series == 0).then(|| format!("{}: {}", class.name(), machine.name)),
                label: of.name().to_string(),
                dots,
            });
        }
    }
    Dots {
        axis: Axis {
            label: "cost over the oracle’s".to_string(),
            scale: Scale::Log,
            from: 1.0,
            to: highest * 1.1,
            format: words::tick,
        },
        series: Of::CORRECT.map(look::of).to_vec(),
        rows,
        references: Vec::new(),
        is_dodged: false,
    }
}

fn standings(material: &Material<'_>) -> Table {
    let mut table = Table::new(
        "costs",
        "What each scheme costs on each machine, over workloads with a Linux guest.",
        &[
            Column::text("machine", "the machine, by its cost profile"),
            Column::text("class", "its class"),
            Column::text("scheme", "the scheme"),
            Column::number(
                "per_thousand",
                "its cost per thousand entries, in the profile’s unit",
                Plain,
            ),
            Column::estimate(
                "over_oracle",
                "over the oracle’s, with the interval over workloads",
                Times,
            ),
            Column::estimate(
                "over_fixed",
                "over that of the better one of eager and per-entry",
                Times,
            ),
        ],
    );
    let programs = material.programs();
    for machine in material
        .machines
        .iter()
        .filter(|machine| machine.state.is_none())
    {
        for of in Of::CORRECT {
            table.push([
                (&machine.name).into(),
                machine.class.name().into(),
                of.name().into(),
                mean(&programs, machine, of).into(),
                quotient(&programs, machine, of, Of::Oracle).into(),
                quotient(&programs, machine, of, Of::BetterFixed).into(),
            ]);
        }
    }
    table
}

fn every_cost(material: &Material<'_>) -> Table {
    let mut table = Table::new(
        "costs_by_workload",
        "What each scheme and the oracle cost, by machine and workload, per thousand entries.",
        &[
            Column::text("workload", "the workload"),
            Column::text("sharing", "whom its vCPUs share cores with"),
            Column::text("machine", "the machine"),
            Column::text("scheme", "the scheme, or the oracle"),
            Column::number(
                "per_thousand",
                "the cost per thousand entries, in the profile’s unit",
                Plain,
            ),
        ],
    );
    for subject in &material.subjects {
        for machine in &material.machines {
            for of in Of::CORRECT.into_iter().chain([Of::Oracle]) {
                table.push([
                    (&subject.name).into(),
                    subject.sharing.name().into(),
                    (&machine.name).into(),
                    of.name().into(),
                    cost(subject, machine, of).into(),
                ]);
            }
        }
    }
    table
}
