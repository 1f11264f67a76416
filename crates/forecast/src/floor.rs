//! What keeps `forecast` from doing much worse than to load always or never.

use crate::prices::{CEILING, UNIT};

/// How much worse than the better of the two the accounts may have done before they are not asked any
/// more.
const BOUND: i32 = 256 * UNIT;

/// What the accounts' decisions would have cost, in all windows that were seen, more than the same
/// decision each time; zero at least. [`docs/forecast.md`](https://github.com/trapcast/trapcast/blob/main/docs/forecast.md) has the bound that follows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Floor {
    /// More than to load always.
    over_always: i32,
    /// More than never to load.
    over_never: i32,
    /// While the accounts are not asked: what never loading has cost more than always loading, of late.
    fixed: i16,
    /// Whether they are not.
    doubtful: bool,
}

impl Floor {
    pub const fn new() -> Self {
        Self {
            over_always: 0,
            over_never: 0,
            fixed: 0,
            doubtful: false,
        }
    }

    /// Returns what decides in the accounts' place, if they are not asked.
    #[inline]
    pub fn decides(&self) -> Option<i16> {
        self.doubtful.then_some(self.fixed)
    }

    /// Learns of a window without a use: to load would have cost `waste` more than not to, and the
    /// accounts said to load or not. Has to be [considered](Self::consider) unless they said not to, and
    /// decide.
    #[inline]
    pub fn fell(&mut self, load: bool, waste: i32) {
        if load {
            self.over_never += waste;
        } else {
            self.over_always = (self.over_always - waste).max(0);
        }
    }

    /// Learns of a window with a use, where not to load would have cost `late` more.
    #[inline]
    pub fn rose(&mut self, load: bool, late: i32) {
        if load {
            self.over_never = (self.over_never - late).max(0);
        } else {
            self.over_always += late;
        }
    }

    /// The accounts may have done too badly, or well enough again, with not loading having cost
    /// `change` more than loading.
    pub fn consider(&mut self, change: i32) {
        self.over_always = self.over_always.min(2 * BOUND);
        self.over_never = self.over_never.min(2 * BOUND);
        let was_doubtful = self.doubtful;
        self.doubtful = self.over_always.max(self.over_never) > BOUND;
        if was_doubtful {
            self.fixed = (i32::from(self.fixed) + change).clamp(-CEILING, CEILING) as i16;
        } else {
            self.fixed = 0;
        }
    }
}
