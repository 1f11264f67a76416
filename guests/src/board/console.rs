//! The console: lines on the PL011, each with the name of the program in front.
//!
//! Source: Arm DDI 0183, "PrimeCell UART (PL011)", "Summary of registers".

use core::fmt::{self, Write};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

const UARTDR: usize = 0x0900_0000;
const UARTFR: usize = 0x0900_0018;
const UARTCR: usize = 0x0900_0030;
/// UARTFR: the transmit FIFO is full.
const TXFF: u32 = 1 << 5;
/// UARTCR: enable, and enable transmission.
const UARTEN_TXE: u32 = 1 << 0 | 1 << 8;

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
    // Writing to the UART cannot fail; a `Display` that fails ends the line early.
    let _ = writeln!(Uart, "{program}: {line}");
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
    unsafe { ptr::with_exposed_provenance::<u32>(register).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: callers name writable registers of the PL011, which are mapped as device memory; the
    // PL011 does no DMA, so no value harms memory.
    unsafe { ptr::with_exposed_provenance_mut::<u32>(register).write_volatile(value) };
}
