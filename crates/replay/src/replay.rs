//! All schemes, all oracles and the windows over one record, on one thread or several.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use trapcast_forecast::{Costs, Forecaster, Prices, Resume, Rule, Scheme};
use trapcast_record::{Cancel, Event, RecordFile};

use super::{
    batch::Batch,
    error::{Error, Result},
    follow::resume,
    lane::{Asked, Lane},
    oracle::Oracle,
    outcome::{OracleOutcome, Outcome, SchemeOutcome},
    table::STEPS,
    windows::WindowCount,
};

/// Windows that are cut up at a time: few enough that they stay in the nearest caches.
const PIECE: usize = 1 << 12;
const _: () = assert!(PIECE <= STEPS);

/// Makes the forecaster of a vCPU of this number.
type Make = Box<dyn Fn(u16) -> Forecaster + Send>;

/// A scheme that remembers more than goes into a table.
struct Remembering {
    scheme: Scheme,
    /// The costs that it decides by, if it knows any.
    costs: Option<Costs>,
    /// Whether an interrupt that is pending goes before a load.
    prompt: bool,
    lane: Asked<Forecaster, Make>,
}

/// Those that are replayed side by side, which takes hardly longer than one of them.
const SIDE_BY_SIDE: usize = 4;

/// A part of a replay that knows nothing of the others.
enum Part {
    Rules(Vec<(Scheme, Lane<Rule>)>),
    Remembering(Vec<Remembering>),
    Oracle(Oracle),
    Windows(WindowCount),
}

/// Which windows of a record are counted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    /// All of them.
    All,
    /// Those in which all VMs are at work ([`work_phase`](RecordFile::work_phase)).
    Work,
}

/// What takes the windows of a record.
pub(super) trait Sink: Send {
    /// Whether it has to know of each whether it used the registers.
    const SEES_ALL: bool;

    /// Takes the windows that come next.
    fn add(&mut self, events: &[Event]) -> Result<()>;

    /// Forgets what was counted.
    fn forget(&mut self);
}

impl Sink for Replay {
    const SEES_ALL: bool = true;

    fn add(&mut self, events: &[Event]) -> Result<()> {
        self.add(events)
    }

    fn forget(&mut self) {
        self.forget();
    }
}

/// A replay of some schemes over one record.
pub struct Replay {
    /// One for each thread: what it cuts up, and what it replays.
    strands: Vec<(Batch, Vec<Part>)>,
    schemes: Vec<Scheme>,
    profiles: Vec<Costs>,
}

impl Replay {
    /// Returns a replay of `schemes`, with an oracle for each of `profiles`, that has seen nothing
    /// yet. It uses the threads of the current rayon pool.
    ///
    /// `forecast`, which decides by costs, is replayed twice for each profile: with an interrupt that is
    /// pending going first, and with `prompt=off`.
    pub fn new(schemes: &[Scheme], profiles: &[Costs]) -> Self {
        let (mut rules, mut remembering) = (Vec::new(), Vec::new());
        for &scheme in schemes {
            match scheme {
                Scheme::Forecast => remembering.extend(profiles.iter().flat_map(|&costs| {
                    [true, false].map(|prompt| Remembering::new(scheme, Some(costs), prompt))
                })),
                Scheme::Counter | Scheme::Credit => {
                    remembering.push(Remembering::new(scheme, None, true));
                }
                _ => rules.push((scheme, Lane::of(scheme))),
            }
        }
        let mut parts = vec![Part::Rules(rules)];
        while !remembering.is_empty() {
            let rest = remembering.split_off(remembering.len().min(SIDE_BY_SIDE));
            parts.push(Part::Remembering(remembering));
            remembering = rest;
        }
        parts.extend(
            profiles
                .iter()
                .map(|&costs| Part::Oracle(Oracle::new(costs))),
        );
        parts.push(Part::Windows(WindowCount::default()));
        let threads = rayon::current_num_threads().min(parts.len());
        let mut strands: Vec<_> = (0..threads)
            .map(|_| (Batch::default(), Vec::new()))
            .collect();
        for (part, strand) in parts.into_iter().zip((0..threads).cycle()) {
            strands[strand].1.push(part);
        }
        Self {
            strands,
            schemes: schemes.to_vec(),
            profiles: profiles.to_vec(),
        }
    }

    /// Replays the windows that come next.
    ///
    /// # Errors
    /// [`Error::NotPut`] if a vCPU runs on another core without having been put on the one before. What has
    /// been counted is then of no use.
    pub fn add(&mut self, events: &[Event]) -> Result<()> {
        let add = |(batch, parts): &mut (Batch, Vec<Part>)| {
            for piece in events.chunks(PIECE) {
                batch.fill(piece)?;
                parts.iter_mut().for_each(|part| part.run(batch, piece));
            }
            Ok(())
        };
        match &mut self.strands[..] {
            [strand] => add(strand),
            strands => strands.par_iter_mut().try_for_each(add),
        }
    }

    /// Forgets what was counted, so that only what comes next counts. The schemes are as they are: they know what they
    /// have learnt, and the registers stay where they left them. The oracle begins in whichever state
    /// is best for it. Pairs of windows count that end from here on.
    pub fn forget(&mut self) {
        for (batch, parts) in &mut self.strands {
            parts.iter_mut().for_each(|part| part.forget(batch));
        }
    }

    /// Returns what was counted.
    pub fn finish(self) -> Outcome {
        let mut outcome = Outcome::default();
        for (_, parts) in self.strands {
            parts.into_iter().for_each(|part| part.finish(&mut outcome));
        }
        let profile = |costs| self.profiles.iter().position(|&asked| asked == costs);
        let place = |scheme| self.schemes.iter().position(|&asked| asked == scheme);
        outcome
            .schemes
            .sort_by_key(|outcome| (place(outcome.scheme), outcome.costs.map(profile)));
        outcome
            .not_prompt
            .sort_by_key(|outcome| outcome.costs.map(profile));
        outcome.oracles.sort_by_key(|oracle| profile(oracle.costs));
        outcome
    }
}

impl Remembering {
    fn new(scheme: Scheme, costs: Option<Costs>, prompt: bool) -> Self {
        let prices = Prices::new(&costs.unwrap_or_default());
        // The number is the seed at EL2, too.
        let make = move |number: u16| Forecaster::new(scheme, prices, number.into());
        Self {
            scheme,
            costs,
            prompt,
            lane: Asked::new(Box::new(make)),
        }
    }

    /// Replays a batch, which the events were cut up into, under all of `some`.
    fn run<const N: usize>(some: [&mut Self; N], batch: &Batch, events: &[Event]) {
        let prompt = some.each_ref().map(|one| one.prompt);
        let told = |number: usize, window: usize| {
            let resume = resume(&events[window]);
            Resume {
                pending: resume.pending & prompt[number],
                ..resume
            }
        };
        Asked::run(some.map(|one| &mut one.lane), batch, told);
    }
}

impl Part {
    /// Replays a batch, which the events were cut up into.
    fn run(&mut self, batch: &Batch, events: &[Event]) {
        match self {
            Self::Rules(lanes) => Lane::run_all(lanes, batch),
            Self::Remembering(some) => match some.as_mut_array() {
                Some(all) => Remembering::run::<SIDE_BY_SIDE>(all.each_mut(), batch, events),
                None => some
                    .iter_mut()
                    .for_each(|one| Remembering::run([one], batch, events)),
            },
            Self::Oracle(oracle) => oracle.run(batch),
            Self::Windows(windows) => windows.run(batch),
        }
    }

    /// Forgets what was counted. `batch` has the windows before.
    fn forget(&mut self, batch: &Batch) {
        match self {
            Self::Rules(lanes) => lanes.iter_mut().for_each(|(_, lane)| lane.forget()),
            Self::Remembering(some) => some.iter_mut().for_each(|one| one.lane.forget()),
            Self::Oracle(oracle) => oracle.forget(batch.homes()),
            Self::Windows(windows) => windows.forget(),
        }
    }

    /// Adds what was counted to `outcome`.
    fn finish(self, outcome: &mut Outcome) {
        match self {
            Self::Rules(lanes) => {
                outcome
                    .schemes
                    .extend(lanes.into_iter().map(|(scheme, lane)| SchemeOutcome {
                        scheme,
                        costs: None,
                        total: lane.finish(),
                    }));
            }
            Self::Remembering(some) => {
                for one in some {
                    let found = SchemeOutcome {
                        scheme: one.scheme,
                        costs: one.costs,
                        total: one.lane.finish(),
                    };
                    match one.prompt {
                        true => outcome.schemes.push(found),
                        false => outcome.not_prompt.push(found),
                    }
                }
            }
            Self::Oracle(oracle) => {
                let (costs, moves) = oracle.finish();
                outcome.oracles.push(OracleOutcome { costs, moves });
            }
            Self::Windows(windows) => outcome.windows = windows.finish(),
        }
    }
}

/// Replays one record: `schemes`, and an oracle for each of `profiles`, over its windows, one row group after
/// the other, on the threads of the current rayon pool.
///
/// While some row groups are replayed, the next ones are decoded, as many at a time as there are threads. So
/// the memory is that of twice as many row groups, of 16 MiB each.
///
/// # Errors
/// [`Error::Record`] where the record cannot be read or has no windows, [`Error::NotPut`] as [`Replay::add`],
/// [`Error::Cancelled`] if `cancel` says so.
pub fn replay_record(
    record: &RecordFile,
    schemes: &[Scheme],
    profiles: &[Costs],
    cancel: Cancel<'_>,
) -> Result<Outcome> {
    replay_counted(record, Counted::All, schemes, profiles, cancel)
}

/// As [`replay_record`], but counts only the windows in which all VMs are at work
/// ([`work_phase`](RecordFile::work_phase)). The schemes have seen the windows before; the oracle begins
/// in whichever state is best for it ([`Replay::forget`]).
///
/// # Errors
/// As [`replay_record`], and [`Error::NoWork`] where there are no such windows.
pub fn replay_work(
    record: &RecordFile,
    schemes: &[Scheme],
    profiles: &[Costs],
    cancel: Cancel<'_>,
) -> Result<Outcome> {
    replay_counted(record, Counted::Work, schemes, profiles, cancel)
}

fn replay_counted(
    record: &RecordFile,
    counted: Counted,
    schemes: &[Scheme],
    profiles: &[Costs],
    cancel: Cancel<'_>,
) -> Result<Outcome> {
    let mut replay = Replay::new(schemes, profiles);
    replay_rows(record, rows(record, counted)?, &mut replay, cancel)?;
    Ok(replay.finish())
}

/// Returns which rows of a record are counted: at least one.
pub(super) fn rows(record: &RecordFile, counted: Counted) -> Result<Range<u64>> {
    record.require_windows()?;
    let rows = match counted {
        Counted::All => 0..record.windows(),
        Counted::Work => record.work_phase()?,
    };
    if rows.is_empty() {
        let path = record.path().to_path_buf();
        return Err(Error::NoWork { path });
    }
    Ok(rows)
}

/// Replays a record up to the end of `rows`, and counts from their start on.
pub(super) fn replay_rows<S: Sink>(
    record: &RecordFile,
    rows: Range<u64>,
    replay: &mut S,
    cancel: Cancel<'_>,
) -> Result<()> {
    let threads = rayon::current_num_threads();
    let decode = |group: usize, mut events: Vec<Event>| {
        if cancel() {
            return Err(Error::Cancelled);
        }
        match S::SEES_ALL {
            true => record.read_events(group, &mut events)?,
            false => record.read_events_unseen(group, &mut events)?,
        }
        Ok(events)
    };
    let starts = (0..record.row_group_count()).scan(0, |next, group| {
        let start = *next;
        *next += record.row_group_windows(group) as u64;
        Some(start)
    });
    let starts: Vec<u64> = starts.take_while(|start| *start < rows.end).collect();
    let mut groups = 0..starts.len();
    let mut decode_some = |room: Vec<Vec<Event>>| -> Result<Vec<(u64, Vec<Event>)>> {
        let mut room = room.into_iter();
        let some: Vec<_> = groups
            .by_ref()
            .take(threads)
            .map(|group| (group, room.next().unwrap_or_default()))
            .collect();
        some.into_par_iter()
            .map(|(group, events)| Ok((starts[group], decode(group, events)?)))
            .collect()
    };
    let mut decoded = decode_some(Vec::new())?;
    let mut room = Vec::new();
    while !decoded.is_empty() {
        let mut add = || {
            decoded
                .iter()
                .try_for_each(|(start, events)| add_rows(replay, *start, events, &rows))
        };
        let (added, next) = if threads == 1 {
            (add(), decode_some(room))
        } else {
            rayon::join(add, || decode_some(room))
        };
        added?;
        let used = std::mem::replace(&mut decoded, next?);
        room = used.into_iter().map(|(_, events)| events).collect();
    }
    Ok(())
}

/// Replays the windows of a row group that begins with row `start`, up to the end of `rows`. What was counted before
/// those is forgotten.
fn add_rows<S: Sink>(
    replay: &mut S,
    start: u64,
    events: &[Event],
    rows: &Range<u64>,
) -> Result<()> {
    let place = |row: u64| usize::try_from(row.saturating_sub(start)).unwrap_or(usize::MAX);
    let events = &events[..place(rows.end).min(events.len())];
    if (start..start + events.len() as u64).contains(&rows.start) {
        let (before, counted) = events.split_at(place(rows.start));
        replay.add(before)?;
        replay.forget();
        return replay.add(counted);
    }
    replay.add(events)
}
