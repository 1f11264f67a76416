//! Calls that concern a vCPU in its guest: what is kicked, what waits, and what an exit then folds back.

use super::super::{Effects, Frame, VcpuSet, Vgic};
use super::core::Core;
use super::{
    ICACTIVER, ICENABLER, ICPENDR, ISACTIVER, ISENABLER, ISPENDR, sgi_frame, vgic_with, write_bit,
    write_priority,
};

const UART: u32 = 33;
const SPI_BIT: u64 = 1 << (UART % 32);

/// A VM of two vCPUs, with vCPU 0 in its guest, on a core with four list registers.
struct Pair {
    vgic: Vgic,
    core: Core,
}

impl Pair {
    fn new(intids: &[u32]) -> Self {
        let mut vgic = vgic_with(2, intids);
        let core = Core::new(&mut vgic, 4);
        Self { vgic, core }
    }

    /// vCPU 0 takes its kick.
    fn reenter(&mut self) -> Effects {
        let effects = self.core.exit(&mut self.vgic);
        self.core.enter(&mut self.vgic);
        effects
    }

    /// vCPU 0 is in its guest, with the UART's interrupt pending in a list register.
    fn with_uart_listed() -> Self {
        let mut pair = Self::new(&[UART]);
        assert_eq!(pair.vgic.set_pending(0, UART).kick.bits(), 0b01);
        let _ = pair.reenter();
        pair
    }

    fn write(&mut self, offset: u64, value: u64) -> Result<Effects, VcpuSet> {
        self.vgic.write(1, Frame::Distributor, offset, 4, value)
    }

    fn send_sgi(&mut self, intid: u64) -> Effects {
        self.vgic.send_sgi(1, intid << 24 | 1)
    }
}

#[test]
fn running_vcpu_is_kicked_once() {
    let mut pair = Pair::new(&[3, 4]);
    let effects = pair.send_sgi(3);
    assert_eq!((effects.wake.bits(), effects.kick.bits()), (1, 1));
    assert_eq!(pair.send_sgi(3).kick.bits(), 0, "its exit is under way");
    assert_eq!(pair.send_sgi(4).kick.bits(), 0, "and serves this one, too");
    let _ = pair.reenter();
    assert_eq!(pair.core.acknowledge(), Some(3));
    assert_eq!(pair.send_sgi(3).kick.bits(), 1);
}

#[test]
fn who_is_out_or_not_concerned_is_not_kicked() {
    let mut pair = Pair::new(&[3]);
    // Disabled: nothing comes of it.
    assert!(pair.vgic.set_level(0, UART, true).kick.is_empty());
    assert!(pair.vgic.set_pending(1, 3).kick.is_empty());
    let _ = pair.core.exit(&mut pair.vgic);
    pair.vgic.left(0);
    assert!(pair.send_sgi(3).kick.is_empty());
}

#[test]
fn edge_after_the_acknowledgement_is_taken_too() {
    let mut pair = Pair::with_uart_listed();
    assert_eq!(pair.core.acknowledge(), Some(UART));
    assert_eq!(pair.vgic.set_pending(0, UART).kick.bits(), 0b01);
    pair.core.end(UART);
    let _ = pair.reenter();
    assert_eq!(pair.core.acknowledge(), Some(UART));
    pair.core.end(UART);
    let _ = pair.reenter();
    assert_eq!(pair.core.acknowledge(), None);
}

#[test]
fn edge_before_the_acknowledgement_is_one_with_the_first() {
    let mut pair = Pair::with_uart_listed();
    assert_eq!(pair.vgic.set_pending(0, UART).kick.bits(), 0b01);
    let _ = pair.reenter();
    assert_eq!(pair.core.acknowledge(), Some(UART));
    pair.core.end(UART);
    let _ = pair.reenter();
    assert_eq!(pair.core.acknowledge(), None);
}

#[test]
fn line_that_falls_is_withdrawn_by_a_kick() {
    let mut pair = Pair::new(&[UART]);
    let _ = pair.vgic.set_level(0, UART, true);
    let _ = pair.reenter();
    assert_eq!(pair.vgic.set_level(0, UART, false).kick.bits(), 0b01);
    let _ = pair.reenter();
    assert_eq!(pair.core.acknowledge(), None);
}

#[test]
fn priority_goes_to_the_list_register_by_a_kick() {
    let mut pair = Pair::with_uart_listed();
    let unchanged = write_priority(&mut pair.vgic, 1, UART, 0);
    assert!(unchanged.kick.is_empty());
    let neighbour = write_priority(&mut pair.vgic, 1, UART + 1, 0x80);
    assert!(neighbour.kick.is_empty());
    let effects = write_priority(&mut pair.vgic, 1, UART, 0x80);
    assert_eq!(effects.kick.bits(), 0b01);
    let _ = pair.reenter();
    assert_eq!(pair.core.lrs[0] >> 48 & 0xff, 0x80);
}

/// (offset, size, value) of what waits for the holder of the UART's interrupt.
const EXACT_WRITES: &[(u64, usize, u64)] = &[
    (0x0000, 4, 0b01),
    (ICENABLER + 4, 4, SPI_BIT),
    (ICPENDR + 4, 4, SPI_BIT),
    (ISACTIVER + 4, 4, SPI_BIT),
    (ICACTIVER + 4, 4, SPI_BIT),
    (0x6000 + 8 * UART as u64, 8, 1),
];

#[test]
fn what_must_be_exact_waits_for_the_holder() {
    for &(offset, size, value) in EXACT_WRITES {
        let mut pair = Pair::with_uart_listed();
        let write = |vgic: &mut Vgic| vgic.write(1, Frame::Distributor, offset, size, value);
        assert_eq!(write(&mut pair.vgic), Err(VcpuSet::only(0)), "{offset:#x}");
        let _ = pair.core.exit(&mut pair.vgic);
        assert!(
            !pair.core.try_enter(&mut pair.vgic),
            "{offset:#x}: stays out"
        );
        assert!(write(&mut pair.vgic).is_ok(), "{offset:#x}");
        pair.core.enter(&mut pair.vgic);
        // Cleared of an active state that it has not, it is still pending.
        let expected = (offset == ICACTIVER + 4).then_some(UART);
        assert_eq!(pair.core.acknowledge(), expected, "{offset:#x}");
    }
}

#[test]
fn what_need_not_be_exact_does_not_wait() {
    let table = [
        (0x0000, 0b11),
        (0x0084, 0),
        (ISENABLER + 4, SPI_BIT),
        (ICENABLER + 4, SPI_BIT << 1),
        (ISPENDR + 4, SPI_BIT),
        (ICPENDR + 4, SPI_BIT << 1),
        (ISACTIVER + 4, 0),
        (0x0420, 0x8080_8080),
        (0x0c08, 0xffff_ffff),
    ];
    for (offset, value) in table {
        let mut pair = Pair::with_uart_listed();
        assert!(pair.write(offset, value).is_ok(), "{offset:#x}");
    }
}

#[test]
fn reads_of_what_the_guest_changes_wait() {
    for register in [ISPENDR, ICPENDR, ISACTIVER, ICACTIVER] {
        let mut pair = Pair::with_uart_listed();
        assert_eq!(pair.core.acknowledge(), Some(UART));
        let read = |vgic: &mut Vgic| vgic.read(1, Frame::Distributor, register + 4, 4);
        assert_eq!(read(&mut pair.vgic), Err(VcpuSet::only(0)));
        let _ = pair.core.exit(&mut pair.vgic);
        let active = register == ISACTIVER || register == ICACTIVER;
        let expected = if active { SPI_BIT } else { 0 };
        assert_eq!(read(&mut pair.vgic), Ok(expected), "{register:#x}");
        assert!(pair.core.try_enter(&mut pair.vgic), "no access waits");
    }
}

/// The other bank's interrupts, and a vCPU's own, need no other vCPU to exit.
#[test]
fn reads_of_the_rest_do_not_wait() {
    let mut pair = Pair::with_uart_listed();
    let bank_2 = pair.vgic.read(1, Frame::Distributor, ISPENDR + 8, 4);
    assert_eq!(bank_2, Ok(0));
    let enables = pair.vgic.read(1, Frame::Distributor, ISENABLER + 4, 4);
    assert_eq!(enables, Ok(SPI_BIT));
    let own = sgi_frame(1, ISACTIVER);
    assert_eq!(pair.vgic.read(1, Frame::Redistributors, own, 4), Ok(0));
    let other = sgi_frame(0, ISACTIVER);
    assert_eq!(pair.vgic.read(1, Frame::Redistributors, other, 4), Ok(0));
}

/// Neither has anything in list registers, so that their exits were not told.
#[test]
fn two_that_wait_for_each_other_both_go_on() {
    let mut pair = Pair::new(&[3]);
    let mut other = Core::empty(&pair.vgic, 4);
    other.load(&mut pair.vgic, 1);
    let activate = |vgic: &mut Vgic, from, to| {
        let offset = sgi_frame(to, ISACTIVER);
        vgic.write(from, Frame::Redistributors, offset, 4, 1 << 3)
    };
    assert_eq!(activate(&mut pair.vgic, 1, 0), Err(VcpuSet::only(0)));
    assert!(activate(&mut pair.vgic, 0, 1).is_ok());
    assert!(!pair.core.try_enter(&mut pair.vgic));
    assert!(activate(&mut pair.vgic, 1, 0).is_ok());
    pair.core.enter(&mut pair.vgic);
    other.enter(&mut pair.vgic);
}

#[test]
fn refused_entry_is_as_good_as_an_exit() {
    let mut pair = Pair::new(&[3]);
    let offset = sgi_frame(0, ISACTIVER);
    let activate = |vgic: &mut Vgic| vgic.write(1, Frame::Redistributors, offset, 4, 1 << 3);
    assert!(activate(&mut pair.vgic).is_err());
    assert!(!pair.core.try_enter(&mut pair.vgic));
    assert!(activate(&mut pair.vgic).is_ok());
}

/// Its end leaves a trace in `EOIcount` only.
#[test]
fn active_interrupt_without_a_list_register_is_waited_for() {
    let mut vgic = vgic_with(2, &[3, 4, UART]);
    for (intid, priority) in [(3, 0x10), (4, 0x20), (UART, 0x30)] {
        let _ = write_priority(&mut vgic, 0, intid, priority);
        let _ = write_bit(&mut vgic, 0, ISACTIVER, intid);
    }
    let mut core = Core::new(&mut vgic, 2);
    for intid in [3, 4, UART] {
        core.end(intid);
    }
    let read = |vgic: &mut Vgic| vgic.read(1, Frame::Distributor, ISACTIVER + 4, 4);
    assert_eq!(read(&mut vgic), Err(VcpuSet::only(0)));
    let _ = core.exit(&mut vgic);
    assert_eq!(read(&mut vgic), Ok(0));
}

#[test]
fn spi_that_is_over_elsewhere_kicks_its_new_target() {
    let mut vgic = vgic_with(2, &[UART]);
    let mut cores = [0, 1].map(|vcpu| {
        let mut core = Core::empty(&vgic, 4);
        core.load(&mut vgic, vcpu);
        core
    });
    let _ = cores[0].exit(&mut vgic);
    let _ = vgic.set_level(0, UART, true);
    cores[0].enter(&mut vgic);
    assert_eq!(cores[0].acknowledge(), Some(UART));
    let _ = cores[0].exit(&mut vgic);
    let routed = vgic.distributor_write(0x6000 + 8 * u64::from(UART), 8, 1);
    assert!(routed.kick.is_empty(), "not while it is active");
    cores[0].enter(&mut vgic);
    cores[0].end(UART);
    assert!(cores[0].maintenance());
    assert_eq!(cores[0].exit(&mut vgic).kick.bits(), 0b10);
    let _ = cores[1].exit(&mut vgic);
    cores[1].enter(&mut vgic);
    assert_eq!(cores[1].acknowledge(), Some(UART));
}

#[test]
fn single_vcpu_waits_for_nobody() {
    let mut vgic = vgic_with(1, &[UART]);
    let mut core = Core::new(&mut vgic, 4);
    let _ = vgic.set_pending(0, UART);
    core.enter(&mut vgic);
    let _ = core.exit(&mut vgic);
    for &(offset, size, value) in EXACT_WRITES {
        let effects = vgic.write(0, Frame::Distributor, offset, size, value);
        assert!(effects.is_ok_and(|effects| effects.kick.is_empty()));
    }
}
