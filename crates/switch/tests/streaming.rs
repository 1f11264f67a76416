//! Streaming mode, which no gate protects: what a guest in it moves under each scheme, and what is
//! counted of that.

mod common;

use std::cell::Cell;

use common::forecaster;
use trapcast_forecast::{Resume, Scheme};
use trapcast_switch::{Class, Core, Entry, Exchange, Gate, Guest};

thread_local! {
    /// Whether A's registers in memory are in streaming mode.
    static STREAMS: Cell<bool> = const { Cell::new(false) };
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Context {
    Host,
    /// A vCPU with SME.
    A,
    /// One with FP/SIMD alone.
    B,
    Nobody,
}
use Context::{A, B, Host};

impl trapcast_switch::Context for Context {
    const NOBODY: Self = Self::Nobody;

    fn least(self) -> Class {
        if self == A && STREAMS.get() {
            Class::Sme
        } else {
            Class::Fp
        }
    }
}

/// Every scheme that guests with SME may have.
fn schemes() -> impl Iterator<Item = Scheme> {
    Scheme::ALL.into_iter().filter(|s| *s != Scheme::None)
}

fn with_sme(scheme: Scheme, observed: bool) -> Guest<Context> {
    Guest::new(A, forecaster(scheme), observed).with_classes(Class::Sme)
}

/// One entry of A, as a hypervisor makes it: what moved, and the gate.
fn enter(core: &mut Core<Context>, a: &mut Guest<Context>) -> (Vec<Exchange<Context>>, Gate) {
    let first = core.enter(a, Resume::default);
    let Entry { exchange, gate } = core.load_streaming(a, first.gate);
    (first.exchange.into_iter().chain(exchange).collect(), gate)
}

const ALL_OF_A: Exchange<Context> = Exchange {
    save: Host,
    saved: Class::Fp,
    load: A,
    loaded: Class::Sme,
};

#[test]
fn a_guest_in_streaming_mode_is_loaded_at_each_entry_that_finds_it_in_memory() {
    STREAMS.set(true);
    for scheme in schemes() {
        for observed in [false, true] {
            let (mut core, mut a) = (Core::new(Host), with_sme(scheme, observed));
            for loads in 1..=3 {
                let gate = if observed {
                    Gate::Closed
                } else {
                    Gate::Open(Class::Sme)
                };
                let entry = enter(&mut core, &mut a);
                assert_eq!(entry, (vec![ALL_OF_A], gate), "{scheme}");
                assert_eq!(a.counts.eager_loads, loads, "{scheme}");
                assert_eq!(a.counts.sme.eager_loads, loads, "{scheme}");
                let _ = core.exit(&mut a);
                // Whatever the scheme keeps, the host's own use takes.
                let _ = core.host_begin();
                let _ = core.host_end();
            }
            let _ = core.put(&mut a);
            let wasted = if observed { 3 } else { 0 };
            assert_eq!(a.counts.wasted_loads, wasted, "{scheme}");
            assert_eq!(a.counts.traps, 0, "{scheme}");
        }
    }
}

#[test]
fn out_of_streaming_mode_its_scheme_decides() {
    STREAMS.set(false);
    for scheme in schemes() {
        let (mut core, mut a) = (Core::new(Host), with_sme(scheme, false));
        let (moved, gate) = enter(&mut core, &mut a);
        let eager = [Scheme::Eager, Scheme::EagerUntilPut, Scheme::EagerOwner];
        let loads = eager.contains(&scheme);
        assert_eq!(!moved.is_empty(), loads, "{scheme}");
        assert_eq!(gate != Gate::Closed, loads, "{scheme}");
    }
}

#[test]
fn what_is_in_the_core_stays_there() {
    STREAMS.set(true);
    let (mut core, mut a) = (Core::new(Host), with_sme(Scheme::Owner, false));
    enter(&mut core, &mut a);
    let _ = core.exit(&mut a);
    let again = enter(&mut core, &mut a);
    assert_eq!(again, (vec![], Gate::Open(Class::Sme)));
}

#[test]
fn another_vcpu_is_not_entered_in_its_streaming_mode() {
    STREAMS.set(true);
    for scheme in [Scheme::Owner, Scheme::Forecast] {
        for streams in [false, true] {
            let (mut core, mut a) = (Core::new(Host), with_sme(scheme, false));
            let mut b = Guest::new(B, forecaster(scheme), false);
            enter(&mut core, &mut a);
            let _ = core.exit(&mut a);
            let _ = core.put(&mut a);
            assert_eq!(core.owner(), A, "{scheme}");
            // Its own does not disturb it.
            assert_eq!(core.make_way(&a, || streams), None);
            let back = Exchange {
                save: A,
                saved: Class::Sme,
                load: Host,
                loaded: Class::Fp,
            };
            let way = core.make_way(&b, || streams);
            assert_eq!(way, streams.then_some(back), "{scheme}");
            let entry = core.enter(&mut b, Resume::default);
            assert_eq!((entry.exchange, entry.gate), (None, Gate::Closed));
            let _ = core.exit(&mut b);
            let _ = core.put(&mut b);
            let again = enter(&mut core, &mut a).0;
            assert_eq!(again, Vec::from_iter(streams.then_some(ALL_OF_A)));
        }
    }
}

#[test]
fn nobody_is_asked_about_registers_that_know_no_streaming_mode() {
    let mut core = Core::with_owner(Host, A, Class::Sve);
    let b = Guest::new(B, forecaster(Scheme::Owner), false);
    let ask = || unreachable!("SVCR may not be there");
    assert_eq!(core.make_way(&b, ask), None);
    assert_eq!(Core::of_nobody(Host).make_way(&b, ask), None);
}
