//! What schemes cost over several workloads, each of which counts alike: per thousand of its entries. What they
//! decide is charged like what they move.

use std::fmt;

use trapcast_forecast::Scheme;
use trapcast_replay::SchemeOutcome;

use crate::replaying;

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
    /// `forecast` with `prompt=off`.
    NotPrompt,
    /// The offline optimum.
    Oracle,
    /// The cheaper one of `eager` and `per-entry`.
    BetterFixed,
}

impl Of {
    /// All that a hypervisor can do without knowing the future or losing registers.
    pub const CORRECT: [Self; 12] = [
        Self::Scheme(Scheme::Eager),
        Self::Scheme(Scheme::PerEntry),
        Self::Scheme(Scheme::LastTrap),
        Self::Scheme(Scheme::UntilPut),
        Self::Scheme(Scheme::EagerUntilPut),
        Self::Scheme(Scheme::Kvm),
        Self::Scheme(Scheme::Counter),
        Self::Scheme(Scheme::Credit),
        Self::Scheme(Scheme::Owner),
        Self::Scheme(Scheme::EagerOwner),
        Self::Scheme(Scheme::Forecast),
        Self::NotPrompt,
    ];

    /// Its name in tables and sentences.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheme(scheme) => scheme.name(),
            Self::NotPrompt => "forecast with prompt=off",
            Self::Oracle => "oracle",
            Self::BetterFixed => "better fixed scheme",
        }
    }
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns what this costs per thousand entries of a workload, in the unit of the machine; `None` if it
/// was not replayed.
pub fn cost(subject: &Subject, machine: &Machine, of: Of) -> Option<f64> {
    let outcome = &subject.outcome;
    let costs = &machine.costs;
    let cost = match of {
        Of::Scheme(scheme) => with_decisions(outcome.scheme(scheme, costs)?, machine),
        Of::NotPrompt => {
            let mut all = outcome.not_prompt.iter();
            with_decisions(all.find(|found| found.costs == Some(*costs))?, machine)
        }
        Of::BetterFixed => {
            let pair = [Scheme::Eager, Scheme::PerEntry]
                .map(|scheme| Some(with_decisions(outcome.scheme(scheme, costs)?, machine)));
            pair[0]?.min(pair[1]?)
        }
        Of::Oracle => {
            let mut oracles = outcome.oracles.iter();
            oracles.find(|oracle| oracle.costs == *costs)?.cost()
        }
    };
    Some(per_thousand(cost, subject))
}

/// What a scheme moves and traps, and what it decides, in the machine's unit.
fn with_decisions(found: &SchemeOutcome, machine: &Machine) -> u64 {
    let moves = found.total.moves().cost(&machine.costs);
    moves.saturating_add(replaying::decisions(found, &machine.profile))
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
pub fn cheapest(subjects: &[&Subject], machine: &Machine, among: &[Of]) -> Option<(Of, f64)> {
    let costs = among
        .iter()
        .filter_map(|&of| Some((of, mean(subjects, machine, of)?)));
    costs.reduce(|best, next| if next.1 < best.1 { next } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analysis::{machine, subject, verdict},
        record::{Shape, generate},
    };

    /// Two invented guests, with different numbers of windows and vCPUs.
    fn subjects(machines: &[Machine]) -> Vec<Subject> {
        let directory = tempfile::tempdir().unwrap();
        let one = |(windows, vcpus, seed)| {
            let path = directory.path().join("made.owner.parquet");
            let shape = Shape {
                windows,
                vcpus,
                seed,
                replay_only: false,
            };
            generate(&path, shape).unwrap();
            subject::look(&path, machines).unwrap()
        };
        [(4000, 2, 1), (1000, 3, 2)].map(one).into()
    }

    #[test]
    fn costs_are_per_entry_and_each_workload_counts_alike() {
        let machines = &machine::all()[..3];
        let (all, machine) = (subjects(machines), &machines[1]);
        let subjects: Vec<_> = all.iter().collect();
        let of = |scheme| Of::Scheme(scheme);
        let each: Vec<_> = subjects
            .iter()
            .map(|s| cost(s, machine, of(Scheme::Owner)).unwrap())
            .collect();
        let whole = all[0].outcome.cost(Scheme::Owner, &machine.costs).unwrap();
        assert_eq!(each[0], whole as f64 / 4.0);
        let sum = each[0] + each[1];
        assert_eq!(mean(&subjects, machine, of(Scheme::Owner)), Some(sum / 2.0));
        let own = quotient(&subjects, machine, of(Scheme::Owner), of(Scheme::Owner));
        assert_eq!((own.value, own.ends()), (Some(1.0), Some((1.0, 1.0))));
        // No cost is below the oracle's, and no fixed scheme is cheaper than the better one.
        for of in Of::CORRECT {
            let over = quotient(&subjects, machine, of, Of::Oracle);
            assert!(over.ends().unwrap().0 >= 1.0, "{of}");
        }
        let fixed = cost(&all[0], machine, Of::BetterFixed);
        let pair =
            [Scheme::Eager, Scheme::PerEntry].map(|s| cost(&all[0], machine, of(s)).unwrap());
        assert_eq!(fixed, Some(pair[0].min(pair[1])));
        assert_eq!(mean(&[], machine, Of::Oracle), None);
    }

    #[test]
    fn a_finding_is_the_difference_of_the_two_cheapest() {
        let machines = &machine::all()[..2];
        let (all, machine) = (subjects(machines), &machines[1]);
        let subjects: Vec<_> = all.iter().collect();
        let finding = verdict::find(&subjects, machine).unwrap();
        let least = |among: &[Of]| cheapest(&subjects, machine, among).unwrap();
        let (without, before) = least(&verdict::WITHOUT);
        let (with, after) = least(&verdict::WITH);
        assert_eq!((finding.without, finding.with), (without, with));
        let gain = finding.gain.value.unwrap();
        assert!((gain - (1.0 - after / before)).abs() < 1e-12, "{gain}");
        let traps = (before - after) / machine.round_trip() as f64;
        assert!((finding.traps_saved - traps).abs() < 1e-9);
        let time = verdict::guest_time(&subjects).unwrap();
        assert_eq!(finding.at_stake, Some(before / time));
        // No scheme gains more than the oracle.
        assert!(finding.left.value.unwrap() >= gain);
        assert_eq!(verdict::find(&[], machine), None);
    }
}
