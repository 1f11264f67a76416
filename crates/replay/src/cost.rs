//! What a replay's counts cost under a profile, and how that stands against what could have been.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use trapcast_forecast::Costs;

/// What costs something in switching registers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Moves {
    /// Traps of a closed gate by a guest whose registers were elsewhere.
    pub traps: u64,
    /// Traps of a closed gate by a guest whose registers were in the core.
    pub probes: u64,
    /// Times that a register file was saved, a guest's or the host's.
    pub saves: u64,
    /// Times that one was loaded.
    pub loads: u64,
    /// Writes of the gate.
    pub gate_writes: u64,
    /// ISBs that synchronised a write of the gate.
    pub isbs: u64,
}

impl Moves {
    /// Returns how many exchanges that makes: a save and a load each, of which a last one may be half of that.
    pub const fn exchanges(&self) -> f64 {
        (self.saves + self.loads) as f64 / 2.0
    }

    /// Returns what all this costs, in the unit of `costs`; `u64::MAX` if it is more than that.
    pub fn cost(&self, costs: &Costs) -> u64 {
        u64::try_from(self.exact_cost(costs)).unwrap_or(u64::MAX)
    }

    /// Returns what all this costs, in the unit of `costs`.
    fn exact_cost(&self, costs: &Costs) -> u128 {
        [
            (self.traps, u64::from(costs.trap)),
            (self.probes, u64::from(costs.probe)),
            (self.saves, u64::from(costs.save)),
            (self.loads, u64::from(costs.load)),
            (self.gate_writes, u64::from(costs.gate)),
            (self.isbs, u64::from(costs.isb)),
        ]
        .into_iter()
        .map(|(count, cost)| u128::from(count) * u128::from(cost))
        .sum()
    }
}

impl AddAssign for Moves {
    fn add_assign(&mut self, other: Self) {
        self.traps += other.traps;
        self.probes += other.probes;
        self.saves += other.saves;
        self.loads += other.loads;
        self.gate_writes += other.gate_writes;
        self.isbs += other.isbs;
    }
}

/// Returns `cost` over `bound`: 1 if both are zero, nothing if only the bound is.
pub fn ratio(cost: u64, bound: u64) -> Option<f64> {
    match (cost, bound) {
        (0, 0) => Some(1.0),
        (_, 0) => None,
        _ => Some(cost as f64 / bound as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOVES: Moves = Moves {
        traps: 1,
        probes: 10,
        saves: 100,
        loads: 200,
        gate_writes: 1000,
        isbs: 10_000,
    };

    #[test]
    fn every_kind_of_move_has_its_own_price() {
        let costs = Costs {
            trap: 2,
            probe: 3,
            save: 5,
            load: 7,
            gate: 11,
            isb: 13,
        };
        let expected = 2 + 10 * 3 + 100 * 5 + 200 * 7 + 1000 * 11 + 10_000 * 13;
        assert_eq!(MOVES.cost(&costs), expected);
        assert_eq!(MOVES.cost(&Costs::default()), 0);
    }

    #[test]
    fn a_cost_beyond_the_range_is_the_largest_one() {
        let moves = Moves {
            traps: u64::MAX,
            ..MOVES
        };
        let costs = Costs {
            trap: 2,
            ..Costs::default()
        };
        assert_eq!(moves.cost(&costs), u64::MAX);
    }

    #[test]
    fn nothing_over_nothing_is_one_and_something_over_nothing_is_no_ratio() {
        assert_eq!(ratio(0, 0), Some(1.0));
        assert_eq!(ratio(1, 0), None);
        assert_eq!(ratio(3, 2), Some(1.5));
    }
}
