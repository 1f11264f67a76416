//! One record under one profile: what the forecast costs there, and what others do.

use std::collections::BTreeMap;
use trapcast_profile::Profile;

use serde::Serialize;
use trapcast_forecast::Scheme;

use super::Rival;
use trapcast_replay::Outcome;

/// Costs of one record under one profile, in the profile's unit.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The profile.
    pub profile: String,
    /// The offline optimum.
    pub oracle: u64,
    /// The cheaper one of `eager` and `per-entry`.
    pub fixed: u64,
    /// Each scheme, but for `none`.
    pub schemes: BTreeMap<&'static str, u64>,
    /// Each rival, by its name.
    pub rivals: BTreeMap<&'static str, u64>,
    /// `forecast` with each of [`Constants::ALL`](super::Constants::ALL).
    pub constants: Vec<u64>,
}

impl Cell {
    /// Sums up what was found under a profile: what the rivals and the other constants cost.
    pub(super) fn new(
        outcome: &Outcome,
        profile: &Profile,
        rivals: BTreeMap<&'static str, u64>,
        constants: Vec<u64>,
    ) -> Self {
        let costs = &profile.fp;
        let cost = |scheme| outcome.cost(scheme, costs).expect("it was replayed");
        let oracle = outcome.oracles.iter().find(|oracle| oracle.costs == *costs);
        Self {
            profile: profile.label(),
            oracle: oracle.expect("it was asked for").cost(),
            fixed: outcome.fixed_cost(costs).expect("both were replayed"),
            schemes: Scheme::ALL[1..]
                .iter()
                .map(|&scheme| (scheme.name(), cost(scheme)))
                .collect(),
            rivals,
            constants,
        }
    }

    /// What a scheme costs.
    pub(super) fn scheme(&self, scheme: Scheme) -> u64 {
        self.schemes[scheme.name()]
    }

    /// What `forecast` costs.
    pub(super) fn forecast(&self) -> u64 {
        self.scheme(Scheme::Forecast)
    }

    /// What a rival costs.
    pub(super) fn rival(&self, rival: Rival) -> u64 {
        self.rivals[rival.name()]
    }
}
