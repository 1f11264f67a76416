//! Which windows of a record a trace shows.

use super::Plan;

/// Counts the windows that are shown, and knows when there are enough.
#[derive(Debug)]
pub struct Cut {
    from: u64,
    to: Option<u64>,
    most: Option<u64>,
    shown: u64,
    cut_at: Option<u64>,
}

impl Cut {
    /// Returns the cut of a plan.
    pub const fn new(plan: &Plan) -> Self {
        Self {
            from: plan.from,
            to: plan.to,
            most: plan.windows,
            shown: 0,
            cut_at: None,
        }
    }

    /// A window begins at `start` nanoseconds. Returns false if it and all later ones are cut off.
    pub fn goes_on(&mut self, start: u64) -> bool {
        if start < self.from {
            return true;
        }
        if self.to.is_some_and(|to| start >= to) {
            return false;
        }
        if self.most == Some(self.shown) {
            self.cut_at = Some(start);
            return false;
        }
        self.shown += 1;
        true
    }

    /// Windows that are shown.
    pub const fn shown(&self) -> u64 {
        self.shown
    }

    /// When the first window began that was one too many.
    pub const fn cut_at(&self) -> Option<u64> {
        self.cut_at
    }
}
