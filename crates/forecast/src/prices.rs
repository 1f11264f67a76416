//! What right and wrong decisions are worth under given costs, in the unit of the accounts.

use crate::Costs;

/// The price of the more expensive mistake. It is the unit of accounts, whatever the unit of the costs.
pub(crate) const UNIT: i32 = 1024;

/// How many of the more expensive mistakes in a row an account can hold.
const LIMIT: i32 = 16;

/// What an account never rises above.
pub(crate) const CEILING: i32 = LIMIT * UNIT;

/// The sparsest probes: one of so many loads. All bits below a power of two.
pub(crate) const MOST: u16 = (1 << 13) - 1;

/// The prices of mistakes, and how often to look whether there are any.
///
/// A guest that uses registers that were left out traps: `T = trap + gate + isb`. Loading them for a
/// guest that does not use them wastes an exchange, and another one when the previous owner needs
/// its own: `W = 2 (save + load)`. [`docs/forecast.md`](https://github.com/trapcast/trapcast/blob/main/docs/forecast.md) derives all that follows from these two.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Prices {
    /// T, where the larger of T and W is [`UNIT`].
    pub(crate) late: i16,
    /// W.
    pub(crate) wasted: i16,
    /// What an account never falls below.
    pub(crate) lowest: i16,
    /// Loads of which one is a probe, on average, while the account is about even.
    pub(crate) dense: u16,
    /// The same, more for a balance of [`CEILING`].
    pub(crate) sparse: u16,
}

impl Prices {
    /// How many loads the derivation of the probes' spacing looks ahead: a habit that lasts this long is
    /// worth finding out about.
    pub const HORIZON: u64 = 1 << 12;

    /// Derives the prices from what trapping and moving one class of registers costs.
    pub const fn new(costs: &Costs) -> Self {
        Self::with_horizon(costs, Self::HORIZON)
    }

    /// Derives them for habits that last `horizon` loads, to find out what another one than
    /// [`HORIZON`](Self::HORIZON) would be worth.
    ///
    /// # Panics
    /// If `horizon` is not below 2^24.
    pub const fn with_horizon(costs: &Costs, horizon: u64) -> Self {
        assert!(horizon < 1 << 24, "products fit into 64 bits");
        let trap = costs.trap as u64 + costs.unlock();
        let probe = costs.probe as u64 + costs.unlock();
        let waste = 2 * costs.exchange();
        let late = in_units(trap, trap, waste);
        let wasted = in_units(waste, trap, waste);
        let depth = larger(LIMIT * wasted, late / 2);
        let waste = if waste == 0 { 1 } else { waste };
        Self {
            late: late as i16,
            wasted: wasted as i16,
            lowest: -depth as i16,
            dense: spacing(4 * probe / waste),
            sparse: spacing((horizon * probe / waste).isqrt()),
        }
    }

    /// Returns of how many loads one is to be a probe, where an account holds `balance` for loading; at
    /// most [`MOST`].
    #[inline]
    pub(crate) fn spacing(&self, balance: i32) -> u16 {
        let sure = balance as u32 * u32::from(self.sparse) / CEILING as u32;
        (u32::from(self.dense) + sure).min(MOST.into()) as u16
    }
}

/// Returns `cost` in units of which the larger of the two others makes [`UNIT`]; at least one if there
/// is any cost.
const fn in_units(cost: u64, a: u64, b: u64) -> i32 {
    let larger = if a > b { a } else { b };
    if cost == 0 {
        return 0;
    }
    let units = (cost * UNIT as u64 + larger / 2) / larger;
    if units == 0 { 1 } else { units as i32 }
}

const fn larger(a: i32, b: i32) -> i32 {
    if a > b { a } else { b }
}

/// Returns a spacing of probes within what is stored of it.
const fn spacing(loads: u64) -> u16 {
    if loads == 0 {
        1
    } else if loads > MOST as u64 {
        MOST
    } else {
        loads as u16
    }
}
