//! Each scheme event by event: the tables of `docs/schemes.md`.

use trapcast_forecast::{Costs, Forecaster, Prices, Resume, Rule, Scheme};
use trapcast_switch::{Class, Core, Exchange, Gate, Guest};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Context {
    Host,
    A,
    B,
}
use Context::{A, B, Host};

impl trapcast_switch::Context for Context {}

const fn moved(save: Context, load: Context) -> Option<Exchange<Context>> {
    Some(Exchange::of_fp(save, load))
}

/// One entry: what moves at it, how the gate stands, what moves if the guest uses the registers.
fn entry(
    core: &mut Core<Context>,
    guest: &mut Guest<Context, Rule>,
    uses: bool,
) -> (Option<Exchange<Context>>, Gate, Option<Exchange<Context>>) {
    let entry = core.enter(guest, Resume::default);
    let trap = if uses && entry.gate == Gate::Closed {
        core.trap(guest, Class::Fp).exchange
    } else {
        None
    };
    (entry.exchange, entry.gate, trap)
}

#[test]
fn eager_moves_at_every_entry_and_exit() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::Eager), false),
    );
    for uses in [false, true, false] {
        assert_eq!(
            entry(&mut core, &mut a, uses),
            (moved(Host, A), Gate::Open(Class::Fp), None)
        );
        assert_eq!(core.exit(&mut a), moved(A, Host));
    }
    assert_eq!(core.put(&mut a), None);
}

#[test]
fn per_entry_moves_at_the_first_use_after_each_entry() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::PerEntry), false),
    );
    assert_eq!(entry(&mut core, &mut a, false), (None, Gate::Closed, None));
    assert_eq!(core.exit(&mut a), None);
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Closed, moved(Host, A))
    );
    assert_eq!(core.exit(&mut a), moved(A, Host));
    assert_eq!(core.put(&mut a), None);
}

#[test]
fn last_trap_is_eager_once_after_a_trap_and_keeps_its_mark_across_preemption() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::LastTrap), false),
    );
    let mut b = Guest::new(B, Rule::new(Scheme::LastTrap), false);
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Closed, moved(Host, A))
    );
    assert_eq!(core.exit(&mut a), moved(A, Host));
    assert_eq!(core.put(&mut a), None);
    assert_eq!(entry(&mut core, &mut b, false), (None, Gate::Closed, None));
    assert_eq!(core.exit(&mut b), None);
    assert_eq!(core.put(&mut b), None);
    assert_eq!(
        entry(&mut core, &mut a, true),
        (moved(Host, A), Gate::Open(Class::Fp), None)
    );
    assert_eq!(core.exit(&mut a), moved(A, Host));
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Closed, moved(Host, A))
    );
}

#[test]
fn until_put_keeps_the_registers_across_exits_but_not_across_host_use() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::UntilPut), false),
    );
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Closed, moved(Host, A))
    );
    assert_eq!(core.exit(&mut a), None);
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Open(Class::Fp), None)
    );
    assert_eq!(core.exit(&mut a), None);
    assert_eq!(core.host_begin().0, A);
    assert_eq!(core.host_end(), Host);
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Closed, moved(Host, A))
    );
    assert_eq!(core.exit(&mut a), None);
    assert_eq!(core.put(&mut a), moved(A, Host));
    assert_eq!(entry(&mut core, &mut a, false), (None, Gate::Closed, None));
}

/// Runs one load window with one use in each of two entries; returns whether the first trapped.
fn load_window(core: &mut Core<Context>, guest: &mut Guest<Context, Rule>, uses: bool) -> bool {
    let (_, gate, _) = entry(core, guest, uses);
    core.exit(guest);
    entry(core, guest, uses);
    core.exit(guest);
    core.put(guest);
    gate == Gate::Closed
}

#[test]
fn counter_and_credit_decide_once_per_load() {
    for (scheme, eager) in [(Scheme::Counter, 5..256), (Scheme::Credit, 1..65)] {
        let (mut core, mut a) = (Core::new(Host), Guest::new(A, Rule::new(scheme), false));
        for window in 0..=256 {
            let lazy = load_window(&mut core, &mut a, true);
            if window <= eager.end {
                assert_eq!(lazy, !eager.contains(&window), "{scheme}, window {window}");
            }
            assert_eq!(core.owner(), Host);
        }
    }
}

#[test]
fn an_eager_load_window_loads_again_after_host_use() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::Credit), false),
    );
    load_window(&mut core, &mut a, true);
    assert_eq!(
        entry(&mut core, &mut a, false),
        (moved(Host, A), Gate::Open(Class::Fp), None)
    );
    core.exit(&mut a);
    assert_eq!(core.host_begin().0, A);
    let _ = core.host_end();
    assert_eq!(
        entry(&mut core, &mut a, false),
        (moved(Host, A), Gate::Open(Class::Fp), None)
    );
}

#[test]
fn owner_traps_only_while_the_registers_are_somebody_elses() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::Owner), false),
    );
    let mut b = Guest::new(B, Rule::new(Scheme::Owner), false);
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Closed, moved(Host, A))
    );
    assert_eq!((core.exit(&mut a), core.put(&mut a)), (None, None));
    assert_eq!(entry(&mut core, &mut b, false), (None, Gate::Closed, None));
    assert_eq!((core.exit(&mut b), core.put(&mut b)), (None, None));
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Open(Class::Fp), None)
    );
    assert_eq!((core.exit(&mut a), core.put(&mut a)), (None, None));
    assert_eq!(
        entry(&mut core, &mut b, true),
        (None, Gate::Closed, moved(A, B))
    );
    assert_eq!(core.evict(&mut a), None);
    assert_eq!(core.evict(&mut b), moved(B, Host));
}

#[test]
fn none_never_moves_and_never_traps() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::None), false),
    );
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Open(Class::Fp), None)
    );
    assert_eq!((core.exit(&mut a), core.put(&mut a)), (None, None));
    assert_eq!(core.owner(), Host);
}

/// One row of a table that holds a line per scheme.
type Answer = (Option<Exchange<Context>>, Gate);

/// A guest that has just used the registers in its first window and come out, and what moved then.
fn used_and_out(
    scheme: Scheme,
) -> (
    Core<Context>,
    Guest<Context, Rule>,
    Option<Exchange<Context>>,
) {
    let (mut core, mut a) = (Core::new(Host), Guest::new(A, Rule::new(scheme), false));
    entry(&mut core, &mut a, true);
    let exchange = core.exit(&mut a);
    (core, a, exchange)
}

fn next_entry(core: &mut Core<Context>, guest: &mut Guest<Context, Rule>) -> Answer {
    let (exchange, gate, _) = entry(core, guest, false);
    (exchange, gate)
}

#[test]
fn a_window_of_loads_stays_as_it_is_from_entry_to_entry() {
    for scheme in [
        Scheme::UntilPut,
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
        (Scheme::Counter, A, (None, Gate::Closed)),
        (Scheme::Credit, A, (None, Gate::Closed)),
        (Scheme::Owner, A, (None, Gate::Closed)),
    ] {
        let (mut core, mut a, _) = used_and_out(scheme);
        assert_eq!(core.host_begin().0, saved, "{scheme}");
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
        (Scheme::Counter, None, moved(A, Host), (None, Gate::Closed)),
        (
            Scheme::Credit,
            None,
            moved(A, Host),
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::Owner, None, None, (None, Gate::Open(Class::Fp))),
    ] {
        let (mut core, mut a, exchange) = used_and_out(scheme);
        assert_eq!(exchange, at_exit, "{scheme}");
        assert_eq!(core.put(&mut a), at_put, "{scheme}");
        // Somebody else has the core for a while and leaves the registers alone.
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
        (Scheme::Counter, None, (None, Gate::Closed)),
        (
            Scheme::Credit,
            None,
            (moved(Host, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::Owner, moved(A, Host), (None, Gate::Closed)),
    ] {
        let (mut core, mut a, _) = used_and_out(scheme);
        core.put(&mut a);
        assert_eq!(core.evict(&mut a), evicted, "{scheme}");
        assert_eq!((core.owner(), a.lingers()), (Host, None), "{scheme}");
        assert_eq!(next_entry(&mut core, &mut a), next, "{scheme}");
    }
}

#[test]
fn a_window_behind_the_closed_gate_that_uses_nothing_moves_nothing() {
    for scheme in [
        Scheme::PerEntry,
        Scheme::LastTrap,
        Scheme::UntilPut,
        Scheme::Counter,
        Scheme::Credit,
        Scheme::Owner,
    ] {
        let (mut core, mut a) = (Core::new(Host), Guest::new(A, Rule::new(scheme), false));
        for _ in 0..3 {
            let lazy = (None, Gate::Closed);
            assert_eq!(next_entry(&mut core, &mut a), lazy, "{scheme}");
            assert_eq!(core.exit(&mut a), None, "{scheme}");
            assert_eq!(core.host_begin().0, Host, "{scheme}: the host's own");
            assert_eq!(core.host_end(), Host, "{scheme}");
            assert_eq!(next_entry(&mut core, &mut a), lazy, "{scheme}");
            assert_eq!(core.exit(&mut a), None, "{scheme}");
            assert_eq!(core.put(&mut a), None, "{scheme}");
            assert_eq!(core.evict(&mut a), None, "{scheme}");
        }
    }
}

#[test]
fn a_put_without_an_entry_ends_no_window() {
    let (mut core, mut a, _) = used_and_out(Scheme::Credit);
    core.put(&mut a);
    for _ in 0..100 {
        assert_eq!(core.put(&mut a), None);
    }
    assert_eq!(
        next_entry(&mut core, &mut a),
        (moved(Host, A), Gate::Open(Class::Fp)),
        "the credit is not spent"
    );
}

/// One entry window of `last-trap`; returns whether it began with a load.
fn last_trap_window(
    core: &mut Core<Context>,
    guest: &mut Guest<Context, Rule>,
    uses: bool,
) -> bool {
    let (exchange, gate, _) = entry(core, guest, uses);
    assert_eq!(exchange.is_some(), gate == Gate::Open(Class::Fp));
    core.exit(guest);
    exchange.is_some()
}

#[test]
fn the_mark_of_last_trap_is_consumed_whether_the_window_uses_the_registers_or_not() {
    for uses in [false, true] {
        let (mut core, mut a, _) = used_and_out(Scheme::LastTrap);
        assert!(last_trap_window(&mut core, &mut a, uses), "marked");
        assert!(!last_trap_window(&mut core, &mut a, false), "consumed");
        assert!(!last_trap_window(&mut core, &mut a, false), "not set");
    }
}

#[test]
fn the_mark_of_last_trap_cannot_overflow() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::LastTrap), false),
    );
    // More traps than 8 or 16 bits count, all of them in windows that trap again at once.
    for window in 0..200_000 {
        let eager = last_trap_window(&mut core, &mut a, true);
        assert_eq!(eager, window % 2 == 1, "window {window}");
    }
    assert_eq!((a.counts.traps, a.counts.eager_loads), (100_000, 100_000));
}

#[test]
fn counter_starts_over_after_an_unused_lazy_window_and_credit_does_not_look_before_it_is_spent() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::Counter), false),
    );
    for window in 0..20 {
        let lazy = load_window(&mut core, &mut a, window % 5 != 4);
        assert!(lazy, "counter, window {window}: never five in a row");
    }
    // Once eager, it takes unused windows for used ones until its count wraps.
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::Counter), false),
    );
    for window in 0..300 {
        let lazy = load_window(&mut core, &mut a, window < 5);
        assert_eq!(
            lazy,
            !(5..256).contains(&window),
            "counter, window {window}"
        );
    }
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::Credit), false),
    );
    for window in 0..200 {
        let lazy = load_window(&mut core, &mut a, window == 0);
        assert_eq!(lazy, !(1..65).contains(&window), "credit, window {window}");
    }
}

#[test]
fn two_traps_of_one_load_window_are_one_piece_of_evidence() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::Counter), false),
    );
    for window in 0..6 {
        let (exchange, gate, trap) = entry(&mut core, &mut a, true);
        let lazy = (None, Gate::Closed, moved(Host, A));
        let eager = (moved(Host, A), Gate::Open(Class::Fp), None);
        let expected = if window < 5 { lazy } else { eager };
        assert_eq!((exchange, gate, trap), expected, "window {window}");
        core.exit(&mut a);
        let _ = core.host_begin().0;
        let _ = core.host_end();
        assert_eq!(entry(&mut core, &mut a, true), expected, "window {window}");
        core.exit(&mut a);
        core.put(&mut a);
    }
    assert_eq!(a.counts.traps, 10);
}

#[test]
fn host_use_under_none_takes_the_guests_values_for_the_hosts() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::None), false),
    );
    entry(&mut core, &mut a, true);
    core.exit(&mut a);
    assert_eq!(core.host_begin().0, Host, "not the guest's area");
}

/// The observer closes the gate of every entry, and its trap finds the registers where they should be.
/// Returns a forecaster of any scheme, where a trap and an exchange cost the same.
fn any(scheme: Scheme) -> Forecaster {
    let costs = Costs {
        trap: 4,
        probe: 4,
        save: 2,
        load: 2,
        ..Costs::FREE
    };
    Forecaster::new(scheme, Prices::new(&costs), 0)
}

#[test]
fn the_observers_trap_moves_nothing() {
    for scheme in Scheme::ALL {
        let (mut core, mut a) = (Core::new(Host), Guest::new(A, any(scheme), true));
        for _ in 0..4 {
            let at_entry = core.enter(&mut a, Resume::default);
            assert_eq!(at_entry.gate, Gate::Closed, "{scheme}");
            let there = core.owner() == A || scheme == Scheme::None;
            let at_trap = core.trap(&mut a, Class::Fp).exchange;
            let expected = if there { None } else { moved(Host, A) };
            assert_eq!(at_trap, expected, "{scheme}");
            core.exit(&mut a);
            core.put(&mut a);
        }
        let counts = a.counts;
        assert_eq!(counts.traps + counts.observer_traps, 4, "{scheme}");
        assert_eq!(counts.entry_windows.used, 4, "{scheme}");
    }
}
