//! The counts of a run beside those of its replays.

use serde::{Deserialize, Serialize};

/// What a scheme moved.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Moved {
    /// Traps that the scheme armed.
    pub traps: u64,
    /// Traps that it armed although it had loaded the registers.
    pub probes: u64,
    /// Loads of the registers.
    pub loads: u64,
    /// Saves of the registers.
    pub saves: u64,
    /// Loads that a window then did not use.
    pub wasted_loads: u64,
}

impl Moved {
    /// The counts by name, but for probes, which few schemes have.
    pub const fn by_name(&self) -> [(&'static str, u64); 4] {
        [
            ("traps", self.traps),
            ("loads", self.loads),
            ("saves", self.saves),
            ("wasted", self.wasted_loads),
        ]
    }
}

/// How one scheme's replays agree with its live runs on one workload.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Agreement {
    /// What the plain run counted, and what was wasted in the observed run.
    pub live: Moved,
    /// What the observed run counted, which was recorded.
    pub recorded: Moved,
    /// The replay over that very record.
    pub own: Moved,
    /// The scheme whose record represents all.
    pub reference: String,
    /// The replay over that record.
    pub replayed: Moved,
}

impl Agreement {
    /// Whether the replay of the recorded run has its counts.
    pub fn is_exact(&self) -> bool {
        self.own == self.recorded
    }

    /// How much the replay over the reference differs from the live run, for each count, in percent
    /// of the live run's.
    pub fn differences(&self) -> [f64; 4] {
        let (live, replayed) = (self.live.by_name(), self.replayed.by_name());
        std::array::from_fn(|n| percent(live[n].1, replayed[n].1))
    }
}

/// The difference of two counts in percent of the first; 100 where that is zero and the other not.
fn percent(live: u64, replayed: u64) -> f64 {
    match (live, live.abs_diff(replayed)) {
        (_, 0) => 0.0,
        (0, _) => 100.0,
        (live, difference) => 100.0 * difference as f64 / live as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_in_percent_of_the_live_run() {
        assert_eq!(percent(200, 202), 1.0);
        assert_eq!(percent(200, 198), 1.0);
        assert_eq!((percent(0, 0), percent(0, 3)), (0.0, 100.0));
    }

    #[test]
    fn a_replay_is_exact_only_if_every_count_is() {
        let moved = Moved {
            traps: 1,
            probes: 5,
            loads: 2,
            saves: 3,
            wasted_loads: 4,
        };
        let agreement = Agreement {
            live: moved,
            recorded: moved,
            own: moved,
            reference: "owner".to_string(),
            replayed: Moved { loads: 3, ..moved },
        };
        assert!(agreement.is_exact());
        assert_eq!(agreement.differences(), [0.0, 50.0, 0.0, 0.0]);
        let own = Moved {
            wasted_loads: 5,
            ..moved
        };
        assert!(!Agreement { own, ..agreement }.is_exact());
    }
}
