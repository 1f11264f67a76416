//! The longest IRQs-off section at EL2, by workload and scheme.

use std::collections::BTreeMap;

use trapcast_forecast::Scheme;

use super::{
    Material,
    data::{Column, Table},
    html::Content,
    latency::{Part, SHOWN},
    look,
    schemes::correct,
    words::{self, plain},
};
use crate::chart::{Axis, Dot, Dots, Row, Scale};
use trapcast_results::Results;

/// Returns the text, figures and tables.
pub fn part(material: &Material<'_>) -> Part {
    let longest = by_scheme(material.results);
    let table = table_of(material);
    let mut content = Content::default();
    content.paragraph(&sentence(&longest));
    content.figure(
        "masked",
        "The longest IRQs-off section, in EL2 instructions",
        "Each pale point is a workload on one core, the large mark their mean. An interrupt that comes \
         at the start of such a section waits for its end. These are instructions under an emulator: \
         exact, and no cycles.",
        &chart(&longest),
        &table,
    );
    content.keep(table);
    Part {
        line: line(&longest),
        short: sentence_in_short(&longest),
        content,
    }
}

/// The longest IRQs-off sections of each correct scheme's plain runs, one per workload on one core.
fn by_scheme(results: &Results) -> BTreeMap<Scheme, Vec<f64>> {
    let mut longest: BTreeMap<Scheme, Vec<f64>> = BTreeMap::new();
    for result in &results.results {
        let figures = result
            .figures
            .as_ref()
            .filter(|_| result.scheme != Scheme::None);
        if let Some(length) = figures.and_then(|figures| figures.longest_masked) {
            longest
                .entry(result.scheme)
                .or_default()
                .push(length as f64);
        }
    }
    longest
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn line(longest: &BTreeMap<Scheme, Vec<f64>>) -> String {
    let of = |scheme: Scheme| longest.get(&scheme).map(|all| plain(greatest(all)));
    match (of(Scheme::Eager), of(Scheme::UntilPut)) {
        (Some(eager), Some(lazy)) => format!(
            "At the longest, interrupts are masked for {eager} instructions under eager and {lazy} under \
             until-put."
        ),
        _ => "How long interrupts are masked was not measured by this study.".to_string(),
    }
}

fn sentence_in_short(longest: &BTreeMap<Scheme, Vec<f64>>) -> String {
    let of = |scheme: Scheme| {
        let all = longest.get(&scheme)?;
        let (most, mean) = (plain(greatest(all)), plain(average(all)));
        Some(format!("{most} under {scheme} ({mean})"))
    };
    let parts: Vec<_> = SHOWN.into_iter().filter_map(of).collect();
    format!(
        "The longest stretch of all with interrupts masked, in instructions, and in brackets the mean of each \
         workload's longest: {}.",
        words::list(&parts)
    )
}

fn sentence(longest: &BTreeMap<Scheme, Vec<f64>>) -> String {
    let Some(lengths) = longest.get(&Scheme::Eager) else {
        return "IRQs-off sections are known on one core only, and no such workload ran under eager.".to_string();
    };
    let eager = average(lengths);
    let others = correct().filter(|scheme| *scheme != Scheme::Eager);
    let differences: Vec<_> = others
        .filter_map(|scheme| {
            let more = eager - average(longest.get(&scheme)?);
            let word = if more < 0.0 { "longer" } else { "shorter" };
            Some(format!("{} {word} under {scheme}", plain(more.abs())))
        })
        .collect();
    format!(
        "The longest IRQs-off section at EL2 is {} instructions long under eager. The mean of each \
         workload's longest is {}. That mean is {}.",
        plain(greatest(lengths)),
        plain(eager),
        words::list(&differences)
    )
}

fn chart(longest: &BTreeMap<Scheme, Vec<f64>>) -> Dots {
    let rows = longest.iter().enumerate().map(|(series, (scheme, all))| {
        let part = |&value: &f64| Dot {
            series,
            value,
            is_part: true,
            ..Dot::default()
        };
        let mean = Dot {
            series,
            value: average(all),
            hint: format!("{scheme}: {}", plain(average(all))),
            ..Dot::default()
        };
        Row {
            label: scheme.name().to_string(),
            dots: all.iter().map(part).chain([mean]).collect(),
            ..Row::default()
        }
    });
    let rows: Vec<_> = rows.collect();
    let highest = longest.values().flatten().copied().fold(100.0, f64::max);
    Dots {
        axis: Axis {
            label: "instructions".to_string(),
            scale: Scale::Linear,
            from: 0.0,
            to: (highest / 500.0).ceil() * 500.0,
            format: words::tick,
        },
        series: longest.keys().map(|scheme| look::scheme(*scheme)).collect(),
        rows,
        references: Vec::new(),
        is_dodged: false,
    }
}

fn table_of(material: &Material<'_>) -> Table {
    let mut table = Table::new(
        "masked",
        "The longest IRQs-off section, in EL2 instructions, by workload and scheme.",
        &[
            Column::text("workload", "the workload"),
            Column::text("scheme", "the scheme"),
            Column::whole("longest", "instructions; known on one core only"),
        ],
    );
    for result in &material.results.results {
        if let (true, Some(figures)) = (result.scheme != Scheme::None, &result.figures) {
            table.push([
                (&result.workload).into(),
                result.scheme.name().into(),
                figures.longest_masked.into(),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::stored;

    /// These sentences need no record: what the checkout keeps is what the generator makes of its results.
    #[test]
    fn the_kept_answers_say_what_the_kept_results_do() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/study");
        let answers = fs::read_to_string(kept.join("answers.json")).unwrap();
        let longest = by_scheme(&stored::read(&kept.join("results.json")).unwrap());
        for sentence in [line(&longest), sentence_in_short(&longest)] {
            assert!(answers.contains(&sentence), "{sentence}");
        }
    }

    #[test]
    fn the_longest_is_no_mean() {
        let longest = BTreeMap::from([
            (Scheme::Eager, vec![1000.0, 3000.0, 2000.0]),
            (Scheme::UntilPut, vec![1500.0, 500.0]),
        ]);
        assert_eq!(
            line(&longest),
            "At the longest, interrupts are masked for 3,000 instructions under eager and 1,500 under until-put."
        );
        let short = sentence_in_short(&longest);
        assert!(
            short.ends_with("3,000 under eager (2,000) and 1,500 under until-put (1,000)."),
            "{short}"
        );
        assert!(sentence(&longest).contains("3,000 instructions long under eager"));
    }
}
