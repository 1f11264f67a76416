//! From ticks of a record to times of its trace.

/// The clock of a record.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: u64,
    frequency: u64,
}

impl Clock {
    /// Returns the clock of a record that starts at `start` ticks; `None` if it does not tick.
    pub fn new(start: u64, frequency: u64) -> Option<Self> {
        (frequency != 0).then_some(Self { start, frequency })
    }

    /// Returns the nanoseconds from the record's start to `ticks`, rounded down.
    pub fn nanoseconds(self, ticks: u64) -> u64 {
        let ticks = u128::from(ticks.saturating_sub(self.start));
        let nanoseconds = ticks * 1_000_000_000 / u128::from(self.frequency);
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }
}
