//! What a replay has found out.

use trapcast_forecast::{Costs, Scheme};

use super::{
    cost::{Moves, ratio},
    counts::SchemeCounts,
    windows::Windows,
};

/// The schemes that always decide the same for an entry, and give the registers back at its exit:
/// always load (`eager`), never load (`per-entry`).
///
/// They are what any other scheme has to beat. There is no such pair for load windows: `until-put` never
/// loads there, but the scheme that always does, KVM's on x86 (`kvm_load_guest_fpu`), is not among these.
const FIXED: [Scheme; 2] = [Scheme::Eager, Scheme::PerEntry];

/// What a replay has found out about a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What the windows of all vCPUs did.
    pub windows: Windows,
    /// Each scheme, in the order in which they were asked for.
    pub schemes: Vec<SchemeOutcome>,
    /// `forecast` for each profile, if it was asked for, as it is with `prompt=off`: where an interrupt is
    /// pending it loads as anywhere else.
    pub not_prompt: Vec<SchemeOutcome>,
    /// The cheapest decisions for each profile, in the order in which they were asked for.
    pub oracles: Vec<OracleOutcome>,
}

/// What one scheme did over a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SchemeOutcome {
    /// The scheme.
    pub scheme: Scheme,
    /// The costs that it decided by, if it knows any.
    pub costs: Option<Costs>,
    /// The counts, over all vCPUs.
    pub total: SchemeCounts,
}

/// The cheapest decisions over a record under one profile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OracleOutcome {
    /// The profile.
    pub costs: Costs,
    /// What those decisions move.
    pub moves: Moves,
}

impl OracleOutcome {
    /// Returns what they cost, in the unit of the profile.
    pub fn cost(&self) -> u64 {
        self.moves.cost(&self.costs)
    }
}

/// A scheme's cost under one profile, and what it is measured by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// What the scheme costs, in the unit of the profile.
    pub cost: u64,
    /// That over what the cheapest decisions cost, as [`ratio`] has it.
    pub over_oracle: Option<f64>,
    /// That over the cost of the cheaper one of `eager` and `per-entry`, which always and never load
    /// the registers at an entry, and give them back at its exit. Nothing if one of them was not
    /// replayed.
    pub over_fixed: Option<f64>,
}

impl Outcome {
    /// Returns what `scheme` costs under `costs`, if it was replayed.
    pub fn cost(&self, scheme: Scheme, costs: &Costs) -> Option<u64> {
        Some(self.scheme(scheme, costs)?.total.moves().cost(costs))
    }

    /// Returns what `forecast` with `prompt=off` costs under `costs`, if it was replayed.
    pub fn cost_not_prompt(&self, costs: &Costs) -> Option<u64> {
        let mut all = self.not_prompt.iter();
        let outcome = all.find(|outcome| outcome.costs == Some(*costs))?;
        Some(outcome.total.moves().cost(costs))
    }

    /// Returns what `scheme` did where it knows these costs, if it was replayed.
    pub fn scheme(&self, scheme: Scheme, costs: &Costs) -> Option<&SchemeOutcome> {
        self.schemes.iter().find(|outcome| {
            outcome.scheme == scheme && outcome.costs.is_none_or(|own| own == *costs)
        })
    }

    /// Returns what the cheaper one of `eager` and `per-entry` costs under `costs`, if both were
    /// replayed.
    pub fn fixed_cost(&self, costs: &Costs) -> Option<u64> {
        let [always, never] = FIXED.map(|scheme| self.cost(scheme, costs));
        Some(always?.min(never?))
    }

    /// Returns how `scheme` stands under the profile of `oracle`, if it was replayed.
    pub fn standing(&self, scheme: Scheme, oracle: &OracleOutcome) -> Option<Standing> {
        let cost = self.cost(scheme, &oracle.costs)?;
        Some(Standing {
            cost,
            over_oracle: ratio(cost, oracle.cost()),
            over_fixed: self
                .fixed_cost(&oracle.costs)
                .and_then(|fixed| ratio(cost, fixed)),
        })
    }
}
