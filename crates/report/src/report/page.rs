//! The page: one file, in which everything is.

use std::fmt::Write;

use super::data::{Column, Table};
use super::{
    ANSWERS, Answer, DATA, Material,
    html::{self, escape},
    look,
    others::Line,
    words::{self, Format},
};
use crate::chart;

const STYLE: &str = include_str!("style.css");

const TITLE: &str = "Does it pay to forecast a guest’s FP/SIMD use?";

/// Writes the page.
pub fn render(material: &Material<'_>, answers: &[Answer]) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{TITLE}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n",
        chart::style(&look::COLOURS)
    );
    page += &opening(material, answers);
    page += &contents(material, answers);
    page += &uncertainty();
    for (number, answer) in (1..).zip(answers) {
        let _ = writeln!(
            page,
            "<section id=\"question-{number}\">\n<h2><span class=\"number\">{number}</span> {}</h2>\n\
             <p class=\"short\">{}</p>\n{}{}</section>",
            escape(answer.question),
            escape(&answer.short),
            others(answer),
            answer.content.html
        );
    }
    if let Some(comparison) = &material.comparison {
        page += &comparison.section();
    }
    page += &machines(material);
    page += &run(material);
    page + "</main>\n</body>\n</html>\n"
}

/// What the records of other hypervisors say to a question.
fn others(answer: &Answer) -> String {
    let line = |line: &Line| {
        format!(
            "<p class=\"note\"><b>{}.</b> {}</p>\n",
            line.other.title(),
            escape(&line.line)
        )
    };
    answer.others.iter().map(line).collect()
}

fn opening(material: &Material<'_>, answers: &[Answer]) -> String {
    let windows: u64 = material
        .subjects
        .iter()
        .map(|subject| subject.entries())
        .sum();
    let mut text = format!(
        "<header>\n<p class=\"eyebrow\">Trapcast, a study</p>\n<h1>{TITLE}</h1>\n<p class=\"lead\">A \
         hypervisor shares one set of FP/SIMD registers among its guests. It may load a guest’s at each entry, \
         which is wasted if they are not used, or leave them out and trap the first use, which costs a round \
         trip if they are.</p>\n"
    );
    // The last question is the page's own; the others support it.
    if let Some((last, others)) = answers.split_last() {
        let _ = writeln!(
            text,
            "<p class=\"verdict\">{}</p>\n<ul class=\"answers\">",
            escape(&last.line)
        );
        for (number, answer) in (1..).zip(others) {
            let _ = writeln!(
                text,
                "<li>{} <a href=\"#question-{number}\" aria-label=\"More: {}\">more</a></li>",
                escape(&answer.line),
                escape(answer.question)
            );
        }
    }
    let _ = writeln!(
        text,
        "</ul>\n<p class=\"note\">From {}, {} entries into guests, under {}. Numbers in parentheses are \
         intervals of 95 %. These answers as a file: <a href=\"{DATA}/{ANSWERS}\">{ANSWERS}</a>.</p>\n\
         </header>\n<main>",
        words::count(material.subjects.len(), "workload", "workloads"),
        words::whole(windows),
        escape(&material.results.versions.qemu)
    );
    text
}

fn contents(material: &Material<'_>, answers: &[Answer]) -> String {
    let mut text = "<nav aria-label=\"Contents\"><h2>Contents</h2><ol>\n".to_string();
    for (number, answer) in (1..).zip(answers) {
        let _ = writeln!(
            text,
            "<li><a href=\"#question-{number}\">{}</a></li>",
            escape(answer.question)
        );
    }
    let hypervisors = match material.comparison {
        Some(_) => "<a href=\"#hypervisors\">Other hypervisors</a> · ",
        None => "",
    };
    text + &format!(
        "</ol><p><a href=\"#uncertainty\">What repeats exactly, and what varies</a> · {hypervisors}\
         <a href=\"#machines\">Machines</a> · <a href=\"#run\">The run</a></p></nav>\n"
    )
}

fn uncertainty() -> String {
    format!(
        "<section id=\"uncertainty\">\n<h2>What repeats exactly, and what varies</h2>\n{}{}</section>\n",
        html::paragraph(
            "Counts repeat to the last digit: the emulator counts time in instructions, and every seed is \
             fixed. So no interval on this page speaks of measuring again. An interval behind a share or a \
             probability says how far it would move if the guest had gone on with windows of the same kind: a \
             block bootstrap over windows, with blocks as long as there are blocks, 1,000 draws of a fixed \
             seed, the middle 95 % of them.",
        ),
        html::paragraph(
            "An interval behind a mean or a cost over several workloads says how far it would move with other \
             workloads of the kind: a bootstrap over workloads; with fewer than four, from the least to the \
             greatest of them. It does not speak of machines that were not measured: costs of other machines \
             are published figures, with their certainty in the table of machines. Instructions of an emulator \
             are no cycles.",
        )
    )
}

fn machines(material: &Material<'_>) -> String {
    let mut table = Table::new(
        "machines",
        "The machines that costs are asked for.",
        &[
            Column::text("machine", "its name"),
            Column::text("class", "its class, by T"),
            Column::text(
                "trap_is",
                "what T is of: a trap, or a bound of it (at most: a hypercall; at least: a part of a trap)",
            ),
            Column::whole("t", "T: the round trip of a trap"),
            Column::whole("c", "C: one save and one load"),
            Column::number(
                "break_even",
                "p* = 2 C / (T + 2 C): loading pays above it",
                Format::Percent,
            ),
            Column::text("unit", "what T and C are counted in"),
            Column::text("certainty", "how sure the figures are"),
            Column::text("about", "what it describes"),
            Column::text("source", "where the figures come from"),
        ],
    );
    for machine in &material.machines {
        let (trip, exchange) = (machine.round_trip(), machine.exchange());
        table.push([
            (&machine.name).into(),
            machine.class.name().into(),
            machine.profile.trap_is.name().into(),
            trip.into(),
            exchange.into(),
            trapcast_profile::break_even(trip, exchange).into(),
            machine.profile.unit.name().into(),
            machine.profile.certainty.name().into(),
            (&machine.profile.about).into(),
            (&machine.profile.source).into(),
        ]);
    }
    format!(
        "<section id=\"machines\">\n<h2>Machines</h2>\n{}{}</section>\n",
        html::paragraph(
            "Costs of cores that we did not measure are published, cited or derived figures. Nobody has published \
             the cost of an FP trap: where T is a hypercall's, it is at most that, and where it is an entry's and a \
             return's, at least. Larger registers are charged in proportion to their bytes. A decision is charged \
             the instructions that EL2 takes for it, at so many a cycle as the profile says: one.",
        ),
        html::table(&table)
    )
}

fn run(material: &Material<'_>) -> String {
    let results = material.results;
    let versions = &results.versions;
    let text = |value: &serde_json::Value, key: &str| {
        value
            .get(key)
            .and_then(serde_json::Value::as_str)
            .unwrap_or(words::NOTHING)
            .to_string()
    };
    let facts = [
        ("Trapcast", versions.trapcast.clone()),
        (
            "Commit",
            versions
                .commit
                .clone()
                .unwrap_or_else(|| words::NOTHING.to_string()),
        ),
        ("Emulator", versions.qemu.clone()),
        (
            "Compiler",
            versions
                .rustc
                .clone()
                .unwrap_or_else(|| words::NOTHING.to_string()),
        ),
        (
            "Core",
            format!("{}{}", results.cpu, if results.vhe { ", VHE" } else { "" }),
        ),
        ("Guest’s kernel", text(&versions.guest, "kernel_version")),
        ("Recorded under", recorded_under(material)),
    ];
    let mut html = "<section id=\"run\">\n<h2>The run</h2>\n<dl>\n".to_string();
    for (name, value) in facts {
        let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(&value));
    }
    html += "</dl>\n";
    html += &match results.failures.len() {
        0 => html::paragraph("No run failed, and every check of registers came out as it must."),
        failed => html::paragraph(&format!(
            "{} not as they must be: {}",
            words::count(failed, "result was", "results were"),
            results.failures.join("; ")
        )),
    };
    html + "</section>\n"
}

fn recorded_under(material: &Material<'_>) -> String {
    let mut schemes: Vec<_> = material
        .subjects
        .iter()
        .map(|s| s.recorded_under.clone())
        .collect();
    schemes.sort();
    schemes.dedup();
    words::list(&schemes)
}
