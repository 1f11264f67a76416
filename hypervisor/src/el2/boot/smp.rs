//! The other cores, from CPU_ON to their first guest.

use ::core::{
    arch::{asm, global_asm},
    sync::atomic::{AtomicBool, Ordering},
};

use alloc::boxed::Box;
use smccc::{Smc, psci};
use trapcast_trace::report::CoreReport;

use crate::el2::{
    arch::wait::{barrier, spin_loop},
    board::{memory, panic::fail, stacks},
    boot::set_up::{self, Common},
    state::shared,
};
use crate::mrs;

/// Whether guests may run.
static STARTED: AtomicBool = AtomicBool::new(false);

/// What a core needs until it has a stack and the MMU on. Assembly reads it with the MMU off.
#[repr(C, align(64))]
struct Start {
    hcr: u64,
    tcr: u64,
    sctlr: u64,
    ttbr0: u64,
    stack_top: u64,
    number: u64,
    common: &'static Common,
    report: *mut CoreReport,
}

global_asm!(
    ".pushsection .text.boot, \"ax\"",
    // The first instruction of a core that PSCI CPU_ON has turned on; x0: its `Start`.
    ".global el2_secondary_entry",
    "el2_secondary_entry:",
    "mov x19, x0",
    "ldr x0, [x19, #32]",
    "mov sp, x0",
    "adrp x0, el2_vectors",
    "add x0, x0, :lo12:el2_vectors",
    "msr vbar_el2, x0",
    "ldp x0, x1, [x19]",
    "ldp x2, x3, [x19, #16]",
    "bl el2_change_regime",
    "mov x0, x19",
    "bl el2_secondary_main",
    ".popsection",
);

unsafe extern "C" {
    safe static el2_secondary_entry: u8;
}

/// Turns on the cores that have `reports`, numbered from 1, and waits until they are up.
///
/// Refuses to go on if one cannot be turned on.
pub fn start_others(common: &'static Common, reports: &'static mut [CoreReport]) {
    let count = reports.len() + 1;
    for (number, report) in (1..count).zip(reports) {
        let start = Box::leak(Box::new(Start {
            hcr: mrs!("hcr_el2"),
            tcr: mrs!("tcr_el2"),
            sctlr: mrs!("sctlr_el2"),
            ttbr0: mrs!("ttbr0_el2"),
            stack_top: stacks::top(number),
            number: number as u64,
            common,
            report,
        }));
        let start = ::core::ptr::from_mut(start);
        memory::clean_to_coherency(start.cast(), size_of::<Start>());
        // Cleaning is complete behind a DSB only (Arm ARM, "Ordering and completion of data and instruction cache
        // instructions"), and nothing else orders it before what CPU_ON has the other core read.
        barrier();
        let entry = &raw const el2_secondary_entry as u64;
        if let Err(error) = psci::cpu_on::<Smc>(number as u64, entry, start as u64) {
            fail(format_args!("core {number} cannot be turned on: {error}"));
        }
    }
    while shared::count() < count {
        spin_loop();
    }
}

/// Lets the other cores run guests.
pub fn go() {
    STARTED.store(true, Ordering::Release);
    // SAFETY: a hint to cores that wait for an event.
    unsafe { asm!("dsb ishst", "sev", options(nostack, preserves_flags)) }
}

/// A core's way from its first Rust instruction to its first guest.
///
/// # Safety
/// Called once per core, on its own stack, with the `Start` that it was given.
#[unsafe(no_mangle)]
unsafe extern "C" fn el2_secondary_main(start: &'static Start) -> ! {
    // SAFETY: `start_others` has given each core a report of its own.
    let report = unsafe { &mut *start.report };
    // SAFETY: at this core's boot, before any guest runs on it.
    let core = unsafe { set_up::set_up_core(start.number as usize, start.common, report) };
    shared::announce();
    while !STARTED.load(Ordering::Acquire) {
        // SAFETY: waits for the event that `go` sends, or any other.
        unsafe { asm!("wfe", options(nostack, preserves_flags)) }
    }
    set_up::run(core)
}
