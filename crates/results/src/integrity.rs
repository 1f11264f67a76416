//! Whether registers were kept apart, in both runs of a scheme.

use serde::{Deserialize, Serialize};
use trapcast_forecast::Scheme;

/// What the checks found, over both runs of a scheme.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Integrity {
    /// What became of the check.
    pub verdict: Verdict,
    /// Registers and results that were not what a guest expected.
    pub guest_mismatches: u64,
    /// Times that the host had lost its registers.
    pub host_mismatches: u64,
    /// Guests that did not finish.
    pub failures: Vec<String>,
}

/// What became of the check of integrity.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing was amiss.
    #[default]
    Clean,
    /// The negative control was caught, as it must be.
    Caught,
    /// The negative control was not caught where it must be: the check is worth nothing.
    Missed,
    /// A scheme lost an owner's registers.
    Corrupt,
}

impl Verdict {
    /// Whether it speaks against the hypervisor or its checks.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Missed | Self::Corrupt)
    }
}

impl Integrity {
    /// Judges what was found.
    pub fn judge(&mut self, scheme: Scheme, must_catch_none: bool) {
        let found =
            self.guest_mismatches > 0 || self.host_mismatches > 0 || !self.failures.is_empty();
        self.verdict = match (scheme, found) {
            (Scheme::None, true) => Verdict::Caught,
            (Scheme::None, false) if must_catch_none => Verdict::Missed,
            (_, false) => Verdict::Clean,
            (_, true) => Verdict::Corrupt,
        };
    }
}
