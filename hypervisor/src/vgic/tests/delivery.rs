//! Delivery through list registers, one scenario at a time.

use super::super::{Effects, VcpuSet, Vgic};
use super::machine::Machine;
use super::{
    ICACTIVER, ISACTIVER, ISENABLER, ISPENDR, read_bit, sgi_frame, vgic_with, write_bit,
    write_priority,
};

const UART: u32 = 33;
/// `ICH_VMCR_EL2` of a guest that lets everything through.
const OPEN: u64 = 0xff00_0003;

fn wake(vcpus: u8) -> Effects {
    Effects {
        wake: VcpuSet::from_bits(vcpus),
        ..Effects::default()
    }
}

fn route(vgic: &mut Vgic, affinity: u64) -> Effects {
    vgic.distributor_write(0x6000 + 8 * u64::from(UART), 8, affinity)
}

#[test]
fn nothing_to_do_without_interrupts() {
    let mut vgic = vgic_with(1, &[UART]);
    assert_eq!(vgic.flush(0, 4), Some(0));
    assert!(!vgic.needs_flush(0));
    assert_eq!(vgic.used(0), 0);
    assert_eq!(vgic.hcr(0), 1);
    assert!(!vgic.has_pending(0, OPEN));
}

#[test]
fn list_register_of_a_line() {
    let mut vgic = vgic_with(1, &[UART]);
    let _ = write_priority(&mut vgic, 0, UART, 0xa7);
    assert_eq!(vgic.set_level(0, UART, true), wake(1));
    assert_eq!(vgic.set_level(0, UART, true), wake(0), "it is high already");
    assert_eq!(vgic.flush(0, 4), Some(1));
    // Pending, Group 1, priority 0xa0, EOI, vINTID 33.
    assert_eq!(vgic.list(0)[0], 0x50a0_0200_0000_0021);
}

#[test]
fn line_that_falls_is_withdrawn() {
    let mut machine = Machine::new(1, &[UART], 4);
    let _ = machine.at_el2(|vgic| vgic.set_level(0, UART, true));
    let _ = machine.at_el2(|vgic| vgic.set_level(0, UART, false));
    assert_eq!(machine.acknowledge(), None);
}

#[test]
fn line_served_in_the_handler_costs_no_maintenance() {
    let mut machine = Machine::handling(1, UART, |vgic| vgic.set_level(0, UART, true));
    // The driver's access to the device, which lowers the line.
    let _ = machine.at_el2(|vgic| vgic.set_level(0, UART, false));
    assert!(machine.is_active(UART));
    machine.end(UART);
    assert!(!machine.core.maintenance());
    let _ = machine.exit();
    assert!(!machine.is_active(UART));
    assert_eq!(machine.vgic.used(0), 0);
    assert!(!machine.vgic.needs_flush(0), "nothing is left to do");
}

#[test]
fn line_that_stays_high_comes_again() {
    let mut machine = Machine::handling(1, UART, |vgic| vgic.set_level(0, UART, true));
    machine.end(UART);
    assert!(machine.core.maintenance());
    assert_eq!(machine.exit(), wake(1));
    machine.core.enter(&mut machine.vgic);
    assert_eq!(machine.acknowledge(), Some(UART));
}

#[test]
fn emptied_maintenance_register_is_rewritten() {
    let mut machine = Machine::handling(1, UART, |vgic| vgic.set_level(0, UART, true));
    machine.end(UART);
    // The entry checks that the maintenance interrupt is gone.
    let _ = machine.at_el2(|vgic| vgic.set_level(0, UART, false));
    assert_eq!(machine.acknowledge(), None);
}

#[test]
fn disabled_group_or_interrupt_waits() {
    let mut vgic = Vgic::new(1);
    let _ = write_bit(&mut vgic, 0, ISENABLER, UART);
    assert_eq!(vgic.set_level(0, UART, true), wake(0));
    assert!(!vgic.has_pending(0, OPEN));
    assert_eq!(
        vgic.distributor_write(0, 4, 0b01),
        wake(0),
        "it is in Group 1"
    );
    assert_eq!(vgic.distributor_write(0, 4, 0b10), wake(1));
    assert!(vgic.has_pending(0, OPEN));
    assert!(!vgic.has_pending(0, 0xff00_0001), "VENG1 is clear");
    assert!(!vgic.has_pending(0, 0x0000_0003), "VPMR masks priority 0");
}

#[test]
fn group_0_goes_into_the_list_register() {
    let mut vgic = vgic_with(1, &[UART]);
    let _ = vgic.distributor_write(0x84, 4, !(1 << 1));
    let _ = vgic.set_pending(0, UART);
    let _ = vgic.flush(0, 4);
    assert_eq!(vgic.list(0)[0] >> 60 & 1, 0);
}

#[test]
fn sgi_targets() {
    // (ICC_SGI1R_EL1, who gets it from vCPU 1 of 4)
    let table: &[(u64, u8)] = &[
        (0x0300_0005, 0b0101),
        (0x0300_000f, 0b1111),
        (0x0300_00f0, 0),           // no such vCPUs
        (0x100_0300_0000, 0b1101),  // IRM: all but oneself
        (0x0301_0001, 0),           // Aff1
        (0x1_0300_0001, 0),         // Aff2
        (0x0001_0000_0300_0001, 0), // Aff3
        (0x1000_0300_0001, 0),      // RS
    ];
    for &(value, targets) in table {
        let mut vgic = vgic_with(4, &[3]);
        assert_eq!(vgic.send_sgi(1, value), wake(targets), "{value:#x}");
        for vcpu in 0..4 {
            let pending = read_bit(&vgic, vcpu, ISPENDR, 3);
            assert_eq!(pending, targets >> vcpu & 1 != 0, "{value:#x}");
        }
    }
}

#[test]
fn group_0_sgi_register_reaches_group_0_only() {
    let mut vgic = vgic_with(2, &[3]);
    let _ = vgic.redistributor_write(sgi_frame(1, 0x80), 4, !(1 << 3));
    assert_eq!(vgic.send_sgi_group0(0, 0x0300_0003), wake(0b10));
}

#[test]
fn sgi_while_the_same_is_active_comes_after() {
    let send = |vgic: &mut Vgic| vgic.send_sgi(0, 0x0300_0001);
    let mut machine = Machine::handling(1, 3, send);
    let _ = machine.at_el2(send);
    assert_eq!(machine.acknowledge(), None);
    machine.end(3);
    assert_eq!(machine.acknowledge(), Some(3));
    machine.end(3);
    machine.at_el2(|_| ());
    assert_eq!(machine.acknowledge(), None);
}

#[test]
fn spi_moves_with_its_route() {
    let mut machine = Machine::new(2, &[UART], 4);
    let _ = machine.at_el2(|vgic| vgic.set_level(0, UART, true));
    let effects = machine.at_el2(|vgic| route(vgic, 1));
    assert_eq!(effects, wake(0b10));
    assert_eq!(machine.acknowledge(), None);
    machine.switch_to(1);
    assert_eq!(machine.acknowledge(), Some(UART));
    // No vCPU has this affinity: the interrupt stays pending, for the vCPU that it is routed to next.
    assert_eq!(machine.at_el2(|vgic| route(vgic, 0x100)), wake(0));
    machine.end(UART);
    machine.at_el2(|_| ());
    assert_eq!(machine.acknowledge(), None);
    assert_eq!(machine.at_el2(|vgic| route(vgic, 0)), wake(0b01));
}

#[test]
fn active_spi_goes_to_its_new_target_after_its_end() {
    let mut machine = Machine::handling(2, UART, |vgic| vgic.set_level(0, UART, true));
    assert_eq!(machine.at_el2(|vgic| route(vgic, 1)), wake(0));
    machine.end(UART);
    assert!(machine.core.maintenance());
    assert_eq!(machine.exit(), wake(0b10));
}

#[test]
fn spi_pending_again_goes_to_its_new_target() {
    let mut machine = Machine::handling(2, UART, |vgic| vgic.set_pending(0, UART));
    let _ = machine.at_el2(|vgic| route(vgic, 1));
    let effects = machine.at_el2(|vgic| vgic.set_pending(0, UART));
    assert_eq!(effects, wake(0), "not while it is active");
    machine.end(UART);
    assert_eq!(machine.acknowledge(), None);
    assert!(machine.core.maintenance());
    assert_eq!(machine.exit(), wake(0b10));
    machine.core.load(&mut machine.vgic, 1);
    assert_eq!(machine.acknowledge(), Some(UART));
}

#[test]
fn guest_deactivates_another_vcpus_spi() {
    let mut machine = Machine::handling(2, UART, |vgic| vgic.set_pending(0, UART));
    machine.switch_to(1);
    let _ = machine.at_el2(|vgic| route(vgic, 1));
    machine.switch_to(0);
    let _ = machine.exit();
    let _ = write_bit(&mut machine.vgic, 1, ICACTIVER, UART);
    machine.core.load(&mut machine.vgic, 0);
    assert_eq!(machine.core.lrs[0], 0);
}

#[test]
fn empty_register_before_a_used_one_is_left_alone() {
    let mut machine = Machine::new(1, &[0, 3, 4], 4);
    let _ = machine.at_el2(|vgic| {
        let _ = write_priority(vgic, 0, 4, 0x80);
        let _ = vgic.send_sgi(0, 0x0300_0001);
        vgic.send_sgi(0, 0x0400_0001)
    });
    assert_eq!(machine.acknowledge(), Some(3));
    machine.end(3);
    let _ = machine.exit();
    assert_eq!(machine.vgic.used(0), 2);
    let _ = write_bit(&mut machine.vgic, 0, ISACTIVER, 0);
    let _ = machine.exit();
    assert!(machine.is_active(0), "not taken for INTID 0");
}
