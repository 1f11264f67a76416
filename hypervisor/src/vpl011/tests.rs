//! Tests of the guest's PL011: registers by table, and what Linux's driver does with it.

use super::*;

const FIFOS_ON: u32 = 0x70;

fn uart_with_fifos() -> Vpl011 {
    let mut uart = Vpl011::new();
    uart.write(LCR_H, 4, FIFOS_ON);
    uart
}

fn fill(uart: &mut Vpl011, count: usize) {
    for n in 0..count {
        assert!(uart.has_room(), "byte {n}");
        uart.receive(n as u8);
    }
}

#[test]
fn registers_after_reset() {
    let table = [
        (0x000, 0),     // DR
        (0x004, 0),     // RSR
        (0x018, 0x97),  // FR: both FIFOs are empty, connected
        (0x030, 0x300), // CR
        (0x034, 0x12),  // IFLS
        (0x038, 0),     // IMSC
        (0x03c, 0),     // RIS
        (0xfdc, 0),
        (0xfe0, 0x11), // PeriphID0 ..
        (0xfe4, 0x10),
        (0xfe8, 0x34),
        (0xfec, 0x00),
        (0xff0, 0x0d), // CellID0 ..
        (0xff4, 0xf0),
        (0xff8, 0x05),
        (0xffc, 0xb1),
        (0x1000, 0),
        (!3, 0),
    ];
    let mut uart = Vpl011::new();
    for (offset, value) in table {
        assert_eq!(uart.read(offset, 4), value, "{offset:#x}");
    }
}

#[test]
fn registers_keep_what_they_implement() {
    let table = [
        (ILPR, 0xff),
        (IBRD, 0xffff),
        (FBRD, 0x3f),
        (LCR_H, 0xff),
        (CR, 0xff87),
        (IFLS, 0x3f),
        (IMSC, 0x7ff),
        (DMACR, 0x7),
        (FR, 0x97),
        (RIS, 0),
        (0x004, 0),
        (0xfe0, 0x11),
    ];
    for (offset, value) in table {
        let mut uart = Vpl011::new();
        assert_eq!(uart.write(offset, 4, u32::MAX), None);
        assert_eq!(uart.read(offset, 4), value, "{offset:#x}");
    }
}

#[test]
fn only_the_sizes_of_the_bus_are_served() {
    let mut uart = Vpl011::new();
    for size in [1, 2, 4] {
        assert_eq!(uart.write(DR, size, 0x1234_5641), Some(0x41));
    }
    for (offset, size) in [(DR, 8), (DR, 3), (DR, 0), (DR, usize::MAX), (1, 1), (2, 2)] {
        assert_eq!(uart.write(offset, size, 0x41), None);
        assert_eq!(uart.read(offset, size), 0);
    }
    uart.write(IBRD, 4, 0x1234);
    assert_eq!(uart.read(IBRD, 1), 0x34);
}

#[test]
fn sending_raises_the_transmit_interrupt_again() {
    let mut uart = uart_with_fifos();
    assert!(!uart.interrupt_level());
    uart.write(IMSC, 4, INT_TX);
    assert!(!uart.interrupt_level(), "nothing was sent yet");
    for _ in 0..3 {
        assert_eq!(uart.write(DR, 1, b'x'.into()), Some(b'x'));
        assert!(uart.interrupt_level());
        uart.write(ICR, 4, INT_TX);
        assert!(!uart.interrupt_level());
    }
}

#[test]
fn bytes_arrive_in_order_until_full() {
    let mut uart = uart_with_fifos();
    for round in 0..3 {
        fill(&mut uart, 32);
        assert!(!uart.has_room());
        uart.receive(0xff);
        assert_eq!(uart.read(FR, 4) & (FR_RXFF | FR_RXFE), FR_RXFF);
        for n in 0..32 {
            assert_eq!(uart.read(DR, 4), n, "round {round}");
        }
        assert_eq!(uart.read(FR, 4) & (FR_RXFF | FR_RXFE), FR_RXFE);
    }
}

#[test]
fn without_fifos_one_byte_is_held() {
    let mut uart = Vpl011::new();
    uart.receive(b'a');
    assert!(!uart.has_room());
    uart.receive(b'b');
    assert_eq!(uart.read(RIS, 4), INT_RX | INT_RT);
    assert_eq!(uart.read(DR, 4), b'a'.into());
    assert_eq!(uart.read(RIS, 4), 0);
}

#[test]
fn receive_interrupt_at_each_trigger_level() {
    for (select, trigger) in [(0, 4), (1, 8), (2, 16), (3, 24), (4, 28)] {
        let mut uart = uart_with_fifos();
        uart.write(IFLS, 4, select << 3);
        fill(&mut uart, trigger - 1);
        assert_eq!(uart.read(RIS, 4), INT_RT, "below {trigger}");
        uart.receive(0);
        assert_eq!(uart.read(RIS, 4), INT_RT | INT_RX, "at {trigger}");
        uart.receive(0);
        uart.read(DR, 4);
        assert_eq!(uart.read(RIS, 4), INT_RT | INT_RX, "at {trigger} still");
        uart.read(DR, 4);
        assert_eq!(uart.read(RIS, 4), INT_RT, "below {trigger} again");
    }
}

#[test]
fn timeout_lasts_until_the_fifo_is_empty() {
    let mut uart = uart_with_fifos();
    uart.write(IMSC, 4, INT_RT | INT_RX);
    fill(&mut uart, 2);
    assert!(uart.interrupt_level());
    uart.write(ICR, 4, INT_RT | INT_RX);
    assert!(!uart.interrupt_level());
    uart.read(DR, 4);
    assert_eq!(uart.read(MIS, 4), INT_RT, "a byte is left");
    uart.read(DR, 4);
    assert!(!uart.interrupt_level());
}

#[test]
fn masked_interrupts_do_not_move_the_line() {
    let mut uart = uart_with_fifos();
    fill(&mut uart, 32);
    uart.write(DR, 4, 0);
    uart.write(IMSC, 4, !(INT_RT | INT_RX | INT_TX));
    assert_eq!(uart.read(RIS, 4), INT_RT | INT_RX | INT_TX);
    assert_eq!(uart.read(MIS, 4), 0);
    assert!(!uart.interrupt_level());
}

#[test]
fn loopback_receives_what_is_sent() {
    let mut uart = uart_with_fifos();
    uart.write(CR, 4, CR_RESET | CR_LBE);
    for n in 0..40 {
        assert_eq!(uart.write(DR, 4, n), None);
    }
    for n in 0..32 {
        assert_eq!(uart.read(DR, 4), n);
    }
    assert_ne!(uart.read(FR, 4) & FR_RXFE, 0);
}

#[test]
fn switching_the_fifos_empties_them() {
    let mut uart = uart_with_fifos();
    fill(&mut uart, 20);
    uart.write(LCR_H, 4, FIFOS_ON | 1);
    assert_eq!(uart.read(FR, 4) & FR_RXFE, 0, "still on");
    uart.write(LCR_H, 4, 0);
    assert_ne!(uart.read(FR, 4) & FR_RXFE, 0);
    assert_eq!(uart.read(RIS, 4), 0);
}
