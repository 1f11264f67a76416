//! From the first instruction to `main`: the zImage header, stacks and BSS, FP access.
//!
//! Sources: Linux, Documentation/arch/arm/booting.rst (the state at entry) and
//! arch/arm/boot/compressed/head.S (the header); Arm ARM, "CPACR".

/// Makes `$main`, a `fn(&Machine)`, the program of a zImage.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        core::arch::global_asm!(
            r#"
            .section .head.text, "ax"
            .global image_header
            image_header:
            .rept 8
                nop
            .endr
                b       1f
                .word   0x016f2818              @ magic
                .word   __image_start           @ where it has to lie
                .word   __image_end
                .word   0x04030201              @ little-endian
            1:  adr     r1, image_header
                ldr     r3, =__image_start
                cmp     r1, r3
                bne     4f
                cps     #0x17                   @ abort
                ldr     sp, =__abort_stack_top
                cps     #0x1b                   @ undefined
                ldr     sp, =__undefined_stack_top
                cps     #0x12                   @ IRQ
                ldr     sp, =__irq_stack_top
                cps     #0x13                   @ supervisor
                ldr     sp, =__stack_top
                mov     r0, #0xf << 20          @ CPACR: coprocessors 10 and 11
                mcr     p15, 0, r0, c1, c0, 2
                isb
                ldr     r1, =__bss_start
                ldr     r3, =__bss_end
                mov     r0, #0
            2:  cmp     r1, r3
                strlo   r0, [r1], #4
                blo     2b
                mov     r0, r2                  @ the FDT
                bl      {start}
            4:  ldr     r0, ={system_off}       @ not where it was linked to be: nothing can be said
                bl      hypercall
            5:  wfi
                b       5b
                .ltorg
            "#,
            start = sym entry_point,
            system_off = const $crate::board::psci::SYSTEM_OFF,
        );

        extern "C" fn entry_point(fdt: u32) -> ! {
            $crate::board::entry::run(&env!("CARGO_BIN_NAME"), fdt.into(), $main)
        }

        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::board::entry::fail(info)
        }
    };
}
