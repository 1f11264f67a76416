use Decision::{Leave, Load, Probe};
use proptest::prelude::*;

use super::*;
use crate::Costs;

/// A trap as expensive as on a Cortex-A57 with VHE, where p* is 0.32.
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

/// The result of a run over windows.
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

/// Of a guest that resumes here and there and never uses the registers, each absence asks once.
#[test]
fn who_never_uses_them_is_asked_about_once_per_absence() {
    for costs in ALL {
        let mut accounts = Accounts::new(Prices::new(&costs), 1);
        for place in 0..1000 {
            assert_eq!(accounts.decide(resume(place << 6)), Leave);
            assert!((0..10).all(|entry| accounts.stays_out((place + entry) << 6)));
            accounts.learn(Evidence::Unused);
        }
    }
}

/// Asks at each entry of an absence, or only where something may have changed.
fn asked(accounts: &mut Accounts, entry: Resume, is_first: bool, always: bool) -> Decision {
    if !always && !is_first && accounts.stays_out(entry.pc) {
        Leave
    } else {
        accounts.decide(entry)
    }
}

proptest! {
    /// An absence whose registers stay out is asked about no more than has to be: decisions, accounts and
    /// all that follows are the same as if each entry were asked about.
    #[test]
    fn to_ask_only_where_something_may_have_changed_is_as_good_as_to_ask_always(
        costs in proptest::sample::select(&ALL[..]),
        seed: u32,
        absences in proptest::collection::vec(
            (proptest::collection::vec((0u64..200, 0u8..4), 1..6), 0u8..8),
            0..500,
        ),
        habit in 1u64..100,
    ) {
        let prices = Prices::new(&costs);
        let [mut always, mut else_not] = [Accounts::new(prices, seed); 2];
        for (entries, chance) in &absences {
            let mut last = (Leave, 0);
            for (number, &(place, pending)) in entries.iter().enumerate() {
                // With a few interrupts, and decisions that come and go with the place.
                let entry = Resume { pc: place << 6, pending: pending == 0 };
                let is_first = number == 0;
                let decision = asked(&mut always, entry, is_first, true);
                prop_assert_eq!(asked(&mut else_not, entry, is_first, false), decision);
                last = (decision, place);
                if decision != Leave {
                    break;
                }
            }
            let (decision, place) = last;
            let used = if place % habit < habit / 2 { *chance > 0 } else { *chance == 0 };
            let evidence = match (decision, used) {
                (Load, _) => Evidence::Blind,
                (_, true) => Evidence::Used,
                (_, false) => Evidence::Unused,
            };
            always.learn(evidence);
            else_not.learn(evidence);
            // What is left of the last decision says nothing any more.
            let forget = |accounts: &mut Accounts| {
                (accounts.weight, accounts.before) = (1, At::NONE);
            };
            forget(&mut always);
            forget(&mut else_not);
            prop_assert_eq!(always, else_not);
        }
    }

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
