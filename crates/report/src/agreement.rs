//! Whether replays agree with live runs: the counts of both side by side.
//!
//! A scheme is replayed twice. Over the record of its own observed run its counts must equal that
//! run's, as it is the same code on the same windows. Over the record of another scheme's run
//! it says what the scheme would have done there; the rest of the difference to the live run comes
//! from time alone: a guest that waits longer for its registers is interrupted elsewhere.

mod table;

use std::{collections::BTreeMap, path::Path};

use trapcast_forecast::Scheme;

pub use table::{Row, render, summary, within};

use crate::{record, replaying};
use trapcast_replay::{Outcome, SchemeCounts};
use trapcast_results::{Agreement, Counters, Moved};
use trapcast_tool::error::Result;

/// The scheme whose record is replayed for all, if it was run: it moves least.
pub const REFERENCE: Scheme = Scheme::Owner;

/// The scheme whose record is replayed for all, and that record.
pub fn reference<'a>(records: &BTreeMap<Scheme, &'a Path>) -> Option<(Scheme, &'a Path)> {
    let found = match records.get_key_value(&REFERENCE) {
        None => records.iter().find(|(scheme, _)| **scheme != Scheme::None),
        found => found,
    };
    found.map(|(scheme, file)| (*scheme, *file))
}

/// Replays the records of one workload's runs, each scheme's by its name, and compares them with what
/// the runs counted: `counters` are a scheme's plain and observed run.
///
/// # Errors
/// Where a record cannot be read.
pub fn agreements(
    records: &BTreeMap<Scheme, &Path>,
    counters: &BTreeMap<Scheme, (&Counters, &Counters)>,
) -> Result<BTreeMap<Scheme, Agreement>> {
    let Some((reference, path)) = reference(records) else {
        return Ok(BTreeMap::new());
    };
    let schemes: Vec<Scheme> = counters.keys().copied().collect();
    let all = replay(path, &schemes)?;
    let mut agreements = BTreeMap::new();
    for (&scheme, (plain, observed)) in counters {
        let Some(own) = records.get(&scheme) else {
            continue;
        };
        let own = moved(&replay(own, &[scheme])?, scheme);
        agreements.insert(
            scheme,
            Agreement {
                live: live(plain, observed),
                recorded: live(observed, observed),
                own,
                reference: reference.to_string(),
                replayed: moved(&all, scheme),
            },
        );
    }
    Ok(agreements)
}

fn replay(path: &Path, schemes: &[Scheme]) -> Result<Outcome> {
    // Those that the run was told.
    let costs = trapcast_profile::of_this_machine().fp;
    replaying::outcome(&record::open(path)?, schemes, &[costs])
}

fn moved(outcome: &Outcome, scheme: Scheme) -> Moved {
    let found = outcome.schemes.iter().find(|found| found.scheme == scheme);
    found.map_or(Moved::default(), |found| replayed(&found.total))
}

/// What a live run counted, whose own observed run has these counts; wasted loads are seen in the observed run only.
pub fn live(counts: &Counters, observed: &Counters) -> Moved {
    Moved {
        traps: counts.traps,
        probes: counts.probes,
        loads: counts.register_loads,
        saves: counts.register_saves,
        wasted_loads: observed.wasted_loads,
    }
}

fn replayed(counts: &SchemeCounts) -> Moved {
    Moved {
        traps: counts.traps,
        probes: counts.probes,
        loads: counts.loads(),
        saves: counts.saves(),
        wasted_loads: counts.wasted_loads,
    }
}
