//! What a hypervisor may get wrong ends in a refusal or in a defined answer.

use trapcast_forecast::{Resume, Rule, Scheme};
use trapcast_switch::{Class, Core, Exchange, Gate, Guest};

const HOSTS: [usize; 2] = [0, 1];
const GUEST: usize = 2;

/// A guest of this scheme, whose registers are in this core.
fn at_work(core: &mut Core<usize>, scheme: Scheme) -> Guest<usize, Rule> {
    let mut guest = Guest::new(GUEST, Rule::new(scheme), false);
    let entry = core.enter(&mut guest, Resume::default);
    assert_eq!(entry.gate, Gate::Closed);
    let exchange = core.trap(&mut guest, Class::Fp).exchange;
    assert_eq!(exchange, Some(Exchange::of_fp(HOSTS[0], GUEST)));
    guest
}

#[test]
fn a_retired_context_may_be_another_guests() {
    let mut core = Core::new(HOSTS[0]);
    let mut first = at_work(&mut core, Scheme::Owner);
    assert_eq!(core.exit(&mut first), None);
    assert_eq!(core.put(&mut first), None);
    assert_eq!(core.retire(first), Some(Exchange::of_fp(GUEST, HOSTS[0])));
    // The next one does not find the first one's registers behind an open gate.
    let _ = at_work(&mut core, Scheme::Owner);
}

#[test]
fn what_owns_no_registers_is_retired_without_a_move() {
    let mut core = Core::new(HOSTS[0]);
    let mut guest = at_work(&mut core, Scheme::UntilPut);
    assert_eq!(core.exit(&mut guest), None);
    assert_eq!(core.put(&mut guest), Some(Exchange::of_fp(GUEST, HOSTS[0])));
    assert_eq!(core.retire(guest), None);
}

#[test]
#[should_panic = "the guest's registers may be in another core"]
fn a_guest_is_not_retired_while_another_core_has_its_registers() {
    let mut cores = HOSTS.map(Core::new);
    let mut guest = at_work(&mut cores[0], Scheme::Owner);
    assert_eq!(cores[0].exit(&mut guest), None);
    assert_eq!(cores[0].put(&mut guest), None);
    let _ = cores[1].retire(guest);
}

/// In every build, also where debug assertions are off.
#[test]
#[should_panic = "the guest has no such class"]
fn a_trap_of_a_class_that_the_guest_lacks_opens_no_gate() {
    let mut core = Core::new(HOSTS[0]);
    let mut guest = at_work(&mut core, Scheme::Owner);
    let _ = core.trap(&mut guest, Class::Sve);
}
