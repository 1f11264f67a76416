//! The scheme `forecast`: accounts of what leaving registers out would have cost more than loading
//! them, kept by where the guest resumes.

use crate::{
    Decision, Evidence, Prices, Resume,
    floor::Floor,
    prices::{CEILING, MOST},
};

/// Accounts of places.
pub(crate) const PLACES: usize = 64;

/// Set in [`Accounts::weight`] if the place has an account, and the floor does not decide.
const QUICK: u16 = 1 << 15;

/// Set there if the registers were left out whatever the account said.
const LEFT: u16 = 1 << 14;

/// Set there if no rule had a choice, so that the floor is not told.
const NO_CHOICE: u16 = MOST + 1;

/// The bits of [`Accounts::weight`] that count windows.
const COUNT: u16 = MOST;

/// Bits of what tells an account.
const AT_BITS: u32 = PLACES.ilog2() + 7;

/// The tag of an account that no place has yet.
const NOBODY: u8 = u8::MAX;

/// The golden ratio's bits, which scatter numbers that are close to each other.
const GOLDEN: u32 = 0x9e37_79b9;

/// The accounts of one vCPU and class of registers.
///
/// A use adds to an account what a trap costs, a window without one takes away what a load wastes.
/// What is seen of a probe counts for all the loads that it stands for. From zero on, load: by the
/// account of the place where the guest resumes if it has one, else by that of all others.
///
/// Should that do worse than to load always or never, by more than a bound, the better of these two
/// decides until it does better again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Accounts {
    places: [i16; PLACES],
    /// Whose these are.
    tags: [u8; PLACES],
    /// The account of all places that have none.
    others: i16,
    floor: Floor,
    prices: Prices,
    /// State of the generator that chooses the probes.
    random: u32,
    /// Windows that what is seen of the current decision stands for, with [`QUICK`], [`LEFT`] and
    /// [`NO_CHOICE`].
    weight: u16,
    /// The current decision's accounts, until something is learnt of it.
    at: At,
    /// Those of the decision before, if the current one took its place.
    before: At,
}

/// What tells the account of a decision: its number in six bits, and above these its tag in seven.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct At(u16);

impl Accounts {
    /// Bytes of code that count as one place to resume at; a power of two.
    pub const PLACE_BYTES: u64 = 64;

    /// Returns the accounts of a vCPU that has not run yet. `seed` chooses the windows that are probed.
    pub const fn new(prices: Prices, seed: u32) -> Self {
        Self {
            places: [0; PLACES],
            tags: [NOBODY; PLACES],
            // To leave the registers out shows what a window does, to load them shows nothing.
            others: -1,
            floor: Floor::new(),
            prices,
            // Seeds that are close to each other begin far apart, and none at zero.
            random: seed.wrapping_mul(2).wrapping_add(1).wrapping_mul(GOLDEN),
            weight: 1,
            at: At::NONE,
            before: At::NONE,
        }
    }

    /// Decides at an entry that finds the registers elsewhere.
    #[inline]
    pub fn decide(&mut self, resume: Resume) -> Decision {
        self.before = self.at;
        self.at = At::new(resume.pc);
        if resume.pending {
            return self.leave_for_interrupt();
        }
        let (balance, quick) = match self.floor.decides() {
            Some(balance) => (balance, 0),
            None if self.has_account(self.at) => {
                let balance = self.places[self.at.number()];
                if balance < 0 {
                    // Most of all decisions.
                    self.weight = QUICK | 1;
                    return Decision::Leave;
                }
                (balance, QUICK)
            }
            None => (self.others, 0),
        };
        if balance < 0 {
            self.weight = quick | 1;
            return Decision::Leave;
        }
        let spacing = self.prices.spacing(balance.into());
        self.weight = quick | spacing;
        if self.one_in(spacing) {
            Decision::Probe
        } else {
            Decision::Load
        }
    }

    /// Leaves the registers out as an interrupt is pending. To load them was possible before, if another
    /// entry of the same absence was free to.
    #[inline(never)]
    fn leave_for_interrupt(&mut self) -> Decision {
        let had_choice = self.before != At::NONE && self.weight & NO_CHOICE == 0;
        self.weight = if had_choice {
            LEFT | 1
        } else if self.floor.decides().is_none() && self.has_account(self.at) {
            QUICK | NO_CHOICE | 1
        } else {
            NO_CHOICE | 1
        };
        Decision::Leave
    }

    /// Learns what could be seen of the last decision, once it is known. A decision that another one
    /// takes the place of before that is not told of, but shares in that one's use.
    #[inline]
    pub fn learn(&mut self, evidence: Evidence) {
        let at = core::mem::replace(&mut self.at, At::NONE);
        match evidence {
            Evidence::Unused => self.was_unused(at),
            Evidence::Used => self.was_used(at),
            Evidence::Blind => {}
        }
    }

    #[inline]
    fn was_unused(&mut self, at: At) {
        if self.weight & QUICK == 0 {
            return self.was_unused_elsewhere(at);
        }
        let waste = i32::from(self.prices.wasted) * self.stands_for();
        let lowest = i32::from(self.prices.lowest);
        let account = &mut self.places[at.number()];
        let load = *account >= 0;
        *account = (i32::from(*account) - waste).max(lowest) as i16;
        if self.weight & NO_CHOICE == 0 && self.floor.fell(load, waste) {
            self.floor.consider(-waste);
        }
    }

    #[inline(never)]
    fn was_unused_elsewhere(&mut self, at: At) {
        let waste = i32::from(self.prices.wasted) * self.stands_for();
        let load = self.book(at, -waste);
        if let Some(load) = self.chose(load) {
            self.floor.fell(load, waste);
            self.floor.consider(-waste);
        }
    }

    /// Apart, as it comes with a trap: the way of what is not used stays short.
    #[inline(never)]
    fn was_used(&mut self, at: At) {
        let late = i32::from(self.prices.late);
        let seen = late * self.stands_for();
        let load = self.book(at, seen);
        if let Some(load) = self.chose(load) {
            self.floor.rose(load, seen);
            self.floor.consider(seen);
        }
        if self.before != At::NONE {
            self.book(self.before, late);
        }
    }

    /// Returns how many windows what is seen of the current decision stands for.
    fn stands_for(&self) -> i32 {
        i32::from(self.weight & COUNT)
    }

    /// Returns whether the registers were to be loaded, given what the account said; nothing if there
    /// was no choice.
    fn chose(&self, load: bool) -> Option<bool> {
        (self.weight & NO_CHOICE == 0).then_some(load && self.weight & LEFT == 0)
    }

    /// Adds to the account that a decision goes by. Returns whether that spoke for loading.
    ///
    /// A place without an account gets one while there are some, and later if that of all others was
    /// wrong about it.
    fn book(&mut self, at: At, change: i32) -> bool {
        let is_own = self.has_account(at);
        let place = &mut self.places[at.number()];
        let lowest = i32::from(self.prices.lowest);
        let changed = |balance: i16| (i32::from(balance) + change).min(CEILING).max(lowest) as i16;
        let account = if is_own {
            &mut *place
        } else {
            &mut self.others
        };
        let load = *account >= 0;
        *account = changed(*account);
        let tag = &mut self.tags[at.number()];
        if !is_own && (*tag == NOBODY || load != (change > 0)) {
            *tag = at.tag();
            *place = changed(0);
        }
        load
    }

    /// Returns whether a decision goes by its place's own account.
    #[inline]
    fn has_account(&self, at: At) -> bool {
        self.tags[at.number()] == at.tag()
    }

    /// Returns true once in `spacing` times, by chance.
    #[inline]
    fn one_in(&mut self, spacing: u16) -> bool {
        // Marsaglia's xorshift, "Xorshift RNGs", 2003.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        (u64::from(self.random) * u64::from(spacing)) >> 32 == 0
    }
}

impl At {
    /// No decision's.
    const NONE: Self = Self(u16::MAX);

    #[inline]
    fn new(pc: u64) -> Self {
        // The highest bits are scattered best.
        Self(
            ((pc / Accounts::PLACE_BYTES) as u32)
                .wrapping_mul(GOLDEN)
                .wrapping_shr(32 - AT_BITS) as u16,
        )
    }

    const fn number(self) -> usize {
        self.0 as usize % PLACES
    }

    const fn tag(self) -> u8 {
        (self.0 as usize / PLACES) as u8
    }
}

#[cfg(test)]
mod tests {
    use Decision::{Leave, Load, Probe};
    use proptest::prelude::*;

    use super::*;
    use crate::Costs;

    /// A trap as dear as on a Cortex-A57 with VHE, where p* is 0.32.
    const VHE: Costs = Costs {
        trap: 752,
        probe: 752,
        save: 92,
        load: 91,
        gate: 9,
        isb: 30,
    };

    /// A trap that is forwarded to another hypervisor.
    const NESTED: Costs = Costs {
        trap: 96_640,
        probe: 96_640,
        ..VHE
    };

    /// A trap that is cheaper than an exchange.
    const CHEAP: Costs = Costs {
        trap: 52,
        probe: 64,
        save: 20,
        load: 20,
        gate: 1,
        isb: 1,
    };

    const ALL: [Costs; 3] = [CHEAP, VHE, NESTED];

    fn resume(pc: u64) -> Resume {
        Resume { pc, pending: false }
    }

    /// What a run over windows has come to.
    #[derive(Clone, Copy, Debug, Default)]
    struct Run {
        leaves: u64,
        loads: u64,
        probes: u64,
        /// What mistakes and probes cost: a use of what was left out T, a load of what is not used W, a
        /// use of what is probed a probe.
        cost: u64,
        /// What always leaving them out would have cost, and what always loading.
        never: u64,
        always: u64,
    }

    fn run(costs: &Costs, seed: u32, windows: impl IntoIterator<Item = (Resume, bool)>) -> Run {
        let mut accounts = Accounts::new(Prices::new(costs), seed);
        let late = u64::from(costs.trap) + costs.unlock();
        let wasted = 2 * costs.exchange();
        let mut run = Run::default();
        for (resume, used) in windows {
            let decision = accounts.decide(resume);
            let evidence = match (decision, used) {
                (Load, _) => Evidence::Blind,
                (_, true) => Evidence::Used,
                (_, false) => Evidence::Unused,
            };
            run.leaves += u64::from(decision == Leave);
            run.loads += u64::from(decision == Load);
            run.probes += u64::from(decision == Probe);
            run.cost += match (decision, used) {
                (Leave, true) => late,
                (Leave, false) | (Load, true) => 0,
                (Load | Probe, false) => wasted,
                (Probe, true) => u64::from(costs.probe) + u64::from(costs.gate),
            };
            run.never += if used { late } else { 0 };
            run.always += if used { 0 } else { wasted };
            accounts.learn(evidence);
        }
        run
    }

    #[test]
    fn what_a_vcpu_remembers_is_small() {
        // Allowed were 256. Documents name the number.
        assert_eq!(size_of::<Accounts>(), 228);
    }

    #[test]
    fn nothing_is_loaded_while_an_interrupt_is_pending() {
        for costs in ALL {
            let mut accounts = Accounts::new(Prices::new(&costs), 1);
            let mut decide = |pending| {
                let decision = accounts.decide(Resume {
                    pending,
                    ..resume(0x1000)
                });
                accounts.learn(match decision {
                    Load => Evidence::Blind,
                    Leave | Probe => Evidence::Used,
                });
                decision
            };
            let decisions: Vec<_> = (0..1000).map(|n| decide(n % 2 == 0)).collect();
            let (pending, others): (Vec<_>, Vec<_>) =
                decisions.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
            assert!(pending.iter().all(|decision| *decision == Leave));
            assert!(others[1..].iter().all(|decision| *decision != Leave));
        }
    }

    #[test]
    fn a_guest_that_never_uses_them_is_soon_left_alone() {
        for costs in ALL {
            let run = run(&costs, 1, (0..100_000).map(|_| (resume(0x1000), false)));
            assert!(run.cost <= 40 * run.always / 100, "{costs:?}: {run:?}");
        }
        // Where the trap is cheap there is nothing to find out first.
        let run = run(&CHEAP, 1, (0..1000).map(|_| (resume(0x1000), false)));
        assert_eq!(run.cost, 0);
    }

    #[test]
    fn a_guest_that_always_uses_them_is_soon_loaded_early() {
        for costs in ALL {
            let run = run(&costs, 1, (0..100_000).map(|_| (resume(0x1000), true)));
            assert_eq!(run.always, 0);
            assert!(run.cost <= run.never / 20, "{costs:?}: {run:?}");
            assert!(run.loads > 90_000, "{costs:?}: {run:?}");
        }
    }

    /// Two places: at one they are always used, at the other never.
    #[test]
    fn it_tells_places_apart() {
        for costs in [CHEAP, VHE] {
            let windows = (0..20_000).map(|n| match n % 2 {
                0 => (resume(0x1000), true),
                _ => (resume(0x8000), false),
            });
            let run = run(&costs, 1, windows);
            let fixed = run.never.min(run.always);
            assert!(run.cost <= fixed / 8, "{costs:?}: {run:?}");
        }
    }

    /// The same history, another machine, another decision.
    #[test]
    fn it_decides_by_the_costs() {
        let windows = || (0..20_000).map(|n| (resume(0x1000), n % 5 == 0));
        let cheap = run(&CHEAP, 1, windows());
        assert!(cheap.leaves > 19_000, "{cheap:?}");
        let nested = run(&NESTED, 1, windows());
        assert!(nested.leaves < 1000, "{nested:?}");
    }

    #[test]
    fn what_behaves_otherwise_from_now_on_is_noticed() {
        let windows = (0..40_000).map(|n| (resume(0x1000), (n / 10_000) % 2 == 0));
        for costs in [CHEAP, VHE] {
            let run = run(&costs, 1, windows.clone());
            assert!(
                run.cost <= run.never.min(run.always) / 5,
                "{costs:?}: {run:?}"
            );
        }
    }

    proptest! {
        /// Nothing that happens behind an open gate matters.
        #[test]
        fn decisions_rest_on_visible_evidence_only(
            seed: u32,
            windows in proptest::collection::vec((0u64..4, any::<bool>(), any::<bool>()), 0..3000),
        ) {
            let decisions = |flip_loads: bool| {
                let mut accounts = Accounts::new(Prices::new(&VHE), seed);
                let decide = |&(pc, used, flip): &(u64, bool, bool)| {
                    let decision = accounts.decide(resume(pc << 12));
                    let used = used ^ (flip && flip_loads && decision == Load);
                    accounts.learn(match (decision, used) {
                        (Load, _) => Evidence::Blind,
                        (_, true) => Evidence::Used,
                        (_, false) => Evidence::Unused,
                    });
                    decision
                };
                windows.iter().map(decide).collect::<Vec<_>>()
            };
            prop_assert_eq!(decisions(true), decisions(false));
        }

        /// Accounts stay within their limits whatever comes, under any costs.
        #[test]
        fn no_account_overflows(
            costs in any::<(u32, u32, u32, u32, u32, u32)>(),
            seed: u32,
            windows in proptest::collection::vec((any::<u64>(), any::<bool>()), 0..500),
        ) {
            let (trap, probe, save, load, gate, isb) = costs;
            let costs = Costs { trap, probe, save, load, gate, isb };
            let mut accounts = Accounts::new(Prices::new(&costs), seed);
            for (pc, used) in windows {
                let decision = accounts.decide(resume(pc));
                accounts.learn(match (decision, used) {
                    (Load, _) => Evidence::Blind,
                    (_, true) => Evidence::Used,
                    (_, false) => Evidence::Unused,
                });
            }
        }
    }
}
