//! Replays: every scheme over a record of what the guests did, with the code that runs at EL2.
//!
//! A [`Replay`] takes the windows of a record in their order, in pieces of any size, and counts for
//! each scheme what the state machine of `trapcast-switch` would have done with the schemes of
//! `trapcast-forecast`. A scheme sees of a window what that state machine shows it, and nothing
//! else. Beside them it counts what the windows did, and for each cost profile the cheapest
//! decisions in hindsight. What it keeps does not grow with the number of windows.
//!
//! | part | what it does |
//! |---|---|
//! | `machine` | one window by the state machine |
//! | `table` | the same as a table, filled as it is used |
//! | `batch` | windows cut up for the tables |
//! | `follow` | one scheme over a record, and what it does with the registers in each window |
//! | `lane` | one scheme over a record, by tables |
//! | `windows` | what the windows did |
//! | `strand` | what one thread does of all this |
//! | `oracle` | the cheapest decisions |
//! | `steps` | the same as a table |
//! | `cost` | what counts cost |
//! | `parallel` | decoding and replaying side by side, and several files |

mod batch;
mod cost;
mod counts;
mod event;
mod follow;
mod lane;
mod machine;
mod oracle;
mod outcome;
mod parallel;
mod steps;
mod strand;
mod table;
#[cfg(test)]
mod tests;
mod windows;

pub use cost::{Moves, ratio};
pub use counts::SchemeCounts;
pub use event::Event;
pub use follow::{Cause, Follower, Step};
pub use machine::{Owner, count_with};
pub use outcome::{OracleOutcome, Outcome, SchemeOutcome, Standing};
pub use parallel::{Part, replay};
use rayon::prelude::*;
use strand::Strand;
use trapcast_forecast::{Costs, Resume, Scheme};
pub use windows::Windows;

use trapcast_tool::error::Result;

/// Schemes that one thread replays side by side in about the time of one.
const SIDE_BY_SIDE: usize = 4;

/// How a scheme is replayed. Both ways come to the same counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// By tables, filled as they are used: fast if few states of a vCPU come up again and again, as
    /// they do under all schemes of today.
    Tables,
    /// Every window by the state machine: for a scheme whose memory takes so many values that tables
    /// would not know most of them.
    Direct,
}

/// A replay of some schemes over one record.
#[derive(Debug)]
pub struct Replay {
    /// Parts that know nothing of one another; the first one counts the windows.
    strands: Vec<Strand>,
    schemes: Vec<Scheme>,
    profiles: Vec<Costs>,
}

impl Replay {
    /// Returns a replay of `schemes`, with an oracle for each of `profiles`, that has seen nothing
    /// yet. It uses the threads of the current rayon pool.
    ///
    /// `forecast`, which decides by costs, is replayed twice for each profile: with an interrupt that is
    /// pending going first, and with `prompt=off`.
    pub fn new(schemes: &[Scheme], profiles: &[Costs]) -> Self {
        let rules: Vec<_> = schemes
            .iter()
            .filter(|scheme| **scheme != Scheme::Forecast)
            .map(|&scheme| (scheme, Method::Tables))
            .collect();
        let threads = rayon::current_num_threads();
        let mut replay = Self::with_methods(&rules, profiles, threads);
        if schemes.contains(&Scheme::Forecast) {
            replay.strands.resize_with(threads, || Strand::new(false));
            let forecasts = profiles
                .iter()
                .flat_map(|&costs| [(costs, true), (costs, false)]);
            for ((costs, prompt), strand) in forecasts.zip((0..threads).cycle()) {
                replay.strands[strand].add_forecast(costs, prompt);
            }
        }
        replay.schemes = schemes.to_vec();
        replay
    }

    /// Returns a replay of each scheme by its method, on up to `threads` threads.
    pub fn with_methods(schemes: &[(Scheme, Method)], profiles: &[Costs], threads: usize) -> Self {
        let schemes_in_order = schemes.iter().map(|&(scheme, _)| scheme).collect();
        let strands = threads.clamp(1, schemes.len().div_ceil(SIDE_BY_SIDE).max(1));
        let mut strands: Vec<_> = (0..strands).map(|n| Strand::new(n == 0)).collect();
        let share = schemes.len().div_ceil(strands.len()).max(1);
        for (strand, schemes) in strands.iter_mut().zip(schemes.chunks(share)) {
            for &(scheme, method) in schemes {
                strand.add_scheme(scheme, method);
            }
        }
        let share = profiles.len().div_ceil(strands.len()).max(1);
        // The first strand counts the windows, so the last ones take the oracles.
        for (strand, profiles) in strands.iter_mut().rev().zip(profiles.chunks(share)) {
            profiles.iter().for_each(|&costs| strand.add_oracle(costs));
        }
        Self {
            strands,
            schemes: schemes_in_order,
            profiles: profiles.to_vec(),
        }
    }

    /// Replays the windows that come next. How the guest resumed in each is needed for `forecast` only,
    /// and may be left out without it.
    ///
    /// # Errors
    /// If a vCPU that ran on one core runs on another. What has been counted is then of no use.
    pub fn add(&mut self, events: &[Event], resumes: &[Resume]) -> Result<()> {
        match &mut self.strands[..] {
            [strand] => strand.add(events, resumes),
            strands => strands
                .par_iter_mut()
                .try_for_each(|strand| strand.add(events, resumes)),
        }
    }

    /// Returns what was counted.
    pub fn finish(self) -> Outcome {
        let mut outcome = Outcome::default();
        for strand in self.strands {
            strand.finish(&mut outcome);
        }
        let profile = |costs| self.profiles.iter().position(|&asked| asked == costs);
        let place = |scheme| self.schemes.iter().position(|&asked| asked == scheme);
        outcome
            .schemes
            .sort_by_key(|outcome| (place(outcome.scheme), outcome.costs.map(profile)));
        outcome
            .not_prompt
            .sort_by_key(|outcome| outcome.costs.map(profile));
        let place = profile;
        outcome.oracles.sort_by_key(|oracle| place(oracle.costs));
        outcome
    }
}
