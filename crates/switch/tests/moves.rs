//! A vCPU that moves from core to core, event by event: what it fetches, and what it does not.

mod common;

use common::{
    Context::{self, A, B, Host, Nobody, OtherHost},
    moved,
};
use trapcast_forecast::{Resume, Rule, Scheme};
use trapcast_switch::{Class, Core, Exchange, Gate, Guest};

/// What moves at an entry, the gate, what moves if the guest uses the registers.
type Answer = (Option<Exchange<Context>>, Gate, Option<Exchange<Context>>);

/// One entry, exit and put.
fn window(core: &mut Core<Context>, guest: &mut Guest<Context, Rule>, uses: bool) -> Answer {
    let entry = core.enter(guest, Resume::default);
    let trap = if uses && entry.gate == Gate::Closed {
        core.trap(guest, Class::Fp).exchange
    } else {
        None
    };
    let _ = core.exit(guest);
    let _ = core.put(guest);
    (entry.exchange, entry.gate, trap)
}

/// A guest that has used the registers in its first window, and was put.
fn used_and_put(scheme: Scheme) -> (Core<Context>, Guest<Context, Rule>) {
    let (mut core, mut a) = (Core::new(Host), Guest::new(A, Rule::new(scheme), false));
    window(&mut core, &mut a, true);
    (core, a)
}

/// A vCPU migrates to another core: only `owner` and `eager-owner` have left its registers in the old one. The
/// forecaster moves with the vCPU.
#[test]
fn a_vcpu_that_moves_fetches_what_its_scheme_left_behind() {
    for (scheme, loaded_on, released, next) in [
        (Scheme::None, None, None, (None, Gate::Open(Class::Fp))),
        (
            Scheme::Eager,
            None,
            None,
            (moved(OtherHost, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::PerEntry, None, None, (None, Gate::Closed)),
        (
            Scheme::LastTrap,
            None,
            None,
            (moved(OtherHost, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::UntilPut, None, None, (None, Gate::Closed)),
        (
            Scheme::EagerUntilPut,
            None,
            None,
            (moved(OtherHost, A), Gate::Open(Class::Fp)),
        ),
        (Scheme::Kvm, None, None, (None, Gate::Closed)),
        (Scheme::Counter, None, None, (None, Gate::Closed)),
        (
            Scheme::Credit,
            None,
            None,
            (moved(OtherHost, A), Gate::Open(Class::Fp)),
        ),
        (
            Scheme::Owner,
            Some(Host),
            moved(A, Host),
            (None, Gate::Closed),
        ),
        (
            Scheme::EagerOwner,
            Some(Host),
            moved(A, Host),
            (moved(OtherHost, A), Gate::Open(Class::Fp)),
        ),
    ] {
        let (mut core, mut a) = used_and_put(scheme);
        let mut other = Core::new(OtherHost);
        assert_eq!(a.loaded_on(), loaded_on, "{scheme}");
        assert_eq!(core.elsewhere(&a), None, "{scheme}: no move at all");
        assert_eq!(other.elsewhere(&a), loaded_on, "{scheme}");
        if loaded_on.is_some() {
            assert_eq!(core.release(A), released, "{scheme}");
            a.arrived(true);
        }
        assert_eq!(other.elsewhere(&a), None, "{scheme}");
        assert_eq!(a.counts.fetches, u64::from(loaded_on.is_some()), "{scheme}");
        let owner = if scheme == Scheme::Kvm { Nobody } else { Host };
        assert_eq!(core.owner(), owner, "{scheme}");
        let (exchange, gate, _) = window(&mut other, &mut a, false);
        assert_eq!((exchange, gate), next, "{scheme}");
    }
}

#[test]
fn owner_leaves_nothing_behind_that_it_has_not_used() {
    let (mut core, mut a) = (
        Core::new(Host),
        Guest::new(A, Rule::new(Scheme::Owner), false),
    );
    assert_eq!(a.loaded_on(), None, "it has not run yet");
    window(&mut core, &mut a, false);
    assert_eq!(a.loaded_on(), None);
    let _ = core.enter(&mut a, Resume::default);
    let _ = core.trap(&mut a, Class::Fp);
    let _ = core.exit(&mut a);
    assert_eq!(core.host_begin(), Some((A, Class::Fp)));
    let _ = core.host_end();
    let _ = core.put(&mut a);
    assert_eq!(a.loaded_on(), None, "the host's use has taken them");
}

/// The old core may have lost them since the put, to its host or to another guest; then there is
/// nothing to move, and nothing to count.
#[test]
fn what_has_gone_meanwhile_is_not_surrendered() {
    for guest_takes in [false, true] {
        let (mut core, mut a) = used_and_put(Scheme::Owner);
        let owner = if guest_takes {
            let mut b = Guest::new(B, Rule::new(Scheme::Owner), false);
            let (.., trap) = window(&mut core, &mut b, true);
            assert_eq!(trap, moved(A, B));
            B
        } else {
            assert_eq!(core.host_begin(), Some((A, Class::Fp)));
            core.host_end()
        };
        assert_eq!(a.loaded_on(), Some(Host), "it cannot know");
        assert_eq!(core.release(A), None);
        assert_eq!(core.owner(), owner, "whoever has them keeps them");
        a.arrived(false);
        assert_eq!((a.loaded_on(), a.counts.fetches), (None, 0));
    }
}

/// From core to core and back: each core's registers are the guest's only while no other's are.
#[test]
fn a_vcpu_comes_back_to_a_core_that_it_has_left() {
    let (mut core, mut a) = used_and_put(Scheme::Owner);
    let mut other = Core::new(OtherHost);
    assert_eq!(core.release(A), moved(A, Host));
    a.arrived(true);
    let used = window(&mut other, &mut a, true);
    assert_eq!(used, (None, Gate::Closed, moved(OtherHost, A)));
    assert_eq!(core.elsewhere(&a), Some(OtherHost));
    assert_eq!(other.release(A), moved(A, OtherHost));
    a.arrived(true);
    let used = window(&mut core, &mut a, true);
    assert_eq!(used, (None, Gate::Closed, moved(Host, A)));
    let counts = a.counts;
    assert_eq!((counts.fetches, counts.give_backs), (2, 0));
}
