//! Forecasters as part of a row: the whole of a small one, and a proxy of one whose memory is large.

use std::hash::Hash;

use trapcast_forecast::{Decision, Evidence, Release, Resume, Rule, Window};
use trapcast_switch::Forecast;

/// A forecaster that is part of a row.
pub(crate) trait Memory: Forecast + Copy + Eq + Hash {
    /// What it is to answer, if it is asked.
    fn answer(&mut self, _: Decision) {}

    /// Forgets what it was asked and told, and returns it.
    fn take(&mut self) -> Heard {
        Heard::default()
    }
}

/// A rule remembers little, and decides itself.
impl Memory for Rule {}

/// What a forecaster was asked and told in a window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Heard {
    /// It was asked at the entry.
    pub asked: bool,
    /// What it was told before.
    pub before: Option<Evidence>,
    /// What it was told after, or in all if it was not asked.
    pub after: Option<Evidence>,
}

/// Stands for a forecaster whose memory is too large for a row: what it is asked and told is passed on, and
/// what it answers is part of the symbol.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Proxy {
    window: Window,
    release: Release,
    answer: Decision,
    asked: bool,
    told: [Option<Evidence>; 2],
}

impl Proxy {
    /// Returns one that stands for `forecaster`.
    pub fn of(forecaster: &impl Forecast) -> Self {
        Self {
            window: forecaster.window(),
            release: forecaster.release(),
            answer: Decision::Leave,
            asked: false,
            told: [None; 2],
        }
    }
}

impl Forecast for Proxy {
    fn decide(&mut self, _: impl FnOnce() -> Resume) -> Decision {
        self.asked = true;
        self.answer
    }

    fn learn(&mut self, evidence: Evidence) {
        let told = &mut self.told[usize::from(self.asked)];
        debug_assert!(told.is_none(), "a window is learnt of once");
        *told = Some(evidence);
    }

    fn window(&self) -> Window {
        self.window
    }

    fn release(&self) -> Release {
        self.release
    }
}

impl Memory for Proxy {
    fn answer(&mut self, decision: Decision) {
        self.answer = decision;
    }

    fn take(&mut self) -> Heard {
        self.answer = Decision::Leave;
        let asked = std::mem::take(&mut self.asked);
        let [first, second] = std::mem::take(&mut self.told);
        let (before, after) = if asked {
            (first, second)
        } else {
            (None, first)
        };
        Heard {
            asked,
            before,
            after,
        }
    }
}
