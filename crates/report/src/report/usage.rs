//! The first question: how often the registers are used, and whether use is bimodal.

use super::{
    Answer, Material,
    data::{Column, Table},
    html::Content,
    look,
    published::SHARES,
    words::{self, Format::Percent, percent},
};
use crate::{
    analysis::{
        estimate::{Estimate, ends, over_workloads},
        modes::{BINS, ENOUGH, FEWEST, Spread},
        subject::Subject,
        usage::Usage,
    },
    chart::{Axis, BarSeries, Bars, Dot, Dots, Reference, Row, Scale},
};

const QUESTION: &str = "How often are the registers used at all, and is use bimodal?";

/// Answers it.
pub fn answer(material: &Material<'_>) -> Answer {
    let programs = material.programs();
    let shares = shares(material);
    let (mut tasks, mut points) = (Spread::default(), Spread::default());
    for subject in &programs {
        tasks.merge(&subject.tasks);
        points.merge(&subject.points);
    }
    let modes = modes(&tasks, &points);
    let entry = mean(&programs, |s| s.entry.best());
    let load = mean(&programs, |s| s.load.best());
    let short = format!(
        "In the mean over {}, {} of entry windows and {} of load windows used them (published: {}). {} {}",
        words::count(
            programs.len(),
            "workload with a Linux guest",
            "workloads with a Linux guest"
        ),
        Percent.estimate(&entry),
        Percent.estimate(&load),
        words::list(&SHARES.map(|share| format!("{} in {}", share.figure(), share.year))),
        verdict("tasks", &tasks),
        verdict("resume points", &points)
    );
    let mut content = Content::default();
    content.paragraph(&range(&programs));
    content.paragraph(&published());
    content.figure(
        "use",
        "How many windows use the registers, by workload",
        "A dot is the share of a workload's windows that used the registers, the line through it the \
         interval of 95 % (block bootstrap over windows). An entry window goes from an entry into the \
         guest to its exit; a load window from the load of a vCPU onto a core to its put, so it is as \
         long as several entry windows and used at least as often. Upright lines and bands are \
         published figures, of other systems.",
        &chart(material),
        &shares,
    );
    content.paragraph(&bimodal("tasks (an address space at EL0)", &tasks));
    content.paragraph(&bimodal("resume points (64 bytes of code)", &points));
    content.figure(
        "tasks",
        "Tasks by the share of their windows that use the registers",
        &how_to_read_bars("tasks"),
        &bars(&tasks, "tasks"),
        &modes,
    );
    content.figure(
        "points",
        "Resume points by the share of their windows that use the registers",
        &how_to_read_bars("resume points"),
        &bars(&points, "resume points"),
        &modes,
    );
    content.keep(shares);
    content.keep(modes);
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
    let mut tasks = Spread::default();
    for subject in &programs {
        tasks.merge(&subject.tasks);
    }
    format!(
        "The registers are used in {} of entry windows and {} of load windows. {}",
        Percent.estimate(&mean(&programs, |s| s.entry.best())),
        Percent.estimate(&mean(&programs, |s| s.load.best())),
        verdict("tasks", &tasks)
    )
}

/// The mean over workloads of a share.
fn mean(subjects: &[&Subject], usage: impl Fn(&Subject) -> &Usage) -> Estimate {
    let shares = subjects.iter().filter_map(|s| usage(s).share.value);
    over_workloads(&shares.map(|share| (share, 1.0)).collect::<Vec<_>>())
}

/// The workloads with the least and the most use.
fn range(subjects: &[&Subject]) -> String {
    let of = |kind: &str, usage: fn(&Subject) -> &Usage| {
        let mut shares: Vec<_> = subjects
            .iter()
            .map(|subject| (usage(subject).share, &subject.name))
            .filter(|(share, _)| share.value.is_some())
            .collect();
        shares.sort_by(|a, b| {
            a.0.value
                .partial_cmp(&b.0.value)
                .expect("shares are numbers")
        });
        match (shares.first(), shares.last()) {
            (Some((least, lowest)), Some((most, highest))) => format!(
                "Of {kind} windows, from {} ({lowest}) to {} ({highest}) used them.",
                Percent.estimate(least),
                Percent.estimate(most)
            ),
            _ => format!("There were no {kind} windows."),
        }
    };
    let work = subjects.iter().filter(|s| s.entry.work.is_some()).count();
    let boot = match work {
        0 => "These are all windows of a guest, those of its boot among them.".to_string(),
        _ => format!(
            "Windows of the boot are left out in {}; the table has both.",
            words::count(
                work,
                "workload, whose record says where it ends",
                "workloads, whose records say where it ends"
            )
        ),
    };
    format!(
        "{} {} {boot}",
        of("entry", |s| s.entry.best()),
        of("load", |s| s.load.best())
    )
}

fn published() -> String {
    let figures = SHARES.map(|share| {
        format!(
            "{} ({}, {}: {})",
            share.figure(),
            share.year,
            share.of,
            share.source
        )
    });
    format!(
        "Published figures, none of them ours: {}. The first and the last are nearest to load windows, the \
         second to entry windows.",
        figures.join("; ")
    )
}

fn verdict(what: &str, spread: &Spread) -> String {
    let (Some(is_bimodal), Some((low, high))) = (spread.is_bimodal(), spread.extremes()) else {
        return format!(
            "There are too few {what} ({}) to say whether use is bimodal over them.",
            spread.total()
        );
    };
    format!(
        "Over {what}, use {} bimodal: {} of {} used them in less than a tenth of their windows, {} in nine \
         tenths or more.",
        if is_bimodal { "is" } else { "is not" },
        percent(low),
        words::whole(spread.total()),
        percent(high)
    )
}

fn bimodal(what: &str, spread: &Spread) -> String {
    let (Some((low, high)), Some(windows)) = (spread.extremes(), spread.windows_in_extremes())
    else {
        return format!("No {what} had {FEWEST} windows or more, so nothing can be said of them.");
    };
    let by_chance = spread.by_chance / spread.total() as f64;
    let rule = match spread.is_bimodal() {
        Some(true) => "Use is bimodal by our rule",
        Some(false) => "Use is not bimodal by our rule",
        None => "That is too few for our rule",
    };
    format!(
        "{} with {FEWEST} windows or more: {}. Of these, {} used the registers in less than a tenth of their \
         windows and {} in nine tenths or more; {} of the windows belong to those at the two ends. If each \
         window of a workload used them by chance, {} would be at the ends. {rule}, which asks that there are \
         {ENOUGH}, that each end holds more than any tenth between, and that more than half of the windows \
         are theirs.",
        words::capital(what),
        words::whole(spread.total()),
        percent(low),
        percent(high),
        percent(windows),
        percent(by_chance)
    )
}

fn how_to_read_bars(what: &str) -> String {
    format!(
        "Each {} with {FEWEST} windows or more falls into a tenth by the share of its windows that used the \
         registers. Filled bars: the share of {what} in each tenth; empty bars: the share of all windows that \
         are theirs. Two hills at the ends mean that knowing who runs tells nearly all.",
        what.trim_end_matches('s')
    )
}

fn bars(spread: &Spread, what: &str) -> Bars {
    let share = |counts: &[u64; BINS]| {
        let all = counts.iter().sum::<u64>().max(1);
        counts
            .iter()
            .map(|count| *count as f64 / all as f64)
            .collect::<Vec<_>>()
    };
    let values = [share(&spread.things), share(&spread.windows)];
    let highest = values.iter().flatten().copied().fold(0.1, f64::max);
    let names = [what.to_string(), "their windows".to_string()];
    Bars {
        y: Axis {
            label: "share of all".to_string(),
            scale: Scale::Linear,
            from: 0.0,
            to: (highest * 10.0).ceil() / 10.0,
            format: words::percent_tick,
        },
        label: "share of windows that use the registers, in percent".to_string(),
        bins: (0..BINS).map(tenth).collect(),
        series: look::pair([&names[0], &names[1]])
            .into_iter()
            .zip(values)
            .map(|(series, values)| BarSeries { series, values })
            .collect(),
    }
}

fn tenth(bin: usize) -> String {
    format!("{}–{}", bin * 10, bin * 10 + 10)
}

/// A row per workload, by groups, with a dot for each of two shares that is known.
pub fn rows(material: &Material<'_>, shares: impl Fn(&Subject) -> [Estimate; 2]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, group) in material.in_order() {
        for (number, subject) in group.into_iter().enumerate() {
            let shares = shares(subject).into_iter().enumerate();
            let dots = shares.filter_map(|(series, share)| {
                Some(Dot {
                    series,
                    value: share.value?,
                    interval: share.ends(),
                    hint: format!("{}: {}", subject.name, Percent.estimate(&share)),
                    ..Dot::default()
                })
            });
            rows.push(Row {
                heading: (number == 0).then(|| name.to_string()),
                label: subject.name.clone(),
                dots: dots.collect(),
            });
        }
    }
    rows
}

fn chart(material: &Material<'_>) -> Dots {
    let rows = rows(material, |subject| {
        [subject.entry.best().share, subject.load.best().share]
    });
    Dots {
        axis: Axis {
            label: "share of windows that used the registers".to_string(),
            scale: Scale::Linear,
            from: 0.0,
            to: 1.0,
            format: words::percent_tick,
        },
        series: look::pair(["entry windows", "load windows"]),
        rows,
        references: SHARES
            .iter()
            .map(|share| Reference {
                from: share.low,
                to: share.high,
                label: format!("{} ({}, published)", share.figure(), share.year),
            })
            .collect(),
        is_dodged: true,
    }
}

fn shares(material: &Material<'_>) -> Table {
    let mut table = Table::new(
        "use",
        "How many windows use the registers, by workload and kind of window.",
        &[
            Column::text("workload", "the workload"),
            Column::text("guests", "whether a Linux guest is part of it"),
            Column::text(
                "windows_of",
                "entry: from an entry to its exit; load: from load to put",
            ),
            Column::text("phase", "all windows, or those of the program at work"),
            Column::whole("windows", "windows"),
            Column::whole("used", "windows that used the registers"),
            Column::estimate("share", "their share, with its interval of 95 %", Percent),
        ],
    );
    for (name, group) in material.in_order() {
        for subject in group {
            for (kind, windows) in [("entry", &subject.entry), ("load", &subject.load)] {
                let phases = [("all", Some(&windows.all)), ("work", windows.work.as_ref())];
                for (phase, usage) in phases {
                    let Some(usage) = usage else { continue };
                    table.push([
                        (&subject.name).into(),
                        name.into(),
                        kind.into(),
                        phase.into(),
                        usage.windows.into(),
                        usage.used.into(),
                        usage.share.into(),
                    ]);
                }
            }
        }
    }
    table
}

fn modes(tasks: &Spread, points: &Spread) -> Table {
    let mut table = Table::new(
        "modes",
        "Tasks and resume points by the share of their windows that use the registers, Linux guests.",
        &[
            Column::text("of", "tasks, or resume points"),
            Column::text(
                "share_of_windows",
                "percent of their windows that use the registers",
            ),
            Column::whole("number", "how many there are"),
            Column::whole("windows", "windows that are theirs"),
        ],
    );
    for (name, spread) in [("tasks", tasks), ("resume points", points)] {
        for bin in 0..BINS {
            table.push([
                name.into(),
                tenth(bin).as_str().into(),
                spread.things[bin].into(),
                spread.windows[bin].into(),
            ]);
        }
    }
    table
}

/// From the least to the greatest of some shares, as text.
pub fn from_to(values: impl Iterator<Item = f64>) -> String {
    ends(values).map_or(words::NOTHING.to_string(), |ends| {
        Percent.write_interval((ends.low, ends.high))
    })
}
