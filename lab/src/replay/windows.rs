//! What the windows of a vCPU did, whatever the scheme.

use std::ops::AddAssign;

use trapcast_switch::Tally;

use super::{
    Event,
    batch::{self, SYMBOLS},
};

/// What the windows of one vCPU did, or those of all vCPUs, whatever the scheme.
///
/// Pairs are of two windows of the same vCPU. A load window that the record does not see put is not
/// counted.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Windows {
    /// From an entry to its exit.
    pub entry: Tally,
    /// From the load of the vCPU to its put.
    pub load: Tally,
    /// Whether any entry since the vCPU was loaded used the registers.
    used_since_load: bool,
}

impl Windows {
    /// Counts one entry window that used the registers or not, and the load window that ends with
    /// it, if one does.
    #[inline]
    fn add(&mut self, used: bool, put: bool) {
        self.entry.add(used);
        self.used_since_load |= used;
        if put {
            self.load.add(std::mem::take(&mut self.used_since_load));
        }
    }

    /// Adds the counts of `other` as often as `times` says.
    fn merge(&mut self, other: &Self, times: u64) {
        for (sum, tally) in [
            (&mut self.entry, &other.entry),
            (&mut self.load, &other.load),
        ] {
            sum.windows += tally.windows * times;
            sum.used += tally.used * times;
            for (sums, counts) in sum.pairs.iter_mut().zip(&tally.pairs) {
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum += count * times;
                }
            }
        }
    }

    /// Forgets the counts, but not the window before.
    fn forget_counts(&mut self) {
        for tally in [&mut self.entry, &mut self.load] {
            tally.windows = 0;
            tally.used = 0;
            tally.pairs = Default::default();
        }
    }

    /// Returns what is the same with the counts forgotten, after the windows of `symbol`; and those
    /// windows' counts.
    fn after(mut self, symbol: u16) -> (Self, Self) {
        for flags in batch::flags(symbol) {
            self.add(flags & Event::USED != 0, flags & Event::PUT != 0);
        }
        let counted = self;
        self.forget_counts();
        (self, counted)
    }
}

impl AddAssign<&Self> for Windows {
    fn add_assign(&mut self, other: &Self) {
        self.merge(other, 1);
    }
}

/// The windows of one vCPU as they are counted: a table that fills as it is used, as that of a
/// scheme. What was before a window takes no more than 18 values.
#[derive(Clone, Debug)]
pub(super) struct WindowTable {
    /// What was before, nothing counted.
    rows: Vec<Windows>,
    steps: Vec<Step>,
    current: usize,
}

/// What symbol came in which row.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// The row after it, if it came before.
    next: Option<u8>,
    visits: u64,
}

const NEVER: Step = Step {
    next: None,
    visits: 0,
};

impl WindowTable {
    /// Returns the table of a vCPU that has not run yet.
    pub fn new() -> Self {
        Self {
            rows: vec![Windows::default()],
            steps: vec![NEVER; SYMBOLS],
            current: 0,
        }
    }

    /// Counts the windows that `symbols` stand for.
    pub fn add(&mut self, symbols: &[u16]) {
        let mut row = self.current;
        for &symbol in symbols {
            let step = &mut self.steps[row * SYMBOLS + usize::from(symbol)];
            step.visits += 1;
            row = match step.next {
                Some(next) => usize::from(next),
                None => self.learn(row, symbol),
            };
        }
        self.current = row;
    }

    #[cold]
    fn learn(&mut self, row: usize, symbol: u16) -> usize {
        let (after, _) = self.rows[row].after(symbol);
        let known = self.rows.iter().position(|&row| row == after);
        let next = known.unwrap_or_else(|| {
            self.rows.push(after);
            self.steps.resize(self.rows.len() * SYMBOLS, NEVER);
            self.rows.len() - 1
        });
        self.steps[row * SYMBOLS + usize::from(symbol)].next = u8::try_from(next).ok();
        next
    }

    /// Returns what was counted.
    pub fn finish(&self) -> Windows {
        let mut windows = self.rows[self.current];
        for (row, steps) in self.rows.iter().zip(self.steps.chunks_exact(SYMBOLS)) {
            for (symbol, step) in (0..).zip(steps).filter(|(_, step)| step.visits != 0) {
                windows.merge(&row.after(symbol).1, step.visits);
            }
        }
        windows
    }
}
