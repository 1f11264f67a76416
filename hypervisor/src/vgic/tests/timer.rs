//! The virtual timer's interrupt: it follows its line, in every state of its own and of its vCPU.

use super::super::{Effects, Frame, HARDWARE_INTID, VcpuSet, Vgic};
use super::core::Core;
use super::machine::Machine;
use super::{
    ICACTIVER, ICENABLER, ICPENDR, ISACTIVER, ISENABLER, ISPENDR, read_bit, sgi_frame, vgic_with,
    write_bit,
};

impl Machine {
    fn with_timer(vcpus: usize) -> Self {
        Self::new(vcpus, &[HARDWARE_INTID], 4)
    }

    /// The guest reads a bit of its redistributor.
    fn reads(&mut self, register: u64) -> bool {
        let vcpu = self.core.loaded;
        self.at_el2(|vgic| read_bit(vgic, vcpu, register, HARDWARE_INTID))
    }

    /// The guest writes a bit of its redistributor, and the timer fires if it can.
    fn writes(&mut self, register: u64) {
        let vcpu = self.core.loaded;
        let _ = self.exit();
        let effects = write_bit(&mut self.vgic, vcpu, register, HARDWARE_INTID);
        self.core.apply(&mut self.vgic, effects);
        self.core.enter(&mut self.vgic);
        self.core.fire_in_guest(&mut self.vgic);
    }

    /// The guest writes `GICD_CTLR`.
    fn enables_groups(&mut self, groups: u64) {
        let _ = self.at_el2(|vgic| vgic.distributor_write(0, 4, groups));
    }
}

#[test]
fn it_is_mapped_and_deactivated_by_the_guest() {
    let mut machine = Machine::with_timer(1);
    machine.set_line(true);
    // Pending, HW, Group 1, priority 0, pINTID 27, vINTID 27.
    assert_eq!(machine.core.lrs[0], 0x7000_001b_0000_001b);
    assert!(machine.reads(ISPENDR));
    assert_eq!(machine.acknowledge(), Some(27));
    machine.set_line(false);
    assert!(machine.reads(ISACTIVER) && !machine.reads(ISPENDR));
    assert!(machine.core.physical_active);
    machine.end(27);
    assert!(!machine.core.physical_active);
    let _ = machine.exit();
    assert!(!machine.vgic.hardware_active(0));
    assert!(!machine.vgic.needs_flush(0));
    assert_eq!(machine.vgic.looked_at(0), 0, "nothing is left to do");
}

#[test]
fn line_that_stays_high_comes_again() {
    let mut machine = Machine::with_timer(1);
    machine.set_line(true);
    assert_eq!(machine.acknowledge(), Some(27));
    assert!(machine.reads(ISPENDR), "active and pending");
    assert_eq!(machine.acknowledge(), None);
    machine.end(27);
    machine.core.fire_in_guest(&mut machine.vgic);
    assert_eq!(machine.acknowledge(), Some(27));
}

/// What can keep it from its guest: the write that disables it, and the one that enables it.
const CLOSED: [fn(&mut Machine, bool); 2] = [
    |machine, open| machine.writes(if open { ISENABLER } else { ICENABLER }),
    |machine, open| machine.enables_groups(if open { 0b10 } else { 0b01 }),
];

#[test]
fn line_that_fell_behind_a_closed_way_is_gone() {
    for way in CLOSED {
        for fires_first in [false, true] {
            let mut machine = Machine::with_timer(1);
            if fires_first {
                machine.set_line(true);
            }
            way(&mut machine, false);
            machine.set_line(true);
            assert!(machine.reads(ISPENDR));
            assert_eq!(machine.acknowledge(), None);
            machine.set_line(false);
            assert!(!machine.reads(ISPENDR));
            assert!(!machine.core.physical_active, "it can fire");
            machine.set_line(true);
            machine.set_line(false);
            way(&mut machine, true);
            assert_eq!(machine.acknowledge(), None);
            machine.set_line(true);
            assert_eq!(machine.acknowledge(), Some(27));
        }
    }
}

#[test]
fn line_that_fell_in_a_list_register_is_withdrawn_at_the_next_exit() {
    let mut machine = Machine::with_timer(1);
    machine.set_line(true);
    machine.set_line(false);
    machine.at_el2(|_| ());
    assert_eq!(machine.acknowledge(), None);
    assert!(!machine.core.physical_active);
}

#[test]
fn line_that_fell_and_rose_is_pending() {
    let mut machine = Machine::with_timer(1);
    machine.set_line(true);
    machine.set_line(false);
    machine.set_line(true);
    machine.at_el2(|_| ());
    assert_eq!(machine.acknowledge(), Some(27));
}

#[test]
fn guest_that_made_it_pending_finds_it_so_whatever_the_line_does() {
    for line in [false, true] {
        let mut machine = Machine::with_timer(1);
        machine.writes(ICENABLER);
        machine.set_line(line);
        machine.writes(ISPENDR);
        machine.set_line(false);
        assert!(machine.reads(ISPENDR));
        machine.writes(ISENABLER);
        assert_eq!(machine.acknowledge(), Some(27));
        machine.end(27);
        machine.at_el2(|_| ());
        assert_eq!(machine.acknowledge(), None, "once");
    }
}

#[test]
fn pending_state_of_the_guest_and_of_the_line_are_apart() {
    let mut machine = Machine::with_timer(1);
    machine.writes(ICENABLER);
    machine.writes(ISPENDR);
    machine.set_line(true);
    machine.writes(ICPENDR);
    assert!(machine.reads(ISPENDR), "the line is high");
    machine.set_line(false);
    assert!(!machine.reads(ISPENDR));
    machine.writes(ISPENDR);
    machine.writes(ICPENDR);
    assert!(!machine.reads(ISPENDR));
}

#[test]
fn one_made_pending_while_it_is_active_comes_after_its_end() {
    let mut machine = Machine::with_timer(1);
    machine.set_line(true);
    assert_eq!(machine.acknowledge(), Some(27));
    machine.writes(ISPENDR);
    machine.set_line(false);
    assert!(machine.reads(ISPENDR) && machine.reads(ISACTIVER));
    machine.end(27);
    machine.maintain();
    assert!(!machine.core.physical_active);
    assert_eq!(machine.acknowledge(), Some(27));
    machine.end(27);
    machine.at_el2(|_| ());
    assert_eq!(machine.acknowledge(), None);
}

#[test]
fn guest_changes_the_active_state() {
    for line in [false, true] {
        let mut machine = Machine::with_timer(1);
        machine.writes(ISACTIVER);
        assert!(machine.core.physical_active);
        machine.set_line(line);
        assert_eq!(machine.reads(ISPENDR), line);
        assert_eq!(machine.acknowledge(), None);
        machine.writes(ICACTIVER);
        assert_eq!(machine.reads(ISPENDR), line);
        assert_eq!(machine.core.physical_active, line);
        assert_eq!(machine.acknowledge(), line.then_some(27));
    }
}

#[test]
fn it_follows_its_vcpu() {
    let mut machine = Machine::with_timer(2);
    machine.switch_to(1);
    machine.set_line(true);
    machine.switch_to(0);
    assert!(!machine.core.physical_active);
    machine.switch_to(1);
    assert!(machine.core.physical_active);
    assert_eq!(machine.acknowledge(), Some(27));
    machine.switch_to(0);
    assert!(!machine.core.physical_active);
    machine.switch_to(1);
    assert!(machine.core.physical_active);
    machine.set_line(false);
    machine.end(27);
    machine.at_el2(|_| ());
}

/// A vCPU that is turned on again has a timer that was reset, in a core where the old one fired.
#[test]
fn reset_timer_leaves_nothing_pending_but_what_the_guest_made_so() {
    for made_by_guest in [false, true] {
        let mut vgic = vgic_with(1, &[HARDWARE_INTID]);
        if made_by_guest {
            let _ = write_bit(&mut vgic, 0, ISPENDR, 27);
        }
        let _ = vgic.hardware_fired(0);
        let _ = vgic.hardware_seen(0, false);
        assert_eq!(read_bit(&vgic, 0, ISPENDR, 27), made_by_guest);
        assert!(!vgic.hardware_active(0));
    }
}

/// vCPU 0's redistributor, as vCPU 1 writes it.
fn sibling_writes(vgic: &mut Vgic, register: u64) -> Result<Effects, VcpuSet> {
    let offset = sgi_frame(0, register);
    vgic.write(1, Frame::Redistributors, offset, 4, 1 << 27)
}

#[test]
fn sibling_reads_the_line_of_one_that_was_in_its_guest() {
    for enabled in [&[HARDWARE_INTID][..], &[]] {
        let mut vgic = vgic_with(2, enabled);
        let mut core = Core::new(&mut vgic, 4);
        core.set_line(&mut vgic, true);
        core.set_line(&mut vgic, false);
        let offset = sgi_frame(0, ISPENDR);
        let read = |vgic: &mut Vgic| vgic.read(1, Frame::Redistributors, offset, 4);
        assert_eq!(read(&mut vgic), Err(VcpuSet::only(0)));
        let _ = core.exit(&mut vgic);
        assert_eq!(read(&mut vgic), Ok(0));
    }
}

#[test]
fn sibling_enables_what_fell_meanwhile() {
    let mut vgic = vgic_with(2, &[]);
    let mut core = Core::new(&mut vgic, 4);
    core.set_line(&mut vgic, true);
    core.set_line(&mut vgic, false);
    let effects = sibling_writes(&mut vgic, ISENABLER).expect("it waits for no vCPU");
    assert_eq!(effects.kick.bits(), 0b01);
    let _ = core.exit(&mut vgic);
    core.enter(&mut vgic);
    assert_eq!(core.acknowledge(), None);
}

/// The timer of a vCPU that waits may fire again, which only its own core can see to.
#[test]
fn sibling_wakes_whom_it_deactivates_the_timer_of() {
    let mut vgic = vgic_with(2, &[HARDWARE_INTID]);
    let mut core = Core::new(&mut vgic, 4);
    core.set_line(&mut vgic, true);
    assert_eq!(core.acknowledge(), Some(27));
    core.set_line(&mut vgic, false);
    let _ = core.exit(&mut vgic);
    vgic.left(0);
    // It waits now, and its timer expires behind the active physical interrupt.
    core.lines[0] = true;
    let effects = sibling_writes(&mut vgic, ICACTIVER).expect("vCPU 0 is out");
    assert!(effects.wake.contains(0) && effects.hardware.contains(0));
    core.apply(&mut vgic, effects);
    core.enter(&mut vgic);
    core.fire_in_guest(&mut vgic);
    assert_eq!(core.lrs[0] >> 62, 0b01);
}

#[test]
fn sibling_deactivates_one_whose_line_is_known_to_be_high() {
    let mut vgic = vgic_with(2, &[HARDWARE_INTID]);
    let mut core = Core::new(&mut vgic, 4);
    core.set_line(&mut vgic, true);
    assert_eq!(core.acknowledge(), Some(27));
    let _ = core.exit(&mut vgic);
    vgic.left(0);
    let effects = sibling_writes(&mut vgic, ICACTIVER).expect("vCPU 0 is out");
    assert!(effects.wake.contains(0) && effects.hardware.is_empty());
    assert!(read_bit(&vgic, 0, ISPENDR, 27) && vgic.hardware_active(0));
}
