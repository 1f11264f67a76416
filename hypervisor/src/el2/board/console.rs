//! The host's console: the board's UART, with the terminal that its VMs and EL2 share ([`Terminal`]).
//!
//! EL2 never waits for the UART while a guest runs: what does not fit into its FIFO waits in memory, and
//! goes on by the transmit interrupt. A VM whose byte finds no room there keeps it and tries again; a line of EL2's
//! own is left out then, and the next one says so. A stretch of sending is as long as the FIFO is deep; then EL2 looks
//! for an interrupt.

use ::core::{fmt, ptr::NonNull};

use arm_pl011_uart::{Interrupts, PL011Registers, Uart};
use safe_mmio::UniqueMmioPointer;
use trapcast_hypervisor::{terminal::Terminal, virt};

use crate::el2::arch::{
    cpu_interface,
    meter::Meter,
    wait::{Guard, Lock},
};

/// Bytes that the UART's FIFOs hold.
const FIFO: usize = 32;

/// Bytes that a line of EL2's own seldom exceeds.
const LINE: usize = 80;

/// The UART's interrupts for bytes that were typed.
const RECEIVE: Interrupts = Interrupts::RXI.union(Interrupts::RTI);

struct Console {
    uart: Uart<'static>,
    terminal: Terminal,
    /// The interrupts that the UART may raise.
    enabled: Interrupts,
}

static CONSOLE: Lock<Option<Console>> = Lock::new(None);

/// Takes the board's UART, which QEMU has set up.
///
/// # Safety
/// Called once. The UART's frame is mapped as device memory.
pub unsafe fn init() {
    // SAFETY: nobody else has a pointer to the UART.
    let registers = unsafe {
        UniqueMmioPointer::new(NonNull::new_unchecked(
            virt::UART.start as *mut PL011Registers,
        ))
    };
    let mut console = Console {
        uart: Uart::new(registers),
        terminal: Terminal::new(),
        enabled: Interrupts::empty(),
    };
    console.enable(RECEIVE);
    *CONSOLE.lock() = Some(console);
}

/// Makes the console usable for a panic, whoever was using it.
pub fn force_unlock() {
    // SAFETY: only a panic calls this, after which nobody else runs.
    unsafe { CONSOLE.force_unlock() }
}

/// Tells the lines of `vms` VMs apart, if there are several.
pub fn expect_vms(vms: usize) {
    with(|console| console.terminal.expect_vms(vms));
}

/// Takes a byte that a VM sends; `false` if there is no room for it: the VM has to try again. To be
/// followed by [`transmit`].
pub fn send(vm: usize, byte: u8) -> bool {
    with(|console| console.terminal.send(vm, byte))
}

/// Shows what a VM that now waits has of a line, such as a prompt.
#[inline]
pub fn show_prompt(vm: usize) {
    with(|console| {
        if console.terminal.has_prompt(vm) {
            console.show_prompt(vm);
        }
    });
}

/// Sends what waits, until there is nothing more, the UART is full, or an interrupt is pending; the rest goes
/// by the UART's interrupt.
pub fn transmit(meter: &mut Meter) {
    while with(|console| console.transmit(FIFO)) {
        meter.looked_for_interrupt();
        if cpu_interface::interrupt_is_pending() {
            return with(|console| console.begin(0));
        }
    }
}

/// Sends all that waits, with what VMs have of lines, and ends the last one.
pub fn flush() {
    with(|console| {
        console.drain();
        for vm in 0..console.terminal.vms() {
            console.terminal.show_prompt(vm);
            console.drain();
        }
        console.terminal.end_line();
        console.drain();
    });
}

/// Takes what was typed from the UART, as much as its FIFO holds, and returns the VM that it is for, if any.
/// What is for another one is left for the next call, and what there is no room for stays in the UART until
/// there is.
pub fn take_keys() -> Option<usize> {
    with(|console| {
        let mut vm = None;
        for _ in 0..FIFO {
            if !console.terminal.wants_keys() {
                console.enable(console.enabled - RECEIVE);
                break;
            }
            match console.uart.read_word() {
                Ok(Some(byte)) => {
                    let focus = console.terminal.type_key(byte);
                    if vm.is_some() && focus.is_none() {
                        break;
                    }
                    vm = focus;
                }
                Ok(None) => break,
                // Of a byte that came damaged nothing is known.
                Err(_) => {}
            }
        }
        vm
    })
}

/// Takes the first byte that waits for VM `vm`.
pub fn next_typed(vm: usize) -> Option<u8> {
    with(|console| {
        let byte = console.terminal.next_typed(vm);
        console.listen();
        byte
    })
}

/// Forgets what was typed to VM `vm`, which is off for good.
pub fn forget_typed(vm: usize) {
    with(|console| {
        console.terminal.forget_typed(vm);
        console.listen();
    });
}

#[inline(always)]
fn with<T: Default>(action: impl FnOnce(&mut Console) -> T) -> T {
    let mut console: Guard<Option<Console>> = CONSOLE.lock();
    console.as_mut().map(action).unwrap_or_default()
}

impl Console {
    fn enable(&mut self, interrupts: Interrupts) {
        if self.enabled != interrupts {
            self.enabled = interrupts;
            self.uart.set_interrupt_masks(interrupts);
        }
    }

    /// Takes bytes from the UART again, if there is room for them.
    fn listen(&mut self) {
        if !self.enabled.contains(RECEIVE) && self.terminal.wants_keys() {
            self.enable(self.enabled | RECEIVE);
        }
    }

    #[cold]
    #[inline(never)]
    fn show_prompt(&mut self, vm: usize) {
        self.terminal.show_prompt(vm);
        self.begin(FIFO);
    }

    /// Sends `most` bytes, or what the UART has room for; if it has none, it interrupts when it has. Returns
    /// whether more wait and there may be room.
    fn transmit(&mut self, most: usize) -> bool {
        let mut sent = 0;
        let mut full = false;
        for &byte in self.terminal.output().iter().take(most) {
            full = self.uart.is_tx_fifo_full();
            if full {
                break;
            }
            self.uart.write_word(byte);
            sent += 1;
        }
        self.terminal.sent(sent);
        let more = !self.terminal.output().is_empty();
        if full {
            self.enable(self.enabled | Interrupts::TXI);
        } else if !more {
            self.enable(self.enabled - Interrupts::TXI);
        }
        more && !full
    }

    /// Sends `most` bytes now, and what is left by the UART's interrupt.
    fn begin(&mut self, most: usize) {
        if self.transmit(most) {
            self.enable(self.enabled | Interrupts::TXI);
        }
    }

    /// Sends all that waits, as fast as the UART takes it.
    fn drain(&mut self) {
        loop {
            let output = self.terminal.output();
            for &byte in output {
                while self.uart.is_tx_fifo_full() {}
                self.uart.write_word(byte);
            }
            match output.len() {
                0 => return,
                sent => self.terminal.sent(sent),
            }
        }
    }
}

/// Prints a line of the hypervisor's own, if there is room for it.
pub fn say_line(line: fmt::Arguments) {
    with(|console| {
        console.terminal.say_line(line);
        console.begin(LINE);
    });
}

/// Prints a line of the hypervisor's own, as `println!` would.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::el2::board::console::say_line(format_args!($($argument)*))
    };
}
pub(crate) use say;
