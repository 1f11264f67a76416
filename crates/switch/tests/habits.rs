//! What the schemes that learn make of the windows before: marks, counts and credits.

mod common;

use common::{
    Context::{self, A, Host},
    OPEN, entry, moved,
};
use trapcast_forecast::{Rule, Scheme};
use trapcast_switch::{Core, Gate, Guest};

/// A guest that has just used the registers in its first window and exited.
fn used_and_out(scheme: Scheme) -> (Core<Context>, Guest<Context, Rule>) {
    let (mut core, mut a) = (Core::new(Host), Guest::new(A, Rule::new(scheme), false));
    entry(&mut core, &mut a, true);
    let _ = core.exit(&mut a);
    (core, a)
}

/// Runs one load window with one use in each of two entries; returns whether the first trapped.
fn load_window(core: &mut Core<Context>, guest: &mut Guest<Context, Rule>, uses: bool) -> bool {
    let (_, gate, _) = entry(core, guest, uses);
    let _ = core.exit(guest);
    entry(core, guest, uses);
    let _ = core.exit(guest);
    let _ = core.put(guest);
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
fn a_put_without_an_entry_ends_no_window() {
    let (mut core, mut a) = used_and_out(Scheme::Credit);
    let _ = core.put(&mut a);
    for _ in 0..100 {
        assert_eq!(core.put(&mut a), None);
    }
    assert_eq!(
        entry(&mut core, &mut a, false),
        (moved(Host, A), OPEN, None),
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
    assert_eq!(exchange.is_some(), gate == OPEN);
    let _ = core.exit(guest);
    exchange.is_some()
}

#[test]
fn the_mark_of_last_trap_is_consumed_whether_the_window_uses_the_registers_or_not() {
    for uses in [false, true] {
        let (mut core, mut a) = used_and_out(Scheme::LastTrap);
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
        let eager = (moved(Host, A), OPEN, None);
        let expected = if window < 5 { lazy } else { eager };
        assert_eq!((exchange, gate, trap), expected, "window {window}");
        let _ = core.exit(&mut a);
        let _ = core.host_begin();
        let _ = core.host_end();
        assert_eq!(entry(&mut core, &mut a, true), expected, "window {window}");
        let _ = core.exit(&mut a);
        let _ = core.put(&mut a);
    }
    assert_eq!(a.counts.traps, 10);
}
