//! Each scheme event by event: the tables of `docs/schemes.md`.

mod common;

use common::{
    Answer,
    Context::{self, A, B, Host, Nobody},
    Moved, OPEN, entry, forecaster, loaded, moved, saved,
};
use trapcast_forecast::{Resume, Rule, Scheme};
use trapcast_switch::{Class, Core, Gate, Guest};

/// Who of the two guests does something, or the host.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A guest is entered, and uses the registers or not: what moves at the entry, the gate,
    /// what moves at the use.
    Enter(Context, bool, Answer),
    /// It comes out, and this moves.
    Exit(Context, Moved),
    /// It is put, and this moves.
    Put(Context, Moved),
    /// Its registers are wanted in memory.
    Evict(Context, Moved),
    /// The host uses the registers, and saves these, if they are anybody's.
    HostUse(Option<Context>),
}
use Event::{Enter, Evict, Exit, HostUse, Put};

/// The registers were left out and are not used, or were in the core, or are loaded at the entry.
const LEFT_OUT: Answer = (None, Gate::Closed, None);
const THERE: Answer = (None, OPEN, None);

/// They were left out, and are loaded at the use.
const fn late(save: Context, load: Context) -> Answer {
    (None, Gate::Closed, moved(save, load))
}

/// They are loaded at the entry.
const fn early(save: Context, load: Context) -> Answer {
    (moved(save, load), OPEN, None)
}

/// The runs in `docs/schemes.md`.
const RUNS: [(Scheme, &str, &[Event]); 13] = [
    (
        Scheme::Eager,
        "moves at every entry and exit",
        &[
            Enter(A, false, early(Host, A)),
            Exit(A, moved(A, Host)),
            Enter(A, true, early(Host, A)),
            Exit(A, moved(A, Host)),
            Put(A, None),
        ],
    ),
    (
        Scheme::PerEntry,
        "moves at the first use after each entry",
        &[
            Enter(A, false, LEFT_OUT),
            Exit(A, None),
            Enter(A, true, late(Host, A)),
            Exit(A, moved(A, Host)),
            Put(A, None),
        ],
    ),
    (
        Scheme::LastTrap,
        "is eager once after a trap, and keeps its mark across preemption",
        &[
            Enter(A, true, late(Host, A)),
            Exit(A, moved(A, Host)),
            Put(A, None),
            Enter(B, false, LEFT_OUT),
            Exit(B, None),
            Put(B, None),
            Enter(A, true, early(Host, A)),
            Exit(A, moved(A, Host)),
            Enter(A, true, late(Host, A)),
        ],
    ),
    (
        Scheme::UntilPut,
        "keeps the registers across exits, but not across the host's use",
        &[
            Enter(A, true, late(Host, A)),
            Exit(A, None),
            Enter(A, true, THERE),
            Exit(A, None),
            HostUse(Some(A)),
            Enter(A, true, late(Host, A)),
            Exit(A, None),
            Put(A, moved(A, Host)),
            Enter(A, false, LEFT_OUT),
        ],
    ),
    (
        Scheme::Credit,
        "loads again after the host's use in a window that it loads eagerly",
        &[
            Enter(A, true, late(Host, A)),
            Exit(A, None),
            Put(A, moved(A, Host)),
            Enter(A, false, early(Host, A)),
            Exit(A, None),
            HostUse(Some(A)),
            Enter(A, false, early(Host, A)),
        ],
    ),
    (
        Scheme::Owner,
        "traps only while the registers are another owner's",
        &[
            Enter(A, true, late(Host, A)),
            Exit(A, None),
            Put(A, None),
            Enter(B, false, LEFT_OUT),
            Exit(B, None),
            Put(B, None),
            Enter(A, true, THERE),
            Exit(A, None),
            Put(A, None),
            Enter(B, true, late(A, B)),
            Evict(A, None),
            Evict(B, moved(B, Host)),
        ],
    ),
    (
        Scheme::None,
        "never moves and never traps",
        &[
            Enter(A, true, THERE),
            Exit(A, None),
            Put(A, None),
            Enter(B, true, THERE),
        ],
    ),
    (
        Scheme::None,
        "takes the guest's values for the host's at its own use",
        &[Enter(A, true, THERE), Exit(A, None), HostUse(Some(Host))],
    ),
    (
        Scheme::EagerUntilPut,
        "moves at the first entry after the load, and after the host's use",
        &[
            Enter(A, false, early(Host, A)),
            Exit(A, None),
            Enter(A, true, THERE),
            Exit(A, None),
            HostUse(Some(A)),
            Enter(A, false, early(Host, A)),
            Exit(A, None),
            Put(A, moved(A, Host)),
            Enter(B, true, early(Host, B)),
            Exit(B, None),
            Put(B, moved(B, Host)),
        ],
    ),
    (
        Scheme::EagerOwner,
        "moves at an entry that finds another owner's",
        &[
            Enter(A, false, early(Host, A)),
            Exit(A, None),
            Put(A, None),
            Enter(A, true, THERE),
            Exit(A, None),
            Put(A, None),
            Enter(B, false, early(A, B)),
            Exit(B, None),
            HostUse(Some(B)),
            Enter(B, false, early(Host, B)),
            Exit(B, None),
            Put(B, None),
            Evict(A, None),
            Evict(B, moved(B, Host)),
        ],
    ),
    (
        Scheme::Kvm,
        "saves at the put and loads nobody's",
        &[
            Enter(A, true, late(Host, A)),
            Exit(A, None),
            Enter(A, true, THERE),
            Exit(A, None),
            Put(A, saved(A)),
            Evict(A, None),
            Enter(A, false, LEFT_OUT),
            Exit(A, None),
            Put(A, None),
            Enter(B, true, (None, Gate::Closed, loaded(B))),
            Exit(B, None),
            Put(B, saved(B)),
            Enter(A, true, (None, Gate::Closed, loaded(A))),
            Exit(A, None),
            Put(A, saved(A)),
        ],
    ),
    (
        Scheme::Kvm,
        "brings the host's back when the host uses them",
        &[
            Enter(A, true, late(Host, A)),
            Exit(A, None),
            HostUse(Some(A)),
            Enter(A, true, late(Host, A)),
            Exit(A, None),
            Put(A, saved(A)),
            HostUse(None),
            Enter(A, true, late(Host, A)),
        ],
    ),
    (
        Scheme::Kvm,
        "gives them back to the host when they are evicted before the put",
        &[
            Enter(A, true, late(Host, A)),
            Exit(A, None),
            Evict(A, moved(A, Host)),
            Put(A, None),
        ],
    ),
];

#[test]
fn each_scheme_moves_as_its_table_says() {
    for (scheme, what, events) in RUNS {
        let mut core = Core::new(Host);
        let mut guests = [A, B].map(|context| Guest::new(context, Rule::new(scheme), false));
        for (number, event) in events.iter().enumerate() {
            let name = format!("{scheme} {what}: {number}: {event:?}");
            let [a, b] = &mut guests;
            let of = |context| if context == A { a } else { b };
            match *event {
                Enter(who, uses, answer) => {
                    assert_eq!(entry(&mut core, of(who), uses), answer, "{name}");
                }
                Exit(who, moves) => assert_eq!(core.exit(of(who)), moves, "{name}"),
                Put(who, moves) => assert_eq!(core.put(of(who)), moves, "{name}"),
                Evict(who, moves) => assert_eq!(core.evict(of(who)), moves, "{name}"),
                HostUse(saved) => {
                    let begun = core.host_begin();
                    assert_eq!(begun, saved.map(|saved| (saved, Class::Fp)), "{name}");
                    assert_eq!((core.host_end(), core.owner()), (Host, Host), "{name}");
                }
            }
        }
    }
}

/// What an entry without a use answers, in tables that hold a line per scheme.
type Entered = (Moved, Gate);

/// A guest that has just used the registers in its first window and exited, and what moved then.
fn used_and_out(scheme: Scheme) -> (Core<Context>, Guest<Context, Rule>, Moved) {
    let (mut core, mut a) = (Core::new(Host), Guest::new(A, Rule::new(scheme), false));
    entry(&mut core, &mut a, true);
    let exchange = core.exit(&mut a);
    (core, a, exchange)
}

fn next_entry(core: &mut Core<Context>, guest: &mut Guest<Context, Rule>) -> Entered {
    let (exchange, gate, _) = entry(core, guest, false);
    (exchange, gate)
}

#[test]
fn a_window_of_loads_stays_as_it_is_from_entry_to_entry() {
    for scheme in [
        Scheme::UntilPut,
        Scheme::Kvm,
        Scheme::Counter,
        Scheme::Credit,
        Scheme::Owner,
    ] {
        let (mut core, mut a) = (Core::new(Host), Guest::new(A, Rule::new(scheme), false));
        for _ in 0..3 {
            let unused = entry(&mut core, &mut a, false);
            assert_eq!(unused, (None, Gate::Closed, None), "{scheme}");
            assert_eq!(core.exit(&mut a), None, "{scheme}");
        }
        let used = entry(&mut core, &mut a, true);
        assert_eq!(used, (None, Gate::Closed, moved(Host, A)), "{scheme}");
        for _ in 0..3 {
            assert_eq!(core.exit(&mut a), None, "{scheme}");
            let after = entry(&mut core, &mut a, true);
            assert_eq!(after, (None, Gate::Open(Class::Fp), None), "{scheme}");
        }
    }
}

#[test]
fn host_use_takes_the_registers_from_whoever_has_them() {
    for (scheme, saved, next) in [
        (Scheme::None, Host, (None, Gate::Open(Class::Fp))),
        (Scheme::Eager, Host, (moved(Host, A), Gate::Open(Class::Fp))),
        (Scheme::PerEntry, Host, (None, Gate::Closed)),
        (
            Scheme::LastTrap,
            Host,
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::UntilPut, A, (None, Gate::Closed)),
        (
            Scheme::EagerUntilPut,
            A,
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::Kvm, A, (None, Gate::Closed)),
        (Scheme::Counter, A, (None, Gate::Closed)),
        (Scheme::Credit, A, (None, Gate::Closed)),
        (Scheme::Owner, A, (None, Gate::Closed)),
        (
            Scheme::EagerOwner,
            A,
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
    ] {
        let (mut core, mut a, _) = used_and_out(scheme);
        assert_eq!(core.host_begin(), Some((saved, Class::Fp)), "{scheme}");
        assert_eq!((core.host_end(), core.owner()), (Host, Host), "{scheme}");
        assert_eq!(next_entry(&mut core, &mut a), next, "{scheme}");
    }
}

#[test]
fn preemption_is_an_exit_and_a_put() {
    for (scheme, at_exit, at_put, next) in [
        (Scheme::None, None, None, (None, Gate::Open(Class::Fp))),
        (
            Scheme::Eager,
            moved(A, Host),
            None,
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::PerEntry, moved(A, Host), None, (None, Gate::Closed)),
        (
            Scheme::LastTrap,
            moved(A, Host),
            None,
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::UntilPut, None, moved(A, Host), (None, Gate::Closed)),
        (
            Scheme::EagerUntilPut,
            None,
            moved(A, Host),
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::Kvm, None, saved(A), (None, Gate::Closed)),
        (Scheme::Counter, None, moved(A, Host), (None, Gate::Closed)),
        (
            Scheme::Credit,
            None,
            moved(A, Host),
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::Owner, None, None, (None, Gate::Open(Class::Fp))),
        (
            Scheme::EagerOwner,
            None,
            None,
            (None, Gate::Open(Class::Fp)),
        ),
    ] {
        let (mut core, mut a, exchange) = used_and_out(scheme);
        assert_eq!(exchange, at_exit, "{scheme}");
        assert_eq!(core.put(&mut a), at_put, "{scheme}");
        // Another guest has the core for a while and does not use the registers.
        let mut b = Guest::new(B, Rule::new(Scheme::PerEntry), false);
        assert_eq!(next_entry(&mut core, &mut b), (None, Gate::Closed));
        assert_eq!((core.exit(&mut b), core.put(&mut b)), (None, None));
        assert_eq!(next_entry(&mut core, &mut a), next, "{scheme}");
    }
}

/// A reset finds zeroes in the memory that the eviction has made current. The forecaster stays as
/// it is.
#[test]
fn eviction_brings_the_registers_to_memory_and_forgets_nothing() {
    for (scheme, evicted, next) in [
        (Scheme::None, None, (None, Gate::Open(Class::Fp))),
        (Scheme::Eager, None, (moved(Host, A), Gate::Open(Class::Fp))),
        (Scheme::PerEntry, None, (None, Gate::Closed)),
        (
            Scheme::LastTrap,
            None,
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::UntilPut, None, (None, Gate::Closed)),
        (
            Scheme::EagerUntilPut,
            None,
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::Kvm, None, (None, Gate::Closed)),
        (Scheme::Counter, None, (None, Gate::Closed)),
        (
            Scheme::Credit,
            None,
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::Owner, moved(A, Host), (None, Gate::Closed)),
        (
            Scheme::EagerOwner,
            moved(A, Host),
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
    ] {
        let (mut core, mut a, _) = used_and_out(scheme);
        let _ = core.put(&mut a);
        assert_eq!(core.evict(&mut a), evicted, "{scheme}");
        let owner = if scheme == Scheme::Kvm { Nobody } else { Host };
        assert_eq!((core.owner(), a.loaded_on()), (owner, None), "{scheme}");
        assert_eq!(next_entry(&mut core, &mut a), next, "{scheme}");
    }
}

#[test]
fn a_window_behind_the_closed_gate_that_uses_nothing_moves_nothing() {
    for scheme in [
        Scheme::PerEntry,
        Scheme::LastTrap,
        Scheme::UntilPut,
        Scheme::Kvm,
        Scheme::Counter,
        Scheme::Credit,
        Scheme::Owner,
    ] {
        let (mut core, mut a) = (Core::new(Host), Guest::new(A, Rule::new(scheme), false));
        for _ in 0..3 {
            let lazy = (None, Gate::Closed);
            assert_eq!(next_entry(&mut core, &mut a), lazy, "{scheme}");
            assert_eq!(core.exit(&mut a), None, "{scheme}");
            let own = Some((Host, Class::Fp));
            assert_eq!(core.host_begin(), own, "{scheme}: the host's own");
            assert_eq!(core.host_end(), Host, "{scheme}");
            assert_eq!(next_entry(&mut core, &mut a), lazy, "{scheme}");
            assert_eq!(core.exit(&mut a), None, "{scheme}");
            assert_eq!(core.put(&mut a), None, "{scheme}");
            assert_eq!(core.evict(&mut a), None, "{scheme}");
        }
    }
}

/// The observer closes the gate of every entry, and its trap finds the registers where they should be.
#[test]
fn the_observers_trap_moves_nothing() {
    for scheme in Scheme::ALL {
        let (mut core, mut a) = (Core::new(Host), Guest::new(A, forecaster(scheme), true));
        for _ in 0..4 {
            let at_entry = core.enter(&mut a, Resume::default);
            assert_eq!(at_entry.gate, Gate::Closed, "{scheme}");
            let there = core.owner() == A || scheme == Scheme::None;
            let nobodys = core.owner() == Nobody;
            let at_trap = core.trap(&mut a, Class::Fp).exchange;
            let expected = match (there, nobodys) {
                (true, _) => None,
                (_, true) => loaded(A),
                _ => moved(Host, A),
            };
            assert_eq!(at_trap, expected, "{scheme}");
            let _ = core.exit(&mut a);
            let _ = core.put(&mut a);
        }
        let counts = a.counts;
        assert_eq!(counts.traps + counts.observer_traps, 4, "{scheme}");
        assert_eq!(counts.entry_windows.used, 4, "{scheme}");
    }
}
