//! A forecaster of any scheme.

use crate::{Accounts, Decision, Evidence, Prices, Resume, Rule, Scheme};

/// One vCPU's forecaster for one class of registers: the scheme and all that it remembers.
///
/// It goes where the vCPU goes, so that preemption, migration and a vCPU's end need no care.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one per vCPU and class, and no allocator"
)]
pub enum Forecaster {
    /// One of the schemes of others.
    Rule(Rule),
    /// `forecast`.
    Accounts(Accounts),
}

impl Forecaster {
    /// Returns the forecaster of a vCPU that has not run yet. The prices and the seed, which chooses
    /// the windows that are probed, are for `forecast` alone.
    pub const fn new(scheme: Scheme, prices: Prices, seed: u32) -> Self {
        match scheme {
            Scheme::Forecast => Self::Accounts(Accounts::new(prices, seed)),
            scheme => Self::Rule(Rule::new(scheme)),
        }
    }

    /// Returns the scheme that this forecaster follows.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Rule(rule) => rule.scheme(),
            Self::Accounts(_) => Scheme::Forecast,
        }
    }

    /// Decides at the start of a window. To be called once per window.
    #[inline]
    pub fn decide(&mut self, resume: impl FnOnce() -> Resume) -> Decision {
        match self {
            Self::Rule(rule) => rule.decide(),
            Self::Accounts(accounts) => {
                let Resume { pc, pending } = resume();
                decide(accounts, pc, pending)
            }
        }
    }

    /// Notes a further entry of an absence, at `pc`. Returns whether the registers stay out, so that nothing
    /// is decided; see [`Accounts::stays_out`].
    #[inline(always)]
    pub fn stays_out(&mut self, pc: impl FnOnce() -> u64) -> bool {
        match self {
            Self::Rule(_) => false,
            Self::Accounts(accounts) => accounts.stays_out(pc()),
        }
    }

    /// Learns at the end of a window what could be seen of it. To be called once per window.
    #[inline]
    pub fn learn(&mut self, evidence: Evidence) {
        match self {
            Self::Rule(rule) => rule.learn(evidence),
            Self::Accounts(accounts) => learn(accounts, evidence),
        }
    }
}

// Not inlined, so that the path of the rules stays short. Arguments are passed in registers.

#[inline(never)]
fn decide(accounts: &mut Accounts, pc: u64, pending: bool) -> Decision {
    accounts.decide(Resume { pc, pending })
}

#[inline(never)]
fn learn(accounts: &mut Accounts, evidence: Evidence) {
    accounts.learn(evidence);
}
