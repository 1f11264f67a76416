//! The guest `scan32`: reads and writes every encoding of a System register of AArch32 state, and looks whether one
//! changes that nobody of this VM has written: see `trapcast_guests::scan`.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

use trapcast_guests::board::exceptions;
use trapcast_guests::scan::{AArch32, Access, Name, Reading};
use trapcast_guests::{read_coprocessor, write_coprocessor};

trapcast_guests::entry!(trapcast_guests::scan::main::<Guest>);

const ISB: u32 = 0xf57f_f06f;
const BX_LR: u32 = 0xe12f_ff1e;
/// Executed always.
const ALWAYS: u32 = 0xe << 28;
/// SCTLR: M, C.
const SCTLR_ON: u64 = 1 << 0 | 1 << 2;

global_asm!(
    r#"
    .section .text.scan, "ax"
    .global scan_run, scan_recover
    scan_run:                       @ r0, r1: the value; r2: the instructions. Returns r0, r1.
        push    {{r4, lr}}
        blx     r2
    scan_recover:
        pop     {{r4, pc}}
    "#
);

unsafe extern "C" {
    fn scan_run(value: u64, code: u32) -> u64;
    static scan_recover: u8;
}

/// This guest.
pub struct Guest;

impl Access for Guest {
    type Of = AArch32;

    fn code(instruction: u32) -> [u32; 4] {
        [instruction | ALWAYS, ISB, BX_LR, BX_LR]
    }

    fn prepare() {
        let sctlr = read_coprocessor!("p15, 0, {}, c1, c0, 0");
        // SAFETY: code, stacks and data lie where the tables have them.
        unsafe {
            asm!("dsb", options(nostack, preserves_flags));
            write_coprocessor!("p15, 0, {}, c1, c0, 0", sctlr & !SCTLR_ON);
            // TLBIALL, ICIALLU.
            write_coprocessor!("p15, 0, {}, c8, c7, 0", 0);
            write_coprocessor!("p15, 0, {}, c7, c5, 0", 0);
            asm!("dsb", "isb", options(nostack, preserves_flags));
        }
    }

    fn run(code: u64, value: u64) -> Reading {
        exceptions::expect((&raw const scan_recover).expose_provenance() as u32);
        // SAFETY: the MMU is off, and what is written leaves it so; R0 and R1 alone change.
        let result = unsafe { scan_run(value, code as u32) };
        let (kind, _) = exceptions::came();
        (kind == 0).then_some(result)
    }

    fn read_direct(_: Name) -> Option<u64> {
        None
    }

    fn write_direct(_: Name, _: u64) {}
}
