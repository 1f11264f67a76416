//! `trapcast replay`, `trapcast merge` and `trapcast plane`: records replayed, and what came of it as tables and JSON.

use std::path::{Path, PathBuf};
use trapcast_profile::{Decision, Profile};

use serde::{Deserialize, Serialize};
use trapcast_forecast::{Costs, Scheme};
use trapcast_switch::Tally;
use trapcast_trace::report::WindowReport;

use crate::{
    profile_table,
    record::{self, RecordFile, is_stopped},
};
use trapcast_replay::{
    Moves, Outcome, SchemeCounts, SchemeOutcome, Standing, ratio, replay_bounds, replay_record,
    replay_work,
};
use trapcast_results::plane;
use trapcast_tool::error::Result;

mod answers;
pub mod merge;
pub mod table;

pub use answers::answer;
pub use table::{factor, geometric_mean, render, render_means, render_merged, render_profile};
pub use trapcast_replay::Counted;

/// What a replay of one file has found out.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// The file.
    pub file: PathBuf,
    /// What ran, as the file has it.
    pub workload: String,
    /// Which of its windows were counted.
    pub counted: Counted,
    /// How many windows are unseen: of those is not known whether they used the registers.
    pub unseen_windows: u64,
    /// What was found, as if none of the unseen windows had used the registers.
    #[serde(flatten)]
    pub figures: Figures,
    /// The same as if all of them had; nothing where there are none. What a scheme counts and costs lies between
    /// both, but for `last-trap` ([`is_bounded`](trapcast_replay::is_bounded)).
    pub all_used: Option<Figures>,
}

/// What a replay has found out.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Windows from an entry to its exit, under any scheme.
    pub entry_windows: WindowReport,
    /// Windows from the load of a vCPU to its put.
    pub load_windows: WindowReport,
    /// What each scheme did.
    pub schemes: Vec<SchemeRow>,
    /// What `eager` and `per-entry` did where they were not asked for, as others stand beside them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<SchemeRow>,
    /// What that costs, one per profile.
    pub profiles: Vec<ProfileRow>,
}

/// What one scheme did over a record.
#[derive(Clone, Debug, Serialize)]
pub struct SchemeRow {
    /// The scheme.
    pub scheme: &'static str,
    /// The profile that it decided by, if it knows any.
    pub profile: Option<String>,
    /// Loads of the registers.
    pub loads: u64,
    /// Saves of the registers.
    pub saves: u64,
    /// All that was counted.
    pub counts: SchemeCounts,
}

/// What the schemes cost on one machine.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileRow {
    /// The profile, with its mark if it is not sure.
    pub profile: String,
    /// What costs are counted in.
    pub unit: &'static str,
    /// The offline optimum.
    pub oracle: u64,
    /// The better one of `eager` and `per-entry`.
    pub better_fixed: Option<u64>,
    /// What all this follows from, with the counts; nothing where only the costs were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// Each scheme.
    pub schemes: Vec<CostRow>,
}

/// What costs on a machine follow from, besides the counts of schemes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Basis {
    /// What each move costs.
    pub costs: profile_table::CostRow,
    /// Instructions that a core retires in a hundred cycles, of those that decide.
    #[serde(rename = "instructions_per_100_cycles")]
    pub rate: u32,
    /// What the offline optimum moves.
    pub oracle: Moves,
}

/// What one scheme costs on one machine.
#[derive(Clone, Debug, Serialize)]
pub struct CostRow {
    /// The scheme.
    pub scheme: &'static str,
    /// What it moves and traps costs.
    pub cost: u64,
    /// What its decisions cost besides; nothing where that is not known.
    pub decisions: Option<u64>,
    /// What of its cost the offline optimum would have saved.
    pub avoidable: Option<u64>,
    /// That over the oracle's.
    pub over_oracle: Option<f64>,
    /// That over the better one of `eager` and `per-entry`.
    pub over_fixed: Option<f64>,
}

impl CostRow {
    /// A scheme as it stands beside what the oracle costs.
    pub fn of(scheme: Scheme, standing: Standing, decisions: Option<u64>, oracle: u64) -> Self {
        // It is cheap because it is wrong.
        let is_right = scheme != Scheme::None;
        Self {
            scheme: scheme.name(),
            cost: standing.cost,
            decisions: decisions.filter(|_| is_right),
            avoidable: is_right.then(|| standing.cost.saturating_sub(oracle)),
            over_oracle: standing.over_oracle.filter(|_| is_right),
            over_fixed: standing.over_fixed.filter(|_| is_right),
        }
    }
}

/// Replays a file: `schemes` over its windows, with an oracle for each of `profiles`.
///
/// # Errors
/// Where the file cannot be read, is no record, or has no such windows.
pub fn replay_file(
    file: &Path,
    counted: Counted,
    schemes: &[Scheme],
    profiles: &[Profile],
) -> Result<Replayed> {
    let record = record::open(file)?;
    // The better one of the fixed schemes is what others stand beside, asked for or not.
    let mut replayed = schemes.to_vec();
    for fixed in [Scheme::Eager, Scheme::PerEntry] {
        if !replayed.contains(&fixed) {
            replayed.push(fixed);
        }
    }
    let costs: Vec<Costs> = profiles.iter().map(|profile| profile.fp).collect();
    let bounds = replay_bounds(&record, counted, &replayed, &costs, &is_stopped);
    let bounds = bounds.map_err(record::told)?;
    let (mut figures, mut all_used) = (
        figures(&bounds.unused, schemes, profiles),
        bounds.used.map(|used| figures(&used, schemes, profiles)),
    );
    if let Some(all_used) = &mut all_used {
        widen(&mut figures, all_used);
    }
    Ok(Replayed {
        file: file.to_path_buf(),
        workload: record.metadata().workload.clone(),
        counted,
        unseen_windows: bounds.unseen,
        figures,
        all_used,
    })
}

/// What came of `schemes` under each profile.
fn figures(outcome: &Outcome, schemes: &[Scheme], profiles: &[Profile]) -> Figures {
    let (asked, beside) = outcome
        .schemes
        .iter()
        .partition::<Vec<_>, _>(|found| schemes.contains(&found.scheme));
    let rows = |found: Vec<&SchemeOutcome>| {
        let rows = found.into_iter().map(|found| row(found, profiles));
        rows.collect()
    };
    Figures {
        entry_windows: report(&outcome.windows.entry),
        load_windows: report(&outcome.windows.load),
        schemes: rows(asked),
        beside: rows(beside),
        profiles: profiles
            .iter()
            .map(|profile| costs_of(outcome, schemes, profile))
            .collect(),
    }
}

/// Sees to it that what a scheme costs over the better one of `eager` and `per-entry` lies between what `low` and `high`
/// say, whichever windows used the registers: the one and the other need not be highest for the same ones.
fn widen(low: &mut Figures, high: &mut Figures) {
    for (low, high) in low.profiles.iter_mut().zip(&mut high.profiles) {
        let (least, most) = (low.better_fixed, high.better_fixed);
        for (low, high) in low.schemes.iter_mut().zip(&mut high.schemes) {
            // It is one of the two.
            if low.scheme != Scheme::PerEntry.name() && low.over_fixed.is_some() {
                low.over_fixed = most.and_then(|most| ratio(low.cost, most));
                high.over_fixed = least.and_then(|least| ratio(high.cost, least));
            }
        }
    }
}

/// Replays a record in one pass, row group by row group.
///
/// # Errors
/// Where the record cannot be read or has no windows; [`Stopped`](trapcast_tool::error::Error::Stopped) on Ctrl-C.
pub fn outcome(record: &RecordFile, schemes: &[Scheme], profiles: &[Costs]) -> Result<Outcome> {
    outcome_of(record, Counted::All, schemes, profiles)
}

/// Replays a record, and counts some of its windows ([`replay_work`]).
///
/// # Errors
/// As for [`outcome`], and where there are none of them.
pub fn outcome_of(
    record: &RecordFile,
    counted: Counted,
    schemes: &[Scheme],
    profiles: &[Costs],
) -> Result<Outcome> {
    let replay = match counted {
        Counted::All => replay_record,
        Counted::Work => replay_work,
    };
    replay(record, schemes, profiles, &is_stopped).map_err(record::told)
}

/// What the plane over T and C is made of: every scheme's counts, and the oracle's exchanges where a
/// write of the gate costs nothing. A half that is left over counts as a whole to a scheme, and not to the oracle.
///
/// # Errors
/// As for [`outcome`].
pub fn plane_counts(record: &RecordFile) -> Result<plane::Counts> {
    plane_counts_of(record, Counted::All)
}

/// The same of some windows of a record.
///
/// # Errors
/// As for [`outcome_of`].
pub fn plane_counts_of(record: &RecordFile, counted: Counted) -> Result<plane::Counts> {
    let outcome = outcome_of(record, counted, &Scheme::RULES, &[EXCHANGES_ONLY])?;
    Ok(counts_of(&outcome))
}

/// The same of a record of which not all need have been seen: as if no unseen window had used the registers, and, if
/// there are such, as if all had.
///
/// # Errors
/// As for [`outcome_of`].
pub fn plane_bounds(
    record: &RecordFile,
    counted: Counted,
) -> Result<(plane::Counts, Option<plane::Counts>)> {
    let schemes = &Scheme::RULES;
    let bounds = replay_bounds(record, counted, schemes, &[EXCHANGES_ONLY], &is_stopped);
    let bounds = bounds.map_err(record::told)?;
    let used = bounds.used.as_ref().map(counts_of);
    Ok((counts_of(&bounds.unused), used))
}

/// Where a write of the gate costs nothing.
const EXCHANGES_ONLY: Costs = Costs {
    trap: 1,
    probe: 1,
    save: 1,
    load: 1,
    ..Costs::FREE
};

fn counts_of(outcome: &Outcome) -> plane::Counts {
    plane::Counts {
        schemes: outcome
            .schemes
            .iter()
            .map(|outcome| plane::SchemeCounts {
                scheme: outcome.scheme.to_string(),
                traps: outcome.total.traps,
                exchanges: outcome.total.moves().exchanges().ceil() as u64,
            })
            .collect(),
        oracle_exchanges: outcome
            .oracles
            .first()
            .map_or(0, |oracle| oracle.moves.exchanges() as u64),
    }
}

/// A tally as results have it.
fn report(tally: &Tally) -> WindowReport {
    WindowReport {
        windows: tally.windows,
        pairs: tally.pairs,
        used: tally.used,
    }
}

fn row(found: &SchemeOutcome, profiles: &[Profile]) -> SchemeRow {
    let decided_by = found.costs.and_then(|costs| {
        let mut profiles = profiles.iter();
        profiles.find(|profile| profile.fp == costs)
    });
    SchemeRow {
        scheme: found.scheme.name(),
        profile: decided_by.map(Profile::label),
        loads: found.total.loads(),
        saves: found.total.saves(),
        counts: found.total,
    }
}

/// Returns what the decisions of a scheme cost on a machine, in its unit.
pub fn decisions(found: &SchemeOutcome, profile: &Profile) -> u64 {
    let SchemeCounts { asked, told, .. } = found.total;
    profile.of_instructions(Decision::of(found.scheme).instructions(asked, told))
}

fn costs_of(outcome: &Outcome, schemes: &[Scheme], profile: &Profile) -> ProfileRow {
    let oracle = outcome
        .oracles
        .iter()
        .find(|oracle| oracle.costs == profile.fp)
        .expect("every profile was asked for");
    let schemes = schemes.iter().filter_map(|&scheme| {
        let standing = outcome.standing(scheme, oracle)?;
        let decisions = decisions(outcome.scheme(scheme, &profile.fp)?, profile);
        Some(CostRow::of(
            scheme,
            standing,
            Some(decisions),
            oracle.cost(),
        ))
    });
    ProfileRow {
        profile: profile.label(),
        unit: profile.unit.name(),
        oracle: oracle.cost(),
        better_fixed: outcome.fixed_cost(&profile.fp),
        basis: Some(Basis {
            costs: profile.fp.into(),
            rate: profile.instructions_per_100_cycles,
            oracle: oracle.moves,
        }),
        schemes: schemes.collect(),
    }
}
