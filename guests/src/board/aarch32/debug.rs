//! Self-hosted debug in AArch32 state: breakpoints and watchpoints that are hit, and how they say so; registers
//! that keep what is written.
//!
//! Source: Arm ARM, G2 "AArch32 Self-hosted Debug", "DBGDSCRext", "DBGBCRn", "DBGWCRn".

use core::arch::global_asm;
use core::cell::UnsafeCell;

use super::exceptions::{DATA_ABORT, PREFETCH_ABORT};
use crate::{read_coprocessor, write_coprocessor};

/// DBGDSCRext: monitor debug-mode; how the last debug exception came about; and what a debugger has
/// left in the channel.
const MDBGEN: u64 = 1 << 15;
const MOE: u64 = 0xf << 2;
const MOE_BREAKPOINT: u64 = 0b0001 << 2;
const MOE_WATCHPOINT: u64 = 0b1010 << 2;
const RXFULL_TXFULL: u64 = 0b11 << 29;
/// What locks the OS Lock.
const OSLAR_KEY: u64 = 0xc5ac_ce55;
/// DBGBCR and DBGWCR: enabled at PL1, for all of four bytes; DBGWCR: loads and stores.
const AT_PL1: u64 = 1 | 0b01 << 1 | 0xf << 5;
const LOADS_STORES: u64 = 0b11 << 3;
/// IFSR and DFSR with short descriptors: a debug event.
const FS: u64 = 1 << 10 | 0xf;
const FS_DEBUG: u64 = 0b0_0010;

global_asm!(
    r#"
    .section .text.debug, "ax"
    .global debug_target, debug_store, flags_of_status
    debug_target:
        bx      lr
    debug_store:                        @ r0: the address
        str     r0, [r0]
        bx      lr
    flags_of_status:                    @ Returns N, Z, C and V as DBGDSCRint gives them.
        mvn     r0, #0
        msr     APSR_nzcvq, r0
        mrc     p14, 0, APSR_nzcv, c0, c1, 0
        mrs     r0, APSR
        bx      lr
    "#
);

unsafe extern "C" {
    safe fn debug_target();
    fn debug_store(address: u32);
    safe fn flags_of_status() -> u32;
}

struct Word(UnsafeCell<u32>);

// SAFETY: one CPU.
unsafe impl Sync for Word {}

/// What a watchpoint watches.
static WORD: Word = Word(UnsafeCell::new(0));

/// Checks all of it: `provoke` runs what ends by an exception, and returns its kind and place; `compare` gets a
/// name, what is expected, and what was found.
pub fn run(
    provoke: impl Fn(&dyn Fn()) -> (u32, u32),
    mut compare: impl FnMut(&'static str, u64, u64),
) {
    let breakpoints = (read_coprocessor!("p14, 0, {}, c0, c0, 0") >> 24 & 0xf) + 1;
    let enough = u64::from(breakpoints >= 2);
    compare("DBGDIDR.BRPs", 1, enough);
    // SAFETY: nothing is enabled that nobody copes with.
    unsafe { write_coprocessor!("p14, 0, {}, c1, c0, 4", 0) };

    let target = debug_target as *const () as usize as u64;
    // SAFETY: `provoke` copes with it.
    unsafe {
        write_coprocessor!("p14, 0, {}, c0, c1, 4", target);
        write_coprocessor!("p14, 0, {}, c0, c1, 5", AT_PL1);
        write_coprocessor!("p14, 0, {}, c0, c2, 2", MDBGEN);
    }
    let (kind, place) = provoke(&|| debug_target());
    compare("breakpoint", PREFETCH_ABORT.into(), kind.into());
    compare("LR_abt of a breakpoint", target, place.into());
    compare(
        "IFSR of a breakpoint",
        FS_DEBUG,
        read_coprocessor!("p15, 0, {}, c5, c0, 1") & FS,
    );
    compare("MOE of a breakpoint", MOE_BREAKPOINT, status() & MOE);
    // SAFETY: disables it.
    unsafe { write_coprocessor!("p14, 0, {}, c0, c1, 5", 0) };
    debug_target();

    let word = WORD.0.get().expose_provenance() as u64;
    // SAFETY: as above.
    unsafe {
        write_coprocessor!("p14, 0, {}, c0, c1, 6", word);
        write_coprocessor!("p14, 0, {}, c0, c1, 7", AT_PL1 | LOADS_STORES);
    }
    // SAFETY: nobody else has this word.
    let (kind, _) = provoke(&|| unsafe { debug_store(word as u32) });
    compare("watchpoint", DATA_ABORT.into(), kind.into());
    compare(
        "DFSR of a watchpoint",
        FS_DEBUG,
        read_coprocessor!("p15, 0, {}, c5, c0, 0") & FS,
    );
    compare(
        "DFAR of a watchpoint",
        word,
        read_coprocessor!("p15, 0, {}, c6, c0, 0"),
    );
    compare("MOE of a watchpoint", MOE_WATCHPOINT, status() & MOE);
    // SAFETY: disables all.
    unsafe {
        write_coprocessor!("p14, 0, {}, c0, c1, 7", 0);
        write_coprocessor!("p14, 0, {}, c0, c2, 2", 0);
    }

    // While the OS Lock is locked, flags of the channel can be set.
    // SAFETY: no debugger is there.
    unsafe {
        write_coprocessor!("p14, 0, {}, c1, c0, 4", OSLAR_KEY);
        write_coprocessor!("p14, 0, {}, c0, c2, 2", RXFULL_TXFULL);
    }
    compare(
        "APSR_nzcv of DBGDSCRint",
        RXFULL_TXFULL,
        (flags_of_status() & 0xf << 28).into(),
    );
    // SAFETY: as above.
    unsafe {
        write_coprocessor!("p14, 0, {}, c0, c2, 2", 0);
        write_coprocessor!("p14, 0, {}, c1, c0, 4", 0);
    }
}

fn status() -> u64 {
    read_coprocessor!("p14, 0, {}, c0, c2, 2")
}

/// Leaves a value in a breakpoint and a watchpoint, neither of which is enabled.
pub fn leave(value: u32) {
    let value = u64::from(value & !3);
    // SAFETY: they are not enabled.
    unsafe {
        write_coprocessor!("p14, 0, {}, c0, c0, 4", value);
        write_coprocessor!("p14, 0, {}, c0, c0, 6", !value & 0xffff_fffc);
    }
}

/// Whether both hold what [`leave`] has left.
#[must_use]
pub fn holds(value: u32) -> bool {
    let value = u64::from(value & !3);
    read_coprocessor!("p14, 0, {}, c0, c0, 4") == value
        && read_coprocessor!("p14, 0, {}, c0, c0, 6") == !value & 0xffff_fffc
}
