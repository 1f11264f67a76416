//! Each scheme event by event: the tables of `docs/schemes.md`.

use trapcast_forecast::Scheme;
use trapcast_switch::{Core, Exchange, Gate, Guest};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Context {
    Host,
    A,
    B,
}
use Context::{A, B, Host};

const fn moved(save: Context, load: Context) -> Option<Exchange<Context>> {
    Some(Exchange { save, load })
}

/// One entry: what moves at it, how the gate stands, what moves if the guest uses the registers.
fn entry(
    core: &mut Core<Context>,
    guest: &mut Guest<Context>,
    uses: bool,
) -> (Option<Exchange<Context>>, Gate, Option<Exchange<Context>>) {
    let entry = core.enter(guest);
    let trap = if uses && entry.gate == Gate::Closed {
        core.trap(guest)
    } else {
        None
    };
    (entry.exchange, entry.gate, trap)
}

#[test]
fn eager_moves_at_every_entry_and_exit() {
    let (mut core, mut a) = (Core::new(Host), Guest::new(A, Scheme::Eager, false));
    for uses in [false, true, false] {
        assert_eq!(
            entry(&mut core, &mut a, uses),
            (moved(Host, A), Gate::Open, None)
        );
        assert_eq!(core.exit(&mut a), moved(A, Host));
    }
    assert_eq!(core.put(&mut a), None);
}

#[test]
fn per_entry_moves_at_the_first_use_after_each_entry() {
    let (mut core, mut a) = (Core::new(Host), Guest::new(A, Scheme::PerEntry, false));
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
    let (mut core, mut a) = (Core::new(Host), Guest::new(A, Scheme::LastTrap, false));
    let mut b = Guest::new(B, Scheme::LastTrap, false);
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
        (moved(Host, A), Gate::Open, None)
    );
    assert_eq!(core.exit(&mut a), moved(A, Host));
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Closed, moved(Host, A))
    );
}

#[test]
fn until_put_keeps_the_registers_across_exits_but_not_across_host_use() {
    let (mut core, mut a) = (Core::new(Host), Guest::new(A, Scheme::UntilPut, false));
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Closed, moved(Host, A))
    );
    assert_eq!(core.exit(&mut a), None);
    assert_eq!(entry(&mut core, &mut a, true), (None, Gate::Open, None));
    assert_eq!(core.exit(&mut a), None);
    assert_eq!(core.host_begin(), A);
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
fn load_window(core: &mut Core<Context>, guest: &mut Guest<Context>, uses: bool) -> bool {
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
        let (mut core, mut a) = (Core::new(Host), Guest::new(A, scheme, false));
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
    let (mut core, mut a) = (Core::new(Host), Guest::new(A, Scheme::Credit, false));
    load_window(&mut core, &mut a, true);
    assert_eq!(
        entry(&mut core, &mut a, false),
        (moved(Host, A), Gate::Open, None)
    );
    core.exit(&mut a);
    assert_eq!(core.host_begin(), A);
    let _ = core.host_end();
    assert_eq!(
        entry(&mut core, &mut a, false),
        (moved(Host, A), Gate::Open, None)
    );
}

#[test]
fn owner_traps_only_while_the_registers_are_somebody_elses() {
    let (mut core, mut a) = (Core::new(Host), Guest::new(A, Scheme::Owner, false));
    let mut b = Guest::new(B, Scheme::Owner, false);
    assert_eq!(
        entry(&mut core, &mut a, true),
        (None, Gate::Closed, moved(Host, A))
    );
    assert_eq!((core.exit(&mut a), core.put(&mut a)), (None, None));
    assert_eq!(entry(&mut core, &mut b, false), (None, Gate::Closed, None));
    assert_eq!((core.exit(&mut b), core.put(&mut b)), (None, None));
    assert_eq!(entry(&mut core, &mut a, true), (None, Gate::Open, None));
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
    let (mut core, mut a) = (Core::new(Host), Guest::new(A, Scheme::None, false));
    assert_eq!(entry(&mut core, &mut a, true), (None, Gate::Open, None));
    assert_eq!((core.exit(&mut a), core.put(&mut a)), (None, None));
    assert_eq!(core.owner(), Host);
}
