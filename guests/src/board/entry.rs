//! From the first instruction to `main`: the arm64 Image header, stack, BSS, FP access and MMU.
//!
//! Sources: Linux, Documentation/arch/arm64/booting.rst (the header and the state at entry);
//! Arm ARM, "CPACR_EL1".

use core::fmt;

use super::fdt::Machine;
use super::{console, exceptions, gic, mmu, psci};

/// Makes `$main`, a `fn(&Machine)`, the program of an arm64 Image.
#[cfg(target_arch = "aarch64")]
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        core::arch::global_asm!(
            r#"
            .section .head.text, "ax"
            .global image_header
            image_header:
                b       1f              // code0
                nop                     // code1
                .quad   0               // text_offset: at a multiple of 2 MiB
                .quad   __image_size
                .quad   0b0010          // flags: little-endian, 4 KiB pages
                .quad   0, 0, 0
                .ascii  "ARM\x64"       // magic
                .long   0
            1:  adr     x1, image_header
                ldr     x2, =__image_start
                cmp     x1, x2
                b.ne    4f
                msr     spsel, #1
                ldr     x1, =__stack_top
                mov     sp, x1
                ldr     x1, =__bss_start
                ldr     x2, =__bss_end
            2:  cmp     x1, x2
                b.hs    3f
                stp     xzr, xzr, [x1], #16
                b       2b
            3:  bl      {start}
            4:  ldr     w0, ={system_off}   // not where it was linked to be: nothing can be said
                hvc     #0
            5:  wfi
                b       5b
                .ltorg
            "#,
            start = sym entry_point,
            system_off = const $crate::board::psci::SYSTEM_OFF,
        );

        extern "C" fn entry_point(fdt: u64) -> ! {
            $crate::board::entry::run(&env!("CARGO_BIN_NAME"), fdt, $main)
        }

        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::board::entry::fail(info)
        }
    };
}

/// Sets the board up, runs `main` and powers the machine off. For [`entry!`](crate::entry).
pub fn run(program: &'static &'static str, fdt: u64, main: fn(&Machine)) -> ! {
    // SAFETY: this runs once, first, on the only CPU that is on, with the MMU off; the image lies where it
    // was linked to be, as the code before this has checked.
    unsafe { mmu::enable() };
    console::set_program(program);
    exceptions::install();
    gic::enable();
    // SAFETY: x0 holds the address of the FDT at entry by the boot protocol, and nothing has
    // written to memory outside the image since.
    match unsafe { Machine::read(fdt) } {
        Ok(machine) => main(&machine),
        Err(error) => fail(&format_args!("the FDT at {fdt:#x} cannot be used: {error}")),
    }
    psci::system_off()
}

/// Prints `PROGRAM: error: WHAT` and powers the machine off.
pub fn fail(what: &dyn fmt::Display) -> ! {
    crate::println!("error: {what}");
    psci::system_off()
}
