//! What a study stores of replays: for one record of each workload, what every scheme costs under every
//! profile that is built in.

use std::{collections::BTreeMap, path::Path};

use trapcast_forecast::{Costs, Scheme};

use crate::workload::Workload;
use trapcast_profile::Profile;
use trapcast_replay::{Outcome, SchemeOutcome};
use trapcast_report::{record, replaying};
use trapcast_results::{NOT_PROMPT, ProfileCosts, Replay};
use trapcast_tool::error::Result;

/// Replays the record of a run of this workload under this scheme.
///
/// # Errors
/// Where the record cannot be read.
pub(super) fn replay(workload: &Workload, scheme: Scheme, file: &Path) -> Result<Replay> {
    let record = record::open(file)?;
    let profiles = trapcast_profile::built_in();
    let costs: Vec<Costs> = profiles.iter().map(|profile| profile.fp).collect();
    let outcome = replaying::outcome(&record, &Scheme::ALL, &costs)?;
    let profiles = profiles.iter().zip(&outcome.oracles);
    Ok(Replay {
        workload: workload.name.to_string(),
        record: scheme,
        plane: replaying::plane_counts(&record)?,
        profiles: profiles
            .map(|(profile, oracle)| ProfileCosts {
                profile: profile.label(),
                unit: profile.unit,
                oracle: oracle.cost(),
                schemes: Scheme::ALL
                    .into_iter()
                    .filter_map(|scheme| {
                        let cost = outcome.cost(scheme, &profile.fp)?;
                        Some((scheme.to_string(), cost))
                    })
                    .chain(not_prompt(&outcome, &profile.fp))
                    .collect(),
                decisions: decisions(&outcome, profile),
            })
            .collect(),
    })
}

fn decisions(outcome: &Outcome, profile: &Profile) -> BTreeMap<String, u64> {
    let of = |found: &SchemeOutcome| replaying::decisions(found, profile);
    let is_of_profile =
        |found: &&SchemeOutcome| found.costs.is_none_or(|costs| costs == profile.fp);
    let named = outcome.schemes.iter().filter(is_of_profile);
    let not_prompt = outcome.not_prompt.iter().filter(is_of_profile);
    named
        .map(|found| (found.scheme.to_string(), of(found)))
        .chain(not_prompt.map(|found| (NOT_PROMPT.to_string(), of(found))))
        .collect()
}

fn not_prompt(outcome: &Outcome, costs: &Costs) -> Option<(String, u64)> {
    Some((NOT_PROMPT.to_string(), outcome.cost_not_prompt(costs)?))
}
