//! The schemes of others: what each remembers of one vCPU, and its two rules, to decide at a window's
//! start and to learn at its end.

use crate::{Decision, Evidence, Scheme};

/// Windows in a row that have to use the registers before [`Scheme::Counter`] loads them eagerly:
/// Linux x86 ("5 consecutive context switches", `fpu_counter`) and KVM/x86 until 2016.
pub const COUNTER_THRESHOLD: u8 = 5;

/// Windows that [`Scheme::Credit`] loads eagerly after a trap: the proposal for SVE traps in
/// arm64 Linux of 2023.
pub const CREDIT: u8 = 64;

/// One vCPU's forecaster: the scheme and all that it remembers.
///
/// It takes a few bytes for every scheme, so that preemption, migration and a vCPU's end need no care:
/// it goes where the vCPU goes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rule {
    scheme: Scheme,
    kind: Kind,
    /// `last-trap`: 1 if the last window trapped. `counter`: windows in a row that used the
    /// registers, or may have. `credit`: windows still to be loaded eagerly. Else 0.
    memory: u8,
}

/// What a scheme decides by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Kind {
    /// It never loads.
    Never,
    /// It always does.
    Always,
    LastTrap,
    Counter,
    Credit,
}

impl Kind {
    const fn of(scheme: Scheme) -> Self {
        match scheme {
            Scheme::PerEntry
            | Scheme::UntilPut
            | Scheme::Kvm
            | Scheme::Owner
            | Scheme::Forecast => Self::Never,
            Scheme::None | Scheme::Eager | Scheme::EagerUntilPut | Scheme::EagerOwner => {
                Self::Always
            }
            Scheme::LastTrap => Self::LastTrap,
            Scheme::Counter => Self::Counter,
            Scheme::Credit => Self::Credit,
        }
    }
}

impl Rule {
    /// Returns the forecaster of a vCPU that has not run yet.
    ///
    /// # Panics
    /// On [`Scheme::Forecast`], which has [`Accounts`](crate::Accounts).
    pub const fn new(scheme: Scheme) -> Self {
        assert!(!matches!(scheme, Scheme::Forecast), "forecast has accounts");
        Self {
            scheme,
            kind: Kind::of(scheme),
            memory: 0,
        }
    }

    /// Returns the scheme that this forecaster follows.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Decides at the start of a window. To be called once per window.
    #[inline]
    pub fn decide(&mut self) -> Decision {
        let load = match self.kind {
            Kind::Never => false,
            Kind::Always => true,
            // The 2018 patch: the eager entry consumes the mark and, as it sees no trap, sets none.
            Kind::LastTrap => core::mem::take(&mut self.memory) != 0,
            Kind::Counter => self.memory >= COUNTER_THRESHOLD,
            Kind::Credit => {
                let load = self.memory != 0;
                self.memory = self.memory.saturating_sub(1);
                load
            }
        };
        if load {
            Decision::Load
        } else {
            Decision::Leave
        }
    }

    /// Learns at the end of a window what could be seen of it. To be called once per window.
    #[inline]
    pub fn learn(&mut self, evidence: Evidence) {
        match (self.kind, evidence) {
            (Kind::LastTrap, Evidence::Used) => self.memory = 1,
            // An eager window counts as used, for lack of evidence; that the count wraps after 256
            // is what makes the scheme look again.
            (Kind::Counter, Evidence::Used | Evidence::Blind) => {
                self.memory = self.memory.wrapping_add(1);
            }
            (Kind::Counter, Evidence::Unused) => self.memory = 0,
            (Kind::Credit, Evidence::Used) => self.memory = CREDIT,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decision::{Leave, Load};
    use proptest::prelude::*;

    /// Runs `scheme` over windows of which `used` says whether they use the registers, showing it
    /// only what a hypervisor would see, and returns its decisions.
    fn decisions(scheme: Scheme, used: impl IntoIterator<Item = bool>) -> Vec<Decision> {
        let mut forecaster = Rule::new(scheme);
        used.into_iter()
            .map(|used| {
                let decision = forecaster.decide();
                forecaster.learn(match (decision, used) {
                    (Load, _) => Evidence::Blind,
                    (_, true) => Evidence::Used,
                    (_, false) => Evidence::Unused,
                });
                decision
            })
            .collect()
    }

    #[test]
    fn the_fixed_schemes_always_decide_the_same() {
        let used = || (0..600).map(|window| window % 3 == 0);
        for scheme in [
            Scheme::None,
            Scheme::Eager,
            Scheme::EagerUntilPut,
            Scheme::EagerOwner,
        ] {
            assert!(decisions(scheme, used()).iter().all(|&d| d == Load));
        }
        for scheme in [
            Scheme::PerEntry,
            Scheme::UntilPut,
            Scheme::Kvm,
            Scheme::Owner,
        ] {
            assert!(decisions(scheme, used()).iter().all(|&d| d == Leave));
        }
    }

    #[test]
    fn last_trap_traps_at_every_second_entry_of_a_guest_that_always_uses() {
        let decisions = decisions(Scheme::LastTrap, [true; 100]);
        for (window, decision) in decisions.into_iter().enumerate() {
            assert_eq!(decision, if window % 2 == 0 { Leave } else { Load });
        }
    }

    #[test]
    fn last_trap_is_wrong_in_every_window_of_an_alternating_guest() {
        let decisions = decisions(Scheme::LastTrap, (0..100).map(|window| window % 2 == 0));
        for (window, decision) in decisions.into_iter().enumerate() {
            assert_eq!(decision, if window % 2 == 0 { Leave } else { Load });
        }
    }

    #[test]
    fn counter_waits_for_five_and_starts_over_when_its_count_wraps() {
        let decisions = decisions(Scheme::Counter, [true; 600]);
        for (window, decision) in decisions.into_iter().enumerate() {
            let lazy = window % 256 < usize::from(COUNTER_THRESHOLD);
            assert_eq!(decision, if lazy { Leave } else { Load }, "window {window}");
        }
    }

    #[test]
    fn counter_starts_over_after_an_unused_window() {
        let used = (0..50).map(|window| window % 5 != 4);
        assert!(decisions(Scheme::Counter, used).iter().all(|&d| d == Leave));
    }

    #[test]
    fn credit_buys_sixty_four_windows_with_a_trap() {
        let decisions = decisions(Scheme::Credit, (0..200).map(|window| window == 3));
        for (window, decision) in decisions.into_iter().enumerate() {
            let eager = (4..4 + usize::from(CREDIT)).contains(&window);
            assert_eq!(
                decision,
                if eager { Load } else { Leave },
                "window {window}"
            );
        }
    }

    proptest! {
        /// What cannot be seen must not matter: two guests that differ only in windows behind an
        /// open gate are treated alike.
        #[test]
        fn decisions_rest_on_visible_evidence_only(
            scheme in proptest::sample::select(&Scheme::RULES[..]),
            used in proptest::collection::vec(any::<bool>(), 0..700),
            flips in proptest::collection::vec(any::<bool>(), 700),
        ) {
            let first = decisions(scheme, used.iter().copied());
            let flipped = used
                .iter()
                .zip(&first)
                .zip(&flips)
                .map(|((&used, &decision), &flip)| used ^ (flip && decision == Load));
            prop_assert_eq!(&decisions(scheme, flipped), &first);
        }

        /// A guest that never uses the registers is loaded eagerly by the fixed schemes alone.
        #[test]
        fn nothing_is_loaded_for_a_guest_that_never_uses(windows in 0usize..1000) {
            for scheme in [Scheme::LastTrap, Scheme::Counter, Scheme::Credit] {
                prop_assert!(decisions(scheme, (0..windows).map(|_| false)).iter().all(|&d| d == Leave));
            }
        }
    }
}
