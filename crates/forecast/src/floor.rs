//! What keeps `forecast` from doing much worse than to load always or never.

use crate::prices::{CEILING, UNIT};

/// How much worse than the better of the two the accounts may have done before they are not asked any
/// more.
const BOUND: i32 = 256 * UNIT;

/// What the accounts' decisions would have cost, in all windows that were seen, more than the same
/// decision each time. `docs/forecast.md` has the bound that follows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Floor {
    /// More than to load always.
    over_always: i32,
    /// More than never to load.
    over_never: i32,
    /// What never loading has cost more than always loading, of late.
    fixed: i32,
}

impl Floor {
    pub const fn new() -> Self {
        Self {
            over_always: 0,
            over_never: 0,
            fixed: 0,
        }
    }

    /// Returns `sum`, or what decides in its place.
    #[inline]
    pub fn decide(&self, sum: i32) -> i32 {
        if self.over_always.max(self.over_never) > BOUND {
            self.fixed
        } else {
            sum
        }
    }

    /// Learns that not to load would have cost `change` more than to load, or less if it is negative,
    /// where the accounts said to load or not.
    #[inline]
    pub fn learn(&mut self, load: bool, change: i32) {
        if load {
            self.over_never = limited(self.over_never - change);
        } else {
            self.over_always = limited(self.over_always + change);
        }
        self.fixed = (self.fixed + change).clamp(-CEILING, CEILING);
    }
}

/// Forgets what is too long ago to matter.
fn limited(over: i32) -> i32 {
    over.clamp(-BOUND, 2 * BOUND)
}
