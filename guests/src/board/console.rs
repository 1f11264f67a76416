//! The console: lines on the PL011, each with the name of the program in front. Those of several CPUs
//! do not mix.
//!
//! Source: Arm DDI 0183, "PrimeCell UART (PL011)", "Summary of registers".

use core::fmt::{self, Write};
use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::{cpus, mmio};

const UARTDR: usize = 0x0900_0000;
const UARTFR: usize = 0x0900_0018;
const UARTCR: usize = 0x0900_0030;
const UARTLCR_H: usize = 0x0900_002c;
/// UARTLCR_H: eight bits, and FEN, the FIFOs enabled.
const WLEN_8: u32 = 0b11 << 5;
const FEN: u32 = 1 << 4;
/// UARTFR: the receive FIFO is empty.
const RXFE: u32 = 1 << 4;
/// UARTFR: the transmit FIFO is full.
const TXFF: u32 = 1 << 5;
/// UARTCR: enable, and enable transmission.
const UARTEN_TXE: u32 = 1 << 0 | 1 << 8;

/// Number of the CPU that prints, plus one; 0 if none does.
static PRINTS: AtomicUsize = AtomicUsize::new(0);

static PROGRAM: AtomicPtr<&str> = AtomicPtr::new(ptr::null_mut());

/// Sets the name that opens each line, and turns the transmitter on.
pub fn set_program(name: &'static &'static str) {
    PROGRAM.store(ptr::from_ref(name).cast_mut(), Ordering::Relaxed);
    write(UARTCR, UARTEN_TXE);
}

/// Prints one line: the name of the program, `: `, `line`. For [`println!`](crate::println).
pub fn print_line(line: fmt::Arguments<'_>) {
    // SAFETY: the pointer is null or comes from a reference that lives forever.
    let program = unsafe { PROGRAM.load(Ordering::Relaxed).as_ref() };
    let program = program.copied().unwrap_or("guest");
    let this = cpus::current() + 1;
    // An exception while this CPU prints has a line of its own to print.
    let before = loop {
        match PRINTS.compare_exchange(0, this, Ordering::Acquire, Ordering::Relaxed) {
            Err(other) if other != this => spin_loop(),
            Ok(before) | Err(before) => break before,
        }
    };
    // Writing to the UART cannot fail; a `Display` that fails ends the line early.
    let _ = writeln!(Uart, "{program}: {line}");
    PRINTS.store(before, Ordering::Release);
}

/// Tells the hypervisor that the boot is over and the work begins, by STX: Trapcast shows it in its
/// records and not on the console.
pub fn mark() {
    write(UARTDR, 0x02);
}

/// Turns the FIFOs on or off.
pub fn set_fifos(on: bool) {
    write(UARTLCR_H, if on { WLEN_8 | FEN } else { WLEN_8 });
}

/// Reads a byte that has come, if there is one.
pub fn receive() -> Option<u8> {
    (read(UARTFR) & RXFE == 0).then(|| read(UARTDR) as u8)
}

/// Prints one line with the name of the program in front.
#[macro_export]
macro_rules! println {
    ($($arguments:tt)*) => {
        $crate::board::console::print_line(format_args!($($arguments)*))
    };
}

struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while read(UARTFR) & TXFF != 0 {}
            write(UARTDR, byte.into());
        }
        Ok(())
    }
}

fn read(register: usize) -> u32 {
    // SAFETY: callers name readable registers of the PL011, which are mapped as device memory.
    unsafe { mmio::read(register) }
}

fn write(register: usize, value: u32) {
    // SAFETY: callers name writable registers of the PL011, which are mapped as device memory; the
    // PL011 does no DMA, so no value harms memory.
    unsafe { mmio::write(register, value) };
}
