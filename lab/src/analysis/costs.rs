//! What schemes cost over several workloads, each of which counts alike: per thousand of its entries.

use trapcast_forecast::Scheme;

use super::{
    estimate::{Estimate, over_workloads},
    machine::Machine,
    subject::Subject,
};

/// Entries that costs are given for.
pub const ENTRIES: f64 = 1000.0;

/// What a cost is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Of {
    /// A scheme.
    Scheme(Scheme),
    /// The cheapest decisions in hindsight.
    Oracle,
    /// The cheaper one of `eager` and `per-entry`.
    BetterFixed,
}

/// Returns what this costs per thousand entries of a workload, in the unit of the machine; `None` if it
/// was not replayed.
pub fn cost(subject: &Subject, machine: &Machine, of: Of) -> Option<f64> {
    let outcome = &subject.outcome;
    let costs = &machine.costs;
    let cost = match of {
        Of::Scheme(scheme) => outcome.cost(scheme, costs)?,
        Of::BetterFixed => outcome.fixed_cost(costs)?,
        Of::Oracle => {
            let mut oracles = outcome.oracles.iter();
            oracles.find(|oracle| oracle.costs == *costs)?.cost()
        }
    };
    Some(per_thousand(cost, subject))
}

/// A count per thousand entries of a workload.
pub fn per_thousand(count: u64, subject: &Subject) -> f64 {
    count as f64 * ENTRIES / subject.entries().max(1) as f64
}

/// The mean over workloads of what this costs per thousand entries; `None` if one of them was not replayed,
/// or there is none.
pub fn mean(subjects: &[&Subject], machine: &Machine, of: Of) -> Option<f64> {
    let costs: Option<Vec<f64>> = subjects.iter().map(|s| cost(s, machine, of)).collect();
    let costs = costs.filter(|costs| !costs.is_empty())?;
    Some(costs.iter().sum::<f64>() / costs.len() as f64)
}

/// The mean cost of one over that of another, and how far that would move with other workloads of the
/// kind.
pub fn quotient(subjects: &[&Subject], machine: &Machine, of: Of, over: Of) -> Estimate {
    let pair =
        |subject: &&Subject| Some((cost(subject, machine, of)?, cost(subject, machine, over)?));
    over_workloads(&subjects.iter().filter_map(pair).collect::<Vec<_>>())
}

/// Of some schemes the one that costs least over these workloads; the first of several.
pub fn cheapest(
    subjects: &[&Subject],
    machine: &Machine,
    among: &[Scheme],
) -> Option<(Scheme, f64)> {
    let costs = among
        .iter()
        .filter_map(|&scheme| Some((scheme, mean(subjects, machine, Of::Scheme(scheme))?)));
    costs.reduce(|best, next| if next.1 < best.1 { next } else { best })
}
