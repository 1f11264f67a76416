//! The sixth question: when prediction is worth the added complexity.

use trapcast_profile::Unit;

use super::{
    Answer, Material,
    data::{Column, Table},
    html::{self, Content},
    look,
    words::{
        self,
        Format::{Percent, Plain},
        percent, plain,
    },
};
use crate::{
    analysis::{
        costs::Of,
        machine::{Class, Machine},
        subject::Sharing,
        verdict::{self, Finding, NEGLIGIBLE, Verdict, WORTH},
    },
    chart::{Axis, Dot, Dots, Reference, Row, Scale},
};

const QUESTION: &str = "When is prediction worth the added complexity?";

/// Shares of the guests' time below this are shown at the end of the axis.
const LOWEST: f64 = 1e-6;

/// Answers it.
pub fn answer(material: &Material<'_>) -> Answer {
    let table = table(material);
    let mut content = Content::default();
    content.paragraph(&rule());
    for class in Class::ALL {
        content.push(&recommendation(class, material));
    }
    content.figure(
        "worth",
        "What is at stake, and what predicting gains, as a share of the guests' time",
        "The square is all that the cheapest scheme without prediction costs, as a share of the guests' own \
         time: no scheme can gain more. The circle is what the cheapest scheme with prediction gains. The two \
         upright lines are our thresholds: right of the second, it is worth it; left of the first, it is not. \
         A circle that is missing means a loss. The axis is logarithmic.",
        &chart(material),
        &table,
    );
    content.keep(table);
    Answer {
        question: QUESTION,
        line: line(material),
        short: short(material),
        others: Vec::new(),
        content,
    }
}

fn rule() -> String {
    format!(
        "The rule. On each class of machine, the cheapest scheme that predicts ({}) is compared with the cheapest \
         that does not ({}), over workloads with a Linux guest, per thousand entries. It is worth it if the interval of its \
         gain over workloads is above zero and the gain is {} of the guests' time or more; marginal, down to \
         {}; else it is not worth it. What a scheme decides is charged, too. Where costs are in cycles, a guest's instruction is taken as one cycle, \
         which is our assumption: a guest that takes two has half the share. Where a guest's time is not known \
         (several cores), a sure gain counts as marginal.",
        words::list(&verdict::WITH.map(|of| of.to_string())),
        words::list(&verdict::WITHOUT.map(|of| of.to_string())),
        percent(WORTH),
        percent(NEGLIGIBLE)
    )
}

/// The findings of a class: by sharing, for its representative, with how many of its machines agree.
fn findings(class: Class, material: &Material<'_>) -> Vec<(Sharing, Finding, usize, usize)> {
    let of_class: Vec<&Machine> = material
        .machines
        .iter()
        .filter(|m| m.class == class)
        .collect();
    let find = |sharing| {
        let subjects = material.sharing(sharing);
        let finding = verdict::find(&subjects, material.machine(class.representative()))?;
        let verdicts = of_class
            .iter()
            .filter_map(|machine| verdict::find(&subjects, machine));
        let agree = verdicts
            .filter(|other| other.verdict == finding.verdict)
            .count();
        Some((sharing, finding, agree, of_class.len()))
    };
    Sharing::ALL.into_iter().filter_map(find).collect()
}

fn recommendation(class: Class, material: &Material<'_>) -> String {
    let machine = material.machine(class.representative());
    let mut html = format!(
        "<section class=\"card\"><h3>{}</h3>\n<p class=\"note\">{}: T {} {}, C = {} {}.</p>\n<ul>\n",
        html::escape(&words::capital(class.name())),
        html::escape(&machine.name),
        match machine.profile.trap_is.sign().trim() {
            "" => "=",
            bound => bound,
        },
        words::whole(machine.round_trip()),
        words::whole(machine.exchange()),
        machine.profile.unit.name()
    );
    for (sharing, finding, agree, of) in findings(class, material) {
        html += &format!(
            "<li><b>{}: {}.</b> {}</li>\n",
            html::escape(&words::capital(sharing.name())),
            finding.verdict.words(),
            html::escape(&numbers(&finding, machine, agree, of))
        );
    }
    html + "</ul></section>\n"
}

/// The numbers that a verdict rests on.
fn numbers(finding: &Finding, machine: &Machine, agree: usize, of: usize) -> String {
    let best = match finding.verdict {
        Verdict::WorthIt | Verdict::Marginal => finding.with,
        Verdict::TooLittle | Verdict::NoGain => finding.without,
    };
    let assumption = match machine.profile.unit {
        Unit::Cycles => " at one cycle per instruction",
        Unit::Instructions => "",
    };
    let others = match of {
        1 => String::new(),
        _ => format!(" The same verdict holds for {agree} of the {of} machines of the class."),
    };
    let time = match (finding.of_guest, finding.at_stake) {
        (Some(gain), Some(stake)) => format!(
            "That is {} of the guests' time{assumption}; all that {} costs there is {}.",
            percent(gain),
            finding.without,
            percent(stake)
        ),
        _ => "The guests' time is not known on several cores.".to_string(),
    };
    format!(
        "Take {best}. {} is the cheapest with prediction, {} without; the first {} {} of the other's cost, {} \
         round trips of a trap per thousand entries. {time} The offline optimum would save {} of it; of that, \
         prediction saves {}.{others}",
        finding.with,
        finding.without,
        if finding.traps_saved < 0.0 {
            "gains nothing:"
        } else {
            "gains"
        },
        Percent.estimate(&finding.gain),
        plain(finding.traps_saved),
        Percent.estimate(&finding.left),
        Percent.estimate(&finding.of_avoidable)
    )
}

/// Each class and sharing with what is found for it.
fn all(material: &Material<'_>) -> Vec<(String, Finding)> {
    let of_class = |class: Class| {
        let findings = findings(class, material).into_iter();
        findings.map(move |(sharing, finding, ..)| {
            (format!("{} {}", class.name(), sharing.place()), finding)
        })
    };
    Class::ALL.into_iter().flat_map(of_class).collect()
}

/// Those with one of some verdicts, with the gain in the guests' time.
fn with(findings: &[(String, Finding)], verdicts: &[Verdict]) -> Vec<String> {
    let wanted = findings
        .iter()
        .filter(|(_, finding)| verdicts.contains(&finding.verdict));
    let text = |(kind, finding): &(String, Finding)| match finding.of_guest {
        Some(gain) => format!("{kind} ({})", percent(gain)),
        None => kind.clone(),
    };
    wanted.map(text).collect()
}

/// Kinds have commas of their own.
fn enumerated(kinds: Vec<String>) -> String {
    if kinds.is_empty() {
        return "none".to_string();
    }
    kinds.join("; ")
}

fn short(material: &Material<'_>) -> String {
    let findings = all(material);
    let not: Vec<_> = findings
        .iter()
        .filter(|(_, finding)| matches!(finding.verdict, Verdict::TooLittle | Verdict::NoGain))
        .collect();
    let most = not
        .iter()
        .filter_map(|(_, finding)| finding.of_guest)
        .fold(0.0, f64::max);
    format!(
        "Worth it: {}. Marginal: {}. It is not worth it on the other {} of {} kinds of machine and \
         sharing, where it gains {} of the guests’ time at most.",
        enumerated(with(&findings, &[Verdict::WorthIt])),
        enumerated(with(&findings, &[Verdict::Marginal])),
        not.len(),
        findings.len(),
        percent(most)
    )
}

/// The answer to the question of the whole page, in a line.
pub fn line(material: &Material<'_>) -> String {
    let findings = all(material);
    let count = |verdicts: &[Verdict]| with(&findings, verdicts).len();
    let worth = count(&[Verdict::WorthIt]);
    let word = match worth * 4 {
        0 => "No",
        few if few <= findings.len() => "Seldom",
        some if some <= findings.len() * 3 => "Sometimes",
        _ => "Mostly",
    };
    let cheapest = |of: &Of| {
        let those = findings
            .iter()
            .filter(|(_, finding)| finding.without == *of);
        (those.count(), *of)
    };
    let mut without = verdict::WITHOUT.each_ref().map(cheapest);
    without.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let without: Vec<_> = without
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, of)| format!("{of} on {count}"))
        .collect();
    format!(
        "{word}. Of {} kinds of machine and sharing, prediction is worth its complexity on {worth}, marginal on \
         {}, and not worth it on {}. Of the schemes that do not predict, these cost least: {}.",
        findings.len(),
        count(&[Verdict::Marginal]),
        count(&[Verdict::TooLittle, Verdict::NoGain]),
        words::list(&without)
    )
}

fn chart(material: &Material<'_>) -> Dots {
    let mut rows = Vec::new();
    for sharing in Sharing::ALL {
        let subjects = material.sharing(sharing);
        let mut is_first = true;
        for class in Class::ALL {
            let machine = material.machine(class.representative());
            let Some(finding) = verdict::find(&subjects, machine) else {
                continue;
            };
            let values = [finding.of_guest, finding.at_stake];
            let dots: Vec<_> = values
                .into_iter()
                .enumerate()
                .filter_map(|(series, value)| {
                    let value = value.filter(|value| *value > 0.0)?;
                    Some(Dot {
                        series,
                        value,
                        hint: percent(value),
                        ..Dot::default()
                    })
                })
                .collect();
            if dots.is_empty() {
                continue;
            }
            rows.push(Row {
                heading: std::mem::take(&mut is_first).then(|| sharing.name().to_string()),
                label: class.name().to_string(),
                dots,
            });
        }
    }
    let values = rows
        .iter()
        .flat_map(|row| row.dots.iter().map(|dot| dot.value));
    let highest = values.fold(0.1, f64::max);
    let threshold = |share: f64| Reference {
        from: share,
        to: share,
        label: percent(share),
    };
    Dots {
        axis: Axis {
            label: "share of the guests’ own time".to_string(),
            scale: Scale::Log,
            from: LOWEST,
            to: highest * 1.2,
            format: words::percent_tick,
        },
        series: look::pair(["gain of predicting", "cost without predicting"]),
        rows,
        references: [NEGLIGIBLE, WORTH].map(threshold).to_vec(),
        is_dodged: false,
    }
}

fn table(material: &Material<'_>) -> Table {
    let mut table = Table::new(
        "recommendation",
        "With prediction against without, by machine and sharing.",
        &[
            Column::text("sharing", "whom vCPUs share cores with"),
            Column::text("machine", "the machine"),
            Column::text("class", "its class"),
            Column::text("without", "the cheapest scheme that does not predict"),
            Column::text("with", "the cheapest scheme that predicts"),
            Column::estimate("gain", "what the second saves of the first’s cost", Percent),
            Column::number(
                "traps_saved",
                "the same in round trips of a trap, per thousand entries",
                Plain,
            ),
            Column::number(
                "of_guest",
                "the same as a share of the guests’ time",
                Percent,
            ),
            Column::number(
                "at_stake",
                "the first’s cost as a share of the guests’ time",
                Percent,
            ),
            Column::estimate(
                "left",
                "what the offline optimum (oracle) would save of the first’s cost",
                Percent,
            ),
            Column::estimate(
                "of_avoidable",
                "what the second scheme saves of that: of what could be saved at all",
                Percent,
            ),
            Column::text("verdict", "what follows by the rule"),
        ],
    );
    for sharing in Sharing::ALL {
        let subjects = material.sharing(sharing);
        for machine in &material.machines {
            let Some(finding) = verdict::find(&subjects, machine) else {
                continue;
            };
            table.push([
                sharing.name().into(),
                (&machine.name).into(),
                machine.class.name().into(),
                finding.without.name().into(),
                finding.with.name().into(),
                finding.gain.into(),
                finding.traps_saved.into(),
                finding.of_guest.into(),
                finding.at_stake.into(),
                finding.left.into(),
                finding.of_avoidable.into(),
                finding.verdict.words().into(),
            ]);
        }
    }
    table
}
