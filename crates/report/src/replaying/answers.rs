//! The six questions of a report, asked of one record under one profile, as text for a terminal.

use std::{collections::BTreeSet, path::Path};

use trapcast_forecast::Scheme;
use trapcast_profile::{Profile, Unit};
use trapcast_record::NULL;
use trapcast_tool::error::{Error, Result};
use trapcast_trace::report::WindowReport;

use super::{
    CostRow, Counted, Figures, SchemeRow, replay_file,
    table::{BOUNDS, LEGEND, Span, render_between},
};
use crate::{
    analysis::{
        costs::Of,
        verdict::{WITH, WITHOUT},
    },
    record::{self, RecordFile},
};

/// Answers the six questions for the windows of a record in which all VMs are at work. `frequency` is that of the core,
/// in cycles per second: with it costs in cycles are a share of the record's time.
///
/// # Errors
/// Where the record cannot be read or has no such windows, and where there is a frequency but costs are in instructions.
pub fn answer(file: &Path, profile: &Profile, frequency: Option<u64>) -> Result<String> {
    if frequency.is_some() && profile.unit != Unit::Cycles {
        return Err(Error::input(format!(
            "{} counts instructions, of which no frequency says how long they take: take a profile in cycles, or leave out \
             --frequency",
            profile.name
        )));
    }
    let replayed = replay_file(
        file,
        Counted::Work,
        &Scheme::ALL,
        std::slice::from_ref(profile),
    )?;
    let low = &replayed.figures;
    let both = Both {
        low,
        high: replayed.all_used.as_ref().unwrap_or(low),
    };
    let unit = profile.unit.name();
    let answers = [
        both.use_of_registers(),
        both.last_time(),
        both.costs(unit),
        both.mistakes(),
        both.kept(),
        both.prediction(unit) + &in_time(file, both.cheapest(&WITHOUT), profile, frequency)?,
    ];
    let mut text = format!("{}: {}\n\n", file.display(), replayed.workload);
    for (number, (question, answer)) in QUESTIONS.iter().zip(answers).enumerate() {
        text += &format!("{}. {question}\n   {answer}\n", number + 1);
    }
    if replayed.unseen_windows != 0 {
        text += &format!(
            "\nWhether {} windows used the registers was not to be seen. a-b: between these, whichever did; a~b: if none of them\n\
             did, and if all did.\n",
            replayed.unseen_windows
        );
    }
    let [low, high] = [both.low, both.high].map(|figures| &figures.profiles[0]);
    Ok(text + "\n" + &render_between(low, high) + LEGEND)
}

/// As the report of a study asks them, but of one record.
const QUESTIONS: [&str; 6] = [
    "How often are the registers used at all?",
    "How good is \"used last time, will be used now\"?",
    "What does each scheme cost, against the oracle and against both fixed schemes?",
    "How often is a forecast wrong?",
    "Lazy until put, or prediction: what is left to gain once registers are kept across exits?",
    "Is prediction worth the added complexity?",
];

/// What was found, as if no unseen window had used the registers, and as if all had.
#[derive(Clone, Copy)]
struct Both<'a> {
    low: &'a Figures,
    high: &'a Figures,
}

impl<'a> Both<'a> {
    fn percent(self, span: Span, share: impl Fn(&Figures) -> Option<f64>) -> String {
        let both = [share(self.low), share(self.high)];
        span.show(both, |share| format!("{:.1}", 100.0 * share)) + " %"
    }

    fn use_of_registers(self) -> String {
        let used = |of: fn(&Figures) -> &WindowReport| {
            self.percent(BOUNDS, |figures| {
                part(of(figures).used, of(figures).windows)
            })
        };
        format!(
            "In {} of {} entry windows and in {} of {} load windows.",
            used(|figures| &figures.entry_windows),
            self.low.entry_windows.windows,
            used(|figures| &figures.load_windows),
            self.low.load_windows.windows,
        )
    }

    fn last_time(self) -> String {
        let of = |share: fn([[u64; 2]; 2]) -> Option<f64>| {
            self.percent(Span::UNBOUNDED, |figures| {
                share(figures.entry_windows.pairs)
            })
        };
        format!(
            "It is right in {} of entry windows: a use follows a use with a probability of {}, and no use with {}.",
            of(|[[none, use_], [end, uses]]| part(none + uses, none + use_ + end + uses)),
            of(|[_, [none, used]]| part(used, none + used)),
            of(|[[none, used], _]| part(used, none + used)),
        )
    }

    /// The scheme of these that costs least, with its decisions, if none of the unseen windows used the registers, and if
    /// all did.
    fn cheapest(self, of: &[Of]) -> [&'a CostRow; 2] {
        [self.low, self.high].map(|figures| {
            let rows = figures.profiles[0].schemes.iter();
            let among = |row: &&CostRow| {
                of.iter()
                    .any(|of| matches!(of, Of::Scheme(scheme) if scheme.name() == row.scheme))
            };
            let cheapest = rows.filter(among).min_by_key(|row| total(row));
            cheapest.expect("all schemes were replayed")
        })
    }

    fn costs(self, unit: &str) -> String {
        let all = [&WITHOUT[..], &WITH].concat();
        let cheapest = self.cheapest(&all);
        let over = |of: fn(&CostRow) -> Option<f64>| {
            Span::UNBOUNDED.show(cheapest.map(of), |over| format!("{over:.2}"))
        };
        format!(
            "{} costs least: {} {unit} with its decisions; without them {} times the oracle's cost, {} times the better fixed \
             scheme's.",
            names(cheapest),
            Span::UNBOUNDED.show(cheapest.map(|row| Some(total(row))), |cost| cost
                .to_string()),
            over(|row| row.over_oracle),
            over(|row| row.over_fixed),
        )
    }

    fn mistakes(self) -> String {
        let of = |scheme: Scheme| {
            let row = |figures: &Figures| -> SchemeRow {
                let mut rows = figures.schemes.iter();
                let found = rows.find(|row| row.scheme == scheme.name());
                found.expect("all schemes were replayed").clone()
            };
            let wrong = |of: fn([[u64; 2]; 2]) -> u64| {
                self.percent(Span::UNBOUNDED, |figures| {
                    let forecast = row(figures).counts.forecast;
                    part(of(forecast), forecast.iter().flatten().sum())
                })
            };
            format!(
                "{scheme} leaves out what is used in {}, and loads what is not in {}",
                wrong(|[[_, used], _]| used),
                wrong(|[_, [unused, _]]| unused),
            )
        };
        let predicting = [
            Scheme::LastTrap,
            Scheme::Counter,
            Scheme::Credit,
            Scheme::Forecast,
        ];
        format!(
            "Of its windows, {}. A record does not say how long interrupts wait.",
            predicting.map(of).join("; ")
        )
    }

    fn kept(self) -> String {
        let until_put = self.cheapest(&[Of::Scheme(Scheme::UntilPut)]);
        let left = |of: [&CostRow; 2]| {
            let shares = [0, 1].map(|bound| part(total(of[bound]), total(until_put[bound])));
            Span::UNBOUNDED.show(shares, |share| format!("{:.1} %", 100.0 * share))
        };
        let kept = self.cheapest(&[Of::Scheme(Scheme::Owner), Of::Scheme(Scheme::EagerOwner)]);
        let predicted = self.cheapest(&WITH);
        format!(
            "Of until-put's cost, keeping them with their last owner ({}) leaves {}, and prediction ({}) {}.",
            names(kept),
            left(kept),
            names(predicted),
            left(predicted),
        )
    }

    fn prediction(self, unit: &str) -> String {
        let (without, with) = (self.cheapest(&WITHOUT), self.cheapest(&WITH));
        let gains = [0, 1].map(|bound| total(without[bound]) as i128 - total(with[bound]) as i128);
        let gain =
            Span::UNBOUNDED.show(gains.map(|gain| Some(gain.abs())), |gain| gain.to_string());
        let (without, with) = (names(without), names(with));
        match gains {
            [low, high] if low > 0 && high > 0 => {
                format!("It gains something: {with} costs {gain} {unit} less than {without}.")
            }
            [low, high] if low <= 0 && high <= 0 => {
                format!("No: {with} costs {gain} {unit} more than {without}, or as much.")
            }
            _ => format!("That depends on what was not seen: {with} beside {without}."),
        }
    }
}

/// What a scheme costs, with its decisions.
fn total(row: &CostRow) -> u64 {
    row.cost.saturating_add(row.decisions.unwrap_or(0))
}

fn part(some: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| some as f64 / all as f64)
}

/// The scheme, or both if there are two.
fn names([low, high]: [&CostRow; 2]) -> String {
    if low.scheme == high.scheme {
        return low.scheme.to_string();
    }
    format!("{} or {}", low.scheme, high.scheme)
}

/// What a cost is of the time of the record's cores, or what is missing to say that.
fn in_time(
    file: &Path,
    costs: [&CostRow; 2],
    profile: &Profile,
    frequency: Option<u64>,
) -> Result<String> {
    let Some(frequency) = frequency else {
        return Ok(match profile.unit {
            Unit::Cycles => {
                " What share of the time that is takes the core's --frequency.".to_string()
            }
            Unit::Instructions => String::new(),
        });
    };
    let record = record::open(file)?;
    let Some((seconds, cores)) = duration(&record)? else {
        return Err(Error::input(format!(
            "{} does not say when its windows began, so that --frequency says nothing of it",
            file.display()
        )));
    };
    let cycles = seconds * cores as f64 * frequency as f64;
    let share = Span::UNBOUNDED.show(costs.map(|row| Some(total(row))), |cost| {
        format!("{:.3}", 100.0 * cost as f64 / cycles)
    });
    Ok(format!(
        " All that {} costs is {share} % of {seconds:.6} s on {cores} cores.",
        names(costs)
    ))
}

/// The seconds between the first entry of a record's work and the last, and how many cores were entered; nothing if its clock is
/// not known.
fn duration(record: &RecordFile) -> Result<Option<(f64, usize)>> {
    let work = record.work_phase().map_err(record::told)?;
    let frequency = record.metadata().counter_frequency;
    let mut columns = match record.columns(0..record.row_group_count(), ["start_ticks", "core"]) {
        Err(trapcast_record::Error::NoColumn { .. }) => return Ok(None),
        columns => columns.map_err(record::told)?,
    };
    let (mut first, mut last, mut row) = (u64::MAX, 0, 0);
    let mut cores = BTreeSet::new();
    while let Some([ticks, on]) = columns.next().map_err(record::told)? {
        for (&ticks, &core) in ticks.iter().zip(on) {
            if work.contains(&row) && ticks != NULL {
                (first, last) = (first.min(ticks), last.max(ticks));
                cores.insert(core);
            }
            row += 1;
        }
    }
    Ok((first < last && frequency > 0)
        .then(|| ((last - first) as f64 / frequency as f64, cores.len())))
}
