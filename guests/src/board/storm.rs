//! Storms of SGIs: one to all other CPUs at once, which wait in WFI, and how long each takes to come.
//!
//! A CPU that has come stays busy until all have, so that a hypervisor must not leave one of them waiting
//! for another.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::cpus::MAX_CPUS;
use super::gic;
use crate::read_sysreg;
use crate::rng::SplitMix64;

/// The most storms of one run.
pub const MAX_ROUNDS: usize = 2000;

/// The longest pause before a storm: long enough for the other CPUs to be in WFI.
const PAUSE_MICROSECONDS: u64 = 50;

/// Ticks from the SGI until a CPU came, by storm and CPU.
static DELAYS: [AtomicU32; MAX_ROUNDS * (MAX_CPUS - 1)] =
    [const { AtomicU32::new(0) }; MAX_ROUNDS * (MAX_CPUS - 1)];
/// The virtual count when the SGIs were sent.
static SENT: AtomicU64 = AtomicU64::new(0);
/// CPUs that are about to wait in WFI.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// CPUs that have come.
static CAME: AtomicUsize = AtomicUsize::new(0);
/// Storms that are over.
static OVER: AtomicUsize = AtomicUsize::new(0);

/// Waits for each of `rounds` storms on CPU `cpu`, one of `others` that do so, numbered from 1.
pub fn wait_for(cpu: usize, others: usize, rounds: usize) {
    // Masked: WFI ends all the same, and the interrupt is acknowledged right behind it.
    gic::mask();
    for round in 0..rounds {
        WAITING.fetch_add(1, Ordering::Release);
        while !take_sgi() {
            // SAFETY: waits; a pending interrupt ends it although it is masked.
            unsafe { asm!("wfi", options(nostack, preserves_flags)) };
        }
        let ticks = read_sysreg!("cntvct_el0") - SENT.load(Ordering::Relaxed);
        DELAYS[round * others + cpu - 1].store(ticks as u32, Ordering::Relaxed);
        CAME.fetch_add(1, Ordering::Release);
        wait_until(|| OVER.load(Ordering::Acquire) > round);
    }
}

/// Sends `rounds` storms to CPUs 1 to `others`, with pauses of random lengths by `seed` before them, and
/// writes down how many ticks each took: returns these places of `delays`.
///
/// # Panics
///
/// Panics if `delays` has no room for so many, or there are more than [`MAX_ROUNDS`].
pub fn send(others: usize, rounds: usize, seed: u64, delays: &mut [u64]) -> &mut [u64] {
    let mut rng = SplitMix64::new(seed);
    let pause = read_sysreg!("cntfrq_el0") * PAUSE_MICROSECONDS / 1_000_000;
    for round in 0..rounds {
        wait_until(|| WAITING.load(Ordering::Acquire) == others);
        WAITING.store(0, Ordering::Relaxed);
        CAME.store(0, Ordering::Relaxed);
        let begin = read_sysreg!("cntvct_el0") + pause / 2 + rng.below(pause / 2);
        wait_until(|| read_sysreg!("cntvct_el0") >= begin);
        SENT.store(read_sysreg!("cntvct_el0"), Ordering::Release);
        gic::send_sgis(((1 << others) - 1) << 1);
        wait_until(|| CAME.load(Ordering::Acquire) == others);
        OVER.store(round + 1, Ordering::Release);
    }
    let delays = &mut delays[..others * rounds];
    for (to, from) in delays.iter_mut().zip(&DELAYS) {
        *to = from.load(Ordering::Relaxed).into();
    }
    delays
}

/// Acknowledges and ends the SGI, if it is pending.
fn take_sgi() -> bool {
    let intid = gic::acknowledge();
    if intid < gic::FIRST_SPECIAL {
        gic::end(intid);
    }
    intid == gic::SGI
}

/// Waits, and lets other CPUs run where an emulator runs one at a time.
fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        // SAFETY: a hint.
        unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
    }
}
