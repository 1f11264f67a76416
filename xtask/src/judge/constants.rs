//! What other constants of the rule would come to, and which ones would be chosen by workloads that a
//! judged one is not among.

use std::collections::BTreeSet;

use serde::Serialize;
use trapcast_forecast::{Accounts, Costs, Prices, Resume};

use super::{
    Cell, Judged,
    goals::mean,
    rivals::Altered,
    trial::{Trial, trial},
};
use trapcast_replay::{Event, ratio};

/// Constants of the rule that could be others.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Constants {
    /// How many loads a habit is taken to last: [`Prices::HORIZON`].
    pub horizon: u64,
    /// How many bytes of code count as one place: [`Accounts::PLACE_BYTES`].
    pub place: u64,
}

impl Constants {
    /// All that are compared.
    pub const ALL: [Self; 15] = {
        let (horizons, places) = ([1 << 8, 1 << 10, 1 << 12, 1 << 14, 1 << 16], [16, 64, 256]);
        let mut all = [Self::OF_THE_RULE; 15];
        let mut number = 0;
        while number < all.len() {
            all[number] = Self {
                horizon: horizons[number / places.len()],
                place: places[number % places.len()],
            };
            number += 1;
        }
        all
    };

    /// Those that the rule has.
    pub const OF_THE_RULE: Self = Self {
        horizon: Prices::HORIZON,
        place: Accounts::PLACE_BYTES,
    };

    /// Returns a trial of `forecast` with them.
    pub(super) fn trial(self, costs: &Costs) -> Box<dyn Trial> {
        let prices = Prices::with_horizon(costs, self.horizon);
        let make = move |number: u16| Altered {
            accounts: Accounts::new(prices, number.into()),
            probes: true,
        };
        trial(make, *costs)
    }

    /// Returns what it is told of a window.
    pub(super) fn resume(self, event: &Event) -> Resume {
        Resume {
            // The rule tells places of one size apart: what is one is made as large.
            pc: (event.pc / self.place).wrapping_mul(Accounts::PLACE_BYTES),
            pending: event.has(Event::PENDING),
        }
    }
}

/// A workload by constants that were chosen without it. Costs are over the oracle's: geometric means over
/// its records and their profiles.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOut {
    /// Which.
    pub workload: String,
    /// The cheapest constants over all other workloads.
    pub constants: Constants,
    /// What it costs with these.
    pub cost: f64,
    /// What it costs with those of the rule.
    pub cost_of_the_rule: f64,
    /// What it costs with the best ones for itself.
    pub least_cost: f64,
}

/// Leaves out each workload in turn; nothing if there are not two.
pub(super) fn left_out(records: &[Judged]) -> Vec<LeftOut> {
    let workloads: BTreeSet<&str> = records.iter().map(|r| r.workload.as_str()).collect();
    let of = |workload: &str| {
        let is_it = move |record: &&Judged| record.workload == workload;
        let own = costs(records.iter().filter(is_it))?;
        let others = costs(records.iter().filter(|record| !is_it(record)))?;
        let number = least(&others);
        let rule = Constants::ALL
            .iter()
            .position(|c| *c == Constants::OF_THE_RULE)?;
        Some(LeftOut {
            workload: workload.to_string(),
            constants: Constants::ALL[number],
            cost: own[number],
            cost_of_the_rule: own[rule],
            least_cost: own[least(&own)],
        })
    };
    workloads.into_iter().filter_map(of).collect()
}

/// Returns the mean cost over the oracle's with each constants; nothing without a record.
fn costs<'a>(records: impl Iterator<Item = &'a Judged>) -> Option<Vec<f64>> {
    let cells: Vec<&Cell> = records.flat_map(|record| &record.cells).collect();
    (0..Constants::ALL.len())
        .map(|number| {
            mean(
                cells
                    .iter()
                    .filter_map(|cell| ratio(cell.constants[number], cell.oracle)),
            )
        })
        .collect()
}

/// Returns the number of the least one.
fn least(costs: &[f64]) -> usize {
    (0..costs.len())
        .min_by(|a, b| costs[*a].total_cmp(&costs[*b]))
        .expect("there are some")
}
