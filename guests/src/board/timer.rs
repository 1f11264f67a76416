//! The virtual timer: waits that end by a real interrupt.
//!
//! Source: Arm ARM, "The Generic Timer in AArch64 state".

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use super::cpus::{self, MAX_CPUS};
use super::{delays, gic};
use crate::{read_sysreg, write_sysreg};

/// How long a wait lasts.
pub const WAIT_MICROSECONDS: u64 = 5;

/// Of each CPU.
static FIRED: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];

/// Whether this CPU's timer interrupt has been handled since [`set`].
#[inline(always)]
pub fn fired() -> bool {
    FIRED[cpus::current()].load(Ordering::Relaxed)
}

/// Lets the timer fire in `microseconds` from now.
#[inline(always)]
pub fn set(microseconds: u64) {
    let ticks = ticks(microseconds);
    set_at(read_sysreg!("cntvct_el0") + ticks);
}

/// Lets the timer fire when the virtual count reaches `count`; at once, if it has.
#[inline(always)]
pub fn set_at(count: u64) {
    FIRED[cpus::current()].store(false, Ordering::Relaxed);
    // SAFETY: the timer's interrupt has its handler.
    unsafe { write_sysreg!("cntv_cval_el0", count) };
    // SAFETY: as above. ENABLE, not IMASK.
    unsafe { write_sysreg!("cntv_ctl_el0", 1) };
}

/// Blocks at EL1 by WFI until the timer has fired, [`WAIT_MICROSECONDS`] from now.
#[inline(always)]
pub fn wait() {
    wait_for(WAIT_MICROSECONDS);
}

/// Blocks at EL1 by WFI until the timer has fired, in so many microseconds from now.
#[inline(always)]
pub fn wait_for(microseconds: u64) {
    // Masked until after the WFI: an interrupt before it would leave nothing to wake it up.
    gic::mask();
    set(microseconds);
    while !fired() {
        // SAFETY: waits; a pending interrupt ends it although it is masked.
        unsafe { asm!("wfi", options(nostack, preserves_flags)) };
        gic::unmask();
        gic::mask();
    }
    gic::unmask();
}

/// Disables the timer.
#[inline(always)]
pub fn stop() {
    // SAFETY: nothing comes of it.
    unsafe { write_sysreg!("cntv_ctl_el0", 0) };
}

/// The ticks of the counter in so many microseconds.
#[inline(always)]
pub fn ticks(microseconds: u64) -> u64 {
    read_sysreg!("cntfrq_el0") * microseconds / 1_000_000
}

/// What the interrupt handler does for the timer: takes its level down.
pub fn handle() {
    delays::came(read_sysreg!("cntvct_el0"));
    stop();
    FIRED[cpus::current()].store(true, Ordering::Relaxed);
}
