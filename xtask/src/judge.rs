//! `cargo xtask judge`: how good the forecast is on records, beside what other rules and other knowledge
//! would cost there, and which of its goals that meets.
//!
//! | part | what it does |
//! |---|---|
//! | `facts` | what a record knows of each window |
//! | `trial` | one forecaster over a record |
//! | `rivals` | forecasters that know more, or less, than `forecast` |
//! | `hindsight` | forecasters that know the whole record |
//! | `cell` | one record under one profile |
//! | `constants` | what other constants of the rule would come to |
//! | `goals` | what was to be reached |
//! | `table` | all of it as tables |

mod cell;
mod constants;
mod facts;
mod goals;
mod hindsight;
mod rivals;
mod table;
#[cfg(test)]
mod tests;
mod trial;

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};
use trapcast_profile::Profile;

use rayon::prelude::*;
use serde::Serialize;
use trapcast_forecast::{Costs, Scheme};

pub use self::{
    cell::Cell,
    constants::{Constants, LeftOut},
    goals::Goal,
    table::render,
};
use self::{
    facts::{Batch, Facts},
    hindsight::Source,
    rivals::Rival,
    trial::Trial,
};
use trapcast_report::{record, replaying};
use trapcast_study::workload::{self, Kind};
use trapcast_tool::error::Result;

/// Seeds of the records by which the rule and its constants were chosen.
pub const TUNED_SEEDS: RangeInclusive<u64> = 1..=3;

/// Workloads of these records. All others, and all other seeds, decided nothing.
pub const TUNED: [&str; 18] = [
    "pair",
    "four-on-2",
    "linux-mix",
    "shared-alternating",
    "shared-random-29",
    "shared-bursts",
    "shared-resume-point",
    "smp-on-2",
    "smp-on-4",
    "mix-simd-1ms",
    "linux",
    "idle",
    "openssl",
    "sqlite",
    "python",
    "redis",
    "hackbench",
    "cyclictest",
];

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// One per record.
    pub records: Vec<Judged>,
    /// What constants each workload would have got from all the others.
    pub left_out: Vec<LeftOut>,
    /// What was to be reached, over the records that were not used in tuning.
    pub goals: Vec<Goal>,
}

/// One record under every profile.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The file.
    pub file: PathBuf,
    /// What ran.
    pub workload: String,
    /// What kind of guests those were.
    pub kind: Kind,
    /// Whether the rule was chosen by records of this workload and seed.
    pub tuned: bool,
    /// One per profile.
    pub cells: Vec<Cell>,
}

/// Judges the forecast by these records.
///
/// # Errors
/// Where a file cannot be read, has no windows or was made for replays only;
/// [`Error::Stopped`](trapcast_tool::error::Error::Stopped) on Ctrl-C.
pub fn judge(files: &[PathBuf], profiles: &[Profile]) -> Result<Judgement> {
    let records: Vec<Judged> = files
        .par_iter()
        .map(|file| judged(file, profiles))
        .collect::<Result<_>>()?;
    Ok(Judgement {
        left_out: constants::left_out(&records),
        goals: goals::goals(&records),
        records,
    })
}

fn judged(file: &Path, profiles: &[Profile]) -> Result<Judged> {
    let record = record::open(file)?;
    let costs: Vec<Costs> = profiles.iter().map(|profile| profile.fp).collect();
    let outcome = replaying::outcome(&record, &Scheme::ALL, &costs)?;
    let found = tried(&|look| facts::each(&record, look), &costs)?;
    let cells = profiles
        .iter()
        .zip(found)
        .map(|(profile, (rivals, constants))| Cell::new(&outcome, profile, rivals, constants))
        .collect();
    let metadata = record.metadata();
    Ok(Judged {
        file: file.to_path_buf(),
        workload: metadata.workload.clone(),
        kind: workload::kind(&metadata.workload),
        tuned: TUNED_SEEDS.contains(&metadata.seed) && TUNED.contains(&metadata.workload.as_str()),
        cells,
    })
}

/// What each rival costs, by its name, and `forecast` with each of [`Constants::ALL`].
type Tried = (BTreeMap<&'static str, u64>, Vec<u64>);

/// What is compared with `forecast`.
#[derive(Clone, Copy)]
enum Other {
    Rival(Rival),
    Constants(Constants),
}

/// Tries all rivals and all constants over the same windows, under each of `profiles`.
fn tried(windows: Source<'_>, profiles: &[Costs]) -> Result<Vec<Tried>> {
    let mut trials: Vec<(Other, Box<dyn Trial>)> = Vec::new();
    for costs in profiles {
        for rival in Rival::ALL {
            let trial = rival.trial(costs);
            trials.extend(trial.map(|trial| (Other::Rival(rival), trial)));
        }
        for constants in Constants::ALL {
            trials.push((Other::Constants(constants), constants.trial(costs)));
        }
    }
    windows(&mut |Batch { events, facts }| {
        trials
            .par_iter_mut()
            .try_for_each(|(other, trial)| match *other {
                Other::Rival(rival) => trial.add(events, &|window| {
                    rival.resume(&events[window], &facts[window])
                }),
                Other::Constants(constants) => {
                    trial.add(events, &|window| constants.resume(&events[window]))
                }
            })
    })?;
    let [places, vcpus] = hindsight::least(windows, profiles)?;
    let each = trials.len() / profiles.len().max(1);
    let mut trials = trials.into_iter();
    let mut tried = Vec::new();
    for (place, vcpu) in places.into_iter().zip(vcpus) {
        let mut rivals = BTreeMap::from([
            (Rival::KnowsPlaces.name(), place),
            (Rival::KnowsVcpus.name(), vcpu),
        ]);
        let mut constants = Vec::new();
        for (other, trial) in trials.by_ref().take(each) {
            match other {
                Other::Rival(rival) => drop(rivals.insert(rival.name(), trial.cost())),
                Other::Constants(_) => constants.push(trial.cost()),
            }
        }
        tried.push((rivals, constants));
    }
    Ok(tried)
}
