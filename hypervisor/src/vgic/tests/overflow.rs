//! More interrupts than list registers: which ones wait, and that none is forgotten.

use super::super::{HARDWARE_INTID, Vgic};
use super::machine::Machine;
use super::{ISACTIVER, vgic_with, write_bit, write_priority};

const UART: u32 = 33;
const EN: u64 = 1 << 0;
const UIE: u64 = 1 << 1;
const LRENPIE: u64 = 1 << 2;
const NPIE: u64 = 1 << 3;
const TDIR: u64 = 1 << 14;

/// The INTIDs in the list registers, in ascending order.
fn listed(vgic: &Vgic) -> Vec<u32> {
    let mut intids: Vec<u32> = vgic.list(0)[..vgic.used(0)]
        .iter()
        .map(|lr| *lr as u32)
        .collect();
    intids.sort_unstable();
    intids
}

#[test]
fn most_urgent_pending_ones_are_listed() {
    let mut vgic = vgic_with(1, &[3, 4, 5, 6]);
    for (intid, priority) in [(3, 0x40), (4, 0x20), (5, 0x30), (6, 0x10)] {
        let _ = write_priority(&mut vgic, 0, intid, priority);
        let _ = vgic.set_pending(0, intid);
    }
    assert_eq!(vgic.flush(0, 2), Some(2));
    assert_eq!(listed(&vgic), [4, 6]);
    assert_eq!(vgic.hcr(0), EN | NPIE);
    assert_eq!(vgic.flush(0, 4), Some(4));
    assert_eq!(vgic.hcr(0), EN);
}

#[test]
fn active_ones_stay_listed_beside_the_most_urgent_pending_one() {
    let mut vgic = vgic_with(1, &[3, 4, 5, 6]);
    for intid in [3, 4, 5] {
        let _ = write_priority(&mut vgic, 0, intid, 0x80 + 8 * intid as u8);
        let _ = write_bit(&mut vgic, 0, ISACTIVER, intid);
    }
    let _ = write_priority(&mut vgic, 0, 6, 0xf0);
    let _ = vgic.set_pending(0, 6);
    let _ = vgic.flush(0, 3);
    assert_eq!(listed(&vgic), [3, 4, 6]);
    assert_eq!(vgic.hcr(0), EN | UIE | LRENPIE | TDIR);
}

#[test]
fn single_list_register_does_not_ask_for_maintenance_all_the_time() {
    let mut vgic = vgic_with(1, &[3, 4]);
    let _ = write_bit(&mut vgic, 0, ISACTIVER, 3);
    let _ = write_bit(&mut vgic, 0, ISACTIVER, 4);
    let _ = vgic.flush(0, 1);
    assert_eq!(vgic.hcr(0), EN | LRENPIE | TDIR);
}

#[test]
fn active_mapped_interrupt_keeps_its_register() {
    let mut vgic = vgic_with(1, &[3, 4, HARDWARE_INTID]);
    let _ = write_priority(&mut vgic, 0, HARDWARE_INTID, 0xf8);
    for intid in [3, 4, HARDWARE_INTID] {
        let _ = write_bit(&mut vgic, 0, ISACTIVER, intid);
    }
    let _ = vgic.flush(0, 2);
    assert_eq!(listed(&vgic), [3, HARDWARE_INTID]);
}

/// An end of interrupt that finds no list register is the most urgent active one without: INTID 0
/// here, which an empty list register must not be taken for.
#[test]
fn end_without_a_register_is_counted() {
    let mut machine = Machine::new(1, &[0, 3, 4], 2);
    machine.at_el2(|vgic| {
        for (intid, priority) in [(0, 0x30), (3, 0x10), (4, 0x20)] {
            let _ = write_priority(vgic, 0, intid, priority);
            let _ = write_bit(vgic, 0, ISACTIVER, intid);
        }
    });
    for intid in [3, 4, 0] {
        machine.end(intid);
    }
    assert!(machine.core.maintenance());
    let _ = machine.exit();
    for intid in [0, 3, 4] {
        assert!(!machine.is_active(intid), "{intid}");
    }
    machine.core.enter(&mut machine.vgic);
}

/// Ended, it would be pending in the list while a more urgent one waits outside.
#[test]
fn active_and_pending_one_does_not_overtake() {
    let mut machine = Machine::new(1, &[3, 23, 64], 2);
    let _ = machine.at_el2(|vgic| vgic.set_pending(0, 64));
    assert_eq!(machine.acknowledge(), Some(64));
    machine.at_el2(|vgic| {
        for intid in [64, 3, 23] {
            let _ = vgic.set_pending(0, intid);
        }
    });
    machine.end(64);
    for expected in [3, 23, 64] {
        machine.maintain();
        assert_eq!(machine.acknowledge(), Some(expected));
        machine.end(expected);
    }
}

/// A guest with `EOImode` = 1 that leaves many interrupts active, and deactivates them in an order
/// that cannot be guessed.
#[test]
fn deactivations_beyond_the_list_registers_trap() {
    let intids = [3, 4, 5, 6];
    let mut machine = Machine::new(1, &intids, 2);
    machine.at_el2(|vgic| {
        for intid in intids {
            let _ = vgic.set_pending(0, intid);
        }
    });
    for intid in intids {
        machine.maintain();
        assert_eq!(machine.acknowledge(), Some(intid));
        machine.core.drop_priority();
    }
    machine.at_el2(|_| ());
    let mut active = vec![3, 4, 5, 6];
    for intid in [6, 4, 5, 3] {
        machine.core.deactivate_or_trap(&mut machine.vgic, intid);
        let _ = machine.exit();
        active.retain(|other| *other != intid);
        for other in intids {
            let expected = active.contains(&other);
            assert_eq!(machine.is_active(other), expected, "{other} after {intid}");
        }
        machine.core.enter(&mut machine.vgic);
    }
}

#[test]
fn deactivation_of_what_is_not_active_does_nothing() {
    let mut vgic = vgic_with(1, &[UART]);
    let _ = vgic.flush(0, 4);
    for intid in [UART, 3, 96, 1020, u32::MAX] {
        let _ = vgic.deactivate(0, intid);
        assert!(!vgic.needs_flush(0));
    }
}

#[test]
fn trapped_deactivation_reaches_the_mapped_interrupt() {
    let mut vgic = vgic_with(1, &[HARDWARE_INTID]);
    let _ = write_bit(&mut vgic, 0, ISACTIVER, HARDWARE_INTID);
    assert!(vgic.deactivate(0, HARDWARE_INTID).hardware.contains(0));
    assert!(!vgic.hardware_active(0));
}

#[test]
fn trapped_deactivation_of_an_interrupt_that_moved_away() {
    let mut machine = Machine::handling(2, UART, |vgic| vgic.set_pending(0, UART));
    let _ = machine.at_el2(|vgic| vgic.distributor_write(0x6108, 8, 1));
    let _ = machine.exit();
    let _ = machine.vgic.deactivate(0, UART);
    assert!(machine.vgic.needs_flush(0));
    let _ = machine.vgic.flush(0, 4);
    assert_eq!(machine.vgic.used(0), 0);
}
