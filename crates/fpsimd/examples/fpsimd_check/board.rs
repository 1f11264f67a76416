//! The bare board: entry, MMU, exceptions, console, power-off.

use core::{
    arch::{asm, global_asm},
    fmt::{self, Write},
    panic::PanicInfo,
    sync::atomic::{AtomicU64, Ordering},
};

/// Reads a system register.
#[macro_export]
macro_rules! mrs {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading this register at EL2 changes nothing.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nostack)) };
        value
    }};
}

/// Writes a system register, with an ISB. Needs `unsafe`: the caller knows what it does.
#[macro_export]
macro_rules! msr {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        core::arch::asm!(concat!("msr ", $name, ", {}"), "isb", in(reg) value, options(nostack));
    }};
}

const HCR_RW: u64 = 1 << 31;
const HCR_E2H: u64 = 1 << 34;
/// 39 bits of address, tables in write-back memory; in the layout of either E2H.
const TCR: u64 = 1 << 31 | 1 << 23 | 2 << 16 | 0x3500 | 25;
const TCR_E2H: u64 = 2 << 32 | 2 << 30 | 25 << 16 | 1 << 23 | 0x3500 | 25;
const SCTLR: u64 = 0x30c5_0830 | 1 << 12 | 1 << 2 | 1;

global_asm!(
    // The first GiB is devices, the second is RAM.
    ".pushsection .data.check_table, \"aw\"",
    ".balign 4096",
    "check_table:",
    ".quad 0x0040000000000401",
    ".quad 0x0000000040000705",
    ".zero 4096 - 2 * 8",
    ".popsection",
    ".pushsection .bss.check_stack, \"aw\", %nobits",
    ".balign 4096",
    ".zero 0x40000",
    "check_stack_top:",
    ".popsection",
    ".pushsection .text.check_boot, \"ax\"",
    ".global check_entry",
    "check_entry:",
    "adrp x0, check_stack_top",
    "add x0, x0, :lo12:check_stack_top",
    "mov sp, x0",
    "adrp x0, check_vectors",
    "add x0, x0, :lo12:check_vectors",
    "msr vbar_el2, x0",
    "mov x0, #{hcr}",
    "ldr x1, ={tcr}",
    "bl check_regime",
    "bl check_main",
    "0: b 0b",
    // Turns the MMU on with HCR_EL2 = x0 and TCR_EL2 = x1.
    "check_regime:",
    "mrs x4, sctlr_el2",
    "bic x4, x4, #1",
    "msr sctlr_el2, x4",
    "isb",
    "msr hcr_el2, x0",
    "isb",
    "mov x4, #0xff04",
    "msr mair_el2, x4",
    "msr tcr_el2, x1",
    "adrp x4, check_table",
    "msr ttbr0_el2, x4",
    "isb",
    "tlbi alle2",
    "tlbi alle1",
    "dsb sy",
    "isb",
    "ldr x4, ={sctlr}",
    "msr sctlr_el2, x4",
    "isb",
    "ret",
    ".ltorg",
    // Runs EL1 at x0, with x1 in its x0, until it comes back by an exception. Returns ESR_EL2 in x0
    // and its x0 in x1.
    ".global check_run_el1",
    "check_run_el1:",
    "stp x29, x30, [sp, #-96]!",
    "stp x19, x20, [sp, #16]",
    "stp x21, x22, [sp, #32]",
    "stp x23, x24, [sp, #48]",
    "stp x25, x26, [sp, #64]",
    "stp x27, x28, [sp, #80]",
    "msr elr_el2, x0",
    "mov x0, #0x3c5",
    "msr spsr_el2, x0",
    "mov x0, x1",
    "eret",
    "check_from_el1:",
    "mov x1, x0",
    "mrs x0, esr_el2",
    "ldp x19, x20, [sp, #16]",
    "ldp x21, x22, [sp, #32]",
    "ldp x23, x24, [sp, #48]",
    "ldp x25, x26, [sp, #64]",
    "ldp x27, x28, [sp, #80]",
    "ldp x29, x30, [sp], #96",
    "ret",
    // An instruction at EL2 that a gate or the core refused: notes why, and goes on behind it.
    "check_from_el2:",
    "stp x0, x1, [sp, #-16]!",
    "mrs x0, esr_el2",
    "lsr x1, x0, #26",
    "cbz x1, 1f",
    "cmp x1, #0x07",
    "b.eq 1f",
    "cmp x1, #0x19",
    "b.eq 1f",
    "cmp x1, #0x1d",
    "b.ne check_fatal",
    "1:",
    "adrp x1, {refused}",
    "add x1, x1, :lo12:{refused}",
    "str x0, [x1]",
    "mrs x0, elr_el2",
    "add x0, x0, #4",
    "msr elr_el2, x0",
    "ldp x0, x1, [sp], #16",
    "eret",
    ".balign 2048",
    "check_vectors:",
    ".rept 4",
    "b check_fatal",
    ".balign 128",
    ".endr",
    "b check_from_el2",
    ".balign 128",
    ".rept 3",
    "b check_fatal",
    ".balign 128",
    ".endr",
    "b check_from_el1",
    ".balign 128",
    ".rept 7",
    "b check_fatal",
    ".balign 128",
    ".endr",
    ".popsection",
    hcr = const HCR_RW,
    tcr = const TCR,
    sctlr = const SCTLR,
    refused = sym REFUSED,
);

unsafe extern "C" {
    fn check_regime(hcr: u64, tcr: u64);
}

/// ESR_EL2 of the last instruction at EL2 that was refused.
static REFUSED: AtomicU64 = AtomicU64::new(NONE);
/// No ESR has all bits set.
const NONE: u64 = !0;

/// Sets HCR_EL2.E2H, with the MMU off in between.
pub fn set_e2h(e2h: bool) {
    let (hcr, tcr) = if e2h {
        (HCR_RW | HCR_E2H, TCR_E2H)
    } else {
        (HCR_RW, TCR)
    };
    // SAFETY: the same table maps the same memory in either layout.
    unsafe { check_regime(hcr, tcr) }
}

/// The exception class of the last refusal since this was asked last.
pub fn refusal() -> Option<u64> {
    match REFUSED.swap(NONE, Ordering::Relaxed) {
        NONE => None,
        esr => Some(esr >> 26),
    }
}

/// Prints a line.
#[macro_export]
macro_rules! say {
    ($($arguments:tt)*) => { $crate::board::line(format_args!($($arguments)*)) };
}

/// Prints a line. For [`say!`].
pub fn line(text: fmt::Arguments<'_>) {
    // Writing to the UART cannot fail.
    let _ = writeln!(Uart, "{text}");
}

struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: UARTDR of the board's PL011; QEMU's takes bytes at any time.
            unsafe {
                core::ptr::with_exposed_provenance_mut::<u32>(0x0900_0000)
                    .write_volatile(byte.into())
            }
        }
        Ok(())
    }
}

/// Powers the machine off by PSCI.
pub fn power_off() -> ! {
    // SAFETY: SYSTEM_OFF does not return.
    unsafe { asm!("smc #0", in("x0") 0x8400_0008u64, options(nostack, noreturn)) }
}

#[unsafe(no_mangle)]
extern "C" fn check_fatal() -> ! {
    say!(
        "FAILED: exception {:#x} at {:#x}, address {:#x}",
        mrs!("esr_el2"),
        mrs!("elr_el2"),
        mrs!("far_el2")
    );
    power_off()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say!("FAILED: {info}");
    power_off()
}
