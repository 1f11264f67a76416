//! The host's console: its own lines, and the output of its VMs, told apart by line.

use ::core::{fmt, fmt::Write, ptr::NonNull};

use alloc::{collections::VecDeque, vec, vec::Vec};
use arm_pl011_uart::{Interrupts, PL011Registers, Uart};
use arrayvec::ArrayVec;
use safe_mmio::UniqueMmioPointer;

use super::{memory::UART, wait::Lock};

/// A line of a VM that is longer is shown in pieces.
const LINE: usize = 512;

/// How much of what is typed to a VM waits for it, as in a terminal; with several VMs the rest is lost.
const WAITING: usize = 4096;

/// The key that, before a digit, says which VM is typed to: Ctrl-].
const ESCAPE: u8 = 0x1d;

/// The UART's interrupts for bytes that were typed.
const RECEIVE: Interrupts = Interrupts::RXI.union(Interrupts::RTI);

struct Console {
    uart: Uart<'static>,
    /// Whether lines are told apart: with more than one VM.
    tagged: bool,
    /// What each VM has sent of a line; empty with one VM.
    lines: Vec<ArrayVec<u8, LINE>>,
    /// Whether the last byte sent ended a line.
    at_start: bool,
    /// The VM that is typed to, and whether the escape key was the last one.
    focus: usize,
    escaped: bool,
    /// What was typed to each VM while it had no room.
    waiting: Vec<VecDeque<u8>>,
}

static CONSOLE: Lock<Option<Console>> = Lock::new(None);

/// Takes the board's UART, which QEMU has set up.
///
/// # Safety
/// Called once. The UART's frame is mapped as device memory.
pub unsafe fn init() {
    // SAFETY: nobody else has a pointer to the UART.
    let registers =
        unsafe { UniqueMmioPointer::new(NonNull::new_unchecked(UART as *mut PL011Registers)) };
    let mut uart = Uart::new(registers);
    uart.set_interrupt_masks(RECEIVE);
    *CONSOLE.lock() = Some(Console {
        uart,
        tagged: false,
        lines: Vec::new(),
        at_start: true,
        focus: 0,
        escaped: false,
        waiting: Vec::new(),
    });
}

/// Makes the console usable for a panic, whoever was using it.
pub fn force_unlock() {
    // SAFETY: only a panic calls this, after which nobody else runs.
    unsafe { CONSOLE.force_unlock() }
}

/// Tells the lines of `vms` VMs apart, if there are several.
pub fn expect_vms(vms: usize) {
    with(|console| {
        console.tagged = vms > 1;
        console.waiting = (0..vms).map(|_| VecDeque::with_capacity(WAITING)).collect();
        if console.tagged {
            console.lines = vec![ArrayVec::new(); vms];
        }
    });
}

/// Prints a byte that a VM sent.
pub fn send(vm: usize, byte: u8) {
    with(|console| console.send(vm, byte));
}

/// Shows what a VM that now waits has of a line, such as a prompt.
pub fn show_prompt(vm: usize) {
    with(|console| {
        if console.lines.get(vm).is_some_and(|line| !line.is_empty()) {
            console.show_line(vm);
        }
    });
}

/// Shows what all VMs have of a line, and ends it.
pub fn flush() {
    with(|console| {
        for vm in 0..console.lines.len() {
            if !console.lines[vm].is_empty() {
                console.show_line(vm);
            }
        }
        console.end_line();
    });
}

/// Keeps a byte for VM `vm`, which has no room for it, in front of all that waits. With one VM the UART
/// stops to interrupt: what is typed from then on waits in it, or where its sender has it.
pub fn hold(vm: usize, byte: u8) {
    with(|console| {
        console.waiting[vm].push_front(byte);
        if !console.tagged {
            console.uart.set_interrupt_masks(Interrupts::empty());
        }
    });
}

/// Takes the first byte that waits for VM `vm`, which has read one.
pub fn take_waiting(vm: usize) -> Option<u8> {
    with(|console| console.waiting[vm].pop_front())
}

/// Lets the UART interrupt again, as nothing waits.
pub fn resume() {
    with(|console| console.uart.set_interrupt_masks(RECEIVE));
}

/// Takes a byte that was typed, if there is one that a VM may have now: its number, and the byte. What is
/// typed to a VM for which bytes wait waits behind them.
pub fn typed() -> Option<(usize, u8)> {
    with(|console| {
        loop {
            let focus = console.focus;
            let waits = console
                .waiting
                .get(focus)
                .is_some_and(|bytes| !bytes.is_empty());
            if waits && !console.tagged {
                return None;
            }
            let byte = console.uart.read_word().unwrap_or(None)?;
            if ::core::mem::take(&mut console.escaped) && byte.is_ascii_digit() {
                console.focus = usize::from(byte - b'0');
            } else if byte == ESCAPE && console.tagged {
                console.escaped = true;
            } else if !waits {
                return Some((focus, byte));
            } else if console.waiting[focus].len() < WAITING {
                console.waiting[focus].push_back(byte);
            }
        }
    })
}

fn with<T: Default>(action: impl FnOnce(&mut Console) -> T) -> T {
    CONSOLE.lock().as_mut().map(action).unwrap_or_default()
}

impl Console {
    fn byte(&mut self, byte: u8) {
        put(&mut self.uart, byte);
        self.at_start = byte == b'\n';
    }

    fn end_line(&mut self) {
        if !self.at_start {
            self.byte(b'\r');
            self.byte(b'\n');
        }
    }

    fn send(&mut self, vm: usize, byte: u8) {
        if !self.tagged {
            self.byte(byte);
            return;
        }
        if byte != b'\r' {
            self.lines[vm].push(byte);
        }
        if byte == b'\n' || self.lines[vm].is_full() {
            self.show_line(vm);
        }
    }

    fn show_line(&mut self, vm: usize) {
        self.end_line();
        // Ignored: writing to the UART cannot fail.
        let _ = write!(self, "[vm{vm}] ");
        let line = &mut self.lines[vm];
        // With interrupts masked all along: so nothing else is done for each byte.
        for &byte in line.iter() {
            if byte == b'\n' {
                put(&mut self.uart, b'\r');
            }
            put(&mut self.uart, byte);
        }
        self.at_start = line.last() == Some(&b'\n');
        line.clear();
    }
}

/// Sends a byte as soon as the UART has room for it.
fn put(uart: &mut Uart, byte: u8) {
    while uart.is_tx_fifo_full() {}
    uart.write_word(byte);
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.byte(byte);
        }
        Ok(())
    }
}

/// Prints a line of the hypervisor's own.
pub fn say_line(line: fmt::Arguments) {
    with(|console| {
        console.end_line();
        // Ignored: writing to the UART cannot fail.
        let _ = write!(console, "trapcast: {line}\r\n");
    });
}

/// Prints a line of the hypervisor's own, as `println!` would.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::el2::console::say_line(format_args!($($argument)*))
    };
}
pub(crate) use say;
